//! What the API says about itself: groups, versions, resources, paths, and the server's version. Pure.
//!
//! The same is said twice: in the documents of old, one for the groups, one for each group and one for each version, and
//! since Kubernetes 1.26 in one document for all ("aggregated discovery"), which the API server asks for first.
//!
//! Rule: `k8s.io/apiserver` v0.36 `pkg/endpoints/discovery` and `pkg/server/routes/{index,version}.go`; numbers of fields:
//! `k8s.io/apimachinery` v0.36 `pkg/apis/meta/v1/generated.proto`, `k8s.io/api` v0.36 `apidiscovery/v2/generated.proto`.

use serde::Serialize;

use super::encode::{Document, Encoder, Text, field};
use super::metrics::{Identity, list_meta, object_meta};
use super::{ApiVersion, GROUP, Resource, json};
use crate::model::Labels;

/// `/apis`.
pub(in crate::api) struct ApiGroupList;

impl Document for ApiGroupList {
    fn kind(&self) -> &str {
        "APIGroupList"
    }

    /// Left out on purpose: very old clients stumble over it.
    fn api_version(&self) -> &str {
        ""
    }

    fn describe<E: Encoder>(&self, encoder: &mut E) {
        encoder.objects(field!("groups", 1), [()], |group, ()| {
            ApiGroup.describe(group);
            group.objects(field!("serverAddressByClientCIDRs", 4), [()], |address, ()| {
                address.text(field!("clientCIDR", 1), "0.0.0.0/0");
                address.text(field!("serverAddress", 2), ":443");
            });
        });
    }
}

/// `/apis/metrics.k8s.io`.
pub(in crate::api) struct ApiGroup;

impl Document for ApiGroup {
    fn kind(&self) -> &str {
        "APIGroup"
    }

    fn api_version(&self) -> &str {
        "v1"
    }

    fn describe<E: Encoder>(&self, encoder: &mut E) {
        encoder.text(field!("name", 1), GROUP);
        encoder.objects(field!("versions", 2), ApiVersion::ALL, group_version);
        encoder.object(field!("preferredVersion", 3), |preferred| group_version(preferred, ApiVersion::ALL[0]));
    }
}

fn group_version<E: Encoder>(encoder: &mut E, version: ApiVersion) {
    encoder.text(field!("groupVersion", 1), version.group_version());
    encoder.text(field!("version", 2), version.as_str());
}

/// `/apis/metrics.k8s.io/{version}`. The API server takes it for the sign that we are well.
pub(in crate::api) struct ApiResourceList(pub(in crate::api) ApiVersion);

impl Document for ApiResourceList {
    fn kind(&self) -> &str {
        "APIResourceList"
    }

    fn api_version(&self) -> &str {
        "v1"
    }

    fn describe<E: Encoder>(&self, encoder: &mut E) {
        encoder.text(field!("groupVersion", 1), self.0.group_version());
        encoder.objects(field!("resources", 2), Resource::ALL, api_resource);
    }
}

const VERBS: &[Text<'static>] = &[Text::Plain("get"), Text::Plain("list")];

fn api_resource<E: Encoder>(encoder: &mut E, resource: Resource) {
    // Not empty, it broke `kubectl get podmetrics`. JSON has it second, protobuf sixth.
    let singular_name = |encoder: &mut E| encoder.text(field!("singularName", 6), "");
    encoder.text(field!("name", 1), resource.as_str());
    if !E::IS_NUMBERED {
        singular_name(encoder);
    }
    encoder.flag(field!("namespaced", 2), resource.is_namespaced());
    encoder.text(field!("kind", 3), resource.kind());
    encoder.wrapped_texts(field!("verbs", 4), VERBS);
    if E::IS_NUMBERED {
        singular_name(encoder);
    }
    encoder.text_unless_empty(field!("group", 8), "");
    encoder.text_unless_empty(field!("version", 9), "");
    encoder.text_unless_empty(field!("storageVersionHash", 10), "");
}

/// A version of aggregated discovery. Their documents differ in nothing but its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiscoveryVersion {
    /// `v2`, since Kubernetes 1.30.
    V2,
    /// `v2beta1`, which API servers from 1.26 on ask for.
    V2Beta1,
}

impl DiscoveryVersion {
    /// Its name among the parameters of a media type.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V2 => "v2",
            Self::V2Beta1 => "v2beta1",
        }
    }
}

/// `/apis` in one document.
pub(in crate::api) struct ApiGroupDiscoveryList(pub(in crate::api) DiscoveryVersion);

impl Document for ApiGroupDiscoveryList {
    fn kind(&self) -> &str {
        "APIGroupDiscoveryList"
    }

    fn api_version(&self) -> &str {
        match self.0 {
            DiscoveryVersion::V2 => "apidiscovery.k8s.io/v2",
            DiscoveryVersion::V2Beta1 => "apidiscovery.k8s.io/v2beta1",
        }
    }

    fn describe<E: Encoder>(&self, encoder: &mut E) {
        encoder.object(field!("metadata", 1), list_meta);
        encoder.objects(field!("items", 2), [()], |group, ()| {
            let of = Identity { namespace: "", name: GROUP, labels: &Labels::default() };
            group.object(field!("metadata", 1), |meta| object_meta(meta, of, None));
            group.objects(field!("versions", 2), ApiVersion::ALL, discovered_version);
        });
    }
}

fn discovered_version<E: Encoder>(encoder: &mut E, version: ApiVersion) {
    encoder.text(field!("version", 1), version.as_str());
    encoder.objects(field!("resources", 2), Resource::ALL, |encoder, resource| {
        encoder.text(field!("resource", 1), resource.as_str());
        // Where it is missing, clients of 1.26 crash; group and version are those around it.
        encoder.object(field!("responseKind", 2), |kind| {
            kind.text(field!("group", 1), "");
            kind.text(field!("version", 2), "");
            kind.text(field!("kind", 3), resource.kind());
        });
        let scope = if resource.is_namespaced() { "Namespaced" } else { "Cluster" };
        encoder.text(field!("scope", 3), scope);
        encoder.text(field!("singularResource", 4), "");
        encoder.texts(field!("verbs", 5), VERBS);
    });
    encoder.text(field!("freshness", 3), "Current");
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

#[cfg(test)]
mod tests;
