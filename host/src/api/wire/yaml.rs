//! YAML from JSON, as `sigs.k8s.io/yaml` sets it: keys sorted, list items as far left as their key, quotes only
//! where a text would be read as something else. For people: it is not made to be fast.
//!
//! Written here because the serde crates for YAML are no longer kept up, and because what we write is a small part
//! of the language. Differences from upstream: long texts are not folded, and texts of several lines stand in double
//! quotes rather than in a block; both read back the same.

use serde_json::Value;

/// The same document in YAML. `compact` must be JSON that this module's neighbours have written.
pub(super) fn from_json(compact: &[u8]) -> Vec<u8> {
    let document: Value = serde_json::from_slice(compact).expect("the writers beside this one write well-formed JSON");
    let mut out = Vec::with_capacity(compact.len() * 2);
    write_block(&mut out, &document, 0);
    out
}

/// Appends an object as an item of a list that stands at the left margin.
pub(super) fn write_item(out: &mut Vec<u8>, compact: &[u8]) {
    let item: Value = serde_json::from_slice(compact).expect("the writers beside this one write well-formed JSON");
    out.extend_from_slice(b"- ");
    write_block(out, &item, 1);
}

/// A value that begins on a line of its own, or after `- `; ends with a line break.
fn write_block(out: &mut Vec<u8>, value: &Value, depth: usize) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(key, _)| key.as_str());
            for (index, (key, member)) in members.into_iter().enumerate() {
                if index > 0 {
                    indent(out, depth);
                }
                write_text(out, key);
                out.push(b':');
                write_member(out, member, depth);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    indent(out, depth);
                }
                out.extend_from_slice(b"- ");
                write_block(out, item, depth + 1);
            }
        }
        _ => {
            write_scalar(out, value);
            out.push(b'\n');
        }
    }
}

fn write_member(out: &mut Vec<u8>, value: &Value, depth: usize) {
    let depth = match value {
        Value::Object(members) if !members.is_empty() => depth + 1,
        Value::Array(items) if !items.is_empty() => depth,
        _ => {
            out.push(b' ');
            return write_block(out, value, depth);
        }
    };
    out.push(b'\n');
    indent(out, depth);
    write_block(out, value, depth);
}

fn indent(out: &mut Vec<u8>, depth: usize) {
    out.extend(std::iter::repeat_n(b' ', depth * 2));
}

fn write_scalar(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::String(text) => write_text(out, text),
        Value::Object(_) => out.extend_from_slice(b"{}"),
        Value::Array(_) => out.extend_from_slice(b"[]"),
        Value::Null | Value::Bool(_) | Value::Number(_) => out.extend_from_slice(value.to_string().as_bytes()),
    }
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    if !text.chars().all(|c| (' '..='~').contains(&c)) || is_read_as_something_else(text) {
        // A JSON string is a YAML string in double quotes.
        out.extend_from_slice(Value::from(text).to_string().as_bytes());
    } else if has_syntax(text) {
        out.push(b'\'');
        out.extend_from_slice(text.replace('\'', "''").as_bytes());
        out.push(b'\'');
    } else {
        out.extend_from_slice(text.as_bytes());
    }
}

/// Whether an unquoted `text` would be taken for null, a truth value, a number or a date.
fn is_read_as_something_else(text: &str) -> bool {
    const WORDS: [&str; 12] = ["", "~", "null", "true", "false", "yes", "no", "on", "off", "y", "n", "<<"];
    if WORDS.contains(&text.to_ascii_lowercase().as_str()) {
        return true;
    }
    let unsigned = text.trim_start_matches(['+', '-']).to_ascii_lowercase();
    let digits = unsigned.replace('_', "");
    let in_base = |prefix: &str, base: u32| {
        digits.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_digit(base)))
    };
    let begins_as_date = || {
        unsigned.get(..4).is_some_and(|year| year.bytes().all(|b| b.is_ascii_digit()))
            && unsigned.as_bytes().get(4) == Some(&b'-')
    };
    digits.parse::<f64>().is_ok()
        || [".inf", ".nan"].contains(&digits.as_str())
        || in_base("0x", 16)
        || in_base("0o", 8)
        || in_base("0b", 2)
        // Base 60: `1:30`.
        || (digits.contains(':') && digits.chars().all(|c| c.is_ascii_digit() || c == ':' || c == '.'))
        || begins_as_date()
}

/// Whether an unquoted `text` would be taken for structure.
fn has_syntax(text: &str) -> bool {
    text.starts_with(|c: char| "-?:,[]{}#&*!|>'\"%@`= ".contains(c))
        || text.ends_with([' ', ':'])
        || text.contains(": ")
        || text.contains(" #")
}

#[cfg(test)]
mod tests;
