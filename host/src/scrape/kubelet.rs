//! One GET to one kubelet: a connection, a request, bytes or a [`ScrapeError`].
//!
//! HTTP/1.1 over TLS, one connection per node, kept between ticks: one request at a time needs no multiplexing, and
//! an idle connection costs neither a task nor HTTP's buffers, only what TLS has to remember. Redirects are refused, since following one would carry our credentials to
//! wherever it points. Bodies are capped, before and after decompression.
//!
//! Credentials are replaced whole while scrapes go on ([`KubeletClient::replace`]); a change of certificates closes
//! the connections that were made with the old ones, a new token does not.
//!
//! Absent on purpose: retries and the choice of an address.

use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::ScrapeError;
use crate::model::policy::Candidate;

/// What of a request is the same for all kubelets.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// For one node, from the look-up of its name to the last byte of its answer.
    pub timeout: Duration,
    /// A longer answer is refused.
    pub max_body: usize,
    /// Whether kubelets are asked to compress.
    pub gzip: bool,
    /// `User-Agent`.
    pub user_agent: HeaderValue,
}

/// Who we are to kubelets, and whom of them we trust.
pub enum Credentials {
    /// Plain HTTP and nothing else.
    Plain,
    /// TLS.
    Tls(TlsCredentials),
}

/// Who we are to kubelets over TLS, and whom of them we trust.
pub struct TlsCredentials {
    /// The authorities whose certificates are trusted; None: any certificate is.
    pub authorities: Option<Vec<CertificateDer<'static>>>,
    /// Our client certificate.
    pub client_pair: Option<ClientPair>,
    /// Our bearer token.
    pub token: Option<String>,
    /// The name that every kubelet's certificate has to bear, in place of the one that is dialled.
    pub server_name: Option<String>,
}

/// A certificate chain, leaf first, and its private key.
pub struct ClientPair {
    /// The chain.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key.
    pub key: PrivateKeyDer<'static>,
}

impl Clone for ClientPair {
    fn clone(&self) -> Self {
        Self { chain: self.chain.clone(), key: self.key.clone_key() }
    }
}

impl PartialEq for ClientPair {
    fn eq(&self, other: &Self) -> bool {
        self.chain == other.chain && self.key.secret_der() == other.key.secret_der()
    }
}

impl TlsCredentials {
    /// Whether connections made with `other` may go on being used.
    fn is_same_tls(&self, other: &Self) -> bool {
        self.authorities == other.authorities
            && self.client_pair == other.client_pair
            && self.server_name == other.server_name
    }
}

/// Credentials in the form in which they are used.
struct Access {
    credentials: Credentials,
    tls: Option<TlsConnector>,
    authorization: Option<HeaderValue>,
    /// Changes when connections have to be made anew.
    generation: u64,
}

/// Makes connections to kubelets, and requests over them.
pub struct KubeletClient {
    options: ClientOptions,
    access: ArcSwap<Access>,
}

impl KubeletClient {
    /// # Errors
    /// [`ScrapeError::Credentials`] where they cannot be used.
    pub fn try_new(options: ClientOptions, credentials: Credentials) -> Result<Self, ScrapeError> {
        Ok(Self { options, access: ArcSwap::from_pointee(Access::build(credentials, 0)?) })
    }

    /// The time that one node has.
    pub fn timeout(&self) -> Duration {
        self.options.timeout
    }

    /// Uses other credentials from now on. On an error the old ones stay.
    ///
    /// # Errors
    /// [`ScrapeError::Credentials`] where they cannot be used.
    pub fn replace(&self, credentials: Credentials) -> Result<(), ScrapeError> {
        let old = self.access.load();
        let is_same_tls = match (&old.credentials, &credentials) {
            (Credentials::Plain, Credentials::Plain) => true,
            (Credentials::Tls(old), Credentials::Tls(new)) => old.is_same_tls(new),
            _ => false,
        };
        let generation = if is_same_tls { old.generation } else { old.generation + 1 };
        self.access.store(Arc::new(Access::build(credentials, generation)?));
        Ok(())
    }

