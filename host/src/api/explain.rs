//! Why one pod or node is served as it is, or is not: a document for people, from what is remembered.
//!
//! In: a name. Out: a [`PodExplanation`] or [`NodeExplanation`]: what the store holds and serves, what policies last said,
//! how the node fares; and for what is not served one reason, a fixed word, with a sentence. Nothing is decided anew: no
//! policy is asked, no kubelet, and a history that is being written is waited for at most [`PATIENCE`]. Only of a pod that
//! is not served the API server is asked, once and briefly, because the gateway's watch knows of running pods alone.
//!
//! 404 where neither the cluster nor the store knows the object. Whoever may read the explanation of a pod learns on which
//! node it is and how that node fares.
//!
//! Absent on purpose: how the API server is asked ([`PodLookup`]), and how the document is laid out for people.

mod node;
mod reason;
mod words;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;

use super::Parts;
use super::wire::Status;
use crate::config::policies::{Ownership, TenantConfig};
use crate::generations::Snapshot;
use crate::model::policy::{Opinion, Standing, Voice};
use crate::model::units::UnixNanos;
use crate::model::{Identities as _, PodRef};
use crate::report::explanation::{
    Container, FilterSaid, HELD, MISSING, NodeExplanation, POD, PodExplanation, SERVED, Seen, Tenant as TenantTold,
};
use crate::report::{self, API_VERSION, Generation, Policy, Replica};
use crate::store::{Busy, ContainerLook, PodLook, Say};
use crate::tenants::{Tenant, Tenants};
use reason::{Evidence, Missing};

/// How long a history that is being written is waited for. Policies have some tens of milliseconds at a time.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often it is looked at meanwhile.
const GLANCE: Duration = Duration::from_millis(20);
/// How long the API server may take to tell of one pod.
const LOOKUP: Duration = Duration::from_secs(2);
/// As many are looked up at a time: whoever asks for explanations in a loop loads us, not the API server.
const LOOKUPS: usize = 4;
/// How a policy is told that is none of gateway.toml's.
const LAST_TWO: &str = "last-two (built in)";

/// Asks the API server about one pod.
pub trait PodLookup: Send + Sync {
    /// What it says; None: there is no such pod. An error says why it did not answer. Names are valid ones.
    fn look_up<'a>(&'a self, pod: PodRef<'a>) -> BoxFuture<'a, Result<Option<PodFacts>, String>>;
}

/// What the API server says of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodFacts {
    /// `status.phase`.
    pub phase: String,
    /// `spec.nodeName`; None: it has not been scheduled.
    pub node: Option<String>,
    /// Whether it is being deleted.
    pub is_terminating: bool,
}

/// The way to the API server, and how many may use it.
pub(super) struct Lookups {
    lookup: Arc<dyn PodLookup>,
    places: Semaphore,
}

impl Lookups {
    pub(super) fn new(lookup: Arc<dyn PodLookup>) -> Self {
        Self { lookup, places: Semaphore::new(LOOKUPS) }
    }

    async fn pod(&self, pod: PodRef<'_>) -> Result<Option<PodFacts>, String> {
        // What cannot be a name is not put into a path.
        if !is_name(pod.namespace) || !is_name(pod.name) {
            return Ok(None);
        }
        let asking = async {
            let _place = self.places.acquire().await.expect("nobody closes the semaphore");
            self.lookup.look_up(pod).await
        };
        tokio::time::timeout(LOOKUP, asking).await.unwrap_or_else(|_| Err(format!("no answer within {LOOKUP:?}")))
    }
}

/// Whether an object of Kubernetes can have this name.
fn is_name(text: &str) -> bool {
    let is_fit = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.';
    (1..=253).contains(&text.len()) && text.bytes().all(is_fit) && !text.starts_with('.')
}

/// What explanations are made from, as of one moment.
struct View<'a> {
    parts: &'a Parts,
    now: UnixNanos,
    tenants: Arc<Tenants>,
    told: Arc<Snapshot>,
}

/// Why a node is served as it is.
///
/// # Errors
/// 404 for a node that neither the cluster nor the gateway knows.
pub(super) async fn node(parts: &Parts, name: &str) -> Result<NodeExplanation, Status> {
    View::new(parts).node(name).await
}

