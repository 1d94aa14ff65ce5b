//! `metrics-gateway plugin …`: what plugin authors need.

pub mod cases;
pub mod guest;
pub mod hostile;
pub mod plot;
pub mod properties;
pub mod question;
pub mod replay;
pub mod scenario;
pub mod typical;

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

/// `metrics-gateway plugin …`
#[derive(Debug, Subcommand)]
pub enum PluginCommand {}

/// Does it.
///
/// # Errors
/// With what makes it impossible.
pub fn run(command: PluginCommand) -> Result<ExitCode> {
    match command {}
}
