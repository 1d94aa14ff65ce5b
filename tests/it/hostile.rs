//! Clients that mean no good: heads that two readers would understand differently, heads that are never finished, and
//! connections that only take up room. What they cost while others ask is `robustness`'s to measure.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures_util::future::{join_all, try_join_all};
use harness::api_server::{ApiServer, MASTERS};
use harness::certs::{Certs, GATEWAY_HOST};
use harness::client::Client;
use harness::cluster::VERSIONS;
use harness::directory::Directory;
use harness::frames::{END_HEADERS, END_STREAM, Frames, kind, literal};
use harness::gateway::Gateway;
use http::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::client::TlsStream;

const PATIENCE: Duration = Duration::from_secs(60);
const MIB: u64 = 1 << 20;

async fn start(args: &[&str]) -> Result<(ApiServer, Gateway)> {
    let api = ApiServer::start(Arc::new(Certs::generate())).await?;
    let gateway = Gateway::start(&api, args)?;
    gateway.wait_for_log("serving address=", PATIENCE).await?;
    Ok((api, gateway))
}

/// A connection of an administrator, spoken to byte by byte.
async fn connect(api: &ApiServer, gateway: &Gateway) -> Result<TlsStream<TcpStream>> {
    let (roots, admin) = (api.certs().cluster.roots(), api.certs().user("admin", &[MASTERS]));
    Client::with_protocols(gateway.address(), GATEWAY_HOST, roots, Some(&admin), &["http/1.1"]).stream().await
}

/// Everything that is said in answer to `bytes` until the connection ends, or nothing more comes for a second.
async fn said(api: &ApiServer, gateway: &Gateway, bytes: &[u8]) -> Result<(String, bool)> {
    let mut stream = connect(api, gateway).await?;
    // The other end may close before it has heard us out.
    let _ = stream.write_all(bytes).await;
    let (mut text, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let patience = if text.is_empty() { PATIENCE } else { Duration::from_secs(1) };
        match timeout(patience, stream.read(&mut piece)).await {
            Ok(Ok(length)) if length > 0 => text.extend_from_slice(&piece[..length]),
            Ok(_) => return Ok((String::from_utf8_lossy(&text).into_owned(), true)),
            Err(_) => return Ok((String::from_utf8_lossy(&text).into_owned(), false)),
        }
    }
}

#[tokio::test]
async fn heads_that_two_readers_could_understand_differently_get_400_and_the_end() -> Result<()> {
    let (api, gateway) = start(&[]).await?;
    let get = "GET /version HTTP/1.1\r\n";
    let bad = [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\nHost: a\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\nHost: a\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\nHost: a\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: identity\r\nHost: a\r\n\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\nHost: a\r\n\r\nhello",
        "Content-Length: +5\r\nHost: a\r\n\r\nhello",
        "Host: a\r\nHost: b\r\n\r\n",
        "Accept: */*\r\n\r\n",
        "Host: a\r\nX-Remote-User : root\r\n\r\n",
        "Host: a\r\n X-Remote-User: root\r\n\r\n",
        "Host: a\r\nX-Remote-User: ro\0ot\r\n\r\n",
        "Host: a\r\nX Y: z\r\n\r\n",
    ];
    for head in bad {
        let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
        let (text, ended) = said(&api, &gateway, format!("{get}{head}{smuggled}").as_bytes()).await?;
        assert!(text.starts_with("HTTP/1.1 400 Bad Request\r\n") && ended, "{head:?} is answered with {text:?}");
        assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{head:?}: what follows is not looked at: {text:?}");
    }
    for line in ["GET  /version HTTP/1.1", "GET /version HTTP/3.0", "G@T /version HTTP/1.1", "GET /ver sion HTTP/1.1"] {
        let (text, ended) = said(&api, &gateway, format!("{line}\r\nHost: a\r\n\r\n").as_bytes()).await?;
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 400 "), "{line:?} is answered with {text:?}");
        assert!(ended, "{line:?}");
    }
    Ok(())
}

#[tokio::test]
async fn unusual_heads_that_mean_one_thing_are_answered_as_upstream_answers_them() -> Result<()> {
    let (api, gateway) = start(&[]).await?;
    let cases = [
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\n"),
        ("GET https://elsewhere/version HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\n"),
        ("GET /version HTTP/1.0\r\n\r\n", "HTTP/1.0 200 OK\r\n"),
        ("\r\nGET /version HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\n"),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 404 Not Found\r\n"),
        ("GET /version HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 200 OK\r\n"),
        (
            "GET /nosuch HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
            "HTTP/1.1 404 Not Found\r\n",
        ),
    ];
    for (head, start) in cases {
        let (text, _) = said(&api, &gateway, head.as_bytes()).await?;
        assert!(text.starts_with(start), "{head:?} is answered with {text:?}");
    }
    let two = "GET /version HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2);
    let (text, ended) = said(&api, &gateway, two.as_bytes()).await?;
    assert_eq!((text.matches("HTTP/1.1 200 OK\r\n").count(), ended), (2, false), "one after the other: {text:?}");
    Ok(())
}

