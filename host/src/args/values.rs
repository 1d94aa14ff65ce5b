//! The values of flags, read and refused exactly as Go does it.
//!
//! In: the text after a flag's name. Out: the value, or an [`InvalidValue`] with the text that a user of
//! metrics-server has seen before, because people search for these texts.
//!
//! Absent on purpose: flag names, defaults, and what values mean.
//!
//! Rules: Go's `time.ParseDuration`, `time.Duration.String`, `strconv.Parse{Bool,Int,Uint,Float}`, `encoding/csv`, and
//! the flag types of `spf13/pflag`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

/// A value that its type refuses; the text is Go's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidValue(String);

/// A signed number of nanoseconds, written as `1m0s`. Flags may be negative until they are checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct GoDuration(i64);

impl GoDuration {
    /// So many nanoseconds.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// So many seconds; more than 292 years count as 292 years.
    pub const fn from_secs(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000_000))
    }

    /// The number of nanoseconds.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// The same time as an unsigned duration; None below zero.
    pub fn unsigned(self) -> Option<Duration> {
        u64::try_from(self.0).ok().map(Duration::from_nanos)
    }
}

impl From<Duration> for GoDuration {
    fn from(duration: Duration) -> Self {
        Self(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
    }
}

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let nanos = self.0.unsigned_abs();
        match nanos {
            0 => f.write_str("0s"),
            1..1_000 => write!(f, "{sign}{nanos}ns"),
            1_000..1_000_000 => write!(f, "{sign}{}µs", decimal(nanos, 1_000)),
            1_000_000..1_000_000_000 => write!(f, "{sign}{}ms", decimal(nanos, 1_000_000)),
            _ => {
                let minutes = nanos / 60_000_000_000;
                let seconds = decimal(nanos % 60_000_000_000, 1_000_000_000);
                match (minutes / 60, minutes % 60) {
                    (0, 0) => write!(f, "{sign}{seconds}s"),
                    (0, minutes) => write!(f, "{sign}{minutes}m{seconds}s"),
                    (hours, minutes) => write!(f, "{sign}{hours}h{minutes}m{seconds}s"),
                }
            }
        }
    }
}

/// `nanos` in units of `unit`, a power of ten, with as many decimals as it takes and no more.
fn decimal(nanos: u64, unit: u64) -> String {
    let (whole, fraction) = (nanos / unit, nanos % unit);
    if fraction == 0 {
        return whole.to_string();
    }
    let places = unit.ilog10() as usize;
    let digits = format!("{fraction:0places$}");
    format!("{whole}.{}", digits.trim_end_matches('0'))
}

impl FromStr for GoDuration {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let invalid = || InvalidValue(format!("time: invalid duration {text:?}"));
        let (negative, mut rest) = split_sign(text);
        if rest == "0" {
            return Ok(Self(0));
        }
        if rest.is_empty() {
            return Err(invalid());
        }
        let mut total: u64 = 0;
        while !rest.is_empty() {
            let (term, after) = read_term(rest, text)?;
            total = total.checked_add(term).filter(|total| *total <= 1 << 63).ok_or_else(invalid)?;
            rest = after;
        }
        // The most negative number has no positive counterpart; that is why the bound above is one too high for others.
        let signed = if negative { -i128::from(total) } else { i128::from(total) };
        i64::try_from(signed).map(Self).map_err(|_| invalid())
    }
}

/// One number with its unit, from the front of `rest`; `text` is the whole duration, for messages.
fn read_term<'t>(rest: &'t str, text: &str) -> Result<(u64, &'t str), InvalidValue> {
    let invalid = || InvalidValue(format!("time: invalid duration {text:?}"));
    let (whole, after) = split_while(rest, |c| c.is_ascii_digit());
    let (fraction, after) = match after.strip_prefix('.') {
        Some(decimals) => split_while(decimals, |c| c.is_ascii_digit()),
        None => ("", after),
    };
    if whole.is_empty() && fraction.is_empty() {
        return Err(invalid());
    }
    let (unit, after) = split_while(after, |c| c != '.' && !c.is_ascii_digit());
    let nanos = match unit {
        "" => return Err(InvalidValue(format!("time: missing unit in duration {text:?}"))),
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000_u64,
        _ => return Err(InvalidValue(format!("time: unknown unit {unit:?} in duration {text:?}"))),
    };
    let whole = if whole.is_empty() { 0 } else { whole.parse::<u64>().map_err(|_| invalid())? };
    let whole = whole.checked_mul(nanos).ok_or_else(invalid)?;
    let term = whole.checked_add(fraction_of(fraction, nanos)).ok_or_else(invalid)?;
    Ok((term, after))
}

