//! What exists: the nodes, the running pods with their labels, and where somebody needs them the labels of namespaces, as
//! the API server tells.
//!
//! In: long-lived watches, [`nodes::watch`], [`pods::watch`] and [`namespaces::watch`], which `app` spawns; each is the
//! only writer of its part. Out: [`Cluster`], which any number of requests and ticks read at the same time.
//!
//! What was once read stays served while the API server is away, and while it is listed anew: a re-list takes out
//! what is gone when it is complete, not before, so a reader never sees a cluster that is emptier than it is.
//!
//! Absent on purpose: metrics, tenants, and everything of an object that we neither need nor serve; objects are
//! trimmed while they are decoded. 150,000 pods take about 20 MB here (see [`Namespace`]).
//!
//! Rule: metrics-server v0.9.0, `pkg/server/config.go` (which objects are watched) and `pkg/api/{node,pod}.go` (what
//! of them is served). We differ once: a watch that the API server cuts is resumed without listing again.

mod label_sets;
pub mod namespaces;
pub mod nodes;
pub mod pods;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use http::header::USER_AGENT;
use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use tokio::sync::watch as channel;

use crate::model::{Identities, Labels, Node, NodeName, PodRef};
use label_sets::LabelSets;

/// The nodes and running pods of the cluster. Reads never wait for the network.
#[derive(Debug)]
pub struct Cluster {
    nodes: RwLock<BTreeMap<NodeName, Arc<Node>>>,
    nodes_changed: channel::Sender<u64>,
    nodes_synced: channel::Sender<bool>,
    namespaces: RwLock<BTreeMap<Arc<str>, Arc<Namespace>>>,
    label_sets: Mutex<LabelSets>,
    pods_synced: channel::Sender<bool>,
    /// Of all namespaces, while they are watched.
    namespace_labels: RwLock<BTreeMap<Box<str>, Arc<Labels>>>,
    namespace_labels_wanted: channel::Sender<bool>,
    namespace_labels_synced: channel::Sender<bool>,
}

/// The running pods of one namespace.
///
/// A pod takes 132 bytes (measured, with names of 32 characters): a place in a map, 24 bytes and as much slack again,
/// and its name, 16 bytes and the text, rounded up by the allocator. Label sets are shared between the pods that bear
/// equal ones; a set of its own (that of a job, or of a pod of a StatefulSet) costs some 100 bytes a label more.
#[derive(Debug)]
pub struct Namespace {
    /// The name of the namespace.
    pub name: Arc<str>,
    pods: RwLock<BTreeMap<Arc<str>, Arc<Labels>>>,
}

impl Cluster {
    /// A cluster of which nothing is known yet.
    pub fn new() -> Self {
        Self {
            nodes: RwLock::default(),
            nodes_changed: channel::Sender::new(0),
            nodes_synced: channel::Sender::new(false),
            namespaces: RwLock::default(),
            label_sets: Mutex::default(),
            pods_synced: channel::Sender::new(false),
            namespace_labels: RwLock::default(),
            namespace_labels_wanted: channel::Sender::new(false),
            namespace_labels_synced: channel::Sender::new(false),
        }
    }

    /// The node of this name.
    pub fn node(&self, name: &str) -> Option<Arc<Node>> {
        self.nodes.read().get(name).cloned()
    }

    /// All nodes, sorted by name.
    pub fn nodes(&self) -> Vec<Arc<Node>> {
        self.nodes.read().values().cloned().collect()
    }

    /// Tells when a node appears, goes, or changes in what we keep of it. The number says nothing but "again".
    pub fn nodes_changed(&self) -> channel::Receiver<u64> {
        self.nodes_changed.subscribe()
    }

    /// The namespaces that have running pods, sorted by name.
    pub fn namespaces(&self) -> Vec<Arc<Namespace>> {
        self.namespaces.read().values().cloned().collect()
    }

    /// The namespace of this name, if it has running pods.
    pub fn namespace(&self, name: &str) -> Option<Arc<Namespace>> {
        self.namespaces.read().get(name).cloned()
    }

    /// Whether all nodes have been listed once.
    pub fn nodes_synced(&self) -> bool {
        *self.nodes_synced.borrow()
    }

    /// Whether all running pods have been listed once.
    pub fn pods_synced(&self) -> bool {
        *self.pods_synced.borrow()
    }

    /// Waits until nodes and pods have been listed once.
    pub async fn until_synced(&self) {
        for synced in [&self.nodes_synced, &self.pods_synced] {
            // An error would mean that the sender is gone, and `self` holds it.
            let _ = synced.subscribe().wait_for(|synced| *synced).await;
        }
    }

    /// Says whether anybody needs the labels of namespaces. Those that nobody needs any more are kept up to date for a
    /// little longer, as whoever needed them may still be at work.
    pub fn want_namespace_labels(&self, wanted: bool) {
        self.namespace_labels_wanted.send_replace(wanted);
    }

    /// Waits until all namespaces have been listed once, which they only are while their labels are wanted.
    pub async fn until_namespace_labels_synced(&self) {
        let _ = self.namespace_labels_synced.subscribe().wait_for(|synced| *synced).await;
    }
}

impl Identities for Cluster {
    fn pod_labels(&self, pod: PodRef<'_>) -> Option<Arc<Labels>> {
        self.namespace(pod.namespace)?.labels(pod.name)
    }

    fn namespace_labels(&self, namespace: &str) -> Option<Arc<Labels>> {
        self.namespace_labels.read().get(namespace).cloned()
    }
}

