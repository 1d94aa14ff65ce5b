//! Every encoding says the same: what each of them has written is read back by a decoder that is not ours, and compared
//! with the JSON. Tests only.

mod messages;

use std::collections::BTreeMap;
use std::sync::Arc;

use prop::collection::vec;
use proptest::prelude::*;
use prost::Message;
use serde_json::{Value, json};

use super::discovery::{ApiGroup, ApiGroupDiscoveryList, ApiGroupList, ApiResourceList, DiscoveryVersion};
use super::encode::Document;
use super::negotiate::Layout;
use super::status::Cause;
use super::{ApiVersion, Encoding, Form, IncludeObject, Item, Listing, MetaVersion, NodeItem, PodItem, Resource};
use super::{Status, View, listing};
use crate::auth::Details;
use crate::model::units::{Bytes, Nanocores, UnixNanos, WindowNanos};
use crate::model::{ContainerUsage, Labels, PodRef, PodUsage, Usage};
use messages::{Named, ToJson};

fn form(encoding: Encoding, layout: Layout, view: View) -> Form {
    Form { encoding, view, layout }
}

/// A body in each form but protobuf, read back.
fn read_back(view: View, write: impl Fn(Form) -> Vec<u8>) -> Value {
    let written = |encoding, layout| write(form(encoding, layout, view));
    let json: Value = serde_json::from_slice(&written(Encoding::Json, Layout::Compact)).expect("it is JSON");
    let pretty = serde_json::from_slice(&written(Encoding::Json, Layout::Pretty)).expect("it is JSON");
    let yaml = String::from_utf8(written(Encoding::Yaml, Layout::Compact)).expect("YAML is text");
    let yaml = serde_saphyr::from_str(&yaml).unwrap_or_else(|error| panic!("{error} in {yaml}"));
    let readings: [(&str, Value); 3] =
        [("indented JSON", pretty), ("YAML", yaml), ("CBOR", from_cbor(&written(Encoding::Cbor, Layout::Compact)))];
    for (name, read) in readings {
        assert_eq!(read, json, "{name} and JSON");
    }
    json
}

/// The same, and protobuf as well, which has a message for it.
fn read_back_all<M: Message + Default + ToJson>(view: View, write: impl Fn(Form) -> Vec<u8>) -> Value {
    let json = read_back(view, &write);
    assert_eq!(from_protobuf::<M>(&write(form(Encoding::Protobuf, Layout::Compact, view))), json, "protobuf and JSON");
    json
}

fn read_back_document<M: Message + Default + ToJson>(document: &impl Document) -> Value {
    read_back_all::<M>(View::Object, |form| form.write(document))
}

/// As upstream's decoder reads it: byte strings are texts.
fn from_cbor(bytes: &[u8]) -> Value {
    fn convert(value: ciborium::Value) -> Value {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("our texts are UTF-8");
        match value {
            ciborium::Value::Bytes(bytes) => text(bytes).into(),
            ciborium::Value::Bool(flag) => flag.into(),
            ciborium::Value::Null => Value::Null,
            ciborium::Value::Integer(number) => u64::try_from(number).expect("ours are not negative").into(),
            ciborium::Value::Array(items) => items.into_iter().map(convert).collect(),
            ciborium::Value::Map(members) => members
                .into_iter()
                .map(|(name, member)| (text(name.into_bytes().expect("names are byte strings")), convert(member)))
                .collect(),
            other => panic!("{other:?} is not what upstream writes"),
        }
    }
    let content = bytes.strip_prefix(&[0xd9, 0xd9, 0xf7]).expect("CBOR begins with its tag");
    let mut rest = content;
    let value = ciborium::from_reader(&mut rest).unwrap_or_else(|error| panic!("{error} in {content:x?}"));
    assert!(rest.is_empty(), "{rest:x?} is left");
    convert(value)
}

