use proptest::prelude::*;

use super::*;
use crate::model::{NodeAddress, NodeName};
use crate::plugins::artifact::Hook;
use crate::plugins::binding::bench::{Bench, says, traps};

fn candidate(host: &str) -> types::Candidate {
    types::Candidate { host: host.to_owned(), port: None, path: None, server_name: None }
}

fn fault(candidate: types::Candidate) -> String {
    check(Choice::Dial(vec![candidate]), 10250).unwrap_err().to_string()
}

fn node() -> Node {
    Node {
        name: NodeName::new("node-7"),
        labels: Arc::new([("pool", "edge")].into_iter().collect()),
        annotations: [("example.com/kubelet", "by-name")].into_iter().collect(),
        provider_id: Some("aws:///eu-west-1a/i-0abc".into()),
        resource_metrics_path: None,
        addresses: [NodeAddress { kind: "InternalIP".into(), address: "10.0.0.7".into() }].into(),
        kubelet_port: Some(10260),
        ready: true,
    }
}

fn preferred() -> Arc<PreferredAddresses> {
    let kinds = vec!["InternalIP".to_owned()];
    Arc::new(PreferredAddresses { kinds, use_node_status_port: true, port: 10250, try_all: false })
}

/// A plugin that says one thing.
struct Double(fn(&types::Node) -> Result<Called<Choice>, Failed>);

impl Guest for Double {}

impl Ask for Double {
    fn candidates(&self, node: &types::Node) -> Result<Called<Choice>, Failed> {
        self.0(node)
    }
}

fn decided(answer: fn(&types::Node) -> Result<Called<Choice>, Failed>) -> Result<Vec<Candidate>, NoAddress> {
    let bench = Bench::new();
    AddressBinding::new(bench.bind(Hook::Address, Double(answer)), preferred()).candidates(&node())
}

fn dialled(host: &str, port: u16) -> Candidate {
    Candidate { host: host.into(), port, path: None, server_name: None }
}

#[test]
fn a_candidate_without_a_port_gets_the_nodes_own() {
    let answer = |_: &types::Node| {
        says(Choice::Dial(vec![
            candidate("node-7.example"),
            types::Candidate { port: Some(443), ..candidate("fd00::7") },
        ]))
    };
    assert_eq!(decided(answer).unwrap(), [dialled("node-7.example", 10260), dialled("fd00::7", 443)]);
}

#[test]
fn without_an_opinion_or_an_answer_the_preferred_addresses_serve() {
    let preferred = [dialled("10.0.0.7", 10260)];
    assert_eq!(decided(|_| says(Choice::Pass)).unwrap(), preferred);
    assert_eq!(decided(|_| traps()).unwrap(), preferred);
    assert_eq!(decided(|_| says(Choice::Dial(Vec::new()))).unwrap(), preferred);
    assert_eq!(decided(|_| says(Choice::Dial(vec![candidate("10.0.0.7:443")]))).unwrap(), preferred);
}

#[test]
fn a_skipped_node_has_its_reason_in_one_line() {
    let skipped = decided(|_| says(Choice::Skip("a virtual kubelet\nserves nothing".to_owned()))).unwrap_err();
    let text = "skipped by address policy \"double\": a virtual kubelet serves nothing";
    assert_eq!(skipped.to_string(), text);
    let long = check(Choice::Skip("ü".repeat(200)), 1).unwrap();
    assert_eq!(long, Decision::Skip("ü".repeat(128).into()));
}

#[test]
fn the_plugin_sees_the_node_as_its_object_describes_it() {
    let seen = to_wit(&node());
    let label = |labels: &[types::Label]| {
        labels.iter().map(|label| format!("{}={}", label.key, label.value)).collect::<String>()
    };
    assert_eq!((&*seen.name, seen.kubelet_port, seen.ready), ("node-7", Some(10260), true));
    assert_eq!(
        (label(&seen.labels), label(&seen.annotations)),
        ("pool=edge".into(), "example.com/kubelet=by-name".into())
    );
    assert_eq!((&*seen.addresses[0].kind, &*seen.addresses[0].address), ("InternalIP", "10.0.0.7"));
    assert_eq!(seen.provider_id.as_deref(), Some("aws:///eu-west-1a/i-0abc"));
}

