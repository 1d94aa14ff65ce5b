use std::ffi::OsString;
use std::path::PathBuf;

use super::super::check;
use super::*;
use crate::args::{self, Invocation};
use crate::config::{OnBadStart, Problem, load_text};

fn args(line: &str) -> Args {
    match args::parse(line.split_whitespace().map(OsString::from)) {
        Ok(Invocation::Run(args)) => *args,
        other => panic!("{line:?} should run, got {other:?}"),
    }
}

/// The policies and the warnings, of a file in a directory of its own.
fn checked(toml: &str) -> Result<(PoliciesConfig, Vec<String>), Vec<String>> {
    let (raw, problems) = RawConfig::read("etc/gateway.toml", toml);
    assert_eq!(problems, [], "{toml}");
    match check(&raw, &args("--metric-resolution=15s --config=etc/gateway.toml")) {
        Ok(checked) => Ok((checked.config.policies, checked.warnings)),
        Err(problems) => Err(problems.iter().map(Problem::to_string).collect()),
    }
}

fn accepted(toml: &str) -> PoliciesConfig {
    checked(toml).unwrap_or_else(|problems| panic!("{problems:?}")).0
}

fn warnings(toml: &str) -> Vec<String> {
    checked(toml).unwrap_or_else(|problems| panic!("{problems:?}")).1
}

/// All problems, without the file's name.
fn refused(toml: &str) -> Vec<String> {
    let problems = checked(toml).map(|_| ()).expect_err(toml);
    problems.iter().map(|line| line.strip_prefix("etc/gateway.toml:").unwrap_or(line).to_owned()).collect()
}

/// The one problem of a plugin with these lines, without file and line.
fn refused_plugin(lines: &str) -> String {
    let found = refused(&format!("[plugins.x]\n{lines}\n[default]\nwindow = \"x\"\n"));
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].split_once(": ").expect("a line number").1.to_owned()
}

const PLUGINS: &str = "plugins.f.source = 'f.wasm'\nplugins.w.source = 'w.wasm'\nplugins.a.source = '/abs/a.wasm'\n";

#[test]
fn without_the_sections_there_are_no_policies_and_a_bad_start_is_refused() {
    let policies = accepted("");
    assert!(policies.plugins.is_empty() && policies.tenants.is_empty() && policies.node_pools.is_empty());
    assert!(policies.default.is_none());
    let (raw, _) = RawConfig::read("gateway.toml", "");
    let engine = check(&raw, &args("")).expect("nothing is wrong").config.plugin_engine;
    assert_eq!((engine.cache_directory, engine.workers, engine.on_bad_start), (None, None, OnBadStart::Refuse));
}

#[test]
fn the_engine_is_told_what_the_file_says() {
    let toml = "plugin_engine = { cache_directory = 'cache', workers = 2, on_bad_start = 'built-in' }";
    let (raw, problems) = RawConfig::read("etc/gateway.toml", toml);
    assert_eq!(problems, []);
    let engine = check(&raw, &args("--config=etc/gateway.toml")).expect("nothing is wrong").config.plugin_engine;
    assert_eq!(engine.cache_directory, Some(PathBuf::from("etc/cache")), "relative to the file");
    assert_eq!((engine.workers.map(usize::from), engine.on_bad_start), (Some(2), OnBadStart::BuiltIn));
    assert_eq!(refused("plugin_engine.workers = 65"), ["1: plugin_engine.workers: 65 is not between 0 and 64"]);
}

