//! The heartbeat: every node is asked once per resolution, each at a moment of its own.
//!
//! A node's moment is fixed by a hash of its name and aligned to the wall clock, so replicas ask at the same time and
//! agree in their answers, and the work is spread over the interval instead of coming in bursts. A node that is new
//! is asked at once, so that its first window is full after its second moment at the latest.
//!
//! Each node has a task of its own, which scrapes, decodes and puts what it got into the store; a bound on how many
//! do so at a time is the only thing they share. So a node that hangs delays nobody.
//!
//! Absent on purpose: how any of the steps works.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus::{Gauge, Histogram};
use sha2::{Digest, Sha256};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, info, warn};

use crate::clock::Clock;
use crate::config::{ScrapeConfig, TimestampOf};
use crate::decode::{self, Reading};
use crate::discovery::Cluster;
use crate::model::policy::AddressPolicy;
use crate::model::units::UnixNanos;
use crate::model::{LeftOut, Node, NodeName};
use crate::scrape::kubelet::KubeletClient;
use crate::scrape::{Answer, NodeScraper, ScrapeError};
use crate::store::{Put, Store};
use crate::telemetry::Metrics;

/// What the heartbeat drives.
pub struct Parts {
    /// Which nodes there are.
    pub cluster: Arc<Cluster>,
    /// Asks them.
    pub client: Arc<KubeletClient>,
    /// Decides where they are asked.
    pub addresses: Arc<dyn AddressPolicy>,
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
    permits: Semaphore,
    /// When the current tick started; zero before the first.
    started_at: AtomicU64,
    /// When a node was last done with.
    finished_at: AtomicU64,
}

impl Tick {
    /// A heartbeat that has not begun.
    pub fn new(parts: Parts, config: ScrapeConfig, timestamp: TimestampOf) -> Self {
        let permits = Semaphore::new(config.concurrency.get().min(Semaphore::MAX_PERMITS));
        Self { parts, config, timestamp, permits, started_at: AtomicU64::new(0), finished_at: AtomicU64::new(0) }
    }

    /// Whether ticks come when they should: none has been due yet, or the last began at most 1.5 resolutions ago.
    pub fn is_timely(&self, now: UnixNanos) -> bool {
        let started_at = UnixNanos(self.started_at.load(Ordering::Relaxed));
        started_at == UnixNanos::ZERO || now.since(started_at) <= self.config.resolution * 3 / 2
    }

    /// Beats until told to stop. The nodes must be known by then.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
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
        let phase = phase(node.name.as_str());
        let (updates, receiver) = watch::channel(Arc::clone(&node));
        let task = NodeTask {
            tick: Arc::clone(self),
            first_delay: first_delay(new).mul_f64(phase),
            phase: self.config.resolution.mul_f64(phase),
            duration: self.parts.metrics.kubelet_request_duration.with_label_values(&[node.name.as_str()]),
            last_request: self.parts.metrics.kubelet_last_request.with_label_values(&[node.name.as_str()]),
            scraper: NodeScraper::new(Arc::clone(&self.parts.client), Arc::clone(&self.parts.addresses), node),
            updates: receiver,
            failing: None,
            is_garbled: false,
        };
        self.parts.tasks.spawn(task.run(gone.clone(), stop.clone()));
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

/// Asks one node for as long as it is there.
struct NodeTask {
    tick: Arc<Tick>,
    scraper: NodeScraper,
    updates: watch::Receiver<Arc<Node>>,
    /// The node's moment in each interval.
    phase: Duration,
    /// The time until it is asked for the first time.
    first_delay: Duration,
    duration: Histogram,
    last_request: Gauge,
    /// Why the node fails at present.
    failing: Option<&'static str>,
    /// Whether its last answer held lines that could not be read.
    is_garbled: bool,
}

impl NodeTask {
    async fn run(mut self, gone: CancellationToken, stop: CancellationToken) {
        let mut due = UnixNanos(self.parts().clock.now().0.saturating_add(nanos(self.first_delay)));
        let mut wake = Instant::now() + self.first_delay;
        loop {
            tokio::select! {
                () = gone.cancelled() => break,
                () = tokio::time::sleep_until(wake) => {}
                Ok(()) = self.updates.changed() => {
                    let node = Arc::clone(&self.updates.borrow_and_update());
                    self.scraper.update(node);
                    continue;
                }
            }
            tokio::select! {
                () = gone.cancelled() => break,
                () = self.beat() => {}
            }
            let now = self.parts().clock.now();
            due = moment_after(due.max(now), self.phase, self.tick.config.resolution);
            wake = Instant::now() + due.since(now);
        }
        // While the gateway shuts down, what it knows is served to the last request.
        if !stop.is_cancelled() {
            self.leave();
        }
    }

