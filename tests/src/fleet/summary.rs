//! The answer of `/stats/summary?only_cpu_and_memory=true`, made anew for every request: only fallbacks ask for it.
//!
//! As captured from a kubelet 1.20.2; times are whole seconds, as there.

use metrics_gateway::model::Sample;
use metrics_gateway::model::units::UnixNanos;
use serde_json::{Value, json};

use super::load::hash;
use super::node::{NodeSources, PodSources};
use super::{FleetNode, FleetPod};

/// The JSON text.
pub(super) fn summary(node: &FleetNode, sources: &NodeSources, now: UnixNanos) -> Vec<u8> {
    let pods: Vec<Value> = node.pods.iter().zip(sources.pods()).map(|(pod, of)| self::pod(pod, of, now)).collect();
    let mut own = stats(&sources.sample(now));
    own["nodeName"] = json!(node.name);
    own["startTime"] = json!(time(sources.started_at()));
    serde_json::to_vec_pretty(&json!({ "node": own, "pods": pods })).expect("a JSON value has a text")
}

fn pod(pod: &FleetPod, sources: &PodSources, now: UnixNanos) -> Value {
    let containers = pod.containers.iter().zip(sources.containers()).map(|(name, source)| {
        let mut container = stats(&source.sample(now));
        container["name"] = json!(name);
        container["startTime"] = json!(time(source.rhythm.started_at));
        container
    });
    let mut value = stats(&sources.sample(now));
    value["podRef"] = json!({ "name": pod.name, "namespace": pod.namespace, "uid": uid(pod) });
    value["startTime"] = json!(time(sources.started_at()));
    value["containers"] = containers.collect();
    value
}

fn stats(sample: &Sample) -> Value {
    let (time, memory) = (time(sample.taken_at), sample.memory.0);
    json!({
        "cpu": { "time": time, "usageNanoCores": 0, "usageCoreNanoSeconds": sample.cpu.0 },
        "memory": {
            "time": time, "usageBytes": memory, "workingSetBytes": memory, "rssBytes": memory,
            "pageFaults": 0, "majorPageFaults": 0,
        },
    })
}

fn time(at: UnixNanos) -> String {
    let seconds = i64::try_from(at.seconds()).expect("nanoseconds in 64 bits are few seconds");
    jiff::Timestamp::from_second(seconds).expect("before the year 2554").to_string()
}

fn uid(pod: &FleetPod) -> String {
    let (high, low) = (hash(&[&pod.namespace, &pod.name]), hash(&[&pod.name, &pod.namespace]));
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xfff,
        low >> 52,
        low & 0xffff_ffff_ffff
    )
}
