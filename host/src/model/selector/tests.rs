use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Value;

use super::{FieldSelector, LabelSelector, Operator, SelectorError};
use crate::model::Labels;

const VECTORS: &str = include_str!("../../../../tests/fixtures/selectors.json");

/// The three nodes of the cluster that the vectors were taken from.
fn nodes() -> BTreeMap<&'static str, Labels> {
    let node = |name, zone| (name, Labels::from_iter([("kubernetes.io/hostname", name), ("zone", zone)]));
    BTreeMap::from([node("node0", "z0"), node("node1", "z1"), node("node2", "z0")])
}

fn answer(parameter: &str, text: &str) -> Result<Vec<&'static str>, SelectorError> {
    let nodes = nodes();
    let selected = |matches: &dyn Fn(&str, &Labels) -> bool| {
        nodes.iter().filter(|(name, labels)| matches(name, labels)).map(|(name, _)| *name).collect()
    };
    if parameter == "labelSelector" {
        LabelSelector::parse(text).map(|selector| selected(&|_, labels| selector.matches(labels)))
    } else {
        FieldSelector::parse(text).map(|selector| selected(&|name, _| selector.matches("", name)))
    }
}

#[test]
fn every_vector_taken_from_the_real_server_selects_the_same_or_fails_in_the_same_words() {
    let vectors: Vec<(String, String, u16, Value)> = serde_json::from_str(VECTORS).unwrap();
    assert_eq!(vectors.len(), 73);
    for (parameter, text, status, expected) in vectors {
        let ours = match answer(&parameter, &text) {
            Ok(names) => (200, Value::from(names)),
            Err(error) => (400, Value::from(error.to_string())),
        };
        assert_eq!(ours, (status, expected), "{parameter}={text}");
    }
}

fn check_label_fault(text: &str, expected: &str) {
    let fault = LabelSelector::parse(text).unwrap_err().to_string();
    assert_eq!(fault, expected, "of the selector {text:?}");
}

#[test]
fn faults_beyond_the_vectors_read_as_upstream_writes_them() {
    check_label_fault("a in (b,,)", "unable to parse requirement: found ')', expected: ',', or identifier");
    check_label_fault("a in (=)", "unable to parse requirement: found '=', expected: ',', ')' or identifier");
    check_label_fault("a in", "unable to parse requirement: found '' expected: '('");
    check_label_fault("a,", "found '', expected: identifier after ','");
    check_label_fault("==", "found '==', expected: !, identifier, or 'end of string'");
    check_label_fault(
        "x>a-",
        "unable to parse requirement: [values[0]: Invalid value: \"a-\": for 'Gt', 'Lt' operators, the value must be an \
         integer, values[0][x]: Invalid value: \"a-\": a valid label must be an empty string or consist of \
         alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. \
         'MyValue',  or 'my_value',  or '12345', regex used for validation is \
         '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')]",
    );
}

#[test]
fn requirements_are_sorted_by_key_and_their_values_by_text() {
    let selector = LabelSelector::parse("zone in (z1,z0,z1), !q, a!=b, n>3").unwrap();
    let ours: Vec<_> =
        selector.requirements().iter().map(|own| (own.key.as_str(), own.operator, own.values.join(" "))).collect();
    let expected = [
        ("a", Operator::NotIn, "b".to_owned()),
        ("n", Operator::GreaterThan, "3".to_owned()),
        ("q", Operator::DoesNotExist, String::new()),
        ("zone", Operator::In, "z0 z1".to_owned()),
    ];
    assert_eq!(ours, expected);
}

#[test]
fn comparisons_hold_only_between_integers() {
    let selects = |selector: &str, value: &str| {
        LabelSelector::parse(selector).unwrap().matches(&Labels::from_iter([("n", value)]))
    };
    assert!(selects("n>5", "6") && !selects("n>5", "5") && !selects("n>5", "4"));
    assert!(selects("n<5", "4") && !selects("n<5", "5") && !selects("n<5", "6"));
    assert!(!selects("n>5", "six") && !selects("n<5", "") && !selects("n<5", "99999999999999999999"));
}