/// Why a pod is served as it is.
///
/// # Errors
/// 404 for a pod that neither the cluster nor the gateway knows.
pub(super) async fn pod(parts: &Parts, lookups: &Lookups, pod: PodRef<'_>) -> Result<PodExplanation, Status> {
    let say = parts.store.say(pod);
    let is_running = parts.cluster.pod_labels(pod).is_some();
    let is_served = is_running && say.as_ref().is_some_and(|say| say.usage.is_some());
    let facts = if is_served { None } else { Some(lookups.pod(pod).await) };
    if !is_running && say.is_none() && facts == Some(Ok(None)) {
        return Err(Status::no_such_pod(pod.name));
    }
    Ok(View::new(parts).pod(pod, Found { say, is_running, facts }).await)
}

/// What is known of a pod before its node is looked at.
struct Found {
    say: Option<Say>,
    /// Whether the watch knows it as running.
    is_running: bool,
    /// What the API server says, where it was asked.
    facts: Option<Result<Option<PodFacts>, String>>,
}

impl Found {
    /// The node that the API server says, and else the one that has the say.
    fn node(&self) -> Option<String> {
        let at_api_server = match &self.facts {
            Some(Ok(Some(facts))) => facts.node.clone(),
            _ => None,
        };
        at_api_server.or_else(|| self.say.as_ref().map(|say| say.node.to_string()))
    }
}

impl<'a> View<'a> {
    fn new(parts: &'a Parts) -> Self {
        let (now, tenants, told) = (parts.clock.now(), parts.tick.in_force(), parts.generations.snapshot());
        Self { parts, now, tenants, told }
    }

    async fn pod(&self, pod: PodRef<'_>, found: Found) -> PodExplanation {
        let node_name = found.node();
        let looked = match &node_name {
            Some(node) => patiently(|| self.parts.store.look_at_pod(node, pod)).await,
            None => Ok((None, None)),
        };
        let mut notes = Vec::new();
        let (look, incomplete) = looked.unwrap_or_else(|Busy| {
            notes.push("the samples are being judged by policies just now, and could not be looked at".to_owned());
            (None, None)
        });
        let scrape = node_name.as_deref().map(|node| self.scrape(node));
        let labels = self.parts.cluster.namespace_labels(pod.namespace);
        let tenant = self.tenants.of_namespace(pod.namespace, labels.as_deref());
        let standings: Vec<Standing> = tenant.filter.iter().flat_map(|filter| filter.standings()).collect();
        let window = tenant.window.as_ref().and_then(|window| window.standing());
        let evidence = Evidence {
            found: &found,
            node: scrape.as_ref(),
            look: look.as_ref(),
            incomplete: incomplete.as_ref(),
            filters: &standings,
            window: window.as_ref(),
            hold: self.parts.store.hold(),
            record: node_name.as_deref().and_then(|node| self.parts.tick.record(node)),
        };
        let served = found.say.as_ref().and_then(|say| say.usage.as_ref()).filter(|_| found.is_running);
        let (state, reason, text, held_until) = match served {
            Some(usage) => match evidence.held() {
                Some((Missing { reason, text }, until)) => (HELD, Some(reason), text, Some(words::time(until))),
                None => {
                    let window = words::duration(usage.window.0);
                    let node = node_name.as_deref().unwrap_or_default();
                    (SERVED, None, format!("served: the usage over {window}, as node {node:?} reports it"), None)
                }
            },
            None => {
                let Missing { reason, text } = evidence.missing();
                (MISSING, Some(reason), text, None)
            }
        };
        if let Some(Err(why)) = &found.facts {
            notes.push(format!("the API server could not be asked about the pod: {why}"));
        }
        let containers = look.as_ref().map(|look| look.containers.as_slice()).unwrap_or_default();
        PodExplanation {
            kind: POD.to_owned(),
            api_version: API_VERSION.to_owned(),
            replica: self.replica(),
            time: words::time(self.now),
            namespace: pod.namespace.to_owned(),
            name: pod.name.to_owned(),
            state: state.to_owned(),
            reason: reason.map(str::to_owned),
            text: report::line(&text, report::LONGEST_TEXT),
            served: served.map(|usage| words::served(usage.taken_at, usage.window)),
            seen: look.as_ref().map(seen),
            held_until,
            phase: match &found.facts {
                Some(Ok(Some(facts))) => Some(facts.phase.clone()),
                _ => None,
            },
            tenant: self.tenant(pod.namespace, tenant, &standings, window.as_ref()),
            generation: self.generation(),
            policies: standings
                .iter()
                .chain(&window)
                .map(|standing| words::policy_for_readers(standing, self.now))
                .collect(),
            containers: containers
                .iter()
                .map(|container| {
                    let mut told = self.container(container, look.as_ref(), &standings);
                    let usage = served.into_iter().flat_map(|usage| &usage.containers);
                    told.usage = usage.into_iter().find(|usage| *usage.name == *told.name).map(words::figures);
                    told.missing = told.missing.filter(|_| told.usage.is_none());
                    told
                })
                .collect(),
            more_containers: look.as_ref().map_or(0, |look| look.more_containers),
            node: scrape,
            notes,
        }
    }

