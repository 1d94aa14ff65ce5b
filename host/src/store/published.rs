//! What is served of pods: usage by namespace and name, and which node has the say on each.
//!
//! Sorted by name: a list walks one namespace after another, and a writer touches only those of its pods, so nobody
//! ever locks the whole. A reader sees a pod whole, never a mixture of two answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock, RwLockReadGuard};

use super::Absent;
use super::history::PodHistory;
use super::look::{NamespaceCount, Say};
use crate::config::PodOnTwoNodes;
use crate::model::units::UnixNanos;
use crate::model::{NodeName, PodRef, PodUsage};

/// The usage of the pods of one namespace, by their names.
#[derive(Default)]
pub struct NamespaceUsage {
    pods: RwLock<BTreeMap<Arc<str>, Served>>,
    /// Who has the say on pods of which there is no usage (yet). Locked only by who has locked `pods`.
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

/// Who has the say when two nodes report one pod.
pub(super) struct Precedence {
    pub(super) pod_on_two_nodes: PodOnTwoNodes,
    /// The metric resolution.
    pub(super) resolution: Duration,
}

/// The usage of all pods.
pub(super) struct Published {
    precedence: Precedence,
    namespaces: RwLock<BTreeMap<Arc<str>, Arc<NamespaceUsage>>>,
    containers: AtomicUsize,
}

/// A namespace that somebody is about to write to.
struct NamespaceToWrite {
    name: Arc<str>,
    usage: Arc<NamespaceUsage>,
    _writer: Arc<()>,
}

/// Whether a node says something of a pod now, or what it said before is put another way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// It may gain the say on the pod.
    New,
    /// It is of use only where the node has the say already.
    Held,
}

/// Publishes what one node says, pod after pod. Those of one namespace should follow each other.
pub(super) struct Publisher<'a> {
    published: &'a Published,
    node: &'a NodeName,
    /// Looked up once for all its pods.
    namespace: Option<NamespaceToWrite>,
}

impl<'a> Publisher<'a> {
    pub(super) fn new(published: &'a Published, node: &'a NodeName) -> Self {
        Self { published, node, namespace: None }
    }

    /// Serves this usage of a pod, or stops serving the pod.
    ///
    /// # Errors
    /// Says why the pod is not served from this node.
    pub(super) fn publish(
        &mut self,
        pod: &PodHistory,
        usage: Result<PodUsage, Absent>,
        word: Word,
    ) -> Result<(), Absent> {
        let namespace = match self.namespace.take().filter(|namespace| namespace.name == pod.namespace) {
            Some(same) => same,
            None => self.published.namespace_to_write(&pod.namespace),
        };
        let outcome = self.published.publish(&namespace.usage, self.node, pod, usage, word);
        pod.outcome.set(Some(outcome));
        self.namespace = Some(namespace);
        outcome
    }
}

impl Published {
    pub(super) fn new(precedence: Precedence) -> Self {
        Self { precedence, namespaces: RwLock::default(), containers: AtomicUsize::new(0) }
    }

    pub(super) fn namespace(&self, name: &str) -> Option<Arc<NamespaceUsage>> {
        self.namespaces.read().get(name).cloned()
    }

    pub(super) fn pod(&self, pod: PodRef<'_>) -> Option<PodUsage> {
        Some(self.namespace(pod.namespace)?.read().get(pod.name)?.usage.clone())
    }

    /// The node that has the say on a pod, when it last reported it, and whether the pod is served.
    pub(super) fn say(&self, pod: PodRef<'_>) -> Option<Say> {
        let namespace = self.namespace(pod.namespace)?;
        let pods = namespace.pods.read();
        let of = |claim: &Claim, usage| Say { node: claim.node.clone(), seen_at: claim.seen_at, usage };
        if let Some(served) = pods.get(pod.name) {
            return Some(of(&served.claim, Some(served.usage.clone())));
        }
        let unserved = namespace.unserved.lock();
        unserved.get(pod.name).map(|claim| of(claim, None))
    }

    /// How many pods and containers of each namespace are served, by its name.
    pub(super) fn counts(&self) -> Vec<NamespaceCount> {
        let namespaces: Vec<_> =
            self.namespaces.read().iter().map(|(name, usage)| (name.clone(), usage.clone())).collect();
        let count = |(namespace, usage): (Arc<str>, Arc<NamespaceUsage>)| {
            let pods = usage.read();
            let containers = pods.values().map(|served| served.usage.containers.len()).sum();
            NamespaceCount { namespace, pods: pods.len(), containers }
        };
        namespaces.into_iter().map(count).collect()
    }

    /// How many containers are served.
    pub(super) fn container_points(&self) -> usize {
        self.containers.load(Ordering::Relaxed)
    }

    fn publish(
        &self,
        namespace: &NamespaceUsage,
        node: &NodeName,
        pod: &PodHistory,
        usage: Result<PodUsage, Absent>,
        word: Word,
    ) -> Result<(), Absent> {
        let claim = Claim { node: node.clone(), born: pod.born(), seen_at: pod.seen_at };
        let mut pods = namespace.pods.write();
        let usage = match (usage, pods.get_mut(&*pod.name)) {
            (Ok(usage), Some(served)) if served.claim.node == *node => {
                // Nearly always: the same node says something new of a pod that is served. One search, not four.
                self.containers.fetch_add(usage.containers.len(), Ordering::Relaxed);
                self.containers.fetch_sub(served.usage.containers.len(), Ordering::Relaxed);
                *served = Served { usage, claim };
                return Ok(());
            }
            (usage, _) => usage,
        };
        let mut unserved = namespace.unserved.lock();
        let known = pods.get(&*pod.name).map(|served| &served.claim).or_else(|| unserved.get(&*pod.name));
        let has_the_say = match (known, word) {
            (Some(known), _) if known.node == *node => true,
            (Some(known), Word::New) => self.takes_over(&claim, known),
            (None, Word::New) => true,
            (_, Word::Held) => false,
        };
        if !has_the_say {
            return Err(Absent::Elsewhere);
        }
        let (before, after, outcome) = match usage {
            Ok(usage) => {
                unserved.remove(&*pod.name);
                let count = usage.containers.len();
                (pods.insert(Arc::clone(&pod.name), Served { usage, claim }), count, Ok(()))
            }
            Err(reason) => {
                unserved.insert(Arc::clone(&pod.name), claim);
                (pods.remove(&*pod.name), 0, Err(reason))
            }
        };
        self.containers.fetch_add(after, Ordering::Relaxed);
        self.containers.fetch_sub(before.map_or(0, |before| before.usage.containers.len()), Ordering::Relaxed);
        outcome
    }

    /// Whether one node's word on a pod goes before that of the node it is known from.
    fn takes_over(&self, claim: &Claim, known: &Claim) -> bool {
        // The other node has not reported the pod for a while: it is being held there, or has moved here.
        let stale = claim.seen_at.since(known.seen_at) > self.precedence.resolution * 3 / 2;
        match self.precedence.pod_on_two_nodes {
            PodOnTwoNodes::NewestStart => stale || (claim.born, &claim.node) > (known.born, &known.node),
            PodOnTwoNodes::FirstAnswer => claim.seen_at.since(known.seen_at) >= self.precedence.resolution,
        }
    }

    /// Stops serving pods that are gone from a node.
    pub(super) fn unpublish<'a>(&self, node: &NodeName, gone: impl Iterator<Item = PodRef<'a>>) {
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

    /// Test-only: how many namespaces are held.
    #[cfg(test)]
    pub(super) fn namespaces_held(&self) -> usize {
        self.namespaces.read().len()
    }
}
