use std::sync::Arc;

use http::HeaderMap;

use super::negotiate::{Layout, Wishes};
use super::*;
use crate::model::units::{Bytes, Nanocores, UnixNanos, WindowNanos};
use crate::model::{ContainerUsage, Labels, PodRef, PodUsage, Usage};

macro_rules! golden_bytes {
    ($name:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/golden/", $name))
    };
}

macro_rules! golden {
    ($name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/golden/", $name))
    };
}

/// 2026-11-20T22:09:00Z, the minute of the captures.
const MINUTE: u64 = 1_795_212_540;

fn at(second: u64) -> UnixNanos {
    // The fraction must not be seen.
    UnixNanos((MINUTE + second) * 1_000_000_000 + 999_999_999)
}

fn node_labels() -> Labels {
    let labels = [
        ("kubernetes.io/os", "linux"),
        ("beta.kubernetes.io/arch", "amd64"),
        ("beta.kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", "amd64"),
        ("kubernetes.io/hostname", "node1"),
    ];
    labels.into_iter().collect()
}

fn node_usage() -> Usage {
    Usage {
        taken_at: at(14),
        window: WindowNanos(10_037_000_000),
        cpu: Nanocores(1_283_013_508),
        memory: Bytes(1_731_212 * 1024),
    }
}

/// A pod of the captures: its name, labels, sample second, window in milliseconds, containers.
struct CapturedPod {
    name: &'static str,
    labels: Labels,
    usage: PodUsage,
}

fn captured_pod(
    name: &'static str,
    labels: &[(&str, &str)],
    second: u64,
    window_ms: u64,
    containers: &[(&str, u64, u64)],
) -> CapturedPod {
    let containers = containers.iter().map(|(name, cpu, kibibytes)| {
        ContainerUsage::new(Arc::from(*name), Some(Nanocores(*cpu)), Some(Bytes(kibibytes * 1024)))
    });
    let usage =
        PodUsage { taken_at: at(second), window: WindowNanos(window_ms * 1_000_000), containers: containers.collect() };
    CapturedPod { name, labels: labels.iter().copied().collect(), usage }
}

fn captured_pods() -> [CapturedPod; 3] {
    let busy = [("app", "busy"), ("pod-template-hash", "6f8b898f67")];
    [
        captured_pod("busy-6f8b898f67-5hflb", &busy, 7, 11_669, &[("burn", 50_508_921, 33_308)]),
        captured_pod("busy-6f8b898f67-rc4v8", &busy, 14, 12_146, &[("burn", 50_131_949, 33_584)]),
        captured_pod(
            "twins",
            &[("app", "twins")],
            9,
            11_875,
            &[("large", 79_826_281, 99_240), ("small", 30_189_521, 25_368)],
        ),
    ]
}

impl CapturedPod {
    fn item(&self) -> PodItem<'_> {
        let pod = PodRef { namespace: "default", name: self.name };
        PodItem { pod, labels: &self.labels, usage: &self.usage }
    }
}

fn form(encoding: Encoding, view: View) -> Form {
    Form { encoding, view, layout: Layout::Pretty }
}

fn list_of_nodes(form: Form) -> String {
    String::from_utf8(bytes_of_nodes(form)).unwrap()
}

fn bytes_of_nodes(form: Form) -> Vec<u8> {
    let (labels, usage) = (node_labels(), node_usage());
    let node = Item::Node(NodeItem { name: "node1", labels: &labels, usage: &usage });
    bytes_of(Resource::Nodes, form, 27, &[node])
}

