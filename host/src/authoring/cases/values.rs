//! A TOML document being read: tables that know which of their keys were asked for, fields that know where they stand.
//! Every value that is not what was asked for is a problem with its line, and reading goes on.

use std::cell::RefCell;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use serde_json::Value;
use toml::de::{DeTable, DeValue};

use crate::args::values::GoDuration;
use crate::config::Problem;
use crate::config::problem::Place;
use crate::model::units::{Bytes, CpuNanoseconds, Nanocores};

/// The document, and what was found wrong with it so far.
pub(super) struct Reader<'a> {
    file: Arc<str>,
    text: &'a str,
    problems: RefCell<Vec<Problem>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(file: &str, text: &'a str) -> Self {
        Self { file: file.into(), text, problems: RefCell::default() }
    }

    pub(super) fn refuse(&self, span: Range<usize>, key: &str, text: String) {
        let place = Place { file: self.file.clone(), line: self.line(&span), key: key.to_owned() };
        self.problems.borrow_mut().push(Problem::at(place, text));
    }

    /// In the order of the lines.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(Problem::line);
        problems
    }

    fn line(&self, span: &Range<usize>) -> usize {
        let before = &self.text.as_bytes()[..span.start.min(self.text.len())];
        1 + before.iter().filter(|byte| **byte == b'\n').count()
    }
}

/// A table, and the keys that were asked of it.
pub(super) struct Table<'a> {
    reader: &'a Reader<'a>,
    table: &'a DeTable<'a>,
    span: Range<usize>,
    path: String,
    known: RefCell<Vec<&'static str>>,
}

impl<'a> Table<'a> {
    pub(super) fn new(reader: &'a Reader<'a>, table: &'a DeTable<'a>, span: Range<usize>, path: String) -> Self {
        Self { reader, table, span, path, known: RefCell::default() }
    }

    /// The line that it begins on.
    pub(super) fn line(&self) -> usize {
        self.reader.line(&self.span)
    }

    pub(super) fn key(&self, name: &'static str) -> Option<Field<'a>> {
        self.known.borrow_mut().push(name);
        let (key, value) = self.table.iter().find(|(key, _)| key.get_ref() == name)?;
        Some(Field { reader: self.reader, value: value.get_ref(), span: key.span(), path: self.full(name) })
    }

    /// As [`key`](Self::key); that it is missing is a problem.
    pub(super) fn required(&self, name: &'static str) -> Option<Field<'a>> {
        self.key(name).or_else(|| {
            self.reader.refuse(self.span.clone(), &self.full(name), "is missing".to_owned());
            None
        })
    }

    /// Its keys and values, where all values are to be texts.
    pub(super) fn texts(&self) -> Vec<(String, String)> {
        let field = |(key, value): (&'a toml::Spanned<std::borrow::Cow<'a, str>>, &'a toml::Spanned<DeValue<'a>>)| {
            let name = key.get_ref().as_ref();
            let field = Field { reader: self.reader, value: value.get_ref(), span: key.span(), path: self.full(name) };
            Some((name.to_owned(), field.text()?.to_owned()))
        };
        self.table.iter().filter_map(field).collect()
    }

    /// Whatever was not asked for does not exist.
    pub(super) fn refuse_the_rest(&self) {
        let known = self.known.borrow();
        if known.is_empty() {
            return;
        }
        for key in self.table.keys().filter(|key| !known.contains(&key.get_ref().as_ref())) {
            let text = format!("unknown key, known are {}", known.join(", "));
            self.reader.refuse(key.span(), &self.full(key.get_ref()), text);
        }
    }

    /// For tables that cannot be understood at all.
    pub(super) fn ignore_the_rest(&self) {
        self.known.borrow_mut().clear();
    }

    fn full(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }
}

/// A value, and where it stands.
pub(super) struct Field<'a> {
    reader: &'a Reader<'a>,
    value: &'a DeValue<'a>,
    span: Range<usize>,
    path: String,
}

impl<'a> Field<'a> {
    /// Tells of a problem with it; never a value.
    pub(super) fn refused<T>(&self, why: &str) -> Option<T> {
        self.reader.refuse(self.span.clone(), &self.path, format!("{} {why}", shown(self.value)));
        None
    }

    pub(super) fn is_text(&self) -> bool {
        self.value.as_str().is_some()
    }

    pub(super) fn text(&self) -> Option<&'a str> {
        self.value.as_str().or_else(|| self.refused("is no text"))
    }

    pub(super) fn switch(&self) -> Option<bool> {
        self.value.as_bool().or_else(|| self.refused("is neither true nor false"))
    }

