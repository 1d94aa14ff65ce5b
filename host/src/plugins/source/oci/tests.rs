//! Registries that lie, break off, never end or send us elsewhere. Honest ones are asked in `tests/it/oci.rs`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::DirBuilderExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;

use super::*;

const WASM: &[u8] = b"\0asm\x0d\0\x01\0";

/// A directory that is removed.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("metrics-gateway-oci-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::DirBuilder::new().mode(0o700).create(&path).unwrap();
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A server on loopback that says what a test wants. One connection, one request.
pub(super) struct Fake {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    stops: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// The other side's end of a connection.
pub(super) struct Said(TcpStream);

impl Said {
    /// That nobody listens any more is for the test to find out.
    pub(super) fn answer(&mut self, text: &str) {
        let _ = self.say(text);
    }

    /// Whether it was taken.
    fn say(&mut self, text: &str) -> bool {
        self.0.write_all(text.as_bytes()).is_ok()
    }

    pub(super) fn hear(&mut self, length: usize) -> Vec<u8> {
        let mut heard = vec![0; length];
        self.0.read_exact(&mut heard).unwrap();
        heard
    }
}

impl Fake {
    pub(super) fn start(answer: impl Fn(&str, &mut Said) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (heads, stops) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<AtomicBool>::default());
        let (own_heads, own_stops) = (Arc::clone(&heads), Arc::clone(&stops));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if own_stops.load(Ordering::Relaxed) {
                    break;
                }
                let mut said = Said(stream.unwrap());
                let head = read_head(&mut said.0);
                own_heads.lock().push(head.clone());
                answer(&head, &mut said);
            }
        });
        Self { address, heads, stops, thread: Some(thread) }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn heads(&self) -> Vec<String> {
        self.heads.lock().clone()
    }

    fn source(&self, rest: &str) -> OciSource {
        OciSource {
            reference: format!("{}/acme/ewma{rest}", self.address).into(),
            pull_secret: None,
            certificate_authority: None,
            plain_http: true,
            cosign_key: None,
        }
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.stops.store(true, Ordering::Relaxed);
        // It waits for a connection; this is the last.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read > 0) {
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).into_owned()
}

pub(super) fn status(code: u16, headers: &str) -> String {
    format!("HTTP/1.1 {code} Some Reason\r\n{headers}content-length: 0\r\nconnection: close\r\n\r\n")
}

fn body(text: &[u8]) -> String {
    let text = String::from_utf8(text.to_vec()).unwrap();
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}", text.len())
}

fn manifest_of(wasm: &[u8], size: u64) -> Vec<u8> {
    manifest::build(Blob { digest: Digest::of(wasm), size }, b"{}")
}

/// A registry that has `WASM` under every tag.
fn honest(head: &str, said: &mut Said) {
    let answer = if head.contains("/manifests/") { body(&manifest_of(WASM, 8)) } else { body(WASM) };
    said.answer(&answer);
}

async fn refusal(source: &OciSource, cache: Option<&Path>) -> String {
    fetch(source, 1 << 20, cache).await.expect_err("it was fetched").to_string()
}

#[track_caller]
fn contains(text: &str, part: &str) {
    assert!(text.contains(part), "{text}");
}

#[tokio::test]
async fn what_an_honest_registry_has_is_fetched_without_credentials() {
    let fake = Fake::start(honest);
    assert_eq!(fetch(&fake.source(":1"), 8, None).await.unwrap(), WASM);
    let heads = fake.heads();
    assert!(heads[0].starts_with("GET /v2/acme/ewma/manifests/1 HTTP/1.1\r\n"), "{heads:?}");
    contains(&heads[0], "application/vnd.oci.image.manifest.v1+json");
    contains(&heads[0], &format!("host: {}\r\n", fake.address()));
    assert!(heads[1].starts_with(&format!("GET /v2/acme/ewma/blobs/{} ", Digest::of(WASM))), "{heads:?}");
    assert!(heads.iter().all(|head| !head.contains("authorization")), "{heads:?}");
}

