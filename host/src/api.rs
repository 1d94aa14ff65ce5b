//! The API: a request and the one it came from go in, a response comes out. Looks up, never computes.
//!
//! The way of a request: it is understood ([`route`]), its sender is identified, it is counted against the limit on
//! requests in flight, it is permitted, and answered. What a request cannot have is told in the same order as by
//! upstream, so that a caller who may not ask learns nothing of what there is.
//!
//! Which nodes and pods there are is [`discovery`](crate::discovery)'s to say, what they use the store's; here the two
//! are joined, name by name. An object without usage is left out of lists and not found by name.
//!
//! Absent on purpose: arithmetic on samples, and any wait for a policy.
//!
//! Rules: metrics-server v0.9.0, `pkg/api`; `k8s.io/apiserver` v0.36, `pkg/server/config.go` (the chain of filters).

pub mod body;
pub mod certificate;
pub mod exposition;
mod lists;
pub mod probes;
pub mod route;
pub mod serve;
pub mod wire;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, RETRY_AFTER, VARY, WARNING,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};

use crate::auth::{Caller, Door, Identity, Peer, Refusal};
use crate::clock::Clock;
use crate::config::ServingConfig;
use crate::discovery::Cluster;
use crate::model::PodRef;
use crate::store::Store;
use crate::telemetry::Metrics;
use crate::tick::Tick;
use body::Body;
use exposition::{Exposition, Format};
use probes::Probe;
use route::{Endpoint, RESOURCE_METRICS, Routed, route};
use serve::Busy;
use wire::discovery::VersionInfo;
use wire::status::TOO_MANY_REQUESTS;
use wire::{ApiVersion, Form, NodeItem, PodItem, Status};

/// What the API speaks for.
pub struct Parts {
    /// Who may ask.
    pub door: Door,
    /// Which objects there are.
    pub cluster: Arc<Cluster>,
    /// What they use.
    pub store: Arc<Store>,
    /// Whether samples keep coming.
    pub tick: Arc<Tick>,
    /// Counts, and what `/metrics` shows.
    pub metrics: Arc<Metrics>,
    /// Says what time it is.
    pub clock: Clock,
    /// Set when the gateway is about to end.
    pub is_shutting_down: Arc<AtomicBool>,
    /// `api.resource_metrics`: whether `/metrics/resource` is there.
    pub resource_metrics: bool,
}

/// Answers requests.
pub struct Api {
    parts: Parts,
    /// As many requests are answered at a time as there are permits; None: no limit.
    places: Option<Arc<Semaphore>>,
    request_timeout: Duration,
}

/// A response in the making: its head's particulars and its body.
struct Answer {
    code: StatusCode,
    content_type: &'static str,
    body: Body,
    retry_after: Option<u32>,
    warning: Option<&'static str>,
}

const AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");
const PLAIN_TEXT: &str = "text/plain; charset=utf-8";

impl Api {
    /// An API that speaks for `parts`.
    pub fn new(parts: Parts, config: &ServingConfig) -> Self {
        let places =
            config.max_in_flight.map(|limit| Arc::new(Semaphore::new(limit.get().min(Semaphore::MAX_PERMITS))));
        Self { parts, places, request_timeout: config.request_timeout }
    }

    /// Answers one request. Its own body is not read: nothing that we serve takes one.
    ///
    /// `hang_up` ends the connection once the answer is sent; `busy` is held until then.
    pub async fn answer<B>(
        &self,
        request: Request<B>,
        peer: &Peer,
        hang_up: &CancellationToken,
        busy: Busy,
    ) -> Response<Body> {
        let started = Instant::now();
        let (mut head, _) = request.into_parts();
        let audit_id = audit_id(&head.headers);
        let takes_gzip = takes_gzip(&head.headers);
        let routed = route(&head.method, &head.uri, &head.headers);
        let error_form = routed.error_form;
        let (verb, resource) = (routed.attributes.verb, resource_label(&routed));
        // Go's mitigation of the rapid-reset attack: who has not proved who they are gets one answer a connection.
        let hang_up = (head.version == Version::HTTP_2).then_some(hang_up);
        let deciding = AssertUnwindSafe(self.decide(routed, peer, &mut head.headers, hang_up)).catch_unwind();
        let answer = deciding.await.unwrap_or_else(|_| {
            error!(path = head.uri.path(), "a request made the gateway panic; it got 500");
            Answer::text(
                StatusCode::INTERNAL_SERVER_ERROR,
                "This request caused apiserver to panic. Look in the logs for details.",
            )
        });
        let metrics = &self.parts.metrics;
        metrics.http_requests.with_label_values(&[answer.code.as_str()]).inc();
        let took = started.elapsed();
        metrics.http_request_duration.with_label_values(&[verb, resource]).observe(took.as_secs_f64());
        debug!(method = %head.method, path = head.uri.path(), code = answer.code.as_u16(), ?took, audit_id = ?audit_id, "request");
        let in_flight = metrics.http_in_flight.clone();
        in_flight.inc();
        answer.into_response(audit_id, takes_gzip, error_form, (busy, Counted(in_flight)))
    }

