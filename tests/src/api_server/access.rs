//! Who a request comes from and whether they may: for the double's own requests, and as TokenReview and
//! SubjectAccessReview for the gateway's.
//!
//! Both are programmed by the test (a table of tokens, a rule for access, faults) and both are recorded.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method, StatusCode};
use parking_lot::Mutex;
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::query;
use crate::serve::Peer;

/// Whose members may do everything.
pub const MASTERS: &str = "system:masters";
/// What everybody belongs to who is known.
pub const AUTHENTICATED: &str = "system:authenticated";

/// Somebody, as the API server sees them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// The user name.
    pub name: String,
    /// Mostly empty.
    pub uid: String,
    /// In order.
    pub groups: Vec<String>,
    /// Further attributes.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// A user with groups; `system:authenticated` is added where it is missing.
    pub fn new(name: &str, groups: &[&str]) -> Self {
        let mut groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
        if name != "system:anonymous" && !groups.iter().any(|group| group == AUTHENTICATED) {
            groups.push(AUTHENTICATED.to_owned());
        }
        Self { name: name.to_owned(), groups, ..Self::default() }
    }

    /// Nobody in particular.
    pub fn anonymous() -> Self {
        Self::new("system:anonymous", &["system:unauthenticated"])
    }

    /// A service account, with the groups that come with it.
    pub fn service_account(namespace: &str, name: &str) -> Self {
        let of_namespace = format!("system:serviceaccounts:{namespace}");
        Self::new(&format!("system:serviceaccount:{namespace}:{name}"), &["system:serviceaccounts", &of_namespace])
    }

    fn of_certificate(peer: &Peer) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(peer.certificate.as_ref()?).ok()?;
        let subject = certificate.subject();
        let name = subject.iter_common_name().next()?.as_str().ok()?.to_owned();
        let groups: Vec<&str> = subject.iter_organization().filter_map(|group| group.as_str().ok()).collect();
        Some(Self::new(&name, &groups))
    }

    fn to_json(&self) -> Value {
        json!({"username": self.name, "uid": self.uid, "groups": self.groups, "extra": self.extra})
    }
}

/// What somebody wants to do. Empty fields are not part of the question.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AccessRequest {
    /// Who asks.
    pub user: User,
    /// `get`, `list`, …
    pub verb: String,
    /// Of a request for no resource.
    pub path: String,
    /// The API group.
    pub group: String,
    /// The version of the API group.
    pub version: String,
    /// The namespace.
    pub namespace: String,
    /// The plural.
    pub resource: String,
    /// Below the resource.
    pub subresource: String,
    /// The object.
    pub name: String,
    /// The SubjectAccessReview's `spec` as it came; null for requests to the double itself.
    pub spec: Value,
}

impl AccessRequest {
    /// From the `spec` of a SubjectAccessReview.
    fn of_review(spec: &Value) -> Self {
        let text = |pointer: &str| spec.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let resource = |field: &str| text(&format!("/resourceAttributes/{field}"));
        let user = User {
            name: text("/user"),
            uid: text("/uid"),
            groups: serde_json::from_value(spec["groups"].clone()).unwrap_or_default(),
            extra: serde_json::from_value(spec["extra"].clone()).unwrap_or_default(),
        };
        let verb =
            if spec["resourceAttributes"].is_object() { resource("verb") } else { text("/nonResourceAttributes/verb") };
        Self {
            user,
            verb,
            path: text("/nonResourceAttributes/path"),
            group: resource("group"),
            version: resource("version"),
            namespace: resource("namespace"),
            resource: resource("resource"),
            subresource: resource("subresource"),
            name: resource("name"),
            spec: spec.clone(),
        }
    }

    /// From a request to the double.
    pub(super) fn of_request(user: User, method: &Method, path: &str, query: &str) -> Self {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let (group, version, mut rest) = match parts.as_slice() {
            ["api", version, rest @ ..] if !rest.is_empty() => ("", *version, rest),
            ["apis", group, version, rest @ ..] if !rest.is_empty() => (*group, *version, rest),
            _ => return Self { user, verb: method.as_str().to_lowercase(), path: path.to_owned(), ..Self::default() },
        };
        let mut namespace = "";
        if let ["namespaces", name, tail @ ..] = rest
            && !tail.is_empty()
        {
            (namespace, rest) = (name, tail);
        }
        let part = |index: usize| rest.get(index).copied().unwrap_or_default();
        let watches = query::firsts(query).get("watch").is_some_and(|value| value != "0" && value != "false");
        let verb = match *method {
            Method::GET | Method::HEAD if !part(1).is_empty() => "get",
            Method::GET | Method::HEAD if watches => "watch",
            Method::GET | Method::HEAD => "list",
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            _ => "delete",
        };
        let [verb, group, version, namespace, resource, name, subresource] =
            [verb, group, version, namespace, part(0), part(1), part(2)].map(str::to_owned);
        Self { user, verb, group, version, namespace, resource, subresource, name, ..Self::default() }
    }

    /// As Kubernetes says no.
    pub(super) fn refusal(&self) -> String {
        if !self.path.is_empty() {
            return format!("forbidden: User {:?} cannot {} path {:?}", self.user.name, self.verb, self.path);
        }
        let full =
            if self.group.is_empty() { self.resource.clone() } else { format!("{}.{}", self.resource, self.group) };
        let name = if self.name.is_empty() { String::new() } else { format!(" {:?}", self.name) };
        let scope = match &*self.namespace {
            "" => "at the cluster scope".to_owned(),
            namespace => format!("in the namespace {namespace:?}"),
        };
        let (user, verb, resource, group) = (&self.user.name, &self.verb, &self.resource, &self.group);
        format!(
            r#"{full}{name} is forbidden: User "{user}" cannot {verb} resource "{resource}" in API group "{group}" {scope}"#
        )
    }
}

