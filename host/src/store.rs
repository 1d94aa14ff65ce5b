//! Turns the recent samples of each container and node into usage, and keeps that for the readers.
//!
//! In: one [`Batch`] per node and tick, or the news that it is missing; and the [`Judges`] whose policies answer for it,
//! where there are any. CPU is cumulative, in nanoseconds since the container started; memory is the working set in
//! bytes; times are Unix nanoseconds. Out: [`Usage`] and [`PodUsage`]: mean nanocores over a window, and bytes at its end.
//! By default all containers are served, and the window lies between the last two samples.
//!
//! Each node has a `history` of its own, which only the task of that node touches. What follows from it is
//! `published` per namespace. Where a tenant has policies, its pods are judged together once the samples of all are
//! in (`judgement`): those of tenants without are served by then, so that nobody waits for another's policies. No lock
//! that a reader could wait for is held while a policy is asked.
//!
//! A reading that fails to come is *held*: the last usage is served, and the next reading computes over the longer
//! window, until [`HistoryConfig::hold`] has passed. Then node and pods vanish and start anew. Pods that are held are
//! shown to policies with the others.
//!
//! Why something is served or not is told to those who [`look`], who wait for nobody.
//!
//! Absent on purpose: a clock (times come as arguments), Kubernetes' types, and any opinion on which pods exist,
//! which is `discovery`'s.
//!
//! Rules: metrics-server v0.9.0, `pkg/storage/{node,pod,types}.go`. We differ in what [`HistoryConfig`] names, and
//! once more: a repeated timestamp of a container without an earlier sample yields no usage, where upstream serves
//! zeros.

mod history;
mod judgement;
mod judges;
mod look;
mod published;

use std::collections::BTreeMap;
use std::hash::RandomState;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use parking_lot::{Mutex, RwLock};

use crate::config::{ContainerOrder, HistoryConfig};
use crate::model::policy::{NoUsage, WindowPolicy};
use crate::model::units::UnixNanos;
use crate::model::{Batch, Incomplete, NodeName, PodRef, PodUsage, Usage};
use crate::tenants::Tenant;
use history::{Keeping, NodeHistory, PodHistory};
use judgement::{Case, Party, native_usage, node_usage};
pub use judges::Judges;
use judges::{Owners, span};
pub use look::{Busy, ContainerLook, NamespaceCount, NodeLook, Note, PodLook, Readings, Say};
pub use published::{NamespaceUsage, Served};
use published::{Precedence, Published, Publisher, Word};

/// What the store goes by.
pub struct Rules {
    /// What is held, and how conflicts are settled.
    pub history: HistoryConfig,
    /// In which order containers are served.
    pub container_order: ContainerOrder,
    /// The metric resolution: a container younger than this is measured from its start.
    pub resolution: Duration,
}

/// Histories by node, usage by name.
pub struct Store {
    rules: Rules,
    histories: RwLock<HashMap<NodeName, Arc<Mutex<NodeHistory>>>>,
    nodes: RwLock<BTreeMap<NodeName, Usage>>,
    pods: Published,
    /// Keys the fingerprints of what filters were shown.
    hasher: RandomState,
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
    /// Pods (or the node) that a window policy serves nothing of.
    pub withheld: u32,
    /// Pods that a filter has to see, and of which the API server has not told yet.
    pub unknown: u32,
}

/// Why a pod is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// A container (or the node) has no usage.
    NoUsage(NoUsage),
    /// A filter drops all of it.
    Dropped,
    /// A filter has to see it, and the API server has not told of it yet.
    Unknown,
    /// Another node has the say on it.
    Elsewhere,
}

impl From<NoUsage> for Absent {
    fn from(reason: NoUsage) -> Self {
        Self::NoUsage(reason)
    }
}

impl Store {
    /// An empty store.
    pub fn new(rules: Rules) -> Self {
        let precedence = Precedence { pod_on_two_nodes: rules.history.pod_on_two_nodes, resolution: rules.resolution };
        Self {
            rules,
            histories: RwLock::default(),
            nodes: RwLock::default(),
            pods: Published::new(precedence),
            hasher: RandomState::new(),
        }
    }