#[tokio::test]
async fn bytes_without_end_are_cut_where_their_announced_size_ends() {
    let endless = |said: &mut Said| {
        said.answer("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        // Ends when the other side has hung up; that it does is what is tested.
        while said.say(&format!("1000\r\n{}\r\n", "x".repeat(0x1000))) {}
    };
    let blobs = Fake::start(move |head, said| match head.contains("/manifests/") {
        true => said.answer(&body(&manifest_of(WASM, 8))),
        false => endless(said),
    });
    contains(&refusal(&blobs.source(":1"), None).await, "is larger than 8 bytes");
    let manifests = Fake::start(move |_, said| endless(said));
    contains(&refusal(&manifests.source(":1"), None).await, "manifest \"1\" is larger than 1048576 bytes");
}

#[tokio::test]
async fn a_size_beyond_the_limit_is_refused_before_a_byte_of_it_is_asked_for() {
    let fake = Fake::start(|_, said| said.answer(&body(&manifest_of(WASM, 1 << 40))));
    contains(&refusal(&fake.source(":1"), None).await, "is larger than 1048576 bytes");
    assert_eq!(fake.heads().len(), 1, "the manifest and nothing else");
    let announced = Fake::start(|head, said| {
        let answer = if head.contains("/manifests/") { body(&manifest_of(WASM, 8)) } else { body(b"\0asm-but-longer") };
        said.answer(&answer);
    });
    contains(&refusal(&announced.source(":1"), None).await, "is larger than 8 bytes");
}

#[tokio::test]
async fn bytes_that_are_not_what_they_are_called_are_refused() {
    let fake = Fake::start(|head, said| {
        let answer = if head.contains("/manifests/") { body(&manifest_of(WASM, 8)) } else { body(b"\0asmEVIL") };
        said.answer(&answer);
    });
    let blob = refusal(&fake.source(":1"), None).await;
    contains(&blob, &format!("blob {} has the digest {}", Digest::of(WASM), Digest::of(b"\0asmEVIL")));
    let pin = Digest::of(b"what was pinned");
    let manifest = refusal(&fake.source(&format!("@{pin}")), None).await;
    contains(&manifest, &format!("where {pin} is expected"));
    contains(&manifest, "repository \"acme/ewma\" of registry");
}

#[tokio::test]
async fn a_password_follows_no_redirect_to_another_host() {
    let storage = Fake::start(|_, said| said.answer(&body(WASM)));
    let there = storage.url();
    let registry = Fake::start(move |head, said| {
        let answer = if !head.contains("authorization: ") {
            status(401, "www-authenticate: Basic realm=\"r\"\r\n")
        } else if head.contains("/manifests/") {
            body(&manifest_of(WASM, 8))
        } else {
            status(307, &format!("location: {there}/somewhere?signed=1\r\n"))
        };
        said.answer(&answer);
    });
    let scratch = Scratch::new();
    let source = with_secret(&registry, &scratch, "hunter2");
    assert_eq!(fetch(&source, 8, None).await.unwrap(), WASM);
    let basic = format!("authorization: Basic {}", STANDARD.encode("user:hunter2"));
    assert!(registry.heads()[1..].iter().all(|head| head.contains(&basic)), "{:?}", registry.heads());
    assert!(storage.heads()[0].starts_with("GET /somewhere?signed=1 "), "{:?}", storage.heads());
    assert!(!storage.heads()[0].contains("authorization"), "{:?}", storage.heads());
}

fn with_secret(registry: &Fake, scratch: &Scratch, password: &str) -> OciSource {
    let path = scratch.path().join("config.json");
    let auth = STANDARD.encode(format!("user:{password}"));
    std::fs::write(&path, format!("{{\"auths\":{{\"{}\":{{\"auth\":\"{auth}\"}}}}}}", registry.address())).unwrap();
    OciSource { pull_secret: Some(path), ..registry.source(":1") }
}

#[tokio::test]
async fn redirects_lead_to_an_end_and_not_to_the_machine() {
    let around = Fake::start(|_, said| said.answer(&status(302, "location: /v2/again\r\n")));
    contains(&refusal(&around.source(":1"), None).await, "is a redirect to a redirect, too often");
    assert_eq!(around.heads().len(), 6);
    let nowhere = Fake::start(|_, said| said.answer(&status(302, "")));
    contains(&refusal(&nowhere.source(":1"), None).await, "is a redirect to nowhere");
    let metadata = Fake::start(|_, said| said.answer(&status(302, "location: http://169.254.169.254/\r\n")));
    contains(&refusal(&metadata.source(":1"), None).await, "no address that a registry may send us to");
    let user = Fake::start(|_, said| said.answer(&status(302, "location: http://a:b@127.0.0.1/\r\n")));
    contains(&refusal(&user.source(":1"), None).await, "leads to an address with a user");
    let other = Fake::start(|_, said| said.answer(&status(302, "location: file:///etc/shadow\r\n")));
    contains(&refusal(&other.source(":1"), None).await, "manifest \"1\"");
}

#[test]
fn a_location_may_be_relative_to_where_it_was_said() {
    let from = "https://r.example:5000/v2/acme/ewma/blobs/uploads/".parse().unwrap();
    for (location, expected) in [
        ("https://s3.example/x?y=1", "https://s3.example/x?y=1"),
        ("//s3.example/x", "https://s3.example/x"),
        ("/x?next=https://s3.example/", "https://r.example:5000/x?next=https://s3.example/"),
        ("some-id", "https://r.example:5000/v2/acme/ewma/blobs/uploads/some-id"),
    ] {
        assert_eq!(registry::resolve(&from, location).unwrap().to_string(), expected, "{location}");
    }
    assert_eq!(registry::resolve(&from, "https://"), None);
}

#[tokio::test]
async fn a_registry_behind_tls_leads_nowhere_without_tls() {
    let fake = Fake::start(honest);
    let source = OciSource { plain_http: false, ..fake.source(":1") };
    let repository = Reference::parse(&source.reference).unwrap().repository().clone();
    let registry = Registry::open(&source, &repository, Intent::Pull, Matcher::builder().build()).unwrap();
    let error = registry.check_safe(&fake.url().parse().unwrap(), "blob").unwrap_err().to_string();
    contains(&error, "which is not https");
    assert!(fake.heads().is_empty(), "nobody was asked");
}

#[tokio::test]
async fn a_token_is_asked_for_this_repository_alone() {
    let service = Fake::start(|head, said| {
        let is_known = head.contains(&format!("authorization: Basic {}", STANDARD.encode("user:hunter2")));
        said.answer(&if is_known { body(b"{\"access_token\":\"t0ken\"}") } else { status(401, "") });
    });
    let realm = service.url();
    let registry = Fake::start(move |head, said| match head.contains("authorization: Bearer t0ken\r\n") {
        true => honest(head, said),
        false => {
            let challenge =
                format!("www-authenticate: Bearer realm=\"{realm}/token?a=b\",service=\"the registry\"\r\n");
            said.answer(&status(401, &challenge));
        }
    });
    let scratch = Scratch::new();
    assert_eq!(fetch(&with_secret(&registry, &scratch, "hunter2"), 8, None).await.unwrap(), WASM);
    let asked = "GET /token?a=b&scope=repository%3Aacme%2Fewma%3Apull&service=the%20registry HTTP/1.1\r\n";
    assert!(service.heads()[0].starts_with(asked), "{:?}", service.heads());

    let error = refusal(&with_secret(&registry, &scratch, "correct horse"), None).await;
    contains(&error, "user \"user\" of the pull_secret is not authorised (401)");
    assert!(!error.contains("horse") && !error.contains(&STANDARD.encode("user:correct horse")), "{error}");
    contains(&refusal(&registry.source(":1"), None).await, "an anonymous client is not authorised (401)");
}

#[tokio::test]
async fn a_registry_that_cannot_answer_is_replaced_by_the_cache_and_one_that_says_no_is_not() {
    let scratch = Scratch::new();
    let code = Arc::new(AtomicU32::new(200));
    let said_code = Arc::clone(&code);
    let fake = Fake::start(move |head, said| match said_code.load(Ordering::Relaxed) {
        200 => honest(head, said),
        code => said.answer(&status(u16::try_from(code).unwrap(), "")),
    });
    let source = fake.source(":1");
    assert_eq!(fetch(&source, 8, Some(scratch.path())).await.unwrap(), WASM);
    for unable in [500, 503, 429] {
        code.store(unable, Ordering::Relaxed);
        assert_eq!(fetch(&source, 8, Some(scratch.path())).await.unwrap(), WASM, "{unable}");
    }
    for (no, text) in [(401, "not authorised (401)"), (403, "not authorised (403)"), (404, "is not found")] {
        code.store(no, Ordering::Relaxed);
        contains(&refusal(&source, Some(scratch.path())).await, text);
    }
    code.store(503, Ordering::Relaxed);
    contains(&refusal(&fake.source(":2"), Some(scratch.path())).await, "cannot be reached: it answers 503");
    let too_small = fetch(&source, 7, Some(scratch.path())).await.unwrap_err().to_string();
    contains(&too_small, "cannot be reached");
}

#[tokio::test]
async fn an_artifact_that_is_not_here_whole_does_not_replace_one_that_is() {
    let scratch = Scratch::new();
    let is_moved = Arc::new(AtomicBool::new(false));
    let said_moved = Arc::clone(&is_moved);
    let fake =
        Fake::start(move |head, said| match (said_moved.load(Ordering::Relaxed), head.contains("/manifests/")) {
            (false, _) => honest(head, said),
            (true, true) => said.answer(&body(&manifest_of(b"\0asm-new", 8))),
            (true, false) => said.answer("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n\0as"),
        });
    assert_eq!(fetch(&fake.source(":1"), 8, Some(scratch.path())).await.unwrap(), WASM);
    is_moved.store(true, Ordering::Relaxed);
    assert_eq!(fetch(&fake.source(":1"), 8, Some(scratch.path())).await.unwrap(), WASM, "the old one, whole");
}

/// The clock stands still while anything can happen, and jumps to the next deadline when nothing can.
#[tokio::test(start_paused = true)]
async fn a_registry_that_says_nothing_is_left_after_fifteen_seconds() {
    let (hang_up, hung_up) = std::sync::mpsc::channel::<()>();
    let fake = Fake::start(move |_, _| {
        let _ = hung_up.recv();
    });
    contains(&refusal(&fake.source(":1"), None).await, "nothing came for 15 s");
    drop(hang_up);
}

#[tokio::test]
async fn a_pull_secret_that_cannot_be_read_is_named_and_not_replaced_by_nobody() {
    let fake = Fake::start(honest);
    let source = OciSource { pull_secret: Some("/nowhere/config.json".into()), ..fake.source(":1") };
    contains(&refusal(&source, None).await, "pull_secret \"/nowhere/config.json\": No such file");
    assert!(fake.heads().is_empty());
}

#[tokio::test]
async fn what_is_no_wasm_and_what_is_pinned_is_not_pushed() {
    let fake = Fake::start(honest);
    let push = |rest: String, wasm: &'static [u8]| {
        let source = fake.source(&rest);
        async move { push(&source, Bytes::from_static(wasm), SystemTime::UNIX_EPOCH).await.unwrap_err().to_string() }
    };
    contains(&push(":1".into(), b"#!/bin/sh").await, "bytes that are no WebAssembly");
    contains(&push(format!("@{}", Digest::of(b"")), WASM).await, "leave @sha256:… out");
    assert!(fake.heads().is_empty());
}

