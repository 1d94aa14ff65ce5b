use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use super::*;
use crate::plugins::source::oci::reference::Reference;
use crate::plugins::source::oci::tests::Scratch;

fn repository(reference: &str) -> Repository {
    Reference::parse(reference).unwrap().repository().clone()
}

fn files(directory: &Path) -> usize {
    fs::read_dir(directory).unwrap().count()
}

#[tokio::test]
async fn what_is_kept_is_found_by_its_digest_alone() {
    let scratch = Scratch::new();
    let cache = Cache::open(scratch.path()).unwrap();
    let digest = Digest::of(b"wasm");
    assert_eq!(cache.blob(digest, 4).await, None);
    cache.keep(digest, Bytes::from_static(b"wasm")).await;
    assert_eq!(cache.blob(digest, 4).await.as_deref(), Some(&b"wasm"[..]));
    assert_eq!(cache.blob(digest, 3).await, None, "it is longer than allowed");
    assert_eq!(files(&cache.blobs), 1, "nothing unfinished is left");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&scratch.path().join("oci")), mode(&cache.blobs.join(digest.hex()))), (0o700, 0o600));
}

#[tokio::test]
async fn a_blob_that_was_tampered_with_is_removed() {
    let scratch = Scratch::new();
    let cache = Cache::open(scratch.path()).unwrap();
    let digest = Digest::of(b"wasm");
    cache.keep(digest, Bytes::from_static(b"wasm")).await;
    fs::write(cache.blobs.join(digest.hex()), b"evil").unwrap();
    assert_eq!(cache.blob(digest, 4).await, None);
    assert_eq!(files(&cache.blobs), 0);
}

#[tokio::test]
async fn a_tag_is_one_of_one_repository() {
    let scratch = Scratch::new();
    let cache = Cache::open(scratch.path()).unwrap();
    let (ours, other) = (repository("r.example/a"), repository("r.example/b"));
    cache.remember(&ours, "1", Digest::of(b"one")).await;
    assert_eq!(cache.recall(&ours, "1").await, Some(Digest::of(b"one")));
    assert_eq!((cache.recall(&ours, "2").await, cache.recall(&other, "1").await), (None, None));
    cache.remember(&ours, "1", Digest::of(b"two")).await;
    assert_eq!(cache.recall(&ours, "1").await, Some(Digest::of(b"two")));
    fs::write(cache.tags.join(file_of(&ours, "1")), "../../etc").unwrap();
    assert_eq!(cache.recall(&ours, "1").await, None);
}

#[tokio::test]
async fn the_longest_unused_go_first() {
    let scratch = Scratch::new();
    let mut cache = Cache::open(scratch.path()).unwrap();
    cache.most_files = 3;
    let digests: Vec<Digest> = (0_u8..4).map(|number| Digest::of(&[number])).collect();
    for (number, digest) in (0_u8..3).zip(&digests) {
        cache.keep(*digest, Bytes::from(vec![number])).await;
        let age = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(number));
        File::open(cache.blobs.join(digest.hex())).unwrap().set_modified(age).unwrap();
    }
    assert!(cache.blob(digests[0], 1).await.is_some(), "using the oldest makes it young");
    cache.keep(digests[3], Bytes::from(vec![3])).await;
    let mut kept = Vec::new();
    for digest in &digests {
        kept.push(cache.blob(*digest, 1).await.is_some());
    }
    assert_eq!(kept, [true, false, true, true]);
    cache.most_bytes = 1;
    cache.keep(digests[1], Bytes::from(vec![1])).await;
    assert_eq!(files(&cache.blobs), 1, "of more bytes than may stay, the newest stay");
    assert!(cache.blob(digests[1], 1).await.is_some());
}

#[tokio::test]
async fn a_directory_that_others_can_enter_is_not_used() {
    let scratch = Scratch::new();
    Cache::open(scratch.path()).unwrap();
    fs::set_permissions(scratch.path().join("oci"), PermissionsExt::from_mode(0o755)).unwrap();
    let error = Cache::try_open(scratch.path()).unwrap_err().to_string();
    assert!(error.contains("0755"), "{error}");
    assert!(Cache::open(Path::new("/dev/null")).is_none(), "nor one that cannot be");
}
