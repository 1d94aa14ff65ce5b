//! Upstream's decisions, case by case.

use super::*;
use crate::model::units::Bytes;
use crate::model::{Labels, NodeAddress, NodeName};

const SECOND: u64 = 1_000_000_000;
const RESOLUTION: Duration = Duration::from_secs(15);

/// A sample taken `age` nanoseconds after its container's start.
fn aged(age: u64) -> Sample {
    let started_at = UnixNanos(1_795_212_000 * SECOND);
    sample(started_at.0 + age, started_at.0, 3 * SECOND)
}

fn sample(taken_at: u64, started_at: u64, cpu: u64) -> Sample {
    let (taken_at, started_at) = (UnixNanos(taken_at), UnixNanos(started_at));
    Sample { taken_at, started_at, cpu: CpuNanoseconds(cpu), memory: Bytes(7) }
}

#[test]
fn only_a_container_of_ten_seconds_to_one_resolution_is_measured_from_its_start() {
    let is_fresh = |age| birth(&aged(age), RESOLUTION).is_some();
    assert_eq!([10 * SECOND - 1, 10 * SECOND, 15 * SECOND - 1, 15 * SECOND].map(is_fresh), [false, true, true, false]);
    let born = birth(&aged(12 * SECOND), RESOLUTION).unwrap();
    let start = aged(0).taken_at;
    assert_eq!(born, Sample { taken_at: start, started_at: start, cpu: CpuNanoseconds(0), memory: Bytes(7) });
}

#[test]
fn at_a_resolution_of_ten_seconds_no_container_is_fresh() {
    let ages = (0..200u64).map(|tenths| tenths * SECOND / 10);
    assert_eq!(ages.filter(|age| birth(&aged(*age), Duration::from_secs(10)).is_some()).count(), 0);
}

#[test]
fn a_start_after_the_sample_is_no_birth() {
    let mut sample = aged(0);
    assert_eq!(birth(&sample, RESOLUTION), None);
    sample.started_at = UnixNanos(u64::MAX);
    assert_eq!(birth(&sample, RESOLUTION), None);
}

#[test]
fn a_start_at_or_after_the_earlier_sample_is_another_run() {
    let sample = sample(100, 50, 1);
    assert_eq!([49, 50, 51].map(|earlier| is_same_run(&sample, UnixNanos(earlier))), [false, false, true]);
}

#[test]
fn the_rate_is_that_between_the_last_two_samples_and_is_truncated() {
    let history = [sample(0, 0, 9 * SECOND), sample(20 * SECOND, 0, 10 * SECOND), sample(23 * SECOND, 0, 11 * SECOND)];
    let usage = last_two(&history).unwrap();
    // One core-second in three seconds: 333,333,333.3 nanocores.
    assert_eq!((usage.cpu, usage.window), (Nanocores(333_333_333), WindowNanos(3 * SECOND)));
    assert_eq!((usage.taken_at, usage.memory), (UnixNanos(23 * SECOND), Bytes(7)));
}

#[test]
fn one_sample_or_none_is_too_few() {
    assert_eq!(last_two(&[]), Err(NoUsage::TooFew));
    assert_eq!(last_two(&[aged(5)]), Err(NoUsage::TooFew));
}

#[test]
fn a_window_that_is_empty_or_runs_backwards_yields_no_usage() {
    assert_eq!(last_two(&[sample(5, 0, 1), sample(5, 0, 2)]), Err(NoUsage::TooFew));
    assert_eq!(last_two(&[sample(6, 0, 1), sample(5, 0, 2)]), Err(NoUsage::TooFew));
}

#[test]
fn a_counter_or_a_start_that_falls_yields_no_usage() {
    assert_eq!(last_two(&[sample(5, 0, 2), sample(6, 0, 1)]), Err(NoUsage::CounterFell));
    let with_start = |taken_at: u64, started_at: u64| sample(taken_at * SECOND, started_at, 1);
    let fallen = [with_start(5, 2 * SECOND), with_start(6, 2 * SECOND - 1)];
    assert_eq!(last_two(&fallen), Err(NoUsage::CounterFell));
    assert_eq!(last_two(&[sample(5, 0, 2), sample(6, 0, 2)]).unwrap().cpu, Nanocores(0));
}

#[test]
fn a_start_told_in_whole_seconds_is_the_start_told_more_exactly_before() {
    let series = [sample(5 * SECOND, 2 * SECOND + 345_000_000, 1), sample(6 * SECOND, 2 * SECOND, 9)];
    assert_eq!(last_two(&series).map(|usage| usage.cpu), Ok(Nanocores(8)));
}

#[test]
fn absurd_numbers_stop_at_the_largest_rate() {
    let usage = last_two(&[sample(5, 0, 0), sample(6, 0, u64::MAX)]).unwrap();
    assert_eq!(usage.cpu, Nanocores(u64::MAX));
}

/// A node with addresses of these kinds.
fn node(addresses: &[(&str, &str)], kubelet_port: Option<u16>) -> Node {
    let address = |(kind, address): &(&str, &str)| NodeAddress { kind: (*kind).into(), address: (*address).into() };
    Node {
        name: NodeName::new("a"),
        labels: std::sync::Arc::new(Labels::default()),
        annotations: Labels::default(),
        provider_id: None,
        resource_metrics_path: None,
        addresses: addresses.iter().map(address).collect(),
        kubelet_port,
        ready: true,
    }
}

fn policy(kinds: &[&str]) -> PreferredAddresses {
    let kinds = kinds.iter().map(|kind| (*kind).to_owned()).collect();
    PreferredAddresses { kinds, use_node_status_port: false, port: 10250, try_all: true }
}

fn hosts(policy: &PreferredAddresses, node: &Node) -> Vec<String> {
    policy.candidates(node).unwrap().iter().map(|candidate| candidate.host.to_string()).collect()
}

#[test]
fn the_order_of_kinds_goes_before_the_order_of_addresses() {
    let node = node(&[("Hostname", "a"), ("InternalIP", "10.0.0.1"), ("InternalIP", "fd00::1")], None);
    let mut policy = policy(&["ExternalIP", "InternalIP", "Hostname"]);
    assert_eq!(hosts(&policy, &node), ["10.0.0.1", "a"]);
    policy.try_all = false;
    assert_eq!(hosts(&policy, &node), ["10.0.0.1"]);
}

#[test]
fn an_address_under_two_kinds_is_tried_once() {
    let node = node(&[("InternalIP", "10.0.0.1"), ("ExternalIP", "10.0.0.1")], None);
    assert_eq!(hosts(&policy(&["InternalIP", "ExternalIP"]), &node), ["10.0.0.1"]);
}

#[test]
fn the_port_of_the_node_counts_only_where_it_is_asked_for() {
    let port = |use_node_status_port, kubelet_port| {
        let policy = PreferredAddresses { use_node_status_port, ..policy(&["Hostname"]) };
        policy.candidates(&node(&[("Hostname", "a")], kubelet_port)).unwrap()[0].port
    };
    assert_eq!([port(false, Some(1)), port(true, Some(1)), port(true, None)], [10250, 1, 10250]);
}

#[test]
fn a_node_without_a_preferred_address_is_refused_in_upstreams_words() {
    let error = policy(&["InternalIP", "Hostname"]).candidates(&node(&[("ExternalIP", "1.2.3.4")], None)).unwrap_err();
    assert_eq!(error.to_string(), "no address matched types [InternalIP Hostname]");
}

#[test]
fn a_container_whose_start_is_unknown_is_never_fresh() {
    assert_eq!(birth(&sample(12 * SECOND, 0, SECOND), RESOLUTION), None);
}
