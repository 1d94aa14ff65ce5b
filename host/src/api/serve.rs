//! The HTTPS listener: sockets, TLS, protocol limits, and an orderly end.
//!
//! In: bytes of anybody who can reach the port. Out: requests with the [`Link`] they came by to [`Api::answer`].
//! Certificates of clients are asked for and never required; what they are worth is the door's business, request by
//! request.
//!
//! Everything that a client can make us keep has a bound: connections (`places`), time for the TLS handshake, size and
//! number of headers and the time for them (`inlet`, `activity`), streams of one connection, resets, the time until
//! an answer is taken, idle time. The bounds are upstream's where it has them, since a user in a thousand groups must get
//! through. Resets are hyper's to bound: a client that has opened and reset 20 streams before we saw them, or made us
//! reset 1,024 by its errors, is told to calm down and disconnected.
//!
//! Absent on purpose: routes and bodies. Bodies of requests are not read: nothing that is served takes one.
//!
//! Rules: `k8s.io/apiserver` v0.36, `pkg/server/secure_serving.go`, with Go's `net/http` and `http2` defaults.

mod activity;
mod inlet;
mod places;
mod streams;
mod tls;

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use arc_swap::ArcSwap;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use rustix::process::{Resource, getrlimit, setrlimit};
use rustls::ServerConfig;
use socket2::{Domain, Protocol as Ip, Socket, TcpKeepalive, Type};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::Api;
use super::certificate::{AtAddress, ServingCertificates};
use crate::auth::Peer;
use crate::auth::trust::TrustStore;
use crate::config::ServingConfig;
use crate::telemetry::Metrics;
pub use activity::Busy;
use activity::{Activity, End, IDLE_TIME, Protocol};
pub use inlet::Standing;
use inlet::{Heads, Inlet};
use places::{Place, Places};
use streams::Streams;

/// As the aggregator's own limit for the handshake.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// As upstream: 1 MiB and the usual slack of Go's HTTP/2.
const HEADER_BYTES: u32 = 1_048_896;
/// A user in a thousand groups comes with a thousand header lines. Each takes about 100 bytes, however short it is.
pub(super) const HEADER_LINES: usize = 4_096;
/// As upstream: windows and frames of HTTP/2. They bound what is under way, not what is kept: of a request's body
/// nothing is.
const WINDOW: u32 = 256 * 1024;
/// What one stream may have waiting in memory while its client takes nothing: two pieces of a body.
const SEND_BUFFER: usize = 128 * 1024;
/// As upstream.
const KEEP_ALIVE: Duration = Duration::from_secs(180);
/// Beyond the request timeout: the answer that it ran out must still get out.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// A listener that is bound, and not yet serving.
pub struct Server {
    listener: TcpListener,
    config: ServingConfig,
    certificates: Arc<ServingCertificates>,
    trust: Arc<TrustStore>,
    /// The TLS configuration, and the generation of trust whose CAs it hints at.
    tls: ArcSwap<(u64, Arc<ServerConfig>)>,
    heads: Heads,
    metrics: Arc<Metrics>,
}

