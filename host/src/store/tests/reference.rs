//! Upstream's storage, rule by rule and as slow as it likes: two maps, `last` and `prev`, both built anew from every
//! round over all nodes. It shares no code with the one under test but the types of samples and usage.
//!
//! One of its rules is not here: upstream stores an all-zero `prev` when a time is repeated for a container that had
//! none while its pod had one. That `prev` counts as absent.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::model::units::{CpuNanoseconds, Nanocores, UnixNanos, WindowNanos};
use crate::model::{ContainerUsage, PodUsage, Sample, Usage};

/// Namespace and name of a pod.
pub(super) type PodKey = (String, String);

/// The samples of a pod's containers, in the order in which they were reported.
pub(super) type Containers = Vec<(String, Sample)>;

/// The answers of all nodes in one tick.
#[derive(Clone, Debug, Default)]
pub(super) struct Round {
    pub(super) nodes: BTreeMap<String, Sample>,
    pub(super) pods: BTreeMap<PodKey, Containers>,
}

pub(super) struct Storage {
    resolution: Duration,
    last: Round,
    prev_nodes: BTreeMap<String, Sample>,
    prev_pods: BTreeMap<PodKey, BTreeMap<String, Sample>>,
}

impl Storage {
    pub(super) fn new(resolution: Duration) -> Self {
        let (prev_nodes, prev_pods) = (BTreeMap::new(), BTreeMap::new());
        Self { resolution, last: Round::default(), prev_nodes, prev_pods }
    }

    pub(super) fn store(&mut self, round: Round) {
        self.prev_nodes = round
            .nodes
            .iter()
            .filter_map(|(name, new)| {
                let last = self.last.nodes.get(name)?;
                Some((name.clone(), window_start(new, last, self.prev_nodes.get(name))?))
            })
            .collect();
        let mut prev_pods = BTreeMap::new();
        for (key, containers) in &round.pods {
            let prev: BTreeMap<String, Sample> = containers
                .iter()
                .filter_map(|(name, new)| Some((name.clone(), self.container_start(key, name, new)?)))
                .collect();
            if !prev.is_empty() {
                prev_pods.insert(key.clone(), prev);
            }
        }
        self.prev_pods = prev_pods;
        self.last = round;
    }

    fn container_start(&self, pod: &PodKey, name: &str, new: &Sample) -> Option<Sample> {
        let has_start = new.started_at != UnixNanos(0);
        if has_start && new.started_at < new.taken_at {
            let age = Duration::from_nanos(new.taken_at.0 - new.started_at.0);
            if Duration::from_secs(10) <= age && age < self.resolution {
                return Some(Sample { taken_at: new.started_at, cpu: CpuNanoseconds(0), ..*new });
            }
        }
        let (_, last) = self.last.pods.get(pod)?.iter().find(|(known, _)| known == name)?;
        if has_start && new.started_at >= last.taken_at {
            return None;
        }
        window_start(new, last, self.prev_pods.get(pod).and_then(|prev| prev.get(name)))
    }

    pub(super) fn node(&self, name: &str) -> Option<Usage> {
        usage(self.last.nodes.get(name)?, self.prev_nodes.get(name)?)
    }

    pub(super) fn pod(&self, key: &PodKey) -> Option<PodUsage> {
        let prev = self.prev_pods.get(key)?;
        let mut containers = Vec::new();
        let mut earliest: Option<Usage> = None;
        for (name, last) in self.last.pods.get(key)? {
            let Some(usage) = usage(last, prev.get(name)?) else { continue };
            if earliest.is_none_or(|earliest| usage.taken_at < earliest.taken_at) {
                earliest = Some(usage);
            }
            containers.push(ContainerUsage::new(Arc::from(&**name), Some(usage.cpu), Some(usage.memory)));
        }
        let (taken_at, window) = earliest.map(|usage| (usage.taken_at, usage.window)).unwrap_or_default();
        Some(PodUsage { taken_at, window, containers: containers.into() })
    }
}

/// The sample from which the window runs to `new`.
fn window_start(new: &Sample, last: &Sample, prev: Option<&Sample>) -> Option<Sample> {
    if new.taken_at > last.taken_at {
        return Some(*last);
    }
    prev.filter(|prev| prev.taken_at < new.taken_at).copied()
}

fn usage(last: &Sample, prev: &Sample) -> Option<Usage> {
    if last.started_at.0 / 1_000_000_000 < prev.started_at.0 / 1_000_000_000 || last.cpu < prev.cpu {
        return None;
    }
    let window = last.taken_at.0 - prev.taken_at.0;
    let seconds = Duration::from_nanos(window).as_secs_f64();
    let cpu = Nanocores(((last.cpu.0 - prev.cpu.0) as f64 / seconds) as u64);
    Some(Usage { taken_at: last.taken_at, window: WindowNanos(window), cpu, memory: last.memory })
}
