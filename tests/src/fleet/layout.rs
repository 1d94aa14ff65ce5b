//! Which nodes, pods and containers a spec stands for. Pure: the same spec gives the same names in every process.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::load::hash;
use super::{FleetNode, FleetPod, FleetSpec};

/// The letters of the suffixes that Kubernetes generates.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
/// 27^5, the number of suffixes of five letters.
const SUFFIXES: u64 = 14_348_907;
/// Not divisible by 3, so that multiplying modulo 27^5 gives every index a suffix of its own.
const STRIDE: u64 = 9_368_711;
const APPS: [&str; 8] = ["api", "auth", "cache", "cart", "queue", "search", "web", "worker"];

/// All nodes, one for each address.
///
/// # Panics
/// Where the spec names no namespace, or fewer or more nodes than there are addresses.
pub(super) fn nodes(spec: &FleetSpec, addresses: &[SocketAddr]) -> Vec<FleetNode> {
    assert!(!spec.namespaces.is_empty(), "a fleet needs a namespace for its pods");
    assert_eq!(spec.nodes, addresses.len(), "every node needs an address");
    if spec.named.is_empty() {
        return addresses.iter().enumerate().map(|(index, address)| node(spec, index, *address)).collect();
    }
    assert_eq!(spec.nodes, spec.named.len(), "every node needs a name");
    let named = spec.named.iter().zip(addresses);
    named
        .map(|((name, pods), address)| FleetNode { name: name.clone(), address: *address, pods: pods.clone() })
        .collect()
}

fn node(spec: &FleetSpec, index: usize, address: SocketAddr) -> FleetNode {
    let first = index * spec.pods_per_node;
    let pods = (first..first + spec.pods_per_node).map(|pod| self::pod(spec, pod)).collect();
    FleetNode { name: node_name(index), address, pods }
}

/// The name of the node at `index`.
pub(super) fn node_name(index: usize) -> String {
    format!("node-{index:04}")
}

/// Pods go to namespaces and applications in turn, so that each namespace lives on many nodes.
fn pod(spec: &FleetSpec, index: usize) -> FleetPod {
    let namespace = spec.namespaces[index % spec.namespaces.len()].clone();
    let app = APPS[index / spec.namespaces.len() % APPS.len()];
    let template = format!("{:010x}", hash(&[&namespace, app]) >> 24);
    let labels = [("app", app), ("pod-template-hash", &template)];
    FleetPod {
        name: format!("{app}-{template}-{}", suffix(index)),
        labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into_iter().collect::<BTreeMap<_, _>>(),
        containers: (0..spec.containers_per_pod).map(container).collect(),
        namespace,
    }
}

fn container(index: usize) -> String {
    match index {
        0 => "app".to_owned(),
        1 => "proxy".to_owned(),
        more => format!("extra-{more}"),
    }
}

fn suffix(index: usize) -> String {
    let mut rest = (index as u64 % SUFFIXES) * STRIDE % SUFFIXES;
    let mut letters = [0; 5];
    for letter in &mut letters {
        *letter = ALPHABET[usize::try_from(rest % 27).expect("below 27")];
        rest /= 27;
    }
    letters.into_iter().map(char::from).collect()
}
