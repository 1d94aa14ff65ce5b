use std::io;
use std::time::Duration;

use kube::core::Status;
use kube::runtime::watcher::{Error, Event};

use super::{Next, Standing, Trouble, explain};

fn status(code: u16) -> Box<Status> {
    Status::failure("no", "Because").with_code(code).boxed()
}

fn connection_refused() -> Error {
    let refused = io::Error::new(io::ErrorKind::ConnectionRefused, "connection refused");
    Error::InitialListFailed(kube::Error::Service(Box::new(refused)))
}

fn refused_start(code: u16) -> Error {
    Error::WatchStartFailed(kube::Error::Api(status(code)))
}

#[test]
fn an_api_server_that_stays_away_is_asked_ever_more_rarely_though_each_try_begins_with_an_event() {
    let mut standing = Standing::new("nodes");
    let waits: Vec<Duration> = std::iter::repeat_with(|| {
        standing.heard(&Event::<()>::Init);
        standing.failed(&connection_refused()).wait
    })
    .take(12)
    .collect();
    assert!(waits[0] < Duration::from_secs(2), "{waits:?}");
    // Jitter at most doubles the 30 s at which the wait stops growing.
    let settled = Duration::from_secs(30)..=Duration::from_secs(60);
    assert!(waits[8..].iter().all(|wait| settled.contains(wait)), "{waits:?}");
    standing.heard(&Event::<()>::InitDone);
    assert!(standing.failed(&connection_refused()).wait < Duration::from_secs(2), "progress starts from the beginning");
}

#[test]
fn a_failure_is_news_once_until_it_changes_or_ends() {
    let mut standing = Standing::new("nodes");
    let mut is_news = |error: &Error| {
        let before = standing.trouble;
        standing.failed(error);
        standing.trouble != before
    };
    assert!(is_news(&connection_refused()));
    assert!(!is_news(&connection_refused()));
    assert!(is_news(&refused_start(403)));
    assert!(!is_news(&refused_start(403)));
    standing.heard(&Event::<()>::InitApply(()));
    assert_eq!(standing.trouble, None);
}

#[test]
fn an_expired_version_is_listed_anew_at_once_but_not_in_a_circle() {
    let mut standing = Standing::new("nodes");
    standing.heard(&Event::<()>::InitDone);
    let expired = Error::WatchError(status(410));
    assert_eq!(standing.failed(&expired), Next { wait: Duration::ZERO, lists_anew: true });
    assert_eq!(standing.trouble, None, "an expired version is no trouble");
    let again = standing.failed(&expired);
    assert!(again.wait > Duration::ZERO && again.lists_anew, "{again:?}");
}

#[test]
fn a_version_is_given_up_after_an_answer_about_it_and_kept_through_everything_else() {
    let lists_anew = |error: &Error| Standing::new("nodes").failed(error).lists_anew;
    for code in [400, 404, 410, 504] {
        assert!(lists_anew(&refused_start(code)), "{code}");
        assert!(lists_anew(&Error::WatchError(status(code))), "{code}");
    }
    for code in [401, 403, 429, 500, 503] {
        assert!(!lists_anew(&refused_start(code)), "{code}");
    }
    assert!(!lists_anew(&connection_refused()));
}

#[test]
fn a_failure_tells_each_cause_once() {
    assert_eq!(
        explain(&connection_refused()),
        "failed to perform initial object list: ServiceError: connection refused"
    );
    assert_eq!(explain(&refused_start(403)), "it answers 403 Because: no");
    assert_eq!(Trouble::of(&refused_start(403)), Trouble::Refused(403));
    assert_eq!(Trouble::of(&Error::NoResourceVersion), Trouble::Unreadable);
}
