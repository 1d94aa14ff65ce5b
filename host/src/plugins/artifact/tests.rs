use proptest::prelude::*;

use super::*;

#[path = "../../../../tests/src/guest.rs"]
#[allow(dead_code, unreachable_pub, reason = "the harness, which it belongs to, uses the rest of it")]
mod guest;

fn component(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

fn room(text: &str) -> survey::Room {
    survey(&component(text)).unwrap().room
}

#[test]
fn versions_are_three_numbers_and_understood_up_to_our_minor() {
    let parsed = |text| Version::parse(text).map(|version| (version.to_string(), version.is_understood()));
    assert_eq!(parsed("1.0.0"), Some(("1.0.0".to_owned(), true)));
    assert_eq!(parsed("1.0.99"), Some(("1.0.99".to_owned(), true)));
    assert_eq!(parsed("1.1.0"), Some(("1.1.0".to_owned(), false)));
    assert_eq!(parsed("2.0.0"), Some(("2.0.0".to_owned(), false)));
    for text in ["", "1", "1.0", "1.0.0.0", "1.0.x", "1.0.0-rc", "1.0.99999999999999999999"] {
        assert_eq!(parsed(text), None, "{text}");
    }
}

#[test]
fn what_an_instance_takes_is_added_up_over_all_it_consists_of() {
    let inner = "(component $c
        (core module $m (memory 2) (memory 1) (table 5 funcref))
        (core instance (instantiate $m)) (core instance (instantiate $m)))";
    let taken = room(&format!("(component {inner} (instance (instantiate $c)) (instance (instantiate $c)))"));
    assert_eq!((taken.memory, taken.elements, taken.instances), (12 << 16, 20, 4));
    // Defined, and never made.
    let taken = room(&format!("(component {inner})"));
    assert_eq!((taken.memory, taken.instances), (0, 0));
}

#[test]
fn what_cannot_be_followed_counts_as_the_heaviest() {
    let taken = room(
        "(component
            (core module $heavy (memory 100))
            (component $c (alias outer 1 0 (core module $x)) (core instance (instantiate $x)))
            (instance (instantiate $c)))",
    );
    assert_eq!(taken.memory, 100 << 16);
}

#[test]
fn more_instances_than_the_limit_are_refused() {
    let limits = PluginLimits { instances: 1, ..PluginLimits::default() };
    let text = inspect(&guest::load("log-flood"), &limits).unwrap_err().to_string();
    assert!(
        text.starts_with("consists of ") && text.ends_with("core instances, and its limit `instances` is 1"),
        "{text}"
    );
}

#[test]
fn code_that_is_imported_is_refused() {
    for import in ["(import \"m\" (core module))", "(import \"c\" (component))"] {
        let text =
            inspect(&component(&format!("(component {import})")), &PluginLimits::default()).unwrap_err().to_string();
        assert_eq!(text, "imports code, in itself or in a part of it: a module or a component");
    }
}

#[test]
fn nesting_is_followed_only_so_deep() {
    let nested = |depth: usize| format!("{}{}", "(component ".repeat(depth), ")".repeat(depth));
    assert!(survey(&component(&nested(16))).is_ok());
    let text = survey(&component(&nested(17))).unwrap_err().to_string();
    assert_eq!(text, "has components nested more than 16 deep");
}

#[test]
fn of_many_names_eight_are_told_and_none_in_full_length() {
    let many: Vec<String> = (0..10).map(|index| format!("{index}{}", "x".repeat(500))).collect();
    let text = names(&many.iter().collect::<Vec<_>>());
    assert!(text.ends_with(" and 2 more") && text.len() < 8 * 130, "{text}");
}

/// Bytes of artifacts that are accepted, to be damaged.
fn accepted() -> &'static [Vec<u8>; 3] {
    static ACCEPTED: std::sync::LazyLock<[Vec<u8>; 3]> = std::sync::LazyLock::new(|| {
        [guest::load("drop-named"), guest::core_module("drop-named"), guest::load("echo-window")]
    });
    &ACCEPTED
}

/// Bytes that differ from acceptable ones in a few places, and may end early.
fn damaged_bytes() -> impl Strategy<Value = Vec<u8>> {
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
    (0usize..3, changes, any::<prop::sample::Index>(), 0u8..4).prop_map(|(which, changes, end, cuts)| {
        let mut bytes = accepted()[which].clone();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if cuts == 0 {
            bytes.truncate(end.index(bytes.len()));
        }
        bytes
    })
}

/// Bytes that begin like WebAssembly and go on anyhow.
fn headed_bytes() -> impl Strategy<Value = Vec<u8>> {
    (any::<bool>(), prop::collection::vec(any::<u8>(), 0..300)).prop_map(|(is_component, rest)| {
        let header: &[u8] = if is_component { b"\0asm\x0d\0\x01\0" } else { b"\0asm\x01\0\0\0" };
        [header, &rest].concat()
    })
}

/// What holds of any outcome: within the limits, or a sentence of a length that can be read and printed.
fn check(bytes: &[u8]) {
    let limits = PluginLimits::default();
    match inspect(bytes, &limits) {
        Ok(inspection) => {
            assert!(!inspection.hooks.is_empty());
            let room = survey(&inspection.component).unwrap().room;
            assert!(room.memory <= limits.memory as u64 && room.instances <= limits.instances as u64, "{room:?}");
        }
        Err(error) => {
            let text = error.to_string();
            assert!(!text.is_empty() && text.len() < 4096, "{text}");
            assert!(!text.contains(|character: char| character.is_control()), "{text:?}");
            assert!(!text.contains("in a panic"), "{text}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_bytes_are_inspected_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        check(&bytes);
    }

    #[test]
    fn bytes_that_begin_like_webassembly_are_inspected_without_a_panic(bytes in headed_bytes()) {
        check(&bytes);
    }

    #[test]
    fn damaged_artifacts_are_inspected_without_a_panic(bytes in damaged_bytes()) {
        check(&bytes);
    }
}

#[test]
fn damaged_artifacts_are_compiled_or_refused_and_harm_nothing() {
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::TestRunner;
    let engine = Engine::try_new(super::super::engine::EngineOptions { workers: 1, cache: None }).unwrap();
    let mut runner = TestRunner::deterministic();
    let (mut compiled, mut refused) = (0, 0);
    for _ in 0..300 {
        let bytes = damaged_bytes().new_tree(&mut runner).unwrap().current();
        let Ok(inspection) = inspect(&bytes, &PluginLimits::default()) else { continue };
        match engine.compile(&inspection) {
            Ok(_) => compiled += 1,
            Err(error) => {
                refused += 1;
                assert!(!error.to_string().contains("in a panic"), "{error}");
            }
        }
    }
    // Damage to a constant is no damage to wasmtime; what is damaged in its structure is.
    assert!(compiled > 10 && refused > 10, "{compiled}, {refused}");
}
