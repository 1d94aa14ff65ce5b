use super::*;

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn attributes() -> Attributes {
    let resource = ResourceAttributes {
        group: "metrics.k8s.io".to_owned(),
        version: "v1beta1".to_owned(),
        namespace: "shop".to_owned(),
        resource: "pods".to_owned(),
        name: "web-0".to_owned(),
        ..ResourceAttributes::default()
    };
    Attributes { verb: "get", path: "/ignored".to_owned(), resource: Some(resource) }
}

fn alice() -> User {
    User {
        name: "alice".to_owned(),
        uid: "u-1".to_owned(),
        groups: vec!["dev".to_owned(), "system:authenticated".to_owned()],
        extra: [("scopes".to_owned(), vec!["a".to_owned(), "b".to_owned()])].into(),
    }
}

/// 2026-11-21T10:19:33.123456789Z
const RECEIVED: UnixNanos = UnixNanos(1_795_256_373_123_456_789);

fn event(headers: &HeaderMap) -> Event {
    let uri = "/apis/metrics.k8s.io/v1beta1/namespaces/shop/pods/web-0?pretty=1";
    let request = Request { uri, headers, remote: "10.0.0.9".parse().unwrap(), received_at: RECEIVED };
    let mut event = Event::new(&HeaderValue::from_static("my-aid"), &request, &attributes());
    event.user = (&alice()).into();
    event
}

fn complete() -> Event {
    let agent = ("user-agent", "kubectl/v1.36.0");
    let secrets = [("authorization", "Bearer secret"), ("x-remote-extra-acme", "secret"), ("cookie", "secret")];
    let forwarded = ("x-forwarded-for", "203.0.113.5, 198.51.100.7");
    let mut event = event(&headers(&[agent, secrets[0], secrets[1], secrets[2], forwarded]));
    event.stage = Stage::ResponseComplete;
    event.stage_timestamp = UnixNanos(RECEIVED.0 + 2_000_000);
    event.impersonated_user =
        Some((&User { name: "zed".to_owned(), groups: vec!["ops".to_owned()], ..User::default() }).into());
    event.response_status = Some((&Status::no_such_pod("web-0")).into());
    event.annotations.insert("authorization.k8s.io/decision", "allow".to_owned());
    event.annotations.insert("authorization.k8s.io/reason", "RBAC: allowed by \"x\"".to_owned());
    event
}

#[test]
fn an_event_is_one_line_of_audit_k8s_io_v1() {
    let line = String::from_utf8(complete().line(AuditFormat::Json)).unwrap();
    let expected = concat!(
        r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"my-aid","stage":"ResponseComplete","#,
        r#""requestURI":"/apis/metrics.k8s.io/v1beta1/namespaces/shop/pods/web-0?pretty=1","verb":"get","#,
        r#""user":{"username":"alice","uid":"u-1","groups":["dev","system:authenticated"],"extra":{"scopes":["a","b"]}},"#,
        r#""impersonatedUser":{"username":"zed","groups":["ops"]},"#,
        r#""sourceIPs":["203.0.113.5","198.51.100.7","10.0.0.9"],"userAgent":"kubectl/v1.36.0","#,
        r#""objectRef":{"resource":"pods","namespace":"shop","name":"web-0","apiGroup":"metrics.k8s.io","apiVersion":"v1beta1"},"#,
        r#""responseStatus":{"metadata":{},"status":"Failure","message":"pods \"web-0\" not found","reason":"NotFound","code":404},"#,
        r#""requestReceivedTimestamp":"2026-11-21T10:19:33.123456Z","stageTimestamp":"2026-11-21T10:19:33.125456Z","#,
        r#""annotations":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"RBAC: allowed by \"x\""}}"#,
        "\n"
    );
    assert_eq!(line, expected);
}

