//! What OpenAPI says of the API: one document in version 2 for all, and one in version 3 for each version of the group.
//! Pure; made from the tables in `models` and the paths here.
//!
//! The API server fetches these and merges them into its own, from which `kubectl explain` and validation draw. Names of
//! definitions, paths and operations are those of metrics-server, so that clients find what they look for; the
//! descriptions are ours.
//!
//! Differences: version 3 is there for our own group only, for the API server has documents of its own for what else
//! upstream lists, and takes ours in their place at random; parameters stand where they are used instead of in a table.
//!
//! Rule: the documents that metrics-server v0.8.1 serves (`tests/fixtures/openapi`), `k8s.io/kube-openapi` `pkg/builder`
//! and `pkg/builder3`.

mod models;

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::{ApiVersion, GROUP, Resource};
use models::Model;

/// `/openapi/v2`.
pub fn v2() -> &'static [u8] {
    static DOCUMENT: LazyLock<Vec<u8>> = LazyLock::new(|| to_bytes(&Dialect::V2.document(&ApiVersion::ALL)));
    &DOCUMENT
}

/// `/openapi/v3/apis/metrics.k8s.io/{version}`.
pub fn v3(version: ApiVersion) -> &'static [u8] {
    static V1: LazyLock<Vec<u8>> = LazyLock::new(|| to_bytes(&Dialect::V3.document(&[ApiVersion::V1])));
    static V1_BETA1: LazyLock<Vec<u8>> = LazyLock::new(|| to_bytes(&Dialect::V3.document(&[ApiVersion::V1Beta1])));
    match version {
        ApiVersion::V1 => &V1,
        ApiVersion::V1Beta1 => &V1_BETA1,
    }
}

/// `/openapi/v3`: where the documents of version 3 are; `hash` is that of a document.
pub fn v3_index(hash: impl Fn(&[u8]) -> String) -> Vec<u8> {
    let paths = ApiVersion::ALL.map(|version| {
        let path = format!("apis/{}", version.group_version());
        let url = format!("/openapi/v3/{path}?hash={}", hash(v3(version)));
        (path, json!({"serverRelativeURL": url}))
    });
    to_bytes(&json!({"paths": Map::from_iter(paths)}))
}

/// The version whose document `path` names, as it stands behind `/openapi/v3/`.
pub fn version_at(path: &str) -> Option<ApiVersion> {
    ApiVersion::ALL.into_iter().find(|version| path.strip_prefix("apis/") == Some(version.group_version()))
}

fn to_bytes(document: &Value) -> Vec<u8> {
    document.to_string().into_bytes()
}

/// In which version of OpenAPI something is said.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dialect {
    V2,
    V3,
}

