//! What documents say exists, exists; what lies among the fixtures is used.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use metrics_gateway::args::{self, UsageError};
use metrics_gateway::config::file::RawConfig;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All files below a directory of the repository that `wanted` picks.
fn files(directory: &Path, wanted: &dyn Fn(&Path) -> bool) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.expect("a directory can be read to its end").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            found.extend(files(&path, wanted));
        } else if path.is_file() && wanted(&path) {
            found.push(path);
        }
    }
    found
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|own| own == extension)
}

#[test]
fn every_fixture_is_used_by_a_test() {
    let sources: Vec<String> = files(&root(), &|path| has_extension(path, "rs"))
        .iter()
        .map(|path| fs::read_to_string(path).expect("sources are text"))
        .collect();
    let fixtures = files(&root().join("tests/fixtures"), &|path| !has_extension(path, "md"));
    assert!(fixtures.len() > 20, "{fixtures:?}");
    let unused: Vec<&PathBuf> = fixtures
        .iter()
        .filter(|fixture| {
            let name = fixture.file_name().unwrap_or_default().to_string_lossy();
            // By its path, or by its name alone where a test has the path in one place.
            let ways = [format!("/{name}\""), format!("\"{name}\"")];
            !sources.iter().any(|source| ways.iter().any(|way| source.contains(way)))
        })
        .collect();
    assert!(unused.is_empty(), "{unused:#?}");
}

/// Everything that people read, with its name.
fn documents() -> Vec<(String, String)> {
    let is_document = |path: &Path| has_extension(path, "md") || has_extension(path, "yaml");
    let found = files(&root(), &is_document).into_iter().filter(|path| !path.ends_with("tests/fixtures"));
    found.map(|path| (path.display().to_string(), fs::read_to_string(&path).expect("documents are text"))).collect()
}

/// What stands between backticks on one line.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

#[test]
fn documents_name_only_keys_and_values_that_gateway_toml_has() {
    const SECTIONS: [&str; 4] = ["scrape", "history", "api", "serving"];
    let mut checked = 0;
    for (name, text) in documents() {
        for quote in quoted(&text) {
            let (key, value) = quote.split_once(" = ").unwrap_or((quote, ""));
            let is_key = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            let Some((section, leaf)) = key.split_once('.') else { continue };
            if !SECTIONS.contains(&section) || !is_key(leaf) || leaf == "rs" {
                continue;
            }
            // Without a value, one that no key takes: then the problem is the value's, unless there is no such key.
            let line = if value.is_empty() { format!("{key} = {{}}") } else { quote.to_owned() };
            let (_, problems) = RawConfig::read("document", &line);
            let faults: Vec<String> = problems.iter().map(ToString::to_string).collect();
            let is_wrong = |fault: &String| !value.is_empty() || fault.contains("unknown key");
            assert!(!faults.iter().any(is_wrong), "{name} says `{quote}`: {faults:?}");
            checked += 1;
        }
    }
    assert!(checked >= 6, "{checked} keys are named");
}

#[test]
fn documents_name_only_flags_that_there_are() {
    let mut checked = 0;
    for (name, text) in documents() {
        // Other programs have flags as well; ours are told apart by the documents that speak of nothing else.
        let is_ours = ["ARCHITECTURE.md", "CHANGELOG.md", "deployment.yaml"].iter().any(|ours| name.ends_with(ours));
        for word in text.split(|c: char| c.is_whitespace() || "`,;()|".contains(c)).filter(|_| is_ours) {
            let Some(flag) = word.strip_prefix("--").filter(|flag| flag.starts_with(|c: char| c.is_ascii_lowercase()))
            else {
                continue;
            };
            let flag = flag.split('=').next().unwrap_or_default().trim_end_matches(['.', ':', '*']);
            let parsed = args::parse([OsString::from(format!("--{flag}=x"))]);
            let is_known = !matches!(parsed, Err(UsageError::UnknownFlag(_)));
            // `--requestheader-*` stands for all that begin so; make targets have arguments of their own.
            assert!(is_known || flag.ends_with('-') || flag == "once", "{name} names --{flag}");
            checked += 1;
        }
    }
    assert!(checked >= 5, "{checked} flags are named");
}

#[test]
fn the_deployment_has_the_arguments_of_the_stock_manifest() {
    let text = fs::read_to_string(root().join("deploy/deployment.yaml")).expect("it is there");
    let args: Vec<&str> =
        text.lines().filter_map(|line| line.trim().strip_prefix("- ")).filter(|arg| arg.starts_with("--")).collect();
    let expected = [
        "--cert-dir=/tmp",
        "--secure-port=10250",
        "--kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname",
        "--kubelet-use-node-status-port",
        "--metric-resolution=15s",
    ];
    assert_eq!(args, expected);
}
