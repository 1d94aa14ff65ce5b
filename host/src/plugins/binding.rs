//! A plugin bound to a hook of one tenant or node pool: one question after another, whatever the plugin does.
//!
//! In: a question, and how to check its answer. Out: the checked answer, or None: then the hook's fallback serves. A
//! question is not even asked when the tenant's CPU time for the tick is used up ([`Allowance`]), or when the plugin has
//! failed too often of late ([`Breaker`]). What becomes of each is counted ([`Account`]); operators are told once when a
//! binding begins to fail and once when it is well again ([`Condition`]), and of every opening and closing of the breaker.
//!
//! Many nodes are asked about at a time, from as many threads: locks are held for a few instructions, never during a call.
//! A reload that changes nothing about a binding keeps its [`State`], so that it does not reset an open breaker.
//!
//! Absent on purpose: what is asked and what is right (`address`, `filter`, `window`), and the sandbox (`call`).

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use prometheus::IntGauge;
use tracing::{debug, debug_span, info, warn};

use super::account::Account;
use super::allowance::Allowance;
use super::artifact::Hook;
use super::breaker::{Breaker, Change, End, Ticket};
use super::call::{Called, Caller, Failed, PluginError};
use super::condition::Condition;
use super::line::line;
use crate::model::policy::{Failing, Standing};
use crate::telemetry::news::News;
use crate::telemetry::rows::Row;

/// Who answers: a plugin with its settings. Tests put doubles in its place.
pub trait Guest: Send + Sync {
    /// An answer could not be believed: instances that are kept for reuse are not to be asked again.
    fn distrust(&self) {}

    /// How many lines of its log were left out so far.
    fn dropped_lines(&self) -> u64 {
        0
    }
}

impl Guest for Caller {
    fn distrust(&self) {
        self.forget_instances();
    }

    fn dropped_lines(&self) -> u64 {
        Self::dropped_lines(self)
    }
}

/// Whose policies they are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    /// A tenant, by its name; the default tenant too.
    Tenant(Arc<str>),
    /// A node pool, by its name.
    NodePool(Arc<str>),
}

impl Owner {
    /// As metrics have it: a tenant and a node pool of one name are told apart.
    pub fn label(&self) -> String {
        match self {
            Self::Tenant(name) => name.to_string(),
            Self::NodePool(name) => format!("node-pool/{name}"),
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tenant(name) => write!(f, "tenant {name:?}"),
            Self::NodePool(name) => write!(f, "node pool {name:?}"),
        }
    }
}

/// Which policy it is, for those who read the log.
#[derive(Clone, Debug)]
pub struct Role {
    /// Where it decides.
    pub hook: Hook,
    /// The plugin's name in gateway.toml.
    pub plugin: Arc<str>,
    /// For whom.
    pub owner: Owner,
    /// What serves in its place, as the end of "fell back to …".
    pub fallback: &'static str,
}

impl Role {
    fn hook(&self) -> &'static str {
        match self.hook {
            Hook::Address => "address",
            Hook::Filter | Hook::FilterByValue => "filter",
            Hook::Window => "window",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} policy {:?} of {}", self.hook(), self.plugin, self.owner)
    }
}

/// What a binding remembers of its plugin; outlives a generation if the next one has the same binding.
#[derive(Debug, Default)]
pub struct State(Mutex<(Breaker, Condition, Option<Failure>)>);

/// What went wrong last.
#[derive(Debug)]
struct Failure {
    kind: &'static str,
    text: String,
}

/// The parts of a binding that it shares with others, or with the generation before.
pub struct Shared {
    /// What it remembers.
    pub state: Arc<State>,
    /// The CPU time of its owner.
    pub allowance: Arc<Allowance>,
    /// What is counted.
    pub account: Arc<Account>,
    /// Tells version and digest of the plugin for as long as it is bound.
    pub info: Row<IntGauge>,
}

/// Says what time it is; a clock that never goes back.
pub type Stopwatch = Arc<dyn Fn() -> Instant + Send + Sync>;

/// A plugin, bound.
pub struct Binding<G = Caller> {
    guest: G,
    role: Role,
    shared: Shared,
    stopwatch: Stopwatch,
    /// A plugin is well again when it has not failed for this long.
    quiet: Duration,
    /// Of the lines that the guest dropped, those that are counted.
    dropped_lines: AtomicU64,
}

/// Why an answer cannot be believed: where, what it says, what it may say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadAnswer(pub String);

/// Test-only view of the double behind a binding.
#[cfg(test)]
impl<G> Binding<G> {
    pub(super) fn guest(&self) -> &G {
        &self.guest
    }
}

/// A fault names a pod, and a pod's name comes from its kubelet.
const LONGEST_FAULT: usize = 1024;

impl<G: Guest> Binding<G> {
    /// A binding that asks `guest`. A node that fails does so once in a `resolution`, so being well takes two of them.
    pub fn new(guest: G, role: Role, shared: Shared, resolution: Duration, stopwatch: Stopwatch) -> Self {
        const SHORTEST_QUIET: Duration = Duration::from_secs(60);
        Self {
            guest,
            role,
            shared,
            stopwatch,
            quiet: (resolution * 2).max(SHORTEST_QUIET),
            dropped_lines: AtomicU64::new(0),
        }
    }

    /// Which policy it is.
    pub fn role(&self) -> &Role {
        &self.role
    }

