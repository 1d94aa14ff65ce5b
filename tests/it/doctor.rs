//! `metrics-gateway doctor` names what is wrong between a client and a kubelet, by a fixed word, with what mends it.
//!
//! Every symptom that the guides describe is made here on a cluster that fits in a process: real certificates, real refusals,
//! the real binary. What a control plane says of itself (APIServices, requests for certificates) is put there as it says it.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use harness::api_server::{ApiServer, Decision, MASTERS, Resource, User, objects};
use harness::certs::Certs;
use harness::cluster::Cluster;
use harness::directory::Directory;
use harness::fleet::{Fault, Fleet, FleetSpec};
use harness::gateway::{Gateway, binary};
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// As the gateway of the harness is started, in its own directory.
const FLAGS: [&str; 6] = [
    "--kubeconfig=kubeconfig",
    "--kubelet-certificate-authority=cluster-ca.crt",
    "--kubelet-use-node-status-port",
    "--kubelet-preferred-address-types=InternalIP",
    "--metric-resolution=10s",
    "--kubelet-request-timeout=5s",
];

const V1BETA1: &str = "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.k8s.io";
const REQUESTS: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
const ENDPOINTS: &str = "/api/v1/namespaces/kube-system/endpoints/metrics-server";

/// What doctor said.
struct Said {
    code: Option<i32>,
    json: Value,
    /// Both outputs, for whoever reads a failure.
    shown: String,
}

impl Said {
    fn checks(&self) -> &[Value] {
        self.json["checks"].as_array().map_or(&[], Vec::as_slice)
    }

    /// The causes that were named, each with its subject, without those that only warn.
    fn failures(&self) -> Vec<(&str, &str)> {
        self.named("failed")
    }

    fn named(&self, verdict: &str) -> Vec<(&str, &str)> {
        let named = self.checks().iter().filter(|check| check["verdict"] == verdict);
        named.map(|check| (check["subject"].as_str().unwrap_or(""), check["cause"].as_str().unwrap_or(""))).collect()
    }

    /// The check of this subject that ended with this cause.
    fn check(&self, subject: &str, cause: &str) -> Result<&Value> {
        let found = self.checks().iter().find(|check| check["subject"] == subject && check["cause"] == cause);
        found.with_context(|| format!("no {cause:?} of {subject:?} in {}", self.shown))
    }
}

/// Runs doctor as an administrator, beside the gateway.
async fn doctor(api: &ApiServer, directory: &Directory, options: &[&str], flags: &[&str]) -> Result<Said> {
    api.write_kubeconfig(&directory.file("admin"), &api.certs().user("kubernetes-admin", &[MASTERS]))?;
    run(directory, &[&["doctor", "--kubeconfig=admin", "--timeout=3s", "-o", "json"], options, &["--"], flags].concat())
        .await
}

async fn run(directory: &Directory, words: &[&str]) -> Result<Said> {
    let mut command = Command::new(binary()?);
    command.current_dir(directory.path()).args(words).env_remove("KUBECONFIG").env_remove("KUBERNETES_SERVICE_HOST");
    // The cluster lives in this thread, and has to go on meanwhile.
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let shown = format!("{}{}", text(&output.stdout), text(&output.stderr));
    let json = serde_json::from_slice(&output.stdout).unwrap_or_default();
    Ok(Said { code: output.status.code(), json, shown })
}

/// What a control plane would say of a gateway at `address` that is in its place.
fn register(api: &ApiServer, address: SocketAddr) {
    for version in ["v1beta1", "v1"] {
        let path = V1BETA1.replace("v1beta1", version);
        api.put_document(&path, 200, api_service(api.certs().cluster.pem(), "True", "Passed", "all checks passed"));
    }
    let service = json!({"metadata": {"name": "metrics-server"}, "spec": {"ports": [{"name": "https", "port": 443}]}});
    api.put_document("/api/v1/namespaces/kube-system/services/metrics-server", 200, service);
    api.put_document(ENDPOINTS, 200, endpoints(address));
    for list in ["/apis/apps/v1/namespaces/kube-system/deployments", "/apis/apps/v1/daemonsets", REQUESTS] {
        api.put_document(list, 200, json!({"items": []}));
    }
}

