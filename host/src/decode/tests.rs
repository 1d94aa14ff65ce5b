//! What is promised of kubelet answers: against captures of a real kubelet, against the cases that upstream's own
//! tests pin, and against a slow decoder ([`reference`]) on generated texts.

mod generate;
mod reference;

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::model::units::{Bytes, CpuNanoseconds};
use reference::{Answer, PodKey};

const CAPTURES: [&str; 3] = [
    include_str!("../../../tests/fixtures/kubelet/resource-1.txt"),
    include_str!("../../../tests/fixtures/kubelet/resource-2.txt"),
    include_str!("../../../tests/fixtures/kubelet/resource-3.txt"),
];
const SUMMARY: &str = include_str!("../../../tests/fixtures/kubelet/summary-1.json");
/// 2026-11-20T22:08:08.528Z, when the first captures were asked for.
const ASKED_AT: UnixNanos = UnixNanos(1_795_212_488_528_000_000);

/// At least 512; more where `PROPTEST_CASES` asks for more.
fn cases() -> ProptestConfig {
    let asked = ProptestConfig::default();
    ProptestConfig { cases: asked.cases.max(512), ..asked }
}

fn reading(form: Form) -> Reading {
    Reading { form, asked_at: ASKED_AT, timestamp: TimestampOf::Cpu }
}

fn text(body: &str) -> Batch<'_> {
    batch(body.as_bytes(), reading(Form::Text)).unwrap()
}

/// A batch in the form of the reference's answers.
fn answer(batch: &Batch<'_>) -> Answer {
    let pods: BTreeMap<PodKey, Vec<(String, Sample)>> = batch
        .pods()
        .map(|pod| {
            let key = (pod[0].namespace.to_string(), pod[0].pod.to_string());
            (key, pod.iter().map(|container| (container.container.to_string(), container.sample)).collect())
        })
        .collect();
    let LeftOut { bad_lines, incomplete_pods } = batch.left_out;
    Answer { node: batch.node, pods, bad_lines, incomplete_pods }
}

fn agrees_with_the_reference(body: &[u8], timestamp: TimestampOf) -> Result<(), TestCaseError> {
    let ours = batch(body, Reading { timestamp, ..reading(Form::Text) }).ok();
    let theirs = reference::decode(body, ASKED_AT, timestamp);
    prop_assert_eq!(ours.as_ref().map(answer), theirs, "of {}", body.escape_ascii());
    Ok(())
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn any_kubelet_text_decodes_as_the_reference_does(body in generate::body(), last_line: bool) {
        let timestamp = if last_line { TimestampOf::LastLine } else { TimestampOf::Cpu };
        agrees_with_the_reference(&body, timestamp)?;
    }

    #[test]
    fn a_damaged_capture_decodes_as_the_reference_does(body in generate::damaged(CAPTURES[0].as_bytes())) {
        agrees_with_the_reference(&body, TimestampOf::Cpu)?;
    }

    #[test]
    fn any_bytes_decode_as_the_reference_does(body in prop::collection::vec(any::<u8>(), 0..300)) {
        agrees_with_the_reference(&body, TimestampOf::Cpu)?;
    }

    #[test]
    fn a_damaged_summary_yields_complete_pods_or_an_error(body in generate::damaged(SUMMARY.as_bytes())) {
        if let Ok(batch) = batch(&body, reading(Form::Summary)) {
            prop_assert!(batch.pods().flatten().all(|container| complete(&container.sample)), "{batch:?}");
        }
    }

    #[test]
    fn bytes_that_are_no_json_are_no_summary(body in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(batch(&body, reading(Form::Summary)).is_err());
    }
}

#[test]
fn the_captures_of_a_real_kubelet_decode_as_the_reference_does() {
    for capture in CAPTURES {
        for timestamp in [TimestampOf::Cpu, TimestampOf::LastLine] {
            agrees_with_the_reference(capture.as_bytes(), timestamp).unwrap();
        }
        let answer = answer(&text(capture));
        assert_eq!((answer.pods.len(), answer.bad_lines, answer.incomplete_pods), (3, 0, 0));
    }
}