    /// From the request to what is answered, within the time that there is.
    async fn decide(
        &self,
        routed: Routed,
        peer: &Peer,
        headers: &mut HeaderMap,
        hang_up: Option<&CancellationToken>,
    ) -> Answer {
        let form = routed.error_form;
        let limit = match &routed.timeout {
            Ok(wish) => wish.map_or(self.request_timeout, |wish| wish.min(self.request_timeout)),
            Err(status) => return Answer::status(status, form),
        };
        let decided = tokio::time::timeout(limit, self.admit_and_answer(routed, peer, headers, hang_up)).await;
        decided.unwrap_or_else(|_| Answer::status(&Status::timeout(), form))
    }

    async fn admit_and_answer(
        &self,
        routed: Routed,
        peer: &Peer,
        headers: &mut HeaderMap,
        hang_up: Option<&CancellationToken>,
    ) -> Answer {
        let form = routed.error_form;
        let identity = match self.parts.door.identify(peer, headers).await {
            Ok(identity) => identity,
            Err(refusal) => {
                hang_up.inspect(|hang_up| hang_up.cancel());
                return Answer::refusal(refusal, form);
            }
        };
        // A front proxy's connection carries everybody's requests: what one of them lacks must not end it.
        if identity.user().is_anonymous() && !identity.via_front_proxy() {
            hang_up.inspect(|hang_up| hang_up.cancel());
        }
        let warning = identity.warning();
        let answer = match self.place_for(&identity, &routed) {
            Err(Full) => Answer::too_many_requests(),
            Ok(place) => match self.parts.door.permit(identity, &routed.attributes).await {
                Ok(caller) => self.answer_permitted(routed.outcome, form, &caller),
                Err(refusal) => Answer::refusal(refusal, form),
            }
            .holding(place),
        };
        Answer { warning, ..answer }
    }

    /// A place among the requests in flight. Administrators need none, nor do probes: those who look whether we are
    /// well must get through when we are busy.
    fn place_for(&self, identity: &Identity, routed: &Routed) -> Result<Option<OwnedSemaphorePermit>, Full> {
        let is_probe = matches!(routed.outcome, Ok(Endpoint::Probe(..) | Endpoint::ProbeCheck(..)));
        let Some(places) = self.places.as_ref().filter(|_| !is_probe && !identity.user().is_master()) else {
            return Ok(None);
        };
        Arc::clone(places).try_acquire_owned().map(Some).map_err(|_| Full)
    }

    /// What only a caller gets to see.
    fn answer_permitted(&self, outcome: Result<Endpoint, Status>, error_form: Form, _: &Caller) -> Answer {
        match outcome.and_then(|endpoint| self.answer_endpoint(endpoint)) {
            Ok(answer) => answer,
            Err(status) => Answer::status(&status, error_form),
        }
    }

    fn answer_endpoint(&self, endpoint: Endpoint) -> Result<Answer, Status> {
        Ok(match endpoint {
            Endpoint::Index => self.index(StatusCode::OK),
            // Without its document an aggregator goes without it, silently.
            Endpoint::UnknownPath | Endpoint::OpenApiV2 | Endpoint::OpenApiV3Index | Endpoint::OpenApiV3 { .. } => {
                self.index(StatusCode::NOT_FOUND)
            }
            Endpoint::ApiGroupList(form) => Answer::document(wire::discovery::api_group_list(), form),
            Endpoint::ApiGroup(form) => Answer::document(wire::discovery::api_group(), form),
            Endpoint::ApiResources(version, form) => {
                Answer::document(wire::discovery::api_resource_list(version), form)
            }
            Endpoint::Nodes(version, options, form) => {
                self.check_synced()?;
                lists::nodes(&self.parts, version, options, form)
            }
            Endpoint::Pods { version, namespace, options, form } => {
                self.check_synced()?;
                lists::pods(&self.parts, version, namespace, options, form)
            }
            Endpoint::Node { version, name, form } => self.node(version, &name, form)?,
            Endpoint::Pod { version, namespace, name, form } => {
                self.pod(version, PodRef { namespace: &namespace, name: &name }, form)?
            }
            Endpoint::Version => Answer::json(VERSION.to_json()),
            Endpoint::Probe(probe, question) => {
                let checks: Vec<_> = probe.checks().iter().map(|name| (*name, self.check(probe, name))).collect();
                Answer::probe(probes::answer(probe, &question, &checks))
            }
            Endpoint::ProbeCheck(probe, name) => Answer::probe(probes::answer_one(&self.check(probe, name))),
            Endpoint::Metrics => self.metrics(),
            Endpoint::ResourceMetrics(format) => self.resource_metrics(format)?,
        })
    }