    pub(super) fn table(&self) -> Option<Table<'a>> {
        let Some(table) = self.value.as_table() else { return self.refused("is no table") };
        Some(Table::new(self.reader, table, self.span.clone(), self.path.clone()))
    }

    pub(super) fn list(&self) -> Option<Vec<Self>> {
        let Some(list) = self.value.as_array() else { return self.refused("is no list") };
        let field = |item: &'a toml::Spanned<DeValue<'a>>| Field {
            reader: self.reader,
            value: item.get_ref(),
            span: item.span(),
            path: self.path.clone(),
        };
        Some(list.iter().map(field).collect())
    }

    pub(super) fn one_of<T: Clone>(&self, choices: &[(&str, T)]) -> Option<T> {
        let chosen = choices.iter().find(|(name, _)| self.value.as_str() == Some(name));
        chosen.map(|(_, choice)| choice.clone()).or_else(|| {
            let names: Vec<String> = choices.iter().map(|(name, _)| format!("{name:?}")).collect();
            self.refused(&format!("is none of {}", names.join(", ")))
        })
    }

    pub(super) fn whole(&self, range: RangeInclusive<u64>) -> Option<u64> {
        let (least, most) = (range.start(), range.end());
        let fits = self.number().filter(|number| range.contains(number));
        fits.or_else(|| self.refused(&format!("is no whole number from {least} to {most}")))
    }

    /// A share of one.
    pub(super) fn share(&self) -> Option<f64> {
        let float = self.value.as_float().and_then(|number| number.as_str().parse().ok());
        let number = float.or_else(|| self.number().map(|number| number as f64));
        let fits = number.filter(|number: &f64| (0.0..=1.0).contains(number));
        fits.or_else(|| self.refused("is no number from 0 to 1"))
    }

    /// Nanoseconds; may be negative.
    pub(super) fn distance(&self) -> Option<i64> {
        let parsed = self.value.as_str().and_then(|text| text.parse::<GoDuration>().ok());
        parsed.map(GoDuration::nanos).or_else(|| self.refused("is no duration (write for example \"15s\")"))
    }

    /// Nanoseconds above zero.
    pub(super) fn duration(&self) -> Option<u64> {
        let nanos = u64::try_from(self.distance()?).ok().filter(|nanos| *nanos > 0);
        nanos.or_else(|| self.refused("is not above zero"))
    }

    /// Core time: a duration, or a whole number of nanoseconds.
    pub(super) fn cpu_time(&self) -> Option<CpuNanoseconds> {
        if let Some(nanos) = self.number() {
            return Some(CpuNanoseconds(nanos));
        }
        let nanos = u64::try_from(self.distance()?).ok();
        nanos.map(CpuNanoseconds).or_else(|| self.refused("is below zero"))
    }

    /// A rate as Kubernetes writes it.
    pub(super) fn cpu_rate(&self) -> Option<Nanocores> {
        let parsed = self.value.as_str().and_then(parse_cpu);
        parsed.or_else(|| self.refused("is no CPU rate (write for example \"250m\")"))
    }

    /// A size with its unit, or a whole number of bytes.
    pub(super) fn bytes(&self) -> Option<Bytes> {
        let number = self.number().or_else(|| self.value.as_str().and_then(parse_bytes));
        number.map(Bytes).or_else(|| self.refused("is no size (write for example \"64MiB\")"))
    }

    /// A table as a JSON object, in text.
    pub(super) fn settings(&self) -> Option<String> {
        self.table()?;
        json(self.value)
            .map(|value| value.to_string())
            .or_else(|| self.refused("holds a number that JSON does not have"))
    }

    fn number(&self) -> Option<u64> {
        let integer = self.value.as_integer()?;
        u64::from_str_radix(integer.as_str(), integer.radix()).ok()
    }
}

/// None where there is a number that JSON cannot hold.
fn json(value: &DeValue<'_>) -> Option<Value> {
    Some(match value {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok().map(Value::from)?,
        DeValue::Float(number) => Value::from(number.as_str().parse::<f64>().ok().filter(|number| number.is_finite())?),
        DeValue::Boolean(switch) => Value::from(*switch),
        DeValue::Datetime(time) => Value::from(time.to_string()),
        DeValue::Array(items) => items.iter().map(|item| json(item.get_ref())).collect::<Option<Vec<_>>>()?.into(),
        DeValue::Table(table) => {
            let entry = |(key, value): (&toml::Spanned<std::borrow::Cow<'_, str>>, &toml::Spanned<DeValue<'_>>)| {
                Some((key.get_ref().to_string(), json(value.get_ref())?))
            };
            Value::Object(table.iter().map(entry).collect::<Option<_>>()?)
        }
    })
}

fn parse_cpu(text: &str) -> Option<Nanocores> {
    let (number, nanocores) = match text.as_bytes().last()? {
        b'n' => (&text[..text.len() - 1], 1.0),
        b'u' => (&text[..text.len() - 1], 1e3),
        b'm' => (&text[..text.len() - 1], 1e6),
        _ => (text, 1e9),
    };
    if !number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return None;
    }
    let rate = number.parse::<f64>().ok()? * nanocores;
    // The most that the contract lets a plugin answer.
    (rate <= 1e15).then_some(Nanocores(rate.round() as u64))
}

/// A size with its unit, in bytes.
pub fn parse_bytes(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let bytes = match unit.trim_start() {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(bytes)
}

/// A value as a message quotes it.
fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(switch) => switch.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(_) => "the list".to_owned(),
        DeValue::Table(_) => "the table".to_owned(),
    }
}
