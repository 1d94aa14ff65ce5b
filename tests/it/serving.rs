//! The flags of the listener and of what every request passes do what metrics-server's do: certificates, TLS, browsers,
//! reconnections, the end.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use harness::api_server::{ApiServer, MASTERS, ReviewFault, User};
use harness::body::Body;
use harness::certs::{Authority, Certs, FRONT_PROXY_CLIENT, GATEWAY_HOST, Validity};
use harness::client::{Answer, Client};
use harness::cluster::{Cluster, VERSIONS};
use harness::directory::Directory;
use harness::eventually::eventually;
use harness::fleet::FleetSpec;
use harness::frames::{END_STREAM, Frames, kind};
use harness::gateway::{Caller, Gateway, Signal};
use http::{HeaderMap, Method, StatusCode};
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{CipherSuite, ClientConfig, DigitallySignedStruct, NamedGroup, ProtocolVersion, SignatureScheme};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpSocket;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

const PATIENCE: Duration = Duration::from_secs(30);

/// A cluster without nodes whose gateway answers.
async fn start(args: &[&str]) -> Result<(ApiServer, Gateway)> {
    let api = ApiServer::start(Arc::new(Certs::generate())).await?;
    let gateway = Gateway::start(&api, args)?;
    gateway.wait_for_log("serving address=", PATIENCE).await?;
    Ok((api, gateway))
}

/// A client of the gateway that speaks HTTP/1.1, a connection a request.
fn http1(api: &ApiServer, gateway: &Gateway) -> Client {
    let (roots, admin) = (api.certs().cluster.roots(), api.certs().user("admin", &[MASTERS]));
    Client::with_protocols(gateway.address(), GATEWAY_HOST, roots, Some(&admin), &["http/1.1"])
}

fn texts(headers: &HeaderMap, prefix: &str) -> Vec<String> {
    let named = headers.iter().filter(|(name, _)| name.as_str().starts_with(prefix));
    let mut lines: Vec<String> =
        named.map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes()))).collect();
    lines.sort();
    lines
}

/// Believes any certificate: what is shown is what is asked about.
#[derive(Debug)]
struct Believing(CryptoProvider);

impl ServerCertVerifier for Believing {
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
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// A provider of which only some is left.
fn offering(suites: &[CipherSuite], groups: &[NamedGroup]) -> CryptoProvider {
    let mut provider = rustls::crypto::ring::default_provider();
    provider.cipher_suites.retain(|suite| suites.is_empty() || suites.contains(&suite.suite()));
    provider.kx_groups.retain(|group| groups.is_empty() || groups.contains(&group.name()));
    provider
}

/// A handshake with the gateway by `name`, or without one for an address.
async fn shake_hands(
    gateway: &Gateway,
    name: &str,
    provider: CryptoProvider,
) -> Result<TlsStream<tokio::net::TcpStream>> {
    let config = ClientConfig::builder_with_provider(Arc::new(provider.clone()))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Believing(provider)))
        .with_no_client_auth();
    let stream = tokio::net::TcpStream::connect(gateway.address()).await?;
    let name = ServerName::try_from(name.to_owned())?;
    Ok(timeout(PATIENCE, TlsConnector::from(Arc::new(config)).connect(name, stream)).await??)
}

/// The host names in the certificate that is shown for `name`.
async fn names_shown(gateway: &Gateway, name: &str) -> Result<Vec<String>> {
    let stream = shake_hands(gateway, name, offering(&[], &[])).await?;
    let chain = stream.get_ref().1.peer_certificates().context("servers have certificates")?;
    let (_, leaf) = X509Certificate::from_der(&chain[0])?;
    let names = leaf.subject_alternative_name()?.context("there are names")?;
    let names = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    });
    Ok(names.collect())
}

