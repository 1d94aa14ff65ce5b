//! Every metric in one place, the set-up of the log, and [`news`] for whoever wants to hear of changes.
//!
//! `metrics_server_*` are metrics-server's six families, name for name, label for label and bucket for bucket: its
//! users' dashboards and its own end-to-end suite know no others, so ours bear the prefix `metrics_gateway_`.
//! Labels are fixed words, the names of nodes, or the names that gateway.toml gives to plugins, tenants and node pools. A
//! node's series go when the node goes, those of plugins when no configuration in force has them any more ([`rows`]).

pub mod news;
pub mod quantile;
pub mod rows;

use std::cell::RefCell;
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::proto::{MetricFamily, MetricType};
use prometheus::{
    CounterVec, Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{LogFormat, LoggingConfig};
use news::Herald;
use rows::Rows;

/// The registry and everything in it.
pub struct Metrics {
    registry: Registry,
    families: Vec<Family>,
    /// By node: how long its kubelet took.
    pub kubelet_request_duration: HistogramVec,
    /// By success: requests to kubelets.
    pub kubelet_requests: IntCounterVec,
    /// By node: when its kubelet was last asked, in Unix seconds.
    pub kubelet_last_request: GaugeVec,
    /// How long a tick took, from its start to the last node's answer.
    pub tick_duration: Histogram,
    /// How old what we serve is, one observation for every object served.
    pub freshness: Histogram,
    /// By type: how many nodes and containers are served.
    pub storage_points: IntGaugeVec,
    /// By reason: nodes that yielded no answer.
    pub scrape_failures: IntCounterVec,
    /// By node and reason: 1 for as long as the node fails for the reason.
    pub node_failing: IntGaugeVec,
    /// Bytes of kubelets' answers, after decompression.
    pub scrape_bytes: IntCounter,
    /// Lines of answers that could not be read.
    pub bad_lines: IntCounter,
    /// By reason: pods of which an answer yielded no usage.
    pub pods_without_usage: IntCounterVec,
    /// Nodes that are asked.
    pub nodes: IntGauge,
    /// Those of them that are not, as an address policy decided.
    pub nodes_skipped: IntGauge,
    /// By code: answered requests.
    pub http_requests: IntCounterVec,
    /// By verb and resource: how long requests took until the answer's head.
    pub http_request_duration: HistogramVec,
    /// Requests that are being answered.
    pub http_in_flight: IntGauge,
    /// Connections that are open.
    pub http_connections: IntGauge,
    /// By outcome: lines of the audit log.
    pub audit_events: IntCounterVec,
    /// Calls of plugins.
    pub plugins: PluginMetrics,
    /// Generations of policies.
    pub generations: GenerationMetrics,
}

/// What is counted of plugins. `tenant` is the name of a tenant, or `node-pool/` and that of a node pool; `hook` is
/// `address`, `filter` or `window`, and where a tenant's chain has one plugin several times, the second is `filter-2`.
///
/// Series are taken as [`rows`], so that they go with the last configuration that has them.
pub struct PluginMetrics {
    /// Hands out the series of the families below.
    pub rows: Rows,
    /// Tells of breakers; the same as that of generations.
    pub herald: Herald,
    /// By plugin, tenant, hook and outcome: `ok`, `breaker` and `allowance` where the plugin was not asked, or the kind
    /// of failure.
    pub calls: IntCounterVec,
    /// By plugin, tenant and hook: CPU time, that of failed calls included.
    pub cpu_seconds: CounterVec,
    /// By plugin and hook: how long calls took by the clock on the wall.
    pub call_duration: HistogramVec,
    /// By plugin: the most linear memory that one instance had.
    pub memory: IntGaugeVec,
    /// By plugin, tenant and hook: 0 closed, 1 half-open, 2 open.
    pub breaker_state: IntGaugeVec,
    /// By plugin, version and digest: 1 for as long as the plugin is bound.
    pub info: IntGaugeVec,
    /// By plugin: lines of its log that were too many.
    pub log_lines_dropped: IntCounterVec,
}

/// What is told of generations of policies.
pub struct GenerationMetrics {
    /// The one in force.
    pub current: IntGauge,
    /// By result: `applied`, `refused`, `unchanged`.
    pub reloads: IntCounterVec,
    /// When one was last put in force, in Unix seconds.
    pub last_success: Gauge,
    /// Whether the latest attempt was not refused.
    pub is_last_successful: IntGauge,
    /// Tells of refused generations.
    pub herald: Herald,
}

impl Metrics {
    /// All families, empty. The buckets of the tick depend on the metric resolution, as upstream's do.
    pub fn new(resolution: Duration) -> Self {
        let (shelf, herald) = (Shelf::default(), Herald::default());
        let r = &shelf;
        let mut metrics = Self {
            kubelet_request_duration: histogram_vec(
                r,
                "metrics_server_kubelet_request_duration_seconds",
                "[ALPHA] Duration of requests to Kubelet API in seconds",
                &["node"],
            ),
            kubelet_requests: counter_vec(
                r,
                "metrics_server_kubelet_request_total",
                "[ALPHA] Number of requests sent to Kubelet API",
                &["success"],
            ),
            kubelet_last_request: register(
                r,
                GaugeVec::new(
                    Opts::new(
                        "metrics_server_kubelet_last_request_time_seconds",
                        "[ALPHA] Time of last request performed to Kubelet API since unix epoch in seconds",
                    ),
                    &["node"],
                ),
            ),
            tick_duration: histogram(
                r,
                "metrics_server_manager_tick_duration_seconds",
                "[ALPHA] The total time spent collecting and storing metrics in seconds.",
                tick_buckets(resolution),
            ),
            freshness: histogram(
                r,
                "metrics_server_api_metric_freshness_seconds",
                "[ALPHA] Freshness of metrics exported",
                (0..20).map(|exponent| 1.364_f64.powi(exponent)).collect(),
            ),
            storage_points: register(
                r,
                IntGaugeVec::new(
                    Opts::new("metrics_server_storage_points", "[ALPHA] Number of metrics points stored."),
                    &["type"],
                ),
            ),
            scrape_failures: counter_vec(
                r,
                "metrics_gateway_scrape_failures_total",
                "Kubelets that yielded no answer, by reason",
                &["reason"],
            ),
            node_failing: register(
                r,
                IntGaugeVec::new(
                    Opts::new("metrics_gateway_node_failing", "1 for as long as the node fails for this reason"),
                    &["node", "reason"],
                ),
            ),
            scrape_bytes: counter(
                r,
                "metrics_gateway_scrape_bytes_total",
                "Bytes of kubelets' answers, after decompression",
            ),
            bad_lines: counter(
                r,
                "metrics_gateway_decode_bad_lines_total",
                "Lines of kubelets' answers that could not be read",
            ),
            pods_without_usage: counter_vec(
                r,
                "metrics_gateway_pods_without_usage_total",
                "Pods of which an answer yielded no usage, by reason",
                &["reason"],
            ),
            nodes: register(r, IntGauge::new("metrics_gateway_nodes", "Nodes that are asked")),
            nodes_skipped: register(
                r,
                IntGauge::new(
                    "metrics_gateway_nodes_skipped",
                    "Nodes of these that an address policy decided not to ask",
                ),
            ),
            http_requests: counter_vec(
                r,
                "metrics_gateway_http_requests_total",
                "Answered requests, by status code",
                &["code"],
            ),
            http_request_duration: histogram_vec(
                r,
                "metrics_gateway_http_request_duration_seconds",
                "Time from a request's head to its answer's head, by verb and resource",
                &["verb", "resource"],
            ),
            http_in_flight: register(
                r,
                IntGauge::new("metrics_gateway_http_requests_in_flight", "Requests that are being answered"),
            ),
            http_connections: register(
                r,
                IntGauge::new("metrics_gateway_http_connections", "Connections that are open"),
            ),
            audit_events: counter_vec(
                r,
                "metrics_gateway_audit_events_total",
                "Audit events, by whether they were written or lost",
                &["outcome"],
            ),
            plugins: PluginMetrics::new(r, herald.clone()),
            generations: GenerationMetrics::new(r, herald),
            registry: shelf.registry.clone(),
            families: Vec::new(),
        };
        metrics.describe_the_process(r);
        metrics.families = shelf.families.into_inner();
        metrics
    }

    /// Every family that there may be on `/metrics`, sorted by name, whether or not it has a series yet: what
    /// `docs/metrics.md` is made of.
    pub fn families(&self) -> Vec<Family> {
        let mut families = self.families.clone();
        families.sort_by_key(|family| family.name.clone());
        families
    }

    /// Everything in Prometheus' text format.
    pub fn render(&self) -> Vec<u8> {
        let mut text = Vec::new();
        let families = self.registry.gather();
        TextEncoder::new().encode(&families, &mut text).expect("a registry of checked names can be written to memory");
        text
    }

    /// A node is gone: so are its series.
    pub fn forget_node(&self, node: &str) {
        // An error says that there was no such series, which is what is wanted.
        let _ = self.kubelet_request_duration.remove_label_values(&[node]);
        let _ = self.kubelet_last_request.remove_label_values(&[node]);
    }

    fn describe_the_process(&self, r: &Shelf) {
        let info = register(r, IntGaugeVec::new(Opts::new("metrics_gateway_build_info", "Always 1"), &["version"]));
        info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let process = prometheus::process_collector::ProcessCollector::for_self();
        register(r, Ok::<_, prometheus::Error>(Unclonable(std::sync::Arc::new(process))));
        // Both series of a family that alerts compare are there from the start, not from the first failure.
        for success in ["true", "false"] {
            self.kubelet_requests.with_label_values(&[success]);
        }
    }
}

impl PluginMetrics {
    fn new(r: &Shelf, herald: Herald) -> Self {
        const BINDING: &[&str] = &["plugin", "tenant", "hook"];
        Self {
            rows: Rows::default(),
            herald,
            calls: counter_vec(
                r,
                "metrics_gateway_plugin_calls_total",
                "Questions to plugins, by outcome; those of outcome breaker and allowance were not asked",
                &["plugin", "tenant", "hook", "outcome"],
            ),
            cpu_seconds: register(
                r,
                CounterVec::new(
                    Opts::new("metrics_gateway_plugin_cpu_seconds_total", "CPU time of plugins, failed calls included"),
                    BINDING,
                ),
            ),
            call_duration: register(
                r,
                HistogramVec::new(
                    HistogramOpts::new(
                        "metrics_gateway_plugin_call_duration_seconds",
                        "Time from a question to a plugin to its answer or failure",
                    )
                    .buckets(plugin_buckets()),
                    &["plugin", "hook"],
                ),
            ),
            memory: gauge_vec(
                r,
                "metrics_gateway_plugin_memory_bytes",
                "The most linear memory that one instance of the plugin had",
                &["plugin"],
            ),
            breaker_state: gauge_vec(
                r,
                "metrics_gateway_plugin_breaker_state",
                "0: the plugin is asked, 1: one question is tried, 2: it is not asked for a while",
                BINDING,
            ),
            info: gauge_vec(
                r,
                "metrics_gateway_plugin_info",
                "Always 1; the plugins that are bound, with their versions and the SHA-256 of their artifacts",
                &["plugin", "version", "digest"],
            ),
            log_lines_dropped: counter_vec(
                r,
                "metrics_gateway_plugin_log_lines_dropped_total",
                "Lines that plugins logged and that were left out because they were too many",
                &["plugin"],
            ),
        }
    }
}

impl GenerationMetrics {
    fn new(r: &Shelf, herald: Herald) -> Self {
        let metrics = Self {
            herald,
            current: register(
                r,
                IntGauge::new("metrics_gateway_generation", "The generation of policies that is in force"),
            ),
            reloads: counter_vec(
                r,
                "metrics_gateway_generation_reloads_total",
                "Attempts to put a new generation of policies in force, by result",
                &["result"],
            ),
            last_success: register(
                r,
                Gauge::new(
                    "metrics_gateway_generation_last_reload_success_timestamp_seconds",
                    "When a generation of policies was last put in force, in Unix seconds",
                ),
            ),
            is_last_successful: register(
                r,
                IntGauge::new(
                    "metrics_gateway_generation_last_reload_successful",
                    "0 if the latest attempt to put a new generation in force was refused, otherwise 1",
                ),
            ),
        };
        // As with requests to kubelets: alerts compare them, so they are there from the start.
        for result in ["applied", "refused", "unchanged"] {
            metrics.reloads.with_label_values(&[result]);
        }
        metrics
    }
}

/// From 10 µs, less than any call takes, in steps of four to 2.6 s, more than the wall limit of the default budgets.
fn plugin_buckets() -> Vec<f64> {
    prometheus::exponential_buckets(1e-5, 4.0, 10).expect("start, factor and count are in range")
}

/// Lets a collector that cannot be cloned pass through [`register`].
#[derive(Clone)]
struct Unclonable(std::sync::Arc<prometheus::process_collector::ProcessCollector>);

impl Collector for Unclonable {
    fn desc(&self) -> Vec<&prometheus::core::Desc> {
        self.0.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.0.collect()
    }
}

/// Upstream's buckets: the defaults, and for longer resolutions some around the resolution itself.
fn tick_buckets(resolution: Duration) -> Vec<f64> {
    let mut buckets = prometheus::DEFAULT_BUCKETS.to_vec();
    let seconds = resolution.as_secs_f64();
    let last = 10.0;
    if seconds > last {
        buckets.extend([last + (seconds - last) / 2.0, seconds, seconds * 1.5, seconds * 2.0]);
    }
    buckets
}

/// A family of metrics, as it is documented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Family {
    /// Its full name.
    pub name: String,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// Its labels, in their order.
    pub labels: Vec<String>,
    /// What it says.
    pub help: String,
}

