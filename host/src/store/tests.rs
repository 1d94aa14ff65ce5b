//! What is promised of usage: upstream's own test cases, the deliberate differences one by one, and agreement with a
//! literal port of upstream's state machine ([`reference`]) on generated sequences.

mod generate;
mod policies;
mod reference;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::config::{FallingCounter, PodOnTwoNodes, TimestampOf};
use crate::decode::{self, Form, Reading};
use crate::model::units::{Bytes, CpuNanoseconds, Nanocores, WindowNanos};
use crate::model::{ContainerSample, LeftOut, Sample};
use generate::{Answer, SECOND, START};
use reference::{PodKey, Round, Storage};

const RESOLUTION: Duration = Duration::from_secs(15);

/// At least 512; more where `PROPTEST_CASES` asks for more.
fn cases() -> ProptestConfig {
    let asked = ProptestConfig::default();
    ProptestConfig { cases: asked.cases.max(512), ..asked }
}

/// The defaults.
fn ours() -> Rules {
    Rules {
        history: HistoryConfig {
            hold: RESOLUTION * 3,
            falling_counter: FallingCounter::OmitPod,
            pod_on_two_nodes: PodOnTwoNodes::NewestStart,
            timestamp: TimestampOf::Cpu,
        },
        container_order: ContainerOrder::ByName,
        resolution: RESOLUTION,
    }
}

/// What restores upstream.
fn upstreams() -> Rules {
    Rules {
        history: HistoryConfig {
            hold: Duration::ZERO,
            falling_counter: FallingCounter::OmitContainer,
            pod_on_two_nodes: PodOnTwoNodes::FirstAnswer,
            timestamp: TimestampOf::LastLine,
        },
        container_order: ContainerOrder::AsReported,
        ..ours()
    }
}

fn batch_of(answer: &Answer) -> Batch<'_> {
    let mut containers = Vec::new();
    for ((namespace, pod), samples) in &answer.pods {
        for (container, sample) in samples {
            let (namespace, pod, container) = (namespace.into(), pod.into(), container.into());
            containers.push(ContainerSample { namespace, pod, container, sample: *sample });
        }
    }
    Batch::new(answer.node, containers, LeftOut::default())
}

/// How many containers a reader can see.
fn visible_containers(store: &Store) -> usize {
    let namespaces = ["a", "b"].iter().filter_map(|name| store.namespace(name));
    namespaces.map(|pods| pods.read().values().map(|pod| pod.usage.containers.len()).sum::<usize>()).sum()
}

fn visible_nodes(store: &Store, nodes: &[NodeName]) -> usize {
    nodes.iter().filter(|node| store.node(node.as_str()).is_some()).count()
}

fn every_pod(node: usize) -> impl Iterator<Item = PodKey> {
    // In the property against upstream each node has pods of its own: what two nodes say of one pod is random there.
    ["a", "b"].into_iter().flat_map(move |a| ["p", "q"].map(|b| (a.to_owned(), format!("{b}{node}"))))
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn with_upstreams_settings_every_round_is_served_as_upstream_serves_it(rounds in generate::rounds(2)) {
        let nodes = [NodeName::new("node-0"), NodeName::new("node-1")];
        let (store, mut theirs) = (Store::new(upstreams()), Storage::new(RESOLUTION));
        for (at, answers) in rounds.into_iter().enumerate() {
            let now = UnixNanos(START + at as u64 * 15 * SECOND);
            let mut round = Round::default();
            for (index, answer) in answers.into_iter().enumerate() {
                let Some(mut answer) = answer else {
                    store.miss(&nodes[index], now);
                    continue;
                };
                answer.pods =
                    answer.pods.into_iter().map(|((a, b), pod)| ((a, format!("{b}{index}")), pod)).collect();
                store.put(&nodes[index], &batch_of(&answer), now, None);
                round.nodes.extend(answer.node.map(|sample| (nodes[index].to_string(), sample)));
                round.pods.extend(answer.pods);
            }
            theirs.store(round);
            for (index, node) in nodes.iter().enumerate() {
                prop_assert_eq!(store.node(node.as_str()), theirs.node(node.as_str()), "{} in round {}", node, at);
                for pod in every_pod(index) {
                    let ours = store.pod(PodRef { namespace: &pod.0, name: &pod.1 });
                    prop_assert_eq!(ours, theirs.pod(&pod), "{:?} in round {}", pod, at);
                }
            }
            prop_assert_eq!(store.container_points(), visible_containers(&store));
            prop_assert_eq!(store.node_points(), visible_nodes(&store, &nodes));
        }
    }

    #[test]
    fn counts_are_right_and_nothing_outlives_its_nodes(rounds in generate::rounds(3), with_ours: bool) {
        let nodes = [NodeName::new("node-0"), NodeName::new("node-1"), NodeName::new("node-2")];
        let store = Store::new(if with_ours { ours() } else { upstreams() });
        for (at, answers) in rounds.iter().enumerate() {
            let now = UnixNanos(START + at as u64 * 15 * SECOND);
            for (node, answer) in nodes.iter().zip(answers) {
                match answer {
                    Some(answer) => drop(store.put(node, &batch_of(answer), now, None)),
                    None => store.miss(node, now),
                }
                prop_assert_eq!(store.container_points(), visible_containers(&store));
                prop_assert_eq!(store.node_points(), visible_nodes(&store, &nodes));
            }
        }
        let end = UnixNanos(START + 3600 * SECOND);
        for node in &nodes {
            if with_ours { store.miss(node, end) } else { store.forget(node) }
        }
        prop_assert_eq!((store.container_points(), store.node_points(), store.namespaces_held()), (0, 0, 0));
    }
}

