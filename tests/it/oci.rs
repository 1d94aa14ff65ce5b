//! Plugins from a real registry: what was pushed is what is fetched, and nothing else ever is. Registries that lie are
//! asked in the unit tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use harness::directory::Directory;
use harness::registry::{Door, PASSWORD, Registry};
use metrics_gateway::config::policies::OciSource;
use metrics_gateway::plugins::source::oci::{Digest, Pushed, fetch, push};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, SigningKey as _};

const LIMIT: usize = 1 << 20;
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const REPOSITORY: &str = "acme/ewma";

/// A component that does nothing, of which there are as many as there are names.
fn plugin(name: &str, length: usize) -> Bytes {
    let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
    let contents = [&[u8::try_from(name.len()).expect("a short name")], name.as_bytes(), &vec![7; length]].concat();
    // A custom section: its kind, its length in groups of seven bits, its name and what it holds.
    bytes.push(0);
    let mut left = contents.len();
    while left >= 0x80 {
        bytes.push((left & 0x7f) as u8 | 0x80);
        left >>= 7;
    }
    bytes.push(left as u8);
    bytes.extend(contents);
    bytes.into()
}

async fn pushed(destination: &OciSource, wasm: &Bytes) -> Pushed {
    let created = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    push(destination, wasm.clone(), created).await.unwrap_or_else(|error| panic!("{error}"))
}

async fn fetched(source: &OciSource, cache: Option<&Path>) -> Bytes {
    fetch(source, LIMIT, cache).await.unwrap_or_else(|error| panic!("{error}"))
}

async fn refusal(source: &OciSource, cache: Option<&Path>) -> String {
    match fetch(source, LIMIT, cache).await {
        Ok(bytes) => panic!("{:?} was fetched, {} bytes", source.reference, bytes.len()),
        Err(error) => error.to_string(),
    }
}

#[track_caller]
fn contains(text: &str, part: &str) {
    assert!(text.contains(part), "no {part:?} in: {text}");
}

async fn start(door: Door) -> Registry {
    Registry::start(door).await.unwrap_or_else(|error| panic!("{error:#}"))
}

fn cache() -> Directory {
    Directory::new("oci-cache").expect("the temporary directory can be written to")
}

#[tokio::test]
async fn what_is_fetched_is_what_was_pushed_over_tls_as_over_plain_http() {
    for door in [Door::Open, Door::Plain] {
        let registry = start(door).await;
        for length in [1, 900_000] {
            let (wasm, source) = (plugin("a", length), registry.source("acme/ewma:1.0.0"));
            let there = pushed(&source, &wasm).await;
            assert_eq!(there.layer, Digest::of(&wasm));
            assert_eq!(fetched(&source, None).await, wasm, "{door:?}");
            let pinned = OciSource { reference: there.pinned.into(), ..source };
            assert_eq!(fetched(&pinned, None).await, wasm, "{door:?}");
        }
    }
}

#[tokio::test]
async fn what_is_pushed_has_the_layout_that_other_tools_read() {
    let registry = start(Door::Open).await;
    let wasm = plugin("a", 1);
    let there = pushed(&registry.source("acme/ewma:1"), &wasm).await;
    let answer = registry.get("/v2/acme/ewma/manifests/1").await.expect("the registry answers");
    assert_eq!(answer.header("content-type"), Some(MANIFEST));
    assert_eq!(Digest::of(&answer.body), there.manifest);
    let manifest = answer.json();
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.wasm.config.v0+json");
    assert_eq!(manifest["layers"].as_array().map(Vec::len), Some(1));
    assert_eq!(manifest["layers"][0]["mediaType"], "application/wasm");
    assert_eq!(manifest["layers"][0]["size"], wasm.len());
    let config = manifest["config"]["digest"].as_str().expect("a digest");
    let config = registry.get(&format!("/v2/acme/ewma/blobs/{config}")).await.expect("the registry answers").json();
    assert_eq!(config["created"], "2027-01-15T08:00:00Z");
    assert_eq!((&config["architecture"], &config["os"]), (&"wasm".into(), &"wasip2".into()));
    assert_eq!(config["layerDigests"][0], there.layer.to_string());
    assert_eq!(config["component"], serde_json::json!({"exports": [], "imports": []}));
    assert_eq!(pushed(&registry.source("acme/ewma:1"), &wasm).await, there, "again it is the same artifact");
}

