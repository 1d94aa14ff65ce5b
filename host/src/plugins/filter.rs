//! The filter hook: plugins decide which containers of a tenant are served.
//!
//! In: the pods that a tenant has on one node, or the latest samples of some containers. Out: one [`Verdict`] per
//! container. A tenant may have a chain of up to eight filters. A later one is asked only about what the earlier ones
//! kept: one that keeps the first ten containers counts ten that would be served, not sidecars that are dropped anyway.
//! A container is served with what none of them withholds.
//!
//! The verdict 4 ("by value") is a filter's promise to decide at every scrape. Filters after it see the container as
//! kept; then, at the scrape, those that gave the verdict are asked in the order of the chain, each about what those
//! before it left. Only a plugin that exports `filter-by-value` may give it.
//!
//! A call holds at most 4,096 containers; more are asked about in several calls, cut between pods where possible. Where a
//! call fails, its containers are kept or dropped, as the binding's `on_error` says, and the verdicts do not last.
//!
//! Absent on purpose: remembering verdicts (the store's), and who is whose tenant. Rule: `filter` and `filter-by-value` in
//! `sdk/wit/policy.wit`.

use super::address::labels;
use super::binding::{BadAnswer, Binding, Guest};
use super::call::{Called, Caller, Failed};
use super::columns::columns;
use super::wit::exports::metrics_gateway::policy::filter::Pod;
use super::wit::metrics_gateway::policy::types;
use crate::config::policies::OnError;
use crate::model::policy::{
    FilterPolicy, Opinion, Opinions, PodIdentity, Series, SeriesBatch, Standing, Subject, Verdict, Verdicts, Voice,
};

/// A node carries some hundred containers; that many cost a plugin about a megabyte.
const MOST_CONTAINERS: usize = 4096;
/// As many samples as `screen` is shown of a container: enough for a rate.
const SCREENED_SAMPLES: usize = 2;
/// The verdict "by value".
const BY_VALUE: u8 = 4;

/// A plugin that is asked which containers are served.
pub trait Ask: Guest {
    /// `filter.classify`.
    ///
    /// # Errors
    /// [`Failed`] where there is no answer.
    fn classify(&self, pods: &[Pod]) -> Result<Called<Vec<u8>>, Failed>;

    /// `filter-by-value.screen`.
    ///
    /// # Errors
    /// [`Failed`] where there is no answer.
    fn screen(&self, batch: &types::Batch) -> Result<Called<Vec<u8>>, Failed>;
}

impl Ask for Caller {
    fn classify(&self, pods: &[Pod]) -> Result<Called<Vec<u8>>, Failed> {
        Self::classify(self, pods)
    }

    fn screen(&self, batch: &types::Batch) -> Result<Called<Vec<u8>>, Failed> {
        Self::screen(self, batch)
    }
}

/// The filters of a tenant, the first first.
pub struct FilterChain<G = Caller> {
    links: Vec<Link<G>>,
}

/// One filter of a chain.
pub struct Link<G = Caller> {
    /// The plugin.
    pub binding: Binding<G>,
    /// What becomes of containers where it fails.
    pub on_error: OnError,
    /// Which verdicts it may give.
    pub codes: Codes,
    /// Whether it is shown the labels of namespaces.
    pub sees_namespace_labels: bool,
}

/// The verdicts that an answer may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codes {
    /// 0 to 3.
    Final,
    /// 0 to 4: the plugin exports `filter-by-value`.
    ByValueToo,
}

impl<G: Ask> FilterChain<G> {
    /// At most eight filters: as many as a verdict has bits for.
    pub fn new(links: Vec<Link<G>>) -> Self {
        debug_assert!(links.len() <= 8, "the configuration has been checked");
        Self { links }
    }

    /// The filters, each with its bit in [`Verdict::by_value`].
    fn links(&self) -> impl Iterator<Item = (&Link<G>, u8)> {
        self.links.iter().zip((0..u8::BITS).map(|place| 1 << place))
    }
}