#[tokio::test]
async fn a_client_is_shown_the_certificate_for_the_name_it_asks_for() -> Result<()> {
    let directory = Directory::new("serving-names")?;
    let authority = Authority::generate("names");
    let write = |file: &str, names: &[&str]| -> Result<String> {
        let (crt, key) = authority.server(names, Validity::Long).write(directory.path(), file)?;
        Ok(format!("{},{}", crt.display(), key.display()))
    };
    let own = format!("--tls-sni-cert-key={}", write("own", &["own.test", "*.own.test"])?);
    let given = format!("--tls-sni-cert-key={}:given.test,127.0.0.1", write("given", &["other.test"])?);
    let (_api, gateway) = start(&[&own, &given]).await?;
    let cases = [
        ("own.test", "own.test"),
        ("a.own.test", "own.test"),
        ("given.test", "other.test"),
        ("other.test", GATEWAY_HOST),
        (GATEWAY_HOST, GATEWAY_HOST),
        ("127.0.0.1", "other.test"),
    ];
    for (name, expected) in cases {
        assert_eq!(names_shown(&gateway, name).await?[0], expected, "{name}");
    }
    write("own", &["new.test"])?;
    eventually("the new pair", PATIENCE, async || {
        ensure!(names_shown(&gateway, "new.test").await?[0] == "new.test");
        Ok(())
    })
    .await?;
    assert_eq!(names_shown(&gateway, "own.test").await?[0], GATEWAY_HOST, "the old name went with the old pair");
    Ok(())
}

#[tokio::test]
async fn without_a_directory_the_certificate_is_made_in_memory_and_has_the_external_name() -> Result<()> {
    let api = ApiServer::start(Arc::new(Certs::generate())).await?;
    let args = ["--cert-dir=", "--external-hostname=metrics.example.com", "--kubelet-insecure-tls"];
    let gateway = Gateway::start_bare(&api, &args)?;
    gateway.wait_for_log("serving address=", PATIENCE).await?;
    assert_eq!(names_shown(&gateway, "localhost").await?, ["localhost", "metrics.example.com"]);
    let files = std::fs::read_dir(gateway.directory().path())?;
    let written: Vec<_> = files.filter_map(|file| Some(file.ok()?.file_name())).collect();
    assert!(!written.iter().any(|file| file.to_string_lossy().contains("apiserver")), "{written:?}");
    Ok(())
}

