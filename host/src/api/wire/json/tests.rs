use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn written(text: &str) -> String {
    let mut out = Vec::new();
    write_string(&mut out, text);
    String::from_utf8(out).unwrap()
}

#[test]
fn strings_have_gos_escapes() {
    let cases = [
        ("plain-name.v1_x/y", r#""plain-name.v1_x/y""#),
        ("<a&b>", r#""\u003ca\u0026b\u003e""#),
        ("\"\\/", r#""\"\\/""#),
        ("\u{8}\u{c}\n\r\t\0\u{1f}\u{7f}", "\"\\b\\f\\n\\r\\t\\u0000\\u001f\u{7f}\""),
        ("a\u{2028}\u{2029}\u{2027}ü😀", "\"a\\u2028\\u2029\u{2027}ü😀\""),
    ];
    for (text, expected) in cases {
        assert_eq!(written(text), expected);
        assert_eq!(String::from_utf8(to_vec(&text)).unwrap(), expected, "through serde");
    }
}

/// Documents of every shape, a few levels deep.
fn documents() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[ -~]{0,6}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_string_reads_back(text in any::<String>()) {
        prop_assert_eq!(&serde_json::from_str::<String>(&written(&text)).unwrap(), &text);
        prop_assert_eq!(to_vec(&text), written(&text).into_bytes());
    }

    #[test]
    fn indented_documents_are_laid_out_as_serde_lays_them_out(document in documents()) {
        let compact = serde_json::to_vec(&document).unwrap();
        prop_assert_eq!(String::from_utf8(indent(&compact)).unwrap(), serde_json::to_string_pretty(&document).unwrap());
    }
}
