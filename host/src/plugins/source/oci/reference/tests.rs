use proptest::prelude::*;

use super::*;

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[track_caller]
fn check(text: &str, registry: &str, name: &str, tag: &str, digest: Option<&str>) {
    let reference = Reference::parse(text).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((&*reference.repository.registry, &*reference.repository.name), (registry, name), "{text}");
    assert_eq!((reference.tag(), reference.digest), (tag, digest.and_then(Digest::parse)), "{text}");
}

#[track_caller]
fn refuse(text: &str, because: &str) {
    let error = Reference::parse(text).expect_err(text).to_string();
    assert!(error.contains(because), "{text}: {error}");
}

#[test]
fn a_reference_is_registry_repository_tag_and_digest() {
    check("ghcr.io/acme/ewma:1.2", "ghcr.io", "acme/ewma", "1.2", None);
    check("localhost/ewma", "localhost", "ewma", "latest", None);
    check(&format!("r.example:5000/a/b-c/d__e:V_1@{DIGEST}"), "r.example:5000", "a/b-c/d__e", "V_1", Some(DIGEST));
    check(&format!("127.0.0.1:5000/ewma@{DIGEST}"), "127.0.0.1:5000", "ewma", "latest", Some(DIGEST));
    check("[::1]:5000/ewma:x", "[::1]:5000", "ewma", "x", None);
    check("[fd00::1]/ewma:x", "[fd00::1]", "ewma", "x", None);
}

#[test]
fn docker_hub_is_asked_where_it_answers_and_knows_its_own_images_as_library() {
    check("docker.io/ewma:1", "docker.io", "library/ewma", "1", None);
    check("docker.io/acme/ewma:1", "docker.io", "acme/ewma", "1", None);
    let reference = Reference::parse("docker.io/acme/ewma").unwrap();
    assert_eq!(reference.repository.authority(), "registry-1.docker.io");
}

#[test]
fn what_could_mean_something_else_is_refused() {
    refuse("ewma", "not REGISTRY/REPOSITORY");
    refuse("acme/ewma:1", "does not begin with a registry");
    refuse("ghcr.io/", "its repository");
    refuse("ghcr.io/../ewma", "its repository");
    refuse("ghcr.io/a..b", "its repository");
    refuse("ghcr.io/Acme/ewma", "its repository");
    refuse("ghcr.io/acme//ewma", "its repository");
    refuse("ghcr.io/acme/ewma:", "its tag");
    refuse("ghcr.io/acme/ewma:a/b", "its tag");
    refuse("ghcr.io/acme/ewma:-1", "its tag");
    refuse("user@ghcr.io/acme/ewma", "what follows the @");
    refuse("ghcr.io:99999/acme/ewma", "the port");
    refuse("gh_cr.io/acme/ewma", "not a host name");
    refuse("[::g]:1/ewma", "no IPv6 address");
    refuse("ghcr.io/acme/ewma@sha256:E3B0", "what follows the @");
    refuse("ghcr.io/acme/ewma@sha512:00", "what follows the @");
    refuse(&format!("ghcr.io/{}", "a".repeat(300)), "longer than 255");
    refuse(&format!("ghcr.io/a:{}", "a".repeat(129)), "its tag");
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic_or_a_path_that_climbs(text in "[a-z./:@\\[\\]A-Z0-9_%? #-]{0,80}") {
        if let Ok(reference) = Reference::parse(&text) {
            prop_assert!(!reference.repository.name.contains(".."));
            let path = format!("{}{}", reference.repository.name, reference.tag());
            prop_assert!(path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte)), "{}", path);
        }
    }

    #[test]
    fn a_digest_that_is_read_is_written_as_it_was(digits in "[0-9a-fA-F]{62,66}") {
        let text = format!("sha256:{digits}");
        let is_right = digits.len() == 64 && !digits.contains(|digit: char| digit.is_ascii_uppercase());
        prop_assert_eq!(Digest::parse(&text).map(|digest| digest.to_string()), is_right.then_some(text));
    }
}
