//! Prometheus' text format, as far as a kubelet's `/metrics/resource` goes: one pass, no allocation per line.
//!
//! The five families that usage needs are read in full; of any other line only its rough form is looked at. Where not
//! one sample could be read and some line is bad, the answer is refused: it is a page of HTML, or noise (some of whose
//! lines begin with `#` or end in a digit), and not an answer without samples.

use std::borrow::Cow;
use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};
use memchr::{memchr, memchr2, memchr3};

use super::{DecodeError, Reading, keep_complete};
use crate::config::TimestampOf;
use crate::model::units::{Bytes, CpuNanoseconds, UnixNanos};
use crate::model::{Batch, ContainerSample, Sample};

pub(super) fn batch(body: &[u8], reading: Reading) -> Result<Batch<'_>, DecodeError> {
    let mut gathered = Gathered::new(reading);
    let mut bad = 0u32;
    for line in lines(body) {
        if let Err(BadLine) = gathered.take(line) {
            bad += 1;
        }
    }
    if gathered.samples == 0 && bad > 0 {
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
    /// How many lines were samples of the families.
    samples: u32,
    node: Sample,
    containers: Vec<ContainerSample<'a>>,
    /// The label blocks of `containers`, braces included, as they were first written.
    blocks: Vec<&'a [u8]>,
    /// Where in `containers` a container stands. Seeded per process: kubelets are not trusted.
    index: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// The container after the one read last: families list the same containers in the same order, and write their
    /// labels alike, so that only the first family's labels have to be parsed.
    expected: usize,
}

impl<'a> Gathered<'a> {
    fn new(reading: Reading) -> Self {
        Self {
            reading,
            samples: 0,
            node: empty(reading.asked_at),
            containers: Vec::new(),
            blocks: Vec::new(),
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
        let name_end = memchr3(b'{', b' ', b'\t', line).ok_or(BadLine)?;
        let (name, rest) = line.split_at(name_end);
        let Some(family) = Family::of(name) else { return roughly_a_sample(name, rest) };
        let is_of_node = matches!(family, Family::NodeCpu | Family::NodeMemory);
        let expected = self.blocks.get(self.expected).filter(|_| !is_of_node);
        if let Some(rest) = expected.and_then(|block| rest.strip_prefix(*block)) {
            let point = Point::parse(utf8(rest)?)?;
            self.write(point, family, self.expected);
            return Ok(());
        }
        let rest = utf8(rest)?;
        let (labels, after) = Labels::parse(rest)?;
        let point = Point::parse(after)?;
        if is_of_node {
            point.write_to(&mut self.node, family, self.reading);
            self.samples += 1;
        } else {
            let block = &rest.as_bytes()[..rest.len() - after.len()];
            let at = self.container(labels, block)?;
            self.write(point, family, at);
        }
        Ok(())
    }

    fn write(&mut self, point: Point, family: Family, at: usize) {
        point.write_to(&mut self.containers[at].sample, family, self.reading);
        self.expected = at + 1;
        self.samples += 1;
    }

    /// Where the container with these labels stands; it is added if it is new.
    fn container(&mut self, labels: Labels<'a>, block: &'a [u8]) -> Result<usize, BadLine> {
        let (Some(namespace), Some(pod), Some(container)) = (labels.namespace, labels.pod, labels.container) else {
            return Err(BadLine);
        };
        let hash = self.hasher.hash_one((&*namespace, &*pod, &*container));
        let is_it = |&at: &u32| {
            let known = &self.containers[at as usize];
            known.pod == pod && known.container == container && known.namespace == namespace
        };
        if let Some(at) = self.index.find(hash, is_it) {
            return Ok(*at as usize);
        }
        self.blocks.push(block);
        let sample = empty(self.reading.asked_at);
        Ok(self.insert(hash, ContainerSample { namespace, pod, container, sample }))
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

fn utf8(bytes: &[u8]) -> Result<&str, BadLine> {
    std::str::from_utf8(bytes).map_err(|_| BadLine)
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

/// Passes over blanks. Byte by byte, as there are hardly ever any: patterns of characters cost more.
fn blank(text: &str) -> &str {
    let blanks = text.bytes().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    &text[blanks..]
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
        let text = blank(text);
        let (value, rest) = text.split_at(memchr2(b' ', b'\t', text.as_bytes()).unwrap_or(text.len()));
        let value: f64 = value.parse().map_err(|_| BadLine)?;
        let time = blank(rest).trim_end_matches([' ', '\t']);
        let taken_at = if time.is_empty() { None } else { Some(millis(time)?) };
        Ok(Self { value: Some(value).filter(|value| value.is_finite() && *value >= 0.0), taken_at })
    }

    fn write_to(&self, sample: &mut Sample, family: Family, reading: Reading) {
        // `as` truncates, and stops at the largest number, which is what is wanted here.
        let nanos = |seconds: f64| (seconds * 1e9) as u64;
        let sets_the_time = match family {
            Family::NodeCpu | Family::ContainerCpu => {
                sample.cpu = CpuNanoseconds(self.value.map_or(0, nanos));
                true
            }
            Family::NodeMemory | Family::ContainerMemory => {
                sample.memory = Bytes(self.value.map_or(0, |bytes| bytes as u64));
                reading.timestamp == TimestampOf::LastLine
            }
            Family::ContainerStart => {
                sample.started_at = UnixNanos(self.value.map_or(0, nanos));
                false
            }
        };
        if sets_the_time {
            sample.taken_at = self.taken_at.unwrap_or(reading.asked_at);
        }
    }
}

/// A time in milliseconds, without a sign. Zero would be "unknown" further down, and no kubelet ran in 1970.
fn millis(word: &str) -> Result<UnixNanos, BadLine> {
    let mut millis = 0u64;
    for byte in word.bytes() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return Err(BadLine);
        }
        millis = millis.checked_mul(10).and_then(|tens| tens.checked_add(u64::from(digit))).ok_or(BadLine)?;
    }
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
