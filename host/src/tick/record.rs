//! What is on record of each node that is asked: where, how its last answers went, and when it is asked next.
//!
//! In: what a node's own task finds out. Out: copies for those who ask how the nodes fare. A record is locked for a few
//! instructions on either side, so nobody waits; it goes with its node.
//!
//! Absent on purpose: counting, which metrics do, and what the node has reported, which is the store's.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use crate::model::policy::{Candidate, NoAddress, Voice};
use crate::model::units::UnixNanos;
use crate::model::{LeftOut, NodeName};
use crate::store::Put;

/// What is on record of one node.
#[derive(Clone, Debug, Default)]
pub struct NodeRecord {
    /// Where it is asked; None: that has not been decided yet.
    pub decision: Option<Decision>,
    /// When it was last asked.
    pub asked_at: Option<UnixNanos>,
    /// When it last answered.
    pub answered_at: Option<UnixNanos>,
    /// When it is asked next.
    pub next_at: UnixNanos,
    /// Why it fails at present, if it does.
    pub trouble: Option<Trouble>,
    /// What could not be used of its last answer.
    pub left_out: LeftOut,
    /// What became of its last answer.
    pub put: Put,
}

/// Where a node is asked, and who said so.
#[derive(Clone, Debug)]
pub struct Decision {
    /// By which generation of policies.
    pub generation: u64,
    /// The pool that the node belongs to, if any.
    pub pool: Option<Arc<str>>,
    /// The places to try, best first, or why there are none.
    pub candidates: Result<Vec<Candidate>, NoAddress>,
    /// Whether the pool's policy said so.
    pub voice: Voice,
}

/// Why a node fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The reason as a fixed word.
    pub reason: &'static str,
    /// In words.
    pub text: String,
    /// Since when, for this reason.
    pub since: UnixNanos,
    /// How many times in a row, for this reason.
    pub times: u64,
}

impl NodeRecord {
    /// Takes down an answer, or why there is none.
    pub(super) fn note_outcome(&mut self, at: UnixNanos, failure: Option<(&'static str, String)>) {
        let Some((reason, text)) = failure else {
            (self.answered_at, self.trouble) = (Some(at), None);
            return;
        };
        let before = self.trouble.take().filter(|before| before.reason == reason);
        let (since, times) = before.map_or((at, 0), |before| (before.since, before.times));
        self.trouble = Some(Trouble { reason, text, since, times: times + 1 });
    }
}

/// The record that a node's own task writes.
pub(super) type Page = Arc<Mutex<NodeRecord>>;

/// The records of all nodes that are asked.
#[derive(Default)]
pub(super) struct Records(RwLock<BTreeMap<NodeName, Page>>);

impl Records {
    /// An empty page for a node; it takes the place of one that a node of that name had before.
    pub(super) fn open(&self, node: &NodeName) -> Page {
        let page = Page::default();
        self.0.write().insert(node.clone(), Arc::clone(&page));
        page
    }

    /// Takes out a page, unless another has taken its place.
    pub(super) fn close(&self, node: &NodeName, page: &Page) {
        let mut records = self.0.write();
        if records.get(node).is_some_and(|known| Arc::ptr_eq(known, page)) {
            records.remove(node);
        }
    }

    pub(super) fn of(&self, node: &str) -> Option<NodeRecord> {
        let page = self.0.read().get(node).cloned()?;
        let record = page.lock().clone();
        Some(record)
    }

    pub(super) fn all(&self) -> Vec<(NodeName, NodeRecord)> {
        let pages: Vec<_> = self.0.read().iter().map(|(node, page)| (node.clone(), Arc::clone(page))).collect();
        pages.into_iter().map(|(node, page)| (node, page.lock().clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_counted_from_its_first_time_and_another_begins_anew() {
        let mut record = NodeRecord::default();
        let at = |second: u64| UnixNanos(second * 1_000_000_000);
        let fail = |reason| Some((reason, format!("for the reason {reason}")));
        record.note_outcome(at(1), fail("timeout"));
        record.note_outcome(at(2), fail("timeout"));
        let seen = |record: &NodeRecord| record.trouble.as_ref().map(|it| (it.reason, it.since, it.times));
        assert_eq!((seen(&record), record.answered_at), (Some(("timeout", at(1), 2)), None));
        record.note_outcome(at(3), fail("403"));
        assert_eq!(seen(&record), Some(("403", at(3), 1)));
        record.note_outcome(at(4), None);
        assert_eq!((seen(&record), record.answered_at), (None, Some(at(4))));
    }

    #[test]
    fn a_node_that_comes_back_keeps_its_new_page_when_the_old_task_ends() {
        let (records, node) = (Records::default(), NodeName::new("n"));
        let old = records.open(&node);
        let new = records.open(&node);
        new.lock().next_at = UnixNanos(7);
        records.close(&node, &old);
        assert_eq!(records.of("n").map(|record| record.next_at), Some(UnixNanos(7)));
        records.close(&node, &new);
        assert!(records.of("n").is_none() && records.all().is_empty());
    }
}
