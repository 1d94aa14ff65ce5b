//! The API server, asked for one thing at a time.
//!
//! In: a path. Out: JSON, or why there is none ([`Unread`]), as a value that checks look at: that something may not be read
//! is a finding, not an error of this program. Every answer has a time limit and a size limit.
//!
//! JSON instead of typed objects: objects are read as they come, of whatever version, and a field of an unexpected type
//! must not hide the others.

use std::error::Error;
use std::fmt;
use std::fmt::Write as _;
use std::time::Duration;

use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use kube::client::Body;
use serde_json::{Value, json};

/// Of one answer: 5,000 nodes in pages, or the metrics of 100,000 pods.
const LONGEST: usize = 64 << 20;
/// Objects of a page: nodes are 10 to 30 KB each.
const PAGE: usize = 500;
/// More objects than any cluster has nodes or any question here needs pods.
const MOST_OBJECTS: usize = 20_000;

/// What was read, or why it was not.
pub(super) type Read<T = Value> = Result<T, Unread>;

/// Why something was not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unread {
    /// The status that was answered, if it was.
    pub(super) status: Option<u16>,
    /// In words.
    pub(super) text: String,
}

impl Unread {
    pub(super) fn is_absent(&self) -> bool {
        self.status == Some(404)
    }

    pub(super) fn is_forbidden(&self) -> bool {
        self.status == Some(403)
    }
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            Some(status) => write!(f, "{status}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

/// The API server.
pub(super) struct Server {
    client: kube::Client,
    limit: Duration,
}

impl Server {
    pub(super) fn new(client: kube::Client, limit: Duration) -> Self {
        Self { client, limit }
    }

    /// The object at `path`.
    pub(super) async fn get(&self, path: &str) -> Read {
        parse(&self.get_text(path).await?)
    }

    /// The text at `path`.
    pub(super) async fn get_text(&self, path: &str) -> Read<Vec<u8>> {
        self.exchange(Method::GET, path, Body::empty()).await
    }

    /// What is answered to `object`.
    pub(super) async fn post(&self, path: &str, object: &Value) -> Read {
        parse(&self.exchange(Method::POST, path, Body::from(object.to_string().into_bytes())).await?)
    }

    /// All objects of a list, page by page. `query` begins without `?`.
    pub(super) async fn list(&self, path: &str, query: &str) -> Read<Vec<Value>> {
        let mut items = Vec::new();
        let mut token = String::new();
        loop {
            let mut target = format!("{path}?limit={PAGE}&{query}");
            if !token.is_empty() {
                let escaped = percent_encoding::utf8_percent_encode(&token, percent_encoding::NON_ALPHANUMERIC);
                let _ = write!(target, "&continue={escaped}");
            }
            let mut page = self.get(&target).await?;
            if let Value::Array(more) = page["items"].take() {
                items.extend(more);
            }
            token = text(&page, "/metadata/continue").to_owned();
            if token.is_empty() || items.len() >= MOST_OBJECTS {
                return Ok(items);
            }
        }
    }

    async fn exchange(&self, method: Method, path: &str, body: Body) -> Read<Vec<u8>> {
        let unread = |text: String| Unread { status: None, text };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::ACCEPT, "application/json, */*")
            .header(header::CONTENT_TYPE, "application/json")
            .body(body)
            .map_err(|error| unread(error.to_string()))?;
        let exchange = async {
            let response = self.client.send(request).await.map_err(|error| unread(chain(&error)))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), LONGEST).collect().await;
            let body = body.map_err(|error| unread(chain(&*error)))?.to_bytes();
            if status.is_success() { Ok(body.to_vec()) } else { Err(refusal(status, &body)) }
        };
        let answer = tokio::time::timeout(self.limit, exchange).await;
        answer.unwrap_or_else(|_| Err(unread(format!("no answer within {:?}", self.limit))))
    }
}

/// An error with its causes: the first of them says little.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}

fn parse(text: &[u8]) -> Read {
    serde_json::from_slice(text)
        .map_err(|error| Unread { status: None, text: format!("the answer is no JSON: {error}") })
}

/// A Status has a message; what is none is shown as it is.
fn refusal(status: StatusCode, body: &[u8]) -> Unread {
    let said = serde_json::from_slice::<Value>(body).ok();
    let message = said.as_ref().and_then(|said| said["message"].as_str().map(str::to_owned));
    let text = message.unwrap_or_else(|| String::from_utf8_lossy(&body[..body.len().min(1000)]).trim().to_owned());
    Unread { status: Some(status.as_u16()), text }
}

/// The text at a JSON pointer, or "".
pub(super) fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The list at a JSON pointer; empty where there is none.
pub(super) fn items<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The condition `kind` of an object, if it has one.
pub(super) fn condition<'v>(value: &'v Value, kind: &str) -> Option<&'v Value> {
    items(value, "/status/conditions").iter().find(|condition| text(condition, "/type") == kind)
}

/// What a SubjectAccessReview asks of one user.
pub(super) fn access_review(user: &str, groups: &[String], attributes: &Value) -> Value {
    json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
        "spec": {"user": user, "groups": groups, "resourceAttributes": attributes},
    })
}
