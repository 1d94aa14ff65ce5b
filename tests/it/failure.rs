//! One broken kubelet never spoils another's answer, is named with its reason, and costs no memory.
//!
//! Kubelets need ticks to fail and to recover, so all of them fail at the same time, in every way there is, in one
//! [`Story`] that is told once; each test reads one promise out of it. Two gateways watch: one that holds what a failing
//! node said last, and one that does as metrics-server does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::api_server::Resource;
use harness::api_server::objects::node;
use harness::cluster::{Cluster, VERSIONS, items, json, wait_for_usage};
use harness::directory::Directory;
use harness::eventually::eventually;
use harness::fleet::{Fault, FleetNode, FleetSpec, Times};
use harness::gateway::Gateway;
use harness::metrics::Metrics;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::time::Instant;

/// A tick of 10 s, a sample that was a second old, a second that the timestamp's text cuts off, and a busy machine.
const FRESH: Duration = Duration::from_secs(15);
/// Two ticks, the time limit of a request, and a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const MIB: u64 = 1 << 20;
/// What a kubelet may say at most, in this story. Less than the default, because an answer that does not end must reach
/// it within the time limit on a busy machine.
const MAX_BODY: u64 = 8 * MIB;
/// Two nodes give answers that do not end, and a buffer that grows may hold twice what is in it. The rest is for what
/// allocators keep, and for what was not in memory yet when the failures began.
const MOST_MEMORY: u64 = 2 * 2 * MAX_BODY + 16 * MIB;

/// What is done to the node at an index, and the reason that must be named; None: it is to be served all the same.
struct Trial {
    node: usize,
    what: What,
    reason: Option<&'static str>,
}

enum What {
    /// Nothing.
    Nothing,
    /// The kubelet misbehaves.
    Fault(Fault),
    /// The Node object lists no address.
    NoAddress,
    /// The Node object lists a host name that nothing resolves.
    UnknownHost,
}

fn trials(nodes: &[FleetNode]) -> Vec<Trial> {
    let first = nodes.first().map_or_else(String::new, |node| node.address.to_string());
    let fault = |fault: Fault, reason| (What::Fault(fault), Some(reason));
    let harmless = |fault: Fault| (What::Fault(fault), None);
    let list = [
        (What::Nothing, None),
        (What::Nothing, None),
        harmless(Fault::BadLines),
        harmless(Fault::NotFoundOnlyResource),
        harmless(Fault::Slow(Duration::from_secs(2))),
        fault(Fault::Status(401), "401"),
        fault(Fault::Status(403), "403"),
        fault(Fault::Status(404), "404"),
        fault(Fault::Status(500), "status"),
        fault(Fault::Slow(Duration::from_secs(8)), "timeout"),
        fault(Fault::Hang, "timeout"),
        fault(Fault::CutOff, "broken-off"),
        fault(Fault::Endless, "too-large"),
        fault(Fault::GzipBomb(64 * MIB), "too-large"),
        fault(Fault::Garbage, "decode"),
        fault(Fault::Body(b"<html><body>Please log in</body></html>".to_vec()), "decode"),
        fault(Fault::WrongName, "tls-name"),
        fault(Fault::Expired, "tls-expired"),
        fault(Fault::ForeignCa, "tls-ca"),
        fault(Fault::Refused, "connect"),
        fault(Fault::Redirect(format!("https://{first}/stolen")), "status"),
        (What::NoAddress, Some("no-address")),
        (What::UnknownHost, Some("dns")),
    ];
    list.into_iter().enumerate().map(|(node, (what, reason))| Trial { node, what, reason }).collect()
}

/// How many trials there are.
const NODES: usize = 23;

