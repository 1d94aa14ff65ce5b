//! `plugin test`: the author's cases and the built-in ones, against a plugin.
//!
//! In: a .wasm file and a file of cases. Out: a line per case, the differences of those that failed, and an exit code: 0
//! where all passed, 1 where one did not. Fuel is counted exactly, so a bound on it means the same on every machine.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::{Value, json};

use super::cases::{Case, CaseFile, Trial, differences};
use super::guest::{Counting, Guest, GuestArgs, settings};
use super::properties::{Ask as _, Finding, Life, Outcome, Permutation, Plugin as _, Reuse, Terms, examine};
use super::question::name_of;
use super::table::table;
use crate::plugins::call::PluginError;
use crate::plugins::wit::exports::metrics_gateway::policy::plugin::Info;

/// Tests a plugin: with your cases, and with those that every plugin has to pass
#[derive(Clone, Debug, Args)]
pub struct TestArgs {
    #[command(flatten)]
    guest: GuestArgs,
    /// Cases: questions with the answers that you expect
    #[arg(long, value_name = "FILE")]
    cases: Option<PathBuf>,
    /// Settings for the built-in cases, as JSON or @FILE; otherwise those of the first case of each hook
    #[arg(long, value_name = "JSON")]
    settings: Option<String>,
    /// The most fuel that a row may take where a full node is asked about
    #[arg(long, value_name = "FUEL")]
    max_fuel_per_row: Option<u64>,
    /// Whether a filter whose verdicts depend on the order of containers fails
    #[arg(long, value_enum, default_value = "note")]
    permutation: Permutation,
    /// The plugin is to be run with `reuse`: an instance whose memory grows from call to call fails
    #[arg(long)]
    reuse: bool,
    /// How it is written
    #[arg(short, long, value_enum, default_value = "table")]
    output: TestOutput,
}

/// For people, for programs, for CI servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum TestOutput {
    /// Text.
    Table,
    /// JSON.
    Json,
    /// The XML that CI servers read.
    Junit,
}

