//! A whole answer about nodes or pods in any view: objects, a table, or metadata only; one object, or a list that is
//! written item by item. Pure.
//!
//! A list is its items between a [head](Listing::head) and a [tail](Listing::tail). All but protobuf can be sent while
//! they are written; protobuf's head says how long the items are.
//!
//! Rule: metrics-server v0.9.0 `pkg/api/table.go`, `k8s.io/apiserver` v0.36 `pkg/endpoints/handlers/response.go`.
//! One difference: the table of an empty list has its columns and no rows, where upstream has null for both.

use super::encode::{Document, Encoder, Field, Text, field};
use super::metrics::{Describer, Identity, NodeItem, PARTIAL_KIND, Place, PodItem, list_meta};
use super::negotiate::{Encoding, Form, IncludeObject, Layout, MetaVersion, View};
use super::{ApiVersion, Resource, cbor, json, protobuf, yaml};
use crate::model::ContainerUsage;
use crate::model::units::{Bytes, Nanocores, UnixNanos, WindowNanos};

/// One member of a list.
#[derive(Clone, Copy, Debug)]
pub enum Item<'a> {
    /// A node.
    Node(NodeItem<'a>),
    /// A pod.
    Pod(PodItem<'a>),
}

/// A list that is being written.
#[derive(Clone, Debug)]
pub struct Listing {
    objects: Objects,
    form: Form,
    frame: Frame,
    is_empty: bool,
    /// An item, where it has to be laid out after it is written.
    compact: Vec<u8>,
}

impl Listing {
    /// A list that is answered at `now`.
    pub fn new(resource: Resource, version: ApiVersion, form: Form, now: UnixNanos) -> Self {
        let objects = Objects { describer: Describer::new(version, now), view: form.view };
        let frame = Frame { resource, version, view: form.view };
        Self { objects, form, frame, is_empty: true, compact: Vec::new() }
    }

    /// Appends what stands before the items, which are `length` bytes; only protobuf wants to know.
    pub fn head(&self, out: &mut Vec<u8>, length: usize) {
        match self.form.encoding {
            Encoding::Protobuf => {
                let mut metadata = Vec::new();
                self.frame.describe(&mut protobuf::Protobuf(&mut metadata));
                protobuf::open(out, &self.frame, metadata.len() + length);
                out.append(&mut metadata);
            }
            Encoding::Cbor => {
                cbor::write(out, &self.frame);
                debug_assert_eq!(out.last(), Some(&cbor::EMPTY_ARRAY));
                out.pop();
                out.push(cbor::OPEN_ARRAY);
            }
            Encoding::Json | Encoding::Yaml => out.extend_from_slice(&self.frame_around_items().0),
        }
    }

    /// Appends an item.
    pub fn push(&mut self, out: &mut Vec<u8>, item: &Item<'_>) {
        let is_first = std::mem::take(&mut self.is_empty);
        match (self.form.encoding, self.form.layout) {
            (Encoding::Json, Layout::Compact) => {
                if !is_first {
                    out.push(b',');
                }
                json::write_object(out, |encoder| self.objects.describe(encoder, item, Place::InList));
            }
            (Encoding::Json, Layout::Pretty) => {
                self.write_compact(item);
                if !is_first {
                    out.push(b',');
                }
                json::break_line(out, DEPTH);
                json::indent_at(out, &self.compact, DEPTH);
            }
            (Encoding::Yaml, _) => {
                self.write_compact(item);
                if is_first {
                    out.push(b'\n');
                }
                yaml::write_item(out, &self.compact);
            }
            (Encoding::Protobuf, _) => {
                protobuf::Protobuf(out).object(ITEMS, |encoder| self.objects.describe(encoder, item, Place::InList));
            }
            (Encoding::Cbor, _) => {
                cbor::write_object(out, |encoder| self.objects.describe(encoder, item, Place::InList));
            }
        }
    }

    /// Appends what stands after the items.
    pub fn tail(&self, out: &mut Vec<u8>) {
        match (self.form.encoding, self.form.layout) {
            (Encoding::Protobuf, _) => protobuf::close(out),
            (Encoding::Cbor, _) => out.push(cbor::CLOSE_ARRAY),
            (Encoding::Json, layout) => {
                if layout == Layout::Pretty && !self.is_empty {
                    json::break_line(out, DEPTH - 1);
                }
                out.extend_from_slice(&self.frame_around_items().1);
            }
            (Encoding::Yaml, _) => {
                if self.is_empty {
                    out.extend_from_slice(b" []\n");
                }
                out.extend_from_slice(&self.frame_around_items().1);
            }
        }
    }

    fn write_compact(&mut self, item: &Item<'_>) {
        self.compact.clear();
        json::write_object(&mut self.compact, |encoder| self.objects.describe(encoder, item, Place::InList));
    }

    /// The list without items, cut in two where they would stand.
    fn frame_around_items(&self) -> (Vec<u8>, Vec<u8>) {
        let frame = self.form.write(&self.frame);
        let (gap, before, after) = match self.form.encoding {
            Encoding::Yaml => (b" []\n".as_slice(), 0, 4),
            _ => (b"[]".as_slice(), 1, 1),
        };
        let at = frame.windows(gap.len()).rposition(|window| window == gap).expect("a list without items is empty");
        (frame[..at + before].to_vec(), frame[at + after..].to_vec())
    }
}

/// How deep the items of a list stand.
const DEPTH: usize = 2;

/// The answer that is one node.
pub fn write_node(version: ApiVersion, form: Form, now: UnixNanos, node: NodeItem<'_>) -> Vec<u8> {
    write_one(Resource::Nodes, version, form, now, &Item::Node(node))
}

/// The answer that is one pod.
pub fn write_pod(version: ApiVersion, form: Form, now: UnixNanos, pod: PodItem<'_>) -> Vec<u8> {
    write_one(Resource::Pods, version, form, now, &Item::Pod(pod))
}

fn write_one(resource: Resource, version: ApiVersion, form: Form, now: UnixNanos, item: &Item<'_>) -> Vec<u8> {
    if matches!(form.view, View::Table(..)) {
        let mut out = Vec::with_capacity(1024);
        let mut table = Listing::new(resource, version, form, now);
        table.head(&mut out, 0);
        table.push(&mut out, item);
        table.tail(&mut out);
        return out;
    }
    let objects = Objects { describer: Describer::new(version, now), view: form.view };
    form.write(&One { objects, resource, version, item: *item })
}

/// What is shown of each object of an answer.
#[derive(Clone, Debug)]
struct Objects {
    describer: Describer,
    view: View,
}

impl Objects {
    fn describe<E: Encoder>(&mut self, encoder: &mut E, item: &Item<'_>, place: Place) {
        match (self.view, item) {
            (View::Table(meta, include), item) => self.row(encoder, item, meta, include),
            (View::Metadata(meta), item) => self.describer.partial(encoder, meta, item.identity()),
            (_, Item::Node(node)) => self.describer.node_metrics(encoder, node, place),
            (_, Item::Pod(pod)) => self.describer.pod_metrics(encoder, pod, place),
        }
    }

    fn row<E: Encoder>(&mut self, encoder: &mut E, item: &Item<'_>, meta: MetaVersion, include: IncludeObject) {
        let (cpu, memory, window) = item.sums();
        let name = Text::Plain(item.identity().name);
        encoder.texts(field!("cells", 0), &[name, Text::Cpu(cpu), Text::Memory(memory), Text::Window(window)]);
        let object = field!("object", 0);
        match (include, item) {
            (IncludeObject::None, _) => encoder.null(object),
            (IncludeObject::Metadata, item) => {
                encoder.object(object, |encoder| self.describer.partial(encoder, meta, item.identity()));
            }
            (IncludeObject::Object, Item::Node(node)) => {
                encoder.object(object, |encoder| self.describer.node_metrics(encoder, node, Place::Alone));
            }
            (IncludeObject::Object, Item::Pod(pod)) => {
                encoder.object(object, |encoder| self.describer.pod_metrics(encoder, pod, Place::Alone));
            }
        }
    }
}

impl<'a> Item<'a> {
    fn identity(&self) -> Identity<'a> {
        match self {
            Self::Node(node) => node.identity(),
            Self::Pod(pod) => pod.identity(),
        }
    }

    /// The cells of a row; those of a pod are sums over its containers, as far as they are served.
    fn sums(&self) -> (Nanocores, Bytes, WindowNanos) {
        match self {
            Self::Node(NodeItem { usage, .. }) => (usage.cpu, usage.memory, usage.window),
            Self::Pod(PodItem { usage, .. }) => {
                let cpu = usage.containers.iter().filter_map(ContainerUsage::cpu);
                let memory = usage.containers.iter().filter_map(ContainerUsage::memory);
                let cpu = cpu.fold(0u64, |sum, cpu| sum.saturating_add(cpu.0));
                let memory = memory.fold(0u64, |sum, memory| sum.saturating_add(memory.0));
                (Nanocores(cpu), Bytes(memory), usage.window)
            }
        }
    }
}

