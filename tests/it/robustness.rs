//! What hostile clients cost: bounded memory, and nothing to anybody else. Each attack runs while others go on asking, over
//! the connection that they have and over new ones; the figures are printed.

use std::io;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use harness::certs::GATEWAY_HOST;
use harness::client::Client;
use harness::fleet::raise_descriptor_limit;
use harness::frames::{END_HEADERS, END_STREAM, Frames, kind, literal};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::world::{B, PATIENCE, World};

const MIB: u64 = 1 << 20;

/// What the bystanders saw, and what it cost the gateway.
struct Figures {
    /// Of each request.
    latencies: Vec<Duration>,
    failures: Vec<String>,
    /// Resident memory before the attack, and the most ever.
    before: u64,
    peak: u64,
}

impl Figures {
    fn at(&self, share: f64) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        // Cut on purpose: the largest of few is the last.
        self.latencies.get((last as f64 * share).ceil() as usize).copied().unwrap_or_default()
    }

    /// Prints the figures, and holds them against what is promised.
    fn judge(&self, attack: &str, memory: u64) {
        let grown = self.peak.saturating_sub(self.before);
        println!(
            "{attack}: {} requests of others, {} failed, median {:?}, 99% {:?}, longest {:?}; memory {:.1} MiB, at most {:.1} MiB more",
            self.latencies.len(),
            self.failures.len(),
            self.at(0.5),
            self.at(0.99),
            self.at(1.0),
            self.before as f64 / MIB as f64,
            grown as f64 / MIB as f64,
        );
        assert!(!self.latencies.is_empty(), "{attack}: nobody was answered; {:?}", self.failures);
        assert!(self.failures.is_empty(), "{attack}: {:#?}", self.failures);
        // For a machine that is busy with the attackers and with the rest of the suite; alone it is some milliseconds.
        assert!(self.at(0.5) < Duration::from_secs(2), "{attack}: half of the requests took {:?}", self.at(0.5));
        assert!(self.at(1.0) < Duration::from_secs(20), "{attack}: one took {:?}", self.at(1.0));
        assert!(grown < memory, "{attack}: memory grew by {grown} bytes, more than {memory}");
    }
}

