//! Who answers for what a node reports: the policies of one generation, and what they may know of pods.

use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;

use super::history::PodHistory;
use super::judgement::Party;
use crate::model::policy::WindowPolicy;
use crate::model::{Identities, Labels, Node};
use crate::tenants::{Tenant, Tenants};

/// The policies that answer for one node and for the pods on it.
#[derive(Clone, Copy)]
pub struct Judges<'a> {
    pub(super) tenants: &'a Tenants,
    pub(super) identities: &'a dyn Identities,
    /// For the node's own usage.
    pub(super) node_window: Option<&'a dyn WindowPolicy>,
}

impl<'a> Judges<'a> {
    /// Those of a generation for one node; None where upstream's rules decide everything, so that there is nobody to ask.
    pub fn of(tenants: &'a Tenants, identities: &'a dyn Identities, node: &Node) -> Option<Self> {
        let node_window = tenants.of_node(node).window;
        tenants.judge_samples().then_some(Self { tenants, identities, node_window })
    }

    /// The tenants that have policies, in the order in which they are asked.
    pub(super) fn tenants(&self) -> impl Iterator<Item = &'a Tenant> {
        let tenants = self.tenants;
        tenants.tenants.iter().chain([&tenants.default]).filter(|tenant| !is_native(tenant))
    }
}

/// Whether upstream's rules decide everything for a tenant.
fn is_native(tenant: &Tenant) -> bool {
    tenant.filter.is_none() && tenant.window.is_none()
}

/// How far back a window policy wants samples.
pub(super) fn span(window: Option<&dyn WindowPolicy>) -> Duration {
    window.map_or(Duration::ZERO, WindowPolicy::history)
}

/// The owner of a namespace.
pub(super) struct Owner<'a> {
    pub(super) tenant: &'a Tenant,
    /// The labels of the namespace; None where they are not known, or nobody needs them.
    pub(super) labels: Option<Arc<Labels>>,
    /// Whether there is nobody to ask.
    pub(super) is_native: bool,
    /// How far back samples are wanted.
    pub(super) span: Duration,
}

/// The owners of the namespaces of one node's pods. Each is looked up once, and so is the same throughout.
pub(super) struct Owners<'a> {
    judges: Judges<'a>,
    known: HashMap<String, Owner<'a>>,
}

impl<'a> Owners<'a> {
    pub(super) fn new(judges: Judges<'a>) -> Self {
        Self { judges, known: HashMap::new() }
    }

    pub(super) fn of(&mut self, namespace: &str) -> &Owner<'a> {
        let judges = self.judges;
        self.known.entry_ref(namespace).or_insert_with(|| Owner::of(judges, namespace))
    }

    /// A pod with its owner.
    pub(super) fn party<'b>(&mut self, pod: &'b PodHistory) -> (&'a Tenant, Party<'b>) {
        let owner = self.of(&pod.namespace);
        (owner.tenant, Party { pod, namespace_labels: owner.labels.clone() })
    }
}

impl<'a> Owner<'a> {
    /// Where the API server has not told of a namespace yet, only names and patterns can say whose it is.
    fn of(judges: Judges<'a>, namespace: &str) -> Self {
        let is_watched = judges.tenants.needs_namespace_labels;
        let labels = if is_watched { judges.identities.namespace_labels(namespace) } else { None };
        let tenant = judges.tenants.of_namespace(namespace, labels.as_deref());
        Self { tenant, labels, is_native: is_native(tenant), span: span(tenant.window.as_deref()) }
    }
}
