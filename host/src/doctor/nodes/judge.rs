//! What was seen of a node, to the cause and what mends it. Pure.
//!
//! The answer of the gateway's own client decides whether the node is well; the certificate that was seen beside it says
//! why not, and which name would have verified. What a certificate lacks is told in the words of Go's crypto/x509, because
//! those are what people have in their logs and search for.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

use rustls_pki_types::CertificateDer;

use super::{Seen, Sight};
use crate::config::TimestampOf;
use crate::decode::{self, Form, Reading};
use crate::doctor::backend::count;
use crate::doctor::cause::Cause;
use crate::doctor::certificate::{Certificate, Flaw, flaws};
use crate::doctor::dial::Stopped;
use crate::doctor::kubectl::Kubectl;
use crate::doctor::registration::authority;
use crate::doctor::report::{Finding, Remedy};
use crate::doctor::server::Unread;
use crate::doctor::symptom::{self, Symptom};
use crate::model::policy::{Candidate, NoAddress};
use crate::model::units::UnixNanos;
use crate::model::{Batch, Node};
use crate::scrape::{Answer, ScrapeError};

/// What nodes are judged by.
pub(in crate::doctor) struct Measure<'a> {
    /// Who may have signed their certificates; None: anybody.
    pub(in crate::doctor) authorities: Option<&'a [CertificateDer<'static>]>,
    /// The name that all certificates bear, in place of the one that is dialled.
    pub(in crate::doctor) server_name: Option<&'a str>,
    /// Requests for serving certificates that wait to be approved, by node.
    pub(in crate::doctor) pending: &'a BTreeMap<String, Vec<String>>,
    /// In words, of whoever asked kubelets.
    pub(in crate::doctor) account: &'a str,
    /// The kinds of addresses in the order of preference.
    pub(in crate::doctor) kinds: &'a [String],
    pub(in crate::doctor) now: UnixNanos,
    pub(in crate::doctor) kubectl: &'a Kubectl,
}

const ID: &str = "node";

/// The finding about one node.
pub(in crate::doctor) fn judge(sight: &Sight, measure: &Measure<'_>) -> Finding {
    let name = sight.node.name.as_str();
    let candidates = match &sight.candidates {
        Ok(candidates) => candidates,
        Err(skipped @ NoAddress::Skipped { .. }) => return Finding::skipped(ID, name, skipped.to_string()),
        Err(none @ NoAddress::NoneMatched { .. }) => return no_address(&sight.node, none),
    };
    let Some(first) = candidates.first() else {
        return Finding::skipped(ID, name, "its address policy names no place");
    };
    let view = View { sight, first, measure };
    match &sight.answer {
        Seen::NotAsked => Finding::skipped(ID, name, "it was not asked"),
        Seen::Direct(Ok(answer)) => view.content(&answer.body, answer.form, &view.certificate_told()),
        Seen::Direct(Err(error)) => view.failure(error),
        Seen::Proxied(Ok(body)) => view.content(body, Form::Text, "asked by the API server's node proxy"),
        Seen::Proxied(Err(unread)) => view.proxied_failure(unread),
    }
}

/// The batch of a node that answered; None where it did not, or not in a form that is known.
pub(in crate::doctor) fn batch(sight: &Sight, now: UnixNanos) -> Option<Batch<'_>> {
    let (body, form): (&[u8], Form) = match &sight.answer {
        Seen::Direct(Ok(Answer { body, form })) => (body, *form),
        Seen::Proxied(Ok(body)) => (body, Form::Text),
        _ => return None,
    };
    decode::batch(body, Reading { form, asked_at: now, timestamp: TimestampOf::Cpu }).ok()
}

fn no_address(node: &Node, none: &NoAddress) -> Finding {
    let kinds: Vec<&str> = node.addresses.iter().map(|address| &*address.kind).collect();
    let name = node.name.as_str();
    let message =
        format!("{none}; it has {}", if kinds.is_empty() { "none at all".to_owned() } else { kinds.join(", ") });
    let remedy = match kinds.first() {
        Some(kind) => Remedy::text(format!("add {kind} to --kubelet-preferred-address-types")),
        None => Remedy::text("the kubelet or the cloud controller has to report status.addresses of the node"),
    };
    Finding::failed(ID, name, Cause::NodeNoAddress, message, remedy)
}

