//! Whom the door believes: the CAs of clients and of front proxies, and what front proxies may say.
//!
//! [`Trust`] is one immutable snapshot with a number, its generation. [`TrustStore`] (in `trust/store.rs`) feeds it from
//! flags, files and the ConfigMap `extension-apiserver-authentication`, and swaps it whole: a request sees the CA, the
//! allowed names and the headers that belong together.
//!
//! This file is pure: bytes and texts in, snapshots or `BadTrust` out. A front proxy is one thing: where its CA, or
//! any of its lists, cannot be read, none of it is taken over. (The reference updates the CA and the lists apart, and so
//! may for a while accept any name under a new, wider CA.)
//!
//! Rules: `k8s.io/apiserver` v0.36, `pkg/authentication/request/headerrequest/requestheader_controller.go`,
//! `pkg/server/dynamiccertificates`.

mod store;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use rustls::DistinguishedName;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use super::peer::turns;

pub use self::store::{TrustError, TrustStore};

/// Whom the door believes at one time.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    generation: u64,
    client_ca: Option<Arc<Pool>>,
    front_proxy: Option<Arc<FrontProxy>>,
}

impl Trust {
    /// Rises with every change; what was concluded under another generation is void.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The names of all CAs, those of clients first, for the hints of a TLS CertificateRequest. Empty, which
    /// invites any certificate, where no CA is known or the names are too many for a handshake message.
    pub fn authority_names(&self) -> Vec<DistinguishedName> {
        let mut names: Vec<DistinguishedName> = Vec::new();
        let pools = [self.client_ca(), self.front_proxy().map(|proxy| &proxy.authorities)];
        for authority in pools.into_iter().flatten().flat_map(|pool| &pool.0) {
            let name = DistinguishedName::in_sequence(&authority.anchor.subject);
            if !names.iter().any(|known| known.as_ref() == name.as_ref()) {
                names.push(name);
            }
        }
        let length: usize = names.iter().map(|name| name.as_ref().len() + 2).sum();
        if length <= LONGEST_HINTS { names } else { Vec::new() }
    }

    pub(super) fn client_ca(&self) -> Option<&Pool> {
        self.client_ca.as_deref()
    }

    pub(super) fn front_proxy(&self) -> Option<&FrontProxy> {
        self.front_proxy.as_deref()
    }

    /// Whether every holder of a client certificate can pass for the front proxy, and thus for anybody.
    fn lets_clients_impersonate(&self) -> bool {
        let (Some(client), Some(proxy)) = (self.client_ca(), self.front_proxy()) else { return false };
        let is_client_ca = |own: &Authority| client.0.iter().any(|other| other.has_key_of(own));
        proxy.allowed_names.is_empty() && proxy.authorities.0.iter().any(is_client_ca)
    }
}

/// The list has a 16-bit length in its message; half of that leaves room for all else.
const LONGEST_HINTS: usize = 32 << 10;

/// CA certificates, at least one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pool(Vec<Authority>);

#[derive(Debug, PartialEq, Eq)]
struct Authority {
    certificate: CertificateDer<'static>,
    anchor: TrustAnchor<'static>,
    /// From and until when, in Unix seconds. webpki knows no validity of anchors; the reference honours it.
    valid: [u64; 2],
}

impl Authority {
    fn read(certificate: CertificateDer<'_>) -> Result<Self, BadTrust> {
        let certificate = certificate.into_owned();
        let anchor =
            anchor_from_trusted_cert(&certificate).map_err(|error| BadTrust::Certificate(error.to_string()))?;
        let anchor = anchor.to_owned();
        let valid = turns(&certificate).ok_or_else(|| BadTrust::Certificate("it could not be read".to_owned()))?;
        Ok(Self { certificate, anchor, valid })
    }

    fn has_key_of(&self, other: &Self) -> bool {
        self.anchor.subject_public_key_info == other.anchor.subject_public_key_info
    }
}

