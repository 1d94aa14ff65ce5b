//! The heartbeat: every node is asked once per resolution, each at a moment of its own.
//!
//! A node's moment is fixed by a hash of its name and aligned to the wall clock, so replicas ask at the same time and
//! agree in their answers, and the work is spread over the interval instead of coming in bursts. A node that is new
//! is asked at once, so that its first window is full after its second moment at the latest.
//!
//! Each node has a task of its own (`node`), which scrapes, decodes and puts what it got into the store; a bound on how
//! many do so at a time, and one on how many ask policies (`workers`), are the only things they share. So a node that
//! hangs delays nobody.
//!
//! Policies come in generations. One that is offered is put in force for all nodes at once, and each node's task then
//! decides anew where to ask, and has the store judge anew what it holds; what is served is replaced in place. A
//! generation that needs labels of namespaces comes into force when they are known, or [`PATIENCE`] later, so that no
//! namespace is first taken for another tenant's. The first scrape waits for the first generation in the same way.
//!
//! Absent on purpose: how any of the steps works.

mod node;
mod record;
mod workers;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use crate::clock::Clock;
use crate::config::{ScrapeConfig, TimestampOf};
use crate::discovery::Cluster;
use crate::model::units::UnixNanos;
use crate::model::{Node, NodeName};
use crate::scrape::kubelet::KubeletClient;
use crate::store::Store;
use crate::telemetry::Metrics;
use crate::tenants::Tenants;
use node::NodeTask;
use record::Records;
pub use record::{Decision, NodeRecord, Trouble};
use workers::Workers;

/// How long a generation waits for the labels of namespaces. Listing them takes well under a second where the API server
/// answers at all; where it does not, tenants that own namespaces by name should not wait for those that do by label.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the heartbeat drives.
pub struct Parts {
    /// Which nodes there are.
    pub cluster: Arc<Cluster>,
    /// Asks them.
    pub client: Arc<KubeletClient>,
    /// The generations of policies, as they are offered.
    pub tenants: watch::Receiver<Arc<Tenants>>,
    /// Keeps what they say.
    pub store: Arc<Store>,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Says what time it is.
    pub clock: Clock,
    /// Owns the tasks.
    pub tasks: TaskTracker,
}

/// The heartbeat, and what others may know of it.
pub struct Tick {
    parts: Parts,
    config: ScrapeConfig,
    timestamp: TimestampOf,
    /// As many nodes are asked at a time as there are permits.
    permits: Arc<Semaphore>,
    /// Those who ask policies.
    workers: Workers,
    /// The generation in force.
    in_force: watch::Sender<Arc<Tenants>>,
    /// When the current tick started; zero before the first.
    started_at: AtomicU64,
    /// When a node was last done with.
    finished_at: AtomicU64,
    /// How the nodes fare that are asked.
    records: Records,
}

impl Tick {
    /// A heartbeat that has not begun.
    pub fn new(parts: Parts, config: ScrapeConfig, timestamp: TimestampOf) -> Self {
        let permits = Arc::new(Semaphore::new(config.concurrency.get().min(Semaphore::MAX_PERMITS)));
        let in_force = watch::Sender::new(Arc::clone(&parts.tenants.borrow()));
        Self {
            parts,
            config,
            timestamp,
            permits,
            workers: Workers::new(),
            in_force,
            started_at: AtomicU64::new(0),
            finished_at: AtomicU64::new(0),
            records: Records::default(),
        }
    }

    /// What is on record of a node; None: it is not asked.
    pub fn record(&self, node: &str) -> Option<NodeRecord> {
        self.records.of(node)
    }

    /// What is on record of all nodes that are asked, sorted by name.
    pub fn records(&self) -> Vec<(NodeName, NodeRecord)> {
        self.records.all()
    }

    /// The generation in force.
    pub fn in_force(&self) -> Arc<Tenants> {
        Arc::clone(&self.in_force.borrow())
    }

    /// What is asked, and how often.
    pub fn config(&self) -> &ScrapeConfig {
        &self.config
    }

    /// When the current tick began, and when a node was last done with; zero: never.
    pub fn times(&self) -> (UnixNanos, UnixNanos) {
        let read = |time: &AtomicU64| UnixNanos(time.load(Ordering::Relaxed));
        (read(&self.started_at), read(&self.finished_at))
    }

    /// Whether ticks come when they should: none has been due yet, or the last began at most 1.5 resolutions ago.
    pub fn is_timely(&self, now: UnixNanos) -> bool {
        let started_at = UnixNanos(self.started_at.load(Ordering::Relaxed));
        started_at == UnixNanos::ZERO || now.since(started_at) <= self.config.resolution * 3 / 2
    }

