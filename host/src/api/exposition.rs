//! `/metrics/resource`: the usage that the Metrics API serves, for Prometheus. A monitoring pipeline that reads it sees
//! what autoscalers act on: the same objects, figures and times.
//!
//! In: the cluster and the store. Out: gauges in OpenMetrics 1.0, or in the classic text format 0.0.4, written while
//! they are sent. Every sample bears the time of the reading that it stems from, so a usage that is held repeats itself
//! and is not stored twice. Figures lose nothing: a nanocore more or less is another text.
//!
//! Families must not be mixed, so there is one walk for each: a pod whose usage changes between two of them shows the
//! new figure with its new time in the later one.
//!
//! Names are our own, not the kubelet's: what a kubelet counts up is a rate here. Absent on purpose: figures that the
//! Metrics API does not serve (sums of pods, counters, start times), and labels of objects.
//!
//! Rules: the OpenMetrics specification 1.0 (`# UNIT`, `# EOF`, times in seconds), and Prometheus' "Exposition formats"
//! (times in milliseconds).

use std::ops::Bound;
use std::sync::Arc;
use std::vec;

use super::body::Pieces;
use super::lists::{Place, joined};
use crate::discovery::{Cluster, Namespace};
use crate::model::units::{Bytes, Nanocores, UnixNanos, WindowNanos};
use crate::model::{Node, PodUsage};
use crate::store::Store;

/// In which of Prometheus' two texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// The older text format, 0.0.4.
    Classic,
}

impl Format {
    /// By the header `Accept`: OpenMetrics for those who ask for it by name and prefer nothing else, the older format for
    /// everybody else.
    pub fn of(accept: &[u8]) -> Self {
        let accept = String::from_utf8_lossy(accept);
        let (mut open, mut classic) = (0.0, 0.0);
        for clause in accept.split(',') {
            let mut parts = clause.split(';').map(str::trim);
            let best = match parts.next() {
                Some("application/openmetrics-text") => &mut open,
                Some("text/plain" | "text/*" | "*/*") => &mut classic,
                _ => continue,
            };
            let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(Some(1.0), |q| q.parse::<f32>().ok());
            *best = weight.unwrap_or(0.0).max(*best);
        }
        if open > 0.0 && open >= classic { Self::OpenMetrics } else { Self::Classic }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Classic => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// One metric family.
struct Family {
    name: &'static str,
    unit: &'static str,
    help: &'static str,
    subject: Subject,
    figure: Figure,
}

/// What a family has a sample of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Subject {
    Node,
    Container,
    /// A window is its pod's: the Metrics API has one for all containers.
    Pod,
}

/// Which part of a usage a family shows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Figure {
    Cpu,
    Memory,
    Window,
}

/// In the order in which they are written.
const FAMILIES: [Family; 6] = [
    Family {
        name: "metrics_gateway_node_cpu_usage_cores",
        unit: "cores",
        help: "Cores that the node used, on average over the window, as served by the Metrics API",
        subject: Subject::Node,
        figure: Figure::Cpu,
    },
    Family {
        name: "metrics_gateway_node_memory_working_set_bytes",
        unit: "bytes",
        help: "Working set of the node at the end of the window, as served by the Metrics API",
        subject: Subject::Node,
        figure: Figure::Memory,
    },
    Family {
        name: "metrics_gateway_node_usage_window_seconds",
        unit: "seconds",
        help: "The time that the usage of the node covers",
        subject: Subject::Node,
        figure: Figure::Window,
    },
    Family {
        name: "metrics_gateway_container_cpu_usage_cores",
        unit: "cores",
        help: "Cores that the container used, on average over the window of its pod, as served by the Metrics API",
        subject: Subject::Container,
        figure: Figure::Cpu,
    },
    Family {
        name: "metrics_gateway_container_memory_working_set_bytes",
        unit: "bytes",
        help: "Working set of the container at the end of the window of its pod, as served by the Metrics API",
        subject: Subject::Container,
        figure: Figure::Memory,
    },
    Family {
        name: "metrics_gateway_pod_usage_window_seconds",
        unit: "seconds",
        help: "The time that the usage of the pod's containers covers",
        subject: Subject::Pod,
        figure: Figure::Window,
    },
];

