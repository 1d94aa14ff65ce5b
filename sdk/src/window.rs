//! The hook `window`: over which window usage is computed.
//!
//! Asked at every scrape about all containers of one tenant on one node together, or about the node itself. Write a
//! [`Window`] and hand it to [`export_window!`](crate::export_window). The arithmetic of counters, restarts and gaps is in
//! [`Series`](crate::Series) and [`Interval`](crate::Interval): most policies are a few lines on top of it.

use crate::settings::Settings;
use crate::{Batch, Duration, Series, Usage};

/// What a plugin for this hook needs.
pub mod prelude {
    pub use serde::Deserialize;

    pub use super::Window;
    pub use crate::settings::{JsonSchema, NoSettings, in_range};
    pub use crate::{Batch, Bytes, Duration, Interval, Nanocores, Sample, Series, Subject, Time, Usage};
    pub use crate::{debug, error, info, trace, warn};
}

/// Decides what is served of a history of samples.
pub trait Window: Sized + 'static {
    /// What an operator may set; `NoSettings` for a plugin without.
    type Settings: Settings;

    /// Takes the settings. Called once in every instance, before any question.
    ///
    /// # Errors
    /// A sentence that names the setting in quotes and says what would do. It refuses the configuration.
    fn new(settings: Self::Settings) -> Result<Self, String>;

    /// How far back samples are wanted: none to [an hour](Duration::HOUR). The operator may set another span, so a series
    /// may hold more or less.
    fn history(&self) -> Duration;

    /// What is to be served of one container, or of the node; None: nothing at this scrape.
    fn usage(&self, series: &Series<'_>) -> Option<Usage>;

    /// One answer per series. To be written only where the answer on one depends on the others.
    fn measure(&self, batch: &Batch) -> Vec<Option<Usage>> {
        batch.series().map(|series| self.usage(&series)).collect()
    }
}
