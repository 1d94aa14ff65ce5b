use proptest::prelude::*;

use super::*;

fn cpu(rate: u64) -> String {
    let mut out = Vec::new();
    write_cpu(&mut out, Nanocores(rate));
    String::from_utf8(out).unwrap()
}

fn memory(amount: u64) -> String {
    let mut out = Vec::new();
    write_memory(&mut out, Bytes(amount));
    String::from_utf8(out).unwrap()
}

#[test]
fn cpu_takes_the_largest_step_that_loses_nothing() {
    let cases = [
        (0, "0"),
        (1, "1n"),
        (156_340, "156340n"),
        (20_000, "20u"),
        (123_456_000, "123456u"),
        (50_000_000, "50m"),
        (1_283_013_508, "1283013508n"),
        (2_500_000_000, "2500m"),
        (1_000_000_000, "1"),
        (12_000_000_000, "12"),
        (3_000_000_000_000, "3k"),
        (5_000_000_000_000_000_000, "5G"),
        (i64::MAX.unsigned_abs(), "9223372036854775807n"),
        (i64::MAX.unsigned_abs() + 1, "9223372036854775800n"),
        (u64::MAX, "18446744073709551610n"),
        (18_000_000_000_000_000_000, "18G"),
    ];
    for (rate, expected) in cases {
        assert_eq!(cpu(rate), expected, "of {rate}");
    }
}

#[test]
fn memory_takes_the_largest_step_that_loses_nothing() {
    let cases = [
        (0, "0"),
        (1, "1"),
        (1000, "1k"),
        (1023, "1023"),
        (1024, "1Ki"),
        (1500, "1500"),
        (12_533_760, "12240Ki"),
        (1_616_273_408, "1578392Ki"),
        (5_242_880, "5Mi"),
        (1_073_741_824, "1Gi"),
        (1_000_000_000, "1000000000"),
        (3 << 40, "3Ti"),
        (7 << 60, "7Ei"),
        (1 << 63, "9223372036854775800"),
        (u64::MAX, "18446744073709551610"),
    ];
    for (amount, expected) in cases {
        assert_eq!(memory(amount), expected, "of {amount}");
    }
}

/// Number and suffix, the slow way: the factor of each suffix by name.
fn read(text: &str, factors: &[(&str, u128)]) -> u128 {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let (_, factor) = factors.iter().find(|(suffix, _)| *suffix == &text[digits.len()..]).expect(text);
    digits.parse::<u128>().expect(text) * factor
}

const DECIMAL: [(&str, u128); 7] = [
    ("n", 1),
    ("u", 1_000),
    ("m", 1_000_000),
    ("", 1_000_000_000),
    ("k", 1_000_000_000_000),
    ("M", 1_000_000_000_000_000),
    ("G", 1_000_000_000_000_000_000),
];
const BINARY: [(&str, u128); 8] = [
    ("", 1),
    ("k", 1000),
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("Pi", 1 << 50),
    ("Ei", 1 << 60),
];

/// Numbers with few and with many factors of ten and two.
fn amounts() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        (any::<u32>(), 0u32..20).prop_map(|(n, e)| u64::from(n).saturating_mul(10u64.saturating_pow(e))),
        (any::<u32>(), 0u32..64).prop_map(|(n, e)| u64::from(n) << e),
        0u64..5000,
    ]
}

proptest! {
    #[test]
    fn what_is_written_reads_back_as_the_same_amount(amount in amounts()) {
        let exact = if amount > i64::MAX.unsigned_abs() { amount / 10 * 10 } else { amount };
        prop_assert_eq!(read(&cpu(amount), &DECIMAL), u128::from(exact));
        prop_assert_eq!(read(&memory(amount), &BINARY), u128::from(exact));
    }

    #[test]
    fn no_larger_step_would_have_done(amount in 1u64..) {
        let exact = if amount > i64::MAX.unsigned_abs() { amount / 10 * 10 } else { amount };
        let larger = |written: &str, factors: &[(&str, u128)]| {
            let used = factors.iter().position(|(suffix, _)| written.trim_start_matches(|c: char| c.is_ascii_digit()) == *suffix).unwrap();
            factors[used + 1..].iter().any(|(_, factor)| u128::from(exact).is_multiple_of(*factor))
        };
        prop_assert!(!larger(&cpu(amount), &DECIMAL));
        let binary: Vec<_> = BINARY.into_iter().filter(|(suffix, _)| *suffix != "k").collect();
        prop_assert!(exact < 1024 || !larger(&memory(amount), &binary));
    }
}
