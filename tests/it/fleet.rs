//! The simulated kubelets answer as real ones do, count what can be computed by hand, and fail as they are told.

use std::collections::BTreeMap;
use std::io::BufRead as _;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use harness::certs::{Certs, Pair};
use harness::directory::Directory;
use harness::fleet::{BROKEN_LINES, Credentials, Fault, Fleet, FleetSpec, Load, Transport};
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, HOST, LOCATION};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use metrics_gateway::model::units::UnixNanos;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// From the captures of a kubelet 1.20.2 (2026-11-20): families in order, each with a line of it.
const CAPTURED: [(&str, &str, &str); 7] = [
    (
        "container_cpu_usage_seconds_total",
        "counter",
        r#"container_cpu_usage_seconds_total{container="burn",namespace="default",pod="busy"} 0.835471697 1795212472677"#,
    ),
    (
        "container_memory_working_set_bytes",
        "gauge",
        r#"container_memory_working_set_bytes{container="burn",namespace="default",pod="busy"} 3.3910784e+07 1795212472677"#,
    ),
    ("node_cpu_usage_seconds_total", "counter", "node_cpu_usage_seconds_total 7126.980103927 1795212484429"),
    ("node_memory_working_set_bytes", "gauge", "node_memory_working_set_bytes 1.602637824e+09 1795212484429"),
    (
        "pod_cpu_usage_seconds_total",
        "counter",
        r#"pod_cpu_usage_seconds_total{namespace="default",pod="busy"} 1.063480973 1795212476927"#,
    ),
    (
        "pod_memory_working_set_bytes",
        "gauge",
        r#"pod_memory_working_set_bytes{namespace="default",pod="busy"} 3.4357248e+07 1795212476927"#,
    ),
    ("scrape_error", "gauge", "scrape_error 0"),
];

#[tokio::test]
async fn the_text_has_the_families_labels_and_forms_of_a_captured_one() {
    let (fleet, _) = fleet(FleetSpec { start_time: false, ..FleetSpec::default() }).await;
    let text = text_at(&fleet, 0);
    let heads: Vec<String> =
        text.lines().filter(|line| line.starts_with("# TYPE")).map(|line| line.replace("# TYPE ", "")).collect();
    let expected: Vec<String> = CAPTURED.iter().map(|(family, kind, _)| format!("{family} {kind}")).collect();
    assert_eq!(heads, expected, "{text}");
    for (family, _, captured) in CAPTURED {
        let line = text.lines().find(|line| line.starts_with(family)).expect(family);
        assert_eq!(shape(line), shape(captured), "{line} | {captured}");
    }
    let containers: Vec<&str> = text.lines().filter(|line| line.starts_with("container_cpu")).collect();
    assert!(containers.is_sorted() && containers.len() == 8, "{containers:#?}");
}

/// A line without what differs from one pod or moment to another.
fn shape(line: &str) -> String {
    let mut quoted = false;
    let kept = line.chars().filter(|c| {
        quoted ^= *c == '"';
        !quoted && !c.is_ascii_digit()
    });
    kept.collect()
}

#[tokio::test]
async fn newer_kubelets_print_start_times_without_timestamps() {
    let (fleet, _) = fleet(FleetSpec::default()).await;
    let text = text_at(&fleet, 0);
    let starts: Vec<&str> = text.lines().filter(|line| line.starts_with("container_start_time_seconds{")).collect();
    assert_eq!(starts.len(), 8, "{text}");
    for line in starts {
        let (_, value) = line.split_once("} ").expect("labels end");
        let seconds: f64 = value.parse().expect("a float and nothing behind it");
        assert!(value.contains("e+09") && seconds > 1.7e9, "{line}");
    }
}

#[tokio::test]
async fn usage_between_two_answers_is_what_the_load_says() {
    let steady = Load::Steady { millicores: 250, memory: 34_381_824 };
    for load in [steady, Load::Waves] {
        let spec = FleetSpec { load, age: Duration::from_secs(990), ..FleetSpec::default() };
        let (fleet, _) = fleet(spec).await;
        let start = 1_900_000_000;
        // Long enough for counters to grow by a digit, which makes the text be rendered anew.
        for seconds in [15, 100, 100_000] {
            let (first, second) = (samples(&fleet, start), samples(&fleet, start + seconds));
            assert_eq!(first.len(), 9);
            for (name, (cpu, _, from)) in &first {
                let (later, memory, to) = &second[name];
                let expected = expected(&fleet, name, *from, *to);
                let window = (to - from) as f64 / 1e9;
                let nanocores = (later - cpu) / window * 1e9;
                assert!((nanocores - expected.0).abs() < 5.0, "{name} {load:?}: {nanocores} is not {expected:?}");
                assert!((memory - expected.1).abs() < 0.5, "{name} {load:?}: {memory} is not {expected:?}");
                if load == steady && !name.is_empty() {
                    assert_eq!(expected, (250e6, 34_381_824.0));
                }
            }
        }
    }
}

