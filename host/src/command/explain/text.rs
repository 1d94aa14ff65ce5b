//! Explanations as people read them. Pure: documents in, lines out.

use std::fmt::Write as _;

use crate::authoring::table::table;
use crate::report::explanation::{
    Container, Figures, FilterSaid, NodeExplanation, NodeScrape, PodExplanation, Reading, Samples,
};
use crate::report::{Generation, Policy, Replica};

pub(super) fn pod(told: &PodExplanation) -> String {
    let mut text = head("pod", &format!("{}/{}", told.namespace, told.name), &told.state, told.reason.as_deref());
    let _ = writeln!(text, "  {}", told.text);
    if let Some(served) = &told.served {
        field(&mut text, "usage", &format!("taken at {}, over {}", served.timestamp, served.window));
    }
    if let Some(until) = &told.held_until {
        field(&mut text, "held", &format!("until {until}, unless a reading comes before"));
    }
    if let Some(seen) = &told.seen {
        field(&mut text, "reported", &format!("first at {}, last at {}", seen.first, seen.last));
    }
    if let Some(phase) = &told.phase {
        field(&mut text, "phase", &format!("{phase}, says the API server"));
    }
    let tenant = &told.tenant;
    field(&mut text, "tenant", &format!("{}: {}", tenant.name, tenant.because));
    let filters = if tenant.filters.is_empty() { "none".to_owned() } else { tenant.filters.join(", ") };
    field(
        &mut text,
        "policies",
        &format!("filters {filters}; window {}; {}", tenant.window, in_force(&told.generation)),
    );
    policies(&mut text, &told.policies);
    node_lines(&mut text, told.node.as_ref());
    tail(&mut text, &told.replica, &told.time, &told.notes);
    containers(&mut text, told);
    text
}

pub(super) fn node(told: &NodeExplanation) -> String {
    let mut text = head("node", &told.name, &told.state, told.reason.as_deref());
    let _ = writeln!(text, "  {}", told.text);
    if let Some(served) = &told.served {
        let figures = told.usage.as_ref().map(figures).unwrap_or_default();
        field(&mut text, "usage", &format!("{figures}, taken at {}, over {}", served.timestamp, served.window));
    }
    if let Some(until) = &told.held_until {
        field(&mut text, "held", &format!("until {until}, unless a reading comes before"));
    }
    field(&mut text, "policies", &format!("window {}; {}", told.window, in_force(&told.generation)));
    policies(&mut text, &told.policies);
    node_lines(&mut text, told.node.as_ref());
    tail(&mut text, &told.replica, &told.time, &told.notes);
    readings(&mut text, "the node", &told.samples);
    text
}

fn head(kind: &str, name: &str, state: &str, reason: Option<&str>) -> String {
    let reason = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
    format!("{kind} {name}: {}{reason}\n", state.to_uppercase())
}

fn field(text: &mut String, name: &str, value: &str) {
    let _ = writeln!(text, "  {name:<10} {value}");
}

fn in_force(Generation { number, since }: &Generation) -> String {
    if since.is_empty() { format!("generation {number}") } else { format!("generation {number} since {since}") }
}

fn policies(text: &mut String, policies: &[Policy]) {
    for policy in policies {
        let Policy { hook, plugin, owner, breaker, fallback, open_until, failing } = policy;
        let Some(failing) = failing else { continue };
        let until = open_until.as_ref().map(|until| format!(" until {until}")).unwrap_or_default();
        let what = format!(
            "{hook} policy {plugin:?} of {owner} has failed {} times since {}, last at {} ({}): {}",
            failing.times, failing.since, failing.last, failing.kind, failing.text
        );
        field(text, "fallback", &what);
        field(text, "", &format!("in its place: {fallback}; breaker {breaker}{until}"));
    }
}

