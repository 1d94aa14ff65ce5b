use super::*;
use crate::model::units::{Bytes, CpuNanoseconds};

const SECOND: u64 = 1_000_000_000;
const MINUTE: Duration = Duration::from_secs(60);

fn sample(second: u64) -> Sample {
    Sample {
        taken_at: UnixNanos(second * SECOND),
        started_at: UnixNanos(SECOND),
        cpu: CpuNanoseconds(second),
        memory: Bytes(1),
    }
}

fn wanted(second: u64, span: Duration) -> Keeping {
    Keeping { now: UnixNanos(second * SECOND), resolution: Duration::from_secs(15), span }
}

fn seconds(samples: &[Sample]) -> Vec<u64> {
    samples.iter().map(|sample| sample.taken_at.seconds()).collect()
}

/// A series with a reading at each of these seconds.
fn series(readings: impl IntoIterator<Item = u64>, span: Duration) -> RawSeries {
    let mut series = RawSeries::begun_with(&[]);
    readings.into_iter().for_each(|second| assert!(series.push(sample(second), wanted(second, span))));
    series
}

#[test]
fn what_is_kept_ends_with_the_span_but_never_below_two_samples() {
    assert_eq!(seconds(series([100, 115, 130, 145, 160, 175], MINUTE).within(MINUTE)), [115, 130, 145, 160, 175]);
    assert_eq!(seconds(series([100, 115, 1000], MINUTE).within(MINUTE)), [115, 1000]);
    assert_eq!(seconds(series([100], MINUTE).within(MINUTE)), [100]);
}

#[test]
fn a_shorter_span_shows_less_and_a_longer_one_what_there_is() {
    let series = series([100, 115, 130, 145, 160], MINUTE);
    assert_eq!(seconds(series.within(MINUTE / 2)), [130, 145, 160]);
    assert_eq!(seconds(series.within(MINUTE * 9)), [100, 115, 130, 145, 160]);
}

#[test]
fn a_reading_that_repeats_a_time_or_goes_back_takes_the_place_of_those_it_contradicts() {
    assert_eq!(seconds(series([100, 115, 115, 130, 120], MINUTE).within(MINUTE)), [100, 115, 120]);
    assert_eq!(seconds(series([100, 115, 90], MINUTE).within(MINUTE)), [90]);
}

#[test]
fn never_more_than_720_samples_are_kept_whatever_the_span() {
    let series = series(1..3000, MINUTE * 60);
    assert_eq!(series.within(MINUTE * 60).len(), MOST);
    assert!(series.samples.capacity() <= MOST * 5 / 4, "{}", series.samples.capacity());
}

#[test]
fn an_invented_start_is_no_reading() {
    let birth = Sample { taken_at: UnixNanos(SECOND), cpu: CpuNanoseconds(0), ..sample(1) };
    let mut series = RawSeries::begun_with(&[birth, sample(12)]);
    assert!(series.push(sample(27), wanted(27, MINUTE)));
    assert_eq!(seconds(series.within(MINUTE)), [12, 27]);
}

#[test]
fn what_nobody_wants_is_kept_for_ten_minutes_more_by_whatever_clock() {
    let unwanted = Duration::ZERO;
    let mut kept = series([100, 115, 130], MINUTE);
    assert!(kept.push(sample(145), wanted(730, unwanted)));
    assert_eq!(seconds(kept.within(MINUTE)), [100, 115, 130, 145]);
    assert!(!kept.push(sample(160), wanted(731, unwanted)));
    let mut set_back = series([100], MINUTE);
    assert!(set_back.push(sample(115), wanted(50, unwanted)));
    assert!(!set_back.push(sample(130), wanted(651, unwanted)));
}
