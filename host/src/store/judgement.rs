//! One tenant's pods on one node, brought before the tenant's policies: what is to be served of each.
//!
//! The filter is asked about the whole set, and again when the set changes: when a pod or a container comes or goes,
//! when labels change, and when there is a new generation. Until then its verdicts are remembered. A pod of which the API
//! server has not told yet cannot be shown to a filter; it is not served until it can. Verdicts by value are asked for
//! each time, with the latest two samples.
//!
//! What the filter leaves is measured by the window policy, in one batch, or between the last two samples. As without
//! policies a pod is served whole or not at all: one container without usage, whether too young or withheld by the
//! window policy, and the pod is absent until there is. What a *filter* drops is different: the pod is served without
//! it, and is absent only if nothing is left.
//!
//! What policies say is noted beside the samples, for those who ask why. Nothing here is published, and no other tenant's
//! pods are known here.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::history::{ContainerHistory, PodHistory};
use super::judges::span;
use super::look::Note;
use super::{Absent, Rules};
use crate::config::{ContainerOrder, FallingCounter};
use crate::model::policy::{
    FilterPolicy, NoUsage, Opinions, PodIdentity, Series, SeriesBatch, Subject, Verdict, Verdicts, Voice, WindowPolicy,
    last_two,
};
use crate::model::units::{UnixNanos, WindowNanos};
use crate::model::{ContainerUsage, Identities, Labels, PodUsage, Sample, Usage};
use crate::tenants::Tenant;

/// What a tenant's filter decided about a set of pods.
pub(super) struct Remembered {
    tenant: Arc<str>,
    /// Of the generation, and of all that the filter was shown.
    fingerprint: u64,
    /// In the order in which it was shown.
    verdicts: Box<[Verdict]>,
    /// Who of a chain said what, in the same order.
    opinions: Box<[Opinions]>,
}

impl Remembered {
    pub(super) fn is_of(&self, tenant: &Tenant) -> bool {
        self.tenant == tenant.name
    }
}

/// A tenant, and what it takes to judge its pods on one node.
pub(super) struct Case<'a> {
    pub(super) node: &'a str,
    pub(super) tenant: &'a Tenant,
    pub(super) generation: u64,
    pub(super) identities: &'a dyn Identities,
    pub(super) rules: &'a Rules,
    /// With a key of its own in each process: names and labels are not trusted.
    pub(super) hasher: &'a RandomState,
}

/// One pod of the tenant.
pub(super) struct Party<'a> {
    pub(super) pod: &'a PodHistory,
    pub(super) namespace_labels: Option<Arc<Labels>>,
}

