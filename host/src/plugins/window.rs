//! The window hook: a plugin decides over which window usage is computed, and so what is served.
//!
//! In: series of one node, with their histories. Out: for each a checked [`Usage`], or why there is none. Where the plugin
//! fails, the rate between the last two samples is served, or nothing, as the binding's `on_error` says.
//!
//! A history may span restarts of its container, which plugins are shown; the rate in their place is that of the last
//! run. One call holds at most 4,096 series and 131,072 samples; more are asked about in several calls.
//!
//! Absent on purpose: keeping samples (the store's), and who is whose tenant. Rule: `window` in `sdk/wit/policy.wit`.

use std::time::Duration;

use super::binding::{BadAnswer, Binding, Guest};
use super::call::{Called, Caller, Failed};
use super::columns::columns;
use super::wit::metrics_gateway::policy::types;
use crate::config::policies::OnError;
use crate::model::policy::{NoUsage, Series, SeriesBatch, Standing, Voice, WindowPolicy, is_same_run, last_two};
use crate::model::units::{Bytes, Nanocores, UnixNanos, WindowNanos};
use crate::model::{Sample, Usage};

/// A node carries some hundred containers.
const MOST_SERIES: usize = 4096;
/// 4 MiB in columns, an eighth of the memory that a plugin has by default; a day's worth of samples is 5,760.
const MOST_SAMPLES: usize = 131_072;
/// The longest history that is kept for a policy.
pub const LONGEST_HISTORY: Duration = Duration::from_secs(3600);

/// Nanoseconds of a day: the longest window, and the oldest usage. Longer ones describe something else.
const DAY: u64 = 24 * 3600 * 1_000_000_000;
/// A million cores; no machine has them.
const MOST_NANOCORES: u64 = 1_000_000_000_000_000;
/// An exbibyte; no machine has it.
const MOST_MEMORY: u64 = 1 << 60;

/// A plugin that is asked for usage.
pub trait Ask: Guest {
    /// `window.measure`.
    ///
    /// # Errors
    /// [`Failed`] where there is no answer.
    fn measure(&self, batch: &types::Batch) -> Result<Called<types::Usages>, Failed>;
}

impl Ask for Caller {
    fn measure(&self, batch: &types::Batch) -> Result<Called<types::Usages>, Failed> {
        Self::measure(self, batch)
    }
}

/// The window policy of a tenant or a node pool.
pub struct WindowBinding<G = Caller> {
    binding: Binding<G>,
    history: Duration,
    on_error: OnError,
}

impl<G: Ask> WindowBinding<G> {
    /// A policy that asks a plugin, which is shown `history`.
    pub fn new(binding: Binding<G>, history: Duration, on_error: OnError) -> Self {
        Self { binding, history: history.min(LONGEST_HISTORY), on_error }
    }

    fn measure_part(&self, batch: &SeriesBatch<'_>) -> Vec<(Result<Usage, NoUsage>, Voice)> {
        let question = |guest: &G| guest.measure(&columns(batch));
        let answer = self.binding.ask(batch.node, question, |usages| check(&usages, batch));
        match answer {
            Some(usages) => usages.into_iter().map(|usage| (usage, Voice::Policy)).collect(),
            None => {
                let series = batch.series.iter();
                series.map(|series| (self.in_its_place(series.samples), Voice::Fallback)).collect()
            }
        }
    }

    fn in_its_place(&self, samples: &[Sample]) -> Result<Usage, NoUsage> {
        match self.on_error {
            OnError::Nothing => Err(NoUsage::Withheld),
            _ => last_two(end_of_last_run(samples)),
        }
    }
}

impl<G: Ask> WindowPolicy for WindowBinding<G> {
    fn history(&self) -> Duration {
        self.history
    }

    fn measure(&self, batch: &SeriesBatch<'_>) -> Vec<Result<Usage, NoUsage>> {
        self.measure_and_voice(batch).into_iter().map(|(usage, _)| usage).collect()
    }

