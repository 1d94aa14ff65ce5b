//! The registration of the Metrics API: one APIService for each version, whether the API server calls it available, and if
//! not why; and whether its caBundle vouches for the certificate that the gateway shows.
//!
//! In: the objects as they were read, and the chains of certificates that were seen. Out: findings. The condition is the API
//! server's own word, and its message says in Go's words what its probe met; `symptom` knows those.
//!
//! Rules: kube-aggregator, `pkg/controllers/status` (the reasons of the condition `Available`).

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use super::backend::Backend;
use super::cause::Cause;
use super::certificate::{Certificate, Flaw, flaws};
use super::dial::Chain;
use super::kubectl::Kubectl;
use super::report::{Finding, Remedy};
use super::server::{Read, condition, items, text};
use super::symptom::{self, Symptom};

/// The versions that are registered, the one that everybody asks for first.
pub(super) const VERSIONS: [&str; 2] = ["v1beta1", "v1"];

/// One APIService.
pub(super) struct Registration {
    pub(super) version: &'static str,
    pub(super) object: Read,
}

/// What the judgement rests on besides the objects.
pub(super) struct Surroundings<'a> {
    pub(super) backend: &'a Backend,
    /// The Service that was named, or the usual one: namespace and name.
    pub(super) expected: (&'a str, &'a str),
    /// What the gateway shows, and where it was seen; or why it was not.
    pub(super) shown: Result<(String, Chain), String>,
    /// CAs that might have signed it, to be put into caBundle.
    pub(super) authorities: Vec<CertificateDer<'static>>,
    pub(super) now: i64,
    pub(super) kubectl: &'a Kubectl,
}

impl Registration {
    pub(super) fn name(&self) -> String {
        format!("{}.metrics.k8s.io", self.version)
    }

    pub(super) fn path(version: &str) -> String {
        format!("/apis/apiregistration.k8s.io/v1/apiservices/{version}.metrics.k8s.io")
    }

    /// The Service that it names: namespace and name.
    pub(super) fn service(&self) -> Option<(&str, &str)> {
        let object = self.object.as_ref().ok()?;
        let reference = (text(object, "/spec/service/namespace"), text(object, "/spec/service/name"));
        Some(reference).filter(|(namespace, name)| !namespace.is_empty() && !name.is_empty())
    }

    pub(super) fn is_available(&self) -> bool {
        let available = self.object.as_ref().ok().and_then(|object| condition(object, "Available"));
        available.is_some_and(|available| text(available, "/status") == "True")
    }

    pub(super) fn judge(&self, surroundings: &Surroundings<'_>) -> Vec<Finding> {
        let name = self.name();
        let object = match &self.object {
            Ok(object) => object,
            Err(unread) if unread.is_absent() => return vec![self.missing(surroundings)],
            Err(unread) => return vec![Finding::skipped("api-service", &name, format!("cannot read it: {unread}"))],
        };
        let Some(service) = self.service() else {
            let remedy = repoint(&name, surroundings);
            let message = "it names no Service: the API server itself would have to serve it";
            return vec![Finding::failed("api-service", &name, Cause::ApiServiceElsewhere, message, remedy)];
        };
        vec![judge_condition(&name, object, service, surroundings), self.judge_ca(object, surroundings)]
    }

