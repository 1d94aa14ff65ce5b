//! The Metrics API itself, as its clients see it: who has metrics, who has none and why, and how old they are.
//!
//! In: the lists of metrics and of pods through the API server, and what was seen of the nodes. Out: findings. "Metrics not
//! available yet" has four causes, and each is told apart: two readings have not come together, the kubelet cannot be read,
//! the kubelet says zero, or none of these, which is a policy's decision or worth an explanation by the gateway.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

use super::backend::count;
use super::cause::Cause;
use super::nodes::Sight;
use super::nodes::judge::batch;
use super::report::{Finding, Remedy, Verdict};
use super::server::{Read, Server, items, text};
use crate::model::units::UnixNanos;

/// A kubelet itself looks at a container every 10 to 15 s; until then there is nothing to read.
const KUBELET_PERIOD: Duration = Duration::from_secs(20);
/// More pods without metrics than this are a number.
const MOST_PODS: usize = 50;

/// What was read.
pub(super) struct Answers {
    pub(super) nodes: Read<Vec<Value>>,
    pub(super) pods: Read<Vec<Value>>,
    /// Those of the cluster.
    pub(super) objects: Read<Vec<Value>>,
}

/// What they are compared with.
pub(super) struct Expected<'a> {
    pub(super) sights: &'a [Sight],
    /// Whether these are all nodes that the gateway asks.
    pub(super) are_all: bool,
    /// The findings about the nodes, in the order of the sights.
    pub(super) findings: &'a [Finding],
    pub(super) resolution: Duration,
    /// When the gateway started, where that is known.
    pub(super) started_at: Option<jiff::Timestamp>,
    pub(super) now: UnixNanos,
}

/// Reads them.
pub(super) async fn gather(server: &Server) -> Answers {
    let list = async |plural: &str| {
        let mut list = server.get(&format!("/apis/metrics.k8s.io/v1beta1/{plural}")).await?;
        match list["items"].take() {
            Value::Array(items) => Ok(items),
            _ => Ok(Vec::new()),
        }
    };
    Answers { nodes: list("nodes").await, pods: list("pods").await, objects: server.list("/api/v1/pods", "").await }
}

impl Expected<'_> {
    fn seconds(&self) -> i64 {
        i64::try_from(self.now.seconds()).unwrap_or(i64::MAX)
    }

    /// Two readings, each up to a resolution away, of what the kubelet looks at in its own time.
    fn is_fresh(&self, started_at: i64) -> bool {
        let patience = self.resolution * 2 + KUBELET_PERIOD;
        self.seconds().saturating_sub(started_at) < i64::try_from(patience.as_secs()).unwrap_or(i64::MAX)
    }

    fn has_just_started(&self) -> bool {
        self.started_at.is_some_and(|at| self.is_fresh(at.as_second()))
    }

    fn failing(&self) -> BTreeSet<&str> {
        let pairs = self.sights.iter().zip(self.findings);
        let failing = pairs.filter(|(_, finding)| finding.verdict == Verdict::Failed);
        failing.map(|(sight, _)| sight.node.name.as_str()).collect()
    }
}

/// What follows.
pub(super) fn judge(answers: &Answers, expected: &Expected<'_>) -> Vec<Finding> {
    let nodes = match &answers.nodes {
        Ok(nodes) => nodes,
        Err(unread) => {
            let remedy = Remedy::text(
                "mend what failed above; then `kubectl get --raw /apis/metrics.k8s.io/v1beta1/nodes` answers",
            );
            let message = format!("GET /apis/metrics.k8s.io/v1beta1/nodes: {unread}");
            // It is not the gateway's fault that somebody may not ask it.
            return vec![if unread.is_forbidden() {
                Finding::skipped("node-metrics", "", format!("you may not list them: {unread}"))
            } else {
                Finding::failed("node-metrics", "", Cause::MetricsApiFailing, message, remedy)
            }];
        }
    };
    let mut findings = judge_nodes(nodes, expected);
    findings.extend(judge_pods(answers, expected));
    findings
}

