use super::{go_mod, minor_of};

#[test]
fn the_version_of_a_compiler_is_read_from_what_it_says() {
    assert_eq!(minor_of("go version go1.27.3 linux/amd64"), Some(27));
    assert_eq!(minor_of("go version go1.24 linux/arm64"), Some(24));
    assert_eq!(minor_of("go version go1.25rc1 linux/amd64"), Some(25));
    assert_eq!(minor_of("go version devel +3f2a1b linux/amd64"), None);
}

#[test]
fn nothing_that_generated_code_imports_has_to_be_fetched() {
    let text = go_mod("example/mine");
    for module in ["example/mine", "go.bytecodealliance.org/pkg"] {
        assert!(text.contains(&format!("{module} v0.0.0")), "{text}");
        assert!(text.contains(&format!("replace {module} => .")), "{text}");
    }
}
