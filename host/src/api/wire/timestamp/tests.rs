use proptest::prelude::*;

use super::*;

fn written(second: u64) -> String {
    String::from_utf8(Timestamp::new(UnixNanos(second * 1_000_000_000)).as_bytes().to_vec()).unwrap()
}

/// The calendar, walked year by year and month by month.
fn walked(second: u64) -> String {
    let is_leap = |year: u64| year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    let (mut days, of_day) = (second / 86_400, second % 86_400);
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let mut month = 1;
    for length in [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let (hour, minute) = (of_day / 3600, of_day / 60 % 60);
    format!("{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{:02}Z", days + 1, of_day % 60)
}

#[test]
fn known_seconds_have_their_known_texts() {
    let cases = [
        (0, "1970-01-01T00:00:00Z"),
        (951_782_399, "2000-02-28T23:59:59Z"),
        (951_782_400, "2000-02-29T00:00:00Z"),
        (1_795_212_567, "2026-11-20T22:09:27Z"),
        (4_107_542_400, "2100-03-01T00:00:00Z"),
        (u64::MAX / 1_000_000_000, "2554-07-21T23:34:33Z"),
    ];
    for (second, expected) in cases {
        assert_eq!(written(second), expected);
    }
}

#[test]
fn fractions_of_a_second_are_cut_off() {
    assert_eq!(Timestamp::new(UnixNanos(1_999_999_999)).as_bytes(), b"1970-01-01T00:00:01Z");
}

#[test]
fn dates_of_headers_have_the_right_day_of_the_week() {
    let date = |second: u64| http_date(UnixNanos(second * 1_000_000_000));
    assert_eq!(date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
    assert_eq!(date(951_782_400), "Tue, 29 Feb 2000 00:00:00 GMT");
    assert_eq!(date(1_795_212_567), "Fri, 20 Nov 2026 22:09:27 GMT");
}

proptest! {
    #[test]
    fn every_second_agrees_with_the_walked_calendar(second in 0..u64::MAX / 1_000_000_000) {
        prop_assert_eq!(written(second), walked(second));
    }

    #[test]
    fn what_was_written_before_does_not_matter(seconds in prop::collection::vec(0u64..5_000_000_000, 1..8)) {
        let mut timestamp = Timestamp::new(UnixNanos::ZERO);
        for second in seconds {
            let moved = timestamp.move_to(UnixNanos(second * 1_000_000_000));
            prop_assert_eq!(moved.seconds(), second);
            prop_assert_eq!(String::from_utf8_lossy(moved.as_bytes()), walked(second));
        }
    }
}
