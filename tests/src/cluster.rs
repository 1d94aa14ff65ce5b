//! A whole cluster in this process, and the real gateway in it: what most promises are tested on.
//!
//! The API server, the kubelets and the gateway are reached through its fields. Questions without a caller are put by
//! the front proxy for an administrator, so that no permission has to be asked for.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use http::StatusCode;
use serde_json::Value;

use crate::api_server::{ApiServer, MASTERS, User};
use crate::certs::Certs;
use crate::client::Answer;
use crate::eventually::eventually;
use crate::fleet::{Fleet, FleetSpec};
use crate::gateway::{Caller, Gateway};

/// The paths below which the metrics API is served, the version that everybody asks for first.
pub const VERSIONS: [&str; 2] = ["/apis/metrics.k8s.io/v1beta1", "/apis/metrics.k8s.io/v1"];

/// Two ticks, the least in which there is a rate; one more for a sample that repeats itself; and some for a busy machine.
pub const FIRST_USAGE: Duration = Duration::from_secs(60);

/// The cluster; everything in it ends when it is dropped.
pub struct Cluster {
    /// The gateway, started against the API server.
    pub gateway: Gateway,
    /// The kubelets, all of them nodes of the cluster.
    pub fleet: Fleet,
    /// The API server.
    pub api: ApiServer,
}

impl Cluster {
    /// Starts one whose gateway gets `args` after the standard ones.
    ///
    /// # Errors
    /// Where the API server or the gateway cannot be started.
    pub async fn start(spec: FleetSpec, args: &[&str]) -> Result<Self> {
        let api = ApiServer::start(Arc::new(Certs::generate())).await?;
        let fleet = Fleet::start(spec, api.certs()).await;
        api.add_fleet(&fleet);
        let gateway = Gateway::start(&api, args)?;
        Ok(Self { gateway, fleet, api })
    }

    /// Waits until every node and every pod has usage.
    ///
    /// # Errors
    /// Where one has none in time; with the log of the gateway.
    pub async fn wait_for_usage(&self) -> Result<()> {
        wait_for_usage(&self.gateway, &self.fleet).await
    }

    /// Asks the gateway itself, as an administrator.
    ///
    /// # Errors
    /// Where no whole answer comes; any status is an answer.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        get(&self.gateway, path).await
    }

    /// What the gateway answers to a path below v1beta1, as JSON.
    ///
    /// # Errors
    /// Where it does not answer 200.
    pub async fn json(&self, path: &str) -> Result<Value> {
        json(&self.gateway, &format!("{}{path}", VERSIONS[0])).await
    }

    /// The items of a list below v1beta1.
    ///
    /// # Errors
    /// Where it is not answered with 200, or is no list.
    pub async fn items(&self, path: &str) -> Result<Vec<Value>> {
        items(self.json(path).await?)
    }
}

/// Waits until `gateway` serves usage of every node of the fleet, and every pod.
///
/// # Errors
/// Where one has none in time; with the log of the gateway.
pub async fn wait_for_usage(gateway: &Gateway, fleet: &Fleet) -> Result<()> {
    let pods: usize = fleet.nodes().iter().map(|node| node.pods.len()).sum();
    let count = async |list: &str| anyhow::Ok(items(json(gateway, &format!("{}/{list}", VERSIONS[0])).await?)?.len());
    let complete = async || {
        let (nodes, seen) = (count("nodes").await?, count("pods").await?);
        ensure!(nodes == fleet.nodes().len(), "{nodes} nodes have usage");
        ensure!(seen == pods, "{seen} of {pods} pods have usage");
        Ok(())
    };
    let waited = eventually("usage of everything", FIRST_USAGE, complete).await;
    waited.with_context(|| format!("the log is:\n{}", gateway.log()))
}

/// Asks `gateway` as an administrator.
///
/// # Errors
/// Where no whole answer comes; any status is an answer.
pub async fn get(gateway: &Gateway, path: &str) -> Result<Answer> {
    gateway.get(path, Caller::FrontProxy(&User::new("admin", &[MASTERS]))).await
}

/// What `gateway` answers an administrator, as JSON.
///
/// # Errors
/// Where it does not answer 200.
pub async fn json(gateway: &Gateway, path: &str) -> Result<Value> {
    let answer = get(gateway, path).await?;
    let text = String::from_utf8_lossy(&answer.body);
    ensure!(answer.status == StatusCode::OK, "{path} answers {}: {text}", answer.status);
    Ok(serde_json::from_str(&text)?)
}

/// The items of a list.
///
/// # Errors
/// Where it is none.
pub fn items(mut list: Value) -> Result<Vec<Value>> {
    match list["items"].take() {
        Value::Array(items) => Ok(items),
        other => anyhow::bail!("the items are {other}"),
    }
}