impl Dialect {
    fn document(self, versions: &[ApiVersion]) -> Value {
        let mut paths: Map<String, Value> = versions.iter().flat_map(|version| self.paths(*version)).collect();
        let info = json!({"title": "metrics-gateway", "version": env!("CARGO_PKG_VERSION")});
        let definitions = self.definitions(versions);
        if self == Self::V3 {
            return json!({"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": definitions}});
        }
        paths.extend(self.paths_of_the_server());
        json!({"swagger": "2.0", "info": info, "paths": paths, "definitions": definitions})
    }

    fn definitions(self, versions: &[ApiVersion]) -> Map<String, Value> {
        let is_wanted = |model: &&Model| self == Self::V2 || model.is_of_a_version;
        let meta = models::META.iter().filter(is_wanted);
        let meta = meta.map(|model| (models::meta_name(model.name), model.define(self, versions[0])));
        let ours = versions.iter().flat_map(|version| {
            models::OURS.iter().map(|model| (models::our_name(model.name, *version), model.define(self, *version)))
        });
        meta.chain(ours).collect()
    }

    /// Those that are neither of a group nor of a version.
    fn paths_of_the_server(self) -> [(String, Value); 3] {
        let group = ("getMetricsAPIGroup", "get information of a group", "metrics");
        let groups = ("getAPIVersions", "get available API versions", "apis");
        let meta = |name: &str| self.reference(&models::meta_name(name));
        let mut version = self.operation("getCodeVersion", "get the version of this server", "version", DOCUMENT);
        version["responses"] = self.response(&self.reference(&models::meta_name(models::VERSION_INFO)), &JSON_ONLY);
        version["consumes"] = json!(JSON_ONLY);
        version["produces"] = json!(JSON_ONLY);
        [
            ("/apis/".to_owned(), json!({"get": self.document_operation(groups, &meta("APIGroupList"))})),
            (format!("/apis/{GROUP}/"), json!({"get": self.document_operation(group, &meta("APIGroup"))})),
            ("/version/".to_owned(), json!({"get": version})),
        ]
    }

    fn paths(self, version: ApiVersion) -> Vec<(String, Value)> {
        let root = format!("/apis/{}", version.group_version());
        let marker = capitalised(version);
        let resources = format!("getMetrics{marker}APIResources");
        let tag = format!("metrics_{}", version.as_str());
        let list_name = self.reference(&models::meta_name("APIResourceList"));
        let resources = self.document_operation((&resources, "get available resources", &tag), &list_name);
        let mut paths = vec![(format!("{root}/"), json!({"get": resources}))];
        for (path, resource, scope) in [
            ("namespaces/{namespace}/pods", Resource::Pods, Scope::Namespace),
            ("nodes", Resource::Nodes, Scope::Cluster),
            ("pods", Resource::Pods, Scope::AllNamespaces),
        ] {
            paths.push((format!("{root}/{path}"), self.path(version, resource, scope, Verb::List)));
            if scope != Scope::AllNamespaces {
                paths.push((format!("{root}/{path}/{{name}}"), self.path(version, resource, scope, Verb::Get)));
            }
        }
        paths
    }

    fn path(self, version: ApiVersion, resource: Resource, scope: Scope, verb: Verb) -> Value {
        let kind = resource.kind();
        let (action, id, description, schema, media_types) = match verb {
            Verb::List => ("list", "list", format!("list objects of kind {kind}"), resource.list_kind(), LIST),
            Verb::Get => ("get", "read", format!("read the specified {kind}"), kind, DOCUMENT),
        };
        let (before, after) = match scope {
            Scope::Namespace => ("Namespaced", ""),
            Scope::Cluster => ("", ""),
            Scope::AllNamespaces => ("", "ForAllNamespaces"),
        };
        let id = format!("{id}Metrics{}{before}{kind}{after}", capitalised(version));
        let mut get = self.operation(&id, &description, &format!("metrics_{}", version.as_str()), media_types);
        get["responses"] = self.response(&self.reference(&models::our_name(schema, version)), media_types);
        get["x-kubernetes-action"] = action.into();
        get["x-kubernetes-group-version-kind"] = models::group_version_kind(GROUP, version.as_str(), kind);
        if self == Self::V2 {
            get["consumes"] = json!(["*/*"]);
        }
        let parameters = PARAMETERS.iter().filter(|parameter| parameter.is_of(scope, verb));
        let parameters: Vec<Value> = parameters.map(|parameter| parameter.describe(self, kind)).collect();
        json!({"get": get, "parameters": parameters})
    }

    /// An operation whose answer is a document about the API: its id, description and tag.
    fn document_operation(self, (id, description, tag): (&str, &str, &str), schema: &Value) -> Value {
        let mut operation = self.operation(id, description, tag, DOCUMENT);
        operation["responses"] = self.response(schema, DOCUMENT);
        operation
    }

    fn operation(self, id: &str, description: &str, tag: &str, media_types: &[&str]) -> Value {
        let mut operation = json!({"tags": [tag], "description": description, "operationId": id});
        if self == Self::V2 {
            operation["schemes"] = json!(["https"]);
            operation["consumes"] = json!(media_types);
            operation["produces"] = json!(media_types);
        }
        operation
    }

    fn response(self, schema: &Value, media_types: &[&str]) -> Value {
        let mut response = json!({"description": "OK"});
        if self == Self::V2 {
            response["schema"] = schema.clone();
        } else {
            let content = media_types.iter().map(|name| ((*name).to_owned(), json!({"schema": schema})));
            response["content"] = content.collect();
        }
        json!({"200": response})
    }

    fn reference(self, name: &str) -> Value {
        match self {
            Self::V2 => json!({"$ref": format!("#/definitions/{name}")}),
            Self::V3 => json!({"$ref": format!("#/components/schemas/{name}")}),
        }
    }
}