/// What was seen.
#[derive(Default)]
struct Story {
    /// By failing node: the reason that must be named.
    expected: BTreeMap<String, &'static str>,
    /// By node: the reasons for which it was seen to fail.
    named: BTreeMap<String, BTreeSet<String>>,
    /// By reason: how many failures were counted.
    counted: BTreeMap<&'static str, f64>,
    /// By failing node: how often it failed, at least.
    attempts: BTreeMap<String, f64>,
    /// Of the nodes to be served all the same, in either gateway: what was wrong with them at any time.
    spoilt: BTreeSet<String>,
    /// How often they were looked at.
    looks: usize,
    /// By failing node, of the gateway that holds: itself and its pods, when the failure was named and at the end of it.
    held: BTreeMap<String, [Value; 2]>,
    /// Failing nodes, and pods of theirs, that the gateway without holding served at the end.
    not_vanished: Vec<String>,
    /// Of bad lines: how many were counted.
    bad_lines: f64,
    /// What was asked of the kubelet without /metrics/resource while it had none.
    asked_of_the_old_kubelet: Vec<String>,
    /// What was asked of the kubelet to which another one redirects.
    asked_of_the_redirected_to: Vec<String>,
    /// How long a gateway that was started while all this failed took to be ready.
    newcomer: Option<Duration>,
    /// The most memory before the failures, and after them.
    peaks: [u64; 2],
    /// Whether a node was still called failing after it had recovered.
    still_failing: Vec<String>,
    /// The log of the gateway that holds.
    log: String,
}

static STORY: LazyLock<Result<Story, String>> = LazyLock::new(|| {
    let runtime = Runtime::new().map_err(|error| error.to_string())?;
    runtime.block_on(tell()).map_err(|error| format!("{error:#}"))
});

fn story() -> &'static Story {
    STORY.as_ref().unwrap_or_else(|error| panic!("the story could not be told: {error}"))
}

async fn tell() -> Result<Story> {
    let files = Directory::new("metrics-gateway-failure")?;
    let config = |name: &str, hold: &str| -> Result<String> {
        std::fs::write(
            files.file(name),
            format!("[history]\nhold = \"{hold}\"\n[scrape]\nmax_body = \"{}MiB\"\n", MAX_BODY / MIB),
        )?;
        Ok(format!("--config={}", files.file(name).display()))
    };
    let spec = FleetSpec { nodes: NODES, pods_per_node: 3, ..FleetSpec::default() };
    let cluster = Cluster::start(spec, &[&config("long.toml", "10m")?]).await?;
    let holding_none = Gateway::start(&cluster.api, &[&config("zero.toml", "0s")?])?;
    cluster.wait_for_usage().await?;
    wait_for_usage(&holding_none, &cluster.fleet).await?;
    let mut teller = Teller { trials: trials(cluster.fleet.nodes()), cluster, holding_none, story: Story::default() };
    assert_eq!(teller.trials.len(), NODES);
    teller.break_everything().await?;
    teller.mend_everything().await?;
    teller.story.log = teller.cluster.gateway.log();
    Ok(teller.story)
}

struct Teller {
    trials: Vec<Trial>,
    cluster: Cluster,
    holding_none: Gateway,
    story: Story,
}

impl Teller {
    async fn break_everything(&mut self) -> Result<()> {
        self.story.peaks[0] = self.cluster.gateway.peak_rss()?;
        self.trials.iter().for_each(|trial| trial.begin(&self.cluster));
        let before = self.metrics().await?;
        self.story.expected = self.failing().map(|(name, _, reason)| (name, reason)).collect();

        self.watch("every failing node is named", |metrics, names| {
            let failing = |name: &&String| metrics.values(FAILING, &[("node", name)], "reason").is_empty();
            let silent: Vec<_> = names.iter().filter(failing).collect();
            ensure!(silent.is_empty(), "not failing yet: {silent:?}");
            Ok(())
        })
        .await?;
        let held = self.items_of_failing(&self.cluster.gateway).await?;
        let newcomer = Gateway::start(&self.cluster.api, &[])?;
        let began = Instant::now();
        let first = self.metrics().await?;
        let ready = async {
            newcomer.wait_ready(PATIENCE).await?;
            Ok::<_, anyhow::Error>(began.elapsed())
        };
        let watch = Self::watch(self, "every failing node has been asked twice more", |metrics, names| {
            let again = |name: &&String| attempts(metrics, name) - attempts(&first, name) < 2.0;
            let once: Vec<_> = names.iter().filter(again).collect();
            ensure!(once.is_empty(), "asked less often: {once:?}");
            Ok(())
        });
        let (ready, watched) = tokio::join!(ready, watch);
        watched?;
        self.story.newcomer = Some(ready?);
        self.note_the_end_of_the_failures(&before, held).await
    }

