//! What an attempt saw: the text of gateway.toml, and the digests of the files that it names.
//!
//! Digests rather than times: whoever deploys may write the same bytes anew as often as they like. What a registry has is
//! not seen here.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::config::policies::{PoliciesConfig, Source};

/// Files, as they were at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// Of gateway.toml.
    pub(super) text: String,
    /// By path; None: it cannot be read, or is larger than it may be.
    pub(super) artifacts: BTreeMap<PathBuf, Option<[u8; 32]>>,
}

impl Seen {
    pub(super) async fn of(text: String, policies: &PoliciesConfig) -> Self {
        let files: Vec<(PathBuf, usize)> = policies
            .plugins
            .iter()
            .filter_map(|plugin| match &plugin.source {
                Source::File(path) => Some((path.clone(), plugin.limits.size)),
                Source::Oci(_) => None,
            })
            .collect();
        // Some megabytes from the page cache, or from a disk that is slow.
        let digests = move || files.into_iter().map(|(path, limit)| (digest(&path, limit).ok(), path));
        let reading = tokio::task::spawn_blocking(move || digests().map(|(digest, path)| (path, digest)).collect());
        // A runtime that is ending gives up what blocks; then nobody looks at this any more.
        Self { text, artifacts: reading.await.unwrap_or_default() }
    }
}

fn digest(path: &Path, limit: usize) -> io::Result<[u8; 32]> {
    // Whoever loads it says what is wrong with it; here it is enough not to wait for the other end of a pipe.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("no regular file"));
    }
    let mut file = File::open(path)?.take(limit as u64 + 1);
    let mut hash = Sha256::new();
    let length = io::copy(&mut file, &mut hash)?;
    if length > limit as u64 { Err(io::Error::other("too large")) } else { Ok(hash.finalize().into()) }
}