    fn standing(&self) -> Option<Standing> {
        Some(self.binding.standing())
    }

    fn measure_and_voice(&self, batch: &SeriesBatch<'_>) -> Vec<(Result<Usage, NoUsage>, Voice)> {
        let mut usages = Vec::with_capacity(batch.series.len());
        let mut rest = &*batch.series;
        while !rest.is_empty() {
            let (part, others) = rest.split_at(size_of_next_call(rest));
            usages.extend(self.measure_part(&SeriesBatch { node: batch.node, series: part.to_vec() }));
            rest = others;
        }
        usages
    }
}

/// How many series go into one call; at least one.
fn size_of_next_call(series: &[Series<'_>]) -> usize {
    let mut samples = 0;
    let fits = |series: &&Series<'_>| {
        samples += series.samples.len();
        samples <= MOST_SAMPLES
    };
    series.iter().take(MOST_SERIES).take_while(fits).count().max(1)
}

/// The last two samples of a history, if they are of one run, or else the last alone.
fn end_of_last_run(samples: &[Sample]) -> &[Sample] {
    let [.., previous, last] = samples else { return samples };
    // The store's stand-in for the start of a fresh container was "taken" just when it started.
    let is_birth = previous.started_at != UnixNanos::ZERO && previous.started_at == last.started_at;
    let kept = if is_birth || is_same_run(last, previous.taken_at) { 2 } else { 1 };
    &samples[samples.len() - kept..]
}

/// Whether an answer about a batch can be believed, row by row.
///
/// # Errors
/// [`BadAnswer`] names the row, its subject and the number.
pub fn check(usages: &types::Usages, batch: &SeriesBatch<'_>) -> Result<Vec<Result<Usage, NoUsage>>, BadAnswer> {
    let rows = batch.series.len();
    let columns = [
        ("taken-at", usages.taken_at.len()),
        ("window-ns", usages.window_ns.len()),
        ("nanocores", usages.nanocores.len()),
        ("memory-bytes", usages.memory_bytes.len()),
    ];
    if let Some((column, length)) = columns.into_iter().find(|(_, length)| *length != rows) {
        return Err(BadAnswer(format!("column `{column}` has {length} rows, where the question has {rows}")));
    }
    let newest = batch.series.iter().filter_map(|series| series.samples.last()).map(|sample| sample.taken_at).max();
    let check = |row: usize| {
        let usage = Usage {
            taken_at: UnixNanos(usages.taken_at[row]),
            window: WindowNanos(usages.window_ns[row]),
            cpu: Nanocores(usages.nanocores[row]),
            memory: Bytes(usages.memory_bytes[row]),
        };
        if usage.window.0 == 0 {
            return Ok(Err(NoUsage::Withheld));
        }
        let subject = &batch.series[row].subject;
        match fault(&usage, newest) {
            None => Ok(Ok(usage)),
            Some(fault) => Err(BadAnswer(format!("row {row}, {subject}: {fault}"))),
        }
    };
    (0..rows).map(check).collect()
}

/// What makes a usage unbelievable. `newest` is when the newest sample of its batch was taken.
fn fault(usage: &Usage, newest: Option<UnixNanos>) -> Option<String> {
    let Some(newest) = newest else {
        return Some("usage of a batch without samples".to_owned());
    };
    let Usage { taken_at, window, cpu, memory } = usage;
    if window.0 > DAY {
        Some(format!("window-ns {} is more than a day", window.0))
    } else if *taken_at > newest {
        Some(format!("taken-at {} is later than the newest sample, {}", taken_at.0, newest.0))
    } else if newest.0 - taken_at.0 > DAY {
        Some(format!("taken-at {} is more than a day before the newest sample, {}", taken_at.0, newest.0))
    } else if cpu.0 > MOST_NANOCORES {
        Some(format!("nanocores {} is more than 10^15", cpu.0))
    } else if memory.0 > MOST_MEMORY {
        Some(format!("memory-bytes {} is more than 2^60", memory.0))
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
