//! The messages of the API, declared from upstream's `.proto` files and not from our encoder, and what each of them is in
//! JSON.
//!
//! They are of proto2: every field that upstream holds by value is `required` here, so that what is read back is also
//! written back with all of them.

use prost::Message;
use serde_json::{Map, Value, json};

use crate::api::wire::timestamp::Timestamp;
use crate::model::units::UnixNanos;

/// Whether the members of a list say what they are, and as what.
#[derive(Clone, Copy)]
pub(super) enum Named<'a> {
    No,
    Partial(&'a str),
}

impl<'a> Named<'a> {
    /// Those of a list of metadata do.
    pub(super) fn of(list: &'a TypeMeta) -> Self {
        if list.kind == "PartialObjectMetadataList" { Self::Partial(&list.api_version) } else { Self::No }
    }
}

/// What a message is in JSON, without its kind.
pub(super) trait ToJson: std::fmt::Debug {
    fn to_json(&self, members: Named<'_>) -> Value;
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Unknown {
    #[prost(message, optional, tag = "1")]
    pub(super) type_meta: Option<TypeMeta>,
    #[prost(bytes = "vec", required, tag = "2")]
    pub(super) raw: Vec<u8>,
    #[prost(string, required, tag = "3")]
    content_encoding: String,
    #[prost(string, required, tag = "4")]
    content_type: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TypeMeta {
    #[prost(string, required, tag = "1")]
    pub(super) api_version: String,
    #[prost(string, required, tag = "2")]
    pub(super) kind: String,
}

#[derive(Clone, PartialEq, Message)]
struct ListMeta {
    #[prost(string, required, tag = "1")]
    self_link: String,
    #[prost(string, required, tag = "2")]
    resource_version: String,
    #[prost(string, required, tag = "3")]
    continue_: String,
    #[prost(int64, optional, tag = "4")]
    remaining_item_count: Option<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct Time {
    #[prost(int64, optional, tag = "1")]
    seconds: Option<i64>,
    #[prost(int32, optional, tag = "2")]
    nanos: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
struct Duration {
    #[prost(int64, required, tag = "1")]
    duration: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Quantity {
    #[prost(string, required, tag = "1")]
    string: String,
}

#[derive(Clone, PartialEq, Message)]
struct TextEntry {
    #[prost(string, required, tag = "1")]
    key: String,
    #[prost(string, required, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct QuantityEntry {
    #[prost(string, required, tag = "1")]
    key: String,
    #[prost(message, required, tag = "2")]
    value: Quantity,
}

#[derive(Clone, PartialEq, Message)]
struct ObjectMeta {
    #[prost(string, required, tag = "1")]
    name: String,
    #[prost(string, required, tag = "2")]
    generate_name: String,
    #[prost(string, required, tag = "3")]
    namespace: String,
    #[prost(string, required, tag = "4")]
    self_link: String,
    #[prost(string, required, tag = "5")]
    uid: String,
    #[prost(string, required, tag = "6")]
    resource_version: String,
    #[prost(int64, required, tag = "7")]
    generation: i64,
    #[prost(message, required, tag = "8")]
    creation_timestamp: Time,
    // A map, as it is on the wire: its order is to be seen.
    #[prost(message, repeated, tag = "11")]
    labels: Vec<TextEntry>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct NodeMetrics {
    #[prost(message, required, tag = "1")]
    metadata: ObjectMeta,
    #[prost(message, required, tag = "2")]
    timestamp: Time,
    #[prost(message, required, tag = "3")]
    window: Duration,
    #[prost(message, repeated, tag = "4")]
    usage: Vec<QuantityEntry>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct NodeMetricsList {
    #[prost(message, required, tag = "1")]
    metadata: ListMeta,
    #[prost(message, repeated, tag = "2")]
    items: Vec<NodeMetrics>,
}

#[derive(Clone, PartialEq, Message)]
struct ContainerMetrics {
    #[prost(string, required, tag = "1")]
    name: String,
    #[prost(message, repeated, tag = "2")]
    usage: Vec<QuantityEntry>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PodMetrics {
    #[prost(message, required, tag = "1")]
    metadata: ObjectMeta,
    #[prost(message, required, tag = "2")]
    timestamp: Time,
    #[prost(message, required, tag = "3")]
    window: Duration,
    #[prost(message, repeated, tag = "4")]
    containers: Vec<ContainerMetrics>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PodMetricsList {
    #[prost(message, required, tag = "1")]
    metadata: ListMeta,
    #[prost(message, repeated, tag = "2")]
    items: Vec<PodMetrics>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PartialObjectMetadata {
    #[prost(message, required, tag = "1")]
    metadata: ObjectMeta,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PartialObjectMetadataList {
    #[prost(message, required, tag = "1")]
    metadata: ListMeta,
    #[prost(message, repeated, tag = "2")]
    items: Vec<PartialObjectMetadata>,
}

#[derive(Clone, PartialEq, Message)]
struct StatusCause {
    #[prost(string, required, tag = "1")]
    reason: String,
    #[prost(string, required, tag = "2")]
    message: String,
    #[prost(string, required, tag = "3")]
    field: String,
}

#[derive(Clone, PartialEq, Message)]
struct StatusDetails {
    #[prost(string, required, tag = "1")]
    name: String,
    #[prost(string, required, tag = "2")]
    group: String,
    #[prost(string, required, tag = "3")]
    kind: String,
    #[prost(message, repeated, tag = "4")]
    causes: Vec<StatusCause>,
    #[prost(int32, required, tag = "5")]
    retry_after_seconds: i32,
    #[prost(string, required, tag = "6")]
    uid: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Status {
    #[prost(message, required, tag = "1")]
    metadata: ListMeta,
    #[prost(string, required, tag = "2")]
    status: String,
    #[prost(string, required, tag = "3")]
    message: String,
    #[prost(string, required, tag = "4")]
    reason: String,
    #[prost(message, optional, tag = "5")]
    details: Option<StatusDetails>,
    #[prost(int32, required, tag = "6")]
    code: i32,
}

#[derive(Clone, PartialEq, Message)]
struct GroupVersionForDiscovery {
    #[prost(string, required, tag = "1")]
    group_version: String,
    #[prost(string, required, tag = "2")]
    version: String,
}

#[derive(Clone, PartialEq, Message)]
struct ServerAddressByClientCidr {
    #[prost(string, required, tag = "1")]
    client_cidr: String,
    #[prost(string, required, tag = "2")]
    server_address: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ApiGroup {
    #[prost(string, required, tag = "1")]
    name: String,
    #[prost(message, repeated, tag = "2")]
    versions: Vec<GroupVersionForDiscovery>,
    #[prost(message, required, tag = "3")]
    preferred_version: GroupVersionForDiscovery,
    #[prost(message, repeated, tag = "4")]
    server_addresses: Vec<ServerAddressByClientCidr>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ApiGroupList {
    #[prost(message, repeated, tag = "1")]
    groups: Vec<ApiGroup>,
}

#[derive(Clone, PartialEq, Message)]
struct Verbs {
    #[prost(string, repeated, tag = "1")]
    items: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct ApiResource {
    #[prost(string, required, tag = "1")]
    name: String,
    #[prost(bool, required, tag = "2")]
    namespaced: bool,
    #[prost(string, required, tag = "3")]
    kind: String,
    #[prost(message, optional, tag = "4")]
    verbs: Option<Verbs>,
    #[prost(string, required, tag = "6")]
    singular_name: String,
    #[prost(string, required, tag = "8")]
    group: String,
    #[prost(string, required, tag = "9")]
    version: String,
    #[prost(string, required, tag = "10")]
    storage_version_hash: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ApiResourceList {
    #[prost(string, required, tag = "1")]
    group_version: String,
    #[prost(message, repeated, tag = "2")]
    resources: Vec<ApiResource>,
}

#[derive(Clone, PartialEq, Message)]
struct GroupVersionKind {
    #[prost(string, required, tag = "1")]
    group: String,
    #[prost(string, required, tag = "2")]
    version: String,
    #[prost(string, required, tag = "3")]
    kind: String,
}

#[derive(Clone, PartialEq, Message)]
struct ApiResourceDiscovery {
    #[prost(string, required, tag = "1")]
    resource: String,
    #[prost(message, optional, tag = "2")]
    response_kind: Option<GroupVersionKind>,
    #[prost(string, required, tag = "3")]
    scope: String,
    #[prost(string, required, tag = "4")]
    singular_resource: String,
    #[prost(string, repeated, tag = "5")]
    verbs: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct ApiVersionDiscovery {
    #[prost(string, required, tag = "1")]
    version: String,
    #[prost(message, repeated, tag = "2")]
    resources: Vec<ApiResourceDiscovery>,
    #[prost(string, required, tag = "3")]
    freshness: String,
}

#[derive(Clone, PartialEq, Message)]
struct ApiGroupDiscovery {
    #[prost(message, required, tag = "1")]
    metadata: ObjectMeta,
    #[prost(message, repeated, tag = "2")]
    versions: Vec<ApiVersionDiscovery>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ApiGroupDiscoveryList {
    #[prost(message, required, tag = "1")]
    metadata: ListMeta,
    #[prost(message, repeated, tag = "2")]
    items: Vec<ApiGroupDiscovery>,
}

/// An object of those members that are not empty.
fn sparse(members: &[(&str, &str)]) -> Map<String, Value> {
    let said = members.iter().filter(|(_, text)| !text.is_empty());
    said.map(|(name, text)| ((*name).to_owned(), (*text).into())).collect()
}

impl Time {
    fn to_json(&self) -> Option<Value> {
        let seconds = u64::try_from(self.seconds?).expect("no time is before 1970");
        let text = Timestamp::new(UnixNanos(seconds * 1_000_000_000)).as_bytes().to_vec();
        Some(String::from_utf8(text).expect("times are ASCII").into())
    }
}

impl Duration {
    fn to_json(&self) -> Value {
        let mut text = Vec::new();
        crate::api::wire::duration::write(&mut text, self.duration.unsigned_abs());
        String::from_utf8(text).expect("durations are UTF-8").into()
    }
}

impl ListMeta {
    fn to_json(&self) -> Value {
        assert_eq!(self.remaining_item_count, None);
        let members =
            [("selfLink", &self.self_link), ("resourceVersion", &self.resource_version), ("continue", &self.continue_)];
        sparse(&members.map(|(name, text)| (name, &**text))).into()
    }
}

impl ObjectMeta {
    fn to_json(&self) -> Value {
        let mut json = sparse(&[
            ("generateName", &self.generate_name),
            ("namespace", &self.namespace),
            ("selfLink", &self.self_link),
            ("uid", &self.uid),
            ("resourceVersion", &self.resource_version),
        ]);
        json.insert("name".to_owned(), self.name.clone().into());
        json.extend(self.creation_timestamp.to_json().map(|time| ("creationTimestamp".to_owned(), time)));
        assert!(self.labels.is_sorted_by(|a, b| a.key < b.key), "{:?}", self.labels);
        if !self.labels.is_empty() {
            let labels = self.labels.iter().map(|entry| (entry.key.clone(), entry.value.clone().into()));
            json.insert("labels".to_owned(), Value::Object(labels.collect()));
        }
        json.into()
    }
}

fn usage(entries: &[QuantityEntry]) -> Value {
    entries.iter().map(|entry| (entry.key.clone(), Value::from(entry.value.string.clone()))).collect()
}

impl ToJson for NodeMetrics {
    fn to_json(&self, _: Named<'_>) -> Value {
        json!({
            "metadata": self.metadata.to_json(),
            "timestamp": self.timestamp.to_json(),
            "window": self.window.to_json(),
            "usage": usage(&self.usage),
        })
    }
}

impl ToJson for PodMetrics {
    fn to_json(&self, _: Named<'_>) -> Value {
        let container =
            |container: &ContainerMetrics| json!({"name": container.name, "usage": usage(&container.usage)});
        json!({
            "metadata": self.metadata.to_json(),
            "timestamp": self.timestamp.to_json(),
            "window": self.window.to_json(),
            "containers": self.containers.iter().map(container).collect::<Value>(),
        })
    }
}

impl ToJson for PartialObjectMetadata {
    fn to_json(&self, name: Named<'_>) -> Value {
        let mut json = json!({"metadata": self.metadata.to_json()});
        if let Named::Partial(api_version) = name {
            json["kind"] = "PartialObjectMetadata".into();
            json["apiVersion"] = api_version.into();
        }
        json
    }
}

fn list(metadata: &ListMeta, items: &[impl ToJson], members: Named<'_>) -> Value {
    let items: Value = items.iter().map(|item| item.to_json(members)).collect();
    json!({"metadata": metadata.to_json(), "items": items})
}

impl ToJson for NodeMetricsList {
    fn to_json(&self, members: Named<'_>) -> Value {
        list(&self.metadata, &self.items, members)
    }
}

impl ToJson for PodMetricsList {
    fn to_json(&self, members: Named<'_>) -> Value {
        list(&self.metadata, &self.items, members)
    }
}

impl ToJson for PartialObjectMetadataList {
    fn to_json(&self, members: Named<'_>) -> Value {
        list(&self.metadata, &self.items, members)
    }
}

impl ToJson for Status {
    fn to_json(&self, _: Named<'_>) -> Value {
        let mut json = json!({
            "metadata": self.metadata.to_json(), "status": self.status, "message": self.message, "reason": self.reason,
            "code": self.code,
        });
        if let Some(details) = &self.details {
            assert_eq!((details.retry_after_seconds, &*details.uid), (0, ""));
            let mut about = sparse(&[("name", &details.name), ("group", &details.group), ("kind", &details.kind)]);
            if !details.causes.is_empty() {
                let cause = |cause: &StatusCause| {
                    sparse(&[("reason", &cause.reason), ("message", &cause.message), ("field", &cause.field)])
                };
                about.insert("causes".to_owned(), details.causes.iter().map(cause).collect());
            }
            json["details"] = about.into();
        }
        json
    }
}

impl GroupVersionForDiscovery {
    fn to_json(&self) -> Value {
        json!({"groupVersion": self.group_version, "version": self.version})
    }
}

impl ToJson for ApiGroup {
    fn to_json(&self, _: Named<'_>) -> Value {
        let mut json = json!({
            "name": self.name,
            "versions": self.versions.iter().map(GroupVersionForDiscovery::to_json).collect::<Value>(),
            "preferredVersion": self.preferred_version.to_json(),
        });
        if !self.server_addresses.is_empty() {
            let address = |address: &ServerAddressByClientCidr| json!({"clientCIDR": address.client_cidr, "serverAddress": address.server_address});
            json["serverAddressByClientCIDRs"] = self.server_addresses.iter().map(address).collect();
        }
        json
    }
}

impl ToJson for ApiGroupList {
    fn to_json(&self, members: Named<'_>) -> Value {
        json!({"groups": self.groups.iter().map(|group| group.to_json(members)).collect::<Value>()})
    }
}

impl ToJson for ApiResourceList {
    fn to_json(&self, _: Named<'_>) -> Value {
        let resource = |resource: &ApiResource| {
            let mut json = sparse(&[
                ("group", &resource.group),
                ("version", &resource.version),
                ("storageVersionHash", &resource.storage_version_hash),
            ]);
            let said = json!({
                "name": resource.name, "singularName": resource.singular_name, "namespaced": resource.namespaced,
                "kind": resource.kind, "verbs": resource.verbs.as_ref().map(|verbs| verbs.items.clone()),
            });
            json.extend(said.as_object().cloned().unwrap_or_default());
            json
        };
        json!({
            "groupVersion": self.group_version, "resources": self.resources.iter().map(resource).collect::<Value>(),
        })
    }
}

impl ToJson for ApiGroupDiscoveryList {
    fn to_json(&self, _: Named<'_>) -> Value {
        let resource = |resource: &ApiResourceDiscovery| {
            let kind = resource.response_kind.as_ref();
            json!({
                "resource": resource.resource, "scope": resource.scope, "verbs": resource.verbs,
                "responseKind": kind.map(|of| json!({"group": of.group, "version": of.version, "kind": of.kind})),
                "singularResource": resource.singular_resource,
            })
        };
        let version = |version: &ApiVersionDiscovery| {
            let resources: Value = version.resources.iter().map(resource).collect();
            json!({"version": version.version, "resources": resources, "freshness": version.freshness})
        };
        let group = |group: &ApiGroupDiscovery| {
            let versions: Value = group.versions.iter().map(version).collect();
            json!({"metadata": group.metadata.to_json(), "versions": versions})
        };
        json!({"metadata": self.metadata.to_json(), "items": self.items.iter().map(group).collect::<Value>()})
    }
}