    /// Takes in the answer of one node. `now` is when it was received. An answer that comes while the node is being
    /// forgotten is dropped. With `judges` this may take long, and must not happen on the reactor.
    pub fn put(&self, node: &NodeName, batch: &Batch<'_>, now: UnixNanos, judges: Option<&Judges<'_>>) -> Put {
        let history = self.history(node);
        let mut history = history.lock();
        let mut put = Put::default();
        if history.is_forgotten {
            return put;
        }
        history.incomplete = batch.incomplete.iter().cloned().map(Incomplete::into_owned).collect();
        let mut owners = judges.map(|judges| Owners::new(*judges));
        self.put_pods(node, &mut history, batch, now, owners.as_mut(), &mut put);
        self.put_node(node, &mut history, batch, now, judges.and_then(|judges| judges.node_window), &mut put);
        self.sweep(node, &mut history, now);
        match (judges, owners) {
            (Some(judges), Some(mut owners)) => {
                self.judge(node, &mut history, judges, &mut owners, Some(now), &mut put);
            }
            _ => history.remembered.clear(),
        }
        put
    }

    /// Applies other policies to what is known of a node, without a new answer: what is served is replaced in place.
    pub fn recompute(&self, node: &NodeName, judges: Option<&Judges<'_>>) {
        let Some(history) = self.histories.read().get(node).cloned() else { return };
        let mut history = history.lock();
        if history.is_forgotten {
            return;
        }
        let mut owners = judges.map(|judges| Owners::new(*judges));
        let mut publisher = Publisher::new(&self.pods, node);
        for pod in history.sorted_pods() {
            if owners.as_mut().is_none_or(|owners| owners.of(&pod.namespace).is_native) {
                pod.notes.take();
                // What became of it was counted when its samples came.
                let _ = publisher.publish(pod, native_usage(&self.rules, pod), Word::Held);
            }
        }
        if !history.node.latest().is_empty() {
            let _ = self.publish_node(node, &history, judges.and_then(|judges| judges.node_window));
        }
        match (judges, owners) {
            (Some(judges), Some(mut owners)) => {
                self.judge(node, &mut history, judges, &mut owners, None, &mut Put::default());
            }
            _ => history.remembered.clear(),
        }
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
            self.pods.unpublish(node, gone.iter().map(PodHistory::pod));
        }
    }

    /// The usage of a node, where there is one.
    pub fn node(&self, name: &str) -> Option<Usage> {
        self.nodes.read().get(name).copied()
    }

    /// The usage of the pods of a namespace, where there is any.
    pub fn namespace(&self, name: &str) -> Option<Arc<NamespaceUsage>> {
        self.pods.namespace(name)
    }

    /// The usage of a pod, where there is one.
    pub fn pod(&self, pod: PodRef<'_>) -> Option<PodUsage> {
        self.pods.pod(pod)
    }

    /// How many nodes are served.
    pub fn node_points(&self) -> usize {
        self.nodes.read().len()
    }

    /// How many containers are served.
    pub fn container_points(&self) -> usize {
        self.pods.container_points()
    }

    fn history(&self, node: &NodeName) -> Arc<Mutex<NodeHistory>> {
        if let Some(known) = self.histories.read().get(node) {
            return Arc::clone(known);
        }
        Arc::clone(self.histories.write().entry(node.clone()).or_default())
    }

    /// Takes in the node's own sample, and publishes what follows.
    fn put_node(
        &self,
        name: &NodeName,
        history: &mut NodeHistory,
        batch: &Batch<'_>,
        now: UnixNanos,
        window: Option<&dyn WindowPolicy>,
        put: &mut Put,
    ) {
        let Some(sample) = batch.node else { return };
        history.node.push(sample, Keeping { now, resolution: self.rules.resolution, span: span(window) });
        history.node_seen_at = now;
        if let Err(reason) = self.publish_node(name, history, window) {
            put.count(reason.into());
        }
    }

    fn publish_node(
        &self,
        name: &NodeName,
        history: &NodeHistory,
        window: Option<&dyn WindowPolicy>,
    ) -> Result<(), NoUsage> {
        let (usage, note) = node_usage(name.as_str(), &history.node, window);
        history.node_outcome.set(Some(usage.map(|_| ())));
        history.node_note.set(note);
        let mut nodes = self.nodes.write();
        match usage {
            Ok(usage) => {
                nodes.insert(name.clone(), usage);
                Ok(())
            }
            Err(reason) => {
                nodes.remove(name);
                Err(reason)
            }
        }
    }

    /// Takes in the samples of all pods, and publishes what follows where upstream's rules decide.
    fn put_pods(
        &self,
        node: &NodeName,
        history: &mut NodeHistory,
        batch: &Batch<'_>,
        now: UnixNanos,
        mut owners: Option<&mut Owners<'_>>,
        put: &mut Put,
    ) {
        let mut publisher = Publisher::new(&self.pods, node);
        let mut keeping = Keeping { now, resolution: self.rules.resolution, span: Duration::ZERO };
        for samples in batch.pods() {
            let owner = owners.as_mut().map(|owners| owners.of(&samples[0].namespace));
            keeping.span = owner.map_or(Duration::ZERO, |owner| owner.span);
            let is_native = owner.is_none_or(|owner| owner.is_native);
            let pod = history.take_in(samples, keeping);
            if !is_native {
                continue;
            }
            pod.notes.take();
            if let Err(absent) = publisher.publish(pod, native_usage(&self.rules, pod), Word::New) {
                put.count(absent);
            }
        }
    }

    /// Brings the pods of each tenant that has policies before them, and publishes what they say, tenant by tenant. What
    /// was reported `now` is new, the rest is held.
    fn judge(
        &self,
        node: &NodeName,
        history: &mut NodeHistory,
        judges: &Judges<'_>,
        owners: &mut Owners<'_>,
        now: Option<UnixNanos>,
        put: &mut Put,
    ) {
        let mut before = std::mem::take(&mut history.remembered);
        let mut remembered = Vec::new();
        let pods = history.sorted_pods().into_iter();
        let mut owned: Vec<(&Tenant, Party<'_>)> = pods.map(|pod| owners.party(pod)).collect();
        for tenant in judges.tenants() {
            let theirs = owned.extract_if(.., |(owner, _)| std::ptr::eq(*owner, tenant));
            let parties: Vec<Party<'_>> = theirs.map(|(_, party)| party).collect();
            let known = before.iter().position(|known| known.is_of(tenant)).map(|at| before.swap_remove(at));
            let (outcomes, known) = self.case(node, judges, tenant).judge(&parties, known);
            remembered.extend(known);
            let mut publisher = Publisher::new(&self.pods, node);
            for (party, outcome) in parties.iter().zip(outcomes) {
                let is_new = now == Some(party.pod.seen_at);
                let word = if is_new { Word::New } else { Word::Held };
                // What became of that which is held was counted when it came.
                if let Err(absent) = publisher.publish(party.pod, outcome, word)
                    && is_new
                {
                    put.count(absent);
                }
            }
        }
        history.remembered = remembered;
    }

    fn case<'a>(&'a self, node: &'a NodeName, judges: &Judges<'a>, tenant: &'a Tenant) -> Case<'a> {
        Case {
            node: node.as_str(),
            tenant,
            generation: judges.tenants.generation,
            identities: judges.identities,
            rules: &self.rules,
            hasher: &self.hasher,
        }
    }

    /// Drops what has been held too long.
    fn sweep(&self, node: &NodeName, history: &mut NodeHistory, now: UnixNanos) {
        let hold = self.rules.history.hold;
        history.node_seen_at = history.node_seen_at.min(now);
        if now.since(history.node_seen_at) > hold && history.node.forget() {
            self.nodes.write().remove(node);
        }
        let gone = history.take_stale_pods(now, hold);
        self.pods.unpublish(node, gone.iter().map(PodHistory::pod));
    }
}

impl Put {
    fn count(&mut self, absent: Absent) {
        match absent {
            Absent::NoUsage(NoUsage::TooFew) => self.waiting += 1,
            Absent::NoUsage(NoUsage::CounterFell) => self.fell += 1,
            Absent::NoUsage(NoUsage::Withheld) => self.withheld += 1,
            Absent::Unknown => self.unknown += 1,
            Absent::Elsewhere => self.elsewhere += 1,
            // That is what the tenant wants.
            Absent::Dropped => {}
        }
    }
}

/// Test-only views, so that tests state promises and not layouts.
#[cfg(test)]
impl Store {
    fn namespaces_held(&self) -> usize {
        self.pods.namespaces_held()
    }
}

#[cfg(test)]
mod tests;
