//! What is counted of one binding, for as long as some generation has it.
//!
//! In: what became of a question, and what it cost. Out: the series of [`PluginMetrics`], which go with the account. A
//! binding has the same account in every generation, also if its settings or its artifact change: counts go on.
//!
//! Absent on purpose: judging. Outcomes are fixed words, plugins and owners have the names of gateway.toml, so all
//! labels are bounded by the configuration; no pod, namespace or node is one.

use std::time::Duration;

use parking_lot::Mutex;
use prometheus::{Counter, Histogram, IntCounter, IntCounterVec, IntGauge};

use super::breaker::Position;
use crate::telemetry::PluginMetrics;
use crate::telemetry::news::{Herald, News};
use crate::telemetry::rows::{Row, Rows};

/// The labels of one binding's series.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Labels {
    /// The plugin's name in gateway.toml.
    pub plugin: Box<str>,
    /// Whose binding it is: `payments`, `node-pool/edge`.
    pub tenant: Box<str>,
    /// The hook; where the plugin stands in a chain for the second time, `filter-2`.
    pub hook: Box<str>,
}

/// The series of one binding.
pub struct Account {
    labels: Labels,
    rows: Rows,
    calls: IntCounterVec,
    /// Those outcomes that there have been.
    outcomes: Mutex<Vec<(&'static str, Row<IntCounter>)>>,
    cpu_seconds: Row<Counter>,
    duration: Row<Histogram>,
    memory: Row<IntGauge>,
    breaker: Row<IntGauge>,
    dropped: Row<IntCounter>,
    herald: Herald,
}

impl Account {
    /// Takes the series of one binding.
    pub fn new(metrics: &PluginMetrics, labels: Labels) -> Self {
        let Labels { plugin, tenant, hook } = &labels;
        let rows = &metrics.rows;
        Self {
            outcomes: Mutex::default(),
            cpu_seconds: rows.row(&metrics.cpu_seconds, &[plugin, tenant, hook]),
            duration: rows.row(&metrics.call_duration, &[plugin, hook]),
            memory: rows.row(&metrics.memory, &[plugin]),
            breaker: rows.row(&metrics.breaker_state, &[plugin, tenant, hook]),
            dropped: rows.row(&metrics.log_lines_dropped, &[plugin]),
            rows: rows.clone(),
            herald: metrics.herald.clone(),
            calls: metrics.calls.clone(),
            labels,
        }
    }

    /// A question, asked or not.
    pub fn count(&self, outcome: &'static str) {
        let mut outcomes = self.outcomes.lock();
        if let Some((_, known)) = outcomes.iter().find(|(known, _)| *known == outcome) {
            return known.inc();
        }
        let Labels { plugin, tenant, hook } = &self.labels;
        let row = self.rows.row(&self.calls, &[plugin, tenant, hook, outcome]);
        row.inc();
        outcomes.push((outcome, row));
    }

    /// What a call took, answer or not.
    pub fn charge(&self, wall: Duration, cpu: Duration, memory: usize) {
        self.duration.observe(wall.as_secs_f64());
        self.cpu_seconds.inc_by(cpu.as_secs_f64());
        // Two calls that end at once may leave the lesser of their figures, until the next call.
        let memory = i64::try_from(memory).unwrap_or(i64::MAX);
        if memory > self.memory.get() {
            self.memory.set(memory);
        }
    }

    /// Where the binding's breaker stands.
    pub fn show(&self, breaker: Position) {
        self.breaker.set(breaker as i64);
    }

    /// Tells whoever wants to hear of it.
    pub fn tell(&self, news: impl FnOnce() -> News) {
        self.herald.tell(news);
    }

    /// Lines of the plugin that were left out.
    pub fn drop_lines(&self, lines: u64) {
        self.dropped.inc_by(lines);
    }
}

#[cfg(test)]
mod tests;
