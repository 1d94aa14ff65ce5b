//! `metrics-gateway config …`: what a gateway.toml says, without running it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Subcommand;

/// `metrics-gateway config …`
#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Prints every problem of a gateway.toml, or the policies that it puts in force.
    Check {
        /// The file.
        file: PathBuf,
        /// The gateway's flags, as in its manifest.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        flags: Vec<OsString>,
    },
}

/// Does it.
///
/// # Errors
/// With what makes it impossible.
pub(super) fn run(command: ConfigCommand) -> Result<ExitCode> {
    let ConfigCommand::Check { file, .. } = command;
    bail!("cannot check {}: not written yet", file.display())
}
