//! Times, spans, rates and sizes, as plugins count them, and the texts that settings write them in.
//!
//! All are whole numbers of a small unit in 64 bits; arithmetic saturates, so no value that a kubelet could report makes a
//! plugin panic. Texts: spans as `15s`, `500ms`, `1h30m`; sizes as `64MiB` or `1000000`; rates as `250m` (thousandths of a
//! core) or `1.5` (cores).

use std::fmt;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// A point in time: Unix time in nanoseconds. Zero means that nobody said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    /// The beginning of Unix time; as the start of a container: unknown.
    pub const UNKNOWN: Self = Self(0);

    /// A time by its nanoseconds since the beginning of 1970.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// A time by its seconds since the beginning of 1970.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds.saturating_mul(NANOS_PER_SECOND))
    }

    /// Nanoseconds since the beginning of 1970.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long after `earlier` it is; zero where it is not after.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration(self.0.saturating_sub(earlier.0))
    }

    /// What is `span` later.
    #[must_use]
    pub const fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// What is `span` earlier.
    #[must_use]
    pub const fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(span.0))
    }

    /// Whole seconds, the rest cut off.
    pub(crate) const fn whole_seconds(self) -> u64 {
        self.0 / NANOS_PER_SECOND
    }
}

/// A span of time, or core time used, in nanoseconds: 0 to 584 years. As a setting: a text such as `60s`, `500ms`, `1h30m`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(u64);

/// The units of spans, the longest first, with their nanoseconds.
const SPAN_UNITS: [(&str, u64); 6] = [
    ("h", 3600 * NANOS_PER_SECOND),
    ("m", 60 * NANOS_PER_SECOND),
    ("s", NANOS_PER_SECOND),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

impl Duration {
    /// No time.
    pub const ZERO: Self = Self(0);
    /// The longest history that a gateway keeps, and the longest that a window policy may ask for.
    pub const HOUR: Self = Self::from_secs(3600);
    /// The longest window that may be served.
    pub const DAY: Self = Self::from_secs(86_400);

    /// A span by its nanoseconds.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// A span by its milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// A span by its seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds.saturating_mul(NANOS_PER_SECOND))
    }

    /// In nanoseconds.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// In seconds.
    pub fn as_secs_f64(self) -> f64 {
        // In two parts: so the digits are those of the standard library, and of the gateway's own rates.
        (self.0 / NANOS_PER_SECOND) as f64 + (self.0 % NANOS_PER_SECOND) as f64 / NANOS_PER_SECOND as f64
    }

    /// Whether it is no time at all.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// That many times as long.
    #[must_use]
    pub const fn times(self, factor: u64) -> Self {
        Self(self.0.saturating_mul(factor))
    }

    /// Reads a text such as `60s` or `1h30m`.
    ///
    /// # Errors
    /// The text has another form, or says more than 584 years.
    pub fn parse(text: &str) -> Result<Self, UnitError> {
        let error = UnitError { wanted: Self::WANTED };
        let mut rest = text;
        let mut nanos = 0_u64;
        while !rest.is_empty() || text.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, after) = rest.split_at(digits);
            let letters = after.bytes().take_while(u8::is_ascii_lowercase).count();
            let (unit, after) = after.split_at(letters);
            let number: u64 = number.parse().map_err(|_| error)?;
            let (_, size) = SPAN_UNITS.iter().find(|(name, _)| *name == unit).ok_or(error)?;
            nanos = number.checked_mul(*size).and_then(|part| nanos.checked_add(part)).ok_or(error)?;
            rest = after;
        }
        Ok(Self(nanos))
    }

    const WANTED: &'static str = "a span of time such as \"60s\", \"500ms\" or \"1h30m\"";
}

impl fmt::Display for Duration {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_zero() {
            return out.write_str("0s");
        }
        let mut rest = self.0;
        for (name, size) in SPAN_UNITS {
            if rest >= size {
                write!(out, "{}{name}", rest / size)?;
                rest %= size;
            }
        }
        Ok(())
    }
}

/// A CPU rate, in billionths of a core. As a setting: `250m`, a quarter core, or `1.5` (also as a number).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nanocores(u64);

impl Nanocores {
    /// The most that a gateway believes: a million cores.
    pub const MAX: Self = Self(1_000_000_000_000_000);

    /// A rate by its billionths of a core.
    pub const fn new(nanocores: u64) -> Self {
        Self(nanocores)
    }

    /// A rate by its thousandths of a core.
    pub const fn from_millicores(millicores: u64) -> Self {
        Self(millicores.saturating_mul(1_000_000))
    }

    /// The mean rate at which core time was used over a span; none over no time.
    pub fn of(used: Duration, span: Duration) -> Option<Self> {
        // Through floating point, as the gateway does: clients see the same digits. The cast saturates.
        (!span.is_zero()).then(|| Self((used.as_nanos() as f64 / span.as_secs_f64()) as u64))
    }

