//! Nodes on the loopback, asked every 40 ms, and policies that are plain functions.

use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};

use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;

use super::*;
use crate::clock::Clock;
use crate::config::{
    ContainerOrder, FallingCounter, HistoryConfig, KubeletTls, PodOnTwoNodes, ScrapeConfig, TimestampOf,
};
use crate::discovery::Cluster;
use crate::model::policy::{AddressPolicy, NoUsage, PreferredAddresses, SeriesBatch, WindowPolicy};
use crate::model::selector::LabelSelector;
use crate::model::units::{Nanocores, WindowNanos};
use crate::model::{Labels, NodeAddress, NodeName, Usage};
use crate::scrape::kubelet::{ClientOptions, Credentials, KubeletClient};
use crate::store::Rules;
use crate::telemetry::Metrics;
use crate::tenants::NodePool;

const RESOLUTION: Duration = Duration::from_millis(40);
/// Long past any time that a test should take.
const LIMIT: Duration = Duration::from_secs(30);

/// A kubelet whose node uses a tenth of a core. It says what is asked for, and may cease to answer.
#[derive(Default)]
struct Kubelet {
    requests: AtomicUsize,
    paths: parking_lot::Mutex<Vec<String>>,
    hangs: AtomicBool,
}

impl Kubelet {
    /// Answers until it is dropped.
    async fn start(tasks: &mut JoinSet<()>) -> (Arc<Self>, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let kubelet = Arc::new(Self::default());
        let serving = Arc::clone(&kubelet);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (connection, _) = listener.accept().await.unwrap();
                let kubelet = Arc::clone(&serving);
                let service = service_fn(move |request| Arc::clone(&kubelet).answer(request));
                connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(connection), service));
            }
        });
        (kubelet, port)
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let number = self.requests.fetch_add(1, Ordering::SeqCst) as u64;
        self.paths.lock().push(request.uri().path().to_owned());
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        let (seconds, millis) = (1 + number, 1_795_212_480_000 + number * 10_000);
        Ok(Response::new(Full::from(format!(
            "node_cpu_usage_seconds_total {seconds} {millis}\nnode_memory_working_set_bytes 4096 {millis}\n"
        ))))
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

/// A tick over one node, `n`.
struct World {
    tick: Arc<Tick>,
    offer: watch::Sender<Arc<Tenants>>,
    stop: CancellationToken,
    /// The double's; they end with the test.
    _kubelets: JoinSet<()>,
}

fn preferred(port: u16) -> PreferredAddresses {
    PreferredAddresses { kinds: vec!["InternalIP".to_owned()], use_node_status_port: false, port, try_all: true }
}

fn node() -> Node {
    Node {
        name: NodeName::new("n"),
        labels: Arc::default(),
        annotations: Labels::default(),
        provider_id: None,
        resource_metrics_path: None,
        addresses: [NodeAddress { kind: "InternalIP".into(), address: "127.0.0.1".into() }].into(),
        kubelet_port: None,
        ready: true,
    }
}

fn metrics_text(tick: &Tick) -> String {
    String::from_utf8(tick.parts.metrics.render()).unwrap()
}

