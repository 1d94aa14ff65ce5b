use std::ffi::OsString;
use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{CertificateParams, DnType, KeyPair};

use super::*;
use crate::args::{self, Invocation};
use crate::config::check::check;
use crate::config::file::RawConfig;

const DAY: u64 = 24 * 60 * 60;

fn day(number: u64) -> UnixNanos {
    UnixNanos((1_800_000_000 + number * DAY) * 1_000_000_000)
}

fn config(line: &str) -> ServingConfig {
    let Ok(Invocation::Run(args)) = args::parse(line.split_whitespace().map(OsString::from)) else {
        panic!("{line:?} should run")
    };
    check(&RawConfig::default(), &args).unwrap_or_else(|problems| panic!("{line}: {problems:?}")).config.serving
}

/// A directory that is removed at the end of the test.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("certificate-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Writes a pair; the first name is the common name as well. Returns it as the flag takes it.
    fn pair(&self, file: &str, names: &[&str]) -> String {
        let mut params =
            CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
        params.distinguished_name.push(DnType::CommonName, names[0]);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let (crt, pem) = (self.0.join(format!("{file}.crt")), self.0.join(format!("{file}.key")));
        std::fs::write(&crt, certificate.pem()).unwrap();
        std::fs::write(&pem, key.serialize_pem()).unwrap();
        format!("{},{}", crt.display(), pem.display())
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// By the first host name of the certificate that is shown.
fn shown(certificates: &ServingCertificates, name: Option<&str>) -> String {
    names_of(&certificates.table.load().choose(name)).remove(0)
}

fn leaf_of(pair: &CertifiedKey) -> CertificateDer<'static> {
    pair.cert[0].clone()
}

fn current(certificates: &ServingCertificates) -> CertificateDer<'static> {
    leaf_of(&certificates.table.load().usual)
}

#[test]
fn the_pair_is_chosen_by_name_then_by_wildcard_then_the_usual_one() {
    let directory = Directory::new();
    let usual = directory.pair("usual", &["usual.test"]);
    let (crt, key) = usual.split_once(',').unwrap();
    let line = format!(
        "--tls-cert-file={crt} --tls-private-key-file={key} --tls-sni-cert-key={} --tls-sni-cert-key={} \
         --tls-sni-cert-key={}:given.test,*.wild.test,192.0.2.7",
        directory.pair("one", &["one.test", "also-one.test", "both.test"]),
        directory.pair("two", &["two.test", "*.two.test", "both.test", "given.test"]),
        directory.pair("given", &["three.test"]),
    );
    let certificates = ServingCertificates::load(&config(&line), day(0)).unwrap();
    let cases = [
        (None, "usual.test"),
        (Some("unknown.test"), "usual.test"),
        (Some("usual.test"), "usual.test"),
        (Some("one.test"), "one.test"),
        (Some("ALSO-one.Test"), "one.test"),
        (Some("two.test"), "two.test"),
        (Some("a.two.test"), "two.test"),
        (Some("a.b.two.test"), "usual.test"),
        (Some("both.test"), "one.test"),
        (Some("given.test"), "three.test"),
        (Some("x.wild.test"), "three.test"),
        (Some("wild.test"), "usual.test"),
        (Some("three.test"), "usual.test"),
    ];
    for (name, expected) in cases {
        assert_eq!(shown(&certificates, name), expected, "{name:?}");
    }
    let own = certificates.of_address("192.0.2.7".parse().unwrap()).expect("it is named");
    assert_eq!(names_of(&own), ["three.test", "three.test"]);
    assert!(certificates.of_address("192.0.2.8".parse().unwrap()).is_none());
}

