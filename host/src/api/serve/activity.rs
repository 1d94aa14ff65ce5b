//! What happens on one connection, and when it has taken too long.
//!
//! A client has [`HEADER_TIME`] for its first request, and over HTTP/1.1 for the head of any other once it has begun;
//! the same time as upstream. Between requests it may be silent for [`IDLE_TIME`]. An answer over HTTP/1.1 that the
//! client does not take within the request timeout is cut off with its connection; HTTP/2 has a limit for each stream
//! instead, see [`super::streams`].

use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::inlet::{Heads, Held, Standing};

/// As upstream (Go's `http.Server.ReadHeaderTimeout` there).
pub(super) const HEADER_TIME: Duration = Duration::from_secs(32);
/// As upstream.
pub(super) const IDLE_TIME: Duration = Duration::from_secs(90);

/// What a connection is spoken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// How a connection ends that has taken too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Nobody needs it any more.
    Idle,
    /// It is cut off, because of this.
    Cut(&'static str),
}

/// One connection's.
pub(super) struct Activity {
    protocol: Protocol,
    /// For one answer, over HTTP/1.1.
    answer_time: Duration,
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    /// Requests that are being answered.
    requests: usize,
    /// Whether there ever was one.
    is_used: bool,
    /// When `requests` last changed.
    changed_at: Instant,
    /// Bytes that have come since the last request began.
    unread: usize,
    /// When the first of them came.
    unread_since: Option<Instant>,
    held: Held,
}

impl Activity {
    pub(super) fn new(protocol: Protocol, answer_time: Duration, heads: Heads) -> Arc<Self> {
        let state = State {
            requests: 0,
            is_used: false,
            changed_at: Instant::now(),
            unread: 0,
            unread_since: None,
            held: Held::new(heads),
        };
        Arc::new(Self { protocol, answer_time, state: Mutex::new(state), changed: Notify::new() })
    }

    /// Counts bytes that have come.
    pub(super) fn note_read(&self, bytes: usize) -> io::Result<()> {
        let mut state = self.state.lock();
        state.unread += bytes;
        if state.unread_since.is_none() {
            state.unread_since = Some(Instant::now());
            self.changed.notify_one();
        }
        state.held.add(bytes)
    }

    /// The client has proved who it is.
    pub(super) fn set_standing(&self, standing: Standing) {
        self.state.lock().held.set_standing(standing);
    }

    /// Counts a request until the guard is dropped, which is when its body is written.
    pub(super) fn begin(self: &Arc<Self>) -> Busy {
        let mut state = self.state.lock();
        state.requests += 1;
        state.is_used = true;
        state.changed_at = Instant::now();
        state.unread_since = None;
        let head = std::mem::take(&mut state.unread);
        self.changed.notify_one();
        Busy { activity: Arc::clone(self), head }
    }

    /// Returns when the connection has taken too long.
    pub(super) async fn end(&self) -> End {
        loop {
            let next = self.state.lock().next_end(self.protocol, self.answer_time);
            let due = async {
                match next {
                    Some((at, end)) => {
                        tokio::time::sleep_until(at).await;
                        end
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // In this order: what has just happened may have moved the end.
                biased;
                () = self.changed.notified() => {}
                end = due => return end,
            }
        }
    }
}

impl State {
    /// When the connection has taken too long if nothing happens until then.
    fn next_end(&self, protocol: Protocol, answer_time: Duration) -> Option<(Instant, End)> {
        match (self.requests, protocol) {
            (0, _) if !self.is_used => Some((self.changed_at + HEADER_TIME, End::Cut("no request came in time"))),
            (0, _) => Some(match self.unread_since.filter(|_| protocol == Protocol::Http1) {
                Some(since) => (since + HEADER_TIME, End::Cut("the head of a request did not come in time")),
                None => (self.changed_at + IDLE_TIME, End::Idle),
            }),
            (_, Protocol::Http1) => {
                Some((self.changed_at + answer_time, End::Cut("the client did not take its answer in time")))
            }
            (_, Protocol::Http2) => None,
        }
    }
}

/// A request that is being answered, its body included.
pub struct Busy {
    activity: Arc<Activity>,
    /// How many bytes it came in.
    head: usize,
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut state = self.activity.state.lock();
        state.requests = state.requests.saturating_sub(1);
        state.changed_at = Instant::now();
        state.held.remove(self.head);
        self.activity.changed.notify_one();
    }
}

#[cfg(test)]
mod tests;
