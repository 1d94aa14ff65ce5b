//! Arguments, log, configuration, gateway, end.

use std::process::ExitCode;

use anyhow::Result;
use metrics_gateway::app::App;
use metrics_gateway::args::{self, Args, Invocation};
use metrics_gateway::command;
use metrics_gateway::config::{self, Config, Problems};
use metrics_gateway::shutdown::Signals;
use metrics_gateway::telemetry;
use tracing::{error, warn};

fn main() -> ExitCode {
    match args::parse(std::env::args_os().skip(1)) {
        Ok(Invocation::Help(text)) => print(&text),
        Ok(Invocation::Version) => print(concat!("v", env!("CARGO_PKG_VERSION"))),
        Ok(Invocation::Command(words)) => command::run(words),
        Ok(Invocation::Run(args)) => match config::load(&args) {
            Ok((config, warnings)) => run(*args, config, &warnings),
            Err(problems) => refuse(&problems.to_string()),
        },
        Err(error) => refuse(&error.to_string()),
    }
}

fn print(text: &str) -> ExitCode {
    println!("{text}");
    ExitCode::SUCCESS
}

/// What was asked for makes no sense: as upstream, on standard error and with 2.
fn refuse(why: &str) -> ExitCode {
    eprintln!("{why}\nsee --help for the flags");
    ExitCode::from(2)
}

fn run(args: Args, config: Config, warnings: &[String]) -> ExitCode {
    telemetry::start_log(&config.logging);
    for warning in warnings {
        warn!("{warning}");
    }
    match serve(args, config) {
        Ok(()) => ExitCode::SUCCESS,
        // A plugin that cannot be loaded is a problem of the file as any other; it only takes longer to find.
        Err(error) if error.is::<Problems>() => refuse(&error.to_string()),
        Err(error) => {
            error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn serve(args: Args, config: Config) -> Result<()> {
    let mut signals = Signals::listen()?;
    let app = tokio::select! {
        app = App::build(args, config) => app?,
        _ = signals.next() => return Ok(()),
    };
    app.run(signals).await
}