#[test]
fn a_component_is_described_by_what_it_has_to_do_with_the_world() {
    let described = |text: &str| describe(&wat::parse_str(text).unwrap()).unwrap();
    let window = described(
        r#"(component
            (import "metrics-gateway:policy/log@1.0.0" (instance))
            (component (import "inner" (instance)))
            (core module (func (export "core")))
            (instance $i)
            (export "metrics-gateway:policy/plugin@1.0.0" (instance $i))
            (export "metrics-gateway:policy/window@1.0.0" (instance $i)))"#,
    );
    let expected = Component {
        exports: vec!["metrics-gateway:policy/plugin@1.0.0".into(), "metrics-gateway:policy/window@1.0.0".into()],
        imports: vec!["metrics-gateway:policy/log@1.0.0".into()],
        target: Some("metrics-gateway:policy/window-policy@1.0.0".into()),
    };
    assert_eq!(window, Some(expected));
    assert_eq!(described("(module)"), None);
}

#[test]
fn a_target_is_the_one_world_that_the_exports_are_of() {
    let of = |interfaces: &[&str]| {
        let exports: Vec<String> =
            interfaces.iter().map(|interface| format!("metrics-gateway:policy/{interface}@1.2.0")).collect();
        target(&exports)
    };
    let world = |name: &str| Some(format!("metrics-gateway:policy/{name}@1.2.0"));
    assert_eq!(of(&["plugin", "filter"]), world("filter-policy"));
    assert_eq!(of(&["filter", "filter-by-value", "plugin"]), world("value-filter-policy"));
    assert_eq!(of(&["address", "window", "plugin"]), None);
    assert_eq!(of(&["plugin"]), None);
    assert_eq!(target(&["wasi:cli/run@0.2.0".to_owned()]), None);
}