impl Case<'_> {
    /// One outcome per pod, and what is to be remembered. The pods come sorted by namespace and name.
    pub(super) fn judge(
        &self,
        parties: &[Party<'_>],
        remembered: Option<Remembered>,
    ) -> (Vec<Result<PodUsage, Absent>>, Option<Remembered>) {
        let docket = self.docket(parties);
        let (verdicts, remembered) = match &self.tenant.filter {
            Some(filter) => self.filter(&**filter, &docket, remembered),
            None => (vec![Verdict::KEEP; docket.containers.len()], None),
        };
        let usages = self.measure(&docket, &verdicts);
        let outcomes = docket.pods.iter().map(|entry| self.conclude(entry, &docket, &verdicts, &usages)).collect();
        (outcomes, remembered)
    }

    fn docket<'a>(&self, parties: &'a [Party<'a>]) -> Docket<'a> {
        let mut docket = Docket { pods: Vec::with_capacity(parties.len()), containers: Vec::new() };
        for party in parties {
            party.pod.begin_notes();
            let identity = match &self.tenant.filter {
                Some(_) => self.identities.pod_labels(party.pod.pod()).map(Identity::Known),
                None => Some(Identity::NotAsked),
            };
            docket.add(party, identity);
        }
        docket
    }

    fn filter(
        &self,
        filter: &dyn FilterPolicy,
        docket: &Docket<'_>,
        remembered: Option<Remembered>,
    ) -> (Vec<Verdict>, Option<Remembered>) {
        let names: Vec<&str> = docket.containers.iter().map(|container| &*container.history.name).collect();
        let pods = docket.identities(self.node, &names);
        if pods.is_empty() {
            return (Vec::new(), None);
        }
        let fingerprint = self.fingerprint(&pods);
        let (mut verdicts, remembered) = match remembered.filter(|known| known.fingerprint == fingerprint) {
            Some(known) => {
                docket.note_opinions(&known.opinions);
                (known.verdicts.to_vec(), Some(known))
            }
            None => self.classify(filter, docket, &pods, fingerprint),
        };
        self.screen(filter, docket, &mut verdicts);
        (verdicts, remembered)
    }

    fn classify(
        &self,
        filter: &dyn FilterPolicy,
        docket: &Docket<'_>,
        pods: &[PodIdentity<'_>],
        fingerprint: u64,
    ) -> (Vec<Verdict>, Option<Remembered>) {
        let containers = docket.containers.len();
        let mut opinions = vec![Opinions::default(); containers];
        let Verdicts { mut verdicts, are_lasting } = filter.classify_and_note(pods, &mut opinions);
        docket.note_opinions(&opinions);
        debug_assert_eq!(verdicts.len(), containers, "a filter has a verdict for each container");
        verdicts.resize(containers, Verdict::KEEP);
        let remembered = are_lasting.then(|| Remembered {
            tenant: Arc::clone(&self.tenant.name),
            fingerprint,
            verdicts: verdicts.as_slice().into(),
            opinions: opinions.into(),
        });
        (verdicts, remembered)
    }

    fn fingerprint(&self, pods: &[PodIdentity<'_>]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        self.generation.hash(&mut hasher);
        for PodIdentity { pod, node: _, labels, namespace_labels, containers } in pods {
            (pod, labels, namespace_labels, containers).hash(&mut hasher);
        }
        hasher.finish()
    }

    /// Settles the verdicts that depend on what is used.
    fn screen(&self, filter: &dyn FilterPolicy, docket: &Docket<'_>, verdicts: &mut [Verdict]) {
        let places: Vec<usize> = (0..verdicts.len()).filter(|&place| verdicts[place].by_value != 0).collect();
        if places.is_empty() {
            return;
        }
        let before: Vec<Verdict> = places.iter().map(|&place| verdicts[place]).collect();
        let batch = docket.batch(self.node, &places, |history| history.series.latest());
        let mut opinions = vec![Opinions::default(); places.len()];
        let after = filter.screen_and_note(&batch, &before, &mut opinions);
        debug_assert_eq!(after.len(), places.len(), "a filter has a verdict for each series");
        for ((place, after), screened) in places.into_iter().zip(after).zip(opinions) {
            docket.note(place, |note| note.screened = screened);
            verdicts[place] = Verdict { by_value: 0, ..verdicts[place].and(after) };
        }
    }

    /// The usage of each container; what is dropped has none.
    fn measure(&self, docket: &Docket<'_>, verdicts: &[Verdict]) -> Vec<Result<Usage, NoUsage>> {
        let mut usages = vec![Err(NoUsage::Withheld); verdicts.len()];
        let places: Vec<usize> = (0..verdicts.len()).filter(|&place| !verdicts[place].is_drop()).collect();
        match self.tenant.window.as_deref() {
            Some(_) if places.is_empty() => {}
            Some(window) => {
                let span = span(Some(window));
                let batch = docket.batch(self.node, &places, |history| history.series.within(span));
                for (place, (usage, voice)) in places.into_iter().zip(window.measure_and_voice(&batch)) {
                    docket.note(place, |note| *note = note.measured(usage.err(), voice));
                    usages[place] = usage;
                }
            }
            None => places
                .into_iter()
                .for_each(|place| usages[place] = last_two(docket.containers[place].history.series.latest())),
        }
        usages
    }

    fn conclude(
        &self,
        entry: &PodEntry<'_>,
        docket: &Docket<'_>,
        verdicts: &[Verdict],
        usages: &[Result<Usage, NoUsage>],
    ) -> Result<PodUsage, Absent> {
        if entry.identity.is_none() {
            return Err(Absent::Unknown);
        }
        let mut places: Vec<usize> = entry.containers.clone().filter(|&place| !verdicts[place].is_drop()).collect();
        if places.is_empty() {
            return Err(Absent::Dropped);
        }
        // As upstream's rules are applied: the order settles which of two reasons is told, and perhaps what is served.
        places.sort_unstable_by_key(|&place| docket.containers[place].reported_at);
        let of_place = |place: usize| (&docket.containers[place].history.name, verdicts[place], usages[place]);
        Ok(pod_usage(self.rules, places.into_iter().map(of_place))?)
    }
}

/// What is known of a pod beside its samples.
enum Identity {
    /// Its labels.
    Known(Arc<Labels>),
    /// There is no filter that would want to know.
    NotAsked,
}

/// What is to be judged: the pods, and the containers of all of them, sorted by name within each.
struct Docket<'a> {
    pods: Vec<PodEntry<'a>>,
    containers: Vec<ContainerEntry<'a>>,
}

struct PodEntry<'a> {
    party: &'a Party<'a>,
    /// None where the API server has not told of the pod yet; then it has no containers here.
    identity: Option<Identity>,
    /// Where its containers stand.
    containers: Range<usize>,
}

struct ContainerEntry<'a> {
    pod: &'a PodHistory,
    history: &'a ContainerHistory,
    /// Its place in the kubelet's order.
    reported_at: usize,
}

