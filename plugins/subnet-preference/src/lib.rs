//! Dials the node address that lies in the first of the preferred subnets.
//!
//! In: a node. Out: its IP addresses that lie in one of the subnets, those of the first subnet first, within a subnet in
//! the node's order; so a second address is tried where the first cannot be connected to. Addresses outside of all subnets
//! are never dialled. Where none is inside, `otherwise` says whether the gateway's own order decides or the node is left
//! out. An IPv4 address that is written in IPv6 counts as IPv4.

use std::fmt;
use std::net::IpAddr;

use metrics_gateway_sdk::address::NodeAddress;
use metrics_gateway_sdk::address::prelude::*;
use serde::Deserializer;
use serde::de::Error;

/// What an operator may set.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The subnets, best first, of IPv4 and IPv6. By default the private ones.
    pub subnets: Vec<Subnet>,
    /// Kinds of addresses that are looked at; all if there is none. Example: `InternalIP`.
    pub kinds: Vec<String>,
    /// What becomes of a node without an address in any of the subnets.
    pub otherwise: Otherwise,
}

/// What becomes of a node without an address in any of the subnets.
#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Otherwise {
    /// The gateway's own order of preference decides.
    #[default]
    Pass,
    /// The node is left out.
    Skip,
}

/// The networks that RFC 1918 and RFC 4193 set apart.
const PRIVATE: [&str; 4] = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"];

impl Default for Settings {
    fn default() -> Self {
        let subnets = PRIVATE.iter().map(|text| Subnet::parse(text).expect("a subnet")).collect();
        Self { subnets, kinds: Vec::new(), otherwise: Otherwise::Pass }
    }
}

/// The address policy.
pub struct SubnetPreference(Settings);

impl Address for SubnetPreference {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self, String> {
        if settings.subnets.is_empty() {
            return Err("\"subnets\" is empty: name at least one subnet, such as \"10.0.0.0/8\"".to_owned());
        }
        Ok(Self(settings))
    }

    fn candidates(&self, node: &Node) -> Choice {
        let Settings { subnets, kinds, otherwise } = &self.0;
        let is_wanted = |kind: &String| kinds.is_empty() || kinds.contains(kind);
        let wanted = node.addresses.iter().filter(|address| is_wanted(&address.kind));
        let ips: Vec<IpAddr> = wanted.filter_map(NodeAddress::ip).collect();
        let mut inside: Vec<IpAddr> = Vec::new();
        for ip in subnets.iter().flat_map(|subnet| ips.iter().filter(|ip| subnet.contains(**ip))) {
            if !inside.contains(ip) {
                inside.push(*ip);
            }
        }
        match otherwise {
            _ if !inside.is_empty() => Choice::Dial(inside.iter().map(|ip| Candidate::new(ip.to_string())).collect()),
            Otherwise::Pass => Choice::Pass,
            Otherwise::Skip => Choice::Skip("it has no address in any of the subnets".to_owned()),
        }
    }
}

/// A network: addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subnet {
    network: IpAddr,
    prefix: u32,
}

impl Subnet {
    /// Reads `10.0.0.0/8`, `fd00::/8`, or one address.
    fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let network: IpAddr = address.parse().ok()?;
        let most = if network.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Some(most), |prefix| prefix.parse().ok())?;
        let subnet = Self { network, prefix };
        (prefix <= most && subnet.first_bits(network) == Some(bits(network))).then_some(subnet)
    }

    /// Whether an address lies in it.
    pub fn contains(self, ip: IpAddr) -> bool {
        self.first_bits(ip) == Some(bits(self.network))
    }

    /// The address with all bits beyond the prefix cleared; None: of the other family.
    fn first_bits(self, ip: IpAddr) -> Option<u128> {
        let width = if self.network.is_ipv4() { 32 } else { 128 };
        let rest = u128::MAX.checked_shl(width - self.prefix.min(width)).unwrap_or(0);
        (ip.is_ipv4() == self.network.is_ipv4()).then(|| bits(ip) & rest)
    }
}

fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(ip.to_bits()),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.network, self.prefix)
    }
}

impl<'de> Deserialize<'de> for Subnet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wanted = "want a subnet such as \"10.0.0.0/8\" or \"fd00::/8\", without bits beyond its prefix";
        Self::parse(&text).ok_or_else(|| D::Error::custom(format_args!("{wanted}, not \"{text}\"")))
    }
}

impl JsonSchema for Subnet {
    fn write_members(out: &mut String) {
        out.push_str(r#""type":"string","pattern":"^[0-9a-fA-F:.]+(/[0-9]{1,3})?$""#);
    }
}

metrics_gateway_sdk::export_address!(SubnetPreference);

#[cfg(test)]
mod tests;
