//! A plugin author at work: a directory of their own, and the commands that they type.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::directory::Directory;
use crate::{gateway, guest};

/// An author. Everything is removed on drop.
pub struct Author {
    directory: Directory,
    binary: PathBuf,
}

/// What a command left behind.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code; None: a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub output: String,
    /// What it complained about.
    pub complaint: String,
}

impl Author {
    /// One with an empty directory.
    ///
    /// # Errors
    /// Where there is no room for one, or no binary.
    pub fn new() -> Result<Self> {
        Ok(Self { directory: Directory::new("author")?, binary: gateway::binary()? })
    }

    /// Writes a file.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> Result<PathBuf> {
        let path = self.directory.file(name);
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// Where there is none.
    pub fn read(&self, name: &str) -> Result<String> {
        let path = self.directory.file(name);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    /// Builds a guest of the fixtures: `keep-all` becomes `keep-all.wasm`.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn build(&self, guest: &str) -> Result<PathBuf> {
        self.write(&format!("{guest}.wasm"), guest::load(guest))
    }

    /// Runs `metrics-gateway plugin …` in the directory.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn plugin(&self, words: &[&str]) -> Result<Ran> {
        let mut command = Command::new(&self.binary);
        command.arg("plugin").args(words).current_dir(self.directory.path());
        let done = command.output().with_context(|| format!("cannot run {}", self.binary.display()))?;
        Ok(Ran {
            code: done.status.code(),
            output: String::from_utf8_lossy(&done.stdout).into_owned(),
            complaint: String::from_utf8_lossy(&done.stderr).into_owned(),
        })
    }
}
