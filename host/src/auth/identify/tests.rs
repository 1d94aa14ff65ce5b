use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;
use rcgen::{DnType, ExtendedKeyUsagePurpose};

use super::front_proxy;
use crate::auth::tests::{Authority, World, headers, nobody, peer, subject, used_for};
use crate::auth::trust::UserHeaders;
use crate::auth::{Peer, Refusal};

const USER: (&str, &str) = ("x-remote-user", "carol");
const GOOD: (&str, &str) = ("authorization", "Bearer good");
const BAD: (&str, &str) = ("authorization", "Bearer bad");
const ANONYMOUS: &str = "system:anonymous";
const REFUSED: &str = "Unauthorized";

/// What it is, who connects, with which headers, and who that makes them.
type Row<'a> = (&'a str, &'a Peer, &'a [(&'a str, &'a str)], &'a str);

#[tokio::test(start_paused = true)]
async fn the_first_proof_that_holds_says_who_it_is_and_a_doubt_is_never_anonymous() {
    let world = World::new().await;
    let foreign = Authority::new("foreign");
    let client = world.clients.peer("alice", &["dev"]);
    let unnamed = world.clients.peer("", &["dev"]);
    let stranger = foreign.peer("front-proxy-client", &[]);
    let proxy = world.front_proxy();
    let other_proxy = world.proxies.peer("other", &[]);
    let proxy_as_server = used_for(subject("front-proxy-client", &[]), &[ExtendedKeyUsagePurpose::ServerAuth]);
    let proxy_as_server = peer(world.proxies.sign(&proxy_as_server));
    let without = nobody();
    let rows: [Row<'_>; 17] = [
        ("no certificate", &without, &[], ANONYMOUS),
        ("no certificate, Basic", &without, &[("authorization", "Basic Zm9v")], ANONYMOUS),
        ("no certificate, empty bearer", &without, &[("authorization", "Bearer ")], ANONYMOUS),
        ("no certificate, valid bearer", &without, &[GOOD], "tina"),
        ("no certificate, bad bearer", &without, &[BAD], REFUSED),
        ("client", &client, &[], "alice"),
        ("client, bad bearer", &client, &[BAD], "alice"),
        ("client, forged header", &client, &[USER], "alice"),
        ("client without CN", &unnamed, &[], REFUSED),
        ("foreign CA", &stranger, &[], REFUSED),
        ("foreign CA, forged header", &stranger, &[USER], REFUSED),
        ("foreign CA, valid bearer", &stranger, &[GOOD], "tina"),
        ("front proxy", &proxy, &[USER], "carol"),
        ("front proxy without user", &proxy, &[], REFUSED),
        ("front proxy without user, valid bearer", &proxy, &[GOOD], "tina"),
        ("front proxy of another name", &other_proxy, &[USER], REFUSED),
        ("front proxy for servers only", &proxy_as_server, &[USER], REFUSED),
    ];
    for (row, peer, lines, expected) in rows {
        let outcome = world.name(peer, lines).await.unwrap_or_else(|refusal| refusal.message().to_owned());
        assert_eq!(outcome, expected, "{row}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_any_known_ca_a_certificate_is_neither_proof_nor_doubt() {
    let world = World::without_trust().await;
    assert_eq!(world.name(&world.front_proxy(), &[USER]).await.unwrap(), ANONYMOUS);
}

#[tokio::test(start_paused = true)]
async fn an_extended_key_usage_counts_where_there_is_one() {
    use ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
    let world = World::new().await;
    let rows: [(Vec<_>, bool); 4] =
        [(vec![], true), (vec![ClientAuth], true), (vec![ServerAuth, ClientAuth], true), (vec![ServerAuth], false)];
    for (usages, is_accepted) in rows {
        let of = |name| used_for(subject(name, &[]), &usages);
        let proxied = world.name(&peer(world.proxies.sign(&of("front-proxy-client"))), &[USER]).await;
        let client = world.name(&peer(world.clients.sign(&of("alice"))), &[]).await;
        assert_eq!((proxied.is_ok(), client.is_ok()), (is_accepted, is_accepted), "{usages:?}: {proxied:?} {client:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_certificate_says_name_groups_uid_and_credential() {
    let world = World::new().await;
    let mut params = subject("alice", &["dev", "ops"]);
    let uid = DnType::CustomDnType(vec![1, 3, 6, 1, 4, 1, 57683, 2]);
    params.distinguished_name.push(uid.clone(), "u-1");
    let user = world.identify(&peer(world.clients.sign(&params)), &[]).await.unwrap().user().clone();
    assert_eq!((&*user.name, &*user.uid), ("alice", "u-1"));
    assert_eq!(user.groups, ["dev", "ops", "system:authenticated"]);
    let credential = &user.extra["authentication.kubernetes.io/credential-id"][0];
    assert_eq!(credential.strip_prefix("X509SHA256=").map(str::len), Some(64), "{credential}");
    params.distinguished_name.push(uid, "");
    let refused = world.name(&peer(world.clients.sign(&params)), &[]).await;
    assert_eq!(refused, Err(Refusal::Unauthorized), "an empty UID");
}

#[tokio::test(start_paused = true)]
async fn front_proxy_headers_are_read_as_the_reference_reads_them() {
    let world = World::new().await;
    let lines = [
        ("x-remote-user", "dave"),
        ("x-remote-user", "eve"),
        ("x-remote-group", "g1"),
        ("x-remote-group", "g2"),
        ("x-remote-group", "g3,g4"),
        ("x-remote-group", ""),
        ("x-remote-group", "g1"),
        ("x-remote-extra-scopes", "s1"),
        ("X-Remote-Extra-Scopes", "s2"),
        ("x-remote-extra-acme.com%2Fproject", "p1"),
        ("x-remote-extra-bad%zz", "b"),
        ("x-remote-uid", "forged"),
    ];
    let user = world.proxied(&lines).await;
    assert_eq!((&*user.name, &*user.uid), ("dave", ""), "a UID counts only where the ConfigMap names its header");
    assert_eq!(user.groups, ["g1", "g2", "g3,g4", "g1", "system:authenticated"]);
    let extra: Vec<(&str, String)> = user.extra.iter().map(|(key, values)| (&**key, values.join("+"))).collect();
    let expected = [("acme.com/project", "p1"), ("bad%zz", "b"), ("scopes", "s1+s2")];
    assert_eq!(extra, expected.map(|(key, values)| (key, values.to_owned())));
    world.reconfigure(&[("requestheader-uid-headers", r#"["X-Remote-Uid"]"#)]);
    assert_eq!(world.proxied(&lines).await.uid, "forged");
}

#[tokio::test(start_paused = true)]
async fn the_first_user_header_that_says_something_counts() {
    let world = World::new().await;
    world.reconfigure(&[("requestheader-username-headers", r#"["X-First","X-Second"]"#)]);
    assert_eq!(world.proxied(&[("x-second", "s"), ("x-first", "f")]).await.name, "f");
    assert_eq!(world.proxied(&[("x-second", "s"), ("x-first", "")]).await.name, "s");
    let hidden = world.name(&world.front_proxy(), &[("x-second", ""), ("x-second", "s")]).await;
    assert_eq!(hidden, Err(Refusal::Unauthorized), "the second line of a header is somebody else's");
}

#[tokio::test(start_paused = true)]
async fn no_header_that_proves_or_claims_an_identity_gets_behind_the_door() {
    let world = World::new().await;
    world.reconfigure(&[("requestheader-username-headers", r#"["X-Our-User"]"#)]);
    let lines = [
        ("x-our-user", "carol"),
        ("x-remote-user", "a"),
        ("x-remote-uid", "b"),
        ("x-remote-group", "c"),
        ("x-remote-extra-d", "d"),
        ("authorization", "Bearer secret"),
        ("impersonate-user", "zed"),
        ("accept", "application/json"),
    ];
    let mut kept = headers(&lines);
    world.door.identify(&world.front_proxy(), &mut kept).await.unwrap();
    assert_eq!(kept, headers(&[("accept", "application/json")]));
}

#[tokio::test(start_paused = true)]
async fn a_bearer_header_is_read_as_the_reference_reads_it() {
    let world = World::new().await;
    for (value, user) in [
        ("bEaReR good", "tina"),
        ("  Bearer good  ", "tina"),
        ("Bearer good trailing words", "tina"),
        ("Bearer", ANONYMOUS),
        ("Bearer\tgood", ANONYMOUS),
        ("good", ANONYMOUS),
    ] {
        assert_eq!(world.name(&nobody(), &[("authorization", value)]).await.unwrap(), user, "{value:?}");
    }
    let identity = world.identify(&nobody(), &[("authorization", "Bearer  good")]).await.unwrap();
    assert_eq!(identity.user().name, ANONYMOUS);
    assert_eq!(
        identity.warning(),
        Some(
            "299 - \"the provided Authorization header contains extra space before the bearer token, and is ignored\""
        )
    );
}

/// Presents a token `times` times in a row; how often was it reviewed?
async fn reviews(token: &str, times: usize) -> (World, usize) {
    let world = World::new().await;
    for _ in 0..times {
        let _ = world.name(&nobody(), &[("authorization", &format!("Bearer {token}"))]).await;
    }
    let reviewed = world.api.tokens.lock().len();
    (world, reviewed)
}

#[tokio::test(start_paused = true)]
async fn good_bad_and_odd_tokens_are_each_reviewed_once_in_a_while() {
    for token in ["good", "bad", "odd"] {
        assert_eq!(reviews(token, 5).await.1, 1, "{token}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_is_reviewed_again_when_its_time_is_over() {
    for (token, seconds) in [("good", 10), ("bad", 10), ("odd", 2)] {
        let (world, _) = reviews(token, 1).await;
        tokio::time::advance(Duration::from_millis(seconds * 1000 - 100)).await;
        let line = [("authorization", &*format!("Bearer {token}"))];
        let _ = world.name(&nobody(), &line).await;
        assert_eq!(world.api.tokens.lock().len(), 1, "{token} before");
        tokio::time::advance(Duration::from_millis(200)).await;
        let _ = world.name(&nobody(), &line).await;
        assert_eq!(world.api.tokens.lock().len(), 2, "{token} after");
    }
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_does_not_answer_is_tried_five_times_and_then_left_alone_for_a_while() {
    let (world, reviewed) = reviews("outage", 5).await;
    assert_eq!(reviewed, 5, "attempts, for five requests together");
    let refusal = world.name(&nobody(), &[("authorization", "Bearer outage")]).await;
    assert!(matches!(refusal, Err(Refusal::Unavailable { .. })), "{refusal:?}");
}

#[tokio::test(start_paused = true)]
async fn many_requests_with_one_token_wait_for_one_review() {
    let world = World::new().await;
    let peer = nobody();
    let names = join_all((0..50).map(|_| world.name(&peer, &[GOOD]))).await;
    assert!(names.iter().all(|name| name.as_deref() == Ok("tina")), "{names:?}");
    assert_eq!(world.api.tokens.lock().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn one_address_has_at_most_eight_tokens_under_review() {
    let world = World::new().await;
    let peer = nobody();
    let lines: Vec<String> = (0..20).map(|number| format!("Bearer made-up-{number}")).collect();
    let ask = async |line: &String| world.name(&peer, &[("authorization", line)]).await;
    let all = join_all(lines.iter().map(ask));
    tokio::select! {
        _ = all => panic!("twenty reviews took less than a second and a half"),
        () = tokio::time::sleep(Duration::from_millis(500)) => {}
    }
    assert_eq!(world.api.tokens.lock().len(), 8);
}

#[tokio::test(start_paused = true)]
async fn a_token_of_absurd_length_is_refused_unreviewed() {
    assert_eq!(reviews(&"x".repeat(65_537), 1).await.1, 0);
}

#[tokio::test(start_paused = true)]
async fn rotation_ends_the_old_proxys_trust_and_begins_the_new_ones_on_living_connections() {
    let world = World::new().await;
    let next = Authority::new("next");
    let (old_proxy, new_proxy) = (world.front_proxy(), next.peer("front-proxy-client", &[]));
    let names = async |world: &World| {
        [world.name(&old_proxy, &[USER]).await.is_ok(), world.name(&new_proxy, &[USER]).await.is_ok()]
    };
    assert_eq!(names(&world).await, [true, false]);
    world.reconfigure(&[("requestheader-client-ca-file", &next.pem)]);
    assert_eq!(names(&world).await, [false, true]);
    world.reconfigure(&[("requestheader-client-ca-file", &format!("{}{}", world.proxies.pem, next.pem))]);
    assert_eq!(names(&world).await, [true, true]);
}

#[tokio::test(start_paused = true)]
async fn allowed_names_that_are_empty_allow_any_name_under_the_ca() {
    let world = World::new().await;
    let other = world.proxies.peer("other", &[]);
    for (names, is_accepted) in
        [(r#"["a","b"]"#, false), (r#"["a","other"]"#, true), ("[]", true), ("null", true), ("", true)]
    {
        world.reconfigure(&[("requestheader-allowed-names", names)]);
        assert_eq!(world.name(&other, &[USER]).await.is_ok(), is_accepted, "{names:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_expires_on_a_living_connection_is_refused_from_then_on() {
    let world = World::new().await;
    let (begin, begin_seconds) = (rcgen::date_time_ymd(2030, 1, 1), 1_893_456_000_u64);
    let mut params = subject("alice", &[]);
    (params.not_before, params.not_after) = (begin, begin + Duration::from_secs(10));
    let peer = peer(world.clients.sign(&params));
    for (offset, is_accepted) in [(-10, false), (-1, false), (0, true), (10, true), (11, false), (5, true)] {
        world.now.store(begin_seconds.saturating_add_signed(offset), Ordering::Relaxed);
        assert_eq!(world.name(&peer, &[]).await.is_ok(), is_accepted, "after {offset} s");
    }
}

proptest! {
    #[test]
    fn reading_user_headers_is_total(lines in prop::collection::vec((".{0,12}", prop::collection::vec(any::<u8>(), 0..12)), 0..8)) {
        let named = UserHeaders::new(&["x-u".into()], &["x-i".into()], &["x-g".into()], &["x-e-".into()]);
        let mut headers = HeaderMap::new();
        for (number, (name, value)) in lines.iter().enumerate() {
            let prefix = ["x-u", "x-i", "x-g", "x-e-", "x-e-%"][number % 5];
            let name = HeaderName::try_from(format!("{prefix}{name}")).or_else(|_| HeaderName::try_from(prefix));
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value)) {
                headers.append(name, value);
            }
        }
        let has_user = headers.get("x-u").is_some_and(|value| !value.is_empty());
        prop_assert_eq!(front_proxy::user(&named, &headers).is_some(), has_user);
        let _ = super::bearer::credential(&headers);
        let _ = super::Impersonation::take(&mut headers);
    }

    #[test]
    fn an_extra_key_survives_encoding(key in ".{0,20}") {
        let encoded: String = key.bytes().map(|byte| format!("%{byte:02x}")).collect();
        prop_assert_eq!(front_proxy::extra_key(&encoded), key);
    }

    #[test]
    fn any_authorization_header_is_read_without_panic(value in prop::collection::vec(any::<u8>(), 0..40)) {
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_bytes(&[b"bearer ", &*value].concat()) {
            headers.append("authorization", value);
        }
        let (token, _) = super::bearer::credential(&headers);
        prop_assert!(token.is_none_or(|token| !token.is_empty() && !token.contains(' ')));
    }
}
