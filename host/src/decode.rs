//! The bytes of one kubelet's answer, to the samples in it. Pure, total and fuzzed: no clock, no logging, no panics.
//!
//! In: a body in one of two [`Form`]s, and the time just before it was asked for. Out: a [`Batch`], with counts of
//! what had to be left out. A line that cannot be read costs that line; only an answer in which nothing can be read
//! is an error. CPU comes out in nanoseconds (of a decimal number of seconds, truncated as upstream does), memory in
//! bytes, times in Unix nanoseconds.
//!
//! A container counts only with both CPU and memory above zero, and a pod only if all its containers do: a number
//! for half a pod would make an autoscaler act on it.
//!
//! Rules: metrics-server v0.9.0, `pkg/scraper/client/resource/decode.go`. We differ: labels are parsed, not searched
//! for; a line that does not parse costs that line, not the node; NaN, infinite and negative values count as absent;
//! the sample's time is that of the CPU line (see [`TimestampOf`]).

mod summary;
mod text;

use crate::config::TimestampOf;
use crate::model::units::UnixNanos;
use crate::model::{Batch, Incomplete, LeftOut, Sample};

/// What a body is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Prometheus' text format, of `/metrics/resource`.
    Text,
    /// The JSON of `/stats/summary`.
    Summary,
}

/// How a body is read.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// What it is written in.
    pub form: Form,
    /// The time of samples that bear none: just before the request was sent.
    pub asked_at: UnixNanos,
    /// Which line's time is the sample's.
    pub timestamp: TimestampOf,
}

/// Nothing in the answer could be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not one line of the text is a sample that we need, and some are not in the exposition format.
    #[error("there is no sample in it, and {lines} lines are not in the Prometheus text format")]
    NotText {
        /// How many lines are not.
        lines: u32,
    },
    /// The summary is no JSON, or not that of a kubelet.
    #[error("it is no stats summary: {0}")]
    NotSummary(String),
}

/// Reads one answer.
///
/// # Errors
/// Where nothing in the answer can be read. An empty body is read, and holds nothing.
pub fn batch(body: &[u8], reading: Reading) -> Result<Batch<'_>, DecodeError> {
    match reading.form {
        Form::Text => text::batch(body, reading),
        Form::Summary => summary::batch(body, reading),
    }
}

/// A sample is complete once CPU and memory are both there and above zero.
fn complete(sample: &Sample) -> bool {
    sample.cpu.0 > 0 && sample.memory.0 > 0
}

/// Keeps the pods of which every container is complete, and counts the others.
fn keep_complete<'a>(node: Sample, containers: Vec<crate::model::ContainerSample<'a>>, bad_lines: u32) -> Batch<'a> {
    let mut left_out = LeftOut { bad_lines, incomplete_pods: 0 };
    let node = Some(node).filter(complete);
    if containers.iter().all(|container| complete(&container.sample)) {
        return Batch::new(node, containers, left_out);
    }
    let all = Batch::new(node, containers, left_out);
    let (mut kept, mut incomplete) = (Vec::new(), Vec::new());
    for pod in all.pods() {
        let Some(lacking) = pod.iter().find(|container| !complete(&container.sample)) else {
            kept.extend_from_slice(pod);
            continue;
        };
        left_out.incomplete_pods += 1;
        if incomplete.len() < Incomplete::MOST {
            incomplete.push(what_lacks(lacking));
        }
    }
    let mut batch = Batch::new(node, kept, left_out);
    batch.incomplete = incomplete;
    batch
}

fn what_lacks<'a>(container: &crate::model::ContainerSample<'a>) -> Incomplete<'a> {
    Incomplete {
        namespace: container.namespace.clone(),
        pod: container.pod.clone(),
        container: container.container.clone(),
        lacks_cpu: container.sample.cpu.0 == 0,
        lacks_memory: container.sample.memory.0 == 0,
    }
}

#[cfg(test)]
mod tests;
