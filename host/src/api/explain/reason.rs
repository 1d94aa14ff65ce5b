//! Why a pod is not served, or only held: one reason, the one to mend first, as a fixed word and as a sentence. Pure.
//!
//! What lies nearest to the object goes first: whether there is such a pod and it runs, then whether its node is asked and
//! answers, then what the node's answer says of the pod, then what policies say of that. The words are those by which
//! metrics count the same, where they do.

use std::time::Duration;

use super::{Found, PodFacts};
use crate::model::Incomplete;
use crate::model::policy::{NoUsage, Standing, Voice};
use crate::model::units::UnixNanos;
use crate::report::explanation::NodeScrape;
use crate::store::{Absent, ContainerLook, Note, PodLook};
use crate::tick::NodeRecord;

/// A reason.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Missing {
    pub(super) reason: &'static str,
    pub(super) text: String,
}

/// What is known.
pub(super) struct Evidence<'a> {
    pub(super) found: &'a Found,
    /// The pod's node.
    pub(super) node: Option<&'a NodeScrape>,
    pub(super) look: Option<&'a PodLook>,
    pub(super) incomplete: Option<&'a Incomplete<'static>>,
    pub(super) filters: &'a [Standing],
    pub(super) window: Option<&'a Standing>,
    pub(super) hold: Duration,
    pub(super) record: Option<NodeRecord>,
}

