//! Series as columns: how histories of samples are handed to plugins.
//!
//! In: a [`SeriesBatch`]. Out: `types.batch` of `sdk/wit/policy.wit`. A column of numbers crosses into a guest as one copy,
//! whatever its length, where records would be taken apart field by field; names go over once each.

use hashbrown::HashMap;

use super::wit::metrics_gateway::policy::types;
use crate::model::Sample;
use crate::model::policy::{SeriesBatch, Subject};

/// The batch in columns. The node's own series stands alone, as whoever asks has it.
pub fn columns(batch: &SeriesBatch<'_>) -> types::Batch {
    let samples = || batch.series.iter().flat_map(|series| series.samples);
    let column = |value: fn(&Sample) -> u64| samples().map(value).collect();
    let mut end = 0;
    let ends = batch.series.iter().map(|series| {
        end += series.samples.len();
        index(end)
    });
    types::Batch {
        node: batch.node.to_owned(),
        subjects: subjects(batch),
        ends: ends.collect(),
        taken_at: column(|sample| sample.taken_at.0),
        started_at: column(|sample| sample.started_at.0),
        cpu_ns: column(|sample| sample.cpu.0),
        memory_bytes: column(|sample| sample.memory.0),
    }
}

fn subjects(batch: &SeriesBatch<'_>) -> types::Subjects {
    let mut names = Names::default();
    let (mut namespace, mut pod, mut container) = (Vec::new(), Vec::new(), Vec::new());
    for series in &batch.series {
        let Subject::Container { pod: of, name } = series.subject else { return types::Subjects::TheNode };
        namespace.push(names.index(of.namespace));
        pod.push(names.index(of.name));
        container.push(names.index(name));
    }
    types::Subjects::Containers(types::Containers { names: names.strings, namespace, pod, container })
}

/// The string table of one batch, while it grows.
struct Names<'a> {
    strings: types::Strings,
    known: HashMap<&'a str, u32>,
}

impl Default for Names<'_> {
    fn default() -> Self {
        let strings = types::Strings { text: String::new(), ends: Vec::new() };
        Self { strings, known: HashMap::new() }
    }
}

impl<'a> Names<'a> {
    fn index(&mut self, name: &'a str) -> u32 {
        let strings = &mut self.strings;
        *self.known.entry(name).or_insert_with(|| {
            strings.text.push_str(name);
            strings.ends.push(index(strings.text.len()));
            index(strings.ends.len() - 1)
        })
    }
}

/// A batch is cut to some thousand series of some hundred samples, and the names stand in a body of a few MiB. Should an
/// operator allow bodies of more than 4 GiB, the guest gets a number that it cannot use, and its fallback serves.
fn index(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
