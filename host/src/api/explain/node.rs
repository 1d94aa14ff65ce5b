//! Why a node is served as it is, and how it is asked.

use super::{Status, View, patiently, window_name, words};
use crate::api::explain::reason::{Missing, word};
use crate::config::KubeletTls;
use crate::model::Node;
use crate::model::policy::{Candidate, NoAddress, Standing, Voice};
use crate::model::units::UnixNanos;
use crate::report::explanation::{HELD, MISSING, NODE, NodeExplanation, NodeScrape, SERVED, Samples};
use crate::report::{self, API_VERSION};
use crate::store::{Busy, NodeLook};
use crate::tick::{Decision, NodeRecord};

impl View<'_> {
    pub(super) async fn node(&self, name: &str) -> Result<NodeExplanation, Status> {
        let usage = self.parts.store.node(name);
        let known = self.parts.cluster.node(name);
        if known.is_none() && usage.is_none() {
            return Err(Status::no_such_node(name));
        }
        let mut notes = Vec::new();
        let look = patiently(|| self.parts.store.look_at_node(name)).await.unwrap_or_else(|Busy| {
            notes.push("the samples are being judged by policies just now, and could not be looked at".to_owned());
            None
        });
        let scrape = self.scrape(name);
        let record = self.parts.tick.record(name);
        let served = usage.filter(|_| known.is_some());
        let pool = known.as_deref().and_then(|node| self.tenants.pool_of(node));
        let window = pool.and_then(|pool| pool.window.as_ref()).and_then(|window| window.standing());
        let address = pool.and_then(|pool| pool.address.as_ref()).and_then(|address| address.standing());
        let (state, reason, text, held_until) = match served {
            Some(usage) => match held(look.as_ref(), record.as_ref(), &scrape) {
                Some((Missing { reason, text }, seen_at)) => {
                    let hold = u64::try_from(self.parts.store.hold().as_nanos()).unwrap_or(u64::MAX);
                    let until = words::time(UnixNanos(seen_at.0.saturating_add(hold)));
                    (HELD, Some(reason), text, Some(until))
                }
                None => (SERVED, None, format!("served: the usage over {}", words::duration(usage.window.0)), None),
            },
            None => {
                let Missing { reason, text } = missing(look.as_ref(), &scrape, window.as_ref());
                (MISSING, Some(reason), text, None)
            }
        };
        Ok(NodeExplanation {
            kind: NODE.to_owned(),
            api_version: API_VERSION.to_owned(),
            replica: self.replica(),
            time: words::time(self.now),
            name: name.to_owned(),
            state: state.to_owned(),
            reason: reason.map(str::to_owned),
            text: report::line(&text, report::LONGEST_TEXT),
            served: served.map(|usage| words::served(usage.taken_at, usage.window)),
            usage: served.as_ref().map(words::figures_of_node),
            held_until,
            samples: look.as_ref().map_or_else(Samples::default, |look| words::samples(&look.readings, self.now)),
            window: window_name(window.as_ref()),
            generation: self.generation(),
            policies: address.iter().chain(&window).map(|standing| words::policy(standing, self.now)).collect(),
            node: Some(scrape),
            notes,
        })
    }

    /// How a node is asked, or why it is not.
    pub(super) fn scrape(&self, name: &str) -> NodeScrape {
        let node = self.parts.cluster.node(name);
        let record = self.parts.tick.record(name);
        let mut told = NodeScrape { name: name.to_owned(), ..NodeScrape::default() };
        let pool = node.as_deref().and_then(|node| self.tenants.pool_of(node));
        told.pool = pool.map(|pool| pool.name.to_string());
        if let Some(record) = &record {
            let policy = pool.and_then(|pool| pool.address.as_ref()).and_then(|address| address.standing());
            self.tell_record(&mut told, record, policy.as_ref());
        }
        let (state, text) = self.state(node.as_deref(), record.as_ref());
        told.state = state.to_owned();
        told.text = told.text.or(text).map(|text| report::line(&text, report::LONGEST_TEXT));
        told
    }

    fn state(&self, node: Option<&Node>, record: Option<&NodeRecord>) -> (&'static str, Option<String>) {
        let Some(node) = node else { return ("unknown", None) };
        let selector = &self.parts.tick.config().nodes;
        if !selector.matches(&node.labels) {
            let selector = selector.to_string();
            return ("excluded", Some(format!("--node-selector {selector:?} does not match its labels")));
        }
        let Some(record) = record else { return ("pending", None) };
        match &record.decision {
            Some(Decision { candidates: Err(skipped @ NoAddress::Skipped { .. }), .. }) => {
                ("skipped", Some(skipped.to_string()))
            }
            _ if record.trouble.is_some() => ("failing", None),
            _ if record.answered_at.is_some() => ("answering", None),
            _ => ("pending", None),
        }
    }

    fn tell_record(&self, told: &mut NodeScrape, record: &NodeRecord, policy: Option<&Standing>) {
        if let Some(trouble) = &record.trouble {
            told.reason = Some(trouble.reason.to_owned());
            told.text = Some(trouble.text.clone());
            told.since = Some(words::time(trouble.since));
            told.times = Some(trouble.times);
        }
        told.last_asked = record.asked_at.map(words::time);
        told.last_answer = record.answered_at.map(words::time);
        told.next = Some(words::time(record.next_at));
        (told.bad_lines, told.incomplete_pods) = (record.left_out.bad_lines, record.left_out.incomplete_pods);
        if let Some(decision) = &record.decision {
            told.addresses_by = chosen_by(decision.voice, policy);
            let scheme = if self.parts.tick.config().tls == KubeletTls::Plain { "http" } else { "https" };
            let candidates = decision.candidates.as_deref().unwrap_or_default();
            told.addresses = candidates.iter().map(|candidate| address(scheme, candidate)).collect();
        }
    }
}

