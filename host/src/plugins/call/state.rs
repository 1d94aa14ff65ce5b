//! What belongs to one instance while it is asked: its room, its time, and where its lines go.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use wasmtime::{ResourceLimiter, UpdateDeadline};

use super::super::wit::metrics_gateway::policy::{log, types};
use super::lines::Lines;
use super::{Level, PluginError};
use crate::config::policies::{PluginLimits, WALL_PER_CPU};

/// What the functions that a guest imports, and its limits, know of it.
pub(in super::super) struct State {
    pub(super) room: Room,
    pub(super) time: Time,
    /// Bytes that an answer may take up.
    pub(super) output: usize,
    lines: Arc<Lines>,
}

impl State {
    pub(super) fn new(limits: &PluginLimits, budget: Duration, lines: Arc<Lines>) -> Self {
        Self { room: Room::new(limits), time: Time::begin(budget), output: limits.output, lines }
    }

    /// Another call begins in the same instance.
    pub(super) fn begin_again(&mut self, budget: Duration) {
        self.time = Time::begin(budget);
        self.room.refusal = None;
    }
}

impl log::Host for State {
    fn log(&mut self, level: Level, message: String) {
        self.lines.write(level, &message, Instant::now());
    }
}

// The contract's nouns: an interface without functions.
impl types::Host for State {}

/// CPU time of this thread.
pub(super) fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// How long a call may take. It must be begun, and checked, on the thread that makes the call.
pub(super) struct Time {
    budget: Duration,
    began_at: Duration,
    began: Instant,
    overrun: Option<PluginError>,
}

impl Time {
    fn begin(budget: Duration) -> Self {
        Self { budget, began_at: thread_time(), began: Instant::now(), overrun: None }
    }

    /// Asked of a running guest at every tick of the engine; an error ends it.
    pub(super) fn check(&mut self) -> wasmtime::Result<UpdateDeadline> {
        let limit = self.budget.saturating_mul(WALL_PER_CPU);
        if thread_time().saturating_sub(self.began_at) > self.budget {
            self.overrun = Some(PluginError::Cpu { budget: self.budget });
        } else if self.began.elapsed() > limit {
            self.overrun = Some(PluginError::Wall { limit });
        }
        match &self.overrun {
            None => Ok(UpdateDeadline::Continue(1)),
            Some(overrun) => Err(wasmtime::Error::msg(overrun.to_string())),
        }
    }

    pub(super) fn overrun(&self) -> Option<&PluginError> {
        self.overrun.as_ref()
    }
}

/// How much memory, and how many elements of tables, an instance has and may have: sums over all that it has of each.
pub(super) struct Room {
    memory: Share,
    elements: Share,
    instances: usize,
    /// The first growth that was refused in this call, in words.
    refusal: Option<String>,
}

/// One sum with its limit.
struct Share {
    most: usize,
    now: usize,
}

impl Share {
    fn new(most: usize) -> Self {
        Self { most, now: 0 }
    }

    /// Whether something may grow from `current` to `desired`; if so, it is counted. It stays counted where the system
    /// then cannot follow: a failure is reported also of growths that were never asked for here, so that a guest could
    /// have its real ones taken back.
    fn grows(&mut self, current: usize, desired: usize) -> Result<(), usize> {
        let added = desired.saturating_sub(current);
        let wanted = self.now.saturating_add(added);
        if wanted > self.most {
            return Err(wanted);
        }
        self.now = wanted;
        Ok(())
    }
}

impl Room {
    fn new(limits: &PluginLimits) -> Self {
        Self {
            memory: Share::new(limits.memory),
            elements: Share::new(limits.table_elements),
            instances: limits.instances,
            refusal: None,
        }
    }

    /// Bytes of linear memory. They never become fewer while the instance lives.
    pub(super) fn memory(&self) -> usize {
        self.memory.now
    }

    pub(super) fn refusal(&self) -> Option<&str> {
        self.refusal.as_deref()
    }

    fn refuse(&mut self, refusal: String) {
        self.refusal.get_or_insert(refusal);
    }
}

impl ResourceLimiter for Room {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            // Its own maximum, which it wrote down itself: not our refusal.
            return Ok(false);
        }
        let grown = self.memory.grows(current, desired);
        if let Err(wanted) = grown {
            let most = self.memory.most;
            self.refuse(format!("wanted {} KiB of memory and may have {} KiB", wanted >> 10, most >> 10));
        }
        Ok(grown.is_ok())
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        self.refuse(format!("could not be given more memory: {error:#}"));
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let grown = self.elements.grows(current, desired);
        if let Err(wanted) = grown {
            let most = self.elements.most;
            self.refuse(format!("wanted {wanted} elements in tables and may have {most}"));
        }
        Ok(grown.is_ok())
    }

    fn table_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        self.refuse(format!("could not be given room in a table: {error:#}"));
        Ok(())
    }

    fn instances(&self) -> usize {
        self.instances
    }
}

#[cfg(test)]
mod tests;
