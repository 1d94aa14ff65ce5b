//! Requests as the aggregator makes them, and what they cost the server.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::process::Server;
use crate::body::Body;
use crate::client::Client;

/// The slowest list of metrics-server at 5,000 nodes on a busy machine takes about a minute.
const PATIENCE: Duration = Duration::from_secs(180);
/// Long enough for the 10 ms steps of the kernel's clock to be a small part.
const AT_LEAST: Duration = Duration::from_secs(2);
/// A slow server is asked less often rather than longer.
const AT_MOST: Duration = Duration::from_secs(40);

/// One front proxy with one connection that is kept open (HTTP/2 where the server speaks it), asking for a cluster
/// administrator.
pub(super) struct Caller {
    client: Client,
    gzip: bool,
}

/// The head of an answer and the length of its body, which was thrown away as it came.
pub(super) struct Answered {
    pub(super) status: StatusCode,
    pub(super) bytes: u64,
}

impl Caller {
    pub(super) fn new(client: Client, gzip: bool) -> Self {
        Self { client, gzip }
    }

    /// GETs `path` and counts its bytes.
    pub(super) async fn ask(&self, path: &str) -> Result<Answered> {
        let exchange = async {
            let response = self.send(path, self.gzip).await?;
            let (status, mut body, mut bytes) = (response.status(), response.into_body(), 0);
            while let Some(frame) = body.frame().await {
                bytes += frame?.data_ref().map_or(0, Bytes::len) as u64;
            }
            anyhow::Ok(Answered { status, bytes })
        };
        timeout(PATIENCE, exchange).await.with_context(|| format!("no whole answer to {path:?} in {PATIENCE:?}"))?
    }

    /// How many items the list at `path` has.
    pub(super) async fn count(&self, path: &str) -> Result<usize> {
        let exchange = async {
            let body = self.send(path, false).await?.into_body().collect().await?.to_bytes();
            let list: serde_json::Value = serde_json::from_slice(&body)?;
            list["items"].as_array().map(Vec::len).with_context(|| format!("no list at {path:?}"))
        };
        timeout(PATIENCE, exchange).await?
    }

    async fn send(&self, path: &str, gzip: bool) -> Result<Response<Incoming>> {
        let mut request = Request::get(path)
            .header("accept", "application/json")
            .header("x-remote-user", "benchmark")
            .header("x-remote-group", "system:masters");
        if gzip {
            request = request.header("accept-encoding", "gzip");
        }
        self.client.send(request.body(Body::empty())?).await
    }
}

/// What one kind of request costs.
pub(super) struct Cost {
    /// CPU of the server for one request, less what its ticks use.
    pub(super) cpu: Duration,
    pub(super) median: Duration,
    pub(super) p99: Duration,
    pub(super) bytes: u64,
}

impl Cost {
    /// Asks `times` times or more, one after another. `background` is the CPU that the server uses meanwhile anyway, in
    /// seconds for each second.
    pub(super) async fn measure(
        server: &Server,
        caller: &Caller,
        path: &str,
        times: usize,
        background: f64,
    ) -> Result<Self> {
        // The first one pays for the connection.
        let first = caller.ask(path).await?;
        ensure!(first.status == StatusCode::OK, "{path:?} is answered with {}", first.status);
        let (cpu, started, mut took) = (server.cpu_time()?, Instant::now(), Vec::new());
        while (took.len() < times || started.elapsed() < AT_LEAST) && started.elapsed() < AT_MOST {
            let asked = Instant::now();
            let answer = caller.ask(path).await?;
            ensure!(answer.status == StatusCode::OK, "{path:?} is answered with {}", answer.status);
            took.push(asked.elapsed());
        }
        let used = server.cpu_time()?.saturating_sub(cpu).as_secs_f64() - background * started.elapsed().as_secs_f64();
        took.sort_unstable();
        let count = u32::try_from(took.len()).context("fewer than four billion requests")?;
        Ok(Self {
            cpu: Duration::from_secs_f64(used.max(0.0)) / count,
            median: took[took.len() / 2],
            p99: took[took.len() * 99 / 100],
            bytes: first.bytes,
        })
    }
}

/// How it went when several asked at the same moment.
pub(super) struct AtOnce {
    pub(super) took: Duration,
    pub(super) errors: u32,
}

/// Lets every caller ask for `path` once, all at the same time.
pub(super) async fn at_once(callers: Vec<Caller>, path: &'static str) -> AtOnce {
    let started = Instant::now();
    let mut asking = JoinSet::new();
    for caller in callers {
        asking.spawn(async move { caller.ask(path).await.is_ok_and(|answer| answer.status == StatusCode::OK) });
    }
    let errors = asking.join_all().await.into_iter().filter(|succeeded| !succeeded).count();
    AtOnce { took: started.elapsed(), errors: u32::try_from(errors).unwrap_or(u32::MAX) }
}
