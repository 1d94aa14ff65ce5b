use clap::Parser;
use proptest::prelude::*;

use super::*;
use crate::args::{self, Invocation};
use crate::config::load_text;
use crate::generations::without_plugins;
use crate::model::policy::{PreferredAddresses, SeriesBatch, Verdicts};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    question: Question,
}

fn question(line: &str) -> Question {
    Line::try_parse_from(["explain"].into_iter().chain(line.split_whitespace()))
        .unwrap_or_else(|error| panic!("{error}"))
        .question
}

fn policies(toml: &str) -> PoliciesConfig {
    let Ok(Invocation::Run(args)) = args::parse([]) else { panic!("no flags are fine") };
    load_text(&args, toml).unwrap_or_else(|problems| panic!("{problems}")).0.policies
}

fn tenants(policies: &PoliciesConfig) -> Tenants {
    let addresses = PreferredAddresses { kinds: Vec::new(), use_node_status_port: false, port: 1, try_all: false };
    without_plugins(policies, 1, addresses)
}

const FILE: &str = r#"
plugins.skip-sidecars.source = "s"
plugins.ewma.source = "e"
[[tenant]]
name = "infra"
namespaces = ["kube-*", "monitoring"]
[[tenant]]
name = "team"
namespace_selector = "team=payments"
[[tenant]]
name = "payments"
namespaces = ["payments", "payments-{eu,us}"]
namespace_selector = "team=pay"
filter = [{ plugin = "skip-sidecars", settings = { containers = ["istio-proxy"] } }]
window = { plugin = "ewma", history = "5m" }
[[node_pool]]
name = "edge"
selector = "pool=edge"
"#;

fn explained(line: &str) -> Vec<String> {
    answer(&policies(FILE), &question(line), None).text.lines().map(str::to_owned).collect()
}

#[test]
fn the_owner_is_told_with_its_reason_and_those_before_it_with_theirs() {
    assert_eq!(
        explained("payments"),
        [
            "namespace \"payments\" belongs to \"payments\": its namespaces name it",
            "  not to \"infra\": kube-*, monitoring do not match",
            "  not to \"team\": no name or pattern matches, and whether \"team=payments\" does takes --namespace-labels",
            "  filter    skip-sidecars {\"containers\":[\"istio-proxy\"]}, on error keep",
            "  window    ewma {}, on error last-two, history 5m0s",
        ]
    );
    assert_eq!(
        explained("kube-system")[0],
        "namespace \"kube-system\" belongs to \"infra\": its namespaces have the pattern \"kube-*\""
    );
    assert_eq!(
        explained("payments-eu/cart")[0],
        "namespace \"payments-eu\" belongs to \"payments\": its namespaces have the pattern \"payments-{eu,us}\""
    );
    let by_labels = explained("shop --namespace-labels a=b,team=payments");
    assert_eq!(
        by_labels[0],
        "namespace \"shop\" belongs to \"team\": its namespace_selector \"team=payments\" selects the labels"
    );
}

#[test]
fn who_is_nobodys_has_the_default() {
    assert_eq!(
        explained("shop --namespace-labels team=x")[..],
        [
            "namespace \"shop\" belongs to \"default\": no tenant owns it",
            "  not to \"infra\": kube-*, monitoring do not match",
            "  not to \"team\": \"team=payments\" does not match",
            "  not to \"payments\": payments, payments-{eu,us}, those with labels team=pay do not match",
            "  filter    none",
            "  window    last-two (built in)",
        ]
    );
}

#[test]
fn the_node_pool_is_told_to_whoever_gives_the_labels_of_a_node() {
    assert_eq!(
        explained("shop --node n1 --node-labels pool=edge").last().expect("lines"),
        "node \"n1\" belongs to node pool \"edge\""
    );
    assert_eq!(
        explained("shop --node-labels pool=core").last().expect("lines"),
        "node \"node\" belongs to no node pool"
    );
}

/// Drops `side`, keeps CPU alone of `cpu`, decides by value on `app`; what it is shown is checked.
struct Fake;

