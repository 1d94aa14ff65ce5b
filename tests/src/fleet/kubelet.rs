//! One simulated kubelet: a listener on loopback that answers as a kubelet does, or as one with a fault.
//!
//! In: HTTP/1.1 requests, over TLS unless the spec says otherwise. Out: the text of `/metrics/resource` (under whatever
//! prefix, because nodes may announce a path of their own) and of `/stats/summary`; 401 without credentials; 404 and
//! 405 for the rest. A client certificate that the cluster's CA did not sign fails in the handshake, where a real
//! kubelet would answer 401. HTTP/2 is absent on purpose: one request in fifteen seconds has no use for it.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::future::pending;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, LOCATION};
use http::{Method, Request, Response, StatusCode};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::fault::{garbage, with_broken_lines};
use super::node::NodeSources;
use super::summary::summary;
use super::text::MetricsText;
use super::{Credentials, Fault, FleetNode, FleetSpec, RecordedRequest, Transport, now};
use crate::certs::{Certs, Pair, Validity};

/// Enough to look back on for a test, little enough for thousands of nodes.
const KEPT_REQUESTS: usize = 64;
const BACKLOG: u32 = 1024;
/// A client that does not finish its handshake by then is not going to.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long to let other connections end when the process is out of descriptors.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(50);

/// A kubelet that can be told to misbehave.
pub(super) struct Kubelet {
    nodes: Arc<[FleetNode]>,
    index: usize,
    sources: NodeSources,
    text: Mutex<Option<MetricsText>>,
    print_start_times: bool,
    gzip: bool,
    credentials: Credentials,
    tls: Option<Arc<ServerConfig>>,
    faults: Faults,
    /// The listener while there is one, so that it can be closed from outside in an instant.
    listener: Mutex<Option<Arc<TcpListener>>>,
    seen: AtomicU64,
    requests: Mutex<VecDeque<RecordedRequest>>,
}

/// The present fault, shared with the choice of certificate.
#[derive(Clone)]
struct Faults {
    present: Arc<Mutex<Option<Fault>>>,
    /// Told when connections must end.
    cut: watch::Sender<()>,
}

impl Kubelet {
    pub(super) fn new(
        spec: &FleetSpec,
        nodes: Arc<[FleetNode]>,
        index: usize,
        sources: NodeSources,
        identities: &Identities<'_>,
    ) -> Self {
        let faults = Faults { present: Arc::default(), cut: watch::Sender::new(()) };
        let tls = match spec.transport {
            Transport::Tls => Some(identities.tls(&nodes[index].name, faults.present.clone())),
            Transport::Plain => None,
        };
        Self {
            nodes,
            index,
            sources,
            text: Mutex::default(),
            print_start_times: spec.start_time,
            gzip: spec.gzip,
            credentials: spec.credentials.clone(),
            tls,
            faults,
            listener: Mutex::default(),
            seen: AtomicU64::new(0),
            requests: Mutex::default(),
        }
    }

    /// Puts a fault in place of the one before. From then on no new request meets the old one.
    pub(super) fn set_fault(&self, fault: Option<Fault>) {
        if let Some(Fault::GzipBomb(size)) = fault {
            bomb(size);
        }
        let is_refusing = fault == Some(Fault::Refused);
        let before = std::mem::replace(&mut *self.faults.present.lock(), fault.clone());
        if [before, fault].iter().flatten().any(Fault::is_of_connections) {
            self.faults.cut.send_replace(());
        }
        if is_refusing {
            self.close_listener();
        }
    }

    /// How many requests have come so far, and the last of them, oldest first.
    pub(super) fn requests(&self) -> (u64, Vec<RecordedRequest>) {
        (self.seen.load(Ordering::Relaxed), self.requests.lock().iter().cloned().collect())
    }

    /// The text of `/metrics/resource` as it is at `at`.
    pub(super) fn metrics(&self, at: metrics_gateway::model::units::UnixNanos) -> Bytes {
        let mut text = self.text.lock();
        let node = &self.nodes[self.index];
        let text = text.get_or_insert_with(|| MetricsText::new(node, &self.sources, self.print_start_times, at));
        Bytes::copy_from_slice(text.at(node, &self.sources, at))
    }

