use metrics_gateway_sdk::settings::read;
use metrics_gateway_sdk::testing::{EPOCH, History, hostile};
use metrics_gateway_sdk::window::Window;
use metrics_gateway_sdk::{Bytes, Duration, Nanocores};
use proptest::prelude::*;

use super::Ewma;

const EVERY: Duration = Duration::from_secs(15);

fn ewma(half_life: &str) -> Result<Ewma, String> {
    Ewma::new(read(&format!(r#"{{"half_life":"{half_life}"}}"#))?)
}

fn rates(history: History, millicores: &[u64]) -> History {
    history.cpu_rates(millicores.iter().copied().map(Nanocores::from_millicores))
}

/// The rate in thousandths of a core, and the window in seconds.
fn served(half_life: &str, history: &History) -> Option<(u64, u64)> {
    let usage = ewma(half_life).expect("a half-life in range").usage(&history.series())?;
    Some(((usage.cpu.get() + 500_000) / 1_000_000, usage.window.as_nanos() / 1_000_000_000))
}

#[test]
fn a_constant_rate_is_served_as_it_is() {
    let history = rates(History::every(EVERY), &[250; 20]);
    assert_eq!(served("60s", &history), Some((250, 300)));
    let usage = ewma("60s").expect("a half-life").usage(&history.series()).expect("twenty rates");
    assert_eq!(usage.cpu, Nanocores::from_millicores(250), "to the last nanocore");
}

#[test]
fn after_a_step_half_of_it_is_served_one_half_life_later() {
    // Ten half-lives at 0 and one at 1000; five are looked at, of which the newest weighs 16 of 31 parts.
    let history = rates(rates(History::every(EVERY), &[0; 40]), &[1000; 4]);
    assert_eq!(served("60s", &history), Some((516, 300)));
}

#[test]
fn a_rate_weighs_by_its_time_not_by_its_samples() {
    let often = rates(rates(History::every(Duration::from_secs(5)), &[100; 6]).spaced(EVERY), &[400; 2]);
    let rarely = rates(rates(History::every(Duration::from_secs(30)), &[100]), &[400]);
    assert_eq!(served("30s", &often), Some((300, 60)));
    assert_eq!(served("30s", &rarely), Some((300, 60)));
}

#[test]
fn a_first_sample_has_no_average() {
    assert_eq!(served("60s", &History::every(EVERY)), None);
    assert_eq!(served("60s", &History::of([])), None);
    assert_eq!(served("60s", &History::every(EVERY).restart()), None);
}

#[test]
fn what_came_before_a_restart_is_served_on_and_weighs_less_with_age() {
    let before = rates(History::every(EVERY), &[800]);
    assert_eq!(served("15s", &before.clone().restart()), Some((800, 15)));
    assert_eq!(served("15s", &before.clone().counter_falls()), Some((800, 15)));
    // Two half-lives later the old rate weighs a quarter of the new: (800 / 4 + 300) / (1 / 4 + 1).
    assert_eq!(served("15s", &rates(before.restart(), &[300])), Some((400, 45)));
}

#[test]
fn the_window_ends_with_the_newest_rate_and_memory_is_the_newest() {
    let history = rates(History::every(EVERY), &[800]).memory(Bytes::from_mib(99)).restart();
    let usage = ewma("60s").expect("a half-life").usage(&history.series()).expect("one rate");
    assert_eq!((usage.taken_at, usage.memory), (EPOCH.plus(EVERY), Bytes::from_mib(99)));
}

#[test]
fn half_lives_out_of_range_are_refused_by_name() {
    for half_life in ["0s", "999ms", "13m"] {
        assert!(ewma(half_life).is_err_and(|error| error.starts_with("\"half_life\" must be 1s to 12m, not")));
    }
    assert_eq!(ewma("12m").expect("the longest").history(), Duration::HOUR);
}

proptest! {
    #[test]
    fn whatever_was_reported_there_is_an_answer(history in hostile::history(), half_life in 1_u64..=720) {
        let _ = ewma(&format!("{half_life}s")).expect("in range").usage(&history.series());
    }

    #[test]
    fn the_average_lies_among_the_rates(history in hostile::plausible(), half_life in 1_u64..=720) {
        let ewma = ewma(&format!("{half_life}s")).expect("in range");
        let bounds = hostile::rates_of(&history.series().within(ewma.history()));
        let usage = ewma.usage(&history.series());
        prop_assert_eq!(usage.is_some(), bounds.is_some());
        let (Some(usage), Some((low, high))) = (usage, bounds) else { return Ok(()) };
        prop_assert!((low.saturating_sub(1)..=high + 1).contains(&usage.cpu.get()), "{:?}", usage);
        prop_assert!(usage.is_in_range(history.series().newest().expect("it has a rate").taken_at));
    }
}