    async fn note_the_end_of_the_failures(&mut self, before: &Metrics, held: BTreeMap<String, Value>) -> Result<()> {
        let after = self.metrics().await?;
        let grown = |name: &str, labels: &[(&str, &str)]| after.sum(name, labels) - before.sum(name, labels);
        let reasons = self.story.expected.values().copied().collect::<BTreeSet<_>>();
        self.story.counted =
            reasons.into_iter().map(|reason| (reason, grown(FAILURES, &[("reason", reason)]))).collect();
        self.story.attempts = self
            .story
            .expected
            .keys()
            .map(|name| (name.clone(), attempts(&after, name) - attempts(before, name)))
            .collect();
        self.story.bad_lines = grown("metrics_gateway_decode_bad_lines_total", &[]);
        let mut at_the_end = self.items_of_failing(&self.cluster.gateway).await?;
        for (name, item) in held {
            let now = at_the_end.remove(&name).unwrap_or_default();
            self.story.held.insert(name, [item, now]);
        }
        self.story.not_vanished = self.items_of_failing(&self.holding_none).await?.into_keys().collect();
        let paths = |node: usize| self.cluster.fleet.requests(node).into_iter().map(|request| request.path).collect();
        self.story.asked_of_the_old_kubelet = paths(3);
        self.story.asked_of_the_redirected_to = paths(0);
        self.story.peaks[1] = self.cluster.gateway.peak_rss()?;
        Ok(())
    }

    async fn mend_everything(&mut self) -> Result<()> {
        for trial in &self.trials {
            trial.end(&self.cluster);
        }
        let mended = eventually("recovery", PATIENCE, async || {
            let metrics = self.metrics().await?;
            let failing = metrics.values(FAILING, &[], "node");
            ensure!(failing.is_empty(), "still failing: {failing:?}");
            let nodes = items(json(&self.cluster.gateway, &format!("{}/nodes", VERSIONS[0])).await?)?;
            let old: Vec<_> =
                nodes.iter().filter(|item| Times::of(item).is_ok_and(|times| times.age() > FRESH)).collect();
            ensure!(nodes.len() == NODES && old.is_empty(), "{} nodes, of which old: {old:?}", nodes.len());
            Ok(())
        });
        mended.await?;
        let metrics = self.metrics().await?;
        self.story.still_failing = metrics.values(FAILING, &[], "node").into_iter().map(str::to_owned).collect();
        Ok(())
    }

    /// Looks at the nodes that are served, and at the reasons of those that fail, until `done`.
    async fn watch(&mut self, what: &str, done: impl Fn(&Metrics, &[String]) -> Result<()>) -> Result<()> {
        let names: Vec<String> = self.failing().map(|(name, _, _)| name).collect();
        let (mut spoilt, mut named) = (BTreeSet::new(), BTreeMap::<String, BTreeSet<String>>::new());
        let mut looks = 0;
        let watched = eventually(what, PATIENCE, async || {
            for gateway in [&self.cluster.gateway, &self.holding_none] {
                spoilt.extend(self.look_at_the_served(gateway).await?);
            }
            looks += 1;
            let metrics = self.metrics().await?;
            for name in metrics.values(FAILING, &[], "node") {
                let reasons = metrics.values(FAILING, &[("node", name)], "reason");
                named.entry(name.to_owned()).or_default().extend(reasons.into_iter().map(str::to_owned));
            }
            done(&metrics, &names)
        })
        .await;
        self.story.spoilt.extend(spoilt);
        self.story.looks += looks;
        for (name, reasons) in named {
            self.story.named.entry(name).or_default().extend(reasons);
        }
        watched
    }

    /// What is wrong with the nodes that are to be served, and with their pods.
    async fn look_at_the_served(&self, gateway: &Gateway) -> Result<Vec<String>> {
        let [nodes, pods] = self.lists(gateway).await?;
        let mut wrong = Vec::new();
        for trial in self.trials.iter().filter(|trial| trial.reason.is_none()) {
            let of_fleet = &self.cluster.fleet.nodes()[trial.node];
            let mut check = |name: &str, item: Option<&Value>, right: &dyn Fn(&Value) -> Result<()>| {
                let verdict = item.context("is not served").and_then(|item| {
                    let age = Times::of(item)?.age();
                    ensure!(age <= FRESH, "is {age:?} old");
                    // Summaries have times in whole seconds, so the first window after a change of source is inexact.
                    if matches!(trial.what, What::Fault(Fault::NotFoundOnlyResource)) { Ok(()) } else { right(item) }
                });
                wrong.extend(verdict.err().map(|error| format!("{name} of {}: {error:#}", of_fleet.name)));
            };
            check(&of_fleet.name, nodes.get(&of_fleet.name), &|item| self.cluster.fleet.check_node(trial.node, item));
            for pod in &of_fleet.pods {
                check(&pod.name, pods.get(&pod.name), &|item| self.cluster.fleet.check_pod(pod, item));
            }
        }
        Ok(wrong)
    }

