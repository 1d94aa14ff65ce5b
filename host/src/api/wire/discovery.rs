//! What the API says about itself: groups, versions, resources, paths, and the server's version. Pure.
//!
//! Rule: `k8s.io/apiserver` v0.36 `pkg/endpoints/discovery` (the documents from before aggregated discovery; clients
//! of that one fall back to these) and `pkg/server/routes/{index,version}.go`.

use serde::Serialize;

use super::{ApiVersion, GROUP, Resource, json};

/// `/apis`, as compact JSON.
pub fn api_group_list() -> Vec<u8> {
    #[derive(Serialize)]
    struct List {
        kind: &'static str,
        groups: [ListedGroup; 1],
    }
    // Upstream leaves `apiVersion` out here, on purpose: very old clients stumble over it.
    json::to_vec(&List {
        kind: "APIGroupList",
        groups: [ListedGroup {
            group: Group::ours(),
            server_addresses: [ServerAddress { client_cidr: "0.0.0.0/0", server_address: ":443" }],
        }],
    })
}

/// `/apis/metrics.k8s.io`, as compact JSON.
pub fn api_group() -> Vec<u8> {
    json::to_vec(&Typed { kind: "APIGroup", api_version: "v1", rest: Group::ours() })
}

/// `/apis/metrics.k8s.io/{version}`, as compact JSON. The API server takes it for the sign that we are well.
pub fn api_resource_list(version: ApiVersion) -> Vec<u8> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Resources {
        group_version: &'static str,
        resources: [ListedResource; 2],
    }
    let resources = Resource::ALL.map(|resource| ListedResource {
        name: resource.as_str(),
        // Not empty, it broke `kubectl get podmetrics`.
        singular_name: "",
        namespaced: resource.is_namespaced(),
        kind: resource.kind(),
        verbs: ["get", "list"],
    });
    let rest = Resources { group_version: version.group_version(), resources };
    json::to_vec(&Typed { kind: "APIResourceList", api_version: "v1", rest })
}

/// `/`, and the body of a 404 outside the API: `paths`, sorted; always for people, whatever the client accepts.
pub fn index<'a>(paths: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    #[derive(Serialize)]
    struct Index<'a> {
        paths: Vec<&'a str>,
    }
    let mut paths: Vec<&str> = paths.into_iter().collect();
    paths.sort_unstable();
    json::indent(&json::to_vec(&Index { paths }))
}

/// What `/version` says of this build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VersionInfo<'a> {
    /// The first number of the version.
    pub major: &'a str,
    /// The second.
    pub minor: &'a str,
    /// With a `v` before it.
    pub git_version: &'a str,
    /// The commit that was built.
    pub git_commit: &'a str,
    /// `clean` or `dirty`.
    pub git_tree_state: &'a str,
    /// RFC 3339.
    pub build_date: &'a str,
    /// Clients expect the key; the value is whatever built us.
    pub go_version: &'a str,
    /// Likewise.
    pub compiler: &'a str,
    /// `linux/amd64`.
    pub platform: &'a str,
}

impl VersionInfo<'_> {
    /// The body; always for people, whatever the client accepts.
    pub fn to_json(&self) -> Vec<u8> {
        json::indent(&json::to_vec(self))
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Typed<T> {
    kind: &'static str,
    api_version: &'static str,
    #[serde(flatten)]
    rest: T,
}

#[derive(Serialize)]
struct ListedGroup {
    #[serde(flatten)]
    group: Group,
    #[serde(rename = "serverAddressByClientCIDRs")]
    server_addresses: [ServerAddress; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    name: &'static str,
    versions: [Version; 2],
    preferred_version: Version,
}

impl Group {
    fn ours() -> Self {
        let versions = ApiVersion::ALL.map(Version::from);
        Self { name: GROUP, versions, preferred_version: versions[0] }
    }
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    group_version: &'static str,
    version: &'static str,
}

impl From<ApiVersion> for Version {
    fn from(version: ApiVersion) -> Self {
        Self { group_version: version.group_version(), version: version.as_str() }
    }
}

#[derive(Serialize)]
struct ServerAddress {
    #[serde(rename = "clientCIDR")]
    client_cidr: &'static str,
    #[serde(rename = "serverAddress")]
    server_address: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListedResource {
    name: &'static str,
    singular_name: &'static str,
    namespaced: bool,
    kind: &'static str,
    verbs: [&'static str; 2],
}

#[cfg(test)]
mod tests;