/// With upstream's rules at first.
fn world(port: u16, kubelets: JoinSet<()>) -> World {
    let (offer, tenants) = watch::channel(Arc::new(Tenants::upstream(preferred(port))));
    let options = ClientOptions {
        timeout: LIMIT,
        max_body: 1 << 20,
        gzip: false,
        user_agent: http::HeaderValue::from_static("test"),
    };
    let history = HistoryConfig {
        hold: Duration::from_secs(3600),
        falling_counter: FallingCounter::OmitPod,
        pod_on_two_nodes: PodOnTwoNodes::NewestStart,
        timestamp: TimestampOf::Cpu,
    };
    let rules = Rules { history, container_order: ContainerOrder::ByName, resolution: RESOLUTION };
    let cluster = Arc::new(Cluster::new());
    cluster.put_node(node());
    let begun = Instant::now();
    let parts = Parts {
        cluster,
        client: Arc::new(KubeletClient::try_new(options, Credentials::Plain).unwrap()),
        tenants,
        store: Arc::new(Store::new(rules)),
        metrics: Arc::new(Metrics::new(RESOLUTION)),
        clock: Clock::new(move || UnixNanos(1_795_212_480_000_000_000 + nanos(begun.elapsed()))),
        tasks: TaskTracker::new(),
    };
    let config = ScrapeConfig {
        resolution: RESOLUTION,
        timeout: LIMIT,
        nodes: LabelSelector::parse("").unwrap(),
        addresses: preferred(port),
        tls: KubeletTls::Plain,
        concurrency: NonZeroUsize::new(8).unwrap(),
        max_body: 1 << 20,
        gzip: false,
    };
    let tick = Arc::new(Tick::new(parts, config, TimestampOf::Cpu));
    let stop = CancellationToken::new();
    tick.parts.tasks.spawn(Arc::clone(&tick).run(stop.clone()));
    World { tick, offer, stop, _kubelets: kubelets }
}

impl World {
    /// Offers the next generation, with one pool of all nodes.
    fn offer(&self, address: Option<Arc<dyn AddressPolicy>>, window: Option<Arc<dyn WindowPolicy>>) {
        let selector = LabelSelector::parse("").unwrap();
        let node_pools = vec![NodePool { name: "all".into(), selector, address, window }];
        self.offer.send_modify(|tenants| {
            let next = Tenants::upstream((*tenants.addresses).clone());
            *tenants = Arc::new(Tenants { generation: tenants.generation + 1, node_pools, ..next });
        });
    }

    fn millicores(&self) -> Option<u64> {
        Some(self.tick.parts.store.node("n")?.cpu.0 / 1_000_000)
    }

    async fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let begun = Instant::now();
        while !is_so() {
            assert!(
                begun.elapsed() < LIMIT,
                "{what}: {:?} millicores\n{}",
                self.millicores(),
                metrics_text(&self.tick)
            );
            tokio::task::yield_now().await;
        }
    }

    async fn end(self) {
        self.stop.cancel();
        self.tick.parts.tasks.close();
        tokio::time::timeout(LIMIT, self.tick.parts.tasks.wait()).await.expect("every task ends when told to");
    }
}

/// An address policy that counts its calls.
struct Addresses<F> {
    calls: AtomicU64,
    decide: F,
}

impl<F: Fn(&Node) -> Result<Vec<Candidate>, NoAddress> + Send + Sync> Addresses<F> {
    fn new(decide: F) -> Arc<Self> {
        Arc::new(Self { calls: AtomicU64::new(0), decide })
    }

    fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }
}

impl<F: Fn(&Node) -> Result<Vec<Candidate>, NoAddress> + Send + Sync> AddressPolicy for Addresses<F> {
    fn candidates(&self, node: &Node) -> Result<Vec<Candidate>, NoAddress> {
        assert!(is_worker(), "guests do not run on the reactor");
        self.calls.fetch_add(1, Ordering::SeqCst);
        (self.decide)(node)
    }
}

/// Whether this thread may be blocked. The tests' reactors run on the threads of the tests, which have their names.
fn is_worker() -> bool {
    !std::thread::current().name().unwrap_or_default().contains("tests::")
}

fn skip(_: &Node) -> Result<Vec<Candidate>, NoAddress> {
    Err(NoAddress::Skipped { policy: "skip-virtual".into(), reason: "it is virtual".into() })
}

/// Says that the node uses seven millicores.
struct Seven;

impl WindowPolicy for Seven {
    fn history(&self) -> Duration {
        Duration::ZERO
    }

    fn measure(&self, batch: &SeriesBatch<'_>) -> Vec<Result<Usage, NoUsage>> {
        assert!(is_worker(), "guests do not run on the reactor");
        let usage = |sample: &crate::model::Sample| Usage {
            taken_at: sample.taken_at,
            window: WindowNanos(1),
            cpu: Nanocores(7_000_000),
            memory: sample.memory,
        };
        batch.series.iter().map(|series| series.samples.last().map(usage).ok_or(NoUsage::TooFew)).collect()
    }
}

