//! What a policy decides, and the decisions metrics-server makes, which are the defaults here.
//!
//! Whoever asks owns the question: the scraper asks an [`AddressPolicy`], the store asks a [`FilterPolicy`] and a
//! [`WindowPolicy`]. The built-in answers are [`PreferredAddresses`], every container, and [`last_two`]. Policies are
//! pure: no clock, no I/O, no memory of earlier questions. They always have an answer: what becomes of a plugin that
//! fails is settled behind these traits.
//!
//! Rules: metrics-server v0.9.0, `pkg/scraper/client/resource/client.go` and `pkg/utils/address.go` (addresses),
//! `pkg/storage/{types,pod,node}.go` (windows); `sdk/wit/policy.wit` for what plugins may answer.

mod told;

use std::fmt;
use std::time::Duration;

pub use told::{Failing, MOST_FILTERS, Opinion, Opinions, Standing, Voice};

use super::units::{CpuNanoseconds, Nanocores, UnixNanos, WindowNanos};
use super::{Labels, Node, PodRef, Sample, Usage};

/// Decides at which addresses a node's kubelet is to be asked.
pub trait AddressPolicy: Send + Sync {
    /// The places to try, best first. Asked when a node appears or changes, not at every scrape.
    ///
    /// # Errors
    /// [`NoAddress`] where the node has no address that the policy would use, or is not to be asked.
    fn candidates(&self, node: &Node) -> Result<Vec<Candidate>, NoAddress>;

    /// As [`candidates`](Self::candidates), and who said so.
    fn candidates_and_voice(&self, node: &Node) -> (Result<Vec<Candidate>, NoAddress>, Voice) {
        (self.candidates(node), Voice::Policy)
    }

    /// How it fares, where it may fail.
    fn standing(&self) -> Option<Standing> {
        None
    }
}

/// One place where a kubelet may be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// An IP address without brackets, or a host name.
    pub host: Box<str>,
    /// The TCP port.
    pub port: u16,
    /// The path of the metrics; None: the node's annotation, or `/metrics/resource`.
    pub path: Option<Box<str>>,
    /// The name or IP address that the kubelet's certificate must bear; None: `host`.
    pub server_name: Option<Box<str>>,
}

/// Why there is no place to ask a node at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAddress {
    /// No address of the node is one that the policy would use.
    #[error("no address matched types [{}]", wanted.join(" "))]
    NoneMatched {
        /// The kinds that were looked for, best first.
        wanted: Vec<String>,
    },
    /// A policy decided that the node is not to be asked. That is no failure.
    #[error("skipped by address policy \"{policy}\": {reason}")]
    Skipped {
        /// The policy's name.
        policy: Box<str>,
        /// In its words.
        reason: Box<str>,
    },
}

/// Upstream's rule: the first address of the first preferred kind that the node has. The first addresses of the
/// further kinds follow as second choices, for when a connection cannot be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreferredAddresses {
    /// Kinds of address, best first. Kinds that no node has are allowed and never match.
    pub kinds: Vec<String>,
    /// Whether a port that the node itself reports goes before `port`.
    pub use_node_status_port: bool,
    /// The port of kubelets that report none.
    pub port: u16,
    /// Whether the other preferred kinds are tried when the first cannot be connected to; upstream does not.
    pub try_all: bool,
}

impl PreferredAddresses {
    /// The port of a node's kubelet, where nobody says another.
    pub fn port_of(&self, node: &Node) -> u16 {
        node.kubelet_port.filter(|_| self.use_node_status_port).unwrap_or(self.port)
    }
}

impl AddressPolicy for PreferredAddresses {
    fn candidates(&self, node: &Node) -> Result<Vec<Candidate>, NoAddress> {
        let port = self.port_of(node);
        let first_of_kind = |kind: &String| node.addresses.iter().find(|address| *address.kind == **kind);
        let mut candidates: Vec<Candidate> = Vec::new();
        for address in self.kinds.iter().filter_map(first_of_kind) {
            let candidate = Candidate { host: address.address.clone(), port, path: None, server_name: None };
            if !candidates.contains(&candidate) {
                candidates.push(candidate);
            }
        }
        candidates.truncate(if self.try_all { usize::MAX } else { 1 });
        if candidates.is_empty() { Err(NoAddress::NoneMatched { wanted: self.kinds.clone() }) } else { Ok(candidates) }
    }
}

