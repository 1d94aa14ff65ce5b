//! The aggregation layer: passes requests for metrics.k8s.io on to the gateway, as the front proxy that it is.
//!
//! Rules: kube-aggregator and what a real kube-apiserver 1.20.2 was seen to send. Path and query are read and written
//! anew, the user goes into `X-Remote-*`, credentials and impersonation are removed. A client's own `X-Remote-User`,
//! `-Group` and `-Extra-*` are dropped, but its `X-Remote-Uid` passes, as in the real one: a gateway must not fall for
//! it. All requests share one HTTP/2 connection.
//!
//! Absent on purpose: upgrades (nothing in metrics.k8s.io upgrades) and transparent gzip (a client that asks for gzip
//! gets it as the gateway made it, one that does not makes the gateway send plain text).

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use tokio::sync::watch;

use super::access::User;
use super::query;
use crate::body::Body;
use crate::certs::{Authority, Certs, GATEWAY_HOST};
use crate::client::Client;
use crate::serve::Peer;

/// The group that is passed on.
pub(super) const GROUP: &str = "metrics.k8s.io";
/// How often an available gateway is asked whether it still is; the real one needs up to 30 s.
const PROBE_INTERVAL: Duration = Duration::from_secs(5);
/// How long the gateway may take to answer a probe.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// An APIService object, in effect: which versions of metrics.k8s.io are served by whom.
pub(super) struct Aggregator {
    pub(super) versions: Vec<String>,
    proxy: Client,
    prober: Client,
    available: watch::Sender<Availability>,
}

/// Whether requests are passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Availability {
    /// The last probe was answered as it should be.
    Available,
    /// It was not; with the reason.
    Unavailable(String),
}

impl Aggregator {
    pub(super) fn new(backend: SocketAddr, versions: &[&str], certs: &Certs, ca: &Authority) -> Self {
        let identity = certs.front_proxy_client();
        Self {
            versions: versions.iter().map(|version| (*version).to_owned()).collect(),
            proxy: Client::new(backend, GATEWAY_HOST, ca.roots(), Some(&identity)),
            // Probes were seen to come without SNI: the gateway is asked by its address.
            prober: Client::new(backend, &backend.ip().to_string(), ca.roots(), Some(&identity)),
            available: watch::Sender::new(Availability::Unavailable("it has not been asked yet".to_owned())),
        }
    }

    pub(super) fn availability(&self) -> watch::Receiver<Availability> {
        self.available.subscribe()
    }

    /// Asks the gateway for its discovery document, for ever: quickly while it does not answer, then now and then.
    pub(super) async fn probe(self: Arc<Self>) {
        let mut pause = Duration::from_millis(20);
        loop {
            let verdict = self.probe_once().await;
            pause = match verdict {
                Availability::Available => PROBE_INTERVAL,
                Availability::Unavailable(_) => (pause * 2).min(Duration::from_millis(500)),
            };
            self.available.send_replace(verdict);
            tokio::time::sleep(pause).await;
        }
    }

    async fn probe_once(&self) -> Availability {
        for version in &self.versions {
            let path = format!("/apis/{GROUP}/{version}");
            let identity = [("x-remote-user", "system:kube-aggregator"), ("x-remote-group", "system:masters")];
            let headers = [identity[0], identity[1], ("accept-encoding", "gzip"), ("user-agent", "Go-http-client/2.0")];
            match tokio::time::timeout(PROBE_TIMEOUT, self.prober.get(&path, &headers)).await {
                Ok(Ok(answer)) if answer.status.is_success() => {}
                Ok(Ok(answer)) => return Availability::Unavailable(format!("{path:?} answers {}", answer.status)),
                Ok(Err(error)) => return Availability::Unavailable(format!("{error:#}")),
                Err(_) => return Availability::Unavailable(format!("no answer to {path:?} in {PROBE_TIMEOUT:?}")),
            }
        }
        Availability::Available
    }