/// The text, as far as it is not written yet.
pub(super) struct Exposition {
    cluster: Arc<Cluster>,
    store: Arc<Store>,
    format: Format,
    /// Those that are still to come.
    families: std::slice::Iter<'static, Family>,
    current: Option<(&'static Family, Walk)>,
}

/// Where a family is.
enum Walk {
    Nodes(vec::IntoIter<Arc<Node>>),
    Pods { namespaces: vec::IntoIter<Arc<Namespace>>, place: Option<Place> },
}

impl Exposition {
    pub(super) fn new(cluster: Arc<Cluster>, store: Arc<Store>, format: Format) -> Self {
        Self { cluster, store, format, families: FAMILIES.iter(), current: None }
    }

    /// The head of the next family, and a walk through its subjects.
    fn begin(&mut self, out: &mut Vec<u8>) -> Option<(&'static Family, Walk)> {
        let family = self.families.next()?;
        self.write_head(out, family);
        let walk = match family.subject {
            Subject::Node => Walk::Nodes(self.cluster.nodes().into_iter()),
            Subject::Container | Subject::Pod => {
                Walk::Pods { namespaces: self.cluster.namespaces().into_iter(), place: None }
            }
        };
        Some((family, walk))
    }

    fn write_head(&self, out: &mut Vec<u8>, family: &Family) {
        let Family { name, unit, help, .. } = family;
        write(out, &["# HELP ", name, " ", help, "\n# TYPE ", name, " gauge\n"]);
        if self.format == Format::OpenMetrics {
            write(out, &["# UNIT ", name, " ", unit, "\n"]);
        }
    }

    /// True if it stopped because there is enough.
    fn write_nodes(
        &self,
        out: &mut Vec<u8>,
        family: &Family,
        nodes: &mut vec::IntoIter<Arc<Node>>,
        enough: usize,
    ) -> bool {
        for node in nodes {
            let name = node.name.as_str();
            let Some(usage) = self.store.node(name) else { continue };
            let Some(amount) = family.figure.amount(Some(usage.cpu), Some(usage.memory), usage.window) else {
                continue;
            };
            write(out, &[family.name, "{node=\""]);
            write_escaped(out, name);
            write(out, &["\"} "]);
            amount.write(out);
            self.write_time(out, usage.taken_at);
            if out.len() >= enough {
                return true;
            }
        }
        false
    }

    /// True if it stopped because there is enough.
    fn write_pods(
        &self,
        out: &mut Vec<u8>,
        family: &Family,
        namespaces: &mut vec::IntoIter<Arc<Namespace>>,
        resumed: &mut Option<Place>,
        enough: usize,
    ) -> bool {
        while let Some(mut place) = resumed.take().or_else(|| self.next_place(namespaces)) {
            if self.write_namespace(out, family, &mut place, enough) {
                *resumed = Some(place);
                return true;
            }
        }
        false
    }

    /// The beginning of the next namespace of which there is any usage.
    fn next_place(&self, namespaces: &mut vec::IntoIter<Arc<Namespace>>) -> Option<Place> {
        namespaces.find_map(|namespace| {
            let usage = self.store.namespace(&namespace.name)?;
            Some(Place { namespace, usage, after: None })
        })
    }

    fn write_namespace(&self, out: &mut Vec<u8>, family: &Family, place: &mut Place, enough: usize) -> bool {
        let (pods, usage) = (place.namespace.read(), place.usage.read());
        let from = place.after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let rest = (from, Bound::Unbounded);
        for (name, _, served) in joined(pods.range::<str, _>(rest), usage.range::<str, _>(rest)) {
            self.write_pod(out, family, &place.namespace.name, name, &served.usage);
            if out.len() >= enough {
                place.after = Some(Arc::clone(name));
                return true;
            }
        }
        false
    }