    /// Beats until told to stop. The nodes must be known by then.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut offered = self.parts.tenants.clone();
        tokio::select! {
            () = stop.cancelled() => return,
            () = self.adopt(&mut offered) => {}
        }
        self.parts.tasks.spawn(Arc::clone(&self).follow_generations(offered, stop.clone()));
        let mut asked = HashMap::new();
        let mut changed = self.parts.cluster.nodes_changed();
        let mut due = self.parts.clock.now();
        let mut next_tick = self.begin_tick(&mut due);
        loop {
            changed.borrow_and_update();
            self.follow_the_cluster(&mut asked, &stop);
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep_until(next_tick) => next_tick = self.begin_tick(&mut due),
                Ok(()) = changed.changed() => {}
            }
        }
    }

    /// Puts every further generation in force.
    async fn follow_generations(self: Arc<Self>, mut offered: watch::Receiver<Arc<Tenants>>, stop: CancellationToken) {
        let follow = async {
            // Who offers them may have ended: the last stays in force.
            while offered.changed().await.is_ok() {
                self.adopt(&mut offered).await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = follow => {}
        }
    }

    /// Puts in force what is offered, as soon as what it needs to know is known.
    async fn adopt(&self, offered: &mut watch::Receiver<Arc<Tenants>>) {
        let tenants = Arc::clone(&offered.borrow_and_update());
        let (generation, needs_labels) = (tenants.generation, tenants.needs_namespace_labels);
        let cluster = &self.parts.cluster;
        if needs_labels {
            cluster.want_namespace_labels(true);
            if tokio::time::timeout(PATIENCE, cluster.until_namespace_labels_synced()).await.is_err() {
                warn!(
                    generation,
                    "the API server has not listed the namespaces within {PATIENCE:?}; until it does, those that tenants \
                     own by labels are the default tenant's"
                );
            }
        }
        self.in_force.send_replace(tenants);
        if !needs_labels {
            cluster.want_namespace_labels(false);
        }
    }

    /// Notes that a tick begins, and how long the one before took; returns when the next is due.
    fn begin_tick(&self, due: &mut UnixNanos) -> Instant {
        let now = self.parts.clock.now();
        let before = UnixNanos(self.started_at.swap(now.0, Ordering::Relaxed));
        let finished_at = UnixNanos(self.finished_at.load(Ordering::Relaxed));
        if before > UnixNanos::ZERO && finished_at > before {
            self.parts.metrics.tick_duration.observe(finished_at.since(before).as_secs_f64());
        }
        *due = moment_after((*due).max(now), Duration::ZERO, self.config.resolution);
        Instant::now() + due.since(now)
    }

    /// Brings the tasks into agreement with the nodes that there are.
    fn follow_the_cluster(self: &Arc<Self>, asked: &mut HashMap<NodeName, Asked>, stop: &CancellationToken) {
        let wanted: HashMap<NodeName, Arc<Node>> = self
            .parts
            .cluster
            .nodes()
            .into_iter()
            .filter(|node| self.config.nodes.matches(&node.labels))
            .map(|node| (node.name.clone(), node))
            .collect();
        asked.extract_if(|name, _| !wanted.contains_key(name)).for_each(|(_, task)| task.gone.cancel());
        let new = wanted.keys().filter(|name| !asked.contains_key(*name)).count();
        for (name, node) in wanted {
            match asked.get(&name) {
                Some(task) => task.update(node),
                None => {
                    asked.insert(name, self.ask_from_now_on(node, new, stop));
                }
            }
        }
        self.parts.metrics.nodes.set(i64::try_from(asked.len()).unwrap_or(i64::MAX));
    }

    fn ask_from_now_on(self: &Arc<Self>, node: Arc<Node>, new: usize, stop: &CancellationToken) -> Asked {
        let gone = stop.child_token();
        let (updates, receiver) = watch::channel(Arc::clone(&node));
        let task = NodeTask::new(self, node, receiver, first_delay(new), gone.clone());
        self.parts.tasks.spawn(task.run(stop.clone()));
        Asked { updates, gone }
    }
}

/// A node that is being asked.
struct Asked {
    updates: watch::Sender<Arc<Node>>,
    /// Tells the task that the node is not to be asked any more.
    gone: CancellationToken,
}

impl Asked {
    fn update(&self, node: Arc<Node>) {
        self.updates.send_if_modified(|known| {
            let changed = **known != *node;
            if changed {
                *known = node;
            }
            changed
        });
    }
}

/// Where in the interval a node has its moment, from 0 up to 0.9: what is asked last should be answered in time.
fn phase(node: &str) -> f64 {
    let digest = Sha256::digest(node.as_bytes());
    let [a, b, c, d, ..] = *digest.as_slice() else { return 0.0 };
    f64::from(u32::from_be_bytes([a, b, c, d])) / f64::from(u32::MAX) * 0.9
}

/// Over what time the first requests to `new` nodes are spread. As upstream: 8 ms for each, 4 s at the most.
fn first_delay(new: usize) -> Duration {
    Duration::from_millis(8).saturating_mul(u32::try_from(new).unwrap_or(u32::MAX)).min(Duration::from_secs(4))
}

/// The first moment after `time` that lies `phase` after a multiple of `resolution` since the epoch.
fn moment_after(time: UnixNanos, phase: Duration, resolution: Duration) -> UnixNanos {
    let (resolution, phase) = (nanos(resolution).max(1), nanos(phase));
    let since_the_last = time.0.wrapping_sub(phase) % resolution;
    UnixNanos(time.0.saturating_add(resolution - since_the_last))
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
