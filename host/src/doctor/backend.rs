//! The gateway as the cluster knows it: its Service, the endpoints, the Deployment, its pods.
//!
//! In: namespace and name of a Service, as an APIService names it. Out: [`Backend`], what could be read of all that, and the
//! findings that follow. A gateway may also run outside the cluster, behind a Service without a selector: then there is no
//! Deployment, which is said, and is no failure.

use serde_json::Value;

use super::cause::Cause;
use super::kubectl::Kubectl;
use super::report::{Finding, Remedy};
use super::server::{Read, Server, condition, items, text};

/// What is known of the Service and what stands behind it.
pub(super) struct Backend {
    pub(super) namespace: String,
    pub(super) service_name: String,
    pub(super) service: Read,
    pub(super) endpoints: Read,
    /// The Deployment whose pods the Service selects.
    pub(super) deployment: Read<Option<Value>>,
    pub(super) pods: Read<Vec<Value>>,
}

/// Reads it.
pub(super) async fn gather(server: &Server, namespace: &str, name: &str) -> Backend {
    let service = server.get(&format!("/api/v1/namespaces/{namespace}/services/{name}")).await;
    let endpoints = server.get(&format!("/api/v1/namespaces/{namespace}/endpoints/{name}")).await;
    let deployments = server.list(&format!("/apis/apps/v1/namespaces/{namespace}/deployments"), "").await;
    let pods = server.list(&format!("/api/v1/namespaces/{namespace}/pods"), "").await;
    let selector = service.as_ref().ok().and_then(|service| service.pointer("/spec/selector")).cloned();
    let selector = selector.unwrap_or_default();
    let deployment = deployments.map(|all| {
        let by_name = |it: &Value| service.is_err() && text(it, "/metadata/name") == name;
        all.into_iter().find(|it| selects(&selector, &it["spec"]["template"]) || by_name(it))
    });
    // Without a Service the Deployment says which pods are its.
    let selector = match &deployment {
        Ok(Some(deployment)) if !is_some(&selector) => deployment["spec"]["selector"]["matchLabels"].clone(),
        _ => selector,
    };
    let pods = pods.map(|all| all.into_iter().filter(|pod| selects(&selector, pod)).collect());
    Backend { namespace: namespace.to_owned(), service_name: name.to_owned(), service, endpoints, deployment, pods }
}

/// Whether the labels of `object` match a selector that selects something.
fn selects(selector: &Value, object: &Value) -> bool {
    let labels = &object["metadata"]["labels"];
    is_some(selector)
        && selector.as_object().is_some_and(|wanted| wanted.iter().all(|(key, value)| labels[key] == *value))
}

fn is_some(selector: &Value) -> bool {
    selector.as_object().is_some_and(|wanted| !wanted.is_empty())
}

impl Backend {
    pub(super) fn deployment(&self) -> Option<&Value> {
        self.deployment.as_ref().ok().and_then(Option::as_ref)
    }

    /// The container of the Deployment that is the gateway: by its name, or else the first.
    pub(super) fn container(&self) -> Option<&Value> {
        let containers = items(self.deployment()?, "/spec/template/spec/containers");
        containers.iter().find(|it| text(it, "/name").contains("metrics")).or(containers.first())
    }

    /// The name by which the API server asks for it.
    pub(super) fn server_name(&self) -> String {
        format!("{}.{}.svc", self.service_name, self.namespace)
    }

    /// Where it is ready to be asked.
    pub(super) fn addresses(&self) -> Vec<(String, u16)> {
        let subsets = self.endpoints.as_ref().map_or(&[][..], |endpoints| items(endpoints, "/subsets"));
        let name = self.service.as_ref().map_or("", |service| text(service, "/spec/ports/0/name"));
        let of_subset = |subset: &Value| -> Vec<(String, u16)> {
            let ports = items(subset, "/ports");
            let port = ports.iter().find(|port| text(port, "/name") == name).or(ports.first());
            let port = port.and_then(|port| port["port"].as_u64());
            let Some(port) = port.and_then(|port| u16::try_from(port).ok()) else { return Vec::new() };
            let addresses = items(subset, "/addresses").iter();
            addresses.map(|address| (text(address, "/ip").to_owned(), port)).collect()
        };
        subsets.iter().flat_map(of_subset).filter(|(ip, _)| !ip.is_empty()).collect()
    }

