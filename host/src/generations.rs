//! Which generation of policies is in force, and what it takes to put the next one there.
//!
//! In: gateway.toml, its artifacts, and word from [`Watch`] that one of them may have changed. Out: the [`Tenants`] in
//! force, by a channel that holds the latest. A new generation is read, checked, loaded and rehearsed aside, and swapped in
//! whole; whatever is wrong with it, the one in force stays, and the log and a metric say so. Attempts come one after
//! another: what changes during one is looked at after it.
//!
//! Only plugins, node pools, tenants and the default are put in force while the gateway runs. What else changes in the
//! file is told once, and waits for a restart. Where nothing changes that means anything (comments, the order of keys, a
//! file written anew with the same bytes), there is no new generation: what the one in force has learnt is kept.
//!
//! An attempt that fails while plugins are loaded is repeated after a while, because a registry may only be away; one
//! that fails because of what the file says waits for the file.
//!
//! Absent on purpose: how plugins are loaded ([`Loader`], of which [`Sandbox`] is the real one), and what policies do.

mod changes;
mod record;
mod sandbox;
mod seen;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, debug, debug_span, error, info, warn};

use crate::args::Args;
use crate::clock::Clock;
use crate::config::policies::{PoliciesConfig, Source};
use crate::config::watch::{Change, Watch};
use crate::config::{self, Config, OnBadStart, Problem, Problems};
use crate::model::policy::PreferredAddresses;
use crate::plugins::load::{Facts, Loaded};
use crate::telemetry::Metrics;
use crate::telemetry::news::News;
use crate::tenants::{NodePool, Tenant, Tenants};
use changes::Changes;
pub use record::{Record, Refused, Snapshot};
pub use sandbox::Sandbox;
use seen::Seen;

/// When an attempt that failed while plugins were loaded is repeated first. Each time after that it is twice as long.
const FIRST_RETRY: Duration = Duration::from_secs(30);

/// And when it is at most.
const LAST_RETRY: Duration = Duration::from_secs(600);

/// Makes policies of artifacts.
pub trait Loader: Send + Sync + 'static {
    /// Loads and rehearses all that a configuration names. Asked for configurations with plugins only.
    ///
    /// # Errors
    /// Every problem of every artifact and binding.
    fn load(
        &self,
        policies: &PoliciesConfig,
        generation: u64,
        addresses: &PreferredAddresses,
    ) -> impl Future<Output = Result<Loaded, Problems>> + Send;
}

/// The generation in force, and whatever comes after it.
pub struct Generations<L> {
    args: Args,
    loader: L,
    metrics: Arc<Metrics>,
    clock: Clock,
    watch: Watch,
    tenants: watch::Sender<Arc<Tenants>>,
    in_force: InForce,
    /// What the latest attempt came to, if it was refused.
    refusal: Option<Refusal>,
    /// What others may know.
    record: Arc<Record>,
    /// Sections that wait for a restart, as told last.
    waiting: Vec<&'static str>,
    /// What operators have been warned of.
    warnings: BTreeSet<String>,
}

struct InForce {
    number: u64,
    /// As of the start; of its policies, `policies` are in force.
    config: Config,
    policies: PoliciesConfig,
    plugins: Facts,
    /// None: no file says what is in force.
    seen: Option<Seen>,
}

struct Refusal {
    text: String,
    /// None: the file could not be read, or did not pass the check.
    seen: Option<Seen>,
    retry: Option<Retry>,
}

struct Retry {
    after: Duration,
    at: Instant,
}

/// Why an attempt is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Start,
    Files,
    Asked,
    Retry,
}

/// What an attempt comes to that is not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Applied,
    /// It is what is in force already.
    InForce,
    /// It is what was refused before.
    Refused,
}

/// Why an attempt is refused.
#[derive(Debug)]
struct Fault {
    problems: Problems,
    /// What was seen of the artifacts, if it came to that. Then the problems may pass while the files stay as they are.
    seen: Option<Seen>,
}

impl<L: Loader> Generations<L> {
    /// Puts the first generation in force, through `tenants`. `config` is what flags and file said at the start; its
    /// warnings have been told.
    ///
    /// # Errors
    /// [`Problems`] where the policies have some, and the configuration does not say that the built-in ones will do.
    pub async fn start(
        args: Args,
        config: Config,
        loader: L,
        tenants: watch::Sender<Arc<Tenants>>,
        metrics: Arc<Metrics>,
        clock: Clock,
    ) -> Result<Self> {
        let mut watch = Watch::try_new().context("cannot listen to SIGHUP")?;
        // From here on nothing that happens to the file is missed.
        watch.follow([PathBuf::from(&args.config)]);
        let on_bad_start = config.plugin_engine.on_bad_start;
        let in_force =
            InForce { number: 0, config, policies: PoliciesConfig::default(), plugins: Facts::new(), seen: None };
        let mut generations = Self {
            args,
            loader,
            metrics,
            clock,
            watch,
            tenants,
            in_force,
            refusal: None,
            record: Arc::default(),
            waiting: Vec::new(),
            warnings: BTreeSet::new(),
        };
        match generations.attempt(Cause::Start).await {
            Ok(_) => Ok(generations),
            Err(fault) if on_bad_start == OnBadStart::BuiltIn => {
                let addresses = generations.in_force.config.scrape.addresses.clone();
                generations.tenants.send_replace(Arc::new(Tenants::upstream(addresses)));
                generations.count_in_force(1);
                generations.refuse(fault);
                Ok(generations)
            }
            Err(fault) => Err(fault.problems.into()),
        }
    }

