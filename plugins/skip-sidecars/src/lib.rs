//! Leaves containers out by name, such as the proxies of a service mesh.
//!
//! In: pods and the names of their containers. Out: to drop where a name is one of `containers` and the pod's namespace one
//! of `namespaces`, else to keep. After the settings were taken nothing fails. Absent on purpose: annotations, which whoever
//! makes a pod could set.

use metrics_gateway_sdk::filter::prelude::*;

/// What an operator may set.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Names of containers that are not served, or patterns of names with `*` and `?`. By default `istio-proxy` and
    /// `linkerd-proxy`.
    pub containers: Vec<Pattern>,
    /// Names or patterns of the namespaces in which that holds; all if there is none.
    pub namespaces: Vec<Pattern>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { containers: ["istio-proxy", "linkerd-proxy"].map(Pattern::new).into(), namespaces: Vec::new() }
    }
}

/// The filter.
pub struct SkipSidecars(Settings);

impl Filter for SkipSidecars {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self, String> {
        if settings.containers.is_empty() {
            return Err("\"containers\" is empty: name at least one container".to_owned());
        }
        Ok(Self(settings))
    }

    fn verdict(&self, pod: &Pod, container: &str) -> Verdict {
        let Settings { containers, namespaces } = &self.0;
        let is_meant = namespaces.is_empty() || is_one_of(&pod.namespace, namespaces);
        if is_meant && is_one_of(container, containers) { Verdict::Drop } else { Verdict::Keep }
    }
}

fn is_one_of(name: &str, patterns: &[Pattern]) -> bool {
    patterns.iter().any(|pattern| pattern.matches(name))
}

metrics_gateway_sdk::export_filter!(SkipSidecars);

#[cfg(test)]
mod tests;
