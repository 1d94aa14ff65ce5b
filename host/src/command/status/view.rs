//! What `status` shows. Pure: what gateways said in, lines out, which are then cut to the terminal and coloured.
//!
//! One glance must tell what is wrong: the first line says whether anything is, and problems stand above all tables.

use jiff::Timestamp;

use crate::authoring::table::table;
use crate::report::Policy;
use crate::report::status::{Gateway, Nodes, Plugin, Quantiles};

/// What to show.
pub(super) struct Replicas<'a> {
    /// The one that answered last; None: none has yet.
    pub(super) latest: Option<&'a Gateway>,
    /// Those that answered before.
    pub(super) others: Vec<Seen<'a>>,
}

/// What a replica said some time ago.
pub(super) struct Seen<'a> {
    pub(super) told: &'a Gateway,
    pub(super) seconds_ago: u64,
}

/// Of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) columns: usize,
    pub(super) lines: usize,
}

/// Whether there are any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colours {
    On,
    Off,
}

/// What a piece of text means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tone {
    Plain,
    Title,
    Good,
    Warning,
    Bad,
    Quiet,
}

impl Tone {
    fn sequence(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Title => "\u{1b}[1m",
            Self::Good => "\u{1b}[32m",
            Self::Warning => "\u{1b}[33m",
            Self::Bad => "\u{1b}[1;31m",
            Self::Quiet => "\u{1b}[2m",
        }
    }
}

/// One line, in pieces.
pub(super) struct Line(Vec<(Tone, String)>);

impl Line {
    fn new(name: &str) -> Self {
        Self(vec![(Tone::Quiet, format!("{name:<9} "))])
    }

    fn of(tone: Tone, text: impl Into<String>) -> Self {
        Self(vec![(tone, text.into())])
    }

    fn empty() -> Self {
        Self(Vec::new())
    }

    fn and(mut self, tone: Tone, text: impl Into<String>) -> Self {
        self.0.push((tone, text.into()));
        self
    }
}

/// Everything, one line after another. `trouble` says why nobody answers at present.
pub(super) fn screen(replicas: &Replicas<'_>, trouble: Option<&str>) -> Vec<Line> {
    let mut lines = Vec::new();
    for (place, line) in trouble.unwrap_or_default().lines().enumerate() {
        let sign = if place == 0 { "no answer: " } else { "           " };
        lines.push(Line::of(Tone::Bad, format!("{sign}{line}")));
    }
    let Some(gateway) = replicas.latest else { return lines };
    let problems = problems(gateway);
    lines.push(title(gateway, problems.len()));
    lines.extend(replicas.others.iter().map(other));
    lines.push(nodes(&gateway.nodes));
    lines.push(served(gateway));
    lines.push(tick(gateway));
    lines.push(latency(gateway));
    lines.push(process(gateway));
    if !problems.is_empty() {
        lines.push(Line::empty());
        lines.push(Line::of(Tone::Title, "PROBLEMS"));
        lines.extend(problems);
    }
    tables(gateway, &mut lines);
    lines
}

/// Lines cut to a terminal.
pub(super) fn fitted(lines: &[Line], size: Size, colours: Colours) -> String {
    let shown = if lines.len() > size.lines { size.lines.saturating_sub(1) } else { lines.len() };
    let mut text = String::new();
    for line in &lines[..shown] {
        let mut left = size.columns;
        for (tone, piece) in &line.0 {
            let piece: String = piece.chars().take(left).collect();
            left -= piece.chars().count();
            let sequence = if colours == Colours::On { tone.sequence() } else { "" };
            let end = if sequence.is_empty() { "" } else { "\u{1b}[0m" };
            text.push_str(&format!("{sequence}{piece}{end}"));
        }
        let kept = text.trim_end_matches(' ').len();
        text.truncate(kept);
        text.push('\n');
    }
    if shown < lines.len() {
        text.push_str(&format!("… {} more lines\n", lines.len() - shown));
    }
    text
}

fn title(gateway: &Gateway, problems: usize) -> Line {
    let line = Line::of(Tone::Title, format!("metrics-gateway {}", gateway.name)).and(
        Tone::Plain,
        format!(
            "  {}  up {}  generation {} since {}  ",
            gateway.version,
            span(gateway.uptime_seconds),
            gateway.generation.number,
            clock(&gateway.generation.since)
        ),
    );
    match problems {
        _ if gateway.is_shutting_down => line.and(Tone::Warning, "shutting down"),
        0 => line.and(Tone::Good, "all well"),
        1 => line.and(Tone::Bad, "1 problem"),
        more => line.and(Tone::Bad, format!("{more} problems")),
    }
}

