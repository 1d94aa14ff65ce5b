//! Prometheus' text format, as far as a kubelet's `/metrics/resource` goes: one pass, no allocation per line.
//!
//! The five families that usage needs are read in full; of any other line only its rough form is looked at, so that
//! a page of HTML is not mistaken for an answer without samples.

use std::borrow::Cow;
use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};
use memchr::{memchr, memchr2};

use super::{DecodeError, Reading, keep_complete};
use crate::config::TimestampOf;
use crate::model::units::{Bytes, CpuNanoseconds, UnixNanos};
use crate::model::{Batch, ContainerSample, Sample};

pub(super) fn batch(body: &[u8], reading: Reading) -> Result<Batch<'_>, DecodeError> {
    let mut gathered = Gathered::new(reading);
    let (mut good, mut bad) = (0u32, 0u32);
    for line in lines(body) {
        match gathered.take(line) {
            Ok(()) => good += 1,
            Err(BadLine) => bad += 1,
        }
    }
    if good == 0 && bad > 0 {
        return Err(DecodeError::NotText { lines: bad });
    }
    Ok(keep_complete(gathered.node, gathered.containers, bad))
}

/// A line that is not of the format, or lacks what its family needs.
#[derive(Debug)]
struct BadLine;

fn lines(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = body;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = memchr(b'\n', rest).unwrap_or(rest.len());
        let line = &rest[..end];
        rest = rest.get(end + 1..).unwrap_or_default();
        Some(line)
    })
    .filter(|line| !line.trim_ascii().is_empty())
}

/// The families that usage is made of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    NodeCpu,
    NodeMemory,
    ContainerCpu,
    ContainerMemory,
    ContainerStart,
}

impl Family {
    fn of(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"node_cpu_usage_seconds_total" => Self::NodeCpu,
            b"node_memory_working_set_bytes" => Self::NodeMemory,
            b"container_cpu_usage_seconds_total" => Self::ContainerCpu,
            b"container_memory_working_set_bytes" => Self::ContainerMemory,
            b"container_start_time_seconds" => Self::ContainerStart,
            _ => return None,
        })
    }
}

/// What the lines read so far say.
struct Gathered<'a> {
    reading: Reading,
    node: Sample,
    containers: Vec<ContainerSample<'a>>,
    /// Where in `containers` a container stands. Seeded per process: kubelets are not trusted.
    index: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// The container after the one read last: families list the same containers in the same order.
    expected: usize,
}

impl<'a> Gathered<'a> {
    fn new(reading: Reading) -> Self {
        Self {
            reading,
            node: empty(reading.asked_at),
            containers: Vec::new(),
            index: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            expected: 0,
        }
    }

    fn take(&mut self, line: &'a [u8]) -> Result<(), BadLine> {
        let line = line.trim_ascii_start();
        if line[0] == b'#' {
            return Ok(());
        }
        let name_end = line.iter().position(|byte| matches!(byte, b'{' | b' ' | b'\t')).ok_or(BadLine)?;
        let (name, rest) = line.split_at(name_end);
        let Some(family) = Family::of(name) else { return roughly_a_sample(name, rest) };
        let rest = std::str::from_utf8(rest).map_err(|_| BadLine)?;
        let (labels, rest) = Labels::parse(rest)?;
        let point = Point::parse(rest)?;
        let asked_at = self.reading.asked_at;
        let rule = self.reading.timestamp;
        let sample = match family {
            Family::NodeCpu | Family::NodeMemory => &mut self.node,
            _ => self.container(labels)?,
        };
        point.write_to(sample, family, rule, asked_at);
        Ok(())
    }

    fn container(&mut self, labels: Labels<'a>) -> Result<&mut Sample, BadLine> {
        let (Some(namespace), Some(pod), Some(container)) = (labels.namespace, labels.pod, labels.container) else {
            return Err(BadLine);
        };
        let is_it = |known: &ContainerSample<'_>| {
            known.pod == pod && known.container == container && known.namespace == namespace
        };
        let at = if self.containers.get(self.expected).is_some_and(is_it) {
            self.expected
        } else {
            let hash = self.hasher.hash_one((&*namespace, &*pod, &*container));
            let found = self.index.find(hash, |&at| is_it(&self.containers[at as usize])).copied();
            if let Some(at) = found {
                at as usize
            } else {
                self.insert(hash, ContainerSample { namespace, pod, container, sample: empty(self.reading.asked_at) })
            }
        };
        self.expected = at + 1;
        Ok(&mut self.containers[at].sample)
    }

    fn insert(&mut self, hash: u64, new: ContainerSample<'a>) -> usize {
        let at = self.containers.len();
        let (containers, hasher) = (&self.containers, &self.hasher);
        let rehash = |&at: &u32| {
            let known = &containers[at as usize];
            hasher.hash_one((&*known.namespace, &*known.pod, &*known.container))
        };
        // A body is far smaller than 4 Gi lines: the scraper caps it.
        self.index.insert_unique(hash, u32::try_from(at).unwrap_or(u32::MAX), rehash);
        self.containers.push(new);
        at
    }
}

/// A sample that nothing is known of yet: incomplete by its zeros.
fn empty(asked_at: UnixNanos) -> Sample {
    Sample { taken_at: asked_at, started_at: UnixNanos::ZERO, cpu: CpuNanoseconds(0), memory: Bytes(0) }
}

