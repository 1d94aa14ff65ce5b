//! The hooks `filter` and `filter-by-value`: which containers are served.
//!
//! A [`Filter`] sees names and labels. It is asked about all containers of one tenant on one node together, and asked
//! again when one comes or goes or a label changes; until then its verdicts are remembered, so it costs almost nothing.
//! Hand it to [`export_filter!`](crate::export_filter). A [`ValueFilter`] is asked besides, at every scrape, about those
//! containers alone that it gave [`Verdict::ByValue`]: [`export_value_filter!`](crate::export_value_filter).

use crate::settings::Settings;
use crate::{Labels, Series};

/// What a plugin for these hooks needs.
pub mod prelude {
    pub use serde::Deserialize;

    pub use super::{Filter, Pod, ValueFilter, Verdict};
    pub use crate::settings::{JsonSchema, LabelMatch, NoSettings, Pattern, in_range};
    pub use crate::{Bytes, Duration, Labels, Nanocores, Series, debug, error, info, trace, warn};
}

/// Decides by names and labels which containers are served. Write [`verdict`](Filter::verdict), or
/// [`classify`](Filter::classify) where a container's fate depends on the others.
pub trait Filter: Sized + 'static {
    /// What an operator may set; `NoSettings` for a plugin without.
    type Settings: Settings;

    /// Takes the settings. Called once in every instance, before any question.
    ///
    /// # Errors
    /// A sentence that names the setting in quotes and says what would do. It refuses the configuration.
    fn new(settings: Self::Settings) -> Result<Self, String>;

    /// What is to be done with one container of a pod.
    fn verdict(&self, pod: &Pod, container: &str) -> Verdict {
        let _ = (pod, container);
        Verdict::Keep
    }

    /// One verdict per container, in the order of the pods and of the containers in each. Pods are sorted by namespace
    /// and name; a call holds at most 4,096 containers, all of one tenant on one node.
    fn classify(&self, pods: &[Pod]) -> Vec<Verdict> {
        let verdicts_of = |pod| move |container: &String| self.verdict(pod, container);
        pods.iter().flat_map(|pod| pod.containers.iter().map(verdicts_of(pod))).collect()
    }
}

/// Decides by names, labels and use which containers are served.
pub trait ValueFilter: Filter {
    /// What is to be done with a container at this scrape. Asked only about containers whose [`Verdict`] is
    /// [`ByValue`](Verdict::ByValue); that answer here means to keep. A series holds the latest two samples at most.
    fn screen(&self, series: &Series<'_>) -> Verdict;
}

/// What is served of a container. A pod is served without its dropped containers, and not at all without any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// All of it.
    Keep,
    /// Nothing of it.
    Drop,
    /// Its CPU rate alone.
    CpuOnly,
    /// Its memory alone.
    MemoryOnly,
    /// That depends on what it uses: [`ValueFilter::screen`] is asked at every scrape.
    ByValue,
}

/// A pod, and those of its containers that its kubelet reports.
#[derive(Clone, Debug, Default)]
pub struct Pod {
    /// Its namespace. Example: `shop`.
    pub namespace: String,
    /// Its name. Example: `cart-7d9f`.
    pub name: String,
    /// The name of the node it runs on. Example: `node-7`.
    pub node: String,
    /// Its labels.
    pub labels: Labels,
    /// The labels of its namespace; empty unless the gateway's configuration selects a tenant by such labels or asks for
    /// them.
    pub namespace_labels: Labels,
    /// The names of its containers, sorted; at least one.
    pub containers: Vec<String>,
}
