//! The door: a request goes in, a [`Caller`] comes out, or a [`Refusal`].
//!
//! [`Door::identify`] says who it is: a front proxy speaking for a user, a client certificate, a bearer token, or
//! nobody in particular. [`Door::permit`] says whether they may. Only `permit` makes a `Caller`, so code that takes one
//! cannot be reached without the door. Between the two stand the limits of the API layer, which need to know who asks.
//!
//! In: the certificate chain of the connection ([`Peer`]), the headers, and what the request wants ([`Attributes`]).
//! The headers that prove or claim an identity are gone afterwards, so that nothing behind the door can see them.
//!
//! What is believed stands in one immutable snapshot ([`trust::Trust`]) that is replaced whole. The API server is asked
//! through two small traits ([`review`]), and its answers are remembered within bounds (`answers`). When it cannot be
//! asked the door stays shut.
//!
//! Absent on purpose: HTTP statuses and bodies (the API layer renders a `Refusal`), spawning (futures are handed out to
//! be spawned), the wall clock (it comes in as a [`WallClock`]), constrained impersonation (only the classic checks).
//!
//! Rules: `k8s.io/apiserver` v0.36, `pkg/authentication`, `pkg/endpoints/filters` and `plugin/pkg/authorizer/webhook`;
//! where we differ, ARCHITECTURE.md says so.

mod answers;
mod identify;
mod peer;
mod permit;
pub mod review;
pub mod tls;
pub mod trust;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{AuthenticationConfig, AuthorizationConfig};
use crate::model::selector::{FieldSelector, LabelSelector};
use crate::model::units::UnixNanos;

use self::identify::{Identifier, Impersonation};
pub use self::peer::Peer;
use self::permit::Permitter;
use self::review::{AccessReviewer, TokenReviewer};
use self::trust::TrustStore;

/// Asks who a request comes from, and whether they may. Cheap to clone; the clones share their memory.
#[derive(Clone)]
pub struct Door(Arc<Inside>);

struct Inside {
    identifier: Identifier,
    permitter: Permitter,
}

impl Door {
    /// A door that believes what `trust` says and asks the reviewers about the rest.
    pub fn new(
        trust: Arc<TrustStore>,
        reviewers: Reviewers,
        clock: Arc<dyn WallClock>,
        authentication: &AuthenticationConfig,
        authorization: &AuthorizationConfig,
    ) -> Self {
        let identifier = Identifier::new(trust, reviewers.tokens, clock, authentication.token_cache_ttl);
        let permitter = Permitter::new(reviewers.access, authorization);
        Self(Arc::new(Inside { identifier, permitter }))
    }

    /// Who a request comes from. On success the headers that prove or claim an identity are removed.
    ///
    /// # Errors
    /// [`Refusal::Unauthorized`] for what was offered as a proof and is none, [`Refusal::Unavailable`] where a token
    /// could not be reviewed, [`Refusal::BadRequest`] for impersonation headers that make no sense.
    pub async fn identify(&self, peer: &Peer, headers: &mut http::HeaderMap) -> Result<Identity, Refusal> {
        self.0.identifier.identify(peer, headers).await
    }

    /// Whether the peer's certificate is that of a front proxy, whose connection many users share.
    pub fn is_front_proxy(&self, peer: &Peer) -> bool {
        self.0.identifier.is_front_proxy(peer)
    }

    /// Where they asked to act as somebody else, and may: that one. Everybody else remains who they are.
    ///
    /// # Errors
    /// As [`Door::permit`].
    pub async fn assume(&self, identity: Identity) -> Result<Identity, Refusal> {
        self.0.permitter.assume(identity).await
    }

    /// Whether they may; where they asked to act as somebody else, whether they may do that, and then whether that
    /// one may do what is asked.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`] where they may not, [`Refusal::Unavailable`] where the API server could not be asked.
    pub async fn permit(&self, identity: Identity, attributes: &Attributes) -> Result<Caller, Refusal> {
        self.0.permitter.permit(identity, attributes).await
    }
}

/// Those who answer for the API server. Two, as each may have a kubeconfig of its own.
#[derive(Clone)]
pub struct Reviewers {
    /// Whose token is this?
    pub tokens: Arc<dyn TokenReviewer>,
    /// May they?
    pub access: Arc<dyn AccessReviewer>,
}

/// Says what time it is, for the validity of certificates.
pub trait WallClock: Send + Sync {
    /// The time now.
    fn now(&self) -> UnixNanos;
}

impl<F: Fn() -> UnixNanos + Send + Sync> WallClock for F {
    fn now(&self) -> UnixNanos {
        self()
    }
}