impl<'a> Docket<'a> {
    fn add(&mut self, party: &'a Party<'a>, identity: Option<Identity>) {
        let begin = self.containers.len();
        if identity.is_some() {
            let pod = party.pod;
            let reported = pod.containers.iter().enumerate();
            self.containers.extend(reported.map(|(reported_at, history)| ContainerEntry { pod, history, reported_at }));
            self.containers[begin..].sort_by(|a, b| a.history.name.cmp(&b.history.name));
        }
        self.pods.push(PodEntry { party, identity, containers: begin..self.containers.len() });
    }

    /// Notes what filters said of each container.
    fn note_opinions(&self, opinions: &[Opinions]) {
        for (place, classified) in opinions.iter().enumerate().take(self.containers.len()) {
            self.note(place, |note| note.classified = *classified);
        }
    }

    /// Notes something of the container at a place.
    fn note(&self, place: usize, change: impl FnOnce(&mut Note)) {
        let container = &self.containers[place];
        container.pod.note(container.reported_at, change);
    }

    /// The pods that can be shown to a filter. `names` are those of all containers.
    fn identities<'b>(&'b self, node: &'b str, names: &'b [&'b str]) -> Vec<PodIdentity<'b>> {
        let shown = |entry: &'b PodEntry<'a>| {
            let Some(Identity::Known(labels)) = &entry.identity else { return None };
            Some(PodIdentity {
                pod: entry.party.pod.pod(),
                node,
                labels,
                namespace_labels: entry.party.namespace_labels.as_deref(),
                containers: &names[entry.containers.clone()],
            })
        };
        self.pods.iter().filter_map(shown).collect()
    }

    fn batch<'b>(
        &'b self,
        node: &'b str,
        places: &[usize],
        samples: impl Fn(&'b ContainerHistory) -> &'b [Sample],
    ) -> SeriesBatch<'b> {
        let series = |&place: &usize| {
            let container = &self.containers[place];
            let subject = Subject::Container { pod: container.pod.pod(), name: &container.history.name };
            Series { subject, samples: samples(container.history) }
        };
        SeriesBatch { node, series: places.iter().map(series).collect() }
    }
}

/// The usage of a pod for which upstream's rules decide everything.
pub(super) fn native_usage(rules: &Rules, pod: &PodHistory) -> Result<PodUsage, Absent> {
    let containers = pod.containers.iter();
    let figures = containers.map(|known| (&known.name, Verdict::KEEP, last_two(known.series.latest())));
    Ok(pod_usage(rules, figures)?)
}

/// The usage of a pod from that of its containers: whole, or not at all.
fn pod_usage<'a>(
    rules: &Rules,
    figures: impl ExactSizeIterator<Item = (&'a Arc<str>, Verdict, Result<Usage, NoUsage>)>,
) -> Result<PodUsage, NoUsage> {
    let mut containers = Vec::with_capacity(figures.len());
    let mut earliest: Option<(UnixNanos, WindowNanos)> = None;
    for (name, verdict, usage) in figures {
        let usage = match usage {
            Ok(usage) => usage,
            Err(NoUsage::CounterFell) if rules.history.falling_counter == FallingCounter::OmitContainer => continue,
            Err(reason) => return Err(reason),
        };
        if earliest.is_none_or(|(taken_at, _)| usage.taken_at < taken_at) {
            earliest = Some((usage.taken_at, usage.window));
        }
        let (cpu, memory) = (verdict.cpu.then_some(usage.cpu), verdict.memory.then_some(usage.memory));
        containers.push(ContainerUsage::new(Arc::clone(name), cpu, memory));
    }
    if rules.container_order == ContainerOrder::ByName {
        containers.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    }
    let (taken_at, window) = earliest.unwrap_or_default();
    Ok(PodUsage { taken_at, window, containers: containers.into() })
}

/// The usage of a node.
pub(super) fn node_usage(
    node: &str,
    series: &super::history::Series,
    window: Option<&dyn WindowPolicy>,
) -> (Result<Usage, NoUsage>, Note) {
    let Some(window) = window else { return (last_two(series.latest()), Note::default()) };
    let span: Duration = window.history();
    let series = vec![Series { subject: Subject::Node, samples: series.within(span) }];
    let mut usages = window.measure_and_voice(&SeriesBatch { node, series });
    let (usage, voice) = usages.pop().unwrap_or((Err(NoUsage::Withheld), Voice::Policy));
    (usage, Note::default().measured(usage.err(), voice))
}