/// Does it.
///
/// # Errors
/// Where the plugin cannot be run, or the file of cases not be read.
pub(super) fn run(args: &TestArgs) -> Result<ExitCode> {
    let cases = args.cases.as_ref().map(|file| {
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        Ok::<_, anyhow::Error>(CaseFile::read(&file.display().to_string(), &text)?.cases)
    });
    let cases = cases.transpose()?.unwrap_or_default();
    let guest = Guest::load(&args.guest.file, args.guest.limits.limits(), Counting::Fuel)?;
    let info = guest.describe()?;
    let report = Report {
        of_author: cases.iter().map(|case| try_case(&guest, case)).collect(),
        built_in: examine(&guest, &terms(args, &guest, &cases, &info)?),
        info,
    };
    match args.output {
        TestOutput::Table => print!("{}", report.text()),
        TestOutput::Json => println!("{:#}", report.json()),
        TestOutput::Junit => print!("{}", report.junit()),
    }
    Ok(if report.failures() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn terms(args: &TestArgs, guest: &Guest, cases: &[Case], info: &Info) -> Result<Terms> {
    let said = args.settings.as_deref().map(settings).transpose()?;
    let of_first_case = |hook| {
        let asks = |case: &&Case| matches!(&case.trial, Trial::Ask(question, _) if question.hook() == hook);
        cases.iter().find(asks).map(|case| case.settings.clone())
    };
    let settings =
        guest.hooks().into_iter().filter_map(|hook| Some((hook, said.clone().or_else(|| of_first_case(hook))?)));
    Ok(Terms {
        settings: settings.collect(),
        schema: info.settings_schema.clone(),
        max_fuel_per_row: args.max_fuel_per_row,
        permutation: args.permutation,
        reuse: if args.reuse { Reuse::On } else { Reuse::Off },
    })
}

/// Tries one of the author's cases.
fn try_case(guest: &Guest, case: &Case) -> Finding {
    let bound = guest.bind(&case.settings, Life::OneCall);
    let (hook, rows, outcome, fuel) = match &case.trial {
        Trial::Refuse(text) => (None, None, refuses(bound.configure().map_err(|failed| failed.error), text), None),
        Trial::Ask(question, expected) => {
            let called = bound.ask(question);
            let fuel = called.as_ref().ok().and_then(|called| called.fuel);
            let lines = match &called {
                Ok(called) => differences(question, expected, &called.answer),
                Err(failed) => vec![format!("it {failed}")],
            };
            (Some(question.hook()), Some(question.rows()), of_lines(lines), fuel)
        }
    };
    let mut outcome = within_fuel(outcome, fuel, case.fuel);
    if let Outcome::Failed(lines) = &mut outcome {
        lines.extend(bound.take_lines().into_iter().map(|line| format!("it logged {line}")));
    }
    Finding { name: case.name.clone(), hook, outcome, fuel, rows }
}

fn of_lines(lines: Vec<String>) -> Outcome {
    if lines.is_empty() { Outcome::Passed } else { Outcome::Failed(lines) }
}

fn refuses<T>(configured: Result<T, PluginError>, text: &str) -> Outcome {
    match configured {
        Err(PluginError::Refused(why)) if why.contains(text) => Outcome::Passed,
        Err(PluginError::Refused(why)) => {
            Outcome::Failed(vec![format!("expected a refusal with {text:?}, got one with {why:?}")])
        }
        Err(error) => Outcome::Failed(vec![format!("expected a refusal with {text:?}, but it {error}")]),
        Ok(_) => Outcome::Failed(vec![format!("expected a refusal with {text:?}, but it takes the settings")]),
    }
}

fn within_fuel(outcome: Outcome, fuel: Option<u64>, most: Option<u64>) -> Outcome {
    let (Some(fuel), Some(most)) = (fuel, most) else { return outcome };
    if fuel <= most {
        return outcome;
    }
    let line = format!("takes {fuel} of fuel, and may take {most}");
    match outcome {
        Outcome::Failed(mut lines) => {
            lines.push(line);
            Outcome::Failed(lines)
        }
        Outcome::Passed | Outcome::Noted(_) => Outcome::Failed(vec![line]),
    }
}

/// What came of all cases.
struct Report {
    info: Info,
    of_author: Vec<Finding>,
    built_in: Vec<Finding>,
}

impl Report {
    fn failures(&self) -> usize {
        self.all().filter(|(_, finding)| finding.outcome.is_failure()).count()
    }

    /// Each with whose case it was.
    fn all(&self) -> impl Iterator<Item = (&'static str, &Finding)> {
        let of_author = self.of_author.iter().map(|finding| ("yours", finding));
        of_author.chain(self.built_in.iter().map(|finding| ("built-in", finding)))
    }

    fn text(&self) -> String {
        let rows: Vec<Vec<String>> = self.all().map(|(whose, finding)| row(whose, finding)).collect();
        let cases = table(&["result", "case", "hook", "of", "rows", "fuel", "per row"], &rows);
        let mut lines = cases.lines();
        let mut text = format!("{} {}\n{}\n", self.info.name, self.info.version, lines.next().unwrap_or_default());
        for (line, (_, finding)) in lines.zip(self.all()) {
            text.push_str(&format!("{line}\n"));
            for remark in remarks(&finding.outcome) {
                text.push_str(&format!("          {remark}\n"));
            }
        }
        let (all, failed) = (rows.len(), self.failures());
        text.push_str(&format!("{} of {all} passed, {failed} failed\n", all - failed));
        text
    }

    fn json(&self) -> Value {
        let case = |(whose, finding): (&str, &Finding)| {
            json!({
                "of": whose, "case": finding.name, "hook": finding.hook.map(name_of), "result": word(&finding.outcome),
                "remarks": remarks(&finding.outcome), "rows": finding.rows, "fuel": finding.fuel,
            })
        };
        json!({
            "plugin": self.info.name, "version": self.info.version, "failed": self.failures(),
            "cases": self.all().map(case).collect::<Vec<_>>(),
        })
    }

    fn junit(&self) -> String {
        let name = xml(&self.info.name);
        let (all, failed) = (self.of_author.len() + self.built_in.len(), self.failures());
        let mut text = format!("<testsuite name=\"{name}\" tests=\"{all}\" failures=\"{failed}\">\n");
        for (whose, finding) in self.all() {
            let class = format!("{name}.{}.{}", finding.hook.map_or("plugin", name_of), whose);
            text.push_str(&format!("  <testcase classname=\"{class}\" name=\"{}\">", xml(&finding.name)));
            if finding.outcome.is_failure() {
                text.push_str(&format!("<failure>{}</failure>", xml(&remarks(&finding.outcome).join("\n"))));
            }
            text.push_str("</testcase>\n");
        }
        text + "</testsuite>\n"
    }
}

fn row(whose: &str, finding: &Finding) -> Vec<String> {
    let number = |number: Option<u64>| number.map_or_else(String::new, |number| number.to_string());
    let per_row = finding.fuel.zip(finding.rows).filter(|(_, rows)| *rows > 0).map(|(fuel, rows)| fuel / rows as u64);
    vec![
        word(&finding.outcome).to_owned(),
        finding.name.clone(),
        finding.hook.map_or("", name_of).to_owned(),
        whose.to_owned(),
        number(finding.rows.map(|rows| rows as u64)),
        number(finding.fuel),
        number(per_row),
    ]
}

fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "ok",
        Outcome::Noted(_) => "note",
        Outcome::Failed(_) => "FAILED",
    }
}

fn remarks(outcome: &Outcome) -> Vec<&str> {
    match outcome {
        Outcome::Passed => Vec::new(),
        Outcome::Noted(line) => vec![line],
        Outcome::Failed(lines) => lines.iter().map(String::as_str).collect(),
    }
}

fn xml(text: &str) -> String {
    let safe: String = text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect();
    safe.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests;
