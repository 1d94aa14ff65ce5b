//! Usage as people read it: the columns and the rounding of `kubectl top`. Pure.
//!
//! In: Quantities as the API serves them. Out: text. CPU is rounded up to millicores, memory truncated to mebibytes, as
//! kubectl does (`k8s.io/kubectl`, `pkg/metricsutil/metrics_printer.go`).

use std::fmt::Write as _;

const NANOS: u128 = 1_000_000_000;

/// The value of a Quantity in thousand-millionths; None where it is none, or negative, or beyond belief.
pub fn nanos(quantity: &str) -> Option<u128> {
    let digits = quantity.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(quantity.len());
    let (number, suffix) = quantity.split_at(digits);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || fraction.len() > 9 || fraction.contains('.') {
        return None;
    }
    let value = format!("{whole}{fraction:0<9}").parse::<u128>().ok()?;
    let (factor, divisor) = match suffix {
        "n" => (1, NANOS),
        "u" => (1, 1_000_000),
        "m" => (1, 1000),
        "" => (1, 1),
        "k" => (1000, 1),
        "M" => (1_000_000, 1),
        "G" => (NANOS, 1),
        "Ki" => (1 << 10, 1),
        "Mi" => (1 << 20, 1),
        "Gi" => (1 << 30, 1),
        "Ti" => (1 << 40, 1),
        _ => return None,
    };
    Some(value.checked_mul(factor)? / divisor)
}

/// CPU as `kubectl top` prints it.
pub fn millicores(nanocores: u128) -> String {
    format!("{}m", nanocores.div_ceil(1_000_000))
}

/// Memory as `kubectl top` prints it; from thousand-millionths of a byte, as [`nanos`] gives it.
pub fn mebibytes(nanobytes: u128) -> String {
    format!("{}Mi", nanobytes / NANOS / (1 << 20))
}

/// A share of a capacity, as `kubectl top` prints it; in both the same unit.
pub fn per_cent(used: u128, capacity: u128) -> String {
    match (used * 100).checked_div(capacity) {
        Some(share) => format!("{share}%"),
        None => "<unknown>".to_owned(),
    }
}

/// Rows below a heading, in columns three blanks apart.
pub fn columns<const N: usize>(heading: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = heading.map(str::len);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.len());
        }
    }
    let mut out = String::new();
    let heading = heading.map(str::to_owned);
    for row in std::iter::once(&heading).chain(rows) {
        let mut line = String::new();
        for (width, cell) in widths.iter().zip(row) {
            let _ = write!(line, "{cell:<width$}   ");
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests;
