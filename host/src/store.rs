//! Turns the recent samples of each container and node into usage, and keeps that for the readers.
//!
//! In: one [`Batch`] per node and tick, or the news that it is missing. CPU is cumulative, in nanoseconds since the
//! container started; memory is the working set in bytes; times are Unix nanoseconds. Out: [`Usage`] and
//! [`PodUsage`]: mean nanocores over a window, and bytes at its end. The window policy picks the window; by default
//! it lies between the last two samples.
//!
//! Each node has a `history` of its own, which only the task of that node touches. What follows from it is
//! published per namespace, sorted by name: a list walks one namespace after another and a writer touches only those
//! of its pods, so nobody ever locks the whole. A reader sees a pod whole, never a mixture of two answers.
//!
//! A reading that fails to come is *held*: the last usage is served, and the next reading computes over the longer
//! window, until [`HistoryConfig::hold`] has passed. Then node and pods vanish and start anew.
//!
//! Absent on purpose: a clock (times come as arguments), Kubernetes' types, and any opinion on which pods exist,
//! which is `discovery`'s.
//!
//! Rules: metrics-server v0.9.0, `pkg/storage/{node,pod,types}.go`. We differ in what [`HistoryConfig`] names, and
//! once more: a repeated timestamp of a container without an earlier sample yields no usage, where upstream serves
//! zeros.

mod history;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hashbrown::HashMap;
use parking_lot::{Mutex, RwLock, RwLockReadGuard};

use crate::config::{ContainerOrder, FallingCounter, HistoryConfig, PodOnTwoNodes};
use crate::model::policy::{NoUsage, last_two};
use crate::model::units::{UnixNanos, WindowNanos};
use crate::model::{Batch, ContainerUsage, NodeName, PodRef, PodUsage, Usage};
use history::{NodeHistory, PodHistory};

/// What the store goes by.
pub struct Rules {
    /// What is held, and how conflicts are settled.
    pub history: HistoryConfig,
    /// In which order containers are served.
    pub container_order: ContainerOrder,
    /// The metric resolution: a container younger than this is measured from its start.
    pub resolution: std::time::Duration,
}

/// Histories by node, usage by name.
pub struct Store {
    rules: Rules,
    histories: RwLock<HashMap<NodeName, Arc<Mutex<NodeHistory>>>>,
    nodes: RwLock<BTreeMap<NodeName, Usage>>,
    namespaces: RwLock<BTreeMap<Arc<str>, Arc<NamespaceUsage>>>,
    containers: AtomicUsize,
}

/// The usage of the pods of one namespace, by their names.
#[derive(Default)]
pub struct NamespaceUsage {
    pods: RwLock<BTreeMap<Arc<str>, Served>>,
    /// Who has the say on pods of which there is no usage (yet). Locked only by who has locked `pods` for writing.
    unserved: Mutex<BTreeMap<Arc<str>, Claim>>,
    /// Shared with each writer, so that nobody removes the namespace under one.
    writers: Arc<()>,
}

impl NamespaceUsage {
    /// The pods, sorted by name. Writers wait for the guard to go: hold it for a chunk, not for a whole list.
    pub fn read(&self) -> RwLockReadGuard<'_, BTreeMap<Arc<str>, Served>> {
        self.pods.read()
    }
}

/// A pod's usage, and whose word it is.
pub struct Served {
    /// What is served.
    pub usage: PodUsage,
    claim: Claim,
}

/// A node's claim to have the say on a pod.
struct Claim {
    node: NodeName,
    /// When a container of the pod started last, as far as is known; settles which of two nodes is right.
    born: UnixNanos,
    /// When the node last reported the pod.
    seen_at: UnixNanos,
}

/// A namespace that somebody is about to write to.
struct NamespaceToWrite {
    name: Arc<str>,
    usage: Arc<NamespaceUsage>,
    _writer: Arc<()>,
}

/// What became of one batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Put {
    /// Pods (or the node) that need one more sample before there is usage.
    pub waiting: u32,
    /// Pods (or the node) with a CPU counter that fell although nothing restarted.
    pub fell: u32,
    /// Pods that another node has the say on.
    pub elsewhere: u32,
}

