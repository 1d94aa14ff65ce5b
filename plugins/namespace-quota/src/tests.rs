use std::collections::BTreeMap;

use metrics_gateway_sdk::filter::{Filter, Pod, Verdict};
use metrics_gateway_sdk::settings::read;
use metrics_gateway_sdk::testing::{hostile, pod};
use proptest::prelude::*;

use super::NamespaceQuota;

fn quota(settings: &str) -> NamespaceQuota {
    NamespaceQuota::new(read(settings).expect("settings of the right form")).expect("settings in range")
}

fn served(settings: &str, pods: &[Pod]) -> Vec<String> {
    let verdicts = quota(settings).classify(pods);
    let containers = pods.iter().flat_map(|pod| pod.containers.iter().map(move |name| format!("{}/{name}", pod.name)));
    let kept = containers.zip(verdicts).filter(|(_, verdict)| *verdict == Verdict::Keep);
    kept.map(|(container, _)| container).collect()
}

#[test]
fn the_first_pods_by_name_are_served_whole_until_there_is_no_room() {
    let pods = [
        pod("shop", "a").containers(["app", "proxy"]).build(),
        pod("shop", "b").containers(["app", "proxy"]).build(),
        pod("shop", "c").containers(["app"]).build(),
    ];
    assert_eq!(served(r#"{"containers":3}"#, &pods), ["a/app", "a/proxy", "c/app"]);
    assert_eq!(served(r#"{"containers":1}"#, &pods), ["c/app"]);
    assert_eq!(served("{}", &pods).len(), 5);
}

#[test]
fn each_namespace_has_a_quota_of_its_own_and_others_have_none() {
    let pods = [pod("bank", "a").build(), pod("bank", "b").build(), pod("shop", "c").build(), pod("shop", "d").build()];
    assert_eq!(served(r#"{"containers":1}"#, &pods), ["a/app", "c/app"]);
    assert_eq!(served(r#"{"containers":1,"namespaces":["sh*"]}"#, &pods), ["a/app", "b/app", "c/app"]);
}

#[test]
fn a_quota_out_of_range_is_refused() {
    for containers in [0, 4097] {
        let refused = NamespaceQuota::new(read(&format!(r#"{{"containers":{containers}}}"#)).expect("a number"));
        assert!(refused.is_err_and(|error| error == format!("\"containers\" must be 1 to 4096, not {containers}")));
    }
}

proptest! {
    #[test]
    fn no_namespace_is_served_beyond_its_quota(pods in hostile::pods(), most in 1_usize..6) {
        let verdicts = quota(&format!(r#"{{"containers":{most}}}"#)).classify(&pods);
        let namespaces: Vec<_> = pods.iter().flat_map(|pod| pod.containers.iter().map(|_| &*pod.namespace)).collect();
        prop_assert_eq!(verdicts.len(), namespaces.len());
        let mut kept: BTreeMap<&str, usize> = BTreeMap::new();
        for (namespace, _) in namespaces.iter().zip(&verdicts).filter(|(_, verdict)| **verdict == Verdict::Keep) {
            *kept.entry(namespace).or_default() += 1;
        }
        prop_assert!(kept.values().all(|kept| *kept <= most), "{:?}", kept);
    }

    #[test]
    fn the_order_of_the_question_does_not_matter(mut pods in hostile::pods(), most in 1_usize..6) {
        // Of two pods of one name, which no cluster has, the first would go before.
        pods.sort_by(|a, b| a.name.cmp(&b.name));
        pods.dedup_by(|a, b| a.name == b.name);
        let quota = quota(&format!(r#"{{"containers":{most}}}"#));
        let forward = quota.those_with_room(&pods);
        pods.reverse();
        let mut backward = quota.those_with_room(&pods);
        backward.reverse();
        prop_assert_eq!(forward, backward);
    }
}
