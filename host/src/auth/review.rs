//! What only the API server knows: whose token this is ([`TokenReviewer`]), and whether they may ([`AccessReviewer`]).
//!
//! The traits are the door's own, so that it can be tested without a network; [`KubeReviews`] is what answers in life.
//! One call is one attempt; `persist` repeats those that failed in a way that may pass.
//!
//! Absent on purpose: memory of answers (`answers`), what an answer means (`identify`, `permit`), logging of answers:
//! that to a TokenReview holds the token.
//!
//! Rules: `k8s.io/apiserver` v0.36, `pkg/util/webhook/webhook.go` (what is repeated, how often, with which pauses).

mod kube;

#[cfg(test)]
mod tests;

use std::future::Future;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use k8s_openapi::api::authentication::v1::TokenReviewStatus;
use k8s_openapi::api::authorization::v1::{SubjectAccessReviewSpec, SubjectAccessReviewStatus};
use tracing::{debug, info, warn};

pub use self::kube::KubeReviews;

/// Says whose token it is.
pub trait TokenReviewer: Send + Sync {
    /// One attempt.
    fn review_token<'a>(&'a self, token: &'a str) -> Attempt<'a, TokenReviewStatus>;
}

/// Says whether somebody may do something.
pub trait AccessReviewer: Send + Sync {
    /// One attempt.
    fn review_access<'a>(&'a self, question: &'a SubjectAccessReviewSpec) -> Attempt<'a, SubjectAccessReviewStatus>;
}

/// One attempt at getting an answer.
pub type Attempt<'a, T> = Pin<Box<dyn Future<Output = Result<T, ReviewError>> + Send + 'a>>;

/// The API server gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct ReviewError {
    /// Why, without the question.
    pub text: String,
    /// Whether another attempt makes sense.
    pub again: Again,
}

/// Whether another attempt makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// The answer would be the same.
    Never,
    /// It may pass.
    Soon,
    /// It may pass, and the API server said when.
    After(Duration),
}

/// Attempts at one question. With the pauses between them (0.5, 0.75, 1.1, 1.7 s) a little more than four seconds.
const ATTEMPTS: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const PAUSE_GROWTH: f64 = 1.5;
/// Pauses are lengthened by up to this part, so that replicas that failed together do not return together.
const PAUSE_JITTER: f64 = 0.2;
/// One attempt that takes longer has failed; it is not repeated, as the reference does not either.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);

/// Attempts until there is an answer, or an error that would come again, or `patience` is at its end.
pub(super) async fn persist<'a, T>(
    patience: Duration,
    mut attempt: impl FnMut() -> Attempt<'a, T>,
) -> Result<T, ReviewError> {
    let attempts = async {
        let mut pause = FIRST_PAUSE;
        for _ in 1..ATTEMPTS {
            let error = match attempt_once(attempt()).await {
                Err(error) if error.again != Again::Never => error,
                settled => return settled,
            };
            let asked_for = if let Again::After(delay) = error.again { delay } else { Duration::ZERO };
            tokio::time::sleep(pause.mul_f64(1.0 + PAUSE_JITTER * random_fraction()).max(asked_for)).await;
            pause = pause.mul_f64(PAUSE_GROWTH);
        }
        attempt_once(attempt()).await
    };
    tokio::time::timeout(patience, attempts).await.unwrap_or_else(|_| Err(timed_out(patience)))
}

async fn attempt_once<T>(attempt: Attempt<'_, T>) -> Result<T, ReviewError> {
    tokio::time::timeout(ATTEMPT_TIMEOUT, attempt).await.unwrap_or_else(|_| Err(timed_out(ATTEMPT_TIMEOUT)))
}

fn timed_out(limit: Duration) -> ReviewError {
    ReviewError { text: format!("no answer within {limit:?}"), again: Again::Never }
}

/// At least 0 and below 1. The standard library seeds each of these differently, which is random enough for a pause.
fn random_fraction() -> f64 {
    let bits = RandomState::new().build_hasher().finish() >> 11;
    bits as f64 / (1_u64 << 53) as f64
}

/// Says in the log when reviews begin to fail and when they work again, once each.
pub(super) struct Outage {
    what: &'static str,
    lasts: AtomicBool,
}

impl Outage {
    /// An outage of `what` that does not last yet.
    pub(super) fn new(what: &'static str) -> Self {
        Self { what, lasts: AtomicBool::new(false) }
    }

    pub(super) fn note<T>(&self, outcome: &Result<T, ReviewError>) {
        let what = self.what;
        match outcome {
            Ok(_) if self.lasts.swap(false, Ordering::Relaxed) => info!("{what} work again"),
            Ok(_) => {}
            Err(error) if !self.lasts.swap(true, Ordering::Relaxed) => {
                warn!("{what} fail: {error}; requests that depend on one are told to come back");
            }
            Err(error) => debug!("{what} still fail: {error}"),
        }
    }
}