#[test]
fn only_a_plain_host_is_one() {
    let too_long = format!("{}.example", "a".repeat(64));
    let wrong = [
        "",
        " ",
        "[fd00::7]",
        "10.0.0.7:443",
        "https://node",
        "node/metrics",
        "user@node",
        "10.0.0.256",
        "a..b",
        "-a",
        "no\nde",
        "node-7.example:10250",
        &too_long,
        &"a.".repeat(127),
        "fe80::1%eth0",
    ];
    for host in wrong {
        let fault = fault(candidate(host));
        assert!(fault.starts_with("candidate 0: host \""), "{host:?}: {fault}");
    }
    for host in ["10.0.0.7", "fd00::7", "::ffff:10.0.0.7", "node-7", "ip-10-0-0-7.eu-west-1.compute.internal"] {
        assert!(check(Choice::Dial(vec![candidate(host)]), 1).is_ok(), "{host}");
    }
}

#[test]
fn each_fault_names_its_candidate_and_its_field() {
    let base = || candidate("10.0.0.7");
    assert_eq!(fault(types::Candidate { port: Some(0), ..base() }), "candidate 0: port 0");
    let server_name = Some("https://node".to_owned());
    assert_eq!(
        fault(types::Candidate { server_name, ..base() }),
        "candidate 0: server-name \"https://node\" is neither an IP address without brackets nor a DNS name"
    );
    for (path, wrong) in [
        ("metrics", "path \"metrics\" does not begin with '/'"),
        ("/a b", "path \"/a b\" contains white space or a control character"),
        ("/a\r\nHost: b", "path \"/a\\r\\nHost: b\" contains white space or a control character"),
    ] {
        let fault = fault(types::Candidate { path: Some(path.to_owned()), ..base() });
        assert_eq!(fault, format!("candidate 0: {wrong}"));
    }
    let path_of = |length: usize| types::Candidate { path: Some("/".repeat(length)), ..base() };
    assert!(fault(path_of(1025)).ends_with("is longer than 1024 bytes"));
    assert!(check(Choice::Dial(vec![path_of(1024)]), 1).is_ok());
}

#[test]
fn one_to_sixteen_candidates_are_allowed_and_one_bad_one_spoils_them_all() {
    let count = |count| check(Choice::Dial(vec![candidate("10.0.0.7"); count]), 1).map_err(|bad| bad.to_string());
    assert_eq!([1, 16].map(|number| count(number).is_ok()), [true, true]);
    assert_eq!(count(0).unwrap_err(), "0 candidates, where 1 to 16 are allowed");
    assert_eq!(count(17).unwrap_err(), "17 candidates, where 1 to 16 are allowed");
    let fault = check(Choice::Dial(vec![candidate("10.0.0.7"), candidate("")]), 1).unwrap_err();
    assert!(fault.to_string().starts_with("candidate 1: "), "{fault}");
}

fn any_candidate() -> impl Strategy<Value = types::Candidate> {
    let text =
        prop_oneof!["\\PC{0,20}", "[a-z0-9.:/\\[\\]-]{0,260}", any::<String>(), "[a-z]{1,8}(\\.[a-z]{1,8}){0,3}"];
    let path = prop::option::of(prop_oneof![any::<String>(), "/[a-z/?#%]{0,1030}"]);
    (text.clone(), prop::option::of(any::<u16>()), path, prop::option::of(text))
        .prop_map(|(host, port, path, server_name)| types::Candidate { host, port, path, server_name })
}

proptest! {
    #[test]
    fn whatever_a_plugin_answers_what_is_believed_can_be_dialled(
        candidates in prop::collection::vec(any_candidate(), 0..20), port in 1..=u16::MAX,
    ) {
        if let Ok(Decision::Dial(believed)) = check(Choice::Dial(candidates), port) {
            prop_assert!((1..=16).contains(&believed.len()));
            for candidate in believed {
                prop_assert!(candidate.port != 0);
                let names = [Some(candidate.host), candidate.server_name];
                for name in names.into_iter().flatten() {
                    prop_assert!(name.len() <= 253 && ServerName::try_from(&*name).is_ok(), "{:?}", name);
                }
                if let Some(path) = candidate.path {
                    prop_assert!(path.starts_with('/') && path.len() <= 1024, "{:?}", path);
                    prop_assert!(!path.chars().any(|c| c.is_control() || c.is_whitespace()), "{:?}", path);
                }
            }
        }
    }

    #[test]
    fn a_reason_is_one_line_of_at_most_256_bytes(reason in any::<String>()) {
        let Ok(Decision::Skip(reason)) = check(Choice::Skip(reason), 1) else { panic!("any reason will do") };
        prop_assert!(reason.len() <= 256 && !reason.chars().any(char::is_control), "{:?}", reason);
    }
}
