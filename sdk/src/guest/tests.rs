use std::cell::OnceCell;

use proptest::prelude::*;
use serde::Deserialize;

use super::bindings::address::exports::metrics_gateway::policy::address::{Choice as Answer, Guest as _};
use super::bindings::filter::exports::metrics_gateway::policy::filter::{Guest as _, Pod as AskedPod};
use super::bindings::filter_by_value::exports::metrics_gateway::policy::filter_by_value::Guest as _;
use super::bindings::window::exports::metrics_gateway::policy::window::Guest as _;
use super::{Exports, Place, check_package, configure, describe, types};
use crate::address::{Address, Candidate, Choice, Node};
use crate::filter::{Filter, Pod, ValueFilter, Verdict};
use crate::settings::{JsonSchema, NoSettings};
use crate::testing::{EPOCH, hostile};
use crate::window::Window;
use crate::{Bytes, Duration, Nanocores, Series, Usage};

/// A policy of every hook, which answers what its settings say.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Puppet {
    hosts: usize,
    reason: String,
    refuses: bool,
    window: Duration,
    memory: Bytes,
}

impl Puppet {
    fn try_new(self) -> Result<Self, String> {
        if self.refuses { Err("\"refuses\" must be false".to_owned()) } else { Ok(self) }
    }
}

impl Address for Puppet {
    type Settings = Self;

    fn new(settings: Self) -> Result<Self, String> {
        settings.try_new()
    }

    fn candidates(&self, node: &Node) -> Choice {
        if self.reason.is_empty() {
            return Choice::Dial((0..self.hosts).map(|_| Candidate::new(&*node.name).port(1)).collect());
        }
        Choice::Skip(self.reason.clone())
    }
}

impl Filter for Puppet {
    type Settings = Self;

    fn new(settings: Self) -> Result<Self, String> {
        settings.try_new()
    }

    fn verdict(&self, pod: &Pod, container: &str) -> Verdict {
        match pod.labels.get(container) {
            Some("drop") => Verdict::Drop,
            Some("cpu") => Verdict::CpuOnly,
            Some("memory") => Verdict::MemoryOnly,
            Some("value") => Verdict::ByValue,
            _ => Verdict::Keep,
        }
    }
}

impl ValueFilter for Puppet {
    fn screen(&self, series: &Series<'_>) -> Verdict {
        if series.len() > 1 { Verdict::ByValue } else { Verdict::Drop }
    }
}

impl Window for Puppet {
    type Settings = Self;

    fn new(settings: Self) -> Result<Self, String> {
        settings.try_new()
    }

    fn history(&self) -> Duration {
        self.window
    }

    fn usage(&self, series: &Series<'_>) -> Option<Usage> {
        let newest = series.newest()?;
        Some(Usage { taken_at: newest.taken_at, window: self.window, cpu: Nanocores::new(7), memory: self.memory })
    }
}

struct Here;

impl Place for Here {
    type Policy = Puppet;

    fn with<R>(use_it: impl FnOnce(&OnceCell<Puppet>) -> R) -> R {
        thread_local! {
            static POLICY: OnceCell<Puppet> = const { OnceCell::new() };
        }
        POLICY.with(use_it)
    }
}

type Plugin = Exports<Here>;

/// An instance of its own, as the gateway makes one for each question: a thread.
fn instance<R: Send + 'static>(settings: &'static str, ask: impl FnOnce() -> R + Send + 'static) -> R {
    let answer = std::thread::spawn(move || {
        configure::<Here, Puppet>(settings, <Puppet as Filter>::new).expect("settings");
        ask()
    });
    answer.join().expect("the instance lives")
}

fn named(name: &str) -> types::Node {
    types::Node {
        name: name.to_owned(),
        labels: Vec::new(),
        annotations: Vec::new(),
        addresses: Vec::new(),
        kubelet_port: None,
        provider_id: None,
        ready: true,
    }
}

