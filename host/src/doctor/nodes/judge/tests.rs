use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, date_time_ymd,
};
use rustls_pki_types::CertificateDer;
use serde_json::json;

use super::{Measure, judge};
use crate::decode::Form;
use crate::discovery::nodes::read;
use crate::doctor::cause::Cause;
use crate::doctor::dial::Stopped;
use crate::doctor::kubectl::Kubectl;
use crate::doctor::nodes::{Seen, Sight};
use crate::doctor::report::{Finding, Verdict};
use crate::doctor::server::Unread;
use crate::model::policy::{Candidate, NoAddress};
use crate::model::units::UnixNanos;
use crate::scrape::{Answer, ScrapeError};

const NOW: u64 = 1_795_219_200_000_000_000;

struct Authority {
    der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let der = params.self_signed(&key).unwrap().der().clone();
    Authority { der, issuer: Issuer::new(params, key) }
}

fn signed(authority: &Authority, names: &[&str], last_year: i32) -> CertificateDer<'static> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(last_year, 1, 1);
    params.signed_by(&KeyPair::generate().unwrap(), &authority.issuer).unwrap().der().clone()
}

/// `node-1`, at 10.0.0.1 and, from outside, at 192.0.2.1.
fn sight(look: Option<Result<Vec<CertificateDer<'static>>, Stopped>>, answer: Seen) -> Sight {
    let node = read(json!({
        "metadata": {"name": "node-1"},
        "status": {"addresses": [
            {"type": "InternalIP", "address": "10.0.0.1"}, {"type": "ExternalIP", "address": "192.0.2.1"},
            {"type": "Hostname", "address": "node-1"},
        ]},
    }));
    let candidate = Candidate { host: "10.0.0.1".into(), port: 10250, path: None, server_name: None };
    Sight {
        node: Arc::new(node.unwrap()),
        chooser: "built-in preference".to_owned(),
        candidates: Ok(vec![candidate]),
        look,
        answer,
    }
}

struct World {
    authorities: Vec<CertificateDer<'static>>,
    pending: BTreeMap<String, Vec<String>>,
}

impl World {
    fn judge(&self, sight: &Sight) -> Finding {
        let kinds = ["InternalIP", "ExternalIP", "Hostname"].map(str::to_owned);
        judge(
            sight,
            &Measure {
                authorities: Some(&self.authorities),
                server_name: None,
                pending: &self.pending,
                account: "the gateway",
                kinds: &kinds,
                now: UnixNanos(NOW),
                kubectl: &Kubectl::default(),
            },
        )
    }
}

fn world() -> World {
    World { authorities: Vec::new(), pending: BTreeMap::new() }
}

fn io(kind: io::ErrorKind) -> ScrapeError {
    ScrapeError::Connect { address: "10.0.0.1:10250".to_owned(), source: io::Error::from(kind) }
}

fn status(code: u16, said: &str) -> ScrapeError {
    ScrapeError::Status { status: StatusCode::from_u16(code).unwrap(), hint: "", said: said.into() }
}