fn endpoints(address: SocketAddr) -> Value {
    let ip = address.ip().to_string();
    json!({"subsets": [{"addresses": [{"ip": ip}], "ports": [{"name": "https", "port": address.port()}]}]})
}

fn api_service(ca: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({
        "metadata": {"name": "v1beta1.metrics.k8s.io"},
        "spec": {
            "service": {"namespace": "kube-system", "name": "metrics-server", "port": 443},
            "caBundle": base64::engine::general_purpose::STANDARD.encode(ca),
        },
        "status": {"conditions": [{"type": "Available", "status": status, "reason": reason, "message": message}]},
    })
}

async fn cluster(nodes: usize) -> Result<Cluster> {
    cluster_of(FleetSpec { nodes, pods_per_node: 2, ..FleetSpec::default() }).await
}

async fn cluster_of(spec: FleetSpec) -> Result<Cluster> {
    let cluster = Cluster::start(spec, &[]).await?;
    cluster.gateway.wait_for_log("serving", Duration::from_secs(20)).await?;
    register(&cluster.api, cluster.gateway.address());
    Ok(cluster)
}

async fn examine(cluster: &Cluster) -> Result<Said> {
    doctor(&cluster.api, cluster.gateway.directory(), &[], &FLAGS).await
}

#[tokio::test]
async fn a_healthy_chain_has_neither_failure_nor_warning_and_ends_with_0() -> Result<()> {
    let cluster = cluster(3).await?;
    cluster.wait_for_usage().await?;
    let said = examine(&cluster).await?;
    assert_eq!((said.code, said.failures(), said.named("warning")), (Some(0), vec![], vec![]), "{}", said.shown);
    let looked_at = [
        "api-server",
        "authentication-config",
        "api-service",
        "ca-bundle",
        "service",
        "permissions",
        "node",
        "node-metrics",
        "pod-metrics",
    ];
    for id in looked_at {
        ensure!(
            said.checks().iter().any(|check| check["id"] == id && check["verdict"] == "ok"),
            "{id}: {}",
            said.shown
        );
    }
    assert_eq!(said.json["version"], 1);
    let directory = cluster.gateway.directory();
    let words = [&["doctor", "--kubeconfig=admin", "--node=node-0001", "--"], &FLAGS[..]].concat();
    let text = run(directory, &words).await?;
    let lines = text.shown.lines().filter(|line| line.starts_with("ok       node node-")).count();
    assert_eq!((text.code, lines), (Some(0), 1), "one node was asked for: {}", text.shown);
    ensure!(text.shown.contains("certificate for node-0001, localhost, 127.0.0.1 by \"kubernetes\""), "{}", text.shown);
    Ok(())
}

#[tokio::test]
async fn each_fault_of_a_kubelet_is_named_and_no_other_node_is_blamed() -> Result<()> {
    let cluster = cluster(2).await?;
    let says = |code, words: &str| Fault::Says(code, words.to_owned());
    let subject = "verb=get, resource=nodes, subresource=metrics)";
    let faults = [
        (Fault::WrongName, "node-certificate-no-ip-sans", "doesn't contain any IP SANs"),
        (Fault::Expired, "node-certificate-expired", "has expired or is not yet valid"),
        (Fault::ForeignCa, "node-certificate-authority", "signed by unknown authority"),
        (Fault::Refused, "node-refused", "connection refused"),
        (Fault::Hang, "node-hung", "i/o timeout"),
        (says(401, "Unauthorized"), "node-401", "401"),
        (
            says(403, &format!("Forbidden (user=system:anonymous, {subject}")),
            "node-403-anonymous",
            "user=system:anonymous",
        ),
        (says(403, &format!("Forbidden (user=metrics, {subject}")), "node-403", "user=metrics"),
        (says(404, "404 page not found"), "node-404", "404"),
        (Fault::Garbage, "node-answer-unreadable", "cannot be read"),
        (Fault::CutOff, "node-answer-unreadable", ""),
        (Fault::Body(b"node_cpu_usage_seconds_total 0\n".into()), "node-metrics-zero", "zero"),
    ];
    for (fault, cause, words) in faults {
        cluster.fleet.set_fault(1, Some(fault.clone()));
        let said = examine(&cluster).await?;
        let check = said.check("node-0001", cause).with_context(|| format!("{fault:?}"))?;
        ensure!(check["message"].as_str().is_some_and(|message| message.contains(words)), "{words:?} in {check}");
        ensure!(check["remedy"].as_str().is_some_and(|remedy| remedy.len() > 10), "{check}");
        ensure!(
            said.checks().iter().any(|it| it["subject"] == "node-0000" && it["id"] == "node" && it["verdict"] == "ok"),
            "{}",
            said.shown
        );
        assert_eq!(said.code, Some(1), "{fault:?}");
        cluster.fleet.set_fault(1, None);
    }
    Ok(())
}

