//! Points in time as the API writes them: RFC 3339, UTC, whole seconds, truncated. Pure and total.

use crate::model::units::UnixNanos;

/// The length of `2026-11-20T22:09:27Z`; no year that [`UnixNanos`] can hold has five digits.
const LENGTH: usize = 20;

/// A point in time and its text.
#[derive(Clone, Copy, Debug)]
pub struct Timestamp {
    second: u64,
    /// In quotes.
    text: [u8; LENGTH + 2],
}

impl Timestamp {
    /// The second that `at` lies in.
    pub fn new(at: UnixNanos) -> Self {
        Self { second: at.seconds(), text: format_second(at.seconds()) }
    }

    /// Becomes the second that `at` lies in; cheap if it is that already, as it mostly is within one list.
    pub fn move_to(&mut self, at: UnixNanos) -> &Self {
        if at.seconds() != self.second {
            *self = Self::new(at);
        }
        self
    }

    /// Since 1970.
    pub fn seconds(&self) -> u64 {
        self.second
    }

    /// For example `2026-11-20T22:09:27Z`.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text[1..=LENGTH]
    }

    /// The same in quotes.
    pub fn as_json(&self) -> &[u8] {
        &self.text
    }
}

/// `at` as HTTP's headers have it: `Fri, 20 Nov 2026 22:09:27 GMT`.
pub fn http_date(at: UnixNanos) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (days, of_day) = (at.seconds() / 86_400, at.seconds() % 86_400);
    let (year, month, day) = civil_from_days(days);
    let (name, month) = (DAYS[(days % 7) as usize], MONTHS[month as usize - 1]);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{name}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

fn format_second(second: u64) -> [u8; LENGTH + 2] {
    let (day, of_day) = (second / 86_400, second % 86_400);
    let (year, month, day) = civil_from_days(day);
    let mut text = *b"\"0000-00-00T00:00:00Z\"";
    put(&mut text[1..5], year);
    put(&mut text[6..8], month);
    put(&mut text[9..11], day);
    put(&mut text[12..14], of_day / 3600);
    put(&mut text[15..17], of_day / 60 % 60);
    put(&mut text[18..20], of_day % 60);
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
