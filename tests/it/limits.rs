//! Everything has a limit: how many requests are answered at a time, how long one may take, how much memory a list costs.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures_util::future::try_join_all;
use harness::api_server::{MASTERS, ReviewFault, User};
use harness::body::{self, Body};
use harness::certs::GATEWAY_HOST;
use harness::client::Client;
use harness::cluster::{Cluster, VERSIONS};
use harness::eventually::eventually;
use harness::fleet::{Fault, FleetSpec};
use harness::gateway::Caller;
use http::{Request, StatusCode};
use serde_json::Value;
use tokio::time::Instant;

const PATIENCE: Duration = Duration::from_secs(30);
const MIB: u64 = 1 << 20;

fn nodes() -> String {
    format!("{}/nodes", VERSIONS[0])
}

/// A cluster without pods whose API server takes `delay` for each review.
async fn slow_reviews(delay: Duration, args: &[&str]) -> Result<Cluster> {
    let cluster = Cluster::start(FleetSpec { nodes: 1, pods_per_node: 0, ..FleetSpec::default() }, args).await?;
    eventually("an answer", PATIENCE, async || {
        let answer = cluster.get(&nodes()).await?;
        ensure!(answer.status == StatusCode::OK, "{}", answer.status);
        Ok(())
    })
    .await?;
    cluster.api.access().set_fault(ReviewFault { delay, ..ReviewFault::default() });
    cluster.api.access().clear_reviews();
    Ok(cluster)
}

#[tokio::test]
async fn one_request_too_many_is_told_to_come_again_and_probes_and_masters_are_not() -> Result<()> {
    let cluster = slow_reviews(Duration::from_secs(5), &["--max-requests-inflight=2"]).await?;
    let users = ["first", "second", "third"].map(|name| User::new(name, &[]));
    let path = nodes();
    let ask = |user| cluster.gateway.get(&path, Caller::FrontProxy(user));
    let while_full = async {
        eventually("two requests in flight", PATIENCE, async || {
            let reviews = cluster.api.access().access_reviews().len();
            ensure!(reviews == 2, "{reviews} reviews");
            Ok(())
        })
        .await?;
        let refused = ask(&users[2]).await?;
        let text = "Too many requests, please try again later.\n";
        assert_eq!((refused.status, refused.text()), (StatusCode::TOO_MANY_REQUESTS, text));
        assert_eq!(refused.header("retry-after"), Some("1"));
        for probe in ["/livez", "/healthz"] {
            let answer = cluster.gateway.get(probe, Caller::Anonymous).await?;
            assert_eq!(answer.status, StatusCode::OK, "{probe}: {}", answer.text());
        }
        let readiness = cluster.gateway.get("/readyz", Caller::Anonymous).await?;
        assert_ne!(readiness.status, StatusCode::TOO_MANY_REQUESTS, "{}", readiness.text());
        assert_eq!(cluster.get(&path).await?.status, StatusCode::OK, "a master");
        anyhow::Ok(())
    };
    let (first, second, refused) = tokio::join!(ask(&users[0]), ask(&users[1]), while_full);
    refused?;
    assert_eq!([first?.status, second?.status], [StatusCode::OK; 2], "those that were let in");
    assert_eq!(ask(&users[0]).await?.status, StatusCode::OK, "there is room again");
    Ok(())
}

