//! The answer of `/metrics/resource`: rendered once, then only its figures are written over in place.
//!
//! Families, their order, the order of labels and lines, and the look of numbers are those of a real kubelet
//! (Kubernetes 1.20.2, captured); `container_start_time_seconds`, which bears no timestamp, is that of newer ones.
//! A figure keeps its width while it can (trailing zeros are allowed in the format); when one outgrows its place, the
//! text is rendered anew.

use std::io::Write;

use metrics_gateway::model::Sample;
use metrics_gateway::model::units::UnixNanos;

use super::FleetNode;
use super::node::NodeSources;

/// A rendered answer and the places of its figures.
pub(super) struct MetricsText {
    bytes: Vec<u8>,
    slots: Vec<Slot>,
    print_start_times: bool,
    /// The subjects in the order of the lines: by container, namespace and pod.
    containers: Vec<(usize, usize)>,
    /// By namespace and name.
    pods: Vec<usize>,
}

struct Slot {
    start: usize,
    end: usize,
    /// Into the samples: containers, then the node, then the pods.
    subject: usize,
    form: Form,
}

#[derive(Clone, Copy)]
enum Form {
    /// Core-seconds with nine decimals.
    Cpu,
    /// Bytes as a mantissa with this many decimals, and an exponent.
    Memory { decimals: u32 },
}

impl MetricsText {
    pub(super) fn new(node: &FleetNode, sources: &NodeSources, print_start_times: bool, now: UnixNanos) -> Self {
        let mut containers: Vec<(usize, usize)> =
            node.pods.iter().enumerate().flat_map(|(p, pod)| (0..pod.containers.len()).map(move |c| (p, c))).collect();
        containers.sort_by_key(|&(p, c)| {
            let pod = &node.pods[p];
            (&pod.containers[c], &pod.namespace, &pod.name)
        });
        let mut pods: Vec<usize> = (0..node.pods.len()).collect();
        pods.sort_by_key(|&p| (&node.pods[p].namespace, &node.pods[p].name));
        let mut text = Self { bytes: Vec::new(), slots: Vec::new(), print_start_times, containers, pods };
        text.render(node, &text.samples(sources, now));
        text
    }

    /// Brings all figures up to date and lends the text.
    pub(super) fn at(&mut self, node: &FleetNode, sources: &NodeSources, now: UnixNanos) -> &[u8] {
        let samples = self.samples(sources, now);
        if !self.patch(&samples) {
            self.render(node, &samples);
        }
        &self.bytes
    }

    fn samples(&self, sources: &NodeSources, now: UnixNanos) -> Vec<Sample> {
        let containers = self.containers.iter().map(|&(p, c)| sources.pods()[p].containers()[c].sample(now));
        let pods = self.pods.iter().map(|&p| sources.pods()[p].sample(now));
        containers.chain([sources.sample(now)]).chain(pods).collect()
    }

    /// Says whether all figures fitted.
    fn patch(&mut self, samples: &[Sample]) -> bool {
        let mut figure = Vec::with_capacity(48);
        for slot in &self.slots {
            figure.clear();
            write_figure(&mut figure, &samples[slot.subject], slot.form);
            let place = &mut self.bytes[slot.start..slot.end];
            if place.len() != figure.len() {
                return false;
            }
            place.copy_from_slice(&figure);
        }
        true
    }

    fn render(&mut self, node: &FleetNode, samples: &[Sample]) {
        self.bytes.clear();
        self.slots.clear();
        let containers: Vec<String> = self.containers.iter().map(|&(p, c)| container_labels(node, p, c)).collect();
        let pods: Vec<String> = self.pods.iter().map(|&p| pod_labels(node, p)).collect();
        let of_node = [String::new()];
        let first_pod = containers.len() + 1;

        self.family("container_cpu_usage_seconds_total", CONTAINER_CPU, &containers, 0, samples, cpu);
        self.family("container_memory_working_set_bytes", CONTAINER_MEMORY, &containers, 0, samples, memory);
        if self.print_start_times {
            self.start_family(&containers, samples);
        }
        self.family("node_cpu_usage_seconds_total", NODE_CPU, &of_node, containers.len(), samples, cpu);
        self.family("node_memory_working_set_bytes", NODE_MEMORY, &of_node, containers.len(), samples, memory);
        self.family("pod_cpu_usage_seconds_total", POD_CPU, &pods, first_pod, samples, cpu);
        self.family("pod_memory_working_set_bytes", POD_MEMORY, &pods, first_pod, samples, memory);
        self.head("scrape_error", SCRAPE_ERROR);
        self.bytes.extend_from_slice(b"scrape_error 0\n");
    }