    fn write_pod(&self, out: &mut Vec<u8>, family: &Family, namespace: &str, pod: &str, usage: &PodUsage) {
        let PodUsage { taken_at, window, .. } = *usage;
        for container in &usage.containers {
            let Some(amount) = family.figure.amount(container.cpu(), container.memory(), window) else { continue };
            write(out, &[family.name, "{namespace=\""]);
            write_escaped(out, namespace);
            write(out, &["\",pod=\""]);
            write_escaped(out, pod);
            if family.subject == Subject::Container {
                write(out, &["\",container=\""]);
                write_escaped(out, &container.name);
            }
            write(out, &["\"} "]);
            amount.write(out);
            self.write_time(out, taken_at);
            if family.subject == Subject::Pod {
                // Once is enough; and where there is no container, there is nothing whose window it would be.
                break;
            }
        }
    }

    /// The time and the end of the line.
    fn write_time(&self, out: &mut Vec<u8>, at: UnixNanos) {
        out.push(b' ');
        match self.format {
            Format::OpenMetrics => write_billionths(out, at.0),
            Format::Classic => write_number(out, at.0 / 1_000_000),
        }
        out.push(b'\n');
    }
}

impl Pieces for Exposition {
    fn write(&mut self, out: &mut Vec<u8>, enough: usize) -> bool {
        while let Some((family, mut walk)) = self.current.take().or_else(|| self.begin(out)) {
            let has_enough = match &mut walk {
                Walk::Nodes(nodes) => self.write_nodes(out, family, nodes, enough),
                Walk::Pods { namespaces, place } => self.write_pods(out, family, namespaces, place, enough),
            };
            if has_enough {
                self.current = Some((family, walk));
                return true;
            }
        }
        if self.format == Format::OpenMetrics {
            out.extend_from_slice(b"# EOF\n");
        }
        false
    }
}

fn write(out: &mut Vec<u8>, texts: &[&str]) {
    texts.iter().for_each(|text| out.extend_from_slice(text.as_bytes()));
}

/// A figure, in the unit in which it is written.
#[derive(Clone, Copy)]
enum Amount {
    Billionths(u64),
    Whole(u64),
}

impl Figure {
    /// None where a filter withholds it.
    fn amount(self, cpu: Option<Nanocores>, memory: Option<Bytes>, window: WindowNanos) -> Option<Amount> {
        match self {
            Self::Cpu => cpu.map(|cpu| Amount::Billionths(cpu.0)),
            Self::Memory => memory.map(|memory| Amount::Whole(memory.0)),
            Self::Window => Some(Amount::Billionths(window.0)),
        }
    }
}

impl Amount {
    fn write(self, out: &mut Vec<u8>) {
        match self {
            Self::Billionths(number) => write_billionths(out, number),
            Self::Whole(number) => write_number(out, number),
        }
    }
}

fn write_number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// A number of billionths as a decimal fraction, to the last digit that is not zero.
fn write_billionths(out: &mut Vec<u8>, billionths: u64) {
    const BILLION: u64 = 1_000_000_000;
    write_number(out, billionths / BILLION);
    let fraction = billionths % BILLION;
    if fraction == 0 {
        return;
    }
    out.push(b'.');
    // The digit in front keeps the zeros behind the point.
    let start = out.len();
    write_number(out, BILLION + fraction);
    out.remove(start);
    out.truncate(out.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1));
}

/// The text of a label's value. Names of containers come from kubelets, so that anything may be in them.
fn write_escaped(out: &mut Vec<u8>, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'"' => out.extend_from_slice(b"\\\""),
            b'\n' => out.extend_from_slice(b"\\n"),
            byte => out.push(byte),
        }
    }
}

#[cfg(test)]
mod tests;
