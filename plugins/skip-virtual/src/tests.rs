use metrics_gateway_sdk::address::{Address, Choice, Node};
use metrics_gateway_sdk::settings::read;
use metrics_gateway_sdk::testing::{hostile, node};
use proptest::prelude::*;

use super::SkipVirtual;

fn policy(settings: &str) -> Result<SkipVirtual, String> {
    SkipVirtual::new(read(settings)?)
}

fn choice(settings: &str, node: &Node) -> Choice {
    policy(settings).expect("settings in range").candidates(node)
}

fn skip(reason: &str) -> Choice {
    Choice::Skip(reason.to_owned())
}

#[test]
fn the_usual_virtual_nodes_are_skipped_with_the_mark_as_the_reason() {
    let kubelet = node("aci-1").label("type", "virtual-kubelet").build();
    assert_eq!(choice("{}", &kubelet), skip("a virtual node by its label \"type=virtual-kubelet\""));
    let fargate = node("fargate-ip-10-0-0-1").label("eks.amazonaws.com/compute-type", "fargate").build();
    let reason = "a virtual node by its label \"eks.amazonaws.com/compute-type=fargate\"";
    assert_eq!(choice("{}", &fargate), skip(reason));
}

#[test]
fn other_nodes_are_left_to_the_gateway() {
    let plain = node("node-7").label("type", "worker").provider_id("aws:///eu-west-1a/i-0abc").build();
    assert_eq!(choice("{}", &plain), Choice::Pass);
    assert_eq!(choice("{}", &node("bare").build()), Choice::Pass);
}

#[test]
fn what_marks_a_virtual_node_can_be_set() {
    let settings = r#"{"labels":["example.com/virtual"],"provider_ids":["kwok://"]}"#;
    let check = |node: Node, expected| assert_eq!(choice(settings, &node), expected);
    check(
        node("a").label("example.com/virtual", "").build(),
        skip("a virtual node by its label \"example.com/virtual\""),
    );
    check(node("b").provider_id("kwok://b").build(), skip("a virtual node by its provider \"kwok://\""));
    check(node("c").label("type", "virtual-kubelet").provider_id("aws://kwok://").build(), Choice::Pass);
}

#[test]
fn what_would_leave_out_all_nodes_is_refused() {
    assert!(
        policy(r#"{"provider_ids":[""]}"#).is_err_and(|error| error.starts_with("\"provider_ids\" holds an empty"))
    );
    assert!(policy(r#"{"labels":[""]}"#).is_err_and(|error| error.starts_with("\"labels[0]\": want a label")));
}

proptest! {
    #[test]
    fn a_node_is_skipped_exactly_if_it_bears_a_mark(node in hostile::node(), begin in "[a-z]{1,2}") {
        let settings = format!(r#"{{"labels":["a","b=x"],"provider_ids":["{begin}"]}}"#);
        let bears = node.labels.has("a") || node.labels.get("b") == Some("x");
        let begins = node.provider_id.as_ref().is_some_and(|id| id.starts_with(&begin));
        prop_assert_eq!(choice(&settings, &node) != Choice::Pass, bears || begins);
    }
}
