//! What every request passes whatever it asks for: the limits on how many are answered at a time, what browsers are told,
//! what is said while we shut down, and how connections are spread over replicas.
//!
//! In: the head of a request. Out: whether it is answered here and now (`Flow::check`), the headers that its answer
//! bears in any case (`Flow::headers`), a place among the requests in flight (`Flow::place_for`).
//!
//! Absent on purpose: who asks, but for whether they are administrators; what they ask for, but for whether it writes.
//!
//! Rules: `k8s.io/apiserver` v0.36, `pkg/server/filters/{cors,hsts,goaway,maxinflight,with_retry_after}.go`. Differences:
//! health probes need no place among the requests in flight, and a `User-Agent` opens no way around the shutdown.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, CONTENT_LENGTH, HOST, HeaderName, ORIGIN,
    STRICT_TRANSPORT_SECURITY, TRANSFER_ENCODING,
};
use http::request::Parts as Head;
use http::{HeaderMap, HeaderValue, Method, Version};
use regex::Regex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::route::{Endpoint, Routed};
use super::serve::HEADER_LINES;
use crate::auth::User;
use crate::config::ServingConfig;

/// How far the end of the gateway has come. Shared with whoever ends it.
#[derive(Default)]
pub struct Shutdown {
    is_begun: AtomicBool,
    is_turning_away: AtomicBool,
    requests: TaskTracker,
}

impl Shutdown {
    /// From now on `/readyz` fails.
    pub fn begin(&self) {
        self.is_begun.store(true, Ordering::Relaxed);
    }

    /// Whether it has begun.
    pub fn is_begun(&self) -> bool {
        self.is_begun.load(Ordering::Relaxed)
    }

    /// From now on requests are told to come back later, and those that came before are waited for.
    pub async fn turn_away(&self) {
        self.is_turning_away.store(true, Ordering::SeqCst);
        self.requests.close();
        self.requests.wait().await;
    }

    /// Held by a request until its answer is sent.
    fn register(&self) -> TaskTrackerToken {
        self.requests.token()
    }
}

/// What every request passes.
pub(super) struct Flow {
    /// As many requests are answered at a time as there are permits; None: no limit.
    reading: Option<Arc<Semaphore>>,
    writing: Option<Arc<Semaphore>>,
    goaway_chance: f64,
    strict_transport_security: Option<HeaderValue>,
    origins: Vec<Regex>,
    shutdown: Arc<Shutdown>,
}

/// What becomes of a request.
pub(super) enum Gate {
    /// It goes on; the token is held until its answer is sent.
    Open(Option<TaskTrackerToken>),
    /// It is answered here.
    Shut(Turn),
}

/// Why a request is answered before anybody has looked who it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// 400, and the connection ends: the text says what is wrong with its head.
    Malformed(&'static str),
    /// 431: more lines than anybody can need.
    TooManyHeaders,
    /// 200: `OPTIONS *` asks whether we are there at all.
    Ping,
    /// 204: a browser asks whether it may ask.
    Preflight,
    /// 429: we are about to end.
    ShuttingDown,
}

impl Flow {
    pub(super) fn new(config: &ServingConfig, shutdown: Arc<Shutdown>) -> Self {
        let places = |limit: Option<NonZeroUsize>| {
            limit.map(|limit| Arc::new(Semaphore::new(limit.get().min(Semaphore::MAX_PERMITS))))
        };
        let directives = config.strict_transport_security.as_deref();
        Self {
            reading: places(config.max_in_flight),
            writing: places(config.max_mutating_in_flight),
            goaway_chance: config.goaway_chance,
            strict_transport_security: directives.and_then(|directives| HeaderValue::from_str(directives).ok()),
            origins: config.cors_origins.clone(),
            shutdown,
        }
    }

    /// What becomes of a request, as far as its head alone says.
    pub(super) fn check(&self, head: &Head) -> Gate {
        if let Some(fault) = fault(head) {
            return Gate::Shut(Turn::Malformed(fault));
        }
        if head.headers.len() > HEADER_LINES {
            return Gate::Shut(Turn::TooManyHeaders);
        }
        if head.method == Method::OPTIONS && head.uri.path() == "*" {
            return Gate::Shut(Turn::Ping);
        }
        // Those who look whether we are well are answered to the last.
        let is_exempt = EXEMPT.iter().any(|prefix| head.uri.path().starts_with(prefix));
        let token = (!is_exempt).then(|| self.shutdown.register());
        // Asked after it is registered: whoever waits for the registered ones sees it, or it sees them.
        if !is_exempt && self.shutdown.is_turning_away.load(Ordering::SeqCst) {
            return Gate::Shut(Turn::ShuttingDown);
        }
        if head.method == Method::OPTIONS && self.allowed_origin(&head.headers).is_some() {
            return Gate::Shut(Turn::Preflight);
        }
        Gate::Open(token)
    }

