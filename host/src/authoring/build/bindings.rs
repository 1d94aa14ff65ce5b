//! What a plugin says it is, and the contract in the words of its language.
//!
//! In: `plugin.wit` of the plugin, which names it and includes the worlds that it answers:
//!
//! ```wit
//! package example:skip-sidecars;
//! world policy { include metrics-gateway:policy/filter-policy@1.0.0; }
//! ```
//!
//! Out: files under `target/bindings` of the plugin. The contract itself is the one this gateway was built with; nobody
//! has to fetch it. Fails where the text is no WIT or asks for what the contract does not have.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use wit_bindgen_core::wit_parser::{Resolve, WorldId, WorldItem, WorldKey};
use wit_bindgen_core::{Files, WorldGenerator};
use wit_component::{StringEncoding, embed_component_metadata};

/// The contract with plugins.
const CONTRACT: &str = include_str!("../../../../sdk/wit/policy.wit");

/// A plugin's own words of what it is.
pub(super) struct Declaration {
    /// The plugin's name: that of its package.
    pub(super) name: String,
    /// The name of its world.
    pub(super) world: String,
    text: String,
    resolve: Resolve,
    id: WorldId,
}

impl Declaration {
    /// Reads `plugin.wit` of a directory.
    ///
    /// # Errors
    /// Says what is wrong with it, and what it should hold.
    pub(super) fn read(directory: &Path) -> Result<Self> {
        let path = directory.join("plugin.wit");
        let text = std::fs::read_to_string(&path).with_context(|| {
            format!("cannot read \"{}\", which says what the plugin is, such as {EXAMPLE}", path.display())
        })?;
        Self::parse(text).with_context(|| format!("\"{}\" is not what it should be, such as {EXAMPLE}", path.display()))
    }

    pub(super) fn parse(text: String) -> Result<Self> {
        let mut resolve = Resolve::default();
        resolve.push_str("policy.wit", CONTRACT).context("the contract itself cannot be read")?;
        let package = resolve.push_str("plugin.wit", &text)?;
        let id = resolve.select_world(&[package], None)?;
        let name = resolve.packages[package].name.name.clone();
        let world = resolve.worlds[id].name.clone();
        if resolve.worlds[id].exports.is_empty() {
            bail!("world \"{world}\" answers no hook: it has to include one of the worlds of metrics-gateway:policy");
        }
        Ok(Self { name, world, text, resolve, id })
    }

    /// Writes `WORLD.h`, `WORLD.c` and `WORLD_component_type.o`; out come the files to compile and link.
    pub(super) fn write_c(&self, into: &Path) -> Result<Vec<PathBuf>> {
        let options = wit_bindgen_c::Opts { rename: self.short_names(), ..Default::default() };
        let written = write(&self.generate(options.build())?, into)?;
        let is_compiled = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "c" || ending == "o");
        Ok(written.into_iter().filter(is_compiled).collect())
    }

    /// Writes the module `wit_component`, whose main package calls the functions of `module`, the plugin's own.
    pub(super) fn write_go(&self, into: &Path, module: &str) -> Result<()> {
        let exports = self.exported_packages();
        let options = wit_bindgen_go::Opts { format: wit_bindgen_go::Format::False, ..Default::default() };
        write(&self.generate(options.build())?, into)?;
        for (package, functions) in exports {
            let functions: String = functions.iter().map(|name| format!("\t{name} = plugin.{name}\n")).collect();
            let text = format!("package {package}\n\nimport plugin \"{module}\"\n\nvar (\n{functions})\n");
            put(&into.join(&package).join("plugin.go"), text.as_bytes())?;
        }
        Ok(())
    }

    /// Writes the declaration and the contract as a directory that other generators read.
    pub(super) fn write_wit(&self, into: &Path) -> Result<()> {
        put(&into.join("plugin.wit"), self.text.as_bytes())?;
        put(&into.join("deps/policy/policy.wit"), CONTRACT.as_bytes())
    }

    /// Puts the declaration into a core module, for compilers that cannot.
    pub(super) fn embed(&self, core: &mut Vec<u8>) -> Result<()> {
        embed_component_metadata(core, &self.resolve, self.id, StringEncoding::UTF8, false)
            .context("the contract cannot be put into the module")
    }

    fn generate(&self, mut generator: Box<dyn WorldGenerator>) -> Result<Files> {
        let mut files = Files::default();
        // Generators leave their marks on what they read.
        generator
            .generate(&mut self.resolve.clone(), self.id, &mut files)
            .context("the contract cannot be put into code")?;
        Ok(files)
    }

    /// In C an interface goes by its own name alone, because package and version make names of eighty characters.
    fn short_names(&self) -> Vec<(String, String)> {
        let world = &self.resolve.worlds[self.id];
        let names = world.imports.keys().chain(world.exports.keys()).filter_map(|key| match key {
            WorldKey::Interface(id) => Some((self.resolve.id_of(*id)?, self.resolve.interfaces[*id].name.clone()?)),
            WorldKey::Name(_) => None,
        });
        // Some interfaces are imported, for their types, and exported.
        names.collect::<HashMap<_, _>>().into_iter().collect()
    }

    /// By Go package in which generated code looks for them: the functions that the plugin has to have.
    fn exported_packages(&self) -> Vec<(String, Vec<String>)> {
        let exports = self.resolve.worlds[self.id].exports.values();
        let interfaces = exports.filter_map(|item| match item {
            WorldItem::Interface { id, .. } => Some(&self.resolve.interfaces[*id]),
            _ => None,
        });
        let package_of = |name: &str| format!("export_metrics_gateway_policy_{}", name.replace('-', "_"));
        interfaces
            .filter_map(|interface| {
                let functions = interface.functions.keys().map(|name| in_go(name)).collect();
                Some((package_of(interface.name.as_deref()?), functions))
            })
            .collect()
    }
}

/// What a declaration looks like, for those who lack one.
const EXAMPLE: &str =
    "\"package example:my-plugin; world policy { include metrics-gateway:policy/filter-policy@1.0.0; }\"";

/// A function's name in Go: `filter-by-value` is `FilterByValue`.
fn in_go(name: &str) -> String {
    let capitalised = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
    };
    name.split('-').map(capitalised).collect()
}

fn write(files: &Files, into: &Path) -> Result<Vec<PathBuf>> {
    files
        .iter()
        .map(|(name, bytes)| {
            let path = into.join(name);
            put(&path, bytes).map(|()| path)
        })
        .collect()
}

/// Writes a file, but not what it says already, so that compilers that look at times need not begin anew.
pub(super) fn put(path: &Path, bytes: &[u8]) -> Result<()> {
    if std::fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).with_context(|| format!("cannot make \"{}\"", parent.display()))?;
    }
    std::fs::write(path, bytes).with_context(|| format!("cannot write \"{}\"", path.display()))
}

#[cfg(test)]
mod tests;
