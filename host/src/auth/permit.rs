//! May they? Administrators and always-allowed paths without asking, all else by a SubjectAccessReview.
//!
//! In: an [`Identity`] and the [`Attributes`] of the request. Out: a [`Caller`], or why not. Verdicts are remembered for
//! the two configured times. One user's verdicts hold at most a sixteenth of the memory, and one user has at most 16
//! questions under way; so whoever asks for thousands of different things waits for themselves and forgets their own.
//!
//! Errors are not remembered and not taken for permission: the request is refused as [`Refusal::Unavailable`]. (The
//! reference says 500; with 503 and `Retry-After` client libraries come back.)
//!
//! Rules: `k8s.io/apiserver` v0.36, `plugin/pkg/authorizer/webhook/webhook.go`, `pkg/authorization/path/path.go`,
//! `pkg/endpoints/filters/impersonation`.

mod acting;
mod message;
mod question;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::authorization::v1::SubjectAccessReviewStatus;

use super::answers::{Answer, Answers, Limits, Secret};
use super::identify::Impersonation;
use super::review::{AccessReviewer, Again, Outage, ReviewError, persist};
use super::{Attributes, Caller, Identity, Refusal, ResourceAttributes, User};
use crate::config::AuthorizationConfig;

pub(super) struct Permitter {
    reviewer: Arc<dyn AccessReviewer>,
    always_allowed: Vec<Allowed>,
    verdicts: Answers<Result<Verdict, ReviewError>>,
    secret: Secret,
    keep: Keep,
    outage: Arc<Outage>,
}

/// What the API server says.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    /// With the reason it gives, the rule that allows it.
    Allowed(String),
    /// With the reason it gives, often none.
    Denied(String),
}

/// How long verdicts are kept.
#[derive(Clone, Copy)]
struct Keep {
    allowed: Duration,
    denied: Duration,
}

/// As many as the reference remembers; a sixteenth for each user.
const LIMITS: Limits = Limits { answers: 8192, answers_per_owner: 512, at_once: 128, at_once_per_asker: 16 };
/// All attempts at one review together. Below the default request timeout, so that clients read why.
const PATIENCE: Duration = Duration::from_secs(30);
/// Questions whose attributes are longer than this are not remembered; the reference's number.
const LONGEST_REMEMBERED: usize = 10_000;
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl Permitter {
    pub(super) fn new(reviewer: Arc<dyn AccessReviewer>, config: &AuthorizationConfig) -> Self {
        Self {
            reviewer,
            always_allowed: config.always_allow_paths.iter().map(|path| Allowed::read(path)).collect(),
            verdicts: Answers::new(LIMITS),
            secret: Secret::random(),
            keep: Keep { allowed: config.allowed_cache_ttl, denied: config.denied_cache_ttl },
            outage: Arc::new(Outage::new("SubjectAccessReviews")),
        }
    }

    pub(super) async fn permit(&self, identity: Identity, attributes: &Attributes) -> Result<Caller, Refusal> {
        let identity = self.assume(identity).await?;
        let reason = self.check(&identity.user, attributes).await?;
        Ok(Caller { identity, reason })
    }

    pub(super) async fn assume(&self, mut identity: Identity) -> Result<Identity, Refusal> {
        if let Some(wish) = identity.impersonation.take() {
            identity.user = self.impersonate(&identity.user, wish).await?;
        }
        Ok(identity)
    }

    /// Why they may.
    async fn check(&self, user: &User, attributes: &Attributes) -> Result<String, Refusal> {
        if user.is_master() || self.is_always_allowed(attributes) {
            return Ok(String::new());
        }
        match self.review(user, attributes).await {
            Ok(Verdict::Allowed(reason)) => Ok(reason),
            Ok(Verdict::Denied(reason)) => Err(message::forbidden(user, attributes, &reason)),
            Err(error) => Err(unavailable(user, &error)),
        }
    }

    fn is_always_allowed(&self, attributes: &Attributes) -> bool {
        let is_path = attributes.resource.is_none();
        is_path && self.always_allowed.iter().any(|allowed| allowed.covers(&attributes.path))
    }

    async fn review(&self, user: &User, attributes: &Attributes) -> Result<Verdict, ReviewError> {
        let spec = question::about(user, attributes);
        let text = serde_json::to_vec(&spec).expect("strings, lists and maps of strings have a JSON form");
        let key = self.secret.digest(&[&text]);
        let asker = self.secret.digest(&[user.name.as_bytes()]);
        let keep = if length(attributes) < LONGEST_REMEMBERED { self.keep } else { Keep::NOT_AT_ALL };
        let (reviewer, outage) = (Arc::clone(&self.reviewer), Arc::clone(&self.outage));
        let ask = || async move {
            let answer = persist(PATIENCE, || reviewer.review_access(&spec)).await;
            let value = answer.and_then(Verdict::read);
            outage.note(&value);
            Answer { keep: keep.of(&value), value, owner: asker }
        };
        self.verdicts.ask(key, asker, ask).await
    }

    /// The user that `user` wants to act as, if they may act as that user and as everything else they ask to be.
    async fn impersonate(&self, user: &User, wish: Impersonation) -> Result<User, Refusal> {
        for resource in acting::resources(&wish) {
            let attributes = Attributes { verb: "impersonate", path: String::new(), resource: Some(resource) };
            self.check(user, &attributes).await?;
        }
        Ok(acting::user(wish))
    }
}

