//! One copy of each label set, for the many pods that bear equal ones.
//!
//! Sets are held weakly: the pods keep them alive. What is left of dropped ones is swept out when as many have come
//! as were alive at the last sweep, so the table stays within twice the sets in use, at a constant cost per pod.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Weak};

use hashbrown::HashTable;

use crate::model::Labels;

/// The label sets in use.
#[derive(Debug, Default)]
pub(super) struct LabelSets {
    sets: HashTable<(u64, Weak<Labels>)>,
    hasher: RandomState,
    alive_at_last_sweep: usize,
}

impl LabelSets {
    /// The one copy of this set.
    pub(super) fn share(&mut self, labels: &Labels) -> Arc<Labels> {
        let hash = self.hasher.hash_one(labels);
        let is_equal = |(_, set): &(u64, Weak<Labels>)| set.upgrade().is_some_and(|set| *set == *labels);
        if let Some(shared) = self.sets.find(hash, is_equal).and_then(|(_, set)| set.upgrade()) {
            return shared;
        }
        self.sweep_if_due();
        let shared = Arc::new(labels.clone());
        self.sets.insert_unique(hash, (hash, Arc::downgrade(&shared)), |(hash, _)| *hash);
        shared
    }

    fn sweep_if_due(&mut self) {
        /// Below this a sweep gains nothing worth its walk.
        const SMALL: usize = 64;
        if self.sets.len() < SMALL.max(2 * self.alive_at_last_sweep) {
            return;
        }
        self.sets.retain(|(_, set)| set.strong_count() > 0);
        self.sets.shrink_to(2 * self.sets.len(), |(hash, _)| *hash);
        self.alive_at_last_sweep = self.sets.len();
    }

    /// How many sets the table holds, dropped ones that have not been swept out included.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.sets.len()
    }
}