fn chosen_by(voice: Voice, policy: Option<&Standing>) -> String {
    match (voice, policy) {
        (Voice::Policy, Some(policy)) => policy.plugin.to_string(),
        (Voice::BuiltIn, Some(policy)) => format!("preferred (built in), as {:?} passes", policy.plugin),
        (Voice::Fallback, Some(policy)) => format!("preferred (built in), as {:?} failed", policy.plugin),
        (_, None) => "preferred (built in)".to_owned(),
    }
}

fn address(scheme: &str, Candidate { host, port, path, server_name }: &Candidate) -> String {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_string() };
    let path = path.as_deref().unwrap_or_default();
    let name = server_name.as_ref().map(|name| format!(" (certificate for {name:?})")).unwrap_or_default();
    report::line(&format!("{scheme}://{host}:{port}{path}{name}"), report::LONGEST_TEXT)
}

/// Why the node's last usage is served and no newer one, and when it last reported itself.
fn held(look: Option<&NodeLook>, record: Option<&NodeRecord>, scrape: &NodeScrape) -> Option<(Missing, UnixNanos)> {
    let (seen_at, record) = (look?.seen_at, record?);
    if record.trouble.is_some() {
        let (reason, why) = (scrape.reason.as_deref().unwrap_or_default(), scrape.text.as_deref().unwrap_or_default());
        let text = format!("the last usage is held: the node does not answer ({reason}): {why}");
        return Some((Missing { reason: "node-failing", text }, seen_at));
    }
    let is_missed = record.answered_at.is_some_and(|answered_at| answered_at > seen_at);
    let text = "the last usage is held: the node's latest answer has no CPU and memory of the node itself".to_owned();
    is_missed.then_some((Missing { reason: "not-in-answer", text }, seen_at))
}

fn missing(look: Option<&NodeLook>, scrape: &NodeScrape, window: Option<&Standing>) -> Missing {
    let why = scrape.text.as_deref().unwrap_or_default();
    let next = scrape.next.as_deref().unwrap_or("its next moment");
    let (reason, text) = match &*scrape.state {
        "unknown" => ("node-unknown", "the API server knows no such node".to_owned()),
        "excluded" => ("node-excluded", format!("it is not asked: {why}")),
        "skipped" => ("node-skipped", format!("it is not asked: {why}")),
        "failing" => {
            let reason = scrape.reason.as_deref().unwrap_or_default();
            ("node-failing", format!("it does not answer ({reason}): {why}"))
        }
        "pending" => ("node-pending", format!("it has not been asked yet, and is at {next}")),
        _ => match look.and_then(|look| look.outcome) {
            Some(Err(no_usage)) if word(no_usage) == "withheld" => {
                let plugin = window.map_or("?", |window| &*window.plugin);
                ("withheld", format!("window policy {plugin:?} serves nothing of it"))
            }
            Some(Err(no_usage)) => (word(no_usage), format!("{no_usage}; it is asked next at {next}")),
            _ => ("not-in-answer", "its answer has no CPU and memory of the node itself".to_owned()),
        },
    };
    Missing { reason, text }
}
