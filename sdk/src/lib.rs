//! What a plugin for metrics-gateway is written with.
//!
//! A plugin answers one or more of three questions: where a node's kubelet is asked ([`address`]), which containers are
//! served ([`filter`]), and over which window usage is computed ([`window`]). This is a whole one:
//!
//! ```
//! use metrics_gateway_sdk::filter::prelude::*;
//!
//! /// The settings, as an operator writes them in `gateway.toml`.
//! #[derive(Default, Deserialize, JsonSchema)]
//! #[serde(deny_unknown_fields, default)]
//! pub struct Settings {
//!     /// The names of the containers that are not served.
//!     containers: Vec<Pattern>,
//! }
//!
//! struct SkipSidecars(Settings);
//!
//! impl Filter for SkipSidecars {
//!     type Settings = Settings;
//!
//!     fn new(settings: Settings) -> Result<Self, String> {
//!         Ok(Self(settings))
//!     }
//!
//!     fn verdict(&self, _pod: &Pod, container: &str) -> Verdict {
//!         let is_sidecar = self.0.containers.iter().any(|pattern| pattern.matches(container));
//!         if is_sidecar { Verdict::Drop } else { Verdict::Keep }
//!     }
//! }
//!
//! metrics_gateway_sdk::export_filter!(SkipSidecars);
//! ```
//!
//! The plugin's name, version and description are those of its `Cargo.toml`. It runs in a sandbox without a clock,
//! randomness, files or network: its answer depends on the question and the settings alone, and every call finds a fresh
//! instance. So it is tested natively, by `cargo test`, with what [`testing`] offers; the contract that it keeps stands in
//! `wit/policy.wit`.
//!
//! What fails: settings of another form are refused with the name of the setting; a panic is written to the gateway's log
//! and costs that one call, for which the operator's fallback serves.

// What the derived schemas call this crate, here as in a plugin.
extern crate self as metrics_gateway_sdk;

pub mod address;
pub mod filter;
#[doc(hidden)]
pub mod guest;
mod labels;
pub mod log;
mod series;
pub mod settings;
pub mod testing;
mod units;
pub mod window;

pub use labels::Labels;
pub use series::{Batch, Interval, Sample, Series, Subject, Usage};
pub use units::{Bytes, Duration, Nanocores, Time, UnitError};
