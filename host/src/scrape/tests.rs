use std::convert::Infallible;
use std::net::SocketAddr;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::kubelet::{ClientOptions, Credentials, TlsCredentials};
use super::*;
use crate::model::{Labels, NodeName};

fn candidate(host: &str) -> Candidate {
    Candidate { host: host.into(), port: 10250, path: None, server_name: None }
}

#[test]
fn an_annotated_path_can_name_no_query_and_no_host() {
    assert_eq!(escaped("/metrics/nodes/a/metrics/resource"), "/metrics/nodes/a/metrics/resource");
    assert_eq!(escaped("metrics"), "/metrics");
    assert_eq!(escaped("/a?b=c#d"), "/a%3Fb=c%23d");
    assert_eq!(escaped("/a\r\nX-Evil: 1"), "/a%0D%0AX-Evil:%201");
}

#[test]
fn ipv6_addresses_are_bracketed() {
    assert_eq!(kubelet::authority(&candidate("fd00::1")), "[fd00::1]:10250");
    assert_eq!(kubelet::authority(&candidate("10.0.0.1")), "10.0.0.1:10250");
    assert_eq!(kubelet::authority(&candidate("node1")), "node1:10250");
}

#[test]
fn every_failure_has_a_reason_of_its_own_that_is_fit_for_a_label() {
    let io = || std::io::Error::from(std::io::ErrorKind::Other);
    let named = || ("n".to_owned(), "d".to_owned());
    let status =
        |code| ScrapeError::Status { status: http::StatusCode::from_u16(code).unwrap(), hint: "", said: "".into() };
    let (host, detail) = named();
    let errors = [
        ScrapeError::NoAddress(NoAddress::NoneMatched { wanted: vec!["InternalIP".to_owned()] }),
        ScrapeError::Dns { host: host.clone(), source: io() },
        ScrapeError::Connect { address: host.clone(), source: io() },
        ScrapeError::TlsName { host: host.clone(), expected: host.clone(), detail: detail.clone() },
        ScrapeError::TlsCa { host: host.clone(), detail: detail.clone() },
        ScrapeError::TlsExpired { host: host.clone(), detail: detail.clone() },
        ScrapeError::Tls { host, detail: detail.clone() },
        status(401),
        status(403),
        status(404),
        status(500),
        ScrapeError::Timeout { limit: Duration::from_secs(10) },
        ScrapeError::TooLarge { limit: 1 },
        ScrapeError::BrokenOff(detail.clone()),
        ScrapeError::Decode(DecodeError::NotText { lines: 1 }),
        ScrapeError::Credentials(detail),
    ];
    let reasons: std::collections::BTreeSet<_> = errors.iter().map(ScrapeError::reason).collect();
    assert_eq!(reasons.len(), errors.len());
    let is_fit = |reason: &&str| reason.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    assert!(reasons.iter().all(is_fit), "{reasons:?}");
}

