//! Status bodies: what went wrong, in the words that upstream's server uses and clients print. Pure.
//!
//! Each constructor is one row of what can go wrong; the texts are compared by people's scripts and by tests of
//! other projects, so they are not ours to improve. How a Status is encoded is [`Form`](super::Form)'s matter.
//!
//! Absent on purpose: the refusal of a request over the in-flight limit, which is no Status upstream but plain text:
//! [`TOO_MANY_REQUESTS`].
//!
//! Rules: `k8s.io/apimachinery` v0.36 `pkg/api/errors`, `k8s.io/apiserver` v0.36
//! `pkg/endpoints/handlers/responsewriters`, metrics-server v0.9.0 `pkg/api/{node,pod}.go`. Differences: an answer
//! that came too late is a whole Status (upstream omits `kind` and `apiVersion`), and an API server that cannot be
//! asked for permission is 503 with a time to retry, where upstream is 500 in plain text.

use std::fmt::Write as _;

use http::StatusCode;

use super::encode::{Document, Encoder, field};
use super::metrics::list_meta;
use super::{GROUP, Resource};
use crate::auth::{self, Refusal};
use crate::model::PodRef;

/// The plain text of a 429, to be sent with `Retry-After: 1`.
pub const TOO_MANY_REQUESTS: &str = "Too many requests, please try again later.\n";

/// Why a request got no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    code: StatusCode,
    reason: &'static str,
    message: String,
    details: Option<Box<Details>>,
}

/// What a Status is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Details {
    name: String,
    group: String,
    kind: String,
    causes: Vec<Cause>,
}

/// One of several reasons.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cause {
    /// `FieldValueForbidden`, `FieldValueNotSupported`; empty where there is no word for it.
    pub reason: &'static str,
    /// In full.
    pub message: String,
    /// Which option it is about; empty: none in particular.
    pub field: &'static str,
}

impl Status {
    fn new(code: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: None }
    }

    fn about(mut self, name: &str, group: &str, kind: &str) -> Self {
        let (name, group, kind) = (name.to_owned(), group.to_owned(), kind.to_owned());
        self.details = Some(Box::new(Details { name, group, kind, causes: Vec::new() }));
        self
    }

    /// 400: the request cannot be understood.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    /// 401: credentials were shown, and none of them proved who it is.
    pub fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized")
    }

    /// 403: they may not; the door has the words.
    pub fn forbidden(message: String, about: &auth::Details) -> Self {
        Self::new(StatusCode::FORBIDDEN, "Forbidden", message).about(&about.name, &about.group, &about.kind)
    }

    /// 404: there is no such path among the API's.
    pub fn path_not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "NotFound", "the server could not find the requested resource")
            .about("", "", "")
    }

    /// 404: the cluster has no such node.
    pub fn no_such_node(name: &str) -> Self {
        // The singular is upstream's: the message comes from its node lister, not from its API.
        Self::new(StatusCode::NOT_FOUND, "NotFound", format!("node {} not found", quote(name))).about(name, "", "node")
    }

    /// 404: the cluster has no such running pod.
    pub fn no_such_pod(name: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NotFound", format!("pods {} not found", quote(name))).about(name, "", "pods")
    }

    /// 404: the node is there, but nothing can be said of it yet.
    pub fn no_node_metrics(name: &str) -> Self {
        Self::no_metrics("nodemetrics", name)
    }

    /// 404: the pod is there, but nothing can be said of it yet.
    pub fn no_pod_metrics(pod: PodRef<'_>) -> Self {
        Self::no_metrics("podmetrics", &pod.to_string())
    }

    fn no_metrics(kind: &str, name: &str) -> Self {
        let message = format!("{kind}.{GROUP} {} not found", quote(name));
        Self::new(StatusCode::NOT_FOUND, "NotFound", message).about(name, GROUP, kind)
    }

    /// 405: the path is there, but can only be read.
    pub fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message).about("", "", "")
    }

    /// 405: metrics cannot be watched.
    pub fn watch_not_supported(resource: Resource) -> Self {
        let resource = resource.as_str();
        let message = format!("watch is not supported on resources of kind \"{resource}.{GROUP}\"");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message).about("", GROUP, resource)
    }

    /// 406: no media type that is accepted is among those of the path, `offered`.
    pub fn not_acceptable(offered: &str) -> Self {
        let message = format!("406: Not Acceptable\n\nAvailable representations: {offered}");
        Self::new(StatusCode::NOT_ACCEPTABLE, "NotAcceptable", message).about("", "", "")
    }

    /// 406: the media type would do, but not in the form that was asked for.
    pub fn form_not_acceptable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_ACCEPTABLE, "NotAcceptable", message)
    }

    /// 422: the options of a list contradict themselves. `causes` holds at least one.
    pub fn invalid_list_options(causes: Vec<Cause>) -> Self {
        let each: Vec<String> = causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
        let why = if let [only] = &*each { only.clone() } else { format!("[{}]", each.join(", ")) };
        let message = format!("ListOptions.meta.k8s.io \"\" is invalid: {why}");
        let mut status = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message);
        status.details = Some(Box::new(Details {
            group: "meta.k8s.io".to_owned(),
            kind: "ListOptions".to_owned(),
            causes,
            ..Details::default()
        }));
        status
    }

    /// 500: our fault.
    pub fn internal(what: impl Into<String>) -> Self {
        let message = what.into();
        let mut status = Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalError",
            format!("Internal error occurred: {message}"),
        );
        let causes = vec![Cause { message, ..Cause::default() }];
        status.details = Some(Box::new(Details { causes, ..Details::default() }));
        status
    }

    /// 503: not now; for example because the API server cannot be asked for permission.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message)
    }

    /// 503: not here any more.
    pub fn shutting_down() -> Self {
        Self::unavailable("apiserver is shutting down")
    }

    /// 504: the answer was not ready in time.
    pub fn timeout() -> Self {
        let message = "Timeout: request did not complete within the allotted timeout";
        Self::new(StatusCode::GATEWAY_TIMEOUT, "Timeout", message).about("", "", "")
    }

    /// The code of the response.
    pub fn code(&self) -> StatusCode {
        self.code
    }

    /// What clients print.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What clients choose by.
    pub fn reason(&self) -> &'static str {
        self.reason
    }

    /// Seconds for `Retry-After`, where trying again may help. Clients of the API retry only where this is set.
    pub fn retry_after(&self) -> Option<u32> {
        (self.code == StatusCode::SERVICE_UNAVAILABLE).then_some(1)
    }
}

