use proptest::prelude::*;

use super::{Batch, Sample, Subject, Usage};
use crate::guest::types;
use crate::testing::{EPOCH, History, batch, hostile};
use crate::{Bytes, Duration, Nanocores, Time};

const EVERY: Duration = Duration::from_secs(15);

fn millicores<const N: usize>(rates: [u64; N]) -> [Nanocores; N] {
    rates.map(Nanocores::from_millicores)
}

#[test]
fn rows_are_what_the_columns_say() {
    let cart = History::every(EVERY).cpu_rates(millicores([250]));
    let batch = batch("node-7", [("shop/cart-1/app", cart), ("shop/cart-1/proxy", History::of([]))]);
    let series: Vec<_> = batch.series().collect();
    assert_eq!((batch.node(), batch.len(), batch.newest()), ("node-7", 2, EPOCH.plus(EVERY)));
    let subject = |container| Subject::Container { namespace: "shop", pod: "cart-1", container };
    assert_eq!([series[0].subject(), series[1].subject()], [subject("app"), subject("proxy")]);
    let started_at = EPOCH.minus(Duration::from_secs(60));
    let sample = |taken_at, cpu| Sample { taken_at, started_at, cpu, memory: Bytes::from_mib(64) };
    let expected = [sample(EPOCH, Duration::from_secs(10)), sample(EPOCH.plus(EVERY), Duration::from_millis(13_750))];
    assert_eq!(series[0].samples().collect::<Vec<_>>(), expected);
    assert_eq!((series[0].oldest(), series[0].newest()), (Some(expected[0]), Some(expected[1])));
    assert!(series[1].is_empty() && series[1].oldest().is_none() && series[1].last_two().is_none());
}

#[test]
fn the_last_two_are_rated_as_the_gateway_rates_them() {
    let history = History::every(EVERY).cpu_rates(millicores([100, 250])).memory(Bytes::from_mib(80));
    let usage = history.cpu_rates(millicores([300])).series().last_two();
    let taken_at = EPOCH.plus(EVERY.times(3));
    let cpu = Nanocores::from_millicores(300);
    assert_eq!(usage, Some(Usage { taken_at, window: EVERY, cpu, memory: Bytes::from_mib(80) }));
    assert_eq!(History::every(EVERY).series().last_two(), None, "one sample has no rate");
}

#[test]
fn no_rate_crosses_a_restart_or_a_counter_that_fell() {
    let history = History::every(EVERY).cpu_rates(millicores([100]));
    let restarted = history.clone().restart();
    assert_eq!(restarted.series().last_two(), None);
    let fell = history.clone().counter_falls();
    assert_eq!(fell.series().last_two(), None);
    let rates: Vec<_> = restarted.cpu_rates(millicores([300])).series().rates().collect();
    assert_eq!(rates, millicores([100, 300]));
    let mut again = *history.samples().last().expect("two samples");
    again.cpu = again.cpu.plus(EVERY);
    let repeated = History::of(history.samples().iter().copied().chain([again]));
    assert_eq!(repeated.series().last_two(), None, "no time passed");
}

#[test]
fn a_restart_that_has_already_used_more_than_before_has_no_rate_either() {
    let sample = |at, started: u64, cpu| Sample {
        taken_at: EPOCH.plus(Duration::from_secs(at)),
        started_at: EPOCH.plus(Duration::from_secs(started)),
        cpu: Duration::from_secs(cpu),
        memory: Bytes::new(1),
    };
    let restarted = History::of([sample(10, 0, 1), sample(25, 11, 5)]);
    assert_eq!(restarted.series().last_two(), None);
}

#[test]
fn a_start_that_moves_by_a_fraction_of_a_second_or_is_unknown_is_no_restart() {
    let start = EPOCH.minus(Duration::from_secs(60));
    let check = |before: Time, after: Time, is_restart| {
        let sample = |taken_at, started_at| Sample { taken_at, started_at, ..Sample::default() };
        let history = History::of([sample(EPOCH, before), sample(EPOCH.plus(EVERY), after)]);
        let interval = history.series().intervals().next().expect("two samples");
        assert_eq!(interval.is_restart(), is_restart, "{before:?} {after:?}");
    };
    check(start.plus(Duration::from_millis(700)), start, false);
    check(start, start.plus(Duration::from_millis(700)), false);
    check(start, start.plus(Duration::from_secs(1)), true);
    check(Time::UNKNOWN, start, false);
    check(start, Time::UNKNOWN, false);
}

