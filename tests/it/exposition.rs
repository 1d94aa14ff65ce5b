//! `/metrics/resource`: what Prometheus reads is what the Metrics API serves; and it is there only for those who ask
//! for it, and may. A real Prometheus reads it in the end-to-end suite.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::ensure;
use harness::directory::Directory;
use harness::eventually::eventually;
use serde_json::Value;

use crate::world::{B, PATIENCE, World, shared, status_of};

const PATH: &str = "/metrics/resource";
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[tokio::test]
async fn without_the_key_there_is_no_such_path() {
    let answer = shared().ask(PATH, &[]).await;
    assert_eq!(answer.status, 404);
    assert!(!answer.text().contains(PATH), "{}", answer.text());
}

#[tokio::test]
async fn prometheus_reads_what_the_metrics_api_serves() {
    let directory = Directory::new("metrics-gateway-config").expect("a temporary directory");
    let file = directory.file("gateway.toml");
    std::fs::write(&file, "[api]\nresource_metrics = true\n").expect("it can be written");
    let world = World::start(&[&format!("--config={}", file.display())]).await;

    let index = world.ask("/", &[]).await;
    assert!(index.text().contains(PATH), "{}", index.text());
    status_of(&world.ask_for("nobody", PATH, &[]).await, 403, "Forbidden");
    let review = world.reviews_of("nobody").remove(0);
    assert_eq!((&*review.verb, &*review.path), ("get", PATH));
    assert_eq!(world.ask(PATH, &[]).await.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));

    // What is served changes every ten seconds, so that the three answers seldom tell of different readings.
    let equal = eventually("the same figures in both", PATIENCE, async || {
        let text = world.ask(PATH, &[("accept", "application/openmetrics-text")]).await;
        ensure!(text.header("content-type") == Some(OPENMETRICS), "{:?}", text.headers);
        let (nodes, pods) = (world.ask(&format!("{B}/nodes"), &[]).await, world.ask(&format!("{B}/pods"), &[]).await);
        let (served, exposed) = (served(&nodes.json(), &pods.json()), exposed(text.text()));
        ensure!(served.len() == 3 * 3 + 5 * (2 * 2 + 1), "{} figures are served", served.len());
        ensure!(served == exposed, "{:#?}", served.symmetric_difference(&exposed).collect::<Vec<_>>());
        Ok(())
    });
    equal.await.unwrap_or_else(|error| panic!("{error:#}"));
}

/// Family, subject, figure in nanocores or bytes or nanoseconds, and time in seconds.
type Figure = (String, String, u64, String);

fn served(nodes: &Value, pods: &Value) -> BTreeSet<Figure> {
    let mut figures = BTreeSet::new();
    let mut put = |family: &str, subject: &str, figure: u64, object: &Value| {
        let time = text(&object["timestamp"]).to_owned();
        figures.insert((format!("metrics_gateway_{family}"), subject.to_owned(), figure, time));
    };
    for node in nodes["items"].as_array().expect("items") {
        let subject = format!("node={}", node["metadata"]["name"]);
        put("node_cpu_usage_cores", &subject, nanocores(&node["usage"]["cpu"]), node);
        put("node_memory_working_set_bytes", &subject, bytes(&node["usage"]["memory"]), node);
        put("node_usage_window_seconds", &subject, nanoseconds(&node["window"]), node);
    }
    for pod in pods["items"].as_array().expect("items") {
        let of_pod = format!("namespace={},pod={}", pod["metadata"]["namespace"], pod["metadata"]["name"]);
        put("pod_usage_window_seconds", &of_pod, nanoseconds(&pod["window"]), pod);
        for container in pod["containers"].as_array().expect("containers") {
            let subject = format!("{of_pod},container={}", container["name"]);
            put("container_cpu_usage_cores", &subject, nanocores(&container["usage"]["cpu"]), pod);
            put("container_memory_working_set_bytes", &subject, bytes(&container["usage"]["memory"]), pod);
        }
    }
    figures
}

/// The same, from the text; its times, which are finer, cut to the API's seconds.
fn exposed(openmetrics: &str) -> BTreeSet<Figure> {
    let text = openmetrics.strip_suffix("# EOF\n").expect("an end");
    let sample = |line: &str| {
        let (series, rest) = line.split_once("} ").expect("labels end");
        let (family, subject) = series.split_once('{').expect("labels begin");
        let (figure, time) = rest.split_once(' ').expect("a time");
        let figure = if family.ends_with("_bytes") { figure.parse().expect("bytes") } else { billionths(figure) };
        let second = i64::try_from(billionths(time) / 1_000_000_000).expect("a second");
        let time = jiff::Timestamp::from_second(second).expect("a time").to_string();
        (family.to_owned(), subject.to_owned(), figure, time)
    };
    text.lines().filter(|line| !line.starts_with('#')).map(sample).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

/// Digit by digit: a float would hide what it rounds.
fn billionths(decimal: &str) -> u64 {
    let (whole, fraction) = decimal.split_once('.').unwrap_or((decimal, ""));
    format!("{whole}{fraction:0<9}").parse().unwrap_or_else(|_| panic!("{decimal} has more than nine decimals"))
}

fn quantity(value: &Value, suffixes: &[(&str, u64)]) -> u64 {
    let text = text(value);
    let (digits, suffix) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let factor = suffixes.iter().find(|(name, _)| *name == suffix).unwrap_or_else(|| panic!("{text}")).1;
    digits.parse::<u64>().expect("digits") * factor
}

fn nanocores(value: &Value) -> u64 {
    quantity(value, &[("n", 1), ("u", 1000), ("m", 1_000_000), ("", 1_000_000_000)])
}

fn bytes(value: &Value) -> u64 {
    quantity(value, &[("", 1), ("Ki", 1 << 10), ("Mi", 1 << 20), ("Gi", 1 << 30)])
}

fn nanoseconds(value: &Value) -> u64 {
    let seconds = text(value).strip_suffix('s').expect("seconds");
    let window = billionths(seconds);
    assert!(Duration::from_nanos(window) < Duration::from_secs(60), "minutes are written otherwise: {value}");
    window
}
