use parking_lot::Mutex;
use proptest::prelude::*;

use super::*;
use crate::model::PodRef;
use crate::model::policy::Subject;
use crate::model::units::CpuNanoseconds;
use crate::plugins::artifact::Hook;
use crate::plugins::binding::bench::{Bench, says, traps};

const SECOND: u64 = 1_000_000_000;
const NOW: u64 = 1_795_212_000 * SECOND;

/// A sample `age` seconds old, of a container that started `started` seconds ago and uses a core.
fn sample(age: u64, started: u64) -> Sample {
    Sample {
        taken_at: UnixNanos(NOW - age * SECOND),
        started_at: UnixNanos(NOW - started * SECOND),
        cpu: CpuNanoseconds((started - age) * SECOND),
        memory: Bytes(7),
    }
}

fn container<'a>(name: &'a str, samples: &'a [Sample]) -> Series<'a> {
    let pod = PodRef { namespace: "shop", name: "cart-7d9f" };
    Series { subject: Subject::Container { pod, name }, samples }
}

fn batch<'a>(series: &[Series<'a>]) -> SeriesBatch<'a> {
    SeriesBatch { node: "node-7", series: series.to_vec() }
}

fn usages(rows: &[(u64, u64, u64, u64)]) -> types::Usages {
    types::Usages {
        taken_at: rows.iter().map(|row| row.0).collect(),
        window_ns: rows.iter().map(|row| row.1).collect(),
        nanocores: rows.iter().map(|row| row.2).collect(),
        memory_bytes: rows.iter().map(|row| row.3).collect(),
    }
}

type Answer = fn(&types::Batch) -> Result<Called<types::Usages>, Failed>;

/// A plugin that answers as it is told, and writes down how much it was asked about.
struct Double {
    answer: Answer,
    asked: Mutex<Vec<(usize, usize)>>,
}

impl Guest for Double {}

impl Ask for Double {
    fn measure(&self, batch: &types::Batch) -> Result<Called<types::Usages>, Failed> {
        self.asked.lock().push((batch.ends.len(), batch.taken_at.len()));
        (self.answer)(batch)
    }
}

fn policy(bench: &Bench, answer: Answer, on_error: OnError) -> WindowBinding<Double> {
    let double = Double { answer, asked: Mutex::default() };
    WindowBinding::new(bench.bind(Hook::Window, double), Duration::from_secs(300), on_error)
}

/// Serves the newest sample of each series, as of a minute.
fn honest(batch: &types::Batch) -> Result<Called<types::Usages>, Failed> {
    let newest = |end: &u32| (batch.taken_at[*end as usize - 1], 60 * SECOND, 5, batch.memory_bytes[*end as usize - 1]);
    says(usages(&batch.ends.iter().map(newest).collect::<Vec<_>>()))
}

#[test]
fn what_a_plugin_says_is_served() {
    let samples = [sample(15, 100), sample(0, 100)];
    let bench = Bench::new();
    let served = policy(&bench, honest, OnError::LastTwo).measure(&batch(&[container("app", &samples)]));
    let expected =
        Usage { taken_at: UnixNanos(NOW), window: WindowNanos(60 * SECOND), cpu: Nanocores(5), memory: Bytes(7) };
    assert_eq!(served, [Ok(expected)]);
}

#[test]
fn a_window_of_zero_withholds_its_row_whatever_else_it_says() {
    let samples = [sample(0, 100)];
    let series = [container("app", &samples), container("proxy", &samples)];
    let answer = usages(&[(u64::MAX, 0, u64::MAX, u64::MAX), (NOW, 1, 0, 0)]);
    let checked = check(&answer, &batch(&series)).unwrap();
    assert_eq!((&checked[0], checked[1].is_ok()), (&Err(NoUsage::Withheld), true));
}

