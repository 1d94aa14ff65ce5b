//! The API: a request and the one it came from go in, a response comes out. Looks up, never computes.
//!
//! The way of a request: its head is looked at ([`flow`]), it is understood ([`mod@route`]), its sender is identified, it is
//! counted against the limit on requests in flight, it is permitted, and answered; and all that is put on record
//! ([`audit`]). What a request cannot have is told in the same order as by upstream, so that a caller who may not ask
//! learns nothing of what there is.
//!
//! Which nodes and pods there are is [`discovery`](crate::discovery)'s to say, what they use the store's; here the two
//! are joined, name by name. An object without usage is left out of lists and not found by name; [`explain`] says why, and
//! `gateways` how the gateway itself fares.
//!
//! Absent on purpose: arithmetic on samples, and any wait for a policy.
//!
//! Rules: metrics-server v0.9.0, `pkg/api`; `k8s.io/apiserver` v0.36, `pkg/server/config.go` (the chain of filters).

pub mod audit;
pub mod body;
pub mod certificate;
mod documents;
pub mod explain;
pub mod exposition;
pub mod flow;
mod gateways;
mod lists;
pub mod probes;
pub mod route;
pub mod serve;
pub mod wire;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, RETRY_AFTER, VARY, WARNING,
    X_CONTENT_TYPE_OPTIONS,
};
use http::request::Parts as Head;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use tokio::time::Instant;
use tracing::{Instrument as _, Level, Span, debug, debug_span, error, field};

use crate::auth::{Attributes, Caller, Door, Identity, Refusal, User};
use crate::clock::Clock;
use crate::config::ServingConfig;
use crate::discovery::Cluster;
use crate::generations;
use crate::model::PodRef;
use crate::model::units::UnixNanos;
use crate::store::Store;
use crate::telemetry::Metrics;
use crate::tick::Tick;
use audit::{Audit, End, Record, Unrecorded};
use body::Body;
use explain::{Lookups, PodLookup};
use exposition::{Exposition, Format};
use flow::{Flow, Gate, Shutdown, Turn};
use probes::Probe;
use route::{Endpoint, RESOURCE_METRICS, Routed, route};
use serve::{Busy, Link, Standing};
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
    /// How far the end of the gateway has come.
    pub shutdown: Arc<Shutdown>,
    /// Keeps the record of who asked for what, if one is kept.
    pub audit: Option<Audit>,
    /// `api.resource_metrics`: whether `/metrics/resource` is there.
    pub resource_metrics: bool,
    /// What is on record of generations of policies.
    pub generations: Arc<generations::Record>,
    /// Who we are.
    pub about: About,
    /// Asks the API server about pods that are not served.
    pub lookup: Arc<dyn PodLookup>,
}

/// Which gateway this is.
#[derive(Clone, Debug)]
pub struct About {
    /// The host name, which in a cluster is the pod's.
    pub name: String,
    /// When it started.
    pub started: UnixNanos,
}

/// Answers requests.
pub struct Api {
    parts: Parts,
    flow: Flow,
    request_timeout: Duration,
    /// For lists that cannot leave before they are whole.
    room: lists::Room,
    lookups: Lookups,
}

/// A response in the making: its head's particulars and its body.
struct Answer {
    code: StatusCode,
    content_type: &'static str,
    body: Body,
    retry_after: Option<u32>,
    warning: Option<&'static str>,
    /// What the body says, where it is a Status.
    failure: Option<Box<Status>>,
    /// Whether the connection ends with it.
    is_last: bool,
    /// What else the head says; goes before what every answer says.
    headers: Vec<(HeaderName, HeaderValue)>,
    /// A body of more bytes is compressed for those who take it.
    worth_compressing: usize,
}

/// A request on the way to its answer.
struct Asked<'a> {
    head: Head,
    link: &'a Link,
    audit_id: &'a HeaderValue,
    received_at: UnixNanos,
    record: Option<Record>,
    end: End,
}

