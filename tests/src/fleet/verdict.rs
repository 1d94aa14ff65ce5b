//! Whether what the API says of a simulated node or pod is what its kubelet said.
//!
//! An answer names the second of its newest sample, its window, and nothing of the single containers. But a fleet whose
//! containers are looked at once a second has one sample in each second, so the times can be found again, and from them
//! the exact figures. Where two scrapes would explain an answer equally well (which of two containers is the older one;
//! between which two samples the first scrape fell), it has to agree with one of them, to the nanocore and the byte.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use metrics_gateway::model::Usage;
use metrics_gateway::model::units::UnixNanos;
use serde_json::Value;

use super::{Fleet, FleetPod};
use crate::table;

const SECOND: u64 = 1_000_000_000;
/// Upstream computes with floating point, the fleet with integers: the last digit may differ.
const ROUNDING: u128 = 1;

/// What an item of a list, or an object alone, says of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// `timestamp`: the second in which the newest sample was taken.
    pub second: UnixNanos,
    /// `window`.
    pub window: Duration,
}

impl Times {
    /// Reads them.
    ///
    /// # Errors
    /// Where they are not written as Go writes them.
    pub fn of(item: &Value) -> Result<Self> {
        let text = |field: &str| item[field].as_str().with_context(|| format!("no {field} in {item}"));
        let timestamp: jiff::Timestamp = text("timestamp")?.parse()?;
        let second = UnixNanos(u64::try_from(timestamp.as_nanosecond())?);
        let window = text("window")?;
        Ok(Self { second, window: go_duration(window).with_context(|| format!("{window:?} is no duration"))? })
    }

    /// How old the newest sample is, by the clock of the fleet, to the second below.
    pub fn age(self) -> Duration {
        Duration::from_nanos(super::now().0.saturating_sub(self.second.0))
    }
}

/// `1m2.5s`, in seconds at least; hours do not occur.
fn go_duration(text: &str) -> Option<Duration> {
    let (minutes, seconds) = text.split_once('m').unwrap_or(("0", text));
    let seconds: f64 = seconds.strip_suffix('s')?.parse().ok()?;
    let millis = Duration::try_from_secs_f64(seconds).ok()?.as_millis();
    Some(Duration::from_millis(minutes.parse::<u64>().ok()? * 60_000 + u64::try_from(millis).ok()?))
}

impl Fleet {
    /// Whether `item` (a NodeMetrics) is the usage of the node at index `node` between two samples of its kubelet.
    ///
    /// # Errors
    /// Where it is not; with both figures.
    pub fn check_node(&self, node: usize, item: &Value) -> Result<()> {
        let times = Times::of(item)?;
        let system = self.simulation.system(&self.nodes[node].name).rhythm;
        let to = system.newest(end_of(times.second));
        let from = UnixNanos(to.0 - nanos(times.window));
        ensure!(to >= times.second && system.newest(from) == from, "no samples were taken at {times:?}: {item}");
        let expected = self.expected_node_usage(node, from, to);
        ensure!(agrees(&expected, &item["usage"]), "expected {expected:?}, not {item}");
        Ok(())
    }

    /// Whether `item` (a PodMetrics) is the usage of `pod` between two samples of each of its containers.
    ///
    /// # Errors
    /// Where it is not; with the item.
    pub fn check_pod(&self, pod: &FleetPod, item: &Value) -> Result<()> {
        let times = Times::of(item)?;
        let names: Vec<&str> = containers(item)?.iter().filter_map(|container| container["name"].as_str()).collect();
        let mut expected = pod.containers.clone();
        expected.sort();
        ensure!(names == expected, "{}/{} has the containers {expected:?}, not {names:?}", pod.namespace, pod.name);
        let mut explanations = pod.containers.iter();
        if explanations.any(|oldest| self.explains(pod, oldest, times, item)) {
            return Ok(());
        }
        bail!("no two samples of each container of {}/{} make {item}", pod.namespace, pod.name)
    }

    /// Whether every figure is right if `oldest` is the container whose sample is the oldest.
    fn explains(&self, pod: &FleetPod, oldest: &str, times: Times, item: &Value) -> bool {
        let newest = |container: &str, at: UnixNanos| self.simulation.container(pod, container).rhythm.newest(at);
        let to = newest(oldest, end_of(times.second));
        let from = UnixNanos(to.0 - nanos(times.window));
        if newest(oldest, from) != from {
            return false;
        }
        containers(item).into_iter().flatten().all(|container| {
            let name = container["name"].as_str().unwrap_or_default();
            let own_to = newest(name, end_of(to));
            let starts = if name == oldest { [from; 2] } else { [newest(name, from), newest(name, end_of(from))] };
            starts.into_iter().any(|start| agrees(&self.expected_usage(pod, name, start, own_to), &container["usage"]))
        })
    }
}

fn containers(item: &Value) -> Result<&Vec<Value>> {
    item["containers"].as_array().with_context(|| format!("no containers in {item}"))
}

/// The last moment of the second that begins at `start`.
fn end_of(start: UnixNanos) -> UnixNanos {
    UnixNanos(start.0 + SECOND - 1)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).expect("a window is shorter than 500 years")
}

fn agrees(expected: &Usage, usage: &Value) -> bool {
    let figure = |name: &str| usage[name].as_str().and_then(table::nanos);
    let (Some(cpu), Some(memory)) = (figure("cpu"), figure("memory")) else { return false };
    cpu.abs_diff(u128::from(expected.cpu.0)) <= ROUNDING && memory == u128::from(expected.memory.0) * u128::from(SECOND)
}

#[cfg(test)]
mod tests;
