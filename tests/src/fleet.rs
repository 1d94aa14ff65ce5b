//! Simulated kubelets on loopback: one listener for each node, with load that can be computed by hand.
//!
//! In: a [`FleetSpec`] and the cluster's certificates. Out: nodes with addresses, each of which answers
//! `/metrics/resource` and `/stats/summary` as a real kubelet does, demands credentials, records who asked, and can be
//! given a [`Fault`]. CPU counters are the integral of the load, so [`Fleet::expected_usage`] is what a correct reader
//! of two answers must find.
//!
//! The fleet must never be the bottleneck of what it measures: an answer is rendered once for each node, later requests
//! only write figures over, and connections stay open.
//!
//! Origin of the texts: kubelet 1.20.2, captured; `container_start_time_seconds` as newer kubelets print it.

mod fault;
mod kubelet;
mod layout;
mod load;
mod node;
mod summary;
mod text;
mod verdict;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use metrics_gateway::model::Usage;
use metrics_gateway::model::units::{Bytes as Memory, CpuNanoseconds, Nanocores, UnixNanos, WindowNanos};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::certs::Certs;
use kubelet::{Identities, Kubelet};
use load::Simulation;
use node::NodeSources;

pub use fault::{BROKEN_LINES, Fault};
pub use verdict::Times;

/// What a fleet consists of. Start from the default and name what differs.
#[derive(Clone, Debug)]
pub struct FleetSpec {
    /// How many kubelets.
    pub nodes: usize,
    /// Their names and pods, where they are not to be made up; the fields about pods then mean nothing.
    pub named: Vec<(String, Vec<FleetPod>)>,
    /// On each node.
    pub pods_per_node: usize,
    /// In each pod: `app`, `proxy`, `extra-2`, …
    pub containers_per_pod: usize,
    /// Pods go to these in turn, across the nodes.
    pub namespaces: Vec<String>,
    /// Whether `container_start_time_seconds` is printed, as kubelets do since 1.21.
    pub start_time: bool,
    /// What every container uses.
    pub load: Load,
    /// How often a container is looked at; between two looks the answer repeats itself. Real kubelets: 10 to 15 s.
    pub sample_interval: Duration,
    /// How long every container has run when the fleet starts; each up to half as long again.
    pub age: Duration,
    /// What a request must show.
    pub credentials: Credentials,
    /// With TLS or without.
    pub transport: Transport,
    /// Whether answers are compressed when the request asks for it.
    pub gzip: bool,
}

impl Default for FleetSpec {
    fn default() -> Self {
        Self {
            nodes: 3,
            named: Vec::new(),
            pods_per_node: 4,
            containers_per_pod: 2,
            namespaces: vec!["default".to_owned(), "kube-system".to_owned()],
            start_time: true,
            load: Load::Waves,
            sample_interval: Duration::from_secs(1),
            age: Duration::from_secs(3600),
            credentials: Credentials::AnyToken,
            transport: Transport::Tls,
            gzip: false,
        }
    }
}

impl FleetSpec {
    /// `team-00`, `team-01`, … : as many as asked for.
    pub fn numbered_namespaces(count: usize) -> Vec<String> {
        (0..count).map(|index| format!("team-{index:02}")).collect()
    }
}

/// What containers use over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// The same for all, for ever.
    Steady {
        /// Thousandths of a core.
        millicores: u64,
        /// Working set in bytes.
        memory: u64,
    },
    /// Sines and spikes, different for each container, the same for the same name.
    Waves,
    /// As `Waves`, but pods of one name do the same in every namespace, and are looked at in the same moments: what
    /// differs between them is somebody's policy.
    Twins,
}

/// What a request must show. A client certificate of the cluster's CA always does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// Any bearer token.
    AnyToken,
    /// This bearer token.
    Token(String),
    /// Nothing.
    None,
}

/// How kubelets are spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// HTTPS with certificates of the cluster's CA, for the node's name and the loopback address.
    Tls,
    /// HTTP.
    Plain,
}

/// One node of the fleet.
#[derive(Clone, Debug)]
pub struct FleetNode {
    /// The Node object's name: `node-0000`, …
    pub name: String,
    /// Where its kubelet listens.
    pub address: SocketAddr,
    /// What runs on it.
    pub pods: Vec<FleetPod>,
}

/// One pod of the fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetPod {
    /// Its namespace.
    pub namespace: String,
    /// Its name, with suffixes as a Deployment's pods have.
    pub name: String,
    /// `app` and `pod-template-hash`.
    pub labels: BTreeMap<String, String>,
    /// The names of its containers.
    pub containers: Vec<String>,
}

/// A request that a kubelet received.
#[derive(Clone, Debug)]
pub struct RecordedRequest {
    /// Its method.
    pub method: Method,
    /// Its path and query.
    pub path: String,
    /// Its headers, credentials included.
    pub headers: HeaderMap,
    /// Whether its connection showed a certificate of the cluster's CA.
    pub client_certificate: bool,
}

