//! The benchmark: one metrics API server as a process, fed by a fleet in another process, asked as the aggregator asks.
//!
//! In: [`Options`]. Out: a [`Report`]: times, CPU and memory of the server's process as the kernel counts them, and
//! what lists cost, each beside what metrics-server needs. The API server's double and the clients run in this process
//! and are not counted. What the ticks use meanwhile is taken off the CPU time of requests, at the rate that was
//! measured while nobody asked.
//!
//! Every step has a limit in time; nothing that was started outlives the run.

mod load;
mod options;
mod policies;
mod process;
mod report;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::api_server::{ApiServer, User};
use crate::certs::{Certs, GATEWAY_HOST};
use crate::client::Client;
use crate::directory::Directory;
use crate::fleet::{Fleet, FleetSpec, raise_descriptor_limit};
use load::{Caller, Cost};
use process::{FleetProcess, Server};

pub use options::{HELP, Options};
pub use report::Report;

/// With the bar's fifty, a list of one namespace holds two in a hundred pods.
const NAMESPACES: usize = 50;
/// The token by which the server proves to kubelets and the API server who it is.
const TOKEN: &str = "token-of-the-measured-server";
const AT_ONCE: usize = 16;
/// Loading 150,000 pods takes its time, and so do the first two ticks.
const PATIENCE: Duration = Duration::from_secs(300);

/// Runs everything once.
///
/// # Errors
/// Where a process cannot be started, or does not come to the state that the next step needs.
pub async fn run(options: &Options) -> Result<Report> {
    raise_descriptor_limit();
    let directory = Directory::new("metrics-gateway-bench")?;
    let spec = FleetSpec {
        nodes: options.nodes,
        pods_per_node: options.pods,
        containers_per_pod: options.containers,
        namespaces: FleetSpec::numbered_namespaces(NAMESPACES),
        ..FleetSpec::default()
    };
    say("starting the kubelets");
    let (_kubelets, addresses) = FleetProcess::start(&spec, &directory, TOKEN)?;
    let fleet = Fleet::elsewhere(&spec, addresses);
    let certs = Arc::new(Certs::generate());
    let api = ApiServer::start(certs.clone()).await?;
    api.add_fleet(&fleet);
    write_files(&api, &certs, &directory)?;

    let port = free_port()?;
    let mut command = options.command(&directory, port)?;
    if options.policies {
        fs::write(policies::config(&directory), "")?;
        command.push(format!("--config={}", policies::config(&directory).display()));
    }
    let server = Server::start(&command, &directory)?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let measured = measure(options, &server, &certs, &fleet, &directory, address).await;
    let report = measured.with_context(|| format!("the server's log ends with:\n{}", server.log_end()))?;
    server.stop().await;
    Ok(report)
}

async fn measure(
    options: &Options,
    server: &Server,
    certs: &Certs,
    fleet: &Fleet,
    directory: &Directory,
    address: SocketAddr,
) -> Result<Report> {
    let mut report = Report::new(options);
    let client = || {
        let identity = certs.front_proxy_client();
        Caller::new(Client::new(address, GATEWAY_HOST, certs.cluster.roots(), Some(&identity)), options.gzip)
    };
    let started = Instant::now();
    listening(server, address).await?;
    report.add("listening after", "s", started.elapsed().as_secs_f64(), None);
    ready(server, &client).await?;
    report.add("ready after", "s", started.elapsed().as_secs_f64(), None);
    say("ready; waiting until every pod is served");
    complete(server, &client(), fleet).await?;

    let idle = idle(options, server).await?;
    let per_tick = idle.as_secs_f64() / f64::from(options.ticks);
    report.add("CPU per tick", "s", per_tick, Some(|bar| bar.cpu_per_tick));
    report.add("memory idle", "MiB", mebibytes(server.rss()?), Some(|bar| bar.rss_idle));
    report.add("memory idle, peak", "MiB", mebibytes(server.peak_rss()?), None);
    if options.policies {
        policies::measure(&mut report, options, server, directory, per_tick).await?;
        return Ok(report);
    }

    let background = per_tick / options.resolution.as_secs_f64();
    requests(&mut report, server, &client(), fleet, background).await?;
    at_once(&mut report, &client).await;
    report.add("memory after load", "MiB", mebibytes(server.rss()?), Some(|bar| bar.rss_loaded));
    report.add("memory, peak", "MiB", mebibytes(server.peak_rss()?), None);
    Ok(report)
}

