//! Questions as a gateway in an ordinary cluster asks them, of any size: to measure by, and to compare answers of.
//!
//! Names have the lengths that generated names have; labels are those that a chart sets. All of it is made up, and the
//! same on every machine.

use std::sync::Arc;

use super::question::{ContainerName, EPOCH, Histories, History, Hook, Pod, Question};
use crate::model::units::{Bytes, CpuNanoseconds, UnixNanos};
use crate::model::{Labels, Node, NodeAddress, NodeName, Sample};

/// How often kubelets are asked by default, in nanoseconds.
const INTERVAL: u64 = 15_000_000_000;

/// A question to a hook about `rows` containers, with `samples` of each where it is about use. About a node there is
/// one row, whatever is said.
pub fn question(hook: Hook, rows: usize, samples: usize) -> Question {
    match hook {
        Hook::Address => Question::Address(Box::new(node())),
        Hook::Filter => Question::Filter(pods(rows)),
        Hook::FilterByValue => Question::FilterByValue(histories(rows, samples.min(2))),
        Hook::Window => Question::Window(histories(rows, samples)),
    }
}

/// A node of a cloud.
pub fn node() -> Node {
    let address = |kind: &str, address: &str| NodeAddress { kind: kind.into(), address: address.into() };
    Node {
        name: NodeName::new("ip-10-0-31-7.eu-west-1.compute.internal"),
        labels: Arc::new(Labels::from_iter([
            ("kubernetes.io/arch", "amd64"),
            ("kubernetes.io/hostname", "ip-10-0-31-7"),
            ("kubernetes.io/os", "linux"),
            ("node.kubernetes.io/instance-type", "m7i.4xlarge"),
            ("topology.kubernetes.io/region", "eu-west-1"),
            ("topology.kubernetes.io/zone", "eu-west-1a"),
        ])),
        annotations: Labels::from_iter([("node.alpha.kubernetes.io/ttl", "0")]),
        provider_id: Some("aws:///eu-west-1a/i-0f3a9c1d2e4b5a697".into()),
        resource_metrics_path: None,
        addresses: Box::new([
            address("InternalIP", "10.0.31.7"),
            address("InternalDNS", "ip-10-0-31-7.eu-west-1.compute.internal"),
            address("Hostname", "ip-10-0-31-7"),
            address("ExternalIP", "203.0.113.7"),
        ]),
        kubelet_port: Some(10_250),
        ready: true,
    }
}

/// Pods of three containers each (the last may have fewer), in the order in which a gateway asks.
pub fn pods(containers: usize) -> Vec<Pod> {
    let of_pod = |pod: usize| (0..3).map(move |place| pod * 3 + place).filter(move |row| *row < containers);
    let pods = (0..containers.div_ceil(3)).map(|pod| Pod {
        namespace: namespace(pod),
        name: pod_name(pod),
        node: "ip-10-0-31-7.eu-west-1.compute.internal".to_owned(),
        labels: labels(pod),
        namespace_labels: Labels::from_iter([("team", format!("team-{:03}", pod / 8))]),
        containers: of_pod(pod).map(container_name).collect(),
    });
    pods.collect()
}

/// Series of containers, each with `samples` readings.
pub fn histories(series: usize, samples: usize) -> Histories {
    let history = |row: usize| History {
        container: Some(ContainerName {
            namespace: namespace(row / 3),
            pod: pod_name(row / 3),
            name: container_name(row),
        }),
        samples: readings(row as u64, samples),
    };
    Histories { node: "ip-10-0-31-7.eu-west-1.compute.internal".to_owned(), series: (0..series).map(history).collect() }
}

/// Readings up to the epoch; what is used differs from row to row and from reading to reading.
pub fn readings(row: u64, samples: usize) -> Vec<Sample> {
    let mut cpu = 1_000_000_000 * (row + 1);
    let ages = (0..samples as u64).rev();
    let reading = |age: u64| {
        cpu += 150_000_000 * (1 + (row * 7 + age * 3) % 40);
        Sample {
            taken_at: UnixNanos(EPOCH.0 - age * INTERVAL - row % 97 * 1_000_000),
            started_at: UnixNanos(EPOCH.0 - 7_200_000_000_000),
            cpu: CpuNanoseconds(cpu),
            memory: Bytes((64 << 20) + (row * 31 + age * 17) % 512 * 65_536),
        }
    };
    ages.map(reading).collect()
}

fn namespace(pod: usize) -> String {
    format!("team-{:03}-service", pod / 8)
}

fn pod_name(pod: usize) -> String {
    format!("checkout-backend-{pod:05}-6f8b898f67-5hflb")
}

fn container_name(row: usize) -> String {
    ["app", "istio-proxy", "log-shipper"][row % 3].to_owned()
}

fn labels(pod: usize) -> Labels {
    Labels::from_iter([
        ("app.kubernetes.io/component", "backend".to_owned()),
        ("app.kubernetes.io/instance", format!("checkout-{pod:05}")),
        ("app.kubernetes.io/managed-by", "Helm".to_owned()),
        ("app.kubernetes.io/name", "checkout".to_owned()),
        ("app.kubernetes.io/part-of", "shop".to_owned()),
        ("app.kubernetes.io/version", "4.17.2".to_owned()),
        ("helm.sh/chart", "checkout-4.17.2".to_owned()),
        ("pod-template-hash", "6f8b898f67".to_owned()),
    ])
}