fn node_lines(text: &mut String, node: Option<&NodeScrape>) {
    let Some(node) = node else { return };
    let pool = node.pool.as_ref().map(|pool| format!(", in node pool {pool}")).unwrap_or_default();
    field(text, "node", &format!("{}: {}{pool}", node.name, node.state));
    if let Some(why) = &node.text {
        let reason = node.reason.as_ref().map(|reason| format!("{reason}: ")).unwrap_or_default();
        field(text, "", &format!("{reason}{why}"));
    }
    if let (Some(since), Some(times)) = (&node.since, node.times) {
        field(text, "", &format!("since {since}, {times} times in a row"));
    }
    let never = || "never".to_owned();
    if node.last_asked.is_some() || node.next.is_some() {
        let (asked, answered) = (node.last_asked.clone(), node.last_answer.clone());
        let next = node.next.as_ref().map(|next| format!(", next at {next}")).unwrap_or_default();
        let (asked, answered) = (asked.unwrap_or_else(never), answered.unwrap_or_else(never));
        field(text, "", &format!("asked {asked}, answered {answered}{next}"));
    }
    if !node.addresses_by.is_empty() {
        let addresses = if node.addresses.is_empty() { "none".to_owned() } else { node.addresses.join(", ") };
        field(text, "", &format!("at {addresses}: {}", node.addresses_by));
    }
    if node.bad_lines + node.incomplete_pods > 0 {
        let (lines, pods) = (node.bad_lines, node.incomplete_pods);
        field(text, "", &format!("left out of its answer: {lines} unreadable lines, {pods} incomplete pods"));
    }
}

fn tail(text: &mut String, replica: &Replica, time: &str, notes: &[String]) {
    field(text, "said by", &format!("{} (metrics-gateway {}) at {time}", replica.name, replica.version));
    notes.iter().for_each(|note| field(text, "note", note));
}

fn containers(text: &mut String, told: &PodExplanation) {
    if told.containers.is_empty() {
        return;
    }
    let row = |container: &Container| {
        let figures = container.usage.clone().unwrap_or_default();
        let dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        vec![
            container.name.clone(),
            dash(figures.cpu),
            dash(figures.memory),
            container.samples.count.to_string(),
            container.window.clone(),
            verdicts(container),
        ]
    };
    let rows: Vec<Vec<String>> = told.containers.iter().map(row).collect();
    text.push('\n');
    text.push_str(&table(&["container", "cpu", "memory", "samples", "window", "verdict"], &rows));
    if told.more_containers > 0 {
        let _ = writeln!(text, "and {} more containers", told.more_containers);
    }
    for container in &told.containers {
        readings(text, &format!("container {}", container.name), &container.samples);
    }
}

/// What is served of a container and who of the filters said so.
fn verdicts(container: &Container) -> String {
    let said = |FilterSaid { filter, said, by_value }: &FilterSaid| match by_value {
        Some(value) => format!("{filter}: {said}, now {value}"),
        None => format!("{filter}: {said}"),
    };
    let mut parts: Vec<String> = container.filters.iter().map(said).collect();
    parts.extend(container.missing.clone());
    if parts.is_empty() { "served".to_owned() } else { parts.join("; ") }
}

fn readings(text: &mut String, of: &str, samples: &Samples) {
    let Some(since) = &samples.since else { return };
    let _ = writeln!(text, "\nsamples of {of}: {} since {since}", samples.count);
    let row = |reading: &Reading| {
        vec![
            reading.taken_at.clone(),
            reading.age.clone(),
            format!("{}.{:09}", reading.cpu_nanoseconds / 1_000_000_000, reading.cpu_nanoseconds % 1_000_000_000),
            reading.memory_bytes.to_string(),
            reading.started_at.clone().unwrap_or_else(|| "-".to_owned()),
        ]
    };
    let rows: Vec<Vec<String>> = samples.latest.iter().map(row).collect();
    let lines = table(&["taken at", "age", "cpu seconds", "memory bytes", "started at"], &rows);
    lines.lines().for_each(|line| {
        let _ = writeln!(text, "  {line}");
    });
}

fn figures(Figures { cpu, memory }: &Figures) -> String {
    let dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    format!("cpu {}, memory {}", dash(cpu), dash(memory))
}

#[cfg(test)]
mod tests;