    fn node(&self, version: ApiVersion, name: &str, form: Form) -> Result<Answer, Status> {
        self.check_synced()?;
        let node = self.parts.cluster.node(name).ok_or_else(|| Status::no_such_node(name))?;
        let usage = self.parts.store.node(name).ok_or_else(|| Status::no_node_metrics(name))?;
        let now = self.parts.clock.now();
        self.parts.metrics.freshness.observe(now.since(usage.taken_at).as_secs_f64());
        let item = NodeItem { name, labels: &node.labels, usage: &usage };
        let mut body = Vec::with_capacity(1024);
        wire::listing::write_node(&mut body, version, form.view, now, &item);
        Ok(Answer::document(body, form))
    }

    fn pod(&self, version: ApiVersion, pod: PodRef<'_>, form: Form) -> Result<Answer, Status> {
        self.check_synced()?;
        let namespace = self.parts.cluster.namespace(pod.namespace);
        let labels = namespace.and_then(|namespace| namespace.labels(pod.name));
        let labels = labels.ok_or_else(|| Status::no_such_pod(pod.name))?;
        let usage = self.parts.store.pod(pod).ok_or_else(|| Status::no_pod_metrics(pod))?;
        let now = self.parts.clock.now();
        self.parts.metrics.freshness.observe(now.since(usage.taken_at).as_secs_f64());
        let item = PodItem { pod, labels: &labels, usage: &usage };
        let mut body = Vec::with_capacity(1024);
        wire::listing::write_pod(&mut body, version, form.view, now, &item);
        Ok(Answer::document(body, form))
    }

    /// Before the first look at the cluster is complete, "there is none" would be a lie.
    fn check_synced(&self) -> Result<(), Status> {
        if self.parts.cluster.nodes_synced() && self.parts.cluster.pods_synced() {
            return Ok(());
        }
        Err(Status::unavailable("the nodes and pods of the cluster are not known yet"))
    }

    fn metrics(&self) -> Answer {
        let (metrics, store) = (&self.parts.metrics, &self.parts.store);
        let points = [("node", store.node_points()), ("container", store.container_points())];
        for (kind, count) in points {
            metrics.storage_points.with_label_values(&[kind]).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        Answer::ok("text/plain; version=0.0.4; charset=utf-8", Body::whole(metrics.render()))
    }

    fn resource_metrics(&self, format: Format) -> Result<Answer, Status> {
        if !self.parts.resource_metrics {
            return Ok(self.index(StatusCode::NOT_FOUND));
        }
        self.check_synced()?;
        let (cluster, store) = (Arc::clone(&self.parts.cluster), Arc::clone(&self.parts.store));
        let text = Exposition::new(cluster, store, format);
        Ok(Answer::ok(format.content_type(), Body::in_pieces(text)))
    }

    fn index(&self, code: StatusCode) -> Answer {
        let optional = self.parts.resource_metrics.then(|| RESOURCE_METRICS.to_owned());
        let paths: std::collections::BTreeSet<String> = route::paths().chain(optional).collect();
        Answer { code, ..Answer::json(wire::discovery::index(paths.iter().map(String::as_str))) }
    }

    /// One check of a probe; the names are those of [`Probe::checks`].
    fn check(&self, probe: Probe, name: &str) -> Result<(), String> {
        let (cluster, store) = (&self.parts.cluster, &self.parts.store);
        let must = |holds: bool, why: &str| if holds { Ok(()) } else { Err(why.to_owned()) };
        let outcome = match name {
            "metric-storage-ready" => {
                must(store.node_points() > 0 && store.container_points() > 0, "no metrics to serve")
            }
            "metric-informer-sync" if !cluster.nodes_synced() => must(false, "cache for node informer has not synced"),
            "metric-informer-sync" => must(cluster.pods_synced(), "cache for pod informer has not synced"),
            "metric-collection-timely" => {
                must(self.parts.tick.is_timely(self.parts.clock.now()), "metric collection didn't finish on time")
            }
            "shutdown" => must(!self.parts.is_shutting_down.load(Ordering::Relaxed), "process is shutting down"),
            // The others ask whether we answer at all.
            _ => Ok(()),
        };
        if let Err(why) = &outcome {
            debug!(probe = probe.as_str(), check = name, why, "a check fails");
        }
        outcome
    }
}

/// As many requests are in flight as may be.
struct Full;

/// Keeps a gauge up by one.
struct Counted(prometheus::IntGauge);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// As Go names what we run on.
const PLATFORM: &str = if cfg!(target_arch = "aarch64") { "linux/arm64" } else { "linux/amd64" };

/// What `/version` says. Clients compare `gitVersion`, if anything.
const VERSION: VersionInfo<'static> = VersionInfo {
    major: env!("CARGO_PKG_VERSION_MAJOR"),
    minor: env!("CARGO_PKG_VERSION_MINOR"),
    git_version: concat!("v", env!("CARGO_PKG_VERSION")),
    git_commit: "",
    git_tree_state: "",
    build_date: "",
    go_version: "",
    compiler: "rustc",
    platform: PLATFORM,
};

