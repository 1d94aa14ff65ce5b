//! The certificates of an aggregation layer that nobody has set up: what the guides to clusters built by hand make with
//! cfssl.
//!
//! In: the names ([`Names`]), what there is already, and the time. Out: four pairs ([`Pair`]), as PEM. The *front-proxy* CA
//! and its client pair are the API server's: with them it proves to the gateway that a user whom it names is one whom
//! it has authenticated. The *serving* CA and its pair are the gateway's: with them it proves to the API server that it
//! is the Service that the APIService names.
//!
//! The front-proxy CA signs nothing but the client pair, and the cluster's own CA must not take its place: whoever has a
//! certificate of it, a user or a kubelet, could then say that it is anybody
//! (<https://kubernetes.io/docs/tasks/extend-kubernetes/configure-aggregation-layer/>, "CA reusage and conflicts").
//!
//! Absent on purpose: files, which are the command's to read and to write, and any revocation.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::model::units::UnixNanos;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// As kubeadm's CAs and leaves.
const LIFE_OF_CA: Duration = DAY.saturating_mul(3650);
const LIFE_OF_LEAF: Duration = DAY.saturating_mul(365);
/// An hour of grace for machines whose clocks are behind.
const GRACE: Duration = Duration::from_secs(60 * 60);

/// What the certificates are to say.
#[derive(Clone, Debug)]
pub struct Names {
    /// The Service that the APIService names.
    pub service: String,
    /// Its namespace.
    pub namespace: String,
    /// Behind `svc.` in the Service's longest name.
    pub cluster_domain: String,
    /// The common name of the client pair, for `--requestheader-allowed-names`.
    pub client: String,
    /// Further names and addresses of the gateway.
    pub further: Vec<String>,
}

impl Names {
    /// The names of the serving certificate; the API server asks for the third.
    pub fn of_service(&self) -> Vec<String> {
        let (service, namespace) = (&self.service, &self.namespace);
        let mut names = vec![
            service.clone(),
            format!("{service}.{namespace}"),
            format!("{service}.{namespace}.svc"),
            format!("{service}.{namespace}.svc.{}", self.cluster_domain),
        ];
        names.extend(self.further.iter().cloned());
        names
    }
}

/// A certificate with its key, as PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// `CERTIFICATE`.
    pub certificate: String,
    /// `PRIVATE KEY`.
    pub key: String,
}

/// Which of the pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Signs the client pair.
    FrontProxyCa,
    /// The API server shows it to the gateway.
    FrontProxyClient,
    /// Signs the serving pair.
    ServingCa,
    /// The gateway shows it to the API server.
    Serving,
}

impl Role {
    /// All of them, a CA before what it signs.
    pub const ALL: [Self; 4] = [Self::FrontProxyCa, Self::FrontProxyClient, Self::ServingCa, Self::Serving];

    /// Who signs it; None: itself.
    pub fn signer(self) -> Option<Self> {
        match self {
            Self::FrontProxyClient => Some(Self::FrontProxyCa),
            Self::Serving => Some(Self::ServingCa),
            Self::FrontProxyCa | Self::ServingCa => None,
        }
    }

    /// How its files are called, before `.crt` and `.key`.
    pub fn file(self, names: &Names) -> String {
        match self {
            Self::FrontProxyCa => "front-proxy-ca".to_owned(),
            Self::FrontProxyClient => "front-proxy-client".to_owned(),
            Self::ServingCa => format!("{}-ca", names.service),
            Self::Serving => names.service.clone(),
        }
    }

    fn common_name(self, names: &Names) -> String {
        match self {
            Self::FrontProxyCa => "front-proxy-ca".to_owned(),
            Self::FrontProxyClient => names.client.clone(),
            Self::ServingCa => format!("{}-ca", names.service),
            Self::Serving => format!("{}.{}.svc", names.service, names.namespace),
        }
    }
}