fn judge_nodes(served: &[Value], expected: &Expected<'_>) -> Vec<Finding> {
    let id = "node-metrics";
    let times: BTreeMap<&str, i64> = served
        .iter()
        .filter_map(|item| Some((text(item, "/metadata/name"), seconds_of(text(item, "/timestamp"))?)))
        .collect();
    let failing = expected.failing();
    let mut findings = Vec::new();
    let (mut seen, mut oldest) = (0, 0);
    for sight in expected.sights.iter().filter(|sight| sight.candidates.is_ok()) {
        let name = sight.node.name.as_str();
        match times.get(name) {
            Some(taken_at) => {
                let age = expected.seconds().saturating_sub(*taken_at);
                (seen, oldest) = (seen + 1, oldest.max(age));
                findings.extend(stale(name, age, expected, &failing));
            }
            None => findings.push(missing_node(sight, expected, failing.contains(name))),
        }
    }
    let asked = expected.sights.iter().filter(|sight| sight.candidates.is_ok()).count();
    let extent = if expected.are_all { "" } else { " looked at" };
    if seen == asked && seen > 0 {
        let message = format!("{seen} of {asked} nodes{extent} are served; the oldest reading is {oldest} s old");
        findings.insert(0, Finding::ok(id, "", message));
    }
    findings
}

fn seconds_of(timestamp: &str) -> Option<i64> {
    timestamp.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_second)
}

fn stale(name: &str, age: i64, expected: &Expected<'_>, failing: &BTreeSet<&str>) -> Option<Finding> {
    let limit = expected.resolution * 3 + Duration::from_secs(60);
    if age <= i64::try_from(limit.as_secs()).unwrap_or(i64::MAX) {
        return None;
    }
    let why = if failing.contains(name) { ", and its kubelet cannot be read" } else { "" };
    let message = format!("what is served of it is {age} s old{why}");
    let remedy =
        Remedy::text(format!("mend the node; `metrics-gateway explain node {name}` says what the gateway holds"));
    Some(Finding::warning("node-metrics", name, Cause::MetricsStale, message, remedy))
}

fn missing_node(sight: &Sight, expected: &Expected<'_>, is_failing: bool) -> Finding {
    let (id, name) = ("node-metrics", sight.node.name.as_str());
    if is_failing {
        let message = "metrics not available: its kubelet cannot be read, as the node's own line says";
        return Finding::failed(id, name, Cause::MetricsNodeFailing, message, Remedy::text("mend the node"));
    }
    if expected.has_just_started() {
        return starting(id, name, "the gateway has just started", expected);
    }
    let message = "metrics not available yet, although its kubelet answers";
    let remedy = Remedy::text(format!(
        "wait for two resolutions ({:?}) if the gateway or the node has just started; else ask: metrics-gateway explain node \
         {name}",
        expected.resolution * 2
    ));
    Finding::failed(id, name, Cause::MetricsNotServed, message, remedy)
}

fn starting(id: &'static str, subject: &str, why: &str, expected: &Expected<'_>) -> Finding {
    let message = format!("metrics not available yet: {why}, and a rate takes two readings");
    let remedy = Remedy::text(format!("wait for two resolutions, {:?}, and look again", expected.resolution * 2));
    Finding::warning(id, subject, Cause::MetricsStarting, message, remedy)
}

fn judge_pods(answers: &Answers, expected: &Expected<'_>) -> Vec<Finding> {
    let id = "pod-metrics";
    let (served, objects) = match (&answers.pods, &answers.objects) {
        (Ok(served), Ok(objects)) => (served, objects),
        (Err(unread), _) | (_, Err(unread)) => {
            return vec![Finding::skipped(id, "", format!("pods cannot be listed: {unread}"))];
        }
    };
    let served: BTreeSet<(&str, &str)> = served.iter().map(key).collect();
    let asked: BTreeSet<&str> =
        expected.sights.iter().filter(|sight| sight.candidates.is_ok()).map(|sight| sight.node.name.as_str()).collect();
    let is_running =
        |pod: &&Value| text(pod, "/status/phase") == "Running" && pod["metadata"]["deletionTimestamp"].is_null();
    let of_nodes = objects.iter().filter(|pod| asked.contains(text(pod, "/spec/nodeName")));
    let running: Vec<&Value> = of_nodes.filter(is_running).collect();
    let missing: Vec<&Value> = running.iter().copied().filter(|pod| !served.contains(&key(pod))).collect();
    let reported = reported(expected, &missing);
    let mut findings = Vec::new();
    if missing.is_empty() && !running.is_empty() {
        findings.push(Finding::ok(id, "", format!("all {} that run are served", count(running.len(), "pod"))));
    } else if running.is_empty() {
        findings.push(Finding::skipped(id, "", "no pod runs on these nodes"));
    }
    findings.extend(missing.iter().take(MOST_PODS).map(|pod| missing_pod(pod, expected, &reported)));
    if missing.len() > MOST_PODS {
        let message = format!(
            "{} of {} that run have no metrics; the first were named",
            missing.len(),
            count(running.len(), "pod")
        );
        findings.push(Finding::skipped(id, "", message));
    }
    findings.extend(not_running(objects));
    findings
}

