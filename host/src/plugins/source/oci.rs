//! Plugins from OCI registries, in the CNCF's layout for WebAssembly artifacts, and into them.
//!
//! [`fetch`] takes a reference, files that say who we are and whom we trust, and a limit; it gives the bytes of the one
//! layer that is the plugin. Nothing that a registry says is believed: every manifest and blob is held against the digest
//! by which it was asked for, and sizes are limited before and while bytes come. `pull_secret` and `certificate_authority`
//! are read anew each time, so a rotated Secret needs no restart.
//!
//! With a cache, what the digests stand for is taken from there, so that
//! - a reference that is pinned (`@sha256:…`) and was fetched before needs no registry at all, and asks none;
//! - a tag is always asked for, since it may have moved. Where the registry cannot be asked (no connection, no answer in
//!   time, 429, 5xx), what the tag last stood for serves, with a warning. Where the registry does answer, its word counts:
//!   a 401, 403 or 404 is an error, because somebody may have withdrawn the artifact for a reason.
//! - signatures are kept like everything else and verified again at every start, by the key of that day. A signature
//!   that was once seen stays one: there is no revoking it but by another key.
//!
//! With `cosign_key`, an artifact without a signature by that key is refused before its bytes are asked for.
//!
//! Why no client library: the best-kept one reads manifests and tokens without a limit, follows redirects from TLS to
//! plain HTTP and hands passwords to whatever address a registry names. It would also bring sixty crates, where what is
//! needed of the protocol is two kinds of GET.
//!
//! Absent on purpose: images of several platforms, since WebAssembly is one; deleting and listing.

mod cache;
mod challenge;
mod dial;
mod digest;
mod manifest;
mod pull_secret;
mod reference;
mod registry;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use hyper_util::client::proxy::matcher::Matcher;
use tracing::warn;
use wasmparser::{Encoding, Parser, Payload};

pub use digest::Digest;
pub use reference::Repository;

use self::cache::Cache;
use self::manifest::{Blob, Component, Signature};
use self::reference::Reference;
use self::registry::{Intent, LONGEST_MANIFEST, Registry};
use super::cosign::{Claim, PublicKey};
use crate::config::policies::OciSource;

/// How long a registry may take for a plugin, all questions together.
const FETCH_TIMEOUT: Duration = Duration::from_secs(30);
/// People wait for uploads, and see whether they do.
const PUSH_TIMEOUT: Duration = Duration::from_secs(300);
/// More of one artifact are not looked at: each is a question of its own.
const MOST_SIGNATURES: usize = 16;
/// What cosign signs takes two hundred bytes.
const LONGEST_PAYLOAD: u64 = 64 << 10;

