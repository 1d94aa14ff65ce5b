//! What time it is, as an argument: everything that needs the time of day is handed a [`Clock`].

use std::sync::Arc;

use crate::model::units::UnixNanos;

/// A source of the time of day.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> UnixNanos + Send + Sync>);

impl Clock {
    /// A clock that says what `now` says.
    pub fn new(now: impl Fn() -> UnixNanos + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The time of day.
    pub fn now(&self) -> UnixNanos {
        (self.0)()
    }
}
