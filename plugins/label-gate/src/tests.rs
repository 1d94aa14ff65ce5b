use metrics_gateway_sdk::filter::{Filter, Verdict};
use metrics_gateway_sdk::settings::read;
use metrics_gateway_sdk::testing::{hostile, pod};
use proptest::prelude::*;

use super::LabelGate;

fn gate(settings: &str) -> LabelGate {
    LabelGate::new(read(settings).expect("settings of the right form")).expect("settings in range")
}

fn is_served(settings: &str, labels: &[(&str, &str)], of_namespace: &[(&str, &str)]) -> bool {
    let cart = labels.iter().fold(pod("shop", "cart-1"), |pod, (key, value)| pod.label(key, value));
    let cart = of_namespace.iter().fold(cart, |pod, (key, value)| pod.namespace_label(key, value));
    gate(settings).verdict(&cart.build(), "app") == Verdict::Keep
}

#[test]
fn opting_out_drops_the_bearers_and_opting_in_all_others() {
    let by_default = "{}";
    assert!(is_served(by_default, &[], &[]));
    assert!(!is_served(by_default, &[("metrics-gateway/serve", "false")], &[]));
    assert!(is_served(by_default, &[("metrics-gateway/serve", "true")], &[]));
    let opt_in = r#"{"label":"tier","mode":"opt-in"}"#;
    assert!(!is_served(opt_in, &[], &[]));
    assert!(is_served(opt_in, &[("tier", "any")], &[]));
}

#[test]
fn a_pod_that_bears_the_key_decides_before_its_namespace() {
    let settings = r#"{"label":"scale=yes","mode":"opt-in","namespaces":true}"#;
    assert!(is_served(settings, &[], &[("scale", "yes")]));
    assert!(!is_served(settings, &[("scale", "no")], &[("scale", "yes")]));
    assert!(is_served(settings, &[("scale", "yes")], &[("scale", "no")]));
    let pods_alone = r#"{"label":"scale=yes","mode":"opt-in"}"#;
    assert!(!is_served(pods_alone, &[], &[("scale", "yes")]));
}

#[test]
fn mistyped_settings_are_refused_by_name() {
    let error = |settings| read::<super::Settings>(settings).err().unwrap_or_default();
    assert!(error(r#"{"mode":"optin"}"#).starts_with("\"mode\": unknown variant `optin`"));
    assert!(error(r#"{"label":"=x"}"#).starts_with("\"label\": want a label"));
}

proptest! {
    #[test]
    fn opting_in_serves_what_opting_out_drops(pods in hostile::pods(), key in "[a-c]", namespaces: bool) {
        let verdicts = |mode| {
            let settings = format!(r#"{{"label":"{key}","mode":"{mode}","namespaces":{namespaces}}}"#);
            gate(&settings).classify(&pods)
        };
        let (inside, outside) = (verdicts("opt-in"), verdicts("opt-out"));
        prop_assert_eq!(inside.len(), pods.iter().map(|pod| pod.containers.len()).sum::<usize>());
        prop_assert!(inside.iter().zip(&outside).all(|(a, b)| a != b), "{:?} {:?}", inside, outside);
    }
}
