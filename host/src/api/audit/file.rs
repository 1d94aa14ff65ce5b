//! A log file that is put aside when it has grown too large, and the files put aside before it.
//!
//! `audit.log` becomes `audit-2026-11-21T10-19-33.123.log`, with `.gz` behind it where it is compressed: the names that
//! upstream's logger gives, so that whatever collects them finds them. A file that is there at start is gone on with.
//!
//! Absent on purpose: a clock, and threads. [`LogFile::write`] blocks, and [`tidy`] may take seconds.
//!
//! Rules: `gopkg.in/natefinch/lumberjack.v2`. One line goes into one file, whatever its length.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::config::Rotation;
use crate::model::units::UnixNanos;

/// The file that is written to.
pub(super) struct LogFile {
    path: PathBuf,
    max_bytes: u64,
    file: File,
    size: u64,
}

/// Whether a file was put aside, so that it is time to [`tidy`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rotated {
    Yes,
    No,
}

impl LogFile {
    pub(super) fn open(path: &Path, max_bytes: u64) -> io::Result<Self> {
        if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        }
        let file = append_to(path)?;
        let size = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), max_bytes, file, size })
    }

    /// Appends whole lines, each to the file that has room for it.
    pub(super) fn write(&mut self, lines: &[&[u8]], now: UnixNanos) -> io::Result<Rotated> {
        let mut rotated = Rotated::No;
        let mut pending = Vec::new();
        for line in lines {
            let length = line.len() as u64;
            let is_empty = self.size == 0 && pending.is_empty();
            if !is_empty && self.size + (pending.len() as u64) + length > self.max_bytes {
                self.append(&mut pending)?;
                self.put_aside(now)?;
                rotated = Rotated::Yes;
            }
            pending.extend_from_slice(line);
        }
        self.append(&mut pending)?;
        Ok(rotated)
    }

    fn append(&mut self, pending: &mut Vec<u8>) -> io::Result<()> {
        self.file.write_all(pending)?;
        self.size += pending.len() as u64;
        pending.clear();
        Ok(())
    }

    fn put_aside(&mut self, now: UnixNanos) -> io::Result<()> {
        let names = Names::of(&self.path);
        // Two of the same millisecond do not overwrite each other.
        let mut at = now.0 / MILLISECOND;
        while names.backup(at).exists() || names.compressed(at).exists() {
            at += 1;
        }
        std::fs::rename(&self.path, names.backup(at))?;
        self.file = append_to(&self.path)?;
        self.size = 0;
        Ok(())
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

/// Removes the files that are too old or too many, and compresses the others if they are to be.
pub(super) fn tidy(path: &Path, rotation: &Rotation, now: UnixNanos) -> io::Result<()> {
    let names = Names::of(path);
    let mut backups = names.find()?;
    backups.sort_by_key(|backup| std::cmp::Reverse(backup.at));
    let most = rotation.max_backups.map_or(usize::MAX, std::num::NonZeroUsize::get);
    for (index, backup) in backups.iter().enumerate() {
        let age = Duration::from_millis((now.0 / MILLISECOND).saturating_sub(backup.at));
        if index >= most || rotation.max_age.is_some_and(|max_age| age > max_age) {
            std::fs::remove_file(&backup.path)?;
        } else if rotation.compress && !backup.is_compressed {
            compress(&backup.path, &names.compressed(backup.at))?;
        }
    }
    Ok(())
}

/// Under another name until it is whole.
fn compress(from: &Path, to: &Path) -> io::Result<()> {
    let mut part = to.as_os_str().to_owned();
    part.push(".part");
    let file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&part)?;
    let mut encoder = GzEncoder::new(file, Compression::default());
    io::copy(&mut File::open(from)?, &mut encoder)?;
    encoder.finish()?.sync_all()?;
    std::fs::rename(&part, to)?;
    std::fs::remove_file(from)
}

const MILLISECOND: u64 = 1_000_000;
/// As Go writes it: `2006-01-02T15-04-05.000`, in UTC.
const TIME: &str = "%Y-%m-%dT%H-%M-%S%.3f";

/// How files that are put aside are called.
struct Names {
    directory: PathBuf,
    /// `audit-`
    prefix: String,
    /// `.log`
    suffix: String,
}

/// A file that was put aside.
struct Backup {
    path: PathBuf,
    /// When, in milliseconds since the epoch.
    at: u64,
    is_compressed: bool,
}

impl Names {
    fn of(path: &Path) -> Self {
        let part = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
        let suffix = part(path.extension());
        Self {
            directory: path.parent().unwrap_or(Path::new("")).to_owned(),
            prefix: format!("{}-", part(path.file_stem())),
            suffix: if suffix.is_empty() { suffix } else { format!(".{suffix}") },
        }
    }

    fn backup(&self, millis: u64) -> PathBuf {
        let at = i64::try_from(millis).ok().and_then(|millis| Timestamp::from_millisecond(millis).ok());
        let at = at.unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(TimeZone::UTC).strftime(TIME).to_string();
        self.directory.join(format!("{}{at}{}", self.prefix, self.suffix))
    }

    fn compressed(&self, millis: u64) -> PathBuf {
        let mut path = self.backup(millis).into_os_string();
        path.push(".gz");
        path.into()
    }

    fn find(&self) -> io::Result<Vec<Backup>> {
        let directory = if self.directory.as_os_str().is_empty() { Path::new(".") } else { &self.directory };
        let entries = std::fs::read_dir(directory)?.filter_map(Result::ok);
        Ok(entries.filter_map(|entry| self.read(&entry.path())).collect())
    }

    /// None for a file that is none of ours.
    fn read(&self, path: &Path) -> Option<Backup> {
        let name = path.file_name()?.to_str()?;
        let (plain, is_compressed) = match name.strip_suffix(".gz") {
            Some(plain) => (plain, true),
            None => (name, false),
        };
        let at = plain.strip_prefix(self.prefix.as_str())?.strip_suffix(self.suffix.as_str())?;
        let at = jiff::civil::DateTime::strptime(TIME, at).ok()?.to_zoned(TimeZone::UTC).ok()?;
        let at = u64::try_from(at.timestamp().as_millisecond()).ok()?;
        Some(Backup { path: path.to_owned(), at, is_compressed })
    }
}

#[cfg(test)]
mod tests;
