//! The one wasmtime engine: what guests may be made of, where their memory comes from, and the clock that stops them.
//!
//! In: [`EngineOptions`]. Out: an [`Engine`] that compiles ([`Engine::compile`]) and runs ([`Caller`]) components. Of
//! WebAssembly only that is on which compilers of today's guests put out; threads, garbage collection, exceptions,
//! 64-bit memories and all that is asynchronous are off, so that what is not needed cannot be attacked. Instances come
//! from a pool of address space and are copied on write from the image of their module, which makes a fresh one for every
//! call cost microseconds. Where such a pool cannot be had (a limit on address space), instances are made singly.
//!
//! A thread of the engine's own moves the epoch on every [`TICK`] while a call is under way, and sleeps while none
//! is. When the epoch has moved, the guest asks (see `call`) whether it has used up its CPU time. A thread, not a task:
//! a busy reactor must not give guests more time.
//!
//! Absent on purpose: hooks, tenants, limits of single plugins, guests that wait (there is nothing they could wait for).
//!
//! [`Caller`]: super::call::Caller

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig, WasmBacktraceDetails};

use super::artifact::Shelf;
use super::cache::Cache;

/// How often a guest is asked for the time it has used. At 5 ms the thread takes 0.2 % of a core while calls are under
/// way, and an endless loop is stopped 3 ms after its budget in the mean.
pub const TICK: Duration = Duration::from_millis(5);

/// What an [`Engine`] is made for.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// How many calls may be under way at a time, 1 or more; further ones wait for their turn.
    pub workers: usize,
    /// A directory in which a `compiled` is made for compiled artifacts, that nobody else may enter; None: each is compiled
    /// anew after a start.
    pub cache: Option<PathBuf>,
}

impl Default for EngineOptions {
    fn default() -> Self {
        // Guests compute and never wait: more calls than cores would only take each other's memory and wall time.
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        Self { workers, cache: None }
    }
}

/// The one wasmtime engine.
pub struct Engine {
    pub(super) wasmtime: wasmtime::Engine,
    pub(super) counts_fuel: bool,
    pub(super) cache: Option<Cache>,
    pub(super) shelf: Shelf,
    turns: Turns,
    /// How many more instances may be kept for reuse.
    keepable: AtomicUsize,
    ticker: Ticker,
}

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
#[error("no sandbox for plugins can be made on this machine: {0}")]
pub struct EngineError(String);

impl Engine {
    /// An engine for production.
    ///
    /// # Errors
    /// [`EngineError`] where the machine has no room for one.
    pub fn try_new(options: EngineOptions) -> Result<Arc<Self>, EngineError> {
        Self::build(options, false)
    }

    /// An engine that counts the exact fuel of each call, for tests of plugins: slower, and the same on every machine.
    ///
    /// # Errors
    /// As [`Engine::try_new`].
    pub fn with_fuel(options: EngineOptions) -> Result<Arc<Self>, EngineError> {
        Self::build(options, true)
    }

    fn build(options: EngineOptions, counts_fuel: bool) -> Result<Arc<Self>, EngineError> {
        let workers = options.workers.max(1);
        let config = config(counts_fuel);
        let wasmtime = pooled(config.clone(), workers).or_else(move |refusal| {
            tracing::warn!(
                "no pool of instances can be reserved, each is made singly, which takes longer: {refusal:#}"
            );
            single(config)
        });
        let wasmtime = wasmtime.map_err(|error| EngineError(format!("{error:#}")))?;
        let ticker = Ticker::start(wasmtime.clone()).map_err(|error| EngineError(error.to_string()))?;
        Ok(Arc::new(Self {
            wasmtime,
            counts_fuel,
            cache: options.cache.and_then(|directory| Cache::open(directory.join("compiled"))),
            shelf: Shelf::default(),
            turns: Turns { free: Mutex::new(workers), freed: Condvar::new() },
            keepable: AtomicUsize::new(KEPT),
            ticker,
        }))
    }

    /// Waits until a call may begin, and keeps the epoch moving until the turn is dropped.
    pub(super) fn turn(&self) -> Turn<'_> {
        self.turns.take();
        self.ticker.call_begins();
        Turn { engine: self }
    }

    /// Room for one instance that is kept for reuse; None: there are as many as the pool has room for.
    pub(super) fn keep_one(self: &Arc<Self>) -> Option<Kept> {
        let taken = self.keepable.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        taken.is_ok().then(|| Kept { engine: Arc::clone(self) })
    }
}

/// Instances that may be kept for reuse, of all plugins together. With those of the calls under way they fill the pool.
const KEPT: usize = 48;

/// Room in the pool for an instance that is kept.
pub(super) struct Kept {
    engine: Arc<Engine>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.engine.keepable.fetch_add(1, Ordering::Relaxed);
    }
}

/// What guests may be made of, and how they run.
fn config(counts_fuel: bool) -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .wasm_memory64(false)
        .wasm_relaxed_simd(false)
        .wasm_tail_call(false)
        .wasm_wide_arithmetic(false)
        .wasm_custom_page_sizes(false)
        .wasm_stack_switching(false)
        .shared_memory(false)
        .gc_support(false)
        // The proposals whose own switches come with crate features that are left out; and what builds on them.
        .wasm_features(switched_off(), false)
        // Not `multi_memory`, though guests do not need it: without it wasmtime panics on components of several modules.
        .concurrency_support(false)
        .max_wasm_stack(512 << 10)
        .epoch_interruption(true)
        .consume_fuel(counts_fuel)
        // Replicas may be of different architectures, and must come to the same answers.
        .cranelift_nan_canonicalization(true)
        // Reloads compile while the gateway serves: one core is theirs, not all.
        .parallel_compilation(false)
        .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(FRAMES))
        .wasm_backtrace_details(WasmBacktraceDetails::Disable);
    config
}

