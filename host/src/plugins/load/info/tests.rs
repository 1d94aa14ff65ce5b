use super::*;

fn info() -> Info {
    Info {
        name: "skip-sidecars".to_owned(),
        version: "1.2.0-rc.1+build.5".to_owned(),
        description: "Leaves sidecars out".to_owned(),
        settings_schema: r#"{"type":"object"}"#.to_owned(),
    }
}

fn faults(info: &Info) -> Vec<String> {
    check(info).err().unwrap_or_default()
}

#[test]
fn a_plugin_that_follows_the_contract_has_no_faults() {
    assert_eq!(faults(&info()), Vec::<String>::new());
    let longest = Info { name: "a".repeat(63), description: "d".repeat(1024), ..info() };
    assert_eq!(faults(&longest), Vec::<String>::new());
}

#[test]
fn every_fault_is_told() {
    let wrong = Info {
        name: "Skip Sidecars".to_owned(),
        version: "1.2".to_owned(),
        description: "d".repeat(1025),
        settings_schema: "{\"type\":".to_owned(),
    };
    let expected = [
        "name \"Skip Sidecars\" is not 1 to 63 lower-case letters, digits and hyphens",
        "version \"1.2\" is none by semver: unexpected end of input while parsing minor version number",
        "description has 1025 bytes, where 1024 are allowed",
        "settings-schema is no JSON: EOF while parsing a value at line 1 column 8",
    ];
    assert_eq!(faults(&wrong), expected);
}

#[test]
fn lengths_and_kinds_are_checked_before_contents() {
    for name in [String::new(), "a".repeat(64), "naïve".to_owned(), "a_b".to_owned()] {
        assert_eq!(faults(&Info { name: name.clone(), ..info() }).len(), 1, "{name}");
    }
    let long = Info { version: format!("1.0.0-{}", "a".repeat(200)), ..info() };
    assert_eq!(faults(&long), ["version has 206 bytes, where 128 are allowed"]);
    let bomb = Info { settings_schema: "[".repeat(65_537), ..info() };
    assert_eq!(faults(&bomb), ["settings-schema has 65537 bytes, where 65536 are allowed"]);
    let deep = Info { settings_schema: "[".repeat(60_000), ..info() };
    assert_eq!(faults(&deep).len(), 1, "depth is bounded");
    let list = Info { settings_schema: "[]".to_owned(), ..info() };
    assert_eq!(faults(&list), ["settings-schema is JSON, but no schema: those are objects"]);
}
