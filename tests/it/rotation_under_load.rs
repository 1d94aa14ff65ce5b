//! Everything that is rotated in a cluster's life, rotated while clients go on asking: the front proxy's CA, the serving
//! certificate, the kubelets' CA, the gateway's own token. No request fails but those of the CA that was removed.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use harness::api_server::User;
use harness::certs::{Authority, FRONT_PROXY_CLIENT, Pair};
use harness::client::Client;
use harness::eventually::eventually;
use harness::fleet::Fault;
use http::header::AUTHORIZATION;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::world::{B, PATIENCE, World};

/// The way of a client that asks again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Connections {
    One,
    OneEach,
}

/// Clients that ask until they are told to stop.
struct Load {
    stop: CancellationToken,
    tasks: TaskTracker,
    outcomes: Arc<Mutex<Vec<Outcome>>>,
}

/// Who asked, and what was wrong with the answer, if anything.
#[derive(Clone, Debug)]
struct Outcome {
    who: &'static str,
    failure: Option<String>,
}

impl Load {
    fn new() -> Self {
        Self { stop: CancellationToken::new(), tasks: TaskTracker::new(), outcomes: Arc::default() }
    }

    /// Adds a client; it can be told to stop alone.
    fn add(
        &self,
        who: &'static str,
        connections: Connections,
        client: impl Fn() -> Client + Send + 'static,
        header: Option<(&'static str, &'static str)>,
    ) -> CancellationToken {
        let stop = self.stop.child_token();
        let (outcomes, until) = (Arc::clone(&self.outcomes), stop.clone());
        let ask = async move {
            let mut shared = client();
            loop {
                if connections == Connections::OneEach {
                    shared = client();
                }
                let path = format!("{B}/{}", if outcomes.lock().len().is_multiple_of(2) { "nodes" } else { "pods" });
                let failure = match shared.get(&path, header.as_slice()).await {
                    Ok(answer) if answer.status == 200 => None,
                    Ok(answer) => Some(format!("{}: {}", answer.status, String::from_utf8_lossy(&answer.body))),
                    Err(error) => Some(format!("{error:#}")),
                };
                outcomes.lock().push(Outcome { who, failure });
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        self.tasks.spawn(async move { until.run_until_cancelled(ask).await });
        stop
    }

    fn failures(&self, who: &str) -> Vec<String> {
        let outcomes = self.outcomes.lock();
        outcomes.iter().filter(|outcome| outcome.who == who).filter_map(|outcome| outcome.failure.clone()).collect()
    }

    fn count(&self, who: &str) -> usize {
        self.outcomes.lock().iter().filter(|outcome| outcome.who == who).count()
    }

    /// Returns when `who` has asked some times more.
    async fn goes_on(&self, who: &str) -> Result<()> {
        let before = self.count(who);
        eventually("requests go on", PATIENCE, async || {
            ensure!(self.count(who) > before + 5, "{who} asked {} times", self.count(who));
            Ok(())
        })
        .await
    }

    async fn end(self) -> Vec<Outcome> {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        std::mem::take(&mut self.outcomes.lock())
    }
}

/// Each node's time of its newest reading.
async fn readings(world: &World) -> Result<Vec<String>> {
    let answer = world.ask(&format!("{B}/nodes"), &[]).await;
    ensure!(answer.status == 200, "{}", answer.status);
    let list = answer.json();
    let items = list["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(items.iter().map(|node| node["timestamp"].to_string()).collect())
}

/// Returns when each node has been read anew.
async fn all_are_read_anew(world: &World) -> Result<()> {
    let before = readings(world).await?;
    eventually("a new reading of each node", PATIENCE, async || {
        let now = readings(world).await?;
        ensure!(now.len() == before.len() && now.iter().zip(&before).all(|(now, before)| now > before), "{now:?}");
        Ok(())
    })
    .await
}

/// What the gateway shows to a new connection.
async fn serving_certificate(client: &Client) -> Result<Vec<u8>> {
    let stream = client.stream().await?;
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default().to_vec();
    ensure!(!chain.is_empty(), "no certificate");
    Ok(chain[0].to_vec())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_everything_is_rotated() -> Result<()> {
    let world = Arc::new(World::start(&[]).await);
    let load = Load::new();
    let client_of = |pair: Option<Pair>| {
        let world = Arc::clone(&world);
        move || world.client(pair.as_ref())
    };
    let as_carol = Some(("x-remote-user", "carol"));
    world.api.access().add_token("token-of-grace", User::new("grace", &[]));
    let old = load.add("old proxy", Connections::One, client_of(Some(world.front_proxy())), as_carol);
    load.add("certificate", Connections::OneEach, client_of(Some(world.admin())), None);
    let bearer = Some(("authorization", "Bearer token-of-grace"));
    load.add("token", Connections::OneEach, client_of(None), bearer);
    load.add("token, one connection", Connections::One, client_of(None), bearer);
    load.goes_on("old proxy").await?;

    // All files at once: a new serving pair, a bundle of both kubelet CAs, a token.
    let directory = world.gateway.directory();
    let serving = world.certs().gateway();
    serving.write(directory.path(), "serving")?;
    let (cluster, foreign) = (world.certs().cluster.pem(), world.certs().foreign.pem());
    std::fs::write(directory.file("cluster-ca.crt"), format!("{cluster}{foreign}"))?;
    world.api.access().add_token("new-token", User::service_account("kube-system", "metrics-server"));
    std::fs::write(directory.file("token"), "new-token")?;

    // The front proxy's CA: both, and then the new one alone.
    let new_ca = Authority::generate("new-front-proxy-ca");
    let both = format!("{}{}", world.certs().front_proxy.pem(), new_ca.pem());
    world.api.change_front_proxy_config(&[("requestheader-client-ca-file", Some(&both))]);
    let proxy = new_ca.client(FRONT_PROXY_CLIENT, &[]);
    eventually("the new proxy is believed", PATIENCE, async || {
        let answer = world.get(Some(&proxy), B, &[("x-remote-user", "carol")]).await;
        ensure!(answer.status == 200, "{}", answer.status);
        Ok(())
    })
    .await?;
    load.add("new proxy", Connections::One, client_of(Some(proxy)), as_carol);
    load.goes_on("new proxy").await?;
    load.goes_on("old proxy").await?;
    assert_eq!(load.failures("old proxy"), [] as [String; 0], "both CAs count");
    world.api.change_front_proxy_config(&[("requestheader-client-ca-file", Some(new_ca.pem()))]);
    eventually("the old proxy is refused", PATIENCE, async || {
        ensure!(!load.failures("old proxy").is_empty(), "it is not");
        Ok(())
    })
    .await?;
    old.cancel();

    let newcomer = world.client(None);
    eventually("the new serving certificate is shown", PATIENCE, async || {
        ensure!(serving_certificate(&newcomer).await? == serving.chain()[0].to_vec(), "the old one is");
        Ok(())
    })
    .await?;
    // Kubelets get the token only with the CAs that were read with it.
    let fleet = world.fleet.as_ref().expect("this cluster has kubelets");
    for node in 0..fleet.nodes().len() {
        eventually("the new token", PATIENCE, async || {
            let requests = fleet.requests(node);
            let token = requests.last().and_then(|request| request.headers.get(AUTHORIZATION));
            ensure!(token.is_some_and(|token| token == "Bearer new-token"), "{token:?}");
            Ok(())
        })
        .await?;
    }
    (0..fleet.nodes().len()).for_each(|node| fleet.set_fault(node, Some(Fault::ForeignCa)));
    std::fs::write(directory.file("cluster-ca.crt"), foreign)?;
    all_are_read_anew(&world).await?;
    all_are_read_anew(&world).await?;

    let outcomes = load.end().await;
    let failed = |outcome: &&Outcome| outcome.failure.is_some();
    let (refused, others): (Vec<_>, Vec<_>) =
        outcomes.iter().filter(failed).partition(|outcome| outcome.who == "old proxy");
    let total = outcomes.len();
    println!(
        "{total} requests, {} of them of the removed CA and refused, {} others failed",
        refused.len(),
        others.len()
    );
    assert!(others.is_empty(), "{others:#?}; the log is:\n{}", world.gateway.log());
    // With a 401 of a proxy that is not believed its connection ends, and what it has sent by then goes with it.
    let begins =
        |outcome: &Outcome, text: &str| outcome.failure.as_ref().is_some_and(|failure| failure.starts_with(text));
    let is_refusal = |outcome: &&Outcome| begins(outcome, "401") || begins(outcome, "operation was canceled");
    assert!(refused.iter().all(is_refusal), "{refused:#?}");
    assert!(refused.iter().any(|outcome| begins(outcome, "401")), "{refused:#?}");
    Ok(())
}
