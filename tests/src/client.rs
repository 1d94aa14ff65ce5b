//! An HTTPS client with nothing between the test and the wire: which certificate it shows, which CA it trusts, which
//! headers it sends are all said by the caller.
//!
//! Where the server speaks HTTP/2, all requests share one connection, as those of the aggregator do; over HTTP/1.1 each
//! has its own. Redirects are not followed, bodies are not decompressed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::task::TaskTracker;

use crate::body::{self, Body};
use crate::certs::Pair;

/// How long a test waits for any one answer before it is called lost.
const PATIENCE: Duration = Duration::from_secs(60);

/// A client of one server.
pub struct Client {
    address: SocketAddr,
    host: String,
    tls: Arc<ClientConfig>,
    shared: tokio::sync::Mutex<Option<http2::SendRequest<Body>>>,
    tasks: TaskTracker,
}

impl Client {
    /// A client that asks `address` for `host` (a name, or an IP address, which goes without SNI), trusts `roots` and
    /// shows `identity`.
    pub fn new(address: SocketAddr, host: &str, roots: Arc<RootCertStore>, identity: Option<&Pair>) -> Self {
        Self::with_protocols(address, host, roots, identity, &["h2", "http/1.1"])
    }

    /// As [`Client::new`], with the protocols that are offered (ALPN).
    pub fn with_protocols(
        address: SocketAddr,
        host: &str,
        roots: Arc<RootCertStore>,
        identity: Option<&Pair>,
        protocols: &[&str],
    ) -> Self {
        let builder = ClientConfig::builder().with_root_certificates(roots);
        let mut tls = match identity {
            Some(pair) => builder.with_client_auth_cert(pair.chain(), pair.key()).expect("a pair belongs together"),
            None => builder.with_no_client_auth(),
        };
        tls.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let (host, tls) = (host.to_owned(), Arc::new(tls));
        Self { address, host, tls, shared: tokio::sync::Mutex::default(), tasks: TaskTracker::new() }
    }

    /// GETs `path` with `headers`.
    ///
    /// # Errors
    /// Where no whole answer comes; any status is an answer.
    pub async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Result<Answer> {
        self.request(Method::GET, path, headers, Body::empty()).await
    }

    /// Sends one request and reads the whole answer.
    ///
    /// # Errors
    /// Where no whole answer comes; any status is an answer.
    pub async fn request(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Body) -> Result<Answer> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body)?;
        let exchange = async {
            let (head, body) = self.send(request).await?.into_parts();
            let body = body::read(body).await.context("the answer broke off")?;
            anyhow::Ok(Answer { status: head.status, headers: head.headers, body, version: head.version })
        };
        tokio::time::timeout(PATIENCE, exchange)
            .await
            .with_context(|| format!("no answer to {path:?} in {PATIENCE:?}"))?
    }

    /// Sends one request, whose URI is path and query, and returns as soon as the head of the answer is there.
    ///
    /// # Errors
    /// Where no connection can be made, or it ends before the head of the answer comes.
    pub async fn send(&self, mut request: Request<Body>) -> Result<Response<Incoming>> {
        match self.sender().await? {
            Sender::Http1(mut sender) => {
                let authority = HeaderValue::from_str(&self.authority())?;
                request.headers_mut().entry(HOST).or_insert(authority);
                Ok(sender.send_request(request).await?)
            }
            Sender::Http2(mut sender) => {
                let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
                // What stands for the Host header in HTTP/2 is part of the URI.
                *request.uri_mut() = format!("https://{}{path}", self.authority()).parse()?;
                sender.ready().await?;
                Ok(sender.send_request(request).await?)
            }
        }
    }

    fn authority(&self) -> String {
        self.address.to_string()
    }

    /// The shared connection, where there is one that lives. The lock is held while one is made, so that requests that
    /// come together do not make one each.
    async fn sender(&self) -> Result<Sender> {
        let mut shared = self.shared.lock().await;
        if let Some(sender) = shared.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(Sender::Http2(sender.clone()));
        }
        let sender = self.connect().await?;
        if let Sender::Http2(sender) = &sender {
            *shared = Some(sender.clone());
        }
        Ok(sender)
    }

    /// A connection of its own, on which nothing has been said yet: for what no client library would send.
    ///
    /// # Errors
    /// Where there is nobody, or they do not agree on TLS.
    pub async fn stream(&self) -> Result<TlsStream<TcpStream>> {
        let stream =
            TcpStream::connect(self.address).await.with_context(|| format!("connecting to {}", self.address))?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(self.host.clone())?;
        TlsConnector::from(self.tls.clone()).connect(name, stream).await.context("the TLS handshake failed")
    }

    async fn connect(&self) -> Result<Sender> {
        let stream = self.stream().await?;
        let protocol = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        match protocol.as_deref() {
            Some(b"h2") => {
                let (sender, connection) = http2::Builder::new(TokioExecutor::new())
                    .timer(TokioTimer::new())
                    // As Go's clients in Kubernetes do: asked for a sign of life when idle, given up without one.
                    .keep_alive_interval(Duration::from_secs(30))
                    .keep_alive_timeout(Duration::from_secs(15))
                    .max_header_list_size(1 << 20)
                    .handshake(TokioIo::new(stream))
                    .await?;
                self.tasks.spawn(connection);
                Ok(Sender::Http2(sender))
            }
            None | Some(b"http/1.1") => {
                let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
                self.tasks.spawn(connection);
                Ok(Sender::Http1(sender))
            }
            Some(other) => bail!("the server chose the protocol {:?}", String::from_utf8_lossy(other)),
        }
    }
}

enum Sender {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, as it came.
    pub body: Bytes,
    /// The protocol it came in.
    pub version: Version,
}

impl Answer {
    /// The body as text.
    ///
    /// # Panics
    /// Where it is none: a test that expects text has failed then.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is UTF-8 text")
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// Where it is none: a test that expects JSON has failed then.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("no JSON ({error}): {:?}", self.body))
    }

    /// The first value of a header, where it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}
