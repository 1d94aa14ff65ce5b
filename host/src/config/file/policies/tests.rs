use proptest::prelude::*;

use super::super::RawConfig;
use super::*;
use crate::config::Problem;

fn read(text: &str) -> RawPolicies {
    let (raw, problems) = RawConfig::read("gateway.toml", text);
    assert_eq!(problems, [], "{text}");
    raw.policies
}

fn problems(text: &str) -> Vec<String> {
    RawConfig::read("gateway.toml", text).1.iter().map(Problem::to_string).collect()
}

fn value<T: Clone>(located: &Option<Located<T>>) -> T {
    located.as_ref().expect("the key is in the file").value.clone()
}

#[test]
fn every_key_of_a_plugin_is_read() {
    let raw = read(
        r#"
        [plugins.ewma]
        source = "oci://registry.example/policies/ewma:1"
        sha256 = "ab"
        limits = { size = "1MiB", memory = "2MiB", table_elements = 3, instances = 4, output = "5KiB", cpu = "6ms" }
        reuse = { calls = 7, age = "8s" }
        pull_secret = "config.json"
        certificate_authority = "ca.crt"
        plain_http = true
        cosign_key = "cosign.pub"
        [plugins.b]
        source = "b.wasm"
        reuse = true
        "#,
    );
    let [b, ewma] = raw.plugins.as_slice() else { panic!("by name: {raw:?}") };
    assert_eq!(
        (ewma.name.value.as_str(), ewma.name.place.to_string()),
        ("ewma", "gateway.toml:2: plugins.ewma".into())
    );
    assert_eq!(value(&ewma.source), "oci://registry.example/policies/ewma:1");
    assert_eq!((value(&ewma.sha256), value(&ewma.pull_secret)), ("ab".into(), "config.json".into()));
    assert_eq!((value(&ewma.certificate_authority), value(&ewma.cosign_key)), ("ca.crt".into(), "cosign.pub".into()));
    assert!(value(&ewma.plain_http));
    let limits = &ewma.limits;
    assert_eq!((value(&limits.size), value(&limits.memory), value(&limits.output)), (1 << 20, 2 << 20, 5 << 10));
    assert_eq!((value(&limits.table_elements), value(&limits.instances)), (3, 4));
    assert_eq!(value(&limits.cpu), Duration::from_millis(6));
    let RawReuse::Bounds { calls, age } = value(&ewma.reuse) else { panic!("{:?}", ewma.reuse) };
    assert_eq!((value(&calls), value(&age)), (7, Duration::from_secs(8)));
    assert_eq!((value(&b.source), value(&b.reuse)), ("b.wasm".into(), RawReuse::Switch(true)));
}

