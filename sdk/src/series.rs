//! Histories of samples, and the arithmetic that turns them into usage.
//!
//! A [`Batch`] holds the [`Series`] of one tenant's containers on one node, or that of the node; a series holds samples,
//! oldest first. CPU is a counter: core time used since the container started. What can be said of two neighbouring
//! samples is an [`Interval`]'s business: none of its rates crosses a restart or a counter that fell, no number overflows
//! and nothing panics, whatever a kubelet reported.
//!
//! The samples stay in the columns that the gateway hands over in one piece; rows are made while they are looked at.

use crate::guest::types::{self, Subjects};
use crate::{Bytes, Duration, Nanocores, Time};

/// Series of one node: its own alone, or those of one tenant's containers on it.
#[derive(Clone, Debug)]
pub struct Batch(types::Batch);

impl Batch {
    /// The name of the node that all of it comes from.
    pub fn node(&self) -> &str {
        &self.0.node
    }

    /// How many series there are.
    pub fn len(&self) -> usize {
        self.0.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.ends.is_empty()
    }

    /// When the newest of all samples was taken; [`Time::UNKNOWN`] without any.
    pub fn newest(&self) -> Time {
        Time::from_nanos(self.0.taken_at.iter().copied().max().unwrap_or(0))
    }

    /// The series, in the gateway's order, which is that of the answers.
    pub fn series(&self) -> impl ExactSizeIterator<Item = Series<'_>> {
        (0..self.len()).map(|index| self.at(index))
    }

    /// Of columns that do not fit together, what is missing is left out: the answer has the right length all the same.
    fn at(&self, index: usize) -> Series<'_> {
        let range = span_of(&self.0.ends, index);
        let columns = [&self.0.taken_at, &self.0.started_at, &self.0.cpu_ns, &self.0.memory_bytes];
        let shortest = columns.into_iter().map(Vec::len).min().unwrap_or(0);
        let end = range.end.min(shortest);
        let range = range.start.min(end)..end;
        Series {
            subject: self.subject(index),
            taken_at: &self.0.taken_at[range.clone()],
            started_at: &self.0.started_at[range.clone()],
            cpu: &self.0.cpu_ns[range.clone()],
            memory: &self.0.memory_bytes[range],
        }
    }

    fn subject(&self, index: usize) -> Subject<'_> {
        let Subjects::Containers(containers) = &self.0.subjects else { return Subject::Node };
        let name = |column: &[u32]| {
            let names = &containers.names;
            let name = column.get(index).and_then(|name| usize::try_from(*name).ok())?;
            names.text.get(span_of(&names.ends, name))
        };
        Subject::Container {
            namespace: name(&containers.namespace).unwrap_or_default(),
            pod: name(&containers.pod).unwrap_or_default(),
            container: name(&containers.container).unwrap_or_default(),
        }
    }
}

impl From<types::Batch> for Batch {
    fn from(columns: types::Batch) -> Self {
        Self(columns)
    }
}

/// Where item `index` lies, by the places at which items end. Past the last end: empty.
fn span_of(ends: &[u32], index: usize) -> std::ops::Range<usize> {
    let end_of = |index: usize| ends.get(index).map_or(0, |end| *end as usize);
    let start = index.checked_sub(1).map_or(0, end_of);
    start..end_of(index).max(start)
}

/// What a series is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject<'a> {
    /// The node itself.
    Node,
    /// A container on it.
    Container {
        /// The pod's namespace.
        namespace: &'a str,
        /// The pod's name.
        pod: &'a str,
        /// The container's name.
        container: &'a str,
    },
}

/// One reading of one container or node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// When the CPU counter was read. Strictly rises within a series.
    pub taken_at: Time,
    /// When the container started; [`Time::UNKNOWN`] where the kubelet does not say, as for nodes.
    pub started_at: Time,
    /// Core time used since the start.
    pub cpu: Duration,
    /// Working set.
    pub memory: Bytes,
}

/// The samples of one container or node, oldest first; may be empty.
#[derive(Clone, Copy, Debug)]
pub struct Series<'a> {
    subject: Subject<'a>,
    // Four columns of equal length.
    taken_at: &'a [u64],
    started_at: &'a [u64],
    cpu: &'a [u64],
    memory: &'a [u64],
}

