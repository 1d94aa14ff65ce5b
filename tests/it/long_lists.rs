//! Lists that are too long to be sent in one piece are whole in every form.

use std::io::Read as _;

use anyhow::ensure;
use flate2::read::GzDecoder;
use harness::client::Answer;
use harness::eventually::eventually;
use harness::fleet::{Fleet, FleetSpec};
use serde_json::Value;

use crate::conformance::protobuf::{all, one, open};
use crate::world::{B, PATIENCE, World, names};

const PODS: usize = 1200;
/// Beyond this a list is sent in pieces, and compressed for those who take it.
const LONG: usize = 128 * 1024;

/// A cluster whose list of all pods is long in every form.
async fn crowded() -> (World, Fleet) {
    let world = World::bare(&[]).await;
    let spec = FleetSpec {
        nodes: 3,
        pods_per_node: PODS / 3,
        namespaces: ["shop", "staging", "tools"].map(str::to_owned).to_vec(),
        ..FleetSpec::default()
    };
    let fleet = Fleet::start(spec, world.api.certs()).await;
    world.api.add_fleet(&fleet);
    let counted = eventually("usage of every pod", PATIENCE, async || {
        let served = world.ask(&format!("{B}/pods"), &[]).await.json()["items"].as_array().map_or(0, Vec::len);
        ensure!(served == PODS, "{served} pods have usage");
        Ok(())
    });
    counted.await.unwrap_or_else(|error| panic!("{error:#}; the log is:\n{}", world.gateway.log()));
    (world, fleet)
}

async fn list(world: &World, query: &str, accept: &str, encoding: &str) -> Answer {
    let answer = world.ask(&format!("{B}/pods{query}"), &[("accept", accept), ("accept-encoding", encoding)]).await;
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    answer
}

fn inflated(answer: &Answer) -> Vec<u8> {
    assert_eq!((answer.header("content-encoding"), answer.header("vary")), (Some("gzip"), Some("Accept-Encoding")));
    let mut plain = Vec::new();
    GzDecoder::new(&*answer.body).read_to_end(&mut plain).expect("it is gzip");
    plain
}

/// Namespaces and names of a list in protobuf, in its order.
fn names_in_protobuf(body: &[u8]) -> Vec<String> {
    let (version, kind, message) = open(body);
    assert_eq!((version, kind), ("metrics.k8s.io/v1beta1", "PodMetricsList"));
    let metadata = all(message, 2).into_iter().map(|item| one(item.bytes(), 1).bytes());
    metadata.map(|metadata| format!("{}/{}", one(metadata, 3).text(), one(metadata, 1).text())).collect()
}

fn names_in_json(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().expect("items").iter();
    items
        .map(|item| {
            format!(
                "{}/{}",
                item["metadata"]["namespace"].as_str().unwrap_or_default(),
                item["metadata"]["name"].as_str().unwrap_or_default()
            )
        })
        .collect()
}

#[tokio::test]
async fn a_long_list_holds_every_pod_once_in_every_form() {
    let (world, _fleet) = crowded().await;
    let json = list(&world, "", "application/json", "identity").await;
    assert!(json.body.len() > LONG, "{} bytes are not long", json.body.len());
    let expected = names_in_json(&json.json());
    assert_eq!(expected.len(), PODS);
    assert!(expected.is_sorted_by(|a, b| a < b));

    let pretty = list(&world, "?pretty=true", "application/json", "identity").await;
    assert!(pretty.text().starts_with("{\n  \"kind\": \"PodMetricsList\",\n") && pretty.text().ends_with("\n  ]\n}"));
    assert_eq!(names_in_json(&pretty.json()), expected);

    let protobuf = list(&world, "", "application/vnd.kubernetes.protobuf, */*", "identity").await;
    assert!(protobuf.body.len() > LONG, "{} bytes are not long", protobuf.body.len());
    assert_eq!(names_in_protobuf(&protobuf.body), expected);
    let compressed = list(&world, "", "application/vnd.kubernetes.protobuf, */*", "gzip").await;
    assert_eq!(names_in_protobuf(&inflated(&compressed)), expected);
    assert!(compressed.body.len() < protobuf.body.len() / 4, "{} bytes", compressed.body.len());

    let yaml = list(&world, "", "application/yaml", "identity").await;
    let of_list = |line: &&str| line.starts_with(|first: char| first.is_ascii_alphabetic());
    let outline: Vec<&str> = yaml.text().lines().filter(of_list).collect();
    assert_eq!(outline, ["apiVersion: metrics.k8s.io/v1beta1", "items:", "kind: PodMetricsList", "metadata: {}"]);
    assert_eq!(yaml.text().lines().filter(|line| line.starts_with("- ")).count(), PODS);

    let cbor = list(&world, "", "application/cbor", "identity").await;
    // The tag, and a map of four members; the end of a list that did not say how long it is.
    assert!(cbor.body.starts_with(&[0xd9, 0xd9, 0xf7, 0xa4]) && cbor.body.ends_with(&[0xff]), "{:?}", &cbor.body[..9]);
    let selected = list(&world, "?limit=1", "application/json", "identity").await;
    assert_eq!(names(&selected.json()).len(), PODS, "pages are not cut");
}

#[tokio::test]
async fn the_servers_own_figures_are_compressed_for_who_takes_it() {
    let world = World::bare(&[]).await;
    let plain = world.ask("/metrics", &[]).await;
    let compressed = world.ask("/metrics", &[("accept-encoding", "gzip")]).await;
    assert!(plain.text().contains("metrics_server_kubelet_request_total"), "{}", plain.text());
    let text = String::from_utf8(inflated(&compressed)).expect("figures are text");
    assert!(text.contains("metrics_server_kubelet_request_total"), "{text}");
    // A document of OpenAPI is asked for every minute.
    let document = world.ask("/openapi/v2", &[("accept-encoding", "gzip")]).await;
    assert_eq!(document.header("content-encoding"), Some("gzip"));
}
