//! gateway.toml as it is written: a [`RawConfig`], every value of its type and with its place.
//!
//! In: the text of the file. Out: what could be read, and every [`Problem`] found on the way: keys that do not exist
//! (with the nearest one that does) and values that are not of their type. Where the text is no TOML at all, only that
//! is reported, because what a broken line leaves behind is guesswork.
//!
//! The document is walked by hand rather than deserialised, because serde stops at the first fault and an operator
//! wants all of them. A new key is one line in a `read_*` function, a new section one line in [`RawConfig::read`].
//! What concerns plugins and whom they decide for is read by [`policies`].
//!
//! Absent on purpose: defaults, ranges, and whether values make sense together; see [`check`](mod@super::check).

pub mod policies;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Place, Problem};
use super::{ContainerOrder, FallingCounter, OnBadStart, PodOnTwoNodes, TimestampOf};
use crate::args::values::GoDuration;
use policies::RawPolicies;

/// The file; what is absent was not written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RawConfig {
    /// `[scrape]`
    pub scrape: RawScrape,
    /// `[history]`
    pub history: RawHistory,
    /// `[api]`
    pub api: RawApi,
    /// `[serving]`
    pub serving: RawServing,
    /// `[plugin_engine]`
    pub plugin_engine: RawPluginEngine,
    /// `[plugins]`, `[[node_pool]]`, `[[tenant]]` and `[default]`
    pub policies: RawPolicies,
}

/// `[scrape]`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RawScrape {
    /// How many kubelets are asked at the same time.
    pub concurrency: Option<Located<u64>>,
    /// Bytes of an answer above which it is refused; written as `"16MiB"`.
    pub max_body: Option<Located<u64>>,
    /// Whether kubelets are asked to compress.
    pub gzip: Option<Located<bool>>,
    /// Whether a node's further addresses are tried when the first cannot be connected to.
    pub try_all_addresses: Option<Located<bool>>,
}

/// `[history]`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RawHistory {
    /// How long the last usage is served when readings fail to come.
    pub hold: Option<Located<Duration>>,
    /// What becomes of a pod with a CPU counter that falls.
    pub falling_counter: Option<Located<FallingCounter>>,
    /// Whose word counts for a pod that two nodes report.
    pub pod_on_two_nodes: Option<Located<PodOnTwoNodes>>,
    /// Which line's timestamp is the sample's.
    pub timestamp: Option<Located<TimestampOf>>,
}

/// `[api]`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RawApi {
    /// In which order a pod's containers are served.
    pub container_order: Option<Located<ContainerOrder>>,
    /// Whether the usage can be had for Prometheus, too.
    pub resource_metrics: Option<Located<bool>>,
}

/// `[serving]`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RawServing {
    /// How many connections may be open.
    pub max_connections: Option<Located<u64>>,
}

/// `[plugin_engine]`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RawPluginEngine {
    /// Where compiled plugins are kept; empty: nowhere.
    pub cache_directory: Option<Located<String>>,
    /// How many plugins run at the same time; 0: as many as there are cores.
    pub workers: Option<Located<u64>>,
    /// What is done where the policies cannot be put in force at the start.
    pub on_bad_start: Option<Located<OnBadStart>>,
}

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Its key and line.
    pub place: Place,
}

impl RawConfig {
    /// Reads the text of the file that the command line calls `file`. A key with a problem counts as not written.
    /// Problems come in the order of the lines.
    pub fn read(file: &str, text: &str) -> (Self, Vec<Problem>) {
        let (root, errors) = DeTable::parse_recoverable(text);
        let mut walk = Walk { file: file.into(), text, problems: Vec::new() };
        if !errors.is_empty() {
            walk.problems = errors.iter().map(|error| walk.syntax(error)).collect();
            return (Self::default(), walk.finish());
        }
        let mut top = walk.top(root.get_ref());
        let raw = Self {
            scrape: top.section("scrape").map(read_scrape).unwrap_or_default(),
            history: top.section("history").map(read_history).unwrap_or_default(),
            api: top.section("api").map(read_api).unwrap_or_default(),
            serving: top.section("serving").map(read_serving).unwrap_or_default(),
            plugin_engine: top.section("plugin_engine").map(read_plugin_engine).unwrap_or_default(),
            policies: policies::read(&mut top),
        };
        top.refuse_the_rest();
        (raw, walk.finish())
    }
}

fn read_scrape(mut section: Section<'_, '_>) -> RawScrape {
    let raw = RawScrape {
        concurrency: section.key("concurrency", whole_number),
        max_body: section.key("max_body", size),
        gzip: section.key("gzip", switch),
        try_all_addresses: section.key("try_all_addresses", switch),
    };
    section.refuse_the_rest();
    raw
}

