//! `plugin bench`: what a plugin costs.
//!
//! In: a .wasm file with settings. Out, per hook, number of rows and life of an instance: CPU time of a call (that of the
//! thread, the gateway's part included), memory, fuel, each beside its limit, and what a fleet of 1,000 nodes with 30 pods
//! each would cost if every node were asked at every scrape. Window policies are; filters and address policies are asked
//! again only when something changes.
//!
//! Times are this machine's; fuel is everybody's.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use serde_json::{Value, json};

use super::guest::{Counting, Guest, GuestArgs, settings};
use super::output::Output;
use super::properties::{Ask as _, Life, Plugin as _};
use super::question::{Hook, Question, name_of};
use super::table::table;
use super::typical;
use crate::config::policies::{CpuBudgets, PluginLimits};

/// Nodes of the fleet that costs are told for.
const FLEET_NODES: u32 = 1_000;
/// Pods of each of them.
const FLEET_PODS: usize = 30;
/// How often each is asked.
const INTERVAL: Duration = Duration::from_secs(15);
/// Calls that are not measured: caches fill.
const WARM_UP: usize = 10;
/// Calls that are, at most: enough for one in a hundred to be seen.
const CALLS: usize = 400;
/// CPU time after which no further call is made, at least so many that a median means something.
const PATIENCE: Duration = Duration::from_secs(2);
const FEWEST_CALLS: usize = 20;

/// Measures what a plugin costs: CPU time, memory and fuel per call, against its limits
#[derive(Clone, Debug, Args)]
pub struct BenchArgs {
    #[command(flatten)]
    guest: GuestArgs,
    /// The plugin's settings, as JSON or @FILE
    #[arg(long, value_name = "JSON", default_value = "{}")]
    settings: String,
    /// Numbers of containers in a call
    #[arg(long, value_name = "NUMBER", value_delimiter = ',', default_values_t = [110, 1_100])]
    subjects: Vec<usize>,
    /// How it is written
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
}

/// Does it.
///
/// # Errors
/// Where the plugin cannot be run, refuses its settings, or fails.
pub(super) fn run(args: &BenchArgs) -> Result<ExitCode> {
    const MOST: usize = 4_096;
    ensure!(
        args.subjects.iter().all(|number| (1..=MOST).contains(number)),
        "--subjects takes numbers from 1 to {MOST}"
    );
    let settings = settings(&args.settings)?;
    let limits = args.guest.limits.limits();
    let timed = Guest::load(&args.guest.file, limits.clone(), Counting::Time)?;
    let counted = Guest::load(&args.guest.file, limits.clone(), Counting::Fuel)?;
    let mut measured = Vec::new();
    for hook in timed.hooks() {
        let samples = samples(&timed, hook, &settings)?;
        for rows in rows(hook, &args.subjects) {
            let question = typical::question(hook, rows, samples);
            let fuel = counted.bind(&settings, Life::OneCall).ask(&question).context("the plugin failed")?.fuel;
            for life in [Life::OneCall, Life::AllCalls] {
                let bound = timed.bind(&settings, life);
                let (times, memory) =
                    measure(&|question| bound.ask(question), &question).context("the plugin failed")?;
                measured.push(Measured { hook, rows: question.rows(), samples, life, times, memory, fuel });
            }
        }
    }
    match args.output {
        Output::Table => print!("{}", text(&measured, &limits)),
        Output::Json => println!("{:#}", json(&measured, &limits)),
    }
    Ok(ExitCode::SUCCESS)
}

/// As many as a window policy asks for, one every 15 s; two where that is all that is shown.
fn samples(guest: &Guest, hook: Hook, settings: &str) -> Result<usize> {
    if hook != Hook::Window {
        return Ok(2);
    }
    let history = guest.bind(settings, Life::OneCall).history().context("the plugin failed")?;
    let samples = 1 + history.as_secs() / INTERVAL.as_secs();
    Ok(usize::try_from(samples).unwrap_or(usize::MAX).clamp(2, 241))
}

/// The numbers that were asked for, and a node of the fleet. Nodes are asked about one at a time.
fn rows(hook: Hook, subjects: &[usize]) -> Vec<usize> {
    if hook == Hook::Address {
        return vec![1];
    }
    let mut rows: Vec<usize> = subjects.iter().copied().chain([FLEET_PODS]).collect();
    rows.sort_unstable();
    rows.dedup();
    rows
}

type Called = Result<crate::plugins::call::Called<super::question::Answer>, crate::plugins::call::Failed>;

