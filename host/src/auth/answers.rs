//! Answers that are expensive to get and may be believed for a while: asked once, shared, remembered within bounds.
//!
//! In: a question as a [`Digest`], who asks it, and a future that gets the answer. Out: the answer. Of all who ask the
//! same question at once, one future runs; it goes on for as long as any of them waits, and is dropped with the last.
//!
//! Fairness: every answer belongs to an owner, and an owner holds at most a fixed share of the memory, so that one who
//! asks a great many different things displaces only its own answers. Likewise an asker may have only so many questions
//! under way; more wait in that asker's own line and not in everybody's. Within those bounds the answer that was
//! not used for the longest time goes first.
//!
//! Absent on purpose: errors as a notion (an answer says itself how long it may be kept, zero for not at all), tasks
//! (the future runs in those who wait), background sweeping (expired answers are the first to be displaced).

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{Shared, WeakShared};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// What was found out so far, and what is being found out.
pub(super) struct Answers<V: Clone>(Arc<Desk<V>>);

/// How much is remembered and asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Answers in memory.
    pub(super) answers: usize,
    /// Of these, answers that belong to one owner.
    pub(super) answers_per_owner: usize,
    /// Questions that are put at the same time.
    pub(super) at_once: usize,
    /// Of these, questions of one asker.
    pub(super) at_once_per_asker: usize,
}

/// An answer, and what may be done with it.
pub(super) struct Answer<V> {
    pub(super) value: V,
    /// How long it may be given again; zero: only to those who wait for it now.
    pub(super) keep: Duration,
    /// In whose share of the memory it stands.
    pub(super) owner: Digest,
}

/// Stands for a question, an owner or an asker; tells nothing about it to one who reads our memory.
pub(super) type Digest = [u8; 32];

impl<V: Clone + Send + Sync + 'static> Answers<V> {
    pub(super) fn new(limits: Limits) -> Self {
        let board = Board { memory: Memory::new(limits), flights: HashMap::new(), lines: HashMap::new(), flown: 0 };
        Self(Arc::new(Desk { limits, gate: Semaphore::new(limits.at_once), board: Mutex::new(board) }))
    }

    /// The answer from memory, or from the one who is asking already, or from `question`, which is made only then.
    pub(super) async fn ask<F>(&self, key: Digest, asker: Digest, question: impl FnOnce() -> F) -> V
    where
        F: Future<Output = Answer<V>> + Send + 'static,
    {
        let flight = {
            let mut board = self.0.board.lock();
            if let Some(value) = board.memory.recall(&key, Instant::now()) {
                return value;
            }
            match board.flights.get(&key).and_then(|(_, flight)| flight.upgrade()) {
                Some(flight) => flight,
                None => board.start(key, |number| fly(Arc::clone(&self.0), number, key, asker, question())),
            }
        };
        flight.await
    }
}

struct Desk<V: Clone> {
    limits: Limits,
    gate: Semaphore,
    board: Mutex<Board<V>>,
}

struct Board<V: Clone> {
    memory: Memory<V>,
    /// Questions under way, with the number of the flight. Weak, so that a question ends with the last who waits.
    flights: HashMap<Digest, (u64, WeakShared<Flight<V>>)>,
    /// Per asker with questions under way, the line in which they wait.
    lines: HashMap<Digest, Arc<Semaphore>>,
    flown: u64,
}

type Flight<V> = Pin<Box<dyn Future<Output = V> + Send>>;

impl<V: Clone> Board<V> {
    fn start<F>(&mut self, key: Digest, flight: impl FnOnce(u64) -> F) -> Shared<Flight<V>>
    where
        F: Future<Output = V> + Send + 'static,
    {
        self.flown += 1;
        let boxed: Flight<V> = Box::pin(flight(self.flown));
        let shared = boxed.shared();
        let weak = shared.downgrade().expect("a future that was never polled has not ended");
        self.flights.insert(key, (self.flown, weak));
        shared
    }
}

/// Waits for its turn, gets the answer, remembers it.
async fn fly<V: Clone>(
    desk: Arc<Desk<V>>,
    number: u64,
    key: Digest,
    asker: Digest,
    question: impl Future<Output = Answer<V>>,
) -> V {
    // Declared first, dropped last: the line must outlive the places in it.
    let ticket = Ticket::take(&desk, number, key, asker);
    let _own = ticket.line.acquire().await;
    let _all = desk.gate.acquire().await;
    let answer = question.await;
    if !answer.keep.is_zero() {
        let until = Instant::now() + answer.keep;
        desk.board.lock().memory.remember(key, answer.value.clone(), answer.owner, until);
    }
    answer.value
}

