//! The directions that ARCHITECTURE.md draws are those of the code. Absences are hard to see, so this looks for them: it
//! reads the paragraph and every path in `host/src` that names a module or a crate, tests left out.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The paragraph, from its first words to the next empty line, on one line.
fn paragraph() -> String {
    let text = include_str!("../../ARCHITECTURE.md");
    let (_, after) = text.split_once("Arrows never turn round: ").expect("the paragraph is there");
    let (paragraph, _) = after.split_once("\n\n").expect("and it ends");
    paragraph.replace('\n', " ")
}

/// What stands between backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// By module: the number of its row, counted from those that know nobody.
fn rows(paragraph: &str) -> BTreeMap<String, usize> {
    let (rows, _) = paragraph.split_once('.').expect("a sentence ends");
    let rows = rows.split('←').enumerate();
    let mut by_module: BTreeMap<String, usize> =
        rows.flat_map(|(row, names)| quoted(names).into_iter().map(move |name| (name.to_owned(), row))).collect();
    // What stands aside is used from a row on, and uses `config`: as if it stood just below that row.
    for (aside, from) in [("telemetry", "discovery"), ("shutdown", "app")] {
        assert!(paragraph.contains(&format!("`{aside}`")), "{aside} is not in {paragraph}");
        by_module.insert(aside.to_owned(), by_module[from] - 1);
    }
    by_module
}

/// By crate: the paths under `host/src` below which it may be named.
fn places(paragraph: &str) -> BTreeMap<&str, Vec<&str>> {
    let (_, sentence) = paragraph.split_once("Foreign names stay in their place: ").expect("the sentence is there");
    let (sentence, _) = sentence.split_once('.').expect("it ends");
    let crates = sentence.split(';').map(|part| {
        let names = quoted(part);
        (names[0], names[1..].to_vec())
    });
    crates.collect()
}

struct Source {
    /// Under `host/src`, without `.rs`: `api/wire/json`.
    path: String,
    /// Without comments and tests.
    code: String,
}

impl Source {
    /// The module of the crate that it belongs to.
    fn module(&self) -> &str {
        self.path.split('/').next().expect("a path has a first part")
    }

    /// The modules of the crate that it names.
    fn named_modules(&self) -> impl Iterator<Item = &str> {
        // The binary is a crate of its own, and names the library. In a module at the top, `super` is the crate.
        let of_crate = if self.path == "main" { "metrics_gateway::" } else { "crate::" };
        let of_super = if self.path.contains('/') { None } else { Some("super::") };
        names_after(&self.code, of_crate).chain(of_super.into_iter().flat_map(|before| names_after(&self.code, before)))
    }

    fn names_crate(&self, name: &str) -> bool {
        // hyper comes with hyper_util, serde with serde_json.
        let relatives = [format!("{name}::"), format!("{name}_json::"), format!("{name}_util::")];
        relatives.iter().any(|path| occurrences(&self.code, path).next().is_some())
    }
}

/// Where `path` begins a path: not as a part of a longer name, and not below `self` or another module.
fn occurrences<'a>(code: &'a str, path: &'a str) -> impl Iterator<Item = usize> {
    let begins = |at: &usize| {
        let before = code[..*at].chars().next_back().unwrap_or(' ');
        !(before.is_alphanumeric() || before == '_' || before == ':')
    };
    code.match_indices(path).map(|(at, _)| at).filter(begins)
}

fn names_after<'a>(code: &'a str, path: &'a str) -> impl Iterator<Item = &'a str> {
    occurrences(code, path).map(move |at| {
        let rest = &code[at + path.len()..];
        &rest[..rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len())]
    })
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../host/src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(files.len() > 50, "{} files under {}", files.len(), root.display());
    files.iter().map(|file| read(&root, file)).collect()
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("the sources are beside the tests") {
        let path = entry.expect("a directory can be read to its end").path();
        let is_of_tests = path.file_stem().is_some_and(|stem| stem == "tests");
        match path.extension() {
            _ if is_of_tests => {}
            None => collect(&path, files),
            Some(extension) if extension == "rs" => files.push(path),
            Some(_) => {}
        }
    }
}

