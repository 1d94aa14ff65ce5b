//! The HTTPS listener: sockets, TLS, protocol limits, and an orderly end.
//!
//! In: bytes of anybody who can reach the port. Out: requests with their [`Peer`] to [`Api::answer`]. Certificates of
//! clients are asked for and never required; what they are worth is the door's business, request by request.
//!
//! Everything that a client can make us keep has a bound: connections, time for the TLS handshake, size and number of
//! headers and the time for them, streams of one connection, resets, idle time. The bounds are upstream's where it
//! has them, since a user in a thousand groups must get through.
//!
//! Absent on purpose: routes and bodies.
//!
//! Rules: `k8s.io/apiserver` v0.36, `pkg/server/secure_serving.go`, with Go's `net/http` and `http2` defaults.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use arc_swap::ArcSwap;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use parking_lot::Mutex;
use rustls::ServerConfig;
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::Api;
use super::certificate::ServingCertificate;
use crate::auth::Peer;
use crate::auth::tls::AskForCertificate;
use crate::auth::trust::TrustStore;
use crate::config::{ServingConfig, TlsVersion};
use crate::telemetry::Metrics;

/// As upstream (Go's `http.Server.ReadHeaderTimeout` there).
const HEADER_TIME: Duration = Duration::from_secs(32);
/// As upstream.
const IDLE_TIME: Duration = Duration::from_secs(90);
/// As the aggregator's own limit for the handshake.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// As upstream: 1 MiB and the usual slack of Go's HTTP/2.
const HEADER_BYTES: u32 = 1_048_896;
/// A user in a thousand groups comes with a thousand header lines.
const HEADER_LINES: usize = 4_096;
/// As upstream: windows and frames of HTTP/2.
const WINDOW: u32 = 256 * 1024;
/// As upstream.
const KEEP_ALIVE: Duration = Duration::from_secs(180);

/// A listener that is bound, and not yet serving.
pub struct Server {
    listener: TcpListener,
    config: ServingConfig,
    certificate: Arc<ServingCertificate>,
    trust: Arc<TrustStore>,
    /// The TLS configuration, and the generation of trust whose CAs it hints at.
    tls: ArcSwap<(u64, TlsAcceptor)>,
    metrics: Arc<Metrics>,
}

impl Server {
    /// Takes the port. From now on clients queue up.
    ///
    /// # Errors
    /// Where the address cannot be had, or TLS cannot be set up as configured.
    pub fn bind(
        config: &ServingConfig,
        certificate: Arc<ServingCertificate>,
        trust: Arc<TrustStore>,
        metrics: Arc<Metrics>,
    ) -> Result<Self> {
        let listener = listen(config)?;
        let tls = ArcSwap::from_pointee(tls(config, &certificate, &trust)?);
        Ok(Self { listener, config: config.clone(), certificate, trust, tls, metrics })
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
        let places = Arc::new(Semaphore::new(self.config.max_connections.get().min(Semaphore::MAX_PERMITS)));
        loop {
            let (stream, remote, place) = tokio::select! {
                () = stop.cancelled() => return,
                accepted = self.accept(&places) => accepted,
            };
            let connection = Connection {
                acceptor: self.acceptor(),
                http: http(&self.config),
                api: Arc::clone(&api),
                metrics: Arc::clone(&self.metrics),
                remote,
                _place: place,
            };
            tasks.spawn(connection.run(stream, stop.clone()));
        }
    }

