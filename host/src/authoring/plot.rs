//! `plugin plot`: what window policies make of a scenario, as a picture.
//!
//! In: policies (a file with settings each) and the name of a [`Scenario`]. Out: an SVG, and in it what upstream's rule
//! serves beside what each policy does. Where a policy fails, there is no picture but the failure.

mod figure;
mod svg;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use serde_json::{Map, Value};

use super::guest::{Counting, Guest, LimitArgs, settings};
use super::properties::{Ask, Life};
use super::question::{Answer, ContainerName, Histories, History, Hook, Question, show_time};
use super::replay::Replay;
use super::scenario::{Kind, Scenario, scenario};
use figure::{Curve, MOST_CURVES, draw};

/// Draws what window policies make of ten minutes in the life of a container
#[derive(Clone, Debug, Args)]
pub struct PlotArgs {
    /// A .wasm file with a window policy; drawn once for each --settings
    file: Option<PathBuf>,
    /// Settings of FILE, as JSON or @FILE; may be repeated
    #[arg(long, value_name = "JSON", requires = "file")]
    settings: Vec<String>,
    /// A further policy, as NAME=FILE or NAME=FILE,JSON; may be repeated
    #[arg(long, value_name = "POLICY", value_parser = policy, required_unless_present = "file")]
    policy: Vec<Policy>,
    /// What happens to the container
    #[arg(long, value_enum, default_value = "spike")]
    scenario: Kind,
    /// How far back the policies see; otherwise as far as each asks for
    #[arg(long, value_name = "DURATION", value_parser = super::guest::duration)]
    history: Option<Duration>,
    /// Where the picture goes
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    limits: LimitArgs,
}

/// A plugin with settings, and what it is called in the legend.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Policy {
    name: String,
    file: PathBuf,
    settings: String,
}

/// Does it.
///
/// # Errors
/// Where a policy cannot be run or fails, or the picture cannot be written.
pub(super) fn run(args: &PlotArgs) -> Result<ExitCode> {
    let policies = policies(args)?;
    let most = MOST_CURVES - 1;
    ensure!(
        policies.len() <= most,
        "{} policies cannot be told apart in one picture; draw {most} at most",
        policies.len()
    );
    let scenario = scenario(args.scenario);
    let mut curves = vec![last_two(&scenario)];
    for policy in &policies {
        let guest = Guest::load(&policy.file, args.limits.limits(), Counting::Time)?;
        let served = serve(&guest, policy, &scenario, args.history)
            .with_context(|| format!("cannot draw {:?} of {}", policy.name, policy.file.display()))?;
        curves.push(Curve { name: policy.name.clone(), served });
    }
    let output = args.output.display();
    std::fs::write(&args.output, draw(&scenario, &curves)).with_context(|| format!("cannot write {output}"))?;
    println!("wrote {output}");
    Ok(ExitCode::SUCCESS)
}

fn policies(args: &PlotArgs) -> Result<Vec<Policy>> {
    let mut policies = Vec::new();
    if let Some(file) = &args.file {
        let stem = file.file_stem().unwrap_or_default().to_string_lossy();
        let none = ["{}".to_owned()];
        let all = if args.settings.is_empty() { none.as_slice() } else { &args.settings };
        for text in all {
            let settings = settings(text)?;
            policies.push(Policy { name: named_by(&stem, &settings), file: file.clone(), settings });
        }
    }
    for policy in &args.policy {
        policies.push(Policy { settings: settings(&policy.settings)?, ..policy.clone() });
    }
    Ok(policies)
}

/// `NAME=FILE[,JSON]`; the settings begin with a brace, or with an @ where they stand in a file.
fn policy(text: &str) -> Result<Policy, String> {
    let refused = || format!("{text:?} is no policy (write for example 'fast=ewma.wasm,{{\"half_life\":\"30s\"}}')");
    let (name, rest) = text.split_once('=').ok_or_else(refused)?;
    let comma = [",{", ",@"].iter().filter_map(|begin| rest.find(begin)).min();
    let (file, settings) = comma.map_or((rest, "{}"), |comma| (&rest[..comma], &rest[comma + 1..]));
    if name.is_empty() || file.is_empty() {
        return Err(refused());
    }
    Ok(Policy { name: name.to_owned(), file: file.into(), settings: settings.to_owned() })
}

/// `ewma, half_life 30s`
fn named_by(stem: &str, settings: &str) -> String {
    let settings: Map<String, Value> = serde_json::from_str(settings).unwrap_or_default();
    let mut name = stem.to_owned();
    for (key, value) in &settings {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        name.push_str(&format!(", {key} {value}"));
    }
    name
}

fn last_two(scenario: &Scenario) -> Curve {
    let mut replay = Replay::default();
    let served = scenario.samples.iter().map(|sample| {
        replay.push(*sample);
        replay.last_two().ok()
    });
    Curve { name: "last-two".to_owned(), served: served.collect() }
}

fn serve(
    guest: &Guest,
    policy: &Policy,
    scenario: &Scenario,
    history: Option<Duration>,
) -> Result<Vec<Option<crate::model::Usage>>> {
    ensure!(guest.answers(Hook::Window), "it is no window policy: it does not export the interface `window`");
    let bound = guest.bind(&policy.settings, Life::OneCall);
    let history = match history {
        Some(history) => history,
        None => bound.history()?,
    };
    let mut replay = Replay::default();
    let mut served = Vec::new();
    for sample in &scenario.samples {
        replay.push(*sample);
        let question = Question::Window(about(replay.history(history)));
        let called = bound.ask(&question).with_context(|| format!("at {}", show_time(sample.taken_at)))?;
        let Answer::Usages(usages) = called.answer else { continue };
        served.push(usages.into_iter().next().flatten());
    }
    Ok(served)
}

fn about(samples: &[crate::model::Sample]) -> Histories {
    let container = ContainerName { namespace: "shop".to_owned(), pod: "cart-1".to_owned(), name: "app".to_owned() };
    Histories {
        node: "node-1".to_owned(),
        series: vec![History { container: Some(container), samples: samples.to_vec() }],
    }
}

#[cfg(test)]
mod tests;
