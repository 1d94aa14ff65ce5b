//! The aggregation layer: whether the API server can pass requests on to the gateway and prove to it who asks.
//!
//! In: the ConfigMap that the API server publishes for its extensions, the flags of kube-apiserver where it runs as a pod
//! that may be read, and what routes Services. Out: findings. A control plane that is hidden, as in managed clusters, is
//! known by the ConfigMap alone, which is enough.
//!
//! Rule: kubernetes.io, "Configure the Aggregation Layer".

use std::collections::BTreeMap;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::Value;

use super::cause::Cause;
use super::certificate::Certificate;
use super::kubectl::Kubectl;
use super::report::{Finding, Remedy};
use super::server::{Read, Server, items, text};
use crate::auth::trust;

/// What was read.
pub(super) struct Aggregation {
    pub(super) config: Read,
    /// Command and arguments of kube-apiserver; None: it does not run as a pod here.
    pub(super) flags: Read<Option<Vec<String>>>,
    /// What routes cluster addresses, by name.
    pub(super) router: Read<Option<String>>,
}

/// Reads it.
pub(super) async fn gather(server: &Server) -> Aggregation {
    let config = server.get("/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication").await;
    let api_servers =
        server.list("/api/v1/namespaces/kube-system/pods", "labelSelector=component%3Dkube-apiserver").await;
    let flags = api_servers.map(|pods| pods.first().map(flags_of));
    Aggregation { config, flags, router: router(server).await }
}

fn flags_of(pod: &Value) -> Vec<String> {
    let container = &pod["spec"]["containers"][0];
    let words = items(container, "/command").iter().chain(items(container, "/args"));
    words.filter_map(Value::as_str).map(str::to_owned).collect()
}

async fn router(server: &Server) -> Read<Option<String>> {
    const REPLACEMENTS: [&str; 6] =
        ["kube-proxy", "cilium", "kube-router", "calico-node", "antrea-agent", "ovnkube-node"];
    let sets = server.list("/apis/apps/v1/daemonsets", "").await?;
    let names: Vec<&str> = sets.iter().map(|set| text(set, "/metadata/name")).collect();
    if let Some(found) = REPLACEMENTS.iter().find(|wanted| names.iter().any(|name| name.starts_with(*wanted))) {
        return Ok(Some(format!("DaemonSet {found}")));
    }
    let pods = server.list("/api/v1/namespaces/kube-system/pods", "labelSelector=k8s-app%3Dkube-proxy").await?;
    Ok(pods.first().map(|_| "pods kube-proxy".to_owned()))
}

/// What follows. `is_available`: the API server reaches some Service already.
pub(super) fn judge(seen: &Aggregation, is_available: bool, now: i64, kubectl: &Kubectl) -> Vec<Finding> {
    let mut findings = vec![judge_config(&seen.config, now, kubectl)];
    let flags = match &seen.flags {
        Ok(Some(flags)) => Some(flags),
        Ok(None) => None,
        Err(_) => None,
    };
    findings.push(match flags {
        Some(flags) => judge_flags(flags),
        None => {
            let why = match &seen.flags {
                Err(unread) => format!("its pods cannot be read: {unread}"),
                Ok(_) => "it does not run as a pod of this cluster, so its flags cannot be read".to_owned(),
            };
            Finding::skipped("aggregator-flags", "kube-apiserver", why)
        }
    });
    findings.push(judge_routing(flags, &seen.router, is_available));
    findings
}

const CONFIG: &str = "kube-system/extension-apiserver-authentication";

