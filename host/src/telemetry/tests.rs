use super::*;

fn text_of(metrics: &Metrics) -> String {
    String::from_utf8(metrics.render()).expect("the text format is UTF-8")
}

fn families(metrics: &Metrics) -> Vec<String> {
    let name_of = |line: &str| Some(line.strip_prefix("# TYPE ")?.split(' ').next()?.to_owned());
    text_of(metrics).lines().filter_map(name_of).collect()
}

#[test]
fn exactly_upstreams_six_families_bear_upstreams_prefix() {
    let metrics = Metrics::new(Duration::from_secs(15));
    metrics.kubelet_request_duration.with_label_values(&["n"]).observe(0.1);
    metrics.kubelet_last_request.with_label_values(&["n"]).set(1.0);
    metrics.storage_points.with_label_values(&["node"]).set(1);
    let ours: Vec<_> = families(&metrics).into_iter().filter(|name| name.starts_with("metrics_server_")).collect();
    assert_eq!(
        ours,
        [
            "metrics_server_api_metric_freshness_seconds",
            "metrics_server_kubelet_last_request_time_seconds",
            "metrics_server_kubelet_request_duration_seconds",
            "metrics_server_kubelet_request_total",
            "metrics_server_manager_tick_duration_seconds",
            "metrics_server_storage_points",
        ]
    );
}

#[test]
fn every_other_family_is_the_gateways_or_the_process() {
    for name in families(&Metrics::new(Duration::from_secs(15))) {
        let known = ["metrics_server_", "metrics_gateway_", "process_"];
        assert!(known.iter().any(|prefix| name.starts_with(prefix)), "{name}");
    }
}

#[test]
fn tick_buckets_surround_the_resolution() {
    let tail = |seconds| tick_buckets(Duration::from_secs(seconds)).split_off(prometheus::DEFAULT_BUCKETS.len());
    assert_eq!(tail(15), [12.5, 15.0, 22.5, 30.0]);
    assert_eq!(tail(60), [35.0, 60.0, 90.0, 120.0]);
    assert!(tail(10).is_empty());
}

#[test]
fn a_node_that_is_gone_leaves_no_series() {
    let metrics = Metrics::new(Duration::from_secs(15));
    metrics.kubelet_request_duration.with_label_values(&["gone"]).observe(0.1);
    metrics.kubelet_last_request.with_label_values(&["gone"]).set(1.0);
    metrics.forget_node("gone");
    assert!(!text_of(&metrics).contains("gone"), "{}", text_of(&metrics));
}

#[test]
fn results_of_reloads_are_told_from_the_start_and_plugins_only_where_there_are_some() {
    let text = text_of(&Metrics::new(Duration::from_secs(15)));
    for result in ["applied", "refused", "unchanged"] {
        assert!(text.contains(&format!("metrics_gateway_generation_reloads_total{{result=\"{result}\"}} 0")), "{text}");
    }
    assert!(!text.contains("metrics_gateway_plugin_"), "{text}");
}
