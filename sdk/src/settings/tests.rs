use proptest::prelude::*;
use serde::Deserialize;

use super::{JsonSchema, LabelMatch, NoSettings, Pattern, in_range, read, schema_of};
use crate::testing::labels;
use crate::{Bytes, Duration};

/// How an "example" is set.
///
/// Second paragraph.
#[derive(Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Example {
    /// How long,
    /// in two lines.
    span: Duration,
    names: Vec<Pattern>,
    mode: Mode,
    nested: Option<Nested>,
    #[serde(skip)]
    #[allow(dead_code, reason = "stands for what is not set")]
    computed: u8,
}

#[derive(Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    /// Only those.
    #[default]
    OptIn,
    OptOut,
}

#[derive(Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
struct Nested {
    at_least: Bytes,
    #[serde(default)]
    r#type: String,
}

#[test]
fn settings_are_read_into_their_type() {
    let json = r#"{"span":"90s","names":["istio-*"],"mode":"opt-out","nested":{"at-least":"1MiB"}}"#;
    let nested = Nested { at_least: Bytes::from_mib(1), r#type: String::new() };
    let names = vec![Pattern::new("istio-*")];
    let expected =
        Example { span: Duration::from_secs(90), names, mode: Mode::OptOut, nested: Some(nested), computed: 0 };
    assert_eq!(read(json), Ok(expected));
    assert_eq!(read("{}"), Ok(Example::default()));
}

#[test]
fn every_complaint_names_its_setting() {
    let check = |json: &str, named: &str| {
        let error = read::<Example>(json).expect_err(json);
        assert!(error.contains(named), "{json}: {error}");
    };
    check(r#"{"spam":"60s"}"#, "unknown field `spam`");
    check(r#"{"span":60}"#, "\"span\": invalid type: integer `60`, expected a span of time such as \"60s\"");
    check(r#"{"names":["a",5]}"#, "\"names[1]\": invalid type");
    check(r#"{"names":[""]}"#, "\"names[0]\": want a name or a pattern");
    check(r#"{"mode":"maybe"}"#, "\"mode\": unknown variant `maybe`, expected `opt-in` or `opt-out`");
    check(r#"{"nested":{}}"#, "\"nested\": missing field `at-least`");
    check(r#"{"nested":{"at-least":"much"}}"#, "\"nested.at-least\": invalid value");
    check("[]", "a JSON object");
    check("", "a JSON object");
    check("{", "EOF");
    check(r#"{"span":"60s"} {}"#, "trailing characters");
    assert!(read::<NoSettings>(r#"{"any":1}"#).is_err());
    assert_eq!(read("{}"), Ok(NoSettings {}));
}

#[test]
fn the_schema_says_what_the_reader_takes() {
    let schema: serde_json::Value = serde_json::from_str(&schema_of::<Example>()).expect("a schema is JSON");
    let expected = serde_json::json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "description": "How an \"example\" is set.\nSecond paragraph.",
        "type": "object",
        "properties": {
            "span": {
                "description": "How long, in two lines.",
                "type": "string", "pattern": "^([0-9]+(h|m|s|ms|us|ns))+$",
            },
            "names": { "type": "array", "items": { "type": "string", "minLength": 1, "maxLength": 253 } },
            "mode": {
                "type": "string",
                "oneOf": [{ "const": "opt-in", "description": "Only those." }, { "const": "opt-out" }],
            },
            "nested": {
                "type": "object",
                "properties": {
                    "at-least": {
                        "type": ["string", "integer"],
                        "pattern": "^[0-9]+(\\.[0-9]+)?([KMGT]iB?|[kMGT]?B)?$",
                        "minimum": 0,
                    },
                    "type": { "type": "string" },
                },
                "required": ["at-least"],
            },
        },
        "additionalProperties": false,
    });
    assert_eq!(schema, expected);
    let nothing: serde_json::Value = serde_json::from_str(&schema_of::<NoSettings>()).expect("a schema is JSON");
    assert_eq!(nothing["additionalProperties"], false);
}

#[test]
fn patterns_match_whole_names() {
    let check = |pattern: &str, name: &str, matches: bool| {
        assert_eq!(Pattern::new(pattern).matches(name), matches, "{pattern} {name}");
    };
    check("istio-proxy", "istio-proxy", true);
    check("istio-proxy", "istio-proxy-2", false);
    check("istio-*", "istio-", true);
    check("*-proxy", "linkerd-proxy", true);
    check("*-proxy", "linkerd-proxy-2", false);
    check("a*b*c", "axxbxxbc", true);
    check("a*b*c", "axxbxxcb", false);
    check("?pp", "app", true);
    check("?pp", "pp", false);
    check("*", "", true);
    check("", "", true);
    check("", "a", false);
    check("**a", "bba", true);
}

#[test]
fn a_pattern_of_many_stars_costs_no_more_than_its_length_times_the_name_s() {
    let pattern = Pattern::new("*a".repeat(120) + "b");
    assert!(!pattern.matches(&"a".repeat(100_000)), "it would not return in a lifetime if it tried every way");
}

#[test]
fn labels_match_by_key_or_by_key_and_value() {
    let web = labels([("tier", "web"), ("empty", "")]);
    let check = |text: &str, judged: Option<bool>| {
        assert_eq!(LabelMatch::parse(text).expect(text).judge(&web), judged, "{text}");
    };
    check("tier", Some(true));
    check("tier=web", Some(true));
    check("tier=db", Some(false));
    check("tier=", Some(false));
    check("empty=", Some(true));
    check("team", None);
    assert_eq!(LabelMatch::parse(""), None);
    assert_eq!(LabelMatch::parse("=web"), None);
    assert_eq!(LabelMatch::parse("a=b").expect("a label").to_string(), "a=b");
}

#[test]
fn a_value_out_of_range_is_refused_by_name() {
    let (least, most) = (Duration::from_secs(1), Duration::HOUR);
    assert_eq!(in_range("over", Duration::from_secs(60), least..=most), Ok(Duration::from_secs(60)));
    let refused = in_range("over", Duration::ZERO, least..=most);
    assert_eq!(refused, Err("\"over\" must be 1s to 1h, not 0s".to_owned()));
    assert!(in_range("quantile", f64::NAN, 0.0..=1.0).is_err());
}

proptest! {
    #[test]
    fn a_name_matches_itself_and_a_star(name in "[a-z0-9.-]{0,20}", other in "[a-z0-9.-]{0,20}") {
        prop_assert!(Pattern::new(name.as_str()).matches(&name));
        prop_assert!(Pattern::new("*").matches(&name));
        let around = format!("*{name}*");
        let longer = format!("{other}{name}{other}");
        prop_assert!(Pattern::new(around).matches(&longer));
    }

    #[test]
    fn no_settings_make_the_reader_panic(json: String) {
        let _ = read::<Example>(&json);
    }
}
