//! One node, for as long as it is there: where it is asked, what it answers, and what is to be said of that.
//!
//! The task follows two things beside the clock: its Node object, and the generation of policies in force. A change of
//! either decides anew where the kubelet is asked. A new generation moreover has the store judge anew what it holds, which
//! happens beside a scrape that is under way: a kubelet that hangs does not keep its node in an old generation.
//!
//! A node that its address policy skips is not asked and has not failed. What was served of it is withdrawn, as if the
//! node were gone, since nothing will ever replace it.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use prometheus::{Gauge, Histogram};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span, debug, debug_span, error, info, warn};

use super::record::{Decision, Page};
use super::{Parts, Tick, moment_after, nanos, phase};
use crate::decode::{self, Reading};
use crate::model::policy::{AddressPolicy as _, Candidate, NoAddress, Voice};
use crate::model::units::UnixNanos;
use crate::model::{LeftOut, Node};
use crate::scrape::{Answer, NodeScraper, ScrapeError};
use crate::store::{Judges, Put, Store};
use crate::tenants::Tenants;

/// Asks one node for as long as it is there.
pub(super) struct NodeTask {
    tick: Arc<Tick>,
    rule: Rule,
    scraper: NodeScraper,
    updates: watch::Receiver<Arc<Node>>,
    /// The generation that decided where the node is asked; None: none has yet.
    decided_by: Option<Arc<Tenants>>,
    /// The node's moment in each interval.
    phase: Duration,
    /// The time until it is asked for the first time.
    first_delay: Duration,
    duration: Histogram,
    last_request: Gauge,
    /// Why the node fails at present.
    failing: Option<&'static str>,
    /// What others may know of it.
    page: Page,
    /// Whether its last answer held lines that could not be read.
    is_garbled: bool,
}

impl NodeTask {
    /// A task for a node that is asked for the first time within `first_delay`, and no more once it is `gone`.
    pub(super) fn new(
        tick: &Arc<Tick>,
        node: Arc<Node>,
        updates: watch::Receiver<Arc<Node>>,
        first_delay: Duration,
        gone: CancellationToken,
    ) -> Self {
        let (name, metrics) = (node.name.as_str(), &tick.parts.metrics);
        let phase = phase(name);
        let page = tick.records.open(&node.name);
        let mut generations = tick.in_force.subscribe();
        let in_force = Arc::clone(&generations.borrow_and_update());
        Self {
            tick: Arc::clone(tick),
            first_delay: first_delay.mul_f64(phase),
            phase: tick.config.resolution.mul_f64(phase),
            duration: metrics.kubelet_request_duration.with_label_values(&[name]),
            last_request: metrics.kubelet_last_request.with_label_values(&[name]),
            scraper: NodeScraper::new(Arc::clone(&tick.parts.client), Arc::clone(&node)),
            rule: Rule { tick: Arc::clone(tick), node, generations, in_force, recomputing: Arc::default(), gone },
            updates,
            decided_by: None,
            page,
            failing: None,
            is_garbled: false,
        }
    }