/// A store, and one node's batches put into it: times in seconds since [`START`], CPU in tenths of core-seconds.
struct Scene {
    store: Store,
    now: u64,
}

/// A pod: end of the window (seconds since [`START`]), its length in seconds, and the containers in millicores.
type Seen = (u64, u64, Vec<(String, u64)>);

/// A container of pod `a/p`: name, start, time of the sample, CPU.
type Line = (&'static str, Option<u64>, u64, u64);

fn at(seconds: u64) -> UnixNanos {
    UnixNanos(START + seconds * SECOND)
}

fn sample((_, start, taken_at, cpu): Line) -> Sample {
    let started_at = start.map_or(UnixNanos::ZERO, at);
    Sample { taken_at: at(taken_at), started_at, cpu: CpuNanoseconds(cpu * SECOND / 10), memory: Bytes(taken_at + 1) }
}

fn pod_answer(containers: &[Line]) -> Answer {
    let containers: Vec<_> = containers.iter().map(|reading| (reading.0.to_owned(), sample(*reading))).collect();
    let pod = ("a".to_owned(), "p".to_owned());
    Answer { node: None, pods: BTreeMap::from([(pod, containers)]) }
}

impl Scene {
    fn new(rules: Rules) -> Self {
        Self { store: Store::new(rules), now: 0 }
    }

    fn put(&mut self, node: &str, answer: &Answer) -> Put {
        self.store.put(&NodeName::new(node), &batch_of(answer), at(self.now), None)
    }

    /// One tick with one pod on node `n`.
    fn tick(&mut self, containers: &[Line]) -> &mut Self {
        self.now += 15;
        self.put("n", &pod_answer(containers));
        self
    }

    /// One tick with the node `n` itself.
    fn node_tick(&mut self, taken_at: u64, cpu: u64) -> &mut Self {
        self.now += 15;
        self.put("n", &Answer { node: Some(sample(("", None, taken_at, cpu))), pods: BTreeMap::new() });
        self
    }

    /// One tick in which the node did not answer.
    fn missed(&mut self) -> &mut Self {
        self.now += 15;
        self.store.miss(&NodeName::new("n"), at(self.now));
        self
    }

    fn pod(&self) -> Option<Seen> {
        let usage = self.store.pod(PodRef { namespace: "a", name: "p" })?;
        let containers =
            usage.containers.iter().map(|c| (c.name.to_string(), c.cpu().unwrap().0 / 1_000_000)).collect();
        Some(((usage.taken_at.0.saturating_sub(START)) / SECOND, usage.window.0 / SECOND, containers))
    }

    /// As [`Scene::pod`], of a pod with one container.
    fn only(&self) -> Option<(u64, u64, u64)> {
        let (taken_at, window, containers) = self.pod()?;
        assert_eq!(containers.len(), 1, "{containers:?}");
        Some((taken_at, window, containers[0].1))
    }

    fn node(&self) -> Option<(u64, u64, u64)> {
        let usage = self.store.node("n")?;
        Some(((usage.taken_at.0 - START) / SECOND, usage.window.0 / SECOND, usage.cpu.0 / 1_000_000))
    }
}

const OLD: Option<u64> = Some(1);

// Upstream's cases for nodes, which hold under both settings.

#[test]
fn a_node_is_served_from_its_second_sample() {
    for rules in [ours(), upstreams()] {
        let mut scene = Scene::new(rules);
        assert_eq!(scene.node_tick(100, 10).node(), None);
        assert_eq!(scene.node_tick(110, 30).node(), Some((110, 10, 200)));
        assert_eq!(scene.store.node_points(), 1);
    }
}

#[test]
fn a_repeated_node_sample_serves_what_was_served_before() {
    for rules in [ours(), upstreams()] {
        let mut scene = Scene::new(rules);
        assert_eq!(scene.node_tick(100, 10).node_tick(100, 10).node(), None, "one sample, twice");
        assert_eq!(scene.node_tick(110, 30).node(), Some((110, 10, 200)));
        assert_eq!(scene.node_tick(110, 30).node(), Some((110, 10, 200)));
        assert_eq!(scene.node_tick(110, 30).node_tick(120, 40).node(), Some((120, 10, 100)));
    }
}

#[test]
fn a_node_whose_counter_falls_waits_for_one_more_sample() {
    for rules in [ours(), upstreams()] {
        let mut scene = Scene::new(rules);
        assert_eq!(scene.node_tick(100, 50).node_tick(110, 10).node(), None);
        assert_eq!(scene.node_tick(120, 20).node(), Some((120, 10, 100)));
    }
}

#[test]
fn a_node_sample_between_two_known_ones_ends_the_window_that_began_before() {
    for rules in [ours(), upstreams()] {
        let mut scene = Scene::new(rules);
        scene.node_tick(100, 10).node_tick(120, 50);
        assert_eq!(scene.node_tick(110, 30).node(), Some((110, 10, 200)));
    }
}

#[test]
fn a_node_sample_older_than_all_known_starts_anew() {
    for rules in [ours(), upstreams()] {
        let mut scene = Scene::new(rules);
        assert_eq!(scene.node_tick(100, 10).node_tick(110, 30).node_tick(90, 5).node(), None);
        assert_eq!(scene.node_tick(120, 35).node(), Some((120, 30, 100)));
    }
}

// Upstream's cases for pods.

#[test]
fn a_container_that_runs_for_long_is_served_from_its_second_sample() {
    for start in [OLD, None] {
        let mut scene = Scene::new(ours());
        assert_eq!(scene.tick(&[("x", start, 100, 10)]).only(), None);
        assert_eq!(scene.tick(&[("x", start, 110, 30)]).only(), Some((110, 10, 200)), "start {start:?}");
    }
}

#[test]
fn a_twelve_second_old_container_is_served_from_its_first_sample() {
    let first = |age: u64| Scene::new(ours()).tick(&[("x", Some(100), 100 + age, 60)]).only();
    assert_eq!(first(12), Some((112, 12, 500)));
    assert_eq!(first(10), Some((110, 10, 600)));
    assert_eq!([first(9), first(15), first(0)], [None, None, None]);
}

#[test]
fn a_start_later_than_the_sample_is_not_served() {
    assert_eq!(Scene::new(ours()).tick(&[("x", Some(120), 110, 60)]).only(), None);
}

#[test]
fn a_container_that_restarted_within_the_resolution_is_served_from_its_start() {
    let mut scene = Scene::new(ours());
    scene.tick(&[("x", OLD, 100, 10)]).tick(&[("x", OLD, 115, 30)]);
    assert_eq!(scene.tick(&[("x", Some(118), 130, 6)]).only(), Some((130, 12, 50)));
}

#[test]
fn a_container_that_restarted_and_is_too_young_is_served_again_one_sample_later() {
    let mut scene = Scene::new(ours());
    scene.tick(&[("x", OLD, 100, 10)]).tick(&[("x", OLD, 115, 30)]);
    assert_eq!(scene.tick(&[("x", Some(125), 130, 6)]).only(), None);
    assert_eq!(scene.tick(&[("x", Some(125), 140, 16)]).only(), Some((140, 10, 100)), "fifteen seconds are not fresh");
}

#[test]
fn a_repeated_container_sample_serves_what_was_served_before() {
    let mut scene = Scene::new(ours());
    scene.tick(&[("x", OLD, 100, 10)]).tick(&[("x", OLD, 110, 30)]);
    assert_eq!(scene.tick(&[("x", OLD, 110, 30)]).only(), Some((110, 10, 200)));
}

/// Upstream serves a window of 292 years here, and no CPU.
#[test]
fn a_repeated_sample_of_a_container_that_has_no_earlier_one_is_not_served() {
    for rules in [ours(), upstreams()] {
        let mut scene = Scene::new(rules);
        scene.tick(&[("x", OLD, 100, 10)]);
        scene.tick(&[("x", OLD, 110, 30), ("y", OLD, 110, 30)]);
        assert_eq!(scene.tick(&[("x", OLD, 110, 30), ("y", OLD, 110, 30)]).pod(), None);
    }
}

#[test]
fn a_container_sample_between_two_known_ones_ends_the_window_that_began_before() {
    let mut scene = Scene::new(ours());
    scene.tick(&[("x", OLD, 100, 10)]).tick(&[("x", OLD, 120, 50)]);
    assert_eq!(scene.tick(&[("x", OLD, 110, 30)]).only(), Some((110, 10, 200)));
    assert_eq!(scene.tick(&[("x", OLD, 90, 5)]).only(), None, "older than all known");
}

#[test]
fn a_pod_waits_until_each_of_its_containers_has_two_samples() {
    let mut scene = Scene::new(ours());
    scene.tick(&[("x", OLD, 100, 10)]);
    assert_eq!(scene.tick(&[("x", OLD, 110, 30), ("y", OLD, 110, 5)]).pod(), None);
    let both = vec![("x".to_owned(), 200), ("y".to_owned(), 100)];
    assert_eq!(scene.tick(&[("x", OLD, 120, 50), ("y", OLD, 120, 15)]).pod(), Some((120, 10, both)));
    assert_eq!(scene.store.container_points(), 2);
}

#[test]
fn a_container_that_is_gone_from_its_pod_is_gone_from_the_answer() {
    let mut scene = Scene::new(ours());
    scene.tick(&[("x", OLD, 100, 10), ("y", OLD, 100, 10)]).tick(&[("x", OLD, 110, 30), ("y", OLD, 110, 30)]);
    assert_eq!(scene.tick(&[("y", OLD, 120, 40)]).only(), Some((120, 10, 100)));
    assert_eq!(scene.tick(&[("x", OLD, 130, 60), ("y", OLD, 130, 60)]).pod(), None, "x has to start anew");
    assert_eq!(scene.store.container_points(), 0);
}

#[test]
fn time_and_window_of_a_pod_are_those_of_its_earliest_container() {
    let mut scene = Scene::new(ours());
    scene.tick(&[("x", OLD, 100, 10), ("y", OLD, 99, 10)]);
    let (taken_at, window, _) = scene.tick(&[("x", OLD, 120, 30), ("y", OLD, 105, 30)]).pod().unwrap();
    assert_eq!((taken_at, window), (105, 6));
}

// The deliberate differences, each with its key in both positions.

#[test]
fn a_missed_scrape_is_held_and_the_next_window_is_longer() {
    let mut scene = Scene::new(ours());
    scene.tick(&[("x", OLD, 100, 10)]).tick(&[("x", OLD, 115, 30)]);
    let served = scene.only();
    assert_eq!(scene.missed().only(), served);
    assert_eq!(scene.missed().only(), served);
    assert_eq!(scene.tick(&[("x", OLD, 160, 120)]).only(), Some((160, 45, 200)));
}

#[test]
fn what_is_held_too_long_vanishes_and_starts_anew() {
    let mut scene = Scene::new(ours());
    scene.tick(&[("x", OLD, 100, 10)]).tick(&[("x", OLD, 115, 30)]).missed().missed().missed();
    assert!(scene.only().is_some(), "held for exactly the 45 s that were asked for");
    assert_eq!(scene.missed().only(), None);
    assert_eq!((scene.store.container_points(), scene.store.namespaces_held()), (0, 0));
    assert_eq!(scene.tick(&[("x", OLD, 175, 100)]).only(), None);
}

#[test]
fn with_no_hold_a_missed_scrape_costs_two_rounds() {
    let mut scene = Scene::new(upstreams());
    scene.tick(&[("x", OLD, 100, 10)]).tick(&[("x", OLD, 115, 30)]);
    assert_eq!(scene.missed().only(), None);
    assert_eq!(scene.tick(&[("x", OLD, 145, 90)]).only(), None);
    assert_eq!(scene.tick(&[("x", OLD, 160, 120)]).only(), Some((160, 15, 200)));
}

#[test]
fn a_node_missing_from_its_own_answer_is_held_or_not_as_a_missed_scrape_is() {
    let serves = |rules| {
        let mut scene = Scene::new(rules);
        scene.node_tick(100, 10).node_tick(115, 30).tick(&[]).node().is_some()
    };
    assert_eq!([serves(ours()), serves(upstreams())], [true, false]);
}

#[test]
fn a_falling_counter_costs_the_pod_or_only_the_container_as_configured() {
    let put = |rules| {
        let mut scene = Scene::new(rules);
        scene.tick(&[("x", OLD, 100, 50), ("y", OLD, 100, 10)]);
        scene.now += 15;
        let put = scene.put("n", &pod_answer(&[("x", OLD, 110, 40), ("y", OLD, 110, 30)]));
        (put.fell, scene.pod())
    };
    assert_eq!(put(ours()), (1, None));
    assert_eq!(put(upstreams()), (0, Some((110, 10, vec![("y".to_owned(), 200)]))));
}

/// The pin of upstream's own test.
#[test]
fn a_pod_all_of_whose_counters_fell_is_served_empty_as_upstream_does() {
    let mut scene = Scene::new(upstreams());
    scene.tick(&[("x", OLD, 100, 50)]).tick(&[("x", OLD, 110, 40)]);
    let usage = scene.store.pod(PodRef { namespace: "a", name: "p" }).unwrap();
    assert_eq!((usage.taken_at, usage.window, usage.containers.len()), (UnixNanos::ZERO, WindowNanos(0), 0));
    assert_eq!(scene.tick(&[("x", OLD, 120, 50)]).only(), Some((120, 10, 100)));
}

#[test]
fn containers_come_sorted_or_as_reported_as_configured() {
    let names = |rules| {
        let mut scene = Scene::new(rules);
        scene.tick(&[("z", OLD, 100, 10), ("b", OLD, 100, 10), ("k", OLD, 100, 10)]);
        scene.tick(&[("z", OLD, 110, 20), ("k", OLD, 110, 20), ("b", OLD, 110, 20)]);
        scene.pod().unwrap().2.into_iter().map(|(name, _)| name).collect::<String>()
    };
    assert_eq!([names(ours()), names(upstreams())], ["bkz", "zkb"]);
}

#[test]
fn a_pod_that_moved_is_served_from_its_new_node() {
    let mut scene = Scene::new(ours());
    scene.tick(&[("x", OLD, 100, 1000)]).tick(&[("x", OLD, 115, 2000)]);
    // It starts on node m at 118 s; node n still reports it, and then does not answer at all.
    scene.now = 131;
    scene.put("m", &pod_answer(&[("x", Some(118), 130, 6)]));
    assert_eq!(scene.only(), Some((130, 12, 50)));
    scene.now = 132;
    let put = scene.put("n", &pod_answer(&[("x", OLD, 131, 3000)]));
    assert_eq!((put.elsewhere, scene.only()), (1, Some((130, 12, 50))));
    scene.missed().missed().missed().missed();
    scene.put("m", &pod_answer(&[("x", Some(118), 190, 66)]));
    assert_eq!(scene.only(), Some((190, 60, 100)), "what node n forgets is not what node m serves");
    assert_eq!(scene.store.container_points(), 1);
}

/// Two nodes that both report the pod, in each order of arrival; which one is served.
fn served_of_two(rules: fn() -> Rules, newer_first: bool) -> u64 {
    let mut scene = Scene::new(rules());
    for tick in 0..4u64 {
        let order = if newer_first { [("newer", 50), ("older", 20)] } else { [("older", 20), ("newer", 50)] };
        for (offset, (node, start)) in order.into_iter().enumerate() {
            scene.now = 100 + tick * 15 + offset as u64;
            let rate = if node == "newer" { 1 } else { 10 };
            scene.put(node, &pod_answer(&[("x", Some(start), 100 + tick * 15, 10 + tick * 15 * rate)]));
        }
    }
    scene.only().unwrap().2
}

#[test]
fn of_two_nodes_the_one_with_the_newest_start_or_the_first_answer_counts_as_configured() {
    assert_eq!([served_of_two(ours, true), served_of_two(ours, false)], [100, 100]);
    assert_eq!([served_of_two(upstreams, true), served_of_two(upstreams, false)], [100, 1000]);
}

#[test]
fn the_other_node_takes_over_when_the_one_with_the_say_falls_silent() {
    for rules in [ours(), upstreams()] {
        let mut scene = Scene::new(rules);
        for tick in 1..3 {
            scene.now = tick * 15;
            scene.put("newer", &pod_answer(&[("x", Some(50), 100 + tick * 15, 10 + tick * 15)]));
        }
        for tick in 2..6 {
            scene.now = tick * 15 + 1;
            scene.put("older", &pod_answer(&[("x", Some(20), 100 + tick * 15, 10 + tick * 150)]));
        }
        assert_eq!(scene.only(), Some((175, 15, 1000)));
        assert_eq!(scene.store.container_points(), 1);
    }
}

#[test]
fn a_node_that_is_forgotten_takes_all_of_its_own_along_and_nothing_else() {
    let mut scene = Scene::new(ours());
    for taken_at in [100, 115] {
        let mut answer = pod_answer(&[("x", OLD, taken_at, taken_at), ("y", OLD, taken_at, taken_at)]);
        answer.node = Some(sample(("", None, taken_at, taken_at)));
        scene.put("n", &answer);
        let other = answer.pods.pop_first().unwrap().1;
        answer.pods.insert(("b".to_owned(), "q".to_owned()), other);
        scene.put("m", &answer);
    }
    assert_eq!((scene.store.container_points(), scene.store.node_points(), scene.store.namespaces_held()), (4, 2, 2));
    scene.store.forget(&NodeName::new("n"));
    assert_eq!((scene.store.container_points(), scene.store.node_points(), scene.store.namespaces_held()), (2, 1, 1));
    assert!(scene.store.namespace("a").is_none());
    assert_eq!(scene.pod(), None);
    scene.store.forget(&NodeName::new("m"));
    scene.store.forget(&NodeName::new("never seen"));
    scene.store.miss(&NodeName::new("never seen"), at(0));
    assert_eq!((scene.store.container_points(), scene.store.node_points(), scene.store.namespaces_held()), (0, 0, 0));
}

#[test]
fn what_still_waits_for_its_first_usage_leaves_no_namespace_behind() {
    let mut scene = Scene::new(ours());
    scene.tick(&[("x", OLD, 100, 10)]);
    assert_eq!(scene.store.container_points(), 0);
    scene.store.forget(&NodeName::new("n"));
    assert_eq!(scene.store.namespaces_held(), 0);
}

#[test]
fn what_became_of_a_batch_is_counted() {
    let mut scene = Scene::new(ours());
    let answer = |taken_at, cpu| {
        let mut answer = pod_answer(&[("x", OLD, taken_at, cpu)]);
        answer.node = Some(sample(("", None, taken_at, cpu)));
        answer
    };
    assert_eq!(scene.put("n", &answer(100, 10)), Put { waiting: 2, ..Put::default() });
    assert_eq!(scene.put("n", &answer(110, 20)), Put::default());
    assert_eq!(scene.put("n", &answer(120, 5)), Put { fell: 2, ..Put::default() });
}

/// From capture to capture of one kubelet, worked out by hand.
#[test]
fn usage_between_two_captures_is_what_a_hand_calculation_gives() {
    let store = Store::new(ours());
    let node = NodeName::new("node1");
    let captures = [
        (include_bytes!("../../../tests/fixtures/kubelet/resource-1.txt").as_slice(), 1_795_212_488_528),
        (include_bytes!("../../../tests/fixtures/kubelet/resource-2.txt").as_slice(), 1_795_212_508_639),
    ];
    for (body, asked_at) in captures {
        let asked_at = UnixNanos::from_millis(asked_at).unwrap();
        let reading = Reading { form: Form::Text, asked_at, timestamp: TimestampOf::Cpu };
        store.put(&node, &decode::batch(body, reading).unwrap(), asked_at, None);
    }
    // (7164.256626872 - 7126.980103927) s = 37276522945 ns of CPU in 504505 - 484429 = 20076 ms: 1856770419.65 n.
    let usage = store.node("node1").unwrap();
    assert_eq!((usage.cpu, usage.window), (Nanocores(1_856_770_419), WindowNanos(20_076_000_000)));
    assert_eq!((usage.memory, usage.taken_at), (Bytes(1_375_019_008), UnixNanos(1_795_212_504_505_000_000)));
    // `kubectl top node` rounds CPU up to 1857m and truncates 1311.32 MiB to 1311Mi.
    assert_eq!(as_kubectl_prints(&[(usage.cpu, usage.memory)]), (1857, 1311));

    let pod = |name| store.pod(PodRef { namespace: "default", name }).unwrap();
    // 2.566223282 - 0.835471697 = 1.730751585 s in 507269 - 472677 = 34592 ms: 50033290.50 n, 51m; 32.79 MiB.
    check_container(&pod("busy-6f8b898f67-5hflb"), "burn", 50_033_290, 34_381_824, (51, 32));
    // 1.981664778 - 1.025403955 = 0.956260823 s in 495786 - 476764 = 19022 ms: 50271308.12 n, 51m; 32.81 MiB.
    check_container(&pod("busy-6f8b898f67-rc4v8"), "burn", 50_271_308, 34_406_400, (51, 32));
    // 4.117652324 - 2.687347525 = 1.430304799 s in 506272 - 488306 = 17966 ms: 79611755.48 n, 80m; 96.94 MiB.
    let twins = pod("twins");
    check_container(&twins, "large", 79_611_755, 101_650_432, (80, 96));
    // 1.448107256 - 0.515064871 (…872, truncated) = 0.933042385 s in 503761 - 472888 = 30873 ms: 30221953.97 n, 31m.
    check_container(&twins, "small", 30_221_953, 25_989_120, (31, 24));
    // The pod bears the time and the window of its earlier container, `small`.
    assert_eq!(twins.taken_at, UnixNanos::from_millis(1_795_212_503_761).unwrap());
    assert_eq!(twins.window, WindowNanos(30_873_000_000));
    // `kubectl top pod` adds first: 79611755 + 30221953 = 109833708 n, 110m; 127639552 B = 121.73 MiB, 121Mi.
    let all: Vec<_> =
        twins.containers.iter().map(|container| (container.cpu().unwrap(), container.memory().unwrap())).collect();
    assert_eq!(as_kubectl_prints(&all), (110, 121));
    assert_eq!((store.container_points(), store.node_points()), (4, 1));
}

fn check_container(pod: &PodUsage, name: &str, nanocores: u64, bytes: u64, printed: (u64, u64)) {
    let container = pod.containers.iter().find(|container| &*container.name == name).unwrap();
    let (cpu, memory) = (container.cpu().unwrap(), container.memory().unwrap());
    assert_eq!((cpu, memory), (Nanocores(nanocores), Bytes(bytes)), "of {name}");
    assert_eq!(as_kubectl_prints(&[(cpu, memory)]), printed, "of {name}");
}

/// Millicores and mebibytes of the sum: kubectl rounds the one up and truncates the other.
fn as_kubectl_prints(usages: &[(Nanocores, Bytes)]) -> (u64, u64) {
    let nanocores: u64 = usages.iter().map(|(cpu, _)| cpu.0).sum();
    let bytes: u64 = usages.iter().map(|(_, memory)| memory.0).sum();
    (nanocores.div_ceil(1_000_000), bytes >> 20)
}

#[test]
fn readers_beside_writers_see_every_pod_whole() {
    const ROUNDS: u64 = 400;
    let store = Store::new(ours());
    let done = AtomicBool::new(false);
    let names = ["p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7"];
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..2)
            .map(|node| {
                let (store, names) = (&store, names);
                scope.spawn(move || {
                    let of_node = names.iter().skip(node).step_by(2);
                    let pods: Vec<PodKey> = of_node.map(|name| ("a".to_owned(), (*name).to_owned())).collect();
                    let node = NodeName::new(format!("node-{node}"));
                    for round in 1..=ROUNDS {
                        // Memory and time of all containers of a pod are those of the round.
                        let containers = ["x", "y", "z"].map(|name| (name.to_owned(), sample(("", OLD, round, round))));
                        let pods = pods.iter().map(|pod| (pod.clone(), containers.to_vec())).collect();
                        store.put(&node, &batch_of(&Answer { node: None, pods }), at(round), None);
                    }
                })
            })
            .collect();
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let is_last = done.load(Ordering::Acquire);
                    for usage in names.iter().filter_map(|name| store.pod(PodRef { namespace: "a", name })) {
                        let round = (usage.taken_at.0 - START) / SECOND;
                        let memory: Vec<u64> =
                            usage.containers.iter().map(|container| container.memory().unwrap().0).collect();
                        assert_eq!(memory, [round + 1; 3], "of one round");
                    }
                    if is_last {
                        break;
                    }
                }
            });
        }
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        done.store(true, Ordering::Release);
    });
    assert_eq!(store.container_points(), names.len() * 3);
    assert_eq!(visible_containers(&store), names.len() * 3);
}

