use proptest::prelude::*;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PublicKeyData, SigningKey};

use super::*;

const DIGEST: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
const CLAIM: Claim<'static> = Claim { digest: DIGEST, repository: "acme/ewma" };

fn payload(reference: &str, digest: &str, kind: &str) -> String {
    format!(
        "{{\"critical\":{{\"identity\":{{\"docker-reference\":\"{reference}\"}},\
         \"image\":{{\"docker-manifest-digest\":\"{digest}\"}},\"type\":\"{kind}\"}},\"optional\":null}}"
    )
}

fn sign(key: &KeyPair, payload: &str) -> String {
    STANDARD.encode(key.sign(payload.as_bytes()).unwrap())
}

fn public(key: &KeyPair) -> PublicKey {
    PublicKey::from_pem(pem(&key.subject_public_key_info()).as_bytes()).unwrap()
}

fn pem(der: &[u8]) -> String {
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der))
}

/// Made by OpenSSL 3, in the form in which cosign writes its keys, over the payload of `openssl_signed`.
const OPENSSL_P256: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAETB83ZhE4zUe/orO9yKvWL6gCVUzl
97tMz4wIeptIsgbC662M7EIXeBlNVNJqo91zhtA/dIigIF3z40uOLG7SmQ==
-----END PUBLIC KEY-----
";
const OPENSSL_P256_SIGNATURE: &str =
    "MEYCIQDGkxIytzdQCrpkFTy4MTA7Dqvl17jO5hgx7nBJEtyiXAIhAOOzMhfTkbYYDmNqF1gTRA6b1GUlJe0qn9imCz3QiWhn";
const OPENSSL_ED25519: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEANxgxdpDTZ9eAa0CeeGDgP0Z6v+TUjq8nZmM4BjJc/ME=
-----END PUBLIC KEY-----
";
const OPENSSL_ED25519_SIGNATURE: &str =
    "zgw8Qulu5+S6gZ69/yoZeJsSAhZScKZuidc8jfVBI9sx8VHk2NNMsjxw+aALxABWTQaiCWPnD5MM9BH8q2tRCg==";
const OPENSSL_P384: &str = "-----BEGIN PUBLIC KEY-----
MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAE/xPp0z4XCaJz6iZd27DLpMcEoDXKe/cV
oIckb8GAhS/ZeuxNSp5hbpNKoo+cMeJim2VpE14iGB+Zz4IZ2bhXSOwxj/ImJPpC
0JF1kx8qQOoTTOSwsxrVRdlT/VL8wCvd
-----END PUBLIC KEY-----
";
/// The key of `OPENSSL_P256`, of which only one coordinate is written out.
const OPENSSL_COMPRESSED: &str = "-----BEGIN PUBLIC KEY-----
MDkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDIgADTB83ZhE4zUe/orO9yKvWL6gCVUzl
97tMz4wIeptIsgY=
-----END PUBLIC KEY-----
";

fn openssl_signed() -> String {
    payload("registry.example/acme/ewma", DIGEST, KIND)
}

#[test]
fn signatures_that_openssl_made_are_right() {
    for (key, signature) in [(OPENSSL_P256, OPENSSL_P256_SIGNATURE), (OPENSSL_ED25519, OPENSSL_ED25519_SIGNATURE)] {
        let key = PublicKey::from_pem(key.as_bytes()).unwrap();
        assert_eq!(key.verify(openssl_signed().as_bytes(), signature, CLAIM), Ok(()));
    }
}

#[test]
fn a_signature_is_of_one_payload_by_one_key() {
    for algorithm in [&PKCS_ECDSA_P256_SHA256, &PKCS_ED25519] {
        let (key, other) = (KeyPair::generate_for(algorithm).unwrap(), KeyPair::generate_for(algorithm).unwrap());
        let payload = openssl_signed();
        let signature = sign(&key, &payload);
        assert_eq!(public(&key).verify(payload.as_bytes(), &signature, CLAIM), Ok(()));
        let not_ours = Err("the signature is not by this key".to_owned());
        assert_eq!(public(&other).verify(payload.as_bytes(), &signature, CLAIM), not_ours);
        let changed = payload.replace("acme", "evil");
        assert_eq!(public(&key).verify(changed.as_bytes(), &signature, CLAIM), not_ours);
        assert_eq!(public(&key).verify(payload.as_bytes(), "AAAA", CLAIM), not_ours);
        let error = public(&key).verify(payload.as_bytes(), "%", CLAIM).unwrap_err();
        assert_eq!(error, "the signature is not base64");
    }
}

#[test]
fn what_is_signed_has_to_speak_of_our_artifact() {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let check = |payload: &str| public(&key).verify(payload.as_bytes(), &sign(&key, payload), CLAIM);
    for mirror in ["ghcr.io/acme/ewma", "r:5000/acme/ewma:1", "r/mirror/acme/ewma@sha256:00", "r.example/ewma"] {
        assert_eq!(check(&payload(mirror, DIGEST, KIND)), Ok(()), "{mirror}");
    }
    let refuse = |payload: &str, because: &str| {
        let problem = check(payload).unwrap_err();
        assert!(problem.contains(because), "{problem}");
    };
    for other in ["ghcr.io/acme/p95", "ghcr.io/evilacme/ewma", "ghcr.io/", "", "ghcr.io/acme"] {
        refuse(&payload(other, DIGEST, KIND), &format!("the signature is for {other:?}"));
    }
    refuse(&payload("r/acme/ewma", "sha256:11", KIND), "the signature is of manifest \"sha256:11\"");
    refuse(&payload("r/acme/ewma", DIGEST, "another kind"), "of another kind: \"another kind\"");
    refuse("{}", "cannot be read");
}

#[test]
fn keys_of_other_kinds_and_shapes_are_refused() {
    let refuse = |pem: &str, because: &str| {
        let problem = PublicKey::from_pem(pem.as_bytes()).map(drop).unwrap_err();
        assert!(problem.contains(because), "{problem}");
    };
    refuse(OPENSSL_P384, "neither ECDSA on P-256 nor Ed25519");
    refuse(OPENSSL_COMPRESSED, "neither ECDSA on P-256 nor Ed25519");
    refuse("", "no PUBLIC KEY");
    refuse(&OPENSSL_P256.replace("PUBLIC", "PRIVATE"), "no PUBLIC KEY");
    let missing = PublicKey::read(Path::new("/nowhere/cosign.pub")).map(drop).unwrap_err();
    assert!(missing.contains("No such file"), "{missing}");
}

proptest! {
    #[test]
    fn no_key_and_no_signature_makes_the_verifier_panic(
        der in proptest::collection::vec(any::<u8>(), 0..100),
        signature in "[A-Za-z0-9+/=]{0,100}",
    ) {
        let _ = PublicKey::from_pem(pem(&der).as_bytes());
        let key = PublicKey::from_pem(OPENSSL_P256.as_bytes()).unwrap();
        prop_assert!(key.verify(openssl_signed().as_bytes(), &signature, CLAIM).is_err());
    }
}
