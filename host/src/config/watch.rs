//! Tells when gateway.toml, or an artifact that it names, may have changed.
//!
//! In: the paths of files. Out: [`Change`]s: that something stirred and has come to rest, or that an operator asked by
//! SIGHUP. What is told is a suspicion; whoever is told reads the files and compares. Files may be replaced by renaming
//! (editors), written in place, deleted and brought back, and swapped behind a chain of symlinks (how Kubernetes mounts
//! ConfigMaps and Secrets): every directory that has a part in where a path leads is watched, for the names that matter
//! there. A file that does not exist is waited for, from the deepest directory that does.
//!
//! The system's notices can be had no longer where its limits are reached, and do not come from all file systems.
//! So the files are also looked at every [`BACKSTOP`], and every [`WITHOUT_NOTICES`] where nothing can be watched.
//!
//! Absent on purpose: reading the files, and applying what they say.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use parking_lot::Mutex;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until};
use tracing::warn;

/// How long nothing must stir before a change is told: whoever writes a file writes it in several steps. Short enough
/// that ten plugins are loaded and in force within a second of the last write.
const QUIET: Duration = Duration::from_millis(150);

/// A change is told after so long even if files go on being written.
const LONGEST_UNREST: Duration = Duration::from_secs(1);

/// How often files are looked at besides.
const BACKSTOP: Duration = Duration::from_secs(30);

/// How often files are looked at where the system cannot be asked to tell.
const WITHOUT_NOTICES: Duration = Duration::from_secs(5);

/// As many symlinks as the system itself would follow.
const MOST_SYMLINKS: usize = 40;

/// Why it may be time to read the files again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// One of them may have changed.
    Files,
    /// An operator asked, by SIGHUP.
    Asked,
}

/// Eyes on files.
pub struct Watch {
    files: Vec<PathBuf>,
    /// None: the system cannot be asked to tell.
    notices: Option<RecommendedWatcher>,
    /// What `notices` looks at.
    directories: BTreeSet<PathBuf>,
    unrest: Arc<Unrest>,
    /// What the files looked like when a change was last told.
    looks: Vec<Option<Look>>,
    looking: Interval,
    hangups: Signal,
}

impl Watch {
    /// Watches nothing yet but SIGHUP, which from now on does not end the process any more.
    ///
    /// # Errors
    /// If the system refuses to tell of signals.
    pub fn try_new() -> io::Result<Self> {
        let unrest = Arc::new(Unrest::default());
        let told = Arc::clone(&unrest);
        let notices = notify::recommended_watcher(move |event| told.take_in(event));
        let period = if notices.is_ok() { BACKSTOP } else { WITHOUT_NOTICES };
        if let Err(error) = &notices {
            warn!("changes of files are noticed every {period:?} only, the system does not tell of them: {error}");
        }
        let mut looking = interval_at(Instant::now() + period, period);
        looking.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            files: Vec::new(),
            notices: notices.ok(),
            directories: BTreeSet::new(),
            unrest,
            looks: Vec::new(),
            looking,
            hangups: signal(SignalKind::hangup())?,
        })
    }

    /// From now on these files are watched. What happened before is told of those alone that were watched before.
    pub fn follow(&mut self, files: impl IntoIterator<Item = PathBuf>) {
        let before: BTreeMap<PathBuf, Option<Look>> = self.files.drain(..).zip(self.looks.drain(..)).collect();
        self.files = files.into_iter().collect();
        self.look_around();
        let mut looks = self.files.iter().zip(&self.looks);
        // Directories were not watched for a moment.
        if looks.any(|(file, look)| before.get(file).is_some_and(|before| before != look)) {
            self.unrest.stir();
        }
    }

    /// Waits for the next change. A call may be given up at any time without losing one.
    pub async fn changed(&mut self) -> Change {
        loop {
            let due = self.unrest.due();
            tokio::select! {
                Some(()) = self.hangups.recv() => {
                    self.settle();
                    return Change::Asked;
                }
                () = self.unrest.began.notified() => {}
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    // It may have gone on meanwhile; then there is a later moment to wait for.
                    if self.unrest.due().is_some_and(|due| due <= Instant::now()) {
                        self.settle();
                        return Change::Files;
                    }
                }
                _ = self.looking.tick() => {
                    if self.files.iter().map(|file| Look::at(file)).ne(self.looks.iter().cloned()) {
                        self.settle();
                        return Change::Files;
                    }
                }
            }
        }
    }

    /// What stirred so far is told with this change; what stirs from here on with the next.
    fn settle(&mut self) {
        self.unrest.clear();
        self.look_around();
    }

    /// Looks where the paths lead now, and watches the directories on the way.
    fn look_around(&mut self) {
        let mut names = BTreeMap::new();
        for file in &self.files {
            way_to(file, &mut names);
        }
        let directories: BTreeSet<PathBuf> = names.keys().cloned().collect();
        self.unrest.watch_for(names);
        self.watch(directories);
        // After the directories: a change between the two is seen here, or told by them.
        self.looks = self.files.iter().map(|file| Look::at(file)).collect();
    }

    /// All anew, because a directory that was replaced by another of its name is not watched any more.
    fn watch(&mut self, directories: BTreeSet<PathBuf>) {
        let Some(notices) = &mut self.notices else { return };
        for directory in std::mem::take(&mut self.directories) {
            // An error says that it is not watched, which is what is wanted.
            let _ = notices.unwatch(&directory);
        }
        for directory in directories {
            match notices.watch(&directory, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.directories.insert(directory);
                }
                // Gone since it was looked at; its parent tells of that.
                Err(error) if matches!(error.kind, notify::ErrorKind::PathNotFound) => {}
                Err(error) => {
                    warn!(
                        "changes in {directory:?} are noticed every {BACKSTOP:?} only, it cannot be watched: {error}"
                    );
                }
            }
        }
    }
}

