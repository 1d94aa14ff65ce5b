use metrics_gateway_sdk::settings::read;
use metrics_gateway_sdk::testing::{EPOCH, History, hostile};
use metrics_gateway_sdk::window::Window;
use metrics_gateway_sdk::{Duration, Nanocores, Usage};
use proptest::prelude::*;

use super::SlidingMean;

const EVERY: Duration = Duration::from_secs(15);

fn mean(over: &str) -> Result<SlidingMean, String> {
    SlidingMean::new(read(&format!(r#"{{"over":"{over}"}}"#))?)
}

fn served(over: &str, history: &History) -> Option<(Nanocores, Duration)> {
    let usage = mean(over).expect("a span in range").usage(&history.series())?;
    Some((usage.cpu, usage.window))
}

fn rates(history: History, millicores: &[u64]) -> History {
    history.cpu_rates(millicores.iter().copied().map(Nanocores::from_millicores))
}

fn expected(millicores: u64, seconds: u64) -> Option<(Nanocores, Duration)> {
    Some((Nanocores::from_millicores(millicores), Duration::from_secs(seconds)))
}

#[test]
fn the_mean_is_that_of_the_last_samples_within_the_span() {
    let history = rates(History::every(EVERY), &[900, 100, 200, 300, 400]);
    assert_eq!(served("60s", &history), expected(250, 60));
    assert_eq!(served("59s", &history), expected(300, 45));
    assert_eq!(served("1s", &history), expected(400, 15), "the last two at least");
    assert_eq!(served("1h", &history), expected(380, 75));
}

#[test]
fn a_gap_counts_with_the_time_it_took() {
    let history = rates(History::every(EVERY), &[300]).gap(Duration::from_secs(45));
    assert_eq!(served("60s", &history), expected(75, 60));
}

#[test]
fn a_restart_and_a_counter_that_fell_take_their_interval_out() {
    let history = rates(rates(rates(History::every(EVERY), &[100]).restart(), &[200]).counter_falls(), &[300]);
    assert_eq!(served("1h", &history), expected(200, 75));
    assert_eq!(served("15s", &history), expected(300, 15));
}

#[test]
fn without_two_samples_nothing_is_served() {
    assert_eq!(served("1h", &History::of([])), None);
    assert_eq!(served("1h", &History::every(EVERY)), None);
    assert_eq!(served("15s", &rates(History::every(EVERY), &[100]).restart()), None);
}

#[test]
fn the_usage_ends_at_the_newest_sample() {
    let history = rates(History::every(EVERY), &[100, 100]);
    let Usage { taken_at, .. } = mean("60s").expect("a span").usage(&history.series()).expect("two rates");
    assert_eq!(taken_at, EPOCH.plus(EVERY.times(2)));
}

#[test]
fn spans_out_of_range_are_refused_by_name() {
    for over in ["0s", "61m"] {
        assert!(mean(over).is_err_and(|error| error.starts_with("\"over\" must be 1s to 1h, not")));
    }
}

proptest! {
    #[test]
    fn whatever_was_reported_there_is_an_answer(history in hostile::history(), over in 1_u64..=3600) {
        let _ = mean(&format!("{over}s")).expect("in range").usage(&history.series());
    }

    #[test]
    fn the_window_is_no_longer_than_the_span_but_for_the_last_two(history in hostile::plausible(), over in 1_u64..=3600) {
        let policy = mean(&format!("{over}s")).expect("in range");
        let Some(usage) = policy.usage(&history.series()) else { return Ok(()) };
        let last_two = history.series().intervals().next_back().expect("it has a rate").span();
        prop_assert!(usage.window <= Duration::from_secs(over).max(last_two), "{:?}", usage);
    }
}
