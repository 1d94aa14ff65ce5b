use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::watcher::Event;

use super::{Pool, Trust, TrustStore, UserHeaders};
use crate::auth::tests::{Authority, World, answer, no_flags, served, while_served};
use crate::config::RequestHeaderFiles;

/// Applies a change to the usual ConfigMap; what is trusted then, and what is complained of.
async fn after(changes: &[(&str, &str)]) -> (Arc<Trust>, Arc<Trust>, Vec<String>) {
    let world = World::new().await;
    let before = world.trust.current();
    world.reconfigure(changes);
    (before, world.trust.current(), world.trust.complaints())
}

#[tokio::test]
async fn what_cannot_be_read_changes_nothing() {
    let other = Authority::new("other").pem;
    let half = &other[..other.len() / 2];
    let rows: [(&str, &str); 11] = [
        ("client-ca-file", ""),
        ("client-ca-file", "garbage"),
        ("client-ca-file", half),
        ("requestheader-client-ca-file", ""),
        ("requestheader-client-ca-file", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        ("requestheader-allowed-names", "front-proxy-client"),
        ("requestheader-allowed-names", "{}"),
        ("requestheader-username-headers", "[1]"),
        ("requestheader-group-headers", "[\"a\""),
        ("requestheader-extra-headers-prefix", "\"X\""),
        ("requestheader-uid-headers", "[[]]"),
    ];
    for (key, value) in rows {
        let (before, after, complaints) = after(&[(key, value)]).await;
        assert_eq!(before.generation(), after.generation(), "{key}: {value:?}");
        assert_eq!(complaints.len(), 1, "{key}: {value:?}: {complaints:?}");
    }
}

#[tokio::test]
async fn a_bad_list_refuses_the_new_ca_of_front_proxies_but_not_that_of_clients() {
    let other = Authority::new("other").pem;
    let changes =
        [("client-ca-file", &*other), ("requestheader-client-ca-file", &other), ("requestheader-group-headers", "bad")];
    let (before, after, _) = after(&changes).await;
    assert_ne!(before.client_ca(), after.client_ca());
    assert_eq!(before.front_proxy(), after.front_proxy());
}

#[tokio::test]
async fn the_same_again_is_no_change_and_a_change_is_told() {
    let world = World::new().await;
    let mut changes = world.trust.subscribe();
    let before = *changes.borrow_and_update();
    world.reconfigure(&[]);
    assert!(!changes.has_changed().unwrap());
    world.reconfigure(&[("requestheader-allowed-names", "[]")]);
    assert_eq!((*changes.borrow_and_update(), world.trust.current().generation()), (before + 1, before + 1));
}

#[tokio::test]
async fn a_complaint_ends_when_its_cause_does() {
    let world = World::new().await;
    world.reconfigure(&[("requestheader-allowed-names", "bad")]);
    assert_eq!(world.trust.complaints().len(), 1);
    world.reconfigure(&[]);
    assert_eq!(world.trust.complaints(), Vec::<String>::new());
}

fn config_map(name: &str, data: BTreeMap<String, String>) -> ConfigMap {
    let mut config_map = ConfigMap { data: Some(data), ..ConfigMap::default() };
    config_map.metadata.name = Some(name.to_owned());
    config_map
}

const NAME: &str = "extension-apiserver-authentication";

#[tokio::test]
async fn a_config_map_that_vanishes_leaves_its_trust_behind() {
    let world = World::without_trust().await;
    let apply = Event::InitApply(config_map(NAME, world.config_map()));
    let mut found = false;
    for event in [Event::Init, apply, Event::InitDone] {
        found = world.trust.take_event(event, found);
    }
    let trusted = world.trust.current();
    assert!(found && trusted.client_ca().is_some() && trusted.front_proxy().is_some());
    for event in [Event::Delete(config_map(NAME, BTreeMap::new())), Event::Init, Event::InitDone] {
        found = world.trust.take_event(event, found);
    }
    assert!(Arc::ptr_eq(&trusted, &world.trust.current()));
    assert_eq!(world.trust.complaints().len(), 2, "one for each part");
}

#[tokio::test]
async fn another_config_map_is_not_believed() {
    let world = World::without_trust().await;
    world.trust.take_event(Event::Apply(config_map("other", world.config_map())), false);
    assert_eq!(world.trust.current().generation(), 0);
}

#[tokio::test]
async fn every_client_passing_for_a_front_proxy_is_noticed() {
    let world = World::new().await;
    let rows =
        [(&world.clients.pem, "[]", true), (&world.clients.pem, "[\"a\"]", false), (&world.proxies.pem, "[]", false)];
    for (pem, names, is_noticed) in rows {
        world.reconfigure(&[("requestheader-client-ca-file", pem), ("requestheader-allowed-names", names)]);
        assert_eq!(world.trust.current().lets_clients_impersonate(), is_noticed, "{names}");
    }
}

#[tokio::test]
async fn hints_name_the_cas_of_clients_first_and_each_once() {
    let world = World::new().await;
    let both = format!("{}{}", world.proxies.pem, world.clients.pem);
    world.reconfigure(&[("requestheader-client-ca-file", &both)]);
    let names = world.trust.current().authority_names();
    let contains = |index: usize, name: &[u8]| names[index].as_ref().windows(name.len()).any(|part| part == name);
    assert_eq!(names.len(), 2);
    assert!(contains(0, b"clients") && contains(1, b"proxies"));
    assert!(Trust::default().authority_names().is_empty());
}

#[test]
fn a_bundle_may_hold_more_than_certificates_but_not_less_than_one() {
    let (one, two) = (Authority::new("one").pem, Authority::new("two").pem);
    let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
    let count = |text: String| Pool::from_pem(text.as_bytes()).map(|pool| pool.0.len()).ok();
    assert_eq!(count(format!("# comment\n{one}{key}{two}")), Some(2));
    assert_eq!(count(key), None);
    assert_eq!(count(String::new()), None);
}

#[tokio::test]
async fn flags_go_before_the_config_map_and_their_files_are_read_again() {
    let directory = std::env::temp_dir().join(format!("trust-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let (client_ca, proxy_ca) = (directory.join("client.pem"), directory.join("proxy.pem"));
    let files = [Authority::new("one"), Authority::new("two")];
    std::fs::write(&client_ca, &files[0].pem).unwrap();
    let mut config = no_flags();
    config.client_ca_file = Some(client_ca.clone());
    config.request_header = Some(RequestHeaderFiles {
        client_ca_file: proxy_ca.clone(),
        allowed_names: Vec::new(),
        username_headers: vec!["x-remote-user".to_owned()],
        uid_headers: Vec::new(),
        group_headers: vec!["x-remote-group".to_owned()],
        extra_headers_prefix: vec!["x-remote-extra-".to_owned()],
    });
    let error = TrustStore::load(&config).await.err().unwrap().to_string();
    assert!(error.starts_with("CA file \"") && error.contains("proxy.pem"), "{error}");

    std::fs::write(&proxy_ca, &files[0].pem).unwrap();
    let store = TrustStore::load(&config).await.unwrap();
    assert!(!store.needs_config_map());
    let loaded = store.current();
    store.take_config_map(Some(&World::without_trust().await.config_map()));
    assert!(Arc::ptr_eq(&loaded, &store.current()), "the ConfigMap went before a flag");

    std::fs::write(&client_ca, "half written").unwrap();
    std::fs::remove_file(&proxy_ca).unwrap();
    store.reread_files().await;
    assert!(Arc::ptr_eq(&loaded, &store.current()), "a bad file was taken over");
    assert_eq!(store.complaints().len(), 2);

    std::fs::write(&client_ca, &files[1].pem).unwrap();
    std::fs::write(&proxy_ca, &files[1].pem).unwrap();
    store.reread_files().await;
    assert_eq!(store.current().generation(), loaded.generation() + 2);
    assert_eq!(store.complaints(), Vec::<String>::new());
    std::fs::remove_dir_all(&directory).unwrap();
}

/// Looks the ConfigMap up where the API server answers like this; whether the gateway starts, and what it trusts.
async fn look_up(status: u16, body: &str, is_tolerant: bool) -> (bool, u64) {
    let mut config = no_flags();
    config.tolerate_lookup_failure = is_tolerant;
    let store = TrustStore::load(&config).await.unwrap();
    let (client, received, serve) = served(answer(status, body)).await;
    let outcome = while_served(serve, store.look_up(client)).await;
    let line = "GET /api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication";
    assert!(received.lock()[0].0.starts_with(line), "{:?}", received.lock());
    (outcome.is_ok(), store.current().generation())
}

#[tokio::test]
async fn at_the_start_a_missing_config_map_is_fine_and_a_refusal_is_not() {
    let status = |code: u16, reason: &str| {
        let (kind, version) = ("Status", "v1");
        serde_json::json!({"kind": kind, "apiVersion": version, "status": "Failure", "reason": reason, "code": code})
            .to_string()
    };
    let data = World::without_trust().await.config_map();
    let found = serde_json::to_string(&config_map(NAME, data)).unwrap();
    assert_eq!(look_up(200, &found, false).await, (true, 2), "client CA, then front proxy");
    assert_eq!(look_up(404, &status(404, "NotFound"), false).await, (true, 0));
    assert_eq!(look_up(403, &status(403, "Forbidden"), false).await, (false, 0));
    assert_eq!(look_up(403, &status(403, "Forbidden"), true).await, (true, 0));
}

#[tokio::test]
async fn the_config_map_of_a_real_control_plane_is_understood() {
    let text = include_str!("../../../../tests/fixtures/extension-apiserver-authentication.json");
    let captured: ConfigMap = serde_json::from_str(text).unwrap();
    let store = TrustStore::load(&no_flags()).await.unwrap();
    store.take_event(Event::Apply(captured), false);
    let trust = store.current();
    let proxy = trust.front_proxy().unwrap();
    assert_eq!((store.complaints(), trust.authority_names().len()), (Vec::new(), 2));
    assert_eq!(proxy.allowed_names, ["front-proxy-client"]);
    let UserHeaders { name, uid, group, extra_prefix } = &proxy.headers;
    assert_eq!((name.len(), uid.len(), group.len()), (1, 0, 1), "this version names no header for UIDs");
    assert_eq!(
        (&name[0], &group[0], &*extra_prefix[0]),
        (&"x-remote-user".parse().unwrap(), &"x-remote-group".parse().unwrap(), "x-remote-extra-")
    );
}
