//! How a gateway fares, as a whole.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Generation, Policy};

/// `kind` of a [`GatewayList`].
pub const LIST: &str = "GatewayList";

/// As many failing nodes as are told by name.
pub const MOST_FAILING: usize = 500;
/// As many tenants, node pools, plugins and policies as are told, each.
pub const MOST_OWNERS: usize = 500;

/// A list with one item: the gateway that was asked. Others answer for themselves.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GatewayList {
    /// [`LIST`].
    pub kind: String,
    /// [`API_VERSION`](super::API_VERSION).
    pub api_version: String,
    /// One.
    pub items: Vec<Gateway>,
}

/// One gateway.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Gateway {
    /// The host name, which in a cluster is the pod's.
    pub name: String,
    /// The program's version.
    pub version: String,
    /// When this was said.
    pub time: String,
    /// When it started.
    pub started: String,
    /// How long it has been running.
    pub uptime_seconds: u64,
    /// `--metric-resolution`, in seconds.
    pub resolution_seconds: f64,
    /// Whether it is about to end.
    pub is_shutting_down: bool,
    /// The policies in force.
    pub generation: Generation,
    /// Why the next ones are not, if some were refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
    /// The nodes.
    pub nodes: Nodes,
    /// Tenants, in the order of gateway.toml, the default last.
    pub tenants: Vec<Tenant>,
    /// Node pools, in the order of gateway.toml.
    pub node_pools: Vec<NodePool>,
    /// Plugins by name.
    pub plugins: Vec<Plugin>,
    /// Plugins as they are bound.
    pub policies: Vec<Policy>,
    /// How long answers took.
    pub latency: Latency,
    /// How old what is served is.
    pub freshness: Freshness,
    /// The latest tick.
    pub tick: Tick,
    /// How much is served.
    pub served: Served,
    /// Resident memory.
    pub memory_bytes: u64,
    /// Open connections.
    pub connections: u64,
    /// Requests that are being answered.
    pub requests_in_flight: u64,
}

/// Attempts to put other policies in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Refusal {
    /// Every problem, up to twenty.
    pub problems: Vec<String>,
    /// The first attempt.
    pub since: String,
    /// The last.
    pub last: String,
    /// How many.
    pub times: u64,
}

/// The nodes of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Nodes {
    /// All that the API server knows.
    pub total: usize,
    /// By outcome: `answering`, `pending`, `skipped`, `excluded`, or the reason why they fail.
    pub by_outcome: BTreeMap<String, usize>,
    /// Those that fail, the longest first.
    pub failing: Vec<FailingNode>,
    /// How many more fail.
    pub more_failing: usize,
}

/// A node that fails.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FailingNode {
    /// Its name.
    pub name: String,
    /// Why, a fixed word.
    pub reason: String,
    /// In words.
    pub text: String,
    /// Since when for this reason.
    pub since: String,
    /// How many times in a row.
    pub times: u64,
}

/// An owner of namespaces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Tenant {
    /// Its name.
    pub name: String,
    /// How many of its namespaces have pods that are served.
    pub namespaces: usize,
    /// How many pods of it are served.
    pub pods: usize,
    /// Its filters, the first first.
    pub filters: Vec<String>,
    /// Its window policy.
    pub window: String,
}

/// Nodes by label.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodePool {
    /// Its name.
    pub name: String,
    /// How many nodes belong to it.
    pub nodes: usize,
    /// Its address policy.
    pub address: String,
    /// Its window policy.
    pub window: String,
}

/// A plugin.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Plugin {
    /// Its name in gateway.toml.
    pub name: String,
    /// What it calls itself.
    pub title: String,
    /// Its own version.
    pub version: String,
    /// SHA-256 of its artifact.
    pub digest: String,
    /// How many times it answered.
    pub answers: u64,
    /// How many times it did not, by kind.
    pub failures: BTreeMap<String, u64>,
    /// The CPU time that it took.
    pub cpu_seconds: f64,
}

/// How long answers took, in seconds; absent before the first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Latency {
    /// Ours.
    pub requests: Quantiles,
    /// The kubelets'.
    pub kubelets: Quantiles,
}

/// Of all observations since the start.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Quantiles {
    /// How many.
    pub count: u64,
    /// Half took at most this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50: Option<f64>,
    /// Nine of ten.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p90: Option<f64>,
    /// 99 of a hundred.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99: Option<f64>,
}

/// How long ago the nodes' usage was taken, in seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Freshness {
    /// The median.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub median_seconds: Option<f64>,
    /// The oldest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_seconds: Option<f64>,
}

/// One round over all nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Tick {
    /// When the latest began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub began: Option<String>,
    /// When a node was last done with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_node: Option<String>,
    /// Whether they come when they should.
    pub is_timely: bool,
}

/// How much is served.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Served {
    /// Nodes.
    pub nodes: usize,
    /// Pods.
    pub pods: usize,
    /// Their containers.
    pub containers: usize,
}
