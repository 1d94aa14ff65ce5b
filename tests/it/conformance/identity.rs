//! Who asks, and whether they may.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::ensure;
use harness::api_server::User;
use harness::certs::{FRONT_PROXY_CLIENT, Validity};
use harness::client::Answer;
use harness::eventually::eventually;
use serde_json::{Value, json};

use crate::world::{B, PATIENCE, World, shared, status_of};

const FORGED: [(&str, &str); 2] = [("x-remote-user", "admin"), ("x-remote-group", "system:masters")];

/// That anonymous was refused the list of nodes.
fn refused_as_anonymous(answer: &Answer) {
    let expected = "nodes.metrics.k8s.io is forbidden: User \"system:anonymous\" cannot list resource \"nodes\" in API \
                    group \"metrics.k8s.io\" at the cluster scope";
    assert_eq!(status_of(answer, 403, "Forbidden"), expected);
}

/// Row 53.
#[tokio::test]
async fn who_shows_nothing_is_anonymous() {
    let answer = shared().get(None, &format!("{B}/nodes"), &[]).await;
    refused_as_anonymous(&answer);
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.json()["details"], json!({"group": "metrics.k8s.io", "kind": "nodes"}));
}

/// Row 55.
#[tokio::test]
async fn a_front_proxy_s_headers_without_its_certificate_are_ignored() {
    refused_as_anonymous(&shared().get(None, &format!("{B}/nodes"), &FORGED).await);
}

/// Row 56.
#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused_even_where_everybody_may_ask() {
    let world = shared();
    status_of(&world.get(Some(&world.stranger()), "/healthz", &[]).await, 401, "Unauthorized");
    assert_eq!(world.get(None, "/healthz", &[]).await.status, 200);
}

/// Row 58.
#[tokio::test]
async fn a_front_proxy_must_have_an_allowed_name_where_names_are_listed() {
    let world = World::bare(&[]).await;
    let other = world.certs().front_proxy.client("other-proxy", &[]);
    let carol = [("x-remote-user", "carol")];
    status_of(&world.get(Some(&other), B, &carol).await, 401, "Unauthorized");
    world.api.change_front_proxy_config(&[("requestheader-allowed-names", Some("[]"))]);
    let accepted = eventually("the other proxy is believed", PATIENCE, async || {
        let answer = world.get(Some(&other), B, &carol).await;
        ensure!(answer.status == 200, "{}", answer.status);
        Ok(())
    });
    accepted.await.unwrap_or_else(|error| panic!("{error:#}"));
}

/// Row 59.
#[tokio::test]
async fn a_front_proxy_s_certificate_must_be_a_client_s_where_it_says_what_it_is_for() {
    let world = shared();
    let carol = [("x-remote-user", "carol")];
    let proxy = |usages: &[rcgen::ExtendedKeyUsagePurpose]| {
        world.certs().front_proxy.client_with_usage(FRONT_PROXY_CLIENT, &[], usages, Validity::Long)
    };
    let server = proxy(&[rcgen::ExtendedKeyUsagePurpose::ServerAuth]);
    status_of(&world.get(Some(&server), B, &carol).await, 401, "Unauthorized");
    assert_eq!(world.get(Some(&proxy(&[])), B, &carol).await.status, 200);
}

/// Row 61.
#[tokio::test]
async fn the_front_proxy_s_headers_are_read_value_by_value() {
    let world = shared();
    let headers = [
        ("x-remote-user", "eve"),
        ("x-remote-group", "g1"),
        ("x-remote-group", "g2"),
        ("x-remote-group", "g3,g4"),
        ("x-remote-group", ""),
        ("x-remote-extra-scopes", "s1"),
        ("x-remote-extra-scopes", "s2"),
        ("x-remote-extra-acme.com%2Fproject", "p1"),
    ];
    assert_eq!(world.ask_for("dave", &format!("{B}/nodes"), &headers).await.status, 200);
    let reviews = world.reviews_of("dave");
    assert_eq!(reviews[0].user.groups, ["g1", "g2", "g3,g4", "system:authenticated"]);
    let extra = [("scopes", vec!["s1", "s2"]), ("acme.com/project", vec!["p1"])];
    let extra: BTreeMap<String, Vec<String>> = extra
        .into_iter()
        .map(|(key, values)| (key.to_owned(), values.into_iter().map(str::to_owned).collect()))
        .collect();
    assert_eq!(reviews[0].user.extra, extra);
}

/// Row 62.
#[tokio::test]
async fn a_uid_counts_only_where_the_config_map_names_its_header() {
    let world = World::bare(&[]).await;
    let uid = [("x-remote-uid", "u")];
    assert_eq!(world.ask_for("before", B, &uid).await.status, 200);
    assert_eq!(world.reviews_of("before")[0].user.uid, "");
    world.api.change_front_proxy_config(&[("requestheader-uid-headers", Some("[\"X-Remote-Uid\"]"))]);
    let mut asked = 0;
    let found = eventually("a review with the uid", PATIENCE, async || {
        // A new name each time: answers are remembered.
        asked += 1;
        let user = format!("after-{asked}");
        world.ask_for(&user, B, &uid).await;
        ensure!(world.reviews_of(&user)[0].user.uid == "u", "no uid");
        Ok(())
    });
    found.await.unwrap_or_else(|error| panic!("{error:#}"));
}