fn other(seen: &Seen<'_>) -> Line {
    let Gateway { name, generation, nodes, .. } = seen.told;
    let count = problems(seen.told).len();
    let (answering, total) = (answering(nodes), nodes.total);
    let text = format!(
        "{name}, {} s ago: generation {}, {answering} of {total} nodes answer, {count} problems",
        seen.seconds_ago, generation.number
    );
    Line::new("replica").and(if count == 0 { Tone::Plain } else { Tone::Warning }, text)
}

fn answering(nodes: &Nodes) -> usize {
    nodes.by_outcome.get("answering").copied().unwrap_or(0)
}

/// Outcomes that are nobody's failure.
const QUIET: [&str; 4] = ["answering", "pending", "skipped", "excluded"];

fn nodes(nodes: &Nodes) -> Line {
    let good = answering(nodes);
    let is_bad = nodes.by_outcome.keys().any(|outcome| !QUIET.contains(&outcome.as_str()));
    let tone = if is_bad { Tone::Bad } else { Tone::Good };
    let mut line = Line::new("nodes");
    line = line.and(tone, bar(good, nodes.total)).and(Tone::Plain, format!(" {good} of {} answer", nodes.total));
    for (outcome, count) in nodes.by_outcome.iter().filter(|(outcome, _)| *outcome != "answering") {
        let tone = if QUIET.contains(&outcome.as_str()) { Tone::Quiet } else { Tone::Bad };
        line = line.and(Tone::Plain, " · ").and(tone, format!("{count} {outcome}"));
    }
    line
}

fn served(gateway: &Gateway) -> Line {
    let served = &gateway.served;
    let text = format!("{} nodes, {} pods, {} containers", served.nodes, served.pods, served.containers);
    let line = Line::new("served").and(Tone::Plain, text);
    let freshness = &gateway.freshness;
    let (Some(median), Some(oldest)) = (freshness.median_seconds, freshness.oldest_seconds) else { return line };
    // Two rounds without a new reading are one too many.
    let tone = if oldest > gateway.resolution_seconds * 3.0 { Tone::Warning } else { Tone::Plain };
    line.and(Tone::Plain, " · taken ")
        .and(Tone::Plain, format!("{} ago (median), ", seconds(median)))
        .and(tone, format!("{} (oldest)", seconds(oldest)))
}

fn tick(gateway: &Gateway) -> Line {
    let tick = &gateway.tick;
    let line = Line::new("tick").and(Tone::Plain, format!("every {}", seconds(gateway.resolution_seconds)));
    let began = tick.began.as_ref().and_then(|began| ago(began, &gateway.time));
    let line = line.and(Tone::Plain, began.map(|began| format!(", began {began} ago")).unwrap_or_default());
    if tick.is_timely { line.and(Tone::Good, ", in time") } else { line.and(Tone::Bad, ", late") }
}

fn latency(gateway: &Gateway) -> Line {
    let text = |told: &Quantiles| match (told.p50, told.p90, told.p99) {
        (Some(p50), Some(p90), Some(p99)) => {
            format!("{} / {} / {} ({})", seconds(p50), seconds(p90), seconds(p99), told.count)
        }
        _ => "none yet".to_owned(),
    };
    Line::new("latency")
        .and(Tone::Plain, format!("requests {}", text(&gateway.latency.requests)))
        .and(Tone::Plain, format!(" · kubelets {}", text(&gateway.latency.kubelets)))
        .and(Tone::Quiet, "  p50 / p90 / p99 (count)")
}

fn process(gateway: &Gateway) -> Line {
    let mebibytes = gateway.memory_bytes >> 20;
    let (connections, in_flight) = (gateway.connections, gateway.requests_in_flight);
    Line::new("process")
        .and(Tone::Plain, format!("{mebibytes} MiB · {connections} connections · {in_flight} requests in flight"))
}

/// What is wrong, the widest first.
fn problems(gateway: &Gateway) -> Vec<Line> {
    let bad = |text: String| Line::of(Tone::Bad, "  ✗ ").and(Tone::Plain, text);
    let mut lines = Vec::new();
    if !gateway.tick.is_timely {
        lines.push(bad("ticks do not come in time: what is served grows old".to_owned()));
    }
    if let Some(refusal) = &gateway.refusal {
        let times = refusal.times;
        let since = clock(&refusal.since);
        let begin = format!("a generation is refused since {since} ({times} times):");
        lines.extend(refusal.problems.iter().map(|problem| bad(format!("{begin} {problem}"))));
    }
    lines.extend(gateway.policies.iter().filter_map(failing_policy).map(bad));
    for node in &gateway.nodes.failing {
        let (since, times) = (clock(&node.since), node.times);
        lines.push(bad(format!("node {} {} since {since} ({times} times): {}", node.name, node.reason, node.text)));
    }
    if gateway.nodes.more_failing > 0 {
        lines.push(bad(format!("and {} more nodes", gateway.nodes.more_failing)));
    }
    lines
}