/// The right to be on the board; cleans up however the flight ends.
struct Ticket<'a, V: Clone> {
    desk: &'a Desk<V>,
    number: u64,
    key: Digest,
    asker: Digest,
    line: Arc<Semaphore>,
}

impl<'a, V: Clone> Ticket<'a, V> {
    fn take(desk: &'a Desk<V>, number: u64, key: Digest, asker: Digest) -> Self {
        let places = desk.limits.at_once_per_asker;
        let mut board = desk.board.lock();
        let line = Arc::clone(board.lines.entry(asker).or_insert_with(|| Arc::new(Semaphore::new(places))));
        Self { desk, number, key, asker, line }
    }
}

impl<V: Clone> Drop for Ticket<'_, V> {
    fn drop(&mut self) {
        let mut board = self.desk.board.lock();
        // One whose waiters all left may have been replaced already.
        if board.flights.get(&self.key).is_some_and(|(number, _)| *number == self.number) {
            board.flights.remove(&self.key);
        }
        // The line's holders come and go under this lock: the board's and ours are the last two.
        if Arc::strong_count(&self.line) == 2 {
            board.lines.remove(&self.asker);
        }
        // Given up under the lock, so that the count above is right for the next.
        self.line = Arc::new(Semaphore::const_new(0));
    }
}

/// What was answered. Both bounds hold after every call.
struct Memory<V> {
    limits: Limits,
    entries: HashMap<Digest, Entry<V>>,
    /// By last use, the longest unused first.
    order: BTreeMap<u64, Digest>,
    /// Per owner, the last uses of its entries.
    owners: HashMap<Digest, BTreeSet<u64>>,
    used: u64,
}

struct Entry<V> {
    value: V,
    until: Instant,
    owner: Digest,
    last_use: u64,
}

impl<V: Clone> Memory<V> {
    fn new(limits: Limits) -> Self {
        Self { limits, entries: HashMap::new(), order: BTreeMap::new(), owners: HashMap::new(), used: 0 }
    }

    fn recall(&mut self, key: &Digest, now: Instant) -> Option<V> {
        let entry = self.forget(key)?;
        if entry.until <= now {
            return None;
        }
        let value = entry.value.clone();
        self.put(*key, entry);
        Some(value)
    }

    fn remember(&mut self, key: Digest, value: V, owner: Digest, until: Instant) {
        self.forget(&key);
        while let Some(uses) = self.owners.get(&owner).filter(|uses| uses.len() >= self.limits.answers_per_owner) {
            let oldest = *uses.first().expect("an owner without entries is not kept");
            self.forget_used(oldest);
        }
        while self.entries.len() >= self.limits.answers {
            let oldest = *self.order.keys().next().expect("every entry has its place in the order");
            self.forget_used(oldest);
        }
        self.put(key, Entry { value, until, owner, last_use: 0 });
    }

    fn put(&mut self, key: Digest, mut entry: Entry<V>) {
        self.used += 1;
        entry.last_use = self.used;
        self.order.insert(self.used, key);
        self.owners.entry(entry.owner).or_default().insert(self.used);
        self.entries.insert(key, entry);
    }

    fn forget_used(&mut self, last_use: u64) {
        if let Some(key) = self.order.get(&last_use).copied() {
            self.forget(&key);
        }
    }

    fn forget(&mut self, key: &Digest) -> Option<Entry<V>> {
        let entry = self.entries.remove(key)?;
        self.order.remove(&entry.last_use);
        if let Some(uses) = self.owners.get_mut(&entry.owner) {
            uses.remove(&entry.last_use);
            if uses.is_empty() {
                self.owners.remove(&entry.owner);
            }
        }
        Some(entry)
    }
}

/// A key of this process alone, under which digests are made: HMAC-SHA-256 (RFC 2104).
///
/// Random, so that nobody can prepare questions that collide, and so that a digest of a token is worth nothing elsewhere.
#[derive(Clone)]
pub(super) struct Secret([u8; BLOCK]);

/// The block size of SHA-256.
const BLOCK: usize = 64;

impl Secret {
    pub(super) fn random() -> Self {
        let mut key = [0; BLOCK];
        let random = rustls::crypto::ring::default_provider().secure_random;
        random.fill(&mut key).expect("the operating system has random numbers, without which there is no TLS either");
        Self(key)
    }

    /// A digest of the parts; moving bytes from one part to the next changes it.
    pub(super) fn digest(&self, parts: &[&[u8]]) -> Digest {
        let mut inner = Sha256::new_with_prefix(self.0.map(|byte| byte ^ 0x36));
        for part in parts {
            inner.update((part.len() as u64).to_be_bytes());
            inner.update(part);
        }
        let mut outer = Sha256::new_with_prefix(self.0.map(|byte| byte ^ 0x5c));
        outer.update(inner.finalize());
        outer.finalize().into()
    }
}
