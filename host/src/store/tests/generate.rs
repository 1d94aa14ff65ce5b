//! Sequences of rounds in which everything happens that the store has a rule for.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;

use super::reference::{Containers, PodKey};
use crate::model::Sample;
use crate::model::units::{Bytes, CpuNanoseconds, UnixNanos};

pub(super) const SECOND: u64 = 1_000_000_000;
/// When the first round is.
pub(super) const START: u64 = 1_795_212_480 * SECOND;

/// One node's answer; none where it did not come.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) node: Option<Sample>,
    pub(super) pods: BTreeMap<PodKey, Containers>,
}

/// The answers of `nodes` nodes in each of some rounds, 15 s apart.
pub(super) fn rounds(nodes: usize) -> impl Strategy<Value = Vec<Vec<Option<Answer>>>> {
    (3..14u64).prop_flat_map(move |length| {
        (0..length).map(|at| vec(prop::option::weighted(0.93, answer(at)), nodes)).collect::<Vec<_>>()
    })
}

fn answer(round: u64) -> impl Strategy<Value = Answer> {
    let pod = (select(vec!["a", "b"]), select(vec!["p", "q"])).prop_map(|(a, b)| (a.to_owned(), b.to_owned()));
    let names = || select(vec!["x", "y", "z"]).prop_map(str::to_owned);
    // A map of containers, turned into some order: kubelets print them in any.
    let containers = btree_map(names(), sample(round, true), 1..4)
        .prop_map(|containers| containers.into_iter().collect::<Containers>())
        .prop_shuffle();
    (prop::option::weighted(0.9, sample(round, false)), btree_map(pod, containers, 0..5))
        .prop_map(|(node, pods)| Answer { node, pods })
}

fn sample(round: u64, of_container: bool) -> impl Strategy<Value = Sample> {
    let now = START + round * 15 * SECOND;
    // Mostly a little old; now and then that of the round before or the one before that, or older than both.
    let age = prop_oneof![
        8 => (0..5u64).prop_map(|seconds| seconds * SECOND),
        3 => select(vec![15, 16, 30, 31, 50]).prop_map(|seconds| seconds * SECOND),
        1 => 0..40 * SECOND,
    ];
    let run = prop_oneof![
        8 => Just(None),
        2 => Just(Some(0)),
        3 => select(vec![9u64, 10, 12, 14, 15, 16, 29, 31]).prop_map(Some),
        1 => Just(Some(u64::MAX)),
    ];
    // Mostly rising with the rounds, but not always.
    let cpu = (0..14u64).prop_map(move |tenths| (round * 10 + tenths + 1) * SECOND / 10);
    (age, run, cpu, 1..1000u64).prop_map(move |(age, run, cpu, memory)| {
        let taken_at = now - age;
        let started_at = match run {
            None => START - 3600 * SECOND,
            Some(0) => 0,
            Some(u64::MAX) => taken_at + SECOND,
            Some(age) => taken_at - age * SECOND,
        };
        Sample {
            taken_at: UnixNanos(taken_at),
            started_at: UnixNanos(if of_container { started_at } else { 0 }),
            cpu: CpuNanoseconds(cpu),
            memory: Bytes(memory),
        }
    })
}