    fn missing(&self, surroundings: &Surroundings<'_>) -> Finding {
        let (namespace, service) = surroundings.expected;
        let (name, version) = (self.name(), self.version);
        let priority = if version == VERSIONS[0] { 100 } else { 90 };
        let object = json!({
            "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": name},
            "spec": {
                "group": "metrics.k8s.io", "version": version, "groupPriorityMinimum": 100, "versionPriority": priority,
                "insecureSkipTLSVerify": true, "service": {"namespace": namespace, "name": service},
            },
        });
        let quoted = super::printable::word(&object.to_string());
        let command = format!("echo {quoted} | {}", surroundings.kubectl.line(&["apply", "-f", "-"]));
        let remedy = Remedy::commands(
            "register it; with a caBundle instead of insecureSkipTLSVerify if you have one",
            vec![command],
        );
        let message = "it is not registered";
        // kubectl and the autoscalers of today ask for v1beta1.
        if version == VERSIONS[0] {
            Finding::failed("api-service", &name, Cause::ApiServiceMissing, message, remedy)
        } else {
            Finding::warning("api-service", &name, Cause::ApiServiceMissing, message, remedy)
        }
    }

    fn judge_ca(&self, object: &Value, surroundings: &Surroundings<'_>) -> Finding {
        let (id, name) = ("ca-bundle", self.name());
        if object["spec"]["insecureSkipTLSVerify"] == true {
            let message =
                "insecureSkipTLSVerify: the API server believes any certificate, as in metrics-server's manifests";
            return Finding::ok(id, &name, message);
        }
        let bundle = text(object, "/spec/caBundle");
        if bundle.is_empty() {
            return self.judge_without_bundle(surroundings);
        }
        let failed =
            |cause, message: String| Finding::failed(id, &name, cause, message, new_bundle(&name, surroundings));
        let bundle = match read_bundle(bundle) {
            Ok(bundle) => bundle,
            Err(why) => return failed(Cause::CaBundleInvalid, why),
        };
        let read: Vec<Certificate> = bundle.iter().filter_map(|der| Certificate::read(der).ok()).collect();
        if !read.iter().any(|certificate| certificate.is_valid_at(surroundings.now)) {
            let Some(first) = read.first() else {
                return failed(Cause::CaBundleInvalid, "none of its certificates can be read".to_owned());
            };
            let message = format!("its CA {:?} is valid from {}", first.subject, first.validity());
            return failed(Cause::CaBundleExpired, message);
        }
        let (place, chain) = match &surroundings.shown {
            Ok(shown) => shown,
            Err(why) => {
                let message =
                    format!("its CA {:?} is fine; the gateway's certificate was not seen: {why}", read[0].subject);
                return Finding::skipped(id, &name, message);
            }
        };
        let expected = surroundings.backend.server_name();
        let found = flaws(chain, &expected, Some(&bundle), surroundings.now);
        let certificate = chain.first().and_then(|leaf| Certificate::read(leaf).ok());
        let told = certificate.as_ref().map_or_else(String::new, |certificate| {
            format!("for {}, by {:?}, {}", certificate.all_names(), certificate.issuer, certificate.validity())
        });
        match found.first() {
            None => Finding::ok(id, &name, format!("it vouches for the certificate seen at {place} ({told})")),
            Some(Flaw::Issuer(why) | Flaw::Unreadable(why)) => {
                let message = format!(
                    "its CA {:?} does not vouch for the certificate seen at {place} ({told}): {why}",
                    read[0].subject
                );
                failed(Cause::CaBundleMismatch, message)
            }
            Some(Flaw::Name | Flaw::NoIpSans) => {
                let message = format!("the certificate seen at {place} is not for {expected:?} ({told})");
                Finding::failed(id, &name, Cause::DiscoveryWrongName, message, reissue(&expected))
            }
            Some(Flaw::Time) => {
                let message = format!("the certificate seen at {place} is not valid now ({told})");
                Finding::failed(id, &name, Cause::DiscoveryCertificateExpired, message, reissue(&expected))
            }
        }
    }

    fn judge_without_bundle(&self, surroundings: &Surroundings<'_>) -> Finding {
        let name = self.name();
        if self.is_available() {
            return Finding::ok(
                "ca-bundle",
                &name,
                "there is none: an authority that the API server's machine trusts vouches",
            );
        }
        let message = "there is none, nor insecureSkipTLSVerify: only certificates of public authorities are believed";
        Finding::failed("ca-bundle", &name, Cause::CaBundleMissing, message, new_bundle(&name, surroundings))
    }
}

