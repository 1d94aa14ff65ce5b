//! What clients ask first: which groups, versions and resources there are. Legacy documents only: newer clients ask for
//! aggregated discovery with these as second choice.

use serde_json::{Value, json};

use super::aggregator::GROUP;
use super::objects::Resource;

/// The groups that the double has itself, for reviews.
const REVIEWS: [(&str, &str, &str); 2] = [
    ("authentication.k8s.io", "tokenreviews", "TokenReview"),
    ("authorization.k8s.io", "subjectaccessreviews", "SubjectAccessReview"),
];

/// The document at `path`, if there is one. `aggregated`: the versions of metrics.k8s.io, where it is registered.
pub(super) fn document(path: &str, address: &str, aggregated: &[String]) -> Option<Value> {
    match path.trim_end_matches('/') {
        "" => Some(json!({"paths": ["/api", "/api/v1", "/apis", "/openapi/v2", "/version"]})),
        "/api" => Some(json!({
            "kind": "APIVersions",
            "versions": ["v1"],
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
        })),
        "/api/v1" => Some(core_resources()),
        "/apis" => Some(groups(aggregated)),
        "/version" => Some(version()),
        "/openapi/v2" => Some(openapi()),
        path => group_document(path.strip_prefix("/apis/")?, aggregated),
    }
}

fn core_resources() -> Value {
    let resource = |resource: Resource| {
        json!({
            "name": resource.plural(),
            "singularName": "",
            "namespaced": resource.is_namespaced(),
            "kind": resource.kind(),
            "verbs": ["get", "list", "watch"],
            "shortNames": [resource.short_name()],
        })
    };
    json!({"kind": "APIResourceList", "groupVersion": "v1", "resources": Resource::ALL.map(resource)})
}

fn groups(aggregated: &[String]) -> Value {
    let own = REVIEWS.iter().map(|(group, ..)| group_of(group, &["v1".to_owned()]));
    let metrics = (!aggregated.is_empty()).then(|| group_of(GROUP, aggregated));
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": own.chain(metrics).collect::<Vec<_>>()})
}

fn group_of(name: &str, versions: &[String]) -> Value {
    let version = |version: &String| json!({"groupVersion": format!("{name}/{version}"), "version": version});
    let versions: Vec<Value> = versions.iter().map(version).collect();
    json!({"name": name, "versions": versions, "preferredVersion": versions[0]})
}

fn group_document(path: &str, aggregated: &[String]) -> Option<Value> {
    if path == GROUP && !aggregated.is_empty() {
        return Some(with_type(group_of(GROUP, aggregated)));
    }
    let (group, version) = path.split_once('/').map_or((path, None), |(group, version)| (group, Some(version)));
    let (name, plural, kind) = REVIEWS.into_iter().find(|(name, ..)| *name == group)?;
    match version {
        None => Some(with_type(group_of(name, &["v1".to_owned()]))),
        Some("v1") => Some(json!({
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": format!("{name}/v1"),
            "resources": [{"name": plural, "singularName": "", "namespaced": false, "kind": kind, "verbs": ["create"]}],
        })),
        Some(_) => None,
    }
}

fn with_type(mut group: Value) -> Value {
    group["kind"] = "APIGroup".into();
    group["apiVersion"] = "v1".into();
    group
}

fn version() -> Value {
    json!({
        "major": "1", "minor": "34", "gitVersion": "v1.34.0", "gitCommit": "", "gitTreeState": "clean",
        "buildDate": "2026-01-01T00:00:00Z", "goVersion": "go1.24.6", "compiler": "gc", "platform": "linux/amd64",
    })
}

/// Enough for a client that only wants to see that there is one.
fn openapi() -> Value {
    json!({"swagger": "2.0", "info": {"title": "Kubernetes", "version": "v1.34.0"}, "paths": {}, "definitions": {}})
}
