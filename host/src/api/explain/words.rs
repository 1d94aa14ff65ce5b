//! Times, figures and samples as documents have them. Pure.

use crate::api::wire::duration as go;
use crate::api::wire::quantity::{write_cpu, write_memory};
use crate::api::wire::timestamp::Timestamp;
use crate::model::policy::{Standing, Voice};
use crate::model::units::{UnixNanos, WindowNanos};
use crate::model::{ContainerUsage, Sample, Usage};
use crate::report::explanation::{Figures, Reading, Samples, Served};
use crate::report::{self, Policy, PolicyFailure};
use crate::store::Readings;

pub(super) fn time(at: UnixNanos) -> String {
    text(|out| out.extend_from_slice(Timestamp::new(at).as_bytes()))
}

/// To the millisecond, as kubelets have it.
fn time_of_reading(at: UnixNanos) -> String {
    let second = time(at);
    let second = second.trim_end_matches('Z');
    format!("{second}.{:03}Z", at.0 % 1_000_000_000 / 1_000_000)
}

pub(super) fn duration(nanos: u64) -> String {
    text(|out| go::write(out, nanos))
}

/// An age to the tenth of a second: what comes after it only hinders the eye.
fn age(at: UnixNanos, now: UnixNanos) -> String {
    let nanos = u64::try_from(now.since(at).as_nanos()).unwrap_or(u64::MAX);
    duration(nanos / 100_000_000 * 100_000_000)
}

fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).expect("times and quantities are written in ASCII, but for the micro sign")
}

pub(super) fn served(taken_at: UnixNanos, window: WindowNanos) -> Served {
    Served { timestamp: time(taken_at), window: duration(window.0) }
}

pub(super) fn figures(usage: &ContainerUsage) -> Figures {
    Figures {
        cpu: usage.cpu().map(|cpu| text(|out| write_cpu(out, cpu))),
        memory: usage.memory().map(|memory| text(|out| write_memory(out, memory))),
    }
}

pub(super) fn figures_of_node(usage: &Usage) -> Figures {
    Figures {
        cpu: Some(text(|out| write_cpu(out, usage.cpu))),
        memory: Some(text(|out| write_memory(out, usage.memory))),
    }
}

pub(super) fn samples(readings: &Readings, now: UnixNanos) -> Samples {
    let reading = |sample: &Sample| Reading {
        taken_at: time_of_reading(sample.taken_at),
        age: age(sample.taken_at, now),
        cpu_nanoseconds: sample.cpu.0,
        memory_bytes: sample.memory.0,
        started_at: (sample.started_at > UnixNanos::ZERO).then(|| time(sample.started_at)),
    };
    Samples {
        count: readings.count,
        since: (readings.count > 0).then(|| time(readings.since)),
        latest: readings.latest.iter().map(reading).collect(),
    }
}

pub(super) fn voice(voice: Voice) -> &'static str {
    match voice {
        Voice::Policy => "policy",
        Voice::BuiltIn => "built-in",
        Voice::Fallback => "fallback",
    }
}

pub(super) fn policy(standing: &Standing, now: UnixNanos) -> Policy {
    let ago = |ago: std::time::Duration| {
        time(UnixNanos(now.0.saturating_sub(u64::try_from(ago.as_nanos()).unwrap_or(u64::MAX))))
    };
    let ahead = |ahead: std::time::Duration| {
        time(UnixNanos(now.0.saturating_add(u64::try_from(ahead.as_nanos()).unwrap_or(u64::MAX))))
    };
    Policy {
        hook: standing.hook.to_owned(),
        plugin: standing.plugin.to_string(),
        owner: standing.owner.clone(),
        breaker: standing.breaker.to_owned(),
        fallback: standing.fallback.to_owned(),
        open_until: standing.open_for.map(ahead),
        failing: standing.failing.as_ref().map(|failing| PolicyFailure {
            since: ago(failing.began),
            last: ago(failing.last),
            times: failing.times,
            kind: failing.kind.to_owned(),
            text: report::line(&failing.text, report::LONGEST_TEXT),
        }),
    }
}

/// As [`policy`], for those who may see one pod: why an answer cannot be believed names a pod of the same owner, which
/// may be anybody's.
pub(super) fn policy_for_readers(standing: &Standing, now: UnixNanos) -> Policy {
    let mut told = policy(standing, now);
    if let Some(failing) = told.failing.as_mut().filter(|failing| failing.kind == "bad-output") {
        failing.text = "gave an answer that cannot be believed".to_owned();
    }
    told
}
