//! The nouns that every other module speaks: nodes and labels from the API server, samples from the kubelets,
//! usage for the clients.
//!
//! Nothing here does I/O, and nothing here knows Kubernetes' or any wire format's types: what comes in is already
//! checked, what goes out is rendered elsewhere. Units sit in the types ([`units`]); the rules that turn samples into
//! usage are policies ([`policy`]); label and field selectors are [`selector`]s.

pub mod policy;
pub mod selector;
pub mod units;

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::num::NonZero;
use std::sync::Arc;

use units::{Bytes, CpuNanoseconds, Nanocores, UnixNanos, WindowNanos};

/// The name of a Node object, shared by everything that speaks of the node.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName(Arc<str>);

impl NodeName {
    /// Takes the name as the API server gave it; the API server has checked its form.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for NodeName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

/// A pod by namespace and name, borrowed from wherever it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodRef<'a> {
    /// The pod's namespace.
    pub namespace: &'a str,
    /// The pod's name in its namespace.
    pub name: &'a str,
}

impl fmt::Display for PodRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The labels of one object, sorted by key. Pods of one controller share one set.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Labels(Box<[(Box<str>, Box<str>)]>);

impl Labels {
    /// The value of `key`, if the object bears that label.
    pub fn get(&self, key: &str) -> Option<&str> {
        let index = self.0.binary_search_by(|(k, _)| k.as_ref().cmp(key)).ok()?;
        Some(&self.0[index].1)
    }

    /// All labels, in the order of their keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (&**key, &**value))
    }

    /// Whether the object bears no label at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K: Into<Box<str>>, V: Into<Box<str>>> FromIterator<(K, V)> for Labels {
    /// Of two values for one key the later one stays.
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let sorted: std::collections::BTreeMap<Box<str>, Box<str>> =
            pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        Self(sorted.into_iter().collect())
    }
}

/// What the gateway keeps of a Node object: what it takes to reach its kubelet, and to answer for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// `metadata.name`.
    pub name: NodeName,
    /// `metadata.labels`.
    pub labels: Arc<Labels>,
    /// `metadata.annotations`; those of more than 4 KiB are left out.
    pub annotations: Labels,
    /// `spec.providerID`, where it is not empty.
    pub provider_id: Option<Box<str>>,
    /// The annotation `metrics.k8s.io/resource-metrics-path`, where it is set and not empty.
    pub resource_metrics_path: Option<Box<str>>,
    /// `status.addresses`, in the order of the object.
    pub addresses: Box<[NodeAddress]>,
    /// `status.daemonEndpoints.kubeletEndpoint.Port`, where it is not zero.
    pub kubelet_port: Option<u16>,
    /// Whether the condition `Ready` is `True`. Nodes that are not ready are scraped all the same.
    pub ready: bool,
}

/// What is known of pods and namespaces beside samples.
pub trait Identities: Send + Sync {
    /// The labels of a pod; None: no such pod is known (yet), or it does not run.
    fn pod_labels(&self, pod: PodRef<'_>) -> Option<Arc<Labels>>;

    /// The labels of a namespace; None: it is not known, or namespaces are not watched.
    fn namespace_labels(&self, namespace: &str) -> Option<Arc<Labels>>;
}

/// One entry of a node's `status.addresses`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeAddress {
    /// `InternalIP`, `Hostname`, … ; not a closed set.
    pub kind: Box<str>,
    /// An IPv4 or IPv6 address without brackets, or a host name; not checked by the API server.
    pub address: Box<str>,
}

/// One reading of one container or node, as its kubelet reported it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// When the CPU counter was read.
    pub taken_at: UnixNanos,
    /// When the container started; [`UnixNanos::ZERO`] where the kubelet does not say (nodes; kubelets before 1.21).
    pub started_at: UnixNanos,
    /// Core time used since the start. Falls only when the container restarts (or its runtime errs).
    pub cpu: CpuNanoseconds,
    /// Working set at about `taken_at`.
    pub memory: Bytes,
}

/// The samples of one node's answer. Borrows the names from the bytes of the answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch<'a> {
    /// The node's own sample; none where the answer held no complete one.
    pub node: Option<Sample>,
    /// Containers, those of one pod side by side.
    containers: Vec<ContainerSample<'a>>,
    /// What was left out, and why.
    pub left_out: LeftOut,
    /// The first of the pods that were left out for being incomplete, and what they lack.
    pub incomplete: Vec<Incomplete<'a>>,
}

impl<'a> Batch<'a> {
    /// Brings the containers of each pod together; within a pod they stay in the order in which they came.
    pub fn new(node: Option<Sample>, mut containers: Vec<ContainerSample<'a>>, left_out: LeftOut) -> Self {
        containers.sort_by(|a, b| a.pod().cmp(&b.pod()));
        Self { node, containers, left_out, incomplete: Vec::new() }
    }