impl Keep {
    const NOT_AT_ALL: Self = Self { allowed: Duration::ZERO, denied: Duration::ZERO };

    fn of(self, verdict: &Result<Verdict, ReviewError>) -> Duration {
        match verdict {
            Ok(Verdict::Allowed(_)) => self.allowed,
            Ok(Verdict::Denied(_)) => self.denied,
            Err(_) => Duration::ZERO,
        }
    }
}

impl Verdict {
    /// Neither allowed nor denied is a denial: nobody but the API server is asked.
    fn read(status: SubjectAccessReviewStatus) -> Result<Self, ReviewError> {
        match (status.allowed, status.denied.unwrap_or(false)) {
            (true, true) => {
                Err(ReviewError { text: "the API server both allows and denies it".to_owned(), again: Again::Never })
            }
            (true, false) => Ok(Self::Allowed(status.reason.unwrap_or_default())),
            (false, _) => Ok(Self::Denied(status.reason.unwrap_or_default())),
        }
    }
}

/// A path that is allowed to everybody, or a beginning of paths. Without the leading slash.
enum Allowed {
    Exactly(String),
    Below(String),
}

impl Allowed {
    fn read(text: &str) -> Self {
        let path = without_slash(text);
        match path.strip_suffix('*') {
            Some(beginning) => Self::Below(beginning.to_owned()),
            None => Self::Exactly(path.to_owned()),
        }
    }

    fn covers(&self, path: &str) -> bool {
        let path = without_slash(path);
        match self {
            Self::Exactly(allowed) => path == allowed,
            Self::Below(beginning) => path.starts_with(beginning),
        }
    }
}

/// Without the first slash only: `//healthz` is another path than `/healthz`.
fn without_slash(path: &str) -> &str {
    path.strip_prefix('/').unwrap_or(path)
}

fn length(attributes: &Attributes) -> usize {
    let of_resource = |resource: &ResourceAttributes| {
        let ResourceAttributes { group, version, namespace, resource, subresource, name, .. } = resource;
        [group, version, namespace, resource, subresource, name].into_iter().map(String::len).sum()
    };
    attributes.verb.len() + attributes.path.len() + attributes.resource.as_ref().map_or(0, of_resource)
}

fn unavailable(user: &User, error: &ReviewError) -> Refusal {
    let name = &user.name;
    let message = format!("the API server could not be asked what user {name:?} may do: {error}; try again later");
    Refusal::Unavailable { message, retry_after: RETRY_AFTER }
}
