//! Says over which window usage is computed. This one takes the mean over a fixed span.

use metrics_gateway_sdk::window::prelude::*;

/// What an operator may set.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Over which time: 1s to 1h.
    pub over: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { over: Duration::from_secs(60) }
    }
}

/// The window policy.
pub struct Policy(Settings);

impl Window for Policy {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self, String> {
        in_range("over", settings.over, Duration::from_secs(1)..=Duration::HOUR)?;
        Ok(Self(settings))
    }

    fn history(&self) -> Duration {
        self.0.over
    }

    fn usage(&self, series: &Series<'_>) -> Option<Usage> {
        series.within(self.0.over).mean()
    }
}

metrics_gateway_sdk::export_window!(Policy);

#[cfg(test)]
mod tests {
    use metrics_gateway_sdk::testing::History;

    use super::*;

    #[test]
    fn the_rate_is_the_mean_over_the_span() {
        let policy = Policy::new(Settings { over: Duration::from_secs(30) }).unwrap();
        let rates = [900, 100, 300].map(Nanocores::from_millicores);
        let history = History::every(Duration::from_secs(15)).cpu_rates(rates);
        let usage = policy.usage(&history.series()).unwrap();
        assert_eq!(usage.cpu, Nanocores::from_millicores(200));
    }
}
