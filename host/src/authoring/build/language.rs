//! Which language a plugin is written in, told by the files of its directory.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

/// A language that plugins can be built from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Language {
    /// With the crate metrics-gateway-sdk.
    Rust,
    /// With bindings made from the contract.
    C,
    /// With those of C.
    Zig,
    /// Ordinary Go, not TinyGo.
    Go,
    /// On QuickJS; JavaScript as well.
    #[value(name = "typescript")]
    TypeScript,
    /// On CPython.
    Python,
}

/// A file with one of these names says it all, whatever else lies there.
const MANIFESTS: [(&str, Language); 3] =
    [("Cargo.toml", Language::Rust), ("go.mod", Language::Go), ("package.json", Language::TypeScript)];

/// Without a manifest, the endings of the sources tell.
const ENDINGS: [(&str, Language); 3] = [(".py", Language::Python), (".zig", Language::Zig), (".c", Language::C)];

impl Language {
    /// The language of what lies in a directory.
    ///
    /// # Errors
    /// Where the directory cannot be read, or tells no language, or several.
    pub fn of(directory: &Path) -> Result<Self> {
        let shown = directory.display();
        let entries = std::fs::read_dir(directory).with_context(|| format!("cannot look into \"{shown}\""))?;
        let names = entries
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<std::io::Result<Vec<String>>>()
            .with_context(|| format!("cannot look into \"{shown}\""))?;
        Self::told_by(&names).with_context(|| format!("cannot tell what the plugin in \"{shown}\" is written in"))
    }

    fn told_by(names: &[String]) -> Result<Self> {
        let by_manifest: BTreeSet<Self> = languages(&MANIFESTS, |manifest| names.iter().any(|name| name == manifest));
        let by_ending = languages(&ENDINGS, |ending| names.iter().any(|name| name.ends_with(ending)));
        let told = if by_manifest.is_empty() { by_ending } else { by_manifest };
        let mut told = told.into_iter();
        match (told.next(), told.next()) {
            (Some(language), None) => Ok(language),
            (None, _) => bail!("it holds no Cargo.toml, go.mod, package.json, *.py, *.zig or *.c"),
            (Some(one), Some(other)) => bail!("it holds both {one} and {other}: give each plugin its own directory"),
        }
    }
}

fn languages(table: &[(&str, Language)], holds: impl Fn(&str) -> bool) -> BTreeSet<Language> {
    table.iter().filter(|(name, _)| holds(name)).map(|(_, language)| *language).collect()
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rust => "Rust",
            Self::C => "C",
            Self::Zig => "Zig",
            Self::Go => "Go",
            Self::TypeScript => "TypeScript",
            Self::Python => "Python",
        })
    }
}

#[cfg(test)]
mod tests;
