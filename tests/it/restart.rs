//! The API server may go away, come back, forget its history and change its mind about our token: what is known is served
//! on, and what changed meanwhile is learnt.

use std::time::Duration;

use anyhow::{Result, ensure};
use harness::api_server::{Resource, User, objects};
use harness::cluster::Cluster;
use harness::eventually::eventually;
use harness::fleet::{FleetPod, FleetSpec, Times};
use harness::gateway::GATEWAY_TOKEN;
use serde_json::Value;

/// A watch that failed waits for a while that doubles from 0.8 s, and an idle tick takes 10 s.
const PATIENCE: Duration = Duration::from_secs(45);
/// A token file is read again after 50 s, by a watch that waits for up to 30 s.
const NEW_TOKEN: Duration = Duration::from_secs(110);

async fn cluster() -> Result<Cluster> {
    let cluster = Cluster::start(FleetSpec { nodes: 2, ..FleetSpec::default() }, &[]).await?;
    cluster.wait_for_usage().await?;
    Ok(cluster)
}

fn pod_object(cluster: &Cluster, node: usize, pod: usize) -> (FleetPod, Value) {
    let node = &cluster.fleet.nodes()[node];
    let pod = node.pods[pod].clone();
    let object = objects::pod(&pod.namespace, &pod.name, &pod.labels, &node.name, &pod.containers);
    (pod, object)
}

fn delete(cluster: &Cluster, pod: &FleetPod) {
    assert!(cluster.api.objects().delete(Resource::Pods, &pod.namespace, &pod.name), "{} was there", pod.name);
}

async fn is_listed(cluster: &Cluster, pod: &FleetPod) -> Result<bool> {
    let path = format!("/namespaces/{}/pods?fieldSelector=metadata.name={}", pod.namespace, pod.name);
    Ok(!cluster.items(&path).await?.is_empty())
}

