//! TypeScript and JavaScript: `plugin.ts` or `plugin.js`, and QuickJS inside the component.
//!
//! The compilers are what `package.json` asks for, as in every project of that language: `componentize-qjs`, and for
//! TypeScript `typescript`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::Module;
use super::bindings::{Declaration, put};
use super::tools;

/// The contract in TypeScript's words.
const TYPES: [(&str, &str); 2] = [
    ("policy.d.ts", include_str!("../../../../sdk/languages/typescript/policy.d.ts")),
    ("log.d.ts", include_str!("../../../../sdk/languages/typescript/log.d.ts")),
];

/// Builds the plugin of a directory.
pub(super) fn build(directory: &Path) -> Result<Module> {
    let declaration = Declaration::read(directory)?;
    let target = directory.join("target");
    let wit = target.join("bindings/wit");
    declaration.write_wit(&wit)?;
    for (name, text) in TYPES {
        put(&target.join("bindings").join(name), text.as_bytes())?;
    }
    install(directory)?;
    let script = script(directory, &target)?;
    let component = target.join("component.wasm");
    let mut componentize = program(directory, "componentize-qjs")?;
    componentize
        .arg("--wit")
        .arg(&wit)
        .args(["--world", &declaration.world, "--js"])
        .arg(&script)
        // Without WASI and without async: a plugin has nothing to import but `log`.
        .args(["--stub-wasi", "--sync", "--output"])
        .arg(&component);
    tools::run(&mut componentize)?;
    let bytes = std::fs::read(&component).with_context(|| format!("cannot read \"{}\"", component.display()))?;
    Ok(Module { name: declaration.name, bytes, target })
}

/// What package.json asks for, once.
fn install(directory: &Path) -> Result<()> {
    if directory.join("node_modules").is_dir() {
        return Ok(());
    }
    if !tools::is_there("npm") {
        tools::install(&["nodejs", "npm"], "npm")?;
    }
    let mut npm = Command::new("npm");
    // package.json pins versions; a lock is used where the author keeps one, but not made behind their back.
    match directory.join("package-lock.json").is_file() {
        true => npm.arg("ci"),
        false => npm.args(["install", "--no-package-lock"]),
    };
    tools::run(npm.args(["--no-audit", "--no-fund"]).current_dir(directory))
}

/// The JavaScript to put into the component.
fn script(directory: &Path, target: &Path) -> Result<PathBuf> {
    if directory.join("plugin.ts").is_file() {
        let made = target.join("js");
        tools::run(program(directory, "tsc")?.arg("--project").arg(directory).arg("--outDir").arg(&made))?;
        return Ok(made.join("plugin.js"));
    }
    let script = directory.join("plugin.js");
    if !script.is_file() {
        bail!("there is neither plugin.ts nor plugin.js");
    }
    Ok(script)
}

/// A program that package.json brought.
fn program(directory: &Path, name: &str) -> Result<Command> {
    let path = directory.join("node_modules/.bin").join(name);
    if !path.is_file() {
        bail!("\"{name}\" is not installed: package.json has to ask for it, and node_modules to be made anew");
    }
    let mut command = Command::new(path);
    command.current_dir(directory);
    Ok(command)
}
