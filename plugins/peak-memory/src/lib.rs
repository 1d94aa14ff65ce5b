//! Serves the most memory that was used within a span of time, so that a brief peak is not lost between two looks.
//!
//! In: the samples of one container or node. Out: the largest memory of the samples within the span, before a restart and
//! after; the CPU rate, the window and the time are those between the last two samples, as without a policy. None: there
//! is no rate between the last two.

use metrics_gateway_sdk::window::prelude::*;

/// What an operator may set.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Over which time the peak is looked for: 1s to 1h. By default 5m.
    pub over: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { over: Duration::from_secs(300) }
    }
}

/// The window policy.
pub struct PeakMemory {
    over: Duration,
}

impl Window for PeakMemory {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self, String> {
        Ok(Self { over: in_range("over", settings.over, Duration::from_secs(1)..=Duration::HOUR)? })
    }

    fn history(&self) -> Duration {
        self.over
    }

    fn usage(&self, series: &Series<'_>) -> Option<Usage> {
        let memory = series.within(self.over).samples().map(|sample| sample.memory).max()?;
        Some(Usage { memory, ..series.last_two()? })
    }
}

metrics_gateway_sdk::export_window!(PeakMemory);

#[cfg(test)]
mod tests;