impl Asked<'_> {
    /// What follows for the connection from who sent a request by it.
    fn note_identity(&self, identity: &Identity) {
        if identity.via_front_proxy() {
            self.link.note_standing(Standing::FrontProxy);
        } else if !identity.user().is_anonymous() {
            self.link.note_standing(Standing::Known);
        } else if self.head.version == Version::HTTP_2 {
            // Go's mitigation of the rapid-reset attack: who has not proved who they are gets one answer a connection.
            self.link.hang_up();
        }
    }
}

const AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");
const PLAIN_TEXT: &str = "text/plain; charset=utf-8";

impl Api {
    /// An API that speaks for `parts`.
    pub fn new(parts: Parts, config: &ServingConfig) -> Self {
        let flow = Flow::new(config, Arc::clone(&parts.shutdown));
        let lookups = Lookups::new(Arc::clone(&parts.lookup));
        Self { parts, flow, request_timeout: config.request_timeout, room: lists::Room::new(), lookups }
    }

    /// Answers one request, which came by `link`. Its own body is not read: nothing that we serve takes one.
    ///
    /// `busy` is held until the answer is sent.
    pub async fn answer<B>(&self, request: Request<B>, link: &Link, busy: Busy) -> Response<Body> {
        let (head, _) = request.into_parts();
        let audit_id = audit_id(&head.headers);
        // What is not known yet is told when it is. Where nothing is told of requests, the span costs a look at a flag.
        let id = audit_id.to_str().unwrap_or_default();
        let span = debug_span!("request", audit_id = id, verb = field::Empty, resource = field::Empty);
        self.answer_in_span(head, audit_id, link, busy).instrument(span).await
    }