#[test]
fn each_failure_of_the_gateways_own_client_has_its_cause() {
    let limit = Duration::from_secs(5);
    let (tls_name, tls) = ("10.0.0.1".to_owned(), |detail: &str| ScrapeError::Tls {
        host: "10.0.0.1".to_owned(),
        detail: detail.to_owned(),
    });
    let dns = ScrapeError::Dns { host: "node-1".to_owned(), source: io::Error::other("failed to lookup address") };
    let cases: Vec<(ScrapeError, Option<Stopped>, Cause)> = vec![
        (dns, None, Cause::NodeNoSuchHost),
        (io(io::ErrorKind::ConnectionRefused), None, Cause::NodeRefused),
        (io(io::ErrorKind::HostUnreachable), None, Cause::NodeNoRoute),
        (io(io::ErrorKind::NetworkUnreachable), None, Cause::NodeNoRoute),
        (io(io::ErrorKind::PermissionDenied), None, Cause::NodeUnreachable),
        (io(io::ErrorKind::TimedOut), Some(Stopped::ConnectTimeout), Cause::NodeTimeout),
        (ScrapeError::Timeout { limit }, Some(Stopped::ConnectTimeout), Cause::NodeTimeout),
        (ScrapeError::Timeout { limit }, Some(Stopped::Hung), Cause::NodeHung),
        // rustls has its own name for the alert by which a kubelet says that it has no certificate.
        (tls("received fatal alert: InternalError"), None, Cause::NodeNoCertificate),
        (tls("remote error: tls: internal error"), None, Cause::NodeNoCertificate),
        (tls("received fatal alert: HandshakeFailure"), None, Cause::NodeTls),
        (ScrapeError::TlsCa { host: tls_name, detail: String::new() }, None, Cause::NodeCertificateAuthority),
        (status(401, "Unauthorized"), None, Cause::Node401),
        (
            status(403, "Forbidden (user=system:anonymous, verb=get, resource=nodes, subresource=metrics)"),
            None,
            Cause::Node403Anonymous,
        ),
        (
            status(
                403,
                "Forbidden (user=system:serviceaccount:kube-system:metrics-server, verb=get, resource=nodes, subresource=metrics)",
            ),
            None,
            Cause::Node403,
        ),
        (status(404, "404 page not found"), None, Cause::Node404),
        (status(500, "x"), None, Cause::NodeStatus),
        (ScrapeError::TooLarge { limit: 1 }, None, Cause::NodeAnswerUnreadable),
        (ScrapeError::BrokenOff("EOF".to_owned()), None, Cause::NodeAnswerUnreadable),
        (ScrapeError::Credentials("no".to_owned()), None, Cause::KubeletCredentials),
    ];
    for (error, stopped, expected) in cases {
        let told = error.to_string();
        let finding = world().judge(&sight(stopped.map(Err), Seen::Direct(Err(error))));
        assert_eq!((finding.verdict, finding.cause), (Verdict::Failed, Some(expected)), "{told}: {finding:?}");
        assert!(finding.remedy.is_some(), "{told}");
    }
}

fn with_certificate(trusted: &Authority, leaf: CertificateDer<'static>, pending: &[&str]) -> Finding {
    let requests: Vec<String> = pending.iter().map(|name| (*name).to_owned()).collect();
    let pending = if requests.is_empty() { BTreeMap::new() } else { BTreeMap::from([("node-1".to_owned(), requests)]) };
    let world = World { authorities: vec![trusted.der.clone()], pending };
    // Which of them TLS names first does not matter: the certificate is looked at.
    let error = ScrapeError::Tls { host: "10.0.0.1".to_owned(), detail: "invalid peer certificate".to_owned() };
    world.judge(&sight(Some(Ok(vec![leaf])), Seen::Direct(Err(error))))
}

#[test]
fn each_flaw_of_a_certificate_is_told_as_go_tells_it_with_the_name_that_would_verify() {
    let (cluster, stranger, lone) = (authority("kubernetes"), authority("somebody"), authority("node-1-ca@1600000000"));
    let check = |trusted: &Authority, leaf, pending: &[&str], cause, message: &str, remedy: &str| {
        let finding = with_certificate(trusted, leaf, pending);
        assert_eq!(finding.cause, Some(cause), "{finding:?}");
        assert!(finding.message.contains(message), "{message:?} in {finding:?}");
        assert!(format!("{:?}", finding.remedy).contains(remedy), "{remedy:?} in {finding:?}");
    };
    let by_name = "it verifies by the server name \\\"node-1\\\": dial 10.0.0.1 and verify that name";
    check(
        &cluster,
        signed(&cluster, &["node-1"], 2030),
        &[],
        Cause::NodeCertificateNoIpSans,
        "cannot validate certificate for 10.0.0.1 because it doesn't contain any IP SANs",
        by_name,
    );
    check(
        &cluster,
        signed(&cluster, &["node-1", "10.0.0.9"], 2030),
        &[],
        Cause::NodeCertificateName,
        "x509: certificate is valid for node-1, 10.0.0.9, not 10.0.0.1",
        by_name,
    );
    check(
        &cluster,
        signed(&cluster, &["node-1.example.org", "10.0.0.9"], 2030),
        &[],
        Cause::NodeCertificateName,
        "not 10.0.0.1",
        "settings = { suffix = \\\"example.org\\\" }",
    );
    check(
        &cluster,
        signed(&cluster, &["192.0.2.1"], 2030),
        &[],
        Cause::NodeCertificateName,
        "valid for 192.0.2.1, not 10.0.0.1",
        "--kubelet-preferred-address-types=ExternalIP,InternalIP,Hostname",
    );
    check(
        &stranger,
        signed(&cluster, &["10.0.0.1"], 2030),
        &[],
        Cause::NodeCertificateAuthority,
        "signed by unknown authority: its issuer is \"kubernetes\"",
        "--kubelet-certificate-authority=FILE",
    );
    check(
        &cluster,
        signed(&lone, &["10.0.0.1"], 2030),
        &[],
        Cause::NodeCertificateSelfSigned,
        "signed by unknown authority",
        "serverTLSBootstrap: true",
    );
    check(
        &cluster,
        signed(&cluster, &["10.0.0.1"], 2025),
        &[],
        Cause::NodeCertificateExpired,
        "certificate has expired or is not yet valid",
        "restart the kubelet",
    );
    check(
        &cluster,
        signed(&lone, &["10.0.0.1"], 2030),
        &["csr-7xk2p"],
        Cause::NodeCsrPending,
        "csr-7xk2p waits to be approved",
        "kubectl certificate approve csr-7xk2p",
    );
}

