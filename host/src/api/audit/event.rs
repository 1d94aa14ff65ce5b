//! An event, and how it is written: as `audit.k8s.io/v1` JSON, or as the older line of text. Pure.
//!
//! No header is in it but `User-Agent`, `X-Forwarded-For` and `X-Real-Ip`: neither `Authorization` nor what a front proxy
//! says of a user beyond what the user came to be. The source addresses before the last are hearsay.
//!
//! Rules: `k8s.io/apiserver` v0.36, `pkg/apis/audit/v1/types.go`, `pkg/audit/{request,format}.go`;
//! `k8s.io/apimachinery` v0.36, `pkg/util/net/http.go` (source addresses).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

use http::{HeaderMap, HeaderValue};
use jiff::Timestamp;
use serde::Serialize;

use super::policy::Stage;
use crate::api::wire::status::{Status, quote};
use crate::auth::{Attributes, ResourceAttributes, User};
use crate::config::AuditFormat;
use crate::model::units::UnixNanos;

/// One stage of one request.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Event {
    kind: &'static str,
    api_version: &'static str,
    level: &'static str,
    #[serde(rename = "auditID")]
    pub(super) audit_id: String,
    #[serde(serialize_with = "stage")]
    pub(super) stage: Stage,
    #[serde(rename = "requestURI")]
    pub(super) request_uri: String,
    pub(super) verb: &'static str,
    pub(super) user: EventUser,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) impersonated_user: Option<EventUser>,
    #[serde(rename = "sourceIPs")]
    pub(super) source_ips: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) user_agent: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) object_ref: Option<ObjectRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) response_status: Option<ResponseStatus>,
    #[serde(serialize_with = "time")]
    pub(super) request_received_timestamp: UnixNanos,
    #[serde(serialize_with = "time")]
    pub(super) stage_timestamp: UnixNanos,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) annotations: BTreeMap<&'static str, String>,
}

/// A user, as events name one.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct EventUser {
    #[serde(skip_serializing_if = "String::is_empty")]
    username: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    uid: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    groups: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    extra: BTreeMap<String, Vec<String>>,
}

impl From<&User> for EventUser {
    fn from(user: &User) -> Self {
        let User { name, uid, groups, extra } = user.clone();
        Self { username: name, uid, groups, extra }
    }
}

/// What a request is about.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ObjectRef {
    #[serde(skip_serializing_if = "String::is_empty")]
    resource: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    namespace: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    api_group: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    api_version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    subresource: String,
}

impl From<&ResourceAttributes> for ObjectRef {
    fn from(asked: &ResourceAttributes) -> Self {
        Self {
            resource: asked.resource.clone(),
            namespace: asked.namespace.clone(),
            name: asked.name.clone(),
            api_group: asked.group.clone(),
            api_version: asked.version.clone(),
            subresource: asked.subresource.clone(),
        }
    }
}

/// What was answered: the code, and of a failure what the client was told, but for the details, which say again what
/// [`ObjectRef`] says.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct ResponseStatus {
    metadata: Empty,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) status: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) message: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) reason: String,
    pub(super) code: u16,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
struct Empty {}

impl ResponseStatus {
    /// Of an answer that is no failure, or one in plain text.
    pub(super) fn of_code(code: u16) -> Self {
        Self { code, ..Self::default() }
    }
}

impl From<&Status> for ResponseStatus {
    fn from(status: &Status) -> Self {
        let (message, reason) = (status.message().to_owned(), status.reason().to_owned());
        Self { status: "Failure".to_owned(), message, reason, ..Self::of_code(status.code().as_u16()) }
    }
}

impl Event {
    /// What is known when a request has come.
    pub(super) fn new(audit_id: &HeaderValue, request: &Request<'_>, attributes: &Attributes) -> Self {
        Self {
            kind: "Event",
            api_version: "audit.k8s.io/v1",
            level: "Metadata",
            audit_id: text(audit_id).into_owned(),
            stage: Stage::RequestReceived,
            request_uri: cut(request.uri, LONGEST_URI),
            verb: attributes.verb,
            user: EventUser::default(),
            impersonated_user: None,
            source_ips: source_ips(request.headers, request.remote),
            user_agent: request
                .headers
                .get(http::header::USER_AGENT)
                .map(|agent| cut(&text(agent), LONGEST_USER_AGENT))
                .unwrap_or_default(),
            object_ref: attributes.resource.as_ref().map(ObjectRef::from),
            response_status: None,
            request_received_timestamp: request.received_at,
            stage_timestamp: request.received_at,
            annotations: BTreeMap::new(),
        }
    }

