//! From a checked configuration to policies that may be asked, or to everything that is wrong with its plugins.
//!
//! In: a [`PoliciesConfig`]. Out: one generation of [`Tenants`], or all [`Problems`], each at its key. Every artifact is
//! read, held against its pin, inspected and compiled, and the plugin says who it is. Then every binding is tried: does
//! the plugin answer the hook, does it take the settings, can its answer to a synthetic question be believed? So
//! nothing that fails at once ever gets in force. A plugin that is declared and not bound is loaded all the same: a broken
//! artifact should be found when it is put there, and not when somebody first needs it.
//!
//! What stays the same from one generation to the next goes on: compiled artifacts by their digest; breakers by plugin, owner,
//! hook, digest, settings and limits, so that no reload resets an open one; allowances by owner; counts. A binding
//! that differs in any of this begins anew.
//!
//! Nothing here blocks the reactor: files are read, artifacts compiled (one at a time) and guests run on threads of
//! their own.
//!
//! Absent on purpose: reading gateway.toml, putting a generation in force, and numbering them.

mod info;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use sha2::{Digest as _, Sha256};

use super::account::{Account, Labels};
use super::address::AddressBinding;
use super::allowance::Allowance;
use super::artifact::{self, Artifact, Hook};
use super::binding::{Binding, Owner, Role, Shared, State, Stopwatch};
use super::call::{Caller, Failed, Level, Log, PluginError};
use super::engine::Engine;
use super::filter::{Codes, FilterChain, Link};
use super::kept::Kept;
use super::line::line;
use super::rehearsal::{self, Measured};
use super::source;
use super::window::{LONGEST_HISTORY, WindowBinding};
use crate::config::policies::{
    BindingConfig, NodePoolConfig, OnError, PluginConfig, PluginLimits, PoliciesConfig, Reuse, TenantConfig,
};
use crate::config::problem::Place;
use crate::config::{Problem, Problems};
use crate::model::policy::{AddressPolicy, FilterPolicy, PreferredAddresses, WindowPolicy};
use crate::telemetry::Metrics;
use crate::tenants::{NodePool, Tenant, Tenants};

/// So many artifacts are fetched at a time: a registry that is slow holds up its own plugin, and memory is bounded.
const FETCHED_AT_A_TIME: usize = 4;

/// What a plugin says of its settings may take a few lines.
const LONGEST_TEXT: usize = 2048;

/// All that loading plugins takes, for as long as the gateway runs.
#[derive(Clone)]
pub struct Plugins(Arc<Inner>);

struct Inner {
    engine: Arc<Engine>,
    metrics: Arc<Metrics>,
    resolution: Duration,
    cache: Option<PathBuf>,
    stopwatch: Stopwatch,
    states: Kept<(Labels, Terms), State>,
    accounts: Kept<Labels, Account>,
    allowances: Kept<(Owner, Duration), Allowance>,
}

/// What makes a binding the same as one of the generation before.
#[derive(PartialEq, Eq, Hash)]
struct Terms {
    sha256: [u8; 32],
    settings: String,
    limits: PluginLimits,
    reuse: Option<Reuse>,
}

/// A generation that may be put in force.
pub struct Loaded {
    /// The generation.
    pub tenants: Tenants,
    /// Its plugins, bound or not.
    pub plugins: Facts,
}

/// Facts by the names that gateway.toml gives to plugins.
pub type Facts = BTreeMap<Arc<str>, PluginFacts>;

/// What is known of a plugin once it is loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginFacts {
    /// What it calls itself.
    pub name: String,
    /// Its own version.
    pub version: String,
    /// SHA-256 of its artifact.
    pub sha256: [u8; 32],
}

/// A plugin that was loaded and has said who it is.
struct Plugin {
    config: PluginConfig,
    artifact: Arc<Artifact>,
    facts: PluginFacts,
}

