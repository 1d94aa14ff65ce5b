//! A second decoder of the text form, written to be obviously right and for nothing else: it splits, copies and walks
//! characters one by one. It shares no code with the one under test but the types of its result.

use std::collections::{BTreeMap, VecDeque};

use crate::config::TimestampOf;
use crate::model::Sample;
use crate::model::units::{Bytes, CpuNanoseconds, UnixNanos};

/// Namespace and name of a pod.
pub(super) type PodKey = (String, String);

/// What is in one answer.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Answer {
    pub(super) node: Option<Sample>,
    /// The complete pods, their containers in the order of their first lines.
    pub(super) pods: BTreeMap<PodKey, Vec<(String, Sample)>>,
    pub(super) bad_lines: u32,
    pub(super) incomplete_pods: u32,
}

/// None where a line is bad and none is a sample.
pub(super) fn decode(body: &[u8], asked_at: UnixNanos, rule: TimestampOf) -> Option<Answer> {
    let unknown = Sample { taken_at: asked_at, started_at: UnixNanos(0), cpu: CpuNanoseconds(0), memory: Bytes(0) };
    let mut node = unknown;
    let mut pods: BTreeMap<PodKey, Vec<(String, Sample)>> = BTreeMap::new();
    let (mut samples, mut bad) = (0, 0);
    for bytes in body.split(|byte| *byte == b'\n') {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        match read_line(bytes) {
            Line::Bad => bad += 1,
            Line::Passed => {}
            Line::Node { family, point } => {
                samples += 1;
                point.apply(&mut node, &family, asked_at, rule);
            }
            Line::Container { family, pod, container, point } => {
                samples += 1;
                let containers = pods.entry(pod).or_default();
                let at = containers.iter().position(|(name, _)| *name == container).unwrap_or_else(|| {
                    containers.push((container, unknown));
                    containers.len() - 1
                });
                point.apply(&mut containers[at].1, &family, asked_at, rule);
            }
        }
    }
    if samples == 0 && bad > 0 {
        return None;
    }
    let all = pods.len();
    pods.retain(|_, containers| containers.iter().all(|(_, sample)| is_complete(sample)));
    let incomplete_pods = u32::try_from(all - pods.len()).unwrap();
    Some(Answer { node: Some(node).filter(is_complete), pods, bad_lines: bad, incomplete_pods })
}

fn is_complete(sample: &Sample) -> bool {
    sample.cpu != CpuNanoseconds(0) && sample.memory != Bytes(0)
}

enum Line {
    Bad,
    Passed,
    Node { family: String, point: Point },
    Container { family: String, pod: PodKey, container: String, point: Point },
}

fn read_line(bytes: &[u8]) -> Line {
    let Ok(text) = String::from_utf8(bytes.to_vec()) else { return read_foreign_line(bytes) };
    let mut rest: VecDeque<char> = text.chars().collect();
    while rest.front().is_some_and(char::is_ascii_whitespace) {
        rest.pop_front();
    }
    if rest.front() == Some(&'#') {
        return Line::Passed;
    }
    let mut family = String::new();
    loop {
        match rest.front() {
            None => return Line::Bad,
            Some('{' | ' ' | '\t') => break,
            Some(other) => family.push(*other),
        }
        rest.pop_front();
    }
    let is_node = matches!(&*family, "node_cpu_usage_seconds_total" | "node_memory_working_set_bytes");
    let is_container = matches!(
        &*family,
        "container_cpu_usage_seconds_total" | "container_memory_working_set_bytes" | "container_start_time_seconds"
    );
    if !is_node && !is_container {
        return read_foreign_line(bytes);
    }
    let Some(labels) = read_labels(&mut rest) else { return Line::Bad };
    let Some(point) = read_point(&rest) else { return Line::Bad };
    if is_node {
        return Line::Node { family, point };
    }
    let label = |name: &str| labels.get(name).cloned();
    match (label("namespace"), label("pod"), label("container")) {
        (Some(namespace), Some(pod), Some(container)) => {
            Line::Container { family, pod: (namespace, pod), container, point }
        }
        _ => Line::Bad,
    }
}