#[tokio::test]
async fn heads_that_are_too_large_get_431_and_long_questions_414() -> Result<()> {
    let (api, gateway) = start(&[]).await?;
    let line = |size: usize| format!("X-Filler: {}\r\n", "x".repeat(size));
    let get = "GET /version HTTP/1.1\r\nHost: a\r\n";
    let (text, _) = said(&api, &gateway, format!("{get}{}\r\n", line(900_000)).as_bytes()).await?;
    assert!(text.starts_with("HTTP/1.1 200 "), "as large as upstream takes them: {text:?}");
    let bombs = [line(2 << 20), line(100).repeat(20_000), "A: b\r\n".repeat(5000)];
    for bomb in bombs {
        let (text, ended) = said(&api, &gateway, format!("{get}{bomb}\r\n").as_bytes()).await?;
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 431 "), "{text:?}");
        assert!(ended);
    }
    let query = format!("GET /version?{} HTTP/1.1\r\nHost: a\r\n\r\n", "q".repeat(100_000));
    let (text, _) = said(&api, &gateway, query.as_bytes()).await?;
    assert!(text.starts_with("HTTP/1.1 414 "), "{text:?}");

    let (roots, admin) = (api.certs().cluster.roots(), api.certs().user("admin", &[MASTERS]));
    let client = Client::new(gateway.address(), GATEWAY_HOST, roots, Some(&admin));
    let mut many = Frames::begin(client.stream().await?).await?;
    let mut head: Vec<u8> = [(":method", "GET"), (":scheme", "https"), (":authority", "a"), (":path", "/version")]
        .iter()
        .flat_map(|(name, value)| literal(name, value))
        .collect();
    // One header, and then five thousand times the same by its number in the table.
    head.extend([0x40, 1, b'a', 1, b'b']);
    head.extend(vec![0x80 | 62; 5000]);
    many.put(kind::HEADERS, END_STREAM | END_HEADERS, 1, &head);
    many.flush().await?;
    let frames = timeout(PATIENCE, many.rest()).await?;
    assert!(frames.iter().any(|frame| frame.stream == 1 && frame.kind == kind::HEADERS), "431: {frames:?}");
    assert!(frames.iter().any(|frame| frame.kind == kind::GOAWAY), "{frames:?}");
    Ok(())
}

/// As many large heads as would be gigabytes, none of them ever complete.
#[tokio::test]
async fn a_thousand_unfinished_heads_of_900_kib_take_less_than_150_mib_and_keep_nobody_out() -> Result<()> {
    const HEADS: usize = 1000;
    let (api, gateway) = start(&[]).await?;
    let before = gateway.rss()?;
    let roots = api.certs().cluster.roots();
    let stranger = Client::with_protocols(gateway.address(), GATEWAY_HOST, roots, None, &["http/1.1"]);
    let begin = async || {
        let mut stream = stranger.stream().await?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nX-Filler: ").await?;
        let piece = vec![b'x'; 64 * 1024];
        for _ in 0..14 {
            // A connection that is cut off is what most of them get.
            if stream.write_all(&piece).await.is_err() {
                break;
            }
        }
        anyhow::Ok(stream)
    };
    let mut open = Vec::new();
    for _ in 0..HEADS / 50 {
        open.extend(join_all((0..50).map(|_| begin())).await.into_iter().flatten());
    }
    let began = Instant::now();
    let admin = api.certs().user("admin", &[MASTERS]);
    let answer = gateway.client(Some(&admin)).get(VERSIONS[0], &[]).await?;
    let took = began.elapsed();
    assert_eq!(answer.status, StatusCode::OK);
    let grown = gateway.peak_rss()?.saturating_sub(before);
    println!(
        "{} heads of 900 KiB: {} MiB more at most; somebody else is answered in {took:?}",
        open.len(),
        grown / MIB
    );
    assert!(grown < 150 * MIB, "it grew by {} MiB", grown / MIB);
    Ok(())
}

#[tokio::test]
async fn strangers_who_only_sit_there_lose_their_place_to_whoever_comes() -> Result<()> {
    const PLACES: usize = 100;
    let directory = Directory::new("hostile-places")?;
    let file = directory.file("gateway.toml");
    std::fs::write(&file, format!("[serving]\nmax_connections = {PLACES}\n"))?;
    let (api, gateway) = start(&[&format!("--config={}", file.display())]).await?;
    // Somebody who is known from before, and then says nothing.
    let admin = api.certs().user("admin", &[MASTERS]);
    let mut known = Frames::begin(gateway.client(Some(&admin)).stream().await?).await?;
    let ask = async |frames: &mut Frames<TlsStream<TcpStream>>, stream: u32| {
        frames.put_get(stream, GATEWAY_HOST, "/version", &[]);
        frames.flush().await?;
        loop {
            let frame = timeout(PATIENCE, frames.next()).await?.context("the connection stays")?;
            if frame.stream == stream && frame.flags & END_STREAM != 0 {
                return anyhow::Ok(());
            }
        }
    };
    ask(&mut known, 1).await?;
    // Half of the strangers say nothing at all, half shake hands and then say nothing.
    let silent = try_join_all((0..PLACES).map(|_| TcpStream::connect(gateway.address()))).await?;
    let shaken = join_all((0..2 * PLACES).map(|_| async { gateway.client(None).stream().await })).await;
    let began = Instant::now();
    for index in 0..20 {
        let user = api.certs().user(&format!("user-{index}"), &[MASTERS]);
        let answer = gateway.client(Some(&user)).get("/version", &[]).await?;
        assert_eq!(answer.status, StatusCode::OK);
    }
    let took = began.elapsed();
    assert!(took < Duration::from_secs(10), "twenty newcomers waited {took:?}");
    ask(&mut known, 3).await?;
    gateway.wait_for_log("closing those of clients that have not proved who they are", PATIENCE).await?;
    println!("{} connections that say nothing, {PLACES} places: 20 newcomers in {took:?}", silent.len() + shaken.len());
    Ok(())
}
