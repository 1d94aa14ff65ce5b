//! The form of label keys and label values, with upstream's words for what is wrong with them.
//!
//! Rule: `k8s.io/apimachinery`, `pkg/util/validation/validation.go` and `pkg/util/validation/field/errors.go`. The
//! words are those of 0.33, from which the test vectors come; 0.36 says "bytes" for "characters".

use super::Operator;

/// The longest name part of a key, and the longest value.
const NAME_LIMIT: usize = 63;
/// The longest prefix part of a key: that of a DNS name.
const PREFIX_LIMIT: usize = 253;

const NAME_FORM: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
    alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
    '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const PREFIX_FORM: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or \
    '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const VALUE_FORM: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or \
    '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex \
    used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

/// Whether `key` can be the key of a label: `[dns-subdomain/]name`.
pub(super) fn check_key(key: &str) -> Result<(), String> {
    let faults = match key.split('/').collect::<Vec<_>>()[..] {
        [name] => name_faults(name),
        [prefix, name] => [prefix_faults(prefix), name_faults(name)].concat(),
        _ => vec![format!(
            "a qualified name {NAME_FORM} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        )],
    };
    // Upstream prints the path to the field in the request, which is nil here, as Go prints a nil.
    if faults.is_empty() { Ok(()) } else { Err(invalid("<nil>", key, &faults.join("; "))) }
}

fn name_faults(name: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if name.is_empty() {
        faults.push("name part must be non-empty".to_owned());
    } else if name.len() > NAME_LIMIT {
        faults.push(format!("name part must be no more than {NAME_LIMIT} characters"));
    }
    if !is_name(name) {
        faults.push(format!("name part {NAME_FORM}"));
    }
    faults
}

fn prefix_faults(prefix: &str) -> Vec<String> {
    if prefix.is_empty() {
        return vec!["prefix part must be non-empty".to_owned()];
    }
    let mut faults = Vec::new();
    if prefix.len() > PREFIX_LIMIT {
        faults.push(format!("prefix part must be no more than {PREFIX_LIMIT} characters"));
    }
    let is_lower = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    if !prefix.split('.').all(|label| is_framed(label, is_lower, b"-")) {
        faults.push(format!("prefix part {PREFIX_FORM}"));
    }
    faults
}

/// Whether these can be the values that `operator` relates a label to. All faults are told at once.
pub(super) fn check_values(key: &str, operator: Operator, values: &[String]) -> Result<(), String> {
    let mut faults = Vec::new();
    if matches!(operator, Operator::GreaterThan | Operator::LessThan) {
        for (index, value) in values.iter().enumerate().filter(|(_, value)| value.parse::<i64>().is_err()) {
            let reason = "for 'Gt', 'Lt' operators, the value must be an integer";
            faults.push(invalid(&format!("values[{index}]"), value, reason));
        }
    }
    for (index, value) in values.iter().enumerate() {
        let reasons = value_faults(value);
        if !reasons.is_empty() {
            faults.push(invalid(&format!("values[{index}][{key}]"), value, &reasons.join("; ")));
        }
    }
    match faults.len() {
        0 => Ok(()),
        1 => Err(faults.remove(0)),
        _ => Err(format!("[{}]", faults.join(", "))),
    }
}

fn value_faults(value: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if value.len() > NAME_LIMIT {
        faults.push(format!("must be no more than {NAME_LIMIT} characters"));
    }
    if !value.is_empty() && !is_name(value) {
        faults.push(VALUE_FORM.to_owned());
    }
    faults
}

fn is_name(text: &str) -> bool {
    is_framed(text, |b| b.is_ascii_alphanumeric(), b"-_.")
}

/// Whether `text` begins and ends with a character of the frame, and has only those and the `inner` ones.
fn is_framed(text: &str, frame: impl Fn(u8) -> bool, inner: &[u8]) -> bool {
    let bytes = text.as_bytes();
    let ends_well = bytes.first().is_some_and(|b| frame(*b)) && bytes.last().is_some_and(|b| frame(*b));
    ends_well && bytes.iter().all(|b| frame(*b) || inner.contains(b))
}

fn invalid(field: &str, value: &str, reason: &str) -> String {
    format!("{field}: Invalid value: {}: {reason}", quote(value))
}

/// The text in double quotes, as Go's `%q` writes it.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\x07' => quoted.push_str("\\a"),
            '\x08' => quoted.push_str("\\b"),
            '\x0b' => quoted.push_str("\\v"),
            '\x0c' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            _ if is_printable(c) => quoted.push(c),
            '\0'..='\x7f' => quoted.push_str(&format!("\\x{:02x}", u32::from(c))),
            '\u{80}'..='\u{ffff}' => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            _ => quoted.push_str(&format!("\\U{:08x}", u32::from(c))),
        }
    }
    quoted.push('"');
    quoted
}

/// Whether Rust prints the character as it is when it follows another (alone, accents would be escaped too).
/// Go's tables are of another Unicode version, so newly assigned characters may differ.
fn is_printable(c: char) -> bool {
    ['a', c].iter().collect::<String>().escape_debug().count() == 2 || c == '\''
}
