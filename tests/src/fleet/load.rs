//! What the simulated containers use: CPU time and memory as functions of time.
//!
//! In: names and a point in time (Unix nanoseconds). Out: [`Sample`]s as a kubelet would have taken them. Everything is
//! computed from the names, so two processes that know the spec and the start of a fleet agree on every figure.
//!
//! CPU time is the integral of the load in closed form, not a sum of steps: the mean rate between two samples is exact
//! whatever lies between them. A sample is taken every housekeeping interval, in a phase of the subject's own, so that
//! a kubelet that is asked twice within an interval repeats itself.

use std::f64::consts::TAU;
use std::time::Duration;

use metrics_gateway::model::Sample;
use metrics_gateway::model::units::{Bytes, CpuNanoseconds, UnixNanos};

use super::{FleetPod, Load};

/// What the kubelet, the runtime and the system use beside the pods.
const SYSTEM: Curve = Curve::Steady { millicores: 100, memory: 1 << 30 };
const MILLISECOND: u64 = 1_000_000;
const PAGE: f64 = 4096.0;

/// What all figures of a fleet depend on, beside names and time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Simulation {
    pub(super) load: Load,
    /// When the fleet began, in whole milliseconds, as samples are.
    pub(super) began_at: UnixNanos,
    /// How long the youngest container has run by then.
    pub(super) age: Duration,
    /// The housekeeping interval.
    pub(super) interval: Duration,
}

impl Simulation {
    /// The load of one container.
    pub(super) fn container(&self, pod: &FleetPod, container: &str) -> Source {
        let seed = hash(&[self.namespace_of(pod), &pod.name, container]);
        let curve = match self.load {
            Load::Steady { millicores, memory } => Curve::Steady { millicores, memory },
            Load::Waves | Load::Twins => Curve::Waves(Waves::new(seed)),
        };
        self.source(seed, curve)
    }

    /// The load of a node beside its pods.
    pub(super) fn system(&self, node: &str) -> Source {
        self.source(hash(&[node]), SYSTEM)
    }

    /// When a pod's own figures are read; its containers' are read at times of their own.
    pub(super) fn rhythm(&self, pod: &FleetPod) -> Rhythm {
        self.beat(hash(&[self.namespace_of(pod), &pod.name]))
    }

    /// What of a pod's namespace its figures depend on.
    fn namespace_of<'a>(&self, pod: &'a FleetPod) -> &'a str {
        if self.load == Load::Twins { "" } else { &pod.namespace }
    }

    fn source(&self, seed: u64, curve: Curve) -> Source {
        Source { rhythm: self.beat(seed), curve }
    }

    fn beat(&self, seed: u64) -> Rhythm {
        let age = u64::try_from(self.age.as_nanos()).expect("an age is shorter than 500 years");
        let age = age + pick(seed, 1, 0, age / 2 / MILLISECOND) * MILLISECOND;
        let interval = u64::try_from(self.interval.as_nanos()).expect("an interval is shorter than 500 years");
        let interval = (interval / MILLISECOND).max(1) * MILLISECOND;
        let phase = pick(seed, 2, 0, interval / MILLISECOND - 1) * MILLISECOND;
        Rhythm { started_at: UnixNanos(self.began_at.0.saturating_sub(age)), phase, interval }
    }
}

/// When something started, and when it is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rhythm {
    pub(super) started_at: UnixNanos,
    phase: u64,
    interval: u64,
}

impl Rhythm {
    /// When the newest sample was taken that is there at `now`. The first one comes one millisecond after the start.
    pub(super) fn newest(&self, now: UnixNanos) -> UnixNanos {
        let since = now.0.saturating_sub(self.started_at.0 + self.phase);
        let taken_at = self.started_at.0 + self.phase + since / self.interval * self.interval;
        let first = self.started_at.0 + MILLISECOND;
        UnixNanos(if taken_at > now.0 { first } else { taken_at.max(first) })
    }
}

/// One thing that uses CPU and memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    pub(super) rhythm: Rhythm,
    curve: Curve,
}

impl Source {
    /// What a kubelet asked at `now` says.
    pub(super) fn sample(&self, now: UnixNanos) -> Sample {
        let taken_at = self.rhythm.newest(now);
        let started_at = self.rhythm.started_at;
        Sample { taken_at, started_at, cpu: self.cpu(taken_at), memory: self.memory(taken_at) }
    }

