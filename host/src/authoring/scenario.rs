//! Ten minutes in the life of a container, made up: what it truly used, and what its kubelet reported of it.
//!
//! Out: a [`Scenario`], the same on every machine and at every call, to show what window policies make of it. The truth has
//! one point per second; a reading is taken every 15 s, and its CPU counter is the integral of the truth.
//!
//! Absent on purpose: policies, drawing, true randomness.

use std::ops::Range;

use super::question::EPOCH;
use crate::model::Sample;
use crate::model::units::{Bytes, CpuNanoseconds, Nanocores, UnixNanos};

/// How long a scenario takes, in seconds.
pub const LENGTH: u64 = 600;
/// How often the kubelet is asked, in seconds: the gateway's default.
pub const READ_EVERY: u64 = 15;

/// The scenarios there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// Quiet, but for 20 s of two cores.
    Spike,
    /// A slow rise over five minutes, and a fall.
    Ramp,
    /// The container restarts, and warms up.
    Restart,
    /// The kubelet cannot be read for two minutes.
    Gap,
    /// From one level to another, several times.
    Steps,
    /// A level with noise around it.
    Noise,
}

impl Kind {
    /// Each with its name and what happens, as a title says it.
    pub const ALL: [(&'static str, Self, &'static str); 6] = [
        ("spike", Self::Spike, "20 s at two cores"),
        ("ramp", Self::Ramp, "a rise over five minutes, then a fall"),
        ("restart", Self::Restart, "gone for four seconds, then a warm-up"),
        ("gap", Self::Gap, "two minutes without readings"),
        ("steps", Self::Steps, "from level to level"),
        ("noise", Self::Noise, "a level, and noise around it"),
    ];

    /// Its name in commands.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, kind, _)| *kind == self).map_or("", |(name, ..)| name)
    }

    /// What happens.
    pub fn title(self) -> &'static str {
        Self::ALL.iter().find(|(_, kind, _)| *kind == self).map_or("", |(.., title)| title)
    }
}

/// What truly happened, and what was reported.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// Which it is.
    pub kind: Kind,
    /// What was used in each second, from the first on.
    pub truth: Vec<Truth>,
    /// What the kubelet reported, oldest first.
    pub samples: Vec<Sample>,
    /// The second of the restart, if there is one.
    pub restart: Option<u64>,
    /// The seconds without readings, if there are any.
    pub gap: Option<Range<u64>>,
}

/// What was used in one second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Truth {
    /// The CPU rate.
    pub cpu: Nanocores,
    /// The working set.
    pub memory: Bytes,
}

/// A scenario from its name.
pub fn scenario(kind: Kind) -> Scenario {
    let truth: Vec<Truth> = (0..LENGTH).map(|second| truth(kind, second)).collect();
    let restart = (kind == Kind::Restart).then_some(RESTART.start);
    let gap = (kind == Kind::Gap).then_some(GAP);
    let is_read = |second: &u64| gap.as_ref().is_none_or(|gap| !gap.contains(second));
    // The kubelet's own housekeeping is not in step with whoever asks it.
    let seconds = (7..LENGTH).step_by(READ_EVERY as usize);
    let samples = seconds.filter(|second| !RESTART.contains(second) || restart.is_none()).filter(is_read);
    let samples = samples.map(|second| reading(&truth, restart, second)).collect();
    Scenario { kind, truth, samples, restart, gap }
}

/// While the container is down and comes up again.
const RESTART: Range<u64> = 300..304;
const GAP: Range<u64> = 240..360;

/// What the kubelet says at the end of a second.
fn reading(truth: &[Truth], restart: Option<u64>, second: u64) -> Sample {
    let started = restart.filter(|restart| second >= *restart).map_or(0, |_| RESTART.end);
    let (from, to) = (started as usize, second as usize + 1);
    let used: u64 = truth[from..to].iter().map(|second| second.cpu.0).sum();
    // The counter of a container that has run for an hour before the first second began.
    let before = if started == 0 { 600_000_000_000 } else { 0 };
    let age = if started == 0 { 3_600_000_000_000 } else { 0 };
    Sample {
        taken_at: at(second + 1),
        started_at: UnixNanos(at(started).0 - age),
        cpu: CpuNanoseconds(before + used),
        memory: truth[second as usize].memory,
    }
}

/// The time of a second of a scenario.
pub fn at(second: u64) -> UnixNanos {
    UnixNanos(EPOCH.0 + second * 1_000_000_000)
}

fn truth(kind: Kind, second: u64) -> Truth {
    let (millicores, mebibytes) = match kind {
        Kind::Spike => spike(second),
        Kind::Ramp => ramp(second),
        Kind::Restart => restart(second),
        Kind::Gap => gap(second),
        Kind::Steps => steps(second),
        Kind::Noise => noise(second),
    };
    Truth { cpu: Nanocores(millicores * 1_000_000), memory: Bytes(mebibytes << 20) }
}

fn spike(second: u64) -> (u64, u64) {
    match second {
        // Memory that was asked for in a hurry is given back slowly.
        240..260 => (2_000, 180 + (second - 240) * 12),
        260..380 => (200, 420 - (second - 260) * 2),
        _ => (200, 180),
    }
}

fn ramp(second: u64) -> (u64, u64) {
    match second {
        0..120 => (100, 128),
        120..420 => (100 + (second - 120) * 1_400 / 300, 128 + (second - 120) * 384 / 300),
        420..480 => (1_500, 512),
        _ => (100, 256),
    }
}

fn restart(second: u64) -> (u64, u64) {
    match second {
        // A leak, until the kernel ends it.
        0..300 => (400, 200 + second),
        300..304 => (0, 0),
        304..334 => (1_200, 60 + (second - 304) * 2),
        _ => (400, 120 + (second - 334) / 4),
    }
}

fn gap(second: u64) -> (u64, u64) {
    match second {
        0..270 => (300, 200),
        270..330 => (1_500, 360),
        _ => (500, 260),
    }
}

fn steps(second: u64) -> (u64, u64) {
    let levels = [(100, 128), (600, 256), (250, 192), (1_200, 384), (400, 256)];
    levels[(second / 120).min(4) as usize]
}

fn noise(second: u64) -> (u64, u64) {
    // A burst of five seconds now and then, over a level that differs from second to second.
    let burst = if random(second / 5, 1).is_multiple_of(8) { 900 } else { 0 };
    (300 + random(second, 2) % 200 + burst, 220 + random(second / 10, 3) % 60)
}

/// Looks random, and is not: a mix of the bits of a place in a stream (SplitMix64).
fn random(place: u64, stream: u64) -> u64 {
    let mut bits = (place + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ stream.wrapping_mul(0xd1b5_4a32_d192_ed03);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests;
