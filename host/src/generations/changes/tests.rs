use super::*;
use crate::args::{self, Invocation};
use crate::config::load_text;

fn policies(toml: &str) -> PoliciesConfig {
    let Ok(Invocation::Run(args)) = args::parse([]) else { panic!("no flags are fine") };
    let (config, _) = load_text(&args, toml).unwrap_or_else(|problems| panic!("{problems}"));
    config.policies
}

/// All plugins of a configuration, of one version and with digests of this one byte.
fn facts(policies: &PoliciesConfig, byte: u8) -> Facts {
    let of = |plugin: &PluginConfig| {
        let facts = PluginFacts { name: "x".into(), version: "1.0.0".into(), sha256: [byte; 32] };
        (Arc::clone(&plugin.name), facts)
    };
    policies.plugins.iter().map(of).collect()
}

fn changes(old: &str, new: &str) -> String {
    let (old, new) = (policies(old), policies(new));
    Changes::between((&old, &facts(&old, 1)), (&new, &facts(&new, 1))).to_string()
}

const NOTHING: &str = "built-in policies for everyone";

const TENANTS: &str = "plugins.ewma.source = 'e'\nplugins.skip.source = 's'\n\
    [[tenant]]\nname = 'a'\nnamespaces = ['a']\nfilter = ['skip']\n\
    [[tenant]]\nname = 'b'\nnamespaces = ['b']\nwindow = { plugin = 'ewma', settings = { half_life = '60s' } }\n\
    [[node_pool]]\nname = 'edge'\nselector = 'pool=edge'\n\
    [default]\nwindow = 'last-two'\n";

#[test]
fn nothing_differs_where_only_the_file_does() {
    assert_eq!(changes(TENANTS, TENANTS), NOTHING);
    assert_eq!(changes("", ""), NOTHING);
    let rewritten =
        TENANTS.replace('\n', "\n# a comment\n\n").replace("'skip'", "{ plugin = 'skip', on_error = 'keep' }");
    assert_eq!(changes(TENANTS, &rewritten), NOTHING);
}

#[test]
fn everything_that_means_something_differs_by_name() {
    let cases = [
        ("half_life = '60s'", "half_life = '61s'", "tenant \"b\" changed"),
        ("['b']", "['b', 'c']", "tenant \"b\" changed"),
        ("filter = ['skip']", "filter = ['skip', 'skip']", "tenant \"a\" changed"),
        ("filter = ['skip']", "filter = [{ plugin = 'skip', on_error = 'drop' }]", "tenant \"a\" changed"),
        ("filter = ['skip']", "filter = [{ plugin = 'skip', namespace_labels = true }]", "tenant \"a\" changed"),
        ("filter = ['skip']", "filter = ['skip']\ncpu_per_tick = '1s'", "tenant \"a\" changed"),
        ("plugin = 'ewma', ", "plugin = 'ewma', history = '5m', ", "tenant \"b\" changed"),
        ("pool=edge", "pool=core", "node pool \"edge\" changed"),
        ("window = 'last-two'", "window = 'ewma'", "the default changed"),
        ("[default]\nwindow = 'last-two'\n", "", "the default changed"),
        ("'s'", "'t'", "plugin \"skip\" changed"),
        ("plugins.skip.source = 's'", "plugins.skip = { source = 's', reuse = true }", "plugin \"skip\" changed"),
        ("plugins.skip.source = 's'", "plugins.skip = { source = 's', limits.cpu = '5ms' }", "plugin \"skip\" changed"),
        (
            "name = 'a'\nnamespaces = ['a']",
            "name = 'z'\nnamespaces = ['a']",
            "tenant \"z\" added, tenant \"a\" removed",
        ),
        ("plugins.ewma", "plugins.new.source = 'n'\nplugins.ewma", "plugin \"new\" added (1.0.0 010101010101)"),
    ];
    for (old, new, told) in cases {
        assert!(TENANTS.contains(old), "{old}");
        assert_eq!(changes(TENANTS, &TENANTS.replacen(old, new, 1)), told, "{new}");
    }
}

#[test]
fn the_order_of_tenants_means_something_and_that_of_keys_nothing() {
    let tenants = ["[[tenant]]\nname = 'a'\nnamespaces = ['x']\n", "[[tenant]]\nname = 'b'\nnamespaces = ['x*']\n"];
    assert_eq!(changes(&tenants.concat(), &[tenants[1], tenants[0]].concat()), "tenant order changed");
    let keys = "[[tenant]]\nnamespaces = ['x']\nname = 'a'\n";
    assert_eq!(changes(tenants[0], keys), NOTHING);
}

#[test]
fn a_plugin_with_other_bytes_is_told_with_version_and_digest() {
    let policies = policies(TENANTS);
    let (old, mut new) = (facts(&policies, 1), facts(&policies, 1));
    let changed = new.get_mut("ewma").expect("it is declared");
    (changed.sha256, changed.version) = ([0xab; 32], "1.1.0".into());
    let changes = Changes::between((&policies, &old), (&policies, &new));
    assert_eq!(changes.to_string(), "plugin \"ewma\" changed from 1.0.0 010101010101 to 1.1.0 abababababab");
    assert!(!changes.is_empty());
}

#[test]
fn a_thousand_changes_take_one_line() {
    let tenant = |number: usize| format!("[[tenant]]\nname = 't{number}'\nnamespaces = ['n{number}']\n");
    let all: String = (0..1000).map(tenant).collect();
    let told = changes("", &all);
    assert!(
        told.starts_with("tenant \"t0\" added, tenant \"t1\" added, ") && told.ends_with(" and 980 more"),
        "{told}"
    );
}
