use super::*;
use crate::api::wire::json;

fn json_of(status: &Status) -> String {
    let mut out = Vec::new();
    json::write(&mut out, status);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_refusal_says_what_it_is_about_in_its_details() {
    let about = auth::Details { name: "web-0".to_owned(), group: GROUP.to_owned(), kind: "pods".to_owned() };
    assert_eq!(
        json_of(&Status::forbidden("they may not".to_owned(), &about)),
        r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"they may not","reason":"Forbidden","details":{"name":"web-0","group":"metrics.k8s.io","kind":"pods"},"code":403}"#
    );
    let path = json_of(&Status::forbidden("nor may they".to_owned(), &auth::Details::default()));
    assert!(path.ends_with(r#""reason":"Forbidden","details":{},"code":403}"#), "{path}");
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