/// Makes a CA.
///
/// # Errors
/// Where the system gives no randomness.
pub fn authority(role: Role, names: &Names, now: UnixNanos) -> Result<Pair> {
    let key = KeyPair::generate()?;
    let certificate = authority_params(&role.common_name(names), now)?.self_signed(&key)?;
    Ok(Pair { certificate: certificate.pem(), key: key.serialize_pem() })
}

/// Makes a pair that `signer` vouches for, for a year but no longer than the signer itself is good for.
///
/// # Errors
/// If the signer is no CA of ours, has expired, or a name can be in no certificate.
pub fn leaf(role: Role, names: &Names, signer: &Pair, now: UnixNanos) -> Result<Pair> {
    let issuer_name = role.signer().context("a CA is signed by nobody but itself")?.common_name(names);
    let until = check_authority(signer, &issuer_name, now)?;
    let signing_key = KeyPair::from_pem(&signer.key).context("its key cannot be read")?;
    let issuer = Issuer::new(authority_params(&issuer_name, now)?, signing_key);
    let alternatives = if role == Role::Serving { names.of_service() } else { Vec::new() };
    let mut params = CertificateParams::new(alternatives.clone())
        .with_context(|| format!("no certificate can be made for {alternatives:?}"))?;
    params.distinguished_name.push(DnType::CommonName, role.common_name(names));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages = vec![match role {
        Role::FrontProxyClient => ExtendedKeyUsagePurpose::ClientAuth,
        _ => ExtendedKeyUsagePurpose::ServerAuth,
    }];
    params.use_authority_key_identifier_extension = true;
    params.not_before = (moment(now) - GRACE).into();
    params.not_after = (moment(now) + LIFE_OF_LEAF).min(until).into();
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &issuer)?;
    Ok(Pair { certificate: certificate.pem(), key: key.serialize_pem() })
}

/// How long a certificate is good for, in days; negative where it has expired.
///
/// # Errors
/// If it cannot be read.
pub fn days_left(certificate: &str, now: UnixNanos) -> Result<i64> {
    let (_, pem) = parse_x509_pem(certificate.as_bytes()).context("it is not PEM")?;
    let (_, read) = X509Certificate::from_der(&pem.contents).context("it is no certificate")?;
    let now = i64::try_from(now.seconds()).context("the clock is beyond all certificates")?;
    Ok((read.validity().not_after.timestamp() - now).div_euclid(24 * 60 * 60))
}

/// What a CA of ours says. It is the same whenever it is asked for, but for the times, which do not go into what the CA
/// signs: so a CA that was made before can go on signing.
fn authority_params(common_name: &str, now: UnixNanos) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    params.not_before = (moment(now) - GRACE).into();
    params.not_after = (moment(now) + LIFE_OF_CA).into();
    Ok(params)
}

/// That what was found is a CA as we make them, and until when it is good.
fn check_authority(signer: &Pair, common_name: &str, now: UnixNanos) -> Result<std::time::SystemTime> {
    let (_, pem) = parse_x509_pem(signer.certificate.as_bytes()).context("it is not PEM")?;
    let (_, read) = X509Certificate::from_der(&pem.contents).context("it is no certificate")?;
    ensure!(read.is_ca(), "it is not a CA");
    let expected = format!("CN={common_name}");
    ensure!(read.subject().to_string() == expected, "it is named {:?}, not {expected:?}", read.subject().to_string());
    let key = KeyPair::from_pem(&signer.key).context("its key cannot be read")?;
    let is_its_key = read.public_key().subject_public_key.data.as_ref() == rcgen::PublicKeyData::der_bytes(&key);
    ensure!(is_its_key, "the key beside it belongs to another certificate");
    let until = u64::try_from(read.validity().not_after.timestamp()).unwrap_or(0);
    if until <= now.seconds() {
        bail!("it has expired; move it away, and a new one is made");
    }
    Ok(std::time::UNIX_EPOCH + Duration::from_secs(until))
}

fn moment(now: UnixNanos) -> std::time::SystemTime {
    std::time::UNIX_EPOCH + Duration::from_secs(now.seconds())
}

#[cfg(test)]
mod tests;
