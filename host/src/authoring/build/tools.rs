//! The compilers that a build runs: found, else installed by name and version, else asked for in words.
//!
//! Packages come through the ordinary clients (pip, npm, apt-get, rustup), so that their settings decide from where. What
//! pip brings goes into one virtual environment for each tool and version, which all plugins share.
//!
//! Every program is shown before it runs. What it prints goes to standard error, because standard output tells what was
//! built.

use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// Shows and runs a program to its end.
///
/// # Errors
/// It cannot be started, or ends with anything but 0.
pub(super) fn run(command: &mut Command) -> Result<()> {
    eprintln!("+ {}", shown(command));
    let to_stderr = std::io::stderr().as_fd().try_clone_to_owned().context("standard error cannot be shared")?;
    let program = program_of(command);
    let status = command
        .stdin(Stdio::null())
        .stdout(to_stderr)
        .status()
        .with_context(|| format!("cannot start \"{program}\""))?;
    if !status.success() {
        bail!("\"{program}\" ended with {status}");
    }
    Ok(())
}

/// Asks a program a question quietly.
///
/// # Errors
/// It cannot be started, or ends with anything but 0: then with the last line that it said.
pub(super) fn ask(command: &mut Command) -> Result<String> {
    let program = program_of(command);
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start \"{program}\""))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let last = said.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("nothing").to_owned();
        bail!("\"{program}\" ended with {} and said: {last}", output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Whether a program of this name lies on the search path.
pub(super) fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

/// Installs packages of the distribution.
///
/// # Errors
/// Names the packages where we may not install them ourselves.
pub(super) fn install(packages: &[&str], what_for: &str) -> Result<()> {
    let names = packages.join(" ");
    let is_root = ask(Command::new("id").arg("-u")).is_ok_and(|user| user == "0");
    if !(is_root && is_there("apt-get")) {
        bail!("{what_for} is missing: install the package(s) {names} (these are the names in Debian)");
    }
    let mut apt = Command::new("apt-get");
    apt.args(["-q", "install", "-y", "--no-install-recommends"])
        .args(packages)
        .env("DEBIAN_FRONTEND", "noninteractive");
    run(&mut apt).with_context(|| format!("{what_for} is missing, and the package(s) {names} cannot be installed"))
}

/// A tool that comes from the Python package index, whatever it is written in.
pub(super) struct PythonPackage {
    /// Its name there.
    pub(super) name: &'static str,
    /// The version that the build was made with.
    pub(super) version: &'static str,
}

impl PythonPackage {
    /// The directory of its programs; installs it at the first call on a machine.
    ///
    /// # Errors
    /// Without Python, and where the package cannot be fetched.
    pub(super) fn programs(&self) -> Result<PathBuf> {
        let environment = cache()?.join(format!("{}-{}", self.name, self.version));
        let programs = environment.join("bin");
        // Written last, so that an installation that was cut short is made anew.
        let complete = environment.join("complete");
        if !complete.is_file() {
            self.fill(&environment).with_context(|| format!("cannot install the Python package \"{}\"", self.name))?;
            std::fs::write(&complete, "").with_context(|| format!("cannot write \"{}\"", complete.display()))?;
        }
        Ok(programs)
    }

    fn fill(&self, environment: &Path) -> Result<()> {
        if !is_there("python3") {
            install(&["python3", "python3-venv"], "Python")?;
        }
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(environment))
            .context("no virtual environment can be made: on Debian the package python3-venv is needed")?;
        let wanted = format!("{}=={}", self.name, self.version);
        run(Command::new(environment.join("bin/python")).args(["-m", "pip", "install", "--quiet", &wanted]))
    }
}

/// Where the tools of all plugins lie.
fn cache() -> Result<PathBuf> {
    let base = match (std::env::var_os("XDG_CACHE_HOME"), std::env::var_os("HOME")) {
        (Some(cache), _) if !cache.is_empty() => PathBuf::from(cache),
        (_, Some(home)) if !home.is_empty() => PathBuf::from(home).join(".cache"),
        _ => bail!("there is no place for compilers: set XDG_CACHE_HOME or HOME"),
    };
    let cache = base.join("metrics-gateway/tools");
    std::fs::create_dir_all(&cache).with_context(|| format!("cannot make \"{}\"", cache.display()))?;
    Ok(cache)
}

/// The words of a program as one would type them, with the variables that are set for it.
fn shown(command: &Command) -> String {
    let variables = command.get_envs().filter_map(|(name, value)| {
        let mut pair = name.to_owned();
        pair.push("=");
        pair.push(value?);
        Some(pair)
    });
    let words = std::iter::once(command.get_program()).chain(command.get_args()).map(OsStr::to_owned);
    variables.chain(words).map(|word| quoted(&word)).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &OsString) -> String {
    let word = word.to_string_lossy();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.into_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

fn program_of(command: &Command) -> String {
    Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests;
