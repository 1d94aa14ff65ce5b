//! What every plugin has to hold to, whatever its author had in mind: built-in cases that need no work of theirs.
//!
//! In: a plugin, behind [`Plugin`], with settings for each of its hooks. Out: one [`Finding`] per property. A plugin must
//! answer every [hostile question](super::hostile) within the contract; say the same to the same question, in a fresh
//! instance and in one that has answered others; take or refuse any settings without a trap; not grow; and it may be
//! held to a number of instructions per row.
//!
//! The order of rows is no part of a question: a window policy says the same of a series wherever it stands. Filters may
//! look at all rows together (a quota does), so there a difference is a note, unless the author asks for strictness.
//!
//! Absent on purpose: WebAssembly, the author's own cases.

use std::collections::BTreeMap;

use serde_json::Value;

use super::hostile;
use super::question::{Answer, Histories, Hook, Question};
use super::typical;
use crate::plugins::call::{Called, Failed, PluginError};

/// Rows of the questions by which fuel is counted: a full node.
const ROWS: usize = 110;
/// Samples of each: a minute and a quarter.
const SAMPLES: usize = 6;
/// How often an instance is asked before its memory is looked at, and then again. A runtime with a garbage collector
/// takes some hundred calls to reach its size.
const CALLS: usize = 1_000;
/// How much larger, in per cent, its memory may be after the second thousand.
const GROWTH: usize = 10;

/// A plugin that ran out of CPU time so often is not asked any further: thousands of calls are to come.
const MOST_OVERRUNS: usize = 3;

/// A plugin that can be given settings.
pub trait Plugin {
    /// What it answers.
    fn hooks(&self) -> Vec<Hook>;

    /// The plugin with its settings. Nothing is checked yet.
    fn with(&self, settings: &str, life: Life) -> Box<dyn Ask + '_>;
}

/// How long an instance lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// One call, as by default.
    OneCall,
    /// All calls, as where `reuse` is switched on.
    AllCalls,
}

/// A plugin with its settings.
pub trait Ask {
    /// Whether it takes its settings.
    ///
    /// # Errors
    /// Where it does not, or fails.
    fn configure(&self) -> Result<Called<()>, Failed>;

    /// Its answer, checked against the contract.
    ///
    /// # Errors
    /// Where there is none, or none that can be believed.
    fn ask(&self, question: &Question) -> Result<Called<Answer>, Failed>;
}

/// What an author asks for beyond what every plugin must do.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// By hook; `{}` where there are none.
    pub settings: BTreeMap<Hook, String>,
    /// The settings as JSON Schema, as the plugin describes them: garbage is made from its properties.
    pub schema: String,
    /// The most fuel that a row may take.
    pub max_fuel_per_row: Option<u64>,
    /// What a filter's answer may depend on.
    pub permutation: Permutation,
    /// Whether instances are to answer more than one call.
    pub reuse: Reuse,
}

/// Whether a plugin is meant for `reuse`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reuse {
    /// It is not: an instance may leave its memory behind, as it answers one call.
    #[default]
    Off,
    /// It is: an instance must stay as it is.
    On,
}

impl Reuse {
    /// What becomes of a plugin whose instances cannot be kept.
    fn judge(self, line: String) -> Outcome {
        match self {
            Self::Off => Outcome::Noted(format!("{line}; leave `reuse` off")),
            Self::On => Outcome::failed(line),
        }
    }
}

/// What becomes of a filter that judges a container by where it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Permutation {
    /// It is told.
    #[default]
    Note,
    /// It fails.
    Strict,
}

/// What came of one case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The case.
    pub name: String,
    /// The hook that was asked; None: the plugin as a whole.
    pub hook: Option<Hook>,
    /// How it went.
    pub outcome: Outcome,
    /// What the call took, where one call is what it is about.
    pub fuel: Option<u64>,
    /// Of how many rows the question was.
    pub rows: Option<usize>,
}

/// How a case went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Well.
    Passed,
    /// Well, but the author should know this.
    Noted(String),
    /// Not well; each line says one thing.
    Failed(Vec<String>),
}

impl Outcome {
    /// Whether it is a failure.
    pub fn is_failure(&self) -> bool {
        matches!(self, Self::Failed(_))
    }

    fn failed(line: impl Into<String>) -> Self {
        Self::Failed(vec![line.into()])
    }
}