/// A line of which only the rough form matters: it begins like a name (or with the braces of a quoted one), something
/// parts the name from the rest, and the last word ends in a digit or is one of the words for odd numbers.
fn read_foreign_line(bytes: &[u8]) -> Line {
    let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
    let text = text.trim_matches(|c: char| c.is_ascii_whitespace());
    if text.starts_with('#') {
        return Line::Passed;
    }
    let wanted = ["node_cpu_usage_seconds_total", "node_memory_working_set_bytes", "container_cpu_usage_seconds_total"]
        .into_iter()
        .chain(["container_memory_working_set_bytes", "container_start_time_seconds"]);
    let Some(parting) = text.find(['{', ' ', '\t']) else { return Line::Bad };
    if wanted.into_iter().any(|family| family == &text[..parting]) {
        // Not UTF-8, or it would not have come here.
        return Line::Bad;
    }
    let begins_well = text.starts_with(|c: char| c.is_ascii_alphabetic() || "_:{".contains(c));
    let last_word = text[parting..].split(|c: char| c.is_ascii_whitespace()).next_back().unwrap();
    let is_odd = ["nan", "inf", "+inf", "-inf"].contains(&&*last_word.to_ascii_lowercase());
    if begins_well && (is_odd || last_word.ends_with(|c: char| c.is_ascii_digit())) { Line::Passed } else { Line::Bad }
}

fn skip_blanks(rest: &mut VecDeque<char>) {
    while matches!(rest.front(), Some(' ' | '\t')) {
        rest.pop_front();
    }
}

fn expect(rest: &mut VecDeque<char>, wanted: char) -> Option<()> {
    (rest.pop_front()? == wanted).then_some(())
}

fn read_labels(rest: &mut VecDeque<char>) -> Option<BTreeMap<String, String>> {
    let mut labels = BTreeMap::new();
    skip_blanks(rest);
    if rest.front() != Some(&'{') {
        return Some(labels);
    }
    rest.pop_front();
    loop {
        skip_blanks(rest);
        if rest.front() == Some(&'}') {
            rest.pop_front();
            return Some(labels);
        }
        let mut name = String::new();
        while let Some(c) = rest.front().filter(|c| c.is_ascii_alphanumeric() || **c == '_') {
            name.push(*c);
            rest.pop_front();
        }
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        skip_blanks(rest);
        expect(rest, '=')?;
        skip_blanks(rest);
        expect(rest, '"')?;
        let mut value = String::new();
        loop {
            match rest.pop_front()? {
                '"' => break,
                '\\' => match rest.pop_front()? {
                    'n' => value.push('\n'),
                    '\\' => value.push('\\'),
                    '"' => value.push('"'),
                    other => {
                        value.push('\\');
                        value.push(other);
                    }
                },
                other => value.push(other),
            }
        }
        labels.insert(name, value);
        skip_blanks(rest);
        match rest.front()? {
            ',' => drop(rest.pop_front()),
            '}' => {}
            _ => return None,
        }
    }
}

struct Point {
    value: f64,
    taken_at: Option<UnixNanos>,
}

fn read_point(rest: &VecDeque<char>) -> Option<Point> {
    let text: String = rest.iter().collect();
    let words: Vec<&str> = text.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
    let (value, time) = match words[..] {
        [value] => (value, None),
        [value, time] => (value, Some(time)),
        _ => return None,
    };
    let value: f64 = value.parse().ok()?;
    let Some(time) = time else { return Some(Point { value, taken_at: None }) };
    if !time.chars().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let nanos = time.parse::<u128>().ok()? * 1_000_000;
    let nanos = u64::try_from(nanos).ok().filter(|nanos| *nanos > 0)?;
    Some(Point { value, taken_at: Some(UnixNanos(nanos)) })
}

impl Point {
    fn apply(&self, sample: &mut Sample, family: &str, asked_at: UnixNanos, rule: TimestampOf) {
        let is_cpu = family.contains("_cpu_");
        if is_cpu {
            sample.cpu = CpuNanoseconds(whole(self.value, 1e9));
        } else if family.contains("_memory_") {
            sample.memory = Bytes(whole(self.value, 1.0));
        } else {
            sample.started_at = UnixNanos(whole(self.value, 1e9));
            return;
        }
        if is_cpu || rule == TimestampOf::LastLine {
            sample.taken_at = self.taken_at.unwrap_or(asked_at);
        }
    }
}

/// The whole part of the value times the scale; zero where the value is no finite number from zero up.
fn whole(value: f64, scale: f64) -> u64 {
    if value.is_nan() || value < 0.0 || value == f64::INFINITY {
        return 0;
    }
    let scaled = value * scale;
    if scaled >= 18_446_744_073_709_551_616.0 { u64::MAX } else { scaled.trunc() as u64 }
}
