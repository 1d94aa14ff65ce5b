//! The watch of running pods: metadata alone on the wire, of which name, namespace and labels are decoded.
//!
//! A pod that stops running leaves the watch's selection, which the API server tells as if it were deleted.
//!
//! `RunningPod` says `metadata_api`, and so kube asks for `PartialObjectMetadata` in its `Accept` header. kube's own
//! `PartialObjectMeta` would do the same but decode, and hold for a whole page, annotations, owners and the lists of
//! managed fields, which are the bulk of a pod's metadata.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use kube::api::ObjectMeta;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, Resource};
use serde::{Deserialize, Deserializer};
use tokio_util::sync::CancellationToken;

use super::{Cluster, watch};
use crate::model::Labels;

/// As client-go. The metadata of a pod are 2 to 4 KB: a page is 1 to 2 MB of text while it is decoded.
const PAGE: u32 = 500;

/// Keeps the running pods of `cluster` as the API server tells, until `stop`.
pub async fn watch(cluster: Arc<Cluster>, client: Client, stop: CancellationToken) {
    let mut writer = Writer::new(cluster);
    let config = watcher::Config::default().fields("status.phase=Running").page_size(PAGE);
    watch::follow(Api::all(client), "running pods", config, &stop, |event| writer.apply(event)).await;
}

/// Turns events into writes.
pub(super) struct Writer {
    cluster: Arc<Cluster>,
    /// By namespace, the pods that the list in progress has shown. 24 bytes a pod, while it lasts.
    listed: HashMap<String, HashSet<Arc<str>>>,
}

impl Writer {
    pub(super) fn new(cluster: Arc<Cluster>) -> Self {
        Self { cluster, listed: HashMap::new() }
    }

    pub(super) fn apply(&mut self, event: Event<RunningPod>) {
        match event {
            Event::Init => self.listed.clear(),
            Event::InitApply(pod) => self.put_listed(pod),
            Event::InitDone => {
                let listed = std::mem::take(&mut self.listed);
                let is_there =
                    |namespace: &str, name: &str| listed.get(namespace).is_some_and(|pods| pods.contains(name));
                self.cluster.retain_pods(is_there);
                self.cluster.tell_pods_synced();
                let count: usize = listed.values().map(HashSet::len).sum();
                tracing::info!("the cluster has {count} running pods in {} namespaces", listed.len());
            }
            Event::Apply(pod) => _ = self.put(&pod),
            Event::Delete(pod) => self.cluster.remove_pod(pod.namespace(), pod.name()),
        }
    }

    fn put_listed(&mut self, pod: RunningPod) {
        let name = self.put(&pod);
        // Not `entry`, which would copy the namespace's name for every pod.
        match self.listed.get_mut(pod.namespace()) {
            Some(pods) => _ = pods.insert(name),
            None => _ = self.listed.insert(pod.namespace().to_owned(), HashSet::from([name])),
        }
    }

    fn put(&self, pod: &RunningPod) -> Arc<str> {
        self.cluster.put_pod(pod.namespace(), pod.name(), &pod.labels)
    }
}

/// The metadata of a running pod, trimmed as they are decoded.
#[derive(Clone, Debug)]
pub(super) struct RunningPod {
    /// Name, namespace and version alone: what kube asks for, in the type it asks for.
    metadata: ObjectMeta,
    labels: Labels,
}

impl RunningPod {
    fn namespace(&self) -> &str {
        self.metadata.namespace.as_deref().unwrap_or_default()
    }

    fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }
}

impl Resource for RunningPod {
    type DynamicType = ();
    type Scope = k8s_openapi::NamespaceResourceScope;

    fn metadata_api() -> bool {
        true
    }

    fn kind((): &()) -> Cow<'_, str> {
        "Pod".into()
    }

    fn group((): &()) -> Cow<'_, str> {
        "".into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "pods".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl<'de> Deserialize<'de> for RunningPod {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let WirePod { metadata } = WirePod::deserialize(deserializer)?;
        let labels = metadata.labels.unwrap_or_default().into_iter().collect();
        let metadata = ObjectMeta {
            name: Some(metadata.name),
            namespace: Some(metadata.namespace),
            resource_version: metadata.resource_version,
            ..ObjectMeta::default()
        };
        Ok(Self { metadata, labels })
    }
}

#[derive(Deserialize)]
struct WirePod {
    metadata: WireMetadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireMetadata {
    name: String,
    namespace: String,
    resource_version: Option<String>,
    labels: Option<BTreeMap<Box<str>, Box<str>>>,
}
