//! The certificate that the gateway shows to the API server: seen by dialling its endpoints, or else read from the Secret
//! that is mounted where --tls-cert-file points.
//!
//! In: what is known of the gateway. Out: a chain and where it was seen, or why it was not.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::Value;

use super::backend::Backend;
use super::dial::{self, Chain};
use super::registration::authority;
use super::server::{Server, items, text};

/// All replicas should show certificates of one CA; a few will do.
const MOST_ENDPOINTS: usize = 3;

/// The certificate, and where it was seen.
pub(super) async fn seen(server: &Server, backend: &Backend, limit: Duration) -> Result<(String, Chain), String> {
    let addresses = backend.addresses();
    let mut why = "the Service has no endpoints".to_owned();
    for (host, port) in addresses.iter().take(MOST_ENDPOINTS) {
        let place = authority(host, *port);
        match dial::look(host, *port, &backend.server_name(), limit).await {
            Ok(chain) if !chain.is_empty() => return Ok((place, chain)),
            Ok(_) => why = format!("{place} shows no certificate"),
            Err(stopped) => why = format!("{place} cannot be asked from here: {stopped}"),
        }
    }
    of_secret(server, backend).await.map_err(|also| format!("{why}; {also}"))
}

async fn of_secret(server: &Server, backend: &Backend) -> Result<(String, Chain), String> {
    let (name, key) = secret(backend).ok_or("no Secret holds it")?;
    let path = format!("/api/v1/namespaces/{}/secrets/{name}", backend.namespace);
    let object = server.get(&path).await.map_err(|unread| format!("the Secret {name:?} cannot be read: {unread}"))?;
    let pem = STANDARD.decode(object["data"][&key].as_str().unwrap_or_default()).unwrap_or_default();
    let chain: Chain = CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok).collect();
    if chain.is_empty() {
        return Err(format!("the Secret {name:?} has no certificate under {key:?}"));
    }
    Ok((format!("Secret {}/{name}", backend.namespace), chain))
}

/// The Secret, and the key in it, behind --tls-cert-file.
fn secret(backend: &Backend) -> Option<(String, String)> {
    let container = backend.container()?;
    let words: Vec<&str> = items(container, "/args").iter().filter_map(Value::as_str).collect();
    let file = words.iter().find_map(|word| word.strip_prefix("--tls-cert-file=")).or_else(|| {
        words.iter().position(|word| *word == "--tls-cert-file").and_then(|at| words.get(at + 1).copied())
    })?;
    let (directory, key) = (Path::new(file).parent()?, Path::new(file).file_name()?.to_str()?);
    let mount = items(container, "/volumeMounts").iter().find(|it| Path::new(text(it, "/mountPath")) == directory)?;
    let volumes = items(backend.deployment()?, "/spec/template/spec/volumes");
    let volume = volumes.iter().find(|volume| text(volume, "/name") == text(mount, "/name"))?;
    let name = text(volume, "/secret/secretName");
    if name.is_empty() { None } else { Some((name.to_owned(), key.to_owned())) }
}
