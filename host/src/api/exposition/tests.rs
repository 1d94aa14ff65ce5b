use std::time::Duration;

use super::*;
use crate::config::{ContainerOrder, FallingCounter, HistoryConfig, PodOnTwoNodes, TimestampOf};
use crate::model::units::{Bytes, CpuNanoseconds};
use crate::model::{Batch, ContainerSample, ContainerUsage, Labels, LeftOut, NodeName, Sample};
use crate::store::Rules;

/// The first reading, and the second 15.007 s later.
const TIMES: [u64; 2] = [1_795_212_469_422_000_000, 1_795_212_484_429_000_000];

fn store() -> Store {
    Store::new(Rules {
        history: HistoryConfig {
            hold: Duration::from_secs(45),
            falling_counter: FallingCounter::OmitPod,
            pod_on_two_nodes: PodOnTwoNodes::NewestStart,
            timestamp: TimestampOf::Cpu,
        },
        container_order: ContainerOrder::ByName,
        resolution: Duration::from_secs(15),
    })
}

fn sample(time: usize, nanocores: u64, memory: u64) -> Sample {
    let window = TIMES[1] - TIMES[0];
    let used = u128::from(nanocores) * u128::from(window) / 1_000_000_000 * (time as u128) + 7;
    let used = u64::try_from(used).expect("tests burn little");
    Sample {
        taken_at: UnixNanos(TIMES[time]),
        started_at: UnixNanos(1_795_000_000_000_000_000),
        cpu: CpuNanoseconds(used),
        memory: Bytes(memory),
    }
}

/// Puts both readings of one node with these containers, each `namespace/pod/container` with its rate and memory.
fn put(store: &Store, node: &str, containers: &[(&str, u64, u64)]) {
    for (time, now) in TIMES.into_iter().enumerate() {
        let containers = containers.iter().map(|(path, nanocores, memory)| {
            let mut names = path.splitn(3, '/').map(|name| name.to_owned().into());
            let mut next = || names.next().expect("three names");
            let (namespace, pod, container) = (next(), next(), next());
            ContainerSample { namespace, pod, container, sample: sample(time, *nanocores, *memory) }
        });
        let batch =
            Batch::new(Some(sample(time, 156_340_379, 1_602_637_824)), containers.collect(), LeftOut::default());
        store.put(&NodeName::new(node), &batch, UnixNanos(now), None);
    }
}

fn cluster(nodes: &[&str], pods: &[(&str, &str)]) -> Cluster {
    let cluster = Cluster::new();
    for name in nodes {
        cluster.put_node(Node {
            name: NodeName::new(*name),
            labels: Arc::default(),
            annotations: Labels::default(),
            provider_id: None,
            resource_metrics_path: None,
            addresses: Box::default(),
            kubelet_port: None,
            ready: true,
        });
    }
    for (namespace, name) in pods {
        cluster.put_pod(namespace, name, &Labels::default());
    }
    cluster
}

/// The whole text, written in pieces of `enough`.
fn text(cluster: Cluster, store: Store, format: Format, enough: usize) -> String {
    let mut exposition = Exposition::new(Arc::new(cluster), Arc::new(store), format);
    let mut whole = Vec::new();
    loop {
        let mut piece = Vec::new();
        let has_more = exposition.write(&mut piece, enough);
        whole.append(&mut piece);
        if !has_more {
            return String::from_utf8(whole).expect("names are UTF-8");
        }
    }
}

