use super::*;

const ANSWER_TIME: Duration = Duration::from_secs(65);

fn activity(protocol: Protocol) -> Arc<Activity> {
    Activity::new(protocol, ANSWER_TIME, Heads::new())
}

/// How long the connection lives if nothing happens any more, and how it ends.
async fn end(activity: &Activity) -> (u64, End) {
    let started = Instant::now();
    let end = activity.end().await;
    (started.elapsed().as_secs(), end)
}

async fn pass(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_nothing_has_the_time_of_a_head() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        assert_eq!(end(&activity(protocol)).await, (32, End::Cut("no request came in time")));
    }
}

#[tokio::test(start_paused = true)]
async fn between_requests_a_connection_may_be_silent_for_90_seconds() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let activity = activity(protocol);
        drop(activity.begin());
        pass(80).await;
        drop(activity.begin());
        assert_eq!(end(&activity).await, (90, End::Idle));
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_that_trickles_in_is_cut_off_however_busy_it_looks() {
    let activity = activity(Protocol::Http1);
    drop(activity.begin());
    pass(60).await;
    activity.note_read(1).unwrap();
    let trickle = async {
        loop {
            tokio::time::sleep(Duration::from_secs(5)).await;
            activity.note_read(1).unwrap();
        }
    };
    let ended = tokio::select! { ended = end(&activity) => ended, () = trickle => unreachable!() };
    assert_eq!(ended, (32, End::Cut("the head of a request did not come in time")));
}

#[tokio::test(start_paused = true)]
async fn signs_of_life_over_http2_are_no_heads() {
    let activity = activity(Protocol::Http2);
    drop(activity.begin());
    activity.note_read(17).unwrap();
    assert_eq!(end(&activity).await, (90, End::Idle));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_taken_is_cut_off_over_http1() {
    let activity = activity(Protocol::Http1);
    drop(activity.begin());
    let began = async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        activity.begin()
    };
    let ((seconds, ended), _busy) = tokio::join!(end(&activity), began);
    assert_eq!((seconds, ended), (75, End::Cut("the client did not take its answer in time")));
}

#[tokio::test(start_paused = true)]
async fn a_connection_with_streams_is_not_idle() {
    let activity = activity(Protocol::Http2);
    let busy = activity.begin();
    let ended = tokio::time::timeout(Duration::from_secs(1000), activity.end()).await;
    assert!(ended.is_err(), "{ended:?}");
    drop(busy);
    assert_eq!(end(&activity).await, (90, End::Idle));
}

#[test]
fn the_head_of_a_request_is_let_go_with_it() {
    let activity = activity(Protocol::Http1);
    activity.note_read(100_000).unwrap();
    let busy = activity.begin();
    activity.note_read(300).unwrap();
    drop(busy);
    assert_eq!(activity.state.lock().unread, 300);
    drop(activity.begin());
    assert_eq!(activity.state.lock().unread, 0);
}
