use super::*;

fn module(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

#[test]
fn modules_that_are_imported_from_are_told_once_each() {
    let core = module(r#"(module (import "b" "x" (func)) (import "a" "x" (func)) (import "b" "y" (func)))"#);
    let (has_metadata, modules) = read(&core).unwrap();
    assert!(!has_metadata);
    assert_eq!(modules, ["a", "b"]);
}

#[test]
fn metadata_that_is_none_is_refused_in_one_sentence() {
    let mut core = module("(module)");
    // A custom section of the right name, with nothing that means anything in it.
    core.extend([0, 18, 14]);
    core.extend(b"component-type");
    core.extend([1, 2, 3]);
    let text = componentize(&core).unwrap_err().to_string();
    assert!(text.starts_with("is a core module that cannot be made a component: "), "{text}");
}
