use super::*;

fn text(body: Vec<u8>) -> String {
    String::from_utf8(body).unwrap()
}

fn json_of(document: &impl Document) -> String {
    let mut out = Vec::new();
    json::write(&mut out, document);
    text(out)
}

#[test]
fn the_group_has_both_versions_and_prefers_the_stable_one() {
    let versions = r#""name":"metrics.k8s.io","versions":[{"groupVersion":"metrics.k8s.io/v1","version":"v1"},{"groupVersion":"metrics.k8s.io/v1beta1","version":"v1beta1"}],"preferredVersion":{"groupVersion":"metrics.k8s.io/v1","version":"v1"}"#;
    assert_eq!(json_of(&ApiGroup), format!(r#"{{"kind":"APIGroup","apiVersion":"v1",{versions}}}"#));
    assert_eq!(
        json_of(&ApiGroupList),
        format!(
            r#"{{"kind":"APIGroupList","groups":[{{{versions},"serverAddressByClientCIDRs":[{{"clientCIDR":"0.0.0.0/0","serverAddress":":443"}}]}}]}}"#
        )
    );
}

#[test]
fn the_stable_version_has_the_same_resources() {
    let beta = json_of(&ApiResourceList(ApiVersion::V1Beta1));
    assert_eq!(json_of(&ApiResourceList(ApiVersion::V1)), beta.replace("k8s.io/v1beta1", "k8s.io/v1"));
}

#[test]
fn all_of_discovery_in_one_document_is_what_the_api_server_reads() {
    let resources = r#""resources":[{"resource":"nodes","responseKind":{"group":"","version":"","kind":"NodeMetrics"},"scope":"Cluster","singularResource":"","verbs":["get","list"]},{"resource":"pods","responseKind":{"group":"","version":"","kind":"PodMetrics"},"scope":"Namespaced","singularResource":"","verbs":["get","list"]}],"freshness":"Current""#;
    let expected = |version: &str| {
        format!(
            r#"{{"kind":"APIGroupDiscoveryList","apiVersion":"apidiscovery.k8s.io/{version}","metadata":{{}},"items":[{{"metadata":{{"name":"metrics.k8s.io"}},"versions":[{{"version":"v1",{resources}}},{{"version":"v1beta1",{resources}}}]}}]}}"#
        )
    };
    assert_eq!(json_of(&ApiGroupDiscoveryList(DiscoveryVersion::V2)), expected("v2"));
    assert_eq!(json_of(&ApiGroupDiscoveryList(DiscoveryVersion::V2Beta1)), expected("v2beta1"));
}

#[test]
fn the_index_is_sorted_and_for_people() {
    assert_eq!(text(index(["/version", "/apis"])), "{\n  \"paths\": [\n    \"/apis\",\n    \"/version\"\n  ]\n}");
}

#[test]
fn the_version_has_the_keys_that_clients_read() {
    let info = VersionInfo {
        major: "0",
        minor: "1",
        git_version: "v0.1.0",
        git_commit: "",
        git_tree_state: "clean",
        build_date: "1970-01-01T00:00:00Z",
        go_version: "rust1.95",
        compiler: "rustc",
        platform: "linux/amd64",
    };
    assert!(
        text(info.to_json())
            .starts_with("{\n  \"major\": \"0\",\n  \"minor\": \"1\",\n  \"gitVersion\": \"v0.1.0\",\n")
    );
}
