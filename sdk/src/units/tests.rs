use proptest::prelude::*;
use serde::de::DeserializeOwned;

use super::{Bytes, Duration, Nanocores, Time};

fn read<T: DeserializeOwned>(json: &str) -> Result<T, String> {
    serde_json::from_str(json).map_err(|error| error.to_string())
}

#[test]
fn spans_are_read_in_all_their_units() {
    let check = |text, nanos| assert_eq!(Duration::parse(text), Ok(Duration::from_nanos(nanos)), "{text}");
    check("60s", 60_000_000_000);
    check("0s", 0);
    check("1h30m", 5_400_000_000_000);
    check("500ms", 500_000_000);
    check("1s1ms1us1ns", 1_001_001_001);
    check("18446744073709551615ns", u64::MAX);
}

#[test]
fn what_is_no_span_is_refused_with_what_would_do() {
    for text in ["", "60", "s", "-1s", "1.5s", "1 s", "1d", "1s ", "5124096h", "18446744073709551616ns", "1S"] {
        let error = Duration::parse(text).expect_err(text).to_string();
        assert_eq!(error, "want a span of time such as \"60s\", \"500ms\" or \"1h30m\"");
    }
    assert_eq!(
        read::<Duration>("\"soon\"").expect_err("no span"),
        "invalid value: string \"soon\", expected a span of time such as \"60s\", \"500ms\" or \"1h30m\" at line 1 column 6"
    );
    assert!(read::<Duration>("60").is_err(), "a number has no unit");
}

#[test]
fn rates_are_read_as_thousandths_and_as_cores() {
    let check = |json, nanocores| assert_eq!(read(json), Ok(Nanocores::new(nanocores)), "{json}");
    check("\"250m\"", 250_000_000);
    check("\"1.5\"", 1_500_000_000);
    check("\"0.000000001\"", 1);
    check("2", 2_000_000_000);
    check("0.25", 250_000_000);
    for refused in ["\"\"", "\"m\"", "\"-1\"", "\"1.\"", "\".5\"", "\"1e3\"", "-1", "1e300", "\"1000001\"", "true"] {
        assert!(read::<Nanocores>(refused).is_err(), "{refused}");
    }
}

#[test]
fn sizes_are_read_in_binary_and_decimal_units() {
    let check = |json, bytes| assert_eq!(read(json), Ok(Bytes::new(bytes)), "{json}");
    check("\"64MiB\"", 64 << 20);
    check("\"64Mi\"", 64 << 20);
    check("\"1.5KiB\"", 1536);
    check("\"1GB\"", 1_000_000_000);
    check("\"17\"", 17);
    check("17", 17);
    for refused in ["\"\"", "\"MiB\"", "\"1 MiB\"", "\"1M\"", "-1", "1.5", "\"2000000TiB\"", "\"99999999999TiB\""] {
        assert!(read::<Bytes>(refused).is_err(), "{refused}");
    }
}

#[test]
fn a_rate_over_no_time_is_none_and_the_largest_ones_saturate() {
    assert_eq!(Nanocores::of(Duration::from_secs(1), Duration::ZERO), None);
    assert_eq!(Nanocores::of(Duration::from_nanos(u64::MAX), Duration::from_nanos(1)), Some(Nanocores::new(u64::MAX)));
    assert_eq!(Nanocores::of(Duration::from_secs(3), Duration::from_secs(12)), Some(Nanocores::from_millicores(250)));
}

proptest! {
    #[test]
    fn what_a_span_prints_is_read_as_the_same_span(nanos: u64) {
        let span = Duration::from_nanos(nanos);
        prop_assert_eq!(Duration::parse(&span.to_string()), Ok(span));
    }

    #[test]
    fn what_a_size_prints_is_read_as_the_same_size(bytes in 0..=Bytes::MAX.get()) {
        let size = Bytes::new(bytes);
        prop_assert_eq!(Bytes::parse(&size.to_string()), Ok(size));
    }

    #[test]
    fn no_text_makes_a_reader_panic(text: String) {
        let _ = (Duration::parse(&text), Nanocores::parse(&text), Bytes::parse(&text));
    }

    #[test]
    fn times_saturate(at: u64, span: u64) {
        let (at, span) = (Time::from_nanos(at), Duration::from_nanos(span));
        prop_assert!(at.plus(span) >= at && at.minus(span) <= at);
        prop_assert!(at.plus(span).since(at) <= span);
    }
}