/// CPU times of calls, shortest first, and the most memory.
fn measure(
    ask: &dyn Fn(&Question) -> Called,
    question: &Question,
) -> Result<(Vec<Duration>, usize), crate::plugins::call::Failed> {
    let mut times = Vec::new();
    let (mut spent, mut memory) = (Duration::ZERO, 0);
    for number in 0..WARM_UP + CALLS {
        let called = ask(question)?;
        memory = called.memory.max(memory);
        spent += called.cpu;
        if number >= WARM_UP {
            times.push(called.cpu);
        }
        if spent >= PATIENCE && times.len() >= FEWEST_CALLS {
            break;
        }
    }
    times.sort_unstable();
    Ok((times, memory))
}

/// What one kind of call cost.
struct Measured {
    hook: Hook,
    rows: usize,
    samples: usize,
    life: Life,
    /// Shortest first; not empty.
    times: Vec<Duration>,
    memory: usize,
    fuel: Option<u64>,
}

impl Measured {
    /// The time that so many per cent of calls stay below.
    fn percentile(&self, percent: usize) -> Duration {
        let at = (self.times.len() * percent).div_ceil(100).saturating_sub(1);
        self.times.get(at).copied().unwrap_or_default()
    }

    fn budget(&self, limits: &PluginLimits) -> Duration {
        limits.cpu.unwrap_or(match self.hook {
            Hook::Address => CpuBudgets::ADDRESS,
            Hook::Filter | Hook::FilterByValue => CpuBudgets::FILTER,
            Hook::Window => CpuBudgets::WINDOW,
        })
    }

    fn share_of_budget(&self, limits: &PluginLimits) -> f64 {
        100.0 * self.percentile(99).as_secs_f64() / self.budget(limits).as_secs_f64()
    }

    fn share_of_memory(&self, limits: &PluginLimits) -> f64 {
        100.0 * self.memory as f64 / limits.memory as f64
    }

    /// In per cent of a core, where this is a node of the fleet.
    fn fleet(&self) -> Option<f64> {
        let is_of_fleet = self.hook == Hook::Address || self.rows == FLEET_PODS;
        let per_interval = self.percentile(50) * FLEET_NODES;
        is_of_fleet.then(|| 100.0 * per_interval.as_secs_f64() / INTERVAL.as_secs_f64())
    }

    fn instance(&self) -> &'static str {
        match self.life {
            Life::OneCall => "fresh",
            Life::AllCalls => "reused",
        }
    }

    fn entries(&self, limits: &PluginLimits) -> Vec<String> {
        vec![
            name_of(self.hook).to_owned(),
            self.rows.to_string(),
            self.instance().to_owned(),
            self.times.len().to_string(),
            micros(self.percentile(50)),
            micros(self.percentile(99)),
            percent(self.share_of_budget(limits)),
            format!("{} KiB", self.memory.div_ceil(1 << 10)),
            percent(self.share_of_memory(limits)),
            self.fuel.map_or_else(|| "-".to_owned(), |fuel| fuel.to_string()),
            self.fleet().map_or_else(|| "-".to_owned(), percent),
        ]
    }

    fn json(&self, limits: &PluginLimits) -> Value {
        json!({
            "hook": name_of(self.hook), "rows": self.rows, "samples": self.samples, "instance": self.instance(),
            "calls": self.times.len(), "median_ns": nanos(self.percentile(50)), "p99_ns": nanos(self.percentile(99)),
            "cpu_budget_ns": nanos(self.budget(limits)), "p99_percent_of_budget": self.share_of_budget(limits),
            "memory_bytes": self.memory, "memory_limit_bytes": limits.memory,
            "percent_of_memory_limit": self.share_of_memory(limits), "fuel": self.fuel,
            "fleet_percent_of_core": self.fleet(),
        })
    }
}

const HEADINGS: [&str; 11] =
    ["hook", "rows", "instance", "calls", "median", "p99", "of budget", "memory", "of limit", "fuel", "fleet"];

fn text(measured: &[Measured], limits: &PluginLimits) -> String {
    let rows: Vec<Vec<String>> = measured.iter().map(|measured| measured.entries(limits)).collect();
    let mut text = table(&HEADINGS, &rows);
    text.push_str(&format!(
        "\ntimes are CPU time of a call; budget: p99 of what `limits.cpu` allows; fuel: of a fresh instance, configured and asked\n\
         fleet: of one core, were {FLEET_NODES} nodes with {FLEET_PODS} pods each asked every {} s, as window policies are\n",
        INTERVAL.as_secs()
    ));
    text
}

fn json(measured: &[Measured], limits: &PluginLimits) -> Value {
    let all: Vec<Value> = measured.iter().map(|measured| measured.json(limits)).collect();
    json!({ "fleet": { "nodes": FLEET_NODES, "pods": FLEET_PODS, "seconds": INTERVAL.as_secs() }, "measured": all })
}

fn micros(time: Duration) -> String {
    format!("{:.1} us", time.as_secs_f64() * 1e6)
}

fn percent(share: f64) -> String {
    format!("{share:.2}%")
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
