//! What outlives a generation of policies as long as the next one has the same thing.
//!
//! Nothing is owned here: a thing lives as long as some generation holds it. So a generation that is refused leaves no
//! trace, and one that is replaced takes with it what its successor does not have.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

/// Things by what makes them the same.
pub struct Kept<K, T>(Mutex<HashMap<K, Weak<T>>>);

impl<K, T> Default for Kept<K, T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, T> Kept<K, T> {
    /// The one that somebody holds, or else a new one.
    pub fn get_or_make(&self, key: K, make: impl FnOnce(&K) -> T) -> Arc<T> {
        let mut kept = self.0.lock();
        if let Some(known) = kept.get(&key).and_then(Weak::upgrade) {
            return known;
        }
        let new = Arc::new(make(&key));
        kept.insert(key, Arc::downgrade(&new));
        new
    }

    /// Forgets what nobody holds any more.
    pub fn sweep(&self) {
        self.0.lock().retain(|_, thing| thing.strong_count() > 0);
    }
}
