//! The hook `address`: where a node's kubelet is asked.
//!
//! Asked when a node appears or changes, and when the configuration does; not at every scrape. Write an [`Address`] and
//! hand it to [`export_address!`](crate::export_address).

use std::net::IpAddr;

use crate::Labels;
use crate::settings::Settings;

/// What a plugin for this hook needs.
pub mod prelude {
    pub use serde::Deserialize;

    pub use super::{Address, Candidate, Choice, Node};
    pub use crate::settings::{JsonSchema, LabelMatch, NoSettings, Pattern, in_range};
    pub use crate::{Duration, Labels, debug, error, info, trace, warn};
}

/// Decides where kubelets are asked.
pub trait Address: Sized + 'static {
    /// What an operator may set; `NoSettings` for a plugin without.
    type Settings: Settings;

    /// Takes the settings. Called once in every instance, before any question.
    ///
    /// # Errors
    /// A sentence that names the setting in quotes and says what would do. It refuses the configuration.
    fn new(settings: Self::Settings) -> Result<Self, String>;

    /// The places where the node's kubelet may be reached. The same node has the same answer: nothing is remembered.
    fn candidates(&self, node: &Node) -> Choice;
}

/// What is to be done with a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Try these, best first, the next where a connection cannot be made. More than 16 are cut off; none: as [`Pass`].
    ///
    /// [`Pass`]: Choice::Pass
    Dial(Vec<Candidate>),
    /// Do not ask this node; why, of which 256 bytes are kept. Example: `a virtual kubelet serves no metrics`.
    Skip(String),
    /// No opinion: the gateway's own order of preference decides.
    Pass,
}

/// One place where a kubelet may be reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Candidate {
    /// An IPv4 or IPv6 address without brackets, or a host name of 1 to 253 bytes. Example: `10.0.0.7`.
    pub host: String,
    /// The TCP port, 1 to 65535; None: the gateway's default for the node.
    pub port: Option<u16>,
    /// The path of the metrics, beginning with `/`, of at most 1,024 bytes; None: the node's annotation, or
    /// `/metrics/resource`.
    pub path: Option<String>,
    /// The name or IP address that the kubelet's certificate must bear; None: `host`. With it one dials an address and
    /// verifies the name.
    pub server_name: Option<String>,
}

impl Candidate {
    /// A place by its host alone.
    pub fn new(host: impl Into<String>) -> Self {
        Self { host: host.into(), ..Self::default() }
    }

    /// At another port.
    #[must_use]
    pub fn port(self, port: u16) -> Self {
        Self { port: Some(port), ..self }
    }

    /// With another path.
    #[must_use]
    pub fn path(self, path: impl Into<String>) -> Self {
        Self { path: Some(path.into()), ..self }
    }

    /// Verified by another name than it is dialled by.
    #[must_use]
    pub fn server_name(self, name: impl Into<String>) -> Self {
        Self { server_name: Some(name.into()), ..self }
    }
}

/// A node, as its Node object describes it.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// `metadata.name`. Example: `node-7`.
    pub name: String,
    /// `metadata.labels`.
    pub labels: Labels,
    /// `metadata.annotations`; those longer than 4 KiB are left out.
    pub annotations: Labels,
    /// `status.addresses`, in the order of the object; may be empty.
    pub addresses: Vec<NodeAddress>,
    /// The port that the kubelet reports, 1 to 65535; None where it reports none.
    pub kubelet_port: Option<u16>,
    /// `spec.providerID`. Example: `aws:///eu-west-1a/i-0abc`.
    pub provider_id: Option<String>,
    /// Whether the condition `Ready` is `True`.
    pub ready: bool,
}

impl Node {
    /// The addresses of one kind, such as `InternalIP`, in the order of the object.
    pub fn addresses_of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a NodeAddress> {
        self.addresses.iter().filter(move |address| address.kind == kind)
    }
}

/// One entry of a node's `status.addresses`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeAddress {
    /// The kind, not a closed set. Examples: `InternalIP`, `ExternalIP`, `Hostname`, `InternalDNS`.
    pub kind: String,
    /// An IPv4 or IPv6 address without brackets, or a host name.
    pub address: String,
}

impl NodeAddress {
    /// As an IP address, an IPv4 address in IPv6 as the IPv4 address that it is; None where it is a name.
    pub fn ip(&self) -> Option<IpAddr> {
        self.address.parse().ok().map(|ip: IpAddr| ip.to_canonical())
    }
}