impl Plugins {
    /// Nothing is loaded yet. Artifacts of registries are kept in the directory `cache`, where there is one.
    pub fn new(engine: Arc<Engine>, metrics: Arc<Metrics>, resolution: Duration, cache: Option<PathBuf>) -> Self {
        Self(Arc::new(Inner {
            engine,
            metrics,
            resolution,
            cache,
            stopwatch: Arc::new(Instant::now),
            states: Kept::default(),
            accounts: Kept::default(),
            allowances: Kept::default(),
        }))
    }

    /// Makes a generation of policies. Those in force are not touched.
    ///
    /// # Errors
    /// Every problem of every plugin and binding, in the order of `policies`; those of plugins first. A binding of a
    /// plugin that is itself a problem is not tried.
    pub async fn load(
        &self,
        policies: &PoliciesConfig,
        generation: u64,
        addresses: &PreferredAddresses,
    ) -> Result<Loaded, Problems> {
        self.0.sweep();
        let loading = |config: PluginConfig| {
            let inner = Arc::clone(&self.0);
            async move { (Arc::clone(&config.name), inner.load_plugin(config).await) }
        };
        let outcomes = futures_util::stream::iter(policies.plugins.clone()).map(loading).buffered(FETCHED_AT_A_TIME);
        let outcomes: Vec<(Arc<str>, Result<Plugin, Problem>)> = outcomes.collect().await;
        let (mut problems, mut facts, mut plugins) = (Vec::new(), Facts::new(), HashMap::new());
        for (name, outcome) in outcomes {
            let plugin = outcome.map_err(|problem| problems.push(problem)).ok();
            facts.extend(plugin.as_ref().map(|plugin| (Arc::clone(&name), plugin.facts.clone())));
            plugins.insert(name, plugin);
        }
        let (inner, policies, preferred) = (Arc::clone(&self.0), policies.clone(), Arc::new(addresses.clone()));
        let binding = tokio::task::spawn_blocking(move || {
            let mut binder = Binder { inner: &inner, plugins, preferred, problems };
            let tenants = binder.bind(&policies, generation);
            if binder.problems.is_empty() {
                Ok(Loaded { tenants, plugins: facts })
            } else {
                Err(Problems(binder.problems))
            }
        });
        binding.await.unwrap_or_else(|_| {
            Err(Problems(vec![Problem::new(
                "plugins cannot be bound: the gateway's own code panicked, which is a bug",
            )]))
        })
    }
}

impl Inner {
    fn sweep(&self) {
        self.states.sweep();
        self.accounts.sweep();
        self.allowances.sweep();
    }

    async fn load_plugin(self: Arc<Self>, config: PluginConfig) -> Result<Plugin, Problem> {
        let place = config.place.clone();
        let refuse = |text: String| Problem::at(place.clone(), line(&text, LONGEST_TEXT));
        let read = source::read(&config.source, config.limits.size, self.cache.as_deref()).await;
        let bytes = read.map_err(|error| refuse(chain(&error)))?;
        let inner = Arc::clone(&self);
        let trusting = tokio::task::spawn_blocking(move || inner.trust(config, &bytes));
        match trusting.await {
            Ok(outcome) => outcome.map_err(refuse),
            Err(_) => Err(refuse("loading it made the gateway's own code panic, which is a bug".to_owned())),
        }
    }

    /// From bytes to a plugin. The pin comes first, so that nothing else looks at bytes of somebody unknown.
    fn trust(&self, config: PluginConfig, bytes: &[u8]) -> Result<Plugin, String> {
        check_pin(bytes, config.sha256)?;
        let inspection = artifact::inspect(bytes, &config.limits).map_err(|error| chain(&error))?;
        let artifact = self.engine.compile(&inspection).map_err(|error| chain(&error))?;
        let log = PluginLog { plugin: Arc::clone(&config.name), owner: None };
        let caller = Caller::new(&self.engine, Arc::clone(&artifact), "{}", config.limits.clone(), None, Arc::new(log));
        let name = &config.name;
        let fails = |failed: Failed| format!("plugin {name:?} {}", failed.error);
        caller.check_exports().map_err(fails)?;
        let said = caller.describe().map_err(fails)?.answer;
        info::check(&said)
            .map_err(|faults| format!("plugin {name:?} describes itself wrongly: {}", faults.join("; ")))?;
        let facts = PluginFacts { name: said.name, version: said.version, sha256: artifact.sha256() };
        Ok(Plugin { config, artifact, facts })
    }
}

