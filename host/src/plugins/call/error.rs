//! What may become of a call, read from what wasmtime says and from what the limits noticed.

use std::time::Duration;

use wasmtime::{PoolConcurrencyLimitError, Trap, WasmBacktrace};

use super::super::engine::FRAMES;
use super::super::line::line;
use super::{MESSAGE, State};

/// Why a plugin gave no answer, or none that can be believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PluginError {
    /// It took too much CPU time.
    #[error("took more than its {budget:?} of CPU time")]
    Cpu {
        /// What it may take.
        budget: Duration,
    },
    /// It took too long by the clock on the wall, which happens to the innocent only on a machine that hardly gets on.
    #[error("took longer than {limit:?} by the clock")]
    Wall {
        /// How long it may take.
        limit: Duration,
    },
    /// It was refused memory, or room in tables, beyond its limit, and went on to fail.
    #[error("{0}")]
    Memory(String),
    /// It trapped; what happened, and in which of its functions.
    #[error("trapped: {0}")]
    Trap(String),
    /// Its answer is against the contract.
    #[error("gave an answer that cannot be believed: {0}")]
    BadOutput(String),
    /// Its `configure` refused the settings, in these words.
    #[error("refuses its settings: {0}")]
    Refused(String),
    /// It does not answer this hook.
    #[error("does not export the interface `{0}`")]
    NotExported(&'static str),
    /// No instance can be made of it, or what it exports has other types than the contract.
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

    /// What an error that wasmtime reports of a step means.
    ///
    /// What the limits noticed goes first: a guest that is refused memory fails in ways that look like anything.
    pub(super) fn of(step: Step, error: &wasmtime::Error, state: &State) -> Self {
        if let Some(overrun) = state.time.overrun() {
            return overrun.clone();
        }
        if let Some(refusal) = state.room.refusal() {
            return Self::Memory(refusal.to_owned());
        }
        if let Some(trap) = error.downcast_ref::<Trap>() {
            return Self::Trap(told(trap, error));
        }
        if error.is::<std::io::Error>() || error.is::<PoolConcurrencyLimitError>() {
            return Self::Host(line(&format!("{error:#}"), MESSAGE));
        }
        let cause = error.root_cause().to_string();
        match step {
            Step::Instantiate => Self::Instantiate(line(&cause, MESSAGE)),
            // Here the outer words name the function.
            Step::LookUp => Self::Instantiate(line(&format!("{error:#}"), MESSAGE)),
            Step::Ask if cause.contains("fuel allocated for hostcalls") => {
                Self::BadOutput(format!("it takes up more than {} KiB", state.output >> 10))
            }
            Step::Ask => Self::BadOutput(line(&cause, MESSAGE)),
        }
    }
}

/// A part of a call, by which an error that is no trap is understood.
#[derive(Clone, Copy)]
pub(super) enum Step {
    /// Making the instance.
    Instantiate,
    /// Finding the functions of an interface in it.
    LookUp,
    /// Calling one.
    Ask,
}

/// A trap in words, with the functions it happened in, the innermost first.
fn told(trap: &Trap, error: &wasmtime::Error) -> String {
    let what = trap.to_string();
    let what = what.strip_prefix("wasm trap: ").unwrap_or(&what);
    let frames = error.downcast_ref::<WasmBacktrace>().map(WasmBacktrace::frames).unwrap_or_default();
    let names: Vec<String> = frames.iter().filter_map(|frame| frame.func_name()).take(FRAMES).map(name).collect();
    if names.is_empty() { what.to_owned() } else { format!("{what}, in {}", names.join(" < ")) }
}

/// The name of a function, which the plugin chose.
fn name(chosen: &str) -> String {
    const LENGTH: usize = 120;
    format!("`{}`", line(chosen, LENGTH))
}
