//! What kubelets and the API server really said, from files: answers of kubelets as samples, Node and Pod objects as
//! `kubectl … -o json` prints them.
//!
//! Kubelets' answers go through the gateway's own decoder, so what it leaves out is left out here, too.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::question::{ContainerName, EPOCH, Histories, History, Pod};
use super::replay::Replay;
use crate::config::TimestampOf;
use crate::decode::{self, Form, Reading};
use crate::model::units::UnixNanos;
use crate::model::{Labels, Node, NodeAddress, NodeName, Sample};

/// Annotations longer than this are not shown to plugins.
const LONGEST_ANNOTATION: usize = 4_096;

/// One answer of a kubelet.
#[derive(Clone, Debug, PartialEq)]
pub struct Capture {
    /// The file.
    pub name: String,
    /// The node's own sample.
    pub node: Option<Sample>,
    /// Those of its containers, by name.
    pub containers: BTreeMap<ContainerName, Sample>,
    /// Lines that could not be read, and pods that were not complete.
    pub left_out: u32,
}

/// Reads answers of one kubelet, in the order of time.
///
/// # Errors
/// Where a file cannot be read, or nothing in it can.
pub fn captures(files: &[PathBuf]) -> Result<Vec<Capture>> {
    let numbered = (0u64..).zip(files);
    numbered.map(|(number, file)| capture(file, number)).collect()
}

fn capture(file: &Path, number: u64) -> Result<Capture> {
    let body = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let is_json = body.trim_ascii_start().starts_with(b"{");
    let reading = Reading {
        form: if is_json { Form::Summary } else { Form::Text },
        // Old kubelets leave the time out; then a reading every 15 s is assumed.
        asked_at: UnixNanos(EPOCH.0 + number * 15_000_000_000),
        timestamp: TimestampOf::Cpu,
    };
    let batch =
        decode::batch(&body, reading).with_context(|| format!("{} is no answer of a kubelet", file.display()))?;
    let containers = batch.pods().flatten().map(|of| {
        let container = ContainerName {
            namespace: of.namespace.clone().into_owned(),
            pod: of.pod.clone().into_owned(),
            name: of.container.clone().into_owned(),
        };
        (container, of.sample)
    });
    Ok(Capture {
        name: file.display().to_string(),
        node: batch.node,
        containers: containers.collect(),
        left_out: batch.left_out.bad_lines + batch.left_out.incomplete_pods,
    })
}

/// The series of one node while its captures come in.
#[derive(Debug, Default)]
pub struct Series {
    /// Those of containers; the key None is the node's own.
    of: BTreeMap<Option<ContainerName>, Replay>,
}

impl Series {
    /// Adds what a capture says.
    pub fn push(&mut self, capture: &Capture) {
        let node = capture.node.map(|sample| (None, sample));
        let containers = capture.containers.iter().map(|(name, sample)| (Some(name.clone()), *sample));
        for (subject, sample) in node.into_iter().chain(containers) {
            self.of.entry(subject).or_default().push(sample);
        }
    }

    /// The batch of containers and the batch of the node itself, of those that the capture speaks of.
    pub fn batches(&self, capture: &Capture, node: &str, history: std::time::Duration) -> [Histories; 2] {
        let of = |subject: Option<ContainerName>| {
            let samples = self.of.get(&subject).map(|replay| replay.history(history).to_vec()).unwrap_or_default();
            History { container: subject, samples }
        };
        let batch = |series: Vec<History>| Histories { node: node.to_owned(), series };
        let containers = capture.containers.keys().cloned().map(|name| of(Some(name))).collect();
        let own = capture.node.iter().map(|_| of(None)).collect();
        [batch(containers), batch(own)]
    }

    /// What upstream's rule serves of a subject.
    pub fn last_two(&self, subject: Option<&ContainerName>) -> Option<crate::model::Usage> {
        self.of.get(&subject.cloned()).and_then(|replay| replay.last_two().ok())
    }
}

