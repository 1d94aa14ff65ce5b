use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls_pki_types::CertificateDer;
use serde_json::{Value, json};

use super::{Registration, Surroundings, cause_of, pem};
use crate::doctor::backend::Backend;
use crate::doctor::cause::Cause;
use crate::doctor::kubectl::Kubectl;
use crate::doctor::report::{Finding, Verdict};
use crate::doctor::server::Unread;

const NOW: i64 = 1_795_219_200;

#[test]
fn every_condition_that_the_aggregator_writes_has_its_cause() {
    let probe = |what: &str| {
        format!("failing or missing response from https://10.96.1.1:443/apis/metrics.k8s.io/v1beta1: {what}")
    };
    let known = [
        (
            "ServiceNotFound",
            "service/metrics-server in \"kube-system\" is not present".to_owned(),
            Cause::ServiceMissing,
        ),
        (
            "ServicePortError",
            "service/metrics-server in \"kube-system\" is not listening on port 444".to_owned(),
            Cause::ServicePortWrong,
        ),
        (
            "EndpointsNotFound",
            "cannot find endpoints for service/metrics-server in \"kube-system\"".to_owned(),
            Cause::NoEndpoints,
        ),
        (
            "MissingEndpoints",
            "endpoints for service/metrics-server in \"kube-system\" have no addresses with port name \"https\""
                .to_owned(),
            Cause::NoEndpoints,
        ),
        ("FailedDiscoveryCheck", probe("dial tcp 10.96.1.1:443: connect: connection refused"), Cause::DiscoveryRefused),
        ("FailedDiscoveryCheck", probe("dial tcp 10.96.1.1:443: i/o timeout"), Cause::DiscoveryTimeout),
        ("FailedDiscoveryCheck", probe("context deadline exceeded"), Cause::DiscoveryTimeout),
        (
            "FailedDiscoveryCheck",
            probe("net/http: request canceled (Client.Timeout exceeded while awaiting headers)"),
            Cause::DiscoveryTimeout,
        ),
        ("FailedDiscoveryCheck", probe("dial tcp: connect: no route to host"), Cause::DiscoveryNoRoute),
        ("FailedDiscoveryCheck", probe("dial tcp: lookup metrics.example: no such host"), Cause::DiscoveryNoSuchHost),
        (
            "FailedDiscoveryCheck",
            probe("x509: certificate signed by unknown authority"),
            Cause::DiscoveryUnknownAuthority,
        ),
        (
            "FailedDiscoveryCheck",
            probe("x509: certificate is valid for localhost, not metrics-server.kube-system.svc"),
            Cause::DiscoveryWrongName,
        ),
        (
            "FailedDiscoveryCheck",
            probe("x509: certificate has expired or is not yet valid"),
            Cause::DiscoveryCertificateExpired,
        ),
        ("FailedDiscoveryCheck", probe("remote error: tls: handshake failure"), Cause::DiscoveryTls),
        (
            "FailedDiscoveryCheck",
            probe("bad status from https://10.96.1.1:443/apis/metrics.k8s.io/v1beta1: 401"),
            Cause::Discovery401,
        ),
        (
            "FailedDiscoveryCheck",
            probe("bad status from https://10.96.1.1:443/apis/metrics.k8s.io/v1beta1: 403"),
            Cause::Discovery403,
        ),
        (
            "FailedDiscoveryCheck",
            probe("bad status from https://10.96.1.1:443/apis/metrics.k8s.io/v1beta1: 404"),
            Cause::Discovery404,
        ),
        (
            "FailedDiscoveryCheck",
            probe("bad status from https://10.96.1.1:443/apis/metrics.k8s.io/v1beta1: 503"),
            Cause::Discovery5xx,
        ),
        ("FailedDiscoveryCheck", probe("EOF"), Cause::DiscoveryBrokenOff),
        ("FailedDiscoveryCheck", probe("what nobody has seen"), Cause::ApiServiceUnavailable),
        ("SomethingNew", String::new(), Cause::ApiServiceUnavailable),
    ];
    for (reason, message, expected) in known {
        assert_eq!(cause_of(reason, &message), expected, "{reason}: {message}");
    }
}

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

fn serving(authority: &Authority, name: &str) -> CertificateDer<'static> {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.signed_by(&KeyPair::generate().unwrap(), &authority.issuer).unwrap().der().clone()
}