/// A port whose queue is full: further connections are neither accepted nor refused.
struct FullQueue {
    listener: TcpListener,
    _waiting: Vec<TcpStream>,
}

impl FullQueue {
    fn new() -> Result<Self> {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
        socket.bind(&"127.0.0.1:0".parse::<SocketAddr>()?.into())?;
        socket.listen(0)?;
        let listener = TcpListener::from(socket);
        let address = listener.local_addr()?;
        let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(100));
        // One is taken in, or two, and then no more.
        let waiting = (0..4).filter_map(|_| connect().ok()).collect();
        Ok(Self { listener, _waiting: waiting })
    }
}

#[tokio::test]
async fn a_name_that_nobody_knows_and_a_port_that_never_answers_are_told_apart() -> Result<()> {
    let cluster = cluster(1).await?;
    let node = |name: &str, address: &str, port| {
        cluster.api.objects().apply(Resource::Nodes, [objects::node(name, address, port)]);
    };
    // Longer than a label may be: the resolver need not ask anybody.
    node("nameless", &"n".repeat(64), 10250);
    let full = FullQueue::new()?;
    node("silent", "127.0.0.1", full.listener.local_addr()?.port());
    let said = examine(&cluster).await?;
    said.check("nameless", "node-no-such-host")?;
    let silent = said.check("silent", "node-timeout")?;
    ensure!(silent["message"].as_str().is_some_and(|message| message.contains("i/o timeout")), "{silent}");
    let nobody = doctor(&cluster.api, cluster.gateway.directory(), &["--node=nobody"], &FLAGS).await?;
    nobody.check("nobody", "node-not-found")?;
    Ok(())
}

#[tokio::test]
async fn a_certificate_for_other_names_is_told_with_the_one_that_would_verify() -> Result<()> {
    let cluster = cluster(1).await?;
    // Its kubelet's certificate names node-0000, localhost and 127.0.0.1, and this is another address of loopback.
    let port = cluster.fleet.nodes()[0].address.port();
    let (forwarder, _tasks) = forward("127.0.0.2:0", port).await?;
    let mut node = objects::node("node-0000", "127.0.0.2", forwarder.port());
    node["status"]["addresses"] = json!([{"type": "InternalIP", "address": "127.0.0.2"}]);
    cluster.api.objects().apply(Resource::Nodes, [node]);
    let said = examine(&cluster).await?;
    let check = said.check("node-0000", "node-certificate-name")?;
    let message = check["message"].as_str().unwrap_or_default();
    ensure!(
        message.contains("x509: certificate is valid for node-0000, localhost, 127.0.0.1, not 127.0.0.2"),
        "{check}"
    );
    ensure!(
        check["remedy"].as_str().is_some_and(|it| it.contains("it verifies by the server name \"node-0000\"")),
        "{check}"
    );
    Ok(())
}

/// Passes connections to `address` on to a port of 127.0.0.1, for as long as the tasks are kept.
async fn forward(address: &str, port: u16) -> Result<(SocketAddr, JoinSet<()>)> {
    let listener = tokio::net::TcpListener::bind(address).await?;
    let own = listener.local_addr()?;
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut from, _)) = listener.accept().await {
            connections.spawn(async move {
                if let Ok(mut to) = tokio::net::TcpStream::connect(("127.0.0.1", port)).await {
                    let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
                }
            });
        }
    });
    Ok((own, tasks))
}

