use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// A place for a directory, removed with all that is in it.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("compiled-plugins-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Self(std::env::temp_dir().join(name))
    }

    fn open(&self) -> Option<Cache> {
        Cache::open(self.0.clone())
    }

    /// The file that is not the key.
    fn compiled(&self) -> PathBuf {
        let mut files = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path());
        files.find(|path| path.extension().is_some_and(|extension| extension == "cwasm")).expect("something was kept")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Bytes of a component, and what is compiled of them.
fn compiled(engine: &Engine) -> (Vec<u8>, Component) {
    let bytes = wat::parse_str("(component (core module $m (func (export \"f\"))))").unwrap();
    let component = Component::from_binary(engine, &bytes).unwrap();
    (bytes, component)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

#[test]
fn what_was_compiled_is_loaded_by_the_next_process() {
    let (place, engine) = (Place::new(), Engine::default());
    let (bytes, component) = compiled(&engine);
    place.open().unwrap().save(&engine, &bytes, &component);
    assert_eq!((mode(&place.0), mode(&place.0.join(KEY)), mode(&place.compiled())), (0o700, 0o600, 0o600));
    let next = place.open().unwrap();
    assert!(next.load(&engine, &bytes).is_some());
    assert!(next.load(&engine, b"another component").is_none());
}

#[test]
fn an_engine_of_other_settings_finds_nothing() {
    let (place, engine) = (Place::new(), Engine::default());
    let (bytes, component) = compiled(&engine);
    let cache = place.open().unwrap();
    cache.save(&engine, &bytes, &component);
    let mut config = wasmtime::Config::new();
    config.consume_fuel(true);
    assert!(cache.load(&Engine::new(&config).unwrap(), &bytes).is_none());
}

#[test]
fn a_file_with_any_byte_changed_is_not_loaded() {
    let (place, engine) = (Place::new(), Engine::default());
    let (bytes, component) = compiled(&engine);
    let cache = place.open().unwrap();
    cache.save(&engine, &bytes, &component);
    let (path, whole) = (place.compiled(), fs::read(place.compiled()).unwrap());
    let is_loaded = |content: &[u8]| {
        fs::write(&path, content).unwrap();
        cache.load(&engine, &bytes).is_some()
    };
    assert!(is_loaded(&whole));
    for at in (0..whole.len()).step_by(whole.len() / 50).chain([0, SEAL - 1, SEAL, whole.len() - 1]) {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        assert!(!is_loaded(&changed), "with byte {at} of {} changed", whole.len());
    }
    for length in [0, 1, SEAL - 1, SEAL, whole.len() - 1] {
        assert!(!is_loaded(&whole[..length]), "cut to {length} bytes");
    }
    assert!(!is_loaded(&[&*whole, &[0]].concat()), "with a byte more");
}

#[test]
fn a_file_under_the_name_of_another_is_not_loaded() {
    let (place, engine) = (Place::new(), Engine::default());
    let (bytes, component) = compiled(&engine);
    let cache = place.open().unwrap();
    cache.save(&engine, &bytes, &component);
    fs::rename(place.compiled(), place.0.join(name(&engine, b"another component"))).unwrap();
    assert!(cache.load(&engine, b"another component").is_none());
}

#[test]
fn what_another_key_sealed_is_not_loaded() {
    let (place, other, engine) = (Place::new(), Place::new(), Engine::default());
    let (bytes, component) = compiled(&engine);
    other.open().unwrap().save(&engine, &bytes, &component);
    let cache = place.open().unwrap();
    fs::copy(other.compiled(), place.0.join(name(&engine, &bytes))).unwrap();
    assert!(cache.load(&engine, &bytes).is_none());
}

#[test]
fn a_directory_or_key_that_others_may_use_is_not_used() {
    let place = Place::new();
    assert!(place.open().is_some());
    let allow = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    for mode in [0o770, 0o707, 0o701, 0o777] {
        allow(&place.0, mode);
        assert!(place.open().is_none(), "directory of mode {mode:o}");
    }
    allow(&place.0, 0o700);
    allow(&place.0.join(KEY), 0o640);
    assert!(place.open().is_none(), "a key that the group may read");
    allow(&place.0.join(KEY), 0o600);
    fs::write(place.0.join(KEY), b"short").unwrap();
    assert!(place.open().is_none(), "a short key");
}

#[test]
fn what_is_no_directory_or_only_points_to_one_is_not_used() {
    let (file, target, link) = (Place::new(), Place::new(), Place::new());
    fs::write(&file.0, b"").unwrap();
    assert!(file.open().is_none());
    fs::remove_file(&file.0).unwrap();
    assert!(target.open().is_some());
    std::os::unix::fs::symlink(&target.0, &link.0).unwrap();
    assert!(link.open().is_none());
    fs::remove_file(&link.0).unwrap();
}

#[test]
fn the_oldest_files_go_and_the_key_stays() {
    let (place, engine) = (Place::new(), Engine::default());
    let (bytes, component) = compiled(&engine);
    let cache = place.open().unwrap();
    for index in 0..FILES + 5 {
        let file = File::create(place.0.join(format!("{index}.cwasm"))).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(index as u64)).unwrap();
    }
    File::create(place.0.join("unfinished.cwasm.123")).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    cache.save(&engine, &bytes, &component);
    let left = fs::read_dir(&place.0).unwrap().count();
    assert_eq!(left, FILES + 1, "so many files, and the key");
    assert!(place.0.join(KEY).exists() && cache.load(&engine, &bytes).is_some());
    let is_there = |index: usize| place.0.join(format!("{index}.cwasm")).exists();
    assert_eq!([is_there(0), is_there(5), is_there(6), is_there(FILES + 4)], [false, false, true, true]);
}
