//! The files of a new plugin, as text.
//!
//! There is one for every hook in every language. Those for Rust, and those for addresses and windows in other languages,
//! stand in `sdk/templates`; a filter in another language is the worked example of `plugins/examples` under another name.
//!
//! In the templates a plugin is called `my-plugin`, in the examples `skip-sidecars`.

use super::super::build::Language;
use super::Hook;

/// A path below the plugin's directory, and the file's text.
type File = (String, String);
/// The same before it has the plugin's name.
type Template = (&'static str, &'static str);

// SDK: every file of the SDK, by its path there.
include!(concat!(env!("OUT_DIR"), "/sdk.rs"));

/// A file of the repository, by its path there.
macro_rules! text {
    ($path:literal) => {
        include_str!(concat!("../../../../", $path))
    };
}

const README: &str = text!("sdk/templates/README.md");
/// All examples have the same, but for the hook.
const DECLARATION: &str = text!("plugins/examples/c/plugin.wit");
const IGNORED: &str = "target/\nnode_modules/\n__pycache__/\n";

/// The files of a plugin.
pub(super) fn files(name: &str, hook: Hook, language: Language) -> Vec<File> {
    let mut files: Vec<File> = sources(hook, language)
        .iter()
        .chain(manifests(language))
        .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
        .collect();
    files.push(("cases.toml".to_owned(), cases(hook, language)));
    files.push(("README.md".to_owned(), readme(hook, language)));
    files.push((".gitignore".to_owned(), IGNORED.to_owned()));
    if language != Language::Rust {
        files.push(("plugin.wit".to_owned(), DECLARATION.replace("filter-policy", &format!("{}-policy", hook.name()))));
    }
    for (_, text) in &mut files {
        *text = text.replace("my-plugin", name).replace("skip-sidecars", name);
    }
    if language == Language::Rust {
        files.extend(SDK.iter().map(|(path, text)| (format!("sdk/{path}"), (*text).to_owned())));
    }
    files
}

/// What the author goes on to write.
fn sources(hook: Hook, language: Language) -> &'static [Template] {
    match (language, hook) {
        (Language::Rust, Hook::Address) => &[("src/lib.rs", text!("sdk/templates/rust/address.rs"))],
        (Language::Rust, Hook::Filter) => &[("src/lib.rs", text!("sdk/templates/rust/filter.rs"))],
        (Language::Rust, Hook::Window) => &[("src/lib.rs", text!("sdk/templates/rust/window.rs"))],
        (Language::C, Hook::Address) => &[("plugin.c", text!("sdk/templates/c/address.c"))],
        (Language::C, Hook::Filter) => &[
            ("plugin.c", text!("plugins/examples/c/plugin.c")),
            ("settings.c", text!("plugins/examples/c/settings.c")),
            ("settings.h", text!("plugins/examples/c/settings.h")),
        ],
        (Language::C, Hook::Window) => &[("plugin.c", text!("sdk/templates/c/window.c"))],
        (Language::Zig, Hook::Address) => &[("plugin.zig", text!("sdk/templates/zig/address.zig"))],
        (Language::Zig, Hook::Filter) => &[("plugin.zig", text!("plugins/examples/zig/plugin.zig"))],
        (Language::Zig, Hook::Window) => &[("plugin.zig", text!("sdk/templates/zig/window.zig"))],
        (Language::Go, Hook::Address) => &[
            ("plugin.go", text!("sdk/templates/go/address.go")),
            ("plugin_test.go", text!("sdk/templates/go/address_test.go")),
        ],
        (Language::Go, Hook::Filter) => &[
            ("plugin.go", text!("plugins/examples/go/plugin.go")),
            ("plugin_test.go", text!("plugins/examples/go/plugin_test.go")),
        ],
        (Language::Go, Hook::Window) => &[
            ("plugin.go", text!("sdk/templates/go/window.go")),
            ("plugin_test.go", text!("sdk/templates/go/window_test.go")),
        ],
        (Language::TypeScript, Hook::Address) => &[("plugin.ts", text!("sdk/templates/typescript/address.ts"))],
        (Language::TypeScript, Hook::Filter) => &[("plugin.ts", text!("plugins/examples/typescript/plugin.ts"))],
        (Language::TypeScript, Hook::Window) => &[("plugin.ts", text!("sdk/templates/typescript/window.ts"))],
        (Language::Python, Hook::Address) => &[("plugin.py", text!("sdk/templates/python/address.py"))],
        (Language::Python, Hook::Filter) => &[("plugin.py", text!("plugins/examples/python/plugin.py"))],
        (Language::Python, Hook::Window) => &[("plugin.py", text!("sdk/templates/python/window.py"))],
    }
}

/// What the language's own tools read.
fn manifests(language: Language) -> &'static [Template] {
    match language {
        Language::Rust => &[("Cargo.toml", text!("sdk/templates/rust/Cargo.toml"))],
        Language::Go => &[("go.mod", text!("plugins/examples/go/go.mod"))],
        Language::TypeScript => &[
            ("package.json", text!("plugins/examples/typescript/package.json")),
            ("tsconfig.json", text!("plugins/examples/typescript/tsconfig.json")),
        ],
        Language::C | Language::Zig | Language::Python => &[],
    }
}

fn cases(hook: Hook, language: Language) -> String {
    let text = match (language, hook) {
        (Language::Rust, Hook::Address) => text!("sdk/templates/rust/address.toml"),
        (Language::Rust, Hook::Filter) => text!("sdk/templates/rust/filter.toml"),
        (Language::Rust, Hook::Window) => text!("sdk/templates/rust/window.toml"),
        (_, Hook::Address) => text!("sdk/templates/address.toml"),
        (_, Hook::Filter) => text!("plugins/skip-sidecars/cases.toml"),
        (_, Hook::Window) => text!("sdk/templates/window.toml"),
    };
    if (language, hook) == (Language::TypeScript, Hook::Window) {
        // Numbers of JavaScript cannot tell such times exactly, and the template steps back by what they may be off.
        return text.replace("{ at = \"45s\", window", "{ at = \"44.999999744s\", window");
    }
    text.to_owned()
}

fn readme(hook: Hook, language: Language) -> String {
    README
        .replace("{hook}", hook.name())
        .replace("{language}", &language.to_string())
        .replace("{needs}", needs(language))
        .replace("{binding}", binding(hook))
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
        Hook::Window => "[default]\nwindow = { plugin = \"my-plugin\" }",
    }
}

#[cfg(test)]
mod tests;
