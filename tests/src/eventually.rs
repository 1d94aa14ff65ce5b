//! Waiting for what nothing announces: it is looked at again and again, for a bounded time.

use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::time::{Instant, sleep};

/// Often enough that a test is not held up, seldom enough that looking is not what it measures.
const POLL: Duration = Duration::from_millis(100);

/// Looks until `look` succeeds, and returns what it found.
///
/// # Errors
/// Where it does not in time: with `what` was waited for and the last failure.
pub async fn eventually<T>(what: &str, within: Duration, mut look: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    let deadline = Instant::now() + within;
    loop {
        match look().await {
            Ok(found) => return Ok(found),
            Err(error) if Instant::now() >= deadline => {
                return Err(error).with_context(|| format!("{what}: not within {within:?}"));
            }
            Err(_) => sleep(POLL).await,
        }
    }
}