#[test]
fn every_key_of_tenants_pools_and_the_default_is_read() {
    let raw = read(
        r#"
        [[node_pool]]
        name = "edge"
        selector = "pool=edge"
        address = { plugin = "a", settings = { suffix = "x" }, on_error = "preferred" }
        window = "last-two"
        cpu_per_tick = "2s"
        [[tenant]]
        name = "payments"
        namespaces = ["payments", "payments-*"]
        namespace_selector = "team=payments"
        filter = ["f", { plugin = "g", on_error = "drop", namespace_labels = true }]
        window = { plugin = "w", on_error = "nothing", history = "5m" }
        cpu_per_tick = "3s"
        [[tenant]]
        name = "shop"
        namespaces = ["shop"]
        [[tenant.filter]]
        plugin = "h"
        settings.containers = ["istio-proxy"]
        [default]
        filter = []
        window = "last-two"
        "#,
    );
    let pool = &raw.node_pools[0];
    assert_eq!((value(&pool.name), value(&pool.selector)), ("edge".into(), "pool=edge".into()));
    let address = pool.address.as_ref().expect("it is there");
    assert_eq!((address.plugin.value.as_str(), value(&address.settings)), ("a", r#"{"suffix":"x"}"#.into()));
    assert_eq!(value(&address.on_error), OnError::Preferred);
    assert_eq!(pool.window.as_ref().map(|window| window.plugin.value.as_str()), Some("last-two"));
    let [payments, shop] = raw.tenants.as_slice() else { panic!("{raw:?}") };
    assert_eq!(
        (value(&payments.name), value(&payments.namespace_selector)),
        ("payments".into(), "team=payments".into())
    );
    let namespaces: Vec<&str> = payments.namespaces.iter().map(|written| written.value.as_str()).collect();
    assert_eq!(namespaces, ["payments", "payments-*"]);
    assert_eq!((payments.filter.len(), value(&payments.cpu_per_tick)), (2, Duration::from_secs(3)));
    let second = &payments.filter[1];
    assert_eq!((second.plugin.value.as_str(), value(&second.on_error)), ("g", OnError::Drop));
    assert!(value(&second.namespace_labels));
    assert_eq!(second.place.to_string(), "gateway.toml:12: tenant.payments.filter[1]");
    let window = payments.window.as_ref().expect("it is there");
    assert_eq!((value(&window.on_error), value(&window.history)), (OnError::Nothing, Duration::from_secs(300)));
    assert_eq!(shop.filter[0].plugin.value, "h");
    assert_eq!(value(&shop.filter[0].settings), r#"{"containers":["istio-proxy"]}"#);
    let default = raw.default.expect("it is there");
    assert_eq!((default.name, default.filter.len()), (None, 0));
}

#[test]
fn all_problems_come_at_once_each_with_key_and_line() {
    let found = problems(
        r#"[plugins.ewma]
sorce = "ewma.wasm"
limits = { memry = "16MiB", cpu = "soon" }
reuse = 7
[plugins."Skip Sidecars"]
source = "x.wasm"
[plugins]
flat = "x.wasm"

[[node_pool]]
name = "edge"
address = { plugin = "a", history = "5m" }

[[tenant]]
namespaces = "shop"
[[tenant]]
name = "pay"
filter = "skip"
window = { settings = 3, on_error = "keep" }
[[tenant]]
name = "Pay"
filter = [7, { plugin = "x", on_error = "last-two" }]
[default]
name = "x"
"#,
    );
    let expected = [
        "1: plugins.ewma.source: is missing",
        "2: plugins.ewma.sorce: unknown key, did you mean \"source\"?",
        "3: plugins.ewma.limits.memry: unknown key, did you mean \"memory\"?",
        "3: plugins.ewma.limits.cpu: \"soon\" is no duration (write for example \"45s\")",
        "4: plugins.ewma.reuse: 7 is neither true nor a table like { calls = 1000 }",
        "5: plugins.Skip Sidecars: \"Skip Sidecars\" is no name (write 1 to 63 lower-case letters, digits and hyphens)",
        "8: plugins.flat: \"x.wasm\" is no section (write for example [plugins.flat])",
        "12: node_pool.edge.address.history: unknown key, known are \"plugin\", \"settings\", \"on_error\"",
        "14: tenant[0].name: is missing",
        "15: tenant[0].namespaces: \"shop\" is no list (write for example [\"shop\", \"shop-*\"])",
        "18: tenant.pay.filter: \"skip\" is no list (write for example [\"skip-sidecars\"])",
        "19: tenant.pay.window.plugin: is missing",
        "19: tenant.pay.window.settings: 3 is no table (write for example { half_life = \"60s\" })",
        "19: tenant.pay.window.on_error: \"keep\" is none of \"last-two\", \"nothing\"",
        "21: tenant[2].name: \"Pay\" is no name (write 1 to 63 lower-case letters, digits and hyphens)",
        "22: tenant[2].filter[0]: 7 is neither a plugin's name nor a table like { plugin = \"ewma\" }",
        "22: tenant[2].filter[1].on_error: \"last-two\" is none of \"keep\", \"drop\"",
        "24: default.name: unknown key, known are \"filter\", \"window\", \"cpu_per_tick\"",
    ];
    let mut found: Vec<&str> = found.iter().map(|line| line.strip_prefix("gateway.toml:").unwrap_or(line)).collect();
    let mut expected = expected.to_vec();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn tables_that_should_be_lists_and_lists_that_should_be_tables_are_named() {
    assert_eq!(problems("[tenant]\n"), ["gateway.toml:1: tenant: a table is no list (write for example [[tenant]])"]);
    assert_eq!(
        problems("tenant = [3]\n"),
        ["gateway.toml:1: tenant[0]: 3 is no section (write for example [[tenant]])"]
    );
    assert_eq!(
        problems("[[plugins]]\n"),
        ["gateway.toml:1: plugins: a list is no section (write for example [plugins])"]
    );
    assert_eq!(
        problems("[[default]]\n"),
        ["gateway.toml:1: default: a list is no section (write for example [default])"]
    );
    assert_eq!(
        problems("[plugins.x]\nsource = 'x'\nlimits = 3"),
        ["gateway.toml:3: plugins.x.limits: 3 is no table (write for example { memory = \"16MiB\" })"]
    );
}

fn settings(toml: &str) -> Result<String, String> {
    let text = format!("[default]\nwindow = {{ plugin = 'x', settings = {{ {toml} }} }}\n");
    let (raw, problems) = RawConfig::read("gateway.toml", &text);
    match problems.first() {
        Some(problem) => Err(problem.to_string()),
        None => Ok(value(&raw.policies.default.and_then(|tenant| tenant.window).expect("it is there").settings)),
    }
}

#[test]
fn settings_become_the_json_that_means_the_same() {
    let cases = [
        ("", "{}"),
        ("half_life = \"60s\"", r#"{"half_life":"60s"}"#),
        ("a = 1, b = -2, c = 0xff, d = 9223372036854775807", r#"{"a":1,"b":-2,"c":255,"d":9223372036854775807}"#),
        ("a = 0.5, b = 1e3", r#"{"a":0.5,"b":1000.0}"#),
        ("on = true, list = [1, [\"x\"], {}]", r#"{"list":[1,["x"],{}],"on":true}"#),
        ("a.b.c = \"quote \\\" and line\\n\"", r#"{"a":{"b":{"c":"quote \" and line\n"}}}"#),
    ];
    for (toml, json) in cases {
        assert_eq!(settings(toml), Ok(json.to_owned()), "{toml}");
    }
}

#[test]
fn settings_that_json_has_no_form_for_are_refused_by_name() {
    let cases = [
        (
            "since = 2026-11-21T10:00:00Z",
            "since = 2026-11-21T10:00:00Z is a time, which JSON has not (write it in quotes)",
        ),
        ("a.b = [1, nan]", "a.b[1] = nan is no number that JSON has"),
        ("a = -inf", "a = -inf is no number that JSON has"),
        ("a = 1e999", "a = 1e999 is no number that JSON has"),
        ("a = 9223372036854775808", "a = 9223372036854775808 does not fit into 64 bits"),
    ];
    for (toml, why) in cases {
        assert_eq!(settings(toml), Err(format!("gateway.toml:2: default.window.settings: {why}")), "{toml}");
    }
}

#[test]
fn a_name_is_what_needs_no_quotes_anywhere() {
    for name in ["a", "p95-window", "0", &"x".repeat(63)] {
        assert_eq!(check_name(name), Ok(()), "{name}");
    }
    for name in ["", "A", "a_b", "a.b", "a b", "ä", "a\n", &"x".repeat(64)] {
        assert!(check_name(name).is_err(), "{name}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in r#"(\[{1,2}(plugins(\.[a-z"é]{0,3})?|tenant|node_pool|default|tenant.filter)\]{1,2}|[a-z_.]{0,9} ?= ?(["'\[{]{0,3}[a-z0-9.:\-*]{0,9}["'\]}]{0,3}|true|nan|2026-01-01)|\PC{0,9})(\n(name|source|namespaces|filter|window|settings|limits|reuse|selector) = (\PC{0,12}|["{\[][a-z =0-9."]{0,12}["}\]])){0,6}"#) {
        let (raw, _) = RawConfig::read("gateway.toml", &text);
        prop_assert!(raw.policies.tenants.len() <= 2 * text.len());
    }

    #[test]
    fn no_bytes_make_it_panic(text in "\\PC*") {
        let (_, problems) = RawConfig::read("gateway.toml", &text);
        prop_assert!(problems.iter().all(|problem| problem.line().is_some()));
    }
}
