//! Compiled artifacts on disk, so that a start need not compile: loading takes microseconds where compiling takes seconds.
//!
//! In: a directory that is ours alone, and the bytes of a component. Out: the component, compiled, if this engine or one
//! like it compiled the same bytes before. Machine code is believed blindly once it is loaded, so a file is loaded only if
//! it bears a seal (HMAC-SHA256 over its name and all of its bytes) that nobody can make who cannot read the
//! key, which lies in the same directory, readable by its owner alone. The name is the digest of the component with that of
//! everything the machine code depends on: version and settings of the engine, processor.
//!
//! Nothing here fails: a directory that cannot be used, or a file that is not as it was left, costs a warning and a
//! compilation. The oldest files go when there are more than [`FILES`], or more bytes than [`BYTES`].
//!
//! Absent on purpose: precompiled artifacts from elsewhere.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hash::{Hash as _, Hasher};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};
use sha2::{Digest as _, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

/// Files that are kept: every plugin of a large installation, and those of the generation before.
const FILES: usize = 64;
/// Bytes that are kept. Compiled artifacts are two to four times as large as their source.
const BYTES: u64 = 1 << 30;
/// Length of key and seal.
const SEAL: usize = 32;
const KEY: &str = "key";

/// A directory of compiled artifacts, and the key to their seals.
pub(super) struct Cache {
    directory: PathBuf,
    key: hmac::Key,
}

impl Cache {
    /// Opens or makes a directory; None, and a warning, where it cannot be trusted or used.
    pub(super) fn open(directory: PathBuf) -> Option<Self> {
        let opened = make(&directory).and_then(|()| key(&directory));
        match opened {
            Ok(key) => Some(Self { directory, key }),
            Err(error) => {
                let directory = directory.display();
                tracing::warn!(
                    "compiled plugins cannot be kept in \"{directory}\", each start compiles them anew: {error}"
                );
                None
            }
        }
    }

    /// What was compiled of these bytes before; None: nothing, or nothing that can be believed.
    pub(super) fn load(&self, engine: &Engine, component: &[u8]) -> Option<Component> {
        let name = name(engine, component);
        let path = self.directory.join(&name);
        let sealed = read(&path).ok()?;
        let Some(code) = self.unsealed(&name, &sealed) else {
            tracing::warn!("\"{}\" is not as it was left, so its plugin is compiled anew", path.display());
            return None;
        };
        deserialize(engine, code).inspect_err(|error| tracing::warn!("{}: {error:#}", path.display())).ok()
    }

    /// Keeps what was compiled of these bytes.
    pub(super) fn save(&self, engine: &Engine, bytes: &[u8], component: &Component) {
        let name = name(engine, bytes);
        let saved = component.serialize().map_err(io::Error::other).and_then(|code| self.write(&name, &code));
        if let Err(error) = saved.and_then(|()| self.prune()) {
            let directory = self.directory.display();
            tracing::warn!(
                "a compiled plugin could not be kept in \"{directory}\", the next start compiles it anew: {error}"
            );
        }
    }

    fn write(&self, name: &str, code: &[u8]) -> io::Result<()> {
        let seal = hmac::sign(&self.key_of(name), code);
        let unfinished = self.directory.join(format!("{name}.{}", std::process::id()));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        file.write_all(seal.as_ref()).and_then(|()| file.write_all(code))?;
        fs::rename(&unfinished, self.directory.join(name))
    }

    fn unsealed<'a>(&self, name: &str, sealed: &'a [u8]) -> Option<&'a [u8]> {
        let (seal, code) = sealed.split_at_checked(SEAL)?;
        hmac::verify(&self.key_of(name), code, seal).ok()?;
        Some(code)
    }

    /// Each file has a key of its own, made from its name: a file that was renamed is as foreign as one that was changed.
    fn key_of(&self, name: &str) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&self.key, name.as_bytes()).as_ref())
    }

    /// Drops the oldest files beyond the bounds, and what an interrupted process left unfinished.
    fn prune(&self) -> io::Result<()> {
        let mut kept: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let (path, metadata) = entry.and_then(|entry| Ok((entry.path(), entry.metadata()?)))?;
            if metadata.is_file() && path.file_name().is_some_and(|name| name != KEY) {
                kept.push((metadata.modified()?, metadata.len(), path));
            }
        }
        kept.sort_by_key(|(modified, ..)| std::cmp::Reverse(*modified));
        let mut bytes = 0;
        for (index, (_, length, path)) in kept.into_iter().enumerate() {
            bytes += length;
            if index >= FILES || bytes > BYTES {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

/// The only `unsafe` of this crate.
#[expect(
    unsafe_code,
    reason = "wasmtime offers no other way to load machine code, and compiling takes 670 times as long"
)]
fn deserialize(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: `code` is what `Component::serialize` put out in a process that had our key, byte by byte: its caller has
    // verified the seal, over bytes that lie in our memory and cannot change any more. wasmtime itself checks that it was
    // put out by its own version with these settings for this kind of processor.
    unsafe { Component::deserialize(engine, code) }
}

/// The name of the file of a component that an engine compiled.
fn name(engine: &Engine, component: &[u8]) -> String {
    let mut compatibility = Sha256Hasher(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut compatibility);
    format!("{}-{}.cwasm", hex(&Sha256::digest(component)), hex(&compatibility.0.finalize()))
}

/// A hasher of which the whole digest is taken, and which is the same in every process.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        self.0.clone().finalize().iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Makes the directory where there is none, and makes sure that nobody else can write to it or read the key.
fn make(directory: &Path) -> io::Result<()> {
    match DirBuilder::new().recursive(true).mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let metadata = fs::symlink_metadata(directory)?;
    if !metadata.is_dir() {
        return Err(io::Error::other("it is not a directory"));
    }
    is_ours_alone(&metadata)
}

fn is_ours_alone(metadata: &fs::Metadata) -> io::Result<()> {
    let us = rustix::process::geteuid().as_raw();
    if metadata.uid() != us {
        return Err(io::Error::other(format!("it belongs to user {}, and this process is user {us}", metadata.uid())));
    }
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(io::Error::other(format!("others than its owner may use it (mode {mode:03o})")));
    }
    Ok(())
}

/// The key of the directory, made where there is none.
fn key(directory: &Path) -> io::Result<hmac::Key> {
    let path = directory.join(KEY);
    if let Err(error) = fs::metadata(&path) {
        if error.kind() != io::ErrorKind::NotFound {
            return Err(error);
        }
        make_key(&path)?;
    }
    let file = File::open(&path)?;
    is_ours_alone(&file.metadata()?).map_err(|error| io::Error::other(format!("its key: {error}")))?;
    let mut key = Vec::new();
    file.take(SEAL as u64 + 1).read_to_end(&mut key)?;
    if key.len() != SEAL {
        return Err(io::Error::other("its key is not as long as a key"));
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &key))
}

/// Makes a key, whole or not at all. Where another process has just made one, that one stays.
fn make_key(path: &Path) -> io::Result<()> {
    let mut key = [0; SEAL];
    SystemRandom::new().fill(&mut key).map_err(|_| io::Error::other("the system has no randomness"))?;
    let unfinished = path.with_extension(std::process::id().to_string());
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?.write_all(&key)?;
    let linked = fs::hard_link(&unfinished, path);
    fs::remove_file(&unfinished)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// The bytes of a file, if they are not more than the whole directory may have.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
