//! What the gateway may do, and whom it lets do what: every rule that the chart renders, and no other.

use std::collections::BTreeMap;

use serde_json::Value;

use super::helm;

/// `verbs of group/resources` for each rule, by the role that has it.
fn rules(objects: &[Value]) -> BTreeMap<String, Vec<String>> {
    let roles = objects.iter().filter(|object| !object["rules"].is_null());
    roles.map(|role| (super::id(role), role["rules"].as_array().into_iter().flatten().map(shown).collect())).collect()
}

fn shown(rule: &Value) -> String {
    let words = |key: &str| {
        let words: Vec<&str> = rule[key].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        words.join(",")
    };
    let named = if rule["resourceNames"].is_null() { String::new() } else { format!(" {}", words("resourceNames")) };
    let of = if rule["nonResourceURLs"].is_null() {
        format!("{}/{}", words("apiGroups"), words("resources"))
    } else {
        words("nonResourceURLs")
    };
    format!("{} {of}{named}", words("verbs"))
}

/// As components.yaml names them; each line of a role is one thing that the program does.
const ALWAYS: &[(&str, &[&str])] = &[
    (
        "ClusterRole system:metrics-server",
        &["get /nodes/metrics,nodes/stats", "list,watch /nodes,pods", "list,watch /namespaces"],
    ),
    ("ClusterRole system:metrics-server-aggregated-reader", &["get,list,watch metrics.k8s.io/pods,nodes"]),
    ("ClusterRole metrics-gateway:explain", &["get metrics.k8s.io/pods/explain"]),
    (
        "ClusterRole metrics-gateway:operate",
        &["get metrics.k8s.io/pods/explain,nodes/explain", "get,list metrics.k8s.io/gateways"],
    ),
    (
        "Role kube-system/metrics-server:events",
        &["get apps/deployments metrics-server", "create,patch events.k8s.io/events"],
    ),
];

const EVERYTHING: &[(&str, &[&str])] = &[
    ("ClusterRole metrics-server-monitoring", &["get /metrics,/metrics/resource"]),
    ("ClusterRole system:metrics-server-nanny", &["get /metrics"]),
    ("Role kube-system/metrics-server-nanny", &["get /pods", "get,patch apps/deployments metrics-server"]),
];

fn expected(tables: &[&[(&str, &[&str])]]) -> BTreeMap<String, Vec<String>> {
    let rows = tables.iter().flat_map(|table| table.iter());
    rows.map(|(role, rules)| ((*role).to_owned(), rules.iter().map(|&rule| rule.to_owned()).collect())).collect()
}

#[test]
fn the_chart_grants_these_rules_and_no_others() {
    assert_eq!(rules(&helm::render("default", "1.30")), expected(&[ALWAYS]));
    assert_eq!(rules(&helm::render("everything", "1.30")), expected(&[ALWAYS, EVERYTHING]));
    let without_any = helm::template(&["--set", "rbac.create=false"]).expect("it can be rendered");
    assert_eq!(rules(&without_any), BTreeMap::new());
}

#[test]
fn the_chart_binds_roles_to_the_gateway_alone() {
    let objects = helm::render("default", "1.30");
    let bindings: BTreeMap<String, String> = objects
        .iter()
        .filter(|object| !object["roleRef"].is_null())
        .map(|binding| {
            let subjects = binding["subjects"].as_array().expect("somebody is bound");
            assert_eq!(subjects.len(), 1, "{binding}");
            let subject = &subjects[0];
            let who = format!("{} {}/{}", subject["kind"], subject["namespace"], subject["name"]).replace('"', "");
            assert_eq!(who, "ServiceAccount kube-system/metrics-server", "{binding}");
            let role = &binding["roleRef"];
            (super::id(binding), format!("{} {}", role["kind"], role["name"]).replace('"', ""))
        })
        .collect();
    let expected = [
        ("ClusterRoleBinding metrics-server:system:auth-delegator", "ClusterRole system:auth-delegator"),
        ("ClusterRoleBinding system:metrics-server", "ClusterRole system:metrics-server"),
        ("RoleBinding kube-system/metrics-server-auth-reader", "Role extension-apiserver-authentication-reader"),
        ("RoleBinding kube-system/metrics-server:events", "Role metrics-server:events"),
    ];
    assert_eq!(bindings, expected.map(|(name, role)| (name.to_owned(), role.to_owned())).into());
}
