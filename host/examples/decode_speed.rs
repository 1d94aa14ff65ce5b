//! How fast kubelet answers are decoded: `cargo run --release --example decode_speed`.
//!
//! Prints nanoseconds per line and MB/s for two bodies: a node of 30 pods with 2 containers each, and one of 500 pods.
//! Lines are counted as the kubelet prints them, comments and the families that are passed over included.

use std::fmt::Write;
use std::hint::black_box;
use std::time::Instant;

use metrics_gateway::config::TimestampOf;
use metrics_gateway::decode::{Form, Reading, batch};
use metrics_gateway::model::units::UnixNanos;

fn main() {
    let asked_at = UnixNanos(1_795_212_480_000_000_000);
    let reading = Reading { form: Form::Text, asked_at, timestamp: TimestampOf::Cpu };
    for pods in [30, 500] {
        let body = body(pods);
        // The best of many runs: what else the machine does only ever adds.
        let mut best = f64::INFINITY;
        for _ in 0..100_000 / pods {
            let start = Instant::now();
            black_box(batch(black_box(body.as_bytes()), reading).expect("the body is in the text format"));
            best = best.min(start.elapsed().as_secs_f64());
        }
        let lines = body.lines().count();
        let per_line = best * 1e9 / lines as f64;
        let rate = body.len() as f64 / best / 1e6;
        println!(
            "{pods} pods, {} containers, {} B, {lines} lines: {:.1} us, {per_line:.0} ns a line, {rate:.0} MB/s",
            pods * 2,
            body.len(),
            best * 1e6,
        );
    }
}

/// A body with the families of a current kubelet, in its order.
fn body(pods: usize) -> String {
    let mut body = String::new();
    let mut family = |name: &str, per_pod: usize, value: &dyn Fn(usize) -> String| {
        writeln!(body, "# HELP {name} [STABLE] Some words about the family\n# TYPE {name} gauge").expect(TO_STRING);
        for pod in 0..pods {
            for container in 0..per_pod.max(1) {
                let namespace = format!("team-{}", pod / 10);
                let pod = format!("web-frontend-6f8b898f67-{pod:05x}");
                let labels = format!("namespace=\"{namespace}\",pod=\"{pod}\"");
                let labels = match per_pod {
                    0 => String::new(),
                    1 => format!("{{{labels}}}"),
                    _ => format!("{{container=\"{}\",{labels}}}", ["app", "istio-proxy"][container]),
                };
                writeln!(body, "{name}{labels} {}", value(container + pod.len())).expect(TO_STRING);
                if per_pod == 0 {
                    return;
                }
            }
        }
    };
    let cpu = |seed: usize| format!("{}.835471697 1795212472677", seed * 37);
    let memory = |seed: usize| format!("{}.3910784e+07 1795212472677", seed % 9 + 1);
    let start = |_: usize| "1.79521245771e+09".to_owned();
    family("container_cpu_usage_seconds_total", 2, &cpu);
    family("container_memory_working_set_bytes", 2, &memory);
    family("container_start_time_seconds", 2, &start);
    family("container_swap_usage_bytes", 2, &|_| "0 1795212472677".to_owned());
    family("node_cpu_usage_seconds_total", 0, &cpu);
    family("node_memory_working_set_bytes", 0, &memory);
    family("pod_cpu_usage_seconds_total", 1, &cpu);
    family("pod_memory_working_set_bytes", 1, &memory);
    family("resource_scrape_error", 0, &|_| "0".to_owned());
    body
}

const TO_STRING: &str = "writing to a string cannot fail";
