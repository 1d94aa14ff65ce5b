use metrics_gateway_sdk::address::{Address, Candidate, Choice, Node};
use metrics_gateway_sdk::settings::read;
use metrics_gateway_sdk::testing::{hostile, node};
use proptest::prelude::*;

use super::NameOverIp;

fn policy(settings: &str) -> Result<NameOverIp, String> {
    NameOverIp::new(read(settings)?)
}

fn choice(settings: &str, node: &Node) -> Choice {
    policy(settings).expect("settings in range").candidates(node)
}

fn seven() -> Node {
    let node = node("node-7").address("Hostname", "node-7.example").address("ExternalIP", "203.0.113.7");
    let node = node.address("InternalIP", "10.0.0.7").address("InternalIP", "fd00::7");
    node.label("example.com/fqdn", "n7.rack-2").annotation("example.com/name", "seven.example").build()
}

#[test]
fn addresses_are_dialled_in_the_order_of_their_kinds_under_one_name() {
    let dial = |hosts: &[&str], name: &str| {
        Choice::Dial(hosts.iter().map(|host| Candidate::new(*host).server_name(name)).collect())
    };
    assert_eq!(choice("{}", &seven()), dial(&["10.0.0.7", "fd00::7", "203.0.113.7"], "node-7"));
    let external = r#"{"kinds":["ExternalIP"],"suffix":"edge.example.internal"}"#;
    assert_eq!(choice(external, &seven()), dial(&["203.0.113.7"], "node-7.edge.example.internal"));
}

#[test]
fn the_name_is_what_the_template_makes_of_the_node() {
    let check = |template: &str, suffix: &str, expected: &str| {
        let settings = format!(r#"{{"server_name":"{template}"{suffix}}}"#);
        let Choice::Dial(candidates) = choice(&settings, &seven()) else { panic!("{settings}") };
        assert_eq!(candidates[0].server_name.as_deref(), Some(expected), "{settings}");
    };
    check("{node}", "", "node-7");
    check("kubelet-{node}.example", "", "kubelet-node-7.example");
    check("{label:example.com/fqdn}.example", "", "n7.rack-2.example");
    check("{annotation:example.com/name}", "", "seven.example");
    check("{address:Hostname}", "", "node-7.example");
    check("{address:Hostname}", r#","suffix":".example""#, "node-7.example");
    check("{node}", r#","suffix":".example""#, "node-7.example");
    check("{address:Hostname}", r#","suffix":"ample""#, "node-7.example.ample");
}

#[test]
fn a_node_without_name_or_address_is_passed_or_skipped_as_set() {
    let nameless = r#"{"server_name":"{label:none}"}"#;
    assert_eq!(choice(nameless, &seven()), Choice::Pass);
    let skipping = r#"{"server_name":"{label:none}","otherwise":"skip"}"#;
    assert_eq!(
        choice(skipping, &seven()),
        Choice::Skip("the template of its name makes no host name of it".to_owned())
    );
    let named_only = node("node-8").address("InternalIP", "node-8").address("Hostname", "10.0.0.8").build();
    assert_eq!(choice("{}", &named_only), Choice::Pass);
    let skip = Choice::Skip("it has no IP address of the wanted kinds".to_owned());
    assert_eq!(choice(r#"{"otherwise":"skip"}"#, &named_only), skip);
}

#[test]
fn settings_that_name_no_name_are_refused() {
    let check = |settings: &str, complaint: &str| {
        let error = policy(settings).err().unwrap_or_default();
        assert!(error.starts_with(complaint), "{settings}: {error}");
    };
    check(r#"{"kinds":[]}"#, "\"kinds\" is empty");
    check(r#"{"suffix":"not a domain"}"#, "\"suffix\" must be a domain");
    check(r#"{"suffix":""}"#, "\"suffix\" must be a domain");
    for template in ["", "fixed.example", "{host}", "{node", "node}", "{node}}", "{label}"] {
        check(&format!(r#"{{"server_name":"{template}"}}"#), "\"server_name\" must be made of text and of {node}");
    }
}

proptest! {
    #[test]
    fn only_ip_addresses_are_dialled_and_always_under_a_host_name(node in hostile::node()) {
        let settings = r#"{"server_name":"{label:a}x{node}","suffix":"example"}"#;
        for settings in ["{}", settings] {
            let Choice::Dial(candidates) = choice(settings, &node) else { continue };
            prop_assert!(!candidates.is_empty());
            for Candidate { host, server_name, .. } in candidates {
                prop_assert!(host.parse::<std::net::IpAddr>().is_ok(), "{}", host);
                prop_assert!(super::is_host_name(&server_name.expect("a name")));
            }
        }
    }

    #[test]
    fn no_template_makes_the_reader_panic(template: String) {
        let _ = super::parse(&template);
    }
}
