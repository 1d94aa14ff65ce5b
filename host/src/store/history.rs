//! What one node has reported lately: a short series of samples for the node itself and for every container.
//!
//! A series holds samples of one run of a container, oldest first, their times strictly rising. A container costs
//! about a hundred bytes here; its names are shared with what is published.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::{DefaultHashBuilder, HashTable};
use smallvec::SmallVec;

use crate::model::units::UnixNanos;
use crate::model::{ContainerSample, PodRef, Sample, policy};

/// As many samples as the built-in window policy looks at.
const DEPTH: usize = 2;

/// The latest samples of one container or node.
#[derive(Default)]
pub(super) struct Series(SmallVec<[Sample; DEPTH]>);

impl Series {
    pub(super) fn samples(&self) -> &[Sample] {
        &self.0
    }

    /// Adds a reading. One that repeats a time, or goes back in time, takes the place of those it contradicts.
    pub(super) fn push(&mut self, sample: Sample, resolution: Duration) {
        if let Some(birth) = policy::birth(&sample, resolution) {
            self.0.clear();
            self.0.push(birth);
        } else if self.0.last().is_some_and(|last| !policy::is_same_run(&sample, last.taken_at)) {
            self.0.clear();
        }
        while self.0.last().is_some_and(|last| last.taken_at >= sample.taken_at) {
            self.0.pop();
        }
        if self.0.len() == DEPTH {
            self.0.remove(0);
        }
        self.0.push(sample);
    }

    /// Forgets all samples; whether there were any.
    pub(super) fn forget(&mut self) -> bool {
        let had_some = !self.0.is_empty();
        self.0.clear();
        had_some
    }
}

/// The latest samples of everything on one node.
#[derive(Default)]
pub(super) struct NodeHistory {
    pub(super) node: Series,
    pub(super) node_seen_at: UnixNanos,
    /// Set once the node is gone: who still holds this history must not write to it.
    pub(super) is_forgotten: bool,
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
    first_seen_at: UnixNanos,
    /// When the node last reported the pod.
    pub(super) seen_at: UnixNanos,
}

/// The latest samples of one container.
pub(super) struct ContainerHistory {
    pub(super) name: Arc<str>,
    pub(super) series: Series,
}

impl NodeHistory {
    /// Adds the samples of one pod, and returns its history. Containers that are not among them are forgotten.
    pub(super) fn take_in(
        &mut self,
        samples: &[ContainerSample<'_>],
        now: UnixNanos,
        resolution: Duration,
    ) -> &PodHistory {
        let pod = samples[0].pod();
        let hash = self.hasher.hash_one(pod);
        let hasher = &self.hasher;
        let entry = self.pods.entry(hash, |known| known.pod() == pod, |known| hasher.hash_one(known.pod()));
        let history = entry.or_insert_with(|| PodHistory::new(pod, now)).into_mut();
        history.seen_at = now;
        history.align(samples);
        for (container, sample) in history.containers.iter_mut().zip(samples) {
            container.series.push(sample.sample, resolution);
        }
        history
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
        }
    }

    pub(super) fn pod(&self) -> PodRef<'_> {
        PodRef { namespace: &self.namespace, name: &self.name }
    }

    /// When a container of the pod started last; where the kubelet does not say, when the pod was first seen here.
    pub(super) fn born(&self) -> UnixNanos {
        let newest = self.containers.iter().filter_map(|container| container.series.samples().last());
        newest
            .map(|sample| sample.started_at)
            .max()
            .filter(|started_at| *started_at > UnixNanos::ZERO)
            .unwrap_or(self.first_seen_at)
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
