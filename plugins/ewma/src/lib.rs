//! Serves an average in which the newest samples weigh most: with every half-life of age the weight halves.
//!
//! In: the samples of one container or node, over five half-lives; older ones would weigh 3 % together. Out: the mean of
//! the rates between neighbouring samples, each weighed by the time that it covers and by its age, so that irregular scrapes
//! and gaps shift nothing; the newest memory. The window reaches from the oldest to the newest sample that has a rate beside
//! it. An interval in which the container restarted or its counter fell has no rate and no weight: what came before
//! is served on, ages, and ends after five half-lives. None: there is no rate at all, as after a first sample.

use metrics_gateway_sdk::window::prelude::*;

/// What an operator may set.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// After which age a sample weighs half as much: 1s to 12m. By default 1m.
    pub half_life: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { half_life: Duration::from_secs(60) }
    }
}

/// The window policy.
pub struct Ewma {
    half_life: Duration,
}

impl Window for Ewma {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self, String> {
        // Five times the longest is the hour that a gateway keeps.
        let half_life = in_range("half_life", settings.half_life, Duration::from_secs(1)..=Duration::from_secs(720))?;
        Ok(Self { half_life })
    }

    fn history(&self) -> Duration {
        self.half_life.times(5)
    }

    fn usage(&self, series: &Series<'_>) -> Option<Usage> {
        let series = series.within(self.history());
        let newest = series.newest()?.taken_at;
        let (mut sum, mut weights) = (0.0, 0.0);
        for interval in series.intervals() {
            let Some(rate) = interval.rate() else { continue };
            let weight = self.weight(newest.since(interval.to.taken_at), interval.span());
            sum += weight * rate.get() as f64;
            weights += weight;
        }
        // Half a nanocore more, as the cast cuts off.
        series.usage_at(Nanocores::new((sum / weights + 0.5) as u64)).filter(|_| weights > 0.0)
    }
}

impl Ewma {
    /// What a span weighs that ended at an age: the integral of the falling weight over it, but for a factor.
    fn weight(&self, age: Duration, span: Duration) -> f64 {
        let half_lives = |time: Duration| time.as_secs_f64() / self.half_life.as_secs_f64();
        (-half_lives(age)).exp2() * -(-half_lives(span) * std::f64::consts::LN_2).exp_m1()
    }
}

metrics_gateway_sdk::export_window!(Ewma);

#[cfg(test)]
mod tests;