fn expected(fleet: &Fleet, name: &str, from: u64, to: u64) -> (f64, f64) {
    let (from, to) = (UnixNanos(from), UnixNanos(to));
    let usage = match name.split_once('/') {
        None => fleet.expected_node_usage(0, from, to),
        Some((pod, container)) => {
            let pod = fleet.nodes()[0].pods.iter().find(|candidate| candidate.name == pod).expect(pod);
            fleet.expected_usage(pod, container, from, to)
        }
    };
    (usage.cpu.0 as f64, usage.memory.0 as f64)
}

/// By `pod/container` (the node: empty): core-seconds, bytes, time in nanoseconds.
fn samples(fleet: &Fleet, second: u64) -> BTreeMap<String, (f64, f64, u64)> {
    let text = fleet.metrics_text(0, UnixNanos(second * 1_000_000_000));
    let text = std::str::from_utf8(&text).expect("text");
    let mut samples = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("container_cpu") || line.starts_with("node_cpu")) {
        let memory = line.replace("cpu_usage_seconds_total", "memory_working_set_bytes");
        let subject = memory.rsplitn(3, ' ').last().expect("three fields");
        let memory = text.lines().find(|line| line.starts_with(subject)).expect("every subject has memory");
        let ((cpu, time), (memory, memory_time)) = (figures(line), figures(memory));
        assert_eq!(time, memory_time);
        samples.insert(name(subject), (cpu, memory, time));
    }
    samples
}

fn figures(line: &str) -> (f64, u64) {
    let mut fields = line.rsplit(' ');
    let millis: u64 = fields.next().and_then(|field| field.parse().ok()).expect("milliseconds");
    (fields.next().and_then(|field| field.parse().ok()).expect("a float"), millis * 1_000_000)
}

fn name(subject: &str) -> String {
    let label = |key: &str| subject.split_once(&format!("{key}=\"")).and_then(|(_, rest)| rest.split('"').next());
    match (label("pod"), label("container")) {
        (Some(pod), Some(container)) => format!("{pod}/{container}"),
        _ => String::new(),
    }
}

#[tokio::test]
async fn an_answer_repeats_itself_within_the_housekeeping_interval() {
    let (fleet, _) = fleet(FleetSpec { sample_interval: Duration::from_secs(10), ..FleetSpec::default() }).await;
    let (first, second) = (samples(&fleet, 1_900_000_000), samples(&fleet, 1_900_000_004));
    let repeated = first.iter().filter(|(name, sample)| second[*name] == **sample).count();
    assert!(repeated > 0 && repeated < first.len(), "{repeated} of {}: {first:?}", first.len());
    for (_, _, time) in first.values() {
        let age = 1_900_000_000_000_000_000 - time;
        assert!(age < 10_000_000_000, "a sample is {age} ns old");
    }
}

#[tokio::test]
async fn no_two_pods_share_a_name_and_namespaces_share_the_pods() {
    let namespaces: Vec<String> = (0..50).map(|index| format!("team-{index}")).collect();
    let spec = FleetSpec { nodes: 1000, pods_per_node: 30, namespaces, ..FleetSpec::default() };
    let addresses = vec![SocketAddr::from(([127, 0, 0, 1], 1)); 1000];
    let fleet = Fleet::elsewhere(&spec, addresses);
    let mut names: Vec<&str> = fleet.nodes().iter().flat_map(|node| &node.pods).map(|pod| &*pod.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 30_000);
    let of_one = fleet.nodes().iter().flat_map(|node| &node.pods).filter(|pod| pod.namespace == "team-7").count();
    assert_eq!(of_one, 600);
}

