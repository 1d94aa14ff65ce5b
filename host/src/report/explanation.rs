//! Why one pod or node is served as it is, or is not.

use serde::{Deserialize, Serialize};

use super::{Generation, Policy, Replica};

/// `kind` of a [`PodExplanation`].
pub const POD: &str = "PodExplanation";
/// `kind` of a [`NodeExplanation`].
pub const NODE: &str = "NodeExplanation";

/// A pod that is served.
pub const SERVED: &str = "served";
/// A pod of which the last usage is served, because a reading is missing.
pub const HELD: &str = "held";
/// A pod that is not served.
pub const MISSING: &str = "missing";

/// Why a pod is served as it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodExplanation {
    /// [`POD`].
    pub kind: String,
    /// [`API_VERSION`](super::API_VERSION).
    pub api_version: String,
    /// Which gateway says so.
    pub replica: Replica,
    /// When it was said.
    pub time: String,
    /// Of the pod.
    pub namespace: String,
    /// Of the pod.
    pub name: String,
    /// [`SERVED`], [`HELD`] or [`MISSING`].
    pub state: String,
    /// A fixed word, where it is held or missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// All that in a sentence.
    pub text: String,
    /// What is served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub served: Option<Served>,
    /// When its node first and last reported it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen: Option<Seen>,
    /// Until when its last usage is served, where it is held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_until: Option<String>,
    /// What the API server says of its phase, where it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// Whose it is.
    pub tenant: Tenant,
    /// The policies in force.
    pub generation: Generation,
    /// Those of its tenant that may fail.
    pub policies: Vec<Policy>,
    /// What is known of each container.
    pub containers: Vec<Container>,
    /// How many more there are.
    pub more_containers: usize,
    /// The node that it is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeScrape>,
    /// What could not be found out just now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Why a node is served as it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeExplanation {
    /// [`NODE`].
    pub kind: String,
    /// [`API_VERSION`](super::API_VERSION).
    pub api_version: String,
    /// Which gateway says so.
    pub replica: Replica,
    /// When it was said.
    pub time: String,
    /// Of the node.
    pub name: String,
    /// [`SERVED`], [`HELD`] or [`MISSING`].
    pub state: String,
    /// A fixed word, where it is held or missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// All that in a sentence.
    pub text: String,
    /// What is served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub served: Option<Served>,
    /// The figures that are served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Figures>,
    /// Until when its last usage is served, where it is held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_until: Option<String>,
    /// The samples of the node itself.
    pub samples: Samples,
    /// Who measures it: `last-two (built in)`, or the plugin.
    pub window: String,
    /// The policies in force.
    pub generation: Generation,
    /// Those of its node pool that may fail.
    pub policies: Vec<Policy>,
    /// How it is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeScrape>,
    /// What could not be found out just now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// The time that a usage covers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Served {
    /// Its end.
    pub timestamp: String,
    /// Its length.
    pub window: String,
}

/// When a node reported a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Seen {
    /// First.
    pub first: String,
    /// Last.
    pub last: String,
}

/// Figures as the API serves them; what a filter withholds is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Figures {
    /// CPU rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<String>,
    /// Working set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
}

/// The owner of a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Tenant {
    /// Its name in gateway.toml.
    pub name: String,
    /// By which rule it owns the namespace.
    pub because: String,
    /// Its filters, the first first.
    pub filters: Vec<String>,
    /// Its window policy: `last-two (built in)`, or the plugin.
    pub window: String,
}

/// What is known of one container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// What is served of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Figures>,
    /// Why nothing is, a fixed word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
    /// What each filter of its tenant said.
    pub filters: Vec<FilterSaid>,
    /// Who measured it: `policy`, `fallback` or `built-in`.
    pub window: String,
    /// What is held of it.
    pub samples: Samples,
}

/// What one filter said of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FilterSaid {
    /// The plugin's name.
    pub filter: String,
    /// `keep`, `drop`, `cpu-only`, `memory-only`, `by-value`, `not-asked`, and where it failed `failed-keep` or
    /// `failed-drop`, after its `on_error`.
    pub said: String,
    /// What it said of the values at the last scrape, where it goes by them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by_value: Option<String>,
}

/// The samples that are held of a container or node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Samples {
    /// How many.
    pub count: usize,
    /// When the oldest was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// The latest ten, oldest first.
    pub latest: Vec<Reading>,
}

/// One sample.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Reading {
    /// When it was taken.
    pub taken_at: String,
    /// How long ago.
    pub age: String,
    /// Core time used since the start, in nanoseconds.
    pub cpu_nanoseconds: u64,
    /// Working set, in bytes.
    pub memory_bytes: u64,
    /// When the container started, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
}

/// How a node is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeScrape {
    /// Its name.
    pub name: String,
    /// `answering`, `failing`, `skipped` by an address policy, `excluded` by `--node-selector`, `pending` before its
    /// first moment, `unknown` to the API server.
    pub state: String,
    /// Why it fails, a fixed word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why it fails or is not asked, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Since when it fails for this reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// How many times in a row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// When it was last asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_asked: Option<String>,
    /// When it last answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_answer: Option<String>,
    /// When it is asked next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Its node pool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// Who chose the addresses: `preferred (built in)`, or a plugin, or what served in its place.
    pub addresses_by: String,
    /// Where it is asked, best first.
    pub addresses: Vec<String>,
    /// Lines of its last answer that could not be read.
    pub bad_lines: u32,
    /// Pods of its last answer of which a container reported no CPU or memory.
    pub incomplete_pods: u32,
}