/// Puts a plugin to every test.
pub fn examine(plugin: &dyn Plugin, terms: &Terms) -> Vec<Finding> {
    let mut findings = vec![whole("settings that are none", settings_of_all_kinds(plugin, terms))];
    for hook in plugin.hooks() {
        findings.extend(examine_hook(plugin, hook, terms));
    }
    findings
}

fn whole(name: &str, outcome: Outcome) -> Finding {
    Finding { name: name.to_owned(), hook: None, outcome, fuel: None, rows: None }
}

fn examine_hook(plugin: &dyn Plugin, hook: Hook, terms: &Terms) -> Vec<Finding> {
    let settings = terms.settings.get(&hook).map_or("{}", String::as_str);
    let fresh = plugin.with(settings, Life::OneCall);
    let of_hook = |name: &str, outcome| Finding { hook: Some(hook), ..whole(name, outcome) };
    if let Err(failed) = fresh.configure() {
        let why = format!("with the settings {settings} it {failed}; give others with --settings or in a case");
        return vec![of_hook("the settings of the built-in cases", Outcome::failed(why))];
    }
    let mut findings = Vec::new();
    let mut overruns = 0;
    for hostile in hostile::questions(hook) {
        let (finding, is_overrun) = face(&*fresh, &hostile);
        findings.push(finding);
        overruns += usize::from(is_overrun);
        if overruns == MOST_OVERRUNS {
            let why = format!("not tried, as it ran out of CPU time {overruns} times");
            findings.push(of_hook("all other built-in cases", Outcome::failed(why)));
            return findings;
        }
    }
    findings.push(count_fuel(&*fresh, hook, terms));
    findings.push(of_hook("the same from another fresh instance", same_again(&*fresh, hook)));
    let kept = plugin.with(settings, Life::AllCalls);
    findings
        .push(of_hook("the same from an instance that answered others", same_from_kept(&*fresh, &*kept, hook, terms)));
    if hook != Hook::Address {
        findings.push(of_hook("the same of each row in another order", same_in_any_order(&*fresh, hook, terms)));
    }
    let kept = plugin.with(settings, Life::AllCalls);
    findings.push(of_hook("as large after 2,000 calls as after 1,000", stays_small(&*kept, hook, terms)));
    findings
}

/// What came of a question, and whether the plugin ran out of CPU time over it.
fn face(plugin: &dyn Ask, hostile: &hostile::Hostile) -> (Finding, bool) {
    let called = plugin.ask(&hostile.question);
    let is_overrun = matches!(&called, Err(Failed { error: PluginError::Cpu { .. }, .. }));
    let outcome = match &called {
        Ok(_) => Outcome::Passed,
        Err(Failed { error: error @ PluginError::BadOutput(_), .. }) if !hostile.is_lawful => {
            Outcome::Noted(format!("it {error}; the fallback would serve"))
        }
        Err(failed) => Outcome::failed(format!("it {failed}")),
    };
    let finding = Finding {
        name: hostile.name.to_owned(),
        hook: Some(hostile.question.hook()),
        outcome,
        fuel: called.ok().and_then(|called| called.fuel),
        rows: Some(hostile.question.rows()),
    };
    (finding, is_overrun)
}

fn typical(hook: Hook) -> Question {
    typical::question(hook, ROWS, SAMPLES)
}

fn count_fuel(plugin: &dyn Ask, hook: Hook, terms: &Terms) -> Finding {
    let question = typical(hook);
    let rows = question.rows();
    let called = plugin.ask(&question);
    let fuel = called.as_ref().ok().and_then(|called| called.fuel);
    let outcome = match (&called, fuel, terms.max_fuel_per_row) {
        (Err(failed), ..) => Outcome::failed(format!("it {failed}")),
        (Ok(_), Some(fuel), Some(most)) if fuel > most.saturating_mul(rows as u64) => {
            Outcome::failed(format!("takes {fuel} of fuel, and may take {rows} times {most}"))
        }
        _ => Outcome::Passed,
    };
    Finding { name: "the fuel of a full node".to_owned(), hook: Some(hook), outcome, fuel, rows: Some(rows) }
}

fn same_again(plugin: &dyn Ask, hook: Hook) -> Outcome {
    let question = typical(hook);
    match (answer(plugin, &question), answer(plugin, &question)) {
        (Ok(first), Ok(second)) => judge_same(&question, &first, &second),
        (Err(outcome), _) | (_, Err(outcome)) => outcome,
    }
}

