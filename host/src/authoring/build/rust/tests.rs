use std::path::Path;

use super::{Metadata, library_of, profile_of};
use crate::authoring::build::tests::Directory;

#[test]
fn the_workspace_s_own_profile_is_used_where_it_has_one() {
    let check = |manifest: &str, expected: &str| {
        let directory = Directory::new("profile");
        std::fs::write(directory.path().join("Cargo.toml"), manifest).expect("it can be written");
        assert_eq!(profile_of(directory.path()).expect("it is TOML"), expected, "{manifest}");
    };
    check("[package]\nname = \"a\"\n", "release");
    check("[profile.release]\nlto = true\n", "release");
    check("[profile.plugin]\ninherits = \"release\"\n", "plugin");
}

#[test]
fn first_party_plugins_are_built_by_the_profile_made_for_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    assert_eq!(profile_of(&root).expect("it is a workspace"), "plugin");
}

#[test]
fn the_library_of_a_plugin_is_the_one_that_becomes_a_module() {
    let check = |kinds: &str, expected: Option<&str>| {
        let text = format!(
            r#"{{"workspace_root": "/w", "target_directory": "/w/target", "packages": [{{
                "name": "skip-sidecars", "manifest_path": "/w/Cargo.toml",
                "targets": [{{"name": "check", "crate_types": ["bin"]}}, {{"name": "skip-sidecars", "crate_types": {kinds}}}]
            }}]}}"#
        );
        let metadata: Metadata = serde_json::from_str(&text).expect("cargo says so");
        assert_eq!(library_of(&metadata.packages[0]).as_deref(), expected, "{kinds}");
    };
    check(r#"["cdylib", "rlib"]"#, Some("skip_sidecars"));
    check(r#"["lib"]"#, None);
}