    /// Whether a connection was made with the credentials in force.
    pub(super) fn is_current(&self, connection: &Connection) -> bool {
        connection.generation == self.access.load().generation
    }

    pub(super) async fn connect(&self, candidate: &Candidate) -> Result<Connection, ScrapeError> {
        let access = self.access.load_full();
        let stream = dial(candidate).await?;
        match &access.tls {
            None => Ok(Connection::new(stream, candidate, access.generation)),
            Some(tls) => {
                let expected = access.expected_name(candidate);
                let stream = tls
                    .connect(server_name(expected)?, stream)
                    .await
                    .map_err(|error| tls_error(&candidate.host, expected, &error))?;
                Ok(Connection::new(stream, candidate, access.generation))
            }
        }
    }

    /// Asks for `path`. Afterwards the connection [is open](Connection::is_open) if the kubelet keeps it so.
    pub(super) async fn get(&self, connection: &mut Connection, path: &str) -> Result<Bytes, ScrapeError> {
        let request = self.request(connection, path)?;
        let closed = || ScrapeError::BrokenOff("the connection is closed".into());
        let stream = TokioIo::new(connection.stream.take().ok_or_else(closed)?);
        let (mut sender, mut driver) = http1::Builder::new().handshake(stream).await.map_err(broken_off)?;
        let exchange = async {
            let response = sender.send_request(request).await.map_err(broken_off)?;
            self.read(response).await
        };
        let mut exchange = std::pin::pin!(exchange);
        let (outcome, is_open) = tokio::select! {
            biased;
            outcome = &mut exchange => (outcome, true),
            // The kubelet has closed: what it said before may still be there to read.
            _ = &mut driver => (exchange.await, false),
        };
        let (body, end) = outcome?;
        if is_open && end == End::Reached {
            connection.stream = Some(driver.into_parts().io.into_inner());
        }
        body
    }

    fn request(&self, connection: &Connection, path: &str) -> Result<Request<Empty<Bytes>>, ScrapeError> {
        let access = self.access.load();
        let mut request = Request::get(path)
            .header(header::HOST, &connection.authority)
            .header(header::USER_AGENT, &self.options.user_agent);
        if self.options.gzip {
            request = request.header(header::ACCEPT_ENCODING, "gzip");
        }
        if let Some(authorization) = &access.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        request.body(Empty::new()).map_err(|error| ScrapeError::BrokenOff(format!("cannot ask for {path:?}: {error}")))
    }

    /// The body of an answer, or what its status says; and whether the next answer may follow on the connection.
    async fn read(&self, response: Response<Incoming>) -> Result<(Result<Bytes, ScrapeError>, End), ScrapeError> {
        /// What kubelets say beside an error is a line; more is not worth reading for the sake of a connection.
        const SHORT: usize = 4096;
        let (status, keeps) = (response.status(), keeps_alive(&response));
        if status != StatusCode::OK {
            let body = read_body(response.into_body(), SHORT).await;
            let end = if body.is_ok() { keeps } else { End::Unknown };
            let said = String::from_utf8_lossy(&body.unwrap_or_default()).into();
            return Ok((Err(ScrapeError::Status { status, hint: hint(status), said }), end));
        }
        let is_gzip = response.headers().get(header::CONTENT_ENCODING).is_some_and(|value| value == "gzip");
        let body = read_body(response.into_body(), self.options.max_body).await?;
        Ok((if is_gzip { self.inflate(&body) } else { Ok(body) }, keeps))
    }

