//! Quantiles of histograms, as a person wants to see them at once: from all series of a family together, as Prometheus'
//! `histogram_quantile` reckons them.
//!
//! They are as good as the buckets are: within one, values are taken to be spread evenly, and what lies above the last
//! bound is told as that bound.

use prometheus::core::Collector;

/// The observations of a family.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spread {
    /// How many there are.
    pub count: u64,
    /// Upper bounds, rising, and how many observations lie at or below each.
    buckets: Vec<(f64, u64)>,
}

impl Spread {
    /// Of all series of a histogram together.
    pub fn of(histogram: &impl Collector) -> Self {
        let mut spread = Self::default();
        for family in histogram.collect() {
            for metric in family.get_metric() {
                let histogram = metric.get_histogram();
                spread.count += histogram.get_sample_count();
                let buckets = histogram.get_bucket();
                spread.buckets.resize(spread.buckets.len().max(buckets.len()), (0.0, 0));
                for (sum, bucket) in spread.buckets.iter_mut().zip(buckets) {
                    *sum = (bucket.upper_bound(), sum.1 + bucket.cumulative_count());
                }
            }
        }
        spread
    }

    /// The value that this share of the observations does not exceed; None: there are no observations.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        if self.count == 0 {
            return None;
        }
        let rank = share.clamp(0.0, 1.0) * self.count as f64;
        let (mut lower, mut below) = (0.0, 0);
        for (upper, at_or_below) in self.buckets.iter().copied().filter(|(upper, _)| upper.is_finite()) {
            if at_or_below as f64 >= rank && at_or_below > below {
                let within = (rank - below as f64) / (at_or_below - below) as f64;
                return Some(lower + (upper - lower) * within);
            }
            (lower, below) = (upper, at_or_below);
        }
        Some(lower)
    }
}

#[cfg(test)]
mod tests {
    use prometheus::{HistogramOpts, HistogramVec};

    use super::*;

    #[test]
    fn quantiles_are_those_of_all_series_together_and_end_with_the_last_bound() {
        let opts = HistogramOpts::new("h", "h").buckets(vec![1.0, 2.0, 4.0]);
        let family = HistogramVec::new(opts, &["label"]).unwrap();
        assert_eq!(Spread::of(&family).quantile(0.5), None);
        for value in [0.5, 0.5] {
            family.with_label_values(&["a"]).observe(value);
        }
        for value in [1.5, 100.0] {
            family.with_label_values(&["b"]).observe(value);
        }
        let spread = Spread::of(&family);
        assert_eq!(spread.count, 4);
        assert_eq!([0.25, 0.5, 0.75, 1.0].map(|share| spread.quantile(share)), [0.5, 1.0, 2.0, 4.0].map(Some));
    }
}
