//! What an answer has that was not expected, in lines for the author.

use super::Expectation;
use crate::authoring::question::{Answer, Choice, Question, show_cpu, show_duration, show_memory, show_time};
use crate::model::Usage;
use crate::model::units::Nanocores;

/// One line per difference; none where the answer is the expected one.
pub fn differences(question: &Question, expected: &Expectation, got: &Answer) -> Vec<String> {
    match (expected, got) {
        (Expectation::Address(expected), Answer::Address(got)) => of_choices(expected, got),
        (Expectation::Verdicts(expected), Answer::Verdicts(got)) => {
            of_rows(question, expected, got, |expected, got| unlike("", expected, got))
        }
        (Expectation::Usages { rows, tolerance }, Answer::Usages(got)) => {
            of_rows(question, rows, got, |expected, got| of_usages(expected.as_ref(), got.as_ref(), *tolerance))
        }
        _ => vec!["the answer is one of another hook".to_owned()],
    }
}

fn of_choices(expected: &Choice, got: &Choice) -> Vec<String> {
    let (Choice::Dial(expected), Choice::Dial(got)) = (expected, got) else {
        return unlike("", expected, got);
    };
    let longest = expected.len().max(got.len());
    let shown = |of: &[_], at: usize| of.get(at).map_or_else(|| "nothing".to_owned(), ToString::to_string);
    let pairs = (0..longest).map(|at| (at + 1, shown(expected, at), shown(got, at)));
    pairs.flat_map(|(number, expected, got)| unlike(&format!("candidate {number}: "), &expected, &got)).collect()
}

fn of_rows<T>(question: &Question, expected: &[T], got: &[T], compare: impl Fn(&T, &T) -> Vec<String>) -> Vec<String> {
    if expected.len() != got.len() {
        return vec![format!("expected {} rows, got {}", expected.len(), got.len())];
    }
    let rows = expected.iter().zip(got).enumerate();
    let lines = rows.flat_map(|(row, (expected, got))| {
        compare(expected, got).into_iter().map(move |line| format!("{}: {line}", question.subject(row)))
    });
    lines.collect()
}

fn of_usages(expected: Option<&Usage>, got: Option<&Usage>, tolerance: f64) -> Vec<String> {
    let (expected, got) = match (expected, got) {
        (None, None) => return Vec::new(),
        (Some(expected), Some(got)) => (expected, got),
        (expected, got) => return unlike("", &show_usage(expected), &show_usage(got)),
    };
    let mut lines = unlike("at: ", &show_time(expected.taken_at), &show_time(got.taken_at));
    lines.extend(unlike("window: ", &show_duration(expected.window.0), &show_duration(got.window.0)));
    if !is_near(expected.cpu, got.cpu, tolerance) {
        lines.extend(unlike("cpu: ", &show_cpu(expected.cpu), &show_cpu(got.cpu)));
    }
    lines.extend(unlike("memory: ", &show_memory(expected.memory), &show_memory(got.memory)));
    lines
}

/// A rate counts as near where it is off by a rounding error, too: a nanocore is far below what anybody can measure.
fn is_near(expected: Nanocores, got: Nanocores, tolerance: f64) -> bool {
    let distance = expected.0.abs_diff(got.0);
    distance <= 1 || distance as f64 <= tolerance * expected.0 as f64
}

/// A usage on one line.
pub fn show_usage(usage: Option<&Usage>) -> String {
    usage.map_or_else(
        || "none".to_owned(),
        |Usage { taken_at, window, cpu, memory }| {
            let (at, window) = (show_time(*taken_at), show_duration(window.0));
            format!("{} and {} over {window} at {at}", show_cpu(*cpu), show_memory(*memory))
        },
    )
}

fn unlike<T: PartialEq + ToString>(what: &str, expected: &T, got: &T) -> Vec<String> {
    if expected == got {
        return Vec::new();
    }
    vec![format!("{what}expected {}, got {}", expected.to_string(), got.to_string())]
}
