use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, date_time_ymd,
};
use rustls_pki_types::CertificateDer;

use super::{Certificate, Flaw, flaws};

/// 2026-11-21.
const NOW: i64 = 1_795_219_200;

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
    params.distinguished_name.push(DnType::CommonName, "system:node:node-1");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(last_year, 1, 1);
    params.signed_by(&KeyPair::generate().unwrap(), &authority.issuer).unwrap().der().clone()
}

#[test]
fn each_flaw_is_found_by_itself_and_with_the_others() {
    let (known, stranger) = (authority("kubernetes"), authority("somebody"));
    let check = |names: &[&str], last_year, dialled: &str, trusted: &Authority| {
        flaws(&[signed(&known, names, last_year)], dialled, Some(std::slice::from_ref(&trusted.der)), NOW)
    };
    assert_eq!(check(&["node-1", "10.0.0.1"], 2030, "10.0.0.1", &known), []);
    assert_eq!(check(&["node-1", "10.0.0.1"], 2030, "node-1", &known), []);
    assert_eq!(check(&["node-1"], 2030, "10.0.0.1", &known), [Flaw::NoIpSans]);
    assert_eq!(check(&["node-1", "10.0.0.1"], 2030, "10.0.0.2", &known), [Flaw::Name]);
    assert_eq!(check(&["node-1"], 2030, "node-2", &known), [Flaw::Name]);
    assert_eq!(check(&["node-1"], 2025, "node-1", &known), [Flaw::Time]);
    let all = check(&["node-1"], 2025, "10.0.0.1", &stranger);
    assert!(matches!(&*all, [Flaw::Issuer(_), Flaw::NoIpSans, Flaw::Time]), "{all:?}");
}

#[test]
fn what_is_no_certificate_is_unreadable_and_no_panic() {
    let garbage = [CertificateDer::from(vec![0x30, 0x82, 0xff, 0xff, 1, 2, 3])];
    assert!(matches!(&*flaws(&garbage, "node-1", Some(&[]), NOW), [Flaw::Unreadable(_)]));
    assert!(matches!(&*flaws(&[], "node-1", Some(&[]), NOW), [Flaw::Unreadable(_)]));
    assert_eq!(flaws(&garbage, "node-1", None, NOW), [], "whoever trusts anybody is not told");
}

#[test]
fn names_and_issuer_are_told() {
    let kubelet = authority("node-1-ca@1600000000");
    let read = Certificate::read(&signed(&kubelet, &["node-1", "10.0.0.1", "fd00::1"], 2030)).unwrap();
    assert_eq!(read.all_names(), "node-1, 10.0.0.1, fd00::1");
    assert_eq!((&*read.subject, read.is_of_a_lone_kubelet()), ("system:node:node-1", true));
    assert_eq!(read.validity(), "2020-01-01T00:00:00Z to 2030-01-01T00:00:00Z");
    let signed_by_cluster = Certificate::read(&signed(&authority("kubernetes"), &[], 2030)).unwrap();
    assert_eq!(
        (signed_by_cluster.all_names().as_str(), signed_by_cluster.is_of_a_lone_kubelet()),
        ("no name at all", false)
    );
}
