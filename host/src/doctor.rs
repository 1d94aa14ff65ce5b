//! `metrics-gateway doctor`: walks the whole chain from a client's question to a kubelet's answer, and says of each link
//! whether it holds, and if not why, and what mends it.
//!
//! In: a kubeconfig, and the gateway's flags if they are to be other than those of its Deployment. Out: a [`Report`].
//! Nothing is changed, and nothing but reviews is written. One check that fails keeps no other from being made, unless it
//! would make no sense.
//!
//! What is read of the cluster (`gather` in each module) is apart from what follows from it (`judge`), so that each cause
//! can be shown by a table. Everything read is taken for hostile: sizes and times are bounded, texts are made printable
//! where they enter the report. Every cause stands in one table, [`cause::Cause`].
//!
//! Absent on purpose: asking the gateway itself for its state, which is what `status` and `explain` are for; doctor has to
//! work when there is no gateway to ask.

mod account;
mod aggregation;
mod answers;
mod backend;
pub mod cause;
mod certificate;
mod dial;
mod kubectl;
mod kubelets;
mod nodes;
mod permissions;
mod printable;
mod registration;
pub mod report;
mod server;
mod serving;
mod settings;
mod symptom;
mod version;

use std::ffi::OsString;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustls_pki_types::CertificateDer;

use crate::args::Args;
use crate::clock::Clock;
use crate::discovery;
use answers::Expected;
use backend::Backend;
use cause::Cause;
pub use kubectl::Kubectl;
use nodes::judge::{Measure, approve, judge};
use registration::{Registration, Surroundings, VERSIONS};
use report::{Finding, Remedy, Report, Verdict};
use server::Server;
use settings::Settings;

/// What is to be looked at, and from where.
pub struct Options {
    /// How the API server is reached, and who we are.
    pub cluster: kube::Config,
    /// Whether we run in a pod of the cluster, as its service account.
    pub is_in_pod: bool,
    /// How kubectl is called in the commands that are printed.
    pub kubectl: Kubectl,
    /// The Service of the gateway: its namespace,
    pub namespace: String,
    /// and its name.
    pub service: String,
    /// The nodes to look at; empty: all.
    pub nodes: Vec<String>,
    /// For each question by itself.
    pub timeout: Duration,
    /// The gateway's flags; None: those of its Deployment.
    pub flags: Option<Args>,
    /// Where certificates expire and samples grow old.
    pub clock: Clock,
}

/// The gateway's flags as they follow `--`.
///
/// # Errors
/// With what the gateway would say of them.
pub fn flags(words: &[OsString]) -> Result<Args, String> {
    settings::parse(words.iter().cloned())
}

/// Makes all checks, in order.
///
/// # Errors
/// If the kubeconfig cannot be used at all.
pub async fn examine(options: Options) -> Result<Report> {
    let client = discovery::client(options.cluster.clone()).context("cannot set up a client for the API server")?;
    let server = Server::new(client, options.timeout);
    let url = options.cluster.cluster_url.to_string();
    let (finding, is_blind) = version::examine(&server, &url, options.kubectl.clone()).await;
    let mut report = Report { findings: vec![finding], is_blind };
    if !is_blind {
        walk(&server, options, &mut report.findings).await;
        // Where nothing at all may be read, "nothing failed" would be a lie.
        report.is_blind = report.findings[1..].iter().all(|finding| finding.verdict == Verdict::Skipped);
    }
    Ok(report)
}

async fn walk(server: &Server, mut options: Options, findings: &mut Vec<Finding>) {
    let now = options.clock.now();
    let seconds = i64::try_from(now.seconds()).unwrap_or(i64::MAX);
    let registrations = registrations(server).await;
    let backend = find_backend(server, &registrations, &options).await;
    let is_available = registrations.iter().any(Registration::is_available);

    let aggregation = aggregation::gather(server).await;
    findings.extend(aggregation::judge(&aggregation, is_available, seconds, &options.kubectl));

    let surroundings = Surroundings {
        backend: &backend,
        expected: (&options.namespace, &options.service),
        shown: serving::seen(server, &backend, options.timeout).await,
        authorities: authorities(&options.cluster),
        now: seconds,
        kubectl: &options.kubectl,
    };
    findings.extend(registrations.iter().flat_map(|registration| registration.judge(&surroundings)));
    findings.extend(backend.judge(&options.kubectl));

    let flags = options.flags.take();
    let (settings, about) = settings::gather(server, &backend, flags, options.is_in_pod).await;
    findings.extend(about);
    findings.extend(check_permissions(server, &backend, &settings, &options).await);
    check_nodes(server, &backend, &settings, &options, findings).await;
}

async fn registrations(server: &Server) -> Vec<Registration> {
    let mut registrations = Vec::new();
    for version in VERSIONS {
        let object = server.get(&Registration::path(version)).await;
        registrations.push(Registration { version, object });
    }
    registrations
}

