//! `plugin run`: what a plugin says to what a real cluster said.
//!
//! In: captures of one kubelet in the order of time (`/metrics/resource` or `/stats/summary`), or Node objects. Out: what a
//! window policy serves beside upstream's rule, what a filter keeps, where an address policy dials.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use serde_json::{Value, json};

use super::captures::{Capture, Series, captures, nodes, pod_labels, pods};
use super::guest::{Bound, Counting, Guest, GuestArgs, settings};
use super::output::Output;
use super::properties::{Ask, Life};
use super::question::{
    Answer, Choice, Code, HOOKS, Histories, Hook, Question, name_of, show_cpu, show_duration, show_memory,
};
use super::table::table;
use crate::model::policy::{AddressPolicy, PreferredAddresses};
use crate::model::{Node, Usage};

/// Shows what a plugin says to what a real cluster said
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    guest: GuestArgs,
    /// The hook that is asked; may be left out where the plugin has one
    #[arg(long, value_name = "HOOK", value_parser = hook)]
    hook: Option<Hook>,
    /// Answers of one kubelet in the order of time, text or JSON; for the address hook `kubectl get nodes -o json`
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    input: Vec<PathBuf>,
    /// The plugin's settings, as JSON or @FILE
    #[arg(long, value_name = "JSON", default_value = "{}")]
    settings: String,
    /// The name of the node that the answers are of
    #[arg(long, value_name = "NAME", default_value = "node-1")]
    node: String,
    /// `kubectl get pods -A -o json`, for the labels that a filter is shown
    #[arg(long, value_name = "FILE")]
    pods: Option<PathBuf>,
    /// How far back a window policy sees; otherwise as far as it asks for
    #[arg(long, value_name = "DURATION", value_parser = super::guest::duration)]
    history: Option<Duration>,
    /// How it is written
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
}

fn hook(text: &str) -> Result<Hook, String> {
    let known = HOOKS.iter().find(|(name, _)| *name == text);
    known.map(|(_, hook)| *hook).ok_or_else(|| {
        let names = HOOKS.map(|(name, _)| name).join(", ");
        format!("there is no hook {text:?}, but {names}")
    })
}

/// Does it.
///
/// # Errors
/// Where the plugin cannot be run or fails, or a file is not what it should be.
pub(super) fn run(args: &RunArgs) -> Result<ExitCode> {
    let guest = Guest::load(&args.guest.file, args.guest.limits.limits(), Counting::Time)?;
    let bound = guest.bind(&settings(&args.settings)?, Life::OneCall);
    let shown = match chosen(&guest, args.hook)? {
        Hook::Address => run_address(&bound, args),
        Hook::Filter | Hook::FilterByValue => run_filter(&bound, args),
        Hook::Window => run_window(&bound, args),
    };
    for line in bound.take_lines() {
        eprintln!("the plugin logged {line}");
    }
    let Shown { text, json } = shown?;
    match args.output {
        Output::Table => print!("{text}"),
        Output::Json => println!("{json:#}"),
    }
    Ok(ExitCode::SUCCESS)
}

/// The hook that was asked for, or the only one there is. Screening by value comes with the filter.
fn chosen(guest: &Guest, asked: Option<Hook>) -> Result<Hook> {
    let answered: Vec<Hook> = HOOKS.into_iter().map(|(_, hook)| hook).filter(|hook| guest.answers(*hook)).collect();
    let names = answered.iter().map(|hook| name_of(*hook)).collect::<Vec<_>>().join(", ");
    match asked {
        Some(hook) => {
            ensure!(answered.contains(&hook), "the plugin does not answer the hook {}, but {names}", name_of(hook));
            Ok(hook)
        }
        None => {
            let main: Vec<Hook> = answered.into_iter().filter(|hook| *hook != Hook::FilterByValue).collect();
            ensure!(main.len() == 1, "the plugin answers {names}: say with --hook which is to be asked");
            Ok(main[0])
        }
    }
}

/// The same twice: for people, and for programs.
struct Shown {
    text: String,
    json: Value,
}

fn run_window(bound: &Bound, args: &RunArgs) -> Result<Shown> {
    let history = match args.history {
        Some(history) => history,
        None => bound.history()?,
    };
    let mut series = Series::default();
    let (mut text, mut rows_of_all) = (String::new(), Vec::new());
    for capture in captures(&args.input)? {
        series.push(&capture);
        let mut rows = Vec::new();
        for batch in series.batches(&capture, &args.node, history) {
            if batch.series.is_empty() {
                continue;
            }
            let usages = measure(bound, &batch).with_context(|| format!("at {}", capture.name))?;
            rows.extend(batch.series.iter().zip(usages).map(|(of, usage)| Row {
                subject: of.subject(),
                samples: of.samples.len(),
                usage,
                last_two: series.last_two(of.container.as_ref()),
            }));
        }
        text.push_str(&heading(&capture));
        text.push_str(&table(&WINDOW_HEADINGS, &rows.iter().map(Row::entries).collect::<Vec<_>>()));
        let rows: Vec<Value> = rows.iter().map(Row::json).collect();
        rows_of_all.push(json!({ "capture": capture.name, "left_out": capture.left_out, "usages": rows }));
    }
    let json = json!({ "hook": "window", "history": history.as_secs_f64(), "captures": rows_of_all });
    Ok(Shown { text, json })
}

fn measure(bound: &Bound, batch: &Histories) -> Result<Vec<Option<Usage>>> {
    match bound.ask(&Question::Window(batch.clone()))?.answer {
        Answer::Usages(usages) => Ok(usages),
        _ => Ok(Vec::new()),
    }
}

