use metrics_gateway_sdk::settings::read;
use metrics_gateway_sdk::testing::{History, hostile};
use metrics_gateway_sdk::window::Window;
use metrics_gateway_sdk::{Bytes, Duration, Nanocores, Usage};
use proptest::prelude::*;

use super::PeakMemory;

const EVERY: Duration = Duration::from_secs(15);

fn peak(over: &str) -> Result<PeakMemory, String> {
    PeakMemory::new(read(&format!(r#"{{"over":"{over}"}}"#))?)
}

fn memories(mebibytes: &[u64]) -> History {
    mebibytes.iter().fold(History::every(EVERY), |history, memory| {
        history.memory(Bytes::from_mib(*memory)).cpu_rates([Nanocores::from_millicores(100)])
    })
}

#[test]
fn the_peak_of_the_span_is_served_with_the_last_rate() {
    let history = memories(&[900, 700, 500]);
    let check = |over, mebibytes| {
        let usage = peak(over).expect("a span").usage(&history.series());
        let last_two = history.series().last_two().expect("three rates");
        assert_eq!(usage, Some(Usage { memory: Bytes::from_mib(mebibytes), ..last_two }), "{over}");
    };
    check("1s", 700);
    check("15s", 700);
    check("30s", 900);
    check("1h", 900);
}

#[test]
fn the_peak_before_a_restart_counts_as_soon_as_there_is_a_rate_again() {
    let restarted = memories(&[900]).memory(Bytes::from_mib(10)).restart();
    let policy = peak("5m").expect("a span");
    assert_eq!(policy.usage(&restarted.series()), None);
    let again = restarted.cpu_rates([Nanocores::from_millicores(100)]);
    assert_eq!(policy.usage(&again.series()).map(|usage| usage.memory), Some(Bytes::from_mib(900)));
}

#[test]
fn a_first_sample_is_not_served() {
    assert_eq!(peak("5m").expect("a span").usage(&memories(&[]).series()), None);
}

#[test]
fn spans_out_of_range_are_refused_by_name() {
    for over in ["0s", "61m"] {
        assert!(peak(over).is_err_and(|error| error.starts_with("\"over\" must be 1s to 1h, not")));
    }
}

proptest! {
    #[test]
    fn no_sample_of_the_span_has_more_and_one_has_as_much(history in hostile::history(), over in 1_u64..=3600) {
        let policy = peak(&format!("{over}s")).expect("in range");
        let Some(usage) = policy.usage(&history.series()) else { return Ok(()) };
        let series = history.series().within(Duration::from_secs(over));
        prop_assert!(series.samples().all(|sample| sample.memory <= usage.memory));
        prop_assert!(series.samples().any(|sample| sample.memory == usage.memory));
    }
}
