//! Core modules that toolchains put out with component-type metadata, made into components.
//!
//! In: a core module. Out: the component that `wasm-tools component new` would make of it. So an author needs no more
//! than a compiler. What fails: modules without metadata, of which nobody can tell which functions they mean to export,
//! and modules that import what no world offers.
//!
//! Absent on purpose, so far: adapters. Toolchains whose runtime insists on WASI (Go) would need one that answers
//! without leaving the component; [`ADAPTERS`] is where it goes.

mod packages;

use wasmparser::{Parser, Payload};
use wit_component::ComponentEncoder;

use super::artifact::{ArtifactError, damaged, foreign_imports};
use super::line::line;
use packages::Packages;

/// Modules that stand in for what a core module imports: the name it imports from, and the adapter.
const ADAPTERS: &[(&str, &[u8])] = &[];

/// The component that a core module with metadata stands for.
///
/// # Errors
/// [`ArtifactError`] where it stands for none.
pub fn componentize(core: &[u8]) -> Result<Vec<u8>, ArtifactError> {
    let (has_metadata, modules) = read(core).map_err(|error| damaged(&error, core.len()))?;
    let wasi: Vec<&String> = modules.iter().filter(|name| name.starts_with("wasi") && !is_adapted(name)).collect();
    if !wasi.is_empty() {
        return Err(foreign_imports(&wasi));
    }
    if !has_metadata {
        return Err(ArtifactError(
            "is a core module that does not say which interfaces it exports; build it with bindings for \
             metrics-gateway:policy, or make it a component with `wasm-tools component new`"
                .to_owned(),
        ));
    }
    check_packages(core)?;
    encode(core, &modules).map_err(|error| {
        ArtifactError(format!(
            "is a core module that cannot be made a component: {}",
            line(&format!("{error:#}"), 1024)
        ))
    })
}

fn is_adapted(module: &str) -> bool {
    ADAPTERS.iter().any(|(name, _)| *name == module)
}

fn encode(core: &[u8], modules: &[String]) -> anyhow::Result<Vec<u8>> {
    let mut encoder = ComponentEncoder::default();
    // What comes out is checked with everything else, by the compiler.
    encoder.validate(false).module(core)?;
    for (name, adapter) in ADAPTERS.iter().filter(|(name, _)| modules.iter().any(|module| module == name)) {
        encoder.adapter(name, adapter)?;
    }
    encoder.encode()
}

/// That the encoder will come to an end.
fn check_packages(core: &[u8]) -> Result<(), ArtifactError> {
    let mut packages = Packages::default();
    for payload in Parser::new(0).parse_all(core) {
        if let Payload::CustomSection(section) = payload.map_err(|error| damaged(&error, core.len()))?
            && section.name().starts_with("component-type")
        {
            packages.note(section.data())?;
        }
    }
    Ok(())
}

/// Whether a module has component-type metadata, and the names of the modules that it imports from, each once.
fn read(core: &[u8]) -> wasmparser::Result<(bool, Vec<String>)> {
    let (mut has_metadata, mut modules) = (false, Vec::<String>::new());
    for payload in Parser::new(0).parse_all(core) {
        match payload? {
            Payload::CustomSection(section) => has_metadata |= section.name().starts_with("component-type"),
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    let module = import?.module;
                    if modules.last().is_none_or(|last| last != module) {
                        modules.push(module.to_owned());
                    }
                }
            }
            _ => {}
        }
    }
    modules.sort();
    modules.dedup();
    Ok((has_metadata, modules))
}

#[cfg(test)]
mod tests;