    fn head(&mut self, name: &str, (help, kind): (&str, &str)) {
        let line = format!("# HELP {name} [ALPHA] {help}\n# TYPE {name} {kind}\n");
        self.bytes.extend_from_slice(line.as_bytes());
    }

    fn family(
        &mut self,
        name: &str,
        about: (&str, &str),
        labels: &[String],
        first: usize,
        samples: &[Sample],
        form: fn(&Sample) -> Form,
    ) {
        if labels.is_empty() {
            return;
        }
        self.head(name, about);
        for (index, labels) in labels.iter().enumerate() {
            let (subject, sample) = (first + index, &samples[first + index]);
            self.bytes.extend_from_slice(name.as_bytes());
            self.bytes.extend_from_slice(labels.as_bytes());
            self.bytes.push(b' ');
            let (start, form) = (self.bytes.len(), form(sample));
            write_figure(&mut self.bytes, sample, form);
            self.slots.push(Slot { start, end: self.bytes.len(), subject, form });
            self.bytes.push(b'\n');
        }
    }

    fn start_family(&mut self, labels: &[String], samples: &[Sample]) {
        let name = "container_start_time_seconds";
        self.head(name, START_TIME);
        for (labels, sample) in labels.iter().zip(samples) {
            let started_at = std::time::Duration::from_nanos(sample.started_at.0).as_secs_f64();
            let line = format!("{name}{labels} {}\n", exponent_form(started_at));
            self.bytes.extend_from_slice(line.as_bytes());
        }
    }
}

const CONTAINER_CPU: (&str, &str) = ("Cumulative cpu time consumed by the container in core-seconds", "counter");
const CONTAINER_MEMORY: (&str, &str) = ("Current working set of the container in bytes", "gauge");
const START_TIME: (&str, &str) = ("Start time of the container since unix epoch in seconds", "gauge");
const NODE_CPU: (&str, &str) = ("Cumulative cpu time consumed by the node in core-seconds", "counter");
const NODE_MEMORY: (&str, &str) = ("Current working set of the node in bytes", "gauge");
const POD_CPU: (&str, &str) = ("Cumulative cpu time consumed by the pod in core-seconds", "counter");
const POD_MEMORY: (&str, &str) = ("Current working set of the pod in bytes", "gauge");
const SCRAPE_ERROR: (&str, &str) = ("1 if there was an error while getting container metrics, 0 otherwise", "gauge");

fn container_labels(node: &FleetNode, pod: usize, container: usize) -> String {
    let pod = &node.pods[pod];
    let container = &pod.containers[container];
    format!("{{container=\"{container}\",namespace=\"{}\",pod=\"{}\"}}", pod.namespace, pod.name)
}

fn pod_labels(node: &FleetNode, pod: usize) -> String {
    let pod = &node.pods[pod];
    format!("{{namespace=\"{}\",pod=\"{}\"}}", pod.namespace, pod.name)
}

fn cpu(_: &Sample) -> Form {
    Form::Cpu
}

/// As many decimals as the present figure needs to be exact to the byte.
fn memory(sample: &Sample) -> Form {
    Form::Memory { decimals: sample.memory.0.checked_ilog10().unwrap_or(0) }
}

/// The figure, a space, and the time of the sample in milliseconds.
fn write_figure(out: &mut Vec<u8>, sample: &Sample, form: Form) {
    let millis = sample.taken_at.0 / 1_000_000;
    let written = match form {
        Form::Cpu => {
            let (whole, rest) = (sample.cpu.0 / 1_000_000_000, sample.cpu.0 % 1_000_000_000);
            write!(out, "{whole}.{rest:09} {millis}")
        }
        Form::Memory { decimals } => write_memory(out, sample.memory.0, decimals, millis),
    };
    written.expect("a vector takes everything");
}

/// Exact: bytes with a smaller exponent end in zeros, those with a greater one get more digits and do not fit.
fn write_memory(out: &mut Vec<u8>, bytes: u64, decimals: u32, millis: u64) -> std::io::Result<()> {
    let exponent = bytes.checked_ilog10().unwrap_or(0);
    let unit = 10_u64.pow(exponent);
    let (whole, rest) = (bytes / unit, bytes % unit);
    write!(out, "{whole}")?;
    if decimals > 0 || exponent > 0 {
        let width = usize::try_from(exponent).expect("at most 19");
        let zeros = usize::try_from(decimals.saturating_sub(exponent)).expect("at most 19");
        let rest = if width == 0 { String::new() } else { format!("{rest:0width$}") };
        write!(out, ".{rest}{:0<zeros$}", "")?;
    }
    write!(out, "e+{exponent:02} {millis}")
}

/// As Go prints a float of more than six digits before the point: shortest digits, two digits of exponent.
fn exponent_form(value: f64) -> String {
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').expect("the form asked for has an exponent");
    format!("{mantissa}e+{exponent:0>2}")
}