    async fn accept(&self, places: &Arc<Semaphore>) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
        loop {
            let Ok(place) = Arc::clone(places).acquire_owned().await else { std::future::pending().await };
            match self.listener.accept().await {
                Ok((stream, remote)) => return (stream, remote, place),
                Err(error) => {
                    // Out of file descriptors, most likely: others have to end first.
                    warn!(%error, "cannot accept a connection; trying again");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    /// The TLS set-up that hints at the CAs in force.
    fn acceptor(&self) -> TlsAcceptor {
        let current = self.tls.load();
        if current.0 == self.trust.current().generation() {
            return current.1.clone();
        }
        match tls(&self.config, &self.certificate, &self.trust) {
            Ok(new) => {
                let acceptor = new.1.clone();
                self.tls.store(Arc::new(new));
                acceptor
            }
            Err(error) => {
                warn!("cannot hint at the new CAs in TLS handshakes, hinting at the old ones: {error:#}");
                current.1.clone()
            }
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
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
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

fn tls(
    config: &ServingConfig,
    certificate: &Arc<ServingCertificate>,
    trust: &TrustStore,
) -> Result<(u64, TlsAcceptor)> {
    let trust = trust.current();
    let versions: &[_] = match config.min_version {
        TlsVersion::Tls12 => &[&rustls::version::TLS13, &rustls::version::TLS12],
        TlsVersion::Tls13 => &[&rustls::version::TLS13],
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)?
        .with_client_cert_verifier(Arc::new(AskForCertificate::new(&trust)))
        .with_cert_resolver(Arc::clone(certificate) as _);
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    if config.http2 {
        tls.alpn_protocols.insert(0, b"h2".to_vec());
    }
    Ok((trust.generation(), TlsAcceptor::from(Arc::new(tls))))
}

fn http(config: &ServingConfig) -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_headers(HEADER_LINES)
        .max_buf_size(HEADER_BYTES as usize);
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(config.max_streams)
        .max_header_list_size(HEADER_BYTES)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW * 4)
        .max_frame_size(WINDOW)
        .keep_alive_interval(Some(IDLE_TIME / 3))
        .keep_alive_timeout(HANDSHAKE_TIME);
    if config.http2 { http } else { http.http1_only() }
}

/// One client's connection.
struct Connection {
    acceptor: TlsAcceptor,
    http: auto::Builder<TokioExecutor>,
    api: Arc<Api>,
    metrics: Arc<Metrics>,
    remote: SocketAddr,
    /// Held for as long as the connection lives.
    _place: OwnedSemaphorePermit,
}

impl Connection {
    async fn run(self, stream: TcpStream, stop: CancellationToken) {
        let shaken = tokio::select! {
            () = stop.cancelled() => return,
            shaken = tokio::time::timeout(HANDSHAKE_TIME, self.shake_hands(stream)) => shaken,
        };
        let Ok(Ok(Some(stream))) = shaken else { return };
        self.metrics.http_connections.inc();
        let metrics = Arc::clone(&self.metrics);
        self.serve(stream, stop).await;
        metrics.http_connections.dec();
    }

    /// None where the client did not speak TLS.
    async fn shake_hands(
        &self,
        mut stream: TcpStream,
    ) -> io::Result<Option<tokio_rustls::server::TlsStream<TcpStream>>> {
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

    async fn serve(self, stream: tokio_rustls::server::TlsStream<TcpStream>, stop: CancellationToken) {
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default().to_vec();
        let peer = Arc::new(Peer::new(self.remote.ip(), chain));
        let activity = Activity::new();
        let hang_up = CancellationToken::new();
        let service = {
            let (api, activity, hang_up) = (Arc::clone(&self.api), Arc::clone(&activity), hang_up.clone());
            hyper::service::service_fn(move |request| {
                let (busy, api, peer) = (activity.begin(), Arc::clone(&api), Arc::clone(&peer));
                let hang_up = hang_up.clone();
                async move { Ok::<_, std::convert::Infallible>(api.answer(request, &peer, &hang_up, busy).await) }
            })
        };
        let mut connection = std::pin::pin!(self.http.serve_connection(TokioIo::new(stream), service));
        let end = async {
            tokio::select! {
                () = stop.cancelled() => {}
                () = hang_up.cancelled() => {}
                () = activity.idle(IDLE_TIME) => {}
            }
        };
        tokio::select! {
            outcome = &mut connection => return self.note(outcome),
            () = end => connection.as_mut().graceful_shutdown(),
        }
        // What has begun is finished; how long that may take is for whoever waits for the task to say.
        let outcome = connection.await;
        self.note(outcome);
    }

    fn note(&self, outcome: Result<(), Box<dyn std::error::Error + Send + Sync>>) {
        if let Err(error) = outcome {
            debug!(remote = %self.remote, %error, "connection broke off");
        }
    }
}

/// When a connection was last of use.
struct Activity {
    /// How many requests are being answered, and when that number last changed.
    state: Mutex<(usize, Instant)>,
}

impl Activity {
    fn new() -> Arc<Self> {
        Arc::new(Self { state: Mutex::new((0, Instant::now())) })
    }

    /// Counts a request until the guard is dropped, which is when its body is written.
    fn begin(self: &Arc<Self>) -> Busy {
        self.change(1);
        Busy(Arc::clone(self))
    }

    fn change(&self, by: isize) {
        let mut state = self.state.lock();
        *state = (state.0.saturating_add_signed(by), Instant::now());
    }

    /// Returns when there has been no request for `limit`.
    async fn idle(&self, limit: Duration) {
        loop {
            let (requests, changed_at) = *self.state.lock();
            let since = if requests == 0 { changed_at } else { Instant::now() };
            if since.elapsed() >= limit {
                return;
            }
            tokio::time::sleep_until(since + limit).await;
        }
    }
}

/// A request that is being answered, its body included.
pub struct Busy(Arc<Activity>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.change(-1);
    }
}
