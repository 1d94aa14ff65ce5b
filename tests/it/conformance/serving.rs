//! The server: probes, audit ids, HTTP/2, TLS, rotation, the end.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use harness::api_server::{Resource, ReviewFault};
use harness::certs::{Authority, FRONT_PROXY_CLIENT, GATEWAY_HOST, Pair};
use harness::client::Client;
use harness::eventually::eventually;
use harness::frames::{ACK, END_STREAM, Frames, kind};
use harness::gateway::Signal;
use http::Version;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::world::{B, PATIENCE, World, shared, status_of};

/// Row 76.
#[tokio::test]
async fn readiness_names_its_checks_when_asked() {
    let verbose = shared().ask("/readyz?verbose", &[]).await;
    let text = verbose.text();
    assert_eq!(verbose.status, 200);
    assert!(text.starts_with("[+]ping ok\n") && text.ends_with("readyz check passed\n"), "{text}");
    let excluding = shared().ask("/readyz?verbose&exclude=nosuch", &[]).await;
    let warning = "warn: some health checks cannot be excluded: no matches for \"nosuch\"\n";
    assert!(excluding.status == 200 && excluding.text().contains(warning), "{}", excluding.text());
}

/// Row 77.
#[tokio::test]
async fn without_metrics_the_gateway_is_not_ready() {
    let world = World::bare(&[]).await;
    let answer = world.ask("/readyz", &[]).await;
    assert_eq!(answer.status, 500);
    assert!(answer.text().contains("[-]metric-storage-ready failed: reason withheld\n"), "{}", answer.text());
}

/// Row 82.
#[tokio::test]
async fn an_audit_id_is_kept_or_made() {
    let kept = shared().ask(B, &[("audit-id", "my-aid")]).await;
    assert_eq!(kept.header("audit-id"), Some("my-aid"));
    let made = shared().ask(B, &[]).await;
    let id = made.header("audit-id").expect("an id");
    let lengths: Vec<usize> = id.split('-').map(str::len).collect();
    assert_eq!(lengths, [8, 4, 4, 4, 12], "{id} is no UUID");
}

/// Row 83.
#[tokio::test]
async fn http2_ends_after_an_anonymous_request_and_goes_on_for_those_who_are_known() {
    let world = shared();
    let mut anonymous = Frames::begin(world.client(None).stream().await.expect("TLS")).await.expect("a connection");
    anonymous.put_get(1, GATEWAY_HOST, "/healthz", &[]);
    anonymous.flush().await.expect("it is still open");
    let frames = timeout(PATIENCE, anonymous.rest()).await.expect("the connection ends");
    let goaway = frames.iter().find(|frame| frame.kind == kind::GOAWAY).expect("a GOAWAY");
    assert_eq!(goaway.error_code(), 0, "it is no error");
    let answered = frames.iter().any(|frame| frame.stream == 1 && frame.kind == kind::HEADERS);
    let ended = frames.iter().any(|frame| frame.stream == 1 && frame.flags & END_STREAM != 0);
    assert!(answered && ended, "{frames:?}");

    let known = world.client(Some(&world.admin())).stream().await.expect("TLS");
    let mut known = Frames::begin(known).await.expect("a connection");
    for stream in [1, 3] {
        known.put_get(stream, GATEWAY_HOST, "/healthz", &[]);
        known.flush().await.expect("it stays open");
        loop {
            let frame = timeout(PATIENCE, known.next()).await.expect("an answer").expect("the connection stays");
            assert_ne!(frame.kind, kind::GOAWAY);
            if frame.stream == stream && frame.flags & END_STREAM != 0 {
                break;
            }
        }
    }
}

/// Row 85.
#[tokio::test]
async fn a_ping_is_answered_within_a_second() {
    let world = shared();
    let stream = world.client(Some(&world.admin())).stream().await.expect("TLS");
    let mut frames = Frames::begin(stream).await.expect("a connection");
    let begin = Instant::now();
    frames.put(kind::PING, 0, 0, b"12345678");
    frames.flush().await.expect("it is open");
    let answer = async {
        loop {
            let frame = frames.next().await.expect("the connection stays");
            if frame.kind == kind::PING {
                return frame;
            }
        }
    };
    let answer = timeout(PATIENCE, answer).await.expect("an answer");
    assert_eq!((answer.flags, &*answer.payload), (ACK, &b"12345678"[..]));
    assert!(begin.elapsed() < Duration::from_secs(1), "it took {:?}", begin.elapsed());
}