#[test]
fn where_it_fails_the_last_two_samples_serve_or_nothing() {
    let samples = [sample(30, 100), sample(15, 100), sample(0, 100)];
    let series = batch(&[container("app", &samples), container("new", &samples[..1])]);
    let bench = Bench::new();
    let [app, new] = policy(&bench, |_| traps(), OnError::LastTwo).measure(&series).try_into().unwrap();
    assert_eq!(app.map(|usage| (usage.window, usage.cpu)), Ok((WindowNanos(15 * SECOND), Nanocores(SECOND))));
    assert_eq!(new, Err(NoUsage::TooFew));
    let nothing = policy(&bench, |_| traps(), OnError::Nothing).measure(&series);
    assert_eq!(nothing, [Err(NoUsage::Withheld); 2]);
}

#[test]
fn one_row_that_cannot_be_believed_costs_the_whole_answer() {
    let samples = [sample(15, 100), sample(0, 100)];
    let bench = Bench::new();
    let lying: Answer = |batch| {
        let mut called = honest(batch)?;
        called.answer.taken_at[1] += 1;
        Ok(called)
    };
    let policy = policy(&bench, lying, OnError::LastTwo);
    let served = policy.measure(&batch(&[container("a", &samples), container("b", &samples)]));
    assert_eq!(served.iter().flatten().map(|usage| usage.window.0).collect::<Vec<_>>(), [15 * SECOND; 2]);
    assert_eq!(bench.count("bad-output"), 1);
}

#[test]
fn in_its_place_no_rate_is_served_across_a_restart() {
    let place = |samples: &[Sample]| end_of_last_run(samples).len();
    assert_eq!(place(&[]), 0);
    assert_eq!(place(&[sample(0, 100)]), 1);
    assert_eq!(place(&[sample(30, 100), sample(15, 100), sample(0, 100)]), 2);
    assert_eq!(place(&[sample(30, 100), sample(15, 100), sample(0, 10)]), 1, "it started after the sample before");
    let birth = Sample { taken_at: UnixNanos(NOW - 12 * SECOND), ..sample(0, 12) };
    assert_eq!(place(&[sample(30, 100), birth, sample(0, 12)]), 2, "its start stands in for a sample");
    let of_node = |age| Sample { started_at: UnixNanos::ZERO, ..sample(age, 100) };
    assert_eq!(place(&[of_node(15), of_node(0)]), 2, "nodes do not say when they started");
}

#[test]
fn faults_name_row_subject_and_number() {
    let samples = [sample(0, 100)];
    let fault = |row: (u64, u64, u64, u64)| {
        let series = [container("app", &samples), container("proxy", &samples)];
        check(&usages(&[(NOW, 1, 0, 0), row]), &batch(&series)).unwrap_err().to_string()
    };
    let subject = "row 1, container \"shop/cart-7d9f/proxy\"";
    assert_eq!(
        fault((NOW + 1, 1, 0, 0)),
        format!("{subject}: taken-at {} is later than the newest sample, {NOW}", NOW + 1)
    );
    assert!(fault((NOW - DAY - 1, 1, 0, 0)).contains("is more than a day before the newest sample"));
    assert_eq!(fault((NOW, DAY + 1, 0, 0)), format!("{subject}: window-ns 86400000000001 is more than a day"));
    assert_eq!(
        fault((NOW, 1, MOST_NANOCORES + 1, 0)),
        format!("{subject}: nanocores 1000000000000001 is more than 10^15")
    );
    assert_eq!(
        fault((NOW, 1, 0, MOST_MEMORY + 1)),
        format!("{subject}: memory-bytes 1152921504606846977 is more than 2^60")
    );
}

#[test]
fn the_limits_themselves_are_allowed() {
    let samples = [sample(0, 100)];
    let believed = |row| check(&usages(&[row]), &batch(&[container("app", &samples)])).is_ok();
    assert!(believed((NOW - DAY, DAY, MOST_NANOCORES, MOST_MEMORY)));
    assert!(believed((NOW, 1, 0, 0)));
}