    fn container(&self, container: &ContainerLook, look: Option<&PodLook>, filters: &[Standing]) -> Container {
        let is_judged = look.is_some_and(|look| look.is_judged);
        let note = if is_judged { container.note } else { Default::default() };
        let said = |(place, filter): (usize, &Standing)| {
            let by_value = note.screened.of(place);
            FilterSaid {
                filter: filter.plugin.to_string(),
                said: note.classified.of(place).word().to_owned(),
                by_value: (by_value != Opinion::NotAsked).then(|| by_value.word().to_owned()),
            }
        };
        let dropped = is_judged.then(|| reason::dropped_by(note, filters.len())).flatten().map(|_| "dropped");
        let no_usage = if note.voice.is_some() { note.no_usage } else { container.last_two.err() };
        Container {
            name: container.name.to_string(),
            usage: None,
            missing: dropped.or(no_usage.map(reason::word)).map(str::to_owned),
            filters: if is_judged { filters.iter().enumerate().map(said).collect() } else { Vec::new() },
            window: words::voice(note.voice.unwrap_or(Voice::BuiltIn)).to_owned(),
            samples: words::samples(&container.readings, self.now),
        }
    }

    fn tenant(&self, namespace: &str, tenant: &Tenant, filters: &[Standing], window: Option<&Standing>) -> TenantTold {
        let labels = self.parts.cluster.namespace_labels(namespace);
        let config: Option<&TenantConfig> = self.told.policies.tenants.iter().find(|config| config.name == tenant.name);
        let because = config.and_then(|config| config.ownership(namespace, labels.as_deref()));
        TenantTold {
            name: tenant.name.to_string(),
            because: because.unwrap_or(Ownership::Nobody).to_string(),
            filters: filters.iter().map(|filter| filter.plugin.to_string()).collect(),
            window: window_name(window),
        }
    }

    fn generation(&self) -> Generation {
        generation(&self.tenants, &self.told)
    }

    fn replica(&self) -> Replica {
        Replica { name: self.parts.about.name.clone(), version: env!("CARGO_PKG_VERSION").to_owned() }
    }
}

/// The generation that policies are asked by. Since when is known of the latest; another is on its way then.
pub(super) fn generation(tenants: &Tenants, told: &Snapshot) -> Generation {
    let since = if told.number == tenants.generation { words::time(told.since) } else { String::new() };
    Generation { number: tenants.generation, since }
}

/// A window policy as documents have it.
pub(super) fn window_name(window: Option<&Standing>) -> String {
    window.map_or_else(|| LAST_TWO.to_owned(), |window| window.plugin.to_string())
}

/// A policy as documents have it.
pub(super) fn policy(standing: &Standing, now: UnixNanos) -> Policy {
    words::policy(standing, now)
}

/// A time as documents have it.
pub(super) fn time(at: UnixNanos) -> String {
    words::time(at)
}

fn seen(look: &PodLook) -> Seen {
    Seen { first: words::time(look.first_seen_at), last: words::time(look.seen_at) }
}

/// Looks again and again at what is being written.
async fn patiently<T>(look: impl Fn() -> Result<T, Busy>) -> Result<T, Busy> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        match look() {
            Err(Busy) if tokio::time::Instant::now() < deadline => tokio::time::sleep(GLANCE).await,
            outcome => return outcome,
        }
    }
}

#[cfg(test)]
mod tests;