fn backend() -> Backend {
    let unread = || Unread { status: Some(404), text: "not found".to_owned() };
    Backend {
        namespace: "kube-system".to_owned(),
        service_name: "metrics-server".to_owned(),
        service: Ok(json!({"spec": {"ports": [{"port": 443}]}})),
        endpoints: Err(unread()),
        deployment: Ok(None),
        pods: Ok(Vec::new()),
    }
}

fn object(spec: &Value, available: &str, reason: &str) -> Value {
    let mut full = json!({"service": {"namespace": "kube-system", "name": "metrics-server", "port": 444}});
    full.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    json!({
        "spec": full,
        "status": {"conditions": [{"type": "Available", "status": available, "reason": reason, "message": "words"}]},
    })
}

fn judged(object: Value, leaf: CertificateDer<'static>, authorities: Vec<CertificateDer<'static>>) -> Vec<Finding> {
    let (backend, kubectl) = (backend(), Kubectl::default());
    let surroundings = Surroundings {
        backend: &backend,
        expected: ("kube-system", "metrics-server"),
        shown: Ok(("10.0.0.1:10250".to_owned(), vec![leaf])),
        authorities,
        now: NOW,
        kubectl: &kubectl,
    };
    Registration { version: "v1beta1", object: Ok(object) }.judge(&surroundings)
}

#[test]
fn a_wrong_port_is_mended_by_a_command_with_the_right_one() {
    let ca = authority("kubernetes");
    let leaf = serving(&ca, "metrics-server.kube-system.svc");
    let findings =
        judged(object(&json!({"insecureSkipTLSVerify": true}), "False", "ServicePortError"), leaf, Vec::new());
    let text = format!("{findings:?}");
    assert_eq!(findings[0].cause, Some(Cause::ServicePortWrong), "{text}");
    let command = "kubectl patch apiservice v1beta1.metrics.k8s.io --type=merge -p '{\\\"spec\\\":{\\\"service\\\":{\\\"port\\\":443}}}'";
    assert!(text.contains(command), "{text}");
    assert_eq!(findings[1].verdict, Verdict::Ok, "{text}");
}

#[test]
fn a_bundle_of_another_authority_is_told_from_one_that_vouches() {
    let (own, other) = (authority("kubernetes"), authority("somebody"));
    let leaf = || serving(&own, "metrics-server.kube-system.svc");
    let bundle = |ca: &Authority| json!({"caBundle": STANDARD.encode(pem(&ca.der))});
    let good = judged(object(&bundle(&own), "True", "Passed"), leaf(), Vec::new());
    assert!(good.iter().all(|finding| finding.verdict == Verdict::Ok), "{good:?}");

    let bad = judged(object(&bundle(&other), "True", "Passed"), leaf(), vec![own.der.clone()]);
    assert_eq!(bad[1].cause, Some(Cause::CaBundleMismatch), "{bad:?}");
    let expected = STANDARD.encode(pem(&own.der));
    assert!(format!("{:?}", bad[1].remedy).contains(&expected), "the CA that vouches stands in the command: {bad:?}");

    let name = judged(object(&bundle(&own), "True", "Passed"), serving(&own, "localhost"), Vec::new());
    assert_eq!(name[1].cause, Some(Cause::DiscoveryWrongName), "{name:?}");
    for broken in ["%%%", "bm90IGEgY2VydGlmaWNhdGU="] {
        let invalid = judged(object(&json!({"caBundle": broken}), "True", "Passed"), leaf(), Vec::new());
        assert_eq!(invalid[1].cause, Some(Cause::CaBundleInvalid), "{invalid:?}");
    }
}

#[test]
fn an_api_service_of_another_server_is_told_and_is_no_failure() {
    let ca = authority("kubernetes");
    let leaf = serving(&ca, "metrics-server.kube-system.svc");
    let mut other = object(&json!({"insecureSkipTLSVerify": true}), "True", "Passed");
    other["spec"]["service"] = json!({"namespace": "monitoring", "name": "prometheus-adapter"});
    let findings = judged(other, leaf, Vec::new());
    assert_eq!((findings[0].verdict, findings[0].cause), (Verdict::Warning, Some(Cause::ApiServiceElsewhere)));
}
