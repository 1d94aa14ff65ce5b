use super::*;
use crate::report::PolicyFailure;
use crate::report::explanation::{Seen, Served, Tenant};

fn reading(second: u32, cpu_nanoseconds: u64) -> Reading {
    let taken_at = format!("2026-11-21T12:00:{second:02}.000Z");
    Reading { taken_at, age: "4s".into(), cpu_nanoseconds, memory_bytes: 1_048_576, started_at: None }
}

fn replica() -> Replica {
    Replica { name: "gateway-a".into(), version: "0.1.0".into() }
}

#[test]
fn a_pod_in_words_says_what_is_served_by_whom_and_what_failed() {
    let said = |filter: &str, said: &str| FilterSaid { filter: filter.into(), said: said.into(), by_value: None };
    let samples = Samples {
        count: 2,
        since: Some("2026-11-21T12:00:00Z".into()),
        latest: vec![reading(0, 1_500_000_000), reading(15, 2_250_000_001)],
    };
    let app = Container {
        name: "app".into(),
        usage: Some(Figures { cpu: Some("50m".into()), memory: Some("1Mi".into()) }),
        missing: None,
        filters: vec![said("skip", "keep")],
        window: "fallback".into(),
        samples,
    };
    let side = Container {
        name: "side".into(),
        missing: Some("dropped".into()),
        filters: vec![said("skip", "drop")],
        ..Container::default()
    };
    let told = PodExplanation {
        replica: replica(),
        time: "2026-11-21T12:00:19Z".into(),
        namespace: "shop".into(),
        name: "web-0".into(),
        state: "served".into(),
        text: "served: the usage over 15s, as node \"n\" reports it".into(),
        served: Some(Served { timestamp: "2026-11-21T12:00:15Z".into(), window: "15s".into() }),
        seen: Some(Seen { first: "2026-11-21T11:00:00Z".into(), last: "2026-11-21T12:00:15Z".into() }),
        tenant: Tenant {
            name: "shop".into(),
            because: "its namespaces name it".into(),
            filters: vec!["skip".into()],
            window: "p95".into(),
        },
        generation: Generation { number: 3, since: "2026-11-21T10:00:00Z".into() },
        policies: vec![Policy {
            hook: "window".into(),
            plugin: "p95".into(),
            owner: "shop".into(),
            breaker: "open".into(),
            fallback: "the rate between the last two samples".into(),
            open_until: Some("2026-11-21T12:00:40Z".into()),
            failing: Some(PolicyFailure {
                since: "2026-11-21T11:59:00Z".into(),
                last: "2026-11-21T12:00:10Z".into(),
                times: 5,
                kind: "trap".into(),
                text: "trapped: unreachable".into(),
            }),
        }],
        containers: vec![app, side],
        ..PodExplanation::default()
    };
    let expected = "\
pod shop/web-0: SERVED
  served: the usage over 15s, as node \"n\" reports it
  usage      taken at 2026-11-21T12:00:15Z, over 15s
  reported   first at 2026-11-21T11:00:00Z, last at 2026-11-21T12:00:15Z
  tenant     shop: its namespaces name it
  policies   filters skip; window p95; generation 3 since 2026-11-21T10:00:00Z
  fallback   window policy \"p95\" of shop has failed 5 times since 2026-11-21T11:59:00Z, last at 2026-11-21T12:00:10Z (trap): trapped: unreachable
             in its place: the rate between the last two samples; breaker open until 2026-11-21T12:00:40Z
  said by    gateway-a (metrics-gateway 0.1.0) at 2026-11-21T12:00:19Z

CONTAINER   CPU   MEMORY   SAMPLES   WINDOW     VERDICT
app         50m      1Mi         2   fallback   skip: keep
side          -        -         0              skip: drop; dropped

samples of container app: 2 since 2026-11-21T12:00:00Z
                  TAKEN AT   AGE   CPU SECONDS   MEMORY BYTES   STARTED AT
  2026-11-21T12:00:00.000Z    4s   1.500000000        1048576   -
  2026-11-21T12:00:15.000Z    4s   2.250000001        1048576   -
";
    assert_eq!(pod(&told), expected, "\n{}", pod(&told));
}

#[test]
fn a_node_in_words_says_where_it_is_asked_and_why_it_fails() {
    let scrape = NodeScrape {
        name: "n".into(),
        state: "failing".into(),
        reason: Some("timeout".into()),
        text: Some("no complete answer within 5s".into()),
        since: Some("2026-11-21T11:59:00Z".into()),
        times: Some(4),
        last_asked: Some("2026-11-21T12:00:10Z".into()),
        next: Some("2026-11-21T12:00:20Z".into()),
        addresses_by: "preferred (built in)".into(),
        addresses: vec!["https://10.0.0.1:10250".into()],
        ..NodeScrape::default()
    };
    let told = NodeExplanation {
        replica: replica(),
        time: "2026-11-21T12:00:19Z".into(),
        name: "n".into(),
        state: "missing".into(),
        reason: Some("node-failing".into()),
        text: "it does not answer (timeout): no complete answer within 5s".into(),
        window: "last-two (built in)".into(),
        generation: Generation { number: 1, since: String::new() },
        node: Some(scrape),
        notes: vec!["a note".into()],
        ..NodeExplanation::default()
    };
    let expected = "\
node n: MISSING (node-failing)
  it does not answer (timeout): no complete answer within 5s
  policies   window last-two (built in); generation 1
  node       n: failing
             timeout: no complete answer within 5s
             since 2026-11-21T11:59:00Z, 4 times in a row
             asked 2026-11-21T12:00:10Z, answered never, next at 2026-11-21T12:00:20Z
             at https://10.0.0.1:10250: preferred (built in)
  said by    gateway-a (metrics-gateway 0.1.0) at 2026-11-21T12:00:19Z
  note       a note
";
    assert_eq!(node(&told), expected, "\n{}", node(&told));
}
