//! Asks a running gateway about itself, through the API server: whoever may, may from wherever kubectl works.
//!
//! In: a path below `/apis/metrics.k8s.io/v1beta1`. Out: a document of [`report`](crate::report), fit for a terminal, or
//! what stands in the way, in words that tell a gateway which refuses from a cluster without one.
//!
//! Everything that comes is hostile: capped, with a time limit, and stripped of what moves a cursor.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use kube::Client;
use kube::client::Body;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::cluster::ClusterOptions;
use crate::report::{self, API_VERSION};

/// Longer than any of the documents, and nothing that hurts.
const LONGEST: usize = 16 << 20;
/// One question from connecting to the last byte. The gateway itself may wait for the API server for two seconds.
const LIMIT: Duration = Duration::from_secs(15);
/// Where the documents are.
const ROOT: &str = "/apis/metrics.k8s.io/v1beta1";

/// Asks over a connection of its own, so that each time another replica may answer.
///
/// # Errors
/// With what stands in the way.
pub(super) async fn ask(options: &ClusterOptions, path: &str) -> Result<Value> {
    let mut config = options.config().await?;
    config.connect_timeout = Some(Duration::from_secs(5));
    config.default_retry = false;
    let client = Client::try_from(config).context("cannot use the kubeconfig")?;
    tokio::time::timeout(LIMIT, get(client, path)).await.unwrap_or_else(|_| Err(anyhow!("no answer within {LIMIT:?}")))
}

async fn get(client: Client, path: &str) -> Result<Value> {
    let request = Request::get(format!("{ROOT}/{path}")).header("accept", "application/json").body(Body::empty())?;
    let response = client.send(request).await.context("cannot ask the API server")?;
    let status = response.status();
    let body = Limited::new(response.into_body(), LONGEST).collect().await;
    let body = body.map_err(|error| anyhow!("the answer broke off: {error}"))?.to_bytes();
    let mut document: Value = serde_json::from_slice(&body).unwrap_or_default();
    report::make_printable(&mut document);
    if status == StatusCode::OK && document["apiVersion"] == API_VERSION {
        return Ok(document);
    }
    Err(refusal(status, &document))
}

/// What an answer means that is no document.
fn refusal(status: StatusCode, answer: &Value) -> anyhow::Error {
    const NOBODY: &str =
        "the Metrics API here is not served by metrics-gateway (or by one that is older than this command)";
    let message = answer["message"].as_str().unwrap_or_default();
    match status {
        StatusCode::OK => anyhow!(NOBODY),
        StatusCode::NOT_FOUND if message.is_empty() || message.contains("could not find the requested resource") => {
            anyhow!(NOBODY)
        }
        StatusCode::FORBIDDEN => anyhow!(
            "{message}\nthe ClusterRoles \"metrics-gateway:explain\" (pods) and \"metrics-gateway:operate\" (all) grant it"
        ),
        StatusCode::SERVICE_UNAVAILABLE => {
            anyhow!("the Metrics API is not available: {message}\n`metrics-gateway doctor` says why")
        }
        _ if message.is_empty() => anyhow!("the API server answers {status}"),
        _ => anyhow!("{message}"),
    }
}

/// Reads a document of this kind.
///
/// # Errors
/// If it is of another.
pub(super) fn read<T: DeserializeOwned>(document: Value, kind: &str) -> Result<T> {
    if document["kind"] != kind {
        bail!("the answer is a {}, not a {kind}", document["kind"]);
    }
    serde_json::from_value(document).with_context(|| format!("the answer is no {kind} that can be read"))
}

/// A name as one segment of a path.
pub(super) fn segment(name: &str) -> String {
    const NOT_IN_A_NAME: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');
    utf8_percent_encode(name, NOT_IN_A_NAME).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_gateway_that_refuses_is_told_from_a_cluster_without_one() {
        let check = |status: u16, answer: Value| refusal(StatusCode::from_u16(status).unwrap(), &answer).to_string();
        let nobody = "is not served by metrics-gateway";
        let upstream = json!({"kind": "Status", "message": "the server could not find the requested resource"});
        assert!(check(404, upstream).contains(nobody));
        assert!(check(404, Value::Null).contains(nobody), "as API servers answer for a group that nobody registered");
        assert!(check(200, json!({"kind": "NodeMetricsList"})).contains(nobody));
        assert_eq!(check(404, json!({"message": "pods \"x\" not found"})), "pods \"x\" not found");
        assert!(check(403, json!({"message": "pods is forbidden"})).starts_with("pods is forbidden\nthe ClusterRoles"));
        assert!(check(503, json!({"message": "no endpoints"})).contains("not available: no endpoints"));
        assert_eq!(check(502, Value::Null), "the API server answers 502 Bad Gateway");
    }

    #[test]
    fn a_name_stays_one_segment() {
        assert_eq!(segment("a/../b?c"), "a%2F..%2Fb%3Fc");
    }
}
