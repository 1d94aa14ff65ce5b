//! Cases that an author wrote: questions, each with the answer that is expected of the plugin.
//!
//! In: a TOML file ([`CaseFile::read`]). Out: [`Case`]s, or every problem of the file with its line; then, of each case and
//! the plugin's answer, the differences, one line each.
//!
//! A filter's pods are put in the order in which the gateway asks, by namespace and name, together with what is expected
//! of them. Times are relative to a fixed epoch ([`EPOCH`](super::question::EPOCH)), so that a case says the same for ever.
//!
//! Absent on purpose: running the plugin, and the cases that every plugin has to pass
//! ([`properties`](super::properties)).

mod differences;
mod read;
mod values;

pub use differences::{differences, show_usage};
pub use values::parse_bytes;

use super::question::{Choice, Code, Question};
use crate::config::Problems;
use crate::model::Usage;

/// The cases of one file, in its order.
#[derive(Clone, Debug, PartialEq)]
pub struct CaseFile {
    /// At least one.
    pub cases: Vec<Case>,
}

impl CaseFile {
    /// Reads the text of the file that the command line calls `file`.
    ///
    /// # Errors
    /// Every problem of the file, in the order of the lines.
    pub fn read(file: &str, text: &str) -> Result<Self, Problems> {
        read::cases(file, text).map(|cases| Self { cases }).map_err(Problems)
    }
}

/// One case.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// `name`
    pub name: String,
    /// The line that it begins on.
    pub line: usize,
    /// `settings`, as JSON.
    pub settings: String,
    /// What is done, and what must come of it.
    pub trial: Trial,
    /// `fuel`: the most that `configure` and the call may use together.
    pub fuel: Option<u64>,
}

/// What a case tries.
#[derive(Clone, Debug, PartialEq)]
pub enum Trial {
    /// `refuse`: the settings must be refused with an error that contains this text.
    Refuse(String),
    /// `expect`: the question must be answered so.
    Ask(Box<Question>, Expectation),
}

/// The answer that is expected.
#[derive(Clone, Debug, PartialEq)]
pub enum Expectation {
    /// Of the address hook.
    Address(Choice),
    /// Of the filter hooks, one per row.
    Verdicts(Vec<Code>),
    /// Of the window hook.
    Usages {
        /// One per row; None: nothing is to be served.
        rows: Vec<Option<Usage>>,
        /// How far a CPU rate may be off, relative to the expected one.
        tolerance: f64,
    },
}

#[cfg(test)]
mod tests;