/// What has stirred and was not told yet. Written by the thread that the notices come on.
#[derive(Default)]
struct Unrest {
    state: Mutex<State>,
    /// Wakes whoever waits when the first thing stirs, not at each: a file may be written without end.
    began: Notify,
}

#[derive(Default)]
struct State {
    /// By directory: the names in it that matter.
    names: BTreeMap<PathBuf, BTreeSet<OsString>>,
    first: Option<Instant>,
    last: Option<Instant>,
}

impl Unrest {
    fn take_in(&self, event: notify::Result<notify::Event>) {
        let state = self.state.lock();
        let matters = match &event {
            // Something was lost on the way; it may have been anything.
            Err(_) => true,
            Ok(event) if event.need_rescan() => true,
            Ok(event) => is_change(event.kind) && event.paths.iter().any(|path| state.concerns(path)),
        };
        drop(state);
        if matters {
            self.stir();
        }
    }

    fn stir(&self) {
        let mut state = self.state.lock();
        let now = Instant::now();
        state.last = Some(now);
        if state.first.is_none() {
            state.first = Some(now);
            self.began.notify_one();
        }
    }

    /// When the change is to be told; None: nothing stirred.
    fn due(&self) -> Option<Instant> {
        let state = self.state.lock();
        Some((state.first? + LONGEST_UNREST).min(state.last? + QUIET))
    }

    fn clear(&self) {
        let mut state = self.state.lock();
        (state.first, state.last) = (None, None);
    }

    fn watch_for(&self, names: BTreeMap<PathBuf, BTreeSet<OsString>>) {
        self.state.lock().names = names;
    }
}

impl State {
    /// Whether it is a watched directory itself, or a name in one that matters.
    fn concerns(&self, path: &Path) -> bool {
        let in_directory =
            |(directory, name): (&Path, &OsStr)| self.names.get(directory).is_some_and(|names| names.contains(name));
        self.names.contains_key(path) || path.parent().zip(path.file_name()).is_some_and(in_directory)
    }
}

/// Reading is none, and we ourselves read the files after every change.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        EventKind::Any | EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_) | EventKind::Other => true,
    }
}

/// What can be seen of a file without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Look {
    resolved: PathBuf,
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
}

impl Look {
    /// None: it is not there, or cannot be seen.
    fn at(file: &Path) -> Option<Self> {
        let resolved = fs::canonicalize(file).ok()?;
        let metadata: Metadata = fs::metadata(&resolved).ok()?;
        Some(Self {
            resolved,
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        })
    }
}

/// Adds, by directory, the names that decide where `file` leads: the symlinks on the way, and the last name, or the first
/// that does not exist.
fn way_to(file: &Path, names: &mut BTreeMap<PathBuf, BTreeSet<OsString>>) {
    let Ok(absolute) = std::path::absolute(file) else { return };
    let mut at = PathBuf::from("/");
    let mut ahead: VecDeque<OsString> = steps(&absolute).collect();
    let mut symlinks = 0;
    while let Some(step) = ahead.pop_front() {
        if step == ".." {
            at.pop();
            continue;
        }
        let next = at.join(&step);
        let is_last = ahead.is_empty();
        let Ok(metadata) = fs::symlink_metadata(&next) else {
            names.entry(at).or_default().insert(step);
            return;
        };
        if metadata.is_symlink() {
            symlinks += 1;
            names.entry(at.clone()).or_default().insert(step);
            if symlinks > MOST_SYMLINKS {
                return;
            }
            let Ok(target) = fs::read_link(&next) else { return };
            if target.is_absolute() {
                at = PathBuf::from("/");
            }
            for step in steps(&target).rev() {
                ahead.push_front(step);
            }
        } else if is_last {
            names.entry(at).or_default().insert(step);
            return;
        } else {
            at = next;
        }
    }
}

/// The names of a path, and `..`.
fn steps(path: &Path) -> impl DoubleEndedIterator<Item = OsString> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
    })
}

#[cfg(test)]
mod tests;
