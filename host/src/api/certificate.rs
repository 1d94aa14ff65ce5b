//! The certificates that we show to clients: from files, re-read when they change, or made here, kept in `--cert-dir`
//! or in memory alone, and made anew before they expire; and which of them a client is shown.
//!
//! A client that asks by name is shown the pair for that name, or else for the name with its first label replaced by
//! `*`; one that asks by none, as the API server's probes do, the pair for the address that it has reached. For whom
//! nothing fits there is the pair of `--tls-cert-file`, or our own. Names that the flag gives go before those that a
//! certificate names, and earlier pairs before later ones.
//!
//! A pair that cannot be used never replaces one that can: the old one stays, and the log says so once.
//!
//! Rules: `k8s.io/apiserver` v0.36, `pkg/server/options/serving.go` and `pkg/server/dynamiccertificates`, and Go's
//! `crypto/tls`. We differ: upstream never renews a pair that it made.

mod made;

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tracing::{info, warn};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

use crate::config::{PairFiles, ServingConfig};
use crate::model::units::UnixNanos;

/// The certificates in force, and where they come from.
pub struct ServingCertificates {
    /// For whoever asks for nothing else.
    usual: Source,
    named: Vec<Named>,
    table: ArcSwap<Table>,
}

impl ServingCertificates {
    /// Reads all pairs, and makes one where none is given.
    ///
    /// # Errors
    /// Where files cannot be read, written or used; there is nothing to fall back on at start.
    pub fn load(config: &ServingConfig, now: UnixNanos) -> Result<Self> {
        let usual = match (&config.pair, &config.cert_dir) {
            (Some(files), _) => Origin::Files(files.clone()),
            (None, Some(directory)) => Origin::Kept(files_in(directory), made::names(config)),
            (None, None) => Origin::InMemory(made::names(config)),
        };
        let named = config.named_pairs.iter().map(|pair| {
            let source = Source::load(Origin::Files(pair.files.clone()), now)?;
            Ok(Named { source, names: pair.names.iter().map(|name| name.to_lowercase()).collect() })
        });
        let (usual, named) = (Source::load(usual, now)?, named.collect::<Result<Vec<_>>>()?);
        let table = ArcSwap::from_pointee(Table::new(&usual, &named));
        Ok(Self { usual, named, table })
    }

    /// Looks at the files again, and renews a pair of our own making in time.
    pub fn refresh(&self, now: UnixNanos) {
        let sources = std::iter::once(&self.usual).chain(self.named.iter().map(|named| &named.source));
        let mut is_changed = false;
        for source in sources {
            match source.refresh(now) {
                Ok(changed) => is_changed |= changed,
                Err(error) => {
                    warn!("serving certificate {} not replaced, the one in force stays: {error:#}", source.origin);
                }
            }
        }
        if is_changed {
            self.table.store(Arc::new(Table::new(&self.usual, &self.named)));
        }
    }

    /// The pair for clients that reach us at `local` and do not say by which name, where there is one of its own.
    pub fn of_address(&self, local: IpAddr) -> Option<Arc<CertifiedKey>> {
        self.table.load().by_name.get(&local.to_string()).cloned()
    }
}

impl fmt::Debug for ServingCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServingCertificates").field("usual", &self.usual.origin).finish_non_exhaustive()
    }
}

impl ResolvesServerCert for ServingCertificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.table.load().choose(hello.server_name()))
    }
}

/// The same certificates for a connection to an address that has a pair of its own.
#[derive(Debug)]
pub struct AtAddress {
    /// All of them.
    pub certificates: Arc<ServingCertificates>,
    /// The address's own.
    pub own: Arc<CertifiedKey>,
}

impl ResolvesServerCert for AtAddress {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        match hello.server_name() {
            Some(_) => self.certificates.resolve(hello),
            None => Some(Arc::clone(&self.own)),
        }
    }
}

/// A pair for certain names.
struct Named {
    source: Source,
    /// In lower case; empty: those that the certificate names.
    names: Vec<String>,
}

/// Which pair is shown to whom.
struct Table {
    usual: Arc<CertifiedKey>,
    by_name: HashMap<String, Arc<CertifiedKey>>,
}

impl Table {
    fn new(usual: &Source, named: &[Named]) -> Self {
        let mut by_name = HashMap::new();
        // Given names first, so that those which certificates name find them taken.
        for is_given in [true, false] {
            for pair in named.iter().filter(|pair| pair.names.is_empty() != is_given) {
                let current = pair.source.current();
                let names = if is_given { pair.names.clone() } else { names_of(&current) };
                for name in names {
                    by_name.entry(name).or_insert_with(|| Arc::clone(&current));
                }
            }
        }
        Self { usual: usual.current(), by_name }
    }