    fn inflate(&self, body: &[u8]) -> Result<Bytes, ScrapeError> {
        let limit = self.options.max_body;
        let mut inflated = Vec::with_capacity((body.len() * 8).min(limit));
        // One byte more than is allowed tells "too large" from "just right".
        let mut reader = flate2::read::MultiGzDecoder::new(body).take(limit as u64 + 1);
        reader.read_to_end(&mut inflated).map_err(|error| ScrapeError::BrokenOff(format!("its gzip: {error}")))?;
        if inflated.len() > limit { Err(ScrapeError::TooLarge { limit }) } else { Ok(inflated.into()) }
    }
}

impl Access {
    fn build(credentials: Credentials, generation: u64) -> Result<Self, ScrapeError> {
        let (tls, token) = match &credentials {
            Credentials::Plain => (None, None),
            Credentials::Tls(tls) => (Some(connector(tls)?), tls.token.as_deref()),
        };
        let authorization = token.map(bearer).transpose()?;
        Ok(Self { credentials, tls, authorization, generation })
    }

    /// The name or address that the kubelet's certificate has to bear. What is said of one candidate goes before what is
    /// said of all kubelets.
    fn expected_name<'a>(&'a self, candidate: &'a Candidate) -> &'a str {
        let of_all = match &self.credentials {
            Credentials::Tls(TlsCredentials { server_name, .. }) => server_name.as_deref(),
            Credentials::Plain => None,
        };
        candidate.server_name.as_deref().or(of_all).unwrap_or(&candidate.host)
    }
}

/// A host name is sent along (SNI); an address is only compared.
fn server_name(name: &str) -> Result<ServerName<'static>, ScrapeError> {
    ServerName::try_from(name.to_owned()).map_err(|_| ScrapeError::Dns {
        host: name.to_owned(),
        source: std::io::Error::new(std::io::ErrorKind::InvalidInput, "neither an IP address nor a host name"),
    })
}

fn bearer(token: &str) -> Result<HeaderValue, ScrapeError> {
    let mut value = HeaderValue::try_from(format!("Bearer {token}"))
        .map_err(|_| ScrapeError::Credentials("the bearer token holds characters that no header may".into()))?;
    value.set_sensitive(true);
    Ok(value)
}

fn connector(credentials: &TlsCredentials) -> Result<TlsConnector, ScrapeError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let unusable = |error: rustls::Error| ScrapeError::Credentials(error.to_string());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?;
    let builder = match &credentials.authorities {
        None => builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyServer(provider))),
        Some(authorities) => builder.with_root_certificates(roots(authorities)?),
    };
    let mut config = match credentials.client_pair.clone() {
        None => builder.with_no_client_auth(),
        Some(pair) => builder.with_client_auth_cert(pair.chain, pair.key).map_err(unusable)?,
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

fn roots(authorities: &[CertificateDer<'static>]) -> Result<RootCertStore, ScrapeError> {
    let mut roots = RootCertStore::empty();
    let (added, ignored) = roots.add_parsable_certificates(authorities.iter().cloned());
    if added == 0 {
        return Err(ScrapeError::Credentials(format!("of {ignored} CA certificates for kubelets none can be used")));
    }
    Ok(roots)
}

/// Where the connection stands after an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// At the end of the answer: another request may follow.
    Reached,
    /// Somewhere else, or nowhere.
    Unknown,
}

fn keeps_alive(response: &Response<Incoming>) -> End {
    let closes =
        response.headers().get(header::CONNECTION).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"));
    if closes || response.version() == Version::HTTP_10 { End::Unknown } else { End::Reached }
}

async fn read_body(mut body: Incoming, limit: usize) -> Result<Bytes, ScrapeError> {
    let expected = usize::try_from(body.size_hint().exact().unwrap_or(0)).unwrap_or(usize::MAX);
    if expected > limit {
        return Err(ScrapeError::TooLarge { limit });
    }
    let mut read = BytesMut::with_capacity(expected);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(broken_off)?;
        let Some(data) = frame.data_ref() else { continue };
        if read.len() + data.len() > limit {
            return Err(ScrapeError::TooLarge { limit });
        }
        read.extend_from_slice(data);
    }
    Ok(read.freeze())
}

