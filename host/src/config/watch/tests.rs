use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicU32, Ordering};

use notify::event::{CreateKind, DataChange, ModifyKind};
use notify::{Error, Event};

use super::*;

/// Far more than any change takes to be told, for machines that are busy with other things.
const PATIENCE: Duration = Duration::from_secs(20);

/// A directory that is removed at the end of the test.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("gateway-watch-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(fs::canonicalize(path).unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file, in place if it is there, and returns where.
    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// As the kubelet writes a ConfigMap: a directory of its own, and one symlink that is swapped.
    fn project(&self, version: &str, files: &[(&str, &str)]) {
        for (name, text) in files {
            self.write(&format!("..{version}/{name}"), text);
        }
        let before = fs::read_link(self.path("..data")).ok();
        symlink(format!("..{version}"), self.path("..data_tmp")).unwrap();
        fs::rename(self.path("..data_tmp"), self.path("..data")).unwrap();
        for (name, _) in files {
            let top = name.split('/').next().unwrap();
            let _ = symlink(format!("..data/{top}"), self.path(top));
        }
        if let Some(before) = before {
            fs::remove_dir_all(self.path(before.to_str().unwrap())).unwrap();
        }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn watching(files: &[&PathBuf]) -> Watch {
    let mut watch = Watch::try_new().unwrap();
    watch.follow(files.iter().copied().cloned());
    watch
}

async fn told(watch: &mut Watch) -> Change {
    tokio::time::timeout(PATIENCE, watch.changed()).await.expect("a change is told")
}

#[tokio::test]
async fn a_file_that_is_written_in_place_is_told_every_time() {
    let directory = Directory::new();
    let file = directory.write("gateway.toml", "one");
    let mut watch = watching(&[&file]);
    for text in ["two", "three", "four"] {
        directory.write("gateway.toml", text);
        assert_eq!(told(&mut watch).await, Change::Files, "{text}");
    }
}

#[tokio::test]
async fn a_file_that_is_replaced_by_renaming_is_told_every_time() {
    let directory = Directory::new();
    let file = directory.write("gateway.toml", "one");
    let mut watch = watching(&[&file]);
    for text in ["two", "three", "four"] {
        fs::rename(directory.write(".gateway.toml.swp", text), &file).unwrap();
        assert_eq!(told(&mut watch).await, Change::Files, "{text}");
    }
}

#[tokio::test]
async fn a_file_that_goes_and_comes_back_is_told_both_times() {
    let directory = Directory::new();
    let file = directory.write("gateway.toml", "one");
    let mut watch = watching(&[&file]);
    fs::remove_file(&file).unwrap();
    assert_eq!(told(&mut watch).await, Change::Files);
    directory.write("gateway.toml", "one");
    assert_eq!(told(&mut watch).await, Change::Files);
}

#[tokio::test]
async fn the_swap_of_a_config_map_is_told_every_time() {
    let directory = Directory::new();
    directory.project("1", &[("gateway.toml", "one"), ("plugins/ewma.wasm", "one")]);
    let files = [directory.path("gateway.toml"), directory.path("plugins/ewma.wasm")];
    // Each alone as well, because one might be told for the other.
    for files in [vec![&files[0]], vec![&files[1]], vec![&files[0], &files[1]]] {
        let mut watch = watching(&files);
        for version in ["2", "3", "1"] {
            directory.project(version, &[("gateway.toml", "one"), ("plugins/ewma.wasm", version)]);
            assert_eq!(told(&mut watch).await, Change::Files, "{files:?}, {version}");
        }
    }
}

#[tokio::test]
async fn a_file_behind_symlinks_is_told_where_it_really_is() {
    let directory = Directory::new();
    let real = directory.write("far/away/ewma.wasm", "one");
    symlink("away/ewma.wasm", directory.path("far/link")).unwrap();
    fs::create_dir(directory.path("here")).unwrap();
    let file = directory.path("here/ewma.wasm");
    symlink("../far/link", &file).unwrap();
    let mut watch = watching(&[&file]);
    fs::write(&real, "two").unwrap();
    assert_eq!(told(&mut watch).await, Change::Files, "in place");
    fs::rename(directory.write("other", "three"), &real).unwrap();
    assert_eq!(told(&mut watch).await, Change::Files, "replaced");
    directory.write("far/other.wasm", "four");
    symlink("other.wasm", directory.path("far/new")).unwrap();
    fs::rename(directory.path("far/new"), directory.path("far/link")).unwrap();
    assert_eq!(told(&mut watch).await, Change::Files, "the link in the middle");
    directory.write("far/other.wasm", "five");
    assert_eq!(told(&mut watch).await, Change::Files, "where the link now leads");
}

#[tokio::test]
async fn a_file_is_waited_for_through_directories_that_do_not_exist() {
    let directory = Directory::new();
    let file = directory.path("plugins/window/ewma.wasm");
    let mut watch = watching(&[&file]);
    let mut changes = 0;
    for step in ["plugins", "plugins/window"] {
        fs::create_dir(directory.path(step)).unwrap();
        assert_eq!(told(&mut watch).await, Change::Files, "{step}");
        changes += 1;
    }
    fs::write(&file, "one").unwrap();
    assert_eq!(told(&mut watch).await, Change::Files);
    assert_eq!(changes, 2);
}

#[tokio::test]
async fn a_directory_that_is_replaced_by_one_of_its_name_is_watched_on() {
    let directory = Directory::new();
    let file = directory.write("plugins/ewma.wasm", "one");
    let mut watch = watching(&[&file]);
    fs::remove_dir_all(directory.path("plugins")).unwrap();
    directory.write("plugins/ewma.wasm", "two");
    assert_eq!(told(&mut watch).await, Change::Files);
    directory.write("plugins/ewma.wasm", "three");
    assert_eq!(told(&mut watch).await, Change::Files);
}

#[tokio::test]
async fn a_change_is_not_lost_when_waiting_is_given_up_again_and_again() {
    let directory = Directory::new();
    let file = directory.write("gateway.toml", "one");
    let mut watch = watching(&[&file]);
    directory.write("gateway.toml", "two");
    let deadline = std::time::Instant::now() + PATIENCE;
    let mut given_up = 0;
    while tokio::time::timeout(Duration::from_millis(1), watch.changed()).await.is_err() {
        given_up += 1;
        assert!(std::time::Instant::now() < deadline, "given up {given_up} times");
    }
    assert!(given_up > 0);
}

#[tokio::test]
async fn what_happens_while_other_files_are_taken_up_is_told() {
    let directory = Directory::new();
    let file = directory.write("gateway.toml", "one");
    let mut watch = watching(&[&file]);
    // Nobody tells, so that only the comparison can.
    watch.notices = None;
    directory.write("gateway.toml", "longer than before");
    let artifact = directory.write("ewma.wasm", "one");
    watch.follow([file, artifact]);
    assert_eq!(told(&mut watch).await, Change::Files);
}

#[tokio::test]
async fn without_notices_the_backstop_finds_what_changed() {
    let directory = Directory::new();
    let file = directory.write("gateway.toml", "one");
    let mut watch = watching(&[&file]);
    watch.notices = None;
    directory.write("gateway.toml", "longer than before");
    // From here on time passes when nothing else is to be done.
    tokio::time::pause();
    let before = Instant::now();
    assert_eq!(watch.changed().await, Change::Files);
    assert!(before.elapsed() <= BACKSTOP + Duration::from_secs(1), "{:?}", before.elapsed());
    fs::remove_file(&file).unwrap();
    assert_eq!(watch.changed().await, Change::Files, "that it is gone");
    assert!(tokio::time::timeout(10 * BACKSTOP, watch.changed()).await.is_err(), "and nothing more");
}

fn event(kind: EventKind, path: &Path) -> notify::Result<Event> {
    Ok(Event::new(kind).add_path(path.to_owned()))
}

const WRITTEN: EventKind = EventKind::Modify(ModifyKind::Data(DataChange::Any));

#[tokio::test]
async fn only_what_can_matter_stirs() {
    let directory = Directory::new();
    let file = directory.write("gateway.toml", "one");
    let mut names = BTreeMap::new();
    way_to(&file, &mut names);
    let unrest = Unrest::default();
    unrest.watch_for(names);
    let stirs = |event| {
        unrest.clear();
        unrest.take_in(event);
        unrest.due().is_some()
    };
    assert!(stirs(event(WRITTEN, &file)));
    assert!(stirs(event(EventKind::Create(CreateKind::File), &file)));
    assert!(stirs(event(EventKind::Access(AccessKind::Close(AccessMode::Write)), &file)));
    assert!(stirs(event(EventKind::Remove(notify::event::RemoveKind::Folder), &directory.0)), "the directory itself");
    assert!(stirs(Err(Error::generic("lost"))));
    assert!(stirs(Ok(Event::new(EventKind::Other).set_flag(notify::event::Flag::Rescan))), "too many at once");
    assert!(!stirs(event(WRITTEN, &directory.path("gateway.toml~"))), "another file");
    assert!(!stirs(event(EventKind::Access(AccessKind::Open(AccessMode::Any)), &file)), "we read it ourselves");
    assert!(!stirs(event(EventKind::Access(AccessKind::Close(AccessMode::Read)), &file)));
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_written_without_end_is_told_once_a_second_and_wakes_nobody_else() {
    let file = PathBuf::from("/etc/gateway.toml");
    let unrest = Unrest::default();
    unrest.watch_for(BTreeMap::from([("/etc".into(), BTreeSet::from(["gateway.toml".into()]))]));
    let start = Instant::now();
    for millisecond in 0..2000 {
        unrest.take_in(event(WRITTEN, &file));
        let due = unrest.due().expect("it stirs");
        let latest = (start + LONGEST_UNREST).min(start + Duration::from_millis(millisecond) + QUIET);
        assert_eq!(due, latest, "after {millisecond} ms");
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    unrest.began.notified().await;
    let again = tokio::time::timeout(Duration::from_secs(1), unrest.began.notified()).await;
    assert!(again.is_err(), "one waking for all of it");
}

#[test]
fn the_way_to_a_file_is_every_name_that_decides_where_it_leads() {
    let directory = Directory::new();
    directory.project("1", &[("gateway.toml", "one")]);
    let mut names = BTreeMap::new();
    way_to(&directory.path("gateway.toml"), &mut names);
    let set = |names: &[&str]| names.iter().map(OsString::from).collect::<BTreeSet<_>>();
    assert_eq!(
        names,
        BTreeMap::from([
            (directory.0.clone(), set(&["gateway.toml", "..data"])),
            (directory.path("..1"), set(&["gateway.toml"])),
        ])
    );
}

#[test]
fn symlinks_in_a_circle_end() {
    let directory = Directory::new();
    symlink("b", directory.path("a")).unwrap();
    symlink("a", directory.path("b")).unwrap();
    let mut names = BTreeMap::new();
    way_to(&directory.path("a/file"), &mut names);
    assert!(names[&directory.0].len() == 2, "{names:?}");
    way_to(Path::new(""), &mut names);
    way_to(Path::new("/"), &mut names);
    way_to(Path::new("/.."), &mut names);
    assert_eq!(names.len(), 1, "{names:?}");
}
