//! Kubernetes Events about the gateway, on its own Deployment, where `kubectl describe` shows them: that a generation of
//! policies was refused and mended, that a plugin's breaker opened and closed.
//!
//! In: [`News`] from a channel that nobody waits for. Out: Events of `events.k8s.io/v1`, one for each change. They are a
//! convenience beside the log, which has it all: so the queue is bounded, at most [`BURST`] are sent at once and one in
//! [`PACE`] after that, one that cannot be sent is tried [`ATTEMPTS`] times, and a failure is one line of the log for each
//! change.
//!
//! kube's own recorder is not used: of two Events with one reason within six minutes it sends the first text twice, and
//! the second problem of a configuration is never the first.
//!
//! Absent on purpose: what there is to tell, and when.

use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{Api, PostParams};
use kube::{Client, Resource as _};
use tokio::sync::mpsc::Receiver;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::report;
use crate::telemetry::news::News;

/// As many are sent without a pause between them; a rollout of bad plugins opens a few breakers at once.
const BURST: u32 = 20;
/// Beyond them one is sent in this time, as client-go's broadcaster has it for one object: one in five minutes, and a few
/// more for a person who is mending.
const PACE: Duration = Duration::from_secs(60);
/// How many times one is tried to be sent, with a pause after each that doubles from [`PAUSE`]: about a minute in all.
const ATTEMPTS: u32 = 6;
const PAUSE: Duration = Duration::from_secs(1);
/// How long the API server may take over one.
const LIMIT: Duration = Duration::from_secs(10);
/// As long as the API server lets a note be.
const LONGEST_NOTE: usize = 1024;
/// Who reports, as `kubectl describe` has it under "From".
const CONTROLLER: &str = "metrics-gateway";

/// The Deployment that Events are about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    namespace: String,
    name: String,
}

impl FromStr for Target {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_name = |name: &str| {
            let is_fit = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.';
            (1..=253).contains(&name.len()) && name.bytes().all(is_fit) && !name.starts_with('.')
        };
        match text.split_once('/') {
            Some((namespace, name)) if is_name(namespace) && is_name(name) => {
                Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            _ => Err("is not NAMESPACE/NAME of a Deployment"),
        }
    }
}