/// As versions stand in names of operations.
fn capitalised(version: ApiVersion) -> &'static str {
    match version {
        ApiVersion::V1 => "V1",
        ApiVersion::V1Beta1 => "V1beta1",
    }
}

const JSON_ONLY: [&str; 1] = ["application/json"];
const DOCUMENT: &[&str] = &["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];
const LIST: &[&str] = &[
    "application/json",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
    "application/json;stream=watch",
    "application/vnd.kubernetes.protobuf;stream=watch",
];

/// Which objects a path reaches.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    Cluster,
    Namespace,
    AllNamespaces,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    List,
    Get,
}

/// A parameter of some paths.
struct Parameter {
    name: &'static str,
    kind: &'static str,
    description: &'static str,
}

/// All of them, sorted. Those of lists that we only check are there too, for clients send them.
const PARAMETERS: &[Parameter] = &[
    parameter("allowWatchBookmarks", "boolean", "Belongs to watches, which are not served."),
    parameter("continue", "string", "Ignored: a list is never cut into pages."),
    parameter(
        "fieldSelector",
        "string",
        "Only objects whose fields match; metadata.name and metadata.namespace can be asked for.",
    ),
    parameter("labelSelector", "string", "Only objects whose labels match."),
    parameter("limit", "integer", "Ignored: a list is never cut into pages."),
    parameter("name", "string", ""),
    parameter("namespace", "string", "The namespace of the objects."),
    parameter(
        "pretty",
        "string",
        "If 'true', the answer is laid out for people, as it is for browsers, curl and wget.",
    ),
    parameter("resourceVersion", "string", "Ignored: metrics have no versions."),
    parameter("resourceVersionMatch", "string", "Ignored where resourceVersion is given, otherwise forbidden."),
    parameter("sendInitialEvents", "boolean", "Belongs to watches, which are not served; forbidden for lists."),
    parameter("timeoutSeconds", "integer", "Ignored; the parameter timeout bounds a request."),
    parameter("watch", "boolean", "Metrics cannot be watched; true is refused."),
];

const fn parameter(name: &'static str, kind: &'static str, description: &'static str) -> Parameter {
    Parameter { name, kind, description }
}

impl Parameter {
    fn is_of(&self, scope: Scope, verb: Verb) -> bool {
        match self.name {
            "name" => verb == Verb::Get,
            "namespace" => scope == Scope::Namespace,
            "pretty" => true,
            _ => verb == Verb::List,
        }
    }

    fn describe(&self, dialect: Dialect, kind: &str) -> Value {
        let is_in_path = ["name", "namespace"].contains(&self.name);
        let description = if self.name == "name" { format!("name of the {kind}") } else { self.description.to_owned() };
        let mut parameter = json!({
            "name": self.name, "in": if is_in_path { "path" } else { "query" }, "description": description,
        });
        if is_in_path {
            parameter["required"] = true.into();
        }
        if dialect == Dialect::V2 {
            parameter["type"] = self.kind.into();
            parameter["uniqueItems"] = true.into();
        } else {
            parameter["schema"] = json!({"type": self.kind, "uniqueItems": true});
        }
        parameter
    }
}

#[cfg(test)]
mod tests;
