use super::*;

fn measured(hook: Hook, rows: usize, micros: std::ops::RangeInclusive<u64>) -> Measured {
    let times = micros.map(Duration::from_micros).collect();
    Measured { hook, rows, samples: 2, life: Life::OneCall, times, memory: 8 << 20, fuel: Some(1) }
}

#[test]
fn percentiles_are_of_measured_calls() {
    let hundred = measured(Hook::Window, 110, 1..=100);
    assert_eq!(hundred.percentile(50), Duration::from_micros(50));
    assert_eq!(hundred.percentile(99), Duration::from_micros(99));
    assert_eq!(measured(Hook::Window, 110, 7..=7).percentile(99), Duration::from_micros(7));
}

#[test]
fn shares_are_of_the_limits_in_force() {
    let limits = PluginLimits::default();
    let window = measured(Hook::Window, 110, 500..=500);
    assert!((window.share_of_budget(&limits) - 1.0).abs() < 1e-9, "{}", window.share_of_budget(&limits));
    assert!((window.share_of_memory(&limits) - 25.0).abs() < 1e-9);
    let tight = PluginLimits { cpu: Some(Duration::from_millis(1)), ..limits };
    assert!((window.share_of_budget(&tight) - 50.0).abs() < 1e-9);
}

#[test]
fn a_fleet_costs_what_a_thousand_of_its_nodes_cost() {
    // 15 µs for each of 1,000 nodes are 15 ms in 15 s: a thousandth of a core.
    let node = measured(Hook::Window, FLEET_PODS, 15..=15);
    assert!(node.fleet().is_some_and(|share| (share - 0.1).abs() < 1e-9), "{:?}", node.fleet());
    assert_eq!(measured(Hook::Window, 110, 15..=15).fleet(), None);
}

#[test]
fn a_node_of_the_fleet_is_always_measured_and_nodes_come_one_at_a_time() {
    assert_eq!(rows(Hook::Window, &[1_100, 110]), [30, 110, 1_100]);
    assert_eq!(rows(Hook::Filter, &[30]), [30]);
    assert_eq!(rows(Hook::Address, &[110, 1_100]), [1]);
}

#[test]
fn measuring_ends_after_enough_calls_and_after_enough_time() {
    let called = |cpu: Duration| {
        let answer = super::super::question::Answer::Verdicts(Vec::new());
        move |_: &Question| Ok(crate::plugins::call::Called { answer: answer.clone(), cpu, memory: 7, fuel: None })
    };
    let question = typical::question(Hook::Filter, 1, 2);
    let (quick, memory) = measure(&called(Duration::from_micros(1)), &question).expect("it answers");
    assert_eq!((quick.len(), memory), (CALLS, 7));
    let (slow, _) = measure(&called(Duration::from_secs(1)), &question).expect("it answers");
    assert_eq!(slow.len(), FEWEST_CALLS);
}
