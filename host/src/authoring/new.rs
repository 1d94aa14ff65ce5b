//! `metrics-gateway plugin new`: a plugin to begin with.
//!
//! In: a name, a hook, a language. Out: a directory that `plugin build` builds and whose cases `plugin test` finds to hold.
//! In Rust it brings a copy of the SDK as this program was built with, so that a plugin depends on no package of ours and
//! both speak of the same contract.
//!
//! Fails without having written anything, where the name is none for a plugin and where the directory is there already.
//! Absent on purpose: version control, licences, anything that has to be fetched.

mod templates;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

use super::build::Language;

/// Makes the sources of a plugin that builds and passes its test
#[derive(Clone, Debug, clap::Args)]
pub struct NewArgs {
    /// What it is called: lower-case letters, digits and hyphens
    pub name: String,
    /// What it decides
    #[arg(long, value_enum)]
    pub hook: Hook,
    /// What it is written in
    #[arg(long, value_enum, default_value = "rust")]
    pub language: Language,
    /// Where it goes; without it, a directory with its name
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// What a new plugin may decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Hook {
    /// Where a node's kubelet is asked
    Address,
    /// Which containers are served
    Filter,
    /// Over which window usage is computed
    Window,
}

impl Hook {
    /// Its name in the contract, in cases and in gateway.toml.
    pub fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Filter => "filter",
            Self::Window => "window",
        }
    }
}

/// Makes it, and says how to go on.
pub(super) fn run(args: &NewArgs) -> Result<ExitCode> {
    let directory = new(args)?;
    let (shown, name) = (directory.display(), &args.name);
    println!("made {shown}, for the hook \"{}\", in {}; to build and test it:", args.hook.name(), args.language);
    println!("  metrics-gateway plugin build {shown}");
    println!("  metrics-gateway plugin test {shown}/target/{name}.wasm --cases {shown}/cases.toml");
    Ok(ExitCode::SUCCESS)
}

/// Makes the directory, and returns where it lies.
///
/// # Errors
/// The name or the directory will not do.
pub fn new(args: &NewArgs) -> Result<PathBuf> {
    check_name(&args.name)?;
    let directory = args.dir.clone().unwrap_or_else(|| PathBuf::from(&args.name));
    if directory.exists() {
        bail!("\"{}\" exists already: choose another with --dir, or remove it", directory.display());
    }
    for (path, text) in templates::files(&args.name, args.hook, args.language) {
        write(&directory.join(path), &text)?;
    }
    Ok(directory)
}

/// A plugin's name is that of a package in the contract's language, of a package of its own language, and of a file.
fn check_name(name: &str) -> Result<()> {
    let is_usual = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_word = |word: &str| word.starts_with(|c: char| c.is_ascii_lowercase()) && word.chars().all(is_usual);
    if name.len() > 63 || !name.split('-').all(is_word) {
        bail!(
            "\"{name}\" is no name for a plugin: 1 to 63 lower-case letters and digits, in words that begin with a letter \
             and are joined by hyphens, such as \"skip-sidecars\""
        );
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).with_context(|| format!("cannot make \"{}\"", parent.display()))?;
    }
    std::fs::write(path, text).with_context(|| format!("cannot write \"{}\"", path.display()))
}

#[cfg(test)]
mod tests;
