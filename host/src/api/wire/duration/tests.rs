use proptest::prelude::*;

use super::*;

fn written(nanos: u64) -> String {
    let mut out = Vec::new();
    write(&mut out, nanos);
    String::from_utf8(out).unwrap()
}

#[test]
fn durations_are_written_as_go_writes_them() {
    let cases = [
        (0, "0s"),
        (1, "1ns"),
        (1_000, "1µs"),
        (1_100, "1.1µs"),
        (2_200_000, "2.2ms"),
        (500_000_000, "500ms"),
        (999_999_999, "999.999999ms"),
        (15_000_000_000, "15s"),
        (14_991_000_000, "14.991s"),
        (12_345_678_901, "12.345678901s"),
        (60_000_000_000, "1m0s"),
        (61_500_000_000, "1m1.5s"),
        (90_500_000_000, "1m30.5s"),
        (3_600_000_000_000, "1h0m0s"),
        (300_001_000_000, "5m0.001s"),
        (u64::MAX, "2562047h47m16.854775807s"),
    ];
    for (nanos, expected) in cases {
        assert_eq!(written(nanos), expected, "of {nanos}");
    }
}

#[test]
fn durations_are_read_as_go_reads_them() {
    let cases = [
        ("0", Ok(0)),
        ("32s", Ok(32_000_000_000)),
        ("-1.5h", Ok(-5_400_000_000_000)),
        ("+5s", Ok(5_000_000_000)),
        ("1.5.5s", Err("time: missing unit in duration \"1.5.5s\"")),
        (".5s", Ok(500_000_000)),
        ("1.s", Ok(1_000_000_000)),
        ("1h15m30.918s", Ok(4_530_918_000_000)),
        ("52763797000ns", Ok(52_763_797_000)),
        ("1us1µs1μs", Ok(3_000)),
        ("0.100000000000000000000h", Ok(360_000_000_000)),
        ("", Err("time: invalid duration \"\"")),
        ("abc", Err("time: invalid duration \"abc\"")),
        (".", Err("time: invalid duration \".\"")),
        ("-.s", Err("time: invalid duration \"-.s\"")),
        ("5", Err("time: missing unit in duration \"5\"")),
        ("5x", Err("time: unknown unit \"x\" in duration \"5x\"")),
        ("1 s", Err("time: unknown unit \" s\" in duration \"1 s\"")),
        ("9223372036854775807ns", Ok(i64::MAX)),
        ("-9223372036854775808ns", Ok(i64::MIN)),
        ("9223372036854775808ns", Err("time: invalid duration \"9223372036854775808ns\"")),
        ("3000000h", Err("time: invalid duration \"3000000h\"")),
        ("99999999999999999999s", Err("time: invalid duration \"99999999999999999999s\"")),
    ];
    for (text, expected) in cases {
        assert_eq!(parse(text), expected.map_err(str::to_owned), "of {text:?}");
    }
}

proptest! {
    #[test]
    fn what_is_written_reads_back(nanos in prop_oneof![0..=i64::MAX, 0i64..4_000_000_000_000]) {
        prop_assert_eq!(parse(&written(nanos.unsigned_abs())), Ok(nanos));
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[-+0-9.nusmhµ x]{0,40}|.*") {
        if let Err(why) = parse(&text) {
            prop_assert!(why.starts_with("time: "), "{}", why);
        }
    }
}
