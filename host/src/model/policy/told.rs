//! What policies tell of themselves beside their answers, for those who ask why something is served or not.
//!
//! None of it decides anything: an answer is the same whether or not anybody notes what is told here.

use std::sync::Arc;
use std::time::Duration;

use super::Verdict;

/// As many filters as a chain has at most.
pub const MOST_FILTERS: usize = 8;

/// Who spoke, where a policy was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Voice {
    /// The policy itself.
    #[default]
    Policy,
    /// It left the decision to the built-in rule.
    BuiltIn,
    /// Its fallback, because it failed or was not asked.
    Fallback,
}

/// What one filter of a chain said of one container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Opinion {
    /// It was not asked: an earlier one had dropped the container.
    #[default]
    NotAsked = 0,
    /// All of it is served.
    Keep = 1,
    /// CPU alone is served.
    CpuOnly = 2,
    /// Memory alone is served.
    MemoryOnly = 3,
    /// Nothing is served.
    Drop = 4,
    /// That depends on its values at each scrape.
    ByValue = 5,
    /// It failed, and containers are kept in that case.
    FellBackToKeep = 6,
    /// It failed, and containers are dropped in that case.
    FellBackToDrop = 7,
}

impl Opinion {
    const ALL: [Self; 8] = [
        Self::NotAsked,
        Self::Keep,
        Self::CpuOnly,
        Self::MemoryOnly,
        Self::Drop,
        Self::ByValue,
        Self::FellBackToKeep,
        Self::FellBackToDrop,
    ];

    /// A verdict as the opinion of the one who gave it.
    pub fn of(verdict: Verdict, voice: Voice) -> Self {
        match (verdict.cpu, verdict.memory, voice) {
            (false, false, Voice::Fallback) => Self::FellBackToDrop,
            (_, _, Voice::Fallback) => Self::FellBackToKeep,
            _ if verdict.by_value != 0 => Self::ByValue,
            (true, true, _) => Self::Keep,
            (true, false, _) => Self::CpuOnly,
            (false, true, _) => Self::MemoryOnly,
            (false, false, _) => Self::Drop,
        }
    }

    /// Whether it leaves CPU, and whether memory.
    pub fn serves(self) -> (bool, bool) {
        match self {
            Self::CpuOnly => (true, false),
            Self::MemoryOnly => (false, true),
            Self::Drop | Self::FellBackToDrop => (false, false),
            Self::NotAsked | Self::Keep | Self::ByValue | Self::FellBackToKeep => (true, true),
        }
    }

    /// In a word, as documents have it.
    pub fn word(self) -> &'static str {
        match self {
            Self::NotAsked => "not-asked",
            Self::Keep => "keep",
            Self::CpuOnly => "cpu-only",
            Self::MemoryOnly => "memory-only",
            Self::Drop => "drop",
            Self::ByValue => "by-value",
            Self::FellBackToKeep => "failed-keep",
            Self::FellBackToDrop => "failed-drop",
        }
    }
}

/// What the filters of a chain said of one container, in half a word of memory: there is one for each container of a
/// tenant that has filters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Opinions(u32);

impl Opinions {
    const BITS: usize = 4;

    /// Takes down what a filter said; the first is 0.
    pub fn note(&mut self, filter: usize, opinion: Opinion) {
        if filter < MOST_FILTERS {
            let shift = filter * Self::BITS;
            self.0 = self.0 & !(0xf << shift) | (opinion as u32) << shift;
        }
    }

    /// What a filter said.
    pub fn of(self, filter: usize) -> Opinion {
        let bits = if filter < MOST_FILTERS { self.0 >> (filter * Self::BITS) & 0xf } else { 0 };
        Opinion::ALL.get(bits as usize).copied().unwrap_or_default()
    }
}

/// How a policy fares that may fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// `address`, `filter` or `window`.
    pub hook: &'static str,
    /// The plugin's name in gateway.toml.
    pub plugin: Arc<str>,
    /// Whose policy it is: the name of a tenant, or `node-pool/` and that of a node pool.
    pub owner: String,
    /// What serves in its place, as the end of "fell back to …".
    pub fallback: &'static str,
    /// `closed`: it is asked; `half-open`: one question is tried; `open`: it is not asked for a while.
    pub breaker: &'static str,
    /// For how much longer the breaker is open.
    pub open_for: Option<Duration>,
    /// Since when it has been failing, if it is.
    pub failing: Option<Failing>,
}

/// A time in which a policy fails, not necessarily always.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failing {
    /// How long ago it began.
    pub began: Duration,
    /// How long ago it failed last.
    pub last: Duration,
    /// How many times it has failed.
    pub times: u64,
    /// The kind of the latest failure, a fixed word.
    pub kind: &'static str,
    /// The latest failure in words; one line.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_filters_have_their_say_in_four_bytes_and_none_overwrites_another() {
        let mut opinions = Opinions::default();
        for (filter, opinion) in Opinion::ALL.into_iter().enumerate() {
            opinions.note(filter, Opinion::Keep);
            opinions.note(filter, opinion);
        }
        opinions.note(8, Opinion::Drop);
        let said: Vec<Opinion> = (0..8).map(|filter| opinions.of(filter)).collect();
        assert_eq!((said.as_slice(), opinions.of(8)), (&Opinion::ALL[..], Opinion::NotAsked));
        assert_eq!(size_of::<Opinions>(), 4);
    }
}
