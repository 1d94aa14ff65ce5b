//! The part of a configuration that may change while the gateway runs: plugins, and whom they decide for.
//!
//! What stands here is checked as far as it can be without reading an artifact: names are known, hooks fit their
//! places, ranges hold. Whether a plugin exists, is what it says and takes its settings is for [`plugins`] to find out,
//! which reports it by the [`Place`] that each part carries.
//!
//! [`plugins`]: crate::plugins

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use globset::{Glob, GlobSet};

use super::problem::Place;
use crate::model::Labels;
use crate::model::selector::LabelSelector;

/// Plugins, tenants and node pools.
#[derive(Clone, Debug, Default)]
pub struct PoliciesConfig {
    /// `[plugins.NAME]`, by name.
    pub plugins: Vec<PluginConfig>,
    /// `[[node_pool]]`, in the order of the file.
    pub node_pools: Vec<NodePoolConfig>,
    /// `[[tenant]]`, in the order of the file.
    pub tenants: Vec<TenantConfig>,
    /// `[default]`: its name is `default`, and it owns what nobody else does.
    pub default: Option<TenantConfig>,
}

/// `[plugins.NAME]`: one artifact.
#[derive(Clone, Debug)]
pub struct PluginConfig {
    /// NAME: what bindings call it, and what it is called in logs and metrics.
    pub name: Arc<str>,
    /// `source`.
    pub source: Source,
    /// `sha256`: of the bytes of the .wasm file; any other is refused.
    pub sha256: Option<[u8; 32]>,
    /// `limits`.
    pub limits: PluginLimits,
    /// `reuse`; None: a fresh instance for every call.
    pub reuse: Option<Reuse>,
    /// Where it stands.
    pub place: Place,
}

/// Where an artifact comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file; a relative path is relative to gateway.toml and already joined to it.
    File(PathBuf),
    /// `oci://REGISTRY/REPOSITORY[:TAG][@sha256:…]`: a reference without `oci://`.
    Oci(OciSource),
}

/// An artifact in an OCI registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OciSource {
    /// `REGISTRY/REPOSITORY[:TAG][@sha256:DIGEST]`; the digest is the manifest's.
    pub reference: Box<str>,
    /// `pull_secret`: a docker config.json, or a .dockerconfigjson as Kubernetes mounts it.
    pub pull_secret: Option<PathBuf>,
    /// `certificate_authority`: PEM; None: those that the system trusts.
    pub certificate_authority: Option<PathBuf>,
    /// `plain_http`: for registries on this machine or inside a cluster.
    pub plain_http: bool,
    /// `cosign_key`: PEM of a public key; without a signature by it, the artifact is refused.
    pub cosign_key: Option<PathBuf>,
}

/// What one plugin may use up. Each is a key of `limits`, with the defaults of [`PluginLimits::default`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PluginLimits {
    /// `size`: bytes of the artifact.
    pub size: usize,
    /// `memory`: bytes of linear memory, all memories of an instance together.
    pub memory: usize,
    /// `table_elements`: of all tables of an instance together.
    pub table_elements: usize,
    /// `instances`: core instances in one component.
    pub instances: usize,
    /// `output`: bytes that an answer takes up on our side.
    pub output: usize,
    /// `cpu`: CPU time of a call; None: the hook's own, [`CpuBudgets`].
    pub cpu: Option<Duration>,
}

impl Default for PluginLimits {
    fn default() -> Self {
        Self {
            // Python guests take 18 MB, all other languages less.
            size: 32 << 20,
            // JavaScript and Python need more than 10 MiB.
            memory: 32 << 20,
            table_elements: 20_000,
            // A component of Python has 38; all other languages less than ten.
            instances: 64,
            // 4,096 series take 128 KiB of columns.
            output: 4 << 20,
            cpu: None,
        }
    }
}

/// CPU time that a call may take where the plugin's `limits` do not say. The wall limit is [`WALL_PER_CPU`] times as long.
pub struct CpuBudgets;

impl CpuBudgets {
    /// Of `configure` and `describe`, each.
    pub const CONFIGURE: Duration = Duration::from_millis(500);
    /// Of `candidates`.
    pub const ADDRESS: Duration = Duration::from_millis(10);
    /// Of `classify` and `screen`.
    pub const FILTER: Duration = Duration::from_millis(20);
    /// Of `measure`.
    pub const WINDOW: Duration = Duration::from_millis(50);
}

