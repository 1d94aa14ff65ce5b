use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use super::*;

const NOW: UnixNanos = UnixNanos(1_800_000_000_000_000_000);

fn names() -> Names {
    Names {
        service: "metrics-server".to_owned(),
        namespace: "kube-system".to_owned(),
        cluster_domain: "cluster.local".to_owned(),
        client: "front-proxy-client".to_owned(),
        further: vec!["192.0.2.7".to_owned()],
    }
}

fn later(days: u64) -> UnixNanos {
    UnixNanos(NOW.0 + days * 24 * 60 * 60 * 1_000_000_000)
}

/// Whether `authority` vouches for `leaf` at `at`, for this use.
fn verify(leaf: &Pair, authority: &Pair, usage: KeyUsage, at: UnixNanos) -> Result<(), webpki::Error> {
    let leaf = CertificateDer::from_pem_slice(leaf.certificate.as_bytes()).expect("it is PEM");
    let authority = CertificateDer::from_pem_slice(authority.certificate.as_bytes()).expect("it is PEM");
    let anchors = [anchor_from_trusted_cert(&authority).expect("it is a certificate")];
    let time = UnixTime::since_unix_epoch(Duration::from_secs(at.seconds()));
    let leaf = EndEntityCert::try_from(&leaf).expect("it is a certificate");
    leaf.verify_for_usage(webpki::ALL_VERIFICATION_ALGS, &anchors, &[], time, usage, None, None).map(|_| ())
}

#[test]
fn the_serving_pair_is_good_for_the_name_that_the_api_server_asks_for() {
    let authority = authority(Role::ServingCa, &names(), NOW).expect("it can be made");
    let pair = leaf(Role::Serving, &names(), &authority, NOW).expect("it can be made");
    verify(&pair, &authority, KeyUsage::server_auth(), NOW).expect("its CA vouches for it");
    let der = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).expect("it is PEM");
    let certificate = EndEntityCert::try_from(&der).expect("it is a certificate");
    for name in ["metrics-server.kube-system.svc", "metrics-server.kube-system.svc.cluster.local", "192.0.2.7"] {
        let name = ServerName::try_from(name).expect("it is a name");
        certificate.verify_is_valid_for_subject_name(&name).unwrap_or_else(|error| panic!("{name:?}: {error}"));
    }
    let foreign = ServerName::try_from("metrics-server.default.svc").expect("it is a name");
    assert!(certificate.verify_is_valid_for_subject_name(&foreign).is_err());
}

#[test]
fn the_client_pair_proves_a_client_and_no_server() {
    let authority = authority(Role::FrontProxyCa, &names(), NOW).expect("it can be made");
    let pair = leaf(Role::FrontProxyClient, &names(), &authority, NOW).expect("it can be made");
    verify(&pair, &authority, KeyUsage::client_auth(), NOW).expect("its CA vouches for it");
    assert!(verify(&pair, &authority, KeyUsage::server_auth(), NOW).is_err());
}

#[test]
fn a_ca_that_was_made_before_goes_on_signing() {
    let authority = authority(Role::FrontProxyCa, &names(), NOW).expect("it can be made");
    let renewed = leaf(Role::FrontProxyClient, &names(), &authority, later(400)).expect("it can be made");
    verify(&renewed, &authority, KeyUsage::client_auth(), later(700)).expect("its CA vouches for it");
}

#[test]
fn a_leaf_ends_with_its_ca() {
    let authority = authority(Role::ServingCa, &names(), NOW).expect("it can be made");
    let pair = leaf(Role::Serving, &names(), &authority, later(3600)).expect("it can be made");
    assert_eq!(days_left(&pair.certificate, later(3600)).expect("it can be read"), 50);
    let refused = leaf(Role::Serving, &names(), &authority, later(3651)).expect_err("it has expired");
    assert!(format!("{refused:#}").contains("expired"), "{refused:#}");
}

#[test]
fn a_foreign_ca_is_refused_by_what_is_wrong_with_it() {
    let front_proxy = authority(Role::FrontProxyCa, &names(), NOW).expect("it can be made");
    let other = authority(Role::FrontProxyCa, &names(), NOW).expect("it can be made");
    let a_leaf = leaf(Role::FrontProxyClient, &names(), &front_proxy, NOW).expect("it can be made");
    let mixed = Pair { certificate: front_proxy.certificate.clone(), key: other.key };
    let garbage = Pair { certificate: "no PEM".to_owned(), key: front_proxy.key.clone() };
    for (signer, role, why) in [
        (&front_proxy, Role::Serving, "it is named \"CN=front-proxy-ca\""),
        (&a_leaf, Role::FrontProxyClient, "it is not a CA"),
        (&mixed, Role::FrontProxyClient, "belongs to another certificate"),
        (&garbage, Role::FrontProxyClient, "it is not PEM"),
    ] {
        let refused = format!("{:#}", leaf(role, &names(), signer, NOW).expect_err(why));
        assert!(refused.contains(why), "{refused}");
    }
}

#[test]
fn a_name_that_no_certificate_can_have_is_refused() {
    let authority = authority(Role::ServingCa, &names(), NOW).expect("it can be made");
    let odd = Names { further: vec!["snow☃man".to_owned()], ..names() };
    let refused = leaf(Role::Serving, &odd, &authority, NOW).expect_err("the name is not ASCII");
    assert!(format!("{refused:#}").contains("snow"), "{refused:#}");
}