#[tokio::test]
async fn a_node_that_is_skipped_is_not_asked_not_failing_and_not_served_until_it_is_asked_again() {
    let mut kubelets = JoinSet::new();
    let (kubelet, port) = Kubelet::start(&mut kubelets).await;
    let world = world(port, kubelets);
    world.until("served", || world.millicores() == Some(100)).await;
    world.offer(Some(Addresses::new(skip)), None);
    world.until("withdrawn", || world.millicores().is_none()).await;
    let asked = kubelet.requests();
    assert!(metrics_text(&world.tick).contains("metrics_gateway_nodes_skipped 1"));
    // A change of the object is considered, and changes nothing.
    let still = Addresses::new(skip);
    world.offer(Some(Arc::clone(&still) as _), None);
    world.until("asked about it", || still.calls() == 1).await;
    world.tick.parts.cluster.put_node(Node { ready: false, ..node() });
    world.until("asked about the change", || still.calls() == 2).await;
    assert_eq!((kubelet.requests(), world.millicores()), (asked, None));
    assert!(!metrics_text(&world.tick).contains("metrics_gateway_node_failing{"));
    world.offer(None, None);
    world.until("served again", || world.millicores() == Some(100)).await;
    assert!(metrics_text(&world.tick).contains("metrics_gateway_nodes_skipped 0"));
    world.end().await;
}

#[tokio::test]
async fn a_new_generation_decides_anew_where_a_node_is_asked_and_what_did_not_change_is_not_decided_again() {
    let mut kubelets = JoinSet::new();
    let (first, first_port) = Kubelet::start(&mut kubelets).await;
    let (second, second_port) = Kubelet::start(&mut kubelets).await;
    let world = world(first_port, kubelets);
    world.until("asked", || first.requests() > 1).await;
    let elsewhere = Addresses::new(move |_: &Node| {
        let (host, path) = ("127.0.0.1".into(), Some("/of the policy".into()));
        Ok(vec![Candidate { host, port: second_port, path, server_name: None }])
    });
    world.offer(Some(Arc::clone(&elsewhere) as _), None);
    world.until("asked elsewhere", || second.requests() > 2).await;
    // The watch tells of the node again, as it was.
    world.tick.parts.cluster.put_node(node());
    let before = second.requests();
    world.until("asked further", || second.requests() > before + 2).await;
    assert_eq!(elsewhere.calls(), 1);
    assert!(second.paths.lock().iter().all(|path| path == "/of%20the%20policy"), "{:?}", second.paths);
    world.end().await;
}

#[tokio::test]
async fn a_new_generation_is_served_at_once_though_the_kubelet_hangs() {
    let mut kubelets = JoinSet::new();
    let (kubelet, port) = Kubelet::start(&mut kubelets).await;
    let world = world(port, kubelets);
    world.until("served", || world.millicores() == Some(100)).await;
    kubelet.hangs.store(true, Ordering::SeqCst);
    let asked = kubelet.requests();
    world.until("hanging", || kubelet.requests() > asked).await;
    world.offer(None, Some(Arc::new(Seven)));
    world.until("measured by the policy", || world.millicores() == Some(7)).await;
    world.offer(None, None);
    world.until("measured by upstream's rule", || world.millicores() == Some(100)).await;
    assert_eq!(kubelet.requests(), asked + 1, "without another answer");
    world.end().await;
}

#[tokio::test]
async fn samples_are_judged_on_threads_that_may_be_blocked() {
    let mut kubelets = JoinSet::new();
    let (kubelet, port) = Kubelet::start(&mut kubelets).await;
    let world = world(port, kubelets);
    world.offer(None, Some(Arc::new(Seven)));
    world.until("measured by the policy", || world.millicores() == Some(7)).await;
    let before = kubelet.requests();
    world.until("asked further", || kubelet.requests() > before + 3).await;
    assert_eq!(world.millicores(), Some(7));
    world.tick.parts.cluster.remove_node("n");
    world.until("forgotten", || world.millicores().is_none()).await;
    world.end().await;
}
