//! Readings of one container or node one after another, and what upstream's rule and a window policy are shown of them.
//!
//! As the store does it: upstream's rule sees one run of a container and knows its birth; a policy sees every reading
//! of its history, restarts included.

use std::time::Duration;

use crate::model::policy::{NoUsage, birth, is_same_run, last_two};
use crate::model::{Sample, Usage};

/// How often kubelets are asked by default; it decides which births count.
const RESOLUTION: Duration = Duration::from_secs(15);

/// The readings so far.
#[derive(Clone, Debug, Default)]
pub struct Replay {
    all: Vec<Sample>,
    run: Vec<Sample>,
}

impl Replay {
    /// Adds a reading. One that repeats a time, or goes back in time, takes the place of those it contradicts.
    pub fn push(&mut self, sample: Sample) {
        let is_contradicted = |last: &Sample| last.taken_at >= sample.taken_at;
        if let Some(birth) = birth(&sample, RESOLUTION) {
            self.run = vec![birth];
        } else if self.run.last().is_some_and(|last| !is_same_run(&sample, last.taken_at)) {
            self.run.clear();
        }
        while self.run.pop_if(|last| is_contradicted(last)).is_some() {}
        while self.all.pop_if(|last| is_contradicted(last)).is_some() {}
        self.run.push(sample);
        self.all.push(sample);
    }

    /// What upstream's rule serves.
    ///
    /// # Errors
    /// Why it serves nothing.
    pub fn last_two(&self) -> Result<Usage, NoUsage> {
        last_two(&self.run)
    }

    /// The readings at most `history` older than the newest, and at least the latest two.
    pub fn history(&self, history: Duration) -> &[Sample] {
        let Some(newest) = self.all.last() else { return &[] };
        let first = self.all.partition_point(|sample| newest.taken_at.since(sample.taken_at) > history);
        &self.all[first.min(self.all.len().saturating_sub(2))..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authoring::scenario::{Kind, scenario};

    #[test]
    fn a_history_has_the_latest_two_however_short_it_is() {
        let mut replay = Replay::default();
        assert_eq!(replay.history(Duration::ZERO), []);
        for sample in scenario(Kind::Steps).samples {
            replay.push(sample);
        }
        assert_eq!(replay.history(Duration::ZERO).len(), 2);
        assert_eq!(replay.history(Duration::from_secs(60)).len(), 5);
        assert_eq!(replay.history(Duration::from_secs(3_600)).len(), 40);
    }

    #[test]
    fn a_restart_ends_the_run_and_not_the_history() {
        let mut replay = Replay::default();
        let scenario = scenario(Kind::Restart);
        let after = scenario.samples.iter().position(|sample| sample.started_at > scenario.samples[0].taken_at);
        let after = after.expect("it restarts");
        for sample in &scenario.samples[..=after] {
            replay.push(*sample);
        }
        assert_eq!(replay.run.len(), 1, "{:?}", replay.run);
        assert_eq!(replay.last_two(), Err(NoUsage::TooFew));
        assert_eq!(replay.history(Duration::from_secs(30)).len(), 3);
    }

    #[test]
    fn a_reading_takes_the_place_of_those_it_contradicts() {
        let mut replay = Replay::default();
        let samples = scenario(Kind::Spike).samples;
        for sample in [samples[0], samples[1], samples[1], samples[2], samples[1]] {
            replay.push(sample);
        }
        assert_eq!(replay.history(Duration::MAX), &samples[..2]);
        assert_eq!(replay.last_two().map(|usage| usage.taken_at), Ok(samples[1].taken_at));
    }
}
