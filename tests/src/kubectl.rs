//! kubectl against the API server double: the client that most people will look at the gateway with.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::api_server::ApiServer;
use crate::certs::Pair;
use crate::directory::Directory;

/// The kubectls of this machine: those in `$KUBECTL` (paths, separated by colons), or else the one on the search path.
pub fn installed() -> Vec<PathBuf> {
    if let Some(paths) = std::env::var_os("KUBECTL") {
        return std::env::split_paths(&paths).filter(|path| path.is_file()).collect();
    }
    let directories = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&directories).map(|path| path.join("kubectl")).find(|path| path.is_file());
    found.into_iter().collect()
}

/// One kubectl with a configuration and a cache of its own.
pub struct Kubectl {
    program: PathBuf,
    directory: Directory,
}

impl Kubectl {
    /// For the user that `pair` names.
    ///
    /// # Errors
    /// Where its configuration cannot be written.
    pub fn new(program: &Path, api: &ApiServer, pair: &Pair) -> Result<Self> {
        let directory = Directory::new("metrics-gateway-kubectl")?;
        api.write_kubeconfig(&directory.file("kubeconfig"), pair)?;
        Ok(Self { program: program.to_owned(), directory })
    }

    /// Runs it and returns what it printed.
    ///
    /// # Errors
    /// Where it cannot be run, fails, or takes longer than a minute; with what it printed to stderr.
    pub async fn run(&self, args: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.program);
        command
            .arg(format!("--kubeconfig={}", self.directory.file("kubeconfig").display()))
            .arg(format!("--cache-dir={}", self.directory.file("cache").display()))
            .args(["--request-timeout=30s"])
            .args(args)
            .env("HOME", self.directory.path());
        let shown = format!("{} {}", self.program.display(), args.join(" "));
        let run = tokio::task::spawn_blocking(move || command.output());
        let output = tokio::time::timeout(Duration::from_secs(60), run).await.context("kubectl hangs")???;
        if !output.status.success() {
            bail!("{shown} ends with {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8(output.stdout)?)
    }
}
