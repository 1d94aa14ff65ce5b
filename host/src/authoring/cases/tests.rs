use super::*;
use crate::authoring::question::{Answer, EPOCH, Target};
use crate::model::units::{Bytes, CpuNanoseconds, Nanocores, UnixNanos, WindowNanos};

const ALL: &str = r#"
[[case]]
name = "sidecars are dropped"
hook = "filter"
settings = { containers = ["istio-proxy"], depth = 2, share = 0.5, strict = true }
pods = [
  { namespace = "shop", name = "web-1", labels = { app = "web" }, containers = ["istio-proxy", "app"] },
  { namespace = "shop", name = "cart-1", node = "n1", namespace_labels = { team = "shop" }, containers = ["app"] },
]
expect = ["drop", "keep", "cpu"]
fuel = 120_000

[[case]]
name = "names over addresses"
hook = "address"
expect = { dial = [{ host = "10.0.0.7", server_name = "node-7.example" }, { host = "fd00::7", port = 10250, path = "/m" }] }
[case.node]
name = "node-7"
addresses = [{ kind = "InternalIP", address = "10.0.0.7" }]
labels = { pool = "edge" }
kubelet_port = 10250
provider_id = "aws:///i-0"
ready = false

[[case]]
name = "no opinion"
hook = "address"
node = { name = "node-8" }
expect = "pass"

[[case]]
name = "virtual"
hook = "address"
node = { name = "node-9" }
expect = { skip = "it is virtual" }

[[case]]
name = "a window"
hook = "window"
node = "n1"
tolerance = 0.01
series = [
  { subject = "shop/cart-1/app", samples = [
    { at = "-15s", started = "-1h", cpu = "1.5s", memory = "64MiB" },
    { at = "0s", started = "-1h", cpu = 5_250_000_000, memory = 1000 },
  ] },
  { subject = "shop/cart-2/app", samples = [] },
]
expect = [{ at = "0s", window = "15s", cpu = "250m", memory = "1000B" }, "none"]

[[case]]
name = "by value"
hook = "filter-by-value"
series = [{ subject = "node", samples = [{ at = "0s", cpu = "0s", memory = 0 }] }]
expect = ["memory"]

[[case]]
name = "a half-life is needed"
refuse = "half_life"
settings = { half_life = "0s" }
"#;

fn read(text: &str) -> Vec<Case> {
    CaseFile::read("cases.toml", text).unwrap_or_else(|problems| panic!("{problems}")).cases
}

/// The case of this name, its question and what is expected.
fn asked(name: &str) -> (Question, Expectation) {
    let case = read(ALL).into_iter().find(|case| case.name == name).expect("it is in the file");
    match case.trial {
        Trial::Ask(question, expected) => (*question, expected),
        Trial::Refuse(_) => panic!("{name} asks nothing"),
    }
}

#[track_caller]
fn check_problems(text: &str, expected: &[&str]) {
    let problems = CaseFile::read("c.toml", text).expect_err("it is wrong");
    let lines: Vec<String> = problems.0.iter().map(ToString::to_string).collect();
    assert_eq!(lines, expected);
}

#[test]
fn pods_and_containers_are_put_in_the_gateways_order_with_their_verdicts() {
    let (Question::Filter(pods), Expectation::Verdicts(expected)) = asked("sidecars are dropped") else { panic!() };
    let names: Vec<(&str, &[String])> = pods.iter().map(|pod| (pod.name.as_str(), pod.containers.as_slice())).collect();
    assert_eq!(
        names,
        [("cart-1", ["app".to_owned()].as_slice()), ("web-1", &["app".to_owned(), "istio-proxy".to_owned()])]
    );
    assert_eq!(expected, [Code::Cpu, Code::Keep, Code::Drop]);
    assert_eq!((pods[0].node.as_str(), pods[1].node.as_str()), ("n1", "node-1"));
    assert_eq!((pods[0].namespace_labels.get("team"), pods[1].labels.get("app")), (Some("shop"), Some("web")));
}

