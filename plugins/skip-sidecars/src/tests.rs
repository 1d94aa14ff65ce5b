use metrics_gateway_sdk::filter::{Filter, Verdict};
use metrics_gateway_sdk::settings::read;
use metrics_gateway_sdk::testing::{hostile, pod};
use proptest::prelude::*;

use super::SkipSidecars;

fn filter(settings: &str) -> SkipSidecars {
    SkipSidecars::new(read(settings).expect("settings of the right form")).expect("settings in range")
}

#[test]
fn only_the_named_containers_are_dropped() {
    let cart = pod("shop", "cart-1").containers(["app", "istio-proxy", "log-shipper"]).build();
    let check = |settings: &str, expected: [Verdict; 3]| {
        assert_eq!(filter(settings).classify(std::slice::from_ref(&cart)), expected, "{settings}");
    };
    check("{}", [Verdict::Keep, Verdict::Drop, Verdict::Keep]);
    check(r#"{"containers":["log-*"]}"#, [Verdict::Keep, Verdict::Keep, Verdict::Drop]);
    check(r#"{"containers":["proxy"]}"#, [Verdict::Keep; 3]);
    check(r#"{"containers":["*"]}"#, [Verdict::Drop; 3]);
}

#[test]
fn other_namespaces_keep_theirs() {
    let filter = filter(r#"{"namespaces":["shop","shop-*"]}"#);
    let verdict = |namespace| filter.verdict(&pod(namespace, "cart-1").build(), "istio-proxy");
    assert_eq!(["shop", "shop-eu", "mesh"].map(verdict), [Verdict::Drop, Verdict::Drop, Verdict::Keep]);
}

#[test]
fn an_empty_list_is_taken_for_a_mistake() {
    let refused = SkipSidecars::new(read(r#"{"containers":[]}"#).expect("the right form"));
    assert!(refused.is_err_and(|error| error.starts_with("\"containers\" is empty")));
}

proptest! {
    #[test]
    fn every_container_has_a_verdict_and_the_same_one_alone(pods in hostile::pods(), pattern in "[a-z*?]{1,4}") {
        let filter = filter(&format!(r#"{{"containers":["{pattern}"]}}"#));
        let alone: Vec<_> = pods.iter().flat_map(|pod| filter.classify(std::slice::from_ref(pod))).collect();
        prop_assert_eq!(alone.len(), pods.iter().map(|pod| pod.containers.len()).sum::<usize>());
        prop_assert_eq!(filter.classify(&pods), alone);
    }
}