#[test]
fn a_small_cluster_is_written_to_the_letter() {
    let store = store();
    put(
        &store,
        "node1",
        &[("default/web-0/app", 250_000_000, 34_381_824), ("default/web-0/side", 1_000_000_000, 0x1000)],
    );
    let written = text(cluster(&["node1"], &[("default", "web-0")]), store, Format::OpenMetrics, usize::MAX);
    let expected = "\
# HELP metrics_gateway_node_cpu_usage_cores Cores that the node used, on average over the window, as served by the Metrics API
# TYPE metrics_gateway_node_cpu_usage_cores gauge
# UNIT metrics_gateway_node_cpu_usage_cores cores
metrics_gateway_node_cpu_usage_cores{node=\"node1\"} 0.156340378 1795212484.429
# HELP metrics_gateway_node_memory_working_set_bytes Working set of the node at the end of the window, as served by the Metrics API
# TYPE metrics_gateway_node_memory_working_set_bytes gauge
# UNIT metrics_gateway_node_memory_working_set_bytes bytes
metrics_gateway_node_memory_working_set_bytes{node=\"node1\"} 1602637824 1795212484.429
# HELP metrics_gateway_node_usage_window_seconds The time that the usage of the node covers
# TYPE metrics_gateway_node_usage_window_seconds gauge
# UNIT metrics_gateway_node_usage_window_seconds seconds
metrics_gateway_node_usage_window_seconds{node=\"node1\"} 15.007 1795212484.429
# HELP metrics_gateway_container_cpu_usage_cores Cores that the container used, on average over the window of its pod, as served by the Metrics API
# TYPE metrics_gateway_container_cpu_usage_cores gauge
# UNIT metrics_gateway_container_cpu_usage_cores cores
metrics_gateway_container_cpu_usage_cores{namespace=\"default\",pod=\"web-0\",container=\"app\"} 0.25 1795212484.429
metrics_gateway_container_cpu_usage_cores{namespace=\"default\",pod=\"web-0\",container=\"side\"} 1 1795212484.429
# HELP metrics_gateway_container_memory_working_set_bytes Working set of the container at the end of the window of its pod, as served by the Metrics API
# TYPE metrics_gateway_container_memory_working_set_bytes gauge
# UNIT metrics_gateway_container_memory_working_set_bytes bytes
metrics_gateway_container_memory_working_set_bytes{namespace=\"default\",pod=\"web-0\",container=\"app\"} 34381824 1795212484.429
metrics_gateway_container_memory_working_set_bytes{namespace=\"default\",pod=\"web-0\",container=\"side\"} 4096 1795212484.429
# HELP metrics_gateway_pod_usage_window_seconds The time that the usage of the pod's containers covers
# TYPE metrics_gateway_pod_usage_window_seconds gauge
# UNIT metrics_gateway_pod_usage_window_seconds seconds
metrics_gateway_pod_usage_window_seconds{namespace=\"default\",pod=\"web-0\"} 15.007 1795212484.429
# EOF
";
    assert_eq!(written, expected);
}

#[test]
fn the_older_format_has_milliseconds_and_neither_units_nor_an_end() {
    let store = store();
    put(&store, "node1", &[("default/web-0/app", 250_000_000, 34_381_824)]);
    let written = text(cluster(&["node1"], &[("default", "web-0")]), store, Format::Classic, usize::MAX);
    assert!(!written.contains("# UNIT") && !written.contains("# EOF"), "{written}");
    let samples: Vec<&str> = written.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(samples.len(), 6, "{written}");
    assert!(samples.iter().all(|line| line.ends_with(" 1795212484429")), "{written}");
}

#[test]
fn what_the_metrics_api_would_not_list_is_left_out() {
    let store = store();
    put(&store, "node1", &[("default/web-0/app", 1, 1), ("default/gone/app", 1, 1), ("other/gone/app", 1, 1)]);
    put(&store, "removed", &[]);
    let cluster = cluster(&["new", "node1"], &[("default", "web-0"), ("default", "young"), ("empty", "young")]);
    let written = text(cluster, store, Format::Classic, usize::MAX);
    let samples = written.lines().filter(|line| !line.starts_with('#'));
    let subjects: Vec<&str> = samples.filter_map(|line| line.split(['{', '}']).nth(1)).collect();
    let container = r#"namespace="default",pod="web-0",container="app""#;
    let pod = r#"namespace="default",pod="web-0""#;
    let node = r#"node="node1""#;
    assert_eq!(subjects, [node, node, node, container, container, pod], "{written}");
}

#[test]
fn what_a_filter_withholds_has_no_line() {
    let exposition = Exposition::new(Arc::new(cluster(&[], &[])), Arc::new(store()), Format::Classic);
    let (taken_at, window) = (UnixNanos(TIMES[0]), WindowNanos(15_000_000_000));
    let containers = Box::new([
        ContainerUsage::new("app".into(), None, Some(Bytes(4096))),
        ContainerUsage::new("side".into(), Some(Nanocores(250_000_000)), None),
    ]);
    let usage = PodUsage { taken_at, window, containers };
    let written = |figure: Figure| {
        let mut out = Vec::new();
        let family = FAMILIES.iter().find(|family| family.subject != Subject::Node && family.figure == figure);
        exposition.write_pod(&mut out, family.unwrap(), "default", "web-0", &usage);
        String::from_utf8(out).unwrap().replace("metrics_gateway_", "")
    };
    let pod = r#"namespace="default",pod="web-0""#;
    let line = |name: &str, labels: &str, amount: &str| format!("{name}{{{pod}{labels}}} {amount} 1795212469422\n");
    assert_eq!(written(Figure::Cpu), line("container_cpu_usage_cores", ",container=\"side\"", "0.25"));
    assert_eq!(written(Figure::Memory), line("container_memory_working_set_bytes", ",container=\"app\"", "4096"));
    assert_eq!(written(Figure::Window), line("pod_usage_window_seconds", "", "15"));
}

#[test]
fn pieces_of_any_size_make_the_same_text() {
    let world = || {
        let store = store();
        let names: Vec<String> = (0..90).map(|pod| format!("team-{}/web-{pod:02}/app", pod % 3)).collect();
        let containers: Vec<(&str, u64, u64)> = names.iter().map(|name| (name.as_str(), 5, 5)).collect();
        put(&store, "node1", &containers);
        put(&store, "node2", &[]);
        let pods: Vec<(String, String)> =
            (0..90).map(|pod| (format!("team-{}", pod % 3), format!("web-{pod:02}"))).collect();
        let pods: Vec<(&str, &str)> = pods.iter().map(|(namespace, pod)| (namespace.as_str(), pod.as_str())).collect();
        (cluster(&["node1", "node2"], &pods), store)
    };
    let whole = {
        let (cluster, store) = world();
        text(cluster, store, Format::OpenMetrics, usize::MAX)
    };
    assert_eq!(whole.lines().filter(|line| !line.starts_with('#')).count(), 2 * 3 + 90 * 3);
    for enough in [1, 100, 1000, 10_000] {
        let (cluster, store) = world();
        assert_eq!(text(cluster, store, Format::OpenMetrics, enough), whole, "in pieces of {enough}");
    }
}

#[test]
fn no_digit_is_lost_and_none_is_added() {
    let cases = [
        (0, "0"),
        (1, "0.000000001"),
        (10, "0.00000001"),
        (999_999_999, "0.999999999"),
        (1_000_000_000, "1"),
        (1_500_000_000, "1.5"),
        (10_000_000_010, "10.00000001"),
        (u64::MAX, "18446744073.709551615"),
    ];
    for (billionths, expected) in cases {
        let mut out = b"100".to_vec();
        write_billionths(&mut out, billionths);
        assert_eq!(String::from_utf8_lossy(&out), format!("100{expected}"));
    }
}

#[test]
fn hostile_names_stay_inside_their_quotes() {
    let mut out = Vec::new();
    write_escaped(&mut out, "a\"} 1\n# EOF\n\\ü");
    assert_eq!(String::from_utf8_lossy(&out), r#"a\"} 1\n# EOF\n\\ü"#);
}

#[test]
fn the_format_is_the_one_that_is_asked_for() {
    let check = |accept: &str, expected: Format| assert_eq!(Format::of(accept.as_bytes()), expected, "{accept}");
    check("", Format::Classic);
    check("*/*", Format::Classic);
    check("application/json", Format::Classic);
    check("application/openmetrics-text", Format::OpenMetrics);
    check("application/openmetrics-text;q=0, */*", Format::Classic);
    check("application/openmetrics-text;q=0.5, text/plain", Format::Classic);
    check("application/openmetrics-text;q=much", Format::Classic);
    // Prometheus 2.42 and 3.
    let second = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    check(second, Format::OpenMetrics);
    let third = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
    check(third, Format::OpenMetrics);
}