#[test]
fn settings_become_json_and_fuel_a_bound() {
    let cases = read(ALL);
    assert_eq!(cases[0].settings, r#"{"containers":["istio-proxy"],"depth":2,"share":0.5,"strict":true}"#);
    assert_eq!(cases[1].settings, "{}");
    assert_eq!((cases[0].fuel, cases[1].fuel), (Some(120_000), None));
    assert_eq!((cases[0].line, cases[1].line), (2, 13));
    assert_eq!(cases[6].trial, Trial::Refuse("half_life".to_owned()));
}

#[test]
fn a_node_has_what_the_case_says_of_it() {
    let (Question::Address(node), Expectation::Address(expected)) = asked("names over addresses") else { panic!() };
    assert_eq!((node.name.as_str(), node.kubelet_port, node.ready), ("node-7", Some(10250), false));
    assert_eq!((node.labels.get("pool"), node.provider_id.as_deref()), (Some("edge"), Some("aws:///i-0")));
    assert_eq!((&*node.addresses[0].kind, &*node.addresses[0].address), ("InternalIP", "10.0.0.7"));
    let named = Target { host: "10.0.0.7".into(), server_name: Some("node-7.example".into()), ..Target::default() };
    let other = Target { host: "fd00::7".into(), port: Some(10250), path: Some("/m".into()), server_name: None };
    assert_eq!(expected, Choice::Dial(vec![named, other]));
    let (Question::Address(node), expected) = asked("no opinion") else { panic!() };
    assert!(node.ready && node.kubelet_port.is_none());
    assert_eq!(expected, Expectation::Address(Choice::Pass));
    assert_eq!(asked("virtual").1, Expectation::Address(Choice::Skip("it is virtual".to_owned())));
}

#[test]
fn times_are_relative_to_the_epoch_of_cases() {
    let (Question::Window(histories), Expectation::Usages { rows, tolerance }) = asked("a window") else { panic!() };
    let sample = histories.series[0].samples[0];
    assert_eq!(sample.taken_at, UnixNanos(EPOCH.0 - 15_000_000_000));
    assert_eq!(sample.started_at, UnixNanos(EPOCH.0 - 3_600_000_000_000));
    assert_eq!((sample.cpu, sample.memory), (CpuNanoseconds(1_500_000_000), Bytes(64 << 20)));
    assert_eq!(histories.series[1].samples, []);
    let usage = Usage {
        taken_at: EPOCH,
        window: WindowNanos(15_000_000_000),
        cpu: Nanocores(250_000_000),
        memory: Bytes(1000),
    };
    assert_eq!((rows, tolerance), (vec![Some(usage), None], 0.01));
}

#[test]
fn every_problem_of_a_file_is_told_with_its_line() {
    let text = r#"
[[case]]
name = "first"
hook = "filter"
pods = [
  { namespace = "shop", containers = [] },
  { namespace = "shop", name = 7, containers = ["app"], label = {} },
]
expect = ["keep", "kep"]
fuel = 0

[[case]]
hook = "windows"

[[case]]
name = "third"
hook = "window"
series = [
  { subject = "shop/cart", samples = [{ at = "soon", cpu = "1s", memory = "64MB" }] },
  { subject = "a/b/c", samples = [
    { at = "0s", cpu = "-1s", memory = 0 },
    { at = "0s", cpu = "1s", memory = 0 } ] },
]
expect = [{ at = "0s", window = "0s", cpu = "lots", memory = "1B" }]
tolerance = 3
extra = 1
"#;
    check_problems(
        text,
        &[
            "c.toml:6: case.pods.name: is missing",
            "c.toml:6: case.pods.containers: the list is empty; a pod has at least one container",
            "c.toml:7: case.pods.name: 7 is no text",
            "c.toml:7: case.pods.label: unknown key, known are namespace, name, node, containers, labels, namespace_labels",
            "c.toml:9: case.expect: \"kep\" is none of \"keep\", \"drop\", \"cpu\", \"memory\", \"by-value\"",
            "c.toml:10: case.fuel: 0 is no whole number from 1 to 18446744073709551615",
            "c.toml:12: case.name: is missing",
            "c.toml:13: case.hook: \"windows\" is none of \"address\", \"filter\", \"filter-by-value\", \"window\"",
            "c.toml:19: case.series.subject: \"shop/cart\" is neither \"node\" nor \"namespace/pod/container\"",
            "c.toml:19: case.series.samples.at: \"soon\" is no duration (write for example \"15s\")",
            "c.toml:19: case.series.samples.memory: \"64MB\" is no size (write for example \"64MiB\")",
            "c.toml:21: case.series.samples.cpu: \"-1s\" is below zero",
            "c.toml:24: case.expect.window: \"0s\" is not above zero",
            "c.toml:24: case.expect.cpu: \"lots\" is no CPU rate (write for example \"250m\")",
            "c.toml:25: case.tolerance: 3 is no number from 0 to 1",
            "c.toml:26: case.extra: unknown key, known are name, settings, fuel, refuse, hook, node, series, tolerance, expect",
        ],
    );
}

#[test]
fn what_no_gateway_would_ask_is_refused() {
    let window = |rest: &str| format!("[[case]]\nname = \"x\"\nhook = \"window\"\n{rest}");
    let sample = |at: &str| format!("{{ at = \"{at}\", cpu = \"1s\", memory = 1 }}");
    let falling = format!("series = [{{ subject = \"node\", samples = [{}, {}] }}]", sample("1s"), sample("0s"));
    check_problems(
        &window(&format!("{falling}\nexpect = [\"none\"]")),
        &["c.toml:4: case.series.samples: the list has times that do not rise from sample to sample"],
    );
    check_problems(
        &window("series = [{ subject = \"node\", samples = [] }, { subject = \"a/b/c\", samples = [] }]\nexpect = []"),
        &["c.toml:4: case.series: the list holds the node beside others; a node is asked about alone"],
    );
    check_problems(
        &window("series = [{ subject = \"node\", samples = [] }]\nexpect = [\"none\", \"none\"]"),
        &["c.toml:5: case.expect: the list has 2 answers for 1 rows"],
    );
    check_problems("", &["c.toml:1: case: is missing"]);
    check_problems("[[case]\nname = 1", &["c.toml:1: unclosed array table, expected `]`"]);
    let three = [sample("0s"), sample("1s"), sample("2s")].join(", ");
    check_problems(
        &format!(
            "[[case]]\nname = \"x\"\nhook = \"filter-by-value\"\nseries = [{{ subject = \"node\", samples = [{three}] }}]\nexpect = [\"keep\"]"
        ),
        &["c.toml:5: case.expect: the list is of series with more than two samples; this hook is shown the latest two"],
    );
    check_problems(
        "[[case]]\nname = \"x\"\nhook = \"filter-by-value\"\nseries = []\nexpect = [\"by-value\"]",
        &["c.toml:5: case.expect: \"by-value\" is none of \"keep\", \"drop\", \"cpu\", \"memory\""],
    );
}

#[test]
fn verdicts_differ_by_container() {
    let (question, expected) = asked("sidecars are dropped");
    let got = Answer::Verdicts(vec![Code::Cpu, Code::Drop, Code::Drop]);
    assert_eq!(differences(&question, &expected, &got), ["shop/web-1/app: expected keep, got drop"]);
    let short = Answer::Verdicts(vec![Code::Cpu]);
    assert_eq!(differences(&question, &expected, &short), ["expected 3 rows, got 1"]);
    let right = Answer::Verdicts(vec![Code::Cpu, Code::Keep, Code::Drop]);
    assert_eq!(differences(&question, &expected, &right), [""; 0]);
}

#[test]
fn choices_differ_by_candidate() {
    let (question, expected) = asked("names over addresses");
    let one = Answer::Address(Choice::Dial(vec![Target { host: "10.0.0.7".into(), ..Target::default() }]));
    assert_eq!(
        differences(&question, &expected, &one),
        [
            "candidate 1: expected 10.0.0.7, verified as node-7.example, got 10.0.0.7",
            "candidate 2: expected [fd00::7]:10250, path /m, got nothing"
        ]
    );
    let skip = Answer::Address(Choice::Skip("no".to_owned()));
    let (question, expected) = asked("no opinion");
    assert_eq!(differences(&question, &expected, &skip), ["expected pass, got skip \"no\""]);
}

#[test]
fn usages_differ_by_column_and_rates_within_their_tolerance_do_not() {
    let (question, expected) = asked("a window");
    let usage = |cpu: u64, memory: u64| Usage {
        taken_at: EPOCH,
        window: WindowNanos(15_000_000_000),
        cpu: Nanocores(cpu),
        memory: Bytes(memory),
    };
    let near = Answer::Usages(vec![Some(usage(252_500_000, 1000)), None]);
    assert_eq!(differences(&question, &expected, &near), [""; 0]);
    let far = Answer::Usages(vec![Some(usage(252_500_001, 1001)), Some(usage(0, 0))]);
    assert_eq!(
        differences(&question, &expected, &far),
        [
            "shop/cart-1/app: cpu: expected 250m, got 252.500001m",
            "shop/cart-1/app: memory: expected 1000B, got 1001B",
            "shop/cart-2/app: expected none, got 0m and 0B over 15s at 0s"
        ]
    );
}
