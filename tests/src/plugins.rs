//! Where the first-party plugins are that `make plugins` builds: `target/plugins`, beside the profiles' directories.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

/// The artifact of a plugin.
///
/// # Errors
/// Where it has not been built.
pub fn built(name: &str) -> Result<PathBuf> {
    let this = std::env::current_exe()?;
    // A binary lies in target/<profile>, a test one directory below.
    let target = this.ancestors().find(|directory| directory.join("plugins").is_dir());
    let target = target.with_context(|| format!("no plugins beside {}: run `make plugins`", this.display()))?;
    let artifact = target.join("plugins").join(format!("{name}.wasm"));
    ensure!(artifact.is_file(), "no plugin {}: run `make plugins`", artifact.display());
    Ok(artifact)
}
