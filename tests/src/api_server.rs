//! A double of kube-apiserver that fits in a process: objects, reviews, discovery and the aggregation layer.
//!
//! In: objects, users, rules and faults, from the test. Out: the HTTPS API on a port of loopback, as real clients (the
//! gateway, kubectl, kube) see it. It can be stopped, started and restarted on the same port, which cuts every
//! connection, and keeps its objects meanwhile, as etcd would.
//!
//! Objects of kinds that the gateway itself never asks for are documents: a path and what is answered there
//! ([`ApiServer::put_document`]).
//!
//! Absent on purpose: writing through the API (tests write with [`Objects::apply`]), tables, protobuf, and any component
//! that acts by itself.
//!
//! Rules: Kubernetes API concepts (paging, resource versions, watches), and what a real kube-apiserver 1.20.2 was seen
//! to send to an extension server.

mod access;
mod aggregator;
mod discovery;
mod events;
pub mod objects;
mod query;
mod read;
mod selection;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use parking_lot::Mutex;
use rustls::ServerConfig;
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tokio_util::task::TaskTracker;

pub use access::{AUTHENTICATED, Access, AccessRequest, Decision, MASTERS, ReviewFault, User};
pub use aggregator::Availability;
pub use objects::{Objects, Resource};

use crate::body::{self, Body};
use crate::certs::{Authority, Certs, FRONT_PROXY_CLIENT, Pair};
use crate::client::Client;
use crate::fleet::{Fleet, FleetNode, FleetPod};
use crate::port::ReservedPort;
use crate::serve::{self, Listener, Peer};
use access::ReviewKind;
use aggregator::Aggregator;
use events::Events;
use read::Question;

/// A process that another test is just starting has the closed listener for a moment, until it becomes its program.
const INHERITED: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(10);
/// How many requests are remembered.
const REMEMBERED_REQUESTS: usize = 10_000;

/// The double; its port closes when it is dropped.
pub struct ApiServer {
    shared: Arc<Shared>,
    port: ReservedPort,
    tls: Arc<ServerConfig>,
    listener: tokio::sync::Mutex<Option<Listener>>,
}

struct Shared {
    certs: Arc<Certs>,
    objects: Arc<Objects>,
    access: Access,
    registered: Mutex<Option<Registered>>,
    events: Events,
    requests: Mutex<Vec<SeenRequest>>,
    documents: Mutex<BTreeMap<String, (StatusCode, String)>>,
    tasks: TaskTracker,
}

struct Registered {
    aggregator: Arc<Aggregator>,
    _probe: AbortOnDropHandle<()>,
}

/// A request that the double received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenRequest {
    /// The HTTP method.
    pub method: Method,
    /// Path and query as they came.
    pub target: String,
    /// The Accept header, or "".
    pub accept: String,
    /// Who it came from; None: 401.
    pub user: Option<String>,
}

impl ApiServer {
    /// Starts one with no objects but the ConfigMap that describes the front proxy, on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// Where no port can be bound.
    pub async fn start(certs: Arc<Certs>) -> io::Result<Self> {
        let objects = Arc::new(Objects::default());
        objects.apply(Resource::ConfigMaps, [front_proxy_config(&certs)]);
        objects.apply(Resource::Namespaces, ["default", "kube-system"].map(objects::namespace));
        let tls = serve::tls(&certs.api_server(), &certs.cluster);
        let shared = Arc::new(Shared {
            certs,
            objects,
            access: Access::default(),
            registered: Mutex::default(),
            events: Events::default(),
            requests: Mutex::default(),
            documents: Mutex::default(),
            tasks: TaskTracker::new(),
        });
        let port = ReservedPort::take()?;
        let listener = listen(port.address(), tls.clone(), &shared).await?;
        Ok(Self { shared, port, tls, listener: tokio::sync::Mutex::new(Some(listener)) })
    }

    /// Where it listens; the same for its whole life.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// The certificates of the cluster.
    pub fn certs(&self) -> &Arc<Certs> {
        &self.shared.certs
    }

    /// The objects, to be read and changed.
    pub fn objects(&self) -> &Objects {
        &self.shared.objects
    }

    /// Users, rules, and the record of reviews.
    pub fn access(&self) -> &Access {
        &self.shared.access
    }