    /// The containers of one pod after another; no slice is empty.
    pub fn pods(&self) -> impl Iterator<Item = &[ContainerSample<'a>]> {
        self.containers.chunk_by(|a, b| a.pod() == b.pod())
    }
}

/// The sample of one container, and whose it is.
#[derive(Clone, Debug, PartialEq)]
pub struct ContainerSample<'a> {
    /// The namespace of the pod.
    pub namespace: Cow<'a, str>,
    /// The name of the pod.
    pub pod: Cow<'a, str>,
    /// The name of the container in its pod.
    pub container: Cow<'a, str>,
    /// What was read.
    pub sample: Sample,
}

impl ContainerSample<'_> {
    /// Which pod the container is of.
    pub fn pod(&self) -> PodRef<'_> {
        PodRef { namespace: &self.namespace, name: &self.pod }
    }
}

/// A container without which its pod cannot be served: it reports no CPU or no memory, or zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incomplete<'a> {
    /// The namespace of the pod.
    pub namespace: Cow<'a, str>,
    /// The name of the pod.
    pub pod: Cow<'a, str>,
    /// The name of the container.
    pub container: Cow<'a, str>,
    /// Whether CPU is missing.
    pub lacks_cpu: bool,
    /// Whether memory is missing.
    pub lacks_memory: bool,
}

impl Incomplete<'_> {
    /// As many as are told of one answer: what is left out of a healthy one are a few pods that have just started.
    pub const MOST: usize = 256;

    /// The same with names of its own.
    pub fn into_owned(self) -> Incomplete<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        let Self { lacks_cpu, lacks_memory, .. } = self;
        let (namespace, pod, container) = (owned(self.namespace), owned(self.pod), owned(self.container));
        Incomplete { namespace, pod, container, lacks_cpu, lacks_memory }
    }
}

/// Counts of what an answer held but could not be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Lines (of text) or records (of JSON) that could not be read.
    pub bad_lines: u32,
    /// Pods of which at least one container lacked CPU or memory, or reported zero.
    pub incomplete_pods: u32,
}

/// What we serve of a node or a container: the mean CPU rate over a window, and the memory at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The end of the window: when the newest sample was taken.
    pub taken_at: UnixNanos,
    /// The time that the rate covers; above zero.
    pub window: WindowNanos,
    /// Mean CPU rate over the window.
    pub cpu: Nanocores,
    /// Working set at the end of the window.
    pub memory: Bytes,
}

/// What we serve of a pod: the usage of each of its containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodUsage {
    /// The earliest `taken_at` among the containers; zero where `containers` is empty.
    pub taken_at: UnixNanos,
    /// The window of the container with the earliest `taken_at`; zero where `containers` is empty.
    pub window: WindowNanos,
    /// Per container: name, CPU rate, memory. Empty only where the configuration asks for upstream's way with
    /// falling counters.
    pub containers: Box<[ContainerUsage]>,
}

/// What we serve of one container: its CPU rate, its memory, or both.
#[derive(Clone, PartialEq, Eq)]
pub struct ContainerUsage {
    /// The container's name in its pod.
    pub name: Arc<str>,
    cpu: Figure,
    memory: Figure,
}

impl ContainerUsage {
    /// What is None is withheld by a filter.
    pub fn new(name: Arc<str>, cpu: Option<Nanocores>, memory: Option<Bytes>) -> Self {
        Self { name, cpu: Figure::new(cpu.map(|cpu| cpu.0)), memory: Figure::new(memory.map(|memory| memory.0)) }
    }

    /// Mean CPU rate over the window; None: a filter withholds it.
    pub fn cpu(&self) -> Option<Nanocores> {
        self.cpu.get().map(Nanocores)
    }

    /// Working set at the end of the window; None: a filter withholds it.
    pub fn memory(&self) -> Option<Bytes> {
        self.memory.get().map(Bytes)
    }
}

impl fmt::Debug for ContainerUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {:?}, {:?}", self.name, self.cpu(), self.memory())
    }
}

/// A number or its absence in eight bytes, since there is one of these for each figure of each container of a cluster.
/// It holds the complement, so that the one number it cannot tell from its neighbour is the largest: 18 exabytes.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Figure(Option<NonZero<u64>>);

impl Figure {
    fn new(number: Option<u64>) -> Self {
        Self(number.map(|number| NonZero::new(!number).unwrap_or(NonZero::<u64>::MIN)))
    }

    fn get(self) -> Option<u64> {
        self.0.map(|complement| !complement.get())
    }
}

#[cfg(test)]
mod tests;
