//! Serves at most so many containers of each namespace on a node: a bound for whoever makes pods by the thousand.
//!
//! In: all containers of one tenant on one node, as the gateway asks about them together. Out: to keep for the first pods
//! of each namespace by name, as long as all containers of a pod find room, else to drop: no pod is served in part, as the
//! sums of autoscalers would be wrong. A pod that does not find room makes way for later, smaller ones. The order is that
//! of names, so that every replica of the gateway and every question has the same answer; a new pod may push out another
//! whose name comes later. After the settings were taken nothing fails.
//!
//! Absent on purpose: a bound over several nodes. The gateway asks node by node, and nothing is remembered between
//! questions.

use std::collections::BTreeMap;

use metrics_gateway_sdk::filter::prelude::*;

/// What an operator may set.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How many containers of one namespace are served on one node: 1 to 4096. By default 500.
    pub containers: usize,
    /// Names or patterns of the namespaces that have the quota; all if there is none.
    pub namespaces: Vec<Pattern>,
}

impl Default for Settings {
    fn default() -> Self {
        // More than twice what a full node of 110 pods holds with one sidecar each.
        Self { containers: 500, namespaces: Vec::new() }
    }
}

/// The filter.
pub struct NamespaceQuota(Settings);

impl Filter for NamespaceQuota {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self, String> {
        in_range("containers", settings.containers, 1..=4096)?;
        Ok(Self(settings))
    }

    fn classify(&self, pods: &[Pod]) -> Vec<Verdict> {
        let has_room = self.those_with_room(pods);
        let verdict = |has_room| if has_room { Verdict::Keep } else { Verdict::Drop };
        let each = pods.iter().zip(has_room);
        each.flat_map(|(pod, has_room)| pod.containers.iter().map(move |_| verdict(has_room))).collect()
    }
}

impl NamespaceQuota {
    /// Whether each pod finds room in its namespace.
    fn those_with_room(&self, pods: &[Pod]) -> Vec<bool> {
        let mut by_name: Vec<usize> = (0..pods.len()).collect();
        by_name.sort_by_key(|index| &pods[*index].name);
        let mut room_left: BTreeMap<&str, usize> = BTreeMap::new();
        let mut has_room = vec![true; pods.len()];
        for index in by_name {
            let pod = &pods[index];
            if self.is_meant(&pod.namespace) {
                let left = room_left.entry(&pod.namespace).or_insert(self.0.containers);
                has_room[index] = pod.containers.len() <= *left;
                *left -= if has_room[index] { pod.containers.len() } else { 0 };
            }
        }
        has_room
    }

    fn is_meant(&self, namespace: &str) -> bool {
        let namespaces = &self.0.namespaces;
        namespaces.is_empty() || namespaces.iter().any(|pattern| pattern.matches(namespace))
    }
}

metrics_gateway_sdk::export_filter!(NamespaceQuota);

#[cfg(test)]
mod tests;