#[test]
fn a_mean_leaves_out_what_has_no_rate() {
    let history = History::every(EVERY).cpu_rates(millicores([100, 300])).restart().cpu_rates(millicores([500]));
    let usage = history.series().mean().expect("three intervals have a rate");
    assert_eq!(usage.cpu, Nanocores::from_millicores(300));
    assert_eq!((usage.taken_at, usage.window), (EPOCH.plus(EVERY.times(4)), EVERY.times(4)));
    let ended = history.counter_falls().series().mean().expect("as before");
    assert_eq!((ended.taken_at, ended.window), (usage.taken_at, usage.window), "the window ends where the rates do");
}

#[test]
fn a_mean_weighs_by_time() {
    let history = History::every(EVERY).cpu_rates(millicores([400])).spaced(Duration::from_secs(45));
    let usage = history.cpu_rates(millicores([800])).series().mean().expect("two rates");
    assert_eq!(usage.cpu, Nanocores::from_millicores(700));
}

#[test]
fn a_span_of_samples_holds_the_last_two_at_least() {
    let history = History::every(EVERY).cpu_rates(millicores([100, 200, 300]));
    let check = |span, samples| assert_eq!(history.series().within(span).len(), samples, "{span}");
    check(Duration::ZERO, 2);
    check(EVERY, 2);
    check(Duration::from_secs(29), 2);
    check(Duration::from_secs(30), 3);
    check(Duration::HOUR, 4);
    assert_eq!(History::every(EVERY).series().within(Duration::ZERO).len(), 1);
    assert_eq!(history.series().within(EVERY).oldest(), history.series().get(2));
}

#[test]
fn columns_that_do_not_fit_together_are_cut_to_what_they_share() {
    let names = types::Strings { text: "äb".to_owned(), ends: vec![1, 9, 2] };
    let containers = types::Containers { names, namespace: vec![0, 7], pod: vec![1], container: vec![] };
    let batch = Batch::from(types::Batch {
        node: String::new(),
        subjects: types::Subjects::Containers(containers),
        ends: vec![2, 1, u32::MAX],
        taken_at: vec![1, 2, 3],
        started_at: vec![0, 0],
        cpu_ns: vec![1, 2, 3, 4],
        memory_bytes: vec![1, 2, 3],
    });
    let lengths: Vec<_> = batch.series().map(|series| series.len()).collect();
    assert_eq!(lengths, [2, 0, 1]);
    let nameless = Subject::Container { namespace: "", pod: "", container: "" };
    assert!(batch.series().all(|series| series.subject() == nameless));
}

proptest! {
    #[test]
    fn whatever_was_reported_there_is_an_answer(history in hostile::history(), span in hostile::number()) {
        let series = history.series();
        let part = series.within(Duration::from_nanos(span));
        prop_assert!(part.len() >= series.len().min(2) && part.len() <= series.len());
        prop_assert_eq!(series.intervals().len(), series.len().saturating_sub(1));
        let _ = (series.mean(), series.last_two(), part.mean());
    }

    #[test]
    fn a_mean_lies_among_the_rates(history in hostile::plausible()) {
        let series = history.series();
        let mean = series.mean().map(|usage| usage.cpu.get());
        let bounds = hostile::rates_of(&series);
        prop_assert_eq!(mean.is_some(), bounds.is_some());
        let (Some(mean), Some((low, high))) = (mean, bounds) else { return Ok(()) };
        // Each is cut to whole nanocores.
        prop_assert!((low..=high + 1).contains(&mean), "{} {} {}", low, mean, high);
    }

    #[test]
    fn usage_of_a_plausible_history_is_in_range(history in hostile::plausible()) {
        let series = history.series();
        let newest = series.newest().map_or(EPOCH, |sample| sample.taken_at);
        let served: Vec<Usage> = [series.mean(), series.last_two()].into_iter().flatten().collect();
        prop_assert!(served.iter().all(|usage| usage.is_in_range(newest)), "{:?}", served);
    }
}
