//! Serves the last good usage on while a container restarts or its counter falls, instead of nothing.
//!
//! In: the samples of one container or node. Out: what is between the last two samples; where there is no rate, the same of
//! the newest two that have one, with their time, window and memory, as long as they are not older than `max_age`. None:
//! there is no such rate. It holds through gaps in the counter, not in the scrapes: what is served while a node does not
//! answer is the gateway's to decide (`history.hold`).

use metrics_gateway_sdk::window::prelude::*;

/// What an operator may set.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How much older than the newest sample the usage may be: 1s to 58m. By default 1m.
    pub max_age: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { max_age: Duration::from_secs(60) }
    }
}

/// The window policy.
pub struct HoldLast {
    max_age: Duration,
}

/// The longest distance of two scrapes whose rate is held: the samples before `max_age` are wanted too.
const LONGEST_INTERVAL: Duration = Duration::from_secs(120);

impl Window for HoldLast {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self, String> {
        let longest = Duration::from_secs(58 * 60);
        Ok(Self { max_age: in_range("max_age", settings.max_age, Duration::from_secs(1)..=longest)? })
    }

    fn history(&self) -> Duration {
        self.max_age.plus(LONGEST_INTERVAL)
    }

    fn usage(&self, series: &Series<'_>) -> Option<Usage> {
        let newest = series.newest()?.taken_at;
        let usage = series.intervals().rev().find_map(|interval| interval.usage())?;
        (newest.since(usage.taken_at) <= self.max_age).then_some(usage)
    }
}

metrics_gateway_sdk::export_window!(HoldLast);

#[cfg(test)]
mod tests;
