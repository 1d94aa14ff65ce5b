//! The files of a new plugin, as text.
//!
//! Rust has a template for each hook in `sdk/templates`. In the other languages a new filter is the worked example of
//! `plugins/examples` under another name; what there is no template for is refused in words.
//!
//! In the templates a plugin is called `my-plugin`, in the examples `skip-sidecars`: whole files that can be built as they
//! stand.

use anyhow::{Result, bail};

use super::super::build::Language;
use super::Hook;

/// A path below the plugin's directory, and the file's text.
type File = (String, String);

// SDK: every file of the SDK, by its path there.
include!(concat!(env!("OUT_DIR"), "/sdk.rs"));

const README: &str = include_str!("../../../../sdk/templates/README.md");

/// A file of the repository, by its path there from this one.
macro_rules! text {
    ($path:literal) => {
        include_str!(concat!("../../../../", $path))
    };
}

/// The files of a plugin.
///
/// # Errors
/// There is no template for the hook in the language.
pub(super) fn files(name: &str, hook: Hook, language: Language) -> Result<Vec<File>> {
    let mut files: Vec<File> = match language {
        Language::Rust => rust(hook).into_iter().map(|(path, text)| named(path, text, "my-plugin", name)).collect(),
        _ => example(hook, language)?.iter().map(|(path, text)| named(path, text, "skip-sidecars", name)).collect(),
    };
    files.push(("README.md".to_owned(), readme(name, hook, language)));
    files.push((".gitignore".to_owned(), "/target/\n/node_modules/\n".to_owned()));
    if language == Language::Rust {
        files.extend(SDK.iter().map(|(path, text)| (format!("sdk/{path}"), (*text).to_owned())));
    }
    Ok(files)
}

fn named(path: &str, text: &str, called: &str, name: &str) -> File {
    (path.to_owned(), text.replace(called, name))
}

fn rust(hook: Hook) -> [(&'static str, &'static str); 3] {
    let (source, cases) = match hook {
        Hook::Address => (text!("sdk/templates/rust/address.rs"), text!("sdk/templates/rust/address.toml")),
        Hook::Filter => (text!("sdk/templates/rust/filter.rs"), text!("sdk/templates/rust/filter.toml")),
        Hook::Window => (text!("sdk/templates/rust/window.rs"), text!("sdk/templates/rust/window.toml")),
    };
    [("Cargo.toml", text!("sdk/templates/rust/Cargo.toml")), ("src/lib.rs", source), ("cases.toml", cases)]
}

/// The worked example of a language.
fn example(hook: Hook, language: Language) -> Result<&'static [(&'static str, &'static str)]> {
    if hook != Hook::Filter {
        bail!(
            "there is no template for the hook \"{}\" in {language} yet, only for \"filter\"; the contract stands in \
             sdk/wit/policy.wit, and in Rust there is one for every hook",
            hook.name()
        );
    }
    Ok(match language {
        Language::Rust => bail!("Rust has templates of its own"),
        Language::C => C,
        Language::Zig => ZIG,
        Language::Go => GO,
        Language::TypeScript => TYPESCRIPT,
        Language::Python => PYTHON,
    })
}

const CASES: (&str, &str) = ("cases.toml", text!("plugins/skip-sidecars/cases.toml"));

const C: &[(&str, &str)] = &[
    ("plugin.wit", text!("plugins/examples/c/plugin.wit")),
    ("plugin.c", text!("plugins/examples/c/plugin.c")),
    ("settings.c", text!("plugins/examples/c/settings.c")),
    ("settings.h", text!("plugins/examples/c/settings.h")),
    CASES,
];

const ZIG: &[(&str, &str)] = &[
    ("plugin.wit", text!("plugins/examples/zig/plugin.wit")),
    ("plugin.zig", text!("plugins/examples/zig/plugin.zig")),
    CASES,
];

const GO: &[(&str, &str)] = &[
    ("plugin.wit", text!("plugins/examples/go/plugin.wit")),
    ("go.mod", text!("plugins/examples/go/go.mod")),
    ("plugin.go", text!("plugins/examples/go/plugin.go")),
    ("plugin_test.go", text!("plugins/examples/go/plugin_test.go")),
    CASES,
];

const TYPESCRIPT: &[(&str, &str)] = &[
    ("plugin.wit", text!("plugins/examples/typescript/plugin.wit")),
    ("package.json", text!("plugins/examples/typescript/package.json")),
    ("tsconfig.json", text!("plugins/examples/typescript/tsconfig.json")),
    ("plugin.ts", text!("plugins/examples/typescript/plugin.ts")),
    CASES,
];

const PYTHON: &[(&str, &str)] = &[
    ("plugin.wit", text!("plugins/examples/python/plugin.wit")),
    ("plugin.py", text!("plugins/examples/python/plugin.py")),
    CASES,
];

fn readme(name: &str, hook: Hook, language: Language) -> String {
    README
        .replace("{hook}", hook.name())
        .replace("{language}", &language.to_string())
        .replace("{needs}", needs(language))
        .replace("{binding}", binding(hook))
        .replace("my-plugin", name)
}

/// What has to be there for `plugin build`; it brings the rest.
fn needs(language: Language) -> &'static str {
    match language {
        Language::Rust => {
            "It needs cargo, and rustup for the target\n`wasm32-unknown-unknown`. `cargo test` tests the plugin without \
             WebAssembly."
        }
        Language::C | Language::Zig => "It needs Python 3, and\nfetches Zig, which brings a compiler for C.",
        Language::Go => {
            "It needs Go 1.24, or\nPython 3 to fetch it. After a first build `go test` tests the plugin without WebAssembly."
        }
        Language::TypeScript => "It needs Node.js and npm,\nand fetches what `package.json` names.",
        Language::Python => "It needs Python 3, and\nfetches componentize-py.",
    }
}

/// How gateway.toml binds it, to everybody.
fn binding(hook: Hook) -> &'static str {
    match hook {
        Hook::Address => "[[node_pool]]\nname = \"all\"\naddress = { plugin = \"my-plugin\" }",
        Hook::Filter => {
            "[default]\nfilter = [{ plugin = \"my-plugin\", settings = { containers = [\"istio-proxy\"] } }]"
        }
        Hook::Window => "[default]\nwindow = { plugin = \"my-plugin\", settings = { over = \"60s\" } }",
    }
}

#[cfg(test)]
mod tests;