#[tokio::test]
async fn a_tag_that_moves_takes_nobody_along_who_is_pinned() {
    let registry = start(Door::Open).await;
    let (old, new, tagged) = (plugin("old", 1), plugin("new", 1), registry.source("acme/ewma:1"));
    let first = pushed(&tagged, &old).await;
    pushed(&tagged, &new).await;
    let pin = |digest: Digest| registry.source(&format!("acme/ewma:1@{digest}"));
    assert_eq!(fetched(&tagged, None).await, new);
    assert_eq!(fetched(&pin(first.manifest), None).await, old);
    let nobody_s = Digest::of(b"what was never pushed");
    let wrong = refusal(&pin(nobody_s), None).await;
    contains(&wrong, &format!("manifest \"{nobody_s}\" is not found"));
    contains(&wrong, "repository \"acme/ewma\" of registry \"127.0.0.1:");
}

#[tokio::test]
async fn a_plugin_larger_than_its_limit_is_refused() {
    let registry = start(Door::Open).await;
    let (wasm, source) = (plugin("a", 5000), registry.source("acme/ewma:1"));
    pushed(&source, &wasm).await;
    assert_eq!(fetch(&source, wasm.len(), None).await.expect("it fits"), wasm);
    let error = fetch(&source, wasm.len() - 1, None).await.expect_err("it does not fit").to_string();
    contains(&error, &format!("is larger than {} bytes", wasm.len() - 1));
}

#[tokio::test]
async fn a_container_image_is_refused_by_what_it_is() {
    let registry = start(Door::Open).await;
    let config = registry.put_blob(REPOSITORY, b"{}").await.expect("a blob");
    let layer = registry.put_blob(REPOSITORY, b"a tarball, as it were").await.expect("a blob");
    let image = "application/vnd.oci.image.config.v1+json";
    let tar = "application/vnd.oci.image.layer.v1.tar+gzip";
    let manifest = format!(
        "{{\"schemaVersion\":2,\"mediaType\":\"{MANIFEST}\",\
         \"config\":{{\"mediaType\":\"{image}\",\"digest\":\"{config}\",\"size\":2}},\
         \"layers\":[{{\"mediaType\":\"{tar}\",\"digest\":\"{layer}\",\"size\":21}}]}}"
    );
    let digest = registry.put_manifest(REPOSITORY, "image", MANIFEST, &manifest).await.expect("a manifest");
    let error = refusal(&registry.source("acme/ewma:image"), None).await;
    contains(&error, &format!("but config {image:?} and 1 layers ({tar:?})"));

    let kind = "application/vnd.oci.image.index.v1+json";
    let index = format!(
        "{{\"schemaVersion\":2,\"mediaType\":\"{kind}\",\"manifests\":[{{\"mediaType\":\"{MANIFEST}\",\
         \"digest\":\"{digest}\",\"size\":{},\"platform\":{{\"os\":\"linux\",\"architecture\":\"amd64\"}}}}]}}",
        manifest.len()
    );
    registry.put_manifest(REPOSITORY, "index", kind, &index).await.expect("an index");
    contains(&refusal(&registry.source("acme/ewma:index"), None).await, "but an index of 1 manifests");
    contains(&refusal(&registry.source("acme/ewma:none"), None).await, "manifest \"none\" is not found");
}

#[tokio::test]
async fn a_locked_registry_opens_to_the_right_password_and_names_whom_it_refuses() {
    let registry = start(Door::Locked).await;
    let (wasm, rest) = (plugin("a", 1), "acme/ewma:1");
    let right = registry.source_with(rest, PASSWORD).expect("a file");
    pushed(&right, &wasm).await;
    assert_eq!(fetched(&right, None).await, wasm);

    let wrong = registry.source_with(rest, "hunter2").expect("a file");
    let error = refusal(&wrong, None).await;
    contains(&error, "repository \"acme/ewma\" of registry \"127.0.0.1:");
    contains(&error, "user \"gateway\" of the pull_secret is not authorised (401)");
    assert!(!error.contains("hunter2"), "{error}");
    let error = push(&wrong, wasm, SystemTime::UNIX_EPOCH).await.expect_err("nor may it push").to_string();
    contains(&error, "is not authorised (401)");

    contains(&refusal(&registry.source(rest), None).await, "an anonymous client is not authorised (401)");
    fs::write(registry.directory().file("config.json"), "{\"auths\":{}}").expect("a file");
    contains(&refusal(&wrong, None).await, "the pull_secret has no entry for it");
}

