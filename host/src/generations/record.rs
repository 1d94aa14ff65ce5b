//! What is on record of generations: which is in force, since when, what it says, and why the next was refused.
//!
//! In: what [`Generations`](super::Generations) does. Out: snapshots for those who ask.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::config::policies::PoliciesConfig;
use crate::model::units::UnixNanos;
use crate::plugins::load::Facts;

/// The latest [`Snapshot`].
#[derive(Default)]
pub struct Record(Mutex<Arc<Snapshot>>);

/// How things stood at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The generation in force.
    pub number: u64,
    /// Since when.
    pub since: UnixNanos,
    /// What its part of gateway.toml says.
    pub policies: PoliciesConfig,
    /// Its plugins.
    pub plugins: Facts,
    /// Why the next is not in force, if one was refused.
    pub refusal: Option<Refused>,
}

/// Attempts that were refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// Every problem.
    pub problems: Vec<String>,
    /// When it was first refused for them.
    pub since: UnixNanos,
    /// When it was last.
    pub last: UnixNanos,
    /// How many times.
    pub times: u64,
}

impl Record {
    /// Of a gateway without gateway.toml: the built-in policies, since its start.
    pub fn built_in(now: UnixNanos) -> Self {
        Self(Mutex::new(Arc::new(Snapshot { number: 1, since: now, ..Snapshot::default() })))
    }

    /// How things stand.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.0.lock())
    }

    pub(super) fn put_in_force(&self, number: u64, now: UnixNanos, policies: PoliciesConfig, plugins: Facts) {
        *self.0.lock() = Arc::new(Snapshot { number, since: now, policies, plugins, refusal: None });
    }

    pub(super) fn refuse(&self, number: u64, now: UnixNanos, problems: Vec<String>) {
        let mut known = self.0.lock();
        let before = known.refusal.as_ref().filter(|before| before.problems == problems);
        let (since, times) = before.map_or((now, 0), |before| (before.since, before.times));
        let refusal = Some(Refused { problems, since, last: now, times: times + 1 });
        // Where nothing is in force yet, the built-in policies come with their refusal.
        let since = if known.since == UnixNanos::ZERO { now } else { known.since };
        *known = Arc::new(Snapshot { number, since, refusal, ..Snapshot::clone(&known) });
    }

    pub(super) fn mend(&self) {
        let mut known = self.0.lock();
        *known = Arc::new(Snapshot { refusal: None, ..Snapshot::clone(&known) });
    }
}