    /// Takes a listener to accept from; closes it at once if the fault came back in the meantime.
    pub(super) fn listen(&self, listener: TcpListener) {
        *self.listener.lock() = Some(Arc::new(listener));
        if *self.faults.present.lock() == Some(Fault::Refused) {
            self.close_listener();
        }
    }

    /// Accepts connections until it is dropped. It listens already.
    pub(super) async fn serve(self: Arc<Self>) {
        let address = self.nodes[self.index].address;
        loop {
            let closed = self.accept().await;
            // The closed listener keeps the port until the next socket has it.
            let held = hold(address);
            drop(closed);
            let mut cut = self.faults.cut.subscribe();
            while *self.faults.present.lock() == Some(Fault::Refused) {
                cut.changed().await.expect("the sender lives in self");
            }
            self.listen(held.listen(BACKLOG).expect("a bound socket can listen"));
        }
    }

    /// Accepts connections until the listener is closed from outside, and returns it.
    async fn accept(self: &Arc<Self>) -> Arc<TcpListener> {
        let listener = self.listener.lock().clone().expect("a kubelet listens before it accepts");
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                Some(_) = connections.join_next() => continue,
            };
            match accepted {
                Ok((stream, _)) => drop(connections.spawn(self.clone().converse(stream))),
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => break,
                Err(_) => tokio::time::sleep(OUT_OF_DESCRIPTORS).await,
            }
        }
        self.listener.lock().take();
        listener
    }

    fn close_listener(&self) {
        if let Some(listener) = &*self.listener.lock() {
            // Connections are refused from here on; the accepting task is woken and lets go of the port.
            let _ = socket2::SockRef::from(&**listener).shutdown(std::net::Shutdown::Both);
        }
    }

    async fn converse(self: Arc<Self>, stream: TcpStream) {
        let mut cut = self.faults.cut.subscribe();
        tokio::select! {
            () = self.talk(stream) => (),
            _ = cut.changed() => (),
        }
    }

    /// How a connection ends is its client's affair, so errors are dropped.
    async fn talk(self: &Arc<Self>, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let Some(tls) = &self.tls else {
            return self.exchange(stream, false).await;
        };
        let handshake = TlsAcceptor::from(tls.clone()).accept(stream);
        if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, handshake).await {
            let has_certificate = stream.get_ref().1.peer_certificates().is_some();
            self.exchange(stream, has_certificate).await;
        }
    }

    async fn exchange(self: &Arc<Self>, stream: impl AsyncRead + AsyncWrite + Unpin, client_certificate: bool) {
        let service = service_fn(|request| {
            let kubelet = self.clone();
            async move { Ok::<_, Infallible>(kubelet.answer(request, client_certificate).await) }
        });
        let _ = http1::Builder::new().max_buf_size(16 << 10).serve_connection(TokioIo::new(stream), service).await;
    }

    async fn answer(&self, request: Request<Incoming>, client_certificate: bool) -> Response<Body> {
        self.record(&request, client_certificate);
        let fault = self.faults.present.lock().clone();
        match &fault {
            Some(Fault::Hang) => pending().await,
            Some(Fault::Slow(delay)) => tokio::time::sleep(*delay).await,
            Some(Fault::Status(code)) => {
                return status(StatusCode::from_u16(*code).expect("a fault's status is valid"));
            }
            Some(Fault::Says(code, words)) => {
                let mut response = status(StatusCode::from_u16(*code).expect("a fault's status is valid"));
                *response.body_mut() = Body::whole(words.clone());
                return response;
            }
            _ => (),
        }
        if !client_certificate && !self.credentials.admit(request.headers()) {
            return status(StatusCode::UNAUTHORIZED);
        }
        if request.method() != Method::GET {
            return status(StatusCode::METHOD_NOT_ALLOWED);
        }
        self.content(&request, fault)
    }

    fn content(&self, request: &Request<Incoming>, fault: Option<Fault>) -> Response<Body> {
        let path = request.uri().path();
        let is_resource = path.ends_with("/metrics/resource");
        match fault {
            Some(Fault::Redirect(location)) => {
                let mut response = status(StatusCode::FOUND);
                response
                    .headers_mut()
                    .insert(LOCATION, location.parse().expect("a fault's location is a header value"));
                response
            }
            Some(Fault::NotFoundOnlyResource) if is_resource => status(StatusCode::NOT_FOUND),
            Some(fault) if is_resource => self.faulty(&fault, request.headers()),
            _ if is_resource => self.good(&self.metrics(now()), TEXT, request.headers()),
            _ if path == "/stats/summary" => {
                let text = summary(&self.nodes[self.index], &self.sources, now());
                self.good(&text, "application/json", request.headers())
            }
            _ => status(StatusCode::NOT_FOUND),
        }
    }

    fn faulty(&self, fault: &Fault, headers: &HeaderMap) -> Response<Body> {
        let good = self.metrics(now());
        match fault {
            Fault::CutOff => with_type(TEXT, Body::CutOff { rest: Some(good), state: Cut::Half }),
            Fault::Endless => with_type(TEXT, Body::Endless(good)),
            Fault::Garbage => with_type(TEXT, Body::whole(garbage())),
            Fault::Body(bytes) => self.good(bytes, TEXT, headers),
            Fault::BadLines => self.good(&with_broken_lines(&good), TEXT, headers),
            Fault::GzipBomb(size) => {
                let mut response = with_type(TEXT, Body::whole(bomb(*size)));
                response.headers_mut().insert(CONTENT_ENCODING, GZIP);
                response
            }
            _ => self.good(&good, TEXT, headers),
        }
    }

    fn good(&self, text: &[u8], kind: &'static str, headers: &HeaderMap) -> Response<Body> {
        let asked =
            headers.get_all(ACCEPT_ENCODING).iter().any(|value| value.as_bytes().windows(4).any(|w| w == b"gzip"));
        if !(self.gzip && asked) {
            return with_type(kind, Body::whole(text.to_vec()));
        }
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(text).expect("a vector takes everything");
        let mut response = with_type(kind, Body::whole(packed.finish().expect("a vector takes everything")));
        response.headers_mut().insert(CONTENT_ENCODING, GZIP);
        response
    }

    fn record(&self, request: &Request<Incoming>, client_certificate: bool) {
        self.seen.fetch_add(1, Ordering::Relaxed);
        let mut requests = self.requests.lock();
        if requests.len() == KEPT_REQUESTS {
            requests.pop_front();
        }
        requests.push_back(RecordedRequest {
            method: request.method().clone(),
            path: request.uri().path_and_query().map_or_else(String::new, ToString::to_string),
            headers: request.headers().clone(),
            client_certificate,
        });
    }
}

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const GZIP: http::HeaderValue = http::HeaderValue::from_static("gzip");