#[tokio::test]
async fn only_the_suites_and_key_exchanges_of_the_flags_are_spoken() -> Result<()> {
    use CipherSuite as Suite;
    let flags = ["--tls-cipher-suites=TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "--tls-curve-preferences=24"];
    let (_api, gateway) = start(&flags).await?;
    let (aes128, aes256) =
        (Suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, Suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384);
    let agreed = async |suites: &[CipherSuite], groups: &[NamedGroup]| {
        let stream = shake_hands(&gateway, GATEWAY_HOST, offering(suites, groups)).await.ok()?;
        let connection = stream.get_ref().1;
        let exchange = connection.negotiated_key_exchange_group()?.name();
        Some((connection.protocol_version()?, connection.negotiated_cipher_suite()?.suite(), exchange))
    };
    let p384 = NamedGroup::secp384r1;
    assert_eq!(agreed(&[aes256], &[]).await, Some((ProtocolVersion::TLSv1_2, aes256, p384)));
    assert_eq!(agreed(&[aes128], &[]).await, None, "a suite that is not named");
    assert_eq!(agreed(&[aes256], &[NamedGroup::X25519]).await, None, "a key exchange that is not named");
    let newest = agreed(&[], &[]).await.context("everything is offered")?;
    assert_eq!((newest.0, newest.2), (ProtocolVersion::TLSv1_3, p384), "TLS 1.3 is always spoken");
    Ok(())
}

/// Remembers which CAs the server hinted at.
#[derive(Debug, Default)]
struct Hints(Mutex<Vec<Vec<u8>>>);

impl ResolvesClientCert for Hints {
    fn resolve(&self, hints: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        *self.0.lock() = hints.iter().map(|hint| hint.to_vec()).collect();
        None
    }

    fn has_certs(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn clients_are_told_of_a_new_ca_once_it_counts() -> Result<()> {
    let (api, gateway) = start(&[]).await?;
    let hints = async || {
        let hints = Arc::new(Hints::default());
        let config = ClientConfig::builder()
            .with_root_certificates(api.certs().cluster.roots())
            .with_client_cert_resolver(Arc::clone(&hints) as _);
        let stream = tokio::net::TcpStream::connect(gateway.address()).await?;
        let name = ServerName::try_from(GATEWAY_HOST)?;
        TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        let hints = hints.0.lock().iter().map(|hint| String::from_utf8_lossy(hint).into_owned()).collect::<Vec<_>>();
        anyhow::Ok(hints)
    };
    let before = hints().await?;
    let told = |hints: &[String], name: &str| hints.iter().any(|hint| hint.contains(name));
    assert!(before.len() == 2 && told(&before, "kubernetes") && told(&before, "front-proxy-ca"), "{before:?}");
    let new = Authority::generate("new-front-proxy-ca");
    api.change_front_proxy_config(&[("requestheader-client-ca-file", Some(new.pem()))]);
    let after = eventually("the new hint", PATIENCE, async || {
        let hints = hints().await?;
        ensure!(told(&hints, "new-front-proxy-ca"), "{hints:?}");
        Ok(hints)
    })
    .await?;
    assert_eq!(after.len(), 2, "the old one is gone: {after:?}");
    let proxy = new.client(FRONT_PROXY_CLIENT, &[]);
    let answer = gateway.client(Some(&proxy)).get(VERSIONS[0], &[("x-remote-user", "carol")]).await?;
    assert_eq!(answer.status, StatusCode::OK);
    Ok(())
}

#[tokio::test]
async fn browsers_are_let_in_from_allowed_origins_and_told_to_come_by_tls() -> Result<()> {
    let hsts = "--strict-transport-security-directives=max-age=31536000,includeSubDomains";
    let (api, gateway) = start(&["--cors-allowed-origins=//example\\.com(:|$)", hsts]).await?;
    let from = |origin| [("origin", origin), ("access-control-request-method", "GET")];
    let preflight =
        async |origin| gateway.client(None).request(Method::OPTIONS, VERSIONS[0], &from(origin), Body::empty()).await;

    let allowed = preflight("https://example.com").await?;
    assert_eq!((allowed.status, allowed.body.len()), (StatusCode::NO_CONTENT, 0));
    let expected = [
        "access-control-allow-credentials: true",
        "access-control-allow-headers: Content-Type, Content-Length, Accept-Encoding, X-CSRF-Token, Authorization, \
         X-Requested-With, If-Modified-Since",
        "access-control-allow-methods: POST, GET, OPTIONS, PUT, DELETE, PATCH",
        "access-control-allow-origin: https://example.com",
        "access-control-expose-headers: Date",
    ];
    assert_eq!(texts(&allowed.headers, "access-control"), expected);
    assert!(allowed.header("audit-id").is_some(), "{:?}", allowed.headers);

    let other = preflight("https://example.com.evil.net").await?;
    assert_eq!((other.status, texts(&other.headers, "access-control").len()), (StatusCode::FORBIDDEN, 0));

    let admin = api.certs().user("admin", &[MASTERS]);
    let asked = gateway.client(Some(&admin)).get(VERSIONS[0], &from("http://example.com:8080")).await?;
    assert_eq!(asked.status, StatusCode::OK);
    assert_eq!(asked.header("access-control-allow-origin"), Some("http://example.com:8080"));
    let refused = gateway.client(None).get(VERSIONS[0], &from("https://example.com")).await?;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "who may not is told so in a way that a browser shows");
    assert_eq!(refused.header("access-control-allow-origin"), Some("https://example.com"));
    for answer in [allowed, other, asked, refused] {
        assert_eq!(answer.header("strict-transport-security"), Some("max-age=31536000; includeSubDomains"));
    }
    Ok(())
}

#[tokio::test]
async fn a_client_is_told_to_reconnect_now_and_then_and_loses_nothing() -> Result<()> {
    let (api, gateway) = start(&["--goaway-chance=0.02"]).await?;
    let admin = api.certs().user("admin", &[MASTERS]);
    let mut frames = Frames::begin(gateway.client(Some(&admin)).stream().await?).await?;
    // Nobody is spared in so many requests: the chance is one in 10^14.
    let mut answered = 0;
    for stream in (1..).step_by(2).take(1600) {
        frames.put_get(stream, GATEWAY_HOST, "/version", &[]);
        frames.flush().await?;
        let mut is_goaway = false;
        loop {
            let frame = timeout(PATIENCE, frames.next()).await?.context("the answer comes before the end")?;
            if frame.kind == kind::GOAWAY {
                assert_eq!(frame.error_code(), 0, "it is no error");
                is_goaway = true;
            }
            if frame.stream == stream && frame.flags & END_STREAM != 0 {
                answered += 1;
                break;
            }
        }
        if is_goaway {
            let rest = timeout(PATIENCE, frames.rest()).await?;
            assert!(rest.iter().all(|frame| frame.stream == 0), "{rest:?}");
            println!("told to go after {answered} answers");
            return Ok(());
        }
    }
    bail!("{answered} answers on one connection, and it goes on");
}

#[tokio::test]
async fn one_users_failure_does_not_end_the_connection_of_a_front_proxy() -> Result<()> {
    let (api, gateway) = start(&[]).await?;
    let stream = gateway.client(Some(&api.certs().front_proxy_client())).stream().await?;
    let mut frames = Frames::begin(stream).await?;
    // Nobody, anybody, and somebody.
    let requests: [&[(&str, &str)]; 3] = [&[], &[("x-remote-user", "system:anonymous")], &[("x-remote-user", "carol")]];
    for (stream, headers) in (1..).step_by(2).zip(requests) {
        frames.put_get(stream, GATEWAY_HOST, VERSIONS[0], headers);
        frames.flush().await?;
        loop {
            let frame = timeout(PATIENCE, frames.next()).await?.context("the connection stays")?;
            assert_ne!(frame.kind, kind::GOAWAY, "{headers:?}");
            if frame.stream == stream && frame.flags & END_STREAM != 0 {
                break;
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn while_it_drains_it_sends_newcomers_away_in_words() -> Result<()> {
    let (api, gateway) = start(&["--shutdown-send-retry-after", "--shutdown-delay-duration=1s"]).await?;
    api.access().set_fault(ReviewFault { delay: Duration::from_secs(6), ..ReviewFault::default() });
    api.access().clear_reviews();
    let reader = User::new("reader", &[]);
    let begun = gateway.get(VERSIONS[0], Caller::FrontProxy(&reader));
    let meanwhile = async {
        eventually("the review", PATIENCE, async || {
            ensure!(!api.access().access_reviews().is_empty(), "nobody has asked for permission");
            Ok(())
        })
        .await?;
        gateway.signal(Signal::Term)?;
        let client = http1(&api, &gateway);
        let turned_away = eventually("429", PATIENCE, async || {
            let answer = client.get(VERSIONS[0], &[]).await?;
            ensure!(answer.status == StatusCode::TOO_MANY_REQUESTS, "{}", answer.status);
            Ok(answer)
        })
        .await?;
        assert_eq!(turned_away.text(), "The apiserver is shutting down, please try again later.\n");
        assert_eq!((turned_away.header("retry-after"), turned_away.header("connection")), (Some("5"), Some("close")));
        assert_eq!(turned_away.header("content-type"), Some("text/plain; charset=utf-8"));
        let over_http2 = gateway.client(Some(&api.certs().user("admin", &[MASTERS]))).get(VERSIONS[0], &[]).await?;
        assert_eq!(over_http2.status, StatusCode::TOO_MANY_REQUESTS);
        for path in ["/livez", "/healthz", "/metrics"] {
            assert_eq!(client.get(path, &[]).await?.status, StatusCode::OK, "{path}");
        }
        let unready: Answer = client.get("/readyz", &[]).await?;
        assert!(unready.text().contains("[-]shutdown failed"), "{}", unready.text());
        anyhow::Ok(())
    };
    let (begun, meanwhile) = tokio::join!(begun, meanwhile);
    meanwhile?;
    assert_eq!(begun?.status, StatusCode::OK, "what had begun is finished");
    let status = gateway.wait(PATIENCE).await?;
    assert_eq!(status.code(), Some(0), "{}", gateway.log());
    Ok(())
}

/// A connection whose receive buffer is small, so that what is not read stays at the other end.
async fn narrow(gateway: &Gateway, certs: &Certs, protocol: &str) -> Result<TlsStream<tokio::net::TcpStream>> {
    let admin = certs.user("admin", &[MASTERS]);
    let mut config = ClientConfig::builder()
        .with_root_certificates(certs.cluster.roots())
        .with_client_auth_cert(admin.chain(), admin.key())?;
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4096)?;
    let stream = socket.connect(gateway.address()).await?;
    Ok(TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(GATEWAY_HOST)?, stream).await?)
}

#[tokio::test]
async fn an_answer_that_nobody_takes_is_cut_off_and_other_streams_go_on() -> Result<()> {
    // About 6 MiB as JSON: more than the buffers of a connection take.
    let spec = FleetSpec { nodes: 4, pods_per_node: 3000, containers_per_pod: 2, ..FleetSpec::default() };
    let cluster = Cluster::start(spec, &["--request-timeout=3s"]).await?;
    cluster.wait_for_usage().await?;
    let (gateway, certs) = (&cluster.gateway, cluster.api.certs());
    let pods = format!("{}/pods", VERSIONS[0]);
    let whole = cluster.get(&pods).await?.body.len();

    let mut http2 = Frames::begin(narrow(gateway, certs, "h2").await?).await?;
    http2.put_get(1, GATEWAY_HOST, &pods, &[]);
    http2.flush().await?;
    let mut http1 = narrow(gateway, certs, "http/1.1").await?;
    let request = format!("GET {pods} HTTP/1.1\r\nHost: x\r\n\r\n");
    tokio::io::AsyncWriteExt::write_all(&mut http1, request.as_bytes()).await?;

    const WINDOW_UPDATE: u8 = 8;
    // The stream is reset once its time is up; no window was opened for more than its first 64 KiB.
    let began = Instant::now();
    let mut taken = 0;
    let reset = loop {
        let frame = timeout(PATIENCE, http2.next()).await?.context("the connection stays")?;
        match frame.kind {
            kind::DATA => taken += frame.payload.len(),
            kind::RST_STREAM => break frame,
            kind::GOAWAY => bail!("the connection ends"),
            _ => {}
        }
    };
    let took = began.elapsed();
    assert!(taken < whole && took > Duration::from_secs(3), "{taken} of {whole} bytes in {took:?}");
    println!("over HTTP/2: {taken} of {whole} bytes, reset with {} after {took:?}", reset.error_code());
    // What the dead stream took of the connection's window is given back, as any client does.
    http2.put(WINDOW_UPDATE, 0, 0, &(1_u32 << 20).to_be_bytes());
    http2.put_get(3, GATEWAY_HOST, "/version", &[]);
    http2.flush().await?;
    loop {
        let frame = timeout(PATIENCE, http2.next()).await?.context("the connection stays")?;
        if frame.stream == 3 && frame.flags & END_STREAM != 0 {
            break;
        }
    }

    // Over HTTP/1.1 the connection ends; nothing more than what is under way already can be read then.
    let in_flight = async || {
        let metrics = gateway.metrics().await?;
        let line = metrics.lines().find(|line| line.starts_with("metrics_gateway_http_requests_in_flight "));
        let count = line.and_then(|line| line.rsplit(' ').next()).context("it is counted")?;
        anyhow::Ok(count.parse::<f64>()?)
    };
    eventually("both to be let go", PATIENCE, async || {
        let count = in_flight().await?;
        ensure!(count <= 1.0, "{count} in flight, this question among them");
        Ok(())
    })
    .await?;
    let mut rest = Vec::new();
    // Without a farewell, which rustls reports as an error.
    let _ = timeout(PATIENCE, http1.read_to_end(&mut rest)).await?;
    assert!(rest.starts_with(b"HTTP/1.1 200 OK\r\n") && rest.len() < whole, "{} of {whole} bytes", rest.len());
    println!("over HTTP/1.1: {} of {whole} bytes", rest.len());
    Ok(())
}

#[tokio::test]
async fn a_list_that_is_read_in_time_comes_whole_however_slowly_it_begins() -> Result<()> {
    let spec = FleetSpec { nodes: 2, pods_per_node: 1000, ..FleetSpec::default() };
    let cluster = Cluster::start(spec, &["--request-timeout=20s"]).await?;
    cluster.wait_for_usage().await?;
    let admin = cluster.api.certs().user("admin", &[MASTERS]);
    let pods = format!("{}/pods", VERSIONS[0]);
    let request = http::Request::get(&pods).body(Body::empty())?;
    let response = cluster.gateway.client(Some(&admin)).send(request).await?;
    // Another whole answer is fetched before this one is read on.
    let other = cluster.get(&pods).await?;
    let body = response.into_body().collect().await?.to_bytes();
    assert_eq!(body.len(), other.body.len());
    Ok(())
}
