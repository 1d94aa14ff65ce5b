use clap::ValueEnum as _;

use super::files;
use crate::authoring::build::Language;
use crate::authoring::cases::CaseFile;
use crate::authoring::new::Hook;

/// Every combination that there is a template for.
fn every() -> impl Iterator<Item = (Hook, Language, Vec<(String, String)>)> {
    let pairs = Hook::value_variants().iter().flat_map(|hook| Language::value_variants().iter().map(|of| (*hook, *of)));
    pairs.filter_map(|(hook, language)| Some((hook, language, files("p95-latest", hook, language).ok()?)))
}

#[test]
fn every_plugin_is_called_by_its_own_name_throughout() {
    for (hook, language, files) in every() {
        for (path, text) in files.iter().filter(|(path, _)| !path.starts_with("sdk/")) {
            assert!(
                !text.contains("my-plugin") && !text.contains("skip-sidecars"),
                "{language} {hook:?} {path}: {text}"
            );
        }
        assert!(files.iter().any(|(_, text)| text.contains("p95-latest")), "{language} {hook:?}");
    }
}

#[test]
fn every_plugin_has_cases_for_its_hook_that_can_be_read() {
    for (hook, language, files) in every() {
        let (_, text) = files.iter().find(|(path, _)| path == "cases.toml").expect("it has cases");
        let cases = CaseFile::read("cases.toml", text).unwrap_or_else(|error| panic!("{language} {hook:?}: {error}"));
        assert!(cases.cases.len() >= 2, "{language} {hook:?}");
        assert!(text.contains(&format!("hook = \"{}\"", hook.name())), "{language} {hook:?}");
    }
}

#[test]
fn rust_has_a_template_for_every_hook_and_the_others_for_filters() {
    let there = every().filter(|(_, language, _)| *language == Language::Rust).count();
    assert_eq!(there, Hook::value_variants().len());
    let filters = every().filter(|(hook, _, _)| *hook == Hook::Filter).count();
    assert_eq!(filters, Language::value_variants().len());
}

#[test]
fn what_there_is_no_template_for_is_refused_in_words() {
    let error = files("p95", Hook::Window, Language::Zig).expect_err("there is none yet").to_string();
    assert!(error.contains("\"window\" in Zig") && error.contains("sdk/wit/policy.wit"), "{error}");
}

#[test]
fn a_plugin_in_rust_brings_the_sdk_of_this_gateway_whole() {
    let files = files("p95", Hook::Filter, Language::Rust).expect("there is one");
    let text = |path: &str| files.iter().find(|(there, _)| there == path).map(|(_, text)| text.as_str());
    assert_eq!(text("sdk/wit/policy.wit"), Some(include_str!("../../../../../sdk/wit/policy.wit")));
    assert_eq!(text("sdk/src/lib.rs"), Some(include_str!("../../../../../sdk/src/lib.rs")));
    assert!(text("sdk/Cargo.toml").is_some_and(|manifest| !manifest.contains("workspace = true")));
    assert!(text("Cargo.toml").is_some_and(|manifest| manifest.contains("name = \"p95\"")));
}
