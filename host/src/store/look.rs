//! What the store knows of one pod or node beside its usage, for those who ask why it is served or not.
//!
//! Looking waits for nobody: a history that is being written, perhaps for as long as a policy takes, is [`Busy`], and
//! whoever looks may come again. What is handed out is a copy, and bounded: of each series the latest readings, and the
//! first of a pod's containers.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::history::{ContainerHistory, NodeHistory, PodHistory, Series};
use super::{Absent, Store};
use crate::model::policy::{NoUsage, Opinions, Voice, last_two};
use crate::model::units::UnixNanos;
use crate::model::{Incomplete, NodeName, PodRef, PodUsage, Sample, Usage};

/// Of a series, as many readings as are handed out.
const MOST_READINGS: usize = 10;

/// Of a pod, as many containers as are handed out.
const MOST_CONTAINERS: usize = 200;

/// What policies last said of one container, or of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Note {
    /// What the filters said when they were asked about the whole set.
    pub classified: Opinions,
    /// What those said that decide by value.
    pub screened: Opinions,
    /// Who spoke of its window; None: no window policy was asked.
    pub voice: Option<Voice>,
    /// Why the window policy, or its fallback, has no usage.
    pub no_usage: Option<NoUsage>,
}

impl Note {
    /// The same, with what the window policy said.
    pub(super) fn measured(self, no_usage: Option<NoUsage>, voice: Voice) -> Self {
        Self { no_usage, voice: Some(voice), ..self }
    }
}

/// The history is being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

/// Which node has the say on a pod.
#[derive(Clone, Debug, PartialEq)]
pub struct Say {
    /// The node.
    pub node: NodeName,
    /// When it last reported the pod.
    pub seen_at: UnixNanos,
    /// What is served of the pod; None: nothing.
    pub usage: Option<PodUsage>,
}

/// What one node's history knows of a pod.
#[derive(Clone, Debug)]
pub struct PodLook {
    /// When the node first reported it.
    pub first_seen_at: UnixNanos,
    /// When the node last reported it.
    pub seen_at: UnixNanos,
    /// Why it is not served, as was last found; None: nobody has looked yet.
    pub outcome: Option<Result<(), Absent>>,
    /// Whether policies were asked.
    pub is_judged: bool,
    /// The containers, in the order of the kubelet.
    pub containers: Vec<ContainerLook>,
    /// How many more there are.
    pub more_containers: usize,
}

/// What is known of one container.
#[derive(Clone, Debug)]
pub struct ContainerLook {
    /// Its name.
    pub name: Arc<str>,
    /// What was read.
    pub readings: Readings,
    /// What policies last said; means nothing where none was asked.
    pub note: Note,
    /// What lies between the last two samples.
    pub last_two: Result<Usage, NoUsage>,
}

/// The samples that are held of one container or node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Readings {
    /// How many.
    pub count: usize,
    /// When the oldest was taken.
    pub since: UnixNanos,
    /// The latest ten, oldest first.
    pub latest: Vec<Sample>,
}

/// What a node's history knows of the node itself.
#[derive(Clone, Debug)]
pub struct NodeLook {
    /// When it last reported itself.
    pub seen_at: UnixNanos,
    /// What was read.
    pub readings: Readings,
    /// Why it is not served, as was last found.
    pub outcome: Option<Result<(), NoUsage>>,
    /// What its window policy last said.
    pub note: Note,
}

/// How much is served of a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceCount {
    /// Its name.
    pub namespace: Arc<str>,
    /// Pods.
    pub pods: usize,
    /// Their containers.
    pub containers: usize,
}

/// What the history of a node knows of a pod, and whether its latest answer was incomplete about it.
type OfPod = (Option<PodLook>, Option<Incomplete<'static>>);

impl Store {
    /// Which node has the say on a pod, if any does.
    pub fn say(&self, pod: PodRef<'_>) -> Option<Say> {
        self.pods.say(pod)
    }

    /// What a node's history knows of a pod, and what the pod lacked in the node's latest answer.
    ///
    /// # Errors
    /// [`Busy`].
    pub fn look_at_pod(&self, node: &str, pod: PodRef<'_>) -> Result<OfPod, Busy> {
        self.look(node, |history| {
            let incomplete = history.incomplete.iter().find(|it| it.namespace == pod.namespace && it.pod == pod.name);
            (history.pod(pod).map(PodLook::of), incomplete.cloned())
        })
        .map(Option::unwrap_or_default)
    }

    /// What a node's history knows of the node itself.
    ///
    /// # Errors
    /// [`Busy`].
    pub fn look_at_node(&self, node: &str) -> Result<Option<NodeLook>, Busy> {
        self.look(node, |history| NodeLook {
            seen_at: history.node_seen_at,
            readings: Readings::of(&history.node),
            outcome: history.node_outcome.get(),
            note: history.node_note.get(),
        })
    }

    /// How long what is missing is held.
    pub fn hold(&self) -> Duration {
        self.rules.history.hold
    }

    /// How much is served of each namespace, sorted by name.
    pub fn namespace_counts(&self) -> Vec<NamespaceCount> {
        self.pods.counts()
    }

    /// When the usage that is served of each node was taken.
    pub fn node_times(&self) -> Vec<UnixNanos> {
        self.nodes.read().values().map(|usage| usage.taken_at).collect()
    }

    fn look<T>(&self, node: &str, look: impl FnOnce(&NodeHistory) -> T) -> Result<Option<T>, Busy> {
        let Some(history): Option<Arc<Mutex<NodeHistory>>> = self.histories.read().get(node).cloned() else {
            return Ok(None);
        };
        let history = history.try_lock().ok_or(Busy)?;
        Ok(Some(look(&history)))
    }
}

impl PodLook {
    fn of(pod: &PodHistory) -> Self {
        let notes = pod.notes.borrow();
        let note = |place: usize| notes.as_ref().and_then(|notes| notes.get(place)).copied().unwrap_or_default();
        let containers = pod.containers.iter().enumerate().take(MOST_CONTAINERS);
        Self {
            first_seen_at: pod.first_seen_at,
            seen_at: pod.seen_at,
            outcome: pod.outcome.get(),
            is_judged: notes.is_some(),
            containers: containers.map(|(place, container)| ContainerLook::of(container, note(place))).collect(),
            more_containers: pod.containers.len().saturating_sub(MOST_CONTAINERS),
        }
    }
}

impl ContainerLook {
    fn of(container: &ContainerHistory, note: Note) -> Self {
        Self {
            name: Arc::clone(&container.name),
            readings: Readings::of(&container.series),
            note,
            last_two: last_two(container.series.latest()),
        }
    }
}

impl Readings {
    fn of(series: &Series) -> Self {
        let all = series.all();
        Self {
            count: all.len(),
            since: all.first().map(|sample| sample.taken_at).unwrap_or_default(),
            latest: all[all.len().saturating_sub(MOST_READINGS)..].to_vec(),
        }
    }
}
