//! The CPU time that all plugins of one tenant may take in one tick, whoever they are and whatever they decide.
//!
//! In: the time, and what calls took. Out: whether there is something left. A tick is one metric resolution, counted
//! from the first call. A call begins if anything is left, and may take more than that: what it took too much is missing
//! in the next tick, so that over time nobody gets more than his share, however short the allowance and however many
//! calls were under way at once. What was not used up is not saved.
//!
//! Absent on purpose: a clock (times are arguments), and what is done where nothing is left, which is `binding`'s.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The allowance of one tenant or node pool, shared by all its bindings.
#[derive(Debug)]
pub struct Allowance {
    per_tick: Duration,
    tick: Duration,
    spent: Mutex<Spent>,
}

#[derive(Debug, Default)]
struct Spent {
    /// When the current tick began; None: nothing was ever asked.
    began: Option<Instant>,
    /// CPU time taken in it, and what was taken too much before.
    used: Duration,
}

impl Allowance {
    /// So much CPU time in each `tick`, which is longer than nothing.
    pub fn new(per_tick: Duration, tick: Duration) -> Self {
        Self { per_tick, tick: tick.max(Duration::from_millis(1)), spent: Mutex::default() }
    }

    /// What may be taken in one tick.
    pub fn per_tick(&self) -> Duration {
        self.per_tick
    }

    /// Whether another call may begin.
    pub fn is_left(&self, now: Instant) -> bool {
        self.brought_up_to(now).used < self.per_tick
    }

    /// Takes note of what a call took, answer or not.
    pub fn charge(&self, cpu: Duration, now: Instant) {
        let mut spent = self.brought_up_to(now);
        spent.used = spent.used.saturating_add(cpu);
    }

    fn brought_up_to(&self, now: Instant) -> parking_lot::MutexGuard<'_, Spent> {
        let mut spent = self.spent.lock();
        let began = *spent.began.get_or_insert(now);
        let ticks = now.saturating_duration_since(began).as_nanos() / self.tick.as_nanos();
        if ticks > 0 {
            let ticks = u32::try_from(ticks).unwrap_or(u32::MAX);
            spent.used = spent.used.saturating_sub(self.per_tick.saturating_mul(ticks));
            // After so many ticks that they cannot be counted, the tick begins now.
            spent.began = Some(began + self.tick.saturating_mul(ticks)).filter(|began| *began <= now).or(Some(now));
        }
        spent
    }
}

#[cfg(test)]
mod tests;