#[tokio::test]
async fn a_request_for_a_certificate_that_waits_is_named_with_the_command_that_approves_it() -> Result<()> {
    let cluster = cluster(2).await?;
    let request = |name: &str, conditions: Value| {
        json!({
            "metadata": {"name": name},
            "spec": {"signerName": "kubernetes.io/kubelet-serving", "username": "system:node:node-0001"},
            "status": {"conditions": conditions},
        })
    };
    let old = request("csr-old", json!([{"type": "Approved"}]));
    cluster.api.put_document(REQUESTS, 200, json!({"items": [old, request("csr-7xk2p", json!([]))]}));
    let said = examine(&cluster).await?;
    let warned = said.check("", "node-csr-pending")?;
    assert_eq!(
        warned["commands"],
        json!(["kubectl --kubeconfig=admin certificate approve csr-7xk2p"]),
        "{}",
        said.shown
    );
    ensure!(
        !said.failures().iter().any(|(_, cause)| *cause == "node-csr-pending"),
        "its old certificate is still good"
    );

    cluster.fleet.set_fault(1, Some(Fault::ForeignCa));
    let said = examine(&cluster).await?;
    said.check("node-0001", "node-csr-pending")?;
    Ok(())
}

#[tokio::test]
async fn each_reason_of_an_api_service_that_is_not_available_is_named() -> Result<()> {
    let cluster = cluster(1).await?;
    let probe = |what: &str| {
        format!("failing or missing response from https://10.0.0.1:443/apis/metrics.k8s.io/v1beta1: {what}")
    };
    let status =
        |code: u16| probe(&format!("bad status from https://10.0.0.1:443/apis/metrics.k8s.io/v1beta1: {code}"));
    let conditions = [
        ("ServiceNotFound", "service/metrics-server in \"kube-system\" is not present".to_owned(), "service-missing"),
        (
            "ServicePortError",
            "service/metrics-server in \"kube-system\" is not listening on port 444".to_owned(),
            "service-port-wrong",
        ),
        (
            "MissingEndpoints",
            "endpoints for service/metrics-server in \"kube-system\" have no addresses".to_owned(),
            "no-endpoints",
        ),
        ("FailedDiscoveryCheck", probe("dial tcp 10.0.0.1:443: connect: connection refused"), "discovery-refused"),
        ("FailedDiscoveryCheck", probe("dial tcp 10.0.0.1:443: i/o timeout"), "discovery-timeout"),
        ("FailedDiscoveryCheck", probe("dial tcp: lookup x: no such host"), "discovery-no-such-host"),
        ("FailedDiscoveryCheck", probe("x509: certificate signed by unknown authority"), "discovery-unknown-authority"),
        ("FailedDiscoveryCheck", probe("x509: certificate is valid for localhost, not x"), "discovery-wrong-name"),
        (
            "FailedDiscoveryCheck",
            probe("x509: certificate has expired or is not yet valid"),
            "discovery-certificate-expired",
        ),
        ("FailedDiscoveryCheck", status(401), "discovery-401"),
        ("FailedDiscoveryCheck", status(403), "discovery-403"),
        ("FailedDiscoveryCheck", status(404), "discovery-404"),
        ("FailedDiscoveryCheck", status(502), "discovery-5xx"),
    ];
    for (reason, message, cause) in conditions {
        cluster.api.put_document(
            V1BETA1,
            200,
            api_service(cluster.api.certs().cluster.pem(), "False", reason, &message),
        );
        let said = examine(&cluster).await?;
        let check = said.check("v1beta1.metrics.k8s.io", cause)?;
        ensure!(check["verdict"] == "failed" && check["remedy"].is_string(), "{check}");
        assert_eq!(said.code, Some(1));
    }
    cluster.api.put_document(V1BETA1, 404, json!({"message": "not found"}));
    let said = examine(&cluster).await?;
    let missing = said.check("v1beta1.metrics.k8s.io", "api-service-missing")?;
    ensure!(
        missing["commands"][0].as_str().is_some_and(|it| it.ends_with("| kubectl --kubeconfig=admin apply -f -")),
        "{missing}"
    );
    Ok(())
}