#[test]
fn what_the_api_server_met_in_our_place_has_the_same_causes() {
    for (status, text, expected) in [
        (Some(503), "error trying to reach service: dial tcp 10.0.0.1:10250: i/o timeout", Some(Cause::NodeTimeout)),
        (
            Some(503),
            "error trying to reach service: dial tcp: lookup node-1: no such host",
            Some(Cause::NodeNoSuchHost),
        ),
        (
            Some(503),
            "error trying to reach service: dial tcp 10.0.0.1:10250: connect: connection refused",
            Some(Cause::NodeRefused),
        ),
        (
            Some(503),
            "error trying to reach service: x509: certificate is valid for a, not 10.0.0.1",
            Some(Cause::NodeCertificateName),
        ),
        (Some(500), "remote error: tls: internal error", Some(Cause::NodeNoCertificate)),
        (
            Some(403),
            "Forbidden (user=kube-apiserver-kubelet-client, verb=get, resource=nodes, subresource=metrics)",
            Some(Cause::Node403),
        ),
        (Some(401), "Unauthorized", Some(Cause::Node401)),
        (
            Some(403),
            "nodes \"node-1\" is forbidden: User \"x\" cannot get resource \"nodes/proxy\" in API group \"\"",
            None,
        ),
    ] {
        let unread = Unread { status, text: text.to_owned() };
        let finding = world().judge(&sight(None, Seen::Proxied(Err(unread))));
        assert_eq!(finding.cause, expected, "{text}: {finding:?}");
    }
}

#[test]
fn an_answer_is_read_and_one_without_the_node_itself_fails() {
    let answer =
        |text: &'static str| Seen::Direct(Ok(Answer { body: Bytes::from_static(text.as_bytes()), form: Form::Text }));
    let good = "node_cpu_usage_seconds_total 7190.5 1795219200000\nnode_memory_working_set_bytes 1.0e+09 1795219200000\n\
                container_cpu_usage_seconds_total{container=\"a\",namespace=\"n\",pod=\"p\"} 1.5 1795219200000\n\
                container_memory_working_set_bytes{container=\"a\",namespace=\"n\",pod=\"p\"} 1e+06 1795219200000\n";
    let finding = world().judge(&sight(None, answer(good)));
    assert_eq!(finding.verdict, Verdict::Ok, "{finding:?}");
    assert!(finding.message.contains("metrics of the node and 1 pod"), "{finding:?}");
    let zero = "node_cpu_usage_seconds_total 0 1795219200000\nnode_memory_working_set_bytes 1.0e+09 1795219200000\n";
    assert_eq!(world().judge(&sight(None, answer(zero))).cause, Some(Cause::NodeMetricsZero));
    assert_eq!(world().judge(&sight(None, answer("<html>\n"))).cause, Some(Cause::NodeAnswerUnreadable));
}

#[test]
fn a_node_that_a_policy_skips_is_no_failure_and_one_without_addresses_is() {
    let mut skipped = sight(None, Seen::NotAsked);
    skipped.candidates = Err(NoAddress::Skipped { policy: "skip-virtual".into(), reason: "it is virtual".into() });
    assert_eq!(world().judge(&skipped).verdict, Verdict::Skipped);
    let mut none = sight(None, Seen::NotAsked);
    none.candidates = Err(NoAddress::NoneMatched { wanted: vec!["InternalDNS".to_owned()] });
    let finding = world().judge(&none);
    assert_eq!(finding.cause, Some(Cause::NodeNoAddress));
    assert!(
        format!("{:?}", finding.remedy).contains("add InternalIP to --kubelet-preferred-address-types"),
        "{finding:?}"
    );
}
