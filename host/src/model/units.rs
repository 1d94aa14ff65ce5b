//! Numbers that know their unit. All are `u64`, all arithmetic on them is checked or saturating, and none can be
//! taken for another.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A point in time: nanoseconds since the Unix epoch. Good until the year 2554.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixNanos(pub u64);

impl UnixNanos {
    /// The epoch itself; stands for "unknown" where a field's documentation says so.
    pub const ZERO: Self = Self(0);

    /// Milliseconds since the epoch, as the kubelet's text format writes them. None beyond the year 2554.
    pub fn from_millis(millis: u64) -> Option<Self> {
        millis.checked_mul(1_000_000).map(Self)
    }

    /// A system time; times before the epoch count as the epoch.
    pub fn from_system(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }

    /// The time from `earlier` to `self`; zero if `earlier` is in fact later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// Whole seconds since the epoch, truncated.
    pub fn seconds(self) -> u64 {
        self.0 / 1_000_000_000
    }
}

/// Core time that was used: nanoseconds of one core, since the start of what was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CpuNanoseconds(pub u64);

/// A CPU rate: billionths of one core.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nanocores(pub u64);

/// An amount of memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

/// The time that a usage covers, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WindowNanos(pub u64);

#[cfg(test)]
mod tests;
