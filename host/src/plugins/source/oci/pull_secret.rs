//! User name and password for a registry, out of a docker config.json or what Kubernetes mounts as `.dockerconfigjson`.
//!
//! In: the file, the repository. Out: the credentials of the entry in `auths` that names the registry, and of several the
//! one whose path leads furthest into the repository, as the kubelet chooses. None where no entry fits: then the registry
//! is asked anonymously.
//!
//! Nothing of the file's contents gets into an error or a log, not even where it cannot be parsed: parsers like to quote
//! what they stumbled over. Absent on purpose: credential helpers, which are programs to be run, and patterns in the names
//! of registries. Identity tokens are refused, since they are exchanged by another protocol.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;
use serde::Deserialize;

use super::OciError;
use super::reference::Repository;

/// A longer file is not a docker config: Kubernetes lets no Secret be longer either.
const LONGEST: u64 = 1 << 20;

/// Who we are to a registry.
#[derive(Clone, Debug)]
pub(super) struct Credentials {
    pub(super) username: String,
    pub(super) password: SecretString,
}

/// Reads the file.
///
/// # Errors
/// [`OciError::PullSecret`].
pub(super) fn read(path: &Path, repository: &Repository) -> Result<Option<Credentials>, OciError> {
    let refused = |problem: String| OciError::PullSecret { path: path.to_owned(), problem };
    let mut text = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| refused(error.to_string()))?;
    file.take(LONGEST + 1).read_to_end(&mut text).map_err(|error| refused(error.to_string()))?;
    if text.len() as u64 > LONGEST {
        return Err(refused("is longer than 1 MiB".to_owned()));
    }
    choose(&text, repository).map_err(refused)
}

#[derive(Deserialize)]
struct DockerConfig {
    auths: Option<BTreeMap<String, Entry>>,
    #[serde(rename = "credHelpers")]
    helpers: Option<BTreeMap<String, String>>,
    #[serde(rename = "credsStore")]
    store: Option<String>,
}

#[derive(Default, Deserialize)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

fn choose(text: &[u8], repository: &Repository) -> Result<Option<Credentials>, String> {
    let config: DockerConfig = serde_json::from_slice(text).map_err(|error| {
        format!("is not a docker config.json: line {}, column {} is not as expected", error.line(), error.column())
    })?;
    let helpers = config.helpers.unwrap_or_default();
    if helpers.keys().any(|key| reach(key, repository).is_some()) {
        return Err(format!(
            "names a credential helper for {:?}, and helpers are not run; write user name and password into `auths`",
            repository.registry
        ));
    }
    let entries = config.auths.unwrap_or_default();
    let fitting = entries.into_iter().filter_map(|(key, entry)| Some((reach(&key, repository)?, entry)));
    let best = fitting.max_by_key(|(reach, _)| *reach).map(|(_, entry)| entry).unwrap_or_default();
    let credentials = best.into_credentials().map_err(|problem| format!("{problem} for {:?}", repository.registry))?;
    if credentials.is_none() && config.store.is_some_and(|store| !store.is_empty()) {
        return Err(format!(
            "leaves the credentials to `credsStore`, a program that is not run; write them into `auths` for {:?}",
            repository.registry
        ));
    }
    Ok(credentials)
}

/// How many characters of the repository's name `key` covers; None: it speaks of something else.
fn reach(key: &str, repository: &Repository) -> Option<usize> {
    let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let (registry, path) = key.split_once('/').unwrap_or((key, ""));
    let hub = Repository { registry: registry.to_ascii_lowercase().into(), name: "".into() };
    let is_same =
        hub.registry.eq_ignore_ascii_case(&repository.registry) || (hub.is_docker_hub() && repository.is_docker_hub());
    if !is_same {
        return None;
    }
    match path.trim_end_matches('/') {
        // docker writes the version of the protocol where others write a path.
        "" | "v1" | "v2" => Some(0),
        path => {
            let rest = repository.name.strip_prefix(path)?;
            (rest.is_empty() || rest.starts_with('/')).then_some(path.len())
        }
    }
}

impl Entry {
    fn into_credentials(self) -> Result<Option<Credentials>, &'static str> {
        let is_set = |field: &Option<String>| field.as_ref().is_some_and(|text| !text.is_empty());
        if is_set(&self.identitytoken) || is_set(&self.registrytoken) {
            return Err("has a token where a user name and a password are expected");
        }
        if is_set(&self.username) && is_set(&self.password) {
            let (username, password) = (self.username.unwrap_or_default(), self.password.unwrap_or_default());
            return Ok(Some(Credentials { username, password: password.into() }));
        }
        let Some(auth) = self.auth.filter(|auth| !auth.is_empty()) else {
            return Ok(None);
        };
        decode(&auth).map(Some).ok_or("has an `auth` that is not user name, colon and password in base64")
    }
}

fn decode(auth: &str) -> Option<Credentials> {
    let text = String::from_utf8(STANDARD.decode(auth.trim()).ok()?).ok()?;
    // docker once padded with zero bytes.
    let (username, password) = text.trim_end_matches('\0').split_once(':')?;
    Some(Credentials { username: username.to_owned(), password: password.to_owned().into() })
}
