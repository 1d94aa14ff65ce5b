use super::*;
use crate::auth::ResourceAttributes;

fn json_of(status: &Status) -> String {
    String::from_utf8(status.to_json()).unwrap()
}

fn wanted(verb: &'static str, namespace: &str, name: &str, subresource: &str) -> Attributes {
    let resource = ResourceAttributes {
        group: GROUP.to_owned(),
        version: "v1beta1".to_owned(),
        namespace: namespace.to_owned(),
        resource: if namespace.is_empty() { "nodes" } else { "pods" }.to_owned(),
        subresource: subresource.to_owned(),
        name: name.to_owned(),
        ..ResourceAttributes::default()
    };
    Attributes { verb, path: String::new(), resource: Some(resource) }
}

#[test]
fn a_refusal_names_who_what_and_where() {
    let cases = [
        (
            wanted("list", "", "", ""),
            "",
            r#"nodes.metrics.k8s.io is forbidden: User "zed" cannot list resource "nodes" in API group "metrics.k8s.io" at the cluster scope"#,
        ),
        (
            wanted("get", "default", "web-0", ""),
            "custom reason",
            r#"pods.metrics.k8s.io "web-0" is forbidden: User "zed" cannot get resource "pods" in API group "metrics.k8s.io" in the namespace "default": custom reason"#,
        ),
        (
            wanted("get", "default", "web-0", "log"),
            "",
            r#"pods.metrics.k8s.io "web-0" is forbidden: User "zed" cannot get resource "pods/log" in API group "metrics.k8s.io" in the namespace "default""#,
        ),
        (
            Attributes { verb: "get", path: "/metrics".to_owned(), resource: None },
            "",
            r#"forbidden: User "zed" cannot get path "/metrics""#,
        ),
    ];
    for (attributes, reason, expected) in cases {
        assert_eq!(Status::forbidden(&attributes, "zed", reason).message(), expected);
    }
}

#[test]
fn a_refusal_says_what_it_is_about_in_its_details() {
    assert_eq!(
        json_of(&Status::forbidden(&wanted("get", "default", "web-0", ""), "zed", "")),
        r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"pods.metrics.k8s.io \"web-0\" is forbidden: User \"zed\" cannot get resource \"pods\" in API group \"metrics.k8s.io\" in the namespace \"default\"","reason":"Forbidden","details":{"name":"web-0","group":"metrics.k8s.io","kind":"pods"},"code":403}"#
    );
    let path = Attributes { verb: "get", path: "/metrics".to_owned(), resource: None };
    assert!(
        json_of(&Status::forbidden(&path, "zed", "")).ends_with(r#""reason":"Forbidden","details":{},"code":403}"#)
    );
}

#[test]
fn a_refusal_escapes_what_the_caller_chose_but_not_the_servers_reason() {
    let path = Attributes { verb: "get", path: "/<&>".to_owned(), resource: None };
    let refused = Status::forbidden(&path, "a\"b", "x<y");
    assert_eq!(refused.message(), r#"forbidden: User "a\"b" cannot get path "/&lt;&amp;&gt;": x<y"#);
    assert!(json_of(&refused).contains(r"/\u0026lt;\u0026amp;\u0026gt;"), "{}", json_of(&refused));
}

#[test]
fn every_status_has_the_body_that_clients_know() {
    let prefix = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"#;
    let pod = PodRef { namespace: "shop", name: "cart" };
    let cases = [
        (Status::unauthorized(), r#""Unauthorized","reason":"Unauthorized","code":401}"#),
        (
            Status::no_node_metrics("n"),
            r#""nodemetrics.metrics.k8s.io \"n\" not found","reason":"NotFound","details":{"name":"n","group":"metrics.k8s.io","kind":"nodemetrics"},"code":404}"#,
        ),
        (
            Status::no_pod_metrics(pod),
            r#""podmetrics.metrics.k8s.io \"shop/cart\" not found","reason":"NotFound","details":{"name":"shop/cart","group":"metrics.k8s.io","kind":"podmetrics"},"code":404}"#,
        ),
        (Status::form_not_acceptable("no"), r#""no","reason":"NotAcceptable","code":406}"#),
        (
            Status::internal("a & b"),
            r#""Internal error occurred: a \u0026 b","reason":"InternalError","details":{"causes":[{"message":"a \u0026 b"}]},"code":500}"#,
        ),
        (Status::shutting_down(), r#""apiserver is shutting down","reason":"ServiceUnavailable","code":503}"#),
        (
            Status::timeout(),
            r#""Timeout: request did not complete within the allotted timeout","reason":"Timeout","details":{},"code":504}"#,
        ),
    ];
    for (status, rest) in cases {
        assert_eq!(json_of(&status), format!("{prefix}{rest}"));
    }
}

#[test]
fn only_what_may_pass_is_to_be_tried_again() {
    assert_eq!(Status::unavailable("later").retry_after(), Some(1));
    assert_eq!(Status::timeout().retry_after(), None);
    assert_eq!(Status::path_not_found().retry_after(), None);
}

#[test]
fn quotes_are_gos() {
    assert_eq!(quote("a'b\"c\\\n\u{1}\u{85}ü"), r#""a'b\"c\\\n\x01\u0085ü""#);
}
