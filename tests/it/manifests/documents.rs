//! What is written about the chart, and beside it, agrees with it: values, their table, their schema, alerts and dashboard.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use metrics_gateway::telemetry::Metrics;
use serde_json::Value;

use super::helm::{self, root};

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn values() -> Value {
    helm::document(&read("deploy/chart/values.yaml"))
}

/// The keys that hold something other than keys of the chart, with dots.
fn leaves(value: &Value, path: &str, out: &mut BTreeMap<String, Value>) {
    match value.as_object() {
        Some(fields) if !fields.is_empty() => {
            for (name, field) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                leaves(field, &path, out);
            }
        }
        _ => {
            out.insert(path.to_owned(), value.clone());
        }
    }
}

fn covers(key: &str, leaf: &str) -> bool {
    leaf == key || leaf.strip_prefix(key).is_some_and(|rest| rest.starts_with('.'))
}

#[test]
fn the_chart_s_readme_has_every_value_with_its_default() {
    let (values, readme) = (values(), read("deploy/chart/README.md"));
    let (_, table) = readme.split_once("\n## Values\n").expect("it has a table of them");
    let rows: Vec<(String, String)> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .map(|(key, rest)| (key.to_owned(), rest.split(" | ").next().unwrap_or_default().to_owned()))
        .collect();
    for (key, default) in &rows {
        let pointer = format!("/{}", key.replace('.', "/"));
        let value = values.pointer(&pointer).unwrap_or_else(|| panic!("values.yaml has no {key:?}"));
        let Some(shown) = default.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')) else {
            assert_eq!(default, "see values.yaml", "{key}");
            continue;
        };
        let shown: Value = serde_json::from_str(shown).unwrap_or_else(|error| panic!("{key}: {shown}: {error}"));
        assert_eq!(&shown, value, "{key}");
    }
    let mut all = BTreeMap::new();
    leaves(&values, "", &mut all);
    let absent: Vec<&String> = all.keys().filter(|leaf| !rows.iter().any(|(key, _)| covers(key, leaf))).collect();
    assert!(absent.is_empty(), "README.md of the chart does not have {absent:?}");
}

#[test]
fn every_value_is_set_by_some_values_file_of_a_test() {
    let mut set = BTreeMap::new();
    for (_, path) in helm::cases() {
        leaves(&helm::document(&fs::read_to_string(&path).expect("it can be read")), "", &mut set);
    }
    let mut all = BTreeMap::new();
    leaves(&values(), "", &mut all);
    // A case may set a part of a free-form value, or the whole of one that is empty by default.
    let is_set = |leaf: &String| set.keys().any(|key| covers(leaf, key) || covers(key, leaf));
    let part_of_free_form = |leaf: &String| {
        [
            "securityContext.",
            "addonResizer.securityContext.",
            "addonResizer.resources.",
            "livenessProbe.",
            "readinessProbe.",
        ]
        .iter()
        .any(|prefix| leaf.starts_with(prefix))
    };
    let unset: Vec<&String> = all.keys().filter(|leaf| !is_set(leaf) && !part_of_free_form(leaf)).collect();
    assert!(unset.is_empty(), "{unset:?}");
}

/// Names of metrics in PromQL.
fn metrics_in(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let prefixes = ["metrics_gateway_", "metrics_server_", "process_"];
    words.filter(|word| prefixes.iter().any(|prefix| word.starts_with(prefix))).map(str::to_owned).collect()
}

/// The names that a family has on `/metrics`.
fn served() -> BTreeSet<String> {
    let families = Metrics::new(Duration::from_secs(15)).families();
    let mut names: BTreeSet<String> = families
        .into_iter()
        .flat_map(|family| ["", "_bucket", "_sum", "_count"].map(|suffix| format!("{}{suffix}", family.name)))
        .collect();
    // What the client library says of the process, on Linux.
    names.extend(["resident_memory_bytes", "cpu_seconds_total", "open_fds"].map(|name| format!("process_{name}")));
    names
}

fn dashboard() -> Value {
    serde_json::from_str(&read("deploy/chart/files/dashboard.json")).expect("it is JSON")
}

fn alerts() -> Vec<Value> {
    let rules = helm::document(&read("deploy/chart/files/rules.yaml"));
    rules["groups"][0]["rules"].as_array().expect("there are rules").clone()
}

#[test]
fn alerts_and_panels_name_only_metrics_that_there_are() {
    let served = served();
    let panels = dashboard();
    let targets = panels["panels"].as_array().expect("panels").iter().flat_map(|panel| {
        panel["targets"].as_array().into_iter().flatten().filter_map(|target| target["expr"].as_str())
    });
    let mut named = BTreeSet::new();
    for expression in targets.chain(alerts().iter().filter_map(|rule| rule["expr"].as_str())) {
        named.extend(metrics_in(expression));
    }
    assert!(named.len() > 30, "{named:?}");
    let unknown: Vec<&String> = named.difference(&served).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn every_metric_of_the_gateway_is_on_the_dashboard() {
    let shown = metrics_in(&dashboard().to_string());
    let families = Metrics::new(Duration::from_secs(15)).families();
    // When a kubelet was last asked: the figures of its answers say more.
    let ours = families
        .into_iter()
        .map(|family| family.name)
        .filter(|name| !name.starts_with("process_") && name != "metrics_server_kubelet_last_request_time_seconds");
    let absent: Vec<String> = ours.filter(|name| !shown.iter().any(|of| of.starts_with(&**name))).collect();
    assert!(absent.is_empty(), "{absent:?}");
}

#[test]
fn every_alert_says_what_to_do_and_where_to_read_on() {
    for rule in alerts() {
        let name = rule["alert"].as_str().expect("it has a name");
        for annotation in ["summary", "description", "runbook"] {
            assert!(
                rule["annotations"][annotation].as_str().is_some_and(|text| text.len() > 20),
                "{name}: {annotation}"
            );
        }
        assert!(["warning", "critical"].contains(&rule["labels"]["severity"].as_str().unwrap_or_default()), "{name}");
        let anchor = format!("docs/troubleshoot.md#{}", kebab(name));
        assert_eq!(rule["annotations"]["runbook"], anchor.as_str(), "{name}");
    }
}

#[test]
fn every_alert_is_tested_to_fire_and_to_be_silent() {
    let tests = read("deploy/chart/files/rules_test.yaml");
    for rule in alerts() {
        let name = rule["alert"].as_str().expect("it has a name");
        for way in ["it fires", "it is silent"] {
            assert!(tests.contains(&format!("\"{name}: {way}\"")), "{name}: {way}");
        }
    }
}

/// `MetricsGatewayAPIServiceUnavailable` is `metrics-gateway-api-service-unavailable`.
fn kebab(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (index, letter) in letters.iter().enumerate() {
        let is_after_lower = index > 0 && letters[index - 1].is_lowercase();
        let is_before_lower = index > 0 && letters.get(index + 1).is_some_and(|next| next.is_lowercase());
        if letter.is_uppercase() && (is_after_lower || is_before_lower) {
            out.push('-');
        }
        out.extend(letter.to_lowercase());
    }
    out
}
