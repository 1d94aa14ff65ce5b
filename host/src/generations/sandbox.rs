//! The loader of the real gateway: a sandbox that is set up when the first plugin is to be loaded, and not before.
//!
//! Whoever has no plugins has no engine, none of its threads and none of the address space that it reserves: without a
//! policy of their own the gateway is as light as metrics-server.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OnceCell;

use super::Loader;
use crate::config::policies::PoliciesConfig;
use crate::config::{Config, PluginEngineConfig, Problem, Problems};
use crate::model::policy::PreferredAddresses;
use crate::plugins::engine::{Engine, EngineOptions};
use crate::plugins::load::{Loaded, Plugins};
use crate::telemetry::Metrics;

/// Loads plugins, into the one engine of the process.
pub struct Sandbox {
    config: PluginEngineConfig,
    resolution: Duration,
    metrics: Arc<Metrics>,
    plugins: OnceCell<Plugins>,
}

impl Sandbox {
    /// Nothing is set up yet.
    pub fn new(config: &Config, metrics: Arc<Metrics>) -> Self {
        let (resolution, config) = (config.scrape.resolution, config.plugin_engine.clone());
        Self { config, resolution, metrics, plugins: OnceCell::new() }
    }

    async fn set_up(&self) -> Result<Plugins, Problems> {
        let cache = self.config.cache_directory.clone();
        let default = EngineOptions::default();
        let workers = self.config.workers.map_or(default.workers, NonZeroUsize::get);
        let options = EngineOptions { workers, cache: cache.clone() };
        let refused = |why: String| Problems(vec![Problem::new(why)]);
        // It reserves address space and starts a thread.
        let engine = tokio::task::spawn_blocking(move || Engine::try_new(options)).await;
        let engine = engine.map_err(|error| refused(format!("the sandbox of plugins cannot be set up: {error}")))?;
        let engine = engine.map_err(|error| refused(error.to_string()))?;
        Ok(Plugins::new(engine, Arc::clone(&self.metrics), self.resolution, cache))
    }
}

impl Loader for Sandbox {
    async fn load(
        &self,
        policies: &PoliciesConfig,
        generation: u64,
        addresses: &PreferredAddresses,
    ) -> Result<Loaded, Problems> {
        let plugins = self.plugins.get_or_try_init(|| self.set_up()).await?;
        plugins.load(policies, generation, addresses).await
    }
}
