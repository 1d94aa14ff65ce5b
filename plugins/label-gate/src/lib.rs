//! Serves, or leaves out, the pods that bear a label.
//!
//! In: the labels of pods, and of their namespaces where the gateway hands them over. Out: the same verdict for all
//! containers of a pod. A pod that bears the label's key decides for itself; else its namespace may. After the settings
//! were taken nothing fails.

use metrics_gateway_sdk::filter::prelude::*;

/// What an operator may set.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The label, `key` or `key=value`. By default `metrics-gateway/serve=false`.
    pub label: LabelMatch,
    /// What the label does to its bearer.
    pub mode: Mode,
    /// Whether a namespace's label speaks for those of its pods that do not bear the key. The gateway has to be told to
    /// watch the labels of namespaces.
    pub namespaces: bool,
}

/// What the label does to its bearer.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Only bearers are served.
    OptIn,
    /// Bearers are not served.
    OptOut,
}

impl Default for Settings {
    fn default() -> Self {
        let label = LabelMatch::parse("metrics-gateway/serve=false").expect("the label has a key");
        Self { label, mode: Mode::OptOut, namespaces: false }
    }
}

/// The filter.
pub struct LabelGate(Settings);

impl Filter for LabelGate {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self, String> {
        Ok(Self(settings))
    }

    fn verdict(&self, pod: &Pod, _container: &str) -> Verdict {
        let Settings { label, mode, namespaces } = &self.0;
        let of_namespace = || label.judge(&pod.namespace_labels).filter(|_| *namespaces);
        let is_bearer = label.judge(&pod.labels).or_else(of_namespace).unwrap_or(false);
        if is_bearer == (*mode == Mode::OptIn) { Verdict::Keep } else { Verdict::Drop }
    }
}

metrics_gateway_sdk::export_filter!(LabelGate);

#[cfg(test)]
mod tests;