/// A call that takes this many times its CPU budget in time of day is ended, whatever the machine was busy with.
pub const WALL_PER_CPU: u32 = 25;

/// `reuse`: an instance answers several calls of one tenant, at the price that it may remember.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reuse {
    /// `calls`: after so many, a fresh one. Default 10,000.
    pub calls: u32,
    /// `age`: after so long, a fresh one. Default 10 minutes.
    pub age: Duration,
}

/// `[[tenant]]`, or `[default]`.
#[derive(Clone, Debug)]
pub struct TenantConfig {
    /// `name`.
    pub name: Arc<str>,
    /// `namespaces`, as written.
    pub namespaces: Vec<String>,
    /// `namespaces`, ready to be matched.
    pub globs: GlobSet,
    /// `namespace_selector`.
    pub namespace_selector: Option<LabelSelector>,
    /// `filter`, the first first; at most 8.
    pub filter: Vec<BindingConfig>,
    /// `window`; None: `last-two`.
    pub window: Option<BindingConfig>,
    /// `cpu_per_tick`: CPU time that all calls for the tenant may take in one tick; beyond it the fallbacks serve.
    /// Default: a tenth of the metric resolution.
    pub cpu_per_tick: Duration,
    /// Where it stands.
    pub place: Place,
}

/// Why a namespace belongs to its tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// The tenant names it.
    Name,
    /// This pattern of the tenant matches.
    Pattern(String),
    /// The tenant's selector matches its labels.
    Labels(String),
    /// Nobody else owns it.
    Nobody,
}

impl fmt::Display for Ownership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name => f.write_str("its namespaces name it"),
            Self::Pattern(pattern) => write!(f, "its namespaces have the pattern {pattern:?}"),
            Self::Labels(selector) => write!(f, "its namespace_selector {selector:?} selects the labels"),
            Self::Nobody => f.write_str("no tenant owns it"),
        }
    }
}

impl TenantConfig {
    /// Why the tenant owns a namespace, if it does. Whether an earlier one does is not its business.
    pub fn ownership(&self, namespace: &str, labels: Option<&Labels>) -> Option<Ownership> {
        if self.namespaces.iter().any(|name| name == namespace) {
            return Some(Ownership::Name);
        }
        let matches =
            |pattern: &&String| Glob::new(pattern).is_ok_and(|glob| glob.compile_matcher().is_match(namespace));
        if let Some(pattern) = self.namespaces.iter().find(matches) {
            return Some(Ownership::Pattern(pattern.clone()));
        }
        let selector = self.namespace_selector.as_ref()?;
        selector.matches(labels?).then(|| Ownership::Labels(selector.to_string()))
    }
}

/// `[[node_pool]]`.
#[derive(Clone, Debug)]
pub struct NodePoolConfig {
    /// `name`.
    pub name: Arc<str>,
    /// `selector`; absent: all nodes.
    pub selector: LabelSelector,
    /// `address`; None: upstream's order of preference.
    pub address: Option<BindingConfig>,
    /// `window`, of the nodes' own usage; None: `last-two`.
    pub window: Option<BindingConfig>,
    /// `cpu_per_tick`, as a tenant's.
    pub cpu_per_tick: Duration,
    /// Where it stands.
    pub place: Place,
}

/// A plugin, with settings, bound to a hook.
#[derive(Clone, Debug)]
pub struct BindingConfig {
    /// `plugin`: the name of one of [`PoliciesConfig::plugins`].
    pub plugin: Arc<str>,
    /// `settings`: the TOML table as a JSON object, in text; `{}` where there is none.
    pub settings: String,
    /// `on_error`.
    pub on_error: OnError,
    /// `history`, of a window policy; None: what the plugin asks for.
    pub history: Option<Duration>,
    /// `namespace_labels = true`, of a filter: whether it is shown the labels of namespaces.
    pub namespace_labels: bool,
    /// Where it stands.
    pub place: Place,
}

/// What serves where a plugin fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    /// Filter: the container is served. The default of filters.
    Keep,
    /// Filter: the container is not served.
    Drop,
    /// Window: the rate between the last two samples. The default of windows.
    LastTwo,
    /// Window: nothing.
    Nothing,
    /// Address: upstream's order of preference. The default, and only choice, of addresses.
    Preferred,
}
