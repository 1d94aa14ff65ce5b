//! Pods, nodes and histories for a plugin's native tests.
//!
//! ```
//! use metrics_gateway_sdk::testing::{History, batch, node, pod};
//! use metrics_gateway_sdk::{Duration, Nanocores};
//!
//! let cart = pod("shop", "cart-1").label("app", "cart").containers(["app", "istio-proxy"]).build();
//! assert_eq!(cart.labels.get("app"), Some("cart"));
//!
//! let history = History::every(Duration::from_secs(15)).cpu_rates([250, 250, 500].map(Nanocores::from_millicores));
//! let rates: Vec<_> = history.series().rates().collect();
//! assert_eq!(rates, [250, 250, 500].map(Nanocores::from_millicores));
//! ```

use crate::address::{Node, NodeAddress};
use crate::filter::Pod;
use crate::guest::types;
use crate::log::Level;
use crate::{Batch, Bytes, Duration, Labels, Nanocores, Sample, Series, Time};

/// When histories begin: 2027-01-15 08:00 UTC, as the times of `cases.toml` are counted from.
pub const EPOCH: Time = Time::from_secs(1_800_000_000);

#[cfg(feature = "proptest")]
pub mod hostile;

/// A pod with one container, `app`, on the node `node-1`.
pub fn pod(namespace: &str, name: &str) -> PodBuilder {
    let containers = vec!["app".to_owned()];
    let (namespace, name) = (namespace.to_owned(), name.to_owned());
    PodBuilder(Pod { namespace, name, node: "node-1".to_owned(), containers, ..Pod::default() })
}

/// A [`Pod`] in the making.
#[derive(Clone, Debug)]
pub struct PodBuilder(Pod);

impl PodBuilder {
    /// On another node.
    #[must_use]
    pub fn node(mut self, node: &str) -> Self {
        node.clone_into(&mut self.0.node);
        self
    }

    /// With a label.
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.0.labels.set(key, value);
        self
    }

    /// With a label on its namespace.
    #[must_use]
    pub fn namespace_label(mut self, key: &str, value: &str) -> Self {
        self.0.namespace_labels.set(key, value);
        self
    }

    /// With other containers; they are sorted, as the gateway's are.
    #[must_use]
    pub fn containers<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.0.containers = names.into_iter().map(str::to_owned).collect();
        self.0.containers.sort();
        self
    }

    /// The pod.
    pub fn build(self) -> Pod {
        self.0
    }
}

/// A node that is ready, without addresses.
pub fn node(name: &str) -> NodeBuilder {
    NodeBuilder(Node { name: name.to_owned(), ready: true, ..Node::default() })
}

/// A [`Node`] in the making.
#[derive(Clone, Debug)]
pub struct NodeBuilder(Node);

impl NodeBuilder {
    /// With a label.
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.0.labels.set(key, value);
        self
    }

    /// With an annotation.
    #[must_use]
    pub fn annotation(mut self, key: &str, value: &str) -> Self {
        self.0.annotations.set(key, value);
        self
    }

    /// With one more address.
    #[must_use]
    pub fn address(mut self, kind: &str, address: &str) -> Self {
        self.0.addresses.push(NodeAddress { kind: kind.to_owned(), address: address.to_owned() });
        self
    }

    /// With a port that its kubelet reports.
    #[must_use]
    pub fn kubelet_port(mut self, port: u16) -> Self {
        self.0.kubelet_port = Some(port);
        self
    }

    /// With a provider's identity.
    #[must_use]
    pub fn provider_id(mut self, id: &str) -> Self {
        self.0.provider_id = Some(id.to_owned());
        self
    }

    /// Not ready.
    #[must_use]
    pub fn not_ready(mut self) -> Self {
        self.0.ready = false;
        self
    }

    /// The node.
    pub fn build(self) -> Node {
        self.0
    }
}

/// Labels by key and value.
pub fn labels<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> Labels {
    let mut all = Labels::default();
    for (key, value) in labels {
        all.set(key, value);
    }
    all
}

/// The samples of one container, one after another: the first at [`EPOCH`], of a container that started a minute before.
#[derive(Clone, Debug)]
pub struct History {
    every: Duration,
    memory: Bytes,
    samples: Vec<Sample>,
    batch: Batch,
}

impl History {
    /// One sample, at [`EPOCH`]; further ones follow at this distance.
    pub fn every(every: Duration) -> Self {
        let started_at = EPOCH.minus(Duration::from_secs(60));
        let first = Sample { taken_at: EPOCH, started_at, cpu: Duration::from_secs(10), memory: Bytes::from_mib(64) };
        Self::of([first]).spaced(every)
    }

    /// These samples.
    pub fn of(samples: impl IntoIterator<Item = Sample>) -> Self {
        let samples: Vec<Sample> = samples.into_iter().collect();
        let memory = samples.last().map_or(Bytes::from_mib(64), |sample| sample.memory);
        Self { every: Duration::from_secs(15), memory, batch: columns("node-1", None, [samples.as_slice()]), samples }
    }

    /// Further samples at another distance.
    #[must_use]
    pub fn spaced(mut self, every: Duration) -> Self {
        self.every = every;
        self
    }

