//! What was fetched before: manifests and blobs by their digest, and what the tags last stood for.
//!
//! A blob is a file whose name is its digest, which is checked whenever it is read, so nobody can change what a digest
//! stands for; one that does not fit is removed and fetched again. What a tag stood for is a file as well and proves
//! nothing: whoever can write to the directory can say what a tag means while its registry is away. So the directory is
//! ours alone (mode 0700), is not used where it is open to others, and a pinned digest or a `cosign_key` needs no such
//! trust at all.
//!
//! Files come into being by a rename, whole or not at all. They are not synced: what a power failure leaves is found out
//! by its digest. The oldest go first; using one makes it young. A cache that cannot be used is a warning and no failure.

#[cfg(test)]
mod tests;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use bytes::Bytes;
use rustix::fs::{Timespec, Timestamps, UTIME_NOW, futimens};
use tracing::warn;

use super::digest::Digest;
use super::reference::Repository;

/// A signed plugin takes four files: for sixty-four of them, which is more than anybody has, and as many predecessors.
const MOST_FILES: usize = 512;
/// Sixteen of the largest plugins that the default limits let in.
const MOST_BYTES: u64 = 512 << 20;

/// The directory, and how much may stay in it.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    blobs: Arc<Path>,
    tags: Arc<Path>,
    most_files: usize,
    most_bytes: u64,
}

impl Cache {
    /// Opens `oci` in `parent`, and makes it where there is none. None, and a warning, where it cannot be used.
    pub(super) fn open(parent: &Path) -> Option<Self> {
        match Self::try_open(parent) {
            Ok(cache) => Some(cache),
            Err(error) => {
                let path = parent.join("oci");
                warn!("plugins are not cached: {}: {error}", path.display());
                None
            }
        }
    }

    fn try_open(parent: &Path) -> io::Result<Self> {
        let root = parent.join("oci");
        let (blobs, tags) = (root.join("blobs"), root.join("tags"));
        for directory in [&root, &blobs, &tags] {
            DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        }
        check_ours(&root)?;
        Ok(Self { blobs: blobs.into(), tags: tags.into(), most_files: MOST_FILES, most_bytes: MOST_BYTES })
    }

    /// The bytes of `digest`, where they are here and at most `limit` many.
    pub(super) async fn blob(&self, digest: Digest, limit: u64) -> Option<Bytes> {
        let path = self.blobs.join(digest.hex());
        beside(move || read_blob(&path, digest, limit)).await.flatten()
    }

    /// Keeps `bytes`, of which `digest` is the digest.
    pub(super) async fn keep(&self, digest: Digest, bytes: Bytes) {
        let cache = self.clone();
        beside(move || cache.write(&cache.blobs, &digest.hex(), &bytes)).await;
    }

    /// What `tag` stood for when it was last asked for.
    pub(super) async fn recall(&self, repository: &Repository, tag: &str) -> Option<Digest> {
        let path = self.tags.join(file_of(repository, tag));
        beside(move || Digest::parse(fs::read_to_string(path).ok()?.trim_end())).await.flatten()
    }

    /// Keeps what `tag` stands for.
    pub(super) async fn remember(&self, repository: &Repository, tag: &str, digest: Digest) {
        let (cache, name) = (self.clone(), file_of(repository, tag));
        beside(move || cache.write(&cache.tags, &name, format!("{digest}\n").as_bytes())).await;
    }

    fn write(&self, directory: &Path, name: &str, bytes: &[u8]) {
        let written = write_whole(directory, name, bytes)
            .and_then(|()| forget_oldest(directory, self.most_files, self.most_bytes));
        if let Err(error) = written {
            warn!("cannot keep what was fetched in {}: {error}", directory.display());
        }
    }
}

/// Names of tags hold characters that names of files do not, so their digest serves.
fn file_of(repository: &Repository, tag: &str) -> String {
    Digest::of(format!("{}/{}:{tag}", repository.registry, repository.name).as_bytes()).hex()
}

/// Files are read and written on a thread that may wait. None where there is none any more, in a process that ends.
async fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}

fn check_ours(directory: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(directory)?;
    let refused = |problem: String| Err(io::Error::other(problem));
    if !found.is_dir() {
        return refused("it is not a directory".to_owned());
    }
    if found.uid() != rustix::process::geteuid().as_raw() {
        return refused(format!("it belongs to user {}, not to us", found.uid()));
    }
    match found.mode() & 0o777 {
        mode if mode & 0o077 != 0 => refused(format!("its mode is {mode:04o}, open to others; 0700 is expected")),
        _ => Ok(()),
    }
}

fn read_blob(path: &PathBuf, digest: Digest, limit: u64) -> Option<Bytes> {
    let file = File::open(path).ok()?;
    let mut bytes = Vec::new();
    (&file).take(limit.saturating_add(1)).read_to_end(&mut bytes).ok()?;
    if bytes.len() as u64 > limit {
        return None;
    }
    if Digest::of(&bytes) != digest {
        warn!("{} is not what its name says: it is removed", path.display());
        // Whoever comes next checks again.
        let _ = fs::remove_file(path);
        return None;
    }
    let now = || Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    // That it counts as old is no reason not to use it.
    let _ = futimens(&file, &Timestamps { last_access: now(), last_modification: now() });
    Some(bytes.into())
}

fn write_whole(directory: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let unfinished = directory.join(format!(".{}-{number}", std::process::id()));
    // What a process of the same number has left behind is in nobody's way.
    let _ = fs::remove_file(&unfinished);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    let written = file.write_all(bytes).and_then(|()| fs::rename(&unfinished, directory.join(name)));
    if written.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    written
}

/// Also what was never finished: its time comes as everybody's.
fn forget_oldest(directory: &Path, most_files: usize, most_bytes: u64) -> io::Result<()> {
    let mut files: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        // One that has gone meanwhile need not be forgotten.
        let Ok(found) = entry.metadata() else { continue };
        files.push((found.modified()?, found.len(), entry.path()));
    }
    files.sort_by(|(a, ..), (b, ..)| b.cmp(a));
    let mut bytes = 0;
    for (at, (_, length, path)) in files.into_iter().enumerate() {
        bytes += length;
        // The newest stays however long it is: it was wanted just now.
        if at > 0 && (at >= most_files || bytes > most_bytes) {
            let _ = fs::remove_file(path);
        }
    }
    Ok(())
}