struct View<'a> {
    sight: &'a Sight,
    first: &'a Candidate,
    measure: &'a Measure<'a>,
}

impl View<'_> {
    fn name(&self) -> &str {
        self.sight.node.name.as_str()
    }

    fn place(&self) -> String {
        authority(&self.first.host, self.first.port)
    }

    fn expected(&self) -> &str {
        self.first.server_name.as_deref().or(self.measure.server_name).unwrap_or(&self.first.host)
    }

    fn seconds(&self) -> i64 {
        i64::try_from(self.measure.now.seconds()).unwrap_or(i64::MAX)
    }

    fn chain(&self) -> Option<&[CertificateDer<'static>]> {
        self.sight.look.as_ref()?.as_ref().ok().map(Vec::as_slice)
    }

    fn certificate(&self) -> Option<Certificate> {
        Certificate::read(self.chain()?.first()?).ok()
    }

    fn certificate_told(&self) -> String {
        self.certificate().map_or_else(String::new, |certificate| {
            format!("certificate for {} by {:?}", certificate.all_names(), certificate.issuer)
        })
    }

    fn failed(&self, cause: Cause, message: impl AsRef<str>, remedy: Remedy) -> Finding {
        let message = format!("{} (by the {}): {}", self.place(), self.sight.chooser, message.as_ref());
        Finding::failed(ID, self.name(), cause, message, remedy)
    }

    /// A kubelet that answered.
    fn content(&self, body: &[u8], form: Form, how: &str) -> Finding {
        let reading = Reading { form, asked_at: self.measure.now, timestamp: TimestampOf::Cpu };
        let batch = match decode::batch(body, reading) {
            Ok(batch) => batch,
            Err(error) => {
                let cause = Cause::NodeAnswerUnreadable;
                return self.failed(cause, format!("the answer cannot be read: {error}"), Remedy::text(cause.mend()));
            }
        };
        if batch.node.is_none() {
            let message = "it answers, but reports no CPU or no memory of the node itself, or zero";
            return self.failed(Cause::NodeMetricsZero, message, Remedy::text(Cause::NodeMetricsZero.mend()));
        }
        let pods = batch.pods().count();
        let left_out = batch.left_out.incomplete_pods as usize;
        let left_out = if left_out == 0 { String::new() } else { format!(", {} incomplete", count(left_out, "pod")) };
        let path = if form == Form::Summary { " (by /stats/summary)" } else { "" };
        let how = if how.is_empty() { String::new() } else { format!(", {how}") };
        let message = format!(
            "{} (by the {}){how}; metrics of the node and {}{left_out}{path}",
            self.place(),
            self.sight.chooser,
            count(pods, "pod")
        );
        Finding::ok(ID, self.name(), message)
    }

    fn failure(&self, error: &ScrapeError) -> Finding {
        match error {
            ScrapeError::NoAddress(none) => no_address(&self.sight.node, none),
            ScrapeError::Dns { .. } => self.no_such_host(&error.to_string()),
            ScrapeError::Connect { source, .. } => self.not_connected(source),
            ScrapeError::Timeout { limit } => self.timeout(&format!("{limit:?}")),
            ScrapeError::TlsName { .. }
            | ScrapeError::TlsCa { .. }
            | ScrapeError::TlsExpired { .. }
            | ScrapeError::Tls { .. } => self.tls(error),
            ScrapeError::Status { status, said, .. } => self.status(status.as_u16(), said),
            ScrapeError::BrokenOff(_) | ScrapeError::TooLarge { .. } | ScrapeError::Decode(_) => {
                let cause = Cause::NodeAnswerUnreadable;
                self.failed(cause, error.to_string(), Remedy::text(cause.mend()))
            }
            ScrapeError::Credentials(_) => {
                let cause = Cause::KubeletCredentials;
                self.failed(cause, error.to_string(), Remedy::text(cause.mend()))
            }
        }
    }

    fn no_such_host(&self, message: &str) -> Finding {
        let has_address = self.sight.node.addresses.iter().any(|address| &*address.kind == "InternalIP");
        let remedy = if has_address {
            Remedy::text(self.preferring("InternalIP"))
        } else {
            Remedy::text(format!("give the DNS that the gateway uses an entry for {:?}", self.first.host))
        };
        self.failed(Cause::NodeNoSuchHost, format!("no such host: {message}"), remedy)
    }

    /// The flag, with this kind of address first.
    fn preferring(&self, kind: &str) -> String {
        let others = self.measure.kinds.iter().map(String::as_str).filter(|other| *other != kind);
        let kinds: Vec<&str> = std::iter::once(kind).chain(others).collect();
        format!("run the gateway with --kubelet-preferred-address-types={}", kinds.join(","))
    }

    fn not_connected(&self, source: &io::Error) -> Finding {
        use io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable, TimedOut};
        let port = self.first.port;
        match source.kind() {
            ConnectionRefused => {
                let told = self.sight.node.kubelet_port.filter(|told| *told != port);
                let text = match told {
                    Some(told) => {
                        format!("the node says that its kubelet is at port {told}: add --kubelet-use-node-status-port")
                    }
                    None => format!(
                        "start the kubelet on {} (systemctl status kubelet there), or say its port with --kubelet-port",
                        self.name()
                    ),
                };
                self.failed(Cause::NodeRefused, "connection refused: nobody listens at that port", Remedy::text(text))
            }
            TimedOut => self.timeout("its share of the time"),
            HostUnreachable | NetworkUnreachable => {
                let cause = Cause::NodeNoRoute;
                self.failed(cause, format!("no route to host: {source}"), Remedy::text(self.other_address(cause)))
            }
            _ => self.failed(Cause::NodeUnreachable, source.to_string(), Remedy::text(Cause::NodeUnreachable.mend())),
        }
    }

    /// Another kind of address that the node has, if it has one.
    fn other_address(&self, cause: Cause) -> String {
        let others = self.sight.node.addresses.iter().filter(|address| address.address != self.first.host);
        match others.into_iter().find(|address| address.address.parse::<IpAddr>().is_ok()) {
            Some(other) => {
                let text = self.preferring(&other.kind);
                format!("open the way to {}, or {text} to ask it at {}", self.place(), other.address)
            }
            None => cause.mend().to_owned(),
        }
    }

    fn timeout(&self, limit: &str) -> Finding {
        let is_connected = match &self.sight.look {
            Some(Err(Stopped::Hung) | Ok(_)) => true,
            Some(Err(_)) | None => false,
        };
        if is_connected {
            let text = format!(
                "restart the kubelet of {} (systemctl restart kubelet there); if it is only slow, raise \
                 --kubelet-request-timeout",
                self.name()
            );
            let message = format!("i/o timeout: the connection is accepted, and no answer comes within {limit}");
            return self.failed(Cause::NodeHung, message, Remedy::text(text));
        }
        let message = format!("dial tcp {}: i/o timeout: no connection within {limit}", self.place());
        self.failed(Cause::NodeTimeout, message, Remedy::text(self.other_address(Cause::NodeTimeout)))
    }

    fn tls(&self, error: &ScrapeError) -> Finding {
        let certificate = self.certificate();
        let found = self
            .chain()
            .map_or_else(Vec::new, |chain| flaws(chain, self.expected(), self.measure.authorities, self.seconds()));
        let mut message = match (&certificate, found.is_empty()) {
            (Some(certificate), false) => {
                found.iter().map(|flaw| self.flaw_told(flaw, certificate)).collect::<Vec<_>>().join("; and ")
            }
            _ => error.to_string(),
        };
        let no_certificate = symptom::of(&error.to_string()) == Symptom::NoCertificate;
        if no_certificate {
            message = format!("tls: internal error: the kubelet has no serving certificate ({error})");
        }
        if let Some(requests) = self.measure.pending.get(self.name()) {
            let message = format!("{message}; its request {} waits to be approved", requests.join(", "));
            return self.failed(Cause::NodeCsrPending, message, approve(requests, self.measure.kubectl));
        }
        if no_certificate {
            return self.failed(Cause::NodeNoCertificate, message, self.bootstrap());
        }
        let (Some(certificate), Some(flaw)) = (&certificate, found.first()) else {
            let cause = unseen(error);
            return self.failed(cause, message, Remedy::text(cause.mend()));
        };
        match flaw {
            Flaw::Issuer(_) if certificate.is_of_a_lone_kubelet() => {
                self.failed(Cause::NodeCertificateSelfSigned, message, self.bootstrap())
            }
            Flaw::Issuer(_) => {
                let text = format!(
                    "run the gateway with --kubelet-certificate-authority=FILE, FILE being the CA {:?}, which signed it",
                    certificate.issuer
                );
                self.failed(Cause::NodeCertificateAuthority, message, Remedy::text(text))
            }
            Flaw::NoIpSans => self.failed(Cause::NodeCertificateNoIpSans, message, self.right_name(certificate)),
            Flaw::Name => self.failed(Cause::NodeCertificateName, message, self.right_name(certificate)),
            Flaw::Time => self.failed(Cause::NodeCertificateExpired, message, self.bootstrap()),
            Flaw::Unreadable(_) => self.failed(Cause::NodeTls, message, Remedy::text(Cause::NodeTls.mend())),
        }
    }

    /// In Go's words.
    fn flaw_told(&self, flaw: &Flaw, certificate: &Certificate) -> String {
        let (expected, names) = (self.expected(), certificate.all_names());
        match flaw {
            Flaw::NoIpSans => format!(
                "x509: cannot validate certificate for {expected} because it doesn't contain any IP SANs; it is for {names}"
            ),
            Flaw::Name => format!("x509: certificate is valid for {names}, not {expected}"),
            Flaw::Issuer(_) => {
                format!("x509: certificate signed by unknown authority: its issuer is {:?}", certificate.issuer)
            }
            Flaw::Time => {
                format!(
                    "x509: certificate has expired or is not yet valid: it is valid from {}",
                    certificate.validity()
                )
            }
            Flaw::Unreadable(why) => format!("x509: the certificate cannot be read: {why}"),
        }
    }

    /// How the names that the certificate has could be put to use.
    fn right_name(&self, certificate: &Certificate) -> Remedy {
        let node = &self.sight.node;
        let bears = |address: &str| match address.parse::<IpAddr>() {
            Ok(ip) => certificate.addresses.contains(&ip),
            Err(_) => certificate.names.iter().any(|name| name.eq_ignore_ascii_case(address)),
        };
        let reissue = format!(
            "or let the kubelet have a certificate for {} (serverTLSBootstrap: true in its configuration, then approve its \
             request)",
            self.expected()
        );
        // An address of the node that the certificate does bear needs nothing but another order of preference.
        if let Some(other) = node.addresses.iter().find(|address| {
            address.address.parse::<IpAddr>().is_ok() && bears(&address.address) && address.address != self.first.host
        }) {
            return Remedy::text(format!(
                "{}: the certificate is for {}; {reissue}",
                self.preferring(&other.kind),
                other.address
            ));
        }
        let own = certificate.names.iter().find(|name| *name == self.name());
        let Some(name) = own.or_else(|| certificate.names.iter().find(|name| !name.starts_with('*'))) else {
            return self.bootstrap();
        };
        let settings = if name == self.name() {
            String::new()
        } else if let Some(suffix) = name.strip_prefix(self.name()).and_then(|rest| rest.strip_prefix('.')) {
            format!(", settings = {{ suffix = {suffix:?} }}")
        } else {
            format!(", settings = {{ server_name = {name:?} }}")
        };
        // A certificate for a stranger's name may be a stranger's.
        let doubt = if name.starts_with(self.name()) { "" } else { ", if that is this machine's," };
        Remedy::text(format!(
            "it verifies by the server name {name:?}{doubt}: dial {} and verify that name, with the plugin name-over-ip in \
             gateway.toml: [[node_pool]] name = \"by-name\", address = {{ plugin = \"name-over-ip\"{settings} }}; {reissue}",
            self.first.host
        ))
    }

    fn bootstrap(&self) -> Remedy {
        let list = self.measure.kubectl.line(&[
            "get",
            "csr",
            "--field-selector=spec.signerName=kubernetes.io/kubelet-serving",
        ]);
        let text = format!(
            "set serverTLSBootstrap: true in the kubelet configuration of {} (kubeadm: kubectl -n kube-system edit configmap \
             kubelet-config), restart the kubelet, and approve its request (kubectl certificate approve NAME)",
            self.name()
        );
        Remedy::commands(text, vec![list])
    }

    fn status(&self, status: u16, said: &str) -> Finding {
        let said = said.trim();
        let kubectl = self.measure.kubectl;
        match status {
            401 => {
                let text = format!(
                    "the kubelet of {} takes {} for nobody: set authentication.webhook.enabled: true in its configuration \
                     (--authentication-token-webhook=true) for tokens, and authentication.x509.clientCAFile for client \
                     certificates, and restart it",
                    self.name(),
                    self.measure.account
                );
                self.failed(Cause::Node401, format!("401 {said}"), Remedy::text(text))
            }
            403 if said.contains("system:anonymous") => {
                let text = format!(
                    "the kubelet of {} does not look at tokens: set authentication.webhook.enabled: true in its configuration \
                     (--authentication-token-webhook=true) and restart it; anonymous access is not a remedy",
                    self.name()
                );
                self.failed(Cause::Node403Anonymous, format!("403 {said}"), Remedy::text(text))
            }
            403 => {
                let user = said.split_once("user=").and_then(|(_, rest)| rest.split([',', ')']).next());
                let user = user.unwrap_or(self.measure.account);
                let command = kubectl.line(&["auth", "can-i", "get", "nodes/metrics", &format!("--as={user}")]);
                let text = format!(
                    "give {user} get on nodes/metrics; the lines on permissions have the command for the gateway's account"
                );
                self.failed(Cause::Node403, format!("403 {said}"), Remedy::commands(text, vec![command]))
            }
            404 => self.failed(Cause::Node404, format!("404 {said}"), Remedy::text(Cause::Node404.mend())),
            _ => self.failed(Cause::NodeStatus, format!("{status} {said}"), Remedy::text(Cause::NodeStatus.mend())),
        }
    }

    /// What the API server met when it asked the kubelet for us.
    fn proxied_failure(&self, unread: &Unread) -> Finding {
        let said = &*unread.text;
        if unread.is_forbidden() && said.contains("nodes/proxy") {
            let message = format!("it cannot be reached from here, and you may not use the node proxy: {said}");
            return Finding::skipped(ID, self.name(), message);
        }
        if let Some(status @ (401 | 403 | 404)) = unread.status {
            return self.status(status, said);
        }
        let cause = match symptom::of(said) {
            Symptom::Refused => Cause::NodeRefused,
            Symptom::Timeout => Cause::NodeTimeout,
            Symptom::NoSuchHost => Cause::NodeNoSuchHost,
            Symptom::NoRoute => Cause::NodeNoRoute,
            Symptom::UnknownAuthority => Cause::NodeCertificateAuthority,
            Symptom::WrongName => Cause::NodeCertificateName,
            Symptom::NoIpSans => Cause::NodeCertificateNoIpSans,
            Symptom::Expired => Cause::NodeCertificateExpired,
            Symptom::NoCertificate => Cause::NodeNoCertificate,
            Symptom::Tls => Cause::NodeTls,
            Symptom::BrokenOff => Cause::NodeAnswerUnreadable,
            Symptom::Status(_) | Symptom::Unknown => Cause::NodeStatus,
        };
        if let (Cause::NodeNoCertificate, Some(requests)) = (cause, self.measure.pending.get(self.name())) {
            return self.failed(Cause::NodeCsrPending, said, approve(requests, self.measure.kubectl));
        }
        self.failed(cause, format!("the API server met: {said}"), Remedy::text(cause.mend()))
    }
}

/// By the word of the client alone, where the certificate was not seen.
fn unseen(error: &ScrapeError) -> Cause {
    match error {
        ScrapeError::TlsName { .. } => Cause::NodeCertificateName,
        ScrapeError::TlsCa { .. } => Cause::NodeCertificateAuthority,
        ScrapeError::TlsExpired { .. } => Cause::NodeCertificateExpired,
        _ => Cause::NodeTls,
    }
}

/// Approves them: one command for all that one line can hold.
pub(in crate::doctor) fn approve(requests: &[String], kubectl: &Kubectl) -> Remedy {
    const MOST: usize = 20;
    let names = requests.iter().take(MOST).map(String::as_str);
    let words: Vec<&str> = ["certificate", "approve"].into_iter().chain(names).collect();
    Remedy::commands("approve the request, if it is the kubelet's own", vec![kubectl.line(&words)])
}

#[cfg(test)]
mod tests;
