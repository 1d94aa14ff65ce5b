use proptest::prelude::*;
use serde_json::json;

use super::*;

fn written(value: &Value) -> String {
    String::from_utf8(from_json(value.to_string().as_bytes())).unwrap()
}

#[test]
fn texts_are_quoted_only_where_they_would_be_read_as_something_else() {
    let plain = ["node1", "1283013508n", "10.037s", "500m", "6f8b898f67", "metrics.k8s.io/v1beta1", "a:b", "a b"];
    for text in plain {
        assert_eq!(written(&json!({ "k": text })), format!("k: {text}\n"));
    }
    let double = [
        "",
        "4",
        "-4",
        "1.5",
        "7796e5",
        "0x1f",
        "0b1",
        "0o7",
        "1_000",
        "1:30",
        "true",
        "No",
        "null",
        "~",
        "2026-11-20T22:09:27Z",
        "ü",
    ];
    for text in double {
        assert_eq!(written(&json!({ "k": text })), format!("k: \"{text}\"\n"));
    }
    for (text, expected) in [("a: b", "'a: b'"), ("#x", "'#x'"), ("it's #", "'it''s #'"), ("*", "'*'"), ("x:", "'x:'")]
    {
        assert_eq!(written(&json!({ "k": text })), format!("k: {expected}\n"));
    }
}

#[test]
fn structure_is_laid_out_as_upstream_lays_it_out() {
    let value = json!({"b": {"d": [], "c": {}}, "a": [{"x": 1, "n": null}, ["q", true]], "true": false});
    assert_eq!(written(&value), "a:\n- \"n\": null\n  x: 1\n- - q\n  - true\nb:\n  c: {}\n  d: []\n\"true\": false\n");
}

proptest! {
    #[test]
    fn what_is_written_reads_back(texts in prop::collection::vec(prop_oneof![any::<String>(), "[-+0-9a-fxob._:, #'\"\\[\\]{}!&*%@`|>?~]{0,8}"], 1..6)) {
        let value = json!({"texts": texts, "deeper": [{"first": texts[0], "rest": [texts]}]});
        let read: Value = serde_saphyr::from_str(&written(&value)).map_err(|error| TestCaseError::fail(format!("{error}\n{}", written(&value))))?;
        prop_assert_eq!(read, value);
    }
}
