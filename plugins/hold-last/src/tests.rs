use metrics_gateway_sdk::settings::read;
use metrics_gateway_sdk::testing::{EPOCH, History, hostile};
use metrics_gateway_sdk::window::Window;
use metrics_gateway_sdk::{Bytes, Duration, Nanocores, Usage};
use proptest::prelude::*;

use super::HoldLast;

const EVERY: Duration = Duration::from_secs(15);

fn hold(max_age: &str) -> Result<HoldLast, String> {
    HoldLast::new(read(&format!(r#"{{"max_age":"{max_age}"}}"#))?)
}

fn served(max_age: &str, history: &History) -> Option<Usage> {
    hold(max_age).expect("an age in range").usage(&history.series())
}

/// One good usage, of 300 thousandths of a core.
fn good() -> History {
    History::every(EVERY).cpu_rates([Nanocores::from_millicores(300)])
}

fn usage_of_good() -> Option<Usage> {
    let cpu = Nanocores::from_millicores(300);
    Some(Usage { taken_at: EPOCH.plus(EVERY), window: EVERY, cpu, memory: Bytes::from_mib(64) })
}

#[test]
fn while_all_is_well_the_last_two_are_served() {
    assert_eq!(served("60s", &good()), usage_of_good());
    let later = good().cpu_rates([Nanocores::from_millicores(100)]);
    assert_eq!(served("60s", &later), later.series().last_two());
}

#[test]
fn a_restart_and_a_counter_that_falls_are_held_through_up_to_the_age() {
    let restarted = good().memory(Bytes::from_mib(1)).restart();
    assert_eq!(served("60s", &restarted), usage_of_good());
    let fell_twice = good().counter_falls().counter_falls().restart();
    assert_eq!(served("45s", &fell_twice), usage_of_good());
    assert_eq!(served("44s", &fell_twice), None, "older than allowed");
}

#[test]
fn a_good_usage_after_a_restart_is_served_at_once() {
    let again = good().restart().cpu_rates([Nanocores::from_millicores(700)]);
    assert_eq!(served("60s", &again), again.series().last_two());
}

#[test]
fn a_first_sample_has_nothing_to_hold() {
    assert_eq!(served("60s", &History::every(EVERY)), None);
    assert_eq!(served("60s", &History::every(EVERY).restart()), None);
}

#[test]
fn ages_out_of_range_are_refused_by_name() {
    for max_age in ["0s", "59m"] {
        assert!(hold(max_age).is_err_and(|error| error.starts_with("\"max_age\" must be 1s to 58m, not")));
    }
    assert_eq!(hold("58m").expect("the longest").history(), Duration::HOUR);
}

proptest! {
    #[test]
    fn where_the_last_two_have_a_rate_it_is_served(history in hostile::plausible(), max_age in 1_u64..=3480) {
        let usage = served(&format!("{max_age}s"), &history);
        let last_two = history.series().last_two();
        prop_assert!(last_two.is_none() || usage == last_two);
    }

    #[test]
    fn nothing_older_than_allowed_is_served(history in hostile::history(), max_age in 1_u64..=3480) {
        let Some(usage) = served(&format!("{max_age}s"), &history) else { return Ok(()) };
        let newest = history.series().newest().expect("it has a rate").taken_at;
        prop_assert!(newest.since(usage.taken_at) <= Duration::from_secs(max_age));
    }
}
