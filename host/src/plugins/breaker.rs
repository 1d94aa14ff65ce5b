//! Stops asking a plugin that keeps failing, for a while: its fallback serves at once instead of after another failure.
//!
//! A state machine. In: the time, and how calls ended. Out: whether the next call may be made. Five failures within a
//! minute open it for 30 s. Then one call is tried: if it goes well the breaker closes, otherwise it stays open for twice
//! as long as before, up to ten minutes. One that opens again soon after it closed goes on where it was, so that a
//! plugin which fails for some nodes only is asked less and less instead of every half minute.
//!
//! Absent on purpose: a clock (times are arguments), locks, metrics and log lines, which are `binding`'s.
//!
//! Rule: five, a minute, 30 s and ten minutes are ours. At a resolution of 15 s a node that always fails does so four
//! times a minute, so one bad node alone does not open the breaker of all others.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// As many failures...
const FAILURES: usize = 5;
/// ... within this time open the breaker.
const WITHIN: Duration = Duration::from_secs(60);
/// How long it stays open the first time.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
/// How long at most; a breaker that was closed for this long begins anew.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// A trial that has not reported after this time never will: no wall limit is that long. Another one is made.
const TRIAL: Duration = Duration::from_secs(60);

/// The breaker of one binding.
#[derive(Clone, Debug)]
pub struct Breaker {
    state: State,
    /// How long it is open the next time.
    pause: Duration,
    /// When the latest failures were, the oldest first.
    failures: VecDeque<Instant>,
    /// Counts changes of state: what began before a change has no say after it.
    round: u64,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Since when; None: since the beginning.
    Closed {
        since: Option<Instant>,
    },
    Open {
        until: Instant,
    },
    /// One call is under way, since then.
    HalfOpen {
        since: Instant,
    },
}

/// Permission to make one call, whose end is to be reported.
#[derive(Debug)]
#[must_use = "a call that never reports leaves the breaker half open for a minute"]
pub struct Ticket {
    round: u64,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With an answer that can be believed.
    Well,
    /// Otherwise.
    Badly,
}

/// A change that operators want to hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// No calls are made for this long.
    Opened(Duration),
    /// All calls are made again.
    Closed,
}

/// Where it stands; the numbers are those of the metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// All calls are made.
    Closed = 0,
    /// One call is tried.
    HalfOpen = 1,
    /// No calls are made.
    Open = 2,
}

impl Position {
    /// In a word, as documents have it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half-open",
            Self::Open => "open",
        }
    }
}

impl Default for Breaker {
    fn default() -> Self {
        Self { state: State::Closed { since: None }, pause: FIRST_PAUSE, failures: VecDeque::new(), round: 0 }
    }
}

impl Breaker {
    /// Permission for one call, if there is.
    pub fn admit(&mut self, now: Instant) -> Option<Ticket> {
        match self.state {
            State::Closed { .. } => {}
            State::Open { until } if now < until => return None,
            State::HalfOpen { since } if now.saturating_duration_since(since) < TRIAL => return None,
            State::Open { .. } | State::HalfOpen { .. } => self.enter(State::HalfOpen { since: now }),
        }
        Some(Ticket { round: self.round })
    }

    /// Takes note of how a call ended.
    pub fn report(&mut self, ticket: Ticket, end: End, now: Instant) -> Option<Change> {
        if ticket.round != self.round {
            return None;
        }
        match (self.state, end) {
            (State::Closed { since }, End::Badly) => self.fail(since, now),
            (State::HalfOpen { .. }, End::Badly) => Some(self.open(now)),
            (State::HalfOpen { .. }, End::Well) => {
                self.enter(State::Closed { since: Some(now) });
                Some(Change::Closed)
            }
            (State::Closed { .. }, End::Well) | (State::Open { .. }, _) => None,
        }
    }

    /// Where it stands.
    pub fn position(&self) -> Position {
        match self.state {
            State::Closed { .. } => Position::Closed,
            State::HalfOpen { .. } => Position::HalfOpen,
            State::Open { .. } => Position::Open,
        }
    }

    /// For how much longer no calls are made.
    pub fn open_for(&self, now: Instant) -> Option<Duration> {
        match self.state {
            State::Open { until } => Some(until.saturating_duration_since(now)),
            State::Closed { .. } | State::HalfOpen { .. } => None,
        }
    }

    fn fail(&mut self, closed_since: Option<Instant>, now: Instant) -> Option<Change> {
        self.failures.retain(|failure| now.saturating_duration_since(*failure) < WITHIN);
        self.failures.push_back(now);
        if self.failures.len() < FAILURES {
            return None;
        }
        if closed_since.is_some_and(|since| now.saturating_duration_since(since) >= LONGEST_PAUSE) {
            self.pause = FIRST_PAUSE;
        }
        Some(self.open(now))
    }

    fn open(&mut self, now: Instant) -> Change {
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST_PAUSE);
        self.enter(State::Open { until: now + pause });
        Change::Opened(pause)
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.round += 1;
        self.failures.clear();
    }
}

#[cfg(test)]
mod tests;
