use proptest::prelude::*;

use super::*;

fn options(query: &str) -> Result<ListOptions, Status> {
    list_options(&Query::parse(query))
}

#[track_caller]
fn check_refused(query: &str, code: u16, message: &str) {
    let status = options(query).expect_err(query);
    assert_eq!((status.code().as_u16(), status.message()), (code, message), "of {query}");
}

#[test]
fn values_are_decoded_as_those_of_a_form() {
    let query = Query::parse("labelSelector=app%3Dweb%2Ctier+in+%28a%2Cb%29&&x&y=1&y=2&Y=3");
    assert_eq!(query.first("labelSelector"), Some("app=web,tier in (a,b)"));
    assert_eq!(query.first("x"), Some(""));
    assert_eq!(query.all("y").collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(query.first("z"), None);
}

#[test]
fn a_pair_that_cannot_be_decoded_is_refused_not_ignored() {
    check_refused("labelSelector=a;b", 400, "invalid query in the request URL - invalid semicolon separator in query");
    check_refused("labelSelector=%zz", 400, "invalid query in the request URL - invalid URL escape \"%zz\"");
    check_refused("a=b&x=%f", 400, "invalid query in the request URL - invalid URL escape \"%f\"");
    check_refused("x=%ff", 400, "invalid query in the request URL - not UTF-8: \"%ff\"");
}

#[test]
fn faults_are_told_in_upstreams_order() {
    check_refused("limit=abc", 400, "strconv.ParseInt: parsing \"abc\": invalid syntax");
    check_refused("limit=", 400, "strconv.ParseInt: parsing \"\": invalid syntax");
    check_refused(
        "limit=99999999999999999999",
        400,
        "strconv.ParseInt: parsing \"99999999999999999999\": value out of range",
    );
    check_refused("timeoutSeconds=1.5&limit=x", 400, "strconv.ParseInt: parsing \"1.5\": invalid syntax");
    check_refused("limit=x&labelSelector=,", 400, "strconv.ParseInt: parsing \"x\": invalid syntax");
    check_refused(
        "fieldSelector=garbage&labelSelector=%3D%3D",
        400,
        "found '==', expected: !, identifier, or 'end of string'",
    );
    check_refused("fieldSelector=garbage", 400, "invalid selector: 'garbage'; can't understand 'garbage'");
    check_refused(
        "fieldSelector=spec.foo%3Dx&sendInitialEvents=true",
        422,
        "ListOptions.meta.k8s.io \"\" is invalid: sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list",
    );
    check_refused(
        "fieldSelector=spec.foo%3Dx",
        400,
        "\"spec.foo\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"",
    );
    for accepted in [
        "limit=500&continue=x&resourceVersion=0",
        "limit=-1",
        "limit=%2B7",
        "unknown=x",
        "resourceVersion=5&resourceVersionMatch=Exact",
    ] {
        assert!(options(accepted).is_ok(), "{accepted}");
    }
}

#[test]
fn contradictions_are_told_all_at_once() {
    check_refused(
        "resourceVersionMatch=Exact",
        422,
        "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless \
         resourceVersion is provided",
    );
    let status = options("resourceVersionMatch=No&continue=c").unwrap_err();
    assert_eq!(
        status.message(),
        "ListOptions.meta.k8s.io \"\" is invalid: [resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless \
         resourceVersion is provided, resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden when continue is \
         provided, resourceVersionMatch: Unsupported value: \"No\": supported values: \"Exact\", \"NotOlderThan\", \"\"]"
    );
    let headers = http::HeaderMap::new();
    let form = crate::api::wire::negotiate::Wishes::new(&headers, None, None).choose_for_error();
    let body = String::from_utf8(form.write(&status)).unwrap();
    assert!(body.contains(r#""details":{"group":"meta.k8s.io","kind":"ListOptions","causes":[{"reason":"FieldValueForbidden","message":"Forbidden: "#), "{body}");
}

#[test]
fn permission_is_asked_for_all_where_a_selector_cannot_be_read() {
    let of = |query: &str| selectors(&Query::parse(query));
    assert!(!of("labelSelector=a%3Db").labels.is_everything());
    assert!(of("labelSelector=%3D%3D").labels.is_everything());
    assert!(of("labelSelector=a%3Db&x=%zz").labels.is_everything());
    assert!(of("fieldSelector=spec.x%3Dy").fields.is_everything());
}

proptest! {
    #[test]
    fn any_query_is_read_or_refused(text in prop_oneof![any::<String>(), "[a-z%&=;+0-9]{0,40}"]) {
        let query = Query::parse(&text);
        let read = list_options(&query);
        prop_assert!(query.malformed.is_none() || read.is_err());
    }
}