/// An answer that is one object.
struct One<'a> {
    objects: Objects,
    resource: Resource,
    version: ApiVersion,
    item: Item<'a>,
}

impl Document for One<'_> {
    fn kind(&self) -> &str {
        if matches!(self.objects.view, View::Metadata(_)) { PARTIAL_KIND } else { self.resource.kind() }
    }

    fn api_version(&self) -> &str {
        match self.objects.view {
            View::Metadata(meta) => meta.group_version(),
            _ => self.version.group_version(),
        }
    }

    fn describe<E: Encoder>(&self, encoder: &mut E) {
        let mut describer = self.objects.describer.clone();
        match (&self.item, self.objects.view) {
            (item, View::Metadata(_)) => describer.metadata(encoder, item.identity()),
            (Item::Node(node), _) => describer.node_metrics(encoder, node, Place::InList),
            (Item::Pod(pod), _) => describer.pod_metrics(encoder, pod, Place::InList),
        }
    }
}

/// A list without its items.
#[derive(Clone, Copy, Debug)]
struct Frame {
    resource: Resource,
    version: ApiVersion,
    view: View,
}

const METADATA: Field = field!("metadata", 1);
const ITEMS: Field = field!("items", 2);

impl Document for Frame {
    fn kind(&self) -> &str {
        match self.view {
            View::Table(..) => "Table",
            View::Metadata(_) => "PartialObjectMetadataList",
            _ => self.resource.list_kind(),
        }
    }

    fn api_version(&self) -> &str {
        match self.view {
            View::Table(meta, _) | View::Metadata(meta) => meta.group_version(),
            _ => self.version.group_version(),
        }
    }

    fn describe<E: Encoder>(&self, encoder: &mut E) {
        encoder.object(METADATA, list_meta);
        if matches!(self.view, View::Table(..)) {
            encoder.objects(field!("columnDefinitions", 0), COLUMNS, column);
            encoder.objects(field!("rows", 0), [(); 0], |_, ()| {});
        } else {
            encoder.objects(ITEMS, [(); 0], |_, ()| {});
        }
    }
}

/// The columns of both resources: name, format, description.
const COLUMNS: [(&str, &str, &str); 4] = [
    ("Name", "name", "Name of the resource"),
    ("cpu", "quantity", ""),
    ("memory", "quantity", ""),
    ("Window", "duration", ""),
];

fn column<E: Encoder>(encoder: &mut E, (name, format, description): (&str, &str, &str)) {
    encoder.text(field!("name", 0), name);
    encoder.text(field!("type", 0), "string");
    encoder.text(field!("format", 0), format);
    encoder.text(field!("description", 0), description);
    encoder.number(field!("priority", 0), 0);
}

#[cfg(test)]
mod tests;
