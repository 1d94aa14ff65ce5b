//! What the API says on the wire: bodies of metrics.k8s.io in each version and form, discovery documents, statuses.
//!
//! In: usage from the store and identities from the cluster, as `model` types; times as arguments. Out: bytes.
//!
//! Every object is described once, in the words of an `encode::Encoder`: [`metrics`] and [`listing`] what we serve,
//! [`discovery`] and [`status`] what we say about it. An encoding is an implementation of these words, and adding a field
//! or a kind adds it to all of them. YAML and indented JSON are made of compact JSON, for they are for people.
//! [`negotiate`] says which form a client gets. [`openapi`] describes the same objects to clients.
//!
//! Absent on purpose: lookups, the clock, and who is asking.
//!
//! Rules: metrics-server v0.9.0 `pkg/api`, `k8s.io/apiserver` v0.36 `pkg/endpoints/handlers`, and answers captured
//! from a real server (`tests/fixtures/golden`).

mod cbor;
pub mod discovery;
pub mod duration;
mod encode;
pub mod json;
pub mod listing;
pub mod metrics;
pub mod negotiate;
pub mod openapi;
mod protobuf;
pub mod quantity;
pub mod status;
pub mod timestamp;
mod yaml;

pub use listing::{Item, Listing};
pub use metrics::{NodeItem, PodItem};
pub use negotiate::{Encoding, Form, IncludeObject, MetaVersion, View};
pub use status::Status;

/// The API group that we serve.
pub const GROUP: &str = "metrics.k8s.io";

/// A version of the group. Their schemas are equal, so that a version is only a name here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ApiVersion {
    /// `v1`, since Kubernetes 1.37.
    V1,
    /// `v1beta1`, since Kubernetes 1.8; all that metrics-server v0.9 and older clients know.
    V1Beta1,
}

impl ApiVersion {
    /// Every version that is served, the preferred one first.
    ///
    /// `v1` is preferred because it is the stable one: a client that takes the preferred version is one that asks
    /// discovery, and those that know only `v1beta1` look for it by name. Through the aggregator nobody sees this
    /// order: the API server makes the group's document itself, from the APIService objects that are registered.
    pub const ALL: [Self; 2] = [Self::V1, Self::V1Beta1];

    /// The version as it stands in paths.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V1Beta1 => "v1beta1",
        }
    }

    /// Group and version, as `apiVersion` has them.
    pub fn group_version(self) -> &'static str {
        match self {
            Self::V1 => "metrics.k8s.io/v1",
            Self::V1Beta1 => "metrics.k8s.io/v1beta1",
        }
    }

    /// The version that a path names, if it is served.
    pub fn from_path(segment: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.as_str() == segment)
    }
}

/// A resource of the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resource {
    /// `nodes`, of kind NodeMetrics.
    Nodes,
    /// `pods`, of kind PodMetrics.
    Pods,
}

impl Resource {
    /// Every resource, in the order of discovery.
    pub const ALL: [Self; 2] = [Self::Nodes, Self::Pods];

    /// The name in paths.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nodes => "nodes",
            Self::Pods => "pods",
        }
    }

    /// The kind of one object.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Nodes => "NodeMetrics",
            Self::Pods => "PodMetrics",
        }
    }

    /// The kind of a list.
    pub fn list_kind(self) -> &'static str {
        match self {
            Self::Nodes => "NodeMetricsList",
            Self::Pods => "PodMetricsList",
        }
    }

    /// Whether objects of this resource live in namespaces.
    pub fn is_namespaced(self) -> bool {
        self == Self::Pods
    }
}

#[cfg(test)]
mod agreement;
#[cfg(test)]
mod tests;