    /// In billionths of a core.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Reads a text such as `250m` or `1.5`.
    ///
    /// # Errors
    /// The text has another form, or says more than a million cores.
    pub fn parse(text: &str) -> Result<Self, UnitError> {
        let (number, unit) = text.strip_suffix('m').map_or((text, NANOS_PER_SECOND), |number| (number, 1_000_000));
        let nanocores = decimal(number, unit).filter(|nanocores| *nanocores <= Self::MAX.0);
        nanocores.map(Self).ok_or(UnitError { wanted: Self::WANTED })
    }

    const WANTED: &'static str = "a CPU rate in cores such as \"250m\" or \"1.5\"";
}

impl fmt::Display for Nanocores {
    /// In thousandths of a core where that is exact, else in billionths: `250m`, `1n`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_multiple_of(1_000_000) {
            write!(out, "{}m", self.0 / 1_000_000)
        } else {
            write!(out, "{}n", self.0)
        }
    }
}

/// A size of memory, in bytes. As a setting: `64MiB`, `1GB`, `64Mi`, or a number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(u64);

/// The units of sizes.
const SIZE_UNITS: [(&str, u64); 14] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("B", 1),
    ("", 1),
];

impl Bytes {
    /// The most that a gateway believes.
    pub const MAX: Self = Self(1 << 60);

    /// A size by its bytes.
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// A size by its mebibytes (1,048,576 bytes).
    pub const fn from_mib(mebibytes: u64) -> Self {
        Self(mebibytes.saturating_mul(1 << 20))
    }

    /// In bytes.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Reads a text such as `64MiB` or `1.5GB`.
    ///
    /// # Errors
    /// The text has another form, or says more than 2^60 bytes.
    pub fn parse(text: &str) -> Result<Self, UnitError> {
        let digits = text.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
        let (number, unit) = text.split_at(digits);
        let size = SIZE_UNITS.iter().find(|(name, _)| *name == unit).map(|(_, size)| *size);
        let bytes = size.and_then(|size| decimal(number, size)).filter(|bytes| *bytes <= Self::MAX.0);
        bytes.map(Self).ok_or(UnitError { wanted: Self::WANTED })
    }

    const WANTED: &'static str = "a size such as \"64MiB\", \"1GB\" or a number of bytes";
}

impl fmt::Display for Bytes {
    /// In the largest binary unit that is exact: `64MiB`, `1000B`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = |(_, size): &&(&str, u64)| self.0 != 0 && self.0.is_multiple_of(*size);
        match SIZE_UNITS[..4].iter().rev().find(exact) {
            Some((name, size)) => write!(out, "{}{name}", self.0 / size),
            None => write!(out, "{}B", self.0),
        }
    }
}

/// `number`, a decimal fraction without sign, times `unit`; digits below a whole are cut off. None: another form, or too
/// large. By whole numbers: what reads floating point is larger than many a plugin.
fn decimal(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if whole.is_empty() || !whole.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let whole = whole.parse::<u64>().ok()?.checked_mul(unit)?;
    let scale = 10_u64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let part = fraction.parse::<u64>().ok()?.checked_mul(unit)? / scale;
    whole.checked_add(part)
}

/// Why a text is not a value of its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnitError {
    wanted: &'static str,
}

impl fmt::Display for UnitError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "want {}", self.wanted)
    }
}

impl std::error::Error for UnitError {}

/// Makes a unit the type of a setting: read from its text, or by further visits.
macro_rules! setting {
    ($unit:ident, { $($visits:item)* }) => {
        impl<'de> Deserialize<'de> for $unit {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Reader;
                impl Visitor<'_> for Reader {
                    type Value = $unit;

                    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                        out.write_str(<$unit>::WANTED)
                    }

                    fn visit_str<E: Error>(self, text: &str) -> Result<$unit, E> {
                        <$unit>::parse(text).map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
                    }

                    $($visits)*
                }
                deserializer.deserialize_any(Reader)
            }
        }

        impl Serialize for $unit {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
}

setting!(Duration, {});

setting!(Nanocores, {
    fn visit_u64<E: Error>(self, cores: u64) -> Result<Nanocores, E> {
        self.visit_f64(cores as f64)
    }

    fn visit_f64<E: Error>(self, cores: f64) -> Result<Nanocores, E> {
        let nanocores = cores * NANOS_PER_SECOND as f64;
        let is_in_range = (0.0..=Nanocores::MAX.0 as f64).contains(&nanocores);
        if is_in_range {
            Ok(Nanocores(nanocores as u64))
        } else {
            Err(E::invalid_value(Unexpected::Float(cores), &self))
        }
    }
});

setting!(Bytes, {
    fn visit_u64<E: Error>(self, bytes: u64) -> Result<Bytes, E> {
        if bytes <= Bytes::MAX.0 { Ok(Bytes(bytes)) } else { Err(E::invalid_value(Unexpected::Unsigned(bytes), &self)) }
    }
});

#[cfg(test)]
mod tests;
