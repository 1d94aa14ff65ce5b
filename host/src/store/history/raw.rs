//! As many samples of one container or node as its window policy wants to look back on.
//!
//! Unlike the latest two, these are what the kubelet said and nothing else: they span restarts, and a young container
//! has no invented sample at its start. They outlive the policy that wanted them by [`GRACE`], so that an operator who
//! takes a change back finds the past as it was.

use std::time::Duration;

use super::Keeping;
use crate::model::Sample;
use crate::model::units::UnixNanos;

/// An hour, the longest history a policy may ask for, at the shortest interval at which kubelets have something new.
const MOST: usize = 720;

/// For how long samples are kept after nobody wants them any more.
const GRACE: Duration = Duration::from_secs(600);

/// Oldest first, times strictly rising.
pub(super) struct RawSeries {
    samples: Vec<Sample>,
    /// How far back they were wanted last.
    span: Duration,
    wanted_at: UnixNanos,
}

impl RawSeries {
    /// Begins with what is known already, but for a start at which nothing was read.
    pub(super) fn begun_with(latest: &[Sample]) -> Self {
        let is_reading = |sample: &&Sample| sample.taken_at != sample.started_at;
        let samples = latest.iter().filter(is_reading).copied().collect();
        Self { samples, span: Duration::ZERO, wanted_at: UnixNanos::ZERO }
    }

    /// Adds a reading; whether the series is still of use to anybody.
    pub(super) fn push(&mut self, sample: Sample, keeping: Keeping) -> bool {
        if keeping.span > Duration::ZERO {
            (self.span, self.wanted_at) = (keeping.span, keeping.now);
        }
        // A clock that was set back must not prolong what is kept.
        self.wanted_at = self.wanted_at.min(keeping.now);
        while self.samples.last().is_some_and(|last| last.taken_at >= sample.taken_at) {
            self.samples.pop();
        }
        if self.samples.len() == self.samples.capacity() {
            // Doubling would leave half of it empty, for every container.
            self.samples.reserve_exact((self.samples.len() / 4).max(4));
        }
        self.samples.push(sample);
        self.samples.drain(..start_of(&self.samples, self.span));
        keeping.now.since(self.wanted_at) <= GRACE
    }

    /// Those that lie within `span` of the newest; the latest two in any case, as one alone makes no rate.
    pub(super) fn within(&self, span: Duration) -> &[Sample] {
        &self.samples[start_of(&self.samples, span)..]
    }
}

fn start_of(samples: &[Sample], span: Duration) -> usize {
    let Some(newest) = samples.last() else { return 0 };
    let is_too_old = |sample: &Sample| newest.taken_at.since(sample.taken_at) > span;
    let within = samples.partition_point(is_too_old).min(samples.len().saturating_sub(2));
    within.max(samples.len().saturating_sub(MOST))
}

#[cfg(test)]
mod tests;
