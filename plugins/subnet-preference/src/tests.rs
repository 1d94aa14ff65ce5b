use std::net::{IpAddr, Ipv6Addr};

use metrics_gateway_sdk::address::{Address, Candidate, Choice, Node};
use metrics_gateway_sdk::settings::read;
use metrics_gateway_sdk::testing::{hostile, node};
use proptest::prelude::*;

use super::{Subnet, SubnetPreference};

fn policy(settings: &str) -> Result<SubnetPreference, String> {
    SubnetPreference::new(read(settings)?)
}

fn choice(settings: &str, node: &Node) -> Choice {
    policy(settings).expect("settings in range").candidates(node)
}

fn dial(hosts: &[&str]) -> Choice {
    Choice::Dial(hosts.iter().map(|host| Candidate::new(*host)).collect())
}

fn seven() -> Node {
    let node = node("node-7").address("Hostname", "node-7").address("ExternalIP", "203.0.113.7");
    let node = node.address("InternalIP", "192.168.4.7").address("InternalIP", "10.0.0.7");
    node.address("InternalIP", "fd00::7").address("InternalIP", "10.9.0.7").build()
}

#[test]
fn the_first_subnet_wins_whatever_the_node_s_order() {
    let check = |subnets: &str, hosts: &[&str]| {
        assert_eq!(choice(&format!(r#"{{"subnets":[{subnets}]}}"#), &seven()), dial(hosts), "{subnets}");
    };
    check(r#""10.0.0.0/8","192.168.0.0/16""#, &["10.0.0.7", "10.9.0.7", "192.168.4.7"]);
    check(r#""fd00::/8","10.9.0.0/16""#, &["fd00::7", "10.9.0.7"]);
    check(r#""10.9.0.0/16","10.0.0.0/8""#, &["10.9.0.7", "10.0.0.7"]);
    check(r#""0.0.0.0/0""#, &["203.0.113.7", "192.168.4.7", "10.0.0.7", "10.9.0.7"]);
    check(r#""203.0.113.7""#, &["203.0.113.7"]);
    assert_eq!(choice("{}", &seven()), dial(&["10.0.0.7", "10.9.0.7", "192.168.4.7", "fd00::7"]));
}

#[test]
fn only_addresses_of_the_wanted_kinds_are_looked_at() {
    let external = r#"{"subnets":["0.0.0.0/0"],"kinds":["ExternalIP"]}"#;
    assert_eq!(choice(external, &seven()), dial(&["203.0.113.7"]));
}

#[test]
fn a_node_outside_of_all_is_passed_or_skipped_as_set() {
    assert_eq!(choice(r#"{"subnets":["198.51.100.0/24"]}"#, &seven()), Choice::Pass);
    let skipping = r#"{"subnets":["198.51.100.0/24"],"otherwise":"skip"}"#;
    assert_eq!(choice(skipping, &seven()), Choice::Skip("it has no address in any of the subnets".to_owned()));
    assert_eq!(choice("{}", &node("bare").build()), Choice::Pass);
}

#[test]
fn an_ipv4_address_in_ipv6_is_an_ipv4_address() {
    let mapped = node("node-8").address("InternalIP", "::ffff:10.0.0.8").build();
    assert_eq!(choice(r#"{"subnets":["10.0.0.0/8"]}"#, &mapped), dial(&["10.0.0.8"]));
    assert_eq!(choice(r#"{"subnets":["::/0"]}"#, &mapped), Choice::Pass);
}

#[test]
fn a_subnet_that_is_none_is_refused_by_its_place() {
    for text in ["10.0.0.0/33", "10.0.0.1/8", "fd00::/129", "10.0.0.0/", "/8", "node-7", "10.0.0.0/-1", "::1/0"] {
        let error = policy(&format!(r#"{{"subnets":["10.0.0.0/8","{text}"]}}"#)).err().unwrap_or_default();
        assert!(error.starts_with("\"subnets[1]\": want a subnet such as") && error.contains(text), "{error}");
    }
    assert!(policy(r#"{"subnets":[]}"#).is_err_and(|error| error.starts_with("\"subnets\" is empty")));
}

proptest! {
    #[test]
    fn only_addresses_inside_a_subnet_are_dialled(node in hostile::node()) {
        let inside = |host: &str| {
            let ip: IpAddr = host.parse().expect("an IP address");
            ["64.0.0.0/2", "8000::/1"].iter().any(|subnet| Subnet::parse(subnet).expect("a subnet").contains(ip))
        };
        match choice(r#"{"subnets":["64.0.0.0/2","8000::/1"]}"#, &node) {
            Choice::Dial(candidates) => {
                prop_assert!(!candidates.is_empty() && candidates.iter().all(|candidate| inside(&candidate.host)));
            }
            other => prop_assert_eq!(other, Choice::Pass),
        }
    }

    #[test]
    fn a_subnet_contains_its_first_and_last_address_and_no_further(ip: Ipv6Addr, prefix in 1_u32..=128) {
        let size = u128::MAX.checked_shr(prefix).unwrap_or(0);
        let first = ip.to_bits() & !size;
        let text = format!("{}/{prefix}", Ipv6Addr::from_bits(first));
        let subnet = Subnet::parse(&text).expect("a subnet");
        let contains = |bits| subnet.contains(IpAddr::V6(Ipv6Addr::from_bits(bits)));
        prop_assert!(contains(first) && contains(first | size));
        prop_assert!(!contains((first | size).wrapping_add(1)) && !contains(first.wrapping_sub(1)));
        prop_assert_eq!(subnet.to_string(), text);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text: String) {
        let _ = Subnet::parse(&text);
    }
}
