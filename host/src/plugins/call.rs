//! One question to one plugin, in an instance of its own, under limits.
//!
//! In: a [`Caller`] (a compiled artifact, its settings, its limits) and a question of the contract. Out: the answer as the
//! plugin gave it, with what it cost ([`Called`]), or why there is none ([`Failed`]). The answer has the types of the
//! contract and takes up no more than `limits.output` on our side (wasmtime counts while it lifts, so a guest cannot
//! make us allocate more); whether it makes sense is for the hooks to judge.
//!
//! A call runs on the calling thread from beginning to end and blocks it: not for the reactor. It makes an instance,
//! hands it the settings and asks. All three together may take the CPU time of the hook, since an operator who allows
//! 20 ms means what a call costs; a guest that spends them on `configure` is found out by the first trial call, before it
//! is in force. CPU time is that of the thread, so a busy machine kills nobody; the time of day is only a backstop.
//! `describe`, `configure` and `history`, which are asked once for a generation, have a larger budget of their own.
//!
//! With `reuse`, instances are kept and asked again, by this caller alone, which belongs to one binding: never by two
//! tenants. Then the making of an instance has the larger budget, as it is paid once for thousands of calls.
//! Whatever goes wrong, the instance in which it did is thrown away.
//!
//! Absent on purpose: fallbacks, breakers, allowances for a tick, metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use wasmtime::Store;
use wasmtime::component::Instance;

use super::artifact::{Artifact, Hook};
use super::engine::{Engine, Kept};
use super::line::line;
use super::wit::exports::metrics_gateway::policy::{address, filter, plugin};
use super::wit::metrics_gateway::policy::types;
use crate::config::policies::{CpuBudgets, PluginLimits, Reuse};

mod error;
mod lines;
mod state;

pub use super::wit::metrics_gateway::policy::log::Level;
pub use error::PluginError;
pub use lines::Log;

use error::Step;
use lines::Lines;
pub(super) use state::State;
use state::thread_time;

/// One plugin with its settings, bound to one hook of one tenant or node pool: all that a call needs.
pub struct Caller {
    engine: Arc<Engine>,
    artifact: Arc<Artifact>,
    settings: Arc<str>,
    limits: PluginLimits,
    reuse: Option<Reuse>,
    lines: Arc<Lines>,
    idle: Mutex<Vec<Live>>,
    /// CPU time of all calls, in nanoseconds.
    spent: AtomicU64,
}

/// An answer, and what it cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Called<T> {
    /// What the plugin said, of the right type but not yet believed.
    pub answer: T,
    /// CPU time of the whole call, our part in it included.
    pub cpu: Duration,
    /// The most linear memory that the instance had, in bytes.
    pub memory: usize,
    /// Exact cost, where the engine counts it ([`Engine::with_fuel`]).
    pub fuel: Option<u64>,
}

/// A call without an answer. It costs CPU time too, which whoever is charged for calls is charged for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct Failed {
    /// What went wrong.
    pub error: PluginError,
    /// CPU time of the whole call, our part in it included.
    pub cpu: Duration,
    /// The most linear memory that the instance had, in bytes.
    pub memory: usize,
}

impl Caller {
    /// `settings` is a JSON object in text.
    pub fn new(
        engine: &Arc<Engine>,
        artifact: Arc<Artifact>,
        settings: impl Into<Arc<str>>,
        limits: PluginLimits,
        reuse: Option<Reuse>,
        log: Arc<dyn Log>,
    ) -> Self {
        Self {
            engine: Arc::clone(engine),
            artifact,
            settings: settings.into(),
            limits,
            reuse,
            lines: Arc::new(Lines::new(log)),
            idle: Mutex::new(Vec::new()),
            spent: AtomicU64::new(0),
        }
    }

    /// Whether the plugin answers a hook.
    pub fn answers(&self, hook: Hook) -> bool {
        self.artifact.answers(hook)
    }

    /// The artifact that is called.
    pub fn artifact(&self) -> &Artifact {
        &self.artifact
    }

    /// Makes an instance and looks up every function of the contract that the plugin exports, with its types: an artifact
    /// whose types are not those of the contract is found out here and nowhere before.
    ///
    /// # Errors
    /// [`Failed`], as every call.
    pub fn check_exports(&self) -> Result<Called<()>, Failed> {
        self.measured(|cost| {
            let mut live = self.make(CpuBudgets::CONFIGURE, cost)?;
            live.run(Step::LookUp, cost, |store, instance| self.artifact.exports.check(store, instance))
        })
    }

    /// Who the plugin is. It is not given its settings before.
    ///
    /// # Errors
    /// [`Failed`], as every call.
    pub fn describe(&self) -> Result<Called<plugin::Info>, Failed> {
        self.measured(|cost| {
            let mut live = self.make(CpuBudgets::CONFIGURE, cost)?;
            let plugin =
                live.run(Step::LookUp, cost, |store, instance| self.artifact.exports.plugin.load(store, instance))?;
            live.run(Step::Ask, cost, |store, _| plugin.call_describe(store))
        })
    }

