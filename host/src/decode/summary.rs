//! The JSON of `/stats/summary`, which kubelets had before `/metrics/resource`.
//!
//! Its times have whole seconds only, so windows are rounder than those of the text; that is the kubelet's doing.

use std::borrow::Cow;

use serde::Deserialize;

use super::{DecodeError, keep_complete};
use crate::config::TimestampOf;
use crate::model::units::{Bytes, CpuNanoseconds, UnixNanos};
use crate::model::{Batch, ContainerSample, Sample};

pub(super) fn batch(body: &[u8], rule: TimestampOf) -> Result<Batch<'_>, DecodeError> {
    let summary: Summary<'_> = serde_json::from_slice(body).map_err(|e| DecodeError::NotSummary(e.to_string()))?;
    let mut containers = Vec::new();
    for pod in summary.pods {
        for container in pod.containers {
            containers.push(ContainerSample {
                namespace: pod.pod_ref.namespace.clone(),
                pod: pod.pod_ref.name.clone(),
                sample: container.stats.sample(container.start_time, rule),
                container: container.name,
            });
        }
    }
    Ok(keep_complete(summary.node.sample(None, rule), containers, 0))
}

#[derive(Deserialize)]
struct Summary<'a> {
    node: Stats,
    #[serde(borrow, default)]
    pods: Vec<Pod<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pod<'a> {
    #[serde(borrow)]
    pod_ref: PodName<'a>,
    #[serde(borrow, default)]
    containers: Vec<Container<'a>>,
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
    #[serde(flatten)]
    stats: Stats,
}

#[derive(Default, Deserialize)]
struct Stats {
    cpu: Option<Cpu>,
    memory: Option<Memory>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cpu {
    time: jiff::Timestamp,
    usage_core_nano_seconds: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Memory {
    time: jiff::Timestamp,
    working_set_bytes: Option<u64>,
}

impl Stats {
    /// Absent figures come out as zeros, which make the sample incomplete.
    fn sample(&self, started_at: Option<jiff::Timestamp>, rule: TimestampOf) -> Sample {
        let of_cpu = self.cpu.as_ref().map(|cpu| cpu.time);
        let of_memory = self.memory.as_ref().map(|memory| memory.time);
        let taken_at = match rule {
            TimestampOf::Cpu => of_cpu,
            TimestampOf::LastLine => of_memory.or(of_cpu),
        };
        Sample {
            taken_at: nanos(taken_at),
            started_at: nanos(started_at),
            cpu: CpuNanoseconds(self.cpu.as_ref().and_then(|cpu| cpu.usage_core_nano_seconds).unwrap_or(0)),
            memory: Bytes(self.memory.as_ref().and_then(|memory| memory.working_set_bytes).unwrap_or(0)),
        }
    }
}

/// Times before the epoch count as the epoch.
fn nanos(time: Option<jiff::Timestamp>) -> UnixNanos {
    let nanos = time.map_or(0, jiff::Timestamp::as_nanosecond);
    UnixNanos(u64::try_from(nanos.max(0)).unwrap_or(u64::MAX))
}
