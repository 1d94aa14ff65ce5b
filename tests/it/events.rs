//! Events about the gateway's own Deployment tell that a generation was refused and mended, and that a breaker opened;
//! once each; and where they cannot be sent, the gateway goes on.

use anyhow::{Result, ensure};
use harness::api_server::{ApiServer, User};
use harness::certs::Certs;
use harness::directory::Directory;
use harness::eventually::eventually;
use harness::fleet::{Fleet, FleetPod, FleetSpec};
use harness::gateway::{Caller, Gateway};
use harness::guest;
use serde_json::Value;
use std::sync::Arc;

use crate::world::PATIENCE;

/// Keeps what it is shown in its rehearsal, which shows it two pods, and traps where it is shown one.
const LATE_TRAP: &str = r#"
(func (export "metrics-gateway:policy/filter@1.0.0#classify") (param $pods i32) (param $count i32) (result i32)
    (if (i32.eq (local.get $count) (i32.const 1)) (then (unreachable)))
    (i32.store (i32.const 1024) (i32.const 2048))
    (i32.store (i32.const 1028) (i32.add
        (i32.load offset=44 (local.get $pods)) (i32.load offset=44 (i32.add (local.get $pods) (i32.const 48)))))
    (i32.const 1024))
"#;

const PLUGIN: &str = "[plugins.late-trap]\nsource = \"late-trap.wasm\"\n";

/// A gateway of some nodes with a pod each, and the Deployment that it takes for its own.
struct Announced {
    api: ApiServer,
    gateway: Gateway,
    directory: Directory,
    _fleet: Fleet,
}

impl Announced {
    async fn start(nodes: usize, deployment: &str) -> Result<Self> {
        let directory = Directory::new("metrics-gateway-events")?;
        std::fs::write(directory.file("late-trap.wasm"), guest::component(LATE_TRAP, "filter-policy"))?;
        std::fs::write(directory.file("gateway.toml"), PLUGIN)?;
        let api = ApiServer::start(Arc::new(Certs::generate())).await?;
        api.add_deployment("kube-system", "metrics-server");
        let pod = |node: usize| FleetPod {
            namespace: "default".to_owned(),
            name: format!("web-{node}"),
            labels: Default::default(),
            containers: vec!["app".to_owned()],
        };
        let named: Vec<_> = (0..nodes).map(|node| (format!("node{node}"), vec![pod(node)])).collect();
        let fleet = Fleet::start(FleetSpec { nodes, named, ..FleetSpec::default() }, api.certs()).await;
        api.add_fleet(&fleet);
        let config = format!("--config={}", directory.file("gateway.toml").display());
        let environment = [("METRICS_GATEWAY_DEPLOYMENT", deployment)];
        let gateway = Gateway::start_in(&api, &[&config], &environment)?;
        gateway.wait_for_log("serving", PATIENCE).await?;
        Ok(Self { api, gateway, directory, _fleet: fleet })
    }

    fn configure(&self, text: &str) -> Result<()> {
        let aside = self.directory.file("gateway.new");
        std::fs::write(&aside, format!("{PLUGIN}{text}"))?;
        Ok(std::fs::rename(aside, self.directory.file("gateway.toml"))?)
    }

    /// Reason and note of each Event, once there are so many.
    async fn events(&self, count: usize) -> Result<Vec<(String, String)>> {
        eventually(&format!("{count} Events"), PATIENCE, async || {
            let text = |event: &Value, field: &str| event[field].as_str().unwrap_or_default().to_owned();
            let events: Vec<_> =
                self.api.events().iter().map(|event| (text(event, "reason"), text(event, "note"))).collect();
            ensure!(events.len() >= count, "{events:#?}\n{}", self.gateway.log());
            Ok(events)
        })
        .await
    }

