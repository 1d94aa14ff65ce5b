use super::*;

/// A directory that goes when it is dropped.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("metrics-gateway-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn outcome(path: PathBuf, limit: usize) -> Result<Bytes, String> {
    read(&Source::File(path), limit, None).await.map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_file_is_read_up_to_its_limit_and_through_links() {
    let directory = Directory::new("source-limit");
    let path = directory.file("plugin.wasm", b"0123456789");
    assert_eq!(outcome(path.clone(), 10).await.unwrap(), &b"0123456789"[..]);
    let link = directory.0.join("link.wasm");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert_eq!(outcome(link, 10).await.unwrap(), &b"0123456789"[..]);
    let refusal = outcome(path, 9).await.unwrap_err();
    assert!(refusal.ends_with("plugin.wasm is larger than the 9 bytes that `limits.size` allows"), "{refusal}");
}

#[tokio::test]
async fn what_is_not_a_regular_file_is_refused_without_waiting_for_it() {
    let directory = Directory::new("source-fifo");
    let fifo = directory.0.join("plugin.wasm");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    // Reading it would take for ever: nobody writes.
    for path in [fifo, directory.0.clone(), "/dev/zero".into()] {
        let refusal = outcome(path.clone(), 10).await.unwrap_err();
        assert_eq!(refusal, format!("{} is not a regular file", path.display()));
    }
}

#[tokio::test]
async fn a_missing_file_is_named() {
    let refusal = outcome("/nowhere/plugin.wasm".into(), 10).await.unwrap_err();
    assert_eq!(refusal, "cannot read /nowhere/plugin.wasm: No such file or directory (os error 2)");
}
