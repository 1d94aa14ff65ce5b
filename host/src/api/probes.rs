//! The answers of /livez, /readyz and /healthz. Pure.
//!
//! In: the checks of a probe in order, each with its name and, where it fails, why. Out: code and text. Whether
//! something is well is judged by the parts themselves, not here. The causes go to the log only: anybody may ask.
//!
//! Rules: `k8s.io/apiserver` v0.36 `pkg/server/healthz/healthz.go`; names and order of the checks from
//! metrics-server v0.9.0, whose end-to-end test compares the verbose text of /livez and /readyz as a whole.

use std::collections::BTreeSet;

use http::StatusCode;

use super::wire::status::quote;

/// A probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Probe {
    /// `/healthz`.
    Healthz,
    /// `/livez`.
    Livez,
    /// `/readyz`.
    Readyz,
}

impl Probe {
    /// Every probe.
    pub const ALL: [Self; 3] = [Self::Healthz, Self::Livez, Self::Readyz];

    /// The name in the path and in the text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthz => "healthz",
            Self::Livez => "livez",
            Self::Readyz => "readyz",
        }
    }

    /// The names of its checks, in the order in which they are answered.
    pub fn checks(self) -> &'static [&'static str] {
        match self {
            Self::Healthz => &[
                "ping",
                "log",
                "poststarthook/max-in-flight-filter",
                "poststarthook/storage-object-count-tracker-hook",
                "metadata-informer-sync",
            ],
            Self::Livez => &[
                "ping",
                "log",
                "poststarthook/max-in-flight-filter",
                "poststarthook/storage-object-count-tracker-hook",
                "metric-collection-timely",
                "metadata-informer-sync",
            ],
            Self::Readyz => &[
                "ping",
                "log",
                "poststarthook/max-in-flight-filter",
                "poststarthook/storage-object-count-tracker-hook",
                "metric-storage-ready",
                "metric-informer-sync",
                "metadata-informer-sync",
                "shutdown",
            ],
        }
    }
}

/// How a probe was asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// Whether each check is to be named; a failure always names them.
    pub verbosity: Verbosity,
    /// Checks that are not to count.
    pub exclude: Vec<String>,
}

/// How much is said where all is well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verbosity {
    /// `ok`.
    #[default]
    Terse,
    /// A line for each check.
    Verbose,
}

/// The answer, of type `text/plain; charset=utf-8`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// 200 or 500.
    pub code: StatusCode,
    /// The text.
    pub body: String,
}

/// A check: its name, and why it fails if it does.
pub type Check<'a> = (&'a str, Result<(), String>);

/// Answers for all checks of a probe together.
pub fn answer(probe: Probe, question: &Question, checks: &[Check<'_>]) -> Answer {
    let mut unmatched: BTreeSet<&str> = question.exclude.iter().map(String::as_str).collect();
    let mut lines = String::new();
    let mut failed = false;
    for (name, outcome) in checks {
        lines += &match outcome {
            _ if unmatched.remove(name) => format!("[+]{name} excluded: ok\n"),
            Ok(()) => format!("[+]{name} ok\n"),
            Err(_) => {
                failed = true;
                format!("[-]{name} failed: reason withheld\n")
            }
        };
    }
    if !unmatched.is_empty() {
        let quoted: Vec<String> = unmatched.into_iter().map(quote).collect();
        lines += &format!("warn: some health checks cannot be excluded: no matches for {}\n", quoted.join(","));
    }
    let probe = probe.as_str();
    if failed {
        return Answer { code: StatusCode::INTERNAL_SERVER_ERROR, body: format!("{lines}{probe} check failed\n") };
    }
    let body = match question.verbosity {
        Verbosity::Terse => "ok".to_owned(),
        Verbosity::Verbose => format!("{lines}{probe} check passed\n"),
    };
    Answer { code: StatusCode::OK, body }
}

/// Answers for one check alone; whoever may ask for it by name may also know why it fails.
pub fn answer_one(outcome: &Result<(), String>) -> Answer {
    match outcome {
        Ok(()) => Answer { code: StatusCode::OK, body: "ok".to_owned() },
        Err(cause) => {
            Answer { code: StatusCode::INTERNAL_SERVER_ERROR, body: format!("internal server error: {cause}\n") }
        }
    }
}

#[cfg(test)]
mod tests;
