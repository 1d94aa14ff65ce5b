//! The figures of one simulated node: samples of its containers, its pods and itself.

use metrics_gateway::model::Sample;
use metrics_gateway::model::units::{Bytes, CpuNanoseconds, UnixNanos};

use super::load::{Rhythm, Simulation, Source};
use super::{FleetNode, FleetPod};

/// The sources of one node's figures, in the order of the node's pods and their containers.
pub(super) struct NodeSources {
    system: Source,
    pods: Vec<PodSources>,
}

/// The sources of one pod's figures.
pub(super) struct PodSources {
    rhythm: Rhythm,
    containers: Vec<Source>,
}

impl NodeSources {
    pub(super) fn new(simulation: &Simulation, node: &FleetNode) -> Self {
        let pods = node.pods.iter().map(|pod| PodSources::new(simulation, pod)).collect();
        Self { system: simulation.system(&node.name), pods }
    }

    /// What the node says of itself: its pods and its system together.
    pub(super) fn sample(&self, now: UnixNanos) -> Sample {
        let taken_at = self.system.rhythm.newest(now);
        let (cpu, memory) = self.at(taken_at);
        Sample { taken_at, started_at: UnixNanos::ZERO, cpu, memory }
    }

    /// CPU time and memory of everything on the node.
    pub(super) fn at(&self, at: UnixNanos) -> (CpuNanoseconds, Bytes) {
        let sources = self.pods.iter().flat_map(|pod| &pod.containers).chain([&self.system]);
        sum(sources, at)
    }

    /// The pods, in the order of the node's.
    pub(super) fn pods(&self) -> &[PodSources] {
        &self.pods
    }

    /// When the node's own system came up.
    pub(super) fn started_at(&self) -> UnixNanos {
        self.system.rhythm.started_at
    }
}

impl PodSources {
    fn new(simulation: &Simulation, pod: &FleetPod) -> Self {
        let containers = pod.containers.iter().map(|container| simulation.container(pod, container)).collect();
        Self { rhythm: simulation.rhythm(pod), containers }
    }

    /// What the kubelet says of the pod as a whole, read at a time of the pod's own.
    pub(super) fn sample(&self, now: UnixNanos) -> Sample {
        let taken_at = self.rhythm.newest(now);
        let (cpu, memory) = sum(&self.containers, taken_at);
        Sample { taken_at, started_at: self.started_at(), cpu, memory }
    }

    /// The containers, in the order of the pod's.
    pub(super) fn containers(&self) -> &[Source] {
        &self.containers
    }

    /// A pod starts with its first container.
    pub(super) fn started_at(&self) -> UnixNanos {
        self.containers.iter().map(|source| source.rhythm.started_at).min().unwrap_or(self.rhythm.started_at)
    }
}

fn sum<'a>(sources: impl IntoIterator<Item = &'a Source>, at: UnixNanos) -> (CpuNanoseconds, Bytes) {
    sources.into_iter().fold((CpuNanoseconds(0), Bytes(0)), |(cpu, memory), source| {
        (CpuNanoseconds(cpu.0 + source.cpu(at).0), Bytes(memory.0 + source.memory(at).0))
    })
}