    /// When the youngest ready pod's container started, as its status says it.
    pub(super) fn started_at(&self) -> Option<jiff::Timestamp> {
        let pods = self.pods.as_ref().ok()?;
        let statuses = pods.iter().flat_map(|pod| items(pod, "/status/containerStatuses"));
        statuses.filter_map(|status| text(status, "/state/running/startedAt").parse().ok()).max()
    }

    /// What is wrong with any of it.
    pub(super) fn judge(&self, kubectl: &Kubectl) -> Vec<Finding> {
        let mut findings = vec![self.judge_service(kubectl)];
        findings.push(self.judge_deployment(kubectl));
        let pods = self.pods.iter().flatten();
        findings.extend(pods.filter_map(|pod| self.judge_pod(pod, kubectl)));
        findings
    }

    fn subject(&self) -> String {
        format!("{}/{}", self.namespace, self.service_name)
    }

    fn judge_service(&self, kubectl: &Kubectl) -> Finding {
        let subject = self.subject();
        let service = match &self.service {
            Ok(service) => service,
            Err(unread) if unread.is_absent() => {
                let remedy = Remedy::text("apply the Service of the gateway's manifests (deploy/service.yaml)");
                return Finding::failed("service", &subject, Cause::ServiceMissing, "there is no such Service", remedy);
            }
            Err(unread) => return Finding::skipped("service", &subject, format!("cannot read the Service: {unread}")),
        };
        if text(service, "/spec/type") == "ExternalName" {
            let name = text(service, "/spec/externalName");
            return Finding::ok("service", &subject, format!("it stands for {name:?}, outside the cluster"));
        }
        let ready = self.addresses();
        if let [first, ..] = &*ready {
            let (ip, port) = first;
            return Finding::ok(
                "service",
                &subject,
                format!("{} ready, the first at {ip}:{port}", count(ready.len(), "endpoint")),
            );
        }
        if let Err(unread) = &self.endpoints
            && !unread.is_absent()
        {
            return Finding::skipped("service", &subject, format!("cannot read its endpoints: {unread}"));
        }
        let selector = service["spec"]["selector"].as_object();
        let labels: Vec<String> = selector
            .into_iter()
            .flatten()
            .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
            .collect();
        let pods = self.pods.as_ref().map_or(0, Vec::len);
        let (message, remedy) = if labels.is_empty() {
            let text = format!(
                "the Service has no selector: give the Endpoints {subject} the address and the port of the gateway"
            );
            ("it has no endpoints, and selects no pods".to_owned(), Remedy::text(text))
        } else if pods == 0 {
            let command = kubectl.line(&["-n", &self.namespace, "get", "pods", "--show-labels"]);
            let text = format!("let the labels of the pods be those that the Service selects, {}", labels.join(","));
            (
                format!("it has no endpoints: no pod has the labels {}", labels.join(",")),
                Remedy::commands(text, vec![command]),
            )
        } else {
            let command = kubectl.line(&["-n", &self.namespace, "describe", "pods", "-l", &labels.join(",")]);
            let text = "mend the pods: what keeps them from being ready is said here, or by the command";
            (
                format!("it has no endpoints: of {} that it selects none is ready", count(pods, "pod")),
                Remedy::commands(text, vec![command]),
            )
        };
        Finding::failed("service", &subject, Cause::NoEndpoints, message, remedy)
    }

    fn judge_deployment(&self, kubectl: &Kubectl) -> Finding {
        let deployment = match &self.deployment {
            Ok(Some(deployment)) => deployment,
            Ok(None) => {
                let message = "no Deployment whose pods the Service selects: the gateway runs elsewhere, or not at all";
                return Finding::skipped("deployment", &self.subject(), message);
            }
            Err(unread) => {
                return Finding::skipped("deployment", &self.subject(), format!("cannot read Deployments: {unread}"));
            }
        };
        let name = text(deployment, "/metadata/name");
        let subject = format!("{}/{name}", self.namespace);
        let wanted = deployment["spec"]["replicas"].as_u64().unwrap_or(1);
        let ready = deployment["status"]["readyReplicas"].as_u64().unwrap_or(0);
        let image = self.container().map_or("", |container| text(container, "/image"));
        let other = if image.contains("gateway") { "" } else { ", which is not metrics-gateway by its name" };
        let message = format!("{ready} of {wanted} replicas are ready; image {image:?}{other}");
        if ready >= wanted && wanted > 0 {
            return Finding::ok("deployment", &subject, message);
        }
        let object = format!("deployment/{name}");
        let (cause, remedy) = if wanted == 0 {
            let command = kubectl.line(&["-n", &self.namespace, "scale", &object, "--replicas=1"]);
            (Cause::ReplicasUnavailable, Remedy::commands("let it have a replica", vec![command]))
        } else {
            let command = kubectl.line(&["-n", &self.namespace, "describe", &object]);
            (Cause::ReplicasUnavailable, Remedy::commands("mend its pods; their lines follow", vec![command]))
        };
        // One ready pod serves everything; the others are missed when it goes.
        if ready > 0 {
            Finding::warning("deployment", &subject, cause, message, remedy)
        } else {
            Finding::failed("deployment", &subject, cause, message, remedy)
        }
    }

