//! Series that exist for as long as somebody holds them.
//!
//! A plugin or a tenant that a reload removes must not go on being reported, and calls of the old configuration may still
//! be under way then. So whoever counts holds a [`Row`] per series; when the last holder of the same series drops it, the
//! series goes. A new configuration takes its rows before the old one drops them, and so carries the counts on.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus::core::{Collector as _, MetricVec, MetricVecBuilder};

/// Who holds what: the number of holders by family and labels.
#[derive(Clone, Default)]
pub struct Rows(Arc<Mutex<HashMap<Key, usize>>>);

type Key = (String, Vec<Box<str>>);
type Remove = Box<dyn Fn(&[Box<str>]) + Send + Sync>;

/// One series of a family, as a metric.
pub struct Row<M> {
    metric: M,
    key: Key,
    rows: Rows,
    /// Takes the series out of its family.
    remove: Remove,
}

impl Rows {
    /// The series with these labels, new or shared.
    pub fn row<B: MetricVecBuilder + 'static>(&self, family: &MetricVec<B>, labels: &[&str]) -> Row<B::M> {
        let name = family.desc().first().map(|desc| desc.fq_name.clone()).unwrap_or_default();
        let key = (name, labels.iter().map(|label| Box::from(*label)).collect());
        let of_family = family.clone();
        // An error says that there is no such series, which is what is wanted.
        let remove = Box::new(move |labels: &[Box<str>]| drop(of_family.remove_label_values(labels)));
        // The lock is held while the series is made, so that nobody removes it in between.
        let mut held = self.0.lock();
        *held.entry(Key::clone(&key)).or_default() += 1;
        Row { metric: family.with_label_values(labels), key, rows: self.clone(), remove }
    }
}

impl<M> Deref for Row<M> {
    type Target = M;

    fn deref(&self) -> &M {
        &self.metric
    }
}

impl<M> Drop for Row<M> {
    fn drop(&mut self) {
        let mut held = self.rows.0.lock();
        let Some(holders) = held.get_mut(&self.key) else { return };
        *holders -= 1;
        if *holders == 0 {
            held.remove(&self.key);
            (self.remove)(&self.key.1);
        }
    }
}

#[cfg(test)]
mod tests;