fn read_history(mut section: Section<'_, '_>) -> RawHistory {
    let falling = [("omit-pod", FallingCounter::OmitPod), ("omit-container", FallingCounter::OmitContainer)];
    let two_nodes = [("newest-start", PodOnTwoNodes::NewestStart), ("first-answer", PodOnTwoNodes::FirstAnswer)];
    let timestamp = [("cpu", TimestampOf::Cpu), ("last-line", TimestampOf::LastLine)];
    let raw = RawHistory {
        hold: section.key("hold", duration),
        falling_counter: section.key("falling_counter", |value| one_of(&falling, value)),
        pod_on_two_nodes: section.key("pod_on_two_nodes", |value| one_of(&two_nodes, value)),
        timestamp: section.key("timestamp", |value| one_of(&timestamp, value)),
    };
    section.refuse_the_rest();
    raw
}

fn read_api(mut section: Section<'_, '_>) -> RawApi {
    let order = [("by-name", ContainerOrder::ByName), ("as-reported", ContainerOrder::AsReported)];
    let raw = RawApi {
        container_order: section.key("container_order", |value| one_of(&order, value)),
        resource_metrics: section.key("resource_metrics", switch),
    };
    section.refuse_the_rest();
    raw
}

fn read_serving(mut section: Section<'_, '_>) -> RawServing {
    let raw = RawServing { max_connections: section.key("max_connections", whole_number) };
    section.refuse_the_rest();
    raw
}

fn read_plugin_engine(mut section: Section<'_, '_>) -> RawPluginEngine {
    let on_bad_start = [("refuse", OnBadStart::Refuse), ("built-in", OnBadStart::BuiltIn)];
    let raw = RawPluginEngine {
        cache_directory: section.key("cache_directory", text),
        workers: section.key("workers", whole_number),
        on_bad_start: section.key("on_bad_start", |value| one_of(&on_bad_start, value)),
    };
    section.refuse_the_rest();
    raw
}

fn text(value: &DeValue<'_>) -> Result<String, String> {
    let text = value.as_str().map(str::to_owned);
    text.ok_or_else(|| format!("{} is no text (write it in quotes)", shown(value)))
}

fn whole_number(value: &DeValue<'_>) -> Result<u64, String> {
    let number = value.as_integer().and_then(|number| u64::from_str_radix(number.as_str(), number.radix()).ok());
    number.ok_or_else(|| format!("{} is no whole number (write for example 100)", shown(value)))
}

fn switch(value: &DeValue<'_>) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| format!("{} is neither true nor false", shown(value)))
}

fn duration(value: &DeValue<'_>) -> Result<Duration, String> {
    let refused = || format!("{} is no duration (write for example \"45s\")", shown(value));
    let duration: GoDuration = value.as_str().and_then(|text| text.parse().ok()).ok_or_else(refused)?;
    duration.unsigned().ok_or_else(|| format!("{} is negative", shown(value)))
}

/// A number of bytes with its unit.
fn size(value: &DeValue<'_>) -> Result<u64, String> {
    let refused = || format!("{} is no size (write for example \"16MiB\")", shown(value));
    value.as_str().and_then(parse_size).ok_or_else(refused)
}

fn parse_size(text: &str) -> Option<u64> {
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

fn one_of<T: Copy>(choices: &[(&str, T)], value: &DeValue<'_>) -> Result<T, String> {
    let chosen = choices.iter().find(|(name, _)| value.as_str() == Some(name));
    chosen.map(|(_, choice)| *choice).ok_or_else(|| {
        let names: Vec<String> = choices.iter().map(|(name, _)| format!("{name:?}")).collect();
        format!("{} is none of {}", shown(value), names.join(", "))
    })
}

/// A value as a message quotes it.
fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(switch) => switch.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// A document being read, and what was found wrong with it so far.
struct Walk<'d> {
    file: Arc<str>,
    text: &'d str,
    problems: Vec<Problem>,
}

impl<'d> Walk<'d> {
    fn top<'w>(&'w mut self, table: &'w DeTable<'d>) -> Section<'w, 'd> {
        Section { walk: self, path: String::new(), span: 0..0, table, known: Vec::new() }
    }

    fn finish(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(Problem::line);
        self.problems
    }

    fn place(&self, span: Range<usize>, key: String) -> Place {
        let before = &self.text.as_bytes()[..span.start.min(self.text.len())];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        Place { file: self.file.clone(), line, key }
    }

    fn syntax(&self, error: &toml::de::Error) -> Problem {
        let place = self.place(error.span().unwrap_or(0..0), String::new());
        Problem::at(place, error.message().trim_end().replace('\n', ", "))
    }
}

/// A table of the document, and the keys that were asked of it.
struct Section<'w, 'd> {
    walk: &'w mut Walk<'d>,
    /// `tenant.payments`; empty at the top.
    path: String,
    /// Where it begins.
    span: Range<usize>,
    table: &'w DeTable<'d>,
    known: Vec<&'static str>,
}

