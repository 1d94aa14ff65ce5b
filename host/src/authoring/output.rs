//! In which form a command writes what it found.

/// For people, or for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// Text in columns.
    Table,
    /// JSON.
    Json,
}
