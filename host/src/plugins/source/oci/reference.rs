//! `REGISTRY/REPOSITORY[:TAG][@sha256:DIGEST]`, read strictly.
//!
//! Its parts become parts of paths and names of files, so nothing is let in that the distribution specification does not
//! allow. The registry is always written out: a name that means Docker Hub on one machine and something else on another
//! has no place in a configuration. `docker.io` is the one registry that is asked at another address than it is called by.

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::Ipv6Addr;

use super::OciError;
use super::digest::Digest;

/// What the distribution specification allows for registry and repository together.
const LONGEST_NAME: usize = 255;
/// As it allows for a tag.
const LONGEST_TAG: usize = 128;

/// One artifact in one registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reference {
    repository: Repository,
    tag: Option<Box<str>>,
    digest: Option<Digest>,
}

/// One repository in one registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// As it is written, which is what errors and pull secrets call it: `docker.io`, `registry.example:5000`.
    pub registry: Box<str>,
    /// As the registry calls it: `library/busybox`.
    pub name: Box<str>,
}

impl fmt::Display for Repository {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "repository {:?} of registry {:?}", self.name, self.registry)
    }
}

impl Repository {
    pub(super) fn is_docker_hub(&self) -> bool {
        ["docker.io", "index.docker.io", "registry-1.docker.io"].contains(&&*self.registry)
    }

    /// Where the registry is asked: host, and port where one is written.
    pub(super) fn authority(&self) -> &str {
        // Docker Hub's own name leads to its web site.
        if self.is_docker_hub() { "registry-1.docker.io" } else { &self.registry }
    }
}

impl Reference {
    /// # Errors
    /// [`OciError::Reference`].
    pub(super) fn parse(text: &str) -> Result<Self, OciError> {
        read(text).map_err(|problem| OciError::Reference { reference: text.chars().take(300).collect(), problem })
    }

    pub(super) fn repository(&self) -> &Repository {
        &self.repository
    }

    pub(super) fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// The tag that is meant where no digest is given.
    pub(super) fn tag(&self) -> &str {
        self.tag.as_deref().unwrap_or("latest")
    }
}

fn read(text: &str) -> Result<Reference, &'static str> {
    let (name, digest) = match text.split_once('@') {
        Some((name, digest)) => {
            (name, Some(Digest::parse(digest).ok_or("what follows the @ is not sha256: and 64 lower-case hex digits")?))
        }
        None => (text, None),
    };
    let (registry, path) = name.split_once('/').ok_or("it is not REGISTRY/REPOSITORY")?;
    let (path, tag) = match path.split_once(':') {
        Some((path, tag)) => (path, Some(tag)),
        None => (path, None),
    };
    if name.len() > LONGEST_NAME + LONGEST_TAG || registry.len() + path.len() > LONGEST_NAME {
        return Err("its name is longer than 255 characters");
    }
    check_registry(registry)?;
    if !path.split('/').all(is_path_segment) {
        return Err("its repository is not made of lower-case letters, digits and single . _ - between them");
    }
    if !tag.is_none_or(is_tag) {
        return Err("its tag is not made of at most 128 letters, digits and . _ -");
    }
    let is_official = ["docker.io", "index.docker.io"].contains(&registry) && !path.contains('/');
    let path = if is_official { format!("library/{path}") } else { path.to_owned() };
    let repository = Repository { registry: registry.into(), name: path.into() };
    Ok(Reference { repository, tag: tag.map(Box::from), digest })
}

fn check_registry(registry: &str) -> Result<(), &'static str> {
    if !registry.contains(['.', ':']) && registry != "localhost" {
        return Err("it does not begin with a registry: HOST.DOMAIN, HOST:PORT or localhost (Docker Hub is docker.io)");
    }
    let (host, port) = match registry.rsplit_once(':') {
        // The last colon of an address in brackets is part of it.
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (registry, None),
    };
    if port.is_some_and(|port| port.parse::<u16>().is_err()) {
        return Err("the port of its registry is not a number up to 65535");
    }
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return address.parse::<Ipv6Addr>().map(drop).map_err(|_| "the brackets of its registry hold no IPv6 address");
    }
    let is_label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if host.split('.').all(is_label) { Ok(()) } else { Err("its registry is not a host name") }
}

fn is_path_segment(segment: &str) -> bool {
    let is_alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = segment.as_bytes();
    bytes.first().copied().is_some_and(is_alphanumeric)
        && bytes.last().copied().is_some_and(is_alphanumeric)
        && bytes.iter().all(|byte| is_alphanumeric(*byte) || b"._-".contains(byte))
        && !segment.contains("..")
}

fn is_tag(tag: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= LONGEST_TAG
        && tag.bytes().next().is_some_and(is_word)
        && tag.bytes().all(|byte| is_word(byte) || byte == b'.' || byte == b'-')
}
