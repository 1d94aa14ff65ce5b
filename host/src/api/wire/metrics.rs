//! NodeMetrics and PodMetrics, and what every object of the API has: described once, for every encoding. Pure.
//!
//! In: identities and usage; the response's time becomes `creationTimestamp`, as upstream has it. Out: calls of an
//! `Encoder`.
//!
//! Rule: metrics-server v0.9.0, `pkg/api/{node,pod}.go`; numbers of fields: `k8s.io/metrics` v0.36
//! `pkg/apis/metrics/v1beta1/generated.proto`, `k8s.io/apimachinery` v0.36 `pkg/apis/meta/v1/generated.proto`. One
//! difference: containers come in the order in which the store has them (by name), where upstream's order is that of
//! a Go map.

use super::encode::{Encoder, Field, Text, field};
use super::negotiate::MetaVersion;
use super::timestamp::Timestamp;
use super::{ApiVersion, Resource};
use crate::model::units::{Bytes, Nanocores, UnixNanos};
use crate::model::{ContainerUsage, Labels, PodRef, PodUsage, Usage};

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
pub(super) enum Place {
    /// With `kind` and `apiVersion`.
    Alone,
    /// Without.
    InList,
}

/// Describes the objects of one response.
#[derive(Clone, Debug)]
pub(super) struct Describer {
    version: ApiVersion,
    /// The same in every object of a response.
    creation: Timestamp,
    /// That of the object before: those of one list lie within seconds of each other.
    taken: Timestamp,
}

/// Which object a row or a partial object stands for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Identity<'a> {
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
    pub(super) labels: &'a Labels,
}

const METADATA: Field = field!("metadata", 1);
const TIMESTAMP: Field = field!("timestamp", 2);
const WINDOW: Field = field!("window", 3);
const NODE_USAGE: Field = field!("usage", 4);
const CONTAINERS: Field = field!("containers", 4);
const CONTAINER_NAME: Field = field!("name", 1);
const CONTAINER_USAGE: Field = field!("usage", 2);

impl Describer {
    /// For a response made at `now`.
    pub(super) fn new(version: ApiVersion, now: UnixNanos) -> Self {
        Self { version, creation: Timestamp::new(now), taken: Timestamp::new(now) }
    }

    /// A NodeMetrics.
    pub(super) fn node_metrics<E: Encoder>(&mut self, encoder: &mut E, node: &NodeItem<'_>, place: Place) {
        self.say_what_it_is(encoder, Resource::Nodes, place);
        self.metadata(encoder, node.identity());
        encoder.time(TIMESTAMP, Some(self.taken.move_to(node.usage.taken_at)));
        encoder.duration(WINDOW, node.usage.window);
        amounts(encoder, NODE_USAGE, Some(node.usage.cpu), Some(node.usage.memory));
    }

    /// A PodMetrics.
    pub(super) fn pod_metrics<E: Encoder>(&mut self, encoder: &mut E, item: &PodItem<'_>, place: Place) {
        let PodUsage { taken_at, window, containers } = item.usage;
        self.say_what_it_is(encoder, Resource::Pods, place);
        self.metadata(encoder, item.identity());
        // A pod without containers has no time.
        let taken = (!containers.is_empty()).then(|| self.taken.move_to(*taken_at));
        encoder.time(TIMESTAMP, taken);
        encoder.duration(WINDOW, *window);
        encoder.objects(CONTAINERS, containers, container_metrics);
    }

    /// A PartialObjectMetadata.
    pub(super) fn partial<E: Encoder>(&self, encoder: &mut E, meta: MetaVersion, of: Identity<'_>) {
        encoder.type_meta(PARTIAL_KIND, meta.group_version());
        self.metadata(encoder, of);
    }

    /// The member `metadata` alone.
    pub(super) fn metadata<E: Encoder>(&self, encoder: &mut E, of: Identity<'_>) {
        encoder.object(METADATA, |meta| object_meta(meta, of, Some(&self.creation)));
    }

    fn say_what_it_is(&self, encoder: &mut impl Encoder, resource: Resource, place: Place) {
        if place == Place::Alone {
            encoder.type_meta(resource.kind(), self.version.group_version());
        }
    }
}

/// The kind of an object of which only the metadata is shown.
pub(super) const PARTIAL_KIND: &str = "PartialObjectMetadata";

fn container_metrics<E: Encoder>(encoder: &mut E, container: &ContainerUsage) {
    encoder.text(CONTAINER_NAME, &container.name);
    amounts(encoder, CONTAINER_USAGE, container.cpu(), container.memory());
}

/// What a filter withholds is no key of the map.
fn amounts<E: Encoder>(encoder: &mut E, field: Field, cpu: Option<Nanocores>, memory: Option<Bytes>) {
    let cpu = cpu.map(|cpu| (field!("cpu", 0), Text::Cpu(cpu)));
    let memory = memory.map(|memory| (field!("memory", 0), Text::Memory(memory)));
    match (cpu, memory) {
        (Some(cpu), Some(memory)) => encoder.amounts(field, &[cpu, memory]),
        (Some(one), None) | (None, Some(one)) => encoder.amounts(field, &[one]),
        (None, None) => encoder.amounts(field, &[]),
    }
}

/// The metadata of an object; of what we do not know or serve, protobuf says that it is empty.
pub(super) fn object_meta<E: Encoder>(encoder: &mut E, of: Identity<'_>, creation: Option<&Timestamp>) {
    encoder.text(field!("name", 1), of.name);
    encoder.text_unless_empty(field!("generateName", 2), "");
    encoder.text_unless_empty(field!("namespace", 3), of.namespace);
    encoder.text_unless_empty(field!("selfLink", 4), "");
    encoder.text_unless_empty(field!("uid", 5), "");
    encoder.text_unless_empty(field!("resourceVersion", 6), "");
    encoder.zero(field!("generation", 7));
    match creation {
        Some(creation) => encoder.time(field!("creationTimestamp", 8), Some(creation)),
        None => encoder.no_time(field!("creationTimestamp", 8)),
    }
    encoder.labels(field!("labels", 11), of.labels);
}

/// The metadata of a list.
pub(super) fn list_meta<E: Encoder>(encoder: &mut E) {
    encoder.text_unless_empty(field!("selfLink", 1), "");
    encoder.text_unless_empty(field!("resourceVersion", 2), "");
    encoder.text_unless_empty(field!("continue", 3), "");
}

impl<'a> NodeItem<'a> {
    pub(super) fn identity(&self) -> Identity<'a> {
        Identity { namespace: "", name: self.name, labels: self.labels }
    }
}

impl<'a> PodItem<'a> {
    pub(super) fn identity(&self) -> Identity<'a> {
        Identity { namespace: self.pod.namespace, name: self.pod.name, labels: self.labels }
    }
}

#[cfg(test)]
mod tests;