#[test]
fn of_a_request_that_has_just_come_nothing_more_is_said() {
    let mut event = event(&HeaderMap::new());
    event.user = EventUser::default();
    event.object_ref = None;
    let line = String::from_utf8(event.line(AuditFormat::Json)).unwrap();
    assert!(
        line.contains(r#""stage":"RequestReceived""#)
            && line.contains(r#""user":{},"sourceIPs":["10.0.0.9"],"request"#),
        "{line}"
    );
    for absent in ["userAgent", "objectRef", "responseStatus", "impersonatedUser", "annotations"] {
        assert!(!line.contains(absent), "{absent} in {line}");
    }
}

#[test]
fn no_line_holds_a_secret_of_the_headers() {
    for format in [AuditFormat::Json, AuditFormat::Legacy] {
        let line = String::from_utf8(complete().line(format)).unwrap();
        assert!(!line.contains("secret"), "{line}");
    }
}

#[test]
fn the_legacy_line_is_upstreams() {
    let line = String::from_utf8(complete().line(AuditFormat::Legacy)).unwrap();
    let expected = concat!(
        r#"2026-11-21T10:19:33.123456Z AUDIT: id="my-aid" stage="ResponseComplete" ip="203.0.113.5" method="get" "#,
        r#"user="alice" groups="\"dev\",\"system:authenticated\"" as="zed" asgroups="\"ops\"" "#,
        r#"user-agent="kubectl/v1.36.0" namespace="shop" "#,
        r#"uri="/apis/metrics.k8s.io/v1beta1/namespaces/shop/pods/web-0?pretty=1" response="404""#,
        "\n"
    );
    assert_eq!(line, expected);
    let mut bare = event(&HeaderMap::new());
    bare.user = EventUser::default();
    let line = String::from_utf8(bare.line(AuditFormat::Legacy)).unwrap();
    let parts = [r#"user="<none>" groups="<none>" as="<self>" asgroups="<lookup>""#, r#"response="<deferred>""#];
    assert!(parts.iter().all(|part| line.contains(part)), "{line}");
}

#[test]
fn a_line_is_one_line_whatever_the_request_says() {
    let event = event(&headers(&[("user-agent", "a\tb\" \\ \u{e9}")]));
    for format in [AuditFormat::Json, AuditFormat::Legacy] {
        let line = event.line(format);
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
    }
}

#[test]
fn source_addresses_end_with_the_one_that_nobody_can_forge() {
    type Lines = &'static [(&'static str, &'static str)];
    let cases: [(Lines, &[&str]); 7] = [
        (&[], &["10.0.0.9"]),
        (&[("x-forwarded-for", "1.2.3.4, nonsense, 2001:db8::1")], &["1.2.3.4", "2001:db8::1", "10.0.0.9"]),
        (&[("x-forwarded-for", "10.0.0.9")], &["10.0.0.9"]),
        (&[("x-forwarded-for", "1.2.3.4"), ("x-real-ip", "1.2.3.4")], &["1.2.3.4", "10.0.0.9"]),
        (&[("x-real-ip", "1.2.3.4")], &["1.2.3.4", "10.0.0.9"]),
        (&[("x-real-ip", "nonsense")], &["10.0.0.9"]),
        (&[("x-forwarded-for", "1.2.3.4"), ("x-forwarded-for", "5.6.7.8")], &["1.2.3.4", "10.0.0.9"]),
    ];
    for (pairs, expected) in cases {
        assert_eq!(source_ips(&headers(pairs), "10.0.0.9".parse().unwrap()), expected, "{pairs:?}");
    }
    let many = vec!["1.2.3.4"; 1000].join(",");
    assert_eq!(source_ips(&headers(&[("x-forwarded-for", &many)]), "10.0.0.9".parse().unwrap()).len(), 33);
}

#[test]
fn long_texts_are_cut_at_a_character() {
    let agent = "é".repeat(2000);
    let event = event(&headers(&[("user-agent", &agent)]));
    assert_eq!(event.user_agent, format!("{}...TRUNCATED", "é".repeat(512)));
    assert_eq!(cut("short", 5), "short");
}