    fn choose(&self, name: Option<&str>) -> Arc<CertifiedKey> {
        let found = name.and_then(|name| {
            let name = name.to_lowercase();
            let wildcard = || name.split_once('.').map(|(_, rest)| format!("*.{rest}"));
            self.by_name.get(&name).or_else(|| self.by_name.get(&wildcard()?))
        });
        Arc::clone(found.unwrap_or(&self.usual))
    }
}

/// The host names in a certificate, in lower case. Not its addresses: upstream shows a pair for an address only if the
/// flag says so.
fn names_of(pair: &CertifiedKey) -> Vec<String> {
    let Some(Ok((_, leaf))) = pair.cert.first().map(|leaf| X509Certificate::from_der(leaf)) else {
        return Vec::new();
    };
    let common_names = leaf.subject().iter_common_name().filter_map(|name| name.as_str().ok());
    let mut names: Vec<String> = common_names.filter(|name| is_host_name(name)).map(str::to_lowercase).collect();
    if let Ok(Some(alternatives)) = leaf.subject_alternative_name() {
        let host_names = alternatives.value.general_names.iter().filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_lowercase()),
            _ => None,
        });
        names.extend(host_names);
    }
    names
}

/// Whether a common name is meant as one; people write all sorts of things there.
fn is_host_name(text: &str) -> bool {
    let is_label = |label: &str| {
        let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !label.is_empty() && label.bytes().all(is_inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    let name = text.strip_prefix("*.").unwrap_or(text);
    text.parse::<IpAddr>().is_err() && (text == "*" || name.split('.').all(is_label))
}

/// A pair, and where it comes from.
struct Source {
    origin: Origin,
    state: Mutex<State>,
}

struct State {
    /// What there was when it was last looked at, usable or not.
    seen: Pems,
    current: Arc<CertifiedKey>,
}

/// Where a pair comes from.
#[derive(Debug)]
enum Origin {
    Files(PairFiles),
    /// Files that we write ourselves, and the names that the certificate must have.
    Kept(PairFiles, Vec<String>),
    /// The names that the certificate must have.
    InMemory(Vec<String>),
}

/// A certificate chain and its key, as text.
#[derive(Clone, PartialEq, Eq)]
struct Pems {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Source {
    fn load(origin: Origin, now: UnixNanos) -> Result<Self> {
        let seen = origin.read(None, now)?;
        let current = Arc::new(parse(&seen).with_context(|| format!("the serving certificate {origin}"))?);
        Ok(Self { origin, state: Mutex::new(State { seen, current }) })
    }

    /// Whether there is a new pair.
    fn refresh(&self, now: UnixNanos) -> Result<bool> {
        let last = self.state.lock().seen.clone();
        let pems = self.origin.read(Some(&last), now)?;
        let mut state = self.state.lock();
        if state.seen == pems {
            return Ok(false);
        }
        // Noted before it is judged, so that a bad pair is told of once.
        state.seen.clone_from(&pems);
        state.current = Arc::new(parse(&pems)?);
        info!(certificate = %self.origin, "serving certificate replaced");
        Ok(true)
    }

    fn current(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.state.lock().current)
    }
}

impl Origin {
    /// What is to be shown now. `last` is what was, for a pair that is nowhere else.
    fn read(&self, last: Option<&Pems>, now: UnixNanos) -> Result<Pems> {
        match self {
            Self::Files(files) => read(files),
            Self::Kept(files, names) => {
                if let Some(kept) = read(files).ok().filter(|kept| made::is_usable(kept, names, now)) {
                    return Ok(kept);
                }
                let pems = made::pair(names, now)?;
                made::keep(files, &pems)?;
                Ok(pems)
            }
            Self::InMemory(names) => match last.filter(|last| made::is_usable(last, names, now)) {
                Some(last) => Ok(last.clone()),
                None => made::pair(names, now),
            },
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Files(files) | Self::Kept(files, _) => write!(f, "{}", files.certificate.display()),
            Self::InMemory(_) => f.write_str("of our own making"),
        }
    }
}

fn files_in(directory: &Path) -> PairFiles {
    PairFiles { certificate: directory.join("apiserver.crt"), key: directory.join("apiserver.key") }
}

fn read(files: &PairFiles) -> Result<Pems> {
    let read = |path: &PathBuf| std::fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    Ok(Pems { certificate: read(&files.certificate)?, key: read(&files.key)? })
}

fn parse(pems: &Pems) -> Result<CertifiedKey> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&pems.certificate).collect::<Result<_, _>>()?;
    ensure!(!chain.is_empty(), "the file holds no certificate");
    let key = PrivateKeyDer::from_pem_slice(&pems.key).context("the key file")?;
    let pair = CertifiedKey::from_der(chain, key, &rustls::crypto::ring::default_provider())?;
    Ok(pair)
}

#[cfg(test)]
mod tests;
