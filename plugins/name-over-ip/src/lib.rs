//! Dials a node by its IP address and verifies its kubelet by its name.
//!
//! For kubelets whose certificate bears a host name alone, while only their IP addresses can be reached: the certificate is
//! verified in full, where a gateway that dials addresses would otherwise have to be told not to verify.
//!
//! In: a node. Out: its IP addresses of the wanted kinds, in the order of the kinds, each with the name that the template
//! makes of the node. Where the node has no such address, or the template makes no host name of it, `otherwise` says
//! whether the gateway's own order decides or the node is left out.

use metrics_gateway_sdk::address::prelude::*;

/// What an operator may set.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Kinds of addresses to dial, best first. By default `InternalIP`, then `ExternalIP`.
    pub kinds: Vec<String>,
    /// The name that the certificate must bear, with places to fill in: `{node}`, `{label:KEY}`, `{annotation:KEY}`, or
    /// `{address:KIND}` for the first address of a kind, such as `{address:InternalDNS}`. By default `{node}`.
    pub server_name: String,
    /// What is put after the name and a dot, unless the name ends with it already. Example: `edge.example.internal`.
    pub suffix: Option<String>,
    /// What becomes of a node without such an address or name.
    pub otherwise: Otherwise,
}

/// What becomes of a node without such an address or name.
#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Otherwise {
    /// The gateway's own order of preference decides.
    #[default]
    Pass,
    /// The node is left out.
    Skip,
}

impl Default for Settings {
    fn default() -> Self {
        let kinds = ["InternalIP", "ExternalIP"].map(str::to_owned).into();
        Self { kinds, server_name: "{node}".to_owned(), suffix: None, otherwise: Otherwise::Pass }
    }
}

/// The address policy.
pub struct NameOverIp {
    kinds: Vec<String>,
    template: Vec<Part>,
    suffix: Option<String>,
    otherwise: Otherwise,
}

impl Address for NameOverIp {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self, String> {
        let Settings { kinds, server_name, suffix, otherwise } = settings;
        if kinds.is_empty() {
            return Err("\"kinds\" is empty: name at least one kind of address, such as \"InternalIP\"".to_owned());
        }
        let suffix = suffix.map(|suffix| suffix.trim_start_matches('.').to_owned());
        if let Some(suffix) = suffix.as_ref().filter(|suffix| !is_host_name(suffix)) {
            return Err(format!("\"suffix\" must be a domain such as \"edge.example.internal\", not \"{suffix}\""));
        }
        Ok(Self { kinds, template: parse(&server_name)?, suffix, otherwise })
    }

    fn candidates(&self, node: &Node) -> Choice {
        let Some(name) = self.name_of(node) else {
            return self.otherwise("the template of its name makes no host name of it");
        };
        let mut candidates: Vec<Candidate> = Vec::new();
        for address in self.kinds.iter().flat_map(|kind| node.addresses_of(kind)) {
            let Some(ip) = address.ip() else { continue };
            let candidate = Candidate::new(ip.to_string()).server_name(&*name);
            if !candidates.contains(&candidate) {
                candidates.push(candidate);
            }
        }
        if candidates.is_empty() {
            self.otherwise("it has no IP address of the wanted kinds")
        } else {
            Choice::Dial(candidates)
        }
    }
}

impl NameOverIp {
    /// The name that the node's certificate must bear; None: the template makes none of it.
    fn name_of(&self, node: &Node) -> Option<String> {
        let mut name = String::new();
        for part in &self.template {
            name.push_str(part.of(node)?);
        }
        if let Some(suffix) = &self.suffix {
            let has_it = name.strip_suffix(&**suffix).is_some_and(|rest| rest.ends_with('.'));
            if !has_it {
                name = format!("{name}.{suffix}");
            }
        }
        is_host_name(&name).then_some(name)
    }

    fn otherwise(&self, reason: &str) -> Choice {
        match self.otherwise {
            Otherwise::Pass => Choice::Pass,
            Otherwise::Skip => Choice::Skip(reason.to_owned()),
        }
    }
}

/// A part of the template.
enum Part {
    Text(String),
    Node,
    Label(String),
    Annotation(String),
    Address(String),
}

impl Part {
    /// What it is of a node; None: the node does not have it.
    fn of<'a>(&'a self, node: &'a Node) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Node => Some(&node.name),
            Self::Label(key) => node.labels.get(key),
            Self::Annotation(key) => node.annotations.get(key),
            Self::Address(kind) => node.addresses_of(kind).next().map(|address| &*address.address),
        }
    }
}

/// Reads a template: text, and places in braces.
fn parse(template: &str) -> Result<Vec<Part>, String> {
    let error = || {
        let places = "{node}, {label:KEY}, {annotation:KEY} or {address:KIND}";
        format!("\"server_name\" must be made of text and of {places}, not \"{template}\"")
    };
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some((text, place)) = rest.split_once('{') {
        let (place, after) = place.split_once('}').ok_or_else(error)?;
        parts.push(Part::Text(text.to_owned()));
        parts.push(match place.split_once(':') {
            None if place == "node" => Part::Node,
            Some(("label", key)) => Part::Label(key.to_owned()),
            Some(("annotation", key)) => Part::Annotation(key.to_owned()),
            Some(("address", kind)) => Part::Address(kind.to_owned()),
            _ => return Err(error()),
        });
        rest = after;
    }
    if parts.is_empty() || rest.contains('}') {
        // Without a place all nodes would have one name.
        return Err(error());
    }
    parts.push(Part::Text(rest.to_owned()));
    Ok(parts)
}

/// Whether a text can be a name in a certificate: labels of letters, digits, hyphens and underscores, 253 bytes at most.
fn is_host_name(name: &str) -> bool {
    let is_usual = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let is_label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(is_usual);
    name.len() <= 253 && name.split('.').all(is_label)
}

metrics_gateway_sdk::export_address!(NameOverIp);

#[cfg(test)]
mod tests;
