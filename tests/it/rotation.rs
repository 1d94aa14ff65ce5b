//! Certificates, CAs and tokens are replaced under it, by cert-manager or the kubelet: what is new counts without a
//! restart, and what cannot be used never replaces what can.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::api_server::{ApiServer, MASTERS, User};
use harness::certs::{Authority, Certs, GATEWAY_HOST, Validity};
use harness::client::Client;
use harness::cluster::{Cluster, VERSIONS};
use harness::eventually::eventually;
use harness::fleet::{Credentials, Fault, Fleet, FleetSpec};
use harness::gateway::Gateway;
use harness::metrics::Metrics;
use http::StatusCode;

/// Files are looked at every 10 s, and a kubelet is asked every 10 s.
const PATIENCE: Duration = Duration::from_secs(40);

fn nodes() -> String {
    format!("{}/nodes", VERSIONS[0])
}

/// A client with connections of its own, which trusts `authority` and is an administrator.
fn client_trusting(authority: &Authority, cluster: &Cluster) -> Client {
    let admin = cluster.api.certs().user("admin", &[MASTERS]);
    Client::new(cluster.gateway.address(), GATEWAY_HOST, authority.roots(), Some(&admin))
}

/// Whether a new handshake shows a certificate of this authority.
async fn shows_certificate_of(authority: &Authority, cluster: &Cluster) -> Result<()> {
    let answer = client_trusting(authority, cluster).get(&nodes(), &[]).await?;
    ensure!(answer.status == StatusCode::OK, "{}", answer.status);
    Ok(())
}

#[tokio::test]
async fn a_new_serving_certificate_is_shown_to_new_clients_and_old_connections_go_on() -> Result<()> {
    let cluster = Cluster::start(FleetSpec { nodes: 1, ..FleetSpec::default() }, &[]).await?;
    let (old_ca, new_ca) = (&cluster.api.certs().cluster, Authority::generate("new-serving-ca"));
    let old_client = client_trusting(old_ca, &cluster);
    eventually("an answer", PATIENCE, async || {
        let answer = old_client.get(&nodes(), &[]).await?;
        ensure!(answer.status == StatusCode::OK, "{}", answer.status);
        Ok(())
    })
    .await?;

    new_ca.server(&[GATEWAY_HOST], Validity::Long).write(cluster.gateway.directory().path(), "serving")?;
    eventually("the new certificate", PATIENCE, async || shows_certificate_of(&new_ca, &cluster).await).await?;
    assert!(shows_certificate_of(old_ca, &cluster).await.is_err(), "the old one is shown no more");
    // This client could not make a new connection, as it does not trust the new certificate.
    assert_eq!(old_client.get(&nodes(), &[]).await?.status, StatusCode::OK, "the old connection lives");
    assert_eq!(cluster.gateway.log().matches("serving certificate replaced").count(), 1, "{}", cluster.gateway.log());
    Ok(())
}

#[tokio::test]
async fn a_serving_certificate_that_cannot_be_used_is_told_of_once_and_not_shown() -> Result<()> {
    let cluster = Cluster::start(FleetSpec { nodes: 1, ..FleetSpec::default() }, &[]).await?;
    cluster.wait_for_usage().await?;
    let ca = &cluster.api.certs().cluster;
    let directory = cluster.gateway.directory();
    let key = std::fs::read(directory.file("serving.key"))?;
    let complaint = "not replaced, the one in force stays";

    // Half of a rotation: the new certificate is there, its key is not yet.
    let next = ca.server(&[GATEWAY_HOST, "next.invalid"], Validity::Long);
    next.write(directory.path(), "serving")?;
    std::fs::write(directory.file("serving.key"), &key)?;
    cluster.gateway.wait_for_log(complaint, PATIENCE).await?;
    shows_certificate_of(ca, &cluster).await.context("with half of the pair")?;

    std::fs::write(directory.file("serving.crt"), "not PEM at all")?;
    let two = async || {
        let count = cluster.gateway.log().matches(complaint).count();
        ensure!(count == 2, "{count} lines");
        Ok(())
    };
    eventually("a line about the new fault", PATIENCE, two).await?;
    shows_certificate_of(ca, &cluster).await.context("with a file that is no certificate")?;
    // The files are looked at again and again; another file's rotation shows that they have been.
    let looks_at_kubelet_files = "credentials for kubelets not replaced";
    std::fs::write(directory.file("cluster-ca.crt"), "nothing")?;
    cluster.gateway.wait_for_log(looks_at_kubelet_files, PATIENCE).await?;
    two().await.context("each fault is told of once")?;

    next.write(directory.path(), "serving")?;
    cluster.gateway.wait_for_log("serving certificate replaced", PATIENCE).await?;
    shows_certificate_of(ca, &cluster).await
}

async fn failing(gateway: &Gateway, reason: &str) -> Result<f64> {
    Ok(Metrics::read(&gateway.metrics().await?).sum("metrics_gateway_node_failing", &[("reason", reason)]))
}

