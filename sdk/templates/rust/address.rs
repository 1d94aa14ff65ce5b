//! Says where a node's kubelet is asked. This one dials the node's addresses of one kind.

use metrics_gateway_sdk::address::prelude::*;

/// What an operator may set.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The kind of address to dial. Example: `Hostname`.
    pub kind: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self { kind: "InternalDNS".to_owned() }
    }
}

/// The address policy.
pub struct Policy(Settings);

impl Address for Policy {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self, String> {
        Ok(Self(settings))
    }

    fn candidates(&self, node: &Node) -> Choice {
        let candidates: Vec<Candidate> =
            node.addresses_of(&self.0.kind).map(|address| Candidate::new(&*address.address)).collect();
        if candidates.is_empty() { Choice::Pass } else { Choice::Dial(candidates) }
    }
}

metrics_gateway_sdk::export_address!(Policy);

#[cfg(test)]
mod tests {
    use metrics_gateway_sdk::testing::node;

    use super::*;

    #[test]
    fn addresses_of_the_kind_are_dialled() {
        let policy = Policy::new(Settings::default()).unwrap();
        let node = node("node-1").address("InternalIP", "10.0.0.7").address("InternalDNS", "node-1.example").build();
        assert_eq!(policy.candidates(&node), Choice::Dial(vec![Candidate::new("node-1.example")]));
    }
}