/// An error with what it comes from.
fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(error.source(), |error| error.source()).fold(error.to_string(), |text, source| {
        if text.ends_with(&source.to_string()) { text } else { format!("{text}: {source}") }
    })
}

fn check_pin(bytes: &[u8], pin: Option<[u8; 32]>) -> Result<(), String> {
    let Some(pin) = pin else { return Ok(()) };
    let found: [u8; 32] = Sha256::digest(bytes).into();
    if found == pin {
        return Ok(());
    }
    Err(format!("the artifact is not the pinned one: its sha256 is {}, and {} was pinned", hex(&found), hex(&pin)))
}

fn hex(digest: &[u8; 32]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Binds plugins to hooks. After a problem it goes on, and what it makes is not used.
struct Binder<'i> {
    inner: &'i Inner,
    /// By the name that bindings use; None: it could not be loaded, which has been said.
    plugins: HashMap<Arc<str>, Option<Plugin>>,
    preferred: Arc<PreferredAddresses>,
    problems: Vec<Problem>,
}

/// Whose binding is made.
struct Side {
    owner: Owner,
    allowance: Arc<Allowance>,
}

impl Binder<'_> {
    fn bind(&mut self, policies: &PoliciesConfig, generation: u64) -> Tenants {
        let node_pools = policies.node_pools.iter().map(|pool| self.node_pool(pool)).collect();
        let tenants = policies.tenants.iter().map(|tenant| self.tenant(tenant)).collect();
        let upstream = Tenants::upstream(PreferredAddresses::clone(&self.preferred));
        let default = policies.default.as_ref().map_or(upstream.default, |tenant| self.tenant(tenant));
        Tenants {
            generation,
            tenants,
            default,
            node_pools,
            addresses: Arc::clone(&self.preferred),
            needs_namespace_labels: policies.tenants.iter().chain(&policies.default).any(needs_namespace_labels),
        }
    }

    fn tenant(&mut self, config: &TenantConfig) -> Tenant {
        let side = self.side(Owner::Tenant(Arc::clone(&config.name)), config.cpu_per_tick);
        Tenant {
            name: Arc::clone(&config.name),
            namespaces: config.globs.clone(),
            namespace_selector: config.namespace_selector.clone(),
            filter: self.filter(config, &side),
            window: self.window(config.window.as_ref(), &side, Measured::Containers),
        }
    }

    fn node_pool(&mut self, config: &NodePoolConfig) -> NodePool {
        let side = self.side(Owner::NodePool(Arc::clone(&config.name)), config.cpu_per_tick);
        NodePool {
            name: Arc::clone(&config.name),
            selector: config.selector.clone(),
            address: self.address(config.address.as_ref(), &side),
            window: self.window(config.window.as_ref(), &side, Measured::Node),
        }
    }

    fn side(&self, owner: Owner, cpu_per_tick: Duration) -> Side {
        let resolution = self.inner.resolution;
        let key = (owner.clone(), cpu_per_tick);
        let allowance = self.inner.allowances.get_or_make(key, |_| Allowance::new(cpu_per_tick, resolution));
        Side { owner, allowance }
    }

    fn address(&mut self, config: Option<&BindingConfig>, side: &Side) -> Option<Arc<dyn AddressPolicy>> {
        let config = config?;
        let (_, caller) = self.ready(config, Hook::Address, side)?;
        self.rehearsed(config, rehearsal::address(&caller))?;
        let binding = self.binding(config, Hook::Address, side, "address", caller)?;
        Some(Arc::new(AddressBinding::new(binding, Arc::clone(&self.preferred))))
    }

    fn window(&mut self, config: Option<&BindingConfig>, side: &Side, of: Measured) -> Option<Arc<dyn WindowPolicy>> {
        let config = config?;
        let (_, caller) = self.ready(config, Hook::Window, side)?;
        let asked = self.tried(config, caller.history().map_err(|failed| failed.error))?;
        self.rehearsed(config, rehearsal::window(&caller, of))?;
        let history = config.history.unwrap_or(Duration::from_nanos(asked.answer)).min(LONGEST_HISTORY);
        let binding = self.binding(config, Hook::Window, side, "window", caller)?;
        Some(Arc::new(WindowBinding::new(binding, history, config.on_error)))
    }

    fn filter(&mut self, config: &TenantConfig, side: &Side) -> Option<Arc<dyn FilterPolicy>> {
        // All are tried before the first that fails ends it, so that all problems are found.
        let links: Vec<Option<Link>> = (0..config.filter.len()).map(|place| self.link(config, place, side)).collect();
        let links = links.into_iter().collect::<Option<Vec<Link>>>()?;
        if links.is_empty() { None } else { Some(Arc::new(FilterChain::new(links))) }
    }

    fn link(&mut self, tenant: &TenantConfig, place: usize, side: &Side) -> Option<Link> {
        let (config, before) = (&tenant.filter[place], &tenant.filter[..place]);
        let (is_by_value, caller) = self.ready(config, Hook::Filter, side)?;
        let codes = if is_by_value { Codes::ByValueToo } else { Codes::Final };
        self.rehearsed(config, rehearsal::filter(&caller, codes))?;
        // Series of one plugin that stands several times in a chain are told apart by its turn.
        let label = match before.iter().filter(|other| other.plugin == config.plugin).count() {
            0 => "filter".to_owned(),
            earlier => format!("filter-{}", earlier + 1),
        };
        Some(Link {
            binding: self.binding(config, Hook::Filter, side, &label, caller)?,
            on_error: config.on_error,
            codes,
            sees_namespace_labels: sees_namespace_labels(tenant, config),
        })
    }

    /// A plugin that answers the hook and has taken the settings, and whether it answers by value.
    fn ready(&mut self, config: &BindingConfig, hook: Hook, side: &Side) -> Option<(bool, Caller)> {
        let name = &config.plugin;
        let Some(plugin) = self.plugins.get(name) else {
            self.refuse(&config.place, format!("no plugin named {name:?}"));
            return None;
        };
        let plugin = plugin.as_ref()?;
        if !plugin.artifact.answers(hook) {
            let text =
                format!("plugin {name:?} cannot be bound here: it does not export the interface `{}`", word(hook));
            self.refuse(&config.place, text);
            return None;
        }
        let is_by_value = plugin.artifact.answers(Hook::FilterByValue);
        let caller = self.caller(plugin, config, side);
        self.tried(config, caller.configure().map_err(|failed| failed.error))?;
        Some((is_by_value, caller))
    }

    fn caller(&self, plugin: &Plugin, config: &BindingConfig, side: &Side) -> Caller {
        let log = PluginLog { plugin: Arc::clone(&config.plugin), owner: Some(side.owner.to_string()) };
        let PluginConfig { limits, reuse, .. } = &plugin.config;
        let (artifact, settings) = (Arc::clone(&plugin.artifact), config.settings.as_str());
        Caller::new(&self.inner.engine, artifact, settings, limits.clone(), *reuse, Arc::new(log))
    }

    /// What a question yielded; a failure is a problem of the binding.
    fn tried<T>(&mut self, config: &BindingConfig, outcome: Result<T, PluginError>) -> Option<T> {
        let refuse = |error| self.refuse(&config.place, format!("plugin {:?} {error}", config.plugin));
        outcome.map_err(refuse).ok()
    }

    fn rehearsed(&mut self, config: &BindingConfig, outcome: Result<(), PluginError>) -> Option<()> {
        let refuse =
            |error| self.refuse(&config.place, format!("plugin {:?} failed its rehearsal: it {error}", config.plugin));
        outcome.map_err(refuse).ok()
    }

    fn binding(&self, config: &BindingConfig, hook: Hook, side: &Side, label: &str, caller: Caller) -> Option<Binding> {
        let plugin = self.plugins.get(&config.plugin)?.as_ref()?;
        let inner = self.inner;
        let labels =
            || Labels { plugin: (*config.plugin).into(), tenant: side.owner.label().into(), hook: label.into() };
        let PluginFacts { version, sha256, .. } = &plugin.facts;
        let PluginConfig { limits, reuse, .. } = &plugin.config;
        let terms = Terms { sha256: *sha256, settings: config.settings.clone(), limits: limits.clone(), reuse: *reuse };
        let metrics = &inner.metrics.plugins;
        let info = metrics.rows.row(&metrics.info, &[&config.plugin, version, &hex(sha256)]);
        info.set(1);
        let shared = Shared {
            state: inner.states.get_or_make((labels(), terms), |_| State::default()),
            allowance: Arc::clone(&side.allowance),
            account: inner.accounts.get_or_make(labels(), |labels| Account::new(metrics, labels.clone())),
            info,
        };
        let role = Role {
            hook,
            plugin: Arc::clone(&config.plugin),
            owner: side.owner.clone(),
            fallback: fallback(config.on_error),
        };
        Some(Binding::new(caller, role, shared, inner.resolution, Arc::clone(&inner.stopwatch)))
    }

    fn refuse(&mut self, place: &Place, text: String) {
        self.problems.push(Problem::at(place.clone(), line(&text, LONGEST_TEXT)));
    }
}

