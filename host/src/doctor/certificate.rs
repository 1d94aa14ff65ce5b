//! What a server's certificate says, and everything that is wrong with it for whoever dials it.
//!
//! In: a chain as it was shown, the name or address it has to bear, the authorities that count, and the time. Out: a
//! [`Certificate`] to tell of, and its [`Flaw`]s. A TLS client stops at the first; here each is judged by itself, as an
//! operator who mends one would otherwise meet the next.
//!
//! Absent on purpose: connections (see `dial`), and any belief that follows from this: nothing is sent on its strength.

use std::net::IpAddr;
use std::time::Duration;

use rustls_pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::X509Name;

/// More names than this are not told of.
const MOST_NAMES: usize = 100;

/// What a certificate says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Certificate {
    /// The common name of whom it is for, or "".
    pub(super) subject: String,
    /// The common name of who signed it, or "".
    pub(super) issuer: String,
    /// The host names that it is valid for.
    pub(super) names: Vec<String>,
    /// The addresses that it is valid for.
    pub(super) addresses: Vec<IpAddr>,
    /// Its first and its last second, in Unix time.
    pub(super) valid: [i64; 2],
    /// Whether subject and issuer are the same.
    pub(super) is_self_issued: bool,
}

/// One thing that keeps a client from believing it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// It cannot be read.
    Unreadable(String),
    /// No trusted authority signed it.
    Issuer(String),
    /// An address was dialled, and it has none.
    NoIpSans,
    /// It is for others.
    Name,
    /// Its time is over, or has not begun.
    Time,
}

impl Certificate {
    /// Reads a certificate.
    pub(super) fn read(der: &CertificateDer<'_>) -> Result<Self, String> {
        let (_, parsed) = X509Certificate::from_der(der).map_err(|error| error.to_string())?;
        let (mut names, mut addresses) = (Vec::new(), Vec::new());
        let extension = parsed.subject_alternative_name().ok().flatten();
        for name in extension.iter().flat_map(|extension| &extension.value.general_names).take(MOST_NAMES) {
            match name {
                GeneralName::DNSName(name) => names.push((*name).to_owned()),
                GeneralName::IPAddress(bytes) => addresses.extend(address(bytes)),
                _ => {}
            }
        }
        let (subject, issuer) = (parsed.subject(), parsed.issuer());
        let validity = parsed.validity();
        Ok(Self {
            subject: common_name(subject),
            issuer: common_name(issuer),
            names,
            addresses,
            valid: [validity.not_before.timestamp(), validity.not_after.timestamp()],
            is_self_issued: subject.as_raw() == issuer.as_raw(),
        })
    }

    /// Whether it is what a kubelet makes for itself: under a CA of its own that exists nowhere else.
    pub(super) fn is_of_a_lone_kubelet(&self) -> bool {
        self.is_self_issued || self.issuer.contains("-ca@")
    }

    /// Whether it is valid at this time.
    pub(super) fn is_valid_at(&self, now: i64) -> bool {
        (self.valid[0]..=self.valid[1]).contains(&now)
    }

    /// All names and addresses, as a list to read.
    pub(super) fn all_names(&self) -> String {
        let names: Vec<String> =
            self.names.iter().cloned().chain(self.addresses.iter().map(ToString::to_string)).collect();
        if names.is_empty() { "no name at all".to_owned() } else { names.join(", ") }
    }

    /// From when to when it is valid.
    pub(super) fn validity(&self) -> String {
        let date = |seconds: i64| {
            jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
        };
        format!("{} to {}", date(self.valid[0]), date(self.valid[1]))
    }
}

fn common_name(name: &X509Name<'_>) -> String {
    name.iter_common_name().last().and_then(|name| name.as_str().ok()).unwrap_or_default().to_owned()
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from);
    v4.or_else(|| <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from))
}

/// All that is wrong with a chain, leaf first, which has to bear `expected`. `authorities` None: any issuer will do, any
/// name and any time, as with --kubelet-insecure-tls.
pub(super) fn flaws(
    chain: &[CertificateDer<'_>],
    expected: &str,
    authorities: Option<&[CertificateDer<'_>]>,
    now: i64,
) -> Vec<Flaw> {
    let Some(authorities) = authorities else { return Vec::new() };
    let [leaf, intermediates @ ..] = chain else { return vec![Flaw::Unreadable("there is none".to_owned())] };
    let certificate = match Certificate::read(leaf) {
        Ok(certificate) => certificate,
        Err(error) => return vec![Flaw::Unreadable(error)],
    };
    let is_valid_now = certificate.is_valid_at(now);
    // Who signed it is one question, when it is valid another: an expired one is judged by its own last moments.
    let at = if is_valid_now { now } else { certificate.valid[0].saturating_add(certificate.valid[1]) / 2 };
    let mut flaws = Vec::new();
    flaws.extend(issuer_flaw(leaf, intermediates, authorities, at));
    flaws.extend(name_flaw(leaf, &certificate, expected));
    if !is_valid_now {
        flaws.push(Flaw::Time);
    }
    flaws
}

fn issuer_flaw(
    leaf: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    authorities: &[CertificateDer<'_>],
    at: i64,
) -> Option<Flaw> {
    let anchors: Vec<TrustAnchor<'_>> =
        authorities.iter().filter_map(|authority| anchor_from_trusted_cert(authority).ok()).collect();
    let algorithms = rustls::crypto::ring::default_provider().signature_verification_algorithms.all;
    let time = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(at).unwrap_or(0)));
    let end = match EndEntityCert::try_from(leaf) {
        Ok(end) => end,
        Err(error) => return Some(Flaw::Unreadable(error.to_string())),
    };
    end.verify_for_usage(algorithms, &anchors, intermediates, time, KeyUsage::server_auth(), None, None)
        .err()
        .map(|error| Flaw::Issuer(error.to_string()))
}

fn name_flaw(leaf: &CertificateDer<'_>, certificate: &Certificate, expected: &str) -> Option<Flaw> {
    let name = ServerName::try_from(expected).ok()?;
    let end = EndEntityCert::try_from(leaf).ok()?;
    end.verify_is_valid_for_subject_name(&name).err()?;
    let is_address = matches!(name, ServerName::IpAddress(_));
    Some(if is_address && certificate.addresses.is_empty() { Flaw::NoIpSans } else { Flaw::Name })
}

#[cfg(test)]
mod tests;
