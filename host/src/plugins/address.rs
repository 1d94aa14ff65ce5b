//! The address hook: a plugin decides where the kubelets of a node pool are asked.
//!
//! In: a [`Node`]. Out: up to 16 checked [`Candidate`]s, or the plugin's reason to skip the node. Where the plugin has no
//! opinion (`pass`) or fails, the gateway's own order of preference decides.
//!
//! A candidate gets the gateway's token when it is dialled. Its certificate is verified as every kubelet's, for the name
//! that the plugin says; beyond that it is not checked that the place has to do with the node. That is why address
//! policies are bound to node pools, which are the cluster operator's, and not to tenants.
//!
//! Absent on purpose: dialling, and which plugin answers for which node. Rule: `address` in `sdk/wit/policy.wit`.

use std::sync::Arc;

use rustls_pki_types::ServerName;

use super::binding::{BadAnswer, Binding, Guest};
use super::call::{Called, Caller, Failed};
use super::line::line;
use super::wit::exports::metrics_gateway::policy::address::Choice;
use super::wit::metrics_gateway::policy::types;
use crate::model::policy::{AddressPolicy, Candidate, NoAddress, PreferredAddresses, Standing, Voice};
use crate::model::{Labels, Node};

/// More places than a node has addresses of all kinds.
const MOST_CANDIDATES: usize = 16;
/// Longer than the path of any API.
const LONGEST_PATH: usize = 1024;
/// One line of a log.
const LONGEST_REASON: usize = 256;

/// A plugin that is asked for addresses.
pub trait Ask: Guest {
    /// `address.candidates`.
    ///
    /// # Errors
    /// [`Failed`] where there is no answer.
    fn candidates(&self, node: &types::Node) -> Result<Called<Choice>, Failed>;
}

impl Ask for Caller {
    fn candidates(&self, node: &types::Node) -> Result<Called<Choice>, Failed> {
        Self::candidates(self, node)
    }
}

/// The address policy of a node pool.
pub struct AddressBinding<G = Caller> {
    binding: Binding<G>,
    preferred: Arc<PreferredAddresses>,
}

impl<G: Ask> AddressBinding<G> {
    /// A policy that asks a plugin, and where that fails goes by `preferred`.
    pub fn new(binding: Binding<G>, preferred: Arc<PreferredAddresses>) -> Self {
        Self { binding, preferred }
    }
}

impl<G: Ask> AddressPolicy for AddressBinding<G> {
    fn candidates(&self, node: &Node) -> Result<Vec<Candidate>, NoAddress> {
        self.candidates_and_voice(node).0
    }

    fn candidates_and_voice(&self, node: &Node) -> (Result<Vec<Candidate>, NoAddress>, Voice) {
        let port = self.preferred.port_of(node);
        let question = |guest: &G| guest.candidates(&to_wit(node));
        match self.binding.ask(node.name.as_str(), question, |choice| check(choice, port)) {
            Some(Decision::Dial(candidates)) => (Ok(candidates), Voice::Policy),
            Some(Decision::Skip(reason)) => {
                let policy = Box::from(&*self.binding.role().plugin);
                (Err(NoAddress::Skipped { policy, reason }), Voice::Policy)
            }
            Some(Decision::Pass) => (self.preferred.candidates(node), Voice::BuiltIn),
            None => (self.preferred.candidates(node), Voice::Fallback),
        }
    }

    fn standing(&self) -> Option<Standing> {
        Some(self.binding.standing())
    }
}

/// The node in the words of the contract.
pub fn to_wit(node: &Node) -> types::Node {
    let address = |address: &crate::model::NodeAddress| types::NodeAddress {
        kind: address.kind.clone().into(),
        address: address.address.clone().into(),
    };
    types::Node {
        name: node.name.to_string(),
        labels: labels(&node.labels),
        annotations: labels(&node.annotations),
        addresses: node.addresses.iter().map(address).collect(),
        kubelet_port: node.kubelet_port,
        provider_id: node.provider_id.clone().map(Into::into),
        ready: node.ready,
    }
}

/// Labels or annotations in the words of the contract, by key.
pub fn labels(labels: &Labels) -> Vec<types::Label> {
    labels.iter().map(|(key, value)| types::Label { key: key.to_owned(), value: value.to_owned() }).collect()
}

/// What a plugin decided, once it is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// At least one, best first.
    Dial(Vec<Candidate>),
    /// Do not ask the node; why.
    Skip(Box<str>),
    /// Somebody else decides.
    Pass,
}

/// Whether an answer can be believed. `port` is taken where a candidate has none.
///
/// # Errors
/// [`BadAnswer`] names the candidate and its fault.
pub fn check(choice: Choice, port: u16) -> Result<Decision, BadAnswer> {
    match choice {
        Choice::Pass => Ok(Decision::Pass),
        Choice::Skip(reason) => Ok(Decision::Skip(line(&reason, LONGEST_REASON).into())),
        Choice::Dial(candidates) if (1..=MOST_CANDIDATES).contains(&candidates.len()) => {
            let check = |(row, candidate)| {
                let fault = |fault| BadAnswer(format!("candidate {row}: {fault}"));
                check_candidate(candidate, port).map_err(fault)
            };
            candidates.into_iter().enumerate().map(check).collect::<Result<_, _>>().map(Decision::Dial)
        }
        Choice::Dial(candidates) => {
            Err(BadAnswer(format!("{} candidates, where 1 to {MOST_CANDIDATES} are allowed", candidates.len())))
        }
    }
}

fn check_candidate(candidate: types::Candidate, port: u16) -> Result<Candidate, String> {
    let types::Candidate { host, port: own_port, path, server_name } = candidate;
    check_name("host", &host)?;
    if own_port == Some(0) {
        return Err("port 0".to_owned());
    }
    if let Some(path) = &path {
        check_path(path)?;
    }
    if let Some(name) = &server_name {
        check_name("server-name", name)?;
    }
    Ok(Candidate {
        host: host.into(),
        port: own_port.unwrap_or(port),
        path: path.map(Into::into),
        server_name: server_name.map(Into::into),
    })
}

/// An IP address without brackets or a DNS name, and so nothing with a scheme, a port or a path. The certificate is
/// verified against it, so the judge is who does that.
fn check_name(what: &str, name: &str) -> Result<(), String> {
    match ServerName::try_from(name) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("{what} {:?} is neither an IP address without brackets nor a DNS name", start(name))),
    }
}

fn check_path(path: &str) -> Result<(), String> {
    let fault = if path.len() > LONGEST_PATH {
        format!("is longer than {LONGEST_PATH} bytes")
    } else if !path.starts_with('/') {
        "does not begin with '/'".to_owned()
    } else if path.contains(|c: char| c.is_control() || c.is_whitespace()) {
        "contains white space or a control character".to_owned()
    } else {
        return Ok(());
    };
    Err(format!("path {:?} {fault}", start(path)))
}

/// As much of a text as a line of the log can take.
fn start(text: &str) -> &str {
    &text[..text.floor_char_boundary(64)]
}

#[cfg(test)]
mod tests;