/// Why an artifact was not fetched or pushed. Texts name registry and repository, and never hold a secret.
#[derive(Debug, thiserror::Error)]
pub enum OciError {
    /// For the operator: the reference is none.
    #[error("{reference:?} is no reference to an artifact: {problem}")]
    Reference {
        /// As written.
        reference: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// For the operator: the pull secret cannot be used.
    #[error("pull_secret {path:?}: {problem}")]
    PullSecret {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// For the operator: the certificates cannot be used.
    #[error("certificate_authority {path:?}: {problem}")]
    CertificateAuthority {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// For the operator: the key cannot be used.
    #[error("cosign_key {path:?}: {problem}")]
    CosignKey {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// For the operator: the registry does not let us.
    #[error("{of}: {who} is not authorised ({status})")]
    Unauthorised {
        /// Where.
        of: Repository,
        /// Who asked.
        who: String,
        /// 401 or 403.
        status: u16,
    },
    /// For the operator: the registry does not know it.
    #[error("{of}: {what} is not found")]
    NotFound {
        /// Where.
        of: Repository,
        /// What was asked for.
        what: String,
    },
    /// For whoever runs the registry or the network: there is no answer, or none at the moment.
    #[error("{of} cannot be reached: {problem}")]
    Unreachable {
        /// Where.
        of: Repository,
        /// Why.
        problem: String,
    },
    /// For whoever runs the registry: an answer that the protocol does not know, or that would lead us astray.
    #[error("{of}: {what} {problem}")]
    Refused {
        /// Where.
        of: Repository,
        /// What was asked for.
        what: String,
        /// What is wrong with the answer.
        problem: String,
    },
    /// For everybody: bytes that are not what they are called.
    #[error("{of}: {what} has the digest {found}, where {expected} is expected")]
    WrongDigest {
        /// Where.
        of: Repository,
        /// What was asked for.
        what: String,
        /// What it is called.
        expected: Digest,
        /// What it is.
        found: Digest,
    },
    /// For the plugin's author, or the operator's limit.
    #[error("{of}: {what} is larger than {limit} bytes")]
    TooLarge {
        /// Where.
        of: Repository,
        /// What was asked for.
        what: String,
        /// What it may have.
        limit: u64,
    },
    /// For the plugin's author: something else is there.
    #[error("{of} holds no WebAssembly artifact, which is one layer application/wasm, but {found}")]
    NotWasm {
        /// Where.
        of: Repository,
        /// What is there.
        found: String,
    },
    /// For the plugin's author: `cosign_key` has not signed it.
    #[error("{of}: manifest {digest} has no signature by cosign_key: {problem}")]
    Signature {
        /// Where.
        of: Repository,
        /// What should be signed.
        digest: Digest,
        /// Why there is none.
        problem: String,
    },
}

/// Fetches a plugin of at most `limit` bytes. `cache` is a directory in which an `oci` is made, for later starts.
///
/// # Errors
/// [`OciError`]; what cannot be cached is a warning.
pub async fn fetch(source: &OciSource, limit: usize, cache: Option<&Path>) -> Result<Bytes, OciError> {
    let reference = Reference::parse(&source.reference)?;
    let mut errand = Errand {
        source,
        reference: &reference,
        limit: limit as u64,
        cache: cache.and_then(Cache::open),
        reach: Reach::Registry,
        registry: None,
    };
    let error = match tokio::time::timeout(FETCH_TIMEOUT, errand.run()).await {
        Ok(Err(error @ OciError::Unreachable { .. })) => error,
        Ok(outcome) => return outcome,
        Err(_) => errand.unreachable(format!("it is not done after {} s", FETCH_TIMEOUT.as_secs())),
    };
    errand.reach = Reach::CacheAlone;
    match errand.run().await {
        Ok(wasm) => {
            warn!("{error}; what {:?} last stood for is used instead, from the cache", source.reference);
            Ok(wasm)
        }
        // That there is nothing in the cache is no news beside the reason for looking there.
        Err(_) => Err(error),
    }
}

/// A pushed artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// `REGISTRY/REPOSITORY@sha256:…`: what to write into gateway.toml.
    pub pinned: String,
    /// Of the manifest: what to sign.
    pub manifest: Digest,
    /// Of the plugin: `sha256` in gateway.toml.
    pub layer: Digest,
}

/// Uploads a plugin, which is a component or a core module, and has the tag of `destination` stand for it. Its
/// `cosign_key` is not used: signing is cosign's. `created` is written into the artifact; of the same bytes at the same
/// time it makes the same artifact.
///
/// # Errors
/// [`OciError`]; with [`OciError::NotWasm`] where the bytes are none.
pub async fn push(destination: &OciSource, wasm: Bytes, created: SystemTime) -> Result<Pushed, OciError> {
    let reference = Reference::parse(&destination.reference)?;
    let of = reference.repository().clone();
    if reference.digest().is_some() {
        let problem = "what is pushed gets its digest from its contents: leave @sha256:… out";
        return Err(OciError::Reference { reference: destination.reference.to_string(), problem });
    }
    let component = describe(&wasm).map_err(|found| OciError::NotWasm { of: of.clone(), found })?;
    let layer = Blob { digest: Digest::of(&wasm), size: wasm.len() as u64 };
    let config = manifest::config(layer.digest, &timestamp(created), component.as_ref());
    let manifest = manifest::build(layer, &config);
    let digest = Digest::of(&manifest);
    let mut registry = Registry::open(destination, &of, Intent::Push, Matcher::from_env())?;
    let upload = async {
        registry.put_blob(wasm).await?;
        registry.put_blob(config.into()).await?;
        registry.put_manifest(reference.tag(), manifest.into()).await
    };
    let late = |_| {
        let problem = format!("it is not done after {} s", PUSH_TIMEOUT.as_secs());
        OciError::Unreachable { of: of.clone(), problem }
    };
    tokio::time::timeout(PUSH_TIMEOUT, upload).await.map_err(late)??;
    let pinned = format!("{}/{}@{digest}", of.registry, of.name);
    Ok(Pushed { pinned, manifest: digest, layer: layer.digest })
}

/// In whole seconds, as RFC 3339 writes it.
fn timestamp(time: SystemTime) -> String {
    let time = jiff::Timestamp::try_from(time).unwrap_or_default();
    jiff::Timestamp::from_second(time.as_second()).unwrap_or_default().to_string()
}

/// What one [`fetch`] is about.
struct Errand<'a> {
    source: &'a OciSource,
    reference: &'a Reference,
    limit: u64,
    cache: Option<Cache>,
    reach: Reach,
    /// Opened when it is first needed: what is pinned and cached needs neither secrets nor certificates.
    registry: Option<Registry>,
}

/// Who is asked for what the cache has not.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    Registry,
    CacheAlone,
}

impl Errand<'_> {
    async fn run(&mut self) -> Result<Bytes, OciError> {
        let (digest, manifest) = self.manifest().await?;
        let of = || self.reference.repository().clone();
        let layer = manifest::wasm_layer(&manifest).map_err(|found| OciError::NotWasm { of: of(), found })?;
        if layer.size > self.limit {
            return Err(OciError::TooLarge { of: of(), what: format!("layer {}", layer.digest), limit: self.limit });
        }
        if let Some(path) = &self.source.cosign_key {
            self.check_signature(path, digest).await?;
        }
        let wasm = self.blob(layer).await?;
        // Only now: an artifact that is not here whole must not take the place of one that is.
        if let (Some(cache), Reach::Registry, None) = (&self.cache, self.reach, self.reference.digest()) {
            cache.remember(self.reference.repository(), self.reference.tag(), digest).await;
        }
        Ok(wasm)
    }