/// The answer to an [`AccessRequest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// They may.
    Allow,
    /// No rule says that they may; with the reason, which may be empty.
    NoOpinion(String),
    /// They may not, whatever others say; with the reason.
    Deny(String),
}

/// How reviews go wrong.
#[derive(Clone, Debug, Default)]
pub struct ReviewFault {
    /// How long answers are withheld.
    pub delay: Duration,
    /// Answered instead of a review.
    pub status: Option<StatusCode>,
    /// The `status.error` of TokenReviews, which then authenticate nobody.
    pub token_error: Option<String>,
}

type Rule = Arc<dyn Fn(&AccessRequest) -> Decision + Send + Sync>;

/// Users, rules, faults, and the record of reviews.
pub struct Access {
    state: Mutex<State>,
}

struct State {
    users: BTreeMap<String, User>,
    rule: Rule,
    fault: ReviewFault,
    token_reviews: Vec<Value>,
    access_reviews: Vec<AccessRequest>,
}

impl Default for Access {
    fn default() -> Self {
        let state = State {
            users: BTreeMap::new(),
            rule: Arc::new(everybody_known),
            fault: ReviewFault::default(),
            token_reviews: Vec::new(),
            access_reviews: Vec::new(),
        };
        Self { state: Mutex::new(state) }
    }
}

/// The rule until a test sets another: whoever is known may do everything.
fn everybody_known(request: &AccessRequest) -> Decision {
    if request.user.groups.iter().any(|group| group == AUTHENTICATED) {
        Decision::Allow
    } else {
        Decision::NoOpinion(String::new())
    }
}

impl Access {
    /// From now on, `token` is `user`'s.
    pub fn add_token(&self, token: &str, user: User) {
        self.state.lock().users.insert(token.to_owned(), user);
    }

    /// From now on, `token` is nobody's.
    pub fn remove_token(&self, token: &str) {
        self.state.lock().users.remove(token);
    }

    /// Who may do what; members of `system:masters` are not asked about.
    pub fn set_rule(&self, rule: impl Fn(&AccessRequest) -> Decision + Send + Sync + 'static) {
        self.state.lock().rule = Arc::new(rule);
    }

    /// How reviews go wrong from now on.
    pub fn set_fault(&self, fault: ReviewFault) {
        self.state.lock().fault = fault;
    }

    /// The `spec` of every TokenReview so far.
    pub fn token_reviews(&self) -> Vec<Value> {
        self.state.lock().token_reviews.clone()
    }

    /// Every SubjectAccessReview so far.
    pub fn access_reviews(&self) -> Vec<AccessRequest> {
        self.state.lock().access_reviews.clone()
    }

    /// Forgets the reviews so far.
    pub fn clear_reviews(&self) {
        let mut state = self.state.lock();
        state.token_reviews.clear();
        state.access_reviews.clear();
    }

    /// Who a request to the double comes from; None: a token that is nobody's.
    pub(super) fn identify(&self, peer: &Peer, headers: &HeaderMap) -> Option<User> {
        if let Some(user) = User::of_certificate(peer) {
            return Some(user);
        }
        let authorization = headers.get(http::header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        match authorization.and_then(|value| value.strip_prefix("Bearer ")) {
            Some(token) => self.state.lock().users.get(token).cloned(),
            None => Some(User::anonymous()),
        }
    }

    pub(super) fn decide(&self, request: &AccessRequest) -> Decision {
        if request.user.groups.iter().any(|group| group == MASTERS) {
            return Decision::Allow;
        }
        let rule = self.state.lock().rule.clone();
        rule(request)
    }

    /// Answers a review: the HTTP status and the object.
    pub(super) async fn review(&self, kind: ReviewKind, mut review: Value) -> (StatusCode, Value) {
        let fault = self.state.lock().fault.clone();
        let status = match kind {
            ReviewKind::Token => self.review_token(&review["spec"], fault.token_error),
            ReviewKind::Access => self.review_access(&review["spec"]),
        };
        tokio::time::sleep(fault.delay).await;
        if let Some(code) = fault.status {
            return (code, super::status_object(code, "InternalError", "the test ordered this failure"));
        }
        review["status"] = status;
        (StatusCode::CREATED, review)
    }

    fn review_token(&self, spec: &Value, error: Option<String>) -> Value {
        let mut state = self.state.lock();
        state.token_reviews.push(spec.clone());
        let user = spec["token"].as_str().and_then(|token| state.users.get(token));
        match (error, user) {
            (Some(error), _) => json!({"authenticated": false, "error": error}),
            (None, Some(user)) => json!({"authenticated": true, "user": user.to_json()}),
            (None, None) => json!({"authenticated": false}),
        }
    }

    fn review_access(&self, spec: &Value) -> Value {
        let request = AccessRequest::of_review(spec);
        let decision = self.decide(&request);
        self.state.lock().access_reviews.push(request);
        match decision {
            Decision::Allow => json!({"allowed": true}),
            Decision::NoOpinion(reason) => json!({"allowed": false, "reason": reason}),
            Decision::Deny(reason) => json!({"allowed": false, "denied": true, "reason": reason}),
        }
    }
}

/// What is reviewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReviewKind {
    /// TokenReview.
    Token,
    /// SubjectAccessReview.
    Access,
}