#[test]
fn a_column_of_another_length_is_named() {
    let samples = [sample(0, 100)];
    let series = batch(&[Series { subject: Subject::Node, samples: &samples }]);
    let mut answer = usages(&[(NOW, 1, 0, 0)]);
    answer.nanocores.push(1);
    let text = "column `nanocores` has 2 rows, where the question has 1";
    assert_eq!(check(&answer, &series).unwrap_err().to_string(), text);
    let wrong = usages(&[(NOW + 1, 1, 0, 0)]);
    assert!(check(&wrong, &series).unwrap_err().to_string().starts_with("row 0, the node itself: taken-at"));
}

#[test]
fn nothing_can_be_served_of_a_batch_without_samples() {
    let series = batch(&[container("app", &[])]);
    assert!(check(&usages(&[(0, 1, 0, 0)]), &series).is_err());
    assert_eq!(check(&usages(&[(0, 0, 0, 0)]), &series), Ok(vec![Err(NoUsage::Withheld)]));
}

#[test]
fn a_call_holds_4096_series_and_131072_samples() {
    let long: Vec<Sample> = (0..1000).rev().map(|age| sample(age, 5000)).collect();
    let bench = Bench::new();
    let asked = |series: &[Series<'_>]| {
        let policy = policy(&bench, honest, OnError::LastTwo);
        assert_eq!(policy.measure(&batch(series)).iter().flatten().count(), series.len());
        policy.binding.guest().asked.lock().clone()
    };
    assert_eq!(asked(&vec![container("app", &long[..1]); 5000]), [(4096, 4096), (904, 904)]);
    assert_eq!(asked(&vec![container("app", &long); 200]), [(131, 131_000), (69, 69_000)]);
    assert_eq!(asked(&[]), []);
}

#[test]
fn a_series_too_long_for_any_call_is_asked_about_alone() {
    let endless = vec![sample(0, 100); MOST_SAMPLES + 1];
    let series = [container("a", &endless[..1]), container("b", &endless), container("c", &endless[..1])];
    assert_eq!(size_of_next_call(&series), 1);
    assert_eq!(size_of_next_call(&series[1..]), 1);
}

#[test]
fn no_history_is_longer_than_an_hour() {
    let bench = Bench::new();
    let double = Double { answer: honest, asked: Mutex::default() };
    let binding = bench.bind(Hook::Window, double);
    let policy = WindowBinding::new(binding, Duration::from_secs(1 << 40), OnError::LastTwo);
    assert_eq!(policy.history(), Duration::from_secs(3600));
}

fn any_row() -> impl Strategy<Value = (u64, u64, u64, u64)> {
    let number = |near: u64| prop_oneof![any::<u64>(), near.saturating_sub(3)..near.saturating_add(3), 0..3_u64];
    (number(NOW), number(DAY), number(MOST_NANOCORES), number(MOST_MEMORY))
}

proptest! {
    #[test]
    fn whatever_numbers_a_plugin_answers_none_out_of_range_is_believed(
        rows in prop::collection::vec(any_row(), 0..6), asked in 0..6_usize, newest in prop_oneof![Just(NOW), any::<u64>()],
    ) {
        let samples = [Sample { taken_at: UnixNanos(newest), ..sample(0, 100) }];
        let series = vec![container("app", &samples); asked];
        match check(&usages(&rows), &batch(&series)) {
            Err(_) => prop_assert!(rows.len() != asked || rows.iter().any(|row| row.1 != 0)),
            Ok(served) => {
                prop_assert_eq!(served.len(), asked);
                for usage in served.into_iter().flatten() {
                    prop_assert!((1..=DAY).contains(&usage.window.0));
                    prop_assert!(usage.taken_at.0 <= newest && newest - usage.taken_at.0 <= DAY);
                    prop_assert!(usage.cpu.0 <= MOST_NANOCORES && usage.memory.0 <= MOST_MEMORY);
                }
            }
        }
    }
}
