//! Leaves out virtual nodes: they stand for another service, and have no kubelet that answers as one.
//!
//! In: a node. Out: to skip it where it bears one of the labels or its provider's identity begins as one of those set, with
//! the mark as the reason; else no opinion. After the settings were taken nothing fails.

use metrics_gateway_sdk::address::prelude::*;

/// What an operator may set.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Labels of virtual nodes, `key` or `key=value`. By default `type=virtual-kubelet` and
    /// `eks.amazonaws.com/compute-type=fargate`.
    pub labels: Vec<LabelMatch>,
    /// How the `spec.providerID` of virtual nodes begins. By default none. Example: `kwok://`.
    pub provider_ids: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        let labels = ["type=virtual-kubelet", "eks.amazonaws.com/compute-type=fargate"];
        let labels = labels.iter().filter_map(|label| LabelMatch::parse(label)).collect();
        Self { labels, provider_ids: Vec::new() }
    }
}

/// The address policy.
pub struct SkipVirtual(Settings);

impl Address for SkipVirtual {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self, String> {
        if settings.provider_ids.iter().any(String::is_empty) {
            // Every identity begins with nothing.
            return Err("\"provider_ids\" holds an empty text: it would leave out all nodes".to_owned());
        }
        Ok(Self(settings))
    }

    fn candidates(&self, node: &Node) -> Choice {
        if let Some(label) = self.0.labels.iter().find(|label| label.matches(&node.labels)) {
            return Choice::Skip(format!("a virtual node by its label \"{label}\""));
        }
        let id = node.provider_id.as_deref().unwrap_or_default();
        match self.0.provider_ids.iter().find(|begin| id.starts_with(&***begin)) {
            Some(begin) => Choice::Skip(format!("a virtual node by its provider \"{begin}\"")),
            None => Choice::Pass,
        }
    }
}

metrics_gateway_sdk::export_address!(SkipVirtual);

#[cfg(test)]
mod tests;