/// One connection to one kubelet.
pub(super) struct Connection {
    authority: String,
    /// What the candidate asks for, if it says so.
    path: Option<Box<str>>,
    stream: Option<Box<dyn Stream>>,
    generation: u64,
}

/// A TCP connection, with TLS around it or without.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send + Sync {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + Sync> Stream for S {}

impl Connection {
    fn new(stream: impl Stream + 'static, candidate: &Candidate, generation: u64) -> Self {
        Self {
            authority: authority(candidate),
            path: candidate.path.clone(),
            stream: Some(Box::new(stream)),
            generation,
        }
    }

    /// The path that its candidate names.
    pub(super) fn path(&self) -> Option<&str> {
        self.path.as_deref()
    }

    /// Whether another request may be made.
    pub(super) fn is_open(&self) -> bool {
        self.stream.is_some()
    }
}

/// `host:port`, with IPv6 addresses in brackets.
pub(super) fn authority(candidate: &Candidate) -> String {
    match candidate.host.parse() {
        Ok(IpAddr::V6(address)) => format!("[{address}]:{}", candidate.port),
        _ => format!("{}:{}", candidate.host, candidate.port),
    }
}

async fn dial(candidate: &Candidate) -> Result<TcpStream, ScrapeError> {
    let host = &*candidate.host;
    let addresses: Vec<SocketAddr> = match host.parse::<IpAddr>() {
        Ok(address) => vec![SocketAddr::new(address, candidate.port)],
        Err(_) => tokio::net::lookup_host((host, candidate.port))
            .await
            .map_err(|source| ScrapeError::Dns { host: host.into(), source })?
            .collect(),
    };
    let stream = TcpStream::connect(&*addresses)
        .await
        .map_err(|source| ScrapeError::Connect { address: authority(candidate), source })?;
    // A request is one write: waiting for more to send would only delay it.
    stream.set_nodelay(true).map_err(|source| ScrapeError::Connect { address: authority(candidate), source })?;
    Ok(stream)
}

fn broken_off(error: hyper::Error) -> ScrapeError {
    let mut cause: &dyn std::error::Error = &error;
    while let Some(source) = cause.source() {
        cause = source;
        if let Some(io) = cause.downcast_ref::<std::io::Error>()
            && io.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).is_some()
        {
            return tls_error("the kubelet", "the kubelet", io);
        }
    }
    ScrapeError::BrokenOff(if cause.to_string() == error.to_string() {
        error.to_string()
    } else {
        format!("{error}: {cause}")
    })
}

/// Sorts a failure of TLS by who has to mend what.
fn tls_error(host: &str, expected: &str, error: &std::io::Error) -> ScrapeError {
    let (host, expected) = (host.to_owned(), expected.to_owned());
    let detail = error.to_string();
    let Some(rustls_error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
        return ScrapeError::BrokenOff(format!("during the TLS handshake: {detail}"));
    };
    let rustls::Error::InvalidCertificate(certificate) = rustls_error else {
        return ScrapeError::Tls { host, detail };
    };
    match certificate {
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            ScrapeError::TlsName { host, expected, detail }
        }
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => ScrapeError::TlsExpired { host, detail },
        // A signature that does not verify is what an issuer of the right name with another key looks like.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => ScrapeError::TlsCa { host, detail },
        _ => ScrapeError::Tls { host, detail },
    }
}

/// What a status usually means, for those that people meet.
fn hint(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => " (the kubelet does not accept our token or client certificate)",
        403 => " (the kubelet knows us, but we lack \"get\" on \"nodes/metrics\"; on \"nodes/stats\" for its summary)",
        300..=399 => " (redirects are not followed: they would carry our credentials elsewhere)",
        _ => "",
    }
}

/// `--kubelet-insecure-tls`: any certificate will do, but its owner must still hold the key.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