/// Decides which containers are served.
pub trait FilterPolicy: Send + Sync {
    /// One verdict per container, in the order of the pods and of the containers in each: all that the tenant has on
    /// one node, sorted by namespace and name. Asked when one of them comes or goes or its labels change, not at every
    /// scrape.
    fn classify(&self, pods: &[PodIdentity<'_>]) -> Verdicts;

    /// One verdict per series, for those alone whose verdict is by value; `before` holds these verdicts. Asked at every
    /// scrape. The answers are not by value.
    fn screen(&self, batch: &SeriesBatch<'_>, before: &[Verdict]) -> Vec<Verdict>;

    /// As [`classify`](Self::classify), and notes who of a chain said what of each container; there is room for each.
    fn classify_and_note(&self, pods: &[PodIdentity<'_>], opinions: &mut [Opinions]) -> Verdicts {
        let verdicts = self.classify(pods);
        let voice = if verdicts.are_lasting { Voice::Policy } else { Voice::Fallback };
        for (opinions, verdict) in opinions.iter_mut().zip(&verdicts.verdicts) {
            opinions.note(0, Opinion::of(*verdict, voice));
        }
        verdicts
    }

    /// As [`screen`](Self::screen), and notes the same.
    fn screen_and_note(&self, batch: &SeriesBatch<'_>, before: &[Verdict], opinions: &mut [Opinions]) -> Vec<Verdict> {
        let verdicts = self.screen(batch, before);
        for (opinions, verdict) in opinions.iter_mut().zip(&verdicts) {
            opinions.note(0, Opinion::of(*verdict, Voice::Policy));
        }
        verdicts
    }

    /// How its filters fare, the first first.
    fn standings(&self) -> Vec<Standing> {
        Vec::new()
    }
}

/// A pod, and those of its containers that its node reports.
#[derive(Clone, Copy, Debug)]
pub struct PodIdentity<'a> {
    /// Namespace and name.
    pub pod: PodRef<'a>,
    /// The name of its node.
    pub node: &'a str,
    /// Its labels.
    pub labels: &'a Labels,
    /// Those of its namespace; None: they are not watched.
    pub namespace_labels: Option<&'a Labels>,
    /// Its containers, sorted.
    pub containers: &'a [&'a str],
}

/// The answer of a [`FilterPolicy`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdicts {
    /// One per container.
    pub verdicts: Vec<Verdict>,
    /// Whether they may be remembered. What a fallback says in a plugin's place may not: it is asked again.
    pub are_lasting: bool,
}

/// What is served of one container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Verdict {
    /// Whether its CPU rate is served.
    pub cpu: bool,
    /// Whether its memory is served.
    pub memory: bool,
    /// Which filters of the tenant's chain decide by value at every scrape: a bit for each, the first is the lowest.
    pub by_value: u8,
}

impl Verdict {
    /// All of it is served.
    pub const KEEP: Self = Self { cpu: true, memory: true, by_value: 0 };
    /// Nothing of it is served.
    pub const DROP: Self = Self { cpu: false, memory: false, by_value: 0 };
    /// CPU alone is served.
    pub const CPU_ONLY: Self = Self { cpu: true, memory: false, by_value: 0 };
    /// Memory alone is served.
    pub const MEMORY_ONLY: Self = Self { cpu: false, memory: true, by_value: 0 };

    /// What is served when both have a say: what neither withholds.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let both = Self { cpu: self.cpu && other.cpu, memory: self.memory && other.memory, by_value: 0 };
        // What is dropped stays dropped, whatever its values.
        if both.is_drop() { both } else { Self { by_value: self.by_value | other.by_value, ..both } }
    }

    /// Whether nothing is served.
    pub fn is_drop(self) -> bool {
        !self.cpu && !self.memory
    }
}

/// Decides over which window usage is computed. Where a tenant has none, [`last_two`] does.
pub trait WindowPolicy: Send + Sync {
    /// How far back samples are kept for it.
    fn history(&self) -> Duration;

