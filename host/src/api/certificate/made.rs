//! The pair that we make where none is given: for which names, until when it will do, and how it is kept.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use tracing::info;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

use super::{Pems, parse};
use crate::config::{PairFiles, ServingConfig};
use crate::model::units::UnixNanos;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// As upstream.
const LIFE: Duration = DAY.saturating_mul(365);
/// Long enough for a gateway that is restarted but once a month.
const RENEW_BEFORE: Duration = DAY.saturating_mul(30);

/// The names by which we may be asked for: upstream's, and `--external-hostname`.
pub(super) fn names(config: &ServingConfig) -> Vec<String> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let further =
        config.bind_address.map(|address| address.to_string()).into_iter().chain(config.external_hostname.clone());
    names.extend(further);
    let mut seen = BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

/// Whether it is a pair for at least these names that will be good for a while yet.
pub(super) fn is_usable(pems: &Pems, names: &[String], now: UnixNanos) -> bool {
    let Ok(pair) = parse(pems) else { return false };
    let Some(Ok((_, leaf))) = pair.cert.first().map(|leaf| X509Certificate::from_der(leaf)) else { return false };
    let not_after = u64::try_from(leaf.validity().not_after.timestamp()).unwrap_or(0);
    let has_names = names.iter().all(|name| has_name(&leaf, name));
    has_names && now.seconds() + RENEW_BEFORE.as_secs() < not_after
}

fn has_name(leaf: &X509Certificate<'_>, name: &str) -> bool {
    let Ok(Some(alternatives)) = leaf.subject_alternative_name() else { return false };
    let address = name.parse::<IpAddr>().ok().map(|address| match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    });
    alternatives.value.general_names.iter().any(|alternative| match (alternative, &address) {
        (GeneralName::IPAddress(bytes), Some(address)) => *bytes == address.as_slice(),
        (GeneralName::DNSName(host), None) => host.eq_ignore_ascii_case(name),
        _ => false,
    })
}

/// A new pair.
pub(super) fn pair(names: &[String], now: UnixNanos) -> Result<Pems> {
    let key = KeyPair::generate()?;
    let mut params =
        CertificateParams::new(names).with_context(|| format!("no certificate can be made for {names:?}"))?;
    params.distinguished_name.push(DnType::CommonName, format!("localhost@{}", now.seconds()));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let from = std::time::UNIX_EPOCH + Duration::from_secs(now.seconds());
    // An hour of grace for clients whose clocks are behind.
    params.not_before = (from - DAY / 24).into();
    params.not_after = (from + LIFE).into();
    let certificate = params.self_signed(&key)?;
    info!(?names, "made a self-signed serving certificate");
    Ok(Pems { certificate: certificate.pem().into_bytes(), key: key.serialize_pem().into_bytes() })
}

/// Writes it where the next start finds it.
pub(super) fn keep(files: &PairFiles, pems: &Pems) -> Result<()> {
    if let Some(directory) = files.certificate.parent() {
        std::fs::create_dir_all(directory)
            .with_context(|| format!("cannot make --cert-dir {} for a self-signed certificate", directory.display()))?;
    }
    write_private(&files.key, &pems.key)?;
    write_private(&files.certificate, &pems.certificate)
}

fn write_private(path: &Path, text: &[u8]) -> Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text))
        .with_context(|| format!("cannot write {}, which is needed for a self-signed certificate", path.display()))
}
