//! Rust: crates with `metrics-gateway-sdk`, by cargo.
//!
//! The target `wasm32-unknown-unknown` needs its standard library. It is looked for in this order: with the compiler that
//! cargo would use; from rustup; built from its sources with Debian's compiler (packages rustc-web and rust-web-src), for
//! machines that reach a distribution's packages but not rustup's.
//!
//! Crates of one workspace are built by one run of cargo, with the profile `plugin` if the workspace has one, else
//! `release`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use super::Module;
use super::tools;

const TARGET: &str = "wasm32-unknown-unknown";

/// Builds the plugins of directories, each of which holds a Cargo.toml.
pub(super) fn build(directories: &[PathBuf]) -> Result<Vec<Module>> {
    let mut workspaces: BTreeMap<PathBuf, Workspace> = BTreeMap::new();
    for directory in directories {
        let (root, workspace, package) = look_at(directory)?;
        workspaces.entry(root).or_insert(workspace).packages.push(package);
    }
    let toolchain = Toolchain::find()?;
    let mut modules = Vec::new();
    for (root, workspace) in workspaces {
        modules.extend(workspace.build(&root, &toolchain)?);
    }
    Ok(modules)
}

/// What `cargo metadata` tells of a workspace, as far as it matters here.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_root: PathBuf,
    target_directory: PathBuf,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    crate_types: Vec<String>,
}

/// Crates that one run of cargo builds.
struct Workspace {
    target_directory: PathBuf,
    profile: &'static str,
    packages: Vec<Plugin>,
}

struct Plugin {
    package: String,
    /// What cargo calls the file, without `.wasm`.
    library: String,
}

fn look_at(directory: &Path) -> Result<(PathBuf, Workspace, Plugin)> {
    let manifest = directory.join("Cargo.toml");
    let mut cargo = Command::new(cargo());
    cargo.args(["metadata", "--format-version", "1", "--no-deps", "--manifest-path"]).arg(&manifest);
    let text = tools::ask(&mut cargo).with_context(|| format!("cargo cannot read \"{}\"", manifest.display()))?;
    let metadata: Metadata =
        serde_json::from_str(&text).context("what cargo says of the plugin cannot be understood")?;
    let package = metadata.packages.iter().find(|package| package.manifest_path == manifest);
    let package = package.with_context(|| format!("\"{}\" is no package", manifest.display()))?;
    let library = library_of(package).with_context(|| {
        format!("\"{}\" is no plugin: it needs `crate-type = [\"cdylib\"]` below `[lib]`", manifest.display())
    })?;
    let workspace = Workspace {
        target_directory: metadata.target_directory,
        profile: profile_of(&metadata.workspace_root)?,
        packages: Vec::new(),
    };
    Ok((metadata.workspace_root, workspace, Plugin { package: package.name.clone(), library }))
}

fn library_of(package: &Package) -> Option<String> {
    let is_module = |target: &&Target| target.crate_types.iter().any(|kind| kind == "cdylib");
    package.targets.iter().find(is_module).map(|target| target.name.replace('-', "_"))
}

/// `plugin` where the workspace has such a profile.
fn profile_of(root: &Path) -> Result<&'static str> {
    let path = root.join("Cargo.toml");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read \"{}\"", path.display()))?;
    let manifest: toml::Table = text.parse().with_context(|| format!("\"{}\" is no TOML", path.display()))?;
    let has_profile = manifest.get("profile").and_then(|profiles| profiles.get("plugin")).is_some();
    Ok(if has_profile { "plugin" } else { "release" })
}

impl Workspace {
    fn build(self, root: &Path, toolchain: &Toolchain) -> Result<Vec<Module>> {
        let mut cargo = toolchain.cargo();
        cargo.args(["build", "--target", TARGET, "--profile", self.profile, "--lib"]).current_dir(root);
        for plugin in &self.packages {
            cargo.args(["--package", &plugin.package]);
        }
        tools::run(&mut cargo)?;
        let made = self.target_directory.join(TARGET).join(self.profile);
        let module = |plugin: Plugin| {
            let path = made.join(format!("{}.wasm", plugin.library));
            let bytes = std::fs::read(&path).with_context(|| format!("cannot read \"{}\"", path.display()))?;
            Ok(Module { name: plugin.package, bytes, target: self.target_directory.clone() })
        };
        self.packages.into_iter().map(module).collect()
    }
}

/// Where the standard library for the target comes from.
enum Toolchain {
    /// The compiler that cargo uses has it.
    Own,
    /// It is built from sources by the distribution's compiler.
    Sources { linker: Option<PathBuf> },
}

/// Where Debian puts the compiler of the package rustc-web; on the search path rustup's may stand before it.
const DISTRIBUTION_COMPILER: &str = "/usr/bin/rustc";

impl Toolchain {
    fn find() -> Result<Self> {
        if !tools::is_there("cargo") && std::env::var_os("CARGO").is_none() {
            bail!("cargo is missing: install the stable Rust toolchain with rustup");
        }
        if has_target() || (tools::is_there("rustup") && added_by_rustup()) {
            return Ok(Self::Own);
        }
        eprintln!("the standard library is built from the sources of the package rust-web-src: some minutes, once");
        if !has_sources() {
            tools::install(&["rustc-web", "rust-web-src"], "the Rust target wasm32-unknown-unknown")?;
        }
        Ok(Self::Sources { linker: linker() })
    }

    fn cargo(&self) -> Command {
        let mut command = Command::new(cargo());
        if let Self::Sources { linker } = self {
            // build-std is an unstable flag, which a stable cargo and rustc take only so.
            command
                .env("RUSTC", DISTRIBUTION_COMPILER)
                .env("RUSTC_BOOTSTRAP", "1")
                .args(["-Z", "build-std=std,panic_abort"]);
            if let Some(linker) = linker {
                command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
            }
        }
        command
    }
}

fn cargo() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Whether the compiler has the target's standard library, however it came there.
fn has_target() -> bool {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let directory = tools::ask(Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]));
    directory.is_ok_and(|directory| Path::new(&directory).is_dir())
}

fn added_by_rustup() -> bool {
    match tools::ask(Command::new("rustup").args(["target", "add", TARGET])) {
        Ok(_) => has_target(),
        Err(why) => {
            eprintln!("rustup cannot add the target {TARGET}: {why:#}");
            false
        }
    }
}

fn has_sources() -> bool {
    let sources = tools::ask(Command::new(DISTRIBUTION_COMPILER).args(["--print", "sysroot"]))
        .map(|root| Path::new(&root).join("lib/rustlib/src/rust/library/std/Cargo.toml"));
    sources.is_ok_and(|path| path.is_file())
}

/// rustup's toolchains bring a linker for the target; Debian's compiler looks for one of the package lld.
fn linker() -> Option<PathBuf> {
    let root = PathBuf::from(tools::ask(Command::new("rustc").args(["--print", "sysroot"])).ok()?);
    let hosts = std::fs::read_dir(root.join("lib/rustlib")).ok()?;
    hosts.filter_map(|host| Some(host.ok()?.path().join("bin/rust-lld"))).find(|path| path.is_file())
}

#[cfg(test)]
mod tests;