fn same_from_kept(fresh: &dyn Ask, kept: &dyn Ask, hook: Hook, terms: &Terms) -> Outcome {
    let question = typical(hook);
    let expected = match answer(fresh, &question) {
        Ok(answer) => answer,
        Err(outcome) => return outcome,
    };
    // What it is asked in between must not show in its answer.
    let between = hostile::questions(hook);
    // Large ones would use up an instance's memory, and another one would take its place unseen.
    let is_small = |question: &&Question| question.rows() <= ROWS;
    let lawful = between.iter().filter(|hostile| hostile.is_lawful);
    let others = lawful.map(|hostile| &hostile.question).filter(is_small);
    for question in std::iter::once(&question).chain(others) {
        // What a fresh instance fails at is told elsewhere.
        if let (Err(failed), Ok(_)) = (kept.ask(question), fresh.ask(question)) {
            return terms.reuse.judge(format!("an instance that answered others {failed}"));
        }
    }
    match kept.ask(&question) {
        Ok(got) => judge_same(&question, &expected, &got.answer),
        Err(failed) => terms.reuse.judge(format!("an instance that answered others {failed}")),
    }
}

fn same_in_any_order(plugin: &dyn Ask, hook: Hook, terms: &Terms) -> Outcome {
    let question = typical(hook);
    let Some((turned, order)) = turn(&question) else { return Outcome::Passed };
    let (straight, turned) = match (answer(plugin, &question), answer(plugin, &turned)) {
        (Ok(straight), Ok(turned)) => (straight, turned),
        (Err(outcome), _) | (_, Err(outcome)) => return outcome,
    };
    match judge_same(&question, &straight, &turn_back(&turned, &order)) {
        Outcome::Failed(lines) if hook != Hook::Window && terms.permutation == Permutation::Note => {
            Outcome::Noted(format!("it judges by the order, or by all together: {}", lines.join("; ")))
        }
        outcome => outcome,
    }
}

fn stays_small(kept: &dyn Ask, hook: Hook, terms: &Terms) -> Outcome {
    let question = typical(hook);
    let (mut before, mut last) = (0, 0);
    for number in 1..=2 * CALLS {
        let memory = match kept.ask(&question) {
            Ok(called) => called.memory,
            Err(failed) => return terms.reuse.judge(format!("after {number} calls an instance {failed}")),
        };
        // Memory never shrinks: this is another instance, in the place of one that the gateway found too large to keep.
        if memory < last {
            return terms
                .reuse
                .judge(format!("an instance had {last} bytes of memory after {number} calls, too many to be kept"));
        }
        last = memory;
        if number == CALLS {
            before = memory;
        }
    }
    if last.saturating_sub(before) * 100 > before * GROWTH {
        return terms.reuse.judge(format!(
            "an instance grew from {before} to {last} bytes of memory, by more than {GROWTH} per cent"
        ));
    }
    Outcome::Passed
}

fn answer(plugin: &dyn Ask, question: &Question) -> Result<Answer, Outcome> {
    let called = plugin.ask(question);
    called.map(|called| called.answer).map_err(|failed| Outcome::failed(format!("it {failed}")))
}

fn judge_same(question: &Question, expected: &Answer, got: &Answer) -> Outcome {
    const SHOWN: usize = 5;
    let mut rows = unequal_rows(expected, got);
    let all = rows.len();
    if all == 0 {
        return Outcome::Passed;
    }
    rows.truncate(SHOWN);
    let mut lines: Vec<String> = rows
        .into_iter()
        .map(|(row, first, second)| format!("{}: {first}, then {second}", question.subject(row)))
        .collect();
    if all > SHOWN {
        lines.push(format!("and {} more", all - SHOWN));
    }
    Outcome::Failed(lines)
}

fn unequal_rows(expected: &Answer, got: &Answer) -> Vec<(usize, String, String)> {
    let (expected, got) = (shown(expected), shown(got));
    let rows = expected.into_iter().zip(got).enumerate();
    rows.filter(|(_, (first, second))| first != second).map(|(row, (first, second))| (row, first, second)).collect()
}

/// Each row in words.
fn shown(answer: &Answer) -> Vec<String> {
    match answer {
        Answer::Address(choice) => vec![choice.to_string()],
        Answer::Verdicts(codes) => codes.iter().map(ToString::to_string).collect(),
        Answer::Usages(usages) => usages.iter().map(|usage| super::cases::show_usage(usage.as_ref())).collect(),
    }
}

