//! Plugins as text: small core modules in `tests/fixtures/guests`, made into components of the real contract.
//!
//! A fixture holds the fields of a module, without `(module …)`, and begins with `;; world: NAME`. What every guest has
//! and most do not care about (a memory, an allocator, `describe`, `configure`) comes from `prelude`, part by part, unless
//! the fixture has its own. See the README beside the fixtures.
//!
//! The host's unit tests include this file too: it names no other module of the harness.

use std::fs;
use std::path::PathBuf;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// The contract with plugins.
pub const CONTRACT: &str = include_str!("../../sdk/wit/policy.wit");

/// A fixture as a component: `load("keep-all")`.
pub fn load(name: &str) -> Vec<u8> {
    let text = text(name);
    component(&text, world(&text))
}

/// A fixture as the core module with metadata that a toolchain would put out.
pub fn core_module(name: &str) -> Vec<u8> {
    let text = text(name);
    module(&text, world(&text), CONTRACT)
}

/// A fixture as if it were made for another version of the contract.
pub fn of_version(name: &str, version: &str) -> Vec<u8> {
    let text = text(name).replace("1.0.0", version);
    component_of(&text, world(&text), &CONTRACT.replace("1.0.0", version))
}

/// The fields of a module as a component of a world of the contract.
pub fn component(fields: &str, world: &str) -> Vec<u8> {
    component_of(fields, world, CONTRACT)
}

/// The fields of a module as a component of a world of any WIT package.
pub fn component_of(fields: &str, world: &str, wit: &str) -> Vec<u8> {
    let module = module(fields, world, wit);
    let mut encoder = ComponentEncoder::default();
    encoder.validate(true).module(&module).expect("the module fits its world");
    encoder.encode().unwrap_or_else(|error| panic!("the module becomes a component: {error:#}"))
}

/// The text of a fixture.
pub fn text(name: &str) -> String {
    let path = directory().join(name).with_extension("wat");
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Where the fixtures are.
pub fn directory() -> PathBuf {
    // From the manifest of either crate that this file belongs to.
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/guests"))
}

fn world(text: &str) -> &str {
    let world = text.lines().find_map(|line| line.strip_prefix(";; world: "));
    world.expect("a fixture says its world").trim()
}

fn module(fields: &str, world: &str, wit: &str) -> Vec<u8> {
    let module = format!("(module\n{fields}\n{}\n)", prelude(fields));
    let mut module = wat::parse_str(&module).unwrap_or_else(|error| panic!("the module is WebAssembly text: {error}"));
    let mut resolve = Resolve::default();
    let package = resolve.push_str("policy.wit", wit).unwrap_or_else(|error| panic!("the package is WIT: {error:?}"));
    let world = resolve.select_world(&[package], Some(world)).expect("the package has the world");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false)
        .expect("metadata can be encoded");
    module
}

/// Those parts of a guest that it does not have itself. Addresses below 1024 are the prelude's, those from 1024 to 8191
/// the fixture's, and the allocator gives out what is above.
fn prelude(fields: &str) -> String {
    /// What shows that a fixture has a part of its own, and the part.
    const PARTS: [(&str, &str); 4] = [
        (r#"(export "memory")"#, r#"(memory (export "memory") 1)"#),
        (
            r#"(export "cabi_realloc")"#,
            r#"(global $heap (mut i32) (i32.const 8192))
            (func $allocate (export "cabi_realloc")
                (param $old i32) (param $old_size i32) (param $align i32) (param $size i32) (result i32)
                (local $at i32) (local $missing i32)
                (local.set $at (i32.and
                    (i32.add (global.get $heap) (i32.sub (local.get $align) (i32.const 1)))
                    (i32.sub (i32.const 0) (local.get $align))))
                (global.set $heap (i32.add (local.get $at) (local.get $size)))
                (local.set $missing (i32.sub
                    (i32.shr_u (i32.add (global.get $heap) (i32.const 65535)) (i32.const 16))
                    (memory.size)))
                (if (i32.gt_s (local.get $missing) (i32.const 0))
                    (then (if (i32.eq (memory.grow (local.get $missing)) (i32.const -1)) (then unreachable))))
                (memory.copy (local.get $at) (local.get $old) (local.get $old_size))
                (local.get $at))"#,
        ),
        (
            "#describe\"",
            r#"(data (i32.const 64) "a-guest" "1.0.0" "A guest of the test suite." "{}")
            (data (i32.const 32)
                "\40\00\00\00\07\00\00\00" "\47\00\00\00\05\00\00\00"
                "\4c\00\00\00\1a\00\00\00" "\66\00\00\00\02\00\00\00")
            (func (export "metrics-gateway:policy/plugin@1.0.0#describe") (result i32) (i32.const 32))"#,
        ),
        (
            "#configure\"",
            r#"(func (export "metrics-gateway:policy/plugin@1.0.0#configure") (param i32 i32) (result i32)
                (i32.const 128))"#,
        ),
    ];
    // Of the version of the fixture's own exports.
    let version: String = fields
        .split_once("policy/")
        .and_then(|(_, rest)| rest.split_once('@'))
        .map_or("1.0.0", |(_, version)| version)
        .chars()
        .take_while(|character| !matches!(character, '#' | '"'))
        .collect();
    let missing = PARTS
        .iter()
        .filter(|(mark, _)| !fields.contains(mark))
        .map(|(_, part)| part.replace("@1.0.0", &format!("@{version}")));
    missing.collect::<Vec<_>>().join("\n")
}
