//! What a plugin is asked and what it answered, in nouns of the model that own what they hold.
//!
//! Case files, built-in cases, captures and scenarios all end in a [`Question`]. The hooks turn it into the words of
//! `sdk/wit/policy.wit`, exactly as they do for the gateway, and their checked answer comes back as an [`Answer`].
//!
//! Absent on purpose: WebAssembly, files.

use std::fmt;

use crate::args::values::GoDuration;
use crate::model::policy::{PodIdentity, Series, SeriesBatch, Subject};
use crate::model::units::{Bytes, Nanocores, UnixNanos};
use crate::model::{Labels, Node, PodRef, Sample, Usage};
pub use crate::plugins::artifact::Hook;

/// The time that case files, scenarios and built-in cases count from: 2027-01-15 08:00:00 UTC.
pub const EPOCH: UnixNanos = UnixNanos(1_800_000_000_000_000_000);

/// The hooks, as commands and case files name them.
pub const HOOKS: [(&str, Hook); 4] = [
    ("address", Hook::Address),
    ("filter", Hook::Filter),
    ("filter-by-value", Hook::FilterByValue),
    ("window", Hook::Window),
];

/// The name of a hook in commands and files.
pub fn name_of(hook: Hook) -> &'static str {
    HOOKS.iter().find(|(_, known)| *known == hook).map_or("", |(name, _)| name)
}

/// One question to one hook.
#[derive(Clone, Debug, PartialEq)]
pub enum Question {
    /// `candidates`
    Address(Box<Node>),
    /// `classify`
    Filter(Vec<Pod>),
    /// `screen`
    FilterByValue(Histories),
    /// `measure`
    Window(Histories),
}

impl Question {
    /// The hook it is put to.
    pub fn hook(&self) -> Hook {
        match self {
            Self::Address(_) => Hook::Address,
            Self::Filter(_) => Hook::Filter,
            Self::FilterByValue(_) => Hook::FilterByValue,
            Self::Window(_) => Hook::Window,
        }
    }

    /// How many verdicts, usages or nodes it asks for.
    pub fn rows(&self) -> usize {
        match self {
            Self::Address(_) => 1,
            Self::Filter(pods) => pods.iter().map(|pod| pod.containers.len()).sum(),
            Self::FilterByValue(histories) | Self::Window(histories) => histories.series.len(),
        }
    }

    /// What row `row` is about, for messages.
    pub fn subject(&self, row: usize) -> String {
        match self {
            Self::Address(node) => node.name.to_string(),
            Self::Filter(pods) => {
                let containers = pods.iter().flat_map(|pod| pod.containers.iter().map(move |name| (pod, name)));
                let named = containers.map(|(pod, name)| format!("{}/{}/{name}", pod.namespace, pod.name)).nth(row);
                named.unwrap_or_else(|| format!("row {row}"))
            }
            Self::FilterByValue(histories) | Self::Window(histories) => {
                histories.series.get(row).map_or_else(|| format!("row {row}"), History::subject)
            }
        }
    }
}

/// A pod, and those of its containers that its node reports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub name: String,
    /// The name of its node.
    pub node: String,
    /// Its labels.
    pub labels: Labels,
    /// Those of its namespace.
    pub namespace_labels: Labels,
    /// Its containers.
    pub containers: Vec<String>,
}

/// Calls `ask` with the pods as the filter hook takes them.
pub fn with_identities<T>(pods: &[Pod], ask: impl FnOnce(&[PodIdentity<'_>]) -> T) -> T {
    let containers: Vec<Vec<&str>> =
        pods.iter().map(|pod| pod.containers.iter().map(String::as_str).collect()).collect();
    let identities: Vec<PodIdentity<'_>> = pods
        .iter()
        .zip(&containers)
        .map(|(pod, containers)| PodIdentity {
            pod: PodRef { namespace: &pod.namespace, name: &pod.name },
            node: &pod.node,
            labels: &pod.labels,
            namespace_labels: Some(&pod.namespace_labels),
            containers,
        })
        .collect();
    ask(&identities)
}

/// Series of one node: its own alone, or those of containers alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histories {
    /// The name of the node.
    pub node: String,
    /// Each with what it is of.
    pub series: Vec<History>,
}

impl Histories {
    /// As the hooks take it.
    pub fn batch(&self) -> SeriesBatch<'_> {
        SeriesBatch { node: &self.node, series: self.series.iter().map(History::series).collect() }
    }
}

/// The samples of one container or node, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// None: the node itself.
    pub container: Option<ContainerName>,
    /// Their times strictly rise.
    pub samples: Vec<Sample>,
}

impl History {
    fn series(&self) -> Series<'_> {
        let subject = match &self.container {
            None => Subject::Node,
            Some(container) => Subject::Container {
                pod: PodRef { namespace: &container.namespace, name: &container.pod },
                name: &container.name,
            },
        };
        Series { subject, samples: &self.samples }
    }

    /// What it is of, for messages.
    pub fn subject(&self) -> String {
        self.container.as_ref().map_or_else(|| "node".to_owned(), ContainerName::to_string)
    }
}

/// A container, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContainerName {
    /// Its pod's namespace.
    pub namespace: String,
    /// Its pod.
    pub pod: String,
    /// Its name in the pod.
    pub name: String,
}

