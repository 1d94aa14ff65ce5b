use clap::ValueEnum as _;

use super::files;
use crate::authoring::build::Language;
use crate::authoring::cases::CaseFile;
use crate::authoring::new::Hook;

/// A plugin for every hook in every language.
fn every() -> impl Iterator<Item = (Hook, Language, Vec<(String, String)>)> {
    let pairs = Hook::value_variants().iter().flat_map(|hook| Language::value_variants().iter().map(|of| (*hook, *of)));
    pairs.map(|(hook, language)| (hook, language, files("p95-latest", hook, language)))
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
fn every_plugin_but_those_in_rust_declares_the_world_of_its_hook() {
    for (hook, language, files) in every() {
        let declared = files.iter().find(|(path, _)| path == "plugin.wit").map(|(_, text)| text.as_str());
        let world = format!("include metrics-gateway:policy/{}-policy@1.0.0;", hook.name());
        let expected = (language != Language::Rust).then_some(true);
        assert_eq!(declared.map(|text| text.contains(&world)), expected, "{language} {hook:?}");
    }
}

#[test]
fn a_plugin_in_rust_brings_the_sdk_of_this_gateway_whole() {
    let files = files("p95", Hook::Filter, Language::Rust);
    let text = |path: &str| files.iter().find(|(there, _)| there == path).map(|(_, text)| text.as_str());
    assert_eq!(text("sdk/wit/policy.wit"), Some(include_str!("../../../../../sdk/wit/policy.wit")));
    assert_eq!(text("sdk/src/lib.rs"), Some(include_str!("../../../../../sdk/src/lib.rs")));
    assert!(text("sdk/Cargo.toml").is_some_and(|manifest| !manifest.contains("workspace = true")));
    assert!(text("Cargo.toml").is_some_and(|manifest| manifest.contains("name = \"p95\"")));
}
