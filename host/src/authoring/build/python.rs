//! Python: `plugin.py`, and CPython inside the component.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::Module;
use super::bindings::Declaration;
use super::tools::{self, PythonPackage};

/// Puts CPython, the standard library and a plugin into one component.
const COMPONENTIZE: PythonPackage = PythonPackage { name: "componentize-py", version: "0.25.1" };

/// Builds the plugin of a directory.
pub(super) fn build(directory: &Path) -> Result<Module> {
    let declaration = Declaration::read(directory)?;
    let target = directory.join("target");
    let wit = target.join("bindings/wit");
    declaration.write_wit(&wit)?;
    let component = target.join("component.wasm");
    let mut componentize = Command::new(COMPONENTIZE.programs()?.join("componentize-py"));
    componentize
        .arg("--wit-path")
        .arg(&wit)
        .args(["--world", &declaration.world])
        // Without WASI: a plugin has nothing to import but `log`.
        .args(["componentize", "--stub-wasi", "--python-path"])
        .arg(directory)
        .arg("--output")
        .arg(&component)
        .arg("plugin");
    tools::run(&mut componentize)?;
    let bytes = std::fs::read(&component).with_context(|| format!("cannot read \"{}\"", component.display()))?;
    Ok(Module { name: declaration.name, bytes, target })
}
