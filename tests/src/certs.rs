//! A public key infrastructure like the one kubeadm makes: a cluster CA, a front-proxy CA, and what they sign.
//!
//! In: names. Out: PEM texts, DER for rustls, files in a directory. Keys are ECDSA P-256, because a suite makes many of
//! them and RSA would cost seconds. Certificates that must be refused (expired, wrong name, foreign CA) come from here
//! as well: a wrong name is [`Authority::server`] with that name, a foreign CA is [`Certs::foreign`].
//!
//! Absent on purpose: revocation and intermediate CAs, which no test needs so far.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// The common name of the aggregator's client certificate, as kubeadm gives it.
pub const FRONT_PROXY_CLIENT: &str = "front-proxy-client";
/// The name by which the aggregator asks the gateway: that of the Service in upstream's manifests.
pub const GATEWAY_HOST: &str = "metrics-server.kube-system.svc";

/// The authorities of one cluster, and one that the cluster does not know.
pub struct Certs {
    /// Vouches for the API server, kubelets, the gateway and users ("kubernetes").
    pub cluster: Authority,
    /// Vouches for the aggregator ("front-proxy-ca").
    pub front_proxy: Authority,
    /// Vouches for nobody that the cluster trusts.
    pub foreign: Authority,
}

impl Certs {
    /// Makes all authorities anew.
    pub fn generate() -> Self {
        Self {
            cluster: Authority::generate("kubernetes"),
            front_proxy: Authority::generate("front-proxy-ca"),
            foreign: Authority::generate("somebody-else"),
        }
    }

    /// The serving pair of the API server. Its common name is not its CA's: OpenSSL would take it for self-signed.
    pub fn api_server(&self) -> Pair {
        let names = ["kube-apiserver", "kubernetes", "kubernetes.default.svc", "localhost", "127.0.0.1", "::1"];
        self.cluster.server(&names, Validity::Long)
    }

    /// The serving pair of the gateway.
    pub fn gateway(&self) -> Pair {
        self.cluster.server(&[GATEWAY_HOST, "localhost", "127.0.0.1", "::1"], Validity::Long)
    }

    /// The serving pair of a kubelet that is asked by `name`: a host name, or an IP address.
    pub fn kubelet(&self, name: &str) -> Pair {
        self.cluster.server(&[name], Validity::Long)
    }

    /// A pair that was valid for `name` until the year 2001.
    pub fn expired_kubelet(&self, name: &str) -> Pair {
        self.cluster.server(&[name], Validity::Expired)
    }

    /// The pair by which the aggregator proves that it is one.
    pub fn front_proxy_client(&self) -> Pair {
        self.front_proxy.client(FRONT_PROXY_CLIENT, &[])
    }

    /// The pair of a user of the cluster.
    pub fn user(&self, common_name: &str, organisations: &[&str]) -> Pair {
        self.cluster.client(common_name, organisations)
    }
}

/// When a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// From 1975 to 4096.
    Long,
    /// The year 2000.
    Expired,
}

/// A self-signed CA and its key.
pub struct Authority {
    certificate: CertificateDer<'static>,
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Makes a CA whose common name is `name`.
    pub fn generate(name: &str) -> Self {
        let mut params = params(&[], Validity::Long);
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().expect("ring makes P-256 keys");
        let certificate = params.self_signed(&key).expect("the parameters are complete");
        Self { certificate: certificate.der().clone(), pem: certificate.pem(), issuer: Issuer::new(params, key) }
    }

    /// The certificate of the CA.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The certificate of the CA, as DER.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// A store that trusts this CA and no other.
    pub fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).expect("a CA that was just made is well formed");
        Arc::new(roots)
    }

    /// A serving pair for `names`, each a host name or an IP address. The first is the common name as well.
    pub fn server(&self, names: &[&str], validity: Validity) -> Pair {
        let mut params = params(names, validity);
        params.distinguished_name.push(DnType::CommonName, names[0]);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(&params)
    }

    /// A client pair: who (`CN`), and at most two groups (`O`, in this order).
    pub fn client(&self, common_name: &str, organisations: &[&str]) -> Pair {
        self.client_with_usage(common_name, organisations, &[ExtendedKeyUsagePurpose::ClientAuth], Validity::Long)
    }

    /// A client pair whose extended key usages and validity may be wrong for a client.
    pub fn client_with_usage(
        &self,
        common_name: &str,
        organisations: &[&str],
        usages: &[ExtendedKeyUsagePurpose],
        validity: Validity,
    ) -> Pair {
        let mut params = params(&[], validity);
        params.extended_key_usages = usages.to_vec();
        if !common_name.is_empty() {
            params.distinguished_name.push(DnType::CommonName, common_name);
        }
        // rcgen keeps one value for each type of a subject, but does not see that a type by its OID is the same type.
        let types = [DnType::OrganizationName, DnType::CustomDnType(vec![2, 5, 4, 10])];
        assert!(organisations.len() <= types.len(), "rcgen cannot sign for more than two organisations");
        for (kind, organisation) in types.into_iter().zip(organisations) {
            params.distinguished_name.push(kind, *organisation);
        }
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> Pair {
        let key = KeyPair::generate().expect("ring makes P-256 keys");
        let certificate = params.signed_by(&key, &self.issuer).expect("the parameters are complete");
        Pair {
            certificate: certificate.der().clone(),
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            key: key.serialize_der(),
        }
    }
}

fn params(names: &[&str], validity: Validity) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("names are host names or IP addresses");
    // rcgen's own default names the certificate after itself.
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    if validity == Validity::Expired {
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(2001, 1, 1);
    }
    params
}

/// A certificate and its key.
#[derive(Clone)]
pub struct Pair {
    certificate: CertificateDer<'static>,
    certificate_pem: String,
    key: Vec<u8>,
    key_pem: String,
}

impl Pair {
    /// The certificate as PEM.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The key as PEM (PKCS #8).
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// The chain, for rustls.
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![self.certificate.clone()]
    }

    /// The key, for rustls.
    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.clone()))
    }

    /// Writes `<name>.crt` and `<name>.key` into `directory`, and says where.
    ///
    /// # Errors
    /// Where a file cannot be written.
    pub fn write(&self, directory: &Path, name: &str) -> io::Result<(PathBuf, PathBuf)> {
        let (certificate, key) = (directory.join(format!("{name}.crt")), directory.join(format!("{name}.key")));
        std::fs::write(&certificate, &self.certificate_pem)?;
        std::fs::write(&key, &self.key_pem)?;
        Ok((certificate, key))
    }
}

#[cfg(test)]
mod tests;
