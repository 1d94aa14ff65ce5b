//! Who owns a namespace, to which pool a node belongs, and which policies answer for them.
//!
//! A [`Tenants`] is one generation: complete, immutable, replaced whole. In: a namespace with its labels, or a node. Out:
//! the [`Tenant`] or the [`NodePolicies`]. The first match in the order of gateway.toml wins; who matches nothing belongs
//! to the default. Without a gateway.toml there is the default alone, with upstream's rules ([`Tenants::upstream`]).
//!
//! Absent on purpose: how policies are made (`plugins`), and Kubernetes.

use std::sync::Arc;

use globset::GlobSet;

use crate::model::policy::{AddressPolicy, FilterPolicy, PreferredAddresses, WindowPolicy};
use crate::model::selector::LabelSelector;
use crate::model::{Labels, Node};

/// One generation of policies, and whom they are for.
pub struct Tenants {
    /// Counted from one; the first is the one the gateway starts with.
    pub generation: u64,
    /// In the order of the file.
    pub tenants: Vec<Tenant>,
    /// Everyone else.
    pub default: Tenant,
    /// In the order of the file.
    pub node_pools: Vec<NodePool>,
    /// Upstream's order of preference, for nodes whose pool has no address policy.
    pub addresses: Arc<PreferredAddresses>,
    /// Whether the labels of namespaces are needed, to find tenants by or to show to filters.
    pub needs_namespace_labels: bool,
}

/// An owner of namespaces, and the policies that answer for their pods.
pub struct Tenant {
    /// Its name in gateway.toml; `default` for everyone else.
    pub name: Arc<str>,
    /// Names and patterns of its namespaces.
    pub namespaces: GlobSet,
    /// Its namespaces by their labels.
    pub namespace_selector: Option<LabelSelector>,
    /// Which containers are served; None: all.
    pub filter: Option<Arc<dyn FilterPolicy>>,
    /// Over which window; None: between the last two samples.
    pub window: Option<Arc<dyn WindowPolicy>>,
}

/// Nodes by label, and the policies that answer for them.
pub struct NodePool {
    /// Its name in gateway.toml.
    pub name: Arc<str>,
    /// Its nodes.
    pub selector: LabelSelector,
    /// Where their kubelets are asked; None: upstream's order of preference.
    pub address: Option<Arc<dyn AddressPolicy>>,
    /// Over which window their own usage is computed; None: between the last two samples.
    pub window: Option<Arc<dyn WindowPolicy>>,
}

/// The policies that answer for one node.
#[derive(Clone, Copy)]
pub struct NodePolicies<'a> {
    /// Where its kubelet is asked.
    pub address: &'a dyn AddressPolicy,
    /// Over which window its own usage is computed; None: between the last two samples.
    pub window: Option<&'a dyn WindowPolicy>,
}

impl Tenants {
    /// Everyone is the default tenant, and all rules are upstream's.
    pub fn upstream(addresses: PreferredAddresses) -> Self {
        Self {
            generation: 1,
            tenants: Vec::new(),
            default: Tenant {
                name: "default".into(),
                namespaces: GlobSet::empty(),
                namespace_selector: None,
                filter: None,
                window: None,
            },
            node_pools: Vec::new(),
            addresses: Arc::new(addresses),
            needs_namespace_labels: false,
        }
    }

    /// The tenant that owns a namespace. `labels` are the namespace's, where they are known.
    pub fn of_namespace(&self, namespace: &str, labels: Option<&Labels>) -> &Tenant {
        self.tenants.iter().find(|tenant| tenant.owns(namespace, labels)).unwrap_or(&self.default)
    }

    /// The pool that a node belongs to, if any.
    pub fn pool_of(&self, node: &Node) -> Option<&NodePool> {
        self.node_pools.iter().find(|pool| pool.selector.matches(&node.labels))
    }

    /// The policies that answer for a node.
    pub fn of_node(&self, node: &Node) -> NodePolicies<'_> {
        let pool = self.pool_of(node);
        NodePolicies {
            address: pool.and_then(|pool| pool.address.as_deref()).unwrap_or(&*self.addresses),
            window: pool.and_then(|pool| pool.window.as_deref()),
        }
    }

    /// Whether any policy may run a guest while samples are taken in, which must not happen on the reactor.
    pub fn judge_samples(&self) -> bool {
        let judges = |tenant: &Tenant| tenant.filter.is_some() || tenant.window.is_some();
        judges(&self.default)
            || self.tenants.iter().any(judges)
            || self.node_pools.iter().any(|pool| pool.window.is_some())
    }
}

impl Tenant {
    fn owns(&self, namespace: &str, labels: Option<&Labels>) -> bool {
        self.namespaces.is_match(namespace)
            || self
                .namespace_selector
                .as_ref()
                .is_some_and(|selector| labels.is_some_and(|labels| selector.matches(labels)))
    }
}
