//! Paths and queries as Go reads and writes them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use percent_encoding::percent_decode_str;

/// The pairs of a query, decoded; those that Go cannot read are dropped, as Go does.
pub(super) fn pairs(query: &str) -> Vec<(String, String)> {
    let readable = |pair: &&str| !pair.is_empty() && !pair.contains(';') && has_only_whole_escapes(pair);
    let pairs = query.split('&').filter(readable);
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(k, v)| (form_decode(k), form_decode(v)))
        .collect()
}

/// The first value of each key.
pub(super) fn firsts(query: &str) -> BTreeMap<String, String> {
    let mut firsts = BTreeMap::new();
    for (key, value) in pairs(query) {
        firsts.entry(key).or_insert(value);
    }
    firsts
}

/// The query as Go would write it after having read it: sorted by key, one form of escaping.
pub(super) fn reencode(query: &str) -> String {
    let mut pairs = pairs(query);
    pairs.sort_by(|one, other| one.0.cmp(&other.0));
    let escaped = |(key, value): &(String, String)| format!("{}={}", escape(key, ""), escape(value, ""));
    pairs.iter().map(escaped).collect::<Vec<_>>().join("&")
}

/// The path as Go would write it after having read it: an escaped slash has become a slash.
pub(super) fn reencode_path(path: &str) -> String {
    let decoded = percent_decode_str(path).decode_utf8_lossy().into_owned();
    // A blank is "+" in queries only.
    decoded.split(' ').map(|part| escape(part, "$&+,/:;=@")).collect::<Vec<_>>().join("%20")
}

fn form_decode(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

fn has_only_whole_escapes(text: &str) -> bool {
    text.split('%').skip(1).all(|tail| tail.len() >= 2 && tail.bytes().take(2).all(|byte| byte.is_ascii_hexdigit()))
}

fn escape(text: &str, safe: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            _ if safe.as_bytes().contains(&byte) => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests;