/// Makes Events of news until there are no more, or it is told to stop. `instance` tells replicas apart.
pub async fn announce(
    client: Client,
    target: Target,
    instance: String,
    mut news: Receiver<News>,
    stop: CancellationToken,
) {
    let mut announcer = Announcer { client, target, instance, about: None, is_failing: false, pace: Pace::new() };
    let announce = async {
        while let Some(news) = news.recv().await {
            if announcer.pace.admits(Instant::now()) {
                announcer.send(&Note::of(news)).await;
            } else {
                debug!("too many Events; one was left out");
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = announce => {}
    }
}

struct Announcer {
    client: Client,
    target: Target,
    instance: String,
    /// The Deployment with its uid, once it is known.
    about: Option<ObjectReference>,
    is_failing: bool,
    pace: Pace,
}

impl Announcer {
    /// Sends one, with patience. What fails is told when it begins and when it is over.
    async fn send(&mut self, note: &Note) {
        let mut pause = PAUSE;
        for attempt in 1..=ATTEMPTS {
            let sent = tokio::time::timeout(LIMIT, self.try_send(note)).await;
            match sent.unwrap_or_else(|_| Err(anyhow::anyhow!("no answer within {LIMIT:?}"))) {
                Ok(()) => {
                    if std::mem::take(&mut self.is_failing) {
                        info!("Events can be sent again");
                    }
                    return;
                }
                Err(error) => self.tell_failure(&error),
            }
            // The Deployment may be another by now.
            self.about = None;
            if attempt < ATTEMPTS {
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
        }
    }

    fn tell_failure(&mut self, error: &anyhow::Error) {
        let Target { namespace, name } = &self.target;
        if std::mem::replace(&mut self.is_failing, true) {
            debug!("cannot send an Event about Deployment \"{namespace}/{name}\": {error:#}");
        } else {
            warn!(
                "cannot send an Event about Deployment \"{namespace}/{name}\": {error:#}; trying again, and leaving it to \
                 the log after {ATTEMPTS} attempts"
            );
        }
    }

    async fn try_send(&mut self, note: &Note) -> Result<()> {
        let about = match &self.about {
            Some(about) => about.clone(),
            None => self.look_up().await.context("cannot read the Deployment")?,
        };
        self.about = Some(about.clone());
        let events: Api<Event> = Api::namespaced(self.client.clone(), &self.target.namespace);
        events.create(&PostParams::default(), &note.event(&self.target, about, &self.instance)).await?;
        Ok(())
    }

    async fn look_up(&self) -> Result<ObjectReference> {
        let deployments: Api<Deployment> = Api::namespaced(self.client.clone(), &self.target.namespace);
        Ok(deployments.get(&self.target.name).await?.object_ref(&()))
    }
}

/// An Event in the making.
#[derive(Debug, PartialEq, Eq)]
struct Note {
    kind: &'static str,
    reason: &'static str,
    action: &'static str,
    text: String,
}

impl Note {
    fn of(news: News) -> Self {
        let (kind, reason, action, text) = match news {
            News::GenerationRefused { number, problems } => {
                let stays = format!("generation {number} stays in force: ");
                ("Warning", "GenerationRefused", "Reload", stays + &problems)
            }
            News::GenerationApplied { number, changes } if changes.is_empty() => {
                let text = format!("gateway.toml says again what generation {number} does, which stays in force");
                ("Normal", "GenerationApplied", "Reload", text)
            }
            News::GenerationApplied { number, changes } => {
                ("Normal", "GenerationApplied", "Reload", format!("generation {number} in force: {changes}"))
            }
            News::BreakerOpened { policy, pause, failure, fallback } => {
                let seconds = pause.as_secs();
                let text = format!(
                    "{policy} keeps failing and is not asked for {seconds} s, falling back to {fallback}; it {failure}"
                );
                ("Warning", "BreakerOpened", "AskPlugin", text)
            }
            News::BreakerClosed { policy } => {
                ("Normal", "BreakerClosed", "AskPlugin", format!("{policy} answers again and is asked as before"))
            }
        };
        Self { kind, reason, action, text: report::line(&text, LONGEST_NOTE) }
    }

    fn event(&self, target: &Target, about: ObjectReference, instance: &str) -> Event {
        let now = jiff::Timestamp::now();
        let instance = if instance.is_empty() { CONTROLLER } else { instance };
        Event {
            metadata: ObjectMeta {
                namespace: Some(target.namespace.clone()),
                // As client-go names them; the time makes it unique enough, and a clash fails and is tried again.
                name: Some(format!("{}.{:x}", target.name, now.as_nanosecond())),
                ..ObjectMeta::default()
            },
            type_: Some(self.kind.to_owned()),
            reason: Some(self.reason.to_owned()),
            action: Some(self.action.to_owned()),
            note: Some(self.text.clone()),
            regarding: Some(about),
            reporting_controller: Some(CONTROLLER.to_owned()),
            reporting_instance: Some(report::line(instance, 128)),
            event_time: Some(MicroTime(now)),
            ..Event::default()
        }
    }
}

/// So many at once, and then one in a while.
struct Pace {
    left: u32,
    since: Instant,
}

impl Pace {
    fn new() -> Self {
        Self { left: BURST, since: Instant::now() }
    }

    fn admits(&mut self, now: Instant) -> bool {
        while self.left < BURST && now.saturating_duration_since(self.since) >= PACE {
            self.left += 1;
            self.since += PACE;
        }
        if self.left == BURST {
            self.since = now;
        }
        let admits = self.left > 0;
        self.left = self.left.saturating_sub(1);
        admits
    }
}

#[cfg(test)]
mod tests;
