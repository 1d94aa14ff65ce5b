//! Who we are, from a kubeconfig or from the pod we run in: for the API server as kube's configuration, for kubelets
//! as [`Credentials`].
//!
//! Everything is read afresh at each call, so that rotated tokens, certificates and CAs are found by calling again.
//! Flags go before what the kubeconfig says, as upstream has it (`cmd/metrics-server/app/options`).

use std::path::Path;

use anyhow::{Context, Result, bail};
use kube::config::{KubeConfigOptions, Kubeconfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::ExposeSecret as _;

use crate::config::{KubeletTls, KubeletVerify, PairFiles};
use crate::scrape::kubelet::{ClientPair, Credentials, TlsCredentials};

/// How the API server is reached: through this kubeconfig, or as the pod we run in.
///
/// # Errors
/// If neither says how, or what says so cannot be read.
pub async fn cluster(kubeconfig: Option<&Path>) -> Result<kube::Config> {
    let Some(path) = kubeconfig else {
        return kube::Config::incluster().context("no --kubeconfig given, and this is not a pod of a cluster");
    };
    let read = Kubeconfig::read_from(path).with_context(|| format!("--kubeconfig {}", path.display()))?;
    kube::Config::from_custom_kubeconfig(read, &KubeConfigOptions::default())
        .await
        .with_context(|| format!("--kubeconfig {}", path.display()))
}

/// How kubelets are reached.
///
/// # Errors
/// If a file that says so cannot be read or used.
pub async fn kubelets(kubeconfig: Option<&Path>, tls: &KubeletTls) -> Result<Credentials> {
    match tls {
        KubeletTls::Plain => Ok(Credentials::Plain),
        KubeletTls::Tls { .. } => kubelets_of(&cluster(kubeconfig).await?, tls),
    }
}

/// As [`kubelets`], of a kubeconfig that has been read.
///
/// # Errors
/// As [`kubelets`].
pub fn kubelets_of(cluster: &kube::Config, tls: &KubeletTls) -> Result<Credentials> {
    let KubeletTls::Tls { verify, client_pair } = tls else { return Ok(Credentials::Plain) };
    Ok(Credentials::Tls(TlsCredentials {
        authorities: authorities(verify, cluster)?,
        client_pair: match client_pair {
            Some(files) => Some(pair_of_files(files)?),
            None => pair_of_kubeconfig(cluster)?,
        },
        token: token(cluster)?,
        server_name: cluster.tls_server_name.clone(),
    }))
}

fn authorities(verify: &KubeletVerify, cluster: &kube::Config) -> Result<Option<Vec<CertificateDer<'static>>>> {
    match verify {
        KubeletVerify::Insecure => Ok(None),
        KubeletVerify::File(path) => {
            let certificates = CertificateDer::pem_file_iter(path)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .with_context(|| format!("--kubelet-certificate-authority {}", path.display()))?;
            Ok(Some(certificates))
        }
        KubeletVerify::ClusterCa if cluster.accept_invalid_certs => Ok(None),
        KubeletVerify::ClusterCa => match &cluster.root_cert {
            Some(certificates) => Ok(Some(certificates.iter().cloned().map(CertificateDer::from).collect())),
            None => bail!(
                "nothing says which kubelets to trust: the kubeconfig has no certificate-authority; give \
                 --kubelet-certificate-authority"
            ),
        },
    }
}

fn pair_of_files(files: &PairFiles) -> Result<ClientPair> {
    let pem =
        |path: &Path| std::fs::read(path).with_context(|| format!("the client pair for kubelets: {}", path.display()));
    pair(&pem(&files.certificate)?, &pem(&files.key)?)
}

/// Keys and certificates stand in a kubeconfig itself, in base64, or in files that it names.
fn pair_of_kubeconfig(cluster: &kube::Config) -> Result<Option<ClientPair>> {
    use base64::Engine as _;
    let base64 =
        |text: &str| base64::engine::general_purpose::STANDARD.decode(text).context("base64 in the kubeconfig");
    let file = |path: &str| std::fs::read(path).with_context(|| format!("the kubeconfig's file {path}"));
    let user = &cluster.auth_info;
    let certificate = match (&user.client_certificate_data, &user.client_certificate) {
        (Some(data), _) => base64(data)?,
        (None, Some(path)) => file(path)?,
        (None, None) => return Ok(None),
    };
    let key = match (&user.client_key_data, &user.client_key) {
        (Some(data), _) => base64(data.expose_secret())?,
        (None, Some(path)) => file(path)?,
        (None, None) => bail!("the kubeconfig has a client certificate without its key"),
    };
    pair(&certificate, &key).map(Some)
}

fn pair(certificate: &[u8], key: &[u8]) -> Result<ClientPair> {
    let chain = CertificateDer::pem_slice_iter(certificate)
        .collect::<Result<Vec<_>, _>>()
        .context("the client certificate for kubelets")?;
    let key = PrivateKeyDer::from_pem_slice(key).context("the client key for kubelets")?;
    Ok(ClientPair { chain, key })
}

fn token(cluster: &kube::Config) -> Result<Option<String>> {
    let user = &cluster.auth_info;
    match (&user.token, &user.token_file) {
        // In a pod both may be set; the file is the one that is rotated.
        (_, Some(path)) => {
            let text = std::fs::read_to_string(path).with_context(|| format!("the bearer token {path}"))?;
            Ok(Some(text.trim().to_owned()))
        }
        (Some(token), None) => Ok(Some(token.expose_secret().to_owned())),
        (None, None) => Ok(None),
    }
}