    /// Whether the plugin takes its settings.
    ///
    /// # Errors
    /// [`Failed`], as every call; [`PluginError::Refused`] where it does not.
    pub fn configure(&self) -> Result<Called<()>, Failed> {
        self.measured(|cost| self.make_configured(CpuBudgets::CONFIGURE, cost).map(drop))
    }

    /// `address.candidates`: where a node's kubelet may be reached.
    ///
    /// # Errors
    /// [`Failed`], as every call.
    pub fn candidates(&self, node: &types::Node) -> Result<Called<address::Choice>, Failed> {
        let Some(exported) = &self.artifact.exports.address else { return not_exported(Hook::Address) };
        self.ask(
            CpuBudgets::ADDRESS,
            |store, instance| exported.load(store, instance),
            |address, store| address.call_candidates(store, node),
        )
    }

    /// `filter.classify`: one verdict per container.
    ///
    /// # Errors
    /// [`Failed`], as every call.
    pub fn classify(&self, pods: &[filter::Pod]) -> Result<Called<Vec<u8>>, Failed> {
        let Some(exported) = &self.artifact.exports.filter else { return not_exported(Hook::Filter) };
        self.ask(
            CpuBudgets::FILTER,
            |store, instance| exported.load(store, instance),
            |filter, store| filter.call_classify(store, pods),
        )
    }

    /// `filter-by-value.screen`: one verdict per series.
    ///
    /// # Errors
    /// [`Failed`], as every call.
    pub fn screen(&self, batch: &types::Batch) -> Result<Called<Vec<u8>>, Failed> {
        let Some(exported) = &self.artifact.exports.filter_by_value else { return not_exported(Hook::FilterByValue) };
        self.ask(
            CpuBudgets::FILTER,
            |store, instance| exported.load(store, instance),
            |filter, store| filter.call_screen(store, batch),
        )
    }

    /// `window.history`: how far back samples are wanted, in nanoseconds. Has the budget of `configure`.
    ///
    /// # Errors
    /// [`Failed`], as every call.
    pub fn history(&self) -> Result<Called<u64>, Failed> {
        let Some(exported) = &self.artifact.exports.window else { return not_exported(Hook::Window) };
        self.measured(|cost| {
            let mut live = self.make_configured(CpuBudgets::CONFIGURE, cost)?;
            let window = live.run(Step::LookUp, cost, |store, instance| exported.load(store, instance))?;
            live.run(Step::Ask, cost, |store, _| window.call_history(store))
        })
    }

    /// `window.measure`: one usage per series.
    ///
    /// # Errors
    /// [`Failed`], as every call.
    pub fn measure(&self, batch: &types::Batch) -> Result<Called<types::Usages>, Failed> {
        let Some(exported) = &self.artifact.exports.window else { return not_exported(Hook::Window) };
        self.ask(
            CpuBudgets::WINDOW,
            |store, instance| exported.load(store, instance),
            |window, store| window.call_measure(store, batch),
        )
    }

    /// Throws away the instances that are kept for reuse: for hooks that were given an answer they cannot believe.
    pub fn forget_instances(&self) {
        let forgotten = std::mem::take(&mut *self.idle.lock());
        drop(forgotten);
    }

    /// CPU time of all calls so far, failed ones too.
    pub fn spent(&self) -> Duration {
        Duration::from_nanos(self.spent.load(Ordering::Relaxed))
    }

    /// How many lines of the plugin were left out because it wrote too many.
    pub fn dropped_lines(&self) -> u64 {
        self.lines.dropped()
    }

    /// One question of a hook whose own budget is `own`.
    fn ask<G, T>(
        &self,
        own: Duration,
        load: impl FnOnce(&mut Store<State>, &Instance) -> wasmtime::Result<G>,
        question: impl FnOnce(&G, &mut Store<State>) -> wasmtime::Result<T>,
    ) -> Result<Called<T>, Failed> {
        let budget = self.limits.cpu.unwrap_or(own);
        self.measured(|cost| {
            let mut live = match self.reuse {
                None => self.make_configured(budget, cost)?,
                Some(reuse) => self.reused(reuse, budget, cost)?,
            };
            let guest = live.run(Step::LookUp, cost, load)?;
            let answer = live.run(Step::Ask, cost, |store, _| question(&guest, store))?;
            self.keep(live);
            Ok(answer)
        })
    }