fn judge_config(config: &Read, now: i64, kubectl: &Kubectl) -> Finding {
    let id = "authentication-config";
    let config = match config {
        Ok(config) => config,
        Err(unread) if unread.is_absent() => {
            let cause = Cause::AuthenticationConfigMissing;
            return Finding::failed(id, CONFIG, cause, "there is no such ConfigMap", Remedy::text(cause.mend()));
        }
        Err(unread) if unread.is_forbidden() => {
            let command = kubectl.line(&[
                "-n",
                "kube-system",
                "create",
                "rolebinding",
                "doctor-auth-reader",
                "--role=extension-apiserver-authentication-reader",
                "--user=YOU",
            ]);
            let remedy =
                Remedy::commands("let an administrator bind the role to you, or use their kubeconfig", vec![command]);
            let message = format!("you may not read it: {unread}");
            return Finding::warning(id, CONFIG, Cause::AuthenticationConfigUnreadable, message, remedy);
        }
        Err(unread) => return Finding::skipped(id, CONFIG, format!("cannot read it: {unread}")),
    };
    let data: BTreeMap<String, String> = config["data"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect();
    judge_data(&data, now).unwrap_or_else(|| {
        let names = data.get("requestheader-allowed-names").map_or("[]", String::as_str);
        let names = if names == "[]" || names.is_empty() { "any name" } else { names };
        Finding::ok(id, CONFIG, format!("the front proxy is {names} under {}", subjects(&data).join(", ")))
    })
}

fn judge_data(data: &BTreeMap<String, String>, now: i64) -> Option<Finding> {
    let (id, value) = ("authentication-config", |key: &str| data.get(key).map_or("", String::as_str));
    if value("requestheader-client-ca-file").is_empty() {
        let text = "give kube-apiserver --requestheader-client-ca-file, --requestheader-allowed-names, \
                    --requestheader-username-headers=X-Remote-User, --requestheader-group-headers=X-Remote-Group, \
                    --requestheader-extra-headers-prefix=X-Remote-Extra-, --proxy-client-cert-file and \
                    --proxy-client-key-file, and restart it";
        let message =
            "it has no \"requestheader-client-ca-file\": kube-apiserver runs without --requestheader-client-ca-file";
        return Some(Finding::failed(id, CONFIG, Cause::RequestheaderFlagsMissing, message, Remedy::text(text)));
    }
    if let Some(fault) = trust::fault_of(data) {
        let cause = Cause::AuthenticationCaInvalid;
        return Some(Finding::failed(id, CONFIG, cause, fault, Remedy::text(cause.mend())));
    }
    let lists = [
        ("requestheader-username-headers", "--requestheader-username-headers=X-Remote-User"),
        ("requestheader-group-headers", "--requestheader-group-headers=X-Remote-Group"),
        ("requestheader-extra-headers-prefix", "--requestheader-extra-headers-prefix=X-Remote-Extra-"),
    ];
    let missing: Vec<(&str, &str)> =
        lists.into_iter().filter(|(key, _)| ["", "[]", "null"].contains(&value(key).trim())).collect();
    if !missing.is_empty() {
        let (keys, flags): (Vec<&str>, Vec<&str>) = missing.into_iter().unzip();
        let message = format!("it has no {}", keys.join(", "));
        let remedy = Remedy::text(format!("give kube-apiserver {} and restart it", flags.join(" ")));
        let cause = Cause::RequestheaderHeadersMissing;
        // Without the name nobody is anybody; without groups and extras much still works.
        return Some(if keys.contains(&"requestheader-username-headers") {
            Finding::failed(id, CONFIG, cause, message, remedy)
        } else {
            Finding::warning(id, CONFIG, cause, message, remedy)
        });
    }
    ["requestheader-client-ca-file", "client-ca-file"].into_iter().find_map(|key| expired(key, value(key), now))
}

/// A bundle may hold an old CA beside the new one: it is expired when all of them are.
fn expired(key: &str, pem: &str, now: i64) -> Option<Finding> {
    let read = certificates(pem);
    let last = read.last().filter(|_| !read.iter().any(|certificate| certificate.is_valid_at(now)))?;
    let message = format!("the CA {:?} under {key:?} is valid from {}", last.subject, last.validity());
    let cause = Cause::AuthenticationCaExpired;
    Some(Finding::failed("authentication-config", CONFIG, cause, message, Remedy::text(cause.mend())))
}

fn subjects(data: &BTreeMap<String, String>) -> Vec<String> {
    let pem = data.get("requestheader-client-ca-file").map_or("", String::as_str);
    certificates(pem).iter().map(|certificate| format!("CA {:?}", certificate.subject)).collect()
}

fn certificates(pem: &str) -> Vec<Certificate> {
    let ders = CertificateDer::pem_slice_iter(pem.as_bytes()).filter_map(Result::ok);
    ders.filter_map(|der| Certificate::read(&der).ok()).collect()
}

/// `--name=value`, `--name value` and `--name` alone.
fn has_flag(flags: &[String], name: &str) -> bool {
    flags.iter().any(|flag| flag == name || flag.strip_prefix(name).is_some_and(|rest| rest.starts_with('=')))
}

fn judge_flags(flags: &[String]) -> Finding {
    let (id, subject) = ("aggregator-flags", "kube-apiserver");
    let missing = |names: &[&'static str]| -> Vec<&'static str> {
        names.iter().copied().filter(|name| !has_flag(flags, name)).collect()
    };
    let failed = |cause, names: Vec<&str>| {
        let names = names.join(" ");
        let remedy = Remedy::text(format!(
            "add {names} to the command in /etc/kubernetes/manifests/kube-apiserver.yaml, or wherever its flags are kept, on \
             every machine of the control plane"
        ));
        Finding::failed(id, subject, cause, format!("it runs without {names}"), remedy)
    };
    let request_header = missing(&["--requestheader-client-ca-file", "--requestheader-username-headers"]);
    if !request_header.is_empty() {
        return failed(Cause::RequestheaderFlagsMissing, request_header);
    }
    let proxy_client = missing(&["--proxy-client-cert-file", "--proxy-client-key-file"]);
    if !proxy_client.is_empty() {
        return failed(Cause::ProxyClientFlagsMissing, proxy_client);
    }
    Finding::ok(id, subject, "it has --requestheader-client-ca-file and --proxy-client-cert-file")
}

fn judge_routing(flags: Option<&Vec<String>>, router: &Read<Option<String>>, is_available: bool) -> Finding {
    let (id, subject) = ("service-routing", "");
    let routes_itself = flags.is_some_and(|flags| {
        let on = ["--enable-aggregator-routing", "--enable-aggregator-routing=true"];
        flags.iter().any(|flag| on.contains(&&**flag))
    });
    if routes_itself {
        return Finding::ok(
            id,
            subject,
            "kube-apiserver has --enable-aggregator-routing and asks endpoints by their own addresses",
        );
    }
    if is_available {
        let by = router.as_ref().ok().and_then(Option::as_ref).map_or(String::new(), |by| format!(" ({by})"));
        return Finding::ok(id, subject, format!("the API server reaches the gateway's Service{by}"));
    }
    match router {
        Ok(Some(by)) => Finding::ok(id, subject, format!("cluster addresses are routed by {by}")),
        Err(unread) => Finding::skipped(id, subject, format!("DaemonSets cannot be read: {unread}")),
        Ok(None) => {
            let remedy = Remedy::text(
                "give kube-apiserver --enable-aggregator-routing=true, so that it asks endpoints by their own addresses; or \
                 run kube-proxy on its machine",
            );
            let cause = Cause::NoServiceRouting;
            // Where its flags are known to lack it, nothing is left that could route.
            match flags {
                Some(_) => {
                    Finding::failed(id, subject, cause, "no kube-proxy, and no --enable-aggregator-routing", remedy)
                }
                None => Finding::warning(id, subject, cause, "no kube-proxy or known replacement was found", remedy),
            }
        }
    }
}

#[cfg(test)]
mod tests;