    async fn reloads(&self, result: &str, at_least: f64) -> Result<()> {
        let labels = [("result", result)];
        eventually(&format!("a reload that is {result}"), PATIENCE, async || {
            let metrics = harness::metrics::Metrics::read(&self.gateway.metrics().await?);
            let count = metrics.sum("metrics_gateway_generation_reloads_total", &labels);
            ensure!(count >= at_least, "{count}\n{}", self.gateway.log());
            Ok(())
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_generation_and_its_mending_are_an_event_each() -> Result<()> {
    let announced = Announced::start(1, "kube-system/metrics-server").await?;
    announced.configure("[[tenant]]\nname = \"shop\"\nnamespaces = [\"shop\"]\nwindow = \"nobody\"\n")?;
    let events = announced.events(1).await?;
    assert_eq!(events[0].0, "GenerationRefused");
    assert!(events[0].1.starts_with("generation 1 stays in force: "), "{events:#?}");
    assert!(events[0].1.contains("nobody"), "{events:#?}");
    // The same fault once more, asked for by a person, is no news.
    announced.gateway.signal(harness::gateway::Signal::Hup)?;
    announced.reloads("refused", 2.0).await?;
    announced.configure("[[tenant]]\nname = \"shop\"\nnamespaces = [\"shop\"]\n")?;
    let events = announced.events(2).await?;
    let reasons: Vec<&str> = events.iter().map(|(reason, _)| reason.as_str()).collect();
    assert_eq!(reasons, ["GenerationRefused", "GenerationApplied"], "{events:#?}");
    // A generation that follows a good one is no news.
    announced.configure("")?;
    announced.reloads("applied", 2.0).await?;
    let event = &announced.api.events()[0];
    assert_eq!(event["regarding"]["kind"], "Deployment", "{event:#}");
    assert_eq!(event["regarding"]["uid"], "uid-of-kube-system-metrics-server", "{event:#}");
    assert_eq!((&event["type"], announced.api.events().len()), (&"Warning".into(), 2));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_opened_breaker_is_an_event_with_the_failure() -> Result<()> {
    let announced = Announced::start(6, "kube-system/metrics-server").await?;
    announced.configure("[default]\nfilter = [\"late-trap\"]\n")?;
    let events = announced.events(1).await?;
    assert_eq!(events[0].0, "BreakerOpened", "{events:#?}");
    let begins = "filter policy \"late-trap\" of tenant \"default\" keeps failing and is not asked for 30 s";
    assert!(events[0].1.starts_with(begins) && events[0].1.contains("trapped"), "{events:#?}");
    let masters = User::new("admin", &["system:masters"]);
    let caller = Caller::FrontProxy(&masters);
    let told = announced.gateway.get("/apis/metrics.k8s.io/v1beta1/gateways", caller).await?.json();
    let policy = &told["items"][0]["policies"][0];
    assert_eq!((&policy["breaker"], &policy["failing"]["kind"]), (&"open".into(), &"trap".into()), "{told:#}");
    let path = "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods/web-0/explain";
    let told = announced.gateway.get(path, caller).await?.json();
    assert_eq!(told["containers"][0]["filters"][0]["said"], "failed-keep", "{told:#}");
    assert_eq!(told["policies"][0]["breaker"], "open", "{told:#}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_events_cannot_be_sent_the_gateway_says_so_once_and_goes_on() -> Result<()> {
    let announced = Announced::start(1, "kube-system/metrics-server").await?;
    announced.gateway.wait_ready(PATIENCE).await?;
    announced.api.stop().await;
    announced.configure("[default]\nwindow = \"nobody\"\n")?;
    announced.gateway.wait_for_log("cannot send an Event about Deployment", PATIENCE).await?;
    announced.configure("[default]\nwindow = \"nobody-else\"\n")?;
    announced.reloads("refused", 2.0).await?;
    announced.gateway.wait_ready(PATIENCE).await?;
    announced.api.start_again().await?;
    let events = announced.events(1).await?;
    assert_eq!(events[0].0, "GenerationRefused", "{events:#?}");
    let log = announced.gateway.log();
    assert_eq!(log.matches("cannot send an Event").count(), 1, "{log}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_is_none_of_a_deployment_is_told_and_nothing_is_sent() -> Result<()> {
    let announced = Announced::start(1, "metrics-server").await?;
    let line = announced.gateway.wait_for_log("METRICS_GATEWAY_DEPLOYMENT", PATIENCE).await?;
    assert!(line.contains("\"metrics-server\" is not NAMESPACE/NAME of a Deployment; no Events are sent"), "{line}");
    announced.configure("[default]\nwindow = \"nobody\"\n")?;
    announced.reloads("refused", 1.0).await?;
    assert_eq!(announced.api.events(), Vec::<Value>::new());
    Ok(())
}