#[tokio::test]
async fn a_request_without_credentials_is_refused_and_recorded() {
    let spec = FleetSpec { nodes: 1, credentials: Credentials::Token("right".to_owned()), ..FleetSpec::default() };
    let (fleet, certs) = fleet(spec).await;
    let ask = Ask { certs: &certs, token: None, pair: None, gzip: false, plain: false };
    assert_eq!(ask.status(&fleet).await, StatusCode::UNAUTHORIZED);
    assert_eq!(Ask { token: Some("wrong"), ..ask }.status(&fleet).await, StatusCode::UNAUTHORIZED);
    assert_eq!(Ask { token: Some("right"), ..ask }.status(&fleet).await, StatusCode::OK);
    let pair = certs.user("scraper", &[]);
    assert_eq!(Ask { pair: Some(&pair), ..ask }.status(&fleet).await, StatusCode::OK);
    let foreign = certs.foreign.client("scraper", &[]);
    Ask { pair: Some(&foreign), ..ask }.get(&fleet, PATH).await.expect_err("a foreign certificate opens nothing");

    let requests = fleet.requests(0);
    assert_eq!((requests.len(), fleet.request_count(0)), (4, 4), "{requests:?}");
    assert_eq!(requests[2].headers[AUTHORIZATION], "Bearer right");
    assert!(requests[3].client_certificate && !requests[3].headers.contains_key(AUTHORIZATION));
    assert!(requests.iter().all(|request| request.path == PATH && request.method == "GET"));
}

#[tokio::test]
async fn plain_http_and_gzip_are_spoken_when_the_spec_says_so() {
    let spec = FleetSpec { transport: Transport::Plain, gzip: true, nodes: 1, ..FleetSpec::default() };
    let (fleet, certs) = fleet(spec).await;
    let ask = Ask { certs: &certs, token: Some("any"), pair: None, gzip: true, plain: true };
    let (head, body) = ask.get(&fleet, PATH).await.expect("an answer");
    assert_eq!(head.headers()[CONTENT_ENCODING], "gzip");
    assert!(unpack(&body).starts_with(b"# HELP container_cpu"), "{body:?}");
}

#[tokio::test]
async fn the_summary_tells_the_same_figures_in_json() {
    let load = Load::Steady { millicores: 250, memory: 34_381_824 };
    let (fleet, certs) = fleet(FleetSpec { load, ..FleetSpec::default() }).await;
    let (_, body) = Ask::of(&certs).get(&fleet, "/stats/summary?only_cpu_and_memory=true").await.expect("an answer");
    let summary: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(summary["node"]["nodeName"], "node-0000");
    assert_eq!(summary["pods"].as_array().map(Vec::len), Some(4), "{summary:#}");
    let container = &summary["pods"][0]["containers"][0];
    assert_eq!(container["name"], "app");
    assert_eq!(container["memory"]["workingSetBytes"], 34_381_824);
    assert!(container["cpu"]["usageCoreNanoSeconds"].as_u64() >= Some(250_000_000 * 3600), "{container:#}");
    let time = container["cpu"]["time"].as_str().expect("a time");
    assert!(time.len() == 20 && time.ends_with('Z'), "{time}");
}

#[tokio::test]
async fn faults_of_answers_do_what_their_names_say() {
    let (fleet, certs) = fleet(FleetSpec::default()).await;
    let ask = Ask::of(&certs);
    let good = ask.text(&fleet).await;

    for code in [401, 403, 404, 500] {
        fleet.set_fault(0, Some(Fault::Status(code)));
        assert_eq!(ask.status(&fleet).await.as_u16(), code);
    }
    fleet.set_fault(0, Some(Fault::NotFoundOnlyResource));
    assert_eq!(ask.status(&fleet).await, StatusCode::NOT_FOUND);
    assert_eq!(ask.get(&fleet, "/stats/summary").await.expect("an answer").0.status(), StatusCode::OK);

    fleet.set_fault(0, Some(Fault::Redirect("https://127.0.0.1:1/elsewhere".to_owned())));
    let (head, _) = ask.get(&fleet, PATH).await.expect("an answer");
    assert_eq!(
        (head.status(), &head.headers()[LOCATION]),
        (StatusCode::FOUND, &"https://127.0.0.1:1/elsewhere".parse().unwrap())
    );

    fleet.set_fault(0, Some(Fault::Body(b"mine 1\n".to_vec())));
    assert_eq!(ask.text(&fleet).await, "mine 1\n");

    fleet.set_fault(0, Some(Fault::Garbage));
    let (_, body) = ask.get(&fleet, PATH).await.expect("an answer");
    assert!(body.len() == 64 << 10 && std::str::from_utf8(&body).is_err());

    fleet.set_fault(0, Some(Fault::BadLines));
    let (_, body) = ask.get(&fleet, PATH).await.expect("an answer");
    let lines: Vec<&[u8]> = body.split(|byte| *byte == b'\n').collect();
    assert_eq!(lines.iter().filter(|line| BROKEN_LINES.contains(line)).count(), 8 * BROKEN_LINES.len());
    assert_eq!(lines.len() - 8 * BROKEN_LINES.len(), good.split('\n').count(), "all good lines stay");

    fleet.set_fault(0, Some(Fault::GzipBomb(1 << 24)));
    let (head, body) = ask.get(&fleet, PATH).await.expect("an answer");
    assert!(head.headers()[CONTENT_ENCODING] == "gzip" && body.len() < 1 << 17, "{} bytes", body.len());
    assert_eq!(unpack(&body).len(), 1 << 24);

    fleet.set_fault(0, None);
    assert_eq!(shape(&ask.text(&fleet).await), shape(&good));
}

