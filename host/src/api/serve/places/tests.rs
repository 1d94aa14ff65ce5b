use super::*;

fn places(count: usize) -> Arc<Places> {
    Places::new(NonZeroUsize::new(count).unwrap())
}

fn is_evicted(place: &Place) -> bool {
    place.evicted.is_cancelled()
}

async fn later() {
    tokio::time::advance(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn while_there_are_places_nobody_has_to_go() {
    let places = places(2);
    let (one, other) = (places.take().await, places.take().await);
    assert!(!is_evicted(&one) && !is_evicted(&other));
}

#[tokio::test(start_paused = true)]
async fn the_stranger_that_was_silent_longest_has_to_go() {
    let places = places(3);
    let first = places.take().await;
    later().await;
    let second = places.take().await;
    later().await;
    let third = places.take().await;
    later().await;
    first.note_sign_of_life();
    let fourth = places.take();
    tokio::pin!(fourth);
    assert!(futures_util::poll!(&mut fourth).is_pending(), "its place is not free yet");
    assert_eq!((is_evicted(&first), is_evicted(&second), is_evicted(&third)), (false, true, false));
    drop(second);
    assert!(!is_evicted(&fourth.await));
}

#[tokio::test(start_paused = true)]
async fn who_is_known_stays() {
    let places = places(2);
    let known = places.take().await;
    known.note_known();
    later().await;
    let stranger = places.take().await;
    let newcomer = places.take();
    tokio::pin!(newcomer);
    assert!(futures_util::poll!(&mut newcomer).is_pending());
    assert_eq!((is_evicted(&known), is_evicted(&stranger)), (false, true));
    known.note_sign_of_life();
    drop(stranger);
    newcomer.await.note_known();
    assert!(!is_evicted(&known));
}

#[tokio::test(start_paused = true)]
async fn where_all_are_known_newcomers_wait() {
    let places = places(1);
    let known = places.take().await;
    known.note_known();
    let newcomer = places.take();
    tokio::pin!(newcomer);
    assert!(futures_util::poll!(&mut newcomer).is_pending());
    assert!(!is_evicted(&known));
    drop(known);
    newcomer.await;
}

#[tokio::test(start_paused = true)]
async fn who_has_left_is_not_asked_to_go() {
    let places = places(2);
    let (gone, stays) = (places.take().await, places.take().await);
    drop(gone);
    let third = places.take().await;
    assert!(!is_evicted(&stays) && !is_evicted(&third));
    assert_eq!(places.strangers.lock().by_silence.len(), 2);
}