impl FilterPolicy for Fake {
    fn classify(&self, pods: &[PodIdentity<'_>]) -> Verdicts {
        let [pod] = pods else { panic!("one pod: {pods:?}") };
        assert_eq!((pod.pod.namespace, pod.pod.name, pod.node), ("payments", "cart", "n1"));
        assert_eq!((pod.labels.get("app"), pod.namespace_labels), (Some("cart"), None));
        assert_eq!(pod.containers, ["app", "cpu", "side"], "sorted, each once");
        let by_value = Verdict { by_value: 0b101, ..Verdict::KEEP };
        Verdicts { verdicts: vec![by_value, Verdict::CPU_ONLY, Verdict::DROP], are_lasting: false }
    }

    fn screen(&self, _: &SeriesBatch<'_>, before: &[Verdict]) -> Vec<Verdict> {
        before.to_vec()
    }
}

#[test]
fn containers_are_told_what_the_filters_say_of_them() {
    let policies = policies(FILE);
    let mut tenants = tenants(&policies);
    tenants.tenants[2].filter = Some(std::sync::Arc::new(Fake));
    let question = question("payments/cart --containers side,cpu,app,side --pod-labels app=cart --node n1");
    assert!(question.asks_filters());
    let answer = answer(&policies, &question, Some(&tenants));
    let lines: Vec<&str> = answer.text.lines().skip(5).collect();
    let failed = " (a filter failed, and this is its on_error)";
    assert_eq!(
        lines,
        [
            format!("  container \"app\": served, if its values please filter 1 and 3 at each scrape{failed}"),
            format!("  container \"cpu\": served with CPU alone{failed}"),
            format!("  container \"side\": not served{failed}"),
        ]
    );
    let json = &answer.json;
    assert_eq!((&json["tenant"], &json["pod"]), (&json!("payments"), &json!("cart")));
    assert_eq!(json["notTo"][0], json!({ "tenant": "infra", "because": "kube-*, monitoring do not match" }));
    let side = json!({ "name": "side", "cpu": false, "memory": false, "byValue": false, "filterFailed": true });
    assert_eq!(json["containers"][2], side);
    assert_eq!(json["policies"]["filter"][0]["settings"], json!({ "containers": ["istio-proxy"] }));
}

#[test]
fn without_filters_every_container_is_served() {
    let policies = policies(FILE);
    let answer = answer(&policies, &question("shop --containers app"), Some(&tenants(&policies)));
    assert_eq!(answer.text.lines().last(), Some("  container \"app\": served"));
}

#[test]
fn what_makes_no_sense_is_refused() {
    for line in ["", "/", "a/", "a/b/c", "a --pod-labels x", "a --namespace-labels =,x"] {
        assert!(Line::try_parse_from(["explain"].into_iter().chain(line.split_whitespace())).is_err(), "{line}");
    }
}

proptest! {
    /// What is explained is what the gateway does.
    #[test]
    fn the_owner_is_the_one_that_the_gateway_finds(
        written in prop::collection::vec((prop::collection::vec("[ab*?]{1,3}", 0..3), prop::option::of("[ab]")), 1..5),
        namespace in "[ab]{1,3}",
        labels in prop::option::of("[ab]"),
    ) {
        let mut toml = String::new();
        for (at, (names, selector)) in written.iter().enumerate() {
            let _ = write!(toml, "[[tenant]]\nname = 't{at}'\nnamespaces = {names:?}\n");
            match selector {
                Some(value) => { let _ = writeln!(toml, "namespace_selector = 'x={value}'"); }
                None if names.is_empty() => { let _ = writeln!(toml, "namespace_selector = 'x'"); }
                None => {}
            }
        }
        let policies = policies(&toml);
        let labels: Option<Labels> = labels.map(|value| [("x", value)].into_iter().map(|(k, v)| (k, String::as_str(&v).to_owned())).collect());
        let (owner, _, before) = owner(&policies, &namespace, labels.as_ref());
        let tenants = tenants(&policies);
        let found = tenants.of_namespace(&namespace, labels.as_ref());
        prop_assert_eq!(owner.map_or("default", |tenant| &*tenant.name), &*found.name);
        let next = policies.tenants.get(before.len()).map(|tenant| &*tenant.name);
        prop_assert_eq!(next.unwrap_or("default"), &*found.name);
    }
}