/// The question with its rows in another order, and for each of its new rows the old one.
fn turn(question: &Question) -> Option<(Question, Vec<usize>)> {
    let turn_series = |histories: &Histories| {
        let order = order(histories.series.len());
        let series = order.iter().map(|row| histories.series[*row].clone()).collect();
        (Histories { node: histories.node.clone(), series }, order)
    };
    match question {
        Question::Address(_) => None,
        Question::Filter(pods) => {
            let firsts: Vec<usize> = pods
                .iter()
                .scan(0, |row, pod| {
                    let first = *row;
                    *row += pod.containers.len();
                    Some(first)
                })
                .collect();
            let order = order(pods.len());
            let rows = order.iter().flat_map(|pod| firsts[*pod]..firsts[*pod] + pods[*pod].containers.len()).collect();
            Some((Question::Filter(order.iter().map(|pod| pods[*pod].clone()).collect()), rows))
        }
        Question::FilterByValue(histories) => {
            let (turned, order) = turn_series(histories);
            Some((Question::FilterByValue(turned), order))
        }
        Question::Window(histories) => {
            let (turned, order) = turn_series(histories);
            Some((Question::Window(turned), order))
        }
    }
}

/// Far from where they were: the second half before the first, and backwards.
fn order(rows: usize) -> Vec<usize> {
    (rows / 2..rows).chain(0..rows / 2).rev().collect()
}

fn turn_back(answer: &Answer, order: &[usize]) -> Answer {
    fn back<T: Clone>(rows: &[T], order: &[usize]) -> Vec<T> {
        let mut placed: Vec<(usize, &T)> = order.iter().copied().zip(rows).collect();
        placed.sort_by_key(|(row, _)| *row);
        placed.into_iter().map(|(_, row)| row.clone()).collect()
    }
    match answer {
        Answer::Address(choice) => Answer::Address(choice.clone()),
        Answer::Verdicts(codes) => Answer::Verdicts(back(codes, order)),
        Answer::Usages(usages) => Answer::Usages(back(usages, order)),
    }
}

/// `configure` must take or refuse whatever it is given.
fn settings_of_all_kinds(plugin: &dyn Plugin, terms: &Terms) -> Outcome {
    let mut lines = Vec::new();
    for (name, settings) in garbage(&terms.schema) {
        match plugin.with(&settings, Life::OneCall).configure() {
            Ok(_) | Err(Failed { error: PluginError::Refused(_), .. }) => {}
            Err(failed) => lines.push(format!("{name}: it {failed}")),
        }
    }
    if lines.is_empty() { Outcome::Passed } else { Outcome::Failed(lines) }
}

/// Texts that are no settings, each with a name.
fn garbage(schema: &str) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = [
        ("nothing", ""),
        ("no JSON", "{"),
        ("a list", "[]"),
        ("null", "null"),
        ("a text", "\"half_life\""),
        ("a number", "1e400"),
        ("an unknown key", "{\"no such key\":1}"),
        ("the same key twice", "{\"a\":1,\"a\":2}"),
        ("an escaped half of a character", "{\"a\":\"\\ud800\"}"),
    ]
    .map(|(name, text)| (name.to_owned(), text.to_owned()))
    .to_vec();
    all.push(("64 KiB of text".to_owned(), format!("{{\"a\":\"{}\"}}", "x".repeat(64 << 10))));
    all.push((
        "10,000 lists in one another".to_owned(),
        format!("{{\"a\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000)),
    ));
    let schema: Value = serde_json::from_str(schema).unwrap_or_default();
    let properties = schema.get("properties").and_then(Value::as_object);
    for property in properties.into_iter().flat_map(|properties| properties.keys()) {
        all.extend(WRONG.map(|value| {
            (format!("{property:?} is {value}"), format!("{{{}:{value}}}", Value::from(property.as_str())))
        }));
    }
    all
}

/// Values of every type, and at the ends of their ranges.
const WRONG: [&str; 12] = [
    "null",
    "true",
    "0",
    "-1",
    "1e308",
    "18446744073709551616",
    "\"\"",
    "\"\\u0000\"",
    "\"-1s\"",
    "[]",
    "[[]]",
    "{\"a\":{}}",
];

#[cfg(test)]
mod tests;
