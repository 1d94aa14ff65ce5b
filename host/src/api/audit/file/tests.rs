use std::io::Read as _;
use std::num::NonZeroUsize;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

/// A directory that is removed at the end of the test.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("audit-file-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Self(std::env::temp_dir().join(name))
    }

    fn log(&self) -> PathBuf {
        self.0.join("audit.log")
    }

    fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// 2026-11-21T10:19:33.123Z and so many seconds.
fn at(seconds: u64) -> UnixNanos {
    UnixNanos((1_795_256_373_123 + seconds * 1000) * MILLISECOND)
}

fn rotation(max_backups: usize, max_age: u64, compress: bool) -> Rotation {
    let max_age = (max_age > 0).then(|| Duration::from_secs(max_age));
    Rotation { max_bytes: 10, max_age, max_backups: NonZeroUsize::new(max_backups), compress }
}

/// Puts aside one file a second.
fn write_and_rotate(directory: &Directory, count: u64) {
    let mut log = LogFile::open(&directory.log(), 10).unwrap();
    for second in 0..count {
        log.write(&[format!("line {second}\n").as_bytes()], at(second)).unwrap();
    }
}

#[test]
fn a_line_that_does_not_fit_goes_into_a_new_file() {
    let directory = Directory::new();
    let mut log = LogFile::open(&directory.log(), 10).unwrap();
    assert_eq!(log.write(&[b"1234\n", b"5678\n"], at(0)).unwrap(), Rotated::No);
    assert_eq!(log.write(&[b"9\n"], at(1)).unwrap(), Rotated::Yes);
    assert_eq!(directory.files(), ["audit-2026-11-21T10-19-34.123.log", "audit.log"]);
    assert_eq!(directory.text("audit-2026-11-21T10-19-34.123.log"), "1234\n5678\n");
    assert_eq!(directory.text("audit.log"), "9\n");
}

#[test]
fn a_line_longer_than_a_file_has_one_of_its_own() {
    let directory = Directory::new();
    let mut log = LogFile::open(&directory.log(), 10).unwrap();
    let lines: [&[u8]; 3] = [b"1234567890123\n", b"a\n", b"b\n"];
    assert_eq!(log.write(&lines, at(0)).unwrap(), Rotated::Yes);
    assert_eq!((directory.files().len(), directory.text("audit.log")), (2, "a\nb\n".to_owned()));
}

#[test]
fn files_of_the_same_millisecond_do_not_overwrite_each_other() {
    let directory = Directory::new();
    let mut log = LogFile::open(&directory.log(), 2).unwrap();
    log.write(&[b"a\n", b"b\n", b"c\n"], at(0)).unwrap();
    let files = ["audit-2026-11-21T10-19-33.123.log", "audit-2026-11-21T10-19-33.124.log", "audit.log"];
    assert_eq!(directory.files(), files);
    assert_eq!(files.map(|name| directory.text(name)), ["a\n", "b\n", "c\n"]);
}

#[test]
fn a_file_that_is_there_is_gone_on_with() {
    let directory = Directory::new();
    LogFile::open(&directory.log(), 10).unwrap().write(&[b"before\n"], at(0)).unwrap();
    let mut log = LogFile::open(&directory.log(), 10).unwrap();
    log.write(&[b"a\n"], at(1)).unwrap();
    assert_eq!(directory.text("audit.log"), "before\na\n");
    assert_eq!(log.write(&[b"bc\n"], at(1)).unwrap(), Rotated::Yes, "what was there counts");
}

#[test]
fn nobody_else_may_read_the_log() {
    let directory = Directory::new();
    write_and_rotate(&directory, 3);
    tidy(&directory.log(), &rotation(0, 0, true), at(9)).unwrap();
    for name in directory.files() {
        let mode = std::fs::metadata(directory.0.join(&name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert_eq!(std::fs::metadata(&directory.0).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn only_the_newest_files_are_kept() {
    let directory = Directory::new();
    write_and_rotate(&directory, 5);
    std::fs::write(directory.0.join("audit-notes.log"), "mine").unwrap();
    tidy(&directory.log(), &rotation(2, 0, false), at(9)).unwrap();
    let newest = ["audit-2026-11-21T10-19-36.123.log", "audit-2026-11-21T10-19-37.123.log"];
    assert_eq!(directory.files(), [newest[0], newest[1], "audit-notes.log", "audit.log"], "and what is not ours");
    tidy(&directory.log(), &rotation(0, 0, false), at(9)).unwrap();
    assert_eq!(directory.files().len(), 4, "zero keeps all");
}

#[test]
fn files_that_are_too_old_go() {
    let directory = Directory::new();
    write_and_rotate(&directory, 5);
    tidy(&directory.log(), &rotation(0, 10, false), at(13)).unwrap();
    assert_eq!(
        directory.files(),
        ["audit-2026-11-21T10-19-36.123.log", "audit-2026-11-21T10-19-37.123.log", "audit.log"]
    );
}

#[test]
fn compressed_files_hold_the_same_and_count_as_before() {
    let directory = Directory::new();
    write_and_rotate(&directory, 3);
    for _ in 0..2 {
        tidy(&directory.log(), &rotation(0, 0, true), at(9)).unwrap();
        let files = ["audit-2026-11-21T10-19-34.123.log.gz", "audit-2026-11-21T10-19-35.123.log.gz", "audit.log"];
        assert_eq!(directory.files(), files);
    }
    let mut text = String::new();
    let file = File::open(directory.0.join("audit-2026-11-21T10-19-34.123.log.gz")).unwrap();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    assert_eq!(text, "line 0\n");
    tidy(&directory.log(), &rotation(1, 0, true), at(9)).unwrap();
    assert_eq!(directory.files(), ["audit-2026-11-21T10-19-35.123.log.gz", "audit.log"]);
}

#[test]
fn names_without_an_ending_work_too() {
    let directory = Directory::new();
    let path = directory.0.join("audit");
    let mut log = LogFile::open(&path, 2).unwrap();
    log.write(&[b"a\n", b"b\n"], at(0)).unwrap();
    assert_eq!(directory.files(), ["audit", "audit-2026-11-21T10-19-33.123"]);
    tidy(&path, &Rotation { max_backups: None, max_age: Some(Duration::from_secs(1)), ..rotation(0, 0, false) }, at(9))
        .unwrap();
    assert_eq!(directory.files(), ["audit"]);
}
