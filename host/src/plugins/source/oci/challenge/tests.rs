use proptest::prelude::*;

use super::*;

fn bearer(realm: &str, service: Option<&str>) -> Challenge {
    Challenge::Bearer { realm: realm.to_owned(), service: service.map(str::to_owned) }
}

#[track_caller]
fn check(header: &str, expected: &[Challenge]) {
    assert_eq!(parse(header), expected, "{header}");
}

#[test]
fn registries_ask_for_tokens_and_passwords() {
    let hub = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull""#;
    check(hub, &[bearer("https://auth.docker.io/token", Some("registry.docker.io"))]);
    check(r#"Basic realm="basic-realm""#, &[Challenge::Basic]);
    check(r#"bearer Realm = "https://a/?x=\"1\"" , Service=s"#, &[bearer(r#"https://a/?x="1""#, Some("s"))]);
    check(r#"Negotiate, Basic realm="x", Bearer realm="https://t""#, &[Challenge::Basic, bearer("https://t", None)]);
}

#[test]
fn what_is_no_challenge_of_ours_is_left_out() {
    check("", &[]);
    check("Bearer", &[]);
    check("Digest realm=x", &[]);
    check("realm=x", &[]);
    check(r#"Bearer realm="unfinished"#, &[bearer("unfinished", None)]);
    check("==,=", &[]);
}

proptest! {
    #[test]
    fn no_header_makes_the_reader_panic_or_run_for_ever(header in "\\PC{0,200}", tail in "[a-z=\", \\\\]{0,80}") {
        let read = parse(&format!("{header}{tail}"));
        prop_assert!(read.len() <= header.len() + tail.len());
    }
}