#[test]
fn files_that_change_are_shown_and_bad_ones_are_not() {
    let directory = Directory::new();
    let usual = directory.pair("usual", &["usual.test"]);
    let named = directory.pair("named", &["before.test"]);
    let (crt, key) = usual.split_once(',').unwrap();
    let line = format!("--tls-cert-file={crt} --tls-private-key-file={key} --tls-sni-cert-key={named}");
    let certificates = ServingCertificates::load(&config(&line), day(0)).unwrap();
    assert_eq!(shown(&certificates, Some("before.test")), "before.test");
    directory.pair("named", &["after.test"]);
    certificates.refresh(day(1));
    assert_eq!(shown(&certificates, Some("after.test")), "after.test");
    assert_eq!(shown(&certificates, Some("before.test")), "usual.test", "the name went with the certificate");

    let before = current(&certificates);
    std::fs::write(crt, "no certificate").unwrap();
    certificates.refresh(day(1));
    assert_eq!(current(&certificates), before);
    directory.pair("usual", &["usual.test"]);
    certificates.refresh(day(1));
    assert_ne!(current(&certificates), before);
}

#[test]
fn a_pair_of_our_own_is_renewed_30_days_before_it_expires() {
    let directory = Directory::new();
    let kept = format!("--cert-dir={}", directory.0.display());
    for line in [kept.as_str(), "--cert-dir="] {
        let certificates = ServingCertificates::load(&config(line), day(0)).unwrap();
        let first = current(&certificates);
        certificates.refresh(day(334));
        assert_eq!(current(&certificates), first, "{line}: it is good for another 31 days");
        certificates.refresh(day(336));
        let second = current(&certificates);
        assert_ne!(second, first, "{line}");
        let (_, leaf) = X509Certificate::from_der(&second).unwrap();
        let not_after = u64::try_from(leaf.validity().not_after.timestamp()).unwrap();
        assert_eq!(not_after, day(336 + 365).seconds(), "{line}");
    }
}

#[test]
fn a_kept_pair_is_found_again_unless_it_lacks_a_name() {
    let directory = Directory::new();
    let line = format!("--cert-dir={}", directory.0.display());
    let first = current(&ServingCertificates::load(&config(&line), day(0)).unwrap());
    let second = current(&ServingCertificates::load(&config(&line), day(1)).unwrap());
    assert_eq!(first, second, "a restart changes nothing");
    let named = format!("{line} --external-hostname=metrics.example.com --bind-address=192.0.2.7");
    let third = ServingCertificates::load(&config(&named), day(2)).unwrap();
    let (der, names) = (current(&third), names_of(&third.table.load().usual));
    assert_ne!(der, first);
    assert!(names.contains(&"metrics.example.com".to_owned()), "{names:?}");
    let wanted = ["localhost", "127.0.0.1", "192.0.2.7", "metrics.example.com"].map(str::to_owned);
    assert!(made::is_usable(&read(&files_in(&directory.0)).unwrap(), &wanted, day(2)));
    let fourth = current(&ServingCertificates::load(&config(&named), day(3)).unwrap());
    assert_eq!(fourth, der);
}

#[test]
fn without_a_directory_nothing_is_written() {
    let before: Vec<_> = std::fs::read_dir(".").unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let certificates = ServingCertificates::load(&config("--cert-dir="), day(0)).unwrap();
    assert!(names_of(&certificates.table.load().usual).contains(&"localhost".to_owned()));
    let after: Vec<_> = std::fs::read_dir(".").unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(before, after);
}

#[test]
fn common_names_that_are_no_host_names_choose_nothing() {
    let cases = [
        ("example.com", true),
        ("*.example.com", true),
        ("*", true),
        ("localhost", true),
        ("localhost@1800000000", false),
        ("192.0.2.7", false),
        ("::1", false),
        ("system:kube-apiserver", false),
        ("a..b", false),
        ("-a.com", false),
        ("", false),
    ];
    for (name, expected) in cases {
        assert_eq!(is_host_name(name), expected, "{name:?}");
    }
}

#[test]
fn a_missing_file_is_named_at_start() {
    let error = ServingCertificates::load(&config("--cert-dir= --tls-sni-cert-key=/nowhere.crt,/nowhere.key"), day(0))
        .unwrap_err();
    assert!(format!("{error:#}").contains("cannot read /nowhere.crt"), "{error:#}");
}