impl<'d> Section<'_, 'd> {
    /// The section under a key of the top; None if it is absent or none.
    fn section(&mut self, name: &'static str) -> Option<Section<'_, 'd>> {
        self.item(name)?.table("section", &format!("[{name}]"))
    }

    /// Whatever is under a key; None if it is absent.
    fn item(&mut self, name: &'static str) -> Option<Item<'_, 'd>> {
        self.known.push(name);
        let (key, value) = entry(self.table, name)?;
        let path = self.full(name);
        Some(Item { walk: self.walk, path, span: key.span(), value: value.get_ref() })
    }

    /// As [`Section::item`], of a key without which the section means nothing.
    fn required(&mut self, name: &'static str) -> Option<Item<'_, 'd>> {
        if entry(self.table, name).is_none() {
            self.refuse(self.span.clone(), name, "is missing".to_owned());
        }
        self.item(name)
    }

    /// The value of a key; None if it is absent or not what `read` expects.
    fn key<T>(&mut self, name: &'static str, read: impl Fn(&DeValue<'d>) -> Result<T, String>) -> Option<Located<T>> {
        self.item(name)?.read(read)
    }

    /// Whatever was not asked for does not exist.
    fn refuse_the_rest(mut self) {
        let table = self.table;
        for key in table.keys().filter(|key| !self.known.contains(&key.get_ref().as_ref())).collect::<Vec<_>>() {
            let hint = match nearest(key.get_ref(), &self.known) {
                Some(known) => format!("did you mean {known:?}?"),
                None => format!("known are {}", quoted(&self.known)),
            };
            self.refuse(key.span(), key.get_ref(), format!("unknown key, {hint}"));
        }
    }

    fn refuse(&mut self, span: Range<usize>, name: &str, text: String) {
        let place = self.walk.place(span, self.full(name));
        self.walk.problems.push(Problem::at(place, text));
    }

    fn full(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }
}

/// A value of the document, of whatever type.
struct Item<'w, 'd> {
    walk: &'w mut Walk<'d>,
    /// `tenant.payments.filter[0]`: as the lists of Kubernetes' messages, counted from zero.
    path: String,
    span: Range<usize>,
    value: &'w DeValue<'d>,
}

impl<'w, 'd> Item<'w, 'd> {
    /// The value, if it is what `read` expects.
    fn read<T>(self, read: impl Fn(&DeValue<'d>) -> Result<T, String>) -> Option<Located<T>> {
        match read(self.value) {
            Ok(value) => Some(Located { value, place: self.place() }),
            Err(text) => {
                self.refuse(text);
                None
            }
        }
    }

    /// The table that it should be; `kind` and `example` are for the message if it is none.
    fn table(self, kind: &str, example: &str) -> Option<Section<'w, 'd>> {
        match self.value.as_table() {
            Some(table) => {
                Some(Section { walk: self.walk, path: self.path, span: self.span, table, known: Vec::new() })
            }
            None => {
                let text = format!("{} is no {kind} (write for example {example})", shown(self.value));
                self.refuse(text);
                None
            }
        }
    }

    /// What `read` makes of the elements of the list that it should be.
    fn each<T>(self, example: &str, mut read: impl FnMut(Item<'_, 'd>) -> Option<T>) -> Vec<T> {
        let Some(list) = self.value.as_array() else {
            let text = format!("{} is no list (write for example {example})", shown(self.value));
            self.refuse(text);
            return Vec::new();
        };
        let mut values = Vec::new();
        for (at, element) in list.iter().enumerate() {
            let path = format!("{}[{at}]", self.path);
            let item = Item { walk: &mut *self.walk, path, span: element.span(), value: element.get_ref() };
            values.extend(read(item));
        }
        values
    }

    fn place(&self) -> Place {
        self.walk.place(self.span.clone(), self.path.clone())
    }

    fn refuse(self, text: String) {
        let place = self.place();
        self.walk.problems.push(Problem::at(place, text));
    }
}

type Entry<'w, 'd> = (&'w Spanned<std::borrow::Cow<'d, str>>, &'w Spanned<DeValue<'d>>);

fn entry<'w, 'd>(table: &'w DeTable<'d>, name: &str) -> Option<Entry<'w, 'd>> {
    table.iter().find(|(key, _)| key.get_ref() == name)
}

fn quoted(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    names.join(", ")
}

/// The known name that is a slip of the fingers away from `name`: about a third of its letters may differ.
fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let near = known.iter().map(|known| (edits(name, known), *known)).min()?;
    (near.0 <= 1 + name.chars().count() / 3).then_some(near.1)
}

/// How many letters must be inserted, removed or replaced to make one word of the other.
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (done, letter) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = done + 1;
        for (at, wanted) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *wanted);
            diagonal = row[at + 1];
            row[at + 1] = replaced.min(row[at] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests;
