//! What there is: legacy and aggregated discovery, OpenAPI.

use serde_json::{Value, json};

use crate::world::{B, shared, status_of};

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// Row 1.
#[tokio::test]
async fn the_availability_probe_is_answered_without_a_review() {
    let world = shared();
    let answer = world.ask_for("system:kube-aggregator", B, &[("x-remote-group", "system:masters")]).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["kind"]), (200, &json!("APIResourceList")));
    assert_eq!(world.reviews_of("system:kube-aggregator"), []);
}

/// Row 2.
#[tokio::test]
async fn the_root_lists_paths() {
    let answer = shared().ask("/", &[]).await;
    assert_eq!(answer.status, 200);
    let paths = answer.json()["paths"].clone();
    for path in [B, "/openapi/v2", "/readyz", "/version"] {
        assert!(paths.as_array().is_some_and(|paths| paths.contains(&path.into())), "{path} is not in {paths}");
    }
}

/// Row 4.
#[tokio::test]
async fn there_is_one_group() {
    let answer = shared().ask("/apis", &[]).await;
    let list = answer.json();
    assert_eq!((answer.status.as_u16(), &list["kind"]), (200, &json!("APIGroupList")));
    assert_eq!(list["groups"].as_array().map(Vec::len), Some(1), "{list}");
    assert_eq!(list["groups"][0]["name"], "metrics.k8s.io");
}

/// Row 5; ours: `v1` beside `v1beta1`, and preferred.
#[tokio::test]
async fn the_group_names_its_versions() {
    let answer = shared().ask("/apis/metrics.k8s.io/", &[]).await;
    let group = answer.json();
    assert_eq!((answer.status.as_u16(), &group["kind"]), (200, &json!("APIGroup")));
    let versions: Vec<&Value> =
        group["versions"].as_array().into_iter().flatten().map(|version| &version["version"]).collect();
    assert_eq!(versions, ["v1", "v1beta1"]);
    assert_eq!(group["preferredVersion"]["version"], "v1");
}

/// Row 7.
#[tokio::test]
async fn aggregated_discovery_tells_all_at_once() {
    let answer = shared().ask("/apis", &[("accept", AGGREGATED)]).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, Some(AGGREGATED)));
    assert!(answer.header("vary").is_some_and(|vary| vary.contains("Accept")), "{:?}", answer.headers);
    assert_eq!(answer.header("cache-control"), Some("public"));
    let tag = answer.header("etag").expect("a tag").trim_matches('"');
    assert!(tag.len() == 128 && tag.bytes().all(|byte| b"0123456789ABCDEF".contains(&byte)), "{tag} is no SHA-512");
    let list = answer.json();
    assert_eq!(
        (&list["kind"], &list["apiVersion"]),
        (&json!("APIGroupDiscoveryList"), &json!("apidiscovery.k8s.io/v2"))
    );
    let group = &list["items"][0];
    assert_eq!(group["metadata"]["name"], "metrics.k8s.io");
    for version in group["versions"].as_array().expect("versions") {
        assert_eq!(version["freshness"], "Current");
        let seen: Vec<[&Value; 3]> = version["resources"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|resource| [&resource["resource"], &resource["responseKind"]["kind"], &resource["scope"]])
            .collect();
        assert_eq!(seen, [["nodes", "NodeMetrics", "Cluster"], ["pods", "PodMetrics", "Namespaced"]], "{version}");
    }
}

/// Row 8.
#[tokio::test]
async fn aggregated_discovery_that_is_known_is_not_sent_again() {
    let world = shared();
    let first = world.ask("/apis", &[("accept", AGGREGATED)]).await;
    let tag = first.header("etag").expect("a tag").to_owned();
    let second = world.ask("/apis", &[("accept", AGGREGATED), ("if-none-match", &tag)]).await;
    assert_eq!((second.status.as_u16(), second.body.len()), (304, 0));
}

/// Row 10.
#[tokio::test]
async fn aggregated_discovery_ignores_a_profile() {
    let answer = shared().ask("/apis", &[("accept", &format!("{AGGREGATED};profile=nopeer"))]).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, Some(AGGREGATED)));
}

/// Row 11.
#[tokio::test]
async fn a_version_has_no_aggregated_form() {
    let answer = shared().ask(B, &[("accept", AGGREGATED)]).await;
    status_of(&answer, 406, "NotAcceptable");
}

/// Row 22; ours: `v1` is served, so that `v2` is the one that is not.
#[tokio::test]
async fn a_version_that_is_not_served_is_not_found() {
    let answer = shared().ask("/apis/metrics.k8s.io/v2", &[]).await;
    assert_eq!(status_of(&answer, 404, "NotFound"), "the server could not find the requested resource");
}

/// Row 79.
#[tokio::test]
async fn the_aggregator_fetches_openapi_without_naming_a_group() {
    let world = shared();
    let answer = world.ask_for("system:aggregator", "/openapi/v2", &[]).await;
    let groups: Vec<Vec<String>> =
        world.reviews_of("system:aggregator").into_iter().map(|review| review.user.groups).collect();
    assert_eq!(groups, [["system:authenticated"]]);
    let document = answer.json();
    assert_eq!((answer.status.as_u16(), &document["swagger"]), (200, &json!("2.0")));
    assert!(document["paths"][&format!("{B}/nodes")].is_object(), "{:?}", document["paths"]);
}

/// Row 80.
#[tokio::test]
async fn an_openapi_document_with_its_hash_may_be_kept_for_ever() {
    let world = shared();
    let index = world.ask("/openapi/v3", &[]).await.json();
    let url = index["paths"]["apis/metrics.k8s.io/v1beta1"]["serverRelativeURL"].as_str();
    let url = url.unwrap_or_else(|| panic!("no document of v1beta1: {index}"));
    let answer = world.ask(url, &[]).await;
    assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (200, Some("public, immutable")));
    assert!(answer.json()["components"]["schemas"].is_object());
}