#[test]
fn the_file_of_the_documentation_means_what_it_says() {
    let digest = "9f".repeat(32);
    let policies = accepted(&format!(
        r#"
        [plugins.skip-sidecars]
        source = "plugins/skip_sidecars.wasm"
        sha256 = "{digest}"
        [plugins.ewma]
        source = "/plugins/ewma.wasm"
        limits = {{ cpu = "20ms", memory = "16MiB" }}
        reuse = true
        [plugins.name-over-ip]
        source = "oci://registry.example:5000/p/name:1@sha256:{digest}"
        pull_secret = "config.json"

        [[node_pool]]
        name = "edge"
        selector = "pool=edge"
        address = {{ plugin = "name-over-ip", settings = {{ suffix = "edge.example.internal" }} }}

        [[tenant]]
        name = "payments"
        namespaces = ["payments", "payments-*"]
        namespace_selector = "team=payments"
        filter = [{{ plugin = "skip-sidecars", settings = {{ containers = ["istio-proxy"] }}, on_error = "keep" }}]
        window = {{ plugin = "ewma", settings = {{ half_life = "60s" }}, history = "5m" }}

        [default]
        filter = []
        window = "last-two"
        "#
    ));
    let [ewma, name_over_ip, skip] = policies.plugins.as_slice() else { panic!("{policies:?}") };
    assert_eq!(skip.source, Source::File("etc/plugins/skip_sidecars.wasm".into()));
    assert_eq!((skip.sha256, skip.reuse, &skip.limits), (Some([0x9f; 32]), None, &PluginLimits::default()));
    assert_eq!(ewma.source, Source::File("/plugins/ewma.wasm".into()));
    assert_eq!((ewma.limits.cpu, ewma.limits.memory), (Some(Duration::from_millis(20)), 16 << 20));
    assert_eq!(ewma.reuse, Some(Reuse { calls: 10_000, age: Duration::from_secs(600) }));
    let Source::Oci(oci) = &name_over_ip.source else { panic!("{name_over_ip:?}") };
    assert_eq!(*oci.reference, *format!("registry.example:5000/p/name:1@sha256:{digest}"));
    assert_eq!((oci.pull_secret.clone(), oci.plain_http), (Some("etc/config.json".into()), false));

    let pool = &policies.node_pools[0];
    let address = pool.address.as_ref().expect("a plugin decides");
    assert_eq!(
        (&*pool.name, pool.selector.to_string(), address.on_error),
        ("edge", "pool=edge".into(), OnError::Preferred)
    );
    let tenant = &policies.tenants[0];
    assert!(tenant.globs.is_match("payments") && tenant.globs.is_match("payments-eu") && !tenant.globs.is_match("pay"));
    assert_eq!(tenant.namespace_selector.as_ref().map(ToString::to_string), Some("team=payments".into()));
    assert_eq!((tenant.filter.len(), tenant.filter[0].on_error), (1, OnError::Keep));
    assert_eq!(tenant.filter[0].settings, r#"{"containers":["istio-proxy"]}"#);
    let window = tenant.window.as_ref().expect("a plugin decides");
    assert_eq!(
        (&*window.plugin, window.on_error, window.history),
        ("ewma", OnError::LastTwo, Some(Duration::from_secs(300)))
    );
    assert_eq!(tenant.cpu_per_tick, Duration::from_millis(1500), "a tenth of the resolution");
    let default = policies.default.expect("it is written");
    assert_eq!((&*default.name, default.filter.len(), default.window.is_none()), ("default", 0, true));
}

#[test]
fn a_plugin_that_nobody_declared_is_named_with_those_that_are() {
    let bindings = "[[tenant]]\nname = 'payments'\nnamespaces = ['p']\nwindow = 'p95-windw'\n";
    assert_eq!(
        refused(&format!("plugins.p95-window.source = 'p'\nplugins.skip-init.source = 's'\n{bindings}")),
        ["6: tenant.payments.window: no plugin named \"p95-windw\"; declared are \"p95-window\", \"skip-init\""]
    );
    assert_eq!(
        refused(&format!("plugins.skip-init.source = 's'\n{bindings}")),
        ["5: tenant.payments.window: no plugin named \"p95-windw\"; declared is \"skip-init\""]
    );
    assert_eq!(
        refused("[[node_pool]]\nname = 'edge'\naddress = { plugin = 'x' }\n"),
        ["3: node_pool.edge.address.plugin: no plugin named \"x\"; none is declared (write [plugins.x])"]
    );
    // "last-two" is the built-in of windows, not of filters.
    assert_eq!(
        refused(&format!("{PLUGINS}default.filter = ['f', 'last-two']")),
        ["4: default.filter[1]: no plugin named \"last-two\"; declared are \"a\", \"f\", \"w\""]
    );
}

#[test]
fn what_is_built_in_may_be_named_and_takes_nothing() {
    let policies = accepted(
        "node_pool = [{ name = 'edge', address = 'preferred', window = { plugin = 'last-two' } }]\ndefault.window = 'last-two'",
    );
    assert!(policies.node_pools[0].address.is_none() && policies.node_pools[0].window.is_none());
    assert!(policies.node_pools[0].selector.is_everything(), "all nodes, where no selector is written");
    let text = "is built in, it takes no settings, on_error or history";
    assert_eq!(
        refused("default.window = { plugin = 'last-two', history = '5m' }"),
        [format!("1: default.window: \"last-two\" {text}")]
    );
    assert_eq!(
        refused_plugin("source = 'x'\n[plugins.preferred]\nsource = 'x'"),
        "plugins.preferred: that is the name of a built-in policy"
    );
}

#[test]
fn names_are_given_once() {
    let toml = "[[tenant]]\nname = 'a'\nnamespaces = ['x']\n[[tenant]]\nname = 'a'\nnamespaces = ['y']\n\
                [[node_pool]]\nname = 'a'\n[[node_pool]]\nname = 'a'\nselector = 'x'\n[[tenant]]\nname = 'default'\nnamespaces = ['z']\n";
    assert_eq!(
        refused(toml),
        [
            "5: tenant.a.name: another tenant is called so, in line 2",
            "10: node_pool.a.name: another node pool is called so, in line 8",
            "13: tenant.default.name: that is what everyone else is called (write [default] for them)",
        ]
    );
}

#[test]
fn a_tenant_owns_something_that_can_exist() {
    let tenant = |lines: &str| refused(&format!("[[tenant]]\nname = 'a'\n{lines}"));
    let nothing = "1: tenant.a: owns nothing (write namespaces or namespace_selector, or [default] for everyone else)";
    assert_eq!(tenant(""), [nothing]);
    assert_eq!(tenant("namespaces = []"), [nothing]);
    assert_eq!(
        tenant("namespace_selector = ''"),
        ["3: tenant.a.namespace_selector: selects every namespace (write [default] for everyone else)"]
    );
    let found = tenant("namespace_selector = 'a in'");
    assert!(found[0].starts_with("3: tenant.a.namespace_selector: \"a in\" is no selector: "), "{found:?}");
    let names = "namespaces = ['ok', 'Shop', 'a_b', '', '[a', '{a', 'a/b', '-']";
    let long = "x".repeat(64);
    assert_eq!(
        tenant(names),
        [
            "3: tenant.a.namespaces[1]: \"Shop\" can be no namespace: those have lower-case letters, digits and hyphens",
            "3: tenant.a.namespaces[2]: \"a_b\" can be no namespace: those have lower-case letters, digits and hyphens",
            "3: tenant.a.namespaces[3]: \"\" is not of a length that names of namespaces have",
            "3: tenant.a.namespaces[4]: \"[a\" is no pattern: unclosed character class; missing ']'",
            "3: tenant.a.namespaces[5]: \"{a\" is no pattern: unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)",
            "3: tenant.a.namespaces[6]: \"a/b\" can be no namespace: those have lower-case letters, digits and hyphens",
        ]
    );
    assert_eq!(
        tenant(&format!("namespaces = ['{long}']")),
        [format!("3: tenant.a.namespaces[0]: {long:?} is not of a length that names of namespaces have")]
    );
    // A pattern that nests as deeply as it may be long is refused or taken, and harms nobody.
    let deep = format!("{}a{}", "{".repeat(126), "}".repeat(126));
    let toml = format!("[[tenant]]\nname = 'a'\nnamespaces = ['{deep}']");
    assert!(checked(&toml).is_ok() || refused(&toml).len() == 1);
}

#[test]
fn nine_filters_are_one_too_many() {
    let filters = |count: usize| format!("{PLUGINS}default.filter = [{}]", "'f', ".repeat(count));
    assert_eq!(accepted(&filters(8)).default.map(|tenant| tenant.filter.len()), Some(8));
    assert_eq!(refused(&filters(9)), ["4: default.filter[8]: 9 filters are more than 8"]);
}

#[test]
fn every_number_has_its_range() {
    let limit = |written: &str| refused_plugin(&format!("source = 'x'\nlimits = {{ {written} }}"));
    let cases = [
        ("size = '129MiB'", "size: 129MiB is not between 1KiB and 128MiB"),
        ("size = '1B'", "size: 1B is not between 1KiB and 128MiB"),
        ("memory = '257MiB'", "memory: 257MiB is not between 64KiB and 256MiB"),
        ("memory = '1KiB'", "memory: 1KiB is not between 64KiB and 256MiB"),
        ("table_elements = 1_000_001", "table_elements: 1000001 is not between 1 and 1000000"),
        ("instances = 0", "instances: 0 is not between 1 and 100"),
        ("output = '65MiB'", "output: 65MiB is not between 1KiB and 64MiB"),
        ("cpu = '6s'", "cpu: 6s is not between 1ms and 5s"),
        ("cpu = '0s'", "cpu: 0s is not between 1ms and 5s"),
    ];
    for (written, text) in cases {
        assert_eq!(limit(written), format!("plugins.x.limits.{text}"));
    }
    let reuse = |written: &str| refused_plugin(&format!("source = 'x'\nreuse = {{ {written} }}"));
    assert_eq!(reuse("calls = 0"), "plugins.x.reuse.calls: 0 is not between 1 and 1000000");
    assert_eq!(reuse("age = '2h'"), "plugins.x.reuse.age: 2h0m0s is not between 1s and 1h0m0s");
    assert_eq!(
        refused(&format!("{PLUGINS}default.window = {{ plugin = 'w', history = '61m' }}")),
        ["4: default.window.history: 1h1m0s is not between 0s and 1h0m0s"]
    );
    assert_eq!(
        refused("default.cpu_per_tick = '16s'"),
        ["1: default.cpu_per_tick: 16s is not between 1ms and 15s"],
        "no more than the metric resolution"
    );
    assert_eq!(
        refused("node_pool = [{ name = 'a', cpu_per_tick = '0s' }]"),
        ["1: node_pool.a.cpu_per_tick: 0s is not between 1ms and 15s"]
    );
}

#[test]
fn a_source_is_a_path_or_a_reference() {
    let digits = "64 hexadecimal digits";
    let example = "(write for example \"oci://registry.example/policies/ewma:1.0.0\")";
    let cases = [
        ("source = ''", "source: is empty (write for example \"plugins/ewma.wasm\")".to_owned()),
        ("source = 'https://x/y.wasm'", "source: \"https\" is no kind of source (write a path, or oci://…)".into()),
        (
            "source = 'oci://registry'",
            format!("source: \"oci://registry\" names no repository in a registry {example}"),
        ),
        ("source = 'oci://r/p q'", format!("source: \"oci://r/p q\" is no name of an image {example}")),
        (
            "source = 'oci://r/p@sha256:ab'",
            format!("source: \"oci://r/p@sha256:ab\" has a digest that is not sha256: and {digits} {example}"),
        ),
        ("source = 'x'\nsha256 = 'abc'", format!("sha256: \"abc\" is not {digits}")),
        ("source = 'x'\ncosign_key = 'k'", "cosign_key: has a meaning for sources that begin with oci:// only".into()),
        ("source = 'x'\nplain_http = true", "plain_http: has a meaning for sources that begin with oci:// only".into()),
    ];
    for (lines, text) in cases {
        assert_eq!(refused_plugin(lines), format!("plugins.x.{text}"));
    }
    let with_prefix = format!("plugins.x.source = 'x'\nplugins.x.sha256 = 'sha256:{}'", "Ab".repeat(32));
    assert_eq!(accepted(&with_prefix).plugins[0].sha256, Some([0xab; 32]));
}

#[test]
fn what_is_allowed_but_worth_knowing_is_told() {
    let toml = "plugins.idle.source = 'x'\nplugins.remote.source = 'oci://r/p:1'\n\
                [[tenant]]\nname = 'a'\nnamespaces = ['x', 'pay-*']\nwindow = 'remote'\n\
                [[tenant]]\nname = 'b'\nnamespaces = ['x', 'y', 'pay-eu']\n\
                [[node_pool]]\nname = 'all'\n[[node_pool]]\nname = 'edge'\nselector = 'pool=edge'\n";
    assert_eq!(
        warnings(toml),
        [
            "etc/gateway.toml:2: plugins.remote: whoever may write to the registry decides what runs here (write sha256, cosign_key, or a digest in source)",
            "etc/gateway.toml:1: plugins.idle: no tenant and no node pool uses it",
            "etc/gateway.toml:9: tenant.b.namespaces[0]: \"x\" belongs to tenant \"a\", which comes first, in line 3",
            "etc/gateway.toml:9: tenant.b.namespaces[2]: \"pay-eu\" belongs to tenant \"a\", which comes first, in line 3",
            "etc/gateway.toml:12: node_pool.edge: no node comes so far: node pool \"all\" before it selects all nodes",
        ]
    );
}

#[test]
fn policies_with_problems_are_set_aside_only_where_the_file_says_so() {
    let bad = "[default]\nwindow = 'x'\nfilter = 7\n";
    assert!(load_text(&args(""), bad).is_err());
    let (config, _) =
        load_text(&args(""), &format!("plugin_engine.on_bad_start = 'built-in'\nhistory.hold = '1m'\n{bad}"))
            .expect("it starts with the built-in policies");
    assert_eq!(config.policies_set_aside.map(|problems| problems.0.len()), Some(2));
    assert_eq!((config.policies.default.is_none(), config.history.hold), (true, Duration::from_secs(60)));
    for other in ["history.hold = 7\n", "tenants = []\n", "api = \n"] {
        let text = format!("plugin_engine.on_bad_start = 'built-in'\n{other}{bad}");
        assert!(load_text(&args(""), &text).is_err(), "{other}");
    }
}

#[test]
fn sizes_are_shown_as_they_are_written() {
    let shown: Vec<String> = [0, 1, 1 << 10, 3 << 20, (1 << 30) + 1, 2 << 30].iter().map(show_bytes).collect();
    assert_eq!(shown, ["0B", "1B", "1KiB", "3MiB", "1073741825B", "2GiB"]);
}
