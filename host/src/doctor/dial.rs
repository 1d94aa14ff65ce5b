//! A look at a TLS server: who listens there, and which certificate they show.
//!
//! In: a host, a port, and the name to ask for. Out: the chain as it was shown, or how far it got ([`Stopped`]). Any
//! certificate is taken, because it is only looked at: not one byte is sent over the connection, and no credentials are
//! shown. It ends with the handshake.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

/// A chain of certificates, leaf first.
pub(super) type Chain = Vec<CertificateDer<'static>>;

/// Where a look came to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum Stopped {
    /// The name was not found.
    #[error("cannot resolve it: {0}")]
    Name(io::Error),
    /// There is no connection.
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    /// No connection came about in time.
    #[error("no connection within the time limit")]
    ConnectTimeout,
    /// The connection is there, and nothing more came in time.
    #[error("connected, and then no answer within the time limit")]
    Hung,
    /// TLS failed.
    #[error("TLS failed: {0}")]
    Tls(io::Error),
}

/// The chain that is shown at `host` when `name` is asked for.
pub(super) async fn look(host: &str, port: u16, name: &str, limit: Duration) -> Result<Chain, Stopped> {
    let deadline = Instant::now() + limit;
    let connecting = timeout_at(deadline, connect(host, port)).await;
    let stream = connecting.unwrap_or(Err(Stopped::ConnectTimeout))?;
    let fallback = || ServerName::IpAddress(IpAddr::from([0, 0, 0, 0]).into());
    let name = ServerName::try_from(name.to_owned()).unwrap_or_else(|_| fallback());
    let handshake = timeout_at(deadline, TlsConnector::from(Arc::new(config())).connect(name, stream));
    let stream = handshake.await.map_err(|_| Stopped::Hung)?.map_err(Stopped::Tls)?;
    let (_, session) = stream.get_ref();
    Ok(session.peer_certificates().unwrap_or_default().to_vec())
}

async fn connect(host: &str, port: u16) -> Result<TcpStream, Stopped> {
    let addresses: Vec<_> = tokio::net::lookup_host((host, port)).await.map_err(Stopped::Name)?.collect();
    TcpStream::connect(&*addresses).await.map_err(Stopped::Connect)
}

fn config() -> ClientConfig {
    let provider = Arc::new(ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("ring speaks both versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Onlooker(provider)))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}

/// Takes any certificate, signatures included: the connection is for looking.
#[derive(Debug)]
struct Onlooker(Arc<CryptoProvider>);

impl ServerCertVerifier for Onlooker {
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
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
