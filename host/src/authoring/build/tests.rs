use std::path::{Path, PathBuf};

use super::bindings::Declaration;
use super::{component, destination};
use crate::config::policies::PluginLimits;
use crate::plugins::artifact::{Hook, inspect};

/// A directory for one test, gone with it.
pub(super) struct Directory(PathBuf);

impl Directory {
    pub(super) fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("authoring-{}-{test}", std::process::id()));
        std::fs::create_dir_all(&path).expect("there is room for files");
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What stays is a few files in the system's place for them.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_plugin_goes_where_the_command_line_says_or_to_its_own_target() {
    let there = Path::new(env!("CARGO_MANIFEST_DIR"));
    let check = |output: Option<&Path>, several, expected: &Path| {
        assert_eq!(destination(output, several, Path::new("own/target"), "ewma"), expected, "{output:?} {several}");
    };
    check(None, false, Path::new("own/target/ewma.wasm"));
    check(None, true, Path::new("own/target/ewma.wasm"));
    check(Some(Path::new("made.wasm")), false, Path::new("made.wasm"));
    check(Some(Path::new("made")), true, Path::new("made/ewma.wasm"));
    check(Some(Path::new("made/")), false, Path::new("made/ewma.wasm"));
    check(Some(there), false, &there.join("ewma.wasm"));
}

/// A filter as Go's compiler would make it: what it exports traps, and what it imports is WASI.
fn core_module(import: &str) -> Vec<u8> {
    let text = format!(
        r#"(module
            {import}
            (memory (export "memory") 1)
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
            (func (export "metrics-gateway:policy/plugin@1.0.0#describe") (result i32) unreachable)
            (func (export "metrics-gateway:policy/plugin@1.0.0#configure") (param i32 i32) (result i32) unreachable)
            (func (export "metrics-gateway:policy/filter@1.0.0#classify") (param i32 i32) (result i32) unreachable))"#
    );
    let mut core = wat::parse_str(text).expect("it is well-formed");
    let declaration = "package example:p; world w { include metrics-gateway:policy/filter-policy@1.0.0; }";
    Declaration::parse(declaration.to_owned()).and_then(|world| world.embed(&mut core)).expect("it is a declaration");
    core
}

#[test]
fn wasi_is_met_inside_the_component_so_that_nothing_foreign_is_imported() {
    let imports = r#"(import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "clock_time_get" (func (param i32 i64 i32) (result i32)))
        (import "wasi_snapshot_preview1" "path_open" (func (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))"#;
    let component = component::make(&core_module(imports)).expect("it becomes a component");
    let inspection = inspect(&component, &PluginLimits::default()).expect("the gateway takes it");
    assert_eq!(inspection.hooks, [Hook::Filter]);
}

#[test]
fn every_function_of_the_first_preview_of_wasi_is_met() {
    // By the numbers of its parameters and results; the list is WASI's own.
    let signatures = include_str!("tests/preview1.txt").lines().filter(|line| !line.starts_with('#'));
    for line in signatures {
        let (name, signature) = line.split_once(' ').expect("a name and a signature");
        let import = format!(r#"(import "wasi_snapshot_preview1" "{name}" (func {signature}))"#);
        component::make(&core_module(&import)).unwrap_or_else(|error| panic!("{line}: {error:#}"));
    }
}

#[test]
fn what_is_neither_in_the_contract_nor_wasi_is_no_plugin() {
    let core = core_module(r#"(import "env" "now" (func (result i64)))"#);
    let error = format!("{:#}", component::make(&core).expect_err("nobody offers it"));
    assert!(error.contains("env"), "{error}");
}

#[test]
fn a_component_stays_as_it_is() {
    let component = component::make(&core_module("")).expect("it becomes a component");
    assert_eq!(component::make(&component).expect("it is one"), component);
}
