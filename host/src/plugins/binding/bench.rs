//! Bindings of doubles, with a clock that tests move.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::{Binding, Owner, Role, Shared, State};
use crate::plugins::account::{Account, Labels};
use crate::plugins::allowance::Allowance;
use crate::plugins::artifact::Hook;
use crate::plugins::call::{Called, Failed, PluginError};
use crate::telemetry::Metrics;

pub(in crate::plugins) const RESOLUTION: Duration = Duration::from_secs(15);

/// What a call of a double costs.
pub(in crate::plugins) const CPU: Duration = Duration::from_millis(1);

pub(in crate::plugins) struct Bench {
    pub(in crate::plugins) metrics: Metrics,
    now: Arc<Mutex<Instant>>,
    allowance: Arc<Allowance>,
}

impl Bench {
    pub(in crate::plugins) fn new() -> Self {
        Self::with_allowance(Duration::from_secs(1))
    }

    pub(in crate::plugins) fn with_allowance(per_tick: Duration) -> Self {
        Self {
            metrics: Metrics::new(RESOLUTION),
            now: Arc::new(Mutex::new(Instant::now())),
            allowance: Arc::new(Allowance::new(per_tick, RESOLUTION)),
        }
    }

    pub(in crate::plugins) fn wait(&self, seconds: u64) {
        *self.now.lock() += Duration::from_secs(seconds);
    }

    pub(in crate::plugins) fn bind<G>(&self, hook: Hook, guest: G) -> Binding<G>
    where
        G: super::Guest,
    {
        self.bind_with(hook, guest, Arc::default())
    }

    pub(in crate::plugins) fn bind_with<G>(&self, hook: Hook, guest: G, state: Arc<State>) -> Binding<G>
    where
        G: super::Guest,
    {
        let metrics = &self.metrics.plugins;
        let labels = Labels { plugin: "double".into(), tenant: "shop".into(), hook: "hook".into() };
        let shared = Shared {
            state,
            allowance: Arc::clone(&self.allowance),
            account: Arc::new(Account::new(metrics, labels)),
            info: metrics.rows.row(&metrics.info, &["double", "1.0.0", "00"]),
        };
        let owner = Owner::Tenant("shop".into());
        let role = Role { hook, plugin: "double".into(), owner, fallback: "the fallback" };
        let now = Arc::clone(&self.now);
        Binding::new(guest, role, shared, RESOLUTION, Arc::new(move || *now.lock()))
    }

    /// How many questions had this outcome.
    pub(in crate::plugins) fn count(&self, outcome: &str) -> u64 {
        self.metrics.plugins.calls.with_label_values(&["double", "shop", "hook", outcome]).get()
    }
}

/// An answer, for the price of a double.
#[expect(clippy::unnecessary_wraps, reason = "it stands where a plugin's answer does")]
pub(in crate::plugins) fn says<T>(answer: T) -> Result<Called<T>, Failed> {
    Ok(Called { answer, cpu: CPU, memory: 65_536, fuel: None })
}

/// A failure, for the price of a double.
pub(in crate::plugins) fn traps<T>() -> Result<Called<T>, Failed> {
    Err(Failed { error: PluginError::Trap("unreachable".to_owned()), cpu: CPU, memory: 65_536 })
}
