//! Points in time as the API writes them: RFC 3339, UTC, whole seconds, truncated. Pure and total.

use crate::model::units::UnixNanos;

/// The length of `2026-11-20T22:09:27Z`; no year that [`UnixNanos`] can hold has five digits.
const LENGTH: usize = 20;

/// Writes points in time and remembers the last one: those of one list lie within seconds of each other.
#[derive(Clone, Debug)]
pub struct Timestamps {
    second: u64,
    text: [u8; LENGTH],
}

impl Timestamps {
    /// A writer that has written nothing yet.
    pub fn new() -> Self {
        Self { second: 0, text: format_second(0) }
    }

    /// Appends `at`, without quotes.
    pub fn write(&mut self, out: &mut Vec<u8>, at: UnixNanos) {
        if at.seconds() != self.second {
            *self = Self { second: at.seconds(), text: format_second(at.seconds()) };
        }
        out.extend_from_slice(&self.text);
    }
}

impl Default for Timestamps {
    fn default() -> Self {
        Self::new()
    }
}

fn format_second(second: u64) -> [u8; LENGTH] {
    let (day, of_day) = (second / 86_400, second % 86_400);
    let (year, month, day) = civil_from_days(day);
    let mut text = *b"0000-00-00T00:00:00Z";
    put(&mut text[0..4], year);
    put(&mut text[5..7], month);
    put(&mut text[8..10], day);
    put(&mut text[11..13], of_day / 3600);
    put(&mut text[14..16], of_day / 60 % 60);
    put(&mut text[17..19], of_day % 60);
    text
}

/// Fills the whole slice with the last digits of `number`.
fn put(digits: &mut [u8], mut number: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Year, month and day of a day since 1970-01-01, in the Gregorian calendar.
///
/// Counted in eras of 400 years (146,097 days) that begin on the first of March, so that the leap day is the last of
/// its year and the months before it follow one formula.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    // From 0000-03-01 to 1970-01-01.
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests;