/// The pods of a capture, in the gateway's order, with the labels that are known of them.
pub fn pods(capture: &Capture, node: &str, labels: &BTreeMap<(String, String), Labels>) -> Vec<Pod> {
    let mut pods: Vec<Pod> = Vec::new();
    // By namespace, pod and container, as the map is sorted.
    for container in capture.containers.keys() {
        let is_of = |pod: &&mut Pod| (&pod.namespace, &pod.name) == (&container.namespace, &container.pod);
        if let Some(pod) = pods.last_mut().filter(is_of) {
            pod.containers.push(container.name.clone());
            continue;
        }
        let labels = labels.get(&(container.namespace.clone(), container.pod.clone())).cloned().unwrap_or_default();
        pods.push(Pod {
            namespace: container.namespace.clone(),
            name: container.pod.clone(),
            node: node.to_owned(),
            labels,
            namespace_labels: Labels::default(),
            containers: vec![container.name.clone()],
        });
    }
    pods
}

/// The labels of pods, as `kubectl get pods -A -o json` prints them, by namespace and name.
///
/// # Errors
/// Where the file cannot be read, or holds no objects.
pub fn pod_labels(file: &Path) -> Result<BTreeMap<(String, String), Labels>> {
    let of_pod = |object: &Value| {
        let metadata = &object["metadata"];
        ((text(&metadata["namespace"]), text(&metadata["name"])), texts(&metadata["labels"]))
    };
    Ok(objects(file)?.iter().map(of_pod).collect())
}

/// Nodes, as `kubectl get nodes -o json` prints them, or one of them.
///
/// # Errors
/// Where the file cannot be read, or an object is no node.
pub fn nodes(file: &Path) -> Result<Vec<Node>> {
    let node = |object: &Value| {
        if object["kind"] != "Node" {
            bail!("{} holds an object of the kind {}, not Node", file.display(), object["kind"]);
        }
        Ok(node(object))
    };
    objects(file)?.iter().map(node).collect()
}

/// One object, or the items of a list.
fn objects(file: &Path) -> Result<Vec<Value>> {
    let json = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let value: Value = serde_json::from_slice(&json).with_context(|| format!("{} is no JSON", file.display()))?;
    match value {
        Value::Object(mut object) => match object.remove("items") {
            Some(Value::Array(items)) => Ok(items),
            _ => Ok(vec![Value::Object(object)]),
        },
        _ => bail!("{} holds no Kubernetes object", file.display()),
    }
}

fn node(object: &Value) -> Node {
    let (metadata, status) = (&object["metadata"], &object["status"]);
    let addresses = status["addresses"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|address| NodeAddress { kind: text(&address["type"]).into(), address: text(&address["address"]).into() });
    let port = status["daemonEndpoints"]["kubeletEndpoint"]["Port"].as_u64().and_then(|port| u16::try_from(port).ok());
    let mut conditions = status["conditions"].as_array().into_iter().flatten();
    let annotations = texts(&metadata["annotations"]);
    Node {
        name: NodeName::new(text(&metadata["name"])),
        labels: texts(&metadata["labels"]).into(),
        annotations: annotations.iter().filter(|(_, value)| value.len() <= LONGEST_ANNOTATION).collect(),
        provider_id: Some(text(&object["spec"]["providerID"])).filter(|id| !id.is_empty()).map(Into::into),
        resource_metrics_path: annotations.get("metrics.k8s.io/resource-metrics-path").map(Into::into),
        addresses: addresses.collect(),
        kubelet_port: port.filter(|port| *port != 0),
        ready: conditions.any(|condition| condition["type"] == "Ready" && condition["status"] == "True"),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn texts(value: &Value) -> Labels {
    value.as_object().into_iter().flatten().map(|(key, value)| (key.as_str(), text(value))).collect()
}

#[cfg(test)]
mod tests;