fn heading(capture: &Capture) -> String {
    let left_out = match capture.left_out {
        0 => String::new(),
        number => format!(", {number} lines or pods left out"),
    };
    format!("\n{} ({} containers{left_out})\n", capture.name, capture.containers.len())
}

const WINDOW_HEADINGS: [&str; 8] =
    ["subject", "samples", "cpu", "memory", "window", "last-two: cpu", "memory", "window"];

struct Row {
    subject: String,
    samples: usize,
    usage: Option<Usage>,
    last_two: Option<Usage>,
}

impl Row {
    fn entries(&self) -> Vec<String> {
        let columns = |usage: &Option<Usage>| match usage {
            Some(usage) => [show_cpu(usage.cpu), show_memory(usage.memory), show_duration(usage.window.0)],
            None => ["-".to_owned(), "-".to_owned(), "-".to_owned()],
        };
        let subject = [self.subject.clone(), self.samples.to_string()];
        subject.into_iter().chain(columns(&self.usage)).chain(columns(&self.last_two)).collect()
    }

    fn json(&self) -> Value {
        let usage = |usage: &Option<Usage>| {
            usage.map(|usage| {
                json!({
                    "taken_at": usage.taken_at.0, "window_ns": usage.window.0,
                    "nanocores": usage.cpu.0, "memory_bytes": usage.memory.0,
                })
            })
        };
        let (served, last_two) = (usage(&self.usage), usage(&self.last_two));
        json!({ "subject": self.subject, "samples": self.samples, "usage": served, "last_two": last_two })
    }
}

fn run_filter(bound: &Bound, args: &RunArgs) -> Result<Shown> {
    let labels = args.pods.as_deref().map(pod_labels).transpose()?.unwrap_or_default();
    let mut series = Series::default();
    let (mut text, mut captured) = (String::new(), Vec::new());
    for capture in captures(&args.input)? {
        series.push(&capture);
        let pods = pods(&capture, &args.node, &labels);
        let question = Question::Filter(pods);
        let verdicts = verdicts(bound, &question).with_context(|| format!("at {}", capture.name))?;
        let [batch, _] = series.batches(&capture, &args.node, Duration::ZERO);
        let screened = screen(bound, batch, &verdicts).with_context(|| format!("at {}", capture.name))?;
        let row = |row: usize| vec![question.subject(row), verdicts[row].to_string(), screened[row].to_string()];
        text.push_str(&heading(&capture));
        let rows: Vec<Vec<String>> = (0..verdicts.len()).map(row).collect();
        text.push_str(&table(&["container", "verdict", "served"], &rows));
        let rows: Vec<Value> =
            rows.iter().map(|row| json!({ "container": row[0], "verdict": row[1], "served": row[2] })).collect();
        captured.push(json!({ "capture": capture.name, "left_out": capture.left_out, "verdicts": rows }));
    }
    Ok(Shown { text, json: json!({ "hook": "filter", "captures": captured }) })
}

fn verdicts(bound: &Bound, question: &Question) -> Result<Vec<Code>> {
    match bound.ask(question)?.answer {
        Answer::Verdicts(codes) => Ok(codes),
        _ => Ok(Vec::new()),
    }
}

/// Those whose verdict is by value, judged by their latest two samples. Rows of both questions are in one order.
fn screen(bound: &Bound, batch: Histories, verdicts: &[Code]) -> Result<Vec<Code>> {
    let is_asked = |row: &usize| verdicts[*row] == Code::ByValue;
    let asked: Vec<usize> = (0..verdicts.len()).filter(is_asked).collect();
    let mut served = verdicts.to_vec();
    if asked.is_empty() {
        return Ok(served);
    }
    let series = asked.iter().map(|row| batch.series[*row].clone()).collect();
    let question = Question::FilterByValue(Histories { node: batch.node, series });
    for (row, code) in asked.into_iter().zip(self::verdicts(bound, &question)?) {
        served[row] = code;
    }
    Ok(served)
}

fn run_address(bound: &Bound, args: &RunArgs) -> Result<Shown> {
    let mut rows = Vec::new();
    let mut json = Vec::new();
    for file in &args.input {
        for node in nodes(file)? {
            let called = bound.ask(&Question::Address(Box::new(node.clone())));
            let called = called.with_context(|| format!("at the node {}", node.name))?;
            let Answer::Address(choice) = called.answer else { continue };
            let usual = usual(&node);
            json.push(json!({ "node": node.name.as_str(), "choice": choice_json(&choice), "built_in": usual }));
            rows.push(vec![node.name.to_string(), choice.to_string(), usual]);
        }
    }
    let text = table(&["node", "the plugin says", "the built-in order says"], &rows);
    Ok(Shown { text, json: json!({ "hook": "address", "nodes": json }) })
}

/// What the gateway does with the flags that its manifests set.
fn usual(node: &Node) -> String {
    let kinds = ["InternalIP", "ExternalIP", "Hostname"].map(str::to_owned).to_vec();
    let preferred = PreferredAddresses { kinds, use_node_status_port: true, port: 10_250, try_all: true };
    match preferred.candidates(node) {
        Ok(candidates) => {
            let places: Vec<String> = candidates.iter().map(|place| format!("{}:{}", place.host, place.port)).collect();
            format!("dial {}", places.join("; then "))
        }
        Err(none) => none.to_string(),
    }
}

fn choice_json(choice: &Choice) -> Value {
    match choice {
        Choice::Pass => json!("pass"),
        Choice::Skip(reason) => json!({ "skip": reason }),
        Choice::Dial(targets) => {
            let target = |target: &super::question::Target| {
                json!({
                    "host": target.host, "port": target.port, "path": target.path, "server_name": target.server_name,
                })
            };
            json!({ "dial": targets.iter().map(target).collect::<Vec<_>>() })
        }
    }
}
