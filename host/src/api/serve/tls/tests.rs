use std::ffi::OsString;

use super::*;
use crate::args::{self, Invocation};
use crate::config::check::check;
use crate::config::file::RawConfig;

fn config(line: &str) -> ServingConfig {
    let Ok(Invocation::Run(args)) = args::parse(line.split_whitespace().map(OsString::from)) else {
        panic!("{line:?} should run")
    };
    check(&RawConfig::default(), &args).unwrap_or_else(|problems| panic!("{line}: {problems:?}")).config.serving
}

fn offered(line: &str) -> (Vec<String>, Vec<String>) {
    let provider = provider(&config(line));
    let suites = provider.cipher_suites.iter().map(|suite| format!("{:?}", suite.suite())).collect();
    let groups = provider.kx_groups.iter().map(|group| format!("{:?}", group.name())).collect();
    (suites, groups)
}

const TLS13: [&str; 3] = ["TLS13_AES_256_GCM_SHA384", "TLS13_AES_128_GCM_SHA256", "TLS13_CHACHA20_POLY1305_SHA256"];

#[test]
fn every_suite_that_the_flag_can_name_is_one_that_is_offered_then() {
    let pairs = [
        ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
        ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
        ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"),
        ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"),
        ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
        ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"),
        ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"),
        ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"),
    ];
    for (name, suite) in pairs {
        let (suites, _) = offered(&format!("--tls-cipher-suites={name}"));
        assert_eq!(suites, [TLS13.as_slice(), &[suite]].concat(), "{name}");
    }
}

#[test]
fn suites_of_tls_13_alone_leave_none_of_tls_12() {
    assert_eq!(offered("--tls-cipher-suites=TLS_AES_128_GCM_SHA256").0, TLS13);
    assert_eq!(offered("").0.len(), 9, "without the flag, all");
}

#[test]
fn every_key_exchange_that_the_flag_can_name_is_one_that_is_offered_then() {
    for (number, name) in [(23, "secp256r1"), (24, "secp384r1"), (29, "X25519")] {
        assert_eq!(offered(&format!("--tls-curve-preferences={number}")).1, [name]);
    }
    assert_eq!(offered("--tls-curve-preferences=24,4588,29").1, ["X25519", "secp384r1"]);
    assert_eq!(offered("").1.len(), 3, "without the flag, all");
}
