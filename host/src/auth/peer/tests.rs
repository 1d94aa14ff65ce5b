use std::sync::Arc;

use super::Peer;
use crate::auth::tests::{Authority, NOW, REMOTE, World, authority, peer, subject};
use crate::auth::trust::Trust;
use crate::model::units::UnixNanos;

fn at(seconds: u64) -> UnixNanos {
    UnixNanos(seconds * 1_000_000_000)
}

#[tokio::test]
async fn a_verdict_is_kept_for_one_generation() {
    let world = World::new().await;
    let peer = world.front_proxy();
    let trust = world.trust.current();
    let first = peer.judge(&trust, at(NOW));
    assert!(Arc::ptr_eq(&first, &peer.judge(&trust, at(NOW + 3600))), "judged anew without a reason");
    world.reconfigure(&[("requestheader-allowed-names", "[]")]);
    assert!(!Arc::ptr_eq(&first, &peer.judge(&world.trust.current(), at(NOW))), "kept over a change of trust");
}

#[tokio::test]
async fn a_ca_that_expires_ends_the_trust_in_what_it_signed() {
    let world = World::without_trust().await;
    let mut params = authority("short-lived");
    params.not_after = rcgen::date_time_ymd(2030, 1, 1);
    let short_lived = Authority::with(params);
    world.reconfigure(&[("client-ca-file", &short_lived.pem)]);
    let peer = short_lived.peer("alice", &[]);
    let is_trusted = |now: u64| peer.judge(&world.trust.current(), at(now)).client.as_ref().unwrap().is_ok();
    assert_eq!([1_893_456_000, 1_893_456_001].map(is_trusted), [true, false]);
}

#[tokio::test]
async fn an_intermediate_that_the_peer_sends_is_used() {
    let world = World::new().await;
    let middle = authority("middle");
    let (certificate, key) = world.clients.sign_with_key(&middle);
    let leaf_key = rcgen::KeyPair::generate().unwrap();
    let leaf = subject("alice", &[]).signed_by(&leaf_key, &rcgen::Issuer::new(middle, key)).unwrap().der().clone();
    let vouched = |chain| {
        let verdict = Peer::new(REMOTE, chain).judge(&world.trust.current(), at(NOW));
        verdict.client.as_ref().unwrap().is_ok()
    };
    assert!(vouched(vec![leaf.clone(), certificate]));
    assert!(!vouched(vec![leaf]));
}

#[tokio::test]
async fn a_certificate_that_is_garbage_is_a_doubt_and_no_panic() {
    let world = World::new().await;
    for bytes in [vec![], vec![0x30], vec![0x30, 0x82, 0xff, 0xff], vec![0; 500]] {
        let peer = peer(bytes.clone().into());
        assert!(peer.leaf().unwrap().is_err(), "{bytes:?}");
        let verdict = peer.judge(&world.trust.current(), at(NOW));
        assert!(verdict.client.as_ref().unwrap().is_err() && verdict.front_proxy.as_ref().unwrap().is_err());
    }
}

#[test]
fn without_trust_there_is_no_verdict() {
    let peer = Authority::new("any").peer("alice", &[]);
    let verdict = peer.judge(&Trust::default(), at(NOW));
    assert!(verdict.client.is_none() && verdict.front_proxy.is_none());
}