#[tokio::test]
async fn a_bundle_that_does_not_vouch_is_replaced_by_the_one_that_does() -> Result<()> {
    let cluster = cluster(1).await?;
    let certs = cluster.api.certs();
    cluster.api.put_document(V1BETA1, 200, api_service(certs.foreign.pem(), "True", "Passed", ""));
    let said = examine(&cluster).await?;
    let check = said.check("v1beta1.metrics.k8s.io", "ca-bundle-mismatch")?;
    let command = check["commands"][0].as_str().context("a command")?;
    let bundle =
        command.split("\"caBundle\":\"").nth(1).and_then(|rest| rest.split('"').next()).context(command.to_owned())?;
    let pem = String::from_utf8(base64::engine::general_purpose::STANDARD.decode(bundle)?)?;
    let squeezed = |text: &str| text.split_whitespace().collect::<String>();
    assert_eq!(squeezed(&pem), squeezed(certs.cluster.pem()), "the cluster's CA signed the gateway's certificate");

    let endpoints_of_nobody = json!({"subsets": []});
    cluster.api.put_document(ENDPOINTS, 200, endpoints_of_nobody);
    let said = examine(&cluster).await?;
    said.check("kube-system/metrics-server", "no-endpoints")?;
    Ok(())
}

#[tokio::test]
async fn flags_that_the_api_server_lacks_are_named_by_the_config_map() -> Result<()> {
    let cluster = cluster(1).await?;
    let subject = "kube-system/extension-apiserver-authentication";
    for (key, value, cause, word) in [
        ("requestheader-client-ca-file", None, "requestheader-flags-missing", "--requestheader-client-ca-file"),
        (
            "requestheader-username-headers",
            Some("[]"),
            "requestheader-headers-missing",
            "--requestheader-username-headers=X-Remote-User",
        ),
        ("requestheader-client-ca-file", Some("nonsense"), "authentication-ca-invalid", "PEM"),
    ] {
        cluster.api.change_front_proxy_config(&[(key, value)]);
        let said = examine(&cluster).await?;
        let check = said.check(subject, cause)?;
        ensure!(check["remedy"].as_str().is_some_and(|remedy| remedy.contains(word)), "{check}");
    }
    cluster.api.objects().delete(Resource::ConfigMaps, "kube-system", "extension-apiserver-authentication");
    examine(&cluster).await?.check(subject, "authentication-config-missing")?;
    Ok(())
}

#[tokio::test]
async fn each_right_that_the_account_lacks_is_named_with_the_command_that_gives_it() -> Result<()> {
    let cluster = cluster(1).await?;
    for (resource, subresource, cause, words) in [
        ("nodes", "metrics", "rbac-kubelets", "create clusterrole system:metrics-server"),
        ("pods", "", "rbac-watches", "create clusterrole system:metrics-server"),
        (
            "tokenreviews",
            "",
            "rbac-auth-delegator",
            "--clusterrole=system:auth-delegator --serviceaccount=kube-system:metrics-server",
        ),
        (
            "subjectaccessreviews",
            "",
            "rbac-auth-delegator",
            "create clusterrolebinding metrics-server:system:auth-delegator",
        ),
        ("configmaps", "", "rbac-auth-reader", "-n kube-system"),
    ] {
        cluster.api.access().set_rule(move |request| {
            let is_refused = request.resource == resource && request.subresource == subresource;
            if is_refused { Decision::NoOpinion(String::new()) } else { Decision::Allow }
        });
        let said = examine(&cluster).await?;
        let check = said.checks().iter().find(|check| check["cause"] == cause).context(said.shown.clone())?;
        let commands = check["commands"].to_string();
        ensure!(check["verdict"] == "failed" && commands.contains(words), "{words:?} in {check}");
        let account = "system:serviceaccount:kube-system:metrics-server";
        ensure!(check["message"].as_str().is_some_and(|message| message.contains(account)), "{check}");
    }
    Ok(())
}

#[tokio::test]
async fn metrics_that_are_not_available_yet_are_told_apart_from_a_kubelet_that_cannot_be_read() -> Result<()> {
    // Kubelets that look at their containers once an hour never give a second reading.
    let cluster =
        cluster_of(FleetSpec { nodes: 2, sample_interval: Duration::from_secs(3600), ..FleetSpec::default() }).await?;
    cluster.fleet.set_fault(1, Some(Fault::Refused));
    let said = examine(&cluster).await?;
    said.check("node-0001", "metrics-node-failing")?;
    let causes = ["metrics-not-served", "metrics-starting"];
    ensure!(causes.iter().any(|cause| said.check("node-0000", cause).is_ok()), "{}", said.shown);
    Ok(())
}