    /// Nodes and pods by name; no two pods of a fleet share one.
    async fn lists(&self, gateway: &Gateway) -> Result<[BTreeMap<String, Value>; 2]> {
        let list = async |name: &str| -> Result<BTreeMap<String, Value>> {
            let items = items(json(gateway, &format!("{}/{name}", VERSIONS[0])).await?)?;
            let name = |item: &Value| item["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            Ok(items.into_iter().map(|item| (name(&item), item)).collect())
        };
        Ok([list("nodes").await?, list("pods").await?])
    }

    /// What is served of the failing nodes and their pods, without the time of the response.
    async fn items_of_failing(&self, gateway: &Gateway) -> Result<BTreeMap<String, Value>> {
        let [nodes, pods] = self.lists(gateway).await?;
        let of_failing: BTreeSet<String> = self
            .failing()
            .flat_map(|(name, node, _)| {
                let pods = self.cluster.fleet.nodes()[node].pods.iter().map(|pod| pod.name.clone());
                pods.chain([name]).collect::<Vec<_>>()
            })
            .collect();
        let all = nodes.into_iter().chain(pods).filter(|(name, _)| of_failing.contains(name));
        Ok(all
            .map(|(name, item)| (name, json!([item["timestamp"], item["window"], item["usage"], item["containers"]])))
            .collect())
    }

    fn failing(&self) -> impl Iterator<Item = (String, usize, &'static str)> {
        let nodes = self.cluster.fleet.nodes();
        self.trials.iter().filter_map(|trial| Some((nodes[trial.node].name.clone(), trial.node, trial.reason?)))
    }

    async fn metrics(&self) -> Result<Metrics> {
        Ok(Metrics::read(&self.cluster.gateway.metrics().await?))
    }
}

const FAILING: &str = "metrics_gateway_node_failing";
const FAILURES: &str = "metrics_gateway_scrape_failures_total";

/// How often a node has been asked, whatever came of it.
fn attempts(metrics: &Metrics, node: &str) -> f64 {
    metrics.sum("metrics_server_kubelet_request_duration_seconds_count", &[("node", node)])
}

impl Trial {
    fn begin(&self, cluster: &Cluster) {
        match &self.what {
            What::Nothing => {}
            What::Fault(fault) => cluster.fleet.set_fault(self.node, Some(fault.clone())),
            What::NoAddress => self.set_address(cluster, None),
            // A label of a name has 63 letters at most: resolvers refuse this one without asking anybody.
            What::UnknownHost => self.set_address(cluster, Some(&"x".repeat(70))),
        }
    }

    fn end(&self, cluster: &Cluster) {
        match &self.what {
            What::Nothing => {}
            What::Fault(_) => cluster.fleet.set_fault(self.node, None),
            What::NoAddress | What::UnknownHost => {
                let address = cluster.fleet.nodes()[self.node].address.ip().to_string();
                self.set_address(cluster, Some(&address));
            }
        }
    }