    async fn answer_in_span(&self, head: Head, audit_id: HeaderValue, link: &Link, busy: Busy) -> Response<Body> {
        let started = Instant::now();
        let takes_gzip = takes_gzip(&head.headers);
        let in_flight = Counted::new(&self.parts.metrics.http_in_flight);
        let common = self.flow.headers(&head.headers);
        let (method, version, path) = (head.method.clone(), head.version, head.uri.path().to_owned());
        let (answer, labels, token) = match self.flow.check(&head) {
            Gate::Shut(turn) => (Answer::turn(turn), ["", "none"], None),
            Gate::Open(token) => {
                let (answer, labels) = self.answer_admitted(head, link, &audit_id).await;
                (answer, labels, token)
            }
        };
        if answer.is_last && version == Version::HTTP_2 {
            link.hang_up();
        }
        let metrics = &self.parts.metrics;
        metrics.http_requests.with_label_values(&[answer.code.as_str()]).inc();
        let took = started.elapsed();
        metrics.http_request_duration.with_label_values(&labels).observe(took.as_secs_f64());
        debug!(%method, path, code = answer.code.as_u16(), ?took, audit_id = ?audit_id, "request");
        let is_last = answer.is_last && version < Version::HTTP_2;
        let mut response = answer.into_response(audit_id, takes_gzip, (busy, in_flight, token));
        response.headers_mut().extend(common);
        if method == Method::HEAD {
            response = response.map(Body::withheld);
        }
        if is_last {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// Answers a request that nothing speaks against so far, and keeps the record of it. Also says under which labels it
    /// is counted.
    async fn answer_admitted(&self, head: Head, link: &Link, audit_id: &HeaderValue) -> (Answer, [&'static str; 2]) {
        let routed = route(&head.method, &head.uri, &head.headers);
        let (labels, form) = ([routed.attributes.verb, resource_label(&routed)], routed.error_form);
        if tracing::enabled!(Level::DEBUG) {
            Span::current().record("verb", labels[0]).record("resource", labels[1]);
        }
        let received_at = self.parts.clock.now();
        if self.flow.says_goaway(head.version, draw) {
            link.hang_up();
        }
        let mut asked = Asked { head, link, audit_id, received_at, record: None, end: End::Complete };
        let deciding = AssertUnwindSafe(self.decide(routed, &mut asked)).catch_unwind();
        let answer = deciding.await.unwrap_or_else(|_| {
            error!(path = asked.head.uri.path(), "a request made the gateway panic; it got 500");
            asked.end = End::Panicked;
            Answer::text(
                StatusCode::INTERNAL_SERVER_ERROR,
                "This request caused apiserver to panic. Look in the logs for details.",
            )
        });
        (self.record(asked, answer, form).await, labels)
    }

    /// From the request to what is answered, within the time that there is.
    async fn decide(&self, routed: Routed, asked: &mut Asked<'_>) -> Answer {
        let form = routed.error_form;
        let limit = match &routed.timeout {
            Ok(wish) => wish.map_or(self.request_timeout, |wish| wish.min(self.request_timeout)),
            Err(status) => {
                self.open_record(asked, None, &routed.attributes);
                asked.end = End::Refused(None);
                return Answer::status(status, form);
            }
        };
        let decided = tokio::time::timeout(limit, self.admit_and_answer(routed, asked)).await;
        decided.unwrap_or_else(|_| Answer::status(&Status::timeout(), form))
    }

    async fn admit_and_answer(&self, routed: Routed, asked: &mut Asked<'_>) -> Answer {
        let form = routed.error_form;
        let identity = match self.parts.door.identify(asked.link.peer(), &mut asked.head.headers).await {
            Ok(identity) => identity,
            Err(refusal) => return self.refuse_unidentified(refusal, form, &routed.attributes, asked),
        };
        asked.note_identity(&identity);
        let warning = identity.warning();
        self.open_record(asked, Some(identity.user()), &routed.attributes);
        let answer = match self.note_received(asked).await {
            Ok(()) => self.permit_and_answer(routed, identity, asked).await,
            Err(Unrecorded) => Answer::unrecorded(form),
        };
        Answer { warning, ..answer }
    }

    fn refuse_unidentified(
        &self,
        refusal: Refusal,
        form: Form,
        attributes: &Attributes,
        asked: &mut Asked<'_>,
    ) -> Answer {
        let peer = asked.link.peer();
        let is_unauthorized = refusal == Refusal::Unauthorized;
        // A front proxy's connection carries everybody's requests: what one of them lacks must not end it.
        if is_unauthorized && asked.head.version == Version::HTTP_2 && !self.parts.door.is_front_proxy(peer) {
            asked.link.hang_up();
        }
        let why = is_unauthorized.then(|| audit::attempted(&asked.head.headers, peer));
        self.open_record(asked, None, attributes);
        asked.end = End::Refused(why);
        Answer::refusal(refusal, form)
    }

    async fn permit_and_answer(&self, routed: Routed, identity: Identity, asked: &mut Asked<'_>) -> Answer {
        let form = routed.error_form;
        let is_acting = identity.asks_to_act();
        let identity = match self.parts.door.assume(identity).await {
            Ok(identity) => identity,
            Err(refusal) => return Answer::refusal(refusal, form),
        };
        if let Some(record) = asked.record.as_mut().filter(|_| is_acting) {
            record.note_acting(identity.user());
        }
        let Ok(place) = self.flow.place_for(identity.user(), &routed) else { return Answer::too_many_requests() };
        let permitted = self.parts.door.permit(identity, &routed.attributes).await;
        if let Some(record) = &mut asked.record {
            record.note_decision(permitted.as_ref());
        }
        match permitted {
            Ok(caller) => self.answer_permitted(routed.outcome, form, &caller).await,
            Err(refusal) => Answer::refusal(refusal, form),
        }
        .holding(place)
    }

    fn open_record(&self, asked: &mut Asked<'_>, user: Option<&User>, attributes: &Attributes) {
        let Some(audit) = &self.parts.audit else { return };
        let uri = asked.head.uri.path_and_query().map_or("/", |target| target.as_str());
        let (headers, remote) = (&asked.head.headers, asked.link.peer().remote());
        let request = audit::Request { uri, headers, remote, received_at: asked.received_at };
        asked.record = audit.open(asked.audit_id, &request, user, attributes);
    }

    async fn note_received(&self, asked: &mut Asked<'_>) -> Result<(), Unrecorded> {
        match (&self.parts.audit, &mut asked.record) {
            (Some(audit), Some(record)) => audit.received(record).await,
            _ => Ok(()),
        }
    }

    /// The answer, recorded; or another one, if it may not be given because it could not be.
    async fn record(&self, asked: Asked<'_>, answer: Answer, form: Form) -> Answer {
        let (Some(audit), Some(mut record)) = (&self.parts.audit, asked.record) else { return answer };
        let outcome = audit::Outcome { code: answer.code.as_u16(), failure: answer.failure.as_deref(), end: asked.end };
        match audit.answered(&mut record, outcome).await {
            Ok(()) => answer,
            Err(Unrecorded) => Answer::unrecorded(form),
        }
    }

    /// What only a caller gets to see.
    async fn answer_permitted(&self, outcome: Result<Endpoint, Status>, error_form: Form, _: &Caller) -> Answer {
        let answered = match outcome {
            Ok(endpoint) => self.answer_endpoint(endpoint).await,
            Err(status) => Err(status),
        };
        answered.unwrap_or_else(|status| Answer::status(&status, error_form))
    }

    async fn answer_endpoint(&self, endpoint: Endpoint) -> Result<Answer, Status> {
        Ok(match endpoint {
            Endpoint::Index => self.index(StatusCode::OK),
            Endpoint::UnknownPath => self.index(StatusCode::NOT_FOUND),
            Endpoint::OpenApiV2(kept) => documents::openapi_v2(&kept),
            Endpoint::OpenApiV3Index(kept) => documents::openapi_v3_index(&kept),
            Endpoint::OpenApiV3 { path, hash, kept } => {
                let document = documents::openapi_v3(&path, hash.as_deref(), &kept, self.parts.clock.now());
                document.unwrap_or_else(|| self.index(StatusCode::NOT_FOUND))
            }
            Endpoint::OpenApiNotAcceptable => documents::not_acceptable(),
            Endpoint::Discovery(version, form, kept) => documents::discovery(version, form, &kept),
            Endpoint::ApiGroupList(form) => Answer::document(form.write(&wire::discovery::ApiGroupList), form),
            Endpoint::ApiGroup(form) => Answer::document(form.write(&wire::discovery::ApiGroup), form),
            Endpoint::ApiResources(version, form) => {
                Answer::document(form.write(&wire::discovery::ApiResourceList(version)), form)
            }
            Endpoint::Nodes(version, options, form) => {
                self.check_synced()?;
                lists::nodes(&self.parts, version, options, form)
            }
            Endpoint::Pods { version, namespace, options, form } => {
                self.check_synced()?;
                lists::pods(&self.parts, &self.room, version, namespace, options, form).await?
            }
            Endpoint::Node { version, name, form } => self.node(version, &name, form)?,
            Endpoint::Pod { version, namespace, name, form } => {
                self.pod(version, PodRef { namespace: &namespace, name: &name }, form)?
            }
            Endpoint::ExplainNode(name) => {
                self.check_synced()?;
                Answer::report(&explain::node(&self.parts, &name).await?)
            }
            Endpoint::ExplainPod { namespace, name } => {
                self.check_synced()?;
                let pod = PodRef { namespace: &namespace, name: &name };
                Answer::report(&explain::pod(&self.parts, &self.lookups, pod).await?)
            }
            Endpoint::Gateways => Answer::report(&gateways::list(&self.parts)),
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
        Ok(Answer::document(wire::listing::write_node(version, form, now, item), form))
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
        Ok(Answer::document(wire::listing::write_pod(version, form, now, item), form))
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
        let text = Answer::ok("text/plain; version=0.0.4; charset=utf-8", Body::whole(metrics.render()));
        Answer { worth_compressing: 0, ..text }
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
            "shutdown" => must(!self.parts.shutdown.is_begun(), "process is shutting down"),
            // The others ask whether we answer at all.
            _ => Ok(()),
        };
        if let Err(why) = &outcome {
            debug!(probe = probe.as_str(), check = name, why, "a check fails");
        }
        outcome
    }
}

/// A number in [0, 1).
fn draw() -> f64 {
    // The lower 62 bits of such an id are random, and as many as these make every fraction equally likely.
    const BITS: u32 = f64::MANTISSA_DIGITS;
    let bits = uuid::Uuid::new_v4().as_u128() & ((1 << BITS) - 1);
    bits as f64 / (1_u64 << BITS) as f64
}

/// Keeps a gauge up by one.
struct Counted(prometheus::IntGauge);

impl Counted {
    fn new(gauge: &prometheus::IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

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
        /// As upstream: below this, compressing costs more than it saves.
        const WORTH_COMPRESSING: usize = 128 * 1024;
        Self {
            code: StatusCode::OK,
            content_type,
            body,
            retry_after: None,
            warning: None,
            failure: None,
            is_last: false,
            headers: Vec::new(),
            worth_compressing: WORTH_COMPRESSING,
        }
    }

    fn text(code: StatusCode, text: &'static str) -> Self {
        Self { code, ..Self::ok(PLAIN_TEXT, Body::whole(text)) }
    }

    fn json(body: Vec<u8>) -> Self {
        Self::ok("application/json", Body::whole(body))
    }

    /// A document about ourselves.
    fn report(document: &impl serde::Serialize) -> Self {
        Self::json(serde_json::to_vec(document).expect("documents have keys of text, and nothing else that JSON lacks"))
    }

    /// A body in the form that was asked for.
    fn document(body: Vec<u8>, form: Form) -> Self {
        Self::ok(form.content_type(), Body::whole(body))
    }

    fn status(status: &Status, form: Form) -> Self {
        let retry_after = status.retry_after();
        let failure = Some(Box::new(status.clone()));
        Self { code: status.code(), retry_after, failure, ..Self::document(form.write(status), form) }
    }

    fn refusal(refusal: Refusal, form: Form) -> Self {
        Self::status(&Status::from(refusal), form)
    }

    fn unrecorded(form: Form) -> Self {
        Self::status(&Status::internal("failed to store audit event"), form)
    }

    /// What is answered on account of a request's head alone.
    fn turn(turn: Turn) -> Self {
        let closing = |text: Self| Self { is_last: true, ..text };
        match turn {
            Turn::Malformed(fault) => closing(Self::text(StatusCode::BAD_REQUEST, fault)),
            Turn::TooManyHeaders => {
                let text = "431 Request Header Fields Too Large";
                closing(Self::text(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, text))
            }
            Turn::Ping => Self::ok("", Body::whole("")),
            Turn::Preflight => Self { code: StatusCode::NO_CONTENT, ..Self::ok("", Body::whole("")) },
            Turn::ShuttingDown => {
                let text = Self::text(StatusCode::TOO_MANY_REQUESTS, flow::SHUTTING_DOWN);
                closing(Self { retry_after: Some(5), ..text })
            }
        }
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

    fn into_response(self, audit_id: HeaderValue, takes_gzip: TakesGzip, held: impl Send + 'static) -> Response<Body> {
        let is_large = self.body.length().is_none_or(|length| length > self.worth_compressing);
        let is_compressed = is_large && takes_gzip == TakesGzip::Yes;
        let body = if is_compressed { self.body.compressed() } else { self.body };
        let mut response = Response::new(body.holding(held));
        *response.status_mut() = self.code;
        let headers = response.headers_mut();
        headers.insert(AUDIT_ID, audit_id);
        headers.extend(self.headers);
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache, private"));
        if !self.content_type.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        }
        if self.content_type.starts_with("text/") || self.code == StatusCode::FORBIDDEN {
            headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        }
        if is_compressed {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        if is_large {
            headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
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
        Ok(Endpoint::ExplainNode(_) | Endpoint::ExplainPod { .. } | Endpoint::Gateways) => "gateway",
        Ok(_) => "discovery",
        Err(_) => "none",
    }
}
