use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::*;

fn check(pair: &Pair, judge: impl Fn(&X509Certificate<'_>)) {
    let (_, certificate) = X509Certificate::from_der(&pair.certificate).expect("what was just made is well formed");
    judge(&certificate);
}

#[test]
fn no_certificate_bears_the_name_of_its_issuer() {
    let certs = Certs::generate();
    for pair in [certs.api_server(), certs.gateway(), certs.front_proxy_client(), certs.kubelet("node-0")] {
        check(&pair, |certificate| assert_ne!(certificate.subject(), certificate.issuer()));
    }
}

#[test]
fn a_user_bears_a_name_and_two_groups_in_their_order() {
    check(&Certs::generate().user("alice", &["dev", "ops"]), |certificate| {
        let groups: Vec<_> = certificate.subject().iter_organization().filter_map(|name| name.as_str().ok()).collect();
        let name = certificate.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
        assert_eq!((name, groups), (Some("alice"), vec!["dev", "ops"]));
    });
}

#[test]
fn an_expired_certificate_ended_in_2001() {
    check(&Certs::generate().expired_kubelet("node-0"), |certificate| {
        assert_eq!(certificate.validity().not_after.to_datetime().year(), 2001);
    });
}