#[test]
fn an_empty_selector_is_everything_and_a_requirement_is_not() {
    assert!(LabelSelector::parse(" \t").unwrap().is_everything() && LabelSelector::default().is_everything());
    assert!(FieldSelector::parse(",,").unwrap().is_everything() && FieldSelector::default().is_everything());
    assert!(!LabelSelector::parse("a").unwrap().is_everything());
    assert!(!FieldSelector::parse("metadata.name!=").unwrap().is_everything());
}

#[test]
fn a_malformed_field_selector_is_told_before_an_unknown_field() {
    let fault = FieldSelector::parse("spec.nodeName=a,garbage").unwrap_err();
    assert!(matches!(fault, SelectorError::Malformed(_)), "{fault:?}");
    let fault = FieldSelector::parse("spec.nodeName=a,spec.b=c").unwrap_err();
    assert_eq!(fault, SelectorError::UnknownField("spec.b".to_owned()), "the first by text, as upstream sorts");
    let fault = FieldSelector::parse("metadata.name=a=b").unwrap_err();
    assert_eq!(fault.to_string(), "invalid field selector: unescaped character in value: 61");
    let fault = FieldSelector::parse("metadata.name=a\\").unwrap_err();
    assert_eq!(fault.to_string(), "invalid field selector: invalid escape sequence: \\");
}

#[test]
fn only_an_equality_on_the_name_is_an_exact_name() {
    let exact = |text: &str| FieldSelector::parse(text).unwrap().exact_name().map(str::to_owned);
    assert_eq!(exact("metadata.namespace=shop,metadata.name=cart").as_deref(), Some("cart"));
    assert_eq!(exact("metadata.name==a\\,b").as_deref(), Some("a,b"));
    assert_eq!(exact("metadata.name!=cart"), None);
    assert_eq!(exact("metadata.namespace=shop"), None);
}

#[test]
fn field_terms_are_about_the_name_and_the_namespace_and_all_must_hold() {
    let selects = |text: &str| FieldSelector::parse(text).unwrap().matches("shop", "cart");
    assert!(selects("metadata.namespace=shop,metadata.name=cart"));
    assert!(!selects("metadata.namespace=shop,metadata.name!=cart"));
    assert!(!selects("metadata.namespace=,metadata.name=cart"));
}

/// Texts that are nearly selectors, so that chance reaches the depths of the grammar.
fn nearly_a_selector() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "=",
            "==",
            "!=",
            "!",
            "(",
            ")",
            ",",
            ">",
            "<",
            " ",
            "in",
            "notin",
            "a",
            "b/c",
            "5",
            "\\",
            "\0",
            "metadata.name",
            "ö",
        ])
        .prop_map(str::to_owned),
        "\\PC{0,3}",
    ];
    prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_a_selector_or_a_fault_and_a_selector_survives_being_printed(text in nearly_a_selector()) {
        if let Ok(selector) = LabelSelector::parse(&text) {
            prop_assert_eq!(LabelSelector::parse(&selector.to_string()), Ok(selector));
        }
        if let Ok(selector) = FieldSelector::parse(&text) {
            prop_assert_eq!(FieldSelector::parse(&selector.to_string()), Ok(selector));
        }
    }

    #[test]
    fn a_generated_selector_is_read_back_as_it_was_meant(
        keys in prop::collection::vec("([a-z][a-z0-9.-]{0,8}[a-z]/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,8}[A-Za-z0-9])?", 1..5),
        values in prop::collection::btree_set("([A-Za-z0-9]([-A-Za-z0-9_.]{0,8}[A-Za-z0-9])?)?", 2..5),
    ) {
        let valid_prefix = |key: &String| !key.contains("..") && !key.contains(".-") && !key.contains("-.");
        let keys: Vec<String> = keys.into_iter().filter(valid_prefix).collect();
        let members: Vec<&str> = values.iter().map(String::as_str).collect();
        let terms: Vec<String> = keys.iter().map(|key| format!("{key} in ({})", members.join(","))).collect();
        let selector = LabelSelector::parse(&terms.join(" , ")).unwrap();
        prop_assert_eq!(selector.requirements().len(), keys.len());
        for requirement in selector.requirements() {
            prop_assert_eq!(requirement.operator, Operator::In);
            prop_assert_eq!(&requirement.values, &members);
        }
    }
}