    async fn beat(&mut self) {
        let tick = Arc::clone(&self.tick);
        // The semaphore is never closed.
        let Ok(_permit) = tick.permits.acquire().await else { return };
        let asked_at = self.parts().clock.now();
        let outcome = self.scraper.scrape().await;
        let answered_at = self.parts().clock.now();
        self.duration.observe(answered_at.since(asked_at).as_secs_f64());
        self.last_request.set(asked_at.seconds() as f64);
        let outcome = match outcome {
            Ok(answer) => self.take_in(answer, asked_at, answered_at).await,
            Err(error) => Err(error),
        };
        self.report(outcome.as_ref().err());
        if outcome.is_err() {
            self.parts().store.miss(&self.scraper.node().name, answered_at);
        }
        self.tick.finished_at.fetch_max(answered_at.0, Ordering::Relaxed);
    }

    /// Decodes an answer into the store.
    async fn take_in(
        &mut self,
        answer: Answer,
        asked_at: UnixNanos,
        answered_at: UnixNanos,
    ) -> Result<(), ScrapeError> {
        /// Up to here decoding takes less than half a millisecond, which is less than handing it over is worth.
        const AT_ONCE: usize = 256 * 1024;
        let store = Arc::clone(&self.parts().store);
        let node = self.scraper.node().name.clone();
        let reading = Reading { form: answer.form, asked_at, timestamp: self.tick.timestamp };
        let is_short = answer.body.len() <= AT_ONCE;
        self.parts().metrics.scrape_bytes.inc_by(answer.body.len() as u64);
        let decode = move || -> Result<(LeftOut, Put), ScrapeError> {
            let batch = decode::batch(&answer.body, reading)?;
            Ok((batch.left_out, store.put(&node, &batch, answered_at, None)))
        };
        let (left_out, put) = if is_short {
            decode()?
        } else {
            tokio::task::spawn_blocking(decode)
                .await
                .map_err(|error| ScrapeError::BrokenOff(format!("decoding ended early: {error}")))??
        };
        self.count(left_out, put);
        Ok(())
    }

    fn count(&mut self, left_out: LeftOut, put: Put) {
        let metrics = Arc::clone(&self.parts().metrics);
        let was_garbled = std::mem::replace(&mut self.is_garbled, left_out.bad_lines > 0);
        metrics.bad_lines.inc_by(u64::from(left_out.bad_lines));
        let reasons = [
            ("incomplete", left_out.incomplete_pods),
            ("waiting", put.waiting),
            ("counter-fell", put.fell),
            ("on-another-node", put.elsewhere),
        ];
        for (reason, count) in reasons {
            if count > 0 {
                metrics.pods_without_usage.with_label_values(&[reason]).inc_by(u64::from(count));
            }
        }
        let node = &self.scraper.node().name;
        if self.is_garbled && !was_garbled {
            warn!(%node, lines = left_out.bad_lines, "left out lines of the node's answer that cannot be read");
        }
        debug!(%node, ?left_out, ?put, "took in the node's samples");
    }

    /// Says what changed; what stays as it was is counted, not told again.
    fn report(&mut self, error: Option<&ScrapeError>) {
        let metrics = Arc::clone(&self.parts().metrics);
        let node = Arc::clone(self.scraper.node());
        let success = if error.is_none() { "true" } else { "false" };
        metrics.kubelet_requests.with_label_values(&[success]).inc();
        let reason = error.map(ScrapeError::reason);
        if let Some(reason) = reason {
            metrics.scrape_failures.with_label_values(&[reason]).inc();
        }
        if reason == self.failing {
            return;
        }
        self.set_failing(reason);
        match error {
            None => info!(node = %node.name, "node answers again"),
            // As upstream: that a node which is not ready does not answer is no news.
            Some(error) if !node.ready => {
                debug!(node = %node.name, reason = error.reason(), %error, "failed to scrape a node that is not ready");
            }
            Some(error) => {
                warn!(node = %node.name, reason = error.reason(), %error, "failed to scrape node; asking again at its next moment");
            }
        }
    }

    fn set_failing(&mut self, reason: Option<&'static str>) {
        let failing = &self.tick.parts.metrics.node_failing;
        let node = self.scraper.node().name.as_str();
        if let Some(before) = self.failing {
            let _ = failing.remove_label_values(&[node, before]);
        }
        if let Some(reason) = reason {
            failing.with_label_values(&[node, reason]).set(1);
        }
        self.failing = reason;
    }

    /// The node is gone, and so is all that is known of it.
    fn leave(mut self) {
        self.set_failing(None);
        let node = Arc::clone(self.scraper.node());
        self.parts().store.forget(&node.name);
        self.parts().metrics.forget_node(node.name.as_str());
    }

    fn parts(&self) -> &Parts {
        &self.tick.parts
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
