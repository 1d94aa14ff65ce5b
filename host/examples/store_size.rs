//! What a large cluster costs in the store: `cargo run --release --example store_size [nodes]`.
//!
//! Fills it with 5,000 nodes of 30 pods with 2 containers each, three rounds of samples, and prints what memory that
//! took and how long a put of one node's answer takes. Memory is the growth of the resident set (Linux only).

use std::borrow::Cow;
use std::time::{Duration, Instant};

use metrics_gateway::config::{ContainerOrder, FallingCounter, HistoryConfig, PodOnTwoNodes, TimestampOf};
use metrics_gateway::model::units::{Bytes, CpuNanoseconds, UnixNanos};
use metrics_gateway::model::{Batch, ContainerSample, LeftOut, NodeName, Sample};
use metrics_gateway::store::{Rules, Store};

const PODS: usize = 30;
const SECOND: u64 = 1_000_000_000;

fn main() {
    let nodes: usize = std::env::args().nth(1).map_or(5000, |nodes| nodes.parse().expect("a number of nodes"));
    let before = resident();
    let store = Store::new(Rules {
        history: HistoryConfig {
            hold: Duration::from_secs(45),
            falling_counter: FallingCounter::OmitPod,
            pod_on_two_nodes: PodOnTwoNodes::NewestStart,
            timestamp: TimestampOf::Cpu,
        },
        container_order: ContainerOrder::ByName,
        resolution: Duration::from_secs(15),
    });
    for round in 0..3u64 {
        let now = UnixNanos((1_795_212_480 + round * 15) * SECOND);
        let mut spent = Duration::ZERO;
        for node in 0..nodes {
            let batch = batch(node, now, round);
            let name = NodeName::new(format!("node-{node:05}"));
            let start = Instant::now();
            store.put(&name, &batch, now, None);
            spent += start.elapsed();
        }
        println!("round {round}: {:.1} us a put of {PODS} pods", spent.as_secs_f64() * 1e6 / nodes as f64);
    }
    let containers = store.container_points();
    let grown = resident().saturating_sub(before);
    println!(
        "{} nodes, {containers} containers: {:.1} MiB, {:.0} bytes a container",
        store.node_points(),
        grown as f64 / 1_048_576.0,
        grown as f64 / containers.max(1) as f64
    );
}

fn batch(node: usize, now: UnixNanos, round: u64) -> Batch<'static> {
    let sample = Sample {
        taken_at: now,
        started_at: UnixNanos(1_795_000_000 * SECOND),
        cpu: CpuNanoseconds((round + 1) * SECOND),
        memory: Bytes(33_910_784),
    };
    let containers = (0..PODS * 2).map(|index| ContainerSample {
        namespace: Cow::Owned(format!("team-{:03}", (node + index / 2) % 200)),
        pod: Cow::Owned(format!("web-frontend-6f8b898f67-{node:04x}{:02}", index / 2)),
        container: Cow::Borrowed(["app", "istio-proxy"][index % 2]),
        sample,
    });
    Batch::new(Some(Sample { started_at: UnixNanos::ZERO, ..sample }), containers.collect(), LeftOut::default())
}

/// The resident set in bytes; zero where the system does not say.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0);
    pages * 4096
}