    /// Adds the nodes of a fleet, its namespaces, and its pods, which run.
    pub fn add_fleet(&self, fleet: &Fleet) {
        let nodes = fleet.nodes();
        let pods = || nodes.iter().flat_map(|node| node.pods.iter().map(move |pod| (node, pod)));
        let namespaces: BTreeSet<&str> = pods().map(|(_, pod)| pod.namespace.as_str()).collect();
        let node = |node: &FleetNode| objects::node(&node.name, &node.address.ip().to_string(), node.address.port());
        let pod = |(node, pod): (&FleetNode, &FleetPod)| {
            objects::pod(&pod.namespace, &pod.name, &pod.labels, &node.name, &pod.containers)
        };
        self.objects().apply(Resource::Namespaces, namespaces.into_iter().map(objects::namespace));
        self.objects().apply(Resource::Nodes, nodes.iter().map(node));
        self.objects().apply(Resource::Pods, pods().map(pod));
    }

    /// From now on a GET of `path`, whatever its query, is answered with this.
    pub fn put_document(&self, path: &str, status: u16, text: impl ToString) {
        let status = StatusCode::from_u16(status).expect("a status from 100 to 999");
        self.shared.documents.lock().insert(path.to_owned(), (status, text.to_string()));
    }

    /// From now on there is a Deployment of this name, which Events may be about.
    pub fn add_deployment(&self, namespace: &str, name: &str) {
        self.shared.events.add_deployment(namespace, name);
    }

    /// The Events (`events.k8s.io/v1`) that were created so far, oldest first.
    pub fn events(&self) -> Vec<Value> {
        self.shared.events.created()
    }

    /// The requests so far, oldest first; after ten thousand, no more are remembered.
    pub fn requests(&self) -> Vec<SeenRequest> {
        self.shared.requests.lock().clone()
    }

    /// Forgets the requests so far.
    pub fn clear_requests(&self) {
        self.shared.requests.lock().clear();
    }

    /// Closes the port and cuts all connections.
    pub async fn stop(&self) {
        if let Some(listener) = self.listener.lock().await.take() {
            listener.stop().await;
        }
    }

    /// Opens the same port again after [`ApiServer::stop`].
    ///
    /// # Errors
    /// Where the system refuses to listen on it.
    pub async fn start_again(&self) -> io::Result<()> {
        let mut listener = self.listener.lock().await;
        let deadline = Instant::now() + INHERITED;
        while listener.is_none() {
            match listen(self.address(), self.tls.clone(), &self.shared).await {
                Ok(again) => *listener = Some(again),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < deadline => {
                    tokio::time::sleep(POLL).await;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Cuts all connections, and accepts new ones on the same port.
    ///
    /// # Errors
    /// Where the system refuses to listen on it.
    pub async fn restart(&self) -> io::Result<()> {
        self.stop().await;
        self.start_again().await
    }

    /// Registers `backend` as the server of these versions of metrics.k8s.io, its certificate to be signed by the
    /// cluster's CA. An earlier registration ends.
    pub fn register(&self, backend: SocketAddr, versions: &[&str]) {
        self.register_with_ca(backend, versions, &self.shared.certs.cluster);
    }

    /// As [`ApiServer::register`], with the CA (`caBundle`) that must have signed the backend's certificate.
    pub fn register_with_ca(&self, backend: SocketAddr, versions: &[&str], ca: &Authority) {
        let aggregator = Arc::new(Aggregator::new(backend, versions, &self.shared.certs, ca));
        let probe = AbortOnDropHandle::new(self.shared.tasks.spawn(aggregator.clone().probe()));
        *self.shared.registered.lock() = Some(Registered { aggregator, _probe: probe });
    }

    /// Ends the registration: metrics.k8s.io does not exist.
    pub fn unregister(&self) {
        *self.shared.registered.lock() = None;
    }

    /// Waits until the registered backend is available.
    ///
    /// # Errors
    /// Where nothing is registered, or it is not available in time; with the reason.
    pub async fn available(&self, within: Duration) -> Result<()> {
        let aggregator = self.shared.aggregator().context("nothing is registered")?;
        let mut availability = aggregator.availability();
        let available = availability.wait_for(|state| *state == Availability::Available);
        if tokio::time::timeout(within, available).await.is_err() {
            bail!("not available in {within:?}: {:?}", *aggregator.availability().borrow());
        }
        Ok(())
    }

    /// A client of the API server: with a certificate, or without.
    pub fn client(&self, identity: Option<&Pair>) -> Client {
        Client::new(self.address(), "kubernetes.default.svc", self.shared.certs.cluster.roots(), identity)
    }

    /// Adds the ConfigMap of the front proxy anew, with a value changed (or removed) for each given key.
    pub fn change_front_proxy_config(&self, changes: &[(&str, Option<&str>)]) {
        let mut config = front_proxy_config(&self.shared.certs);
        let data = config["data"].as_object_mut().expect("just made so");
        for (key, value) in changes {
            match value {
                Some(value) => data.insert((*key).to_owned(), (*value).into()),
                None => data.remove(*key),
            };
        }
        self.shared.objects.apply(Resource::ConfigMaps, [config]);
    }

    /// Writes a kubeconfig for the user that `pair` names, with everything inside the one file.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn write_kubeconfig(&self, path: &Path, pair: &Pair) -> io::Result<()> {
        let data = |pem: &str| base64(pem.as_bytes());
        let user = json!({
            "client-certificate-data": data(pair.certificate_pem()),
            "client-key-data": data(pair.key_pem()),
        });
        std::fs::write(path, self.kubeconfig(user).to_string())
    }

    /// Writes a kubeconfig for whoever the token in `token_file` belongs to.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn write_kubeconfig_with_token_file(&self, path: &Path, token_file: &Path) -> io::Result<()> {
        std::fs::write(path, self.kubeconfig(json!({"tokenFile": token_file})).to_string())
    }

    /// JSON is YAML, too.
    fn kubeconfig(&self, user: Value) -> Value {
        let cluster = json!({
            "server": format!("https://{}", self.address()),
            "certificate-authority-data": base64(self.shared.certs.cluster.pem().as_bytes()),
        });
        json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "harness", "cluster": cluster}],
            "users": [{"name": "user", "user": user}],
            "contexts": [{"name": "harness", "context": {"cluster": "harness", "user": "user"}}],
            "current-context": "harness",
        })
    }
}