/// Runs `attack`, and meanwhile asks as the API server's aggregator does (one connection) and as a newcomer does.
async fn during<T: Send + 'static>(world: &World, attack: impl Future<Output = T> + Send + 'static) -> (T, Figures) {
    let front_proxy = world.front_proxy();
    let aggregator = world.client(Some(&front_proxy));
    let mut figures = Figures { latencies: Vec::new(), failures: Vec::new(), before: 0, peak: 0 };
    ask(&aggregator, &mut figures).await;
    figures.before = world.gateway.rss().expect("it runs");
    let attack = AbortOnDropHandle::new(TaskTracker::new().spawn(attack));
    while !attack.is_finished() {
        ask(&aggregator, &mut figures).await;
        ask(&world.client(Some(&front_proxy)), &mut figures).await;
        // A pause between requests, so that they do not become the load themselves.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    figures.peak = world.gateway.peak_rss().expect("it runs");
    figures.latencies.sort_unstable();
    (attack.await.expect("an attack does not panic"), figures)
}

async fn ask(client: &Client, figures: &mut Figures) {
    let begin = Instant::now();
    let path = format!("{B}/pods");
    let asked = client.get(&path, &[("x-remote-user", "bystander")]);
    match timeout(Duration::from_secs(10), asked).await {
        Ok(Ok(answer)) if answer.status == 200 => figures.latencies.push(begin.elapsed()),
        Ok(Ok(answer)) => figures.failures.push(format!("{}: {:?}", answer.status, answer.body)),
        Ok(Err(error)) => figures.failures.push(format!("{error:#}")),
        Err(_) => figures.failures.push("no answer in 10 s".to_owned()),
    }
}

/// How long the other end bears with somebody who sends `byte` once a second and `opening` before that. None: too long.
async fn endures<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, opening: &[u8], byte: &[u8]) -> Option<Duration> {
    let begin = Instant::now();
    let slow = async {
        stream.write_all(opening).await?;
        let mut second = tokio::time::interval(Duration::from_secs(1));
        let mut heard = [0; 1024];
        loop {
            tokio::select! {
                _ = second.tick() => stream.write_all(byte).await?,
                read = stream.read(&mut heard) => if read? == 0 { return io::Result::Ok(()) },
            }
        }
    };
    // An error is an end as well.
    timeout(Duration::from_secs(50), slow).await.ok().map(|_| begin.elapsed())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sends_a_byte_now_and_then_is_cut_off_and_holds_nobody_up() {
    const EACH: usize = 150;
    raise_descriptor_limit();
    let world = World::bare(&[]).await;
    let address = world.gateway.address();
    let (http1, http2) = (world.client_speaking("http/1.1", None), world.client_speaking("h2", None));
    let attack = async move {
        // A ClientHello of 512 bytes that never gets far.
        let hello = async || endures(TcpStream::connect(address).await.ok()?, &[22, 3, 1, 2, 0, 1], &[0]).await;
        let head = async || endures(http1.stream().await.ok()?, b"GET / HTTP/1.1\r\nhost: x\r\nx-slow: ", b"a").await;
        let opening = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(kind::SETTINGS, 0, 0, &[])].concat();
        // A frame of 16,000 bytes, of which the first are a header field whose value is to be as long.
        let start = [
            &[0, 0x3e, 0x80, kind::HEADERS, END_STREAM | END_HEADERS, 0, 0, 0, 1][..],
            &literal("x", &"y".repeat(15_000))[..5],
        ];
        let opening = [opening, start.concat()].concat();
        let frames = async || endures(http2.stream().await.ok()?, &opening, b"y").await;
        tokio::join!(
            join_all((0..EACH).map(|_| hello())),
            join_all((0..EACH).map(|_| head())),
            join_all((0..EACH).map(|_| frames())),
        )
    };
    let ((hellos, heads, frames), figures) = during(&world, attack).await;
    let kinds = [("TLS handshakes", hellos), ("HTTP/1.1 heads", heads), ("HTTP/2 heads", frames)];
    for (what, times) in &kinds {
        let (ended, longest) = (times.iter().flatten().count(), times.iter().flatten().max());
        println!("slow {what}: {ended} of {EACH} were cut off, the last after {longest:?}");
    }
    figures.judge("slowloris", 64 * MIB);
    for (what, times) in kinds {
        assert!(times.iter().all(Option::is_some), "slow {what}: some were borne with for 50 s");
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_idle_connections_leave_room_for_others() {
    raise_descriptor_limit();
    let wanted = room_for_connections().min(10_000);
    let world = World::bare(&[]).await;
    let client = std::sync::Arc::new(world.client(None));
    let attack = async move {
        let begin = Instant::now();
        let mut held = Vec::new();
        let mut refused = 0;
        // So many handshakes at a time that those of others come through, too.
        while held.len() + refused < wanted {
            let some = join_all((0..50).map(|_| client.stream())).await;
            let (good, bad): (Vec<_>, Vec<_>) = some.into_iter().partition(Result::is_ok);
            held.extend(good.into_iter().flatten());
            refused += bad.len();
        }
        (held, refused, begin.elapsed())
    };
    let ((held, refused, took), mut figures) = during(&world, attack).await;
    println!("of {wanted} connections {} were accepted, {refused} refused; it took {took:?}", held.len());
    // And now that they are all there.
    let front_proxy = world.front_proxy();
    for _ in 0..20 {
        ask(&world.client(Some(&front_proxy)), &mut figures).await;
    }
    figures.latencies.sort_unstable();
    let grown = figures.peak.saturating_sub(figures.before);
    println!("{} bytes for each connection", grown / held.len().max(1) as u64);
    figures.judge("10,000 idle connections", 1024 * MIB);
    assert!(held.len() >= wanted * 9 / 10, "only {} connections stood", held.len());
}

/// How many descriptors this process may have, and the gateway, which inherits the limit; some are for other things.
fn room_for_connections() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(1_000))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_without_end_are_refused_before_they_fill_the_memory() {
    const AT_ONCE: usize = 40;
    let world = World::bare(&[]).await;
    let (http1, http2) = (world.client_speaking("http/1.1", None), world.client_speaking("h2", None));
    let attack = async move {
        let long = "x-bomb: ".to_owned() + &"a".repeat(4 << 20);
        let many = (0..20_000).map(|line| format!("x-{line}: a\r\n")).collect::<String>() + "\r\n";
        let mut ends = Vec::new();
        for bomb in [&long, &many] {
            let http1 = &http1;
            ends.push(join_all((0..AT_ONCE).map(|_| throw(http1, bomb))).await);
        }
        // 8 MiB in one head, piece by piece; and 4 KB that are referred to 60,000 times.
        let pieces = join_all((0..AT_ONCE).map(|_| throw_pieces(&http2))).await;
        let references = join_all((0..AT_ONCE).map(|_| throw_references(&http2))).await;
        (ends, pieces, references)
    };
    let ((ends, pieces, references), figures) = during(&world, attack).await;
    for (what, ends) in ["a long line", "many lines"].iter().zip(&ends) {
        println!("{what}: the first of {} ended with {:?}", ends.len(), ends[0]);
    }
    println!("pieces: {:?}; references: {:?}", pieces[0], references[0]);
    figures.judge("header bombs", 256 * MIB);
    for ends in ends {
        assert!(ends.iter().all(|end| end.contains("431")), "{ends:?}");
    }
    for end in pieces.iter().chain(&references) {
        assert!(end.is_refused(), "{end:?}");
    }
}

/// Sends a head that does not end, and returns the first line of the answer.
async fn throw(client: &Client, head: &str) -> String {
    let mut stream = client.stream().await.expect("TLS");
    let text = format!("GET / HTTP/1.1\r\nhost: x\r\n{head}");
    let mut answer = Vec::new();
    let (mut reader, mut writer) = tokio::io::split(&mut stream);
    let write = async {
        // It may be refused in the middle.
        let _ = writer.write_all(text.as_bytes()).await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = write => {}
        _ = timeout(PATIENCE, reader.read_to_end(&mut answer)) => {}
    }
    String::from_utf8_lossy(&answer).lines().next().unwrap_or("nothing").to_owned()
}

/// How the gateway ended a stream, or the connection.
#[derive(Debug, Default)]
struct Refused {
    answered: bool,
    reset: Option<u32>,
    goaway: Option<u32>,
    closed: bool,
}

impl Refused {
    /// Whatever was sent must have cost the sender the stream at least.
    fn is_refused(&self) -> bool {
        self.answered || self.reset.is_some() || self.goaway.is_some() || self.closed
    }
}

/// Sends what is gathered and looks how it ends.
async fn refused<S: AsyncRead + AsyncWrite + Unpin>(mut frames: Frames<S>) -> Refused {
    let mut end = Refused { closed: frames.flush().await.is_err(), ..Refused::default() };
    let look = async {
        while let Some(frame) = frames.next().await {
            match frame.kind {
                kind::HEADERS => end.answered = true,
                kind::RST_STREAM => end.reset = Some(frame.error_code()),
                kind::GOAWAY => end.goaway = Some(frame.error_code()),
                _ => continue,
            }
            if frame.kind != kind::GOAWAY {
                return;
            }
        }
        end.closed = true;
    };
    let _ = timeout(PATIENCE, look).await;
    end
}

async fn throw_pieces(client: &Client) -> Refused {
    let Ok(mut frames) = Frames::begin(client.stream().await.expect("TLS")).await else {
        return Refused { closed: true, ..Refused::default() };
    };
    let head = [(":method", "GET"), (":scheme", "https"), (":authority", "x"), (":path", "/")];
    let head: Vec<u8> = head.iter().flat_map(|(name, value)| literal(name, value)).collect();
    frames.put(kind::HEADERS, END_STREAM, 1, &head);
    let piece = literal("x-bomb", &"a".repeat(16_000));
    (0..512).for_each(|_| frames.put(kind::CONTINUATION, 0, 1, &piece));
    frames.put(kind::CONTINUATION, END_HEADERS, 1, &[]);
    refused(frames).await
}

async fn throw_references(client: &Client) -> Refused {
    /// The newest entry of the dynamic table, which begins at 62 (RFC 7541, section 2.3.3).
    const NEWEST: u8 = 0x80 | 62;
    let Ok(mut frames) = Frames::begin(client.stream().await.expect("TLS")).await else {
        return Refused { closed: true, ..Refused::default() };
    };
    let head = [(":method", "GET"), (":scheme", "https"), (":authority", "x"), (":path", "/")];
    let mut head: Vec<u8> = head.iter().flat_map(|(name, value)| literal(name, value)).collect();
    let mut remembered = literal("x-bomb", &"a".repeat(4_000));
    remembered[0] = 0x40;
    head.extend(remembered);
    frames.put(kind::HEADERS, END_STREAM, 1, &head);
    (0..4).for_each(|_| frames.put(kind::CONTINUATION, 0, 1, &[NEWEST; 15_000]));
    frames.put(kind::CONTINUATION, END_HEADERS, 1, &[]);
    refused(frames).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rapid_resets_end_the_connection() {
    const RESETS: u32 = 3_000;
    const ENHANCE_YOUR_CALM: u32 = 11;
    let world = World::bare(&[]).await;
    let admin = world.admin();
    let client = world.client(Some(&admin));
    let attack = async move { join_all((0..20).map(|_| reset_rapidly(&client, RESETS))).await };
    let (ends, figures) = during(&world, attack).await;
    println!("rapid reset: {:?}", ends[0]);
    figures.judge("rapid reset", 64 * MIB);
    assert!(ends.iter().all(|end| end.goaway == Some(ENHANCE_YOUR_CALM) && end.closed), "{ends:?}");
}

async fn reset_rapidly(client: &Client, resets: u32) -> Refused {
    let mut frames = Frames::begin(client.stream().await.expect("TLS")).await.expect("it is open");
    for request in 0..resets {
        let stream = 2 * request + 1;
        frames.put_get(stream, GATEWAY_HOST, &format!("{B}/pods"), &[]);
        frames.put(kind::RST_STREAM, 0, stream, &8_u32.to_be_bytes());
    }
    let _ = frames.flush().await;
    let mut end = Refused::default();
    let look = async {
        for frame in frames.rest().await {
            if frame.kind == kind::GOAWAY {
                end.goaway = Some(frame.error_code());
            }
        }
        end.closed = true;
    };
    let _ = timeout(PATIENCE, look).await;
    end
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oversized_queries_are_refused_or_answered_in_no_time() {
    let world = World::bare(&[]).await;
    let admin = world.admin();
    let queries = [
        ("1 MiB", format!("labelSelector={}", "a".repeat(1 << 20))),
        ("12,000 requirements", format!("labelSelector={}", vec!["a=b"; 12_000].join(","))),
        ("30,000 values", format!("labelSelector=a%20in%20({})", vec!["b"; 30_000].join(","))),
        ("30,000 parameters", vec!["a"; 30_000].join("&")),
        ("20,000 escapes", format!("fieldSelector={}", "%2C".repeat(20_000))),
    ];
    let clients = ["http/1.1", "h2"].map(|protocol| (protocol, world.client_speaking(protocol, Some(&admin))));
    let attack = async move {
        let mut seen = Vec::new();
        for (what, query) in &queries {
            for (protocol, client) in &clients {
                let begin = Instant::now();
                let path = format!("{B}/nodes?{query}");
                let answers = join_all((0..10).map(|_| query_status(client, &path))).await;
                seen.push((*what, *protocol, answers[0].clone(), begin.elapsed()));
            }
        }
        seen
    };
    let (seen, figures) = during(&world, attack).await;
    for (what, protocol, answer, took) in &seen {
        println!("a query of {what} over {protocol}: {answer}; 10 of them took {took:?}");
    }
    figures.judge("oversized queries", 128 * MIB);
    for (what, protocol, answer, took) in seen {
        let is_judged = ["200", "400", "414", "431", "ended"].iter().any(|end| answer.starts_with(end));
        assert!(is_judged && took < Duration::from_secs(60), "{what} over {protocol}: {answer} after {took:?}");
    }
}

/// The status of the answer; "ended" where the connection or the stream was.
async fn query_status(client: &Client, path: &str) -> String {
    // What does not fit into a URI of our client's is written by hand.
    if path.parse::<http::Uri>().is_err() {
        return oversized_by_hand(client, path).await;
    }
    match client.get(path, &[]).await {
        Ok(answer) => answer.status.as_u16().to_string(),
        Err(error) => format!("ended: {error:#}"),
    }
}

async fn oversized_by_hand(client: &Client, path: &str) -> String {
    let stream = client.stream().await.expect("TLS");
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        let Ok(mut frames) = Frames::begin(stream).await else { return "ended".to_owned() };
        let head = [(":method", "GET"), (":scheme", "https"), (":authority", "x"), (":path", path)];
        let head: Vec<u8> = head.iter().flat_map(|(name, value)| literal(name, value)).collect();
        let mut pieces = head.chunks(16_000);
        frames.put(kind::HEADERS, END_STREAM, 1, pieces.next().expect("a first piece"));
        pieces.for_each(|piece| frames.put(kind::CONTINUATION, 0, 1, piece));
        frames.put(kind::CONTINUATION, END_HEADERS, 1, &[]);
        let end = refused(frames).await;
        return if end.is_refused() { format!("ended: {end:?}") } else { format!("{end:?}") };
    }
    throw_line(stream, path).await
}

async fn throw_line<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, path: &str) -> String {
    let text = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    // It may be refused in the middle.
    let _ = stream.write_all(text.as_bytes()).await;
    let mut answer = [0; 64];
    let read = timeout(PATIENCE, stream.read(&mut answer)).await;
    let length = read.ok().and_then(Result::ok).unwrap_or_default();
    let line = String::from_utf8_lossy(&answer[..length]).into_owned();
    line.split(' ').nth(1).map_or_else(|| "ended".to_owned(), str::to_owned)
}
