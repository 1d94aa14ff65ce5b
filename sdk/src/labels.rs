//! Labels and annotations, as Kubernetes objects bear them.

use std::fmt;

use crate::guest::types::Label;

/// The labels or annotations of one object: texts by key, each key once.
#[derive(Clone, Default)]
pub struct Labels(Vec<Label>);

impl Labels {
    /// The value of `key`, such as `app.kubernetes.io/name`; None where the object does not bear it.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|label| label.key == key).map(|label| &*label.value)
    }

    /// Whether the object bears `key`, with whatever value.
    pub fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Keys and values, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|label| (&*label.key, &*label.value))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn set(&mut self, key: &str, value: &str) {
        self.0.retain(|label| label.key != key);
        self.0.push(Label { key: key.to_owned(), value: value.to_owned() });
        self.0.sort_by(|a, b| a.key.cmp(&b.key));
    }
}

impl From<Vec<Label>> for Labels {
    fn from(labels: Vec<Label>) -> Self {
        Self(labels)
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_map().entries(self.iter()).finish()
    }
}