async fn listening(server: &Server, address: SocketAddr) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(address).await.is_err() {
        ensure!(Instant::now() < deadline && server.runs(), "the server does not listen on {address}");
        sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}

/// Asks on a fresh connection each time, as a probe does.
async fn ready(server: &Server, client: &impl Fn() -> Caller) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !client().ask("/readyz").await.is_ok_and(|answer| answer.status.is_success()) {
        ensure!(Instant::now() < deadline && server.runs(), "the server does not get ready");
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Waits until a whole namespace, which lives on all nodes, is served.
async fn complete(server: &Server, client: &Caller, fleet: &Fleet) -> Result<()> {
    let namespace = &FleetSpec::numbered_namespaces(NAMESPACES)[0];
    let expected = fleet.nodes().iter().flat_map(|node| &node.pods).filter(|pod| pod.namespace == *namespace).count();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let served = client.count(&path_of_namespace(namespace)).await.unwrap_or(0);
        if served == expected {
            return Ok(());
        }
        let late = Instant::now() >= deadline || !server.runs();
        ensure!(!late, "the server serves {served} of {expected} pods of namespace {namespace:?}");
        sleep(Duration::from_secs(1)).await;
    }
}

async fn idle(options: &Options, server: &Server) -> Result<Duration> {
    say(&format!("measuring {} ticks of {:?}", options.ticks, options.resolution));
    let before = server.cpu_time()?;
    sleep(options.resolution * options.ticks).await;
    Ok(server.cpu_time()?.saturating_sub(before))
}

async fn requests(report: &mut Report, server: &Server, client: &Caller, fleet: &Fleet, background: f64) -> Result<()> {
    let pod = fleet.nodes().last().and_then(|node| node.pods.last()).context("a fleet without pods has no usage")?;
    let one_namespace = path_of_namespace(&pod.namespace);
    let one_pod = format!("{one_namespace}/{}", pod.name);
    say("asking");
    let all = Cost::measure(server, client, ALL_PODS, 10, background).await?;
    report.add_cost("list all pods", &all, Some(|bar| bar.list_all));
    let namespace = Cost::measure(server, client, &one_namespace, 200, background).await?;
    report.add_cost("list one namespace", &namespace, Some(|bar| bar.list_namespace));
    let one = Cost::measure(server, client, &one_pod, 4000, background).await?;
    report.add_cost("get one pod", &one, Some(|bar| bar.get_one));
    let nodes = Cost::measure(server, client, ALL_NODES, 50, background).await?;
    report.add_cost("list nodes", &nodes, None);
    Ok(())
}

async fn at_once(report: &mut Report, client: &impl Fn() -> Caller) {
    let outcome = load::at_once((0..AT_ONCE).map(|_| client()).collect(), ALL_PODS).await;
    report.add("16 lists at once", "s", outcome.took.as_secs_f64(), Some(|bar| bar.at_once));
    report.add("16 lists at once, errors", "", f64::from(outcome.errors), None);
}

const ALL_PODS: &str = "/apis/metrics.k8s.io/v1beta1/pods";
const ALL_NODES: &str = "/apis/metrics.k8s.io/v1beta1/nodes";

fn path_of_namespace(namespace: &str) -> String {
    format!("/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods")
}

fn write_files(api: &ApiServer, certs: &Certs, directory: &Directory) -> Result<()> {
    api.access().add_token(TOKEN, User::service_account("kube-system", "metrics-server"));
    fs::write(directory.file("token"), TOKEN)?;
    api.write_kubeconfig_with_token_file(&directory.file("kubeconfig"), &directory.file("token"))?;
    certs.gateway().write(directory.path(), "serving")?;
    Ok(())
}

/// A port that was free a moment ago. Servers take a number, not an open socket.
fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

#[expect(clippy::cast_precision_loss, reason = "no process has 2^53 bytes")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Progress goes to stderr, so that stdout holds the table alone.
fn say(what: &str) {
    eprintln!("bench: {what}");
}