#[test]
fn a_capture_holds_what_its_lines_say() {
    let batch = text(CAPTURES[0]);
    let millis = |millis| UnixNanos::from_millis(millis).unwrap();
    let sample = |taken_at, cpu, memory| Sample {
        taken_at: millis(taken_at),
        started_at: UnixNanos::ZERO,
        cpu: CpuNanoseconds(cpu),
        memory: Bytes(memory),
    };
    assert_eq!(batch.node, Some(sample(1_795_212_484_429, 7_126_980_103_927, 1_602_637_824)));
    let of_pod = |name| {
        let pod = batch.pods().find(|pod| pod[0].pod == name).unwrap();
        pod.iter().map(|container| (&*container.container, container.sample)).collect::<Vec<_>>()
    };
    assert_eq!(of_pod("busy-6f8b898f67-5hflb"), [("burn", sample(1_795_212_472_677, 835_471_697, 33_910_784))]);
    assert_eq!(of_pod("busy-6f8b898f67-rc4v8"), [("burn", sample(1_795_212_476_764, 1_025_403_955, 34_406_400))]);
    let twins = of_pod("twins");
    assert_eq!(twins[0], ("large", sample(1_795_212_488_306, 2_687_347_525, 101_650_432)));
    // 0.515064872 s: times 1e9 in floating point falls just short, and is truncated, as upstream does.
    assert_eq!(twins[1], ("small", sample(1_795_212_472_888, 515_064_871, 25_706_496)));
}

#[test]
fn the_summary_says_what_the_text_of_the_same_moment_says() {
    let text = answer(&text(CAPTURES[0]));
    let summary = answer(&batch(SUMMARY.as_bytes(), reading(Form::Summary)).unwrap());
    let agree = |a: &Sample, b: &Sample| {
        // The text bears milliseconds, the summary whole seconds; the text's CPU went through floating point.
        assert_eq!(a.taken_at.seconds(), b.taken_at.seconds());
        assert!(a.cpu.0.abs_diff(b.cpu.0) <= 1, "{a:?} {b:?}");
        assert_eq!(a.memory, b.memory);
    };
    agree(&text.node.unwrap(), &summary.node.unwrap());
    assert_eq!(text.pods.len(), summary.pods.len());
    for (pod, containers) in &text.pods {
        for (name, sample) in containers {
            let (_, other) = summary.pods[pod].iter().find(|(other, _)| other == name).unwrap();
            agree(sample, other);
            // 1.20 does not print start times in its text, but has them here: 22:07:37 and 22:07:38.
            assert_eq!(sample.started_at, UnixNanos::ZERO);
            assert!((1_795_212_457..=1_795_212_458).contains(&other.started_at.seconds()), "{other:?}");
        }
    }
}

/// Which of node and containers are served of these lines: upstream's decode cases, in our words.
fn check(body: &str, node: bool, containers: &[&str]) {
    let batch = text(body);
    let names: Vec<&str> = batch.pods().flatten().map(|container| &*container.container).collect();
    assert_eq!((batch.node.is_some(), &*names), (node, containers), "of:\n{body}");
}

const NODE_CPU: &str = "node_cpu_usage_seconds_total 357.35491 1633253809720\n";
const NODE_MEMORY: &str = "node_memory_working_set_bytes 1.616273408e+09 1633253809720\n";
const POD_CPU: &str =
    "container_cpu_usage_seconds_total{container=\"c\",namespace=\"n\",pod=\"p\"} 4.710 1633253812125\n";
const POD_MEMORY: &str =
    "container_memory_working_set_bytes{container=\"c\",namespace=\"n\",pod=\"p\"} 1.253e+07 1633253812125\n";
const POD_START: &str =
    "container_start_time_seconds{container=\"c\",namespace=\"n\",pod=\"p\"} 1.63325e+09 1633253812125\n";

/// `line` with another value, and its time.
fn with_value(line: &str, value: &str) -> String {
    let words: Vec<&str> = line.rsplitn(3, ' ').collect();
    format!("{} {value} {}", words[2], words[0])
}