#[tokio::test]
async fn faults_of_time_and_length_do_what_their_names_say() {
    let (fleet, certs) = fleet(FleetSpec::default()).await;
    let ask = Ask::of(&certs);

    fleet.set_fault(0, Some(Fault::CutOff));
    let answer = ask.send(&fleet, 0, PATH).await.expect("the head comes").1;
    let length: u64 = answer.headers()["content-length"].to_str().unwrap().parse().unwrap();
    let (received, end) = drain(answer, u64::MAX).await;
    assert_eq!(received, length / 2);
    end.expect_err("the body breaks off");

    fleet.set_fault(0, Some(Fault::Endless));
    let (connection, answer) = ask.send(&fleet, 0, PATH).await.expect("the head comes");
    let (received, end) = drain(answer, 10 << 20).await;
    assert!(received >= 10 << 20 && end.is_ok(), "{received}");
    drop(connection);

    fleet.set_fault(0, Some(Fault::Slow(Duration::from_millis(30))));
    let before = std::time::Instant::now();
    assert_eq!(ask.status(&fleet).await, StatusCode::OK);
    assert!(before.elapsed() >= Duration::from_millis(30));

    fleet.set_fault(0, Some(Fault::Hang));
    let hanging = ask.get(&fleet, PATH);
    tokio::time::timeout(Duration::from_millis(100), hanging).await.expect_err("no answer comes");
    assert_eq!(ask.status_of(&fleet, 1).await, StatusCode::OK, "the other nodes are well");
}

#[tokio::test]
async fn faults_of_certificates_fail_the_handshake_and_end_old_connections() {
    let (fleet, certs) = fleet(FleetSpec::default()).await;
    let ask = Ask::of(&certs);
    let faults =
        [(Fault::WrongName, "not valid for name"), (Fault::Expired, "expired"), (Fault::ForeignCa, "UnknownIssuer")];
    for (fault, reason) in faults {
        let (mut connection, answer) = ask.send(&fleet, 0, PATH).await.expect("a healthy node answers");
        drain(answer, u64::MAX).await.1.expect("the whole body");
        fleet.set_fault(0, Some(fault));
        connection.join_next().await.expect("there was a connection").expect("it ended by itself");
        let error = ask.get(&fleet, PATH).await.expect_err("the handshake fails");
        assert!(format!("{error:?}").contains(reason), "{error:?}");
        fleet.set_fault(0, None);
    }
}

#[tokio::test]
async fn a_refusing_node_refuses_at_once_and_returns_on_its_port() {
    let (fleet, certs) = fleet(FleetSpec::default()).await;
    let ask = Ask::of(&certs);
    for _ in 0..3 {
        fleet.set_fault(0, Some(Fault::Refused));
        let error = TcpStream::connect(fleet.nodes()[0].address).await.expect_err("nobody listens");
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
        fleet.set_fault(0, None);
        let again = async {
            while ask.get(&fleet, PATH).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), again).await.expect("the node listens again");
    }
}

