//! The demo: a whole cluster in this process, the real gateway beside it, and its figures in the terminal.
//!
//! In: how large. Out: tables on stdout, progress on stderr, until Ctrl-C or, with `--once`, until the first tables. The
//! figures come through the aggregated API, as a client of a cluster would get them. When it ends, for whatever reason,
//! the gateway ends with it and nothing is left on disk.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use http::StatusCode;
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep};

use crate::api_server::{ApiServer, MASTERS};
use crate::certs::Certs;
use crate::client::Client;
use crate::directory::Directory;
use crate::fleet::{Fleet, FleetSpec};
use crate::gateway::Gateway;
use crate::table;

/// How to call it.
pub const USAGE: &str = "usage: demo [--once] [--nodes N] [--pods N]";

/// How long the first figures may take: a rate needs two samples, and those are 10 s apart.
const PATIENCE: Duration = Duration::from_secs(90);
/// What the gateway is told to use; the least that metrics-server accepts.
const RESOLUTION: Duration = Duration::from_secs(10);
/// How often the tables are drawn anew.
const REFRESH: Duration = Duration::from_secs(3);
/// How many rows of each table fit on an ordinary screen together.
const SHOWN: usize = 12;

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Print the tables once, whole, and end.
    pub once: bool,
    /// How many kubelets.
    pub nodes: usize,
    /// How many pods, all together; rounded up to the same number on every node.
    pub pods: usize,
}

impl Options {
    /// From the command line, without the program's name.
    ///
    /// # Errors
    /// Where an argument is unknown, or no number, or zero.
    pub fn parse(args: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut options = Self { once: false, nodes: 5, pods: 40 };
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            let (name, value) = match arg.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (arg, None),
            };
            let mut number = || match value.clone().or_else(|| args.next()).map(|text| text.parse()) {
                Some(Ok(number)) if number > 0 => Ok(number),
                _ => Err(format!("{name} needs a number above zero")),
            };
            match name.as_str() {
                "--once" => options.once = true,
                "--nodes" => options.nodes = number()?,
                "--pods" => options.pods = number()?,
                _ => return Err(format!("unknown argument {name:?}")),
            }
        }
        Ok(options)
    }
}

/// Runs the demo until it is interrupted, or has printed its tables once.
///
/// # Errors
/// Where the gateway cannot be started, ends, or serves no usage in time; with the reason.
pub async fn run(options: Options) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        result = show(options) => result,
        interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
        _ = terminate.recv() => Ok(()),
    }
}

async fn show(options: Options) -> Result<()> {
    let cluster = Cluster::start(options).await?;
    let began = Instant::now();
    let first = cluster.first_usage(began).await?;
    if options.once {
        print!("{}", first.tables(usize::MAX));
        return Ok(());
    }
    cluster.show_for_ever().await
}

/// Everything that runs.
struct Cluster {
    options: Options,
    gateway: Gateway,
    client: Client,
    directory: Directory,
    _fleet: Fleet,
    _api: ApiServer,
}

impl Cluster {
    async fn start(options: Options) -> Result<Self> {
        let certs = Arc::new(Certs::generate());
        let api = ApiServer::start(certs.clone()).await.context("starting the API server")?;
        let spec = FleetSpec {
            nodes: options.nodes,
            pods_per_node: options.pods.div_ceil(options.nodes),
            namespaces: ["shop", "payments", "kube-system"].map(str::to_owned).to_vec(),
            ..FleetSpec::default()
        };
        let fleet = Fleet::start(spec, &certs).await;
        api.add_fleet(&fleet);
        let admin = certs.user("kubernetes-admin", &[MASTERS]);
        let directory = Directory::new("metrics-gateway-demo")?;
        api.write_kubeconfig(&directory.file("kubeconfig"), &admin)?;
        let resolution = format!("--metric-resolution={}s", RESOLUTION.as_secs());
        let gateway = Gateway::start(&api, &[&resolution])?;
        let client = api.client(Some(&admin));
        Ok(Self { options, gateway, client, directory, _fleet: fleet, _api: api })
    }

