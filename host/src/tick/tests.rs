use super::*;
use proptest::prelude::*;

#[test]
fn replicas_agree_on_a_nodes_moment() {
    // Fixed figures: a change here makes old and new replicas disagree while a rolling update lasts.
    assert_eq!(format!("{:.6} {:.6}", phase("node1"), phase("node2")), "0.710416 0.076266");
}

#[test]
fn first_requests_are_spread_over_at_most_four_seconds() {
    assert_eq!(first_delay(1), Duration::from_millis(8));
    assert_eq!(first_delay(100), Duration::from_millis(800));
    assert_eq!(first_delay(5_000), Duration::from_secs(4));
}

proptest! {
    #[test]
    fn every_node_has_its_moment_within_the_first_nine_tenths(name in ".{0,40}") {
        prop_assert!((0.0..=0.9).contains(&phase(&name)));
    }

    #[test]
    fn moments_are_one_resolution_apart_and_keep_their_phase(
        time in 1_600_000_000_000_000_000u64..1_900_000_000_000_000_000,
        phase_millis in 0u64..15_000,
    ) {
        let (phase, resolution) = (Duration::from_millis(phase_millis), Duration::from_secs(15));
        let first = moment_after(UnixNanos(time), phase, resolution);
        prop_assert!(first > UnixNanos(time));
        prop_assert!(first.since(UnixNanos(time)) <= resolution);
        prop_assert_eq!((first.0 - nanos(phase)) % nanos(resolution), 0);
        prop_assert_eq!(moment_after(first, phase, resolution).since(first), resolution);
    }
}