    /// Passes one request on for `user`, and the answer back as it comes.
    pub(super) async fn pass_on(&self, request: Request<Incoming>, user: &User, peer: &Peer) -> Response<Body> {
        if *self.available.borrow() != Availability::Available {
            return unavailable("service unavailable");
        }
        let (head, body) = request.into_parts();
        let path = query::reencode_path(head.uri.path());
        let target = match head.uri.query().map(query::reencode).filter(|query| !query.is_empty()) {
            Some(query) => format!("{path}?{query}"),
            None => path.clone(),
        };
        let Ok(uri) = target.parse::<Uri>() else { return unavailable("the path cannot be passed on") };
        let headers = proxied_headers(&head.headers, &head.uri, &path, user, peer);
        let mut request =
            Request::builder().method(head.method).uri(uri).body(Body::PassedOn(body)).expect("parts fit");
        *request.headers_mut() = headers;
        match self.proxy.send(request).await {
            Ok(response) => {
                let (mut head, body) = response.into_parts();
                // Ours to decide towards the client.
                head.headers.remove(CONNECTION);
                head.headers.remove(TRANSFER_ENCODING);
                head.version = http::Version::default();
                Response::from_parts(head, Body::PassedOn(body))
            }
            Err(error) => unavailable(&format!("error trying to reach service: {error:#}")),
        }
    }
}

fn unavailable(text: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("{text}\n")));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}

fn proxied_headers(original: &HeaderMap, uri: &Uri, path: &str, user: &User, peer: &Peer) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(original.len() + 8);
    for (name, value) in original.iter().filter(|(name, _)| is_passed_on(name)) {
        headers.append(name, value.clone());
    }
    let mut set = |name: &str, value: &str| {
        // What HTTP cannot carry as a header is not sent; real user names of that kind do not exist.
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_bytes(value.as_bytes())) {
            headers.append(name, value);
        }
    };
    set("x-remote-user", &user.name);
    user.groups.iter().for_each(|group| set("x-remote-group", group));
    for (key, values) in &user.extra {
        let name = format!("x-remote-extra-{}", escape_header_key(key));
        values.iter().for_each(|value| set(&name, value));
    }
    let earlier = original.get("x-forwarded-for").and_then(|value| value.to_str().ok());
    let client = peer.address.ip().to_string();
    set("x-forwarded-for", &earlier.map_or(client.clone(), |earlier| format!("{earlier}, {client}")));
    let host =
        original.get(HOST).and_then(|host| host.to_str().ok()).or(uri.authority().map(http::uri::Authority::as_str));
    set("x-forwarded-host", host.unwrap_or_default());
    set("x-forwarded-proto", "https");
    set("x-forwarded-uri", path);
    headers.entry("audit-id").or_insert_with(new_audit_id);
    headers.entry(ACCEPT_ENCODING).or_insert(HeaderValue::from_static("identity"));
    headers
}

fn is_passed_on(name: &HeaderName) -> bool {
    const OURS: [&str; 6] = [
        "x-remote-user",
        "x-remote-group",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-forwarded-uri",
    ];
    let hop_by_hop = [CONNECTION, HOST, TRANSFER_ENCODING, UPGRADE, CONTENT_LENGTH].contains(name);
    let text = name.as_str();
    let of_the_proxy = OURS.contains(&text) || text.starts_with("x-remote-extra-");
    !(hop_by_hop || of_the_proxy || *name == AUTHORIZATION || text.starts_with("impersonate-") || text == "keep-alive")
}

/// Every byte that cannot stand in a header name, and `%`, as `%xx`.
fn escape_header_key(key: &str) -> String {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&'*+-.^_`|~".contains(&byte);
    let escaped = |byte: u8| if is_token(byte) { char::from(byte).to_string() } else { format!("%{byte:02x}") };
    key.bytes().map(escaped).collect::<String>().to_lowercase()
}

/// Counts up: distinct is all that an audit ID has to be.
fn new_audit_id() -> HeaderValue {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let id = format!("00000000-0000-4000-8000-{:012x}", NEXT.fetch_add(1, Ordering::Relaxed));
    HeaderValue::from_str(&id).expect("hexadecimal digits are a header value")
}