/// What the message says, in the terms of JSON.
fn from_protobuf<M: Message + Default + ToJson>(bytes: &[u8]) -> Value {
    let envelope = bytes.strip_prefix(b"k8s\0").expect("protobuf begins with its magic bytes");
    let unknown = messages::Unknown::decode(envelope).unwrap_or_else(|error| panic!("{error} in {envelope:x?}"));
    let message = M::decode(&*unknown.raw).unwrap_or_else(|error| panic!("{error} in {:x?}", unknown.raw));
    // Whatever we write is a field that upstream has, as upstream writes it.
    assert_eq!(message.encode_to_vec().len(), unknown.raw.len(), "of {message:?}");
    let identity = unknown.type_meta.expect("the envelope says what it holds");
    let mut json = message.to_json(Named::of(&identity));
    json["kind"] = identity.kind.into();
    if !identity.api_version.is_empty() {
        json["apiVersion"] = identity.api_version.into();
    }
    json
}

#[derive(Clone, Debug)]
struct AnyPod {
    namespace: String,
    name: String,
    labels: Labels,
    usage: PodUsage,
}

#[derive(Clone, Debug)]
struct AnyNode {
    name: String,
    labels: Labels,
    usage: Usage,
}

impl AnyPod {
    fn item(&self) -> PodItem<'_> {
        let pod = PodRef { namespace: &self.namespace, name: &self.name };
        PodItem { pod, labels: &self.labels, usage: &self.usage }
    }
}

impl AnyNode {
    fn item(&self) -> NodeItem<'_> {
        NodeItem { name: &self.name, labels: &self.labels, usage: &self.usage }
    }
}

/// Texts of any characters, some of them long enough for lengths of two bytes.
fn texts() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[a-z0-9.-]{1,60}", "[a-z]{120,140}"]
}

fn labels() -> impl Strategy<Value = Labels> {
    let few = prop::collection::btree_map(texts(), texts(), 0..6);
    let many = prop::collection::btree_map("[a-z]{2}", "[a-z]{0,3}", 20..30);
    prop_oneof![few, many].prop_map(|labels: BTreeMap<String, String>| labels.into_iter().collect())
}

/// Numbers of all sizes, round ones among them.
fn numbers() -> impl Strategy<Value = u64> {
    prop_oneof![any::<u64>(), (0u64..5000).prop_map(|n| n * 1_000_000), (0u64..5000).prop_map(|n| n << 20), 0u64..300]
}

fn pods() -> impl Strategy<Value = AnyPod> {
    let figure = || prop::option::weighted(0.8, numbers());
    let container = (texts(), figure(), figure())
        .prop_map(|(name, cpu, memory)| ContainerUsage::new(Arc::from(name), cpu.map(Nanocores), memory.map(Bytes)));
    let usage = (any::<u64>(), numbers(), vec(container, 0..30)).prop_map(|(taken_at, window, containers)| PodUsage {
        taken_at: UnixNanos(taken_at),
        window: WindowNanos(window),
        containers: containers.into(),
    });
    // A pod has a namespace; an empty one would be left out.
    ("[a-z]{1,9}", texts(), labels(), usage).prop_map(|(namespace, name, labels, usage)| AnyPod {
        namespace,
        name,
        labels,
        usage,
    })
}

fn nodes() -> impl Strategy<Value = AnyNode> {
    (texts(), labels(), any::<u64>(), numbers(), numbers(), numbers()).prop_map(
        |(name, labels, taken_at, window, cpu, memory)| {
            let usage = Usage {
                taken_at: UnixNanos(taken_at),
                window: WindowNanos(window),
                cpu: Nanocores(cpu),
                memory: Bytes(memory),
            };
            AnyNode { name, labels, usage }
        },
    )
}

