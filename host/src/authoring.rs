//! `metrics-gateway plugin …`: what plugin authors run.
//!
//! The production host is used as a library: the same engine, the same limits, the same words of the contract, the same
//! checks of answers. What passes here is believed there. In: files and arguments. Out: text, JSON or a picture on
//! standard output, and an exit code: 1 where the plugin is at fault.
//!
//! [`question`] has the nouns; [`cases`], [`hostile`], [`typical`], [`captures`] and [`scenario`] make questions of files and
//! out of nothing; [`guest`] puts them to a plugin, [`properties`] to anything that answers. Then come the commands. `new`
//! and `build`, which make plugins, can be left out of the program: without the feature `authoring`.
//!
//! Absent on purpose: serving, Kubernetes, fallbacks.

pub mod bench;
#[cfg(feature = "authoring")]
pub mod build;
pub mod captures;
pub mod cases;
pub mod guest;
pub mod hostile;
pub mod inspect;
#[cfg(feature = "authoring")]
pub mod new;
pub mod output;
pub mod plot;
pub mod properties;
pub mod question;
pub mod replay;
pub mod run;
pub mod scenario;
pub mod table;
pub mod test;
pub mod typical;

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

/// `metrics-gateway plugin …`
#[derive(Debug, Subcommand)]
pub enum PluginCommand {
    #[cfg(feature = "authoring")]
    New(new::NewArgs),
    #[cfg(feature = "authoring")]
    Build(build::BuildArgs),
    Inspect(inspect::InspectArgs),
    Test(test::TestArgs),
    Run(run::RunArgs),
    Bench(bench::BenchArgs),
    Plot(plot::PlotArgs),
}

/// Does it.
///
/// # Errors
/// With what makes it impossible.
pub fn run(command: PluginCommand) -> Result<ExitCode> {
    match command {
        #[cfg(feature = "authoring")]
        PluginCommand::New(args) => new::run(&args),
        #[cfg(feature = "authoring")]
        PluginCommand::Build(args) => build::run(&args),
        PluginCommand::Inspect(args) => inspect::run(&args),
        PluginCommand::Test(args) => test::run(&args),
        PluginCommand::Run(args) => run::run(&args),
        PluginCommand::Bench(args) => bench::run(&args),
        PluginCommand::Plot(args) => plot::run(&args),
    }
}
