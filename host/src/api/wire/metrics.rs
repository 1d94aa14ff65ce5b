//! NodeMetrics and PodMetrics, one object at a time, as compact JSON. Pure.
//!
//! In: identities and usage; the response's time becomes `creationTimestamp`, as upstream has it. Out: bytes at the
//! end of a buffer that the caller owns. A list of every pod is most of what the gateway writes, so nothing here
//! allocates, and what repeats is formatted once.
//!
//! Rule: metrics-server v0.9.0, `pkg/api/{node,pod}.go`. One difference: containers come in the order in which the
//! store has them (by name), where upstream's order is that of a Go map.

use super::negotiate::MetaVersion;
use super::timestamp::Timestamps;
use super::{ApiVersion, Resource, duration, json, quantity};
use crate::model::units::{Bytes, Nanocores, UnixNanos, WindowNanos};
use crate::model::{Labels, PodRef, PodUsage, Usage};

/// A node and what it uses.
#[derive(Clone, Copy, Debug)]
pub struct NodeItem<'a> {
    /// `metadata.name`.
    pub name: &'a str,
    /// `metadata.labels`.
    pub labels: &'a Labels,
    /// What it uses.
    pub usage: &'a Usage,
}

/// A pod and what its containers use.
#[derive(Clone, Copy, Debug)]
pub struct PodItem<'a> {
    /// Namespace and name.
    pub pod: PodRef<'a>,
    /// `metadata.labels`.
    pub labels: &'a Labels,
    /// What it uses, its containers in the order in which they are to be served.
    pub usage: &'a PodUsage,
}

/// Whether an object says what it is, which in a list only the list does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// With `kind` and `apiVersion`.
    Alone,
    /// Without.
    InList,
}

/// Writes objects of one response.
#[derive(Clone, Debug)]
pub struct Writer {
    version: ApiVersion,
    /// `"creationTimestamp":"…"`, the same in every object of a response.
    creation: Vec<u8>,
    timestamps: Timestamps,
}

impl Writer {
    /// A writer for a response made at `now`.
    pub fn new(version: ApiVersion, now: UnixNanos) -> Self {
        let mut creation = b"\"creationTimestamp\":\"".to_vec();
        Timestamps::new().write(&mut creation, now);
        creation.push(b'"');
        Self { version, creation, timestamps: Timestamps::new() }
    }

    /// Appends a NodeMetrics.
    pub fn write_node_metrics(&mut self, out: &mut Vec<u8>, node: &NodeItem<'_>, place: Place) {
        self.open(out, Resource::Nodes, place);
        self.write_metadata(out, None, node.name, node.labels);
        self.write_time(out, Some(node.usage.taken_at), node.usage.window);
        out.push(b',');
        write_usage(out, node.usage.cpu, node.usage.memory);
        out.push(b'}');
    }

    /// Appends a PodMetrics.
    pub fn write_pod_metrics(&mut self, out: &mut Vec<u8>, item: &PodItem<'_>, place: Place) {
        self.open(out, Resource::Pods, place);
        self.write_metadata(out, Some(item.pod.namespace), item.pod.name, item.labels);
        // A pod without containers has no time; upstream writes its zero time as null.
        let taken_at = (!item.usage.containers.is_empty()).then_some(item.usage.taken_at);
        self.write_time(out, taken_at, item.usage.window);
        out.extend_from_slice(b",\"containers\":[");
        for (index, container) in item.usage.containers.iter().enumerate() {
            out.extend_from_slice(if index == 0 { b"{\"name\":".as_slice() } else { b",{\"name\":" });
            json::write_string(out, &container.name);
            out.push(b',');
            write_usage(out, container.cpu, container.memory);
            out.push(b'}');
        }
        out.extend_from_slice(b"]}");
    }

    /// Appends a PartialObjectMetadata.
    pub(super) fn write_partial(&self, out: &mut Vec<u8>, meta: MetaVersion, of: Identity<'_>) {
        out.extend_from_slice(b"{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"");
        out.extend_from_slice(meta.group_version().as_bytes());
        out.extend_from_slice(b"\",");
        self.write_metadata(out, of.namespace, of.name, of.labels);
        out.push(b'}');
    }

    fn open(&self, out: &mut Vec<u8>, resource: Resource, place: Place) {
        out.push(b'{');
        if place == Place::Alone {
            out.extend_from_slice(b"\"kind\":\"");
            out.extend_from_slice(resource.kind().as_bytes());
            out.extend_from_slice(b"\",\"apiVersion\":\"");
            out.extend_from_slice(self.version.group_version().as_bytes());
            out.extend_from_slice(b"\",");
        }
    }

    fn write_metadata(&self, out: &mut Vec<u8>, namespace: Option<&str>, name: &str, labels: &Labels) {
        out.extend_from_slice(b"\"metadata\":{\"name\":");
        json::write_string(out, name);
        if let Some(namespace) = namespace {
            out.extend_from_slice(b",\"namespace\":");
            json::write_string(out, namespace);
        }
        out.push(b',');
        out.extend_from_slice(&self.creation);
        if !labels.is_empty() {
            write_labels(out, labels);
        }
        out.push(b'}');
    }

    fn write_time(&mut self, out: &mut Vec<u8>, taken_at: Option<UnixNanos>, window: WindowNanos) {
        match taken_at {
            Some(at) => {
                out.extend_from_slice(b",\"timestamp\":\"");
                self.timestamps.write(out, at);
                out.extend_from_slice(b"\",\"window\":\"");
            }
            None => out.extend_from_slice(b",\"timestamp\":null,\"window\":\""),
        }
        duration::write(out, window.0);
        out.push(b'"');
    }
}

/// Which object a row or a partial object stands for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Identity<'a> {
    pub(super) namespace: Option<&'a str>,
    pub(super) name: &'a str,
    pub(super) labels: &'a Labels,
}

fn write_labels(out: &mut Vec<u8>, labels: &Labels) {
    out.extend_from_slice(b",\"labels\":{");
    for (index, (key, value)) in labels.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        json::write_string(out, key);
        out.push(b':');
        json::write_string(out, value);
    }
    out.push(b'}');
}

fn write_usage(out: &mut Vec<u8>, cpu: Nanocores, memory: Bytes) {
    out.extend_from_slice(b"\"usage\":{\"cpu\":\"");
    quantity::write_cpu(out, cpu);
    out.extend_from_slice(b"\",\"memory\":\"");
    quantity::write_memory(out, memory);
    out.extend_from_slice(b"\"}");
}

#[cfg(test)]
mod tests;
