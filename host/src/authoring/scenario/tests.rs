use super::*;
use crate::model::policy;

fn all() -> impl Iterator<Item = Scenario> {
    Kind::ALL.into_iter().map(|(_, kind, _)| scenario(kind))
}

#[test]
fn a_scenario_is_the_same_whenever_it_is_made() {
    for (name, kind, _) in Kind::ALL {
        assert_eq!(scenario(kind), scenario(kind), "{name}");
    }
}

#[test]
fn readings_rise_in_time_and_end_within_the_scenario() {
    for scenario in all() {
        let times: Vec<UnixNanos> = scenario.samples.iter().map(|sample| sample.taken_at).collect();
        assert!(times.is_sorted_by(|a, b| a < b), "{:?}: {times:?}", scenario.kind);
        assert!(times.last() <= Some(&at(LENGTH)) && times.first() > Some(&at(0)), "{:?}: {times:?}", scenario.kind);
        assert_eq!(scenario.truth.len() as u64, LENGTH);
    }
}

#[test]
fn counters_fall_only_where_the_start_rises() {
    for scenario in all() {
        for pair in scenario.samples.windows(2) {
            let restarted = pair[1].started_at > pair[0].started_at;
            assert!(restarted || pair[1].cpu >= pair[0].cpu, "{:?}: {pair:?}", scenario.kind);
        }
        let starts = scenario.samples.windows(2).filter(|pair| pair[1].started_at > pair[0].started_at).count();
        assert_eq!(starts, usize::from(scenario.restart.is_some()), "{:?}", scenario.kind);
    }
}

#[test]
fn the_counter_is_the_integral_of_the_truth() {
    for scenario in all() {
        for pair in scenario.samples.windows(2).filter(|pair| pair[0].started_at == pair[1].started_at) {
            let seconds = |sample: &Sample| ((sample.taken_at.0 - EPOCH.0) / 1_000_000_000) as usize;
            let truth = &scenario.truth[seconds(&pair[0])..seconds(&pair[1])];
            let used: u64 = truth.iter().map(|truth| truth.cpu.0).sum();
            assert_eq!(pair[1].cpu.0 - pair[0].cpu.0, used, "{:?}", scenario.kind);
        }
    }
}

#[test]
fn a_gap_has_no_readings_and_the_rate_across_it_is_the_mean() {
    let scenario = scenario(Kind::Gap);
    let gap = scenario.gap.clone().expect("it is named for it");
    let inside = |sample: &&Sample| sample.taken_at > at(gap.start) && sample.taken_at <= at(gap.end);
    assert_eq!(scenario.samples.iter().find(inside), None);
    let after = scenario.samples.iter().position(|sample| sample.taken_at > at(gap.end)).expect("it ends");
    let usage = policy::last_two(&scenario.samples[..=after]).expect("two samples of one run");
    assert_eq!(usage.window.0, 135_000_000_000);
    assert!((300_000_000..1_500_000_000).contains(&usage.cpu.0), "{usage:?}");
}

#[test]
fn noise_is_neither_flat_nor_out_of_its_band() {
    let truth = scenario(Kind::Noise).truth;
    let cpu: Vec<u64> = truth.iter().map(|truth| truth.cpu.0 / 1_000_000).collect();
    assert!(cpu.iter().all(|millicores| (300..1_400).contains(millicores)), "{cpu:?}");
    assert!(cpu.iter().any(|cpu| *cpu > 1_000) && cpu.windows(2).filter(|pair| pair[0] != pair[1]).count() > 500);
}