/// The registry while it is being filled, with what is told of each family.
#[derive(Default)]
struct Shelf {
    registry: Registry,
    families: RefCell<Vec<Family>>,
}

impl Shelf {
    fn note(&self, collector: &impl Collector) {
        let kinds: Vec<_> = collector.collect().iter().map(|family| (family.name().to_owned(), kind(family))).collect();
        let families = collector.desc().into_iter().map(|desc| Family {
            name: desc.fq_name.clone(),
            kind: kinds.iter().find(|(name, _)| *name == desc.fq_name).map_or("gauge", |(_, kind)| kind),
            labels: desc.variable_labels.clone(),
            help: desc.help.clone(),
        });
        self.families.borrow_mut().extend(families);
    }
}

fn kind(family: &MetricFamily) -> &'static str {
    match family.get_field_type() {
        MetricType::COUNTER => "counter",
        MetricType::HISTOGRAM => "histogram",
        _ => "gauge",
    }
}

fn register<C: Collector + Clone + 'static>(shelf: &Shelf, collector: prometheus::Result<C>) -> C {
    let collector = collector.expect("metric names and labels are constants that a test has read");
    shelf.note(&collector);
    shelf.registry.register(Box::new(collector.clone())).expect("no two metrics bear one name, as a test has seen");
    collector
}

