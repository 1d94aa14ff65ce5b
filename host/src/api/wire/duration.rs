//! Durations as Go writes and reads them: `15s`, `14.991s`, `1m30.5s`. Pure and total.
//!
//! Rule: Go's `time` package, `Duration.String` and `ParseDuration`.

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Appends a duration of so many nanoseconds. Go's durations end at `i64::MAX` nanoseconds, and so do these.
pub fn write(out: &mut Vec<u8>, nanos: u64) {
    let nanos = nanos.min(i64::MAX.unsigned_abs());
    if nanos < NANOS_PER_SECOND {
        return write_below_second(out, nanos);
    }
    let mut number = itoa::Buffer::new();
    let (minutes, seconds) = (nanos / NANOS_PER_SECOND / 60, nanos / NANOS_PER_SECOND % 60);
    if minutes >= 60 {
        out.extend_from_slice(number.format(minutes / 60).as_bytes());
        out.push(b'h');
    }
    if minutes > 0 {
        out.extend_from_slice(number.format(minutes % 60).as_bytes());
        out.push(b'm');
    }
    out.extend_from_slice(number.format(seconds).as_bytes());
    write_fraction(out, nanos % NANOS_PER_SECOND, 9);
    out.push(b's');
}

/// Below a second Go takes the unit in which the number is at least one.
fn write_below_second(out: &mut Vec<u8>, nanos: u64) {
    let (per_unit, digits, unit) = match nanos {
        0 => (1, 0, "s"),
        1..1_000 => (1, 0, "ns"),
        1_000..1_000_000 => (1_000, 3, "µs"),
        _ => (1_000_000, 6, "ms"),
    };
    out.extend_from_slice(itoa::Buffer::new().format(nanos / per_unit).as_bytes());
    write_fraction(out, nanos % per_unit, digits);
    out.extend_from_slice(unit.as_bytes());
}

/// A point and `digits` digits, without the zeros at the end; nothing for a fraction of zero.
fn write_fraction(out: &mut Vec<u8>, mut fraction: u64, digits: usize) {
    if fraction == 0 {
        return;
    }
    let mut text = [b'0'; 9];
    for place in text[..digits].iter_mut().rev() {
        *place = b'0' + (fraction % 10) as u8;
        fraction /= 10;
    }
    let end = text[..digits].iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1);
    out.push(b'.');
    out.extend_from_slice(&text[..end]);
}

/// Reads a duration, in nanoseconds; they may be negative.
///
/// # Errors
/// Go's message, for example `time: invalid duration "abc"`.
pub fn parse(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {text:?}");
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (whole, after) = split_while(rest, |c| c.is_ascii_digit());
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => split_while(after, |c| c.is_ascii_digit()),
            None => ("", after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return Err(invalid());
        }
        let (unit, after) = split_while(after, |c| c != '.' && !c.is_ascii_digit());
        if unit.is_empty() {
            return Err(format!("time: missing unit in duration {text:?}"));
        }
        let Some(per_unit) = nanos_per(unit) else {
            return Err(format!("time: unknown unit {unit:?} in duration {text:?}"));
        };
        let part = nanos(whole, fraction, per_unit).ok_or_else(invalid)?;
        total = total.checked_add(part).filter(|sum| *sum <= 1 << 63).ok_or_else(invalid)?;
        rest = after;
    }
    let signed = if negative { -i128::from(total) } else { i128::from(total) };
    i64::try_from(signed).map_err(|_| invalid())
}

fn split_while(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

fn nanos_per(unit: &str) -> Option<u64> {
    match unit {
        "ns" => Some(1),
        // Both micro signs of Unicode, as in Go.
        "us" | "\u{b5}s" | "\u{3bc}s" => Some(1_000),
        "ms" => Some(1_000_000),
        "s" => Some(NANOS_PER_SECOND),
        "m" => Some(60 * NANOS_PER_SECOND),
        "h" => Some(3600 * NANOS_PER_SECOND),
        _ => None,
    }
}

/// `whole.fraction` units in nanoseconds; none where it does not fit.
fn nanos(whole: &str, fraction: &str, per_unit: u64) -> Option<u64> {
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    // Digits beyond these are less than a nanosecond, even of an hour.
    let digits = &fraction[..fraction.len().min(18)];
    let numerator: u128 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    let denominator = 10u128.pow(digits.len() as u32);
    let per_unit = u128::from(per_unit);
    u64::try_from(u128::from(whole) * per_unit + numerator * per_unit / denominator).ok()
}

#[cfg(test)]
mod tests;