impl Credentials {
    fn admit(&self, headers: &HeaderMap) -> bool {
        let value = headers.get(AUTHORIZATION).map(http::HeaderValue::as_bytes);
        let token = value.and_then(|value| value.strip_prefix(b"Bearer "));
        match self {
            Self::None => true,
            Self::AnyToken => token.is_some_and(|token| !token.is_empty()),
            Self::Token(expected) => token == Some(expected.as_bytes()),
        }
    }
}

fn status(code: StatusCode) -> Response<Body> {
    let mut response = with_type("text/plain; charset=utf-8", Body::whole(code.canonical_reason().unwrap_or("Error")));
    *response.status_mut() = code;
    response
}

fn with_type(kind: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static(kind));
    response
}

/// Packed once for each size: it takes seconds, and a kubelet must answer sooner.
fn bomb(size: u64) -> Bytes {
    static BOMBS: Mutex<BTreeMap<u64, Bytes>> = Mutex::new(BTreeMap::new());
    let mut bombs = BOMBS.lock();
    let bomb = bombs.entry(size).or_insert_with(|| {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        io::copy(&mut io::Read::take(io::repeat(b'\n'), size), &mut packed).expect("a vector takes everything");
        packed.finish().expect("a vector takes everything").into()
    });
    bomb.clone()
}

/// Keeps a port without listening on it, so that it refuses connections and nobody else gets it.
fn hold(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("a socket can be made");
    socket.set_reuseaddr(true).expect("a fresh socket takes options");
    socket.bind(address).expect("the port of a closed listener is free for its owner");
    socket
}