    /// Waits until every node and pod has usage; of an incomplete picture, the last one counts.
    async fn first_usage(&self, began: Instant) -> Result<Picture> {
        let mut progress = Progress::default();
        loop {
            let seen = self.picture().await;
            if let Some(status) = self.gateway.ended()? {
                bail!("the gateway ended with {status}; its log is:\n{}", self.gateway.log());
            }
            let is_late = began.elapsed() > PATIENCE;
            let (waiting_for, reason) = match seen {
                Ok(picture) if self.is_complete(&picture) || (is_late && !picture.is_empty()) => return Ok(picture),
                Ok(picture) => (self.missing(&picture), String::new()),
                Err(reason) => ("the gateway to be available".to_owned(), format!(" ({reason:#})")),
            };
            if is_late {
                let log = self.gateway.log();
                bail!("no usage in {PATIENCE:?}; still waiting for {waiting_for}{reason}; the log is:\n{log}");
            }
            progress.show(&waiting_for, (RESOLUTION * 2).saturating_sub(began.elapsed()));
            sleep(Duration::from_millis(500)).await;
        }
    }

    fn missing(&self, picture: &Picture) -> String {
        let (nodes, pods) = (picture.nodes.len(), picture.pods.len());
        format!("the first window: {nodes} of {} nodes, {pods} of {} pods", self.options.nodes, self.pods())
    }

    fn is_complete(&self, picture: &Picture) -> bool {
        picture.nodes.len() == self.options.nodes && picture.pods.len() == self.pods()
    }

    /// How many there really are.
    fn pods(&self) -> usize {
        self.options.pods.div_ceil(self.options.nodes) * self.options.nodes
    }

    async fn show_for_ever(&self) -> Result<()> {
        let is_terminal = std::io::stdout().is_terminal();
        let commands = self.commands();
        if !is_terminal {
            println!("{commands}");
        }
        loop {
            let text = match self.picture().await {
                Ok(picture) => picture.tables(SHOWN),
                Err(error) => format!("no figures at the moment: {error:#}\n"),
            };
            if is_terminal {
                // Home, and clear to the end: what scrolled away stays readable above.
                print!("\x1b[H\x1b[J{commands}\n{text}\nCtrl-C ends everything.\n");
            } else {
                println!("{text}");
            }
            std::io::stdout().flush()?;
            if let Some(status) = self.gateway.ended()? {
                bail!("the gateway ended with {status}; its log is:\n{}", self.gateway.log());
            }
            sleep(REFRESH).await;
        }
    }

    fn commands(&self) -> String {
        let kubectl = format!("kubectl --kubeconfig {}", self.directory.file("kubeconfig").display());
        let tries = ["top nodes", "top pods -A --containers", "get --raw /apis/metrics.k8s.io/v1beta1/nodes"];
        let lines: String = tries.map(|arguments| format!("  {kubectl} {arguments}\n")).concat();
        format!("Try, in another terminal:\n{lines}")
    }

    async fn picture(&self) -> Result<Picture> {
        let metrics = "/apis/metrics.k8s.io/v1beta1";
        let capacities = items(&self.client, "/api/v1/nodes").await?;
        let nodes = items(&self.client, &format!("{metrics}/nodes")).await?;
        let pods = items(&self.client, &format!("{metrics}/pods")).await?;
        Ok(Picture::new(&capacities, &nodes, &pods))
    }
}

async fn items(client: &Client, path: &str) -> Result<Vec<Value>> {
    let answer = client.get(path, &[("accept", "application/json")]).await?;
    let text = String::from_utf8_lossy(&answer.body);
    if answer.status != StatusCode::OK {
        bail!("{path} answers {}: {}", answer.status, text.trim());
    }
    let mut list: Value = serde_json::from_str(&text).with_context(|| format!("{path} answers no JSON"))?;
    match list["items"].take() {
        Value::Array(items) => Ok(items),
        other => bail!("{path} answers {other} as items"),
    }
}

