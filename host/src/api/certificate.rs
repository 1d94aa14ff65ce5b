//! The certificate that we show to clients: from files, re-read when they change, or made here and kept in
//! `--cert-dir`, and made anew before it expires.
//!
//! A pair that cannot be used never replaces one that can: the old one stays, and the log says so once.
//!
//! Rules: `k8s.io/apiserver` v0.36, `pkg/server/options/serving.go` and `pkg/server/dynamiccertificates`. We differ:
//! upstream never renews a pair that it made.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tracing::{info, warn};
use x509_parser::prelude::FromDer as _;

use crate::config::{PairFiles, ServingConfig};
use crate::model::units::UnixNanos;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// As upstream.
const LIFE: Duration = DAY.saturating_mul(365);
/// Long enough for a gateway that is restarted but once a month.
const RENEW_BEFORE: Duration = DAY.saturating_mul(30);

/// The certificate in force, and where it comes from.
pub struct ServingCertificate {
    files: PairFiles,
    /// Set where the pair is of our own making.
    made_for: Option<Vec<String>>,
    current: ArcSwap<CertifiedKey>,
    /// What the files held when they were last looked at, usable or not.
    seen: Mutex<Pems>,
}

#[derive(Clone, PartialEq, Eq)]
struct Pems {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl ServingCertificate {
    /// Reads the pair, or makes one where none is given.
    ///
    /// # Errors
    /// Where the files cannot be read, written or used; there is nothing to fall back on at start.
    pub fn load(config: &ServingConfig, now: UnixNanos) -> Result<Self> {
        let (files, made_for) = match &config.pair {
            Some(files) => (files.clone(), None),
            None => (files_in(&config.cert_dir), Some(names(config.bind_address))),
        };
        if let Some(names) = &made_for
            && !is_usable(&files, now)
        {
            make(&files, names, now)?;
        }
        let pems = read(&files)?;
        let current =
            parse(&pems).with_context(|| format!("the serving certificate {}", files.certificate.display()))?;
        Ok(Self { files, made_for, current: ArcSwap::from_pointee(current), seen: Mutex::new(pems) })
    }

    /// Looks at the files again, and renews a pair of our own making in time.
    pub fn refresh(&self, now: UnixNanos) {
        if let Err(error) = self.try_refresh(now) {
            warn!("serving certificate not replaced, the one in force stays: {error:#}");
        }
    }

    fn try_refresh(&self, now: UnixNanos) -> Result<()> {
        if let Some(names) = &self.made_for
            && !is_usable(&self.files, now)
        {
            make(&self.files, names, now)?;
        }
        let pems = read(&self.files)?;
        let mut seen = self.seen.lock();
        if *seen == pems {
            return Ok(());
        }
        // Noted before it is judged, so that a bad pair is told of once.
        seen.clone_from(&pems);
        self.current.store(Arc::new(parse(&pems)?));
        info!(certificate = %self.files.certificate.display(), "serving certificate replaced");
        Ok(())
    }
}

impl fmt::Debug for ServingCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServingCertificate").field("files", &self.files).finish_non_exhaustive()
    }
}

impl ResolvesServerCert for ServingCertificate {
    /// One certificate for every name: the API server's probes come without a name at all.
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

fn files_in(directory: &Path) -> PairFiles {
    PairFiles { certificate: directory.join("apiserver.crt"), key: directory.join("apiserver.key") }
}

fn names(bind_address: Option<IpAddr>) -> Vec<String> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    names.extend(bind_address.map(|address| address.to_string()).filter(|address| address != "127.0.0.1"));
    names
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

/// Whether the files hold a pair that will be good for a while yet.
fn is_usable(files: &PairFiles, now: UnixNanos) -> bool {
    let Ok(pair) = read(files).and_then(|pems| parse(&pems)) else { return false };
    let Some(Ok((_, leaf))) = pair.cert.first().map(|leaf| x509_parser::certificate::X509Certificate::from_der(leaf))
    else {
        return false;
    };
    let not_after = u64::try_from(leaf.validity().not_after.timestamp()).unwrap_or(0);
    now.seconds() + RENEW_BEFORE.as_secs() < not_after
}

fn make(files: &PairFiles, names: &[String], now: UnixNanos) -> Result<()> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, format!("localhost@{}", now.seconds()));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let from = std::time::UNIX_EPOCH + Duration::from_secs(now.seconds());
    // An hour of grace for clients whose clocks are behind.
    params.not_before = (from - DAY / 24).into();
    params.not_after = (from + LIFE).into();
    let certificate = params.self_signed(&key)?;
    if let Some(directory) = files.certificate.parent() {
        std::fs::create_dir_all(directory)
            .with_context(|| format!("cannot make --cert-dir {} for a self-signed certificate", directory.display()))?;
    }
    write_private(&files.key, &key.serialize_pem())?;
    write_private(&files.certificate, &certificate.pem())?;
    info!(certificate = %files.certificate.display(), "made a self-signed serving certificate");
    Ok(())
}

fn write_private(path: &Path, text: &str) -> Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write {}, which is needed for a self-signed certificate", path.display()))
}
