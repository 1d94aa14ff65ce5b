use metrics_gateway_sdk::settings::read;
use metrics_gateway_sdk::testing::{History, hostile};
use metrics_gateway_sdk::window::Window;
use metrics_gateway_sdk::{Duration, Nanocores};
use proptest::prelude::*;

use super::Quantile;

const EVERY: Duration = Duration::from_secs(15);

fn quantile(quantile: f64, over: &str) -> Result<Quantile, String> {
    Quantile::new(read(&format!(r#"{{"quantile":{quantile:?},"over":"{over}"}}"#))?)
}

fn served(asked: f64, over: &str, history: &History) -> Option<(Nanocores, Duration)> {
    let usage = quantile(asked, over).expect("in range").usage(&history.series())?;
    Some((usage.cpu, usage.window))
}

fn expected(millicores: u64, seconds: u64) -> Option<(Nanocores, Duration)> {
    Some((Nanocores::from_millicores(millicores), Duration::from_secs(seconds)))
}

fn rates(history: History, millicores: impl IntoIterator<Item = u64>) -> History {
    history.cpu_rates(millicores.into_iter().map(Nanocores::from_millicores))
}

#[test]
fn of_twenty_even_rates_the_quantile_is_the_one_at_its_place() {
    let history = rates(History::every(EVERY), (1..=20).rev().map(|rate| rate * 10));
    let check = |asked, millicores| assert_eq!(served(asked, "5m", &history), expected(millicores, 300), "{asked}");
    check(0.95, 190);
    check(0.951, 200);
    check(0.5, 100);
    check(0.05, 10);
    check(0.01, 10);
    check(1.0, 200);
}

#[test]
fn a_rate_counts_with_the_time_that_it_covers() {
    let history = rates(rates(History::every(EVERY), [900, 900]).spaced(Duration::from_secs(270)), [100]);
    assert_eq!(served(0.9, "5m", &history), expected(100, 300));
    assert_eq!(served(0.91, "5m", &history), expected(900, 300));
}

#[test]
fn older_rates_than_the_span_do_not_count() {
    let history = rates(History::every(EVERY), [900, 100, 200]);
    assert_eq!(served(1.0, "30s", &history), expected(200, 30));
}

#[test]
fn restarts_do_not_count_and_without_a_rate_nothing_is_served() {
    let restarted = rates(History::every(EVERY), [100]).restart();
    assert_eq!(served(1.0, "5m", &restarted), expected(100, 15));
    assert_eq!(served(1.0, "5m", &History::every(EVERY).restart()), None);
    assert_eq!(served(1.0, "5m", &History::every(EVERY)), None);
}

#[test]
fn settings_out_of_range_are_refused_by_name() {
    for asked in [0.0, -1.0, 1.01, 95.0] {
        assert!(quantile(asked, "5m").is_err_and(|error| error.starts_with("\"quantile\" must be 0.01 to 1, not")));
    }
    assert!(quantile(0.5, "2h").is_err_and(|error| error.starts_with("\"over\" must be 1s to 1h")));
}

proptest! {
    #[test]
    fn whatever_was_reported_there_is_an_answer(history in hostile::history(), asked in 0.01..=1.0_f64) {
        let _ = quantile(asked, "1h").expect("in range").usage(&history.series());
    }

    #[test]
    fn it_is_a_rate_that_there_was_and_rises_with_what_is_asked(history in hostile::plausible(), low in 0.01..0.5_f64) {
        let series = history.series();
        let of = |asked| quantile(asked, "1h").expect("in range").usage(&series).map(|usage| usage.cpu);
        let (some, more, all) = (of(low), of(low * 2.0), of(1.0));
        prop_assert!(some <= more && more <= all);
        let within = series.within(Duration::HOUR);
        prop_assert_eq!(all, within.rates().max());
        prop_assert!(some.is_none_or(|rate| within.rates().any(|there_was| there_was == rate)));
    }
}