    /// The event as a line, with its end.
    pub(super) fn line(&self, format: AuditFormat) -> Vec<u8> {
        let mut line = match format {
            AuditFormat::Json => {
                serde_json::to_vec(self).expect("strings, numbers and maps of strings have a JSON form")
            }
            AuditFormat::Legacy => self.legacy().into_bytes(),
        };
        line.push(b'\n');
        line
    }

    fn legacy(&self) -> String {
        let groups = |groups: &[String]| groups.iter().map(|group| quote(group)).collect::<Vec<_>>().join(",");
        let given = |text: String, or: &'static str| if text.is_empty() { or.to_owned() } else { text };
        let (acting, acting_groups) = match &self.impersonated_user {
            Some(user) => (user.username.clone(), groups(&user.groups)),
            None => ("<self>".to_owned(), "<lookup>".to_owned()),
        };
        let namespace = self.object_ref.as_ref().map(|object| object.namespace.clone()).unwrap_or_default();
        let response = self.response_status.as_ref().map(|status| status.code.to_string());
        let fields = [
            ("id", self.audit_id.clone()),
            ("stage", self.stage.as_str().to_owned()),
            ("ip", given(self.source_ips.first().cloned().unwrap_or_default(), "<unknown>")),
            ("method", self.verb.to_owned()),
            ("user", given(self.user.username.clone(), "<none>")),
            ("groups", given(groups(&self.user.groups), "<none>")),
            ("as", acting),
            ("asgroups", acting_groups),
            ("user-agent", self.user_agent.clone()),
            ("namespace", given(namespace, "<none>")),
            ("uri", self.request_uri.clone()),
            ("response", response.unwrap_or_else(|| "<deferred>".to_owned())),
        ];
        let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", quote(value))).collect();
        format!("{} AUDIT: {}", timestamp(self.request_received_timestamp), fields.join(" "))
    }
}

/// A request, as far as events tell of it.
pub(in crate::api) struct Request<'a> {
    /// Path and query as they came.
    pub(in crate::api) uri: &'a str,
    /// As they came, but for those that prove an identity.
    pub(in crate::api) headers: &'a HeaderMap,
    /// The other end of the connection.
    pub(in crate::api) remote: IpAddr,
    /// When it came.
    pub(in crate::api) received_at: UnixNanos,
}

/// As upstream.
const LONGEST_USER_AGENT: usize = 1024;
/// Upstream sets no bound; names and selectors together have no reason to be longer.
const LONGEST_URI: usize = 8 * 1024;
/// Proxies on the way; upstream sets no bound.
const MOST_HOPS: usize = 32;

fn cut(text: &str, longest: usize) -> String {
    if text.len() <= longest {
        return text.to_owned();
    }
    let mut end = longest;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}...TRUNCATED", &text[..end])
}

fn text(value: &HeaderValue) -> Cow<'_, str> {
    String::from_utf8_lossy(value.as_bytes())
}

/// Whom the request is said to have come through, and last whom it has come from.
fn source_ips(headers: &HeaderMap, remote: IpAddr) -> Vec<String> {
    let first = |name: &str| headers.get(name).map(text).unwrap_or_default();
    let forwarded = first("x-forwarded-for");
    let mut hops: Vec<IpAddr> =
        forwarded.split(',').filter_map(|hop| hop.trim().parse().ok()).take(MOST_HOPS).collect();
    if let Ok(real) = first("x-real-ip").trim().parse()
        && !hops.contains(&real)
    {
        hops.push(real);
    }
    if hops.last() != Some(&remote) {
        hops.push(remote);
    }
    hops.iter().map(IpAddr::to_string).collect()
}

fn stage<S: serde::Serializer>(stage: &Stage, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(stage.as_str())
}

fn time<S: serde::Serializer>(time: &UnixNanos, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&timestamp(*time))
}

/// To the microsecond, as Kubernetes' MicroTime.
fn timestamp(time: UnixNanos) -> String {
    let time = Timestamp::from_nanosecond(i128::from(time.0)).unwrap_or(Timestamp::UNIX_EPOCH);
    format!("{time:.6}")
}

#[cfg(test)]
mod tests;
