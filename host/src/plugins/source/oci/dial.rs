//! A connection to a registry: TCP, a proxy's tunnel where one is configured, TLS.
//!
//! Proxies are those of `HTTPS_PROXY` (or `ALL_PROXY`) and `NO_PROXY`, as for the API server, and only for TLS: the
//! tunnel then carries nothing that the proxy could read. Plain HTTP, which is for registries on this machine or inside
//! the cluster, is never sent to a proxy, nor is what goes to this machine.
//!
//! The authorities that are trusted are those of `certificate_authority` alone, or else the system's.

#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{HOST, PROXY_AUTHORIZATION};
use http::uri::Scheme;
use http::{HeaderValue, Request, Uri};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper::upgrade::Upgraded;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::OciError;

/// A connection, whatever it runs over.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Makes connections.
pub(super) struct Dialer {
    tls: TlsConnector,
    proxies: Matcher,
}

/// Who chose where a connection goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chosen {
    /// Whoever wrote the reference.
    ByOperator,
    /// A registry: a redirect, or the address of its token service.
    ByRegistry,
}

impl Dialer {
    /// # Errors
    /// [`OciError::CertificateAuthority`].
    pub(super) fn try_new(authority: Option<&Path>, proxies: Matcher) -> Result<Self, OciError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has the suites of TLS 1.2 and 1.3")
            .with_root_certificates(roots(authority)?)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { tls: TlsConnector::from(Arc::new(config)), proxies })
    }

    /// Connects to where `uri` points, or says why not.
    pub(super) async fn dial(&self, uri: &Uri, chosen: Chosen) -> Result<Box<dyn Stream>, String> {
        let (host, port) = place(uri)?;
        if uri.scheme() != Some(&Scheme::HTTPS) {
            return Ok(Box::new(connect(host, port, chosen).await?));
        }
        let stream: Box<dyn Stream> = match self.proxies.intercept(uri).filter(|_| !is_loopback(host)) {
            Some(proxy) => {
                let (proxy_host, proxy_port) = proxy_place(proxy.uri())?;
                let stream = connect(proxy_host, proxy_port, Chosen::ByOperator).await?;
                Box::new(tunnel(stream, uri, port, proxy.basic_auth()).await?)
            }
            None => Box::new(connect(host, port, chosen).await?),
        };
        let name = ServerName::try_from(bare(host).to_owned()).map_err(|_| format!("{host:?} is not a host name"))?;
        let stream = self.tls.connect(name, stream).await.map_err(|error| format!("TLS with {host:?}: {error}"))?;
        Ok(Box::new(stream))
    }
}

fn roots(authority: Option<&Path>) -> Result<RootCertStore, OciError> {
    let mut roots = RootCertStore::empty();
    let Some(path) = authority else {
        // A system without any is not an error before somebody is to be trusted; then TLS says so.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok(roots);
    };
    let refused = |problem: String| OciError::CertificateAuthority { path: path.to_owned(), problem };
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| refused(error.to_string()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| refused(error.to_string()))?;
        roots.add(certificate).map_err(|error| refused(error.to_string()))?;
    }
    if roots.is_empty() { Err(refused("holds no certificate".to_owned())) } else { Ok(roots) }
}

/// Host and port of a `uri`.
fn place(uri: &Uri) -> Result<(&str, u16), String> {
    let host = uri.host().filter(|host| !host.is_empty()).ok_or("an address without a host")?;
    let default = if uri.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 };
    Ok((host, uri.port_u16().unwrap_or(default)))
}

fn proxy_place(uri: &Uri) -> Result<(&str, u16), String> {
    if uri.scheme() != Some(&Scheme::HTTP) {
        return Err("the proxy is not one that is spoken to by http://".to_owned());
    }
    place(uri)
}

/// Without the brackets of an IPv6 address.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// Which no proxy can reach.
fn is_loopback(host: &str) -> bool {
    host == "localhost" || bare(host).parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

async fn connect(host: &str, port: u16, chosen: Chosen) -> Result<TcpStream, String> {
    let found = tokio::net::lookup_host((bare(host), port));
    let mut addresses: Vec<SocketAddr> =
        found.await.map_err(|error| format!("the host {host:?} cannot be looked up: {error}"))?.collect();
    if chosen == Chosen::ByRegistry {
        addresses.retain(|address| !is_of_the_machine(address.ip()));
    }
    if addresses.is_empty() {
        return Err(format!("{host:?} has no address that a registry may send us to"));
    }
    let stream = TcpStream::connect(&*addresses)
        .await
        .map_err(|error| format!("{host:?} port {port} cannot be connected to: {error}"))?;
    // A request is one write: waiting for more to send would only delay it.
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    Ok(stream)
}

/// Link-local addresses, where clouds hand out the credentials of machines, and none at all.
fn is_of_the_machine(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_link_local() || address.is_unspecified(),
        IpAddr::V6(address) => address.is_unicast_link_local() || address.is_unspecified(),
    }
}

/// Has a proxy connect `stream` with where `uri` points.
async fn tunnel(
    stream: TcpStream,
    uri: &Uri,
    port: u16,
    authorization: Option<&HeaderValue>,
) -> Result<TokioIo<Upgraded>, String> {
    let failed = |error: &dyn std::fmt::Display| format!("the proxy makes no tunnel: {error}");
    let target = format!("{}:{port}", uri.host().unwrap_or_default());
    let mut request = Request::connect(&target).header(HOST, &target);
    if let Some(authorization) = authorization {
        request = request.header(PROXY_AUTHORIZATION, authorization);
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| failed(&error))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|error| failed(&error))?;
        match response.status() {
            status if status.is_success() => hyper::upgrade::on(response).await.map_err(|error| failed(&error)),
            status => Err(failed(&format_args!("it answers {status}"))),
        }
    };
    let mut exchange = std::pin::pin!(exchange);
    tokio::select! {
        biased;
        outcome = &mut exchange => outcome,
        // The connection ends as HTTP where the tunnel begins.
        _ = connection.with_upgrades() => exchange.await,
    }
    .map(TokioIo::new)
}
