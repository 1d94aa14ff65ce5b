//! Every metric in one place, and the set-up of the log.
//!
//! `metrics_server_*` are metrics-server's six families, name for name, label for label and bucket for bucket: its
//! users' dashboards and its own end-to-end suite know no others, so ours bear the prefix `metrics_gateway_`.
//! Labels are fixed words or the names of nodes, and a node's series go when the node goes.

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Encoder, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{LogFormat, LoggingConfig};

/// The registry and everything in it.
pub struct Metrics {
    registry: Registry,
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
}

impl Metrics {
    /// All families, empty. The buckets of the tick depend on the metric resolution, as upstream's do.
    pub fn new(resolution: Duration) -> Self {
        let registry = Registry::new();
        let r = &registry;
        let metrics = Self {
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
            registry: registry.clone(),
        };
        metrics.describe_the_process();
        metrics
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

    fn describe_the_process(&self) {
        let info = register(
            &self.registry,
            IntGaugeVec::new(Opts::new("metrics_gateway_build_info", "Always 1"), &["version"]),
        );
        info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let process = prometheus::process_collector::ProcessCollector::for_self();
        register(&self.registry, Ok::<_, prometheus::Error>(Unclonable(std::sync::Arc::new(process))));
        // Both series of a family that alerts compare are there from the start, not from the first failure.
        for success in ["true", "false"] {
            self.kubelet_requests.with_label_values(&[success]);
        }
    }
}

/// Lets a collector that cannot be cloned pass through [`register`].
#[derive(Clone)]
struct Unclonable(std::sync::Arc<prometheus::process_collector::ProcessCollector>);

impl Collector for Unclonable {
    fn desc(&self) -> Vec<&prometheus::core::Desc> {
        self.0.desc()
    }

    fn collect(&self) -> Vec<prometheus::proto::MetricFamily> {
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

fn register<C: Collector + Clone + 'static>(registry: &Registry, collector: prometheus::Result<C>) -> C {
    let collector = collector.expect("metric names and labels are constants that a test has read");
    registry.register(Box::new(collector.clone())).expect("no two metrics bear one name, as a test has seen");
    collector
}

fn counter(registry: &Registry, name: &str, help: &str) -> IntCounter {
    register(registry, IntCounter::new(name, help))
}

fn counter_vec(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    register(registry, IntCounterVec::new(Opts::new(name, help), labels))
}

fn histogram(registry: &Registry, name: &str, help: &str, buckets: Vec<f64>) -> Histogram {
    register(registry, Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets)))
}

fn histogram_vec(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> HistogramVec {
    register(registry, HistogramVec::new(HistogramOpts::new(name, help), labels))
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
