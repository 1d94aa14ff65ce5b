//! `metrics-gateway plugin build`: from the sources of plugins to components that the gateway loads.
//!
//! In: directories, each with one plugin in one language, which the files in it tell ([`Language`]). Out: one `.wasm` file
//! each, looked at by the same check that the gateway makes when it loads one ([`inspect`]), so that what was built here is
//! not refused there for its shape.
//!
//! Compilers come from the registries of their languages by name and version ([`tools`]) where they are missing, into a
//! cache that all plugins share; every program that is run is shown on standard error. What is made on the way lies in
//! `target/` of the plugin. Fails with the step that failed and, where a tool is missing, with the package to install.
//!
//! Absent on purpose: running the plugin (`plugin test` does), and a configuration file of our own: which hooks a plugin
//! answers stands in its `plugin.wit`, or for Rust in its source.

mod bindings;
mod c;
mod component;
mod go;
mod javascript;
mod language;
mod python;
mod rust;
mod tools;
mod zig;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};

use crate::config::policies::PluginLimits;
use crate::plugins::artifact::{Inspection, inspect};
pub use language::Language;

/// Builds plugins from their sources, in Rust, C, Zig, Go, TypeScript, JavaScript or Python
#[derive(Clone, Debug, clap::Args)]
pub struct BuildArgs {
    /// Directories of plugins, each told by what lies in it: Cargo.toml (Rust), go.mod, package.json (TypeScript or
    /// JavaScript), *.py, *.zig or *.c
    #[arg(required = true, value_name = "DIR")]
    pub directories: Vec<PathBuf>,
    /// The .wasm file to write, or a directory for them; without it `target/NAME.wasm` of the plugin
    #[arg(short, long, value_name = "PATH")]
    pub output: Option<PathBuf>,
}

/// Builds, and says what was built.
pub(super) fn run(args: &BuildArgs) -> Result<ExitCode> {
    for built in build(args)? {
        println!("{built}");
    }
    Ok(ExitCode::SUCCESS)
}

/// A plugin that was built.
#[derive(Clone, Debug)]
pub struct Built {
    /// Where it lies.
    pub path: PathBuf,
    /// Its size, in bytes.
    pub size: usize,
    /// What the gateway will see in it.
    pub inspection: Inspection,
}

/// Builds every directory's plugin, language by language, because one run of cargo builds all that share a workspace.
///
/// # Errors
/// The first step that failed; what was finished before it stays.
pub fn build(args: &BuildArgs) -> Result<Vec<Built>> {
    let several = args.directories.len() > 1;
    let mut by_language: BTreeMap<Language, Vec<PathBuf>> = BTreeMap::new();
    for directory in &args.directories {
        let whole = directory.canonicalize();
        let whole = whole.with_context(|| format!("cannot look into \"{}\"", directory.display()))?;
        by_language.entry(Language::of(&whole)?).or_default().push(whole);
    }
    let mut built = Vec::new();
    for (language, directories) in by_language {
        for module in compile(language, &directories)? {
            built.push(finish(module, args.output.as_deref(), several)?);
        }
    }
    Ok(built)
}

/// What a language's compiler made.
struct Module {
    /// The name of the file without `.wasm`.
    name: String,
    /// A component, or a core module that bears the contract in a custom section.
    bytes: Vec<u8>,
    /// Where it goes unless the command line says otherwise.
    target: PathBuf,
}

fn compile(language: Language, directories: &[PathBuf]) -> Result<Vec<Module>> {
    let build: fn(&Path) -> Result<Module> = match language {
        Language::Rust => return rust::build(directories),
        Language::C => c::build,
        Language::Zig => zig::build,
        Language::Go => go::build,
        Language::TypeScript => javascript::build,
        Language::Python => python::build,
    };
    let one = |directory: &PathBuf| {
        build(directory).with_context(|| format!("cannot build the {language} plugin in \"{}\"", directory.display()))
    };
    directories.iter().map(one).collect()
}

/// From what a compiler made to a checked component on disk.
fn finish(module: Module, output: Option<&Path>, several: bool) -> Result<Built> {
    let component =
        component::make(&module.bytes).with_context(|| format!("\"{}\" cannot be made a component", module.name))?;
    let inspection = inspect(&component, &PluginLimits::default())
        .with_context(|| format!("\"{}\" was built, but the gateway would refuse it", module.name))?;
    let path = destination(output, several, &module.target, &module.name);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).with_context(|| format!("cannot make \"{}\"", parent.display()))?;
    }
    std::fs::write(&path, &component).with_context(|| format!("cannot write \"{}\"", path.display()))?;
    Ok(Built { path, size: component.len(), inspection })
}

/// Where a plugin goes: what the command line names is a directory if it is one or ends like one, or if several go there.
fn destination(output: Option<&Path>, several: bool, target: &Path, name: &str) -> PathBuf {
    let file = format!("{name}.wasm");
    let Some(path) = output else { return target.join(file) };
    let is_directory = several || path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/");
    if is_directory { path.join(file) } else { path.to_owned() }
}

impl fmt::Display for Built {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hooks: Vec<&str> = self.inspection.hooks.iter().map(|hook| hook.interface()).collect();
        writeln!(f, "{}", self.path.display())?;
        writeln!(f, "  hooks     {} (contract {})", hooks.join(", "), self.inspection.version)?;
        writeln!(f, "  size      {} bytes", self.size)?;
        write!(f, "  sha256    ")?;
        self.inspection.sha256.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests;