impl<'a> Series<'a> {
    /// What it is of.
    pub fn subject(&self) -> Subject<'a> {
        self.subject
    }

    /// How many samples there are.
    pub fn len(&self) -> usize {
        self.taken_at.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.taken_at.is_empty()
    }

    /// A sample by its place, 0 the oldest.
    pub fn get(&self, index: usize) -> Option<Sample> {
        Some(Sample {
            taken_at: Time::from_nanos(*self.taken_at.get(index)?),
            started_at: Time::from_nanos(*self.started_at.get(index)?),
            cpu: Duration::from_nanos(*self.cpu.get(index)?),
            memory: Bytes::new(*self.memory.get(index)?),
        })
    }

    /// The oldest sample.
    pub fn oldest(&self) -> Option<Sample> {
        self.get(0)
    }

    /// The newest sample.
    pub fn newest(&self) -> Option<Sample> {
        self.get(self.len().checked_sub(1)?)
    }

    /// The samples, oldest first.
    pub fn samples(&self) -> impl DoubleEndedIterator<Item = Sample> + ExactSizeIterator + use<'a> {
        let columns = self.taken_at.iter().zip(self.started_at).zip(self.cpu.iter().zip(self.memory));
        columns.map(|((taken_at, started_at), (cpu, memory))| Sample {
            taken_at: Time::from_nanos(*taken_at),
            started_at: Time::from_nanos(*started_at),
            cpu: Duration::from_nanos(*cpu),
            memory: Bytes::new(*memory),
        })
    }

    /// What lies between neighbouring samples, oldest first: one less than there are samples.
    pub fn intervals(&self) -> impl DoubleEndedIterator<Item = Interval> + ExactSizeIterator + use<'a> {
        self.samples().zip(self.samples().skip(1)).map(|(from, to)| Interval { from, to })
    }

    /// The rates between neighbouring samples where there is one, oldest first.
    pub fn rates(&self) -> impl DoubleEndedIterator<Item = Nanocores> + use<'a> {
        self.intervals().filter_map(|interval| interval.rate())
    }

    /// The samples taken within `span` of the newest, and at least the last two.
    #[must_use]
    pub fn within(&self, span: Duration) -> Self {
        let Some(newest) = self.newest() else { return *self };
        let oldest_wanted = newest.taken_at.minus(span).as_nanos();
        let wanted = self.taken_at.iter().rev().take_while(|taken_at| **taken_at >= oldest_wanted).count();
        self.skip(self.len() - wanted.max(2).min(self.len()))
    }

    /// Usage as the gateway computes it by itself: the rate between the last two samples. None: there are no two, or the
    /// container restarted or its counter fell between them.
    pub fn last_two(&self) -> Option<Usage> {
        self.intervals().next_back()?.usage()
    }

    /// The mean rate over all samples; intervals without a rate are left out of the mean. None: there is no rate.
    pub fn mean(&self) -> Option<Usage> {
        let mut used = Duration::ZERO;
        let mut span = Duration::ZERO;
        for (interval, part) in self.intervals().filter_map(|interval| Some((interval, interval.cpu_used()?))) {
            used = used.plus(part);
            span = span.plus(interval.span());
        }
        self.usage_at(Nanocores::of(used, span)?)
    }

    /// The usage that says `rate` of all samples: its window reaches from the oldest to the newest sample that has a rate
    /// beside it, its memory is that of the newest sample. None: there is no rate.
    pub fn usage_at(&self, rate: Nanocores) -> Option<Usage> {
        let has_rate = |interval: &Interval| interval.cpu_used().is_some();
        let begin = self.intervals().find(has_rate)?.from.taken_at;
        let taken_at = self.intervals().rev().find(has_rate)?.to.taken_at;
        Some(Usage { taken_at, window: taken_at.since(begin), cpu: rate, memory: self.newest()?.memory })
    }

    fn skip(self, samples: usize) -> Self {
        Self {
            subject: self.subject,
            taken_at: &self.taken_at[samples..],
            started_at: &self.started_at[samples..],
            cpu: &self.cpu[samples..],
            memory: &self.memory[samples..],
        }
    }
}

/// Two neighbouring samples, and what can be said of the time between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// The earlier sample.
    pub from: Sample,
    /// The later sample.
    pub to: Sample,
}

impl Interval {
    /// The time between them; none where it does not rise.
    pub fn span(&self) -> Duration {
        self.to.taken_at.since(self.from.taken_at)
    }

    /// Whether the container started anew in between.
    pub fn is_restart(&self) -> bool {
        let (before, after) = (self.from.started_at, self.to.started_at);
        // One form of a kubelet's answer tells starts by the second, the other by the fraction: where a node changes from
        // the one to the other, the start of one run seems to move by less than a second.
        let is_known = before != Time::UNKNOWN && after != Time::UNKNOWN;
        is_known && before.whole_seconds() != after.whole_seconds()
    }

    /// The core time used in between. None: no time passed, the container restarted, or its counter fell.
    pub fn cpu_used(&self) -> Option<Duration> {
        let used = self.to.cpu.as_nanos().checked_sub(self.from.cpu.as_nanos())?;
        (!self.span().is_zero() && !self.is_restart()).then_some(Duration::from_nanos(used))
    }

    /// The mean rate in between; None as for [`cpu_used`](Self::cpu_used).
    pub fn rate(&self) -> Option<Nanocores> {
        Nanocores::of(self.cpu_used()?, self.span())
    }

    /// What the gateway itself would serve of the two; None as for [`cpu_used`](Self::cpu_used).
    pub fn usage(&self) -> Option<Usage> {
        let memory = self.to.memory;
        Some(Usage { taken_at: self.to.taken_at, window: self.span(), cpu: self.rate()?, memory })
    }
}

/// What is to be served of a container or node. One that is out of a range below is not served: it would spoil the answer
/// for all the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The end of the window: at most the time of the newest sample of the batch, and not more than a day before it.
    pub taken_at: Time,
    /// The time that the rate covers: a nanosecond to a day.
    pub window: Duration,
    /// Mean CPU rate over the window: 0 to [a million cores](Nanocores::MAX).
    pub cpu: Nanocores,
    /// Memory: 0 to [2^60 bytes](Bytes::MAX).
    pub memory: Bytes,
}

impl Usage {
    /// Whether the gateway would believe it beside a batch whose newest sample was taken at `newest`.
    pub fn is_in_range(&self, newest: Time) -> bool {
        let is_recent = self.taken_at <= newest && newest.since(self.taken_at) <= Duration::DAY;
        let is_window = !self.window.is_zero() && self.window <= Duration::DAY;
        is_recent && is_window && self.cpu <= Nanocores::MAX && self.memory <= Bytes::MAX
    }
}

#[cfg(test)]
mod tests;