    /// One answer per series.
    fn measure(&self, batch: &SeriesBatch<'_>) -> Vec<Result<Usage, NoUsage>>;

    /// As [`measure`](Self::measure), and who spoke of each series.
    fn measure_and_voice(&self, batch: &SeriesBatch<'_>) -> Vec<(Result<Usage, NoUsage>, Voice)> {
        self.measure(batch).into_iter().map(|usage| (usage, Voice::Policy)).collect()
    }

    /// How it fares, where it may fail.
    fn standing(&self) -> Option<Standing> {
        None
    }
}

/// Series of one node: its own, or those of one tenant's containers on it.
#[derive(Clone, Debug)]
pub struct SeriesBatch<'a> {
    /// The name of the node.
    pub node: &'a str,
    /// Each with what it is of: either the node's own alone, or containers' alone.
    pub series: Vec<Series<'a>>,
}

/// The recent samples of one container or node.
#[derive(Clone, Copy, Debug)]
pub struct Series<'a> {
    /// What it is of.
    pub subject: Subject<'a>,
    /// Oldest first, `taken_at` strictly rising. A rise of `started_at` is a restart.
    pub samples: &'a [Sample],
}

/// What a series is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject<'a> {
    /// The node itself.
    Node,
    /// A container on it.
    Container {
        /// Its pod.
        pod: PodRef<'a>,
        /// Its name.
        name: &'a str,
    },
}

impl fmt::Display for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node => f.write_str("the node itself"),
            // Names come from kubelets: quoted, so that none can break out of its line.
            Self::Container { pod, name } => write!(f, "container {:?}", format_args!("{pod}/{name}").to_string()),
        }
    }
}

/// Why a history yields no usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoUsage {
    /// A rate needs two samples.
    #[error("fewer than two samples since it was first seen or restarted")]
    TooFew,
    /// The CPU counter is lower than before, though the container did not restart.
    #[error("its CPU counter fell")]
    CounterFell,
    /// A window policy answered that nothing is to be served.
    #[error("its window policy serves nothing of it")]
    Withheld,
}

/// Upstream's rule: the rate between the last two samples of a history, oldest first, of one run of the container.
///
/// # Errors
/// [`NoUsage`] says why nothing can be said.
pub fn last_two(history: &[Sample]) -> Result<Usage, NoUsage> {
    let [.., previous, last] = history else { return Err(NoUsage::TooFew) };
    rate(previous, last)
}

/// Mean rate between two samples.
fn rate(previous: &Sample, last: &Sample) -> Result<Usage, NoUsage> {
    if last.taken_at <= previous.taken_at {
        return Err(NoUsage::TooFew);
    }
    // A kubelet's summary tells starts in whole seconds, its text tells the fraction: where a node changes from the one to
    // the other, the start of the same run seems to fall by less than a second.
    if last.started_at.seconds() < previous.started_at.seconds() || last.cpu < previous.cpu {
        return Err(NoUsage::CounterFell);
    }
    let window = last.taken_at.0 - previous.taken_at.0;
    let used = last.cpu.0 - previous.cpu.0;
    // Through floating point, as upstream: clients see the same digits.
    let seconds = Duration::from_nanos(window).as_secs_f64();
    Ok(Usage {
        taken_at: last.taken_at,
        window: WindowNanos(window),
        cpu: Nanocores((used as f64 / seconds) as u64),
        memory: last.memory,
    })
}

/// A container's known past when it has only just started: at its start it had used nothing.
///
/// Upstream's rule for fresh containers: one that is at least 10 s old, so that a rate means something, and younger
/// than the metric resolution, so that no earlier sample can be expected, is served after its first sample.
pub fn birth(sample: &Sample, resolution: Duration) -> Option<Sample> {
    const MINIMUM_AGE: Duration = Duration::from_secs(10);
    if sample.started_at == UnixNanos::ZERO || sample.started_at >= sample.taken_at {
        return None;
    }
    let age = sample.taken_at.since(sample.started_at);
    (MINIMUM_AGE <= age && age < resolution).then_some(Sample {
        taken_at: sample.started_at,
        started_at: sample.started_at,
        cpu: CpuNanoseconds(0),
        memory: sample.memory,
    })
}

/// Whether `sample` belongs to the same run of the container as the one taken at `earlier`.
pub fn is_same_run(sample: &Sample, earlier: UnixNanos) -> bool {
    sample.started_at < earlier
}

#[cfg(test)]
mod tests;
