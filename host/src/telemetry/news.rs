//! Changes that somebody outside may want to hear of, beside the log: refused generations and opened breakers.
//!
//! In: [`News`], from wherever it happens. Out: a channel to the one who listens, if anybody does. Telling never blocks and
//! never fails: with nobody listening it costs one look, and what the listener has no room for is lost, as the log has it.
//!
//! Absent on purpose: who listens, and what becomes of it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::mpsc;

/// As many as wait for the listener; a configuration has more bindings only in the largest clusters.
const ROOM: usize = 64;

/// Something changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A generation was refused, and the one with this number stays in force.
    GenerationRefused {
        /// The one that stays.
        number: u64,
        /// All problems.
        problems: String,
    },
    /// After a refusal, all is well again.
    GenerationApplied {
        /// The one in force.
        number: u64,
        /// What has changed since the one before; empty where the file says again what was in force.
        changes: String,
    },
    /// A plugin keeps failing and is not asked for a while.
    BreakerOpened {
        /// Which policy of whom.
        policy: String,
        /// For how long.
        pause: Duration,
        /// The last failure.
        failure: String,
        /// What serves in its place.
        fallback: String,
    },
    /// It is asked as before.
    BreakerClosed {
        /// Which policy of whom.
        policy: String,
    },
}

/// Tells the one who listens; its clones tell the same one.
#[derive(Clone, Debug, Default)]
pub struct Herald(Arc<OnceLock<mpsc::Sender<News>>>);

impl Herald {
    /// What is told from now on; None: somebody listens already.
    pub fn listen(&self) -> Option<mpsc::Receiver<News>> {
        let (sender, receiver) = mpsc::channel(ROOM);
        self.0.set(sender).ok().map(|()| receiver)
    }

    /// Tells, if anybody listens.
    pub fn tell(&self, news: impl FnOnce() -> News) {
        if let Some(listener) = self.0.get() {
            // Full: the listener cannot keep up, and must not hold up whoever tells.
            let _ = listener.try_send(news());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn news_reach_the_one_who_listens_and_nobody_waits_for_them() {
        let herald = Herald::default();
        herald.tell(|| unreachable!("nobody listens, so nothing is put into words"));
        let mut listener = herald.listen().expect("the first may listen");
        assert!(herald.listen().is_none(), "the second may not");
        let closed = |number: usize| News::BreakerClosed { policy: number.to_string() };
        (0..ROOM + 10).for_each(|number| herald.clone().tell(|| closed(number)));
        for number in 0..ROOM {
            assert_eq!(listener.recv().await, Some(closed(number)));
        }
        assert!(listener.try_recv().is_err(), "what there was no room for is lost");
    }
}