#[test]
fn node_and_pods_are_kept_only_where_complete() {
    let node = format!("{NODE_CPU}{NODE_MEMORY}");
    let pod = format!("{POD_CPU}{POD_MEMORY}{POD_START}");
    check(&format!("{node}{pod}"), true, &["c"]);
    check(&pod, false, &["c"]);
    check(&format!("{node}{POD_MEMORY}{POD_START}"), true, &[]);
    check(&format!("{node}{}{POD_MEMORY}{POD_START}", with_value(POD_CPU, "0")), true, &[]);
    check(&format!("{node}{POD_CPU}{POD_START}"), true, &[]);
    check(&format!("{node}{POD_CPU}{}{POD_START}", with_value(POD_MEMORY, "0")), true, &[]);
    check(&node, true, &[]);
    check(&format!("{NODE_MEMORY}{pod}"), false, &["c"]);
    check(&format!("{}{NODE_MEMORY}{pod}", with_value(NODE_CPU, "0")), false, &["c"]);
    check(&format!("{NODE_CPU}{pod}"), false, &["c"]);
    check(&format!("{NODE_CPU}{}{pod}", with_value(NODE_MEMORY, "0")), false, &["c"]);
    check("", false, &[]);
}

#[test]
fn samples_without_a_time_bear_the_time_just_before_the_request() {
    let body = format!("{NODE_CPU}{NODE_MEMORY}{POD_CPU}{POD_MEMORY}{POD_START}");
    let body: String = body.lines().map(|line| format!("{}\n", line.rsplit_once(' ').unwrap().0)).collect();
    let batch = text(&body);
    let pod = batch.pods().next().unwrap();
    assert_eq!((batch.node.unwrap().taken_at, pod[0].sample.taken_at), (ASKED_AT, ASKED_AT));
    assert_eq!(pod[0].sample.started_at, UnixNanos(1_633_250_000_000_000_000));
}

/// Upstream drops the node's whole answer for such a line; we drop the line, and with it what it leaves incomplete.
#[test]
fn a_line_with_a_negative_time_costs_only_itself() {
    let spoilt = with_value(POD_MEMORY, "5").replace("1633253812125", "-62135596800000");
    let batch = batch_of_bad_line(&spoilt);
    assert_eq!(batch.left_out, LeftOut { bad_lines: 1, incomplete_pods: 1 });
    assert!(batch.node.is_some());
    assert!(super::batch(spoilt.as_bytes(), reading(Form::Text)).is_err(), "nothing else in the answer can be read");
}

fn batch_of_bad_line(spoilt: &str) -> Batch<'static> {
    let body = format!("{NODE_CPU}{NODE_MEMORY}{POD_CPU}{spoilt}").leak();
    text(body)
}

#[test]
fn a_pod_with_one_incomplete_container_is_left_out_whole() {
    let other = POD_START.replace("container=\"c\"", "container=\"only-started\"");
    let elsewhere = format!("{POD_CPU}{POD_MEMORY}").replace("pod=\"p\"", "pod=\"q\"");
    let body = format!("{POD_CPU}{POD_MEMORY}{other}{elsewhere}");
    let batch = text(&body);
    assert_eq!(batch.left_out, LeftOut { bad_lines: 0, incomplete_pods: 1 });
    assert_eq!(batch.pods().map(|pod| &*pod[0].pod).collect::<Vec<_>>(), ["q"]);
}

#[test]
fn the_time_of_a_sample_is_the_cpu_lines_unless_upstreams_rule_is_asked_for() {
    let later = POD_MEMORY.replace("1633253812125", "1633253813000");
    let body = format!("{POD_CPU}{later}");
    let taken_at = |timestamp| {
        let batch = batch(body.as_bytes(), Reading { timestamp, ..reading(Form::Text) }).unwrap();
        batch.pods().next().unwrap()[0].sample.taken_at
    };
    assert_eq!(taken_at(TimestampOf::Cpu), UnixNanos::from_millis(1_633_253_812_125).unwrap());
    assert_eq!(taken_at(TimestampOf::LastLine), UnixNanos::from_millis(1_633_253_813_000).unwrap());
}