    /// How it fares.
    pub fn standing(&self) -> Standing {
        let now = (self.stopwatch)();
        let state = self.shared.state.0.lock();
        let (breaker, condition, failure) = &*state;
        let failing = match *condition {
            Condition::Well => None,
            Condition::Failing { since, last, times } => Some(Failing {
                began: now.saturating_duration_since(since),
                last: now.saturating_duration_since(last),
                times,
                kind: failure.as_ref().map_or("", |failure| failure.kind),
                text: failure.as_ref().map(|failure| failure.text.clone()).unwrap_or_default(),
            }),
        };
        Standing {
            hook: self.role.hook(),
            plugin: Arc::clone(&self.role.plugin),
            owner: self.role.owner.label(),
            fallback: self.role.fallback,
            breaker: breaker.position().word(),
            open_for: breaker.open_for(now),
            failing,
        }
    }

    /// Asks about a node, or about what runs on it. None: the plugin was not asked, or gave no answer that can be
    /// believed.
    pub fn ask<T, A>(
        &self,
        node: &str,
        question: impl FnOnce(&G) -> Result<Called<T>, Failed>,
        check: impl FnOnce(T) -> Result<A, BadAnswer>,
    ) -> Option<A> {
        let Role { plugin, owner, .. } = &self.role;
        let _span = debug_span!("plugin", %plugin, tenant = %owner.label(), hook = self.role.hook()).entered();
        let began = (self.stopwatch)();
        if !self.shared.allowance.is_left(began) {
            self.run_short(node, began);
            return None;
        }
        let Some(ticket) = self.admit(began) else {
            self.shared.account.count("breaker");
            return None;
        };
        let called = question(&self.guest);
        let ended = (self.stopwatch)();
        self.charge(&called, began, ended);
        let answer = match called {
            Ok(called) => check(called.answer).map_err(|BadAnswer(text)| {
                self.guest.distrust();
                PluginError::BadOutput(line(&text, LONGEST_FAULT))
            }),
            Err(failed) => Err(failed.error),
        };
        self.report(ticket, answer.as_ref().err(), node, ended);
        answer.ok()
    }

    fn admit(&self, now: Instant) -> Option<Ticket> {
        let mut state = self.shared.state.0.lock();
        let before = state.0.position();
        let ticket = state.0.admit(now);
        if state.0.position() != before {
            self.shared.account.show(state.0.position());
        }
        ticket
    }

    fn charge<T>(&self, called: &Result<Called<T>, Failed>, began: Instant, ended: Instant) {
        let (cpu, memory) = match called {
            Ok(called) => (called.cpu, called.memory),
            Err(failed) => (failed.cpu, failed.memory),
        };
        self.shared.allowance.charge(cpu, ended);
        self.shared.account.charge(ended.saturating_duration_since(began), cpu, memory);
        let dropped = self.guest.dropped_lines();
        let counted = self.dropped_lines.fetch_max(dropped, Ordering::Relaxed);
        self.shared.account.drop_lines(dropped.saturating_sub(counted));
    }

    /// The tenant's CPU time is used up.
    fn run_short(&self, node: &str, now: Instant) {
        self.shared.account.count("allowance");
        let per_tick = self.shared.allowance.per_tick();
        let is_news = {
            let mut state = self.shared.state.0.lock();
            let text = format!("was not asked: the {per_tick:?} of CPU time of its owner for the tick are used up");
            state.2 = Some(Failure { kind: "allowance", text });
            state.1.fail(now)
        };
        if is_news {
            let Self { role, .. } = self;
            warn!(
                kind = "allowance",
                "{role} was not asked about node {node:?}: the plugins of {} have used up their {per_tick:?} of CPU time \
                 for this tick; fell back to {}",
                role.owner,
                role.fallback
            );
        }
    }

    fn report(&self, ticket: Ticket, error: Option<&PluginError>, node: &str, now: Instant) {
        let outcome = error.map_or("ok", PluginError::kind);
        self.shared.account.count(outcome);
        let end = if error.is_some() { End::Badly } else { End::Well };
        // Lines are written when the lock is gone: writing may take its time.
        let (change, began, recovery) = {
            let mut state = self.shared.state.0.lock();
            let (breaker, condition, failure) = &mut *state;
            let change = breaker.report(ticket, end, now);
            self.shared.account.show(breaker.position());
            match error {
                Some(error) => {
                    let text = line(&error.to_string(), LONGEST_FAULT);
                    *failure = Some(Failure { kind: error.kind(), text });
                    (change, condition.fail(now), None)
                }
                None => (change, false, condition.answer(now, self.quiet)),
            }
        };
        let Self { role, .. } = self;
        let fallback = role.fallback;
        match error {
            Some(error) if began => {
                warn!(kind = outcome, "{role}, asked about node {node:?}, {error}; fell back to {fallback}");
            }
            Some(error) => debug!(kind = outcome, "{role}, asked about node {node:?}, {error}"),
            None => {}
        }
        if let Some(recovery) = recovery {
            let (times, lasted) = (recovery.times, recovery.lasted.as_secs());
            info!("{role} is well again: it had failed, or not been asked, {times} times within {lasted} s");
        }
        match change {
            Some(Change::Opened(pause)) => {
                let seconds = pause.as_secs();
                warn!(
                    kind = outcome,
                    "{role} keeps failing: it is not asked for {seconds} s, falling back to {fallback}"
                );
                let failure = error.map_or_else(String::new, |error| line(&error.to_string(), LONGEST_FAULT));
                let (policy, fallback) = (role.to_string(), fallback.to_owned());
                self.shared.account.tell(|| News::BreakerOpened { policy, pause, failure, fallback });
            }
            Some(Change::Closed) => {
                info!("{role} answers again: it is asked as before");
                self.shared.account.tell(|| News::BreakerClosed { policy: role.to_string() });
            }
            None => {}
        }
    }
}

#[cfg(test)]
pub(super) mod bench;
#[cfg(test)]
mod tests;
