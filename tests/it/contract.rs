//! Plugins that were compiled for a released contract are understood for ever.
//!
//! The fixtures are compiled once and never again; their README says how. A change that one of them does not survive is a
//! change of the contract's major version.

use harness::author::{Author, Ran};

/// Every compiled fixture. Beside each are its cases.
const FIXTURES: [&str; 3] = ["address-1.0.0", "filter-1.0.0", "window-1.0.0"];

fn plugin(words: &[&str]) -> Ran {
    Author::new().expect("there is room, and a binary").plugin(words).expect("it runs")
}

fn fixture(name: &str, kind: &str) -> String {
    format!("{}/fixtures/plugins/{name}.{kind}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn a_plugin_of_contract_1_0_0_answers_as_it_did_when_it_was_compiled() {
    for name in FIXTURES {
        let (file, cases) = (fixture(name, "wasm"), fixture(name, "toml"));
        let ran = plugin(&["test", &file, "--cases", &cases, "--cpu", "5s"]);
        assert_eq!(ran.code, Some(0), "{name}: {}{}", ran.output, ran.complaint);
        assert!(ran.output.contains(" 0 failed"), "{name}: {}", ran.output);
    }
}

#[test]
fn a_plugin_of_contract_1_0_0_is_told_apart_by_its_worlds() {
    for (name, world) in FIXTURES.iter().zip(["address-policy", "value-filter-policy", "window-policy"]) {
        let ran = plugin(&["inspect", &fixture(name, "wasm")]);
        assert_eq!(ran.code, Some(0), "{name}: {}{}", ran.output, ran.complaint);
        assert!(ran.output.contains("metrics-gateway:policy 1.0.0"), "{name}: {}", ran.output);
        assert!(ran.output.lines().any(|line| line.starts_with("worlds") && line.ends_with(world)), "{}", ran.output);
    }
}