#[test]
fn a_fleet_of_its_own_process_says_where_its_nodes_are_and_ends_with_its_input() {
    let directory = Directory::new("fleet-process").expect("a directory");
    let mut process = Command::new(env!("CARGO_BIN_EXE_fleet"))
        .args(["--nodes", "3", "--pods", "2", "--containers", "1", "--certs"])
        .arg(directory.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut lines = std::io::BufReader::new(process.stdout.take().expect("piped")).lines().map_while(Result::ok);
    let nodes: Vec<String> = lines.by_ref().take_while(|line| line != "ready").collect();
    assert_eq!(nodes.len(), 3, "{nodes:?}");
    for (index, node) in nodes.iter().enumerate() {
        let node: serde_json::Value = serde_json::from_str(node).expect("a JSON line");
        assert_eq!(node["name"], format!("node-{index:04}"));
        let address: SocketAddr = node["address"].as_str().expect("text").parse().expect("an address");
        std::net::TcpStream::connect(address).expect("it listens before it says so");
    }
    let ca = std::fs::read_to_string(directory.file("kubelet-ca.crt")).expect("the CA is there before the first line");
    assert!(ca.starts_with("-----BEGIN CERTIFICATE-----"), "{ca}");
    drop(process.stdin.take());
    assert!(process.wait().expect("it ends").success());
    assert_eq!(lines.next(), None);
}

const PATH: &str = "/metrics/resource";

async fn fleet(spec: FleetSpec) -> (Fleet, Certs) {
    let certs = Certs::generate();
    (Fleet::start(spec, &certs).await, certs)
}

fn text_at(fleet: &Fleet, node: usize) -> String {
    let text = fleet.metrics_text(node, UnixNanos(1_900_000_000_000_000_000));
    String::from_utf8(text.to_vec()).expect("text")
}

fn unpack(packed: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    std::io::copy(&mut flate2::read::GzDecoder::new(packed), &mut out).expect("gzip");
    out
}

/// Reads the body until it ends or `limit` bytes have come.
async fn drain(response: Response<Incoming>, limit: u64) -> (u64, Result<(), hyper::Error>) {
    let mut body = response.into_body();
    let mut received = 0;
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => received += frame.data_ref().map_or(0, Bytes::len) as u64,
            Err(error) => return (received, Err(error)),
        }
        if received >= limit {
            break;
        }
    }
    (received, Ok(()))
}

/// How a kubelet is asked.
#[derive(Clone, Copy)]
struct Ask<'a> {
    certs: &'a Certs,
    token: Option<&'a str>,
    pair: Option<&'a Pair>,
    gzip: bool,
    plain: bool,
}

impl<'a> Ask<'a> {
    fn of(certs: &'a Certs) -> Self {
        Self { certs, token: Some("any"), pair: None, gzip: false, plain: false }
    }

    async fn status(&self, fleet: &Fleet) -> StatusCode {
        self.status_of(fleet, 0).await
    }

    async fn status_of(&self, fleet: &Fleet, node: usize) -> StatusCode {
        self.send(fleet, node, PATH).await.expect("an answer").1.status()
    }

    async fn text(&self, fleet: &Fleet) -> String {
        let (head, body) = self.get(fleet, PATH).await.expect("an answer");
        assert_eq!(head.status(), StatusCode::OK);
        String::from_utf8(body.to_vec()).expect("text")
    }

    async fn get(&self, fleet: &Fleet, path: &str) -> Result<(Response<()>, Bytes)> {
        let (_connection, response) = self.send(fleet, 0, path).await?;
        let (head, body) = response.into_parts();
        Ok((Response::from_parts(head, ()), body.collect().await?.to_bytes()))
    }

    /// On a connection of its own, which ends when the set is dropped.
    async fn send(&self, fleet: &Fleet, node: usize, path: &str) -> Result<(JoinSet<()>, Response<Incoming>)> {
        let address = fleet.nodes()[node].address;
        let stream = TcpStream::connect(address).await.context("no connection")?;
        let mut connection = JoinSet::new();
        let mut sender = if self.plain {
            let (sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
            connection.spawn(async move { driver.await.unwrap_or(()) });
            sender
        } else {
            let stream = self.tls().connect(ServerName::IpAddress(address.ip().into()), stream).await?;
            let (sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
            connection.spawn(async move { driver.await.unwrap_or(()) });
            sender
        };
        let mut request = Request::builder().uri(path).header(HOST, address.to_string());
        if let Some(token) = self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        if self.gzip {
            request = request.header(ACCEPT_ENCODING, "gzip");
        }
        Ok((connection, sender.send_request(request.body(Empty::<Bytes>::new())?).await?))
    }

    fn tls(&self) -> tokio_rustls::TlsConnector {
        let builder = rustls::ClientConfig::builder().with_root_certificates(self.certs.cluster.roots());
        let config = match self.pair {
            Some(pair) => {
                builder.with_client_auth_cert(pair.chain(), pair.key()).expect("a pair that belongs together")
            }
            None => builder.with_no_client_auth(),
        };
        std::sync::Arc::new(config).into()
    }
}
