//! What the Metrics API says at one moment, as tables: that of `kubectl top`, and the two tenants side by side. Pure.
//!
//! In: objects as the API serves them. Out: text. Amounts are in thousand-millionths of a core and of a byte.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::Value;

use super::policies::{OURS, THEIRS};
use crate::table;

/// The usage of everything.
pub(super) struct Picture {
    pub(super) nodes: Vec<NodeUsage>,
    pub(super) pods: Vec<PodUsage>,
}

/// A row of `kubectl top nodes`.
pub(super) struct NodeUsage {
    name: String,
    used: Amounts,
    capacity: Amounts,
}

/// A row of `kubectl top pods`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PodUsage {
    namespace: String,
    name: String,
    containers: usize,
    used: Amounts,
    window: String,
}

/// CPU and memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Amounts {
    cpu: u128,
    memory: u128,
}

impl Amounts {
    fn of(quantities: &Value) -> Self {
        let amount = |name: &str| quantities[name].as_str().and_then(table::nanos).unwrap_or_default();
        Self { cpu: amount("cpu"), memory: amount("memory") }
    }

    fn plus(self, other: Self) -> Self {
        Self { cpu: self.cpu + other.cpu, memory: self.memory + other.memory }
    }
}

impl Picture {
    /// From lists of Node, NodeMetrics and PodMetrics.
    pub(super) fn new(nodes: &[Value], node_metrics: &[Value], pod_metrics: &[Value]) -> Self {
        let text = |object: &Value, field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
        let capacities: BTreeMap<String, Amounts> =
            nodes.iter().map(|node| (text(node, "name"), Amounts::of(&node["status"]["allocatable"]))).collect();
        let node = |metrics: &Value| {
            let name = text(metrics, "name");
            let capacity = capacities.get(&name).copied().unwrap_or_default();
            NodeUsage { name, used: Amounts::of(&metrics["usage"]), capacity }
        };
        let pod = |metrics: &Value| {
            let containers = metrics["containers"].as_array().map(Vec::as_slice).unwrap_or_default();
            let used = containers.iter().map(|container| Amounts::of(&container["usage"]));
            PodUsage {
                namespace: text(metrics, "namespace"),
                name: text(metrics, "name"),
                containers: containers.len(),
                used: used.fold(Amounts::default(), Amounts::plus),
                window: metrics["window"].as_str().unwrap_or_default().to_owned(),
            }
        };
        let mut pods: Vec<PodUsage> = pod_metrics.iter().map(pod).collect();
        pods.sort_by_key(|pod| std::cmp::Reverse(pod.used.cpu));
        Self { nodes: node_metrics.iter().map(node).collect(), pods }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.nodes.is_empty() || self.pods.is_empty()
    }

    /// What is served of the pods of one namespace, by their names.
    pub(super) fn of(&self, namespace: &str) -> BTreeMap<&str, &PodUsage> {
        self.pods.iter().filter(|pod| pod.namespace == namespace).map(|pod| (&*pod.name, pod)).collect()
    }

    /// How many containers are served of each pod of a namespace, by the pods' names.
    pub(super) fn containers_of(&self, namespace: &str) -> Vec<usize> {
        self.of(namespace).values().map(|pod| pod.containers).collect()
    }

    /// Nodes and tenants, each table with at most `limit` rows.
    pub(super) fn tables(&self, limit: usize) -> String {
        format!("{}\n{}", self.node_table(limit), self.tenant_table(limit))
    }

    fn node_table(&self, limit: usize) -> String {
        let node = |node: &NodeUsage| {
            let cpu_share = table::per_cent(node.used.cpu, node.capacity.cpu);
            let memory_share = table::per_cent(node.used.memory, node.capacity.memory);
            let (cpu, memory) = (table::millicores(node.used.cpu), table::mebibytes(node.used.memory));
            [node.name.clone(), cpu, cpu_share, memory, memory_share]
        };
        let nodes: Vec<_> = self.nodes.iter().take(limit).map(node).collect();
        let table = table::columns(["NODE", "CPU(cores)", "CPU%", "MEMORY(bytes)", "MEMORY%"], &nodes);
        table + &more(self.nodes.len(), limit)
    }

    /// The pods that do the same in both namespaces, and what either tenant's clients are told of them.
    fn tenant_table(&self, limit: usize) -> String {
        let (ours, theirs) = (self.of(OURS), self.of(THEIRS));
        let row = |name: &&str| {
            let [a, b] = [ours.get(name), theirs.get(name)].map(|pod| pod.map_or_else(absent, |pod| pod.cells()));
            [(*name).to_owned(), a.join(" "), b.join(" ")]
        };
        // A policy may leave a pod out in either.
        let names: BTreeSet<&str> = ours.keys().chain(theirs.keys()).copied().collect();
        let rows: Vec<_> = names.iter().take(limit).map(row).collect();
        let heading = |tenant: &str| format!("{}: CPU MEMORY CONTAINERS WINDOW", tenant.to_uppercase());
        let table = table::columns(["POD", &heading(OURS), &heading(THEIRS)], &rows);
        table + &more(names.len(), limit)
    }
}

impl PodUsage {
    fn cells(&self) -> [String; 4] {
        let (cpu, memory) = (table::millicores(self.used.cpu), table::mebibytes(self.used.memory));
        [format!("{cpu:>6}"), format!("{memory:>7}"), format!("{:>3}", self.containers), format!("{:>9}", self.window)]
    }
}

fn absent() -> [String; 4] {
    ["-"; 4].map(str::to_owned)
}

fn more(count: usize, limit: usize) -> String {
    let mut line = String::new();
    if count > limit {
        let _ = writeln!(line, "… and {} more", count - limit);
    }
    line
}

#[cfg(test)]
mod tests;