async fn wait_until_listed(cluster: &Cluster, pod: &FleetPod, expected: bool) -> Result<()> {
    eventually("the pod to come or go", PATIENCE, async || {
        let listed = is_listed(cluster, pod).await?;
        ensure!(listed == expected, "{} is listed: {listed}; the log is:\n{}", pod.name, cluster.gateway.log());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn without_the_api_server_lists_go_on_and_stay_fresh() -> Result<()> {
    let cluster = cluster().await?;
    cluster.api.stop().await;
    cluster.gateway.wait_for_log("the API server does not tell of nodes", PATIENCE).await?;
    let newest = async || -> Result<u64> {
        let times: Result<Vec<u64>> =
            cluster.items("/nodes").await?.iter().map(|item| Ok(Times::of(item)?.second.0)).collect();
        times?.into_iter().min().ok_or_else(|| anyhow::anyhow!("no nodes"))
    };
    let before = newest().await?;
    eventually("a tick without the API server", PATIENCE, async || {
        ensure!(newest().await? > before, "no node has been asked");
        Ok(())
    })
    .await?;
    let nodes = cluster.items("/nodes").await?;
    nodes.iter().enumerate().try_for_each(|(index, item)| cluster.fleet.check_node(index, item))?;
    assert_eq!(cluster.items("/pods").await?.len(), 8);
    for probe in ["/readyz", "/livez"] {
        assert_eq!(cluster.get(probe).await?.text(), "ok", "{probe}");
    }
    Ok(())
}

#[tokio::test]
async fn what_came_and_went_during_an_outage_is_learnt_after_it() -> Result<()> {
    let cluster = cluster().await?;
    let ((gone, _), (coming, object)) = (pod_object(&cluster, 0, 0), pod_object(&cluster, 0, 1));
    delete(&cluster, &coming);
    wait_until_listed(&cluster, &coming, false).await?;

    cluster.api.stop().await;
    cluster.gateway.wait_for_log("the API server does not tell of running pods", PATIENCE).await?;
    cluster.api.objects().apply(Resource::Pods, [object]);
    delete(&cluster, &gone);
    cluster.api.objects().delete(Resource::Nodes, "", "node-0001");
    assert_eq!((is_listed(&cluster, &gone).await?, is_listed(&cluster, &coming).await?), (true, false));
    cluster.api.start_again().await?;

    wait_until_listed(&cluster, &coming, true).await?;
    wait_until_listed(&cluster, &gone, false).await?;
    eventually("the node to go", PATIENCE, async || {
        let nodes = cluster.items("/nodes").await?;
        ensure!(nodes.len() == 1, "{} nodes are served", nodes.len());
        Ok(())
    })
    .await?;
    cluster.gateway.wait_for_log("the API server tells of running pods again", PATIENCE).await?;
    let log = cluster.gateway.log();
    assert_eq!(log.matches("the API server does not tell of running pods").count(), 1, "once, not at every try: {log}");
    // Nodes, pods and the ConfigMap, each once.
    let complaints = log.lines().filter(|line| line.contains("WARN") || line.contains("ERROR"));
    assert_eq!(complaints.count(), 3, "libraries are silent: {log}");
    Ok(())
}

#[tokio::test]
async fn after_a_compaction_what_is_there_is_listed_anew() -> Result<()> {
    let cluster = cluster().await?;
    let ((gone, _), (coming, object)) = (pod_object(&cluster, 1, 0), pod_object(&cluster, 1, 1));
    delete(&cluster, &coming);
    wait_until_listed(&cluster, &coming, false).await?;
    cluster.api.clear_requests();
    // With the watches cut, neither change reaches them; and what they saw last is too old to go on from.
    cluster.api.stop().await;
    cluster.api.objects().apply(Resource::Pods, [object]);
    delete(&cluster, &gone);
    cluster.api.objects().expire_watches();
    cluster.api.start_again().await?;
    wait_until_listed(&cluster, &coming, true).await?;
    wait_until_listed(&cluster, &gone, false).await?;
    let requests = cluster.api.requests();
    let is_list = |target: &str| target.starts_with("/api/v1/pods?") && !target.contains("watch=");
    assert!(requests.iter().any(|request| is_list(&request.target)), "{requests:#?}");
    Ok(())
}

#[tokio::test]
async fn a_watch_that_is_told_its_version_is_gone_goes_on() -> Result<()> {
    let cluster = cluster().await?;
    let (pod, object) = pod_object(&cluster, 1, 2);
    for _ in 0..3 {
        cluster.api.objects().expire_watches();
        delete(&cluster, &pod);
        wait_until_listed(&cluster, &pod, false).await?;
        cluster.api.objects().apply(Resource::Pods, [object.clone()]);
        wait_until_listed(&cluster, &pod, true).await?;
    }
    let log = cluster.gateway.log();
    assert!(!log.contains("does not tell of"), "an expired version is no trouble: {log}");
    Ok(())
}

#[tokio::test]
async fn a_node_that_changes_its_address_is_asked_at_the_new_one() -> Result<()> {
    let cluster = cluster().await?;
    let [first, second] = [0, 1].map(|index| cluster.fleet.nodes()[index].address);
    let asked_before = cluster.fleet.request_count(1);
    let moved = objects::node("node-0000", &second.ip().to_string(), second.port());
    cluster.api.objects().apply(Resource::Nodes, [moved]);
    assert_ne!(first, second);
    eventually("both nodes at one address", PATIENCE, async || {
        // Its own share in the time that the test takes, and the other's.
        let asked = cluster.fleet.request_count(1) - asked_before;
        ensure!(asked >= 3, "asked {asked} times");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_expired_token_is_replaced_by_what_its_file_holds_by_then() -> Result<()> {
    let cluster = cluster().await?;
    let (pod, _) = pod_object(&cluster, 0, 3);
    let access = cluster.api.access();
    access.remove_token(GATEWAY_TOKEN);
    cluster.api.restart().await?;
    let refused = "the API server does not let us watch running pods";
    cluster.gateway.wait_for_log(refused, PATIENCE).await?;
    delete(&cluster, &pod);
    assert_eq!(cluster.items("/pods").await?.len(), 8, "what is known is served");

    access.add_token("rotated", User::service_account("kube-system", "metrics-server"));
    std::fs::write(cluster.gateway.directory().file("token"), "rotated")?;
    eventually("the deleted pod to go", NEW_TOKEN, async || {
        let count = cluster.items("/pods").await?.len();
        ensure!(count == 7, "{count} pods are served; the log is:\n{}", cluster.gateway.log());
        Ok(())
    })
    .await?;
    let log = cluster.gateway.log();
    assert_eq!(log.matches(refused).count(), 1, "once, not at every try: {log}");
    assert!(!log.contains("Status {"), "in words, not in our own types: {log}");
    assert!(!log.contains(GATEWAY_TOKEN) && !log.contains("rotated\""), "tokens are not for logs: {log}");
    Ok(())
}