// What goes wrong between nodes, clocks and threads.

/// The pod has only just started on `newer`, too young for usage; `older` still reports the run before.
#[test]
fn a_pod_that_moved_and_has_no_usage_yet_is_not_served_from_its_old_node() {
    for newer_first in [true, false] {
        let mut scene = Scene::new(ours());
        for taken_at in [100, 115] {
            scene.now = taken_at;
            scene.put("older", &pod_answer(&[("x", OLD, taken_at, taken_at)]));
        }
        scene.now = 131;
        let (newer, older) = (pod_answer(&[("x", Some(125), 130, 5)]), pod_answer(&[("x", OLD, 130, 900)]));
        for (node, answer) in
            if newer_first { [("newer", &newer), ("older", &older)] } else { [("older", &older), ("newer", &newer)] }
        {
            scene.put(node, answer);
        }
        assert_eq!((scene.only(), scene.store.container_points()), (None, 0), "newer first: {newer_first}");
        scene.now = 132;
        assert_eq!(scene.put("older", &pod_answer(&[("x", OLD, 131, 901)])).elsewhere, 1);
        assert_eq!(scene.only(), None);
        // Once the new node has nothing to say any more, the old one is believed again.
        scene.store.forget(&NodeName::new("newer"));
        scene.put("older", &pod_answer(&[("x", OLD, 140, 910)]));
        assert_eq!(scene.only(), Some((140, 9, 100)));
    }
}

