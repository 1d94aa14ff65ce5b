//! The four ways to a serving pair, and what each has the API server verify.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::helm::render;
use super::{object, strings};

/// (insecureSkipTLSVerify, caBundle, inject-ca-from, --tls-cert-file) of both APIServices and the Deployment.
fn tls(objects: &[Value]) -> (Value, Value, Value, bool) {
    let of = |version: &str| {
        let service = object(objects, &format!("APIService {version}.metrics.k8s.io"));
        let (spec, annotations) = (&service["spec"], &service["metadata"]["annotations"]);
        let injected = annotations["cert-manager.io/inject-ca-from"].clone();
        (spec["insecureSkipTLSVerify"].clone(), spec["caBundle"].clone(), injected)
    };
    assert_eq!(of("v1"), of("v1beta1"));
    let deployment = object(objects, "Deployment kube-system/metrics-server");
    let args = &deployment["spec"]["template"]["spec"]["containers"][0]["args"];
    let (insecure, bundle, injected) = of("v1");
    (insecure, bundle, injected, strings(args).contains(&"--tls-cert-file=/tmp/tls-certs/tls.crt"))
}

#[test]
fn each_way_to_tls_tells_the_api_server_what_to_verify() {
    let bundle = STANDARD.encode("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n");
    let null = Value::Null;
    assert_eq!(tls(&render("default", "1.34.0")), (json!(true), null.clone(), null.clone(), false));
    assert_eq!(tls(&render("tls-existing-secret", "1.34.0")), (null.clone(), json!(bundle), null.clone(), true));
    let injected = json!("kube-system/metrics-server");
    assert_eq!(tls(&render("tls-cert-manager", "1.34.0")), (null.clone(), null.clone(), injected, true));
    let by_issuer = render("tls-cert-manager-existing-issuer", "1.34.0");
    assert_eq!(tls(&by_issuer), (json!(true), null, Value::Null, true));
    let reference = &object(&by_issuer, "Certificate kube-system/metrics-server")["spec"]["issuerRef"];
    assert_eq!(reference, &json!({ "group": "cert-manager.io", "kind": "ClusterIssuer", "name": "cluster-ca" }));
    assert!(!by_issuer.iter().any(|object| object["kind"] == "Issuer"), "it has one already");
}

#[test]
fn helm_makes_a_serving_pair_that_its_ca_vouches_for() {
    let objects = render("tls-helm", "1.34.0");
    let (insecure, bundle, _, is_mounted) = tls(&objects);
    let secret = object(&objects, "Secret kube-system/metrics-server");
    assert_eq!((insecure, is_mounted), (Value::Null, true));
    assert_eq!(secret["data"]["ca.crt"], bundle);
    let pem = |key: &str| {
        let text = STANDARD.decode(secret["data"][key].as_str().expect("it is there")).expect("it is base64");
        x509_parser::pem::parse_x509_pem(&text).expect("it is PEM").1.contents
    };
    let (ca, leaf) = (pem("ca.crt"), pem("tls.crt"));
    let (_, ca) = x509_parser::parse_x509_certificate(&ca).expect("it is a certificate");
    let (_, leaf) = x509_parser::parse_x509_certificate(&leaf).expect("it is a certificate");
    assert!(ca.is_ca() && !leaf.is_ca());
    assert_eq!(leaf.issuer(), ca.subject());
    let names = leaf.subject_alternative_name().expect("it can be read").expect("it has names");
    let names: Vec<String> = names.value.general_names.iter().map(ToString::to_string).collect();
    for name in ["metrics-server.kube-system.svc", "metrics-server.kube-system.svc.example.local"] {
        assert!(names.iter().any(|of| of.contains(&format!("({name})"))), "{names:?}");
    }
    let days = (leaf.validity().not_after.timestamp() - leaf.validity().not_before.timestamp()) / 86400;
    assert_eq!(days, 90);
}
