//! The record of who asked for what: events of `audit.k8s.io/v1` at level Metadata, as the policy wants them.
//!
//! In: a request and whom it comes from (`Audit::open`), later whom they act as, whether they may, and what was
//! answered. Out: a line for each stage, through a queue to a [`Writer`], which `app` runs. As far as the mode says so
//! an answer waits until its lines are written, or is not given if they cannot be.
//!
//! Absent on purpose: bodies, and events of the moment between an answer's head and its end: a long list counts as
//! answered when its head is sent.
//!
//! Rules: `k8s.io/apiserver` v0.36, `pkg/endpoints/filters/{audit,authn_audit,request_deadline}.go`, `pkg/audit`.

mod event;
mod file;
mod policy;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use http::HeaderValue;
use http::header::AUTHORIZATION;
use tokio::sync::{mpsc, oneshot};
use tracing::warn;

use crate::auth::{Attributes, Caller, Peer, Refusal, User};
use crate::clock::Clock;
use crate::config::{AuditConfig, AuditFormat, AuditMode};
use crate::telemetry::Metrics;
pub(super) use event::Request;
use event::{Event, ResponseStatus};
use policy::{Policy, Stage, Stages, Verdict};
use writer::Entry;
pub use writer::Writer;

use super::wire::Status;

/// Keeps the record.
pub struct Audit {
    policy: Policy,
    format: AuditFormat,
    mode: AuditMode,
    entries: mpsc::Sender<Entry>,
    clock: Clock,
    metrics: Arc<Metrics>,
}

/// A disk that has not written a line by then is as good as none.
const PATIENCE: Duration = Duration::from_secs(10);

impl Audit {
    /// Reads the policy and opens the log. The writer has to be run.
    ///
    /// # Errors
    /// With everything that is wrong with the policy, or because the log cannot be opened.
    pub fn load(config: &AuditConfig, clock: Clock, metrics: Arc<Metrics>) -> Result<(Self, Writer)> {
        let policy = load_policy(config)?;
        let (entries, writer) = Writer::open(config, clock.clone(), Arc::clone(&metrics))?;
        Ok((Self { policy, format: config.format, mode: config.mode, entries, clock, metrics }, writer))
    }

    /// What is to be recorded of a request that comes from `user`; None: nothing.
    pub(super) fn open(
        &self,
        audit_id: &HeaderValue,
        request: &Request<'_>,
        user: Option<&User>,
        attributes: &Attributes,
    ) -> Option<Record> {
        let Verdict::Metadata(omitted) = self.policy.judge(user, attributes) else { return None };
        let mut event = Event::new(audit_id, request, attributes);
        event.user = user.map(Into::into).unwrap_or_default();
        Some(Record { event, omitted })
    }

    /// The request has come.
    ///
    /// # Errors
    /// Where it may not be answered because that cannot be recorded.
    pub(super) async fn received(&self, record: &mut Record) -> Result<(), Unrecorded> {
        self.write(record, Stage::RequestReceived).await
    }

    /// The request is answered: `code`, and of a failure what the client is told.
    ///
    /// # Errors
    /// Where the answer may not be given because that cannot be recorded.
    pub(super) async fn answered(&self, record: &mut Record, outcome: Outcome<'_>) -> Result<(), Unrecorded> {
        let mut response = match outcome.failure {
            Some(status) => ResponseStatus::from(status),
            None => ResponseStatus::of_code(outcome.code),
        };
        let stage = match outcome.end {
            End::Complete => Stage::ResponseComplete,
            End::Refused(why) => {
                if let Some(why) = why {
                    response.message = why;
                }
                Stage::ResponseStarted
            }
            End::Panicked => {
                "Failure".clone_into(&mut response.status);
                "InternalError".clone_into(&mut response.reason);
                "the request made the gateway panic".clone_into(&mut response.message);
                Stage::Panic
            }
        };
        record.event.response_status = Some(response);
        self.write(record, stage).await
    }

    async fn write(&self, record: &mut Record, stage: Stage) -> Result<(), Unrecorded> {
        if record.omitted.contain(stage) {
            return Ok(());
        }
        record.event.stage = stage;
        record.event.stage_timestamp = self.clock.now();
        let line = record.event.line(self.format);
        if self.mode == AuditMode::Batch {
            if self.entries.try_send(Entry { line, written: None }).is_err() {
                self.metrics.audit_events.with_label_values(&["lost"]).inc();
            }
            return Ok(());
        }
        let (written, answer) = oneshot::channel();
        let writing = async {
            let is_queued = self.entries.send(Entry { line, written: Some(written) }).await.is_ok();
            is_queued && answer.await.unwrap_or(false)
        };
        let is_written = tokio::time::timeout(PATIENCE, writing).await.unwrap_or(false);
        if is_written || self.mode == AuditMode::Blocking { Ok(()) } else { Err(Unrecorded) }
    }
}

fn load_policy(config: &AuditConfig) -> Result<Policy> {
    let file = config.policy_file.display();
    let text = std::fs::read_to_string(&config.policy_file)
        .with_context(|| format!("--audit-policy-file: cannot read {file}"))?;
    match Policy::read(&text) {
        Ok(read) => {
            for warning in read.warnings {
                warn!("--audit-policy-file: {file}: {warning}");
            }
            Ok(read.policy)
        }
        Err(problems) => bail!("--audit-policy-file: {file}: {}", problems.join("; ")),
    }
}

/// What is recorded of one request.
pub(super) struct Record {
    event: Event,
    omitted: Stages,
}

impl Record {
    /// They act as somebody else.
    pub(super) fn note_acting(&mut self, user: &User) {
        self.event.impersonated_user = Some(user.into());
    }

    /// Whether they may.
    pub(super) fn note_decision(&mut self, decision: Result<&Caller, &Refusal>) {
        let (decision, reason) = match decision {
            Ok(caller) => (Some("allow"), caller.reason()),
            Err(Refusal::Forbidden { reason, .. }) => (Some("forbid"), reason.as_str()),
            // Nobody has decided.
            Err(_) => (None, "internal error"),
        };
        let annotations = &mut self.event.annotations;
        annotations.extend(decision.map(|decision| ("authorization.k8s.io/decision", decision.to_owned())));
        annotations.insert("authorization.k8s.io/reason", reason.to_owned());
    }
}

/// What was answered.
pub(super) struct Outcome<'a> {
    pub(super) code: u16,
    pub(super) failure: Option<&'a Status>,
    pub(super) end: End,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// With an answer.
    Complete,
    /// With a refusal before it was known whom it came from; perhaps with more to say than the client is told.
    Refused(Option<String>),
    /// With a panic.
    Panicked,
}

/// It cannot be recorded, and what cannot be recorded is not to happen.
#[derive(Debug)]
pub(super) struct Unrecorded;

/// By what a client whose proofs do not hold has tried to prove who it is; what it showed is not told.
pub(super) fn attempted(headers: &http::HeaderMap, peer: &Peer) -> String {
    let scheme = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default().trim();
    let scheme = scheme.split(' ').next().unwrap_or_default();
    let schemes = ["basic", "bearer"].into_iter().filter(|known| scheme.eq_ignore_ascii_case(known));
    let methods: Vec<&str> = schemes.chain(peer.has_certificate().then_some("x509")).collect();
    if methods.is_empty() {
        return "Authentication failed, no credentials provided".to_owned();
    }
    format!("Authentication failed, attempted: {}", methods.join(", "))
}

#[cfg(test)]
mod tests;