    /// The manifest, and its digest.
    async fn manifest(&mut self) -> Result<(Digest, Bytes), OciError> {
        if let Some(pinned) = self.reference.digest() {
            if let Some(manifest) = self.cached(pinned, LONGEST_MANIFEST).await {
                return Ok((pinned, manifest));
            }
            let registry = self.registry()?;
            let received = registry.manifest(&pinned.to_string()).await?;
            registry.check_digest("manifest", pinned, received.digest)?;
            self.keep(pinned, &received.bytes).await;
            return Ok((pinned, received.bytes));
        }
        let tag = self.reference.tag();
        match self.reach {
            Reach::Registry => self.manifest_of(tag).await,
            Reach::CacheAlone => self.recalled(tag).await.ok_or_else(|| self.unreachable(NOT_CACHED.to_owned())),
        }
    }

    /// What the registry has `tag` stand for.
    async fn manifest_of(&mut self, tag: &str) -> Result<(Digest, Bytes), OciError> {
        let received = self.registry()?.manifest(tag).await?;
        self.keep(received.digest, &received.bytes).await;
        Ok((received.digest, received.bytes))
    }

    /// What `tag` stood for.
    async fn recalled(&self, tag: &str) -> Option<(Digest, Bytes)> {
        let digest = self.cache.as_ref()?.recall(self.reference.repository(), tag).await?;
        Some((digest, self.cached(digest, LONGEST_MANIFEST).await?))
    }

    async fn blob(&mut self, blob: Blob) -> Result<Bytes, OciError> {
        if let Some(bytes) = self.cached(blob.digest, blob.size).await {
            return Ok(bytes);
        }
        let bytes = self.registry()?.blob(blob.digest, blob.size).await?;
        self.keep(blob.digest, &bytes).await;
        Ok(bytes)
    }

