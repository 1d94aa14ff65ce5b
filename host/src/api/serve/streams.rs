//! The tasks of HTTP/2 streams: each answers one request and then writes its body, and has a limited time for both.
//!
//! hyper does not ask a body for more while the client takes nothing, so a body cannot end itself; but it runs every
//! stream as a task of its own, and when that is dropped the stream is reset, and the connection's others go on.

use std::time::Duration;

use hyper::rt::Executor;
use tokio_util::task::TaskTracker;

/// Runs streams.
#[derive(Clone)]
pub(super) struct Streams {
    pub(super) tasks: TaskTracker,
    /// For one stream.
    pub(super) limit: Duration,
}

impl<F> Executor<F> for Streams
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, stream: F) {
        self.tasks.spawn(tokio::time::timeout(self.limit, stream));
    }
}
