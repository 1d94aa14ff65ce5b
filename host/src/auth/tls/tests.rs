use std::sync::Arc;

use rcgen::KeyPair;
use rustls::client::ResolvesClientCert;
use rustls::crypto::ring::{default_provider, sign::any_supported_type};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, Error, RootCertStore, ServerConfig, ServerConnection, SignatureScheme,
    SupportedProtocolVersion,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::AskForCertificate;
use crate::auth::tests::{Authority, World, subject};

/// What the client presents, whatever the hints say; and the hints it was given.
#[derive(Debug)]
struct Presents {
    certified: Option<Arc<CertifiedKey>>,
    hints: parking_lot::Mutex<Vec<Vec<u8>>>,
}

impl ResolvesClientCert for Presents {
    fn resolve(&self, hints: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        *self.hints.lock() = hints.iter().map(|hint| hint.to_vec()).collect();
        self.certified.clone()
    }

    fn has_certs(&self) -> bool {
        true
    }
}

fn private_key(key: &KeyPair) -> PrivateKeyDer<'static> {
    PrivateKeyDer::try_from(key.serialize_der()).unwrap()
}

/// Shakes hands; the certificates that the server saw, and the hints that the client saw.
async fn shake_hands(
    version: &'static SupportedProtocolVersion,
    certified: Option<(CertificateDer<'static>, KeyPair)>,
) -> (Result<usize, Error>, usize) {
    let servers = Authority::new("servers");
    let mut params = subject("server", &[]);
    params.subject_alt_names = vec![rcgen::SanType::DnsName("server".try_into().unwrap())];
    let (certificate, key) = servers.sign_with_key(&params);
    let trust = World::new().await.trust.current();
    let builder = ServerConfig::builder_with_provider(default_provider().into()).with_protocol_versions(&[version]);
    let config = builder.unwrap().with_client_cert_verifier(Arc::new(AskForCertificate::new(&trust)));
    let config = config.with_single_cert(vec![certificate], private_key(&key)).unwrap();
    let mut server = ServerConnection::new(Arc::new(config)).unwrap();

    let certified = certified.map(|(certificate, key)| {
        Arc::new(CertifiedKey::new(vec![certificate], any_supported_type(&private_key(&key)).unwrap()))
    });
    let presents = Arc::new(Presents { certified, hints: parking_lot::Mutex::default() });
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(servers.pem.as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(default_provider().into()).with_protocol_versions(&[version]);
    let config = builder.unwrap().with_root_certificates(roots).with_client_cert_resolver(Arc::clone(&presents) as _);
    let mut client = ClientConnection::new(Arc::new(config), "server".try_into().unwrap()).unwrap();

    let outcome = exchange(&mut client, &mut server);
    let hints = presents.hints.lock().len();
    (outcome.map(|()| server.peer_certificates().map_or(0, <[_]>::len)), hints)
}

fn exchange(client: &mut ClientConnection, server: &mut ServerConnection) -> Result<(), Error> {
    while client.is_handshaking() || server.is_handshaking() {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        let mut rest = &*bytes;
        while !rest.is_empty() {
            server.read_tls(&mut rest).unwrap();
            server.process_new_packets()?;
        }
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        let mut rest = &*bytes;
        while !rest.is_empty() {
            client.read_tls(&mut rest).unwrap();
            client.process_new_packets()?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_certificate_is_asked_for_with_hints_and_never_required() {
    for version in [&TLS12, &TLS13] {
        assert_eq!(shake_hands(version, None).await, (Ok(0), 2), "{version:?}");
    }
}

#[tokio::test]
async fn any_certificate_passes_the_handshake_if_the_client_holds_its_key() {
    for version in [&TLS12, &TLS13] {
        let stranger = Authority::new("foreign").sign_with_key(&subject("anybody", &[]));
        assert_eq!(shake_hands(version, Some(stranger)).await, (Ok(1), 2), "{version:?}");
    }
}

#[tokio::test]
async fn somebody_elses_certificate_ends_the_handshake() {
    for version in [&TLS12, &TLS13] {
        let (certificate, _) = Authority::new("foreign").sign_with_key(&subject("anybody", &[]));
        let (outcome, _) = shake_hands(version, Some((certificate, KeyPair::generate().unwrap()))).await;
        assert!(outcome.is_err(), "{version:?}: {outcome:?}");
    }
}
