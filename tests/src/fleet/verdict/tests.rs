//! A judge who acquits everybody would make every test pass, so this one is judged.

use serde_json::json;

use super::super::{FleetSpec, Load};
use super::*;

const START: u64 = 1_900_000_000 * SECOND;

fn fleet(load: Load) -> Fleet {
    Fleet::elsewhere(&FleetSpec { load, ..FleetSpec::default() }, vec![([127, 0, 0, 1], 1).into(); 3])
}

/// What a scrape at `from` and one at `to` make of a pod, in the words of the API; the second container uses `more`.
fn answer(fleet: &Fleet, pod: &FleetPod, from: u64, to: u64, more: u64) -> Value {
    let newest = |container: &str, at: u64| fleet.simulation.container(pod, container).rhythm.newest(UnixNanos(at));
    let usage = |container: &str| fleet.expected_usage(pod, container, newest(container, from), newest(container, to));
    let oldest =
        pod.containers.iter().map(|name| usage(name)).min_by_key(|usage| usage.taken_at).expect("two containers");
    let shown = |name: &String, more: u64| {
        let usage = usage(name);
        json!({"name": name, "usage": {"cpu": format!("{}n", usage.cpu.0 + more), "memory": usage.memory.0.to_string()}})
    };
    let time = jiff::Timestamp::from_second((oldest.taken_at.0 / SECOND).cast_signed()).expect("a time");
    let window = format!("{}s", Duration::from_nanos(oldest.window.0).as_secs_f64());
    let containers = [shown(&pod.containers[0], 0), shown(&pod.containers[1], more)];
    json!({"timestamp": time.to_string(), "window": window, "containers": containers})
}

#[test]
fn every_answer_that_two_scrapes_can_make_is_right_and_others_are_wrong() {
    let fleet = fleet(Load::Waves);
    for step in 0..50 {
        let (from, to) = (START + step * SECOND / 50, START + 11 * SECOND + (step * 37 % 50) * SECOND / 50);
        for pod in &fleet.nodes()[0].pods {
            let right = answer(&fleet, pod, from, to, 0);
            fleet.check_pod(pod, &right).expect("it is what two scrapes make");
            let wrong = answer(&fleet, pod, from, to, 2);
            assert!(fleet.check_pod(pod, &wrong).is_err(), "two nanocores too many: {wrong}");
        }
    }
}

#[test]
fn a_pod_without_one_of_its_containers_is_wrong() {
    let fleet = fleet(Load::Waves);
    let pod = &fleet.nodes()[0].pods[0];
    let mut item = answer(&fleet, pod, START, START + 10 * SECOND, 0);
    item["containers"].as_array_mut().expect("a list").pop();
    assert!(fleet.check_pod(pod, &item).is_err(), "{item}");
}

#[test]
fn windows_are_read_as_go_writes_them() {
    let read = |text: &str| go_duration(text).map(|duration| duration.as_millis());
    assert_eq!([read("15s"), read("14.991s"), read("1m2.5s")], [Some(15_000), Some(14_991), Some(62_500)]);
    assert_eq!([read("15"), read("s"), read("-1s")], [None; 3]);
}