#[tokio::test]
async fn without_an_api_server_nothing_can_be_looked_at_and_it_ends_with_2() -> Result<()> {
    let api = ApiServer::start(Arc::new(Certs::generate())).await?;
    let directory = Directory::new("metrics-gateway-doctor")?;
    api.stop().await;
    let said = doctor(&api, &directory, &[], &[]).await?;
    assert_eq!(
        (said.code, said.failures().iter().map(|it| it.1).collect::<Vec<_>>()),
        (Some(2), vec!["api-server-unreachable"]),
        "{}",
        said.shown
    );
    for words in [
        &["doctor", "--kubeconfig=absent"][..],
        &["doctor", "--timeout=soon"],
        &["doctor", "--kubeconfig=admin", "--", "--no-such-flag"],
    ] {
        let said = run(&directory, words).await?;
        assert_eq!(said.code, Some(2), "{words:?}: {}", said.shown);
    }
    Ok(())
}

#[tokio::test]
async fn whoever_the_api_server_does_not_know_is_told_so_and_it_ends_with_2() -> Result<()> {
    let api = ApiServer::start(Arc::new(Certs::generate())).await?;
    let directory = Directory::new("metrics-gateway-doctor")?;
    std::fs::write(directory.file("token"), "of-nobody")?;
    api.write_kubeconfig_with_token_file(&directory.file("nobody"), &directory.file("token"))?;
    let said = run(&directory, &["doctor", "--kubeconfig=nobody", "-o", "json"]).await?;
    let causes: Vec<_> = said.failures().iter().map(|it| it.1).collect();
    assert_eq!((said.code, causes), (Some(2), vec!["credentials-refused"]), "{}", said.shown);
    Ok(())
}

#[tokio::test]
async fn what_the_cluster_says_cannot_move_the_cursor() -> Result<()> {
    let cluster = cluster(1).await?;
    let hostile = "\u{1b}[2J\u{1b}[31mok\r\n\u{202e}all is well";
    cluster.api.put_document(V1BETA1, 200, api_service(cluster.api.certs().cluster.pem(), "False", "Odd", hostile));
    cluster.fleet.set_fault(0, Some(Fault::Says(500, hostile.to_owned())));
    let words = [&["doctor", "--kubeconfig=admin", "--"], &FLAGS[..]].concat();
    examine(&cluster).await?;
    let said = run(cluster.gateway.directory(), &words).await?;
    let moving: Vec<char> =
        said.shown.chars().filter(|it| (it.is_control() && *it != '\n') || *it == '\u{202e}').collect();
    assert_eq!(moving, [], "{:?}", said.shown);
    ensure!(said.shown.contains("all is well"), "{}", said.shown);
    Ok(())
}

#[tokio::test]
async fn an_operators_token_is_not_sent_to_kubelets_that_are_not_verified() -> Result<()> {
    let api = ApiServer::start(Arc::new(Certs::generate())).await?;
    let fleet = Fleet::start(FleetSpec { nodes: 1, ..FleetSpec::default() }, api.certs()).await;
    api.add_fleet(&fleet);
    let gateway = Gateway::start(&api, &[])?;
    register(&api, gateway.address());
    let directory = Directory::new("metrics-gateway-doctor")?;
    api.access().add_token("of-an-operator", User::new("operator", &[MASTERS]));
    std::fs::write(directory.file("token"), "of-an-operator")?;
    api.write_kubeconfig_with_token_file(&directory.file("operator"), &directory.file("token"))?;
    let proxied = fleet.metrics_text(0, metrics_gateway::model::units::UnixNanos(1_795_219_200_000_000_000));
    api.put_document("/api/v1/nodes/node-0000/proxy/metrics/resource", 200, String::from_utf8_lossy(&proxied));
    let words = [
        "doctor",
        "--kubeconfig=operator",
        "-o",
        "json",
        "--",
        "--kubelet-insecure-tls",
        "--kubelet-use-node-status-port",
    ];
    let said = run(&directory, &words).await?;
    ensure!(said.named("warning").contains(&("", "nodes-out-of-reach")), "{}", said.shown);
    ensure!(
        said.checks().iter().any(|it| it["subject"] == "node-0000" && it["id"] == "node" && it["verdict"] == "ok"),
        "{}",
        said.shown
    );
    let sent: Vec<_> =
        fleet.requests(0).into_iter().filter_map(|request| request.headers.get("authorization").cloned()).collect();
    ensure!(!sent.iter().any(|value| value == "Bearer of-an-operator"), "{sent:?}");
    Ok(())
}
