//! A TLS listener on loopback that speaks HTTP/1.1 and HTTP/2 and can be cut off at once.
//!
//! In: a handler from requests to responses. Stopping closes the port and every connection in the middle of whatever it
//! did: that is what a killed process looks like to its clients. Draining is absent on purpose.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::pki_types::CertificateDer;
use rustls::server::{ServerConfig, WebPkiClientVerifier};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::body::Body;
use crate::certs::{Authority, Pair};

/// What the other end of a connection is known by.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Where it calls from.
    pub address: SocketAddr,
    /// Its certificate, where it showed one that the listener trusts.
    pub certificate: Option<CertificateDer<'static>>,
    /// The name it asked for (SNI).
    pub server_name: Option<String>,
}

/// TLS settings with `pair` to show, and client certificates of `clients` welcome but not demanded.
pub fn tls(pair: &Pair, clients: &Authority) -> Arc<ServerConfig> {
    let verifier = WebPkiClientVerifier::builder(clients.roots()).allow_unauthenticated().build();
    let mut config = ServerConfig::builder()
        .with_client_cert_verifier(verifier.expect("the roots are not empty"))
        .with_single_cert(pair.chain(), pair.key())
        .expect("a pair that was just made belongs together");
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config)
}

/// A running listener; stops when it is dropped.
pub struct Listener {
    address: SocketAddr,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Listener {
    /// Binds `address` and answers every request with what `handler` makes of it.
    ///
    /// # Errors
    /// Where the address cannot be bound.
    pub async fn bind<H, F>(address: SocketAddr, tls: Arc<ServerConfig>, handler: H) -> io::Result<Self>
    where
        H: Fn(Arc<Peer>, Request<Incoming>) -> F + Clone + Send + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let listener = TcpListener::bind(address).await?;
        let (address, stop, tasks) = (listener.local_addr()?, CancellationToken::new(), TaskTracker::new());
        let accept = accept(listener, TlsAcceptor::from(tls), handler, stop.clone(), tasks.clone());
        tasks.spawn(stop.clone().run_until_cancelled_owned(accept));
        Ok(Self { address, stop, tasks })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes the port and all connections, and waits until they are.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn accept<H, F>(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    handler: H,
    stop: CancellationToken,
    tasks: TaskTracker,
) where
    H: Fn(Arc<Peer>, Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    loop {
        // An error concerns one connection that ended while it waited; the listener lives on.
        let Ok((stream, address)) = listener.accept().await else { continue };
        let connection = converse(stream, address, acceptor.clone(), handler.clone());
        tasks.spawn(stop.clone().run_until_cancelled_owned(connection));
    }
}

async fn converse<H, F>(stream: TcpStream, address: SocketAddr, acceptor: TlsAcceptor, handler: H)
where
    H: Fn(Arc<Peer>, Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    // Without this, small answers wait for the client's delayed acknowledgement; on failure they merely do.
    let _ = stream.set_nodelay(true);
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let (_, tls) = stream.get_ref();
    let peer = Arc::new(Peer {
        address,
        certificate: tls.peer_certificates().and_then(|chain| chain.first()).cloned().map(CertificateDer::into_owned),
        server_name: tls.server_name().map(str::to_owned),
    });
    let service = service_fn(move |request| {
        let answer = handler(peer.clone(), request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // As in Go: a megabyte of headers, however many.
    builder.http1().max_headers(4096);
    builder.http2().max_header_list_size(1 << 20).max_concurrent_streams(250);
    // How a connection ends is its client's affair; the handler has seen every request that arrived.
    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
}
