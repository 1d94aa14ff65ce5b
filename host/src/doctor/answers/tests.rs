use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Answers, Expected, judge};
use crate::decode::Form;
use crate::discovery::nodes::read;
use crate::doctor::cause::Cause;
use crate::doctor::nodes::{Seen, Sight};
use crate::doctor::report::{Finding, Remedy, Verdict};
use crate::doctor::server::Unread;
use crate::model::policy::Candidate;
use crate::model::units::UnixNanos;
use crate::scrape::Answer;

/// 2026-11-21T00:00:00Z.
const NOW: u64 = 1_795_219_200_000_000_000;

/// A node whose kubelet reports the pod `shop/reported`.
fn sight(name: &str) -> Sight {
    let text = "node_cpu_usage_seconds_total 7190.5 1795219200000\nnode_memory_working_set_bytes 1.0e+09 1795219200000\n\
                container_cpu_usage_seconds_total{container=\"a\",namespace=\"shop\",pod=\"reported\"} 1.5 1795219200000\n\
                container_memory_working_set_bytes{container=\"a\",namespace=\"shop\",pod=\"reported\"} 1e+06 1795219200000\n";
    Sight {
        node: Arc::new(read(json!({"metadata": {"name": name}})).unwrap()),
        chooser: String::new(),
        candidates: Ok(vec![Candidate { host: "10.0.0.1".into(), port: 10250, path: None, server_name: None }]),
        look: None,
        answer: Seen::Direct(Ok(Answer { body: Bytes::from_static(text.as_bytes()), form: Form::Text })),
    }
}

fn served(name: &str, timestamp: &str) -> Value {
    json!({"metadata": {"name": name}, "timestamp": timestamp})
}

fn pod(name: &str, phase: &str, node: &str, started_at: &str) -> Value {
    json!({
        "metadata": {"namespace": "shop", "name": name},
        "spec": {"nodeName": node},
        "status": {"phase": phase, "containerStatuses": [{"state": {"running": {"startedAt": started_at}}}]},
    })
}

const LONG_AGO: &str = "2026-11-20T00:00:00Z";

fn judged(answers: &Answers, started_at: &str) -> Vec<(&'static str, String, Verdict, Option<Cause>)> {
    let sights = [sight("good"), sight("bad")];
    let findings =
        [Finding::ok("node", "good", ""), Finding::failed("node", "bad", Cause::NodeRefused, "", Remedy::default())];
    let expected = Expected {
        sights: &sights,
        are_all: true,
        findings: &findings,
        resolution: Duration::from_secs(15),
        started_at: started_at.parse().ok(),
        now: UnixNanos(NOW),
    };
    judge(answers, &expected).into_iter().map(|it| (it.id, it.subject, it.verdict, it.cause)).collect()
}

#[test]
fn whoever_has_no_metrics_is_told_why() {
    let answers = Answers {
        nodes: Ok(vec![served("good", "2026-11-20T23:59:50Z")]),
        pods: Ok(vec![json!({"metadata": {"namespace": "shop", "name": "served"}})]),
        objects: Ok(vec![
            pod("served", "Running", "good", LONG_AGO),
            pod("new", "Running", "good", "2026-11-20T23:59:30Z"),
            pod("of-bad", "Running", "bad", LONG_AGO),
            pod("reported", "Running", "good", LONG_AGO),
            pod("zero", "Running", "good", LONG_AGO),
            pod("done", "Succeeded", "good", LONG_AGO),
            pod("waiting", "Pending", "", ""),
        ]),
    };
    let warning = |name: &str, cause| ("pod-metrics", name.to_owned(), Verdict::Warning, Some(cause));
    assert_eq!(
        judged(&answers, LONG_AGO),
        [
            ("node-metrics", "bad".to_owned(), Verdict::Failed, Some(Cause::MetricsNodeFailing)),
            warning("shop/new", Cause::MetricsStarting),
            warning("shop/of-bad", Cause::MetricsNodeFailing),
            warning("shop/reported", Cause::MetricsNotServed),
            warning("shop/zero", Cause::MetricsZero),
            warning("", Cause::MetricsPodNotRunning),
        ]
    );
}

#[test]
fn a_gateway_that_has_just_started_is_waited_for_and_an_old_reading_is_told() {
    let none = Answers { nodes: Ok(Vec::new()), pods: Ok(Vec::new()), objects: Ok(Vec::new()) };
    let causes = |found: Vec<(_, _, _, Option<Cause>)>| found.into_iter().filter_map(|it| it.3).collect::<Vec<_>>();
    assert_eq!(causes(judged(&none, "2026-11-20T23:59:40Z")), [Cause::MetricsStarting, Cause::MetricsNodeFailing]);
    assert_eq!(causes(judged(&none, LONG_AGO)), [Cause::MetricsNotServed, Cause::MetricsNodeFailing]);
    let old = ["good", "bad"].map(|name| served(name, "2026-11-20T23:50:00Z")).into();
    let old = Answers { nodes: Ok(old), ..none };
    assert_eq!(causes(judged(&old, LONG_AGO)), [Cause::MetricsStale, Cause::MetricsStale]);
}

#[test]
fn a_metrics_api_that_does_not_answer_fails_and_one_that_refuses_us_is_skipped() {
    let answers = |status, text: &str| Answers {
        nodes: Err(Unread { status, text: text.to_owned() }),
        pods: Ok(Vec::new()),
        objects: Ok(Vec::new()),
    };
    let failing = judged(&answers(Some(503), "service unavailable"), LONG_AGO);
    assert_eq!(failing[0].3, Some(Cause::MetricsApiFailing));
    assert_eq!(judged(&answers(Some(403), "forbidden"), LONG_AGO)[0].2, Verdict::Skipped);
}
