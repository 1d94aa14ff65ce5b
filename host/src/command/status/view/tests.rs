use std::collections::BTreeMap;

use super::*;
use crate::report::status::{FailingNode, Freshness, Latency, Refusal, Served, Tenant, Tick};
use crate::report::{Generation, PolicyFailure};

const WIDE: Size = Size { columns: 160, lines: usize::MAX };

fn outcomes(outcomes: &[(&str, usize)]) -> BTreeMap<String, usize> {
    outcomes.iter().map(|(outcome, count)| ((*outcome).to_owned(), *count)).collect()
}

fn healthy() -> Gateway {
    Gateway {
        name: "gateway-a".into(),
        version: "0.1.0".into(),
        time: "2026-11-21T12:00:04Z".into(),
        uptime_seconds: 11_523,
        resolution_seconds: 15.0,
        generation: Generation { number: 4, since: "2026-11-21T11:00:00Z".into() },
        nodes: Nodes { total: 3, by_outcome: outcomes(&[("answering", 3)]), ..Nodes::default() },
        tenants: vec![Tenant {
            name: "default".into(),
            namespaces: 2,
            pods: 5,
            filters: Vec::new(),
            window: "last-two (built in)".into(),
        }],
        latency: Latency {
            requests: Quantiles { count: 7, p50: Some(0.0008), p90: Some(0.0025), p99: Some(1.25) },
            kubelets: Quantiles::default(),
        },
        freshness: Freshness { median_seconds: Some(4.25), oldest_seconds: Some(12.0) },
        tick: Tick { began: Some("2026-11-21T12:00:00Z".into()), last_node: None, is_timely: true },
        served: Served { nodes: 3, pods: 5, containers: 10 },
        memory_bytes: 31 << 20,
        connections: 2,
        ..Gateway::default()
    }
}

fn text(gateway: &Gateway, size: Size, colours: Colours) -> String {
    fitted(&screen(&Replicas { latest: Some(gateway), others: Vec::new() }, None), size, colours)
}

#[test]
fn a_healthy_gateway_is_all_well_in_eight_lines() {
    let expected = "\
metrics-gateway gateway-a  0.1.0  up 3h12m  generation 4 since 11:00:00  all well
nodes     ████████████████████████ 3 of 3 answer
served    3 nodes, 5 pods, 10 containers · taken 4.2s ago (median), 12s (oldest)
tick      every 15s, began 4s ago, in time
latency   requests 800µs / 2ms / 1.2s (7) · kubelets none yet  p50 / p90 / p99 (count)
process   31 MiB · 2 connections · 0 requests in flight

TENANT    NAMESPACES   PODS                FILTERS   WINDOW
default            2      5   ██████████   -         last-two (built in)
";
    let seen = text(&healthy(), WIDE, Colours::Off);
    assert_eq!(seen, expected, "\n{seen}");
}

#[test]
fn what_is_wrong_stands_above_all_tables_and_is_counted_in_the_first_line() {
    let mut gateway = healthy();
    gateway.nodes.by_outcome = outcomes(&[("answering", 1), ("timeout", 1), ("skipped", 1)]);
    gateway.nodes.failing = vec![FailingNode {
        name: "node-7".into(),
        reason: "timeout".into(),
        text: "no complete answer within 5s".into(),
        since: "2026-11-21T11:59:00Z".into(),
        times: 4,
    }];
    let since = || "2026-11-21T11:58:00Z".to_owned();
    gateway.refusal =
        Some(Refusal { problems: vec!["gateway.toml:3: bad".into()], since: since(), last: since(), times: 2 });
    gateway.policies = vec![Policy {
        hook: "window".into(),
        plugin: "p95".into(),
        owner: "shop".into(),
        breaker: "open".into(),
        fallback: "serving nothing".into(),
        open_until: Some("2026-11-21T12:00:40Z".into()),
        failing: Some(PolicyFailure { since: since(), times: 5, text: "trapped".into(), ..PolicyFailure::default() }),
    }];
    let seen = text(&gateway, WIDE, Colours::Off);
    let lines: Vec<&str> = seen.lines().collect();
    assert!(lines[0].ends_with("3 problems"), "{seen}");
    assert_eq!(lines[1], "nodes     ████████░░░░░░░░░░░░░░░░ 1 of 3 answer · 1 skipped · 1 timeout");
    assert_eq!(
        lines[7..11],
        [
            "PROBLEMS",
            "  ✗ a generation is refused since 11:58:00 (2 times): gateway.toml:3: bad",
            "  ✗ window policy p95 of shop fails since 11:58:00 (5 times), breaker open until 12:00:40, falling back to \
             serving nothing: trapped",
            "  ✗ node node-7 timeout since 11:59:00 (4 times): no complete answer within 5s",
        ],
        "{seen}"
    );
}

#[test]
fn no_line_is_longer_and_no_screen_higher_than_the_terminal() {
    let mut gateway = healthy();
    gateway.tenants = vec![gateway.tenants[0].clone(); 100];
    let seen = text(&gateway, Size { columns: 30, lines: 12 }, Colours::Off);
    assert!(seen.lines().all(|line| line.chars().count() <= 30), "{seen}");
    assert_eq!((seen.lines().count(), seen.lines().last()), (12, Some("… 97 more lines")), "{seen}");
}

#[test]
fn colours_change_nothing_but_colours() {
    let (plain, coloured) = (text(&healthy(), WIDE, Colours::Off), text(&healthy(), WIDE, Colours::On));
    assert!(!plain.contains('\u{1b}') && coloured.contains("\u{1b}[32mall well\u{1b}[0m"), "{coloured}");
    let mut stripped = String::new();
    let mut rest = coloured.as_str();
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        stripped.push_str(before);
        rest = after.split_once('m').map_or("", |(_, after)| after);
    }
    stripped.push_str(rest);
    let trimmed: Vec<&str> = stripped.lines().map(str::trim_end).collect();
    assert_eq!(trimmed, plain.lines().collect::<Vec<_>>());
}

#[test]
fn other_replicas_have_a_line_each_and_silence_is_told_above_what_was_seen_last() {
    let (latest, mut other) = (healthy(), healthy());
    other.name = "gateway-b".into();
    let replicas = Replicas { latest: Some(&latest), others: vec![Seen { told: &other, seconds_ago: 6 }] };
    let seen = fitted(&screen(&replicas, Some("nobody\nis there")), WIDE, Colours::Off);
    let lines: Vec<&str> = seen.lines().take(4).collect();
    assert_eq!(lines[..2], ["no answer: nobody", "           is there"], "{seen}");
    assert_eq!(lines[3], "replica   gateway-b, 6 s ago: generation 4, 3 of 3 nodes answer, 0 problems", "{seen}");
    let nobody = fitted(&screen(&Replicas { latest: None, others: Vec::new() }, Some("no route")), WIDE, Colours::Off);
    assert_eq!(nobody, "no answer: no route\n");
}