/// Where the APIService points, or where the gateway should be.
async fn find_backend(server: &Server, registrations: &[Registration], options: &Options) -> Backend {
    let expected = (&*options.namespace, &*options.service);
    let (namespace, name) = registrations.iter().find_map(Registration::service).unwrap_or(expected);
    let pointed_at = backend::gather(server, namespace, name).await;
    // Where it points into the void, what is there in truth is more worth knowing.
    if pointed_at.service.is_err() && (namespace, name) != expected {
        return backend::gather(server, expected.0, expected.1).await;
    }
    pointed_at
}

fn authorities(cluster: &kube::Config) -> Vec<CertificateDer<'static>> {
    cluster.root_cert.iter().flatten().cloned().map(CertificateDer::from).collect()
}

async fn check_permissions(server: &Server, backend: &Backend, settings: &Settings, options: &Options) -> Vec<Finding> {
    let needs = permissions::Needs {
        namespaces: settings.tenants.needs_namespace_labels || account::selects_namespaces(settings),
        events: account::events_deployment(backend),
    };
    match account::find(server, backend, settings, options).await {
        Ok(account) => permissions::examine(server, &account, &needs, &options.kubectl).await,
        Err(why) => vec![Finding::skipped("permissions", "", why)],
    }
}

async fn check_nodes(
    server: &Server,
    backend: &Backend,
    settings: &Settings,
    options: &Options,
    findings: &mut Vec<Finding>,
) {
    let now = options.clock.now();
    let objects = match server.list("/api/v1/nodes", "").await {
        Ok(objects) => objects,
        Err(unread) => return findings.push(Finding::skipped("node", "", format!("nodes cannot be listed: {unread}"))),
    };
    let mut wanted = nodes::read(objects, settings);
    for name in &options.nodes {
        if !wanted.iter().any(|node| node.name.as_str() == name) {
            let command = options.kubectl.line(&["get", "nodes"]);
            let remedy = Remedy::commands("compare", vec![command]);
            let message = "there is no such node, or --node-selector leaves it out";
            findings.push(Finding::failed("node", name, Cause::NodeNotFound, message, remedy));
        }
    }
    let are_all = options.nodes.is_empty();
    wanted.retain(|node| are_all || options.nodes.iter().any(|name| name == node.name.as_str()));

    let pending = check_requests(server, &options.kubectl, findings).await;
    let limit = options.timeout;
    let (kubelets, about) = kubelets::gather(settings, &options.cluster, options.is_in_pod, limit).await;
    findings.extend(about);
    let (sights, why_by_proxy) = nodes::gather(server, &wanted, settings, &kubelets, limit).await;
    if let (Some(why), false) = (why_by_proxy, sights.is_empty()) {
        findings.push(by_proxy(&why, backend, &options.kubectl));
    }
    let measure = Measure {
        authorities: kubelets.authorities.as_deref(),
        server_name: kubelets.server_name.as_deref(),
        pending: &pending,
        account: if kubelets.are_its_own { "the gateway" } else { "you" },
        kinds: &settings.config.scrape.addresses.kinds,
        now,
        kubectl: &options.kubectl,
    };
    let about_nodes: Vec<Finding> = sights.iter().map(|sight| judge(sight, &measure)).collect();
    let answers = answers::gather(server).await;
    let expected = Expected {
        sights: &sights,
        are_all,
        findings: &about_nodes,
        resolution: settings.config.scrape.resolution,
        started_at: backend.started_at(),
        now: options.clock.now(),
    };
    let about_answers = answers::judge(&answers, &expected);
    findings.extend(about_nodes);
    findings.extend(about_answers);
}

/// Requests for serving certificates that nobody has approved.
async fn check_requests(
    server: &Server,
    kubectl: &Kubectl,
    findings: &mut Vec<Finding>,
) -> std::collections::BTreeMap<String, Vec<String>> {
    let id = "kubelet-certificates";
    match nodes::pending_requests(server).await {
        Ok(pending) if pending.is_empty() => {
            findings.push(Finding::ok(id, "", "no request for a kubelet's serving certificate waits to be approved"));
            pending
        }
        Ok(pending) => {
            let requests: Vec<String> = pending.values().flatten().cloned().collect();
            let nodes: Vec<&str> = pending.keys().take(10).map(String::as_str).collect();
            let message =
                format!("{} to be approved, of {}", backend::count(requests.len(), "request"), nodes.join(", "));
            findings.push(Finding::warning(id, "", Cause::NodeCsrPending, message, approve(&requests, kubectl)));
            pending
        }
        Err(unread) => {
            findings.push(Finding::skipped(id, "", format!("certificate signing requests cannot be listed: {unread}")));
            std::collections::BTreeMap::new()
        }
    }
}

fn by_proxy(why: &str, backend: &Backend, kubectl: &Kubectl) -> Finding {
    let message =
        format!("kubelets are asked by the API server's node proxy, and their certificates not judged: {why}");
    let text = "run doctor where the gateway runs, to see what it sees";
    let commands = backend.deployment().map(|deployment| {
        let object = format!("deployment/{}", server::text(deployment, "/metadata/name"));
        kubectl.line(&["-n", &backend.namespace, "exec", &object, "--", "/metrics-gateway", "doctor"])
    });
    let remedy = Remedy::commands(text, commands.into_iter().collect());
    Finding::warning("nodes-reach", "", Cause::NodesOutOfReach, message, remedy)
}