fn failing_policy(policy: &Policy) -> Option<String> {
    let Policy { hook, plugin, owner, breaker, fallback, open_until, failing } = policy;
    let failing = failing.as_ref()?;
    let breaker = match open_until {
        Some(until) => format!("breaker open until {}", clock(until)),
        None => format!("breaker {breaker}"),
    };
    Some(format!(
        "{hook} policy {plugin} of {owner} fails since {} ({} times), {breaker}, falling back to {fallback}: {}",
        clock(&failing.since),
        failing.times,
        failing.text
    ))
}

fn tables(gateway: &Gateway, lines: &mut Vec<Line>) {
    let chain = |filters: &[String]| if filters.is_empty() { "-".to_owned() } else { filters.join(", ") };
    let most = gateway.tenants.iter().map(|tenant| tenant.pods).max().unwrap_or(0);
    let tenants = gateway.tenants.iter().map(|tenant| {
        let (namespaces, pods) = (tenant.namespaces.to_string(), tenant.pods.to_string());
        let (filters, window) = (chain(&tenant.filters), tenant.window.clone());
        vec![tenant.name.clone(), namespaces, pods, short_bar(tenant.pods, most), filters, window]
    });
    add_table(lines, &["tenant", "namespaces", "pods", "", "filters", "window"], tenants.collect());
    let pools = gateway
        .node_pools
        .iter()
        .map(|pool| vec![pool.name.clone(), pool.nodes.to_string(), pool.address.clone(), pool.window.clone()]);
    add_table(lines, &["node pool", "nodes", "address", "window"], pools.collect());
    let plugins = gateway.plugins.iter().map(|plugin| plugin_row(plugin, &gateway.policies));
    add_table(lines, &["plugin", "version", "digest", "answers", "failures", "cpu", "breakers"], plugins.collect());
}

fn plugin_row(plugin: &Plugin, policies: &[Policy]) -> Vec<String> {
    let failures: Vec<String> = plugin.failures.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let failures = if failures.is_empty() { "none".to_owned() } else { failures.join(", ") };
    let of_plugin = policies.iter().filter(|policy| policy.plugin == plugin.name);
    let open: Vec<String> = of_plugin
        .filter(|policy| policy.breaker != "closed")
        .map(|policy| format!("{} {}", policy.breaker, policy.owner))
        .collect();
    let breakers = if open.is_empty() { "closed".to_owned() } else { open.join(", ") };
    let digest = plugin.digest.get(..12).unwrap_or(&plugin.digest).to_owned();
    let cpu = seconds(plugin.cpu_seconds);
    vec![plugin.name.clone(), plugin.version.clone(), digest, plugin.answers.to_string(), failures, cpu, breakers]
}

fn add_table(lines: &mut Vec<Line>, headings: &[&str], rows: Vec<Vec<String>>) {
    if rows.is_empty() {
        return;
    }
    lines.push(Line::empty());
    let text = table(headings, &rows);
    let tones = std::iter::once(Tone::Quiet).chain(std::iter::repeat(Tone::Plain));
    lines.extend(text.lines().zip(tones).map(|(line, tone)| Line::of(tone, line)));
}

fn bar(part: usize, of: usize) -> String {
    filled(part, of, 24)
}

fn short_bar(part: usize, of: usize) -> String {
    filled(part, of, 10)
}

/// Full only where nothing is missing.
fn filled(part: usize, of: usize, width: usize) -> String {
    let full = if of == 0 { 0 } else { (part.min(of) * width).checked_div(of).unwrap_or(0) };
    format!("{}{}", "█".repeat(full), "░".repeat(width - full))
}

/// `3h12m`, `4m08s`, `12s`.
fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// Three digits at the most, in the unit that suits.
fn seconds(seconds: f64) -> String {
    match seconds {
        s if s < 0.001 => format!("{:.0}µs", s * 1e6),
        s if s < 1.0 => format!("{:.0}ms", s * 1e3),
        s if s < 10.0 => format!("{s:.1}s"),
        s => span(s as u64),
    }
}

/// The time of day, where it is today's, as far as one looks at it at night.
fn clock(time: &str) -> &str {
    time.get(11..19).unwrap_or(time)
}

fn ago(then: &str, now: &str) -> Option<String> {
    let (then, now): (Timestamp, Timestamp) = (then.parse().ok()?, now.parse().ok()?);
    Some(span(u64::try_from(now.as_second() - then.as_second()).unwrap_or(0)))
}

#[cfg(test)]
mod tests;