impl Store {
    /// An empty store.
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            histories: RwLock::default(),
            nodes: RwLock::default(),
            namespaces: RwLock::default(),
            containers: AtomicUsize::new(0),
        }
    }

    /// Takes in the answer of one node. `now` is when it was received. An answer that comes while the node is being
    /// forgotten is dropped.
    pub fn put(&self, node: &NodeName, batch: &Batch<'_>, now: UnixNanos) -> Put {
        let history = self.history(node);
        let mut history = history.lock();
        let mut put = Put::default();
        if history.is_forgotten {
            return put;
        }
        self.put_node(node, &mut history, batch, now, &mut put);
        self.put_pods(node, &mut history, batch, now, &mut put);
        self.sweep(node, &mut history, now);
        put
    }

    /// A node did not answer. What is held too long vanishes.
    pub fn miss(&self, node: &NodeName, now: UnixNanos) {
        let known = self.histories.read().get(node).cloned();
        if let Some(history) = known {
            self.sweep(node, &mut history.lock(), now);
        }
    }

    /// A node is gone for good: so are its history and what was served of it.
    pub fn forget(&self, node: &NodeName) {
        let known = self.histories.write().remove(node);
        if let Some(history) = known {
            let mut history = history.lock();
            history.is_forgotten = true;
            self.nodes.write().remove(node);
            let gone = history.take_pods();
            self.unpublish(node, gone.iter().map(PodHistory::pod));
        }
    }

    /// The usage of a node, where there is one.
    pub fn node(&self, name: &str) -> Option<Usage> {
        self.nodes.read().get(name).copied()
    }

    /// The usage of the pods of a namespace, where there is any.
    pub fn namespace(&self, name: &str) -> Option<Arc<NamespaceUsage>> {
        self.namespaces.read().get(name).cloned()
    }

    /// The usage of a pod, where there is one.
    pub fn pod(&self, pod: PodRef<'_>) -> Option<PodUsage> {
        Some(self.namespace(pod.namespace)?.read().get(pod.name)?.usage.clone())
    }

    /// How many nodes are served.
    pub fn node_points(&self) -> usize {
        self.nodes.read().len()
    }

    /// How many containers are served.
    pub fn container_points(&self) -> usize {
        self.containers.load(Ordering::Relaxed)
    }

    fn history(&self, node: &NodeName) -> Arc<Mutex<NodeHistory>> {
        if let Some(known) = self.histories.read().get(node) {
            return Arc::clone(known);
        }
        Arc::clone(self.histories.write().entry(node.clone()).or_default())
    }

    fn put_node(&self, name: &NodeName, history: &mut NodeHistory, batch: &Batch<'_>, now: UnixNanos, put: &mut Put) {
        let Some(sample) = batch.node else { return };
        history.node.push(sample, self.rules.resolution);
        history.node_seen_at = now;
        match last_two(history.node.samples()) {
            Ok(usage) => {
                self.nodes.write().insert(name.clone(), usage);
            }
            Err(reason) => {
                put.count(reason);
                self.nodes.write().remove(name);
            }
        }
    }

    fn put_pods(&self, node: &NodeName, history: &mut NodeHistory, batch: &Batch<'_>, now: UnixNanos, put: &mut Put) {
        let mut published: Option<NamespaceToWrite> = None;
        for samples in batch.pods() {
            let pod = history.take_in(samples, now, self.rules.resolution);
            // The batch is sorted, so a namespace is looked up once for all its pods.
            let namespace = match published.take().filter(|namespace| namespace.name == pod.namespace) {
                Some(same) => same,
                None => self.namespace_to_write(&pod.namespace),
            };
            self.publish(&namespace.usage, node, pod, put);
            published = Some(namespace);
        }
    }

    /// Serves what follows from a pod's history, or stops serving the pod if nothing does.
    fn publish(&self, namespace: &NamespaceUsage, node: &NodeName, pod: &PodHistory, put: &mut Put) {
        let usage = self.measure(pod);
        let claim = Claim { node: node.clone(), born: pod.born(), seen_at: pod.seen_at };
        let mut pods = namespace.pods.write();
        let usage = match (usage, pods.get_mut(&*pod.name)) {
            (Ok(usage), Some(served)) if served.claim.node == *node => {
                // Nearly always: the same node says something new of a pod that is served. One search, not four.
                self.containers.fetch_add(usage.containers.len(), Ordering::Relaxed);
                self.containers.fetch_sub(served.usage.containers.len(), Ordering::Relaxed);
                *served = Served { usage, claim };
                return;
            }
            (usage, _) => usage,
        };
        let mut unserved = namespace.unserved.lock();
        let known = pods.get(&*pod.name).map(|served| &served.claim).or_else(|| unserved.get(&*pod.name));
        if known.is_some_and(|known| known.node != *node && !self.takes_over(&claim, known)) {
            put.elsewhere += 1;
            return;
        }
        let (before, after) = match usage {
            Ok(usage) => {
                unserved.remove(&*pod.name);
                let count = usage.containers.len();
                (pods.insert(Arc::clone(&pod.name), Served { usage, claim }), count)
            }
            Err(reason) => {
                put.count(reason);
                unserved.insert(Arc::clone(&pod.name), claim);
                (pods.remove(&*pod.name), 0)
            }
        };
        self.containers.fetch_add(after, Ordering::Relaxed);
        self.containers.fetch_sub(before.map_or(0, |before| before.usage.containers.len()), Ordering::Relaxed);
    }

    /// Whether one node's word on a pod goes before that of the node it is known from.
    fn takes_over(&self, claim: &Claim, known: &Claim) -> bool {
        // The other node has not reported the pod for a while: it is being held there, or has moved here.
        let stale = claim.seen_at.since(known.seen_at) > self.rules.resolution * 3 / 2;
        match self.rules.history.pod_on_two_nodes {
            PodOnTwoNodes::NewestStart => stale || (claim.born, &claim.node) > (known.born, &known.node),
            PodOnTwoNodes::FirstAnswer => claim.seen_at.since(known.seen_at) >= self.rules.resolution,
        }
    }

    fn measure(&self, pod: &PodHistory) -> Result<PodUsage, NoUsage> {
        let mut containers = Vec::with_capacity(pod.containers.len());
        let mut earliest: Option<(UnixNanos, WindowNanos)> = None;
        for container in &pod.containers {
            let usage = match last_two(container.series.samples()) {
                Ok(usage) => usage,
                Err(NoUsage::CounterFell) if self.rules.history.falling_counter == FallingCounter::OmitContainer => {
                    continue;
                }
                Err(reason) => return Err(reason),
            };
            if earliest.is_none_or(|(taken_at, _)| usage.taken_at < taken_at) {
                earliest = Some((usage.taken_at, usage.window));
            }
            let name = Arc::clone(&container.name);
            containers.push(ContainerUsage::new(name, Some(usage.cpu), Some(usage.memory)));
        }
        if self.rules.container_order == ContainerOrder::ByName {
            containers.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        }
        let (taken_at, window) = earliest.unwrap_or_default();
        Ok(PodUsage { taken_at, window, containers: containers.into() })
    }

    /// Drops what has been held too long.
    fn sweep(&self, node: &NodeName, history: &mut NodeHistory, now: UnixNanos) {
        let hold = self.rules.history.hold;
        history.node_seen_at = history.node_seen_at.min(now);
        if now.since(history.node_seen_at) > hold && history.node.forget() {
            self.nodes.write().remove(node);
        }
        let gone = history.take_stale_pods(now, hold);
        self.unpublish(node, gone.iter().map(PodHistory::pod));
    }

    fn unpublish<'a>(&self, node: &NodeName, gone: impl Iterator<Item = PodRef<'a>>) {
        for pod in gone {
            let Some(namespace) = self.namespace(pod.namespace) else { continue };
            let mut pods = namespace.pods.write();
            let mut unserved = namespace.unserved.lock();
            if pods.get(pod.name).is_some_and(|served| served.claim.node == *node)
                && let Some(served) = pods.remove(pod.name)
            {
                self.containers.fetch_sub(served.usage.containers.len(), Ordering::Relaxed);
            }
            if unserved.get(pod.name).is_some_and(|claim| claim.node == *node) {
                unserved.remove(pod.name);
            }
            let is_empty = pods.is_empty() && unserved.is_empty();
            drop((pods, unserved));
            if is_empty {
                self.drop_namespace(pod.namespace);
            }
        }
    }

    fn namespace_to_write(&self, name: &Arc<str>) -> NamespaceToWrite {
        // The writer is counted before the lock goes: see `drop_namespace`.
        let to_write = |usage: &Arc<NamespaceUsage>| NamespaceToWrite {
            name: Arc::clone(name),
            usage: Arc::clone(usage),
            _writer: Arc::clone(&usage.writers),
        };
        if let Some(known) = self.namespaces.read().get(name) {
            return to_write(known);
        }
        to_write(self.namespaces.write().entry(Arc::clone(name)).or_default())
    }

    /// Removes an empty namespace, unless somebody is about to write to it: that node will drop it in its turn.
    fn drop_namespace(&self, name: &str) {
        let mut namespaces = self.namespaces.write();
        let is_unused = |known: &Arc<NamespaceUsage>| {
            Arc::strong_count(&known.writers) == 1 && known.pods.read().is_empty() && known.unserved.lock().is_empty()
        };
        if namespaces.get(name).is_some_and(is_unused) {
            namespaces.remove(name);
        }
    }
}

impl Put {
    fn count(&mut self, reason: NoUsage) {
        match reason {
            NoUsage::TooFew => self.waiting += 1,
            NoUsage::CounterFell => self.fell += 1,
            NoUsage::Withheld => {}
        }
    }
}

/// Test-only views, so that tests state promises and not layouts.
#[cfg(test)]
impl Store {
    fn namespaces_held(&self) -> usize {
        self.namespaces.read().len()
    }
}

#[cfg(test)]
mod tests;