fn key(object: &Value) -> (&str, &str) {
    (text(object, "/metadata/namespace"), text(object, "/metadata/name"))
}

/// Of the pods that are missed: those that their kubelets report in full.
fn reported<'a>(expected: &Expected<'_>, missing: &[&'a Value]) -> BTreeSet<(&'a str, &'a str)> {
    let mut found = BTreeSet::new();
    for sight in expected.sights {
        let of_node: Vec<_> = missing
            .iter()
            .filter(|pod| text(pod, "/spec/nodeName") == sight.node.name.as_str())
            .map(|pod| key(pod))
            .collect();
        if of_node.is_empty() {
            continue;
        }
        let Some(batch) = batch(sight, expected.now) else { continue };
        let names: BTreeSet<(&str, &str)> =
            batch.pods().filter_map(|samples| samples.first()).map(|it| (it.pod().namespace, it.pod().name)).collect();
        found.extend(of_node.into_iter().filter(|key| names.contains(key)));
    }
    found
}

fn missing_pod(pod: &Value, expected: &Expected<'_>, reported: &BTreeSet<(&str, &str)>) -> Finding {
    let id = "pod-metrics";
    let (namespace, name) = key(pod);
    let subject = format!("{namespace}/{name}");
    let node = text(pod, "/spec/nodeName");
    if expected.failing().contains(node) {
        let message = format!("metrics not available: the kubelet of its node {node} cannot be read");
        return Finding::warning(
            id,
            &subject,
            Cause::MetricsNodeFailing,
            message,
            Remedy::text(format!("mend node {node}")),
        );
    }
    let statuses = items(pod, "/status/containerStatuses");
    let last_start = statuses.iter().filter_map(|status| seconds_of(text(status, "/state/running/startedAt"))).max();
    if last_start.is_some_and(|at| expected.is_fresh(at)) {
        return starting(id, &subject, "a container of it has just started", expected);
    }
    if expected.has_just_started() {
        return starting(id, &subject, "the gateway has just started", expected);
    }
    if reported.contains(&(namespace, name)) {
        let message =
            "metrics not available, although its kubelet reports it: a filter or a window withholds it, or it is new";
        let remedy = Remedy::text(format!("ask the gateway: metrics-gateway explain pod {subject}"));
        return Finding::warning(id, &subject, Cause::MetricsNotServed, message, remedy);
    }
    let message =
        format!("metrics not available yet: the kubelet of {node} reports a container of it with zero, or not at all");
    let remedy = Remedy::text(format!(
        "look at its containers: kubectl -n {namespace} describe pod {name}; one that has ended, or that its runtime does not \
         account for, keeps the pod back"
    ));
    Finding::warning(id, &subject, Cause::MetricsZero, message, remedy)
}

/// Pods that wait to run: one line for all.
fn not_running(objects: &[Value]) -> Option<Finding> {
    let waiting = objects.iter().filter(|pod| text(pod, "/status/phase") == "Pending");
    let names: Vec<String> = waiting
        .map(|pod| {
            let (namespace, name) = key(pod);
            format!("{namespace}/{name}")
        })
        .collect();
    let first = names.first()?;
    let message = format!(
        "{} not running, and so without metrics: {}",
        count(names.len(), "pod"),
        names[..names.len().min(5)].join(", ")
    );
    let (namespace, name) = first.split_once('/').unwrap_or(("", first));
    let remedy = Remedy::text(format!("see why the first waits: kubectl -n {namespace} describe pod {name}"));
    Some(Finding::warning("pod-metrics", "", Cause::MetricsPodNotRunning, message, remedy))
}

#[cfg(test)]
mod tests;
