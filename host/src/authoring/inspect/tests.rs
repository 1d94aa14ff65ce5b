use super::*;

fn of(text: &str) -> Contents {
    contents(&wat::parse_str(text).expect("it is WebAssembly text")).expect("it can be read")
}

#[test]
fn what_a_component_holds_is_read_off_its_sections() {
    let contents = of(r#"(component
        (import "metrics-gateway:policy/log@1.0.0" (instance))
        (core module $m (@producers (language "Rust" "2024") (processed-by "rustc" "1.95.0")))
        (core module $n (@producers (processed-by "rustc" "1.95.0")))
        (core instance (instantiate $m))
        (core instance (instantiate $n)))"#);
    assert_eq!(contents.imports, ["metrics-gateway:policy/log@1.0.0"]);
    assert_eq!(contents.instances, 2);
    let producers: Vec<(&str, &str)> = contents.producers.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    assert_eq!(producers, [("language", "Rust 2024"), ("processed-by", "rustc 1.95.0")]);
}

#[test]
fn a_core_module_is_one_instance() {
    let contents = of(r#"(module (import "metrics-gateway:policy/log@1.0.0" "log" (func)) (import "env" "x" (func)))"#);
    assert_eq!((contents.instances, contents.imports.len()), (1, 2));
}

fn facts(description: &str) -> Facts {
    Facts {
        file: "p.wasm".to_owned(),
        size: 12_345,
        sha256: hex(&[0xab; 32]),
        contract: "1.0.0".to_owned(),
        was_core_module: false,
        hooks: vec!["window"],
        worlds: vec!["window-policy"],
        takes_no_settings: Some("refuses its settings: `half_life` is missing".to_owned()),
        memory: 1 << 20,
        info: Info {
            name: "ewma".to_owned(),
            version: "1.2.0".to_owned(),
            description: description.to_owned(),
            settings_schema: r#"{"type":"object"}"#.to_owned(),
        },
        contents: Contents {
            imports: Vec::new(),
            instances: 1,
            producers: vec![("language".to_owned(), "Rust".to_owned())],
        },
    }
}

#[test]
fn the_digest_is_ready_to_be_pasted_as_a_pin() {
    let text = facts("Weighs.").text();
    assert!(text.contains(&format!("pin          sha256 = \"{}\"\n", "ab".repeat(32))), "{text}");
    assert!(text.contains("needs        memory 1MiB, instances 1\n"), "{text}");
    assert!(text.contains("settings     {} will not do: it refuses its settings: `half_life` is missing\n"), "{text}");
}

#[test]
fn a_description_cannot_steer_the_terminal() {
    let text = facts("\u{1b}[2Jgone\nname  other").text();
    assert!(!text.contains('\u{1b}') && text.lines().any(|line| line.trim() == "[2Jgone name  other"), "{text:?}");
}

#[test]
fn json_has_the_schema_as_json() {
    let json = facts("Weighs.").json();
    assert_eq!(json["settings_schema"]["type"], "object");
    assert_eq!((json["takes_empty_settings"].as_bool(), json["memory"].as_u64()), (Some(false), Some(1 << 20)));
}
