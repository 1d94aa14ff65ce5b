//! Quantities in the API's canonical text: CPU in decimal steps (`250m`, `1283013508n`), memory in binary ones
//! (`1731212Ki`). Pure and total.
//!
//! Rule: `k8s.io/apimachinery` `pkg/api/resource`, `Quantity.CanonicalizeBytes` and `AsCanonicalBytes`: the largest
//! suffix that loses nothing. metrics-server v0.9.0 `pkg/storage/types.go` divides values above `i64::MAX` by ten
//! and raises their scale, which costs them their last digit; so do we.

use crate::model::units::{Bytes, Nanocores};

/// Appends a CPU rate. At most 21 bytes.
pub fn write_cpu(out: &mut Vec<u8>, rate: Nanocores) {
    write_decimal(out, without_last_digit_if_huge(rate.0), &["n", "u", "m", "", "k", "M", "G"]);
}

/// Appends an amount of memory. At most 22 bytes.
pub fn write_memory(out: &mut Vec<u8>, amount: Bytes) {
    let amount = without_last_digit_if_huge(amount.0);
    if amount < 1024 {
        // Upstream writes these in decimal steps "to avoid rounding and hopefully confusion".
        return write_decimal(out, amount, &["", "k"]);
    }
    // Every ten zero bits at the end are one factor of 1024. A u64 has at most six of them.
    let step = (amount.trailing_zeros() / 10) as usize;
    out.extend_from_slice(itoa::Buffer::new().format(amount >> (step * 10)).as_bytes());
    out.extend_from_slice(["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"][step].as_bytes());
}

/// `suffixes`, each a thousand times the one before it.
fn write_decimal(out: &mut Vec<u8>, mut value: u64, suffixes: &[&str]) {
    if value == 0 {
        return out.push(b'0');
    }
    let mut step = 0;
    while value.is_multiple_of(1000) && step + 1 < suffixes.len() {
        value /= 1000;
        step += 1;
    }
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    out.extend_from_slice(suffixes[step].as_bytes());
}

fn without_last_digit_if_huge(value: u64) -> u64 {
    if value > i64::MAX.unsigned_abs() { value / 10 * 10 } else { value }
}

#[cfg(test)]
mod tests;
