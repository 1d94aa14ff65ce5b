//! SIGTERM ends it in good order: not ready first, then nothing new, then what has begun is finished, and 0. A second
//! signal ends it at once.

use std::os::unix::process::ExitStatusExt as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::api_server::{ApiServer, ReviewFault, User};
use harness::body::{self, Body};
use harness::certs::{Certs, GATEWAY_HOST};
use harness::client::Client;
use harness::cluster::{Cluster, VERSIONS};
use harness::eventually::eventually;
use harness::fleet::FleetSpec;
use harness::gateway::{Caller, Gateway, Signal};
use http::{Request, StatusCode};
use serde_json::Value;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::time::Instant;

const PATIENCE: Duration = Duration::from_secs(30);
/// What Kubernetes gives a pod by default between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(30);
/// The end of something that is not waiting for anything, on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(3);

fn nodes() -> String {
    format!("{}/nodes", VERSIONS[0])
}

/// A cluster without pods, which is enough to be asked something.
async fn cluster(args: &[&str]) -> Result<Cluster> {
    let cluster = Cluster::start(FleetSpec { nodes: 1, pods_per_node: 0, ..FleetSpec::default() }, args).await?;
    eventually("an answer", PATIENCE, async || {
        let answer = cluster.get(&nodes()).await?;
        ensure!(answer.status == StatusCode::OK, "{}", answer.status);
        Ok(())
    })
    .await?;
    Ok(cluster)
}

#[tokio::test]
async fn it_is_not_ready_first_and_serves_on_for_the_delay() -> Result<()> {
    let cluster =
        Cluster::start(FleetSpec { nodes: 1, ..FleetSpec::default() }, &["--shutdown-delay-duration=3s"]).await?;
    cluster.wait_for_usage().await?;
    assert_eq!(cluster.get("/readyz").await?.text(), "ok");
    let began = Instant::now();
    cluster.gateway.signal(Signal::Term)?;
    let unready = eventually("readiness to fail", AT_ONCE, async || {
        let answer = cluster.get("/readyz").await?;
        ensure!(answer.status == StatusCode::INTERNAL_SERVER_ERROR, "{}", answer.status);
        Ok(answer)
    });
    let text = unready.await?.text().to_owned();
    let failing: Vec<&str> = text.lines().filter(|line| line.starts_with("[-]")).collect();
    assert_eq!(failing, ["[-]shutdown failed: reason withheld"], "{text}");
    let alive = cluster.get("/livez").await?;
    let served = cluster.get(&nodes()).await?;
    // A new connection, as of a client that has not heard of it yet.
    let master = cluster.api.certs().user("admin", &["system:masters"]);
    let anew = cluster.gateway.client(Some(&master)).get(&nodes(), &[]).await?;
    assert_eq!([alive.status, served.status, anew.status], [StatusCode::OK; 3]);
    assert_eq!(served.json()["items"].as_array().map(Vec::len), Some(1), "with figures: {}", served.text());

    let status = cluster.gateway.wait(GRACE).await?;
    let took = began.elapsed();
    assert_eq!(status.code(), Some(0), "{}", cluster.gateway.log());
    assert!(took >= Duration::from_secs(3) && took < Duration::from_secs(3) + AT_ONCE, "it took {took:?}");
    assert!(cluster.gateway.log().contains("ended in good order"), "{}", cluster.gateway.log());
    Ok(())
}

#[tokio::test]
async fn a_request_that_has_begun_is_finished() -> Result<()> {
    let cluster = cluster(&[]).await?;
    let slow = Duration::from_secs(3);
    cluster.api.access().set_fault(ReviewFault { delay: slow, ..ReviewFault::default() });
    cluster.api.access().clear_reviews();
    let reader = User::new("reader", &[]);
    let path = nodes();
    let request = cluster.gateway.get(&path, Caller::FrontProxy(&reader));
    let end = async {
        eventually("the review", PATIENCE, async || {
            ensure!(!cluster.api.access().access_reviews().is_empty(), "nobody has asked for permission");
            Ok(())
        })
        .await?;
        cluster.gateway.signal(Signal::Term)?;
        cluster.gateway.wait_for_log("shutting down", AT_ONCE).await?;
        // Nobody new is let in meanwhile.
        eventually("the port to close", AT_ONCE, async || {
            let refused = tokio::net::TcpStream::connect(cluster.gateway.address()).await.is_err();
            ensure!(refused, "connections are accepted");
            Ok(())
        })
        .await?;
        cluster.gateway.wait(GRACE).await
    };
    let (answer, status) = tokio::join!(request, end);
    assert_eq!(answer?.status, StatusCode::OK);
    assert_eq!(status?.code(), Some(0), "{}", cluster.gateway.log());
    Ok(())
}

