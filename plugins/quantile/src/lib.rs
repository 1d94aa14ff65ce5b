//! Serves a quantile of the CPU rates within a span of time: what a container stays below for most of it.
//!
//! In: the samples of one container or node. Out: the lowest of the rates between neighbouring samples that was not exceeded
//! for the asked part of the time, each rate counting with the time that it covers; the newest memory. So it is always a
//! rate that there was. Intervals in which the container restarted or its counter fell do not count. The window reaches from
//! the oldest to the newest sample that has a rate beside it. None: there is no rate.

use metrics_gateway_sdk::window::prelude::*;

/// What an operator may set.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Which part of the time the rate was not exceeded: 0.01 to 1. By default 0.95; 0.5 is the median, 1 the peak.
    pub quantile: f64,
    /// Over which time: 1s to 1h. By default 5m.
    pub over: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { quantile: 0.95, over: Duration::from_secs(300) }
    }
}

/// The window policy.
pub struct Quantile {
    quantile: f64,
    over: Duration,
}

impl Window for Quantile {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self, String> {
        let quantile = in_range("quantile", settings.quantile, 0.01..=1.0)?;
        let over = in_range("over", settings.over, Duration::from_secs(1)..=Duration::HOUR)?;
        Ok(Self { quantile, over })
    }

    fn history(&self) -> Duration {
        self.over
    }

    fn usage(&self, series: &Series<'_>) -> Option<Usage> {
        let series = series.within(self.over);
        let rated = |interval: Interval| Some((interval.rate()?, interval.span().as_secs_f64()));
        let mut rates: Vec<(Nanocores, f64)> = series.intervals().filter_map(rated).collect();
        rates.sort_by_key(|(rate, _)| *rate);
        series.usage_at(self.of(&rates)?)
    }
}

impl Quantile {
    /// Of rates in their order, each with its seconds.
    fn of(&self, rates: &[(Nanocores, f64)]) -> Option<Nanocores> {
        let total: f64 = rates.iter().map(|(_, seconds)| seconds).sum();
        // A billionth less, so that 0.95 of twenty is nineteen whatever the sums were rounded to.
        let asked = total * self.quantile * (1.0 - 1e-9);
        let mut below = 0.0;
        let is_reached = |(_, seconds): &&(Nanocores, f64)| {
            below += seconds;
            below >= asked
        };
        rates.iter().find(is_reached).or(rates.last()).map(|(rate, _)| *rate)
    }
}

metrics_gateway_sdk::export_window!(Quantile);

#[cfg(test)]
mod tests;