    /// What is on record, now and later.
    pub fn record(&self) -> Arc<Record> {
        Arc::clone(&self.record)
    }

    /// Follows the files until it is told to stop.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let retry = self.refusal.as_ref().and_then(|refusal| refusal.retry.as_ref()).map(|retry| retry.at);
            let cause = tokio::select! {
                () = stop.cancelled() => return,
                change = self.watch.changed() => match change {
                    Change::Files => Cause::Files,
                    Change::Asked => Cause::Asked,
                },
                () = sleep_until(retry.unwrap_or_else(Instant::now)), if retry.is_some() => Cause::Retry,
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.reload_in_span(cause) => {}
            }
        }
    }

    async fn reload_in_span(&mut self, cause: Cause) {
        let span = debug_span!("generation", number = self.in_force.number + 1);
        self.reload(cause).instrument(span).await;
    }

    async fn reload(&mut self, cause: Cause) {
        match self.attempt(cause).await {
            Ok(outcome) => self.tell(outcome, cause),
            Err(fault) => self.refuse(fault),
        }
    }

    /// Reads, checks, loads, and puts in force.
    async fn attempt(&mut self, cause: Cause) -> Result<Outcome, Fault> {
        let (text, config) = self.read()?;
        // Before artifacts are read: what changes after that is told.
        self.watch.follow(files(&self.args, &config.policies));
        let seen = Seen::of(text, &config.policies).await;
        self.tell_what_waits(&config);
        if let Some(outcome) = self.is_known(cause, &seen, &config.policies) {
            return Ok(outcome);
        }
        let loaded = self.load(&config, &seen).await?;
        let changes = self.changes(&config.policies, &loaded.plugins);
        self.in_force.seen = Some(seen);
        if changes.is_empty() && cause != Cause::Start {
            return Ok(Outcome::InForce);
        }
        self.put_in_force(config.policies, loaded, &changes);
        Ok(Outcome::Applied)
    }

    fn read(&mut self) -> Result<(String, Config), Fault> {
        let fault = |problems| Fault { problems, seen: None };
        let text = config::read(&self.args).map_err(|problem| fault(Problems(vec![problem])))?.unwrap_or_default();
        let (mut config, warnings) = config::load_text(&self.args, &text).map_err(fault)?;
        if let Some(problems) = config.policies_set_aside.take() {
            return Err(fault(problems));
        }
        for warning in warnings {
            if self.warnings.insert(warning.clone()) && self.in_force.number > 0 {
                warn!("{warning}");
            }
        }
        Ok((text, config))
    }

    /// What is in force, or was refused, need not be loaded: unless somebody asks, and it may come out otherwise.
    fn is_known(&mut self, cause: Cause, seen: &Seen, policies: &PoliciesConfig) -> Option<Outcome> {
        let is_refused = self.refusal.as_ref().is_some_and(|refusal| refusal.seen.as_ref() == Some(seen));
        match cause {
            Cause::Start | Cause::Retry => return None,
            Cause::Asked if is_refused || policies.plugins.iter().any(|plugin| may_move(&plugin.source)) => {
                return None;
            }
            Cause::Files if is_refused => return Some(Outcome::Refused),
            Cause::Asked | Cause::Files => {}
        }
        let in_force = self.in_force.seen.as_ref()?;
        if in_force.artifacts != seen.artifacts || !self.changes(policies, &self.in_force.plugins).is_empty() {
            return None;
        }
        self.in_force.seen = Some(seen.clone());
        Some(Outcome::InForce)
    }

    fn changes(&self, policies: &PoliciesConfig, plugins: &Facts) -> Changes {
        Changes::between((&self.in_force.policies, &self.in_force.plugins), (policies, plugins))
    }

    fn tell_what_waits(&mut self, config: &Config) {
        let waiting = self.in_force.config.sections_that_differ(config);
        if waiting != self.waiting && !waiting.is_empty() {
            let sections: Vec<String> = waiting.iter().map(|section| format!("[{section}]")).collect();
            warn!("{}: what changed in {} takes effect after a restart", self.args.config, sections.join(", "));
        }
        self.waiting = waiting;
    }

    async fn load(&self, config: &Config, seen: &Seen) -> Result<Loaded, Fault> {
        let (policies, addresses) = (&config.policies, &config.scrape.addresses);
        let number = self.in_force.number + 1;
        if policies.plugins.is_empty() {
            let tenants = without_plugins(policies, number, addresses.clone());
            return Ok(Loaded { tenants, plugins: Facts::new() });
        }
        let loaded = self.loader.load(policies, number, addresses).await;
        loaded.map_err(|mut problems| {
            // As those of the check, in the order of the lines.
            problems.0.sort_by_key(Problem::line);
            Fault { problems, seen: Some(seen.clone()) }
        })
    }

    fn put_in_force(&mut self, policies: PoliciesConfig, loaded: Loaded, changes: &Changes) {
        let number = self.in_force.number + 1;
        self.tenants.send_replace(Arc::new(loaded.tenants));
        (self.in_force.policies, self.in_force.plugins) = (policies, loaded.plugins);
        let InForce { policies, plugins, .. } = &self.in_force;
        self.record.put_in_force(number, self.clock.now(), policies.clone(), plugins.clone());
        if self.refusal.take().is_some() {
            let changes = changes.to_string();
            self.metrics.generations.herald.tell(|| News::GenerationApplied { number, changes });
        }
        self.count_in_force(number);
        info!("generation {number} in force: {changes}");
    }

    fn count_in_force(&mut self, number: u64) {
        self.in_force.number = number;
        let metrics = &self.metrics.generations;
        metrics.current.set(i64::try_from(number).unwrap_or(i64::MAX));
        metrics.last_success.set(self.clock.now().0 as f64 / 1e9);
        metrics.is_last_successful.set(1);
    }

    /// What there is to say of an attempt that was not refused.
    fn tell(&mut self, outcome: Outcome, cause: Cause) {
        let (metrics, number) = (&self.metrics.generations, self.in_force.number);
        let result = if outcome == Outcome::Applied { "applied" } else { "unchanged" };
        metrics.reloads.with_label_values(&[result]).inc();
        if outcome != Outcome::InForce {
            return;
        }
        metrics.is_last_successful.set(1);
        self.record.mend();
        match self.refusal.take() {
            Some(_) => {
                info!("{} says again what generation {number} does, which stays in force", self.args.config);
                metrics.herald.tell(|| News::GenerationApplied { number, changes: String::new() });
            }
            None if cause == Cause::Asked => {
                info!("asked by SIGHUP: nothing has changed, generation {number} stays in force");
            }
            None => debug!("nothing has changed, generation {number} stays in force"),
        }
    }

    /// The generation in force stays, and operators are told why: once, however often it is tried.
    fn refuse(&mut self, Fault { problems, seen }: Fault) {
        let number = self.in_force.number;
        let text = problems.0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        let each = problems.0.iter().map(ToString::to_string).collect();
        self.record.refuse(number, self.clock.now(), each);
        let before = self.refusal.take();
        if before.as_ref().is_some_and(|before| before.text == text) {
            debug!("{text}; generation {number} stays in force");
        } else {
            error!("{text}; generation {number} stays in force");
            let problems = text.clone();
            self.metrics.generations.herald.tell(|| News::GenerationRefused { number, problems });
        }
        let waited = before.filter(|before| before.seen == seen).and_then(|before| before.retry);
        let after = waited.map_or(FIRST_RETRY, |retry| (retry.after * 2).min(LAST_RETRY));
        let retry = seen.is_some().then(|| Retry { after, at: Instant::now() + after });
        self.refusal = Some(Refusal { text, seen, retry });
        self.metrics.generations.is_last_successful.set(0);
        self.metrics.generations.reloads.with_label_values(&["refused"]).inc();
    }
}

