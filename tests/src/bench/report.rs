//! The figures of a run beside the bar: what metrics-server needs for the same.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::json;

use super::Options;
use super::load::Cost;

/// What metrics-server v0.9 needed on two cores, at a resolution of 15 s, with two containers in each pod.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bar {
    /// Seconds.
    pub(super) cpu_per_tick: Option<f64>,
    /// Mebibytes.
    pub(super) rss_idle: Option<f64>,
    /// Mebibytes.
    pub(super) rss_loaded: Option<f64>,
    /// CPU milliseconds, as are the next two.
    pub(super) list_all: Option<f64>,
    pub(super) list_namespace: Option<f64>,
    pub(super) get_one: Option<f64>,
    /// Seconds.
    pub(super) at_once: Option<f64>,
}

const NO_BAR: Bar = Bar {
    cpu_per_tick: None,
    rss_idle: None,
    rss_loaded: None,
    list_all: None,
    list_namespace: None,
    get_one: None,
    at_once: None,
};

const AT_1000_NODES: Bar = Bar {
    cpu_per_tick: Some(0.80),
    rss_idle: Some(580.0),
    rss_loaded: Some(2.6 * 1024.0),
    list_all: Some(324.0),
    list_namespace: Some(5.3),
    get_one: Some(0.22),
    at_once: None,
};

const AT_5000_NODES: Bar = Bar {
    cpu_per_tick: Some(3.5),
    rss_idle: Some(2.7 * 1024.0),
    rss_loaded: Some(14.0 * 1024.0),
    list_all: Some(2000.0),
    list_namespace: None,
    get_one: None,
    at_once: Some(38.0),
};

impl Bar {
    fn of(options: &Options) -> Self {
        match (options.nodes, options.pods, options.containers, options.resolution.as_secs()) {
            (1000, 30, 2, 15) => AT_1000_NODES,
            (5000, 30, 2, 15) => AT_5000_NODES,
            _ => NO_BAR,
        }
    }
}

/// The figures so far, in the order in which they were measured.
#[derive(Debug)]
pub struct Report {
    title: String,
    bar: Bar,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    name: String,
    unit: &'static str,
    value: f64,
    bar: Option<f64>,
}

impl Row {
    /// The part of the bar that was needed: below one is better.
    fn ratio(&self) -> Option<f64> {
        self.bar.map(|bar| self.value / bar)
    }
}

impl Report {
    pub(super) fn new(options: &Options) -> Self {
        let (nodes, pods, containers) = (options.nodes, options.pods, options.containers);
        let server = options.server.as_deref().map_or("metrics-gateway", |server| {
            server.split_whitespace().next().and_then(|program| program.rsplit('/').next()).unwrap_or(server)
        });
        let title = format!(
            "{server}: {nodes} nodes x {pods} pods x {containers} containers, resolution {:?}, {} ticks{}",
            options.resolution,
            options.ticks,
            if options.gzip { ", gzip" } else { "" },
        );
        Self { title, bar: Bar::of(options), rows: Vec::new() }
    }

    pub(super) fn add(&mut self, name: &str, unit: &'static str, value: f64, bar: Option<fn(&Bar) -> Option<f64>>) {
        let bar = bar.and_then(|bar| bar(&self.bar));
        self.rows.push(Row { name: name.to_owned(), unit, value, bar });
    }

    pub(super) fn add_cost(&mut self, name: &str, cost: &Cost, bar: Option<fn(&Bar) -> Option<f64>>) {
        self.add(&format!("{name}, CPU"), "ms", milliseconds(cost.cpu), bar);
        self.add(&format!("{name}, p50"), "ms", milliseconds(cost.median), None);
        self.add(&format!("{name}, p99"), "ms", milliseconds(cost.p99), None);
        #[expect(clippy::cast_precision_loss, reason = "no body has 2^53 bytes")]
        self.add(&format!("{name}, size"), "kB", cost.bytes as f64 / 1000.0, None);
    }

    /// For people.
    pub fn table(&self) -> String {
        let mut out = format!(
            "{}\n{:<28} {:>12} {:<4} {:>14} {:>7}\n",
            self.title, "", "measured", "", "metrics-server", "ratio"
        );
        for row in &self.rows {
            let (bar, ratio) = (figure(row.bar), figure(row.ratio()));
            let (name, value, unit) = (&row.name, figure(Some(row.value)), row.unit);
            writeln!(out, "{name:<28} {value:>12} {unit:<4} {bar:>14} {ratio:>7}").expect("a string takes everything");
        }
        out
    }

    /// For programs: the same rows.
    pub fn json(&self) -> String {
        let rows: Vec<_> = self
            .rows
            .iter()
            .map(|row| {
                json!({
                    "name": row.name, "unit": row.unit, "value": row.value, "metrics_server": row.bar, "ratio": row.ratio(),
                })
            })
            .collect();
        format!("{:#}\n", json!({ "title": self.title, "figures": rows }))
    }
}

/// Three digits that count, and no more.
fn figure(value: Option<f64>) -> String {
    match value {
        None => String::new(),
        Some(value) if value >= 100.0 || value == value.trunc() => format!("{value:.0}"),
        Some(value) if value >= 10.0 => format!("{value:.1}"),
        Some(value) if value >= 1.0 => format!("{value:.2}"),
        Some(value) => format!("{value:.3}"),
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests;
