//! The watch of nodes: whole objects on the wire, of which only [`model::Node`](Node) is decoded.
//!
//! Heartbeats (conditions' times, lists of images) change nothing that is decoded and so wake nobody. Annotations are
//! kept for address policies, about 1 KiB a node, but for what is too long and for kubectl's copy of the whole object.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use kube::api::ObjectMeta;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, Resource};
use serde::{Deserialize, Deserializer};
use tokio_util::sync::CancellationToken;

use super::{Cluster, watch};
use crate::model::{Labels, Node, NodeAddress, NodeName};

/// Nodes are big, 10 to 30 KB each, and a page is held as text while it is decoded: a hundred are 1 to 3 MB.
const PAGE: u32 = 100;

/// Keeps the nodes of `cluster` as the API server tells, until `stop`.
pub async fn watch(cluster: Arc<Cluster>, client: Client, stop: CancellationToken) {
    let mut writer = Writer::new(cluster);
    let config = watcher::Config::default().page_size(PAGE);
    watch::follow(Api::all(client), "nodes", config, &stop, |event| writer.apply(event)).await;
}

/// One Node object, as the watch would keep it.
///
/// # Errors
/// If it has no name, or a field of another type than Node objects have.
pub fn read(object: serde_json::Value) -> Result<Node, serde_json::Error> {
    serde_json::from_value::<TrimmedNode>(object).map(|trimmed| trimmed.node)
}

/// Turns events into writes.
pub(super) struct Writer {
    cluster: Arc<Cluster>,
    /// The nodes that the list in progress has shown.
    listed: HashSet<NodeName>,
}

impl Writer {
    pub(super) fn new(cluster: Arc<Cluster>) -> Self {
        Self { cluster, listed: HashSet::new() }
    }

    pub(super) fn apply(&mut self, event: Event<TrimmedNode>) {
        match event {
            Event::Init => self.listed.clear(),
            Event::InitApply(object) => {
                self.listed.insert(object.node.name.clone());
                self.cluster.put_node(object.node);
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut self.listed);
                self.cluster.retain_nodes(|name| listed.contains(name));
                self.cluster.tell_nodes_synced();
                tracing::info!("the cluster has {} nodes", listed.len());
            }
            Event::Apply(object) => self.cluster.put_node(object.node),
            Event::Delete(object) => self.cluster.remove_node(object.node.name.as_str()),
        }
    }
}

/// A Node object, trimmed as it is decoded. `metadata` holds the name and the version, which the watch needs.
#[derive(Clone, Debug)]
pub(super) struct TrimmedNode {
    metadata: ObjectMeta,
    pub(super) node: Node,
}

impl Resource for TrimmedNode {
    type DynamicType = ();
    type Scope = k8s_openapi::ClusterResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "Node".into()
    }

    fn group((): &()) -> Cow<'_, str> {
        "".into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "nodes".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl<'de> Deserialize<'de> for TrimmedNode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let WireNode { metadata, spec, status } = WireNode::deserialize(deserializer)?;
        let status = status.unwrap_or_default();
        let endpoints = status.daemon_endpoints.unwrap_or_default();
        let port = endpoints.kubelet_endpoint.and_then(|endpoint| endpoint.port);
        let annotations = kept(metadata.annotations.unwrap_or_default());
        let path = annotations.get(RESOURCE_METRICS_PATH).filter(|path| !path.is_empty());
        let node = Node {
            name: NodeName::new(metadata.name.as_str()),
            labels: Arc::new(metadata.labels.unwrap_or_default().into_iter().collect()),
            resource_metrics_path: path.map(Into::into),
            annotations,
            provider_id: spec.unwrap_or_default().provider_id.filter(|id| !id.is_empty()),
            addresses: status.addresses.unwrap_or_default().into_iter().map(NodeAddress::from).collect(),
            kubelet_port: port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0),
            ready: status.conditions.unwrap_or_default().iter().any(WireCondition::is_ready),
        };
        let metadata = ObjectMeta {
            name: Some(metadata.name),
            resource_version: metadata.resource_version,
            ..ObjectMeta::default()
        };
        Ok(Self { metadata, node })
    }
}

const RESOURCE_METRICS_PATH: &str = "metrics.k8s.io/resource-metrics-path";

fn kept(annotations: BTreeMap<Box<str>, Option<Box<str>>>) -> Labels {
    /// What is longer is somebody's document, and no hint for others.
    const LONGEST: usize = 4096;
    const COPY: &str = "kubectl.kubernetes.io/last-applied-configuration";
    let pairs = annotations.into_iter().filter_map(|(key, value)| Some((key, value?)));
    pairs.filter(|(key, value)| value.len() <= LONGEST && **key != *COPY).collect()
}

/// The parts of a Node object that we read. Anything may be missing or null but the name.
#[derive(Deserialize)]
struct WireNode {
    metadata: WireMetadata,
    spec: Option<WireSpec>,
    status: Option<WireStatus>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireMetadata {
    name: String,
    resource_version: Option<String>,
    labels: Option<BTreeMap<Box<str>, Box<str>>>,
    annotations: Option<BTreeMap<Box<str>, Option<Box<str>>>>,
}

/// The API spells this key with two capitals.
#[derive(Default, Deserialize)]
struct WireSpec {
    #[serde(rename = "providerID")]
    provider_id: Option<Box<str>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireStatus {
    addresses: Option<Vec<WireAddress>>,
    conditions: Option<Vec<WireCondition>>,
    daemon_endpoints: Option<WireEndpoints>,
}

#[derive(Deserialize)]
struct WireAddress {
    #[serde(rename = "type", default)]
    kind: Box<str>,
    #[serde(default)]
    address: Box<str>,
}

impl From<WireAddress> for NodeAddress {
    fn from(WireAddress { kind, address }: WireAddress) -> Self {
        Self { kind, address }
    }
}

#[derive(Deserialize)]
struct WireCondition {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    status: String,
}

impl WireCondition {
    fn is_ready(&self) -> bool {
        self.kind == "Ready" && self.status == "True"
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireEndpoints {
    kubelet_endpoint: Option<WireEndpoint>,
}

/// The API spells this key with a capital.
#[derive(Deserialize)]
struct WireEndpoint {
    #[serde(rename = "Port")]
    port: Option<i64>,
}