async fn wait_for_failing(gateway: &Gateway, reason: &str, expected: f64) -> Result<()> {
    eventually(&format!("{expected} nodes that fail for {reason}"), PATIENCE, async || {
        let count = failing(gateway, reason).await?;
        ensure!((count - expected).abs() < 0.5, "{count} fail; the log is:\n{}", gateway.log());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_new_ca_file_for_kubelets_counts_without_a_restart() -> Result<()> {
    let cluster = Cluster::start(FleetSpec { nodes: 2, ..FleetSpec::default() }, &[]).await?;
    cluster.wait_for_usage().await?;
    cluster.fleet.set_fault(0, Some(Fault::ForeignCa));
    wait_for_failing(&cluster.gateway, "tls-ca", 1.0).await?;
    let file = cluster.gateway.directory().file("cluster-ca.crt");
    let certs = cluster.api.certs();
    std::fs::write(&file, [certs.cluster.pem(), certs.foreign.pem()].concat())?;
    wait_for_failing(&cluster.gateway, "tls-ca", 0.0).await?;
    // Now the old CA goes: connections that were made under it are not kept.
    std::fs::write(&file, certs.foreign.pem())?;
    wait_for_failing(&cluster.gateway, "tls-ca", 1.0).await?;
    let log = cluster.gateway.log();
    assert!(log.lines().any(|line| line.contains("node=node-0001") && line.contains("tls-ca")), "{log}");
    Ok(())
}

#[tokio::test]
async fn a_ca_file_for_kubelets_that_cannot_be_used_is_told_of_once_and_changes_nothing() -> Result<()> {
    let cluster = Cluster::start(FleetSpec { nodes: 1, ..FleetSpec::default() }, &[]).await?;
    cluster.wait_for_usage().await?;
    let file = cluster.gateway.directory().file("cluster-ca.crt");
    let complaint = "credentials for kubelets not replaced, those in force stay";
    std::fs::write(&file, "not PEM at all")?;
    cluster.gateway.wait_for_log(complaint, PATIENCE).await?;
    // Two more requests to the kubelet take longer than one more look at the file.
    let asked = cluster.fleet.request_count(0);
    eventually("two more requests", PATIENCE, async || {
        let more = cluster.fleet.request_count(0) - asked;
        ensure!(more >= 2, "{more} more");
        Ok(())
    })
    .await?;
    assert_eq!(cluster.gateway.log().matches(complaint).count(), 1, "{}", cluster.gateway.log());
    let metrics = Metrics::read(&cluster.gateway.metrics().await?);
    assert!(metrics.values("metrics_gateway_node_failing", &[], "node").is_empty(), "{}", cluster.gateway.log());
    std::fs::remove_file(&file)?;
    eventually("a line about the file that is gone", PATIENCE, async || {
        let count = cluster.gateway.log().matches(complaint).count();
        ensure!(count == 2, "{count} lines");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_new_token_file_counts_for_kubelets_without_a_restart() -> Result<()> {
    let credentials = Credentials::Token("rotated".to_owned());
    let cluster = Cluster::start(FleetSpec { nodes: 2, credentials, ..FleetSpec::default() }, &[]).await?;
    wait_for_failing(&cluster.gateway, "401", 2.0).await?;
    cluster.api.access().add_token("rotated", User::service_account("kube-system", "metrics-server"));
    // As written by the kubelet, or by hand, with a line's end that belongs to no token.
    std::fs::write(cluster.gateway.directory().file("token"), "rotated\n")?;
    wait_for_failing(&cluster.gateway, "401", 0.0).await?;
    cluster.wait_for_usage().await
}

#[tokio::test]
async fn a_new_client_certificate_for_kubelets_counts_without_a_restart() -> Result<()> {
    let api = ApiServer::start(Arc::new(Certs::generate())).await?;
    let credentials = Credentials::Token("nobody has this one".to_owned());
    let spec = FleetSpec { nodes: 1, credentials, ..FleetSpec::default() };
    let fleet = Fleet::start(spec, api.certs()).await;
    api.add_fleet(&fleet);
    let files = harness::directory::Directory::new("metrics-gateway-rotation")?;
    let foreign = api.certs().foreign.client("scraper", &[]);
    let (certificate, key) = foreign.write(files.path(), "client")?;
    let args = [
        format!("--kubelet-client-certificate={}", certificate.display()),
        format!("--kubelet-client-key={}", key.display()),
    ];
    let gateway = Gateway::start(&api, &[&args[0], &args[1]])?;
    wait_for_failing(&gateway, "tls", 1.0).await?;
    api.certs().user("scraper", &[]).write(files.path(), "client")?;
    wait_for_failing(&gateway, "tls", 0.0).await?;
    let requests = fleet.requests(0);
    assert!(requests.last().is_some_and(|request| request.client_certificate), "{requests:#?}");
    Ok(())
}
