//! The TLS that is spoken: versions, cipher suites, key exchanges, protocols, and which CAs clients are told of.
//!
//! The cryptography is ring's. What the flags leave of it is a provider of our own; rustls then offers nothing else.

use std::sync::Arc;

use anyhow::{Context, Result};
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;

use crate::api::certificate::ServingCertificates;
use crate::auth::tls::AskForCertificate;
use crate::auth::trust::Trust;
use crate::config::{ServingConfig, TlsVersion};

/// The set-up that hints at the CAs of `trust`.
pub(super) fn server_config(
    config: &ServingConfig,
    certificates: &Arc<ServingCertificates>,
    trust: &Trust,
) -> Result<ServerConfig> {
    let versions: &[_] = match config.min_version {
        TlsVersion::Tls12 => &[&rustls::version::TLS13, &rustls::version::TLS12],
        TlsVersion::Tls13 => &[&rustls::version::TLS13],
    };
    let mut tls = ServerConfig::builder_with_provider(Arc::new(provider(config)))
        .with_protocol_versions(versions)
        .context("--tls-cipher-suites and --tls-curve-preferences leave nothing to offer")?
        .with_client_cert_verifier(Arc::new(AskForCertificate::new(trust)))
        .with_cert_resolver(Arc::clone(certificates) as _);
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    if config.http2 {
        tls.alpn_protocols.insert(0, b"h2".to_vec());
    }
    Ok(tls)
}

/// The suites of TLS 1.3 are always offered: Go leaves no choice there either.
fn provider(config: &ServingConfig) -> CryptoProvider {
    let mut provider = rustls::crypto::ring::default_provider();
    if let Some(numbers) = &config.cipher_suites {
        provider.cipher_suites.retain(|suite| suite.tls13().is_some() || numbers.contains(&u16::from(suite.suite())));
    }
    if !config.key_exchanges.is_empty() {
        provider.kx_groups.retain(|group| config.key_exchanges.contains(&u16::from(group.name())));
        // As Go, in our order of preference whatever that of the flag.
    }
    provider
}

#[cfg(test)]
mod tests;
