//! The lines that a plugin logs: each short, and not too many.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::super::line::line;
use super::Level;

/// Where the lines go that plugins log. What comes in has at most 1,024 bytes and no control characters, and of one
/// [`Caller`](super::Caller) not more than 20 come in a second.
pub trait Log: Send + Sync {
    /// Writes one line.
    fn log(&self, level: Level, message: &str);
}

/// `log.log`: of a message only so many bytes are kept.
const LENGTH: usize = 1024;
/// `log.log`: of a plugin only so many lines are kept in each [`PERIOD`].
const RATE: u32 = 20;
const PERIOD: Duration = Duration::from_secs(1);

/// The lines of one caller.
pub(super) struct Lines {
    log: Arc<dyn Log>,
    period: Mutex<Period>,
    dropped: AtomicU64,
}

struct Period {
    began: Instant,
    lines: u32,
}

impl Lines {
    pub(super) fn new(log: Arc<dyn Log>) -> Self {
        let period = Mutex::new(Period { began: Instant::now(), lines: 0 });
        Self { log, period, dropped: AtomicU64::new(0) }
    }

    pub(super) fn write(&self, level: Level, message: &str, now: Instant) {
        if self.period.lock().has_room(now) {
            self.log.log(level, &line(message, LENGTH));
        } else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl Period {
    fn has_room(&mut self, now: Instant) -> bool {
        if now.saturating_duration_since(self.began) >= PERIOD {
            *self = Self { began: now, lines: 0 };
        }
        self.lines += 1;
        // Counts no further than it must, so that it cannot overflow.
        self.lines = self.lines.min(RATE + 1);
        self.lines <= RATE
    }
}

#[cfg(test)]
mod tests;
