//! What the gateway says of itself at /metrics, to be asked for by name and label.

use std::collections::BTreeMap;

/// A text of the Prometheus format, of our own gateway: well formed, no braces or escapes in labels.
pub struct Metrics(Vec<Series>);

struct Series {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Metrics {
    /// Reads the text; lines that are none of its series are passed over.
    pub fn read(text: &str) -> Self {
        Self(text.lines().filter(|line| !line.starts_with('#')).filter_map(Series::read).collect())
    }

    /// The sum of all series of this name that bear these labels; zero where there are none.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let of_name = self.0.iter().filter(|series| series.name == name);
        of_name.filter(|series| series.bears(labels)).map(|series| series.value).sum()
    }

    /// The values that `label` has in the series of this name that bear these labels and are not zero.
    pub fn values<'a>(&'a self, name: &str, labels: &[(&str, &str)], label: &str) -> Vec<&'a str> {
        let of_name = self.0.iter().filter(|series| series.name == name && series.value != 0.0);
        of_name.filter(|series| series.bears(labels)).filter_map(|series| Some(&**series.labels.get(label)?)).collect()
    }
}

impl Series {
    fn read(line: &str) -> Option<Self> {
        let (subject, value) = line.rsplit_once(' ')?;
        let (name, labels) = subject.split_once('{').unwrap_or((subject, ""));
        let pairs = labels.trim_end_matches('}').split(',').filter_map(|pair| pair.split_once('='));
        let labels = pairs.map(|(label, value)| (label.to_owned(), value.trim_matches('"').to_owned())).collect();
        Some(Self { name: name.to_owned(), labels, value: value.parse().ok()? })
    }

    fn bears(&self, labels: &[(&str, &str)]) -> bool {
        labels.iter().all(|(label, value)| self.labels.get(*label).is_some_and(|own| own == value))
    }
}