    fn set_address(&self, cluster: &Cluster, address: Option<&str>) {
        let of_fleet = &cluster.fleet.nodes()[self.node];
        let mut object = node(&of_fleet.name, address.unwrap_or_default(), of_fleet.address.port());
        if address.is_none() {
            object["status"]["addresses"] = json!([]);
        }
        cluster.api.objects().apply(Resource::Nodes, [object]);
    }
}

#[test]
fn the_other_nodes_stay_fresh_and_right_to_the_nanocore() {
    let story = story();
    assert!(story.looks >= 20, "looked {} times", story.looks);
    assert!(story.spoilt.is_empty(), "in {} looks: {:#?}", story.looks, story.spoilt);
}

#[test]
fn each_failing_node_is_named_with_its_reason_and_no_other() {
    let story = story();
    let expected: BTreeMap<String, BTreeSet<String>> =
        story.expected.iter().map(|(name, reason)| (name.clone(), [(*reason).to_owned()].into())).collect();
    assert_eq!(story.named, expected);
}

#[test]
fn each_failure_is_counted_under_its_reason() {
    let story = story();
    for (reason, counted) in &story.counted {
        let of_reason = story.expected.iter().filter(|(_, expected)| *expected == reason);
        let attempts: Vec<f64> = of_reason.map(|(name, _)| story.attempts[name]).collect();
        assert!(attempts.iter().all(|attempts| *attempts >= 2.0), "{reason}: {attempts:?}");
        // Each node may have been answering for the last time when the failures began.
        let (most, least) = (attempts.iter().sum::<f64>(), attempts.iter().map(|attempts| attempts - 1.0).sum::<f64>());
        assert!((least..=most).contains(counted), "{reason}: {counted} were counted of {attempts:?}");
    }
}

#[test]
fn a_failure_and_its_end_are_one_line_each_however_many_ticks_it_lasts() {
    let story = story();
    let is_of_failing = |line: &str| story.expected.keys().any(|name| line.contains(&format!("node={name} ")));
    let strays: Vec<&str> =
        story.log.lines().filter(|line| line.contains("failed to scrape") && !is_of_failing(line)).collect();
    assert!(strays.is_empty(), "of nodes that never failed: {strays:#?}");
    for (name, reason) in &story.expected {
        let lines = |text: &str| -> Vec<&str> {
            let of_node = |line: &&str| line.contains(&format!("node={name}")) && line.contains(text);
            story.log.lines().filter(of_node).collect()
        };
        let failures = lines("failed to scrape node");
        // The request that hangs when the kubelet is mended is cut off, which is a reason of its own.
        let (cut_off, failures): (Vec<_>, Vec<_>) =
            failures.into_iter().partition(|line| *reason != "broken-off" && line.contains("reason=\"broken-off\""));
        assert_eq!(failures.len(), 1, "{name}, after {} failures: {failures:#?}", story.attempts[name]);
        assert!(cut_off.len() <= 1, "{name}: {cut_off:#?}");
        let reason = format!("reason=\"{reason}\"");
        assert!(failures[0].contains("WARN") && failures[0].contains(&reason), "{}", failures[0]);
        assert_eq!(lines("answers again").len(), 1, "{name}: {}", story.log);
    }
}

#[test]
fn what_a_failing_node_said_last_is_held() {
    let story = story();
    assert_eq!(story.held.len(), story.expected.len() * 4, "each node and its three pods");
    for (name, [when_named, at_the_end]) in &story.held {
        assert_eq!(when_named, at_the_end, "{name}");
    }
}

#[test]
fn without_holding_a_failing_node_and_its_pods_vanish() {
    assert!(story().not_vanished.is_empty(), "still served: {:?}", story().not_vanished);
}

#[test]
fn a_line_that_cannot_be_read_is_counted_and_costs_nothing_else() {
    assert!(story().bad_lines >= 10.0, "{} bad lines were counted", story().bad_lines);
}

#[test]
fn a_kubelet_without_metrics_resource_is_asked_for_its_summary() {
    let asked = &story().asked_of_the_old_kubelet;
    let summaries = asked.iter().filter(|path| *path == "/stats/summary?only_cpu_and_memory=true").count();
    assert!(summaries >= 2, "{asked:?}");
}

#[test]
fn a_redirect_is_not_followed() {
    let asked = &story().asked_of_the_redirected_to;
    assert!(!asked.is_empty() && asked.iter().all(|path| path == "/metrics/resource"), "{asked:?}");
}

#[test]
fn nodes_that_hang_do_not_delay_the_readiness_of_a_new_gateway() {
    let took = story().newcomer.expect("it became ready");
    assert!(took < Duration::from_secs(20), "two ticks of 10 s make a rate, and it took {took:?}");
}

#[test]
fn endless_answers_cost_no_more_memory_than_the_limit_on_their_length() {
    let [before, after] = story().peaks.map(|peak| peak / MIB);
    println!("most resident memory before the failures: {before} MiB, after: {after} MiB");
    assert!(after - before <= MOST_MEMORY / MIB, "from {before} MiB to {after} MiB");
}

#[test]
fn a_node_that_answers_again_is_not_called_failing() {
    assert!(story().still_failing.is_empty(), "{:?}", story().still_failing);
}