#[tokio::test]
async fn what_takes_longer_than_it_may_is_a_timeout() -> Result<()> {
    let cluster = slow_reviews(Duration::from_secs(20), &["--request-timeout=3s"]).await?;
    // The server's own limit; a shorter wish; a longer one, which is not granted.
    for (query, least, most) in [("", 3, 6), ("?timeout=1s", 1, 3), ("?timeout=1h", 3, 6)] {
        let began = Instant::now();
        let user = User::new(&format!("user{query}"), &[]);
        let answer = cluster.gateway.get(&format!("{}{query}", nodes()), Caller::FrontProxy(&user)).await?;
        let took = began.elapsed();
        let body = answer.json();
        assert_eq!(
            (answer.status, &body["kind"], &body["reason"]),
            (StatusCode::GATEWAY_TIMEOUT, &"Status".into(), &"Timeout".into())
        );
        let (least, most) = (Duration::from_secs(least), Duration::from_secs(most));
        assert!(took >= least && took < most, "{query:?} took {took:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_timeout_that_is_no_duration_is_a_bad_request() -> Result<()> {
    let cluster = slow_reviews(Duration::ZERO, &[]).await?;
    let answer = cluster.get(&format!("{}?timeout=soon", nodes())).await?;
    let message = answer.json()["message"].as_str().map(str::to_owned);
    let expected = "invalid timeout specified in the request URL - time: invalid duration \"soon\"";
    assert_eq!((answer.status, message.as_deref()), (StatusCode::BAD_REQUEST, Some(expected)));
    Ok(())
}

/// So many pods that a list of them is several times what buffers and windows hold.
const PODS: usize = 20_000;

/// A cluster of [`PODS`] pods, whose kubelets have stopped answering: what is held does not change any more.
async fn many_pods() -> Result<Cluster> {
    let spec = FleetSpec {
        nodes: 10,
        pods_per_node: PODS / 10,
        namespaces: FleetSpec::numbered_namespaces(20),
        ..FleetSpec::default()
    };
    let files = harness::directory::Directory::new("metrics-gateway-limits")?;
    std::fs::write(files.file("gateway.toml"), "[history]\nhold = \"1h\"\n")?;
    let config = format!("--config={}", files.file("gateway.toml").display());
    let cluster = Cluster::start(spec, &[&config]).await?;
    cluster.wait_for_usage().await?;
    for node in 0..10 {
        cluster.fleet.set_fault(node, Some(Fault::Refused));
    }
    eventually("all nodes to fail", PATIENCE, async || {
        let metrics = harness::metrics::Metrics::read(&cluster.gateway.metrics().await?);
        let failing = metrics.sum("metrics_gateway_node_failing", &[("reason", "connect")]);
        ensure!(failing >= 10.0, "{failing} nodes fail");
        Ok(())
    })
    .await?;
    Ok(cluster)
}

#[tokio::test]
async fn a_list_of_20_000_pods_is_streamed_in_order_and_says_what_single_gets_say() -> Result<()> {
    let cluster = many_pods().await?;
    let path = format!("{}/pods", VERSIONS[0]);
    let headers = [("x-remote-user", "admin"), ("x-remote-group", MASTERS)];
    let certs = cluster.api.certs();
    let (address, front_proxy) = (cluster.gateway.address(), certs.front_proxy_client());
    let http1 = Client::with_protocols(address, GATEWAY_HOST, certs.cluster.roots(), Some(&front_proxy), &["http/1.1"]);
    let answer = http1.get(&path, &headers).await?;
    assert_eq!((answer.header("transfer-encoding"), answer.header("content-length")), (Some("chunked"), None));
    assert_eq!(answer.header("content-type"), Some("application/json"));

    let list = answer.json();
    let items = list["items"].as_array().context("a list has items")?;
    let name = |item: &Value| -> (String, String) {
        let text = |field: &str| item["metadata"][field].as_str().unwrap_or_default().to_owned();
        (text("namespace"), text("name"))
    };
    let mut expected: Vec<(String, String)> = cluster
        .fleet
        .nodes()
        .iter()
        .flat_map(|node| node.pods.iter().map(|pod| (pod.namespace.clone(), pod.name.clone())))
        .collect();
    expected.sort();
    assert!(items.iter().map(name).eq(expected), "every pod once, in order, of {} items", items.len());

    let by_name: BTreeMap<_, _> = items.iter().map(|item| (name(item), item)).collect();
    // Every 25th, from all nodes and namespaces: single gets cost much more than their items of the list.
    for ((namespace, name), item) in by_name.iter().step_by(25) {
        let alone = cluster.json(&format!("/namespaces/{namespace}/pods/{name}")).await?;
        for field in ["timestamp", "window", "containers"] {
            assert_eq!(alone[field], item[field], "{field} of {namespace}/{name}");
        }
        assert_eq!(alone["metadata"]["labels"], item["metadata"]["labels"], "of {namespace}/{name}");
    }
    for namespace in FleetSpec::numbered_namespaces(20) {
        let part = cluster.items(&format!("/namespaces/{namespace}/pods")).await?;
        let of_list: Vec<&Value> = items.iter().filter(|item| item["metadata"]["namespace"] == *namespace).collect();
        assert_eq!(part.len(), of_list.len(), "of {namespace}");
        let is_same =
            |(one, other): (&Value, &&Value)| name(one) == name(other) && one["containers"] == other["containers"];
        assert!(part.iter().zip(&of_list).all(is_same), "of {namespace}");
    }
    sixteen_lists_at_once(&cluster, answer.body.len()).await
}

/// Clients that read nothing at first, so that sixteen answers are under way at the same time.
async fn sixteen_lists_at_once(cluster: &Cluster, size: usize) -> Result<()> {
    let before = cluster.gateway.rss()?;
    let mut most = 0;
    let certs = cluster.api.certs();
    let clients: Vec<Client> = (0..16)
        .map(|_| {
            let front_proxy = certs.front_proxy_client();
            Client::new(cluster.gateway.address(), GATEWAY_HOST, certs.cluster.roots(), Some(&front_proxy))
        })
        .collect();
    let heads = clients.iter().map(async |client| {
        let request = Request::get(format!("{}/pods", VERSIONS[0]))
            .header("x-remote-user", "admin")
            .header("x-remote-group", MASTERS)
            .body(Body::empty())?;
        client.send(request).await
    });
    let answers = try_join_all(heads).await?;
    assert!(answers.iter().all(|answer| answer.status() == StatusCode::OK));
    let metrics = harness::metrics::Metrics::read(&cluster.gateway.metrics().await?);
    let in_flight = metrics.sum("metrics_gateway_http_requests_in_flight", &[]);
    assert!(in_flight >= 16.0, "{in_flight} requests are in flight");
    most = most.max(cluster.gateway.rss()?);
    for answer in answers {
        let body = body::read(answer.into_body()).await.context("a list broke off")?;
        assert_eq!(body.len(), size, "each is whole");
        most = most.max(cluster.gateway.rss()?);
    }
    let grown = most.saturating_sub(before);
    let lists = 16 * size as u64;
    println!("16 lists of {} KiB at once: {} MiB more at most", size >> 10, grown / MIB);
    assert!(grown < lists / 8, "{} MiB for {} MiB of lists", grown / MIB, lists / MIB);
    Ok(())
}

#[tokio::test]
async fn a_compressed_list_is_the_same_list() -> Result<()> {
    let spec = FleetSpec { nodes: 2, pods_per_node: 400, ..FleetSpec::default() };
    let cluster = Cluster::start(spec, &[]).await?;
    cluster.wait_for_usage().await?;
    let admin = cluster.gateway.client(Some(&cluster.api.certs().user("admin", &[MASTERS])));
    let path = format!("{}/pods", VERSIONS[0]);
    eventually("two lists from between two scrapes", PATIENCE, async || {
        let packed = admin.get(&path, &[("accept-encoding", "gzip")]).await?;
        let plain = admin.get(&path, &[]).await?;
        assert_eq!((packed.header("content-encoding"), plain.header("content-encoding")), (Some("gzip"), None));
        assert!(packed.body.len() * 3 < plain.body.len(), "{} of {}", packed.body.len(), plain.body.len());
        let mut unpacked = String::new();
        std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&*packed.body), &mut unpacked)?;
        // The second of the response stands in every object.
        let of_one_second = |text: &str| -> Vec<String> {
            let lines = text.split("\"creationTimestamp\":\"");
            lines.map(|rest| rest.split_once("Z\"").map_or(rest, |(_, rest)| rest).to_owned()).collect()
        };
        ensure!(of_one_second(&unpacked) == of_one_second(plain.text()), "they differ");
        Ok(())
    })
    .await
}