fn counter(shelf: &Shelf, name: &str, help: &str) -> IntCounter {
    register(shelf, IntCounter::new(name, help))
}

fn counter_vec(shelf: &Shelf, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    register(shelf, IntCounterVec::new(Opts::new(name, help), labels))
}

fn gauge_vec(shelf: &Shelf, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    register(shelf, IntGaugeVec::new(Opts::new(name, help), labels))
}

fn histogram(shelf: &Shelf, name: &str, help: &str, buckets: Vec<f64>) -> Histogram {
    register(shelf, Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets)))
}

fn histogram_vec(shelf: &Shelf, name: &str, help: &str, labels: &[&str]) -> HistogramVec {
    register(shelf, HistogramVec::new(HistogramOpts::new(name, help), labels))
}

/// Starts logging to standard error, which is where upstream logs.
pub fn start_log(config: &LoggingConfig) {
    let ours = match config.verbosity {
        0..=3 => LevelFilter::INFO,
        4..=5 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    // Libraries tell their own stories below WARN; they are of use only to whoever debugs the gateway itself.
    let is_debugged = config.verbosity >= 8;
    let libraries = if is_debugged { LevelFilter::DEBUG } else { LevelFilter::WARN };
    // kube reports every failed attempt, bodies included; `discovery` reports every change.
    let kube = if is_debugged { LevelFilter::DEBUG } else { LevelFilter::OFF };
    let filter = tracing_subscriber::filter::Targets::new()
        .with_default(libraries)
        .with_target("metrics_gateway", ours)
        .with_targets([("kube_client", kube), ("kube_runtime", kube)]);
    let registry = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let _ = match config.format {
        LogFormat::Text => registry.with(lines.with_ansi(false)).try_init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init(),
    };
}

#[cfg(test)]
mod tests;
