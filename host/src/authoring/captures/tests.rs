use std::time::Duration;

use super::*;
use crate::model::units::Nanocores;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/kubelet")).join(name)
}

/// A file with a text, gone when it is dropped.
struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("authoring-captures-{}-{name}", std::process::id()));
        std::fs::write(&path, text).expect("there is room for a file");
        Self(path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // What is left in a temporary directory harms nobody.
        let _ = std::fs::remove_file(&self.0);
    }
}

fn twins() -> ContainerName {
    ContainerName { namespace: "default".into(), pod: "twins".into(), name: "large".into() }
}

#[test]
fn captures_of_a_kubelet_become_series_and_last_twos_rates() {
    let captures =
        captures(&[fixture("resource-1.txt"), fixture("resource-2.txt"), fixture("resource-3.txt")]).unwrap();
    let mut series = Series::default();
    for capture in &captures {
        series.push(capture);
    }
    let [containers, node] = series.batches(&captures[2], "node1", Duration::from_secs(300));
    assert_eq!((containers.node.as_str(), node.series.len()), ("node1", 1));
    assert!(containers.series.iter().all(|history| history.samples.is_sorted_by(|a, b| a.taken_at < b.taken_at)));
    let large =
        containers.series.iter().find(|history| history.container == Some(twins())).expect("it is in all three");
    assert_eq!(large.samples.len(), 3);
    let usage = series.last_two(Some(&twins())).expect("three samples of one run");
    assert!((Nanocores(1_000_000)..Nanocores(1_000_000_000)).contains(&usage.cpu), "{usage:?}");
    assert!(series.last_two(None).is_some());
}

#[test]
fn text_and_summary_are_told_apart_by_what_they_are() {
    let both = captures(&[fixture("resource-1.txt"), fixture("summary-1.json")]).unwrap();
    let names = |capture: &Capture| capture.containers.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&both[0]), names(&both[1]));
    assert!(both.iter().all(|capture| capture.node.is_some()));
}

#[test]
fn what_is_no_answer_of_a_kubelet_is_named() {
    let text = Temporary::new("no-answer.txt", "<html>\nnot found\n");
    let error = captures(std::slice::from_ref(&text.0)).expect_err("it is none");
    assert!(format!("{error:#}").contains("no-answer.txt is no answer of a kubelet: there is no sample"), "{error:#}");
}

#[test]
fn pods_are_asked_about_in_order_and_bear_their_labels() {
    let list = r#"{"kind":"List","items":[
        {"kind":"Pod","metadata":{"namespace":"default","name":"twins","labels":{"app":"twins"}}},
        {"kind":"Pod","metadata":{"namespace":"default","name":"other"}}]}"#;
    let file = Temporary::new("pods.json", list);
    let labels = pod_labels(&file.0).unwrap();
    let captures = captures(&[fixture("resource-1.txt")]).unwrap();
    let pods = pods(&captures[0], "node1", &labels);
    assert!(pods.is_sorted_by(|a, b| (&a.namespace, &a.name) < (&b.namespace, &b.name)), "{pods:?}");
    let twins = pods.iter().find(|pod| pod.name == "twins").expect("it is captured");
    assert_eq!(
        (twins.containers.as_slice(), twins.labels.get("app")),
        (["large".to_owned(), "small".to_owned()].as_slice(), Some("twins"))
    );
}

#[test]
fn a_node_object_is_read_as_the_gateway_reads_it() {
    let object = r#"{"kind":"Node","metadata":{"name":"n1","labels":{"pool":"edge"},
        "annotations":{"metrics.k8s.io/resource-metrics-path":"/m","long":"LONG"}},
        "spec":{"providerID":"aws:///i-0"},
        "status":{"addresses":[{"type":"InternalIP","address":"10.0.0.7"}],
        "conditions":[{"type":"Ready","status":"True"}],"daemonEndpoints":{"kubeletEndpoint":{"Port":10250}}}}"#;
    let file = Temporary::new("node.json", &object.replace("LONG", &"x".repeat(5_000)));
    let nodes = nodes(&file.0).unwrap();
    let [node] = nodes.as_slice() else { panic!("{nodes:?}") };
    assert_eq!((node.name.as_str(), node.kubelet_port, node.ready), ("n1", Some(10250), true));
    assert_eq!((node.provider_id.as_deref(), node.resource_metrics_path.as_deref()), (Some("aws:///i-0"), Some("/m")));
    assert_eq!((node.annotations.iter().len(), node.labels.get("pool")), (1, Some("edge")));
    assert_eq!(&*node.addresses[0].address, "10.0.0.7");
    let pod = Temporary::new("pod.json", r#"{"kind":"Pod","metadata":{"name":"p"}}"#);
    let error = super::nodes(&pod.0).expect_err("it is no node");
    assert!(error.to_string().ends_with("holds an object of the kind \"Pod\", not Node"), "{error}");
}
