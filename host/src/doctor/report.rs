//! What the checks found: one [`Finding`] each, and the [`Report`] of them all, for people and for programs.
//!
//! In: findings in the order of the checks. Out: text (a line a check, and under a failure what mends it), the JSON of
//! `-o json`, and whether anything failed. Every text that comes from the cluster is made [`printable`] here, whoever wrote it.
//!
//! The JSON is a promise: `version` 1 has `checks`, each with `id`, `subject`, `verdict`, `cause`, `message`, `remedy` and
//! `commands`, and `summary`. Fields may be added; none goes, and no word changes its meaning.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::cause::Cause;
use super::printable::{command_line, printable};

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Not as it should be, but metrics are served all the same.
    Warning,
    /// Metrics are not served, or not all, until this is mended.
    Failed,
    /// Not looked at; the message says why.
    Skipped,
}

impl Verdict {
    const ALL: [Self; 4] = [Self::Ok, Self::Warning, Self::Failed, Self::Skipped];

    fn word(self) -> &'static str {
        ["ok", "warning", "failed", "skipped"][self as usize]
    }

    /// As a line of text begins; what matters stands out.
    fn heading(self) -> &'static str {
        ["ok", "warning", "FAILED", "skipped"][self as usize]
    }
}

/// What mends a failure, with the names of this cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remedy {
    text: String,
    commands: Vec<String>,
}

impl Remedy {
    /// Something to be done by hand.
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self { text: printable(&text.into()), commands: Vec::new() }
    }

    /// Commands that may be pasted as they are.
    pub(super) fn commands(text: impl Into<String>, commands: Vec<String>) -> Self {
        let commands = commands.iter().map(|command| command_line(command)).collect();
        Self { commands, ..Self::text(text) }
    }
}

/// One check and its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which check; a fixed word.
    pub id: &'static str,
    /// What was looked at: a node, an APIService, a permission.
    pub subject: String,
    /// How it ended.
    pub verdict: Verdict,
    /// Why it is not as it should be; only with a warning or a failure.
    pub cause: Option<Cause>,
    /// What was seen.
    pub message: String,
    /// What mends it.
    pub remedy: Option<Remedy>,
}

impl Finding {
    pub(super) fn ok(id: &'static str, subject: &str, message: impl AsRef<str>) -> Self {
        Self::new(id, subject, Verdict::Ok, message.as_ref())
    }

    pub(super) fn skipped(id: &'static str, subject: &str, message: impl AsRef<str>) -> Self {
        Self::new(id, subject, Verdict::Skipped, message.as_ref())
    }

    pub(super) fn warning(
        id: &'static str,
        subject: &str,
        cause: Cause,
        message: impl AsRef<str>,
        remedy: Remedy,
    ) -> Self {
        let finding = Self::new(id, subject, Verdict::Warning, message.as_ref());
        Self { cause: Some(cause), remedy: Some(remedy), ..finding }
    }

    pub(super) fn failed(
        id: &'static str,
        subject: &str,
        cause: Cause,
        message: impl AsRef<str>,
        remedy: Remedy,
    ) -> Self {
        Self { verdict: Verdict::Failed, ..Self::warning(id, subject, cause, message, remedy) }
    }

    fn new(id: &'static str, subject: &str, verdict: Verdict, message: &str) -> Self {
        Self { id, subject: printable(subject), verdict, cause: None, message: printable(message), remedy: None }
    }

    fn to_json(&self) -> Value {
        json!({
            "id": self.id,
            "subject": self.subject,
            "verdict": self.verdict.word(),
            "cause": self.cause.map(Cause::word),
            "message": self.message,
            "remedy": self.remedy.as_ref().map(|remedy| &remedy.text),
            "commands": self.remedy.as_ref().map_or(&[][..], |remedy| &remedy.commands),
        })
    }

    /// Whether a line about `other` would say nothing new.
    fn is_like(&self, other: &Self) -> bool {
        (self.id, self.verdict, self.cause) == (other.id, other.verdict, other.cause)
    }
}

/// All findings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// In the order of the checks.
    pub findings: Vec<Finding>,
    /// Whether nothing but the first of them could be looked at.
    pub is_blind: bool,
}

impl Report {
    /// 0: nothing failed; 1: something did; 2: nothing could be looked at.
    pub fn exit_code(&self) -> u8 {
        match self.count(Verdict::Failed) {
            _ if self.is_blind => 2,
            0 => 0,
            _ => 1,
        }
    }

    /// The document of `-o json`.
    pub fn to_json(&self) -> Value {
        let mut summary = serde_json::Map::new();
        for verdict in Verdict::ALL {
            summary.insert(verdict.word().to_owned(), self.count(verdict).into());
        }
        json!({
            "version": 1,
            "checks": self.findings.iter().map(Finding::to_json).collect::<Vec<_>>(),
            "summary": summary,
        })
    }

    /// For people: neighbours that end alike are written out a few times, then counted.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for alike in self.findings.chunk_by(Finding::is_like) {
            // A failure is worth more lines than what is well; what mends it is said once where it is the same.
            let shown = if alike[0].verdict == Verdict::Ok { 8 } else { 5 }.min(alike.len());
            for (at, finding) in alike[..shown].iter().enumerate() {
                write_finding(&mut text, finding, at.checked_sub(1).map(|before| &alike[before]));
            }
            if alike.len() > shown {
                let names: Vec<&str> = alike[shown..].iter().take(10).map(|finding| &*finding.subject).collect();
                let dots = if alike.len() - shown > names.len() { " …" } else { "" };
                let count = alike.len() - shown;
                let _ = writeln!(text, "{:8} and {count} more like the last: {}{dots}", "", names.join(" "));
            }
        }
        let [ok, warnings, failed, skipped] = Verdict::ALL.map(|verdict| self.count(verdict));
        let _ = writeln!(text, "{ok} ok, {warnings} warnings, {failed} failed, {skipped} skipped");
        text
    }

    fn count(&self, verdict: Verdict) -> usize {
        self.findings.iter().filter(|finding| finding.verdict == verdict).count()
    }
}

fn write_finding(text: &mut String, finding: &Finding, before: Option<&Finding>) {
    let Finding { id, subject, verdict, cause, message, remedy } = finding;
    let cause = cause.map_or_else(String::new, |cause| format!(" [{cause}]"));
    let subject = if subject.is_empty() { String::new() } else { format!(" {subject}") };
    let _ = writeln!(text, "{:8} {id}{subject}: {message}{cause}", verdict.heading());
    let Some(remedy) = remedy.as_ref().filter(|remedy| before.and_then(|it| it.remedy.as_ref()) != Some(remedy)) else {
        return;
    };
    let _ = writeln!(text, "{:8}   to mend it: {}", "", remedy.text);
    for command in &remedy.commands {
        let _ = writeln!(text, "{:8}     {command}", "");
    }
}

#[cfg(test)]
mod tests;
