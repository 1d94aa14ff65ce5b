//! Objects and lists: what is found, what is selected, what is refused.

use std::time::Duration;

use harness::api_server::ReviewFault;
use serde_json::json;

use crate::world::{B, World, names, shared, status_of};

/// Row 13 (and 12, the same without the slash).
#[tokio::test]
async fn a_slash_at_the_end_of_a_list_does_not_count() {
    for path in [format!("{B}/nodes"), format!("{B}/nodes/")] {
        let answer = shared().ask(&path, &[]).await;
        let list = answer.json();
        assert_eq!((answer.status.as_u16(), &list["kind"]), (200, &json!("NodeMetricsList")), "{path}");
        assert_eq!(names(&list), ["node0", "node1", "node2"], "{path}");
    }
}

/// Row 14.
#[tokio::test]
async fn a_node_has_usage_and_a_window_as_go_writes_durations() {
    let answer = shared().ask(&format!("{B}/nodes/node0"), &[]).await;
    let node = answer.json();
    assert_eq!((answer.status.as_u16(), &node["kind"]), (200, &json!("NodeMetrics")));
    assert_eq!(node["metadata"]["labels"]["zone"], "z0");
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_else(|| panic!("no text in {node}")).to_owned();
    let (cpu, memory, window) = (text(&node["usage"]["cpu"]), text(&node["usage"]["memory"]), text(&node["window"]));
    let quantity = |text: &str, suffixes: &[&str]| {
        suffixes.iter().any(|suffix| text.strip_suffix(suffix).is_some_and(|digits| digits.parse::<u64>().is_ok()))
    };
    assert!(quantity(&cpu, &["n", "u", "m", ""]), "{cpu}");
    assert!(quantity(&memory, &["Ki", "Mi", "Gi", ""]), "{memory}");
    assert!(window.strip_suffix('s').is_some_and(|seconds| seconds.parse::<f64>().is_ok()), "{window}");
}

