//! The JSON of `/stats/summary`, which kubelets had before `/metrics/resource`.
//!
//! Its times have whole seconds only, so windows are rounder than those of the text; that is the kubelet's doing.

use std::borrow::Cow;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{DecodeError, Reading, keep_complete};
use crate::config::TimestampOf;
use crate::model::units::{Bytes, CpuNanoseconds, UnixNanos};
use crate::model::{Batch, ContainerSample, Sample};

pub(super) fn batch(body: &[u8], reading: Reading) -> Result<Batch<'_>, DecodeError> {
    let summary: Summary<'_> = serde_json::from_slice(body).map_err(|e| DecodeError::NotSummary(beginning(&e)))?;
    let (mut good, mut bad) = (0u32, 0u32);
    let mut node = Stats::default();
    match summary.node {
        Record::Read(stats) => (node, good) = (stats, 1),
        Record::Unreadable(_) => bad += 1,
    }
    let mut containers = Containers::default();
    for pod in summary.pods.unwrap_or_default() {
        match pod {
            Record::Read(pod) => {
                good += 1;
                containers.add(pod, reading);
            }
            Record::Unreadable(_) => bad += 1,
        }
    }
    if good == 0 {
        return Err(DecodeError::NotSummary(format!("none of its {bad} records can be read")));
    }
    Ok(keep_complete(node.sample(None, reading), containers.all, bad))
}

/// The beginning of an error's text: serde quotes what it did not expect, however long that is.
fn beginning(error: &serde_json::Error) -> String {
    error.to_string().chars().take(120).collect()
}

/// The containers so far. A pod that was replaced under its name may be listed beside the one that replaced it; of
/// two runs of a container the newest counts.
#[derive(Default)]
struct Containers<'a> {
    all: Vec<ContainerSample<'a>>,
    index: HashMap<[Cow<'a, str>; 3], usize>,
}

impl<'a> Containers<'a> {
    fn add(&mut self, pod: Pod<'a>, reading: Reading) {
        let PodName { namespace, name: pod_name } = pod.pod_ref;
        for container in pod.containers.unwrap_or_default() {
            let stats = Stats { cpu: container.cpu, memory: container.memory };
            let sample = stats.sample(container.start_time, reading);
            match self.index.entry([namespace.clone(), pod_name.clone(), container.name.clone()]) {
                Entry::Occupied(known) => {
                    let known = &mut self.all[*known.get()].sample;
                    if known.started_at <= sample.started_at {
                        *known = sample;
                    }
                }
                Entry::Vacant(new) => {
                    new.insert(self.all.len());
                    let (namespace, pod, container) = (namespace.clone(), pod_name.clone(), container.name);
                    self.all.push(ContainerSample { namespace, pod, container, sample });
                }
            }
        }
    }
}

/// A part of the summary that can be left out alone, as a line can of the text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Record<T> {
    Read(T),
    Unreadable(IgnoredAny),
}

// Go writes `null` for an empty list and for a time that is not set, so each of those is an option.

#[derive(Deserialize)]
struct Summary<'a> {
    node: Record<Stats>,
    #[serde(borrow)]
    pods: Option<Vec<Record<Pod<'a>>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pod<'a> {
    #[serde(borrow)]
    pod_ref: PodName<'a>,
    #[serde(borrow)]
    containers: Option<Vec<Container<'a>>>,
}

#[derive(Deserialize)]
struct PodName<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    namespace: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Container<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    start_time: Option<jiff::Timestamp>,
    cpu: Option<Cpu>,
    memory: Option<Memory>,
}

#[derive(Default, Deserialize)]
struct Stats {
    cpu: Option<Cpu>,
    memory: Option<Memory>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cpu {
    time: Option<jiff::Timestamp>,
    usage_core_nano_seconds: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Memory {
    time: Option<jiff::Timestamp>,
    working_set_bytes: Option<u64>,
}

impl Stats {
    /// Absent figures come out as zeros, which make the sample incomplete.
    fn sample(&self, started_at: Option<jiff::Timestamp>, reading: Reading) -> Sample {
        let of_cpu = self.cpu.as_ref().and_then(|cpu| nanos(cpu.time?));
        let of_memory = self.memory.as_ref().and_then(|memory| nanos(memory.time?));
        let taken_at = match reading.timestamp {
            TimestampOf::Cpu => of_cpu,
            TimestampOf::LastLine => of_memory.or(of_cpu),
        };
        Sample {
            taken_at: taken_at.unwrap_or(reading.asked_at),
            started_at: started_at.and_then(nanos).unwrap_or(UnixNanos::ZERO),
            cpu: CpuNanoseconds(self.cpu.as_ref().and_then(|cpu| cpu.usage_core_nano_seconds).unwrap_or(0)),
            memory: Bytes(self.memory.as_ref().and_then(|memory| memory.working_set_bytes).unwrap_or(0)),
        }
    }
}

/// None for the epoch and before: Go's unset time is in the year 1.
fn nanos(time: jiff::Timestamp) -> Option<UnixNanos> {
    let nanos = u64::try_from(time.as_nanosecond().max(0)).unwrap_or(u64::MAX);
    Some(UnixNanos(nanos)).filter(|time| *time > UnixNanos::ZERO)
}