fn judge_condition(name: &str, object: &Value, service: (&str, &str), surroundings: &Surroundings<'_>) -> Finding {
    let id = "api-service";
    let (namespace, service_name) = service;
    let port = object["spec"]["service"]["port"].as_u64().unwrap_or(443);
    let reference = format!("{namespace}/{service_name}:{port}");
    let Some(available) = condition(object, "Available") else {
        let message = format!("the API server has not said yet whether {reference} is available");
        return Finding::failed(
            id,
            name,
            Cause::ApiServiceUnavailable,
            message,
            Remedy::text("wait half a minute and look again"),
        );
    };
    if text(available, "/status") == "True" {
        if service == surroundings.expected {
            return Finding::ok(id, name, format!("available, served by {reference}"));
        }
        let (namespace, name_of_ours) = surroundings.expected;
        let message = format!("available, but served by {reference}, not by {namespace}/{name_of_ours}");
        return Finding::warning(id, name, Cause::ApiServiceElsewhere, message, repoint(name, surroundings));
    }
    let (reason, message) = (text(available, "/reason"), text(available, "/message"));
    let cause = cause_of(reason, message);
    let remedy = remedy_of(cause, name, port, surroundings);
    Finding::failed(id, name, cause, format!("not available, {reason}: {message}"), remedy)
}

/// By the reason of the condition, and for probes that failed by the words of its message.
pub(super) fn cause_of(reason: &str, message: &str) -> Cause {
    match reason {
        "ServiceNotFound" => Cause::ServiceMissing,
        "ServicePortError" => Cause::ServicePortWrong,
        // Newer API servers look at EndpointSlices, and older ones at Endpoints.
        "EndpointsNotFound" | "MissingEndpoints" | "EndpointSlicesNotFound" | "MissingEndpointSlices" => {
            Cause::NoEndpoints
        }
        "FailedDiscoveryCheck" => cause_of_probe(message),
        _ => Cause::ApiServiceUnavailable,
    }
}

fn cause_of_probe(message: &str) -> Cause {
    match symptom::of(message) {
        Symptom::Refused => Cause::DiscoveryRefused,
        Symptom::Timeout => Cause::DiscoveryTimeout,
        Symptom::NoRoute => Cause::DiscoveryNoRoute,
        Symptom::NoSuchHost => Cause::DiscoveryNoSuchHost,
        Symptom::UnknownAuthority => Cause::DiscoveryUnknownAuthority,
        Symptom::WrongName | Symptom::NoIpSans => Cause::DiscoveryWrongName,
        Symptom::Expired => Cause::DiscoveryCertificateExpired,
        Symptom::NoCertificate | Symptom::Tls => Cause::DiscoveryTls,
        Symptom::Status(401) => Cause::Discovery401,
        Symptom::Status(403) => Cause::Discovery403,
        Symptom::Status(404) => Cause::Discovery404,
        Symptom::Status(500..) => Cause::Discovery5xx,
        Symptom::BrokenOff => Cause::DiscoveryBrokenOff,
        Symptom::Status(_) | Symptom::Unknown => Cause::ApiServiceUnavailable,
    }
}

fn remedy_of(cause: Cause, name: &str, port: u64, surroundings: &Surroundings<'_>) -> Remedy {
    let (backend, kubectl) = (surroundings.backend, surroundings.kubectl);
    let namespace = &*backend.namespace;
    let addresses: Vec<String> = backend.addresses().iter().map(|(ip, port)| authority(ip, *port)).collect();
    let addresses = if addresses.is_empty() { "its endpoint".to_owned() } else { addresses.join(", ") };
    let logs = || {
        let object = backend.deployment().map(|it| format!("deployment/{}", text(it, "/metadata/name")));
        object.map(|object| kubectl.line(&["-n", namespace, "logs", &object, "--tail=50"]))
    };
    match cause {
        Cause::ServiceMissing => repoint(name, surroundings),
        Cause::ServicePortWrong => {
            let ports = backend.service.as_ref().map_or(&[][..], |service| items(service, "/spec/ports"));
            let Some(right) = ports.first().and_then(|port| port["port"].as_u64()) else {
                return Remedy::text(cause.mend());
            };
            let patch = json!({"spec": {"service": {"port": right}}});
            let text = format!("let it point at port {right} of the Service instead of {port}");
            Remedy::commands(text, vec![kubectl.patch(&["apiservice", name], "merge", &patch)])
        }
        Cause::NoEndpoints => Remedy::text("mend the Service, whose line follows"),
        Cause::DiscoveryRefused => {
            let text = format!(
                "nobody listens at {addresses}: start the gateway there, or let the Service's targetPort be its --secure-port"
            );
            Remedy::commands(text, logs().into_iter().collect())
        }
        Cause::DiscoveryTimeout | Cause::DiscoveryNoRoute => {
            let text = format!(
                "let the control plane's machines reach {addresses} over TCP (firewall, NetworkPolicy, security group, \
                 overlay network); or run the gateway with hostNetwork"
            );
            Remedy::text(text)
        }
        Cause::DiscoveryUnknownAuthority | Cause::CaBundleMissing => new_bundle(name, surroundings),
        Cause::DiscoveryWrongName | Cause::DiscoveryCertificateExpired => reissue(&backend.server_name()),
        Cause::Discovery404 => {
            let command = kubectl.line(&["-n", namespace, "get", "endpoints", &backend.service_name, "-o", "yaml"]);
            Remedy::commands(format!("find out what answers at {addresses}"), vec![command])
        }
        Cause::Discovery401 | Cause::Discovery403 | Cause::Discovery5xx | Cause::DiscoveryBrokenOff => {
            Remedy::commands(cause.mend(), logs().into_iter().collect())
        }
        _ => Remedy::commands(cause.mend(), vec![kubectl.line(&["get", "apiservice", name, "-o", "yaml"])]),
    }
}

