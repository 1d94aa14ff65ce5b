//! The door: a request goes in, a [`Caller`] comes out, or a [`Refusal`].
//!
//! [`identify`] says who it is (front proxy, client certificate, bearer token, or nobody in particular), [`permit`]
//! whether they may. Only [`permit`] makes a `Caller`, so code that takes one cannot be reached without the door.
//!
//! Rules: `k8s.io/apiserver` v0.36, `pkg/authentication` and `plugin/pkg/authorizer/webhook`; where we differ,
//! ARCHITECTURE.md says so.

use std::collections::BTreeMap;

use crate::model::selector::{FieldSelector, LabelSelector};

/// Who a request comes from, as far as it could be proved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// For example `system:serviceaccount:kube-system:horizontal-pod-autoscaler`.
    pub name: String,
    /// Empty where the source of the identity gives none.
    pub uid: String,
    /// In the order in which they were given.
    pub groups: Vec<String>,
    /// Further attributes by (lower-case) key.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// What a request wants to do, in the terms in which permission is given.
#[derive(Clone, Debug, PartialEq)]
pub struct Attributes {
    /// `get`, `list`, `watch`, `create`, …; for paths that are no resources, the HTTP method in lower case.
    pub verb: &'static str,
    /// The decoded path, as it was received.
    pub path: String,
    /// What the path names, where it names a resource.
    pub resource: Option<ResourceAttributes>,
}

/// The resource that a path names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResourceAttributes {
    /// Empty for the core group.
    pub group: String,
    /// Of the API group.
    pub version: String,
    /// Empty: all namespaces, or a resource that has none.
    pub namespace: String,
    /// `nodes`, `pods`, …
    pub resource: String,
    /// Empty: the object itself.
    pub subresource: String,
    /// Empty: all objects.
    pub name: String,
    /// Of a list.
    pub labels: LabelSelector,
    /// Of a list.
    pub fields: FieldSelector,
}