impl Default for Cluster {
    fn default() -> Self {
        Self::new()
    }
}

impl Namespace {
    /// The pods by name, with their labels. Keeps the watch from writing to this namespace as long as the guard
    /// lives: walk a large one in pieces (`range` after the last name seen), and do not ask again while holding one.
    pub fn read(&self) -> RwLockReadGuard<'_, BTreeMap<Arc<str>, Arc<Labels>>> {
        self.pods.read()
    }

    /// The labels of the running pod of this name.
    pub fn labels(&self, pod: &str) -> Option<Arc<Labels>> {
        self.pods.read().get(pod).cloned()
    }
}

/// What the watches write.
impl Cluster {
    /// Keeps this node in place of what was known of it.
    pub(crate) fn put_node(&self, node: Node) {
        let mut nodes = self.nodes.write();
        if nodes.get(&node.name).is_some_and(|known| **known == node) {
            return;
        }
        nodes.insert(node.name.clone(), Arc::new(node));
        drop(nodes);
        self.tell_nodes_changed();
    }

    /// Forgets the node of this name.
    pub(crate) fn remove_node(&self, name: &str) {
        if self.nodes.write().remove(name).is_some() {
            self.tell_nodes_changed();
        }
    }

    /// Forgets the nodes whose names do not pass.
    pub(crate) fn retain_nodes(&self, is_there: impl Fn(&str) -> bool) {
        let mut nodes = self.nodes.write();
        let before = nodes.len();
        nodes.retain(|name, _| is_there(name.as_str()));
        let changed = nodes.len() != before;
        drop(nodes);
        if changed {
            self.tell_nodes_changed();
        }
    }

    fn tell_nodes_changed(&self) {
        self.nodes_changed.send_modify(|number| *number += 1);
    }

    /// Keeps this pod, with these labels in place of those known. Returns the name as it is stored, so that a list can
    /// note it without a copy.
    pub(crate) fn put_pod(&self, namespace: &str, name: &str, labels: &Labels) -> Arc<str> {
        let labels = self.label_sets.lock().share(labels);
        let namespace = self.namespace(namespace).unwrap_or_else(|| self.new_namespace(namespace));
        let mut pods = namespace.pods.write();
        let known = pods.get_key_value(name).map(|(name, _)| Arc::clone(name));
        let name = known.unwrap_or_else(|| name.into());
        pods.insert(Arc::clone(&name), labels);
        name
    }

    fn new_namespace(&self, name: &str) -> Arc<Namespace> {
        let namespace = Arc::new(Namespace { name: name.into(), pods: RwLock::default() });
        self.namespaces.write().insert(Arc::clone(&namespace.name), Arc::clone(&namespace));
        namespace
    }

    /// Forgets the pod of this name, and its namespace with the last one.
    pub(crate) fn remove_pod(&self, namespace: &str, name: &str) {
        let Some(known) = self.namespace(namespace) else { return };
        let mut pods = known.pods.write();
        pods.remove(name);
        if pods.is_empty() {
            self.namespaces.write().remove(namespace);
        }
    }

    /// Forgets the pods, named by namespace and name, that do not pass.
    pub(crate) fn retain_pods(&self, is_there: impl Fn(&str, &str) -> bool) {
        for namespace in self.namespaces() {
            let mut pods = namespace.pods.write();
            pods.retain(|name, _| is_there(&namespace.name, name));
            if pods.is_empty() {
                self.namespaces.write().remove(&namespace.name);
            }
        }
    }

    fn tell_nodes_synced(&self) {
        self.nodes_synced.send_replace(true);
    }

    fn tell_pods_synced(&self) {
        self.pods_synced.send_replace(true);
    }

    /// Keeps these labels of a namespace in place of those known.
    fn put_namespace_labels(&self, namespace: &str, labels: Labels) {
        let mut known = self.namespace_labels.write();
        match known.get_mut(namespace) {
            Some(known) if **known == labels => {}
            Some(known) => *known = Arc::new(labels),
            None => _ = known.insert(namespace.into(), Arc::new(labels)),
        }
    }

    /// Whether anybody needs the labels of namespaces.
    pub(crate) fn namespace_labels_wanted(&self) -> channel::Receiver<bool> {
        self.namespace_labels_wanted.subscribe()
    }

    pub(crate) fn tell_namespace_labels_synced(&self) {
        self.namespace_labels_synced.send_replace(true);
    }

    /// Forgets the labels of the namespaces whose names do not pass.
    fn retain_namespace_labels(&self, is_there: impl Fn(&str) -> bool) {
        self.namespace_labels.write().retain(|name, _| is_there(name));
    }
}

/// A client of the API server that is fit for the watches (and for anything shorter).
///
/// Credentials come from `config`; those that are files are read again by the client as they are rotated.
///
/// # Errors
/// Where the credentials or the proxy of `config` cannot be used.
pub fn client(mut config: kube::Config) -> kube::Result<kube::Client> {
    const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
    let user_agent = HeaderValue::from_static(concat!("metrics-gateway/", env!("CARGO_PKG_VERSION")));
    config.headers.push((USER_AGENT, user_agent));
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.read_timeout = Some(watch::READ_TIMEOUT);
    // Without it the time a connection lay idle in the pool would count against its next answer.
    config.reset_reader_on_write = true;
    // Whoever asks knows how long an answer is worth waiting for; hidden retries could take minutes.
    config.default_retry = false;
    kube::Client::try_from(config)
}

#[cfg(test)]
mod tests;