/// Lets the APIService name the Service that was looked for.
fn repoint(name: &str, surroundings: &Surroundings<'_>) -> Remedy {
    let (namespace, service) = surroundings.expected;
    let patch = json!({"spec": {"service": {"namespace": namespace, "name": service, "port": 443}}});
    let command = surroundings.kubectl.patch(&["apiservice", name], "merge", &patch);
    let text = format!("let it point at {namespace}/{service}, if that is where the gateway is");
    Remedy::commands(text, vec![command])
}

fn reissue(expected: &str) -> Remedy {
    Remedy::text(format!(
        "issue a serving certificate for {expected:?} and put it where --tls-cert-file and --tls-private-key-file say; \
         the gateway takes it over by itself"
    ))
}

/// The CA that vouches, if one of those at hand does.
fn new_bundle(name: &str, surroundings: &Surroundings<'_>) -> Remedy {
    let by_hand = || {
        let text = "put the CA that signed the gateway's certificate into spec.caBundle (base64 of its PEM), or set \
                    insecureSkipTLSVerify";
        Remedy::text(text)
    };
    let Ok((_, chain)) = &surroundings.shown else { return by_hand() };
    let expected = surroundings.backend.server_name();
    let candidates = surroundings.authorities.iter().chain(chain.iter().skip(1));
    let vouches = |authority: &&CertificateDer<'static>| {
        let found = flaws(chain, &expected, Some(std::slice::from_ref(*authority)), surroundings.now);
        !found.iter().any(|flaw| matches!(flaw, Flaw::Issuer(_) | Flaw::Unreadable(_)))
    };
    let Some(authority) = candidates.into_iter().find(vouches) else { return by_hand() };
    let subject = Certificate::read(authority).map(|it| it.subject).unwrap_or_default();
    let patch = json!({"spec": {"caBundle": STANDARD.encode(pem(authority)), "insecureSkipTLSVerify": false}});
    let command = surroundings.kubectl.patch(&["apiservice", name], "merge", &patch);
    Remedy::commands(format!("put {subject:?} into it, which vouches for the certificate"), vec![command])
}

fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

fn read_bundle(base64: &str) -> Result<Chain, String> {
    let text = STANDARD.decode(base64).map_err(|error| format!("it is no base64: {error}"))?;
    let bundle = CertificateDer::pem_slice_iter(&text).collect::<Result<Chain, _>>();
    let bundle = bundle.map_err(|error| format!("it is no PEM: {error}"))?;
    if bundle.is_empty() { Err("it holds no certificate".to_owned()) } else { Ok(bundle) }
}

/// `host:port`, with IPv6 addresses in brackets.
pub(super) fn authority(host: &str, port: u16) -> String {
    match host.parse() {
        Ok(IpAddr::V6(address)) => format!("[{address}]:{port}"),
        _ => format!("{host}:{port}"),
    }
}

#[cfg(test)]
mod tests;