    /// CPU time used from the start until `at`.
    pub(super) fn cpu(&self, at: UnixNanos) -> CpuNanoseconds {
        CpuNanoseconds(self.curve.cpu(at.0.saturating_sub(self.rhythm.started_at.0)))
    }

    /// Working set at `at`.
    pub(super) fn memory(&self, at: UnixNanos) -> Bytes {
        Bytes(self.curve.memory(at.0.saturating_sub(self.rhythm.started_at.0)))
    }
}

#[derive(Clone, Copy, Debug)]
enum Curve {
    Steady { millicores: u64, memory: u64 },
    Waves(Waves),
}

impl Curve {
    /// Core nanoseconds after `elapsed` nanoseconds.
    fn cpu(&self, elapsed: u64) -> u64 {
        match self {
            Self::Steady { millicores, .. } => {
                let used = u128::from(*millicores) * u128::from(elapsed) / 1000;
                u64::try_from(used).unwrap_or(u64::MAX)
            }
            Self::Waves(waves) => waves.cpu(seconds(elapsed)),
        }
    }

    fn memory(&self, elapsed: u64) -> u64 {
        match self {
            Self::Steady { memory, .. } => *memory,
            Self::Waves(waves) => waves.memory(seconds(elapsed)),
        }
    }
}

fn seconds(nanoseconds: u64) -> f64 {
    Duration::from_nanos(nanoseconds).as_secs_f64()
}

/// A sine on a base, with spikes of even height at even distances. Rates are in cores, times in seconds.
#[derive(Clone, Copy, Debug)]
struct Waves {
    base: f64,
    /// Part of the base, below one: the rate never falls to zero, so the counter always rises.
    swing: f64,
    period: f64,
    phase: f64,
    spike_height: f64,
    spike_period: f64,
    spike_width: f64,
    spike_offset: f64,
    memory_base: f64,
    memory_swing: f64,
    memory_period: f64,
}

impl Waves {
    fn new(seed: u64) -> Self {
        let between = |draw: u64, low: f64, high: f64| low + (high - low) * fraction(seed, draw);
        // Most containers are small, a few are large: a square makes it so.
        let base = 0.004 + 0.25 * fraction(seed, 10).powi(2);
        Self {
            base,
            swing: between(11, 0.2, 0.9),
            period: between(12, 60.0, 600.0),
            phase: between(13, 0.0, TAU),
            spike_height: base * between(14, 0.0, 4.0),
            spike_period: between(15, 120.0, 900.0),
            spike_width: between(16, 10.0, 40.0),
            spike_offset: between(17, 0.0, 900.0),
            memory_base: f64::from(1 << 20) * (16.0 + 400.0 * fraction(seed, 18).powi(2)),
            memory_swing: between(19, 0.02, 0.25),
            memory_period: between(20, 90.0, 900.0),
        }
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rising count, far below 2^53")]
    fn cpu(&self, t: f64) -> u64 {
        let angle = TAU / self.period;
        let sine = self.base * (t - self.swing / angle * ((angle * t + self.phase).cos() - self.phase.cos()));
        let spikes = self.spike_height * (self.spiked(t + self.spike_offset) - self.spiked(self.spike_offset));
        ((sine + spikes) * 1e9) as u64
    }

    /// Seconds spent in spikes until `t`, had they begun at zero.
    fn spiked(&self, t: f64) -> f64 {
        let whole = (t / self.spike_period).floor();
        whole * self.spike_width + (t - whole * self.spike_period).min(self.spike_width)
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, far below 2^53")]
    fn memory(&self, t: f64) -> u64 {
        let bytes = self.memory_base * (1.0 + self.memory_swing * (TAU * t / self.memory_period + self.phase).sin());
        ((bytes / PAGE).round() * PAGE) as u64
    }
}

/// A number in `low..=high` that depends on the seed and on which draw it is.
fn pick(seed: u64, draw: u64, low: u64, high: u64) -> u64 {
    low + scramble(seed ^ draw.wrapping_mul(0x9e37_79b9_7f4a_7c15)) % (high - low + 1)
}

/// A number in `0.0..1.0`.
fn fraction(seed: u64, draw: u64) -> f64 {
    f64::from(u32::try_from(pick(seed, draw, 0, u64::from(u32::MAX))).expect("bounded by u32::MAX")) / 4_294_967_296.0
}

/// FNV-1a over the parts, with a separator, then scrambled: near names get far numbers.
pub(super) fn hash(parts: &[&str]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([b'/']));
    scramble(bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)))
}

/// The finalizer of SplitMix64.
fn scramble(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