    /// The headers that the answer bears whatever it is.
    pub(super) fn headers(&self, request: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
        let mut headers = Vec::new();
        if let Some(directives) = &self.strict_transport_security {
            headers.push((STRICT_TRANSPORT_SECURITY, directives.clone()));
        }
        if let Some(origin) = self.allowed_origin(request) {
            headers.push((ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone()));
            let texts = CORS.map(|(name, text)| (name, HeaderValue::from_static(text)));
            headers.extend(texts);
        }
        headers
    }

    fn allowed_origin<'r>(&self, request: &'r HeaderMap) -> Option<&'r HeaderValue> {
        let origin = request.get(ORIGIN).filter(|origin| !origin.is_empty() && !self.origins.is_empty())?;
        let text = origin.to_str().ok()?;
        self.origins.iter().any(|allowed| allowed.is_match(text)).then_some(origin)
    }

    /// Whether this client is to reconnect, so that connections spread over the replicas. `draw` gives a number in
    /// [0, 1).
    pub(super) fn says_goaway(&self, version: Version, draw: impl FnOnce() -> f64) -> bool {
        version == Version::HTTP_2 && self.goaway_chance > 0.0 && draw() < self.goaway_chance
    }

    /// A place among the requests in flight. Administrators need none, nor do probes: those who look whether we are
    /// well must get through when we are busy.
    pub(super) fn place_for(&self, user: &User, routed: &Routed) -> Result<Option<OwnedSemaphorePermit>, Full> {
        let is_probe = matches!(routed.outcome, Ok(Endpoint::Probe(..) | Endpoint::ProbeCheck(..)));
        let is_reading = matches!(routed.attributes.verb, "get" | "list" | "watch");
        let places = if is_reading { &self.reading } else { &self.writing };
        let Some(places) = places.as_ref().filter(|_| !is_probe && !user.is_master()) else {
            return Ok(None);
        };
        Arc::clone(places).try_acquire_owned().map(Some).map_err(|_| Full)
    }
}

/// As many requests are in flight as may be.
#[derive(Debug)]
pub(super) struct Full;

/// The plain text of a 429 while we shut down.
pub(super) const SHUTTING_DOWN: &str = "The apiserver is shutting down, please try again later.\n";

/// Beginnings of paths that are answered while we shut down.
const EXEMPT: [&str; 4] = ["/readyz", "/livez", "/healthz", "/metrics"];

const CORS: [(HeaderName, &str); 4] = [
    (ACCESS_CONTROL_ALLOW_METHODS, "POST, GET, OPTIONS, PUT, DELETE, PATCH"),
    (
        ACCESS_CONTROL_ALLOW_HEADERS,
        "Content-Type, Content-Length, Accept-Encoding, X-CSRF-Token, Authorization, X-Requested-With, If-Modified-Since",
    ),
    (ACCESS_CONTROL_EXPOSE_HEADERS, "Date"),
    (ACCESS_CONTROL_ALLOW_CREDENTIALS, "true"),
];

/// What is wrong with the head of an HTTP/1 request that hyper lets pass, in Go's words where it has some. In HTTP/2
/// there is none of this.
///
/// Whose length is told in two ways may be two requests to somebody between us and the client. hyper takes the chunks
/// for the truth and drops the other header, so that we cannot see it; as nothing that we serve takes a body, one in
/// chunks is refused altogether.
fn fault(head: &Head) -> Option<&'static str> {
    if head.version >= Version::HTTP_2 {
        return None;
    }
    let headers = &head.headers;
    let lines = |name: &HeaderName| headers.get_all(name).iter().count();
    match lines(&HOST) {
        0 if head.version == Version::HTTP_11 => return Some("400 Bad Request: missing required Host header"),
        0 | 1 => {}
        _ => return Some("400 Bad Request: too many Host headers"),
    }
    if headers.contains_key(TRANSFER_ENCODING) {
        return Some("400 Bad Request: a body in chunks is not accepted");
    }
    (lines(&CONTENT_LENGTH) > 1).then_some("400 Bad Request: too many Content-Length headers")
}

#[cfg(test)]
mod tests;
