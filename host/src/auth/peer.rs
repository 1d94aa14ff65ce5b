//! The other end of a connection: the certificates it presented, and what they prove.
//!
//! The handshake has checked that the peer holds the key of its first certificate, nothing more. Whether a CA vouches
//! for it is judged per request, against the CAs that are trusted now; so an expired or rotated-out certificate ends
//! the trust, not the connection. The verdict is kept until the trust changes or until any certificate concerned
//! becomes valid or expires.
//!
//! What fails: a chain that no CA vouches for, and a subject that cannot be read. Neither is "no certificate".
//!
//! Differences from Go, which the reference is built with: a leaf that is itself a CA is refused, and so is one for any
//! extended key usage (`anyExtendedKeyUsage`), and a leaf that stands in the CA bundle itself is not trusted for that.

#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use rustls_pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::der_parser::{Oid, oid};
use x509_parser::prelude::FromDer;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

use super::trust::{Pool, Trust};
use crate::model::units::UnixNanos;

/// The other end of a connection. One per connection, shared by its requests.
#[derive(Debug)]
pub struct Peer {
    remote: IpAddr,
    chain: Vec<CertificateDer<'static>>,
    leaf: Option<Result<Leaf, String>>,
    /// First and last moments, in Unix seconds, at which the certificates of the chain are valid or are so no more.
    turns: Vec<u64>,
    verdict: Mutex<Option<Arc<Verdict>>>,
}

impl Peer {
    /// A peer at `remote` that presented `chain`, leaf first; empty where it presented none.
    pub fn new(remote: IpAddr, chain: Vec<CertificateDer<'static>>) -> Self {
        let leaf = chain.first().map(Leaf::read);
        let turns = chain.iter().filter_map(turns).flatten().collect();
        Self { remote, chain, leaf, turns, verdict: Mutex::new(None) }
    }

    /// Where it connects from.
    pub fn remote(&self) -> IpAddr {
        self.remote
    }

    /// Whether it presented a certificate, of whatever worth.
    pub fn has_certificate(&self) -> bool {
        !self.chain.is_empty()
    }

    /// What its first certificate says, if it presented one; an error if that cannot be read.
    pub(super) fn leaf(&self) -> Option<&Result<Leaf, String>> {
        self.leaf.as_ref()
    }

    /// Which of the trusted CAs vouch for the chain at this moment.
    pub(super) fn judge(&self, trust: &Trust, now: UnixNanos) -> Arc<Verdict> {
        let now = now.seconds();
        let mut kept = self.verdict.lock();
        if let Some(verdict) = kept.as_ref().filter(|verdict| verdict.holds(trust, now)) {
            return Arc::clone(verdict);
        }
        let verdict = Arc::new(self.judge_anew(trust, now));
        *kept = Some(Arc::clone(&verdict));
        verdict
    }

    fn judge_anew(&self, trust: &Trust, now: u64) -> Verdict {
        let pools = [trust.front_proxy().map(|proxy| &proxy.authorities), trust.client_ca()];
        let [front_proxy, client] = pools.map(|pool| pool.map(|pool| pool.verify(&self.chain, now)));
        let turns = self.turns.iter().copied().chain(pools.into_iter().flatten().flat_map(Pool::turns));
        let until = turns.filter(|turn| *turn > now).min().unwrap_or(u64::MAX);
        Verdict { generation: trust.generation(), from: now, until, front_proxy, client }
    }
}

/// Which of the trusted CAs vouch for a chain. None where there is no such CA to ask.
#[derive(Debug)]
pub(super) struct Verdict {
    generation: u64,
    from: u64,
    until: u64,
    pub(super) front_proxy: Option<Result<(), String>>,
    pub(super) client: Option<Result<(), String>>,
}

impl Verdict {
    /// A clock that was set back makes it void as well.
    fn holds(&self, trust: &Trust, now: u64) -> bool {
        self.generation == trust.generation() && (self.from..self.until).contains(&now)
    }
}

/// What a client certificate says of its holder.
#[derive(Debug)]
pub(super) struct Leaf {
    /// The last CN, as Go reads it; empty where there is none.
    pub(super) common_name: String,
    /// All O, in order.
    pub(super) organizations: Vec<String>,
    /// The attribute for UIDs; an error where it is empty or repeated.
    pub(super) uid: Result<Option<String>, String>,
    /// `X509SHA256=` and the digest of the certificate.
    pub(super) credential_id: String,
}

/// Kubernetes' own attribute of a subject: the user's UID.
const UID: Oid<'static> = oid!(1.3.6.1.4.1.57683.2);

impl Leaf {
    fn read(certificate: &CertificateDer<'_>) -> Result<Self, String> {
        let (_, parsed) = X509Certificate::from_der(certificate)
            .map_err(|error| format!("the client certificate could not be read: {error}"))?;
        let subject = parsed.subject();
        Ok(Self {
            common_name: texts(subject.iter_common_name())?.pop().unwrap_or_default(),
            organizations: texts(subject.iter_organization())?,
            uid: read_uid(subject),
            credential_id: credential_id(certificate),
        })
    }
}

fn texts<'a>(attributes: impl Iterator<Item = &'a AttributeTypeAndValue<'a>>) -> Result<Vec<String>, String> {
    let text = |attribute: &AttributeTypeAndValue<'_>| attribute.as_str().map(str::to_owned);
    attributes.map(text).collect::<Result<_, _>>().map_err(|error| format!("the subject could not be read: {error}"))
}

fn read_uid(subject: &X509Name<'_>) -> Result<Option<String>, String> {
    let mut uids = texts(subject.iter_by_oid(&UID))?;
    match (uids.pop(), uids.is_empty()) {
        (None, _) => Ok(None),
        (Some(uid), true) if !uid.is_empty() => Ok(Some(uid)),
        (Some(_), true) => Err("the subject has an empty UID".to_owned()),
        (Some(_), false) => Err("the subject has more than one UID".to_owned()),
    }
}

fn credential_id(certificate: &[u8]) -> String {
    let mut text = "X509SHA256=".to_owned();
    for byte in Sha256::digest(certificate) {
        write!(text, "{byte:02x}").expect("writing to a String does not fail");
    }
    text
}

/// When a certificate becomes valid, and the first second in which it is so no more.
pub(super) fn turns(certificate: &CertificateDer<'_>) -> Option<[u64; 2]> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let seconds = |time: i64| u64::try_from(time).unwrap_or(0);
    let validity = parsed.validity();
    Some([seconds(validity.not_before.timestamp()), seconds(validity.not_after.timestamp()).saturating_add(1)])
}
