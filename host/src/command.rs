//! The commands beside running: `metrics-gateway config …`, `pki` for operators, `metrics-gateway plugin …` for plugin authors.
//!
//! In: the words after the program's name, the first of which is one of [`COMMANDS`](crate::args::COMMANDS). Out: what they print, and an exit
//! code: 0 where all is well, 1 where what was looked at has problems, 2 where the words make no sense.
//!
//! metrics-server has no commands and ignores words that are no flags, so a command is only recognised in the first
//! place: `--kubeconfig config` stays what it was. What follows is read by clap, because no client knows its texts from
//! upstream; flags of metrics-server stay with [`args`](crate::args).

mod cluster;
mod config;
mod doctor;
mod explain;
mod gateway;
mod pki;
mod status;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;

use crate::authoring;

/// A command line that begins with a command.
#[derive(Debug, Parser)]
#[command(name = "metrics-gateway", disable_help_subcommand = true)]
enum Command {
    /// Checks gateway.toml, and explains what it means for whom.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    Doctor(doctor::DoctorCommand),
    /// Makes the certificates of the aggregation layer.
    Pki(pki::PkiArgs),
    /// Says why a running gateway serves a pod or a node as it does, or why it does not.
    #[command(subcommand)]
    Explain(explain::ExplainCommand),
    /// Makes, tests and measures plugins.
    #[command(subcommand)]
    Plugin(authoring::PluginCommand),
    /// Shows how a running gateway fares: nodes, tenants, plugins, generation, latency.
    Status(status::StatusCommand),
}

/// Reads the words after the program's name and does what they ask for.
pub fn run(words: Vec<OsString>) -> ExitCode {
    let program = OsString::from("metrics-gateway");
    let command = match Command::try_parse_from(std::iter::once(program).chain(words)) {
        Ok(command) => command,
        Err(error) => return tell(&error),
    };
    let done = match command {
        Command::Config(command) => config::run(command),
        Command::Doctor(command) => doctor::run(command),
        Command::Pki(args) => pki::run(&args),
        Command::Explain(command) => explain::run(command),
        Command::Plugin(command) => authoring::run(command),
        Command::Status(command) => status::run(command),
    };
    done.unwrap_or_else(|error| {
        eprintln!("{error:#}");
        ExitCode::FAILURE
    })
}

/// Help goes to standard output, with 0; a word that makes no sense to standard error, with 2.
fn tell(error: &clap::Error) -> ExitCode {
    // Nobody is left to tell where the output is closed.
    let _ = error.print();
    let _ = std::io::stdout().flush();
    u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}
