//! The text of `--help`, made from the table of flags.
//!
//! Laid out as metrics-server lays it out (a section, then one line per flag with its type and default), so that eyes
//! and scripts find what they know; the words are ours.

use super::flag::{Fate, Flag, Kind, Section};
use super::table::FLAGS;
use super::values::GoDuration;

/// What `--help` prints.
pub(super) fn help() -> String {
    let mut text = format!(
        "metrics-gateway: a drop-in for Kubernetes metrics-server whose policies are plugins\n\n{}\n",
        super::USAGE
    );
    text.push_str("\nCommands, each with a --help of its own:\n\n");
    for (command, what) in super::COMMANDS {
        text.push_str(&format!("  {command:10}   {what}\n"));
    }
    for section in Section::ALL {
        text.push_str(&format!("\n{} flags:\n\n", section.title()));
        let lines: Vec<(String, String)> =
            FLAGS.iter().filter(|flag| flag.section == section).map(|flag| (left(flag), right(flag))).collect();
        let width = lines.iter().map(|(left, _)| left.len()).max().unwrap_or(0);
        for (left, right) in lines {
            text.push_str(&format!("{left:width$}   {right}\n"));
        }
    }
    text
}

/// `  -l, --node-selector string`.
fn left(flag: &Flag) -> String {
    let short = flag.short.map_or_else(|| "    ".to_owned(), |short| format!("-{short}, "));
    let kind = flag.slot.kind().type_name();
    let space = if kind.is_empty() { "" } else { " " };
    format!("  {short}--{}{space}{kind}", flag.name)
}

/// The help text, what becomes of the flag where that is nothing, and the default where it is not the empty one.
fn right(flag: &Flag) -> String {
    let fate = match flag.fate {
        Fate::Effective => String::new(),
        Fate::NoEffect(why) => format!(" No effect: {why}."),
        Fate::Dropped { since, instead } => format!("Gone from metrics-server in {since}: {instead}."),
    };
    format!("{}{fate}{}", flag.help, default(flag))
}

fn default(flag: &Flag) -> String {
    let shown = match flag.slot.kind() {
        Kind::List(_) => format!("[{}]", flag.default),
        Kind::Text(_) if !flag.default.is_empty() => format!("{:?}", flag.default),
        Kind::Duration => flag.default.parse().unwrap_or(GoDuration::default()).to_string(),
        _ => flag.default.to_owned(),
    };
    match shown.as_str() {
        "" | "[]" | "false" | "0" | "0s" | "\"0\"" => String::new(),
        shown => format!(" (default {shown})"),
    }
}
