//! Zig: `plugin.zig` and what it imports. The contract comes as the module `policy`, translated from its C header.

use std::path::Path;

use anyhow::{Context as _, Result};

use super::Module;
use super::bindings::{Declaration, put};
use super::c::zig;
use super::tools;

/// Builds the plugin of a directory.
pub(super) fn build(directory: &Path) -> Result<Module> {
    let declaration = Declaration::read(directory)?;
    let target = directory.join("target");
    let bindings = target.join("bindings");
    let generated = declaration.write_c(&bindings)?;
    let header = bindings.join(format!("{}.h", declaration.world.replace('-', "_")));
    translate(&target, &header, &bindings.join("policy.zig"))?;
    let core = target.join("core.wasm");
    let mut compiler = zig(&target)?;
    compiler
        .arg("build-exe")
        .args(["-target", "wasm32-wasi", "-mexec-model=reactor", "-rdynamic", "-O", "ReleaseSmall", "-fstrip"])
        // As in C.
        .args(["--stack", "1048576"])
        .args(["--dep", "policy"])
        .arg(prefixed("-Mroot=", &directory.join("plugin.zig")))
        .arg("-lc")
        .args(generated)
        .arg(prefixed("-Mpolicy=", &bindings.join("policy.zig")))
        .arg(prefixed("-femit-bin=", &core));
    tools::run(&mut compiler)?;
    let bytes = std::fs::read(&core).with_context(|| format!("cannot read \"{}\"", core.display()))?;
    Ok(Module { name: declaration.name, bytes, target })
}

/// A header in Zig's words. Zig compiles its translator first, which takes it a minute, once on a machine.
fn translate(target: &Path, header: &Path, into: &Path) -> Result<()> {
    let mut translator = zig(target)?;
    translator.arg("translate-c").arg(header).args(["-target", "wasm32-wasi", "-lc"]);
    let text = tools::ask(&mut translator).context("the contract cannot be put into Zig")?;
    put(into, text.as_bytes())
}

fn prefixed(flag: &str, path: &Path) -> std::ffi::OsString {
    let mut word = std::ffi::OsString::from(flag);
    word.push(path);
    word
}
