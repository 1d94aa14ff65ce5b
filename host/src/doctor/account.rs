//! As whom the gateway asks the API server and the kubelets, and what its environment says of it.

use serde_json::{Value, json};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use super::Options;
use super::backend::Backend;
use super::permissions::Account;
use super::server::{Server, items, text};
use super::settings::{Origin, Settings};
use crate::config::{KubeletTls, KubeletVerify};
use crate::credentials;
use crate::scrape::kubelet::{Credentials, TlsCredentials};

/// The account of the Deployment, or of the kubeconfig that the flags name, or the usual one.
pub(super) async fn find(
    server: &Server,
    backend: &Backend,
    settings: &Settings,
    options: &Options,
) -> Result<Account, String> {
    if let (Some(path), Origin::Given) = (settings.kubeconfig(), settings.origin) {
        let cluster = credentials::cluster(Some(path)).await.map_err(|error| format!("{error:#}"))?;
        return of_config(server, &cluster).await;
    }
    if options.is_in_pod {
        return of_config(server, &options.cluster).await;
    }
    if let Some(deployment) = backend.deployment() {
        let name = text(deployment, "/spec/template/spec/serviceAccountName");
        let name = if name.is_empty() { "default" } else { name };
        return Ok(Account::service_account(&backend.namespace, name));
    }
    let (namespace, name) = (&options.namespace, &options.service);
    match server.get(&format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}")).await {
        Ok(_) => Ok(Account::service_account(namespace, name)),
        Err(unread) => Err(format!(
            "no Deployment, no --kubeconfig among the flags, and no ServiceAccount {namespace}/{name} says whose they are: {unread}"
        )),
    }
}

/// Whoever the API server takes the kubeconfig's owner for.
async fn of_config(server: &Server, cluster: &kube::Config) -> Result<Account, String> {
    // No kubelet is asked with these: they are read for who they belong to.
    let tls = KubeletTls::Tls { verify: KubeletVerify::Insecure, client_pair: None };
    let read = credentials::kubelets_of(cluster, &tls).map_err(|error| format!("{error:#}"))?;
    match read {
        Credentials::Tls(TlsCredentials { client_pair: Some(pair), .. }) => {
            of_certificate(pair.chain.first().map(AsRef::as_ref).unwrap_or_default())
        }
        Credentials::Tls(TlsCredentials { token: Some(token), .. }) => of_token(server, &token).await,
        _ => Err("the kubeconfig has neither token nor certificate".to_owned()),
    }
}

fn of_certificate(der: &[u8]) -> Result<Account, String> {
    let (_, certificate) = X509Certificate::from_der(der).map_err(|error| error.to_string())?;
    let subject = certificate.subject();
    let user = subject.iter_common_name().last().and_then(|name| name.as_str().ok()).unwrap_or_default().to_owned();
    let groups = subject.iter_organization().filter_map(|group| group.as_str().ok());
    Ok(Account { user, groups: groups.chain(["system:authenticated"]).map(str::to_owned).collect() })
}

async fn of_token(server: &Server, token: &str) -> Result<Account, String> {
    let review = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token},
    });
    let answer = server.post("/apis/authentication.k8s.io/v1/tokenreviews", &review).await;
    let answer =
        answer.map_err(|unread| format!("cannot ask whose the token of the flags' kubeconfig is: {unread}"))?;
    if answer["status"]["authenticated"] != true {
        return Err(format!(
            "the API server does not accept the token of the flags' kubeconfig: {}",
            text(&answer, "/status/error")
        ));
    }
    let groups = items(&answer, "/status/user/groups").iter().filter_map(Value::as_str);
    Ok(Account { user: text(&answer, "/status/user/username").to_owned(), groups: groups.map(str::to_owned).collect() })
}

/// Whether any tenant goes by labels of namespaces. Without plugins in the sandbox nobody else says so.
pub(super) fn selects_namespaces(settings: &Settings) -> bool {
    settings.config.policies.tenants.iter().any(|tenant| tenant.namespace_selector.is_some())
}

/// The Deployment that the environment names for Events: namespace and name.
pub(super) fn events_deployment(backend: &Backend) -> Option<(String, String)> {
    let variables = items(backend.container()?, "/env").iter();
    let named = variables.into_iter().find(|variable| text(variable, "/name") == "METRICS_GATEWAY_DEPLOYMENT")?;
    let (namespace, name) = text(named, "/value").split_once('/')?;
    // The namespace may come from the downward API, which is the pod's own.
    let namespace = if namespace.is_empty() || namespace.starts_with('$') { &*backend.namespace } else { namespace };
    Some((namespace.to_owned(), name.to_owned()))
}
