use proptest::prelude::*;
use secrecy::ExposeSecret;

use super::*;
use crate::plugins::source::oci::reference::Reference;

fn repository(reference: &str) -> Repository {
    Reference::parse(reference).unwrap().repository().clone()
}

#[track_caller]
fn check(config: &str, reference: &str, expected: Option<(&str, &str)>) {
    let credentials = choose(config.as_bytes(), &repository(reference)).unwrap_or_else(|problem| panic!("{problem}"));
    let found = credentials.as_ref().map(|found| (&*found.username, found.password.expose_secret()));
    assert_eq!(found, expected, "{config} for {reference}");
}

#[track_caller]
fn refuse(config: &str, reference: &str, because: &str) {
    let problem = choose(config.as_bytes(), &repository(reference)).map(|_| ()).expect_err(config);
    assert!(problem.contains(because), "{config}: {problem}");
}

#[test]
fn an_entry_is_found_by_the_registry_however_it_is_written() {
    for key in ["ghcr.io", "https://ghcr.io", "https://ghcr.io/v2/", "http://ghcr.io/", "GHCR.io"] {
        let config = format!(r#"{{"auths":{{"{key}":{{"auth":"dXNlcjpwYTpzcw=="}}}}}}"#);
        check(&config, "ghcr.io/acme/ewma", Some(("user", "pa:ss")));
        check(&config, "ghcr.io:443/acme/ewma", None);
        check(&config, "notghcr.io/acme/ewma", None);
    }
    let hub = r#"{"auths":{"https://index.docker.io/v1/":{"username":"u","password":"p"}}}"#;
    check(hub, "docker.io/acme/ewma", Some(("u", "p")));
    check(hub, "index.docker.io/acme/ewma", Some(("u", "p")));
    check(hub, "ghcr.io/acme/ewma", None);
}

#[test]
fn of_several_entries_the_one_that_leads_furthest_wins() {
    let config = r#"{"auths":{
        "r.example:5000": {"username":"all","password":"1"},
        "r.example:5000/acme": {"username":"acme","password":"2"},
        "r.example:5000/acme/ew": {"username":"other","password":"3"}
    }}"#;
    check(config, "r.example:5000/acme/ewma", Some(("acme", "2")));
    check(config, "r.example:5000/other", Some(("all", "1")));
    check(config, "r.example:5000/acmes", Some(("all", "1")));
    check(config, "r.example:5001/acme/ewma", None);
}

#[test]
fn no_entry_means_anonymous() {
    check("{}", "ghcr.io/a", None);
    check(r#"{"auths":null}"#, "ghcr.io/a", None);
    check(r#"{"auths":{"ghcr.io":{}},"HttpHeaders":{"a":"b"}}"#, "ghcr.io/a", None);
}

#[test]
fn what_would_have_to_be_run_or_exchanged_is_refused() {
    refuse(r#"{"credHelpers":{"ghcr.io":"gcloud"}}"#, "ghcr.io/a", "helpers are not run");
    check(r#"{"credHelpers":{"gcr.io":"gcloud"}}"#, "ghcr.io/a", None);
    refuse(r#"{"auths":{"ghcr.io":{}},"credsStore":"desktop"}"#, "ghcr.io/a", "`credsStore`");
    refuse(r#"{"auths":{"ghcr.io":{"identitytoken":"t"}}}"#, "ghcr.io/a", "has a token");
    refuse(r#"{"auths":{"ghcr.io":{"auth":"bm9jb2xvbg=="}}}"#, "ghcr.io/a", "not user name, colon and password");
}

#[test]
fn a_file_that_cannot_be_parsed_is_not_quoted() {
    refuse(r#"{"auths":{"ghcr.io":{"auth":"hunter2"}}}"#, "ghcr.io/a", "not user name");
    for broken in [r#"{"auths":"hunter2"}"#, r#"{"auths":{"ghcr.io":"hunter2"}}"#, r#"{"hunter2"#] {
        let problem = choose(broken.as_bytes(), &repository("ghcr.io/a")).map(|_| ()).unwrap_err();
        assert!(problem.contains("line 1, column") && !problem.contains("hunter2"), "{problem}");
    }
}

proptest! {
    #[test]
    fn no_file_makes_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = choose(&bytes, &repository("ghcr.io/acme/ewma"));
    }

    #[test]
    fn neither_debug_nor_an_error_shows_a_secret(password in "[a-zA-Z0-9]{8,20}", kind in 0..4) {
        let auth = STANDARD.encode(format!("user:{password}"));
        let config = match kind {
            0 => format!(r#"{{"auths":{{"ghcr.io":{{"auth":"{auth}"}}}}}}"#),
            1 => format!(r#"{{"auths":{{"ghcr.io":{{"username":"user","password":"{password}"}}}}}}"#),
            2 => format!(r#"{{"auths":{{"ghcr.io":{{"identitytoken":"{password}"}}}}}}"#),
            _ => format!(r#"{{"auths":{{"ghcr.io":{{"auth":["{password}"]}}}}}}"#),
        };
        let shown = format!("{:?}", choose(config.as_bytes(), &repository("ghcr.io/acme/ewma")));
        prop_assert!(!shown.contains(&password) && !shown.contains(&auth), "{}", shown);
    }
}
