//! Threads on which policies are asked. A guest may compute for as long as its budget allows, so it never does on the
//! reactor; and only a few do so at a time, so that a change of the configuration, which asks about every node of the
//! cluster at once, leaves threads and processors to the rest.

use std::sync::Arc;
use std::thread::available_parallelism;

use tokio::sync::Semaphore;
use tokio::task::JoinError;

/// A bound on how many are at work.
pub(super) struct Workers(Arc<Semaphore>);

impl Workers {
    /// Twice as many as there are processors: some of them wait for a lock.
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(available_parallelism().map_or(2, |processors| processors.get() * 2))))
    }

    /// Works on a thread of its own as soon as there is one. Who stops waiting before that has nothing done; what has
    /// begun is finished.
    ///
    /// # Errors
    /// If the work panics.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        let permit = Arc::clone(&self.0).acquire_owned().await.expect("nobody closes the semaphore");
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        })
        .await
    }
}