/// Who a request comes from, as far as it could be proved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// For example `system:serviceaccount:kube-system:horizontal-pod-autoscaler`.
    pub name: String,
    /// Empty where the source of the identity gives none.
    pub uid: String,
    /// In the order in which they were given.
    pub groups: Vec<String>,
    /// Further attributes by (lower-case) key.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// Whether this is nobody in particular, be it because nothing was proved or because a front proxy says so.
    pub fn is_anonymous(&self) -> bool {
        self.name == ANONYMOUS
    }

    /// Whether this is an administrator, for whom no permission is asked and no limit on requests in flight holds.
    pub fn is_master(&self) -> bool {
        self.is_in(MASTERS)
    }

    fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|own| own == group)
    }

    /// Adds the group that every proved user is in, which front proxies and certificates do not name.
    fn with_authenticated_group(mut self) -> Self {
        if !self.is_anonymous() && !self.is_in(AUTHENTICATED) && !self.is_in(UNAUTHENTICATED) {
            self.groups.push(AUTHENTICATED.to_owned());
        }
        self
    }
}

const ANONYMOUS: &str = "system:anonymous";
const MASTERS: &str = "system:masters";
const AUTHENTICATED: &str = "system:authenticated";
const UNAUTHENTICATED: &str = "system:unauthenticated";

/// Who a request comes from, before anybody has asked whether they may.
#[derive(Clone, Debug)]
pub struct Identity {
    user: User,
    proof: Proof,
    warning: Option<&'static str>,
    impersonation: Option<Impersonation>,
}

impl Identity {
    /// Who it is. Where they ask to act as somebody else, still they themselves until [`Door::assume`].
    pub fn user(&self) -> &User {
        &self.user
    }

    /// Whether they ask to act as somebody else.
    pub fn asks_to_act(&self) -> bool {
        self.impersonation.is_some()
    }

    /// Whether a verified front proxy vouches for the user: its connection is shared by many users, so what one of
    /// them does must not end it.
    pub fn via_front_proxy(&self) -> bool {
        self.proof == Proof::FrontProxy
    }

    /// The value of a `Warning` header that the response is to bear, be it a refusal or not.
    pub fn warning(&self) -> Option<&'static str> {
        self.warning
    }
}

/// How an identity was proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proof {
    FrontProxy,
    Certificate,
    Token,
    Nothing,
}

/// Somebody who may do what they ask for. Made by [`Door::permit`] alone.
#[derive(Clone, Debug)]
pub struct Caller {
    identity: Identity,
    reason: String,
}

impl Caller {
    /// Who it is; after an impersonation, whom they act as.
    pub fn user(&self) -> &User {
        self.identity.user()
    }

    /// Why they may, in the API server's words; empty where it was not asked, or gave no reason.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// As [`Identity::via_front_proxy`].
    pub fn via_front_proxy(&self) -> bool {
        self.identity.via_front_proxy()
    }

    /// As [`Identity::warning`].
    pub fn warning(&self) -> Option<&'static str> {
        self.identity.warning()
    }
}

/// What a request wants to do, in the terms in which permission is given.
#[derive(Clone, Debug, PartialEq)]
pub struct Attributes {
    /// `get`, `list`, `watch`, `create`, …; for paths that are no resources, the HTTP method in lower case.
    pub verb: &'static str,
    /// The decoded path, as it was received.
    pub path: String,
    /// What the path names, where it names a resource.
    pub resource: Option<ResourceAttributes>,
}

/// The resource that a path names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResourceAttributes {
    /// Empty for the core group.
    pub group: String,
    /// Of the API group.
    pub version: String,
    /// Empty: all namespaces, or a resource that has none.
    pub namespace: String,
    /// `nodes`, `pods`, …
    pub resource: String,
    /// Empty: the object itself.
    pub subresource: String,
    /// Empty: all objects.
    pub name: String,
    /// Of a list.
    pub labels: LabelSelector,
    /// Of a list.
    pub fields: FieldSelector,
}

/// Why the door stayed shut. Holds what the `Status` body says; how it is rendered is the API layer's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 401: something was offered as a proof of identity and is none.
    Unauthorized,
    /// 403: they are known, and may not.
    Forbidden {
        /// The whole message, as kubectl prints it.
        message: String,
        /// `details` of the Status; all empty for a path that is no resource.
        details: Details,
        /// What the API server gave as the reason, often nothing. Part of the message as well.
        reason: String,
    },
    /// 503 with `Retry-After`: the API server could not be asked.
    Unavailable {
        /// What could not be found out, and why.
        message: String,
        /// When another attempt makes sense.
        retry_after: Duration,
    },
    /// 400: the request contradicts itself.
    BadRequest {
        /// In what.
        message: String,
    },
}

/// What a refusal is about: `details` of a `Status`. Empty fields are left out there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// The API group.
    pub group: String,
    /// The resource; `Status` calls it kind.
    pub kind: String,
    /// The object, where one was named.
    pub name: String,
}

impl Refusal {
    /// `message` of the Status.
    pub fn message(&self) -> &str {
        match self {
            Self::Unauthorized => "Unauthorized",
            Self::Forbidden { message, .. } | Self::Unavailable { message, .. } | Self::BadRequest { message } => {
                message
            }
        }
    }

    /// `reason` of the Status, from which client libraries make typed errors.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unauthorized => "Unauthorized",
            Self::Forbidden { .. } => "Forbidden",
            Self::Unavailable { .. } => "ServiceUnavailable",
            Self::BadRequest { .. } => "BadRequest",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for Refusal {}