/// What a kubelet sends.
enum Body {
    Whole(Option<Bytes>),
    CutOff { rest: Option<Bytes>, state: Cut },
    Endless(Bytes),
}

/// How far a body that breaks off has come.
enum Cut {
    Half,
    /// The half is handed over; the connection gets a turn to send it.
    Sending,
    Broken,
}

impl Body {
    fn whole(bytes: impl Into<Bytes>) -> Self {
        Self::Whole(Some(bytes.into()))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match &mut *self {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Endless(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes.clone())))),
            Self::CutOff { rest, state } => match state {
                Cut::Half => {
                    *state = Cut::Sending;
                    let half = rest.as_ref().map_or_else(Bytes::new, |bytes| bytes.slice(..bytes.len() / 2));
                    Poll::Ready(Some(Ok(Frame::data(half))))
                }
                Cut::Sending => {
                    *state = Cut::Broken;
                    context.waker().wake_by_ref();
                    Poll::Pending
                }
                Cut::Broken => Poll::Ready(Some(Err(io::ErrorKind::BrokenPipe.into()))),
            },
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Self::CutOff { rest, .. } => SizeHint::with_exact(rest.as_ref().map_or(0, Bytes::len) as u64),
            Self::Endless(_) => SizeHint::default(),
        }
    }
}

/// The certificates that all kubelets of a fleet share, and what each gets of its own.
pub(super) struct Identities<'a> {
    certs: &'a Certs,
    wrong_name: Arc<CertifiedKey>,
    expired: Arc<CertifiedKey>,
    foreign: Arc<CertifiedKey>,
    clients: Arc<dyn rustls::server::danger::ClientCertVerifier>,
    provider: Arc<rustls::crypto::CryptoProvider>,
}

impl<'a> Identities<'a> {
    pub(super) fn new(certs: &'a Certs) -> Self {
        let provider = Arc::new(ring::default_provider());
        let clients = WebPkiClientVerifier::builder_with_provider(certs.cluster.roots(), provider.clone())
            .allow_unauthenticated()
            .build()
            .expect("the roots are not empty");
        Self {
            certs,
            wrong_name: certified(&certs.cluster.server(&["elsewhere.invalid"], Validity::Long)),
            expired: certified(&certs.cluster.server(&LOOPBACK, Validity::Expired)),
            foreign: certified(&certs.foreign.server(&LOOPBACK, Validity::Long)),
            clients,
            provider,
        }
    }

    /// Settings for a kubelet whose certificate names its node and the loopback address.
    fn tls(&self, node: &str, fault: Arc<Mutex<Option<Fault>>>) -> Arc<ServerConfig> {
        let chooser = CertificateByFault {
            healthy: certified(&self.certs.cluster.server(&[node, LOOPBACK[0], LOOPBACK[1]], Validity::Long)),
            wrong_name: self.wrong_name.clone(),
            expired: self.expired.clone(),
            foreign: self.foreign.clone(),
            fault,
        };
        let mut config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()
            .expect("ring speaks both versions")
            .with_client_cert_verifier(self.clients.clone())
            .with_cert_resolver(Arc::new(chooser));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // A resumed session shows no certificate, so its faults would not be seen; and thousands of caches cost memory.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Arc::new(config)
    }
}

const LOOPBACK: [&str; 2] = ["127.0.0.1", "localhost"];

fn certified(pair: &Pair) -> Arc<CertifiedKey> {
    let key = ring::sign::any_supported_type(&pair.key()).expect("ring knows the keys that it made");
    Arc::new(CertifiedKey::new(pair.chain(), key))
}

struct CertificateByFault {
    healthy: Arc<CertifiedKey>,
    wrong_name: Arc<CertifiedKey>,
    expired: Arc<CertifiedKey>,
    foreign: Arc<CertifiedKey>,
    fault: Arc<Mutex<Option<Fault>>>,
}

impl std::fmt::Debug for CertificateByFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CertificateByFault")
    }
}

impl ResolvesServerCert for CertificateByFault {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let certificate = match &*self.fault.lock() {
            Some(Fault::WrongName) => &self.wrong_name,
            Some(Fault::Expired) => &self.expired,
            Some(Fault::ForeignCa) => &self.foreign,
            _ => &self.healthy,
        };
        Some(certificate.clone())
    }
}