/// Row 64.
#[tokio::test]
async fn a_refusal_names_user_verb_object_and_namespace() {
    let answer = shared().ask_for("nobody", &format!("{B}/namespaces/default/pods/web-0"), &[]).await;
    let expected = "pods.metrics.k8s.io \"web-0\" is forbidden: User \"nobody\" cannot get resource \"pods\" in API group \
                    \"metrics.k8s.io\" in the namespace \"default\"";
    assert_eq!(status_of(&answer, 403, "Forbidden"), expected);
    let details = json!({"name": "web-0", "group": "metrics.k8s.io", "kind": "pods"});
    assert_eq!(answer.json()["details"], details);
}

/// Row 65.
#[tokio::test]
async fn a_refusal_ends_with_the_reason_of_the_review() {
    let answer = shared().ask_for("reasoned", &format!("{B}/nodes"), &[]).await;
    let message = status_of(&answer, 403, "Forbidden");
    assert!(message.ends_with(" at the cluster scope: custom reason"), "{message}");
}

/// Row 67, with half the time.
#[tokio::test]
async fn a_permission_is_asked_for_once_until_its_time_is_up() {
    const TTL: Duration = Duration::from_secs(5);
    let world = World::bare(&["--authorization-webhook-cache-authorized-ttl=5s"]).await;
    let reviews = async || {
        assert_eq!(world.ask_for("frank", B, &[]).await.status, 200);
        world.reviews_of("frank").len()
    };
    let begin = Instant::now();
    let (first, second) = (reviews().await, reviews().await);
    if begin.elapsed() < TTL {
        assert_eq!((first, second), (1, 1));
    }
    let again = eventually("a second review", PATIENCE, async || {
        let count = reviews().await;
        ensure!(count >= 2, "{count} reviews");
        Ok(())
    });
    again.await.unwrap_or_else(|error| panic!("{error:#}"));
    assert!(begin.elapsed() >= TTL, "the second review came after {:?}", begin.elapsed());
}

/// Row 68.
#[tokio::test]
async fn a_good_token_is_reviewed_once_and_alone() {
    const TOKEN: &str = "token of row 68";
    let token = TOKEN.replace(' ', "-");
    let world = shared();
    world.api.access().add_token(&token, User::new("grace", &[]));
    for _ in 0..5 {
        let answer = world.get(None, B, &[("authorization", &format!("Bearer {token}"))]).await;
        assert_eq!(answer.status, 200);
    }
    let reviews: Vec<Value> =
        world.api.access().token_reviews().into_iter().filter(|spec| spec["token"] == token).collect();
    assert_eq!(reviews, [json!({"token": token})]);
}

/// Row 70.
#[tokio::test]
async fn a_token_behind_two_spaces_is_ignored_with_a_warning() {
    let answer = shared().get(None, &format!("{B}/nodes"), &[("authorization", "Bearer  token")]).await;
    refused_as_anonymous(&answer);
    let expected =
        "299 - \"the provided Authorization header contains extra space before the bearer token, and is ignored\"";
    assert_eq!(answer.header("warning"), Some(expected));
}

/// Row 71.
#[tokio::test]
async fn a_good_token_makes_up_for_an_unknown_certificate() {
    let world = shared();
    world.api.access().add_token("row-71", User::new("heidi", &[]));
    let authorization = [("authorization", "Bearer row-71")];
    assert_eq!(world.get(Some(&world.stranger()), &format!("{B}/nodes"), &authorization).await.status, 200);
    assert_eq!(world.reviews_of("heidi").len(), 1);
}

/// Row 73.
#[tokio::test]
async fn paths_are_routed_and_permitted_as_they_are_written() {
    let world = shared();
    let check = async |user: &str, path: &str, expected: [&str; 3]| {
        let answer = world.ask_for(user, path, &[]).await;
        assert_eq!(answer.status, 404, "{path}: {}", String::from_utf8_lossy(&answer.body));
        let review = world.reviews_of(user).remove(0);
        assert_eq!([&*review.resource, &*review.name, &*review.subresource], expected, "{path}");
    };
    check("ivan-1", &format!("{B}/nodes/n%2Fx"), ["nodes", "n", "x"]).await;
    check("ivan-2", &format!("{B}//nodes"), ["", "nodes", ""]).await;
    check("ivan-3", &format!("{B}/x/../nodes"), ["x", "..", "nodes"]).await;
}

/// Row 74.
#[tokio::test]
async fn impersonation_takes_a_permission_of_its_own() {
    let world = shared();
    let answer = world.ask_for("nobody", &format!("{B}/nodes"), &[("impersonate-user", "zed")]).await;
    let expected = "users \"zed\" is forbidden: User \"nobody\" cannot impersonate resource \"users\" in API group \"\" at the \
                    cluster scope";
    assert_eq!(status_of(&answer, 403, "Forbidden"), expected);
    assert_eq!(world.reviews_of("zed"), []);
}
