use proptest::prelude::*;

use super::*;

fn duration(text: &str) -> Result<GoDuration, String> {
    text.parse().map_err(|error: InvalidValue| error.to_string())
}

#[test]
fn durations_are_read_as_go_reads_them() {
    let cases = [
        ("0", 0),
        ("15s", 15_000_000_000),
        ("1m0s", 60_000_000_000),
        ("500ms", 500_000_000),
        ("1.5h", 5_400_000_000_000),
        (".5s", 500_000_000),
        ("5.s", 5_000_000_000),
        ("-1m30s", -90_000_000_000),
        ("+3us", 3_000),
        ("3µs", 3_000),
        ("3μs", 3_000),
        ("1h1h", 7_200_000_000_000),
        ("0.3333333333333333333h", 1_200_000_000_000),
        ("9223372036854775807ns", i64::MAX),
        ("-9223372036854775808ns", i64::MIN),
    ];
    for (text, nanos) in cases {
        assert_eq!(duration(text), Ok(GoDuration::from_nanos(nanos)), "{text}");
    }
}

#[test]
fn bad_durations_are_refused_in_gos_words() {
    let cases = [
        ("", r#"time: invalid duration """#),
        ("abc", r#"time: invalid duration "abc""#),
        ("-", r#"time: invalid duration "-""#),
        (".s", r#"time: invalid duration ".s""#),
        ("10", r#"time: missing unit in duration "10""#),
        ("1d", r#"time: unknown unit "d" in duration "1d""#),
        ("1 s", r#"time: unknown unit " s" in duration "1 s""#),
        ("9223372036854775808ns", r#"time: invalid duration "9223372036854775808ns""#),
        ("3000000h", r#"time: invalid duration "3000000h""#),
        ("99999999999999999999s", r#"time: invalid duration "99999999999999999999s""#),
    ];
    for (text, message) in cases {
        assert_eq!(duration(text), Err(message.to_owned()), "{text}");
    }
}

#[test]
fn durations_are_written_as_go_writes_them() {
    let cases = [
        (0, "0s"),
        (1, "1ns"),
        (1_100, "1.1µs"),
        (2_200_000, "2.2ms"),
        (3_300_000_000, "3.3s"),
        (60_000_000_000, "1m0s"),
        (245_001_000_000, "4m5.001s"),
        (3_600_000_000_000, "1h0m0s"),
        (-90_000_000_000, "-1m30s"),
        (i64::MAX, "2562047h47m16.854775807s"),
        (i64::MIN, "-2562047h47m16.854775808s"),
    ];
    for (nanos, text) in cases {
        assert_eq!(GoDuration::from_nanos(nanos).to_string(), text);
    }
}

proptest! {
    #[test]
    fn a_written_duration_reads_as_itself(nanos in any::<i64>(), coarse in 0_u32..12) {
        // Divided, so that short durations are as likely as ages.
        let written = GoDuration::from_nanos(nanos / 10_i64.pow(coarse));
        prop_assert_eq!(duration(&written.to_string()), Ok(written));
    }

    #[test]
    fn no_text_makes_a_reader_panic(text in "[-+0-9.a-zµ_,\"\n]{0,24}") {
        let outcomes = [duration(&text).is_ok(), read_int(&text).is_ok(), read_level(&text).is_ok()];
        prop_assert!(!text.is_empty() || outcomes == [false; 3]);
        prop_assert_eq!(read_list(&text).is_ok_and(|fields| fields.is_empty()), text.is_empty());
    }

    #[test]
    fn a_decimal_number_reads_as_itself(number in any::<i64>()) {
        prop_assert_eq!(read_int(&number.to_string()), Ok(number));
    }
}

#[test]
fn numbers_take_gos_prefixes_and_underscores() {
    for (text, number) in [("0", 0), ("-7", -7), ("0x1F", 31), ("0o17", 15), ("017", 15), ("0b101", 5), ("1_000", 1000)]
    {
        assert_eq!(read_int(text), Ok(number), "{text}");
    }
    for text in ["", "abc", "1__0", "_1", "1_", "08", "0x", "1.5", "--1"] {
        let message = format!("strconv.ParseInt: parsing {text:?}: invalid syntax");
        assert_eq!(read_int(text).map_err(|error| error.to_string()), Err(message));
    }
    let message = "strconv.ParseInt: parsing \"9223372036854775808\": value out of range";
    assert_eq!(read_int("9223372036854775808").map_err(|error| error.to_string()), Err(message.to_owned()));
}

#[test]
fn switches_take_gos_spellings_only() {
    for text in ["1", "t", "T", "TRUE", "true", "True"] {
        assert_eq!(read_bool(text), Ok(true));
    }
    for text in ["0", "f", "F", "FALSE", "false", "False"] {
        assert_eq!(read_bool(text), Ok(false));
    }
    let message = "strconv.ParseBool: parsing \"yes\": invalid syntax";
    assert_eq!(read_bool("yes").map_err(|error| error.to_string()), Err(message.to_owned()));
}

#[test]
fn lists_are_comma_separated_values_with_quotes() {
    let check = |text: &str, fields: &[&str]| assert_eq!(read_list(text).unwrap(), fields, "{text:?}");
    check("", &[]);
    check("a", &["a"]);
    check("a,b,,c", &["a", "b", "", "c"]);
    check("a,", &["a", ""]);
    check(r#""a,b",c"#, &["a,b", "c"]);
    check(r#""a ""b""",c"#, &[r#"a "b""#, "c"]);
    check("a,b\n", &["a", "b"]);
    let refused = |text: &str| read_list(text).unwrap_err().to_string();
    assert_eq!(refused(r#"a"b"#), r#"parse error on line 1, column 2: bare " in non-quoted field"#);
    assert_eq!(refused(r#""a"b"#), r#"parse error on line 1, column 3: extraneous or missing " in quoted-field"#);
    assert_eq!(refused(r#""a"#), r#"parse error on line 1, column 3: extraneous or missing " in quoted-field"#);
}

#[test]
fn addresses_may_be_blank_but_not_names() {
    assert_eq!(read_ip(""), Ok(None));
    assert_eq!(read_ip(" ::1 "), Ok(Some("::1".parse().unwrap())));
    let message = "failed to parse IP: \"localhost\"";
    assert_eq!(read_ip("localhost").map_err(|error| error.to_string()), Err(message.to_owned()));
}

#[test]
fn log_levels_are_unsigned() {
    assert_eq!(read_level("10"), Ok(10));
    let refused = |text: &str| read_level(text).unwrap_err().to_string();
    assert_eq!(refused("-1"), "strconv.ParseUint: parsing \"-1\": invalid syntax");
    assert_eq!(refused("4294967296"), "strconv.ParseUint: parsing \"4294967296\": value out of range");
}
