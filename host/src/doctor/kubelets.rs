//! How kubelets are asked: as the gateway asks them, if we are it or were given its kubeconfig; as whoever runs doctor, if
//! that gives nothing away; or else by the API server in our place.
//!
//! In: the gateway's settings and the kubeconfig. Out: a client, and what certificates are judged by. An operator's token
//! goes to a kubelet only if its certificate is verified: --kubelet-insecure-tls is a promise about the gateway's token, and
//! not about an administrator's.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use rustls_pki_types::CertificateDer;

use super::cause::Cause;
use super::report::{Finding, Remedy};
use super::settings::{Origin, Settings};
use crate::config::KubeletTls;
use crate::credentials;
use crate::scrape::kubelet::{ClientOptions, Credentials, KubeletClient, TlsCredentials};

/// How kubelets are asked.
pub(super) struct Kubelets {
    pub(super) way: Way,
    /// Who may have signed their certificates; None: anybody.
    pub(super) authorities: Option<Vec<CertificateDer<'static>>>,
    /// The name that all their certificates bear, in place of the one that is dialled.
    pub(super) server_name: Option<String>,
    /// Without TLS.
    pub(super) is_plain: bool,
    /// Whether the credentials are the gateway's own.
    pub(super) are_its_own: bool,
}

/// Who speaks with them.
pub(super) enum Way {
    /// We do.
    Direct(Arc<KubeletClient>),
    /// The API server, by its node proxy; why.
    Proxy(String),
}

/// Chooses. The finding tells of credentials that cannot be used.
pub(super) async fn gather(
    settings: &Settings,
    cluster: &kube::Config,
    is_in_pod: bool,
    limit: Duration,
) -> (Kubelets, Option<Finding>) {
    let tls = &settings.config.scrape.tls;
    let its_own = is_in_pod || settings.kubeconfig().is_some();
    let read = match settings.kubeconfig() {
        Some(path) if settings.origin == Origin::Given => credentials::kubelets(Some(path), tls).await,
        _ => credentials::kubelets_of(cluster, tls),
    };
    let (authorities, server_name) = match &read {
        Ok(Credentials::Tls(tls)) => (tls.authorities.clone(), tls.server_name.clone()),
        Ok(Credentials::Plain) | Err(_) => (None, None),
    };
    let is_plain = matches!(tls, KubeletTls::Plain);
    let (way, finding) = match read {
        Err(error) => {
            let why = format!("{error:#}");
            let remedy = Remedy::text("mend the file or the flag that it names");
            let finding = Finding::failed("kubelet-credentials", "", Cause::KubeletCredentials, &why, remedy);
            (Way::Proxy("there are no usable credentials for kubelets".to_owned()), Some(finding))
        }
        Ok(read) => direct_or_not(read, settings, its_own, limit),
    };
    (Kubelets { way, authorities, server_name, is_plain, are_its_own: its_own }, finding)
}

fn direct_or_not(
    credentials: Credentials,
    settings: &Settings,
    its_own: bool,
    limit: Duration,
) -> (Way, Option<Finding>) {
    if let (Credentials::Tls(tls), false) = (&credentials, its_own)
        && let Some(why) = reason_not_to(tls)
    {
        return (Way::Proxy(why.to_owned()), None);
    }
    let scrape = &settings.config.scrape;
    let options = ClientOptions {
        timeout: limit,
        max_body: scrape.max_body,
        gzip: scrape.gzip,
        user_agent: HeaderValue::from_static(concat!("metrics-gateway-doctor/", env!("CARGO_PKG_VERSION"))),
    };
    match KubeletClient::try_new(options, credentials) {
        Ok(client) => (Way::Direct(Arc::new(client)), None),
        Err(error) => {
            let remedy = Remedy::text("mend the file or the flag that it names");
            let finding =
                Finding::failed("kubelet-credentials", "", Cause::KubeletCredentials, error.to_string(), remedy);
            (Way::Proxy("there are no usable credentials for kubelets".to_owned()), Some(finding))
        }
    }
}

/// Whoever runs doctor has credentials of their own, which are not the gateway's to spend.
fn reason_not_to(tls: &TlsCredentials) -> Option<&'static str> {
    match (&tls.token, &tls.client_pair) {
        (None, None) => Some("the kubeconfig gets its credentials from a program, which kubelets were not asked with"),
        (Some(_), None) if tls.authorities.is_none() => {
            Some("kubelet certificates are not verified by these flags, and your token is not sent to just anybody")
        }
        _ => None,
    }
}