/// `0.digits` of a unit, in nanoseconds. In floating point, as Go does it, so that the last nanosecond agrees.
fn fraction_of(digits: &str, unit: u64) -> u64 {
    let (mut value, mut scale) = (0_u64, 1_f64);
    for digit in digits.bytes().map(|byte| u64::from(byte - b'0')) {
        // Digits beyond 63 bits are far below a nanosecond; Go drops them as well.
        let longer = value.checked_mul(10).and_then(|value| value.checked_add(digit)).filter(|value| *value <= 1 << 63);
        let Some(longer) = longer else { break };
        (value, scale) = (longer, scale * 10.0);
    }
    (value as f64 * (unit as f64 / scale)) as u64
}

fn split_sign(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

fn split_while(text: &str, keep: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !keep(c)).unwrap_or(text.len()))
}

/// A boolean in any of Go's spellings.
pub fn read_bool(text: &str) -> Result<bool, InvalidValue> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(InvalidValue(format!("strconv.ParseBool: parsing {text:?}: invalid syntax"))),
    }
}

/// A whole number, decimal or with one of Go's prefixes (`0x`, `0o`, `0b`, `0`), underscores between digits.
pub fn read_int(text: &str) -> Result<i64, InvalidValue> {
    let refused = |why| InvalidValue(format!("strconv.ParseInt: parsing {text:?}: {why}"));
    let (negative, digits) = split_sign(text);
    let (radix, digits) = split_radix(digits);
    let digits = without_underscores(digits, radix != 10).ok_or_else(|| refused("invalid syntax"))?;
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return Err(refused("invalid syntax"));
    }
    let magnitude = i128::from_str_radix(&digits, radix).map_err(|_| refused("value out of range"))?;
    let signed = if negative { -magnitude } else { magnitude };
    i64::try_from(signed).map_err(|_| refused("value out of range"))
}

fn split_radix(digits: &str) -> (u32, &str) {
    match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    }
}

/// The digits alone; None where an underscore does not stand between two digits (a prefix counts as one).
fn without_underscores(digits: &str, prefixed: bool) -> Option<String> {
    let misplaced = digits.contains("__") || digits.ends_with('_') || (digits.starts_with('_') && !prefixed);
    (!misplaced).then(|| digits.replace('_', ""))
}

/// A number that may have decimals.
pub fn read_float(text: &str) -> Result<f64, InvalidValue> {
    text.parse().map_err(|_| InvalidValue(format!("strconv.ParseFloat: parsing {text:?}: invalid syntax")))
}

/// A log level: decimal, unsigned, 32 bits.
pub fn read_level(text: &str) -> Result<u32, InvalidValue> {
    let refused = |why| InvalidValue(format!("strconv.ParseUint: parsing {text:?}: {why}"));
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(refused("invalid syntax"));
    }
    text.parse().map_err(|_| refused("value out of range"))
}

/// An IP address; None for the empty text.
pub fn read_ip(text: &str) -> Result<Option<IpAddr>, InvalidValue> {
    match text.trim() {
        "" => Ok(None),
        trimmed => trimmed.parse().map(Some).map_err(|_| InvalidValue(format!("failed to parse IP: {text:?}"))),
    }
}

/// The fields of one line of comma-separated values. An empty text has no field.
pub fn read_list(text: &str) -> Result<Vec<String>, InvalidValue> {
    let mut fields = Vec::new();
    let mut at = 0;
    while !text.is_empty() {
        let (field, end) = if text[at..].starts_with('"') { quoted_field(text, at)? } else { bare_field(text, at)? };
        fields.push(field);
        if !text[end..].starts_with(',') {
            break;
        }
        at = end + 1;
    }
    Ok(fields)
}

/// The field at `at` and where it ends: at a comma, at the end of the line, or at the end of the text.
fn bare_field(text: &str, at: usize) -> Result<(String, usize), InvalidValue> {
    let end = text[at..].find([',', '\n']).map_or(text.len(), |length| at + length);
    let field = text[at..end].trim_end_matches('\r');
    match field.find('"') {
        Some(quote) => Err(csv_error(at + quote, r#"bare " in non-quoted field"#)),
        None => Ok((field.to_owned(), end)),
    }
}

/// As [`bare_field`], for one that starts with a quotation mark; two of them inside stand for one.
fn quoted_field(text: &str, at: usize) -> Result<(String, usize), InvalidValue> {
    let mut field = String::new();
    let mut start = at + 1;
    loop {
        let Some(length) = text[start..].find('"') else {
            return Err(csv_error(text.len(), r#"extraneous or missing " in quoted-field"#));
        };
        let quote = start + length;
        field.push_str(&text[start..quote]);
        match text.as_bytes().get(quote + 1) {
            Some(b'"') => field.push('"'),
            None | Some(b',' | b'\n' | b'\r') => return Ok((field, quote + 1)),
            Some(_) => return Err(csv_error(quote, r#"extraneous or missing " in quoted-field"#)),
        }
        start = quote + 2;
    }
}

fn csv_error(index: usize, what: &str) -> InvalidValue {
    InvalidValue(format!("parse error on line 1, column {}: {what}", index + 1))
}

#[cfg(test)]
mod tests;
