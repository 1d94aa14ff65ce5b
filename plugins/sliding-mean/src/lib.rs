//! Serves the mean rate over a fixed span of time.
//!
//! In: the samples of one container or node. Out: the core time used between the samples within the span, by the time
//! between them; the newest memory. Of intervals in which the container restarted or its counter fell neither counts. The
//! window reaches from the oldest to the newest sample that has a rate beside it: at most the span, but for a span shorter
//! than the distance of scrapes, where the last two samples are taken. None: there is no rate.

use metrics_gateway_sdk::window::prelude::*;

/// What an operator may set.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Over which time: 1s to 1h. By default 2m.
    pub over: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { over: Duration::from_secs(120) }
    }
}

/// The window policy.
pub struct SlidingMean {
    over: Duration,
}

impl Window for SlidingMean {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self, String> {
        Ok(Self { over: in_range("over", settings.over, Duration::from_secs(1)..=Duration::HOUR)? })
    }

    fn history(&self) -> Duration {
        self.over
    }

    fn usage(&self, series: &Series<'_>) -> Option<Usage> {
        series.within(self.over).mean()
    }
}

metrics_gateway_sdk::export_window!(SlidingMean);

#[cfg(test)]
mod tests;