#[test]
fn settings_that_a_policy_refuses_are_refused_in_its_words() {
    let refused = configure::<Here, Puppet>(r#"{"refuses":true}"#, <Puppet as Window>::new);
    assert_eq!(refused, Err("\"refuses\" must be false".to_owned()));
    let mistyped = configure::<Here, Puppet>(r#"{"host":1}"#, <Puppet as Window>::new);
    assert!(mistyped.is_err_and(|error| error.contains("unknown field `host`")));
}

#[test]
fn a_plugin_says_what_its_package_says() {
    let info = describe::<NoSettings>("skip-sidecars", "1.2.0", "Leaves out containers.");
    assert_eq!((&*info.name, &*info.version), ("skip-sidecars", "1.2.0"));
    assert!(info.settings_schema.contains("\"additionalProperties\":false"));
    check_package(&info.name, &info.description);
}

#[test]
#[should_panic(expected = "lower-case letters, digits and hyphens")]
fn a_package_whose_name_no_gateway_takes_is_not_built() {
    check_package("skip_sidecars", "Leaves out containers.");
}

#[test]
fn candidates_are_cut_to_sixteen_and_none_is_no_opinion() {
    let Answer::Dial(candidates) = instance(r#"{"hosts":99}"#, || Plugin::candidates(named("node-7"))) else {
        panic!("it dials");
    };
    assert_eq!(candidates.len(), 16);
    assert_eq!((&*candidates[0].host, candidates[0].port), ("node-7", Some(1)));
    assert!(matches!(instance("{}", || Plugin::candidates(named("node-7"))), Answer::Pass));
}

#[test]
fn a_long_reason_is_cut_between_letters() {
    static SETTINGS: std::sync::LazyLock<String> =
        std::sync::LazyLock::new(|| format!("{{\"reason\":\"{}\"}}", "ä".repeat(200) + "b"));
    let Answer::Skip(reason) = instance(&SETTINGS, || Plugin::candidates(named("n"))) else { panic!("it skips") };
    assert_eq!(reason, "ä".repeat(128));
    static ODD: std::sync::LazyLock<String> =
        std::sync::LazyLock::new(|| format!("{{\"reason\":\"a{}\"}}", "ä".repeat(200)));
    let Answer::Skip(reason) = instance(&ODD, || Plugin::candidates(named("n"))) else { panic!("it skips") };
    assert_eq!(reason.len(), 255);
}

#[test]
fn verdicts_are_the_contract_s_numbers_in_the_order_of_the_containers() {
    let labels = ["drop", "cpu", "memory", "value"].map(|word| types::Label { key: word.into(), value: word.into() });
    let pod = |containers: &[&str]| AskedPod {
        namespace: "shop".to_owned(),
        name: "cart".to_owned(),
        node: "node-7".to_owned(),
        labels: labels.to_vec(),
        namespace_labels: Vec::new(),
        containers: containers.iter().map(|&name| name.to_owned()).collect(),
    };
    let pods = vec![pod(&["app", "drop"]), pod(&[]), pod(&["value", "cpu", "memory"])];
    assert_eq!(instance("{}", move || Plugin::classify(pods)), [0, 1, 4, 2, 3]);
}

#[test]
fn by_value_a_second_time_means_to_keep() {
    let batch = types::Batch {
        node: "n".to_owned(),
        subjects: types::Subjects::TheNode,
        ends: vec![2, 3],
        taken_at: vec![1, 2, 3],
        started_at: vec![0; 3],
        cpu_ns: vec![0; 3],
        memory_bytes: vec![0; 3],
    };
    assert_eq!(instance("{}", || Plugin::screen(batch)), [0, 1]);
}

#[test]
fn one_usage_out_of_range_is_left_out_and_spoils_no_other() {
    let at = EPOCH.as_nanos();
    let batch = types::Batch {
        node: "n".to_owned(),
        subjects: types::Subjects::TheNode,
        ends: vec![1, 1, 2],
        // The second series is empty, the third ends more than a day before the first.
        taken_at: vec![at, at - 2 * Duration::DAY.as_nanos()],
        started_at: vec![0; 2],
        cpu_ns: vec![0; 2],
        memory_bytes: vec![0; 2],
    };
    let usages = instance(r#"{"window":"15s","memory":"1MiB"}"#, || Plugin::measure(batch));
    assert_eq!(usages.taken_at, [at, 0, 0]);
    assert_eq!(usages.window_ns, [15_000_000_000, 0, 0]);
    assert_eq!(usages.nanocores, [7, 0, 0]);
    assert_eq!(usages.memory_bytes, [1 << 20, 0, 0]);
}

#[test]
fn no_window_policy_wants_more_than_an_hour() {
    assert_eq!(instance(r#"{"window":"2h"}"#, Plugin::history), Duration::HOUR.as_nanos());
}

proptest! {
    #[test]
    fn usages_have_one_row_for_each_series_and_are_in_range(
        batch in hostile::batch(),
        window in hostile::number(),
        memory in hostile::number(),
    ) {
        let puppet = Puppet { window: Duration::from_nanos(window), memory: Bytes::new(memory), ..Puppet::default() };
        let newest = batch.newest();
        let answers = puppet.measure(&batch);
        let columns = super::columns(&answers, newest);
        let rows = [&columns.taken_at, &columns.window_ns, &columns.nanocores, &columns.memory_bytes].map(Vec::len);
        prop_assert_eq!(rows, [batch.len(); 4]);
        for index in 0..batch.len() {
            let served = columns.window_ns[index] > 0;
            prop_assert!(!served || columns.window_ns[index] <= Duration::DAY.as_nanos());
            prop_assert!(!served || columns.taken_at[index] <= newest.as_nanos());
            prop_assert!(!served || columns.memory_bytes[index] <= Bytes::MAX.get());
        }
    }
}

/// One plugin of every hook, whose policies share a type of settings: that it compiles is the claim.
mod exported {
    use super::Puppet;

    crate::export! { address: Puppet, value_filter: Puppet, window: Puppet }
}