#[test]
fn labels_are_parsed_and_not_searched_for() {
    let misleading = r#"init_container="x",a="container=\"y\"",container="#;
    let body = format!("{POD_CPU}{POD_MEMORY}").replace("container=", misleading);
    check(&body, false, &["c"]);
    let batch = text(&body);
    assert_eq!(batch.left_out, LeftOut::default());
}

#[test]
fn names_without_escapes_are_borrowed_from_the_body() {
    let body = format!("{POD_CPU}{POD_MEMORY}");
    let batch = text(&body);
    let container = &batch.pods().next().unwrap()[0];
    assert!(matches!(container.pod, std::borrow::Cow::Borrowed(_)), "{container:?}");
}

#[test]
fn of_two_samples_for_one_container_the_last_counts() {
    let body = format!("{POD_CPU}{POD_MEMORY}{}", with_value(POD_CPU, "9"));
    let batch = text(&body);
    assert_eq!(batch.pods().next().unwrap()[0].sample.cpu, CpuNanoseconds(9_000_000_000));
    check(&format!("{POD_CPU}{POD_MEMORY}{}", with_value(POD_CPU, "NaN")), false, &[]);
}

#[test]
fn what_is_no_exposition_text_at_all_is_an_error() {
    for body in ["Unauthorized", "<html>\n<h1>404</h1>\n</html>", "{\"kind\":\"Status\",\"code\":401}", "\0\0\0"] {
        let error = batch(body.as_bytes(), reading(Form::Text)).unwrap_err();
        let lines = u32::try_from(body.lines().count()).unwrap();
        assert_eq!(error, DecodeError::NotText { lines }, "of {body}");
    }
    let noise = "# begins as a comment does\nends with a digit 7\n\u{1}\u{2}\u{3}\n";
    let error = batch(noise.as_bytes(), reading(Form::Text)).unwrap_err();
    assert_eq!(error, DecodeError::NotText { lines: 1 }, "one line of noise is enough where there is no sample");
    let error = batch(b"404 page not found", reading(Form::Summary)).unwrap_err();
    assert!(error.to_string().starts_with("it is no stats summary: "), "{error}");
}