impl Evidence<'_> {
    /// Why what is served is the last usage and no newer one, and until when.
    pub(super) fn held(&self) -> Option<(Missing, UnixNanos)> {
        let seen_at = self.found.say.as_ref()?.seen_at;
        let record = self.record.as_ref()?;
        let is_missed = record.answered_at.is_some_and(|answered_at| answered_at > seen_at);
        if record.trouble.is_none() && !is_missed {
            return None;
        }
        let until = UnixNanos(seen_at.0.saturating_add(u64::try_from(self.hold.as_nanos()).unwrap_or(u64::MAX)));
        let Missing { reason, text } = self.of_node().unwrap_or_else(|| self.of_answer());
        Some((Missing { reason, text: format!("the last usage is held: {text}") }, until))
    }

    /// Why nothing is served.
    pub(super) fn missing(&self) -> Missing {
        self.of_object().or_else(|| self.of_node()).or_else(|| self.of_policies()).unwrap_or_else(|| self.of_answer())
    }

    /// That there is no such pod, or it does not run, or nobody knows yet that it does.
    fn of_object(&self) -> Option<Missing> {
        let reason = |reason, text: &str| Some(Missing { reason, text: text.to_owned() });
        match self.found.facts.as_ref()? {
            Ok(None) => reason("no-such-pod", "the API server knows no such pod"),
            Ok(Some(PodFacts { phase, .. })) if phase != "Running" => {
                let text = format!("only running pods are served, and its phase is {phase:?}");
                Some(Missing { reason: "not-running", text })
            }
            Ok(Some(_)) if self.found.is_running => None,
            Ok(Some(PodFacts { is_terminating: true, .. })) => {
                reason("not-running", "it is being deleted, and the API server's watch tells of it no more")
            }
            Ok(Some(_)) => reason("not-told", "it runs, but the API server has not told the gateway's watch of it yet"),
            Err(_) if self.found.is_running => None,
            Err(_) => reason("not-told", "the API server has not told the gateway of a running pod of this name"),
        }
    }

    /// That its node is not asked, or does not answer.
    fn of_node(&self) -> Option<Missing> {
        let Some(node) = self.node else {
            let text = "no node is known to run it, and none has reported it".to_owned();
            return Some(Missing { reason: "no-node", text });
        };
        let name = &node.name;
        let why = node.text.as_deref().unwrap_or_default();
        let (reason, text) = match &*node.state {
            "unknown" => ("node-unknown", format!("the API server knows no node {name:?}")),
            "excluded" => ("node-excluded", format!("its node {name:?} is not asked: {why}")),
            "skipped" => ("node-skipped", format!("its node {name:?} is not asked: {why}")),
            "failing" => {
                let reason = node.reason.as_deref().unwrap_or_default();
                ("node-failing", format!("its node {name:?} does not answer ({reason}): {why}"))
            }
            "pending" => {
                let next = node.next.as_deref().unwrap_or_default();
                ("node-pending", format!("its node {name:?} has not been asked yet, and is at {next}"))
            }
            _ => return None,
        };
        Some(Missing { reason, text })
    }

    /// That what is reported of it makes no usage, or is not to be served.
    fn of_policies(&self) -> Option<Missing> {
        if self.incomplete.is_some() {
            return None;
        }
        let look = self.look?;
        let (reason, text) = match look.outcome? {
            Ok(()) => ("not-told", "usage of it has just been found: ask again".to_owned()),
            Err(Absent::Elsewhere) => {
                let node = self.found.say.as_ref().map(|say| say.node.to_string()).unwrap_or_default();
                ("on-another-node", format!("node {node:?} reports it too, started it later, and has the say on it"))
            }
            Err(Absent::Unknown) => (
                "unknown",
                "its tenant's filter has to see its labels, which the API server had not told of at the last scrape"
                    .to_owned(),
            ),
            Err(Absent::Dropped) => ("dropped", self.dropped(look)),
            Err(Absent::NoUsage(no_usage)) => (word(no_usage), self.no_usage(look, no_usage)),
        };
        Some(Missing { reason, text })
    }

    fn dropped(&self, look: &PodLook) -> String {
        let each = look.containers.iter().take(5).map(|container| {
            let filter = dropped_by(container.note, self.filters.len()).and_then(|place| self.filters.get(place));
            let filter = filter.map_or("?", |filter| &*filter.plugin);
            format!("filter {filter:?} drops container {:?}", container.name)
        });
        format!("nothing of it is left: {}", each.collect::<Vec<_>>().join(", "))
    }

    fn no_usage(&self, look: &PodLook, no_usage: NoUsage) -> String {
        let is_it = |container: &&ContainerLook| {
            let own = if look.is_judged && container.note.voice.is_some() {
                container.note.no_usage
            } else {
                container.last_two.err()
            };
            own == Some(no_usage)
        };
        let container = look.containers.iter().find(is_it);
        let name = container.map_or("?", |container| &*container.name);
        let next = self.node.and_then(|node| node.next.as_deref()).unwrap_or("its next moment");
        match no_usage {
            NoUsage::TooFew => {
                format!("container {name:?} waits for a second sample; its node is asked next at {next}")
            }
            NoUsage::CounterFell => format!(
                "the CPU counter of container {name:?} fell although it did not restart; its node is asked next at {next}"
            ),
            NoUsage::Withheld => {
                let plugin = self.window.map_or("?", |window| &*window.plugin);
                let is_fallback = container.is_some_and(|container| container.note.voice == Some(Voice::Fallback));
                let who = if is_fallback { "the fallback of window policy" } else { "window policy" };
                format!("{who} {plugin:?} serves nothing of container {name:?}")
            }
        }
    }

    /// That its node's answer is lacking.
    fn of_answer(&self) -> Missing {
        let (node, at) = self.node.map_or(("?", "?"), |node| (&*node.name, node.last_answer.as_deref().unwrap_or("?")));
        if let Some(incomplete) = self.incomplete {
            let lacks = match (incomplete.lacks_cpu, incomplete.lacks_memory) {
                (true, true) => "neither CPU nor memory",
                (false, true) => "no memory",
                _ => "no CPU",
            };
            let text = format!(
                "container {:?} reports {lacks} (or zero) in the answer of node {node:?} of {at}, and a pod is served whole",
                incomplete.container
            );
            return Missing { reason: "incomplete", text };
        }
        let text = format!("it is not in the answer of node {node:?} of {at}");
        Missing { reason: "not-in-answer", text }
    }
}

/// Why there is no usage, in the word of metrics.
pub(super) fn word(no_usage: NoUsage) -> &'static str {
    match no_usage {
        NoUsage::TooFew => "waiting",
        NoUsage::CounterFell => "counter-fell",
        NoUsage::Withheld => "withheld",
    }
}

/// The first filter of so many after which nothing of a container is left.
pub(super) fn dropped_by(note: Note, filters: usize) -> Option<usize> {
    let (mut cpu, mut memory) = (true, true);
    let mut leaves = |opinion: crate::model::policy::Opinion| {
        let (keeps_cpu, keeps_memory) = opinion.serves();
        (cpu, memory) = (cpu && keeps_cpu, memory && keeps_memory);
        cpu || memory
    };
    let classified = (0..filters).find(|place| !leaves(note.classified.of(*place)));
    classified.or_else(|| (0..filters).find(|place| !leaves(note.screened.of(*place))))
}