/// A filter is shown the labels of a namespace if it asks for them, or if its tenant goes by them; what other tenants go
/// by makes no difference to it.
fn sees_namespace_labels(tenant: &TenantConfig, filter: &BindingConfig) -> bool {
    filter.namespace_labels || tenant.namespace_selector.is_some()
}

fn needs_namespace_labels(tenant: &TenantConfig) -> bool {
    tenant.namespace_selector.is_some() || tenant.filter.iter().any(|filter| filter.namespace_labels)
}

/// As the end of "fell back to …".
fn fallback(on_error: OnError) -> &'static str {
    match on_error {
        OnError::Keep => "keeping the containers",
        OnError::Drop => "dropping the containers",
        OnError::LastTwo => "the rate between the last two samples",
        OnError::Nothing => "serving nothing",
        OnError::Preferred => "the preferred addresses",
    }
}

/// The interface of a hook.
fn word(hook: Hook) -> &'static str {
    match hook {
        Hook::Address => "address",
        Hook::Filter => "filter",
        Hook::FilterByValue => "filter-by-value",
        Hook::Window => "window",
    }
}

/// The gateway's log, for one plugin.
struct PluginLog {
    plugin: Arc<str>,
    /// None: it is being loaded, for nobody yet.
    owner: Option<String>,
}

impl Log for PluginLog {
    fn log(&self, level: Level, message: &str) {
        let Self { plugin, .. } = self;
        let owner = self.owner.as_deref().unwrap_or("nobody yet");
        match level {
            Level::Error => tracing::error!(%plugin, owner, "plugin: {message}"),
            Level::Warn => tracing::warn!(%plugin, owner, "plugin: {message}"),
            Level::Info => tracing::info!(%plugin, owner, "plugin: {message}"),
            Level::Debug => tracing::debug!(%plugin, owner, "plugin: {message}"),
            Level::Trace => tracing::trace!(%plugin, owner, "plugin: {message}"),
        }
    }
}

#[cfg(test)]
mod tests;