/// A line that says what is waited for: drawn over itself in a terminal, otherwise printed when it changes.
#[derive(Default)]
struct Progress {
    last: String,
}

impl Progress {
    fn show(&mut self, waiting_for: &str, left: Duration) {
        if std::io::stderr().is_terminal() {
            let left = match left.as_secs() {
                0 => "any moment now".to_owned(),
                seconds => format!("about {seconds} s left"),
            };
            eprint!("\r\x1b[Kwaiting for {waiting_for} ({left})");
        } else if self.last != waiting_for {
            eprintln!("waiting for {waiting_for} (up to {} s)", left.as_secs().max(1));
        }
        waiting_for.clone_into(&mut self.last);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if std::io::stderr().is_terminal() && !self.last.is_empty() {
            eprint!("\r\x1b[K");
        }
    }
}

/// What the API says at one moment.
struct Picture {
    nodes: Vec<NodeUsage>,
    pods: Vec<PodUsage>,
}

struct NodeUsage {
    name: String,
    used: Amounts,
    capacity: Amounts,
}

struct PodUsage {
    namespace: String,
    name: String,
    used: Amounts,
}

/// CPU and memory, in thousand-millionths of a core and of a byte.
#[derive(Clone, Copy, Default)]
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
    fn new(nodes: &[Value], node_metrics: &[Value], pod_metrics: &[Value]) -> Self {
        let text = |object: &Value, field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
        let capacities: BTreeMap<String, Amounts> =
            nodes.iter().map(|node| (text(node, "name"), Amounts::of(&node["status"]["allocatable"]))).collect();
        let node = |metrics: &Value| {
            let name = text(metrics, "name");
            let capacity = capacities.get(&name).copied().unwrap_or_default();
            NodeUsage { name, used: Amounts::of(&metrics["usage"]), capacity }
        };
        let pod = |metrics: &Value| {
            let containers = metrics["containers"].as_array().into_iter().flatten();
            let used =
                containers.map(|container| Amounts::of(&container["usage"])).fold(Amounts::default(), Amounts::plus);
            PodUsage { namespace: text(metrics, "namespace"), name: text(metrics, "name"), used }
        };
        let mut pods: Vec<PodUsage> = pod_metrics.iter().map(pod).collect();
        pods.sort_by_key(|pod| std::cmp::Reverse(pod.used.cpu));
        Self { nodes: node_metrics.iter().map(node).collect(), pods }
    }

    fn is_empty(&self) -> bool {
        self.nodes.is_empty() || self.pods.is_empty()
    }

    /// Both tables, each with at most `limit` rows.
    fn tables(&self, limit: usize) -> String {
        let node = |node: &NodeUsage| {
            let cpu_share = table::per_cent(node.used.cpu, node.capacity.cpu);
            let memory_share = table::per_cent(node.used.memory, node.capacity.memory);
            let (cpu, memory) = (table::millicores(node.used.cpu), table::mebibytes(node.used.memory));
            [node.name.clone(), cpu, cpu_share, memory, memory_share]
        };
        let pod = |pod: &PodUsage| {
            let (cpu, memory) = (table::millicores(pod.used.cpu), table::mebibytes(pod.used.memory));
            [pod.namespace.clone(), pod.name.clone(), cpu, memory]
        };
        let nodes: Vec<_> = self.nodes.iter().take(limit).map(node).collect();
        let pods: Vec<_> = self.pods.iter().take(limit).map(pod).collect();
        let mut out = table::columns(["NODE", "CPU(cores)", "CPU%", "MEMORY(bytes)", "MEMORY%"], &nodes);
        out.push_str(&more(self.nodes.len(), limit));
        out.push('\n');
        out.push_str(&table::columns(["NAMESPACE", "POD", "CPU(cores)", "MEMORY(bytes)"], &pods));
        out.push_str(&more(self.pods.len(), limit));
        out
    }
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