/// All files that decide on what is in force.
fn files(args: &Args, policies: &PoliciesConfig) -> Vec<PathBuf> {
    let artifacts = policies.plugins.iter().filter_map(|plugin| match &plugin.source {
        Source::File(path) => Some(path.clone()),
        Source::Oci(_) => None,
    });
    std::iter::once(PathBuf::from(&args.config)).chain(artifacts).collect()
}

/// Whether the same words may stand for another artifact tomorrow: a tag can be moved, a digest cannot.
fn may_move(source: &Source) -> bool {
    match source {
        Source::File(_) => false,
        Source::Oci(oci) => !oci.reference.contains('@'),
    }
}

/// Tenants and node pools that keep to the built-in policies; no sandbox is needed for them.
pub fn without_plugins(policies: &PoliciesConfig, generation: u64, addresses: PreferredAddresses) -> Tenants {
    let tenants = policies.tenants.iter().map(|tenant| Tenant {
        name: Arc::clone(&tenant.name),
        namespaces: tenant.globs.clone(),
        namespace_selector: tenant.namespace_selector.clone(),
        filter: None,
        window: None,
    });
    let node_pools = policies.node_pools.iter().map(|pool| NodePool {
        name: Arc::clone(&pool.name),
        selector: pool.selector.clone(),
        address: None,
        window: None,
    });
    Tenants {
        generation,
        tenants: tenants.collect(),
        node_pools: node_pools.collect(),
        // Nobody is treated otherwise for belonging to anyone.
        needs_namespace_labels: false,
        ..Tenants::upstream(addresses)
    }
}

#[cfg(test)]
mod tests;
