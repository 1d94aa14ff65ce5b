//! What a policy decides, and the decisions metrics-server makes, which are the defaults here.
//!
//! Whoever asks owns the question: the scraper asks an [`AddressPolicy`], the store asks a [`WindowPolicy`]. The
//! built-in answers are [`PreferredAddresses`] and [`LastTwo`]. Policies are pure: no clock, no I/O, no memory of
//! earlier questions.
//!
//! Rules: metrics-server v0.9.0, `pkg/scraper/client/resource/client.go` and `pkg/utils/address.go` (addresses),
//! `pkg/storage/{types,pod,node}.go` (windows).

use std::time::Duration;

use super::units::{CpuNanoseconds, Nanocores, UnixNanos, WindowNanos};
use super::{Node, Sample, Usage};

/// Decides at which addresses a node's kubelet is to be asked.
pub trait AddressPolicy: Send + Sync {
    /// The places to try, best first. Asked when a node appears or changes, not at every scrape.
    ///
    /// # Errors
    /// [`NoAddress`] where the node has no address that the policy would use.
    fn candidates(&self, node: &Node) -> Result<Vec<Candidate>, NoAddress>;
}

/// One place where a kubelet may be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// An IP address without brackets, or a host name.
    pub host: Box<str>,
    /// The TCP port.
    pub port: u16,
}

/// No address of the node is one that the policy would use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no address matched types [{}]", wanted.join(" "))]
pub struct NoAddress {
    /// The kinds that were looked for, best first.
    pub wanted: Vec<String>,
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

impl AddressPolicy for PreferredAddresses {
    fn candidates(&self, node: &Node) -> Result<Vec<Candidate>, NoAddress> {
        let port = node.kubelet_port.filter(|_| self.use_node_status_port).unwrap_or(self.port);
        let first_of_kind = |kind: &String| node.addresses.iter().find(|address| *address.kind == **kind);
        let mut candidates: Vec<Candidate> = Vec::new();
        for address in self.kinds.iter().filter_map(first_of_kind) {
            let candidate = Candidate { host: address.address.clone(), port };
            if !candidates.contains(&candidate) {
                candidates.push(candidate);
            }
        }
        candidates.truncate(if self.try_all { usize::MAX } else { 1 });
        if candidates.is_empty() { Err(NoAddress { wanted: self.kinds.clone() }) } else { Ok(candidates) }
    }
}

/// Decides over which window usage is computed.
pub trait WindowPolicy: Send + Sync {
    /// The usage that follows from a history of samples, oldest first, `taken_at` strictly rising.
    ///
    /// # Errors
    /// [`NoUsage`] says why nothing can be said.
    fn measure(&self, history: &[Sample]) -> Result<Usage, NoUsage>;
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
}

/// Upstream's rule: the rate between the last two samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastTwo;

impl WindowPolicy for LastTwo {
    fn measure(&self, history: &[Sample]) -> Result<Usage, NoUsage> {
        let [.., previous, last] = history else { return Err(NoUsage::TooFew) };
        rate(previous, last)
    }
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
