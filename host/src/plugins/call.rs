//! One question to one plugin, under limits.
use std::sync::Arc;
use std::time::Duration;

use super::artifact::{Artifact, Hook};
use super::engine::Engine;
use super::wit::exports::metrics_gateway::policy::{address, filter, plugin};
use super::wit::metrics_gateway::policy::{log, types};
use crate::config::policies::{PluginLimits, Reuse};

/// How much a line of a plugin matters.
pub use log::Level;

/// One plugin with its settings, bound to one hook of one tenant or node pool: all that a call needs.
pub struct Caller {}

/// An answer, and what it cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Called<T> {
    /// What the plugin said, lifted but not checked.
    pub answer: T,
    /// CPU time of the whole call.
    pub cpu: Duration,
    /// The most linear memory that the instance had, in bytes.
    pub memory: usize,
    /// Exact cost, where the engine counts it ([`Engine::with_fuel`]).
    pub fuel: Option<u64>,
}

/// A call without an answer. It costs CPU time too, which the tenant is charged with.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Failed {
    /// What went wrong.
    pub error: PluginError,
    /// CPU time of the whole call.
    pub cpu: Duration,
    /// The most linear memory that the instance had, in bytes.
    pub memory: usize,
}

/// Where the lines go that plugins log: already cut to 1,024 bytes without control characters, and at most 20 in a second.
pub trait Log: Send + Sync {
    /// Writes one line.
    fn log(&self, level: Level, message: &str);
}

/// Why a plugin gave no answer, or none that can be believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PluginError {
    /// It took too much CPU time.
    #[error("took more than its {} ms of CPU time", budget.as_millis())]
    Cpu {
        /// What it may take.
        budget: Duration,
    },
    /// It took too long by the clock on the wall.
    #[error("took longer than {} ms", budget.as_millis())]
    Wall {
        /// What it may take.
        budget: Duration,
    },
    /// It wanted more memory, or more elements in tables, than it may have, and gave up when refused.
    #[error("{0}")]
    Memory(String),
    /// It trapped.
    #[error("trapped: {0}")]
    Trap(String),
    /// Its answer is against the contract.
    #[error("gave an answer that cannot be believed: {0}")]
    BadOutput(String),
    /// `configure` refused the settings.
    #[error("refused its settings: {0}")]
    Refused(String),
    /// It does not answer this hook.
    #[error("does not export the interface `{0}`")]
    NotExported(&'static str),
    /// No instance could be made of it.
    #[error("cannot be instantiated: {0}")]
    Instantiate(String),
    /// The fault is ours, not the plugin's.
    #[error("could not be asked: {0}")]
    Host(String),
}

impl PluginError {
    /// A fixed word for metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Cpu { .. } => "cpu",
            Self::Wall { .. } => "wall",
            Self::Memory(_) => "memory",
            Self::Trap(_) => "trap",
            Self::BadOutput(_) => "bad-output",
            Self::Refused(_) => "settings",
            Self::NotExported(_) => "not-exported",
            Self::Instantiate(_) => "instantiate",
            Self::Host(_) => "host",
        }
    }
}

fn later<T>() -> Result<Called<T>, Failed> {
    Err(Failed { error: PluginError::Host(String::new()), cpu: Duration::ZERO, memory: 0 })
}

impl Caller {
    /// `settings`: JSON text.
    pub fn new(
        _engine: &Arc<Engine>,
        _artifact: Arc<Artifact>,
        _settings: impl Into<Arc<str>>,
        _limits: PluginLimits,
        _reuse: Option<Reuse>,
        _log: Arc<dyn Log>,
    ) -> Self {
        Self {}
    }

    /// Whether the plugin answers a hook.
    pub fn answers(&self, _hook: Hook) -> bool {
        false
    }

    /// Makes an instance and looks up everything that the plugin exports, with its types.
    ///
    /// # Errors
    /// [`Failed`], as every call.
    pub fn check_exports(&self) -> Result<Called<()>, Failed> {
        later()
    }

    /// Who the plugin is.
    ///
    /// # Errors
    /// [`Failed`], as every call.
    pub fn describe(&self) -> Result<Called<plugin::Info>, Failed> {
        later()
    }

    /// Whether the plugin takes the settings.
    ///
    /// # Errors
    /// [`Failed`], as every call; [`PluginError::Refused`] where it does not.
    pub fn configure(&self) -> Result<Called<()>, Failed> {
        later()
    }

    /// `address.candidates`.
    ///
    /// # Errors
    /// [`Failed`], as every call.
    pub fn candidates(&self, _node: &types::Node) -> Result<Called<address::Choice>, Failed> {
        later()
    }

    /// `filter.classify`.
    ///
    /// # Errors
    /// [`Failed`], as every call.
    pub fn classify(&self, _pods: &[filter::Pod]) -> Result<Called<Vec<u8>>, Failed> {
        later()
    }

    /// `filter-by-value.screen`.
    ///
    /// # Errors
    /// [`Failed`], as every call.
    pub fn screen(&self, _batch: &types::Batch) -> Result<Called<Vec<u8>>, Failed> {
        later()
    }

    /// `window.history`.
    ///
    /// # Errors
    /// [`Failed`], as every call.
    pub fn history(&self) -> Result<Called<u64>, Failed> {
        later()
    }

    /// `window.measure`.
    ///
    /// # Errors
    /// [`Failed`], as every call.
    pub fn measure(&self, _batch: &types::Batch) -> Result<Called<types::Usages>, Failed> {
        later()
    }

    /// Drops the instances that are kept for reuse: for callers that found an answer they cannot believe.
    pub fn forget_instances(&self) {}

    /// How many lines of the plugin were left out because it wrote too many.
    pub fn dropped_lines(&self) -> u64 {
        0
    }
}