#[tokio::test]
async fn a_registry_of_an_authority_that_is_not_trusted_is_not_spoken_to() {
    let registry = start(Door::Open).await;
    let source = registry.source("acme/ewma:1");
    pushed(&source, &plugin("a", 1)).await;
    for authority in [None, Some(registry.directory().file("foreign-ca.crt"))] {
        let source = OciSource { certificate_authority: authority, ..source.clone() };
        let error = refusal(&source, None).await;
        contains(&error, "cannot be reached: TLS with \"127.0.0.1\": invalid peer certificate");
    }
    let plain = OciSource { plain_http: true, ..source };
    contains(&refusal(&plain, None).await, "answers 400 Bad Request");
}

#[tokio::test]
async fn a_start_without_the_registry_takes_what_was_there_last() {
    let mut registry = start(Door::Open).await;
    let (wasm, directory, tagged) = (plugin("a", 1), cache(), registry.source("acme/ewma:1"));
    let there = pushed(&tagged, &wasm).await;
    let pinned = OciSource { reference: there.pinned.into(), ..tagged.clone() };
    assert_eq!(fetched(&tagged, Some(directory.path())).await, wasm);
    registry.stop();
    assert_eq!(fetched(&tagged, Some(directory.path())).await, wasm);
    assert_eq!(fetched(&pinned, Some(directory.path())).await, wasm);
    let other = registry.source("acme/ewma:2");
    contains(&refusal(&other, Some(directory.path())).await, "cannot be reached: \"127.0.0.1\" port");
    contains(&refusal(&tagged, None).await, "cannot be reached");

    // A pin that is cached needs nobody: not even what names the registry's authority is read.
    let nothing = registry.directory().file("nothing");
    let bare = OciSource { certificate_authority: Some(nothing.clone()), pull_secret: Some(nothing), ..pinned };
    assert_eq!(fetched(&bare, Some(directory.path())).await, wasm);
    let tagged = OciSource { pull_secret: bare.pull_secret, ..tagged };
    contains(&refusal(&tagged, Some(directory.path())).await, "pull_secret");

    registry.start_again().await.unwrap_or_else(|error| panic!("{error:#}"));
    let new = plugin("b", 1);
    pushed(&registry.source("acme/ewma:1"), &new).await;
    assert_eq!(fetched(&registry.source("acme/ewma:1"), Some(directory.path())).await, new, "a tag is asked for");
}

#[tokio::test]
async fn a_cached_plugin_that_was_tampered_with_is_fetched_again_or_not_at_all() {
    let mut registry = start(Door::Open).await;
    let (wasm, directory, source) = (plugin("a", 1), cache(), registry.source("acme/ewma:1"));
    let there = pushed(&source, &wasm).await;
    assert_eq!(fetched(&source, Some(directory.path())).await, wasm);
    let cached = directory.path().join("oci/blobs").join(there.layer.hex());
    for evil in [plugin("evil", 1), Bytes::new()] {
        fs::write(&cached, &evil).expect("we may");
        assert_eq!(fetched(&source, Some(directory.path())).await, wasm);
        assert_eq!(fs::read(&cached).expect("it is kept again"), wasm);
    }
    fs::write(&cached, plugin("evil", 1)).expect("we may");
    registry.stop();
    contains(&refusal(&source, Some(directory.path())).await, "cannot be reached");
}