    /// Waits for a turn, makes the call and adds up what it costs, the end of the instance included.
    fn measured<T>(&self, call: impl FnOnce(&mut Cost) -> Result<T, PluginError>) -> Result<Called<T>, Failed> {
        let _turn = self.engine.turn();
        let began = thread_time();
        let mut cost = Cost::default();
        let outcome = call(&mut cost);
        let cpu = thread_time().saturating_sub(began);
        self.spent.fetch_add(u64::try_from(cpu.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        match outcome {
            Ok(answer) => {
                let fuel = self.engine.counts_fuel.then_some(cost.fuel);
                Ok(Called { answer, cpu, memory: cost.memory, fuel })
            }
            Err(error) => Err(Failed { error, cpu, memory: cost.memory }),
        }
    }

    /// An instance that knows its settings.
    fn make_configured(&self, budget: Duration, cost: &mut Cost) -> Result<Live, PluginError> {
        let mut live = self.make(budget, cost)?;
        let plugin =
            live.run(Step::LookUp, cost, |store, instance| self.artifact.exports.plugin.load(store, instance))?;
        let taken = live.run(Step::Ask, cost, |store, _| plugin.call_configure(store, &self.settings))?;
        taken.map_err(|message| PluginError::Refused(line(&message, MESSAGE)))?;
        Ok(live)
    }

    /// An instance whose calls, its making included, may take `budget`.
    fn make(&self, budget: Duration, cost: &mut Cost) -> Result<Live, PluginError> {
        let mut store = self.store(budget)?;
        let made = self.artifact.pre.instantiate(&mut store);
        cost.add(&mut store);
        match made {
            Ok(instance) => Ok(Live { store, instance, born: Instant::now(), calls: 0, kept: None }),
            Err(error) => Err(PluginError::of(Step::Instantiate, &error, store.data())),
        }
    }

    fn store(&self, budget: Duration) -> Result<Store<State>, PluginError> {
        let state = State::new(&self.limits, budget, Arc::clone(&self.lines));
        let mut store = Store::new(&self.engine.wasmtime, state);
        store.limiter(|state| &mut state.room);
        store.set_hostcall_fuel(self.limits.output);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|mut store| store.data_mut().time.check());
        if self.engine.counts_fuel {
            store.set_fuel(FULL_TANK).map_err(|error| PluginError::Host(format!("{error:#}")))?;
        }
        Ok(store)
    }

    /// An instance that was kept, or else a new one, whose next call may take `budget`.
    fn reused(&self, reuse: Reuse, budget: Duration, cost: &mut Cost) -> Result<Live, PluginError> {
        let mut live = match self.take_idle(reuse) {
            Some(live) => live,
            None => self.make_configured(budget.max(CpuBudgets::CONFIGURE), cost)?,
        };
        live.calls += 1;
        live.store.data_mut().begin_again(budget);
        live.store.set_epoch_deadline(1);
        Ok(live)
    }

    fn take_idle(&self, reuse: Reuse) -> Option<Live> {
        let mut idle = self.idle.lock();
        // The last one in is the one whose memory is warm; those that are too old go where they are met.
        std::iter::from_fn(|| idle.pop()).find(|live| live.born.elapsed() < reuse.age)
    }

    /// Keeps an instance that answered for the next call, if it has calls left, is not close to its limit of memory (guests
    /// with garbage collectors grow for ever) and there is room in the pool.
    fn keep(&self, mut live: Live) {
        let Some(reuse) = self.reuse else { return };
        let is_small = live.store.data().room.memory() <= self.limits.memory / 4 * 3;
        if live.calls < reuse.calls && is_small {
            live.kept = live.kept.or_else(|| self.engine.keep_one());
            if live.kept.is_some() {
                self.idle.lock().push(live);
            }
        }
    }
}

/// What a plugin says in words, apart from its log, is cut to so many bytes.
const MESSAGE: usize = 1024;

/// More than any call can burn before its CPU time is over.
const FULL_TANK: u64 = u64::MAX / 2;

fn not_exported<T>(hook: Hook) -> Result<Called<T>, Failed> {
    Err(Failed { error: PluginError::NotExported(hook.interface()), cpu: Duration::ZERO, memory: 0 })
}

/// An instance, and the store that it lives and dies with.
struct Live {
    store: Store<State>,
    instance: Instance,
    born: Instant,
    calls: u32,
    kept: Option<Kept>,
}

impl Live {
    fn run<T>(
        &mut self,
        step: Step,
        cost: &mut Cost,
        work: impl FnOnce(&mut Store<State>, &Instance) -> wasmtime::Result<T>,
    ) -> Result<T, PluginError> {
        let outcome = work(&mut self.store, &self.instance);
        cost.add(&mut self.store);
        outcome.map_err(|error| PluginError::of(step, &error, self.store.data()))
    }
}

/// What a call has cost so far, apart from time.
#[derive(Default)]
struct Cost {
    memory: usize,
    fuel: u64,
}

impl Cost {
    fn add(&mut self, store: &mut Store<State>) {
        self.memory = self.memory.max(store.data().room.memory());
        if let Ok(left) = store.get_fuel() {
            self.fuel += FULL_TANK.saturating_sub(left);
            // Engines that count fuel take it back as willingly as they told of it.
            let _ = store.set_fuel(FULL_TANK);
        }
    }
}