    /// None: the pod is ready, or on its way out.
    fn judge_pod(&self, pod: &Value, kubectl: &Kubectl) -> Option<Finding> {
        let name = text(pod, "/metadata/name");
        let subject = format!("{}/{name}", self.namespace);
        let is_ready = condition(pod, "Ready").is_some_and(|ready| text(ready, "/status") == "True");
        if is_ready || !pod["metadata"]["deletionTimestamp"].is_null() {
            return None;
        }
        let (cause, message) = why_not_ready(pod);
        let (n, describe) = (["-n", &self.namespace], kubectl.line(&["-n", &self.namespace, "describe", "pod", name]));
        let remedy = match cause {
            Cause::CrashLoop | Cause::BadFlags => {
                let command = kubectl.line(&[n[0], n[1], "logs", name, "--previous", "--tail=20"]);
                Remedy::commands("read the last words of the container, and mend what they name", vec![command])
            }
            Cause::ProbeFailing => {
                let path =
                    format!("/api/v1/namespaces/{}/pods/https:{name}:https/proxy/readyz?verbose", self.namespace);
                let command = kubectl.line(&["get", "--raw", &path]);
                Remedy::commands(
                    "ask it which check fails; metric-storage-ready needs two readings of a node",
                    vec![command, describe],
                )
            }
            Cause::ImagePull => Remedy::commands("mend the image's name or the pull secret", vec![describe]),
            _ => Remedy::commands("mend what the message or the pod's Events name", vec![describe]),
        };
        Some(Finding::failed("pod", &subject, cause, message, remedy))
    }
}

/// By what its status says, the container's word before the pod's.
fn why_not_ready(pod: &Value) -> (Cause, String) {
    for status in items(pod, "/status/containerStatuses") {
        let (reason, message) = (text(status, "/state/waiting/reason"), text(status, "/state/waiting/message"));
        let last = [&status["state"]["terminated"], &status["lastState"]["terminated"]];
        let last = last.into_iter().find(|last| last.is_object());
        let code = last.and_then(|last| last["exitCode"].as_i64());
        let ended = last.map(|last| {
            let said = text(last, "/message");
            format!(
                "; it ended with {} ({}){}{said}",
                code.unwrap_or(-1),
                text(last, "/reason"),
                if said.is_empty() { "" } else { ": " }
            )
        });
        let ended = ended.unwrap_or_default();
        match reason {
            "" if code.is_none() => {}
            "ImagePullBackOff" | "ErrImagePull" | "InvalidImageName" | "ErrImageNeverPull" => {
                return (Cause::ImagePull, format!("{reason}: {message}"));
            }
            "CrashLoopBackOff" | "" if code == Some(2) => return (Cause::BadFlags, format!("it cannot start{ended}")),
            "CrashLoopBackOff" => return (Cause::CrashLoop, format!("CrashLoopBackOff{ended}")),
            "" | "ContainerCreating" | "PodInitializing" => {}
            _ => return (Cause::ContainerWaiting, format!("{reason}: {message}{ended}")),
        }
    }
    match condition(pod, "PodScheduled") {
        Some(scheduled) if text(scheduled, "/status") == "False" => {
            (Cause::PodPending, format!("it is not scheduled: {}", text(scheduled, "/message")))
        }
        _ if text(pod, "/status/phase") == "Running" => {
            (Cause::ProbeFailing, "it runs, and its readiness probe fails".to_owned())
        }
        _ => (Cause::ContainerWaiting, format!("it is {:?}", text(pod, "/status/phase"))),
    }
}

/// `1 pod`, `2 pods`.
pub(super) fn count(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests;