/// Running kubelets. They stop when it is dropped.
pub struct Fleet {
    nodes: Arc<[FleetNode]>,
    simulation: Simulation,
    kubelets: Vec<Arc<Kubelet>>,
    tasks: JoinSet<()>,
}

impl Fleet {
    /// Starts all kubelets; when it returns, they listen.
    ///
    /// # Panics
    /// Where the spec makes no sense or the system has no ports or descriptors left: nothing can be tested then.
    pub async fn start(spec: FleetSpec, certs: &Certs) -> Self {
        raise_descriptor_limit();
        let mut listeners = Vec::with_capacity(spec.nodes);
        for _ in 0..spec.nodes {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
            listeners.push(listener.expect("loopback has a free port, and the process a free descriptor"));
        }
        let addresses = listeners.iter().map(|l| l.local_addr().expect("a bound socket has an address")).collect();
        let mut fleet = Self::elsewhere(&spec, addresses);
        let identities = Identities::new(certs);
        for (index, listener) in listeners.into_iter().enumerate() {
            let sources = NodeSources::new(&fleet.simulation, &fleet.nodes[index]);
            let kubelet = Arc::new(Kubelet::new(&spec, fleet.nodes.clone(), index, sources, &identities));
            kubelet.listen(listener);
            fleet.tasks.spawn(kubelet.clone().serve());
            fleet.kubelets.push(kubelet);
        }
        fleet
    }

    /// The same nodes and pods, whose kubelets run in another process. Only [`Fleet::nodes`] has a meaning here.
    ///
    /// # Panics
    /// Where the spec makes no sense.
    pub fn elsewhere(spec: &FleetSpec, addresses: Vec<SocketAddr>) -> Self {
        let began_at = UnixNanos(now().0 / 1_000_000 * 1_000_000);
        let simulation = Simulation { load: spec.load, began_at, age: spec.age, interval: spec.sample_interval };
        let nodes = layout::nodes(spec, &addresses).into();
        Self { nodes, simulation, kubelets: Vec::new(), tasks: JoinSet::new() }
    }

    /// All nodes, with where they are and what runs on them.
    pub fn nodes(&self) -> &[FleetNode] {
        &self.nodes
    }

    /// Gives the node at index `node` a fault, or heals it. New requests meet it at once; connections end where they
    /// would hide it.
    pub fn set_fault(&self, node: usize, fault: Option<Fault>) {
        self.kubelets[node].set_fault(fault);
    }

    /// The last requests to the node at index `node`, oldest first: at most 64.
    pub fn requests(&self, node: usize) -> Vec<RecordedRequest> {
        self.kubelets[node].requests().1
    }

    /// How many requests the node at index `node` has received.
    pub fn request_count(&self, node: usize) -> u64 {
        self.kubelets[node].requests().0
    }

    /// What the node at index `node` answers to `/metrics/resource` at `at`.
    pub fn metrics_text(&self, node: usize, at: UnixNanos) -> Bytes {
        self.kubelets[node].metrics(at)
    }

    /// What must be served of a container whose samples were taken at `from` and `to`.
    pub fn expected_usage(&self, pod: &FleetPod, container: &str, from: UnixNanos, to: UnixNanos) -> Usage {
        let source = self.simulation.container(pod, container);
        usage(from, to, source.cpu(from), source.cpu(to), source.memory(to))
    }

    /// What must be served of the node at index `node`, whose samples were taken at `from` and `to`.
    pub fn expected_node_usage(&self, node: usize, from: UnixNanos, to: UnixNanos) -> Usage {
        let sources = NodeSources::new(&self.simulation, &self.nodes[node]);
        let ((before, _), (after, memory)) = (sources.at(from), sources.at(to));
        usage(from, to, before, after, memory)
    }
}

fn usage(from: UnixNanos, to: UnixNanos, before: CpuNanoseconds, after: CpuNanoseconds, memory: Memory) -> Usage {
    let window = to.0 - from.0;
    let rate = u128::from(after.0 - before.0) * 1_000_000_000 / u128::from(window);
    let cpu = Nanocores(u64::try_from(rate).expect("nobody simulates that many cores"));
    Usage { taken_at: to, window: WindowNanos(window), cpu, memory }
}

/// The wall clock, from which samples take their times.
#[expect(clippy::disallowed_methods, reason = "a kubelet reads the clock; what is tested must not, but this is not it")]
fn now() -> UnixNanos {
    UnixNanos::from_system(std::time::SystemTime::now())
}

/// A fleet needs two descriptors for each node and is otherwise stopped at the usual 1,024.
pub fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // Where it is refused, small fleets still work, and a large one says so itself.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}