/// Signs as cosign does: a payload that names manifest and repository, beside the artifact.
async fn sign(registry: &Registry, there: &Pushed, keys: &[&KeyPair], of: Digest) {
    let payload = format!(
        "{{\"critical\":{{\"identity\":{{\"docker-reference\":\"registry.example/{REPOSITORY}\"}},\
         \"image\":{{\"docker-manifest-digest\":\"{of}\"}},\
         \"type\":\"cosign container image signature\"}},\"optional\":null}}"
    );
    let config = registry.put_blob(REPOSITORY, b"{}").await.expect("a blob");
    let layer = registry.put_blob(REPOSITORY, payload.as_bytes()).await.expect("a blob");
    let layers: Vec<String> = keys
        .iter()
        .map(|key| STANDARD.encode(key.sign(payload.as_bytes()).expect("it can sign")))
        .map(|signature| {
            format!(
                "{{\"mediaType\":\"application/vnd.dev.cosign.simplesigning.v1+json\",\"digest\":\"{layer}\",\
                 \"size\":{},\"annotations\":{{\"dev.cosignproject.cosign/signature\":\"{signature}\"}}}}",
                payload.len()
            )
        })
        .collect();
    let manifest = format!(
        "{{\"schemaVersion\":2,\"mediaType\":\"{MANIFEST}\",\"config\":{{\"mediaType\":\
         \"application/vnd.oci.image.config.v1+json\",\"digest\":\"{config}\",\"size\":2}},\"layers\":[{}]}}",
        layers.join(",")
    );
    let tag = format!("sha256-{}.sig", there.manifest.hex());
    registry.put_manifest(REPOSITORY, &tag, MANIFEST, &manifest).await.expect("a manifest");
}

fn key_file(directory: &Directory, name: &str, key: &KeyPair) -> Option<PathBuf> {
    let path = directory.file(name);
    fs::write(&path, key.public_key_pem()).expect("the temporary directory can be written to");
    Some(path)
}

#[tokio::test]
async fn only_what_the_key_has_signed_is_fetched() {
    let registry = start(Door::Open).await;
    let keys = cache();
    for algorithm in [&PKCS_ECDSA_P256_SHA256, &PKCS_ED25519] {
        let make = || KeyPair::generate_for(algorithm).expect("ring makes keys");
        let (ours, other) = (make(), make());
        let wasm = plugin(&format!("{algorithm:?}")[..9], 1);
        let plain = registry.source("acme/ewma:1");
        let there = pushed(&plain, &wasm).await;
        let signed = OciSource { cosign_key: key_file(&keys, "cosign.pub", &ours), ..plain };

        let missing = refusal(&signed, None).await;
        contains(&missing, &format!("manifest {} has no signature by cosign_key: no tag", there.manifest));
        sign(&registry, &there, &[&other], there.manifest).await;
        contains(&refusal(&signed, None).await, "has no signature by cosign_key: the signature is not by this key");
        sign(&registry, &there, &[&ours], there.layer).await;
        contains(&refusal(&signed, None).await, "the signature is of manifest");
        sign(&registry, &there, &[&other, &ours], there.manifest).await;
        assert_eq!(fetched(&signed, None).await, wasm, "one of two is right");

        pushed(&signed, &plugin("moved", 1)).await;
        contains(&refusal(&signed, None).await, "has no signature by cosign_key: no tag");
    }
    let broken = OciSource { cosign_key: Some("/dev/null".into()), ..registry.source("acme/ewma:1") };
    contains(&refusal(&broken, None).await, "cosign_key \"/dev/null\": holds no PUBLIC KEY");
}

#[tokio::test]
async fn a_signature_is_verified_again_without_the_registry_by_the_key_of_the_day() {
    let mut registry = start(Door::Open).await;
    let (keys, directory) = (cache(), cache());
    let [ours, other] = [(), ()].map(|()| KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("ring makes keys"));
    let (wasm, plain) = (plugin("a", 1), registry.source("acme/ewma:1"));
    let there = pushed(&plain, &wasm).await;
    sign(&registry, &there, &[&ours], there.manifest).await;
    let signed = OciSource { cosign_key: key_file(&keys, "ours.pub", &ours), ..plain.clone() };
    let otherwise = OciSource { cosign_key: key_file(&keys, "other.pub", &other), ..plain };
    assert_eq!(fetched(&signed, Some(directory.path())).await, wasm);
    contains(&refusal(&otherwise, Some(directory.path())).await, "not by this key");

    registry.stop();
    for reference in [signed.reference.clone(), there.pinned.into()] {
        let signed = OciSource { reference: reference.clone(), ..signed.clone() };
        let otherwise = OciSource { reference, ..otherwise.clone() };
        assert_eq!(fetched(&signed, Some(directory.path())).await, wasm);
        contains(&refusal(&otherwise, Some(directory.path())).await, "cannot be reached");
    }
}
