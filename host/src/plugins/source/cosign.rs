//! Signatures of artifacts by a public key, as cosign makes them ("simple signing").
//!
//! In: a key, a payload, a signature, and what the payload has to speak of. A payload is a small JSON document that names
//! the digest of a manifest and the repository that it was signed in; the signature is of the payload's bytes, ECDSA
//! over P-256 with SHA-256 as cosign's own keys, or Ed25519.
//!
//! The repository has to be ours, or end as ours ends: the same artifact is mirrored under other registries and below
//! other paths, and stays the same by its digest. A signature for another plugin that happens to have the same bytes is
//! no word about ours.
//!
//! Absent on purpose: certificates of a public authority and the log of all signatures ("keyless"), which need the
//! internet, and the bundles of cosign 3, which writes what is read here by `--new-bundle-format=false`. The crate that
//! does all that brings more code than the rest of the gateway; a signature by a key is two function calls of the
//! cryptography that TLS is verified with.

#[cfg(test)]
mod tests;

use std::io::Read;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{SignatureVerificationAlgorithm, SubjectPublicKeyInfoDer};
use serde::Deserialize;

/// A key in PEM takes two hundred bytes; what stands further behind is not looked at.
const LONGEST_KEY: u64 = 64 << 10;
/// The structure around a point on P-256 that is written out: sequence, algorithm, curve, bit string, "both coordinates".
const P256: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// The structure around an Ed25519 key.
const ED25519: &[u8] = &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// `critical.type` of cosign's payloads.
const KIND: &str = "cosign container image signature";

/// A key by which signatures are verified.
pub struct PublicKey {
    algorithm: &'static dyn SignatureVerificationAlgorithm,
    key: Vec<u8>,
}

/// What a signature has to be of.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// `sha256:…` of the manifest.
    pub digest: &'a str,
    /// The repository, without registry, tag and digest.
    pub repository: &'a str,
}

impl PublicKey {
    /// Reads a file with one public key in PEM.
    ///
    /// # Errors
    /// Why it cannot be used, as the end of a sentence about the file.
    pub fn read(path: &Path) -> Result<Self, String> {
        let mut pem = Vec::new();
        let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
        file.take(LONGEST_KEY).read_to_end(&mut pem).map_err(|error| error.to_string())?;
        Self::from_pem(&pem)
    }

    /// As [`PublicKey::read`], of the file's contents.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn from_pem(pem: &[u8]) -> Result<Self, String> {
        let key = SubjectPublicKeyInfoDer::from_pem_slice(pem).map_err(|_| "holds no PUBLIC KEY in PEM".to_owned())?;
        // Both structures are of fixed length, so a key of another kind or shape cannot begin as they do.
        let known: [(&[u8], usize, &'static dyn SignatureVerificationAlgorithm); 2] =
            [(P256, 65, webpki::ring::ECDSA_P256_SHA256), (ED25519, 32, webpki::ring::ED25519)];
        known
            .into_iter()
            .find_map(|(structure, length, algorithm)| {
                let key = key.as_ref().strip_prefix(structure).filter(|key| key.len() == length)?;
                Some(Self { algorithm, key: key.to_vec() })
            })
            .ok_or_else(|| "holds a public key that is neither ECDSA on P-256 nor Ed25519".to_owned())
    }

    /// Whether `signature` (in base64) is of `payload` by this key, and the payload says what is claimed.
    ///
    /// # Errors
    /// Why not.
    pub fn verify(&self, payload: &[u8], signature: &str, claim: Claim<'_>) -> Result<(), String> {
        let signature = STANDARD.decode(signature.trim()).map_err(|_| "the signature is not base64".to_owned())?;
        self.algorithm
            .verify_signature(&self.key, payload, &signature)
            .map_err(|_| "the signature is not by this key".to_owned())?;
        // From here on the payload is the signer's word, so it may be quoted.
        let payload: Payload =
            serde_json::from_slice(payload).map_err(|error| format!("the signed payload cannot be read: {error}"))?;
        payload.critical.agrees_with(claim)
    }
}

#[derive(Deserialize)]
struct Payload {
    critical: Critical,
}

#[derive(Deserialize)]
struct Critical {
    identity: Identity,
    image: Image,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Identity {
    #[serde(rename = "docker-reference")]
    reference: String,
}

#[derive(Deserialize)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    digest: String,
}

impl Critical {
    fn agrees_with(&self, claim: Claim<'_>) -> Result<(), String> {
        if self.kind != KIND {
            return Err(format!("the signature is of another kind: {:?}", self.kind));
        }
        if self.image.digest != claim.digest {
            return Err(format!("the signature is of manifest {:?}", self.image.digest));
        }
        let signed = repository(&self.identity.reference);
        let is_mirror = |longer: &str, shorter: &str| {
            !shorter.is_empty() && longer.strip_suffix(shorter).is_some_and(|before| before.ends_with('/'))
        };
        if signed == claim.repository || is_mirror(claim.repository, signed) || is_mirror(signed, claim.repository) {
            return Ok(());
        }
        Err(format!("the signature is for {:?}", self.identity.reference))
    }
}

/// Of `REGISTRY/REPOSITORY[:TAG][@DIGEST]` the repository.
fn repository(reference: &str) -> &str {
    let reference = reference.split('@').next().unwrap_or_default();
    let (_, repository) = reference.split_once('/').unwrap_or(("", reference));
    repository.split(':').next().unwrap_or_default()
}