impl Pool {
    /// Reads a PEM bundle. Other sections than certificates are passed over, as the reference does.
    pub(super) fn from_pem(pem: &[u8]) -> Result<Self, BadTrust> {
        let mut authorities = Vec::new();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            authorities.push(Authority::read(certificate.map_err(|error| BadTrust::Pem(error.to_string()))?)?);
        }
        if authorities.is_empty() { Err(BadTrust::NoCertificate) } else { Ok(Self(authorities)) }
    }

    /// Whether a CA of the pool vouches for the chain (leaf first) as that of a TLS client, at `now` in Unix seconds.
    pub(super) fn verify(&self, chain: &[CertificateDer<'_>], now: u64) -> Result<(), String> {
        let [leaf, intermediates @ ..] = chain else { return Err("there is no certificate".to_owned()) };
        let valid_now = |authority: &&Authority| (authority.valid[0]..authority.valid[1]).contains(&now);
        let anchors: Vec<TrustAnchor<'_>> = self.0.iter().filter(valid_now).map(|ca| ca.anchor.clone()).collect();
        let algorithms = rustls::crypto::ring::default_provider().signature_verification_algorithms.all;
        let time = UnixTime::since_unix_epoch(Duration::from_secs(now));
        let leaf = EndEntityCert::try_from(leaf).map_err(|error| error.to_string())?;
        leaf.verify_for_usage(algorithms, &anchors, intermediates, time, KeyUsage::client_auth(), None, None)
            .map(|_| ())
            .map_err(|error| error.to_string())
    }

    /// The moments, in Unix seconds, at which a CA becomes valid or is so no more.
    pub(super) fn turns(&self) -> impl Iterator<Item = u64> {
        self.0.iter().flat_map(|authority| authority.valid)
    }
}

/// A front proxy: who it is, and in which headers it names the user.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FrontProxy {
    pub(super) authorities: Pool,
    /// Common names; empty: any under the CA.
    pub(super) allowed_names: Vec<String>,
    pub(super) headers: UserHeaders,
}

/// The headers in which a front proxy names the user; lists are in order of preference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct UserHeaders {
    pub(super) name: Vec<HeaderName>,
    pub(super) uid: Vec<HeaderName>,
    pub(super) group: Vec<HeaderName>,
    /// Lower-case beginnings, none of them empty.
    pub(super) extra_prefix: Vec<String>,
}

impl UserHeaders {
    /// Names that no header can have are passed over: such a header never arrives. An empty prefix would make
    /// every header an attribute of the user, so it is passed over as well.
    pub(super) fn new(name: &[String], uid: &[String], group: &[String], extra_prefix: &[String]) -> Self {
        let names = |texts: &[String]| texts.iter().filter_map(|text| text.trim().parse().ok()).collect();
        let prefixes = extra_prefix.iter().map(|prefix| prefix.trim().to_ascii_lowercase());
        Self {
            name: names(name),
            uid: names(uid),
            group: names(group),
            extra_prefix: prefixes.filter(|prefix| !prefix.is_empty()).collect(),
        }
    }
}

/// `data` of the ConfigMap.
type Data = BTreeMap<String, String>;

/// Why nothing can be taken over from the ConfigMap's `data`, in the words of the log; None: all of it can.
pub fn fault_of(data: &BTreeMap<String, String>) -> Option<String> {
    let fault = client_ca_of(data).err().or_else(|| front_proxy_of(data).err());
    fault.map(|fault| fault.to_string())
}

fn client_ca_of(data: &Data) -> Result<Option<Pool>, BadTrust> {
    pool_of(data, "client-ca-file")
}

fn front_proxy_of(data: &Data) -> Result<Option<FrontProxy>, BadTrust> {
    let Some(authorities) = pool_of(data, "requestheader-client-ca-file")? else { return Ok(None) };
    let allowed_names = list_of(data, "requestheader-allowed-names")?;
    let headers = UserHeaders::new(
        &list_of(data, "requestheader-username-headers")?,
        &list_of(data, "requestheader-uid-headers")?,
        &list_of(data, "requestheader-group-headers")?,
        &list_of(data, "requestheader-extra-headers-prefix")?,
    );
    Ok(Some(FrontProxy { authorities, allowed_names, headers }))
}

fn pool_of(data: &Data, key: &'static str) -> Result<Option<Pool>, BadTrust> {
    let Some(pem) = data.get(key).filter(|pem| !pem.is_empty()) else { return Ok(None) };
    Pool::from_pem(pem.as_bytes()).map(Some).map_err(|error| BadTrust::Key(key, Box::new(error)))
}

/// Absent, empty and null are the empty list.
fn list_of(data: &Data, key: &'static str) -> Result<Vec<String>, BadTrust> {
    let Some(json) = data.get(key).filter(|json| !json.is_empty()) else { return Ok(Vec::new()) };
    let list: Option<Vec<String>> =
        serde_json::from_str(json).map_err(|error| BadTrust::Key(key, Box::new(BadTrust::List(error.to_string()))))?;
    Ok(list.unwrap_or_default())
}

/// Why something cannot be believed in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadTrust {
    #[error("it holds no certificate")]
    NoCertificate,
    #[error("it is not PEM: {0}")]
    Pem(String),
    #[error("a certificate in it is none of a CA: {0}")]
    Certificate(String),
    #[error("it is not a JSON list of strings: {0}")]
    List(String),
    #[error("key \"{0}\": {1}")]
    Key(&'static str, Box<BadTrust>),
}