    /// Asks until the node is gone. While the gateway shuts down, what it knows is served to the last request.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let gone = self.rule.gone.clone();
        let mut due = UnixNanos(self.parts().clock.now().0.saturating_add(nanos(self.first_delay)));
        let mut wake = Instant::now() + self.first_delay;
        loop {
            self.page.lock().next_at = due;
            let answered = tokio::select! {
                () = gone.cancelled() => break,
                answered = self.next_answer(wake) => answered,
            };
            // This is not broken off: what is being stored would be stored after the node is forgotten.
            if let Some(answered) = answered {
                let span = self.span();
                self.finish(answered).instrument(span).await;
            }
            let now = self.parts().clock.now();
            due = moment_after(due.max(now), self.phase, self.tick.config.resolution);
            wake = Instant::now() + due.since(now);
        }
        if !stop.is_cancelled() {
            self.leave().await;
        }
    }

    /// Follows the node and its policies until the moment comes, and then asks; None where it is not to be asked.
    async fn next_answer(&mut self, moment: Instant) -> Option<Answered> {
        loop {
            if !self.decided_by.as_ref().is_some_and(|by| Arc::ptr_eq(by, &self.rule.in_force)) {
                self.decide().await;
            }
            tokio::select! {
                () = tokio::time::sleep_until(moment) => break,
                Ok(()) = self.updates.changed() => {
                    self.rule.node = Arc::clone(&self.updates.borrow_and_update());
                    self.decided_by = None;
                }
                Ok(()) = self.rule.generations.changed() => self.rule.adopt(),
            }
        }
        if self.scraper.skipped().is_some() {
            return None;
        }
        let span = self.span();
        Some(self.ask().instrument(span).await)
    }

    /// What is told of a scrape is told as of its node. Where it is not told, the span costs a look at a flag.
    fn span(&self) -> Span {
        debug_span!("scrape", node = %self.rule.node.name)
    }

    /// Decides where the node is asked.
    async fn decide(&mut self) {
        let (node, tenants) = (Arc::clone(&self.rule.node), Arc::clone(&self.rule.in_force));
        let (candidates, voice) = self.rule.candidates().await;
        let was_skipped = self.scraper.skipped().is_some();
        let pool = tenants.pool_of(&node).map(|pool| Arc::clone(&pool.name));
        let decision = Decision { generation: tenants.generation, pool, candidates: candidates.clone(), voice };
        self.page.lock().decision = Some(decision);
        self.scraper.update(Arc::clone(&node), candidates);
        self.decided_by = Some(tenants);
        match self.scraper.skipped() {
            Some(reason) if !was_skipped => {
                info!(node = %node.name, %reason, "node is not asked; what was served of it is withdrawn");
                self.parts().metrics.nodes_skipped.inc();
                self.set_failing(None);
                self.page.lock().trouble = None;
                self.rule.forget().await;
            }
            None if was_skipped => {
                info!(node = %node.name, "node is not skipped any more");
                self.parts().metrics.nodes_skipped.dec();
            }
            _ => {}
        }
    }

    /// Asks the kubelet. Meanwhile a new generation is followed, as far as that does not need the scraper.
    async fn ask(&mut self) -> Answered {
        let tick = Arc::clone(&self.tick);
        let (scraper, rule, page) = (&mut self.scraper, &mut self.rule, &self.page);
        let asking = async {
            let permit = Arc::clone(&tick.permits).acquire_owned().await.expect("nobody closes the semaphore");
            let asked_at = tick.parts.clock.now();
            page.lock().asked_at = Some(asked_at);
            Answered { asked_at, outcome: scraper.scrape().await, _permit: permit }
        };
        let mut asking = pin!(asking);
        loop {
            tokio::select! {
                answered = &mut asking => return answered,
                Ok(()) = rule.generations.changed() => rule.adopt(),
            }
        }
    }

    /// Stores what was answered, and says what there is to say of it.
    async fn finish(&mut self, Answered { asked_at, outcome, _permit }: Answered) {
        let answered_at = self.parts().clock.now();
        self.duration.observe(answered_at.since(asked_at).as_secs_f64());
        self.last_request.set(asked_at.seconds() as f64);
        let outcome = match outcome {
            Ok(answer) => self.take_in(answer, asked_at, answered_at).await,
            Err(error) => Err(error),
        };
        let failure = outcome.as_ref().err().map(|error| (error.reason(), error.to_string()));
        self.page.lock().note_outcome(answered_at, failure);
        self.report(outcome.as_ref().err());
        if outcome.is_err() {
            let name = self.rule.node.name.clone();
            self.rule.in_store("counting a missed answer", move |store| store.miss(&name, answered_at)).await;
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
        let tick = Arc::clone(&self.tick);
        let (node, tenants) = (Arc::clone(&self.rule.node), Arc::clone(&self.rule.in_force));
        let reading = Reading { form: answer.form, asked_at, timestamp: self.tick.timestamp };
        let (is_short, may_wait) = (answer.body.len() <= AT_ONCE, self.rule.may_wait_for_guests());
        self.parts().metrics.scrape_bytes.inc_by(answer.body.len() as u64);
        let span = Span::current();
        let decode = move || -> Result<(LeftOut, Put), ScrapeError> {
            let _scrape = span.enter();
            let batch = decode::batch(&answer.body, reading)?;
            let judges = Judges::of(&tenants, &*tick.parts.cluster, &node);
            Ok((batch.left_out, tick.parts.store.put(&node.name, &batch, answered_at, judges.as_ref())))
        };
        let decoded = match (may_wait, is_short) {
            (true, _) => self.tick.workers.run(decode).await,
            (false, true) => Ok(decode()),
            (false, false) => tokio::task::spawn_blocking(decode).await,
        };
        let (left_out, put) =
            decoded.map_err(|error| ScrapeError::BrokenOff(format!("decoding ended early: {error}")))??;
        self.count(left_out, put);
        Ok(())
    }

    fn count(&mut self, left_out: LeftOut, put: Put) {
        {
            let mut page = self.page.lock();
            (page.left_out, page.put) = (left_out, put);
        }
        let metrics = Arc::clone(&self.parts().metrics);
        let was_garbled = std::mem::replace(&mut self.is_garbled, left_out.bad_lines > 0);
        metrics.bad_lines.inc_by(u64::from(left_out.bad_lines));
        let reasons = [
            ("incomplete", left_out.incomplete_pods),
            ("waiting", put.waiting),
            ("counter-fell", put.fell),
            ("on-another-node", put.elsewhere),
            ("withheld", put.withheld),
            ("unknown", put.unknown),
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
    async fn leave(mut self) {
        self.set_failing(None);
        if self.scraper.skipped().is_some() {
            self.parts().metrics.nodes_skipped.dec();
        }
        self.rule.forget().await;
        self.tick.records.close(&self.rule.node.name, &self.page);
        self.parts().metrics.forget_node(self.rule.node.name.as_str());
    }

    fn parts(&self) -> &Parts {
        &self.tick.parts
    }
}

/// What a kubelet said, or why it did not.
struct Answered {
    asked_at: UnixNanos,
    outcome: Result<Answer, ScrapeError>,
    /// Until it is stored, as bodies take memory.
    _permit: OwnedSemaphorePermit,
}

/// The generation that a node goes by.
struct Rule {
    tick: Arc<Tick>,
    node: Arc<Node>,
    generations: watch::Receiver<Arc<Tenants>>,
    in_force: Arc<Tenants>,
    /// Shared with those who apply a generation to what the store holds of the node.
    recomputing: Arc<()>,
    gone: CancellationToken,
}

impl Rule {
    /// Goes by the newest generation from now on. What the store holds is judged anew soon, unless neither the old nor the
    /// new generation judges anything.
    fn adopt(&mut self) {
        let newest = Arc::clone(&self.generations.borrow_and_update());
        let before = std::mem::replace(&mut self.in_force, newest);
        if before.judge_samples() || self.in_force.judge_samples() {
            let recompute = recompute(Arc::clone(&self.tick), Arc::clone(&self.node), Arc::clone(&self.recomputing));
            let gone = self.gone.clone();
            self.tick.parts.tasks.spawn(async move {
                tokio::select! {
                    () = gone.cancelled() => {}
                    () = recompute => {}
                }
            });
        }
    }

    /// Where the node is asked.
    async fn candidates(&self) -> (Result<Vec<Candidate>, NoAddress>, Voice) {
        let (tenants, node) = (Arc::clone(&self.in_force), Arc::clone(&self.node));
        if tenants.pool_of(&node).is_none_or(|pool| pool.address.is_none()) {
            return (tenants.addresses.candidates(&node), Voice::BuiltIn);
        }
        let decided = self.tick.workers.run(move || tenants.of_node(&node).address.candidates_and_voice(&node)).await;
        decided.unwrap_or_else(|error| {
            error!(node = %self.node.name, %error, "address policy ended early; asking at the preferred addresses");
            (self.in_force.addresses.candidates(&self.node), Voice::Fallback)
        })
    }

    /// Whether the store may be, or come to be, at work on the node for as long as guests take.
    fn may_wait_for_guests(&self) -> bool {
        self.in_force.judge_samples() || Arc::strong_count(&self.recomputing) > 1
    }

    async fn forget(&self) {
        let name = self.node.name.clone();
        self.in_store("forgetting it", move |store| store.forget(&name)).await;
    }

    /// Does something to the store, not on the reactor if it may take long.
    async fn in_store(&self, what: &'static str, work: impl FnOnce(&Store) + Send + 'static) {
        if !self.may_wait_for_guests() {
            return work(&self.tick.parts.store);
        }
        let tick = Arc::clone(&self.tick);
        if let Err(error) = self.tick.workers.run(move || work(&tick.parts.store)).await {
            error!(node = %self.node.name, %error, "{what} in the store ended early");
        }
    }
}

/// Applies the policies in force to what the store holds of a node: the newest, as others may have come meanwhile.
async fn recompute(tick: Arc<Tick>, node: Arc<Node>, at_work: Arc<()>) {
    let (theirs, name) = (Arc::clone(&tick), node.name.clone());
    let work = move || {
        let _at_work = at_work;
        let tenants = Arc::clone(&theirs.in_force.borrow());
        let judges = Judges::of(&tenants, &*theirs.parts.cluster, &node);
        theirs.parts.store.recompute(&node.name, judges.as_ref());
    };
    if let Err(error) = tick.workers.run(work).await {
        error!(node = %name, %error, "applying a new generation ended early; its next scrape will");
    }
}

#[cfg(test)]
mod tests;