impl Document for Status {
    fn kind(&self) -> &str {
        "Status"
    }

    fn api_version(&self) -> &str {
        "v1"
    }

    fn describe<E: Encoder>(&self, encoder: &mut E) {
        encoder.object(field!("metadata", 1), list_meta);
        encoder.text(field!("status", 2), "Failure");
        encoder.text(field!("message", 3), &self.message);
        encoder.text(field!("reason", 4), self.reason);
        if let Some(details) = &self.details {
            encoder.object(field!("details", 5), |encoder| details.describe(encoder));
        }
        encoder.number(field!("code", 6), self.code.as_u16().into());
    }
}

impl Details {
    fn describe<E: Encoder>(&self, encoder: &mut E) {
        encoder.text_unless_empty(field!("name", 1), &self.name);
        encoder.text_unless_empty(field!("group", 2), &self.group);
        encoder.text_unless_empty(field!("kind", 3), &self.kind);
        if !self.causes.is_empty() {
            encoder.objects(field!("causes", 4), &self.causes, |encoder, cause| {
                encoder.text_unless_empty(field!("reason", 1), cause.reason);
                encoder.text_unless_empty(field!("message", 2), &cause.message);
                encoder.text_unless_empty(field!("field", 3), cause.field);
            });
        }
        encoder.zero(field!("retryAfterSeconds", 5));
        encoder.text_unless_empty(field!("uid", 6), "");
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unauthorized => Self::unauthorized(),
            Refusal::Forbidden { message, details, .. } => Self::forbidden(message, &details),
            Refusal::Unavailable { message, .. } => Self::unavailable(message),
            Refusal::BadRequest { message } => Self::bad_request(message),
        }
    }
}

/// `text` in double quotes, as Go's `%q` sets it.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        // Writing to a string cannot fail.
        let _ = match character {
            '"' => out.write_str("\\\""),
            '\\' => out.write_str("\\\\"),
            '\u{7}' => out.write_str("\\a"),
            '\u{8}' => out.write_str("\\b"),
            '\u{c}' => out.write_str("\\f"),
            '\n' => out.write_str("\\n"),
            '\r' => out.write_str("\\r"),
            '\t' => out.write_str("\\t"),
            '\u{b}' => out.write_str("\\v"),
            control if control.is_control() && control.is_ascii() => write!(out, "\\x{:02x}", u32::from(control)),
            control if control.is_control() => write!(out, "\\u{:04x}", u32::from(control)),
            _ => out.write_char(character),
        };
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests;
