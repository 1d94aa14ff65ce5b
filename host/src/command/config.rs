//! `metrics-gateway config …`: what a gateway.toml says, without running it.
//!
//! `check` prints every problem, a line each, or the policies in force for whom. `explain` says to which tenant a namespace
//! belongs, why, and what becomes of a pod's containers there. Both load and rehearse the plugins as the gateway would, so
//! that what they say is what it would do; nothing is asked of a cluster.

mod effective;
mod explain;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use serde_json::{Value, json};

use crate::args::{self, Args, Invocation};
use crate::config::{self, Config, Problems};
use crate::generations::{Loader as _, Sandbox, without_plugins};
use crate::plugins::load::{Facts, Loaded};
use crate::telemetry::{self, Metrics};
use explain::Question;

/// `metrics-gateway config …`
#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Prints every problem of a gateway.toml, or the policies that it puts in force, and for whom.
    ///
    /// Ends with 0 if the gateway would take it over, and with 1 if it would not.
    Check {
        #[command(flatten)]
        options: Options,
        /// Says nothing of artifacts: neither reads nor tries them.
        #[arg(long)]
        no_plugins: bool,
        /// The file.
        file: PathBuf,
        /// The gateway's flags, as in its manifest; options of this command go before the file.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        flags: Vec<OsString>,
    },
    /// Says to which tenant a namespace belongs, why, and which policies it has.
    ///
    /// With --containers the filters are asked what becomes of them.
    Explain {
        #[command(flatten)]
        options: Options,
        /// The file.
        #[arg(long = "config", value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        question: Question,
        /// The gateway's flags, as in its manifest; options of this command go before NAMESPACE.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        flags: Vec<OsString>,
    },
}

#[derive(Debug, ClapArgs)]
pub(super) struct Options {
    /// For people, or for programs.
    #[arg(short, long, value_enum, default_value = "text")]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
}

/// What there is to print.
struct Answer {
    text: String,
    json: Value,
}

/// Does it.
///
/// # Errors
/// With what makes it impossible, apart from problems of the file: those are an answer.
pub(super) fn run(command: ConfigCommand) -> Result<ExitCode> {
    let (output, file, flags) = match &command {
        ConfigCommand::Check { options, file, flags, .. } | ConfigCommand::Explain { options, file, flags, .. } => {
            (options.output, file, flags)
        }
    };
    let args = gateway_args(file, flags)?;
    let (config, warnings) = match load(&args) {
        Ok(loaded) => loaded,
        Err(problems) => return Ok(print_problems(output, &problems)),
    };
    warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
    telemetry::start_log(&config.logging);
    let answer = match command {
        ConfigCommand::Check { no_plugins: true, .. } => Ok(effective::answer(&config, None, &warnings)),
        ConfigCommand::Check { .. } => {
            load_plugins(&config).map(|loaded| effective::answer(&config, Some(&loaded.plugins), &warnings))
        }
        ConfigCommand::Explain { question, .. } => match question.asks_filters() {
            false => Ok(explain::answer(&config.policies, &question, None)),
            true => {
                load_plugins(&config).map(|loaded| explain::answer(&config.policies, &question, Some(&loaded.tenants)))
            }
        },
    };
    match answer {
        Ok(answer) => {
            match output {
                Output::Text => print!("{}", answer.text),
                Output::Json => println!("{:#}", answer.json),
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(Failure::Problems(problems)) => Ok(print_problems(output, &problems)),
        Err(Failure::Other(error)) => Err(error),
    }
}

/// The gateway's own arguments, with this file.
fn gateway_args(file: &std::path::Path, flags: &[OsString]) -> Result<Args> {
    let mut config = OsString::from("--config=");
    config.push(file);
    // Last, so that it wins over the path that the file has in a cluster.
    match args::parse(flags.iter().cloned().chain([config]))? {
        Invocation::Run(args) => Ok(*args),
        Invocation::Help(_) | Invocation::Version | Invocation::Command(_) => {
            anyhow::bail!("these are no flags to run the gateway with (options of this command go before the file)")
        }
    }
}

fn load(args: &Args) -> Result<(Config, Vec<String>), Problems> {
    let (mut config, warnings) = config::load(args)?;
    // That the gateway would start without its policies does not make them good.
    match config.policies_set_aside.take() {
        Some(problems) => Err(problems),
        None => Ok((config, warnings)),
    }
}

enum Failure {
    Problems(Problems),
    Other(anyhow::Error),
}

/// As the gateway loads them at its start.
fn load_plugins(config: &Config) -> Result<Loaded, Failure> {
    let (policies, addresses) = (&config.policies, &config.scrape.addresses);
    if policies.plugins.is_empty() {
        let tenants = without_plugins(policies, 1, addresses.clone());
        return Ok(Loaded { tenants, plugins: Facts::new() });
    }
    let runtime = tokio::runtime::Runtime::new().context("cannot start threads").map_err(Failure::Other)?;
    let metrics = Arc::new(Metrics::new(config.scrape.resolution));
    let loader = Sandbox::new(config, metrics);
    runtime.block_on(loader.load(policies, 1, addresses)).map_err(Failure::Problems)
}

fn print_problems(output: Output, problems: &Problems) -> ExitCode {
    match output {
        Output::Text => println!("{problems}"),
        Output::Json => {
            let problem = |problem: &config::Problem| {
                let place = problem.place();
                json!({
                    "file": place.map(|place| &*place.file),
                    "line": place.map(|place| place.line),
                    "key": place.map(|place| &place.key),
                    "text": problem.text(),
                })
            };
            println!("{:#}", json!({ "problems": problems.0.iter().map(problem).collect::<Vec<_>>() }));
        }
    }
    ExitCode::FAILURE
}