#[tokio::test]
async fn a_long_list_that_is_read_slowly_is_finished() -> Result<()> {
    // More than a client's HTTP/2 window and the buffers of the system together let through unread.
    let spec = FleetSpec { nodes: 10, pods_per_node: 2000, ..FleetSpec::default() };
    let cluster = Cluster::start(spec, &[]).await?;
    cluster.wait_for_usage().await?;
    let whole = cluster.get(&format!("{}/pods", VERSIONS[0])).await?.body.len();
    let front_proxy = cluster.api.certs().front_proxy_client();
    let roots = cluster.api.certs().cluster.roots();
    let client = Client::new(cluster.gateway.address(), GATEWAY_HOST, roots, Some(&front_proxy));
    let request = Request::get(format!("{}/pods", VERSIONS[0]))
        .header("x-remote-user", "admin")
        .header("x-remote-group", "system:masters")
        .body(Body::empty())?;
    let answer = client.send(request).await?;
    assert_eq!(answer.status(), StatusCode::OK);
    cluster.gateway.signal(Signal::Term)?;
    cluster.gateway.wait_for_log("shutting down", AT_ONCE).await?;
    eventually("the port to close", AT_ONCE, async || {
        ensure!(tokio::net::TcpStream::connect(cluster.gateway.address()).await.is_err(), "connections are accepted");
        Ok(())
    })
    .await?;
    assert!(cluster.gateway.ended()?.is_none(), "it waits for the reader: {}", cluster.gateway.log());

    let body = body::read(answer.into_body()).await.context("the list broke off")?;
    let list: Value = serde_json::from_slice(&body)?;
    assert_eq!(list["items"].as_array().map(Vec::len), Some(20_000), "of {} bytes, of {whole}", body.len());
    assert_eq!(cluster.gateway.wait(GRACE).await?.code(), Some(0), "{}", cluster.gateway.log());
    Ok(())
}

#[tokio::test]
async fn idle_connections_do_not_keep_it() -> Result<()> {
    let cluster = cluster(&[]).await?;
    let pair = cluster.api.certs().user("admin", &["system:masters"]);
    let idle = cluster.gateway.client(Some(&pair));
    idle.get(&nodes(), &[]).await?;
    // One that has said nothing at all, not even a handshake.
    let silent = tokio::net::TcpStream::connect(cluster.gateway.address()).await?;
    cluster.gateway.signal(Signal::Term)?;
    let status = cluster.gateway.wait(AT_ONCE).await?;
    assert_eq!(status.code(), Some(0), "{}", cluster.gateway.log());
    drop(silent);
    Ok(())
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() -> Result<()> {
    let cluster = cluster(&["--shutdown-delay-duration=1m"]).await?;
    cluster.gateway.signal(Signal::Term)?;
    cluster.gateway.wait_for_log("shutting down", AT_ONCE).await?;
    assert!(cluster.gateway.ended()?.is_none(), "it waits out its delay");
    cluster.gateway.signal(Signal::Int)?;
    let status = cluster.gateway.wait(AT_ONCE).await?;
    assert_eq!((status.code(), status.signal()), (Some(1), None), "{}", cluster.gateway.log());
    cluster.gateway.wait_for_log("ended at once by a second signal, SIGINT", AT_ONCE).await?;
    Ok(())
}

#[tokio::test]
async fn a_signal_ends_a_start_that_hangs() -> Result<()> {
    let api = ApiServer::start(Arc::new(Certs::generate())).await?;
    // Accepts and says nothing, as behind a load balancer whose targets are gone.
    let silent = TcpListener::bind("127.0.0.1:0").await?;
    let kubeconfig = format!(
        "{{clusters: [{{name: c, cluster: {{server: 'https://{}', insecure-skip-tls-verify: true}}}}], users: [{{name: u, \
         user: {{token: t}}}}], contexts: [{{name: x, context: {{cluster: c, user: u}}}}], current-context: x}}",
        silent.local_addr()?
    );
    let files = harness::directory::Directory::new("metrics-gateway-shutdown")?;
    std::fs::write(files.file("kubeconfig"), kubeconfig)?;
    let gateway = Gateway::start(&api, &[&format!("--kubeconfig={}", files.file("kubeconfig").display())])?;
    let (mut asked, _) = tokio::time::timeout(PATIENCE, silent.accept()).await??;
    let mut hello = [0; 1];
    asked.read_exact(&mut hello).await.context("it asks the API server first")?;
    gateway.signal(Signal::Term)?;
    let status = gateway.wait(AT_ONCE).await?;
    assert_eq!((status.code(), status.signal()), (Some(0), None), "{}", gateway.log());
    Ok(())
}

#[tokio::test]
async fn a_signal_ends_a_start_that_may_not_look_at_the_cluster() -> Result<()> {
    let api = ApiServer::start(Arc::new(Certs::generate())).await?;
    api.access().set_rule(|request| match &*request.resource {
        "configmaps" => harness::api_server::Decision::Allow,
        _ => harness::api_server::Decision::Deny("the ClusterRole is missing".to_owned()),
    });
    let gateway = Gateway::start(&api, &[])?;
    gateway.wait_for_log("does not let us watch nodes", PATIENCE).await?;
    let answer = gateway.get("/readyz", Caller::FrontProxy(&User::new("admin", &["system:masters"]))).await?;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "it says that it is not ready: {}", answer.text());
    gateway.signal(Signal::Term)?;
    assert_eq!(gateway.wait(AT_ONCE).await?.code(), Some(0), "{}", gateway.log());
    Ok(())
}