fn list(resource: Resource, form: Form, now: UnixNanos, items: &[Item<'_>]) -> Vec<u8> {
    let (mut list, mut between) = (Vec::new(), Vec::new());
    let mut listing = Listing::new(resource, ApiVersion::V1Beta1, form, now);
    items.iter().for_each(|item| listing.push(&mut between, item));
    listing.head(&mut list, between.len());
    list.append(&mut between);
    listing.tail(&mut list);
    list
}

const METADATA: View = View::Metadata(MetaVersion::V1);

fn tables() -> impl Strategy<Value = View> {
    let includes = [IncludeObject::None, IncludeObject::Metadata, IncludeObject::Object];
    prop::sample::select(includes.to_vec()).prop_map(|include| View::Table(MetaVersion::V1, include))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn lists_of_pods_agree(pods in vec(pods(), 0..4), table in tables(), now: u64) {
        let now = UnixNanos(now);
        let items: Vec<Item<'_>> = pods.iter().map(|pod| Item::Pod(pod.item())).collect();
        let write = |form| list(Resource::Pods, form, now, &items);
        let json = read_back_all::<messages::PodMetricsList>(View::Object, write);
        prop_assert_eq!(json["items"].as_array().map(Vec::len), Some(pods.len()));
        read_back_all::<messages::PartialObjectMetadataList>(METADATA, write);
        let json = read_back(table, write);
        prop_assert_eq!(json["rows"].as_array().map(Vec::len), Some(pods.len()));
    }

    #[test]
    fn lists_of_nodes_agree(nodes in vec(nodes(), 0..4), table in tables(), now: u64) {
        let now = UnixNanos(now);
        let items: Vec<Item<'_>> = nodes.iter().map(|node| Item::Node(node.item())).collect();
        let write = |form| list(Resource::Nodes, form, now, &items);
        let json = read_back_all::<messages::NodeMetricsList>(View::Object, write);
        prop_assert_eq!(json["items"].as_array().map(Vec::len), Some(nodes.len()));
        read_back_all::<messages::PartialObjectMetadataList>(METADATA, write);
        let json = read_back(table, write);
        prop_assert_eq!(json["rows"].as_array().map(Vec::len), Some(nodes.len()));
    }

    #[test]
    fn single_objects_agree(pod in pods(), node in nodes(), table in tables(), now: u64) {
        let now = UnixNanos(now);
        let write_pod = |form| listing::write_pod(ApiVersion::V1, form, now, pod.item());
        let json = read_back_all::<messages::PodMetrics>(View::Object, write_pod);
        prop_assert_eq!(&json["metadata"]["name"], &json!(pod.name));
        read_back_all::<messages::PartialObjectMetadata>(METADATA, write_pod);
        read_back(table, write_pod);
        let write_node = |form| listing::write_node(ApiVersion::V1, form, now, node.item());
        let json = read_back_all::<messages::NodeMetrics>(View::Object, write_node);
        prop_assert_eq!(&json["metadata"]["name"], &json!(node.name));
        read_back_all::<messages::PartialObjectMetadata>(METADATA, write_node);
        read_back(table, write_node);
    }

    #[test]
    fn statuses_agree(message in texts(), name in texts(), group in texts(), kind in texts()) {
        // A text that is empty goes without saying, in protobuf as well once it is read back.
        let about = Details { name, group, kind };
        let json = read_back_document::<messages::Status>(&Status::forbidden(message.clone(), &about));
        prop_assert_eq!(&json["message"], &json!(message));
        read_back_document::<messages::Status>(&Status::bad_request(message.clone()));
        read_back_document::<messages::Status>(&Status::internal(message.clone()));
        let causes = vec![Cause { reason: "FieldValueForbidden", message, field: "limit" }; 2];
        let json = read_back_document::<messages::Status>(&Status::invalid_list_options(causes));
        prop_assert_eq!(json["details"]["causes"].as_array().map(Vec::len), Some(2));
    }
}

#[test]
fn documents_agree() {
    read_back_document::<messages::ApiGroupList>(&ApiGroupList);
    read_back_document::<messages::ApiGroup>(&ApiGroup);
    for version in ApiVersion::ALL {
        read_back_document::<messages::ApiResourceList>(&ApiResourceList(version));
    }
    for version in [DiscoveryVersion::V2, DiscoveryVersion::V2Beta1] {
        read_back_document::<messages::ApiGroupDiscoveryList>(&ApiGroupDiscoveryList(version));
    }
}
