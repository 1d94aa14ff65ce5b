//! `status` says how the gateway fares, and says the same as its metrics; and the log tells changes, not ticks.

use anyhow::{Context as _, Result, ensure};
use harness::eventually::eventually;
use harness::fleet::Fault;
use harness::metrics::Metrics;
use serde_json::Value;

use crate::explain::run;
use crate::world::{B, PATIENCE, World, shared};

async fn gateway(world: &World) -> Value {
    let list = world.ask(&format!("{B}/gateways"), &[]).await.json();
    assert_eq!((&list["kind"], &list["apiVersion"]), (&"GatewayList".into(), &"metrics-gateway/v1".into()), "{list:#}");
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1), "{list:#}");
    list["items"][0].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_status_counts_metrics_count_too() -> Result<()> {
    let world = shared();
    let (told, metrics) = (gateway(world).await, Metrics::read(&world.gateway.metrics().await?));
    assert_eq!(told["nodes"]["byOutcome"], serde_json::json!({"answering": 3}), "{told:#}");
    let counted = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
    assert_eq!(counted(&told["nodes"]["total"]), metrics.sum("metrics_gateway_nodes", &[]));
    let points = |kind| metrics.sum("metrics_server_storage_points", &[("type", kind)]);
    assert_eq!(counted(&told["served"]["nodes"]), points("node"));
    assert_eq!(counted(&told["served"]["containers"]), points("container"));
    assert_eq!((told["served"]["pods"].as_u64(), told["tenants"][0]["pods"].as_u64()), (Some(5), Some(5)));
    assert_eq!(told["tenants"][0]["namespaces"].as_u64(), Some(2));
    let rss = (told["memoryBytes"].as_u64().unwrap_or(0) as f64) / world.gateway.rss()? as f64;
    assert!((0.5..2.0).contains(&rss), "{rss}");
    assert!(
        told["latency"]["kubelets"]["p50"].is_number() && told["freshness"]["oldestSeconds"].is_number(),
        "{told:#}"
    );
    assert!(!told["name"].as_str().unwrap_or_default().is_empty());
    assert_eq!((told["tick"]["isTimely"].as_bool(), told["generation"]["number"].as_u64()), (Some(true), Some(1)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_shows_it_once_without_colours_where_there_is_no_terminal() -> Result<()> {
    let (code, stdout, stderr) = run(shared(), "status --once").await?;
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.starts_with("metrics-gateway ") && !stdout.contains('\u{1b}'), "{stdout}");
    assert!(stdout.contains("nodes     ████████████████████████ 3 of 3 answer\n"), "{stdout}");
    assert!(stdout.contains("served    3 nodes, 5 pods, 10 containers"), "{stdout}");
    let (code, stdout, _) = run(shared(), "status -o json").await?;
    let list: Value = serde_json::from_str(&stdout)?;
    assert_eq!((code, &list["kind"]), (Some(0), &"GatewayList".into()));
    Ok(())
}

/// What a log tells that was not there before.
fn news(log: &str, before: usize) -> Vec<&str> {
    log.lines().skip(before).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_tells_changes_once_and_nothing_at_each_tick_in_text_and_json() -> Result<()> {
    for format in ["text", "json"] {
        let world = World::start(&[&format!("--logging-format={format}")]).await;
        world.gateway.wait_for_log("serving", PATIENCE).await?;
        let fleet = world.fleet.as_ref().context("the world has a fleet")?;
        let ticks = async |more: u64| {
            let asked: Vec<u64> = (0..3).map(|node| fleet.request_count(node)).collect();
            eventually("ticks", PATIENCE, async || {
                let now: Vec<u64> = (0..3).map(|node| fleet.request_count(node)).collect();
                ensure!(now.iter().zip(&asked).all(|(now, asked)| *now >= asked + more), "{now:?} after {asked:?}");
                Ok(())
            })
            .await
        };
        let before = world.gateway.log().lines().count();
        ticks(3).await?;
        assert_eq!(news(&world.gateway.log(), before), Vec::<&str>::new(), "three quiet ticks");
        if format == "json" {
            let log = world.gateway.log();
            let read = |line: &str| serde_json::from_str::<Value>(line).map(|it| it["message"].is_string());
            assert!(log.lines().all(|line| read(line).is_ok_and(|has_message| has_message)), "{log}");
            continue;
        }
        // A node that fails tick after tick is told of once, and once when it is back.
        fleet.set_fault(1, Some(Fault::Status(403)));
        ticks(3).await?;
        let log = world.gateway.log();
        let told = news(&log, before);
        assert!(told.len() == 1 && told[0].contains("node1") && told[0].contains("403"), "{told:#?}");
        let status = gateway(&world).await;
        assert_eq!(status["nodes"]["byOutcome"], serde_json::json!({"answering": 2, "403": 1}));
        let failing = &status["nodes"]["failing"][0];
        assert_eq!((failing["name"].as_str(), failing["reason"].as_str()), (Some("node1"), Some("403")));
        assert!(failing["times"].as_u64() >= Some(2), "{failing}");
        fleet.set_fault(1, None);
        world.gateway.wait_for_log("node answers again", PATIENCE).await?;
        assert_eq!(news(&world.gateway.log(), before).len(), 2);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_debug_level_json_lines_bear_the_spans_that_they_are_in() -> Result<()> {
    let world = World::start(&["--logging-format=json", "--v=4"]).await;
    let admin = world.admin();
    world.get(Some(&admin), &format!("{B}/nodes"), &[("audit-id", "an-id-of-ours")]).await;
    let line: Value = eventually("the line of the request", PATIENCE, async || {
        let log = world.gateway.log();
        let line = log.lines().find(|line| line.contains("an-id-of-ours") && line.contains("\"message\":\"request\""));
        Ok(serde_json::from_str(line.context(log.clone())?)?)
    })
    .await?;
    let span = |line: &Value, name: &str| {
        let spans = line["spans"].as_array().cloned().unwrap_or_default();
        spans.into_iter().find(|span| span["name"] == name)
    };
    let of_request = span(&line, "request").with_context(|| line.to_string())?;
    assert_eq!((&of_request["verb"], &of_request["resource"]), (&"list".into(), &"nodes".into()), "{line:#}");
    let scrape = world.gateway.wait_for_log("took in the node's samples", PATIENCE).await?;
    let line: Value = serde_json::from_str(&scrape)?;
    assert!(span(&line, "scrape").is_some_and(|span| span["node"].is_string()), "{line:#}");
    Ok(())
}
