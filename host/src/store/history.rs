//! What one node has reported lately: a short series of samples for the node itself and for every container.
//!
//! A series holds the latest samples of one run of a container, oldest first, their times strictly rising; and where a
//! window policy looks further back, a [`raw`] series beside them. A container costs about a hundred bytes here, and
//! 32 more for each raw sample; its names are shared with what is published. Beside the samples stands what was last made
//! of them, in cells, because it is written while a judgement reads the samples.

mod raw;

use std::cell::{Cell, RefCell};
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::{DefaultHashBuilder, HashTable};
use smallvec::SmallVec;

use super::Absent;
use super::judgement::Remembered;
use super::look::Note;
use crate::model::policy::NoUsage;
use crate::model::units::UnixNanos;
use crate::model::{ContainerSample, Incomplete, PodRef, Sample, policy};
use raw::RawSeries;

/// As many samples as the built-in window policy looks at.
const DEPTH: usize = 2;

/// How a reading is to be kept.
#[derive(Clone, Copy)]
pub(super) struct Keeping {
    /// When it was received.
    pub(super) now: UnixNanos,
    /// The metric resolution.
    pub(super) resolution: Duration,
    /// How far back a window policy wants samples; zero where the latest will do.
    pub(super) span: Duration,
}

/// The latest samples of one container or node.
#[derive(Default)]
pub(super) struct Series {
    latest: SmallVec<[Sample; DEPTH]>,
    /// A pointer, since nearly all containers have none.
    raw: Option<Box<RawSeries>>,
}

impl Series {
    /// As many as the built-in window policy looks at.
    pub(super) fn latest(&self) -> &[Sample] {
        &self.latest
    }

    /// Those of the last `span`. Where no more were kept so far, the latest: a new policy answers at once.
    pub(super) fn within(&self, span: Duration) -> &[Sample] {
        match &self.raw {
            Some(raw) if span > Duration::ZERO => raw.within(span),
            _ => &self.latest,
        }
    }

    /// All that are kept, whoever wants them.
    pub(super) fn all(&self) -> &[Sample] {
        self.within(Duration::MAX)
    }

    /// Adds a reading. One that repeats a time, or goes back in time, takes the place of those it contradicts.
    pub(super) fn push(&mut self, sample: Sample, keeping: Keeping) {
        if self.raw.is_some() || keeping.span > Duration::ZERO {
            self.push_raw(sample, keeping);
        }
        if let Some(birth) = policy::birth(&sample, keeping.resolution) {
            self.latest.clear();
            self.latest.push(birth);
        } else if self.latest.last().is_some_and(|last| !policy::is_same_run(&sample, last.taken_at)) {
            self.latest.clear();
        }
        while self.latest.last().is_some_and(|last| last.taken_at >= sample.taken_at) {
            self.latest.pop();
        }
        if self.latest.len() == DEPTH {
            self.latest.remove(0);
        }
        self.latest.push(sample);
    }

    fn push_raw(&mut self, sample: Sample, keeping: Keeping) {
        let latest = &self.latest;
        let raw = self.raw.get_or_insert_with(|| Box::new(RawSeries::begun_with(latest)));
        if !raw.push(sample, keeping) {
            self.raw = None;
        }
    }

    /// Forgets all samples; whether there were any.
    pub(super) fn forget(&mut self) -> bool {
        let had_some = !self.latest.is_empty();
        *self = Self::default();
        had_some
    }
}

/// The latest samples of everything on one node.
#[derive(Default)]
pub(super) struct NodeHistory {
    pub(super) node: Series,
    pub(super) node_seen_at: UnixNanos,
    /// What was last said of the node's own usage.
    pub(super) node_outcome: Cell<Option<Result<(), NoUsage>>>,
    pub(super) node_note: Cell<Note>,
    /// What the latest answer lacked.
    pub(super) incomplete: Vec<Incomplete<'static>>,
    /// Set once the node is gone: who still holds this history must not write to it.
    pub(super) is_forgotten: bool,
    /// What filters have decided, by tenant.
    pub(super) remembered: Vec<Remembered>,
    pods: HashTable<PodHistory>,
    /// Seeded per process: the names come from kubelets, which are not trusted.
    hasher: DefaultHashBuilder,
}

/// The latest samples of one pod's containers.
pub(super) struct PodHistory {
    pub(super) namespace: Arc<str>,
    pub(super) name: Arc<str>,
    pub(super) containers: Vec<ContainerHistory>,
    /// When the node first reported the pod.
    pub(super) first_seen_at: UnixNanos,
    /// When the node last reported the pod.
    pub(super) seen_at: UnixNanos,
    /// Why it is not served, as was last found; None: nobody has looked yet.
    pub(super) outcome: Cell<Option<Result<(), Absent>>>,
    /// What policies last said of each container, in their order; None: nobody was asked.
    pub(super) notes: RefCell<Option<Box<[Note]>>>,
}

