//! A whole answer about nodes or pods in any view: objects, a table, or metadata only; one object, or a list that is
//! written item by item. Pure.
//!
//! Out: compact JSON at the end of a buffer that the caller owns, and may empty between items where the form is
//! [streamable](super::Form::is_streamable).
//!
//! Rule: metrics-server v0.9.0 `pkg/api/table.go`, `k8s.io/apiserver` v0.36 `pkg/endpoints/handlers/response.go`.
//! One difference: the table of an empty list has its columns and no rows, where upstream has null for both.

use super::metrics::{Identity, NodeItem, Place, PodItem, Writer};
use super::negotiate::{IncludeObject, MetaVersion, View};
use super::{ApiVersion, Resource, duration, json, quantity};
use crate::model::units::{Bytes, Nanocores, UnixNanos, WindowNanos};

/// A list that is being written: [`begin`](Self::begin), any number of items, [`end`](Self::end).
#[derive(Clone, Debug)]
pub struct Listing {
    writer: Writer,
    view: View,
    is_empty: bool,
}

impl Listing {
    /// Begins a list that is answered at `now`.
    pub fn begin(out: &mut Vec<u8>, resource: Resource, version: ApiVersion, view: View, now: UnixNanos) -> Self {
        match view {
            View::Object => open(out, resource.list_kind(), version.group_version(), b"\"items\":["),
            View::Table(meta, _) => open(out, "Table", meta.group_version(), COLUMNS),
            View::Metadata(meta) => open(out, "PartialObjectMetadataList", meta.group_version(), b"\"items\":["),
        }
        Self { writer: Writer::new(version, now), view, is_empty: true }
    }

    /// Adds a node.
    pub fn push_node(&mut self, out: &mut Vec<u8>, node: &NodeItem<'_>) {
        self.separate(out);
        match self.view {
            View::Object => self.writer.write_node_metrics(out, node, Place::InList),
            View::Table(meta, include) => write_node_row(&mut self.writer, out, node, meta, include),
            View::Metadata(meta) => self.writer.write_partial(out, meta, node.identity()),
        }
    }

    /// Adds a pod.
    pub fn push_pod(&mut self, out: &mut Vec<u8>, item: &PodItem<'_>) {
        self.separate(out);
        match self.view {
            View::Object => self.writer.write_pod_metrics(out, item, Place::InList),
            View::Table(meta, include) => write_pod_row(&mut self.writer, out, item, meta, include),
            View::Metadata(meta) => self.writer.write_partial(out, meta, item.identity()),
        }
    }

    /// Ends the list.
    pub fn end(self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"]}");
    }

    fn separate(&mut self, out: &mut Vec<u8>) {
        if !self.is_empty {
            out.push(b',');
        }
        self.is_empty = false;
    }
}

/// Writes the answer that is one node.
pub fn write_node(out: &mut Vec<u8>, version: ApiVersion, view: View, now: UnixNanos, node: &NodeItem<'_>) {
    let mut writer = Writer::new(version, now);
    match view {
        View::Object => writer.write_node_metrics(out, node, Place::Alone),
        View::Metadata(meta) => writer.write_partial(out, meta, node.identity()),
        View::Table(..) => {
            let mut table = Listing::begin(out, Resource::Nodes, version, view, now);
            table.push_node(out, node);
            table.end(out);
        }
    }
}

/// Writes the answer that is one pod.
pub fn write_pod(out: &mut Vec<u8>, version: ApiVersion, view: View, now: UnixNanos, item: &PodItem<'_>) {
    let mut writer = Writer::new(version, now);
    match view {
        View::Object => writer.write_pod_metrics(out, item, Place::Alone),
        View::Metadata(meta) => writer.write_partial(out, meta, item.identity()),
        View::Table(..) => {
            let mut table = Listing::begin(out, Resource::Pods, version, view, now);
            table.push_pod(out, item);
            table.end(out);
        }
    }
}

/// The columns of both resources, and the beginning of the rows.
const COLUMNS: &[u8] = concat!(
    r#""columnDefinitions":["#,
    r#"{"name":"Name","type":"string","format":"name","description":"Name of the resource","priority":0},"#,
    r#"{"name":"cpu","type":"string","format":"quantity","description":"","priority":0},"#,
    r#"{"name":"memory","type":"string","format":"quantity","description":"","priority":0},"#,
    r#"{"name":"Window","type":"string","format":"duration","description":"","priority":0}"#,
    r#"],"rows":["#
)
.as_bytes();

fn open(out: &mut Vec<u8>, kind: &str, group_version: &str, rest: &[u8]) {
    out.extend_from_slice(b"{\"kind\":\"");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\",\"apiVersion\":\"");
    out.extend_from_slice(group_version.as_bytes());
    out.extend_from_slice(b"\",\"metadata\":{},");
    out.extend_from_slice(rest);
}

fn write_node_row(
    writer: &mut Writer,
    out: &mut Vec<u8>,
    node: &NodeItem<'_>,
    meta: MetaVersion,
    include: IncludeObject,
) {
    write_cells(out, node.name, node.usage.cpu, node.usage.memory, node.usage.window);
    match include {
        IncludeObject::None => out.extend_from_slice(b"null"),
        IncludeObject::Metadata => writer.write_partial(out, meta, node.identity()),
        IncludeObject::Object => writer.write_node_metrics(out, node, Place::Alone),
    }
    out.push(b'}');
}

fn write_pod_row(
    writer: &mut Writer,
    out: &mut Vec<u8>,
    item: &PodItem<'_>,
    meta: MetaVersion,
    include: IncludeObject,
) {
    let containers = &item.usage.containers;
    let cpu = containers.iter().fold(0u64, |sum, container| sum.saturating_add(container.cpu.0));
    let memory = containers.iter().fold(0u64, |sum, container| sum.saturating_add(container.memory.0));
    write_cells(out, item.pod.name, Nanocores(cpu), Bytes(memory), item.usage.window);
    match include {
        IncludeObject::None => out.extend_from_slice(b"null"),
        IncludeObject::Metadata => writer.write_partial(out, meta, item.identity()),
        IncludeObject::Object => writer.write_pod_metrics(out, item, Place::Alone),
    }
    out.push(b'}');
}

/// A row up to where its object stands.
fn write_cells(out: &mut Vec<u8>, name: &str, cpu: Nanocores, memory: Bytes, window: WindowNanos) {
    out.extend_from_slice(b"{\"cells\":[");
    json::write_string(out, name);
    out.extend_from_slice(b",\"");
    quantity::write_cpu(out, cpu);
    out.extend_from_slice(b"\",\"");
    quantity::write_memory(out, memory);
    out.extend_from_slice(b"\",\"");
    duration::write(out, window.0);
    out.extend_from_slice(b"\"],\"object\":");
}

impl<'a> NodeItem<'a> {
    fn identity(&self) -> Identity<'a> {
        Identity { namespace: None, name: self.name, labels: self.labels }
    }
}

impl<'a> PodItem<'a> {
    fn identity(&self) -> Identity<'a> {
        Identity { namespace: Some(self.pod.namespace), name: self.pod.name, labels: self.labels }
    }
}

#[cfg(test)]
mod tests;