impl Answer {
    fn ok(content_type: &'static str, body: Body) -> Self {
        Self { code: StatusCode::OK, content_type, body, retry_after: None, warning: None }
    }

    fn text(code: StatusCode, text: &'static str) -> Self {
        Self { code, ..Self::ok(PLAIN_TEXT, Body::whole(text)) }
    }

    fn json(body: Vec<u8>) -> Self {
        Self::ok("application/json", Body::whole(body))
    }

    /// `compact` in the form that was asked for.
    fn document(compact: Vec<u8>, form: Form) -> Self {
        Self::ok(form.content_type(), Body::whole(form.finish(compact)))
    }

    fn status(status: &Status, form: Form) -> Self {
        let retry_after = status.retry_after();
        Self { code: status.code(), retry_after, ..Self::document(status.to_json(), form) }
    }

    fn refusal(refusal: Refusal, form: Form) -> Self {
        Self::status(&Status::from(refusal), form)
    }

    fn too_many_requests() -> Self {
        Self { retry_after: Some(1), ..Self::text(StatusCode::TOO_MANY_REQUESTS, TOO_MANY_REQUESTS) }
    }

    fn probe(answer: probes::Answer) -> Self {
        Self { code: answer.code, ..Self::ok(PLAIN_TEXT, Body::whole(answer.body)) }
    }

    fn holding(self, what: impl Send + 'static) -> Self {
        Self { body: self.body.holding(what), ..self }
    }

    fn into_response(
        self,
        audit_id: HeaderValue,
        takes_gzip: TakesGzip,
        _: Form,
        held: impl Send + 'static,
    ) -> Response<Body> {
        /// As upstream: below this, compressing costs more than it saves.
        const WORTH_COMPRESSING: usize = 128 * 1024;
        let is_large = self.body.length().is_none_or(|length| length > WORTH_COMPRESSING);
        let is_compressed = is_large && takes_gzip == TakesGzip::Yes;
        let body = if is_compressed { self.body.compressed() } else { self.body };
        let mut response = Response::new(body.holding(held));
        *response.status_mut() = self.code;
        let headers = response.headers_mut();
        headers.insert(AUDIT_ID, audit_id);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        if self.content_type.starts_with("text/") || self.code == StatusCode::FORBIDDEN {
            headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        }
        if is_compressed {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(warning) = self.warning {
            headers.insert(WARNING, HeaderValue::from_static(warning));
        }
        response
    }
}

/// The caller's audit id, or a new one; the API server sends its own along, so that both logs agree.
fn audit_id(headers: &HeaderMap) -> HeaderValue {
    /// As long as upstream lets one be.
    const LONGEST: usize = 64;
    let given = headers.get(AUDIT_ID).filter(|id| (1..=LONGEST).contains(&id.len()));
    given.cloned().unwrap_or_else(|| {
        let id = uuid::Uuid::new_v4().hyphenated().to_string();
        HeaderValue::try_from(id).expect("digits and hyphens make a header")
    })
}

/// Whether the client takes gzip.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TakesGzip {
    Yes,
    No,
}

/// As upstream: only a plain `gzip` counts, none with a weight.
fn takes_gzip(headers: &HeaderMap) -> TakesGzip {
    let lines = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
    let is_taken = lines.flat_map(|line| line.split(',')).any(|item| item.trim() == "gzip");
    if is_taken { TakesGzip::Yes } else { TakesGzip::No }
}

/// One of few words: what anybody can put into a path must not become a time series.
fn resource_label(routed: &Routed) -> &'static str {
    match &routed.outcome {
        Ok(Endpoint::Nodes(..) | Endpoint::Node { .. }) => "nodes",
        Ok(Endpoint::Pods { .. } | Endpoint::Pod { .. }) => "pods",
        Ok(Endpoint::Probe(..) | Endpoint::ProbeCheck(..)) => "probes",
        Ok(Endpoint::Metrics | Endpoint::ResourceMetrics(_)) => "metrics",
        Ok(_) => "discovery",
        Err(_) => "none",
    }
}
