//! `plugin test` tells good plugins from bad ones: with the author's cases, and with those that every plugin has to pass.

use std::path::Path;

use harness::author::{Author, Ran};
use harness::guest;
use metrics_gateway::authoring::cases::CaseFile;

fn author() -> Author {
    Author::new().expect("there is room, and a binary")
}

/// Runs the built-in cases against a guest of the fixtures.
fn examine(guest: &str, words: &[&str]) -> Ran {
    let author = author();
    author.build(guest).expect("it is built");
    let file = format!("{guest}.wasm");
    author.plugin(&[&["test", &file], words].concat()).expect("it runs")
}

/// Runs a file of cases, and nothing is wrong but what they find.
fn try_cases(guest: &str, cases: &str) -> Ran {
    let author = author();
    author.build(guest).expect("it is built");
    author.write("cases.toml", cases).expect("it is written");
    author.plugin(&["test", &format!("{guest}.wasm"), "--cases", "cases.toml"]).expect("it runs")
}

/// The lines of the built-in cases that failed, with what is said of them.
fn failures(ran: &Ran) -> String {
    let mut failed = false;
    let is_shown = |line: &&str| {
        failed = if line.starts_with(' ') { failed } else { line.starts_with("FAILED") };
        failed
    };
    ran.output.lines().filter(is_shown).collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn check_good(guest: &str, words: &[&str]) {
    let ran = examine(guest, words);
    assert_eq!(ran.code, Some(0), "{guest}: {}{}", ran.output, ran.complaint);
    assert!(ran.output.contains(" 0 failed"), "{guest}: {}", ran.output);
}

#[track_caller]
fn check_bad(guest: &str, case: &str, reason: &str) {
    let ran = examine(guest, &[]);
    let failures = failures(&ran);
    assert_eq!(ran.code, Some(1), "{guest}: {}{}", ran.output, ran.complaint);
    assert!(failures.contains(case) && failures.contains(reason), "{guest}: {case}, {reason}, in\n{failures}");
}

#[test]
fn good_filters_pass_every_built_in_case() {
    check_good("keep-all", &[]);
    check_good("drop-idle", &[]);
    check_good("drop-named", &["--settings", r#"{"name":"istio-proxy"}"#]);
}

#[test]
fn good_windows_and_addresses_pass_every_built_in_case() {
    for guest in ["constant-window", "window-of-nothing", "dial-name", "pass-node", "skip-node"] {
        check_good(guest, &[]);
    }
}

#[test]
fn bad_filters_fail_with_what_they_did() {
    check_bad("trap", "no pods", "trapped");
    check_bad("too-few-verdicts", "4,096 containers", "verdicts on 4096 containers");
    check_bad("unknown-verdict", "one container", "there is no verdict 9");
    check_bad("loop-in-classify", "one container", "of CPU time");
    check_bad("memory-bomb", "one container", "memory");
    check_bad("refuses-settings", "the settings of the built-in cases", "`half_life` is \"soon\"");
}

#[test]
fn bad_windows_and_addresses_fail_with_what_they_did() {
    check_bad("too-few-usages", "one series", "column `taken-at` has 0 rows");
    check_bad("window-from-the-future", "one series", "later than the newest sample");
    check_bad("window-of-all-cores", "one series", "more than 10^15");
    check_bad("window-of-forever", "one series", "more than a day");
    check_bad("dial-nobody", "a node like most", "0 candidates");
    check_bad("unknown-choice", "a node like most", "it ");
}

#[test]
fn a_plugin_that_echoes_absurd_memory_is_told_at_which_row() {
    let ran = examine("echo-window", &[]);
    assert_eq!(ran.code, Some(1), "{}", ran.output);
    let failures = failures(&ran);
    assert!(failures.contains("memory of 0 and of 2^64 - 1"), "{failures}");
    assert!(failures.contains("memory-bytes 18446744073709551615 is more than 2^60"), "{failures}");
}

/// A filter with a body of `classify` of its own, which leaves the first verdict's place in `$list`.
fn filter(body: &str) -> Vec<u8> {
    let fields = format!(
        r#"(global $asked (mut i32) (i32.const 0))
        (func (export "metrics-gateway:policy/filter@1.0.0#classify") (param $pods i32) (param $count i32) (result i32)
            (local $rows i32) (local $list i32)
            (block $done (loop $next
                (br_if $done (i32.eqz (local.get $count)))
                (local.set $rows (i32.add (local.get $rows) (i32.load offset=44 (local.get $pods))))
                (local.set $pods (i32.add (local.get $pods) (i32.const 48)))
                (local.set $count (i32.sub (local.get $count) (i32.const 1)))
                (br $next)))
            (local.set $list (call $allocate (i32.const 0) (i32.const 0) (i32.const 1) (local.get $rows)))
            (memory.fill (local.get $list) (i32.const 0) (local.get $rows))
            {body}
            (i32.store (i32.const 1024) (local.get $list))
            (i32.store (i32.const 1028) (local.get $rows))
            (i32.const 1024))"#
    );
    guest::component(&fields, "filter-policy")
}

#[test]
fn what_an_instance_remembers_is_found_by_asking_it_again() {
    let author = author();
    // Drops everything from the second call on.
    let body =
        "(memory.fill (local.get $list) (global.get $asked) (local.get $rows)) (global.set $asked (i32.const 1))";
    author.write("forgetless.wasm", filter(body)).expect("it is written");
    let ran = author.plugin(&["test", "forgetless.wasm"]).expect("it runs");
    assert_eq!(ran.code, Some(1), "{}{}", ran.output, ran.complaint);
    let failures = failures(&ran);
    assert!(failures.contains("the same from an instance that answered others"), "{}", ran.output);
    assert!(failures.contains("keep, then drop") && failures.contains("and 105 more"), "{failures}");
    assert!(ran.output.contains(", 1 failed"), "{}", ran.output);
}

#[test]
fn a_filter_that_counts_rows_is_noted_and_where_asked_for_refused() {
    let author = author();
    // Drops the first container of a batch.
    let body = "(if (local.get $rows) (then (i32.store8 (local.get $list) (i32.const 1))))";
    author.write("first.wasm", filter(body)).expect("it is written");
    let lenient = author.plugin(&["test", "first.wasm"]).expect("it runs");
    assert_eq!(lenient.code, Some(0), "{}{}", lenient.output, lenient.complaint);
    assert!(lenient.output.contains("it judges by the order, or by all together"), "{}", lenient.output);
    let strict = author.plugin(&["test", "first.wasm", "--permutation", "strict"]).expect("it runs");
    assert_eq!(strict.code, Some(1), "{}", strict.output);
    assert!(failures(&strict).contains("the same of each row in another order"), "{}", strict.output);
}

#[test]
fn growth_matters_to_plugins_that_are_meant_for_reuse() {
    // Its allocator never frees: right for one call, wrong for thousands.
    let once = examine("keep-all", &[]);
    assert!(once.output.contains("leave `reuse` off"), "{}", once.output);
    let reused = examine("keep-all", &["--reuse"]);
    assert_eq!(reused.code, Some(1), "{}", reused.output);
    assert!(failures(&reused).contains("bytes of memory"), "{}", reused.output);
}

const DROP_NAMED: &str = r#"
[[case]]
name = "sidecars are dropped"
hook = "filter"
settings = { name = "istio-proxy" }
pods = [
    { namespace = "shop", name = "till-1", containers = ["app"] },
    { namespace = "shop", name = "cart-1", labels = { app = "cart" }, containers = ["istio-proxy", "app"] },
]
expect = ["keep", "drop", "keep"]

[[case]]
name = "a name is needed"
refuse = "`name` is missing"
"#;

#[test]
fn right_cases_pass_and_their_settings_serve_the_built_in_ones() {
    let ran = try_cases("drop-named", DROP_NAMED);
    assert_eq!(ran.code, Some(0), "{}{}", ran.output, ran.complaint);
    assert!(ran.output.contains("ok       sidecars are dropped"), "{}", ran.output);
    assert!(ran.output.contains("ok       4,096 containers"), "{}", ran.output);
}

#[test]
fn a_wrong_case_shows_what_was_expected_and_what_came() {
    let wrong = DROP_NAMED
        .replace(r#"["keep", "drop", "keep"]"#, r#"["keep", "keep", "cpu"]"#)
        .replace("is missing", "is gone");
    let ran = try_cases("drop-named", &wrong);
    assert_eq!(ran.code, Some(1), "{}", ran.output);
    let failures = failures(&ran);
    for line in [
        "shop/cart-1/istio-proxy: expected keep, got drop",
        "shop/cart-1/app: expected cpu, got keep",
        "expected a refusal with \"`name` is gone\", got one with \"`name` is missing: the name",
    ] {
        assert!(failures.contains(line), "{line}, in\n{failures}");
    }
    assert!(ran.output.contains(", 2 failed"), "{}", ran.output);
}

#[test]
fn cases_of_windows_and_addresses_are_compared_field_by_field() {
    let window = |cpu: &str| {
        format!(
            r#"
            [[case]]
            name = "a quarter"
            hook = "window"
            node = "n1"
            series = [
                {{ subject = "shop/cart-1/app", samples = [{{ at = "-15s", cpu = "1s", memory = "1MiB" }}, {{ at = "0s", cpu = "2s", memory = "1MiB" }}] }},
                {{ subject = "shop/cart-2/app", samples = [] }},
            ]
            expect = [{{ at = "0s", window = "1s", cpu = "{cpu}", memory = "128MiB" }}, "none"]
            "#
        )
    };
    let right = try_cases("constant-window", &window("250m"));
    assert_eq!(right.code, Some(0), "{}{}", right.output, right.complaint);
    let wrong = try_cases("constant-window", &window("251m"));
    assert!(failures(&wrong).contains("shop/cart-1/app: cpu: expected 251m, got 250m"), "{}", wrong.output);
    let address = r#"
        [[case]]
        name = "at its name"
        hook = "address"
        node = { name = "node-7" }
        expect = { dial = [{ host = "node-8" }] }
        "#;
    let ran = try_cases("dial-name", address);
    assert!(failures(&ran).contains("candidate 1: expected node-8, got node-7"), "{}", ran.output);
}

#[test]
fn the_cases_of_every_plugin_in_the_tree_can_be_read() {
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins");
    let entries = std::fs::read_dir(&plugins).expect("there are plugins");
    let files: Vec<_> = entries
        .map(|entry| entry.expect("it can be listed").path().join("cases.toml"))
        .filter(|file| file.is_file())
        .collect();
    assert!(files.len() > 5, "{} have cases", files.len());
    for file in files {
        let text = std::fs::read_to_string(&file).expect("it can be read");
        let cases =
            CaseFile::read(&file.display().to_string(), &text).unwrap_or_else(|problems| panic!("{problems}")).cases;
        assert!(!cases.is_empty(), "{}", file.display());
    }
}

#[test]
fn a_file_of_cases_with_mistakes_is_refused_with_all_of_them() {
    let ran = try_cases("keep-all", "[[case]]\nhook = \"filter\"\npods = 1\nexpect = [\"kep\"]\n");
    assert_eq!((ran.code, ran.output.as_str()), (Some(1), ""), "{}", ran.complaint);
    for line in [
        "cases.toml:1: case.name: is missing",
        "cases.toml:3: case.pods: 1 is no list",
        "cases.toml:4: case.expect: \"kep\" is none of",
    ] {
        assert!(ran.complaint.contains(line), "{line}, in\n{}", ran.complaint);
    }
}

#[test]
fn fuel_is_exact_so_a_bound_on_it_is_too() {
    let author = author();
    author.build("drop-named").expect("it is built");
    let fuel = |bound: &str| {
        let bounded = DROP_NAMED.replace("expect = ", &format!("{bound}\nexpect = "));
        author.write("cases.toml", bounded).expect("it is written");
        let ran = author.plugin(&["test", "drop-named.wasm", "--cases", "cases.toml", "-o", "json"]).expect("it runs");
        let report: serde_json::Value = serde_json::from_str(&ran.output).expect("it is JSON");
        (ran.code, report["cases"][0]["fuel"].as_u64().expect("fuel is counted"))
    };
    let (code, used) = fuel("");
    assert_eq!((code, fuel("").1), (Some(0), used), "the same case takes the same fuel");
    assert_eq!(fuel(&format!("fuel = {used}")), (Some(0), used));
    assert_eq!(fuel(&format!("fuel = {}", used - 1)), (Some(1), used));
}

#[test]
fn fuel_per_row_can_be_bounded_for_every_hook_at_once() {
    let bounded = examine("drop-idle", &["--max-fuel-per-row", "10", "-o", "junit"]);
    assert_eq!(bounded.code, Some(1), "{}", bounded.output);
    let failed = bounded.output.lines().filter(|line| line.contains("<failure>")).collect::<Vec<_>>();
    assert_eq!(failed.len(), 2, "{failed:?}");
    assert!(
        failed.iter().all(|line| line.contains("the fuel of a full node") && line.contains("110 times 10")),
        "{failed:?}"
    );
}
