//! Keeps one watch alive for as long as the gateway runs.
//!
//! In: an [`Api`] and what of it to watch. Out: [`Event`]s, in order, to the one who keeps the objects. What fails is
//! tried again, for ever, after a bounded and jittered wait; it is logged when it starts, when its kind changes and
//! when it is over, not at every try.
//!
//! kube's `watcher` lists in pages, resumes from the last version seen, uses bookmarks and lists anew after an in-band
//! 410. Ours is what it leaves open: the wait grows until something arrives (kube's own adaptor starts from the
//! shortest wait at each attempt to list, as that begins with an event), and a version that the API server refuses
//! in other ways (after a restore from backup, say) is given up too.

use std::error::Error as _;
use std::fmt::Debug;
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt as _;
use kube::core::Status;
use kube::runtime::utils::Backoff as _;
use kube::runtime::watcher::{self, DefaultBackoff, Event};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

/// How long the API server may keep one watch open, in seconds. It sends a bookmark at least at the end of it, so a
/// connection that died without a word is noticed after this time and kube's margin of 5 s. The price is a request
/// in two minutes.
const WATCH_SECONDS: u32 = 120;

/// The longest silence on a connection that waits for an answer; longer than a watch may be silent.
pub(super) const READ_TIMEOUT: Duration = Duration::from_secs(130);

/// Hands every event to `apply` until `stop`. Of an [`Event::Init`] no [`Event::InitDone`] may follow: the list failed
/// and another `Init` begins the next.
pub(super) async fn follow<K>(
    api: Api<K>,
    what: &'static str,
    config: watcher::Config,
    stop: &CancellationToken,
    mut apply: impl FnMut(Event<K>),
) where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let config = config.timeout(WATCH_SECONDS);
    let mut standing = Standing::new(what);
    let watch = async {
        loop {
            let mut events = pin!(watcher::watcher(api.clone(), config.clone()));
            while let Some(event) = events.next().await {
                match event {
                    Ok(event) => {
                        standing.heard(&event);
                        apply(event);
                    }
                    Err(error) => {
                        let next = standing.failed(&error);
                        tokio::time::sleep(next.wait).await;
                        if next.lists_anew {
                            break;
                        }
                    }
                }
            }
        }
    };
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        () = watch => {}
    }
}

/// How a watch fares: what there is to log, and how long to wait.
struct Standing {
    what: &'static str,
    trouble: Option<Trouble>,
    backoff: DefaultBackoff,
    /// Whether anything came since a version was last found to have expired.
    is_fresh: bool,
}

/// What to do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Next {
    wait: Duration,
    /// Whether to begin with a list, rather than go on from the version seen last.
    lists_anew: bool,
}

/// A kind of failure; further failures of the same kind are not worth another line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    /// No connection, no answer, or an answer that broke off.
    Unreachable,
    /// An answer with this HTTP status.
    Refused(u16),
    /// An answer that makes no sense.
    Unreadable,
}

impl Standing {
    fn new(what: &'static str) -> Self {
        Self { what, trouble: None, backoff: DefaultBackoff::default(), is_fresh: false }
    }

    /// Notes that the API server answers. [`Event::Init`] says only that it is about to be asked.
    fn heard<K>(&mut self, event: &Event<K>) {
        if matches!(event, Event::Init) {
            return;
        }
        self.backoff.reset();
        self.is_fresh = true;
        if self.trouble.take().is_some() {
            tracing::info!("the API server tells of {} again", self.what);
        }
    }

    /// What to do now, and a line in the log if this failure is news.
    fn failed(&mut self, error: &watcher::Error) -> Next {
        let trouble = Trouble::of(error);
        if trouble == Trouble::Refused(410) && std::mem::take(&mut self.is_fresh) {
            tracing::debug!("the version of {} that was seen last has expired; listing them anew", self.what);
            return Next { wait: Duration::ZERO, lists_anew: true };
        }
        if self.trouble.replace(trouble) != Some(trouble) {
            self.log(trouble, error);
        }
        // The backoff never ends; if it did, its longest wait would be right.
        let wait = self.backoff.next().unwrap_or(Duration::from_secs(30));
        Next { wait, lists_anew: trouble.spoils_version() }
    }

    fn log(&self, trouble: Trouble, error: &watcher::Error) {
        let what = self.what;
        let why = explain(error);
        if matches!(trouble, Trouble::Refused(401 | 403)) {
            tracing::error!(
                "the API server does not let us watch {what}: {why}; serving those known so far and trying again"
            );
        } else {
            tracing::warn!(
                "the API server does not tell of {what}: {why}; serving those known so far and trying again"
            );
        }
    }
}

impl Trouble {
    fn of(error: &watcher::Error) -> Self {
        match error {
            watcher::Error::NoResourceVersion => Self::Unreadable,
            watcher::Error::InitialListFailed(kube::Error::SerdeError(_) | kube::Error::FromUtf8(_))
            | watcher::Error::WatchStartFailed(kube::Error::SerdeError(_) | kube::Error::FromUtf8(_))
            | watcher::Error::WatchFailed(kube::Error::SerdeError(_) | kube::Error::FromUtf8(_)) => Self::Unreadable,
            other => answer(other).map_or(Self::Unreachable, |status| Self::Refused(status.code)),
        }
    }

    /// Whether to give up the version seen last: always after an answer, unless that answer is about who asks or how
    /// busy the API server is.
    fn spoils_version(self) -> bool {
        matches!(self, Self::Refused(code) if ![401, 403, 429, 500, 503].contains(&code))
    }
}

/// What the API server answered instead, if it did.
fn answer(error: &watcher::Error) -> Option<&Status> {
    match error {
        watcher::Error::WatchError(status)
        | watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status)) => Some(status),
        _ => None,
    }
}

/// The error with its causes. kube's errors repeat their causes in their own texts, so those are left out.
fn explain(error: &watcher::Error) -> String {
    if let Some(Status { code, reason, message, .. }) = answer(error) {
        return format!("it answers {code} {reason}: {message}");
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let inner = error.to_string();
        if !text.contains(&inner) {
            text.push_str(": ");
            text.push_str(&inner);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