impl Server {
    /// Takes the port. From now on clients queue up.
    ///
    /// # Errors
    /// Where the address cannot be had, or TLS cannot be set up as configured.
    pub fn bind(
        config: &ServingConfig,
        certificates: Arc<ServingCertificates>,
        trust: Arc<TrustStore>,
        metrics: Arc<Metrics>,
    ) -> Result<Self> {
        raise_descriptor_limit();
        let listener = listen(config)?;
        let current = trust.current();
        let tls = tls::server_config(config, &certificates, &current)?;
        let tls = ArcSwap::from_pointee((current.generation(), Arc::new(tls)));
        Ok(Self { listener, config: config.clone(), certificates, trust, tls, heads: Heads::new(), metrics })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop`, and then lets the connections finish what they have begun. Their tasks are `tasks`'.
    pub async fn run(self, api: Arc<Api>, tasks: TaskTracker, stop: CancellationToken) {
        let places = Places::new(self.config.max_connections);
        let answer_time = self.config.request_timeout + LAST_WORDS;
        let streams = Streams { tasks: tasks.clone(), limit: answer_time };
        loop {
            let (stream, remote, place) = tokio::select! {
                () = stop.cancelled() => return,
                accepted = self.accept(&places) => accepted,
            };
            let connection = Connection {
                acceptor: self.acceptor(&stream),
                http2: http2(&self.config, streams.clone()),
                api: Arc::clone(&api),
                metrics: Arc::clone(&self.metrics),
                remote,
                answer_time,
                heads: self.heads.clone(),
            };
            tasks.spawn(connection.run(stream, place, stop.clone()));
        }
    }

    async fn accept(&self, places: &Arc<Places>) -> (TcpStream, SocketAddr, Place) {
        loop {
            match self.listener.accept().await {
                Ok((stream, remote)) => return (stream, remote, places.take().await),
                Err(error) => {
                    // Out of file descriptors, most likely: others have to end first.
                    warn!(%error, "cannot accept a connection; trying again");
                    places.part_with_a_stranger();
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    /// The TLS set-up that hints at the CAs in force, with the certificate of the address that was reached.
    fn acceptor(&self, stream: &TcpStream) -> TlsAcceptor {
        let config = self.tls();
        // Behind a socket for both families, IPv4 addresses look like IPv6 ones.
        let local = stream.local_addr().ok().map(|local| local.ip().to_canonical());
        let Some(own) = local.and_then(|local| self.certificates.of_address(local)) else {
            return TlsAcceptor::from(config);
        };
        let mut config = ServerConfig::clone(&config);
        config.cert_resolver = Arc::new(AtAddress { certificates: Arc::clone(&self.certificates), own });
        TlsAcceptor::from(Arc::new(config))
    }

    fn tls(&self) -> Arc<ServerConfig> {
        let (current, trust) = (self.tls.load(), self.trust.current());
        if current.0 == trust.generation() {
            return Arc::clone(&current.1);
        }
        match tls::server_config(&self.config, &self.certificates, &trust) {
            Ok(new) => {
                let new = Arc::new(new);
                self.tls.store(Arc::new((trust.generation(), Arc::clone(&new))));
                new
            }
            Err(error) => {
                warn!("cannot hint at the new CAs in TLS handshakes, hinting at the old ones: {error:#}");
                Arc::clone(&current.1)
            }
        }
    }
}

/// As many descriptors as the system allows, as Go's runtime takes them: the usual limit of 1,024 is one for programs
/// that cannot count further.
fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            debug!(%error, "cannot raise the limit on file descriptors");
        }
    }
}

fn listen(config: &ServingConfig) -> Result<TcpListener> {
    let Some(address) = config.bind_address else {
        // Both families over one socket; where the machine has no IPv6, IPv4 alone.
        let port = config.port;
        return listen_on(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)), config)
            .or_else(|_| listen_on(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)), config));
    };
    listen_on(SocketAddr::from((address, config.port)), config)
}

fn listen_on(address: SocketAddr, config: &ServingConfig) -> Result<TcpListener> {
    let open = || -> io::Result<TcpListener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Ip::TCP))?;
        if address.is_ipv6() {
            socket.set_only_v6(config.bind_address.is_some())?;
        }
        // Always, as Go does: a restart must not wait for the last connections of the process before.
        socket.set_reuse_address(true)?;
        if config.share_port {
            socket.set_reuse_port(true)?;
        }
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(4096)?;
        TcpListener::from_std(socket.into())
    };
    open().with_context(|| format!("cannot listen on {address}"))
}

fn http1() -> http1::Builder {
    let mut http = http1::Builder::new();
    // The time for heads is `activity`'s to watch: hyper's limit would end idle connections early.
    http.timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_headers(HEADER_LINES)
        .max_buf_size(HEADER_BYTES as usize);
    http
}

fn http2(config: &ServingConfig, streams: Streams) -> http2::Builder<Streams> {
    let mut http = http2::Builder::new(streams);
    http.timer(TokioTimer::new())
        .max_concurrent_streams(config.max_streams)
        .max_header_list_size(HEADER_BYTES)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW * 4)
        .max_frame_size(WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(Some(IDLE_TIME / 3))
        .keep_alive_timeout(HANDSHAKE_TIME);
    http
}

/// The way by which requests come: one connection, as the API needs to know it.
pub struct Link {
    peer: Peer,
    hang_up: CancellationToken,
    place: Place,
    activity: Arc<Activity>,
}

impl Link {
    /// Who is at the other end.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Ends the connection once what has begun is answered.
    pub fn hang_up(&self) {
        self.hang_up.cancel();
    }

    /// The client has proved who it is: the connection is not the first to be closed when there are too many, and is not
    /// measured with strangers.
    pub fn note_standing(&self, standing: Standing) {
        self.place.note_known();
        self.activity.set_standing(standing);
    }
}

/// One client's connection.
struct Connection {
    acceptor: TlsAcceptor,
    http2: http2::Builder<Streams>,
    api: Arc<Api>,
    metrics: Arc<Metrics>,
    remote: SocketAddr,
    answer_time: Duration,
    heads: Heads,
}

impl Connection {
    async fn run(self, stream: TcpStream, place: Place, stop: CancellationToken) {
        let shaken = tokio::select! {
            () = stop.cancelled() => return,
            () = place.evicted() => return,
            shaken = tokio::time::timeout(HANDSHAKE_TIME, self.shake_hands(stream)) => shaken,
        };
        let Ok(Ok(Some(stream))) = shaken else { return };
        let _counted = super::Counted::new(&self.metrics.http_connections);
        self.serve(stream, place, stop).await;
    }

    /// None where the client did not speak TLS.
    async fn shake_hands(&self, mut stream: TcpStream) -> io::Result<Option<TlsStream<TcpStream>>> {
        /// The first byte of a TLS connection: a record that holds a handshake.
        const HANDSHAKE: u8 = 22;
        stream.set_nodelay(true)?;
        let keep_alive = TcpKeepalive::new().with_time(KEEP_ALIVE);
        socket2::SockRef::from(&stream).set_tcp_keepalive(&keep_alive)?;
        let mut first = [0];
        if stream.peek(&mut first).await? == 1 && first[0] != HANDSHAKE {
            // Word for word what Go's server says to plain HTTP.
            let text = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
            stream.write_all(text).await?;
            stream.shutdown().await?;
            return Ok(None);
        }
        match self.acceptor.accept(stream).await {
            Ok(stream) => Ok(Some(stream)),
            Err(error) => {
                debug!(remote = %self.remote, %error, "TLS handshake failed");
                Err(error)
            }
        }
    }

    /// The protocol is the one that was agreed on in the handshake, as in Go; no byte of the client's changes it.
    async fn serve(self, stream: TlsStream<TcpStream>, place: Place, stop: CancellationToken) {
        let tls = stream.get_ref().1;
        let protocol = if tls.alpn_protocol() == Some(b"h2") { Protocol::Http2 } else { Protocol::Http1 };
        let chain = tls.peer_certificates().unwrap_or_default().to_vec();
        let peer = Peer::new(self.remote.ip().to_canonical(), chain);
        let activity = Activity::new(protocol, self.answer_time, self.heads.clone());
        let link = Arc::new(Link { peer, hang_up: CancellationToken::new(), place, activity: Arc::clone(&activity) });
        let stream = TokioIo::new(Inlet::new(stream, activity));
        let service = {
            let (api, link) = (Arc::clone(&self.api), Arc::clone(&link));
            hyper::service::service_fn(move |request: http::Request<Incoming>| {
                link.place.note_sign_of_life();
                let (busy, api, link) = (link.activity.begin(), Arc::clone(&api), Arc::clone(&link));
                async move { Ok::<_, std::convert::Infallible>(api.answer(request, &link, busy).await) }
            })
        };
        let watch = Watch { link: &link, stop: &stop, last_words: self.answer_time };
        let outcome = match protocol {
            Protocol::Http1 => watch.over(http1().serve_connection(stream, service)).await,
            Protocol::Http2 => watch.over(self.http2.serve_connection(stream, service)).await,
        };
        if let Err(why) = outcome {
            debug!(remote = %self.remote, "connection broke off: {why}");
        }
    }
}

/// Watches over a connection: ends it in good order when it is no longer needed, and at once when it has to be.
struct Watch<'a> {
    link: &'a Link,
    stop: &'a CancellationToken,
    /// How long it may take to end in good order.
    last_words: Duration,
}

impl Watch<'_> {
    /// Runs the connection to its end, and says why if that was not a good one.
    async fn over<C>(&self, connection: C) -> Result<(), String>
    where
        C: GracefulConnection<Error = hyper::Error>,
    {
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            outcome = &mut connection => return outcome.map_err(|error| error.to_string()),
            end = self.end() => match end {
                End::Idle => connection.as_mut().graceful_shutdown(),
                End::Cut(why) => return Err(why.to_owned()),
            },
        }
        tokio::select! {
            outcome = &mut connection => outcome.map_err(|error| error.to_string()),
            () = self.link.place.evicted() => Err(EVICTED.to_owned()),
            () = tokio::time::sleep(self.last_words) => Err("the client did not let it end in good order".to_owned()),
        }
    }

    async fn end(&self) -> End {
        tokio::select! {
            () = self.stop.cancelled() => End::Idle,
            () = self.link.hang_up.cancelled() => End::Idle,
            () = self.link.place.evicted() => End::Cut(EVICTED),
            end = self.link.activity.end() => end,
        }
    }
}

const EVICTED: &str = "another client needed its place";
