//! The watch of namespaces, for their labels: by them tenants may own namespaces, and filters may decide.
//!
//! It runs while somebody [wants](Cluster::want_namespace_labels) it and [`LINGER`] longer; who does not select by labels
//! of namespaces asks nothing of the API server, and needs no permission for it. Metadata alone on the wire, as with
//! [`pods`](super::pods).

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use kube::api::ObjectMeta;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, Resource};
use serde::{Deserialize, Deserializer};
use tokio::sync::watch::Receiver;
use tokio_util::sync::CancellationToken;

use super::{Cluster, watch};
use crate::model::Labels;

/// As client-go.
const PAGE: u32 = 500;

/// For how long the watch goes on when nobody wants it any more. What was asked before may take some seconds still, and a
/// change of the configuration may be taken back.
const LINGER: Duration = Duration::from_secs(60);

/// Keeps the labels of namespaces of `cluster` as the API server tells, while they are wanted, until `stop`.
pub async fn watch(cluster: Arc<Cluster>, client: Client, stop: CancellationToken) {
    let mut wanted = cluster.namespace_labels_wanted();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = wanted.wait_for(|wanted| *wanted) => {}
        }
        let unwanted = stop.child_token();
        let mut writer = Writer::new(Arc::clone(&cluster));
        let config = watcher::Config::default().page_size(PAGE);
        tokio::select! {
            () = watch::follow(Api::all(client.clone()), "namespaces", config, &unwanted, |event| writer.apply(event)) => {}
            () = until_unwanted(&mut wanted) => {}
        }
        cluster.namespace_labels_synced.send_replace(false);
        cluster.retain_namespace_labels(|_| false);
    }
}

/// Waits until nobody has wanted it for [`LINGER`].
pub(super) async fn until_unwanted(wanted: &mut Receiver<bool>) {
    loop {
        // An error would mean that the cluster is gone, which its caller holds.
        let _ = wanted.wait_for(|wanted| !*wanted).await;
        if tokio::time::timeout(LINGER, wanted.wait_for(|wanted| *wanted)).await.is_err() {
            return;
        }
    }
}

/// Turns events into writes.
pub(super) struct Writer {
    cluster: Arc<Cluster>,
    /// The namespaces that the list in progress has shown.
    listed: HashSet<String>,
}

impl Writer {
    pub(super) fn new(cluster: Arc<Cluster>) -> Self {
        Self { cluster, listed: HashSet::new() }
    }

    pub(super) fn apply(&mut self, event: Event<LabelledNamespace>) {
        match event {
            Event::Init => self.listed.clear(),
            Event::InitApply(namespace) => {
                self.listed.insert(namespace.name().to_owned());
                self.put(namespace);
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut self.listed);
                self.cluster.retain_namespace_labels(|name| listed.contains(name));
                self.cluster.tell_namespace_labels_synced();
                tracing::info!("the labels of {} namespaces are known", listed.len());
            }
            Event::Apply(namespace) => self.put(namespace),
            Event::Delete(gone) => self.cluster.retain_namespace_labels(|name| name != gone.name()),
        }
    }

    fn put(&self, namespace: LabelledNamespace) {
        self.cluster.put_namespace_labels(namespace.name(), namespace.labels.clone());
    }
}

/// The metadata of a namespace, trimmed as they are decoded.
#[derive(Clone, Debug)]
pub(super) struct LabelledNamespace {
    /// Name and version alone: what kube asks for, in the type it asks for.
    metadata: ObjectMeta,
    labels: Labels,
}

impl LabelledNamespace {
    fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }
}

impl Resource for LabelledNamespace {
    type DynamicType = ();
    type Scope = k8s_openapi::ClusterResourceScope;

    fn metadata_api() -> bool {
        true
    }

    fn kind((): &()) -> Cow<'_, str> {
        "Namespace".into()
    }

    fn group((): &()) -> Cow<'_, str> {
        "".into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "namespaces".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl<'de> Deserialize<'de> for LabelledNamespace {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let WireNamespace { metadata } = WireNamespace::deserialize(deserializer)?;
        let labels = metadata.labels.unwrap_or_default().into_iter().collect();
        let metadata = ObjectMeta {
            name: Some(metadata.name),
            resource_version: metadata.resource_version,
            ..ObjectMeta::default()
        };
        Ok(Self { metadata, labels })
    }
}

#[derive(Deserialize)]
struct WireNamespace {
    metadata: WireMetadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireMetadata {
    name: String,
    resource_version: Option<String>,
    labels: Option<BTreeMap<Box<str>, Box<str>>>,
}