/// Row 16.
#[tokio::test]
async fn a_namespace_lists_its_pods() {
    let answer = shared().ask(&format!("{B}/namespaces/default/pods"), &[]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(names(&answer.json()), ["web-0", "web-2", "web-4"]);
}

/// Row 17.
#[tokio::test]
async fn a_pod_has_its_containers() {
    let answer = shared().ask(&format!("{B}/namespaces/default/pods/web-0"), &[]).await;
    let pod = answer.json();
    assert_eq!((answer.status.as_u16(), &pod["kind"]), (200, &json!("PodMetrics")));
    let containers: Vec<_> = pod["containers"].as_array().into_iter().flatten().map(|one| &one["name"]).collect();
    assert_eq!(containers, ["app", "side"]);
}

/// Row 19.
#[tokio::test]
async fn a_node_that_does_not_exist_is_not_found_by_name() {
    let answer = shared().ask(&format!("{B}/nodes/nosuch"), &[]).await;
    assert_eq!(status_of(&answer, 404, "NotFound"), r#"node "nosuch" not found"#);
    assert_eq!(answer.json()["details"]["name"], "nosuch");
}

/// Row 20.
#[tokio::test]
async fn a_pod_that_does_not_exist_is_not_found_by_name() {
    let answer = shared().ask(&format!("{B}/namespaces/default/pods/nosuch"), &[]).await;
    assert_eq!(status_of(&answer, 404, "NotFound"), r#"pods "nosuch" not found"#);
}

/// Row 23.
#[tokio::test]
async fn metrics_can_only_be_read() {
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let answer = shared().send(method, &format!("{B}/nodes")).await;
        let message = status_of(&answer, 405, "MethodNotAllowed");
        assert_eq!(message, "the server does not allow this method on the requested resource", "{method}");
    }
    assert_eq!(shared().send("HEAD", &format!("{B}/nodes")).await.status, 405);
}

/// Row 25.
#[tokio::test]
async fn watch_is_read_as_a_truth_value() {
    for no in ["0", "FALSE"] {
        assert_eq!(shared().ask(&format!("{B}/nodes?watch={no}"), &[]).await.status, 200, "{no}");
    }
    let answer = shared().ask(&format!("{B}/nodes?watch"), &[]).await;
    let message = status_of(&answer, 405, "MethodNotAllowed");
    assert_eq!(message, r#"watch is not supported on resources of kind "nodes.metrics.k8s.io""#);
}

/// Row 26.
#[tokio::test]
async fn a_broken_selector_is_told_before_the_watch() {
    status_of(&shared().ask(&format!("{B}/nodes?watch=true&labelSelector=,"), &[]).await, 400, "BadRequest");
}

/// Row 28.
#[tokio::test]
async fn requirements_of_a_label_selector_all_count() {
    let selector = "zone+notin+(z0),kubernetes.io/hostname";
    let answer = shared().ask(&format!("{B}/nodes?labelSelector={selector}"), &[]).await;
    assert_eq!((answer.status.as_u16(), names(&answer.json())), (200, vec!["node1"]));
}

/// Row 29.
#[tokio::test]
async fn a_selector_that_cannot_be_read_is_told_in_the_words_of_the_parser() {
    let answer = shared().ask(&format!("{B}/nodes?labelSelector=%3D%3D"), &[]).await;
    let message = status_of(&answer, 400, "BadRequest");
    assert!(message.contains("found '==', expected: !, identifier, or 'end of string'"), "{message}");
}

/// Row 31.
#[tokio::test]
async fn a_field_selector_picks_by_name() {
    let answer = shared().ask(&format!("{B}/nodes?fieldSelector=metadata.name%3Dnode1"), &[]).await;
    assert_eq!((answer.status.as_u16(), names(&answer.json())), (200, vec!["node1"]));
}

/// Row 32.
#[tokio::test]
async fn a_field_that_cannot_be_selected_is_named_with_those_that_can() {
    let answer = shared().ask(&format!("{B}/nodes?fieldSelector=spec.foo%3Dx"), &[]).await;
    let expected = r#""spec.foo" is not a known field selector: only "metadata.name", "metadata.namespace""#;
    assert_eq!(status_of(&answer, 400, "BadRequest"), expected);
}

/// Row 34.
#[tokio::test]
async fn a_limit_that_is_no_number_is_told_in_go_s_words() {
    let answer = shared().ask(&format!("{B}/nodes?limit=abc"), &[]).await;
    let message = status_of(&answer, 400, "BadRequest");
    assert!(message.contains(r#"strconv.ParseInt: parsing "abc": invalid syntax"#), "{message}");
}

/// Row 35.
#[tokio::test]
async fn options_that_contradict_themselves_are_invalid() {
    for option in ["resourceVersionMatch=Exact", "sendInitialEvents=true"] {
        let answer = shared().ask(&format!("{B}/nodes?{option}"), &[]).await;
        let message = status_of(&answer, 422, "Invalid");
        assert!(message.starts_with(r#"ListOptions.meta.k8s.io "" is invalid: "#), "{message}");
    }
}

/// Row 37; ours: a Status like any other, with kind and type.
#[tokio::test]
async fn a_request_that_outlasts_its_timeout_is_answered_504() {
    let world = World::bare(&[]).await;
    world.api.access().set_fault(ReviewFault { delay: Duration::from_secs(3), ..ReviewFault::default() });
    let answer = world.ask_for("slow", &format!("{B}/nodes?timeout=1s"), &[]).await;
    let message = status_of(&answer, 504, "Timeout");
    assert_eq!(message, "Timeout: request did not complete within the allotted timeout");
}

/// Row 91; ours: what cannot be read is refused, where it would otherwise select everything.
#[tokio::test]
async fn a_query_that_cannot_be_read_is_refused() {
    for query in ["labelSelector=a;b", "labelSelector=%zz"] {
        status_of(&shared().ask(&format!("{B}/nodes?{query}"), &[]).await, 400, "BadRequest");
    }
}