    /// One more sample for each rate, which is that since the sample before.
    #[must_use]
    pub fn cpu_rates(mut self, rates: impl IntoIterator<Item = Nanocores>) -> Self {
        for rate in rates {
            let used = (self.every.as_secs_f64() * rate.get() as f64) as u64;
            let every = self.every;
            self = self.then(every, |sample| sample.cpu = sample.cpu.plus(Duration::from_nanos(used)));
        }
        self
    }

    /// The samples that follow have another working set.
    #[must_use]
    pub fn memory(mut self, memory: Bytes) -> Self {
        self.memory = memory;
        self
    }

    /// One more sample, `span` after the last, without use since.
    #[must_use]
    pub fn gap(self, span: Duration) -> Self {
        self.then(span, |_| ())
    }

    /// One more sample, of a container that restarted just after the last: it has used nothing.
    #[must_use]
    pub fn restart(self) -> Self {
        let every = self.every;
        self.then(every, |sample| {
            sample.started_at = sample.taken_at.minus(Duration::from_nanos(every.as_nanos() / 2));
            sample.cpu = Duration::ZERO;
        })
    }

    /// One more sample, whose counter fell without a restart.
    #[must_use]
    pub fn counter_falls(self) -> Self {
        let every = self.every;
        self.then(every, |sample| sample.cpu = Duration::from_nanos(sample.cpu.as_nanos() / 2))
    }

    /// All of it as a series, of the node.
    pub fn series(&self) -> Series<'_> {
        self.batch.series().next().expect("a history is one series")
    }

    /// Its samples.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    fn then(self, span: Duration, change: impl FnOnce(&mut Sample)) -> Self {
        let mut next = self.samples.last().copied().unwrap_or_default();
        next.taken_at = next.taken_at.plus(span);
        next.memory = self.memory;
        change(&mut next);
        let (every, memory) = (self.every, self.memory);
        let samples = self.samples.into_iter().chain([next]);
        Self { every, memory, ..Self::of(samples) }
    }
}

/// A batch of containers, each named `namespace/pod/container`.
///
/// # Panics
/// A name has another form.
pub fn batch<'a>(node: &str, histories: impl IntoIterator<Item = (&'a str, History)>) -> Batch {
    let (names, histories): (Vec<_>, Vec<_>) = histories.into_iter().unzip();
    columns(node, Some(names), histories.iter().map(History::samples))
}

/// Columns of series; without names they are the node's.
fn columns<'a>(node: &str, subjects: Option<Vec<&str>>, series: impl IntoIterator<Item = &'a [Sample]>) -> Batch {
    let mut batch = types::Batch {
        node: node.to_owned(),
        subjects: subjects.map_or(types::Subjects::TheNode, |names| types::Subjects::Containers(containers(&names))),
        ends: Vec::new(),
        taken_at: Vec::new(),
        started_at: Vec::new(),
        cpu_ns: Vec::new(),
        memory_bytes: Vec::new(),
    };
    for samples in series {
        batch.taken_at.extend(samples.iter().map(|sample| sample.taken_at.as_nanos()));
        batch.started_at.extend(samples.iter().map(|sample| sample.started_at.as_nanos()));
        batch.cpu_ns.extend(samples.iter().map(|sample| sample.cpu.as_nanos()));
        batch.memory_bytes.extend(samples.iter().map(|sample| sample.memory.get()));
        batch.ends.push(u32::try_from(batch.taken_at.len()).expect("a test has few samples"));
    }
    batch.into()
}

fn containers(subjects: &[&str]) -> types::Containers {
    let mut names: Vec<&str> = Vec::new();
    let mut index_of = |name| {
        let place = names.iter().position(|known| *known == name).unwrap_or_else(|| {
            names.push(name);
            names.len() - 1
        });
        u32::try_from(place).expect("a test has few names")
    };
    let mut columns: [Vec<u32>; 3] = Default::default();
    for subject in subjects {
        let parts: Vec<&str> = subject.split('/').collect();
        let [namespace, pod, container] = parts[..] else { panic!("\"{subject}\" is not namespace/pod/container") };
        for (column, name) in columns.iter_mut().zip([namespace, pod, container]) {
            column.push(index_of(name));
        }
    }
    let ends = names.iter().scan(0, |end, name| {
        *end += u32::try_from(name.len()).expect("names are short");
        Some(*end)
    });
    let ends = ends.collect();
    let [namespace, pod, container] = columns;
    types::Containers { names: types::Strings { text: names.concat(), ends }, namespace, pod, container }
}

/// The lines that this thread has logged since it was last asked; of many the last 1,000. Empty in a sandbox.
pub fn logged() -> Vec<(Level, String)> {
    #[cfg(target_arch = "wasm32")]
    return Vec::new();
    #[cfg(not(target_arch = "wasm32"))]
    LOGGED.with_borrow_mut(std::mem::take).into()
}

#[cfg(not(target_arch = "wasm32"))]
thread_local! {
    static LOGGED: std::cell::RefCell<std::collections::VecDeque<(Level, String)>> = const { std::cell::RefCell::new(std::collections::VecDeque::new()) };
}

#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn log(level: Level, message: &str) {
    eprintln!("{level:?}: {message}");
    LOGGED.with_borrow_mut(|lines| {
        if lines.len() == 1_000 {
            lines.pop_front();
        }
        lines.push_back((level, message.to_owned()));
    });
}
