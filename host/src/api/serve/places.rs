//! As many connections as there are places, and whom we part with when there are no more.
//!
//! A connection whose client has not proved who it is (a stranger) has a place only for as long as nobody else needs it:
//! when a client comes and all places are taken, the stranger that has been silent longest has to go. So ten thousand
//! connections that do nothing keep nobody out. Clients that have proved who they are keep their places; they can be
//! called to account. Not counted by address: whole clusters come from behind one.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// How often the log says that there are too many connections.
const SAY_AGAIN: Duration = Duration::from_secs(60);

/// All places.
pub(super) struct Places {
    free: Arc<Semaphore>,
    strangers: Mutex<Strangers>,
}

/// By when they were last heard of.
#[derive(Default)]
struct Strangers {
    by_silence: BTreeMap<Seat, CancellationToken>,
    /// Tells apart those that were heard of at the same time.
    next: u64,
    said_at: Option<Instant>,
}

type Seat = (Instant, u64);

impl Places {
    pub(super) fn new(count: NonZeroUsize) -> Arc<Self> {
        let free = Arc::new(Semaphore::new(count.get().min(Semaphore::MAX_PERMITS)));
        Arc::new(Self { free, strangers: Mutex::default() })
    }

    /// A place for a connection that is there already, if need be that of a stranger.
    pub(super) async fn take(self: &Arc<Self>) -> Place {
        let permit = match Arc::clone(&self.free).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                self.part_with_a_stranger();
                Arc::clone(&self.free).acquire_owned().await.expect("nobody closes the places")
            }
        };
        let evicted = CancellationToken::new();
        let seat = self.strangers.lock().seat(evicted.clone());
        Place { places: Arc::clone(self), seat: Mutex::new(Some(seat)), evicted, _permit: permit }
    }

    /// Tells the stranger that was silent longest to go, if there is one.
    pub(super) fn part_with_a_stranger(&self) {
        let mut strangers = self.strangers.lock();
        let Some((_, evicted)) = strangers.by_silence.pop_first() else { return };
        evicted.cancel();
        if strangers.said_at.is_none_or(|said_at| said_at.elapsed() >= SAY_AGAIN) {
            strangers.said_at = Some(Instant::now());
            warn!(
                "there are as many connections as serving.max_connections or the system allow; closing those of \
                 clients that have not proved who they are, the longest silent first"
            );
        }
    }
}

impl Strangers {
    fn seat(&mut self, evicted: CancellationToken) -> Seat {
        self.next += 1;
        let seat = (Instant::now(), self.next);
        self.by_silence.insert(seat, evicted);
        seat
    }
}

/// A connection's place; free again when it is dropped.
pub(super) struct Place {
    places: Arc<Places>,
    /// None once the client is known.
    seat: Mutex<Option<Seat>>,
    evicted: CancellationToken,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    /// The client did something.
    pub(super) fn note_sign_of_life(&self) {
        let mut own = self.seat.lock();
        let Some(seat) = own.as_mut() else { return };
        let mut strangers = self.places.strangers.lock();
        if let Some(evicted) = strangers.by_silence.remove(seat) {
            *seat = strangers.seat(evicted);
        }
    }

    /// The client has proved who it is.
    pub(super) fn note_known(&self) {
        if let Some(seat) = self.seat.lock().take() {
            self.places.strangers.lock().by_silence.remove(&seat);
        }
    }

    /// Returns when somebody else needs the place.
    pub(super) async fn evicted(&self) {
        self.evicted.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.note_known();
    }
}

#[cfg(test)]
mod tests;