fn bytes_of(resource: Resource, form: Form, second: u64, items: &[Item<'_>]) -> Vec<u8> {
    let (mut list, mut between) = (Vec::new(), Vec::new());
    let mut listing = Listing::new(resource, ApiVersion::V1Beta1, form, at(second));
    items.iter().for_each(|item| listing.push(&mut between, item));
    listing.head(&mut list, between.len());
    list.append(&mut between);
    listing.tail(&mut list);
    list
}

fn list_of_pods(form: Form, second: u64, pods: &[CapturedPod]) -> String {
    let items: Vec<Item<'_>> = pods.iter().map(|pod| Item::Pod(pod.item())).collect();
    String::from_utf8(bytes_of(Resource::Pods, form, second, &items)).unwrap()
}

const TABLE: View = View::Table(MetaVersion::V1, IncludeObject::Metadata);

#[test]
fn lists_and_objects_equal_upstreams_byte_for_byte() {
    let pretty = form(Encoding::Json, View::Object);
    assert_eq!(list_of_nodes(pretty), golden!("nodes.json"));
    assert_eq!(list_of_pods(pretty, 28, &captured_pods()), golden!("pods.json"));
    assert_eq!(list_of_pods(pretty, 28, &[]), golden!("pods-no-namespace.json"));

    let (labels, usage) = (node_labels(), node_usage());
    let node = NodeItem { name: "node1", labels: &labels, usage: &usage };
    let node = listing::write_node(ApiVersion::V1Beta1, pretty, at(27), node);
    assert_eq!(String::from_utf8(node).unwrap(), golden!("node.json"));

    let pod = listing::write_pod(ApiVersion::V1Beta1, pretty, at(27), captured_pods()[2].item());
    assert_eq!(String::from_utf8(pod).unwrap(), golden!("pod.json"));
}

#[test]
fn protobuf_equals_upstreams_byte_for_byte() {
    let protobuf = form(Encoding::Protobuf, View::Object);
    assert_eq!(bytes_of_nodes(protobuf), golden_bytes!("nodes.pb"));
    let resources = protobuf.write(&discovery::ApiResourceList(ApiVersion::V1Beta1));
    assert_eq!(resources, golden_bytes!("api-resource-list.pb"));
}

#[test]
fn tables_equal_upstreams_byte_for_byte() {
    assert_eq!(list_of_nodes(form(Encoding::Json, TABLE)), golden!("nodes-table.json"));
    assert_eq!(list_of_pods(form(Encoding::Json, TABLE), 27, &captured_pods()), golden!("pods-table.json"));
}

#[test]
fn yaml_equals_upstreams_byte_for_byte() {
    assert_eq!(list_of_nodes(form(Encoding::Yaml, View::Object)), golden!("nodes.yaml"));
}

#[test]
fn statuses_equal_upstreams_byte_for_byte() {
    let unacceptable = Status::not_acceptable(
        "application/json, application/yaml, application/vnd.kubernetes.protobuf, application/json;stream=watch, \
         application/vnd.kubernetes.protobuf;stream=watch",
    );
    let bad_label = Status::bad_request("found '==', expected: !, identifier, or 'end of string'");
    let cases = [
        (Status::no_such_node("nope"), golden!("node-missing.json")),
        (Status::no_such_pod("nope"), golden!("pod-missing.json")),
        (Status::method_not_allowed(), golden!("nodes-delete.json")),
        (Status::watch_not_supported(Resource::Nodes), golden!("nodes-watch.json")),
        (unacceptable, golden!("nodes-unacceptable.json")),
        (bad_label, golden!("pods-bad-label.json")),
        (Status::path_not_found(), golden!("unknown-resource.json")),
    ];
    for (status, expected) in cases {
        let body = form(Encoding::Json, View::Object).write(&status);
        assert_eq!(String::from_utf8(body).unwrap(), expected);
    }
}

#[test]
fn the_resource_list_equals_upstreams_byte_for_byte() {
    let body = form(Encoding::Json, View::Object).write(&discovery::ApiResourceList(ApiVersion::V1Beta1));
    assert_eq!(String::from_utf8(body).unwrap(), golden!("api-resource-list.json"));
}

#[test]
fn compact_json_is_indented_json_without_its_blanks_and_ends_with_a_line_break() {
    let headers = HeaderMap::new();
    let compact = Wishes::new(&headers, None, None).choose_for_error();
    assert!(!compact.needs_length());
    let value: serde_json::Value = serde_json::from_str(golden!("pods.json")).unwrap();
    let text = list_of_pods(compact, 28, &captured_pods());
    assert!(
        text.starts_with(r#"{"kind":"PodMetricsList","apiVersion":"metrics.k8s.io/v1beta1","metadata":{},"items":["#)
    );
    assert!(text.ends_with("]}\n"), "{text}");
    assert!(!text.contains(' '), "{text}");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
}

#[test]
fn an_empty_table_has_its_columns_and_no_rows() {
    let value: serde_json::Value = serde_json::from_str(&list_of_pods(form(Encoding::Json, TABLE), 0, &[])).unwrap();
    let columns: Vec<&str> =
        value["columnDefinitions"].as_array().unwrap().iter().map(|column| column["name"].as_str().unwrap()).collect();
    assert_eq!(columns, ["Name", "cpu", "memory", "Window"]);
    assert_eq!(value["rows"], serde_json::json!([]));
}

#[test]
fn a_row_holds_as_much_of_its_object_as_was_asked_for() {
    let row = |include| {
        let form = form(Encoding::Json, View::Table(MetaVersion::V1Beta1, include));
        let table: serde_json::Value = serde_json::from_str(&list_of_pods(form, 28, &captured_pods()[2..])).unwrap();
        assert_eq!(table["apiVersion"], "meta.k8s.io/v1beta1");
        table["rows"][0]["object"].clone()
    };
    assert_eq!(row(IncludeObject::None), serde_json::Value::Null);
    assert_eq!(row(IncludeObject::Metadata)["apiVersion"], "meta.k8s.io/v1beta1");
    assert_eq!(row(IncludeObject::Metadata)["containers"], serde_json::Value::Null);
    assert_eq!(row(IncludeObject::Object)["kind"], "PodMetrics");
    assert_eq!(row(IncludeObject::Object)["containers"][1]["name"], "small");
}

#[test]
fn metadata_of_a_list_names_the_kind_of_each_item() {
    let form = form(Encoding::Json, View::Metadata(MetaVersion::V1));
    let list: serde_json::Value = serde_json::from_str(&list_of_pods(form, 28, &captured_pods())).unwrap();
    assert_eq!(list["kind"], "PartialObjectMetadataList");
    assert_eq!(list["items"][2]["kind"], "PartialObjectMetadata");
    assert_eq!(list["items"][2]["metadata"]["labels"]["app"], "twins");
    assert_eq!(list["items"][2].as_object().unwrap().len(), 3);
}

#[test]
fn the_two_versions_differ_in_their_name_only() {
    let text = |version: ApiVersion| {
        let pods = captured_pods();
        let form = form(Encoding::Json, View::Object);
        String::from_utf8(listing::write_pod(version, form, at(0), pods[0].item()))
            .unwrap()
            .replace(version.group_version(), "VERSION")
    };
    assert_eq!(text(ApiVersion::V1), text(ApiVersion::V1Beta1));
    assert!(text(ApiVersion::V1).contains("\"apiVersion\": \"VERSION\""));
}