#[test]
fn a_clock_that_was_set_back_does_not_prolong_what_is_held() {
    for rules in [ours(), upstreams()] {
        let mut scene = Scene::new(rules);
        scene.now = 10_000;
        scene.node_tick(100, 10).tick(&[("x", OLD, 100, 10)]).node_tick(115, 30).tick(&[("x", OLD, 115, 30)]);
        scene.now = 0;
        scene.missed().missed().missed().missed().missed();
        assert_eq!((scene.node(), scene.only()), (None, None));
    }
}

#[test]
fn a_namespace_that_a_reader_still_holds_leaves_nothing_behind() {
    let mut scene = Scene::new(ours());
    scene.tick(&[("x", OLD, 100, 10)]).tick(&[("x", OLD, 115, 30)]);
    let reader = scene.store.namespace("a").unwrap();
    scene.store.forget(&NodeName::new("n"));
    assert_eq!((reader.read().len(), scene.store.namespaces_held()), (0, 0));
}

#[test]
fn a_node_that_is_forgotten_while_it_answers_leaves_nothing_behind() {
    let store = Store::new(ours());
    let node = NodeName::new("n");
    let answer = |round| {
        let mut answer = pod_answer(&[("x", OLD, round, round), ("y", OLD, round, round)]);
        answer.node = Some(sample(("", None, round, round)));
        answer
    };
    for round in 0..200 {
        std::thread::scope(|scope| {
            // The history is looked up before the node is forgotten, and written to after.
            scope.spawn(|| {
                [1, 2, 3].map(|offset| store.put(&node, &batch_of(&answer(round * 3 + offset)), at(round), None))
            });
            scope.spawn(|| store.forget(&node));
        });
        store.forget(&node);
        assert_eq!((store.container_points(), store.node_points(), store.namespaces_held()), (0, 0, 0));
    }
}

/// A kubelet may name as many containers as its answer has room for.
#[test]
fn a_pod_of_very_many_containers_in_another_order_keeps_their_histories() {
    let mut containers: Vec<(String, Sample)> =
        (0..30_000).map(|index| (format!("c{index:05}"), sample(("", OLD, 100, 10)))).collect();
    let store = Store::new(ours());
    for taken_at in [100, 110] {
        containers.iter_mut().for_each(|(_, container)| *container = sample(("", OLD, taken_at, taken_at)));
        let pod = ("a".to_owned(), "p".to_owned());
        let answer = Answer { node: None, pods: BTreeMap::from([(pod, containers.clone())]) };
        store.put(&NodeName::new("n"), &batch_of(&answer), at(taken_at), None);
        containers.reverse();
    }
    assert_eq!(store.container_points(), 30_000);
}