#[test]
fn a_certificate_for_another_name_is_told_with_the_address_that_was_dialled_and_the_name_that_was_expected() {
    let error = |expected: &str| {
        let (host, detail) = ("10.0.0.7".to_owned(), "it is for node-8".to_owned());
        ScrapeError::TlsName { host, expected: expected.to_owned(), detail }.to_string()
    };
    assert_eq!(error("node-7"), r#"the certificate of "10.0.0.7" does not name "node-7": it is for node-8"#);
    assert_eq!(error("10.0.0.7"), r#"the certificate of "10.0.0.7" does not name it: it is for node-8"#);
}

/// A kubelet over TLS whose certificate is for these names; it says 404 to everything.
struct Kubelet {
    address: SocketAddr,
    certificate: CertificateDer<'static>,
    /// What was asked for, with the name that the client sent.
    asked: mpsc::UnboundedReceiver<(Option<String>, String)>,
    _task: JoinSet<()>,
}

impl Kubelet {
    async fn start(names: &[&str]) -> Self {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let certificate = made.cert.der().clone();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, asked) = mpsc::unbounded_channel();
        let mut task = JoinSet::new();
        task.spawn(async move {
            loop {
                let (connection, _) = listener.accept().await.unwrap();
                // Who does not like the certificate has come to find that out.
                let Ok(stream) = acceptor.accept(connection).await else { continue };
                let name = stream.get_ref().1.server_name().map(str::to_owned);
                let service = service_fn(|request: Request<Incoming>| {
                    let _ = tell.send((name.clone(), request.uri().to_string()));
                    async { Ok::<_, Infallible>(Response::builder().status(404).body(String::new()).unwrap()) }
                });
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            }
        });
        Self { address, certificate, asked, _task: task }
    }

    /// Asks the kubelet at this candidate once; the kubelet's annotation, and the name that is expected of all kubelets.
    async fn ask(&self, candidate: Candidate, annotation: Option<&str>, of_all: Option<&str>) -> ScrapeError {
        let options = ClientOptions {
            timeout: Duration::from_secs(30),
            max_body: 1 << 20,
            gzip: false,
            user_agent: http::HeaderValue::from_static("test"),
        };
        let credentials = Credentials::Tls(TlsCredentials {
            authorities: Some(vec![self.certificate.clone()]),
            client_pair: None,
            token: None,
            server_name: of_all.map(str::to_owned),
        });
        let node = Arc::new(Node {
            name: NodeName::new("n"),
            labels: Arc::default(),
            annotations: Labels::default(),
            provider_id: None,
            resource_metrics_path: annotation.map(Into::into),
            addresses: Box::default(),
            kubelet_port: None,
            ready: true,
        });
        let client = Arc::new(KubeletClient::try_new(options, credentials).unwrap());
        let mut scraper = NodeScraper::new(client, Arc::clone(&node));
        scraper.update(node, Ok(vec![candidate]));
        scraper.scrape().await.expect_err("it says 404 to everything")
    }

    fn candidate(&self, server_name: Option<&str>) -> Candidate {
        let (port, server_name) = (self.address.port(), server_name.map(Into::into));
        Candidate { host: "127.0.0.1".into(), port, path: None, server_name }
    }

    fn asked(&mut self) -> Vec<(Option<String>, String)> {
        std::iter::from_fn(|| self.asked.try_recv().ok()).collect()
    }
}

#[tokio::test]
async fn an_address_is_dialled_and_the_name_that_the_candidate_expects_is_verified_and_sent() {
    let mut kubelet = Kubelet::start(&["node-7.example"]).await;
    let error = kubelet.ask(kubelet.candidate(None), None, None).await;
    assert_eq!(error.reason(), "tls-name", "{error}");
    let error = kubelet.ask(kubelet.candidate(Some("node-8.example")), None, None).await;
    assert!(error.to_string().contains(r#""127.0.0.1" does not name "node-8.example""#), "{error}");
    assert_eq!(kubelet.asked(), []);
    for of_all in [None, Some("another.example")] {
        let error = kubelet.ask(kubelet.candidate(Some("node-7.example")), None, of_all).await;
        assert_eq!(error.reason(), "404", "{error}");
        assert!(kubelet.asked().iter().all(|(name, _)| name.as_deref() == Some("node-7.example")));
    }
    assert_eq!(kubelet.ask(kubelet.candidate(None), None, Some("node-7.example")).await.reason(), "404");
}

#[tokio::test]
async fn the_name_that_is_expected_may_be_an_address() {
    let mut kubelet = Kubelet::start(&["10.1.2.3"]).await;
    assert_eq!(kubelet.ask(kubelet.candidate(None), None, None).await.reason(), "tls-name");
    assert_eq!(kubelet.ask(kubelet.candidate(Some("10.1.2.3")), None, None).await.reason(), "404");
    assert!(kubelet.asked().iter().all(|(name, _)| name.is_none()), "addresses are not sent");
    let error = kubelet.ask(kubelet.candidate(Some("no name")), None, None).await;
    assert_eq!(error.reason(), "dns", "{error}");
}

#[tokio::test]
async fn a_path_that_somebody_names_is_asked_for_and_nothing_instead_of_it() {
    let mut kubelet = Kubelet::start(&["127.0.0.1"]).await;
    let candidate =
        |kubelet: &Kubelet, path: Option<&str>| Candidate { path: path.map(Into::into), ..kubelet.candidate(None) };
    let mut paths = async |path, annotation| {
        let error = kubelet.ask(candidate(&kubelet, path), annotation, None).await;
        assert_eq!(error.reason(), "404", "{error}");
        kubelet.asked().into_iter().map(|(_, path)| path).collect::<Vec<_>>()
    };
    assert_eq!(paths(None, None).await, ["/metrics/resource", "/stats/summary?only_cpu_and_memory=true"]);
    assert_eq!(paths(None, Some("/annotated")).await, ["/annotated"]);
    assert_eq!(paths(Some("/of/the/policy?x"), Some("/annotated")).await, ["/of/the/policy%3Fx"]);
}
