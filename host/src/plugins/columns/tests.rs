use proptest::prelude::*;

use super::*;
use crate::model::PodRef;
use crate::model::policy::Series;
use crate::model::units::{Bytes, CpuNanoseconds, UnixNanos};

fn sample(number: u64) -> Sample {
    Sample {
        taken_at: UnixNanos(number),
        started_at: UnixNanos(number + 1),
        cpu: CpuNanoseconds(number + 2),
        memory: Bytes(number + 3),
    }
}

/// String `index` of a table, as the contract tells guests to read it.
fn string(strings: &types::Strings, index: u32) -> &str {
    let index = index as usize;
    let begin = if index == 0 { 0 } else { strings.ends[index - 1] };
    &strings.text[begin as usize..strings.ends[index] as usize]
}

proptest! {
    #[test]
    fn a_guest_reads_back_the_series_it_is_asked_about(
        described in prop::collection::vec(("[a-cé]{0,3}", "[a-c]{0,3}", "[a-c]{0,3}", 0..5_u64), 0..40),
    ) {
        let histories: Vec<Vec<Sample>> =
            described.iter().enumerate().map(|(i, row)| (0..row.3).map(|j| sample(i as u64 * 10 + j)).collect()).collect();
        let of_row = |((namespace, name, container, _), samples)| Series {
            subject: Subject::Container { pod: PodRef { namespace, name }, name: container },
            samples,
        };
        let described: Vec<(&str, &str, &str, u64)> =
            described.iter().map(|(namespace, pod, name, count)| (&**namespace, &**pod, &**name, *count)).collect();
        let series: Vec<Series<'_>> =
            described.iter().copied().zip(histories.iter().map(Vec::as_slice)).map(of_row).collect();
        let batch = columns(&SeriesBatch { node: "node-7", series });
        prop_assert_eq!(&*batch.node, "node-7");
        prop_assert_eq!(batch.ends.len(), described.len());
        if described.is_empty() {
            return Ok(());
        }
        let types::Subjects::Containers(of) = &batch.subjects else { panic!("containers were asked about") };
        let names: std::collections::HashSet<&str> =
            (0..of.names.ends.len()).map(|index| string(&of.names, index as u32)).collect();
        prop_assert_eq!(names.len(), of.names.ends.len(), "each name once");
        let mut begin = 0;
        for (row, (namespace, pod, container, _)) in described.iter().enumerate() {
            prop_assert_eq!(string(&of.names, of.namespace[row]), *namespace);
            prop_assert_eq!(string(&of.names, of.pod[row]), *pod);
            prop_assert_eq!(string(&of.names, of.container[row]), *container);
            let end = batch.ends[row] as usize;
            let read: Vec<Sample> = (begin..end).map(|at| Sample {
                taken_at: UnixNanos(batch.taken_at[at]),
                started_at: UnixNanos(batch.started_at[at]),
                cpu: CpuNanoseconds(batch.cpu_ns[at]),
                memory: Bytes(batch.memory_bytes[at]),
            }).collect();
            prop_assert_eq!(&read, &histories[row]);
            begin = end;
        }
        prop_assert_eq!([batch.started_at.len(), batch.cpu_ns.len(), batch.memory_bytes.len()], [batch.taken_at.len(); 3]);
        prop_assert_eq!(begin, batch.taken_at.len());
    }
}

#[test]
fn the_nodes_own_series_is_of_the_node() {
    let samples = [sample(1), sample(2)];
    let series = vec![Series { subject: Subject::Node, samples: &samples }];
    let batch = columns(&SeriesBatch { node: "node-7", series });
    assert!(matches!(batch.subjects, types::Subjects::TheNode));
    assert_eq!((batch.ends, batch.taken_at), (vec![2], vec![1, 2]));
}
