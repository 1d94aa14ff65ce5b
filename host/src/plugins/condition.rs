//! Whether a binding works, as operators are told of it: once when it begins to fail, once when it is well again.
//!
//! A plugin that fails for one node of a hundred fails and answers in turn, every tick. So it counts as failing from its
//! first failure until it has answered for a whole quiet time without any.
//!
//! Absent on purpose: a clock (times are arguments), and the lines themselves, which are `binding`'s.

use std::time::{Duration, Instant};

/// What operators were last told of a binding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    /// It answers.
    #[default]
    Well,
    /// It fails, not necessarily always.
    Failing {
        /// When it began to.
        since: Instant,
        /// When it last did.
        last: Instant,
        /// How many times it did.
        times: u64,
    },
}

/// The end of a time in which a binding failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// From the first failure to the last.
    pub lasted: Duration,
    /// How many there were.
    pub times: u64,
}

impl Condition {
    /// Takes note of a failure; whether it is the first.
    pub fn fail(&mut self, now: Instant) -> bool {
        match self {
            Self::Well => {
                *self = Self::Failing { since: now, last: now, times: 1 };
                true
            }
            Self::Failing { last, times, .. } => {
                *last = now.max(*last);
                *times = times.saturating_add(1);
                false
            }
        }
    }

    /// Takes note of an answer; what is over, if it came after `quiet` without a failure.
    pub fn answer(&mut self, now: Instant, quiet: Duration) -> Option<Recovery> {
        match *self {
            Self::Failing { since, last, times } if now.saturating_duration_since(last) >= quiet => {
                *self = Self::Well;
                Some(Recovery { lasted: last.saturating_duration_since(since), times })
            }
            Self::Failing { .. } | Self::Well => None,
        }
    }
}

#[cfg(test)]
mod tests;