async fn listen(address: SocketAddr, tls: Arc<ServerConfig>, shared: &Arc<Shared>) -> io::Result<Listener> {
    let shared = shared.clone();
    Listener::bind(address, tls, move |peer, request| {
        let shared = shared.clone();
        async move { shared.answer(&peer, request).await }
    })
    .await
}

/// The ConfigMap extension-apiserver-authentication, as kube-apiserver writes it.
fn front_proxy_config(certs: &Certs) -> Value {
    json!({
        "metadata": {"namespace": "kube-system", "name": "extension-apiserver-authentication"},
        "data": {
            "client-ca-file": certs.cluster.pem(),
            "requestheader-allowed-names": format!("[\"{FRONT_PROXY_CLIENT}\"]"),
            "requestheader-client-ca-file": certs.front_proxy.pem(),
            "requestheader-extra-headers-prefix": "[\"X-Remote-Extra-\"]",
            "requestheader-group-headers": "[\"X-Remote-Group\"]",
            "requestheader-username-headers": "[\"X-Remote-User\"]",
        },
    })
}

impl Shared {
    fn aggregator(&self) -> Option<Arc<Aggregator>> {
        self.registered.lock().as_ref().map(|registered| registered.aggregator.clone())
    }

    async fn answer(&self, peer: &Peer, request: Request<Incoming>) -> Response<Body> {
        let user = self.access.identify(peer, request.headers());
        self.remember(&request, user.as_ref());
        let Some(user) = user else { return refuse(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized") };
        let user = match impersonated(&user, request.headers()) {
            Ok(user) => user,
            Err(reason) => return refuse(StatusCode::FORBIDDEN, "Forbidden", &reason),
        };
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let (path, query) = (uri.path(), uri.query().unwrap_or_default());
        let wish = AccessRequest::of_request(user.clone(), &method, path, query);
        if self.access.decide(&wish) != Decision::Allow {
            return refuse(StatusCode::FORBIDDEN, "Forbidden", &wish.refusal());
        }
        let document = self.documents.lock().get(path).filter(|_| method == Method::GET).cloned();
        if let Some((status, text)) = document {
            return json_body(status, text);
        }
        let aggregator = self.aggregator();
        let versions = aggregator.as_ref().map_or(&[][..], |aggregator| &aggregator.versions);
        if versions.iter().any(|version| is_below(path, version)) {
            return match aggregator {
                Some(aggregator) => aggregator.pass_on(request, &user, peer).await,
                None => not_found("nothing is registered"),
            };
        }
        let address = uri.authority().map_or("", |authority| authority.as_str());
        if let Some(document) = discovery::document(path, address, versions) {
            return json_body(StatusCode::OK, document.to_string());
        }
        self.answer_core(request).await
    }

    fn remember(&self, request: &Request<Incoming>, user: Option<&User>) {
        let mut requests = self.requests.lock();
        if requests.len() < REMEMBERED_REQUESTS {
            let accept = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok());
            requests.push(SeenRequest {
                method: request.method().clone(),
                target: request.uri().path_and_query().map_or_else(String::new, ToString::to_string),
                accept: accept.unwrap_or_default().to_owned(),
                user: user.map(|user| user.name.clone()),
            });
        }
    }

    async fn answer_core(&self, request: Request<Incoming>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        match (request.method(), parts.as_slice()) {
            (&Method::POST, ["apis", "authentication.k8s.io", "v1", "tokenreviews"]) => {
                self.review(ReviewKind::Token, request).await
            }
            (&Method::POST, ["apis", "authorization.k8s.io", "v1", "subjectaccessreviews"]) => {
                self.review(ReviewKind::Access, request).await
            }
            (&Method::GET, ["apis", "apps", "v1", "namespaces", namespace, "deployments", name]) => {
                self.events.deployment(namespace, name)
            }
            (&Method::POST, ["apis", "events.k8s.io", "v1", "namespaces", namespace, "events"]) => {
                self.events.create(namespace, request).await
            }
            (&Method::GET, ["livez" | "readyz" | "healthz"]) => Response::new(Body::from("ok")),
            (&Method::GET, ["api", "v1", "namespaces", namespace, plural]) => {
                self.read(&request, Some(namespace), plural, None)
            }
            (&Method::GET, ["api", "v1", "namespaces", namespace, plural, name]) => {
                self.read(&request, Some(namespace), plural, Some(name))
            }
            (&Method::GET, ["api", "v1", plural]) => self.read(&request, None, plural, None),
            (&Method::GET, ["api", "v1", plural, name]) => self.read(&request, None, plural, Some(name)),
            (_, ["api", "v1", ..]) => {
                refuse(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", "tests write otherwise")
            }
            _ => not_found("the server could not find the requested resource"),
        }
    }

    fn read(
        &self,
        request: &Request<Incoming>,
        namespace: Option<&str>,
        plural: &str,
        name: Option<&str>,
    ) -> Response<Body> {
        let Some(resource) = Resource::parse(plural) else {
            return not_found("the server could not find the requested resource");
        };
        let query = query::firsts(request.uri().query().unwrap_or_default());
        let accept = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
        read::answer(&self.objects, &self.tasks, &Question { resource, namespace, name, query: &query, accept })
    }

    async fn review(&self, kind: ReviewKind, request: Request<Incoming>) -> Response<Body> {
        let Ok(text) = body::read(request.into_body()).await else {
            return refuse(StatusCode::BAD_REQUEST, "BadRequest", "the body broke off");
        };
        let Ok(review) = serde_json::from_slice::<Value>(&text) else {
            return refuse(StatusCode::BAD_REQUEST, "BadRequest", "the body is no JSON");
        };
        if !review["spec"].is_object() {
            return refuse(StatusCode::BAD_REQUEST, "BadRequest", "the review has no spec");
        }
        let (status, answer) = self.access.review(kind, review).await;
        json_body(status, answer.to_string())
    }
}

/// Whether `path` belongs to this version of metrics.k8s.io.
fn is_below(path: &str, version: &str) -> bool {
    let tail = path.strip_prefix("/apis/metrics.k8s.io/").and_then(|tail| tail.strip_prefix(version));
    tail.is_some_and(|tail| tail.is_empty() || tail.starts_with('/'))
}

/// The user that the request is to be treated as (`kubectl --as`).
fn impersonated(user: &User, headers: &HeaderMap) -> Result<User, String> {
    let text = |value: &HeaderValue| value.to_str().map(str::to_owned).ok();
    let Some(name) = headers.get("impersonate-user").and_then(text) else { return Ok(user.clone()) };
    if !user.groups.iter().any(|group| group == MASTERS) {
        return Err(format!("users {name:?} is forbidden: User {:?} cannot impersonate resource \"users\"", user.name));
    }
    let groups: Vec<String> = headers.get_all("impersonate-group").iter().filter_map(text).collect();
    Ok(User::new(&name, &groups.iter().map(String::as_str).collect::<Vec<_>>()))
}

fn status_object(code: StatusCode, reason: &str, message: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code.as_u16(),
    })
}

fn refuse(code: StatusCode, reason: &str, message: &str) -> Response<Body> {
    json_body(code, status_object(code, reason, message).to_string())
}

fn not_found(message: &str) -> Response<Body> {
    refuse(StatusCode::NOT_FOUND, "NotFound", message)
}

fn json_body(code: StatusCode, text: String) -> Response<Body> {
    json_response(code, Body::from(text))
}

fn json_response(code: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Standard base64, for kubeconfigs.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            let is_padding = digit > chunk.len();
            let index = (group >> (18 - 6 * digit)) & 63;
            out.push(if is_padding { '=' } else { char::from(DIGITS[index as usize]) });
        }
    }
    out
}