/// The labels that name a container. Others are parsed and passed over.
#[derive(Default)]
struct Labels<'a> {
    namespace: Option<Cow<'a, str>>,
    pod: Option<Cow<'a, str>>,
    container: Option<Cow<'a, str>>,
}

impl<'a> Labels<'a> {
    /// Reads `{a="x",b="y",}` if it stands at the front, and returns what follows it.
    fn parse(text: &'a str) -> Result<(Self, &'a str), BadLine> {
        let mut labels = Self::default();
        let Some(mut rest) = blank(text).strip_prefix('{') else { return Ok((labels, text)) };
        loop {
            rest = blank(rest);
            if let Some(after) = rest.strip_prefix('}') {
                return Ok((labels, after));
            }
            let name_end = rest.bytes().position(|byte| !is_label_name(byte)).ok_or(BadLine)?;
            let (name, after) = rest.split_at(name_end);
            if name.bytes().next().is_none_or(|first| first.is_ascii_digit()) {
                return Err(BadLine);
            }
            let after = blank(after).strip_prefix('=').ok_or(BadLine)?;
            let after = blank(after).strip_prefix('"').ok_or(BadLine)?;
            let (value, after) = quoted(after)?;
            match name {
                "namespace" => labels.namespace = Some(value),
                "pod" => labels.pod = Some(value),
                "container" => labels.container = Some(value),
                _ => {}
            }
            rest = blank(after);
            if let Some(after) = rest.strip_prefix(',') {
                rest = after;
            } else if !rest.starts_with('}') {
                return Err(BadLine);
            }
        }
    }
}

fn is_label_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn blank(text: &str) -> &str {
    text.trim_start_matches([' ', '\t'])
}

/// Reads up to the closing quote. Only a value with escapes, which no Kubernetes name has, is copied.
fn quoted(text: &str) -> Result<(Cow<'_, str>, &str), BadLine> {
    let end = memchr2(b'"', b'\\', text.as_bytes()).ok_or(BadLine)?;
    if text.as_bytes()[end] == b'"' {
        return Ok((Cow::Borrowed(&text[..end]), &text[end + 1..]));
    }
    let mut value = String::from(&text[..end]);
    let mut characters = text[end..].char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Ok((Cow::Owned(value), &text[end + at + 1..])),
            '\\' => match characters.next().ok_or(BadLine)?.1 {
                'n' => value.push('\n'),
                // As Prometheus' parser: `\\` and `\"` lose the backslash, of anything else both stay.
                escaped @ ('\\' | '"') => value.push(escaped),
                other => value.extend(['\\', other]),
            },
            other => value.push(other),
        }
    }
    Err(BadLine)
}

/// What follows the labels: a value, and perhaps a time.
struct Point {
    /// None where the value is no finite number from zero up: such a reading says nothing.
    value: Option<f64>,
    taken_at: Option<UnixNanos>,
}

impl Point {
    fn parse(text: &str) -> Result<Self, BadLine> {
        let mut words = text.split([' ', '\t']).filter(|word| !word.is_empty());
        let value: f64 = words.next().ok_or(BadLine)?.parse().map_err(|_| BadLine)?;
        let taken_at = words.next().map(millis).transpose()?;
        if words.next().is_some() {
            return Err(BadLine);
        }
        Ok(Self { value: Some(value).filter(|value| value.is_finite() && *value >= 0.0), taken_at })
    }

    fn write_to(&self, sample: &mut Sample, family: Family, rule: TimestampOf, asked_at: UnixNanos) {
        // `as` truncates, and stops at the largest number, which is what is wanted here.
        let nanos = |seconds: f64| (seconds * 1e9) as u64;
        let sets_the_time = match family {
            Family::NodeCpu | Family::ContainerCpu => {
                sample.cpu = CpuNanoseconds(self.value.map_or(0, nanos));
                true
            }
            Family::NodeMemory | Family::ContainerMemory => {
                sample.memory = Bytes(self.value.map_or(0, |bytes| bytes as u64));
                rule == TimestampOf::LastLine
            }
            Family::ContainerStart => {
                sample.started_at = UnixNanos(self.value.map_or(0, nanos));
                false
            }
        };
        if sets_the_time {
            sample.taken_at = self.taken_at.unwrap_or(asked_at);
        }
    }
}

/// A time in milliseconds, without a sign. Zero would be "unknown" further down, and no kubelet ran in 1970.
fn millis(word: &str) -> Result<UnixNanos, BadLine> {
    if !word.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(BadLine);
    }
    let millis = word.parse().map_err(|_| BadLine)?;
    UnixNanos::from_millis(millis).filter(|time| *time > UnixNanos::ZERO).ok_or(BadLine)
}

/// Whether a line of some other family has about the form of one: a name, something in between, a number at the end.
fn roughly_a_sample(name: &[u8], rest: &[u8]) -> Result<(), BadLine> {
    let begins_well = name.first().is_none_or(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b':'));
    let last_word = rest.trim_ascii_end().rsplit(u8::is_ascii_whitespace).next().unwrap_or_default();
    let ends_well = last_word.last().is_some_and(u8::is_ascii_digit) || is_special(last_word);
    if begins_well && ends_well { Ok(()) } else { Err(BadLine) }
}

fn is_special(word: &[u8]) -> bool {
    [b"nan".as_slice(), b"inf", b"+inf", b"-inf"].iter().any(|special| word.eq_ignore_ascii_case(special))
}
