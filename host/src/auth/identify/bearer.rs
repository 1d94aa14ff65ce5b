//! Bearer tokens: read from the header, reviewed by the API server, remembered for a few seconds.
//!
//! Anybody who reaches the port can present tokens, so what they cost the API server is bounded: a token is reviewed
//! once at a time, a few tokens of one address at once, and a failure is remembered like a success. All failures
//! together hold one share of the memory, so that made-up tokens displace one another and never a good one.
//!
//! The reference remembers no errors: neither an API server that does not answer nor one that says `status.error`.
//! We do, for [`FAILURE_KEPT`], as five identical requests would otherwise be up to 25 reviews.
//!
//! Rules: `k8s.io/apiserver` v0.36, `pkg/authentication/request/bearertoken`, `pkg/authentication/token/cache`,
//! `plugin/pkg/authenticator/token/webhook`.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, header};
use k8s_openapi::api::authentication::v1::{TokenReviewStatus, UserInfo};

use super::front_proxy::borrowed_text;
use crate::auth::answers::{Answer, Answers, Limits, Secret};
use crate::auth::review::{Outage, TokenReviewer, persist};
use crate::auth::{Refusal, User};

/// The token of a request, and a warning for the response where what looks like one is ignored.
pub(super) fn credential(headers: &HeaderMap) -> (Option<String>, Option<&'static str>) {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return (None, None) };
    let value = borrowed_text(value);
    let mut parts = value.trim().splitn(3, ' ');
    let (scheme, token, rest) = (parts.next(), parts.next(), parts.next());
    match (scheme, token) {
        (Some(scheme), Some(token)) if scheme.eq_ignore_ascii_case("bearer") => match token {
            "" => (None, rest.map(|_| EXTRA_SPACE)),
            token => (Some(token.to_owned()), None),
        },
        _ => (None, None),
    }
}

const EXTRA_SPACE: &str =
    "299 - \"the provided Authorization header contains extra space before the bearer token, and is ignored\"";

/// Knows whose tokens are whose.
pub(super) struct Tokens {
    reviewer: Arc<dyn TokenReviewer>,
    answers: Answers<Result<User, Failure>>,
    secret: Secret,
    ttl: Duration,
    outage: Arc<Outage>,
}

/// Why a token proves nothing.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// The API server says so, or it is too long to be asked about.
    Invalid(String),
    /// The API server did not say.
    Unreviewed(Refusal),
}

/// A share is an eighth: the failures', and that of each user (who needs more than one token only to roll it over).
const LIMITS: Limits = Limits { answers: 8192, answers_per_owner: 1024, at_once: 64, at_once_per_asker: 8 };
/// Long enough that retrying clients share one failure, short enough that nobody notices when the cause is gone.
const FAILURE_KEPT: Duration = Duration::from_secs(2);
/// All attempts at one review together.
const PATIENCE: Duration = Duration::from_secs(10);
/// Tokens of service accounts have about 1 KiB, those of identity providers with many groups a few.
const LONGEST_TOKEN: usize = 64 << 10;

impl Tokens {
    pub(super) fn new(reviewer: Arc<dyn TokenReviewer>, ttl: Duration) -> Self {
        let outage = Arc::new(Outage::new("TokenReviews"));
        Self { reviewer, answers: Answers::new(LIMITS), secret: Secret::random(), ttl, outage }
    }

    /// Whose token it is, on behalf of one who connects from `remote`.
    pub(super) async fn user(&self, token: &str, remote: IpAddr) -> Result<User, Failure> {
        if token.len() > LONGEST_TOKEN {
            return Err(Failure::Invalid(format!("the token is longer than {LONGEST_TOKEN} bytes")));
        }
        let key = self.secret.digest(&[b"token", token.as_bytes()]);
        let asker = self.secret.digest(&[b"remote", remote.to_string().as_bytes()]);
        self.answers.ask(key, asker, || self.review(token.to_owned())).await
    }

    fn review(&self, token: String) -> impl Future<Output = Answer<Result<User, Failure>>> + use<> {
        let (reviewer, ttl) = (Arc::clone(&self.reviewer), self.ttl);
        let (secret, outage) = (self.secret.clone(), Arc::clone(&self.outage));
        async move {
            let reviewed = persist(PATIENCE, || reviewer.review_token(&token)).await;
            outage.note(&reviewed);
            let (value, keep) = match reviewed {
                Ok(status) => judged(status, ttl),
                Err(_) => (Err(unreviewed()), ttl.min(FAILURE_KEPT)),
            };
            let owner = match &value {
                Ok(user) => secret.digest(&[b"user", user.name.as_bytes()]),
                Err(_) => secret.digest(&[b"nobody"]),
            };
            Answer { value, keep, owner }
        }
    }
}

fn judged(status: TokenReviewStatus, ttl: Duration) -> (Result<User, Failure>, Duration) {
    if let Some(error) = status.error.filter(|error| !error.is_empty()) {
        let failure = Failure::Invalid(format!("the API server could not review the token: {error}"));
        return (Err(failure), ttl.min(FAILURE_KEPT));
    }
    match status.user {
        Some(user) if status.authenticated == Some(true) => (Ok(user_of(user)), ttl),
        _ => (Err(Failure::Invalid("the API server does not know the token".to_owned())), ttl),
    }
}

fn user_of(info: UserInfo) -> User {
    User {
        name: info.username.unwrap_or_default(),
        uid: info.uid.unwrap_or_default(),
        groups: info.groups.unwrap_or_default(),
        extra: info.extra.unwrap_or_default(),
    }
}

fn unreviewed() -> Failure {
    let message = "the bearer token could not be reviewed by the API server, try again later".to_owned();
    Failure::Unreviewed(Refusal::Unavailable { message, retry_after: FAILURE_KEPT })
}