impl<G: Ask> FilterPolicy for FilterChain<G> {
    fn classify(&self, pods: &[PodIdentity<'_>]) -> Verdicts {
        self.classify_and_note(pods, &mut [])
    }

    fn screen(&self, batch: &SeriesBatch<'_>, before: &[Verdict]) -> Vec<Verdict> {
        self.screen_and_note(batch, before, &mut [])
    }

    fn classify_and_note(&self, pods: &[PodIdentity<'_>], opinions: &mut [Opinions]) -> Verdicts {
        let containers = pods.iter().map(|pod| pod.containers.len()).sum();
        let mut judged = Verdicts { verdicts: vec![Verdict::KEEP; containers], are_lasting: true };
        for (link, bit) in self.links() {
            for part in parts(pods, &judged.verdicts) {
                link.classify(&part, bit, &mut judged, opinions);
            }
        }
        judged
    }

    fn screen_and_note(&self, batch: &SeriesBatch<'_>, before: &[Verdict], opinions: &mut [Opinions]) -> Vec<Verdict> {
        // A series without a verdict is served, as containers are that nobody was asked about.
        let before = |row: usize| before.get(row).copied().unwrap_or(Verdict::KEEP);
        let rows = 0..batch.series.len();
        let mut verdicts: Vec<Verdict> = rows.clone().map(|row| Verdict { by_value: 0, ..before(row) }).collect();
        for (link, bit) in self.links() {
            let is_asked = |row: &usize| before(*row).by_value & bit != 0 && !verdicts[*row].is_drop();
            let asked: Vec<usize> = rows.clone().filter(is_asked).collect();
            for rows in asked.chunks(MOST_CONTAINERS) {
                link.screen(batch, rows, bit, &mut verdicts, opinions);
            }
        }
        verdicts
    }

    fn standings(&self) -> Vec<Standing> {
        self.links.iter().map(|link| link.binding.standing()).collect()
    }
}

impl<G: Ask> Link<G> {
    fn classify(&self, part: &Part<'_, '_>, bit: u8, judged: &mut Verdicts, opinions: &mut [Opinions]) {
        let question = |guest: &G| guest.classify(&part.to_wit(self.sees_namespace_labels));
        let check = |codes: Vec<u8>| check(codes, part.rows.len(), self.codes, |row| part.name(row));
        let answer = self.binding.ask(part.node(), question, check);
        judged.are_lasting &= answer.is_some();
        for (place, row) in part.rows.iter().enumerate() {
            let (verdict, voice) = self.said(answer.as_deref(), place, bit);
            note(opinions, *row, bit, Opinion::of(verdict, voice));
            judged.verdicts[*row] = judged.verdicts[*row].and(verdict);
        }
    }

    fn screen(
        &self,
        batch: &SeriesBatch<'_>,
        rows: &[usize],
        bit: u8,
        verdicts: &mut [Verdict],
        opinions: &mut [Opinions],
    ) {
        let latest = |row: &usize| {
            let Series { subject, samples } = batch.series[*row];
            Series { subject, samples: &samples[samples.len().saturating_sub(SCREENED_SAMPLES)..] }
        };
        let part = SeriesBatch { node: batch.node, series: rows.iter().map(latest).collect() };
        let question = |guest: &G| guest.screen(&columns(&part));
        let check = |codes| check(codes, rows.len(), Codes::Final, |row| part.series[row].subject.to_string());
        let answer = self.binding.ask(batch.node, question, check);
        for (place, row) in rows.iter().enumerate() {
            // What is said now is not by value any more.
            let (verdict, voice) = self.said(answer.as_deref(), place, 0);
            note(opinions, *row, bit, Opinion::of(verdict, voice));
            verdicts[*row] = verdicts[*row].and(verdict);
        }
    }

    /// What an answer, or in its absence the fallback, says of the container at a place of it.
    fn said(&self, answer: Option<&[u8]>, place: usize, bit: u8) -> (Verdict, Voice) {
        match answer {
            Some(codes) => (verdict(codes[place], bit), Voice::Policy),
            None => (self.in_its_place(), Voice::Fallback),
        }
    }

    /// What becomes of a container that the plugin has not judged.
    fn in_its_place(&self) -> Verdict {
        if self.on_error == OnError::Drop { Verdict::DROP } else { Verdict::KEEP }
    }
}

/// Notes what the filter with this bit said, where somebody notes it.
fn note(opinions: &mut [Opinions], row: usize, bit: u8, opinion: Opinion) {
    if let Some(opinions) = opinions.get_mut(row) {
        opinions.note(bit.trailing_zeros() as usize, opinion);
    }
}

/// What one call of `classify` is about.
#[derive(Debug)]
struct Part<'a, 'b> {
    /// Pods, each with those of its containers that are asked about; no list is empty.
    pods: Vec<(&'a PodIdentity<'b>, Vec<&'b str>)>,
    /// Where the containers stand among all.
    rows: Vec<usize>,
}

impl Part<'_, '_> {
    fn node(&self) -> &str {
        self.pods.first().map_or("", |(pod, _)| pod.node)
    }

    fn to_wit(&self, with_namespace_labels: bool) -> Vec<Pod> {
        let pod = |(pod, containers): &(&PodIdentity<'_>, Vec<&str>)| {
            to_wit(&PodIdentity {
                containers,
                namespace_labels: pod.namespace_labels.filter(|_| with_namespace_labels),
                ..**pod
            })
        };
        self.pods.iter().map(pod).collect()
    }

    /// Which container stands in a row of the answer.
    fn name(&self, row: usize) -> String {
        let containers = self
            .pods
            .iter()
            .flat_map(|(pod, names)| names.iter().map(|name| Subject::Container { pod: pod.pod, name }));
        containers.skip(row).map(|subject| subject.to_string()).next().unwrap_or_default()
    }
}

/// What is not dropped yet, in pieces of the size of a call. A pod is cut only if it is too large for one.
fn parts<'a, 'b>(pods: &'a [PodIdentity<'b>], verdicts: &[Verdict]) -> Vec<Part<'a, 'b>> {
    let mut parts: Vec<Part<'a, 'b>> = Vec::new();
    let mut first_row = 0;
    for pod in pods {
        let rows = first_row..first_row + pod.containers.len();
        first_row = rows.end;
        let kept: Vec<usize> = rows.clone().filter(|row| !verdicts[*row].is_drop()).collect();
        for kept in kept.chunks(MOST_CONTAINERS) {
            if parts.last().is_none_or(|part| part.rows.len() + kept.len() > MOST_CONTAINERS) {
                parts.push(Part { pods: Vec::new(), rows: Vec::new() });
            }
            let Some(part) = parts.last_mut() else { continue };
            part.pods.push((pod, kept.iter().map(|row| pod.containers[row - rows.start]).collect()));
            part.rows.extend(kept);
        }
    }
    parts
}

/// A pod in the words of the contract.
pub fn to_wit(pod: &PodIdentity<'_>) -> Pod {
    Pod {
        namespace: pod.pod.namespace.to_owned(),
        name: pod.pod.name.to_owned(),
        node: pod.node.to_owned(),
        labels: labels(pod.labels),
        namespace_labels: pod.namespace_labels.map(labels).unwrap_or_default(),
        containers: pod.containers.iter().map(ToString::to_string).collect(),
    }
}

/// Whether an answer of `rows` verdicts can be believed; `name` says which container stands in a row.
///
/// # Errors
/// [`BadAnswer`] names the row and its container.
pub fn check(codes: Vec<u8>, rows: usize, may: Codes, name: impl Fn(usize) -> String) -> Result<Vec<u8>, BadAnswer> {
    if codes.len() != rows {
        return Err(BadAnswer(format!("{} verdicts on {rows} containers", codes.len())));
    }
    let most = if may == Codes::ByValueToo { BY_VALUE } else { BY_VALUE - 1 };
    match codes.iter().enumerate().find(|(_, code)| **code > most) {
        None => Ok(codes),
        Some((row, &BY_VALUE)) => Err(BadAnswer(format!(
            "row {row}, {}: verdict 4 (by value), which is for answers of `classify` by plugins that export `filter-by-value`",
            name(row)
        ))),
        Some((row, code)) => Err(BadAnswer(format!("row {row}, {}: there is no verdict {code}", name(row)))),
    }
}

/// A checked code as a verdict of the filter with this bit.
fn verdict(code: u8, bit: u8) -> Verdict {
    match code {
        0 => Verdict::KEEP,
        2 => Verdict::CPU_ONLY,
        3 => Verdict::MEMORY_ONLY,
        BY_VALUE => Verdict { by_value: bit, ..Verdict::KEEP },
        _ => Verdict::DROP,
    }
}

#[cfg(test)]
mod tests;