impl fmt::Display for ContainerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.namespace, self.pod, self.name)
    }
}

/// What came back, checked against the contract.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Where the node is asked.
    Address(Choice),
    /// One per row.
    Verdicts(Vec<Code>),
    /// One per row; None: nothing is to be served.
    Usages(Vec<Option<Usage>>),
}

/// What is to be done with a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Try these, best first.
    Dial(Vec<Target>),
    /// Do not ask it, and why.
    Skip(String),
    /// No opinion.
    Pass,
}

/// One place to dial, with what the plugin left to the gateway left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// An address or a host name.
    pub host: String,
    /// The port.
    pub port: Option<u16>,
    /// The path.
    pub path: Option<String>,
    /// The name that the certificate must bear.
    pub server_name: Option<String>,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.host.contains(':'), self.port) {
            (true, Some(port)) => write!(f, "[{}]:{port}", self.host)?,
            (false, Some(port)) => write!(f, "{}:{port}", self.host)?,
            (_, None) => f.write_str(&self.host)?,
        }
        if let Some(path) = &self.path {
            write!(f, ", path {path}")?;
        }
        if let Some(name) = &self.server_name {
            write!(f, ", verified as {name}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dial(places) => {
                let places: Vec<String> = places.iter().map(Target::to_string).collect();
                write!(f, "dial {}", places.join("; then "))
            }
            Self::Skip(reason) => write!(f, "skip {reason:?}"),
            Self::Pass => f.write_str("pass"),
        }
    }
}

/// A verdict on one container, as the contract numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// 0
    Keep,
    /// 1
    Drop,
    /// 2
    Cpu,
    /// 3
    Memory,
    /// 4
    ByValue,
}

impl Code {
    /// Each with its name in case files, in the order of their numbers.
    pub const NAMES: [(&'static str, Self); 5] = [
        ("keep", Self::Keep),
        ("drop", Self::Drop),
        ("cpu", Self::Cpu),
        ("memory", Self::Memory),
        ("by-value", Self::ByValue),
    ];

    /// The verdict with this number.
    pub fn numbered(number: u8) -> Option<Self> {
        Self::NAMES.get(usize::from(number)).map(|(_, code)| *code)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMES.iter().find(|(_, code)| code == self).map_or("", |(name, _)| name);
        f.pad(name)
    }
}

/// A CPU rate as Kubernetes writes it, exact: `250m`, `0.5m`.
pub fn show_cpu(cpu: Nanocores) -> String {
    format!("{}m", decimal(cpu.0, 6))
}

/// Memory in the largest unit in which it is a whole number: `64MiB`, `1000B`.
pub fn show_memory(memory: Bytes) -> String {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let whole = units.into_iter().find(|(_, shift)| memory.0 > 0 && memory.0.trailing_zeros() >= *shift);
    match whole {
        Some((unit, shift)) => format!("{}{unit}", memory.0 >> shift),
        None => format!("{}B", memory.0),
    }
}

/// A length of time: `1m30s`.
pub fn show_duration(nanos: u64) -> String {
    GoDuration::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX)).to_string()
}

/// A time by its distance from [`EPOCH`]: `-15s`.
pub fn show_time(time: UnixNanos) -> String {
    let distance = i128::from(time.0) - i128::from(EPOCH.0);
    GoDuration::from_nanos(i64::try_from(distance).unwrap_or(i64::MAX)).to_string()
}

/// `number / 10^places` without trailing zeros.
fn decimal(number: u64, places: u32) -> String {
    let unit = 10u64.pow(places);
    let fraction = format!("{:0width$}", number % unit, width = places as usize);
    match fraction.trim_end_matches('0') {
        "" => (number / unit).to_string(),
        fraction => format!("{}.{fraction}", number / unit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_exactly_and_short() {
        assert_eq!(show_cpu(Nanocores(250_000_000)), "250m");
        assert_eq!(show_cpu(Nanocores(1_500_001)), "1.500001m");
        assert_eq!(show_cpu(Nanocores(0)), "0m");
        assert_eq!(show_memory(Bytes(64 << 20)), "64MiB");
        assert_eq!(show_memory(Bytes(1000)), "1000B");
        assert_eq!(show_memory(Bytes(0)), "0B");
        assert_eq!(show_time(UnixNanos(EPOCH.0 - 15_000_000_000)), "-15s");
        assert_eq!(show_duration(90_000_000_000), "1m30s");
    }

    #[test]
    fn verdicts_have_the_numbers_of_the_contract() {
        for (number, (name, code)) in (0u8..).zip(Code::NAMES) {
            assert_eq!((Code::numbered(number), code.to_string().as_str()), (Some(code), name));
        }
        assert_eq!(Code::numbered(5), None);
    }

    #[test]
    fn a_place_is_shown_with_what_was_said_of_it_alone() {
        let place = Target { host: "fd00::7".to_owned(), port: Some(10250), ..Target::default() };
        assert_eq!(place.to_string(), "[fd00::7]:10250");
        let named = Target {
            server_name: Some("node-7".to_owned()),
            ..Target { host: "10.0.0.7".to_owned(), ..Target::default() }
        };
        assert_eq!(Choice::Dial(vec![named]).to_string(), "dial 10.0.0.7, verified as node-7");
    }
}