#[test]
fn a_deeply_nested_summary_is_refused_and_not_followed() {
    let deep = format!("{{\"node\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(batch(deep.as_bytes(), reading(Form::Summary)).is_err());
}

#[test]
fn a_label_name_cannot_begin_with_a_digit() {
    let body = format!("{POD_CPU}{}", POD_MEMORY.replace("container=", "9=\"\",container="));
    assert_eq!(text(&body).left_out, LeftOut { bad_lines: 1, incomplete_pods: 1 });
}

/// The summary of a node without anything but these pods.
fn summary_of(pods: &str) -> String {
    let time = r#""time":"2026-11-20T22:08:04Z""#;
    let node = format!(r#"{{"cpu":{{{time},"usageCoreNanoSeconds":5}},"memory":{{{time},"workingSetBytes":6}}}}"#);
    format!(r#"{{"node":{node},"pods":{pods}}}"#)
}

fn summary_pod(name: &str, containers: &str) -> String {
    format!(r#"{{"podRef":{{"name":"{name}","namespace":"n"}},"containers":{containers}}}"#)
}

fn summary_container(time: &str, start: &str, cpu: u64) -> String {
    format!(
        r#"[{{"name":"c","startTime":{start},"cpu":{{"time":{time},"usageCoreNanoSeconds":{cpu}}},
            "memory":{{"time":{time},"workingSetBytes":4}}}}]"#
    )
}

const TIME: &str = r#""2026-11-20T22:08:04Z""#;

fn summary(body: &str) -> Answer {
    answer(&batch(body.as_bytes(), reading(Form::Summary)).unwrap())
}

/// Go writes an empty list that was never made as `null`.
#[test]
fn a_summary_without_pods_or_of_a_pod_without_containers_is_read() {
    assert!(summary(&summary_of("null")).node.is_some());
    let pods = format!("[{},{}]", summary_pod("p", "null"), summary_pod("q", &summary_container(TIME, "null", 3)));
    let answer = summary(&summary_of(&pods));
    assert_eq!((answer.pods.len(), answer.bad_lines), (1, 0));
}

#[test]
fn a_summary_sample_without_a_time_bears_the_time_just_before_the_request() {
    for time in ["null", r#""0001-01-01T00:00:00Z""#] {
        let pods = format!("[{}]", summary_pod("p", &summary_container(time, "null", 3)));
        let answer = summary(&summary_of(&pods));
        assert_eq!(answer.pods.values().next().unwrap()[0].1.taken_at, ASKED_AT, "of {time}");
    }
}

#[test]
fn one_unreadable_pod_of_a_summary_costs_that_pod() {
    let whole = summary_pod("p", &summary_container(TIME, "null", 3));
    for broken in [
        summary_pod("q", &summary_container(r#""noon""#, "null", 3)),
        summary_pod("q", "7"),
        whole.replace(r#""cpu":{"#, r#""cpu":{"usageCoreNanoSeconds":-1,"#).replace(r#","usageCoreNanoSeconds":3"#, ""),
        whole.replace("podRef", "podReference"),
        "null".to_owned(),
    ] {
        let answer = summary(&summary_of(&format!("[{broken},{whole}]")));
        assert_eq!((answer.pods.len(), answer.bad_lines), (1, 1), "of {broken}");
    }
}

#[test]
fn an_unreadable_node_of_a_summary_costs_only_the_node() {
    let whole = summary_pod("p", &summary_container(TIME, "null", 3));
    let answer = summary(&format!(r#"{{"node":{{"cpu":7}},"pods":[{whole}]}}"#));
    assert_eq!((answer.node, answer.pods.len(), answer.bad_lines), (None, 1, 1));
    assert!(batch(br#"{"node":7,"pods":[8]}"#, reading(Form::Summary)).is_err(), "nothing of it can be read");
}

/// A kubelet lists a pod that was replaced under its name beside the one that replaced it.
#[test]
fn of_two_runs_of_one_container_in_a_summary_the_newest_start_counts() {
    let old = summary_pod("p", &summary_container(TIME, r#""2026-11-20T22:00:00Z""#, 900));
    let new = summary_pod("p", &summary_container(TIME, r#""2026-11-20T22:07:00Z""#, 3));
    for pods in [format!("[{old},{new}]"), format!("[{new},{old}]")] {
        let answer = summary(&summary_of(&pods));
        let containers: Vec<u64> = answer.pods.values().flatten().map(|(_, sample)| sample.cpu.0).collect();
        assert_eq!(containers, [3]);
    }
}

#[test]
fn the_text_of_an_error_is_short_whatever_the_kubelet_says() {
    let body = format!(r#"{{"node":{{}},"pods":"{}"}}"#, "é\\n".repeat(100_000));
    let error = batch(body.as_bytes(), reading(Form::Summary)).unwrap_err().to_string();
    assert!(error.len() < 300, "{} bytes", error.len());
}

#[test]
fn a_pod_that_is_left_out_is_named_with_the_container_and_what_it_lacks() {
    let line = |family: &str, container: &str, value: u32| {
        format!("{family}{{container=\"{container}\",namespace=\"shop\",pod=\"web\"}} {value} 1795212472677\n")
    };
    let body = ["app", "side"].map(|container| line("container_cpu_usage_seconds_total", container, 1)).concat()
        + &line("container_memory_working_set_bytes", "app", 1)
        + &line("container_memory_working_set_bytes", "side", 0);
    let batch = text(&body);
    let expected = Incomplete {
        namespace: "shop".into(),
        pod: "web".into(),
        container: "side".into(),
        lacks_cpu: false,
        lacks_memory: true,
    };
    assert_eq!((batch.incomplete, batch.left_out.incomplete_pods), (vec![expected], 1));
}

#[test]
fn of_very_many_incomplete_pods_all_are_counted_and_the_first_are_named() {
    let pods = u32::try_from(Incomplete::MOST).unwrap() + 10;
    let line = |pod| format!("container_cpu_usage_seconds_total{{container=\"c\",namespace=\"n\",pod=\"{pod}\"}} 1\n");
    let body: String = (0..pods).map(line).collect();
    let batch = text(&body);
    assert_eq!((batch.left_out.incomplete_pods, batch.incomplete.len()), (pods, Incomplete::MOST));
}
