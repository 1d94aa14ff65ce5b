//! Where the bytes of a plugin come from: a file, or a registry.
//!
//! In: a [`Source`]. Out: the bytes of one .wasm file, at most as many as the plugin may have. They are not trusted yet:
//! what they are is for `artifact` to find out.
//!
//! A symbolic link is followed, because that is how Kubernetes mounts ConfigMaps and images. Anything but a regular file
//! is refused without waiting: the other end of a FIFO need never come.
//!
//! Absent on purpose: digests of the .wasm file (`load`), and watching for changes.

pub mod cosign;
pub mod oci;

use std::io;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rustix::fs::OFlags;

use crate::config::policies::Source;
use oci::OciError;

/// Reads an artifact of at most `limit` bytes. What came from a registry is kept in `cache`, where there is one.
///
/// # Errors
/// [`SourceError`] says what could not be read, and why.
pub async fn read(source: &Source, limit: usize, cache: Option<&Path>) -> Result<Bytes, SourceError> {
    match source {
        Source::File(path) => {
            let path = path.clone();
            let reading = tokio::task::spawn_blocking(move || read_file(&path, limit));
            reading.await.map_err(|_| SourceError::Abandoned)?
        }
        Source::Oci(source) => Ok(oci::fetch(source, limit, cache).await?),
    }
}

/// Why there are no bytes.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The file system says why.
    #[error("cannot read {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// In the system's words.
        source: io::Error,
    },
    /// A directory, a FIFO, a device or a socket.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// What was named.
        path: PathBuf,
    },
    /// It is longer than the plugin's `limits.size`.
    #[error("{} is larger than the {limit} bytes that `limits.size` allows", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// What it may have.
        limit: usize,
    },
    /// The registry did not give it.
    #[error(transparent)]
    Oci(#[from] OciError),
    /// The gateway is ending.
    #[error("reading was given up, because the gateway is ending")]
    Abandoned,
}

fn read_file(path: &Path, limit: usize) -> Result<Bytes, SourceError> {
    let failed = |source| SourceError::File { path: path.to_owned(), source };
    let not_waiting = i32::try_from(OFlags::NONBLOCK.bits()).expect("flags of open() fit into an int");
    let file = std::fs::OpenOptions::new().read(true).custom_flags(not_waiting).open(path).map_err(failed)?;
    let about = file.metadata().map_err(failed)?;
    if !about.is_file() {
        return Err(SourceError::NotAFile { path: path.to_owned() });
    }
    let too_large = || SourceError::TooLarge { path: path.to_owned(), limit };
    // The length may change while we read, so it says only what need not be read at all, and how much to reserve.
    let length = usize::try_from(about.len()).ok().filter(|length| *length <= limit).ok_or_else(too_large)?;
    let mut bytes = Vec::with_capacity(length + 1);
    file.take(limit as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > limit { Err(too_large()) } else { Ok(bytes.into()) }
}

#[cfg(test)]
mod tests;