/// Row 86.
#[tokio::test]
async fn old_tls_and_plain_http_are_turned_away_and_no_alpn_is_http1() {
    /// A record of TLS 1.0 that holds a ClientHello of TLS 1.1: 32 random bytes, no session, two suites, no compression.
    const HELLO: [&[u8]; 4] =
        [&[22, 3, 1, 0, 47, 1, 0, 0, 43, 3, 2], &[7; 32], &[0, 0, 4, 0xc0, 0x13, 0, 0x2f], &[1, 0]];
    let world = shared();
    let said = async |bytes: &[u8]| {
        let mut stream = TcpStream::connect(world.gateway.address()).await.expect("it listens");
        stream.write_all(bytes).await.expect("it reads");
        let mut answer = Vec::new();
        // The end may be a reset: we were not heard out.
        let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("it closes");
        answer
    };
    let alert = said(&HELLO.concat()).await;
    // An alert, and a fatal one; rustls misses the extensions of newer versions before it looks at the version.
    assert_eq!((alert[0], alert[5]), (21, 2), "{alert:?}");
    let plain = said(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let plain = String::from_utf8_lossy(&plain);
    assert!(plain.starts_with("HTTP/1.0 400 Bad Request\r\n"), "{plain}");
    assert!(plain.contains("Client sent an HTTP request to an HTTPS server."), "{plain}");

    let roots = world.certs().cluster.roots();
    let client = Client::with_protocols(world.gateway.address(), GATEWAY_HOST, roots, Some(&world.admin()), &[]);
    let answer = client.get(B, &[]).await.expect("an answer");
    assert_eq!((answer.status.as_u16(), answer.version), (200, Version::HTTP_11));
}

/// Row 88, with the pace of a busy machine.
#[tokio::test]
async fn a_new_front_proxy_ca_counts_at_once_and_a_broken_one_never() {
    let world = World::bare(&[]).await;
    let (old, new_ca) = (world.front_proxy(), Authority::generate("new-front-proxy-ca"));
    let new = new_ca.client(FRONT_PROXY_CLIENT, &[]);
    let ask = async |proxy: &Pair| world.get(Some(proxy), B, &[("x-remote-user", "carol")]).await;
    assert_eq!((ask(&old).await.status.as_u16(), ask(&new).await.status.as_u16()), (200, 401));

    let begin = Instant::now();
    world.api.change_front_proxy_config(&[("requestheader-client-ca-file", Some(new_ca.pem()))]);
    let accepted = eventually("the new proxy is believed", PATIENCE, async || {
        let answer = ask(&new).await;
        ensure!(answer.status == 200, "{}", answer.status);
        Ok(())
    });
    accepted.await.unwrap_or_else(|error| panic!("{error:#}"));
    println!("the new front-proxy CA counted after {:?}", begin.elapsed());
    status_of(&ask(&old).await, 401, "Unauthorized");

    world.api.objects().delete(Resource::ConfigMaps, "kube-system", "extension-apiserver-authentication");
    world
        .gateway
        .wait_for_log("the ConfigMap or its CA is gone", PATIENCE)
        .await
        .unwrap_or_else(|error| panic!("{error:#}"));
    assert_eq!(ask(&new).await.status, 200, "what was good stays");
    let broken = [("requestheader-client-ca-file", Some(new_ca.pem())), ("requestheader-allowed-names", Some("[oops"))];
    world.api.change_front_proxy_config(&broken);
    world
        .gateway
        .wait_for_log("requestheader-allowed-names", PATIENCE)
        .await
        .unwrap_or_else(|error| panic!("{error:#}"));
    assert_eq!(ask(&new).await.status, 200, "what was good stays");
}

/// Row 89.
#[tokio::test]
async fn after_sigterm_readiness_fails_first_and_what_has_begun_is_finished() -> Result<()> {
    let world = World::bare(&["--shutdown-delay-duration=4s"]).await;
    let nodes = format!("{B}/nodes");
    let begin = Instant::now();
    world.gateway.signal(Signal::Term)?;
    world.gateway.wait_for_log("shutting down", PATIENCE).await?;
    let ready = world.ask("/readyz", &[]).await;
    assert!(ready.status == 500 && ready.text().contains("[-]shutdown failed: reason withheld\n"), "{}", ready.text());
    assert_eq!(world.ask("/livez", &[]).await.status, 200);
    assert_eq!(world.ask(&nodes, &[]).await.status, 200);
    assert!(begin.elapsed() < Duration::from_secs(4), "too slow a machine to see the delay");

    // This one waits for its permission until long after the listener is closed.
    world.api.access().set_fault(ReviewFault { delay: Duration::from_secs(6), ..ReviewFault::default() });
    let in_flight = world.ask_for("late", &nodes, &[]);
    let refused = eventually("new connections are refused", PATIENCE, async || {
        ensure!(TcpStream::connect(world.gateway.address()).await.is_err(), "still accepted");
        Ok(())
    });
    let (answer, refused) = tokio::join!(in_flight, refused);
    refused?;
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    let status = world.gateway.wait(PATIENCE).await?;
    assert!(status.success(), "{status}");
    Ok(())
}
