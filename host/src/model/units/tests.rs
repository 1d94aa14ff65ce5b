//! Units at their ends.

use super::*;

#[test]
fn milliseconds_beyond_the_year_2554_are_none() {
    assert_eq!(UnixNanos::from_millis(18_446_744_073_709), Some(UnixNanos(18_446_744_073_709_000_000)));
    assert_eq!(UnixNanos::from_millis(18_446_744_073_710), None);
    assert_eq!(UnixNanos::from_millis(u64::MAX), None);
}

#[test]
fn no_time_has_passed_since_a_later_point() {
    assert_eq!(UnixNanos(5).since(UnixNanos(2)), Duration::from_nanos(3));
    assert_eq!(UnixNanos(2).since(UnixNanos(5)), Duration::ZERO);
    assert_eq!(UnixNanos(u64::MAX).since(UnixNanos::ZERO), Duration::from_nanos(u64::MAX));
}

#[test]
fn a_clock_before_the_epoch_or_beyond_the_range_stops_at_the_end() {
    assert_eq!(UnixNanos::from_system(UNIX_EPOCH - Duration::from_secs(1)), UnixNanos::ZERO);
    assert_eq!(UnixNanos::from_system(UNIX_EPOCH + Duration::from_nanos(1)), UnixNanos(1));
    assert_eq!(UnixNanos::from_system(UNIX_EPOCH + Duration::from_secs(20_000_000_000)), UnixNanos(u64::MAX));
}

#[test]
fn whole_seconds_are_truncated() {
    assert_eq!(UnixNanos(1_999_999_999).seconds(), 1);
}
