//! C: every `*.c` of the directory, with clang as Zig brings it, which needs neither a WASI SDK nor a linker beside it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::Module;
use super::bindings::Declaration;
use super::tools::{self, PythonPackage};

/// Zig's compiler; its `cc` is clang with headers and libraries for every target.
pub(super) const ZIG: PythonPackage = PythonPackage { name: "ziglang", version: "0.17.1" };

/// Builds the plugin of a directory.
pub(super) fn build(directory: &Path) -> Result<Module> {
    let declaration = Declaration::read(directory)?;
    let target = directory.join("target");
    let bindings = target.join("bindings");
    let generated = declaration.write_c(&bindings)?;
    let core = target.join("core.wasm");
    let mut cc = zig(&target)?;
    cc.arg("cc").args(["--target=wasm32-wasi", "-mexec-model=reactor", "-std=c17", "-Os", "-s", "-Wall", "-Wextra"]);
    // As much as Rust's plugins have; Zig would take 16 MiB, half of what a plugin may have by default.
    cc.arg("-Wl,-z,stack-size=1048576");
    cc.arg("-I").arg(&bindings).args(sources(directory)?).args(generated).arg("-o").arg(&core);
    tools::run(&mut cc)?;
    let bytes = std::fs::read(&core).with_context(|| format!("cannot read \"{}\"", core.display()))?;
    Ok(Module { name: declaration.name, bytes, target })
}

/// Zig, with what it keeps of the plugin in the plugin's target directory.
pub(super) fn zig(target: &Path) -> Result<Command> {
    let programs = ZIG.programs()?;
    let mut command = Command::new(programs.join("python"));
    command.args(["-m", "ziglang"]).env("ZIG_LOCAL_CACHE_DIR", target.join("zig"));
    Ok(command)
}

fn sources(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        std::fs::read_dir(directory).with_context(|| format!("cannot look into \"{}\"", directory.display()))?;
    let mut sources: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "c"))
        .collect();
    // The order of a directory is chance, and the same sources are to give the same bytes.
    sources.sort();
    Ok(sources)
}
