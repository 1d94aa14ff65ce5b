//! Forms of answers: encodings, tables, metadata, layout, compression.

use serde_json::{Value, json};

use super::protobuf::{Value as Field, all, one, open};
use crate::world::{B, names, shared, status_of};

const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

/// Row 38.
#[tokio::test]
async fn yaml_has_its_keys_in_order() {
    let answer = shared().ask(&format!("{B}/nodes"), &[("accept", "application/yaml")]).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, Some("application/yaml")));
    let keys: Vec<&str> = answer
        .text()
        .lines()
        .filter(|line| line.starts_with(|first: char| first.is_ascii_alphabetic()))
        .filter_map(|line| line.split(':').next())
        .collect();
    assert_eq!(keys, ["apiVersion", "items", "kind", "metadata"], "{}", answer.text());
}

/// Row 40 (and 39, the list).
#[tokio::test]
async fn errors_come_in_protobuf_to_those_who_ask_for_it() {
    let list = shared().ask(&format!("{B}/nodes"), &[("accept", PROTOBUF)]).await;
    assert_eq!((list.status.as_u16(), list.header("content-type")), (200, Some(PROTOBUF)));
    let (version, kind, message) = open(&list.body);
    assert_eq!((version, kind), ("metrics.k8s.io/v1beta1", "NodeMetricsList"));
    let named: Vec<&str> =
        all(message, 2).into_iter().map(|item| one(one(item.bytes(), 1).bytes(), 1).text()).collect();
    assert_eq!(named, ["node0", "node1", "node2"]);

    let missing = shared().ask(&format!("{B}/nodes/nosuch"), &[("accept", PROTOBUF)]).await;
    assert_eq!((missing.status.as_u16(), missing.header("content-type")), (404, Some(PROTOBUF)));
    let (version, kind, status) = open(&missing.body);
    assert_eq!((version, kind), ("v1", "Status"));
    assert_eq!((one(status, 2).text(), one(status, 3).text()), ("Failure", r#"node "nosuch" not found"#));
    assert_eq!((one(status, 4).text(), one(status, 6)), ("NotFound", Field::Number(404)));
}

/// Row 41.
#[tokio::test]
async fn the_best_that_is_accepted_is_sent() {
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";
    let cases = [
        ("application/vnd.kubernetes.protobuf, */*", PROTOBUF),
        ("application/xml, */*;q=0.1", "application/json"),
        (browser, "application/json"),
    ];
    for (accept, expected) in cases {
        let answer = shared().ask(&format!("{B}/nodes"), &[("accept", accept)]).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, Some(expected)), "{accept}");
    }
}

/// Row 43.
#[tokio::test]
async fn weights_decide_between_types() {
    let answer = shared().ask(&format!("{B}/nodes"), &[("accept", "application/json;q=0.1,application/yaml")]).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, Some("application/yaml")));
}

/// Row 44.
#[tokio::test]
async fn a_table_has_a_row_for_each_node() {
    let answer = shared().ask(&format!("{B}/nodes"), &[("accept", TABLE)]).await;
    let table = answer.json();
    assert_eq!((answer.status.as_u16(), &table["kind"]), (200, &json!("Table")));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let columns: Vec<&Value> =
        table["columnDefinitions"].as_array().into_iter().flatten().map(|column| &column["name"]).collect();
    assert_eq!(columns, ["Name", "cpu", "memory", "Window"]);
    let rows = table["rows"].as_array().expect("rows");
    let first: Vec<&Value> = rows.iter().map(|row| &row["cells"][0]).collect();
    assert_eq!(first, ["node0", "node1", "node2"]);
    assert!(rows.iter().all(|row| row["object"]["kind"] == "PartialObjectMetadata"), "{table}");
}

/// Row 46.
#[tokio::test]
async fn rows_hold_as_much_of_the_object_as_is_asked_for() {
    let ask =
        async |include: &str| shared().ask(&format!("{B}/nodes?includeObject={include}"), &[("accept", TABLE)]).await;
    assert_eq!(ask("None").await.json()["rows"][0]["object"], Value::Null);
    assert_eq!(ask("Object").await.json()["rows"][0]["object"]["kind"], "NodeMetrics");
    let message = status_of(&ask("Bogus").await, 400, "BadRequest");
    let expected = "Unable to convert to Table as requested: includeObject: Invalid value: \"Bogus\": must be 'Metadata', \
                    'Object', 'None', or empty";
    assert_eq!(message, expected);
}

/// Row 47; ours: columns and an empty list of rows, where the reference has nulls.
#[tokio::test]
async fn an_empty_table_has_columns_and_no_rows() {
    let answer = shared().ask(&format!("{B}/namespaces/empty/pods"), &[("accept", TABLE)]).await;
    let table = answer.json();
    assert_eq!((answer.status.as_u16(), &table["rows"]), (200, &json!([])));
    assert_eq!(table["columnDefinitions"].as_array().map(Vec::len), Some(4), "{table}");
}

/// Row 49.
#[tokio::test]
async fn metadata_alone_is_to_be_asked_for_as_what_it_is() {
    let ask = async |kind: &str| {
        let accept = format!("application/json;as={kind};v=v1;g=meta.k8s.io");
        shared().ask(&format!("{B}/nodes"), &[("accept", &accept)]).await
    };
    let list = ask("PartialObjectMetadataList").await;
    assert_eq!((list.status.as_u16(), &list.json()["kind"]), (200, &json!("PartialObjectMetadataList")));
    assert_eq!(names(&list.json()), ["node0", "node1", "node2"]);
    assert_eq!(list.json()["items"][0]["usage"], Value::Null);
    let message = status_of(&ask("PartialObjectMetadata").await, 406, "NotAcceptable");
    let expected = "you requested PartialObjectMetadata, but the requested object is a list (*metrics.NodeMetricsList)";
    assert_eq!(message, expected);
}

/// Row 50.
#[tokio::test]
async fn people_get_indented_json() {
    let world = shared();
    let admin = world.admin();
    let ask = async |query: &str, agent: &str, accept: &str| {
        let headers = [("user-agent", agent), ("accept", accept)];
        let answer = world.client(Some(&admin)).get(&format!("{B}/nodes{query}"), &headers).await;
        answer.expect("an answer comes").text().starts_with("{\n  \"kind\"")
    };
    assert!(!ask("", "test/1", "application/json").await);
    assert!(ask("", "curl/8", "application/json").await);
    assert!(ask("?pretty=true", "test/1", "application/json").await);
    assert!(ask("", "test/1", "application/json;pretty=1").await);
    assert!(!ask("?pretty=false", "curl/8", "application/json").await);
}

/// Row 52.
#[tokio::test]
async fn small_answers_are_not_compressed() {
    let answer = shared().ask(&format!("{B}/nodes"), &[("accept-encoding", "gzip")]).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-encoding")), (200, None));
    assert_eq!(answer.header("content-length"), Some(&*answer.body.len().to_string()));
    assert_eq!(names(&answer.json()), ["node0", "node1", "node2"]);
}
