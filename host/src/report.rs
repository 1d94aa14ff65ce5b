//! What a running gateway tells of itself: the documents that it answers with, and that its commands print.
//!
//! [`explanation`] says why one pod or node is served as it is, [`status`] how the whole gateway fares. Both are JSON with
//! `kind` and `apiVersion`, written by the API and read by the commands; who reads takes what is missing for absent, so
//! that a command and a gateway of different versions understand each other. Times are RFC 3339 in UTC, figures are the
//! API's quantities and durations, and every list is bounded by whoever fills it.
//!
//! Absent on purpose: where the facts come from, and how they are laid out for people.

pub mod explanation;
pub mod status;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The version of all documents.
pub const API_VERSION: &str = "metrics-gateway/v1";

/// As much of a text as a document takes up.
pub const LONGEST_TEXT: usize = 1024;

/// Which gateway answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Replica {
    /// The host name, which in a cluster is the pod's.
    pub name: String,
    /// The program's version.
    pub version: String,
}

/// A generation of policies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Generation {
    /// Counted from one.
    pub number: u64,
    /// When it was put in force.
    pub since: String,
}

/// How one plugin fares that is bound to a hook.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Policy {
    /// `address`, `filter` or `window`.
    pub hook: String,
    /// The plugin's name in gateway.toml.
    pub plugin: String,
    /// A tenant, or `node-pool/` and the name of a node pool.
    pub owner: String,
    /// `closed`: it is asked; `half-open`: one question is tried; `open`: it is not asked for a while.
    pub breaker: String,
    /// What serves in its place.
    pub fallback: String,
    /// When it is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_until: Option<String>,
    /// Since when it fails, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failing: Option<PolicyFailure>,
}

/// A time in which a policy fails, not necessarily always.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PolicyFailure {
    /// When it began.
    pub since: String,
    /// When it failed last.
    pub last: String,
    /// How many times it has.
    pub times: u64,
    /// A fixed word.
    pub kind: String,
    /// In words.
    pub text: String,
}

/// The first bytes of a text, cut between characters, on one line.
pub fn line(text: &str, most: usize) -> String {
    printable(&text[..text.floor_char_boundary(most)])
}

/// A text without characters that would move a cursor, forge a line or turn the direction of reading.
pub fn printable(text: &str) -> String {
    text.chars().map(|character| if is_printable(character) { character } else { ' ' }).collect()
}

fn is_printable(character: char) -> bool {
    let turns =
        matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    !character.is_control() && !turns
}

/// Makes all texts of a document fit for a terminal.
pub fn make_printable(document: &mut Value) {
    match document {
        Value::String(text) if !text.chars().all(is_printable) => *text = printable(text),
        Value::Array(items) => items.iter_mut().for_each(make_printable),
        Value::Object(fields) => {
            // A key that is not fit is none of ours.
            fields.retain(|key, _| key.chars().all(is_printable));
            fields.values_mut().for_each(make_printable);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_moves_a_cursor_or_turns_the_direction_becomes_a_space() {
        assert_eq!(printable("a\u{1b}[2Jb\r\nc\u{202e}d\u{feff}\u{85}ä→"), "a [2Jb  c d  ä→");
        assert_eq!(line("aä", 2), "a");
        let mut document = json!({"a": ["x\u{7}"], "b\u{1b}": 1, "c": {"d": "\u{9b}"}});
        make_printable(&mut document);
        assert_eq!(document, json!({"a": ["x "], "c": {"d": " "}}));
    }

    #[test]
    fn a_document_of_another_version_is_read_as_far_as_it_goes() {
        let pod: explanation::PodExplanation =
            serde_json::from_value(json!({"name": "web", "newer": [1], "state": "served"})).unwrap();
        assert_eq!((&*pod.name, &*pod.state, pod.containers.len()), ("web", "served", 0));
    }
}