/// Frames of a guest's stack that the report of a trap shows.
pub(super) const FRAMES: usize = 8;

fn switched_off() -> wasmtime::WasmFeatures {
    use wasmtime::WasmFeatures as Feature;
    Feature::THREADS
        | Feature::SHARED_EVERYTHING_THREADS
        | Feature::GC
        | Feature::GC_TYPES
        | Feature::FUNCTION_REFERENCES
        | Feature::EXCEPTIONS
        | Feature::LEGACY_EXCEPTIONS
        | Feature::CM_ASYNC
        | Feature::CM_ASYNC_STACKFUL
        | Feature::CM_MORE_ASYNC_BUILTINS
        | Feature::CM_THREADING
        | Feature::CM_ERROR_CONTEXT
        | Feature::CM_GC
        | Feature::CM64
}

/// An engine whose instances come from a pool.
///
/// A slot of the pool is 4 GiB of address space, whatever a plugin's limit: memory is taken when it is touched, and limits
/// are kept by `call`, so that a reload may bring a plugin with a larger one.
fn pooled(mut config: Config, workers: usize) -> wasmtime::Result<wasmtime::Engine> {
    /// Most components have one memory; those composed of several have one each.
    const MEMORIES: u32 = 4;
    /// Most components have two tables: that of the functions of their module, and one by which its imports are bound.
    const TABLES: u32 = 8;
    let components = u32::try_from(workers + KEPT).unwrap_or(u32::MAX).min(1 << 10);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(components)
        .total_core_instances(u32::MAX)
        .max_memories_per_component(MEMORIES)
        .max_memories_per_module(MEMORIES)
        .total_memories(components * MEMORIES)
        .max_tables_per_component(TABLES)
        .max_tables_per_module(TABLES)
        .total_tables(components * TABLES)
        .table_elements(TABLE_ELEMENTS)
        // Guests with a runtime in them have many functions, each of which takes room in the instance.
        .max_core_instance_size(4 << 20)
        .max_component_instance_size(8 << 20)
        // What a small guest touches is wiped and kept, which is cheaper than to give it back; more would be wiped on
        // every call.
        .linear_memory_keep_resident(64 << 10)
        .table_keep_resident(4 << 10)
        .pagemap_scan(Enabled::No);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    wasmtime::Engine::new(&config)
}

/// An engine whose instances are made one by one, and take no more address space than they have memory.
fn single(mut config: Config) -> wasmtime::Result<wasmtime::Engine> {
    config.memory_reservation(0).memory_reservation_for_growth(1 << 20).memory_guard_size(64 << 10);
    wasmtime::Engine::new(&config)
}

/// Elements that a single table may have, whatever a plugin's limit: as many as the configuration lets a limit be. It is
/// address space, 8 bytes for each.
const TABLE_ELEMENTS: usize = 1_000_000;

/// The right to make one call.
pub(super) struct Turn<'a> {
    engine: &'a Engine,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.engine.ticker.call_ends();
        self.engine.turns.give_back();
    }
}

/// Bounds the calls under way, and with them the memory and the slots of the pool that they take.
struct Turns {
    free: Mutex<usize>,
    freed: Condvar,
}

impl Turns {
    fn take(&self) {
        let mut free = self.free.lock();
        while *free == 0 {
            self.freed.wait(&mut free);
        }
        *free -= 1;
    }

    fn give_back(&self) {
        *self.free.lock() += 1;
        self.freed.notify_one();
    }
}

/// The thread that moves the epoch on.
struct Ticker {
    shared: Arc<Ticking>,
    handle: Thread,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Ticking {
    calls: AtomicUsize,
    is_asleep: AtomicBool,
    is_ended: AtomicBool,
}

impl Ticker {
    fn start(engine: wasmtime::Engine) -> std::io::Result<Self> {
        let shared = Arc::<Ticking>::default();
        let ticking = Arc::clone(&shared);
        let thread =
            std::thread::Builder::new().name("plugin-ticker".to_owned()).spawn(move || ticking.run(&engine))?;
        Ok(Self { shared, handle: thread.thread().clone(), thread: Some(thread) })
    }

    fn call_begins(&self) {
        self.shared.calls.fetch_add(1, Ordering::SeqCst);
        if self.shared.is_asleep.load(Ordering::SeqCst) {
            self.handle.unpark();
        }
    }

    fn call_ends(&self) {
        self.shared.calls.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Ticking {
    fn run(&self, engine: &wasmtime::Engine) {
        while !self.is_ended.load(Ordering::SeqCst) {
            self.sleep_without_calls();
            std::thread::park_timeout(TICK);
            engine.increment_epoch();
        }
    }

    /// Whoever begins a call after it is seen that there is none sees this thread asleep and wakes it.
    fn sleep_without_calls(&self) {
        self.is_asleep.store(true, Ordering::SeqCst);
        while self.calls.load(Ordering::SeqCst) == 0 && !self.is_ended.load(Ordering::SeqCst) {
            std::thread::park();
        }
        self.is_asleep.store(false, Ordering::SeqCst);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.is_ended.store(true, Ordering::SeqCst);
        self.handle.unpark();
        if let Some(thread) = self.thread.take() {
            // It cannot have panicked: it only sleeps and counts.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