    /// Whether the key in `path` has signed the manifest `digest`: what is in the cache is looked at first.
    async fn check_signature(&mut self, path: &Path, digest: Digest) -> Result<(), OciError> {
        let key = PublicKey::read(path).map_err(|problem| OciError::CosignKey { path: path.to_owned(), problem })?;
        let tag = format!("sha256-{}.sig", digest.hex());
        if let Some((_, manifest)) = self.recalled(&tag).await
            && self.find_signature(&key, digest, &manifest).await.is_ok()
        {
            return Ok(());
        }
        let (of_signatures, manifest) = self.manifest_of(&tag).await.map_err(|error| match error {
            OciError::NotFound { of, .. } => OciError::Signature { of, digest, problem: format!("no tag {tag:?}") },
            error => error,
        })?;
        self.find_signature(&key, digest, &manifest).await?;
        if let Some(cache) = &self.cache {
            cache.remember(self.reference.repository(), &tag, of_signatures).await;
        }
        Ok(())
    }

    /// Looks for one signature that is right; several people, or several keys, may have signed.
    async fn find_signature(&mut self, key: &PublicKey, digest: Digest, manifest: &[u8]) -> Result<(), OciError> {
        let of = self.reference.repository().clone();
        let lacking = |problem: String| OciError::Signature { of: of.clone(), digest, problem };
        let mut last = "there is none of cosign's kind".to_owned();
        for Signature { payload, base64 } in manifest::signatures(manifest, MOST_SIGNATURES).map_err(lacking)? {
            if payload.size > LONGEST_PAYLOAD {
                last = format!("a payload is larger than {LONGEST_PAYLOAD} bytes");
                continue;
            }
            let payload = self.blob(payload).await?;
            let claim = Claim { digest: &digest.to_string(), repository: &of.name };
            match key.verify(&payload, &base64, claim) {
                Ok(()) => return Ok(()),
                Err(problem) => last = problem,
            }
        }
        Err(lacking(last))
    }

    async fn cached(&self, digest: Digest, limit: u64) -> Option<Bytes> {
        self.cache.as_ref()?.blob(digest, limit).await
    }

    async fn keep(&self, digest: Digest, bytes: &Bytes) {
        if let Some(cache) = &self.cache {
            cache.keep(digest, bytes.clone()).await;
        }
    }

    fn registry(&mut self) -> Result<&mut Registry, OciError> {
        if self.reach == Reach::CacheAlone {
            return Err(self.unreachable(NOT_CACHED.to_owned()));
        }
        if self.registry.is_none() {
            let repository = self.reference.repository();
            self.registry = Some(Registry::open(self.source, repository, Intent::Pull, Matcher::from_env())?);
        }
        Ok(self.registry.as_mut().expect("it was opened just now"))
    }

    fn unreachable(&self, problem: String) -> OciError {
        OciError::Unreachable { of: self.reference.repository().clone(), problem }
    }
}

/// The problem of whoever may not ask a registry.
const NOT_CACHED: &str = "the cache has no copy";

/// What a component exports and imports, and the world of ours that it was made for, if it is one; None: a core module.
fn describe(wasm: &[u8]) -> Result<Option<Component>, String> {
    let mut component = Component::default();
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(wasm) {
        let unfit = |error: wasmparser::BinaryReaderError| format!("bytes that are no WebAssembly: {error}");
        match payload.map_err(unfit)? {
            Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => return Ok(None),
            // What modules and components inside have to do with each other is nobody's business.
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(imports) if depth == 0 => {
                for import in imports {
                    component.imports.push(import.map_err(unfit)?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(exports) if depth == 0 => {
                for export in exports {
                    component.exports.push(export.map_err(unfit)?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    component.target = target(&component.exports);
    Ok(Some(component))
}

/// `metrics-gateway:policy/WORLD@VERSION`; None where the exports are not those of exactly one world.
fn target(exports: &[String]) -> Option<String> {
    let ours = exports.iter().filter_map(|export| export.strip_prefix("metrics-gateway:policy/")?.split_once('@'));
    let mut hooks: Vec<(&str, &str)> = ours.filter(|(interface, _)| *interface != "plugin").collect();
    if hooks.iter().any(|(interface, _)| *interface == "filter-by-value") {
        // The world of filters by value includes that of filters.
        hooks.retain(|(interface, _)| *interface != "filter");
    }
    let [(interface, version)] = *hooks else { return None };
    let world = if interface == "filter-by-value" { "value-filter" } else { interface };
    Some(format!("metrics-gateway:policy/{world}-policy@{version}"))
}