fn read(root: &Path, file: &Path) -> Source {
    let path = file.strip_prefix(root).expect("it was found there").with_extension("");
    let text = fs::read_to_string(file).expect("sources are text");
    let (text, _) = text.split_once("#[cfg(test)]\nmod tests {").unwrap_or((&text, ""));
    let is_code = |line: &&str| !line.trim_start().starts_with("//");
    let code = text.lines().filter(is_code).collect::<Vec<_>>().join("\n");
    Source { path: path.to_string_lossy().into_owned(), code }
}

#[test]
fn modules_name_only_those_of_rows_before_theirs() {
    let rows = rows(&paragraph());
    let mut turned = Vec::new();
    for source in sources().iter().filter(|source| source.path != "lib") {
        let own = source.module();
        let row = rows.get(own).unwrap_or_else(|| panic!("`{own}` has no row in ARCHITECTURE.md"));
        for other in source.named_modules().filter(|other| *other != own) {
            match rows.get(other) {
                Some(of_other) if of_other < row => {}
                _ => turned.push(format!("{} names `{other}`", source.path)),
            }
        }
    }
    assert!(turned.is_empty(), "against the arrows: {turned:#?}");
}

#[test]
fn what_stands_aside_names_nothing_but_the_configuration() {
    for source in sources().iter().filter(|source| ["telemetry", "shutdown"].contains(&source.module())) {
        let own = source.module().to_owned();
        let others: Vec<&str> = source.named_modules().filter(|other| *other != own && *other != "config").collect();
        assert!(others.is_empty(), "{} names {others:?}", source.path);
    }
}

#[test]
fn every_module_of_the_library_has_a_row_and_every_row_its_modules() {
    let rows = rows(&paragraph());
    let declared: Vec<String> = include_str!("../../host/src/lib.rs")
        .lines()
        .filter_map(|line| Some(line.strip_prefix("pub mod ")?.trim_end_matches(';').to_owned()))
        .chain(["main".to_owned()])
        .collect();
    let missing: Vec<&String> = declared.iter().filter(|name| !rows.contains_key(*name)).collect();
    let invented: Vec<&String> = rows.keys().filter(|name| !declared.contains(name)).collect();
    assert!(missing.is_empty() && invented.is_empty(), "missing: {missing:?}, invented: {invented:?}");
}

#[test]
fn foreign_names_stay_in_their_place() {
    let paragraph = paragraph();
    let sources = sources();
    for (name, places) in places(&paragraph) {
        let is_below = |path: &str, place: &str| path == place || path.starts_with(&format!("{place}/"));
        let naming: Vec<&str> =
            sources.iter().filter(|source| source.names_crate(name)).map(|source| &*source.path).collect();
        let strays: Vec<_> = naming.iter().filter(|path| !places.iter().any(|place| is_below(path, place))).collect();
        assert!(strays.is_empty(), "`{name}` may be named in {places:?}, and is in {strays:?}");
        let unused: Vec<_> = places.iter().filter(|place| !naming.iter().any(|path| is_below(path, place))).collect();
        assert!(unused.is_empty(), "`{name}` is not named in {unused:?}");
    }
}

#[test]
fn one_place_is_unsafe_and_no_other() {
    let host = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
    let manifest = fs::read_to_string(host).expect("the workspace has a manifest");
    assert!(manifest.contains("unsafe_code = \"deny\""), "{manifest}");
    let named: Vec<String> = sources()
        .into_iter()
        .filter(|source| source.code.contains("unsafe {") || source.code.contains("unsafe_code"))
        .map(|source| source.path)
        .collect();
    assert_eq!(named, ["plugins/cache"], "loading compiled plugins, which wasmtime has no other way for");
}