/// The latest samples of one container.
pub(super) struct ContainerHistory {
    pub(super) name: Arc<str>,
    pub(super) series: Series,
}

impl NodeHistory {
    /// Adds the samples of one pod, and returns its history. Containers that are not among them are forgotten.
    pub(super) fn take_in(&mut self, samples: &[ContainerSample<'_>], keeping: Keeping) -> &PodHistory {
        let now = keeping.now;
        let pod = samples[0].pod();
        let hash = self.hasher.hash_one(pod);
        let hasher = &self.hasher;
        let entry = self.pods.entry(hash, |known| known.pod() == pod, |known| hasher.hash_one(known.pod()));
        let history = entry.or_insert_with(|| PodHistory::new(pod, now)).into_mut();
        history.seen_at = now;
        history.align(samples);
        for (container, sample) in history.containers.iter_mut().zip(samples) {
            container.series.push(sample.sample, keeping);
        }
        history
    }

    /// One pod, if the node has reported it lately.
    pub(super) fn pod(&self, pod: PodRef<'_>) -> Option<&PodHistory> {
        self.pods.find(self.hasher.hash_one(pod), |known| known.pod() == pod)
    }

    /// All pods, sorted by namespace and name.
    pub(super) fn sorted_pods(&self) -> Vec<&PodHistory> {
        let mut pods: Vec<&PodHistory> = self.pods.iter().collect();
        pods.sort_unstable_by(|a, b| a.pod().cmp(&b.pod()));
        pods
    }

    /// Takes out all pods.
    pub(super) fn take_pods(&mut self) -> Vec<PodHistory> {
        self.pods.drain().collect()
    }

    /// Takes out the pods that were not reported for longer than `hold`.
    pub(super) fn take_stale_pods(&mut self, now: UnixNanos, hold: Duration) -> Vec<PodHistory> {
        let is_stale = |pod: &mut PodHistory| {
            // A clock that was set back must not prolong what is held.
            pod.seen_at = pod.seen_at.min(now);
            now.since(pod.seen_at) > hold
        };
        self.pods.extract_if(is_stale).collect()
    }
}

impl PodHistory {
    fn new(pod: PodRef<'_>, now: UnixNanos) -> Self {
        Self {
            namespace: pod.namespace.into(),
            name: pod.name.into(),
            containers: Vec::new(),
            first_seen_at: now,
            seen_at: now,
            outcome: Cell::default(),
            notes: RefCell::default(),
        }
    }

    pub(super) fn pod(&self) -> PodRef<'_> {
        PodRef { namespace: &self.namespace, name: &self.name }
    }

    /// When a container of the pod started last; where the kubelet does not say, when the pod was first seen here.
    pub(super) fn born(&self) -> UnixNanos {
        let newest = self.containers.iter().filter_map(|container| container.series.latest().last());
        newest
            .map(|sample| sample.started_at)
            .max()
            .filter(|started_at| *started_at > UnixNanos::ZERO)
            .unwrap_or(self.first_seen_at)
    }

    /// Makes room for what policies are about to say; what they said before is forgotten.
    pub(super) fn begin_notes(&self) {
        match &mut *self.notes.borrow_mut() {
            // Nearly always: the same containers as at the scrape before.
            Some(notes) if notes.len() == self.containers.len() => notes.fill(Note::default()),
            notes => *notes = Some(vec![Note::default(); self.containers.len()].into()),
        }
    }

    /// Notes something more of one container, if policies are asked about the pod.
    pub(super) fn note(&self, container: usize, change: impl FnOnce(&mut Note)) {
        if let Some(note) = self.notes.borrow_mut().as_mut().and_then(|notes| notes.get_mut(container)) {
            change(note);
        }
    }

    /// Brings the containers into the number and order of the samples.
    fn align(&mut self, samples: &[ContainerSample<'_>]) {
        let as_before = self.containers.len() == samples.len()
            && self.containers.iter().zip(samples).all(|(known, sample)| *known.name == *sample.container);
        if as_before {
            return;
        }
        // Sorted, as a kubelet that errs may name very many.
        let mut known = std::mem::take(&mut self.containers);
        known.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        self.containers = samples
            .iter()
            .map(|sample| match known.binary_search_by(|known| (*known.name).cmp(&*sample.container)) {
                Ok(at) => ContainerHistory {
                    name: Arc::clone(&known[at].name),
                    series: std::mem::take(&mut known[at].series),
                },
                Err(_) => ContainerHistory { name: (&*sample.container).into(), series: Series::default() },
            })
            .collect();
    }
}
