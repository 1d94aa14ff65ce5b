use super::*;
use crate::telemetry::Metrics;

fn labels() -> Labels {
    Labels { plugin: "ewma".into(), tenant: "payments".into(), hook: "window".into() }
}

fn metrics() -> Metrics {
    Metrics::new(Duration::from_secs(15))
}

/// What is told of plugins, without the buckets.
fn told(metrics: &Metrics) -> Vec<String> {
    let text = String::from_utf8(metrics.render()).unwrap();
    let is_of_plugins = |line: &&str| line.starts_with("metrics_gateway_plugin_") && !line.contains("_bucket");
    text.lines().filter(is_of_plugins).map(str::to_owned).collect()
}

#[test]
fn what_is_counted_is_told_by_plugin_tenant_hook_and_outcome() {
    let metrics = metrics();
    let account = Account::new(&metrics.plugins, labels());
    account.count("ok");
    account.count("cpu");
    account.count("ok");
    account.charge(Duration::from_millis(500), Duration::from_millis(250), 65_536);
    account.charge(Duration::ZERO, Duration::ZERO, 1);
    account.show(Position::Open);
    account.drop_lines(7);
    let expected = [
        r#"metrics_gateway_plugin_breaker_state{hook="window",plugin="ewma",tenant="payments"} 2"#,
        r#"metrics_gateway_plugin_call_duration_seconds_sum{hook="window",plugin="ewma"} 0.5"#,
        r#"metrics_gateway_plugin_call_duration_seconds_count{hook="window",plugin="ewma"} 2"#,
        r#"metrics_gateway_plugin_calls_total{hook="window",outcome="cpu",plugin="ewma",tenant="payments"} 1"#,
        r#"metrics_gateway_plugin_calls_total{hook="window",outcome="ok",plugin="ewma",tenant="payments"} 2"#,
        r#"metrics_gateway_plugin_cpu_seconds_total{hook="window",plugin="ewma",tenant="payments"} 0.25"#,
        r#"metrics_gateway_plugin_log_lines_dropped_total{plugin="ewma"} 7"#,
        r#"metrics_gateway_plugin_memory_bytes{plugin="ewma"} 65536"#,
    ];
    assert_eq!(told(&metrics), expected);
}

#[test]
fn nothing_is_told_of_a_binding_that_is_gone() {
    let metrics = metrics();
    let account = Account::new(&metrics.plugins, labels());
    account.count("trap");
    account.charge(Duration::ZERO, Duration::ZERO, 1);
    assert!(!told(&metrics).is_empty());
    drop(account);
    assert_eq!(told(&metrics), Vec::<String>::new());
}

#[test]
fn of_two_tenants_with_one_plugin_only_the_one_that_is_gone_is_told_of_no_more() {
    let metrics = metrics();
    let stays = Account::new(&metrics.plugins, labels());
    let goes = Account::new(&metrics.plugins, Labels { tenant: "shop".into(), ..labels() });
    stays.count("ok");
    goes.count("ok");
    stays.charge(Duration::ZERO, Duration::ZERO, 1);
    drop(goes);
    let told = told(&metrics);
    assert!(!told.iter().any(|line| line.contains("shop")), "{told:#?}");
    let figures = ["calls_total", "memory_bytes", "call_duration_seconds_count"];
    assert!(figures.iter().all(|figure| told.iter().any(|line| line.contains(figure))), "{told:#?}");
}
