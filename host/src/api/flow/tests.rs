use std::ffi::OsString;

use http::Request;
use http::header::{AUTHORIZATION, CONTENT_TYPE};

use super::*;
use crate::api::route::route;
use crate::args::{self, Invocation};
use crate::config::check::check;
use crate::config::file::RawConfig;

fn flow(line: &str) -> Flow {
    let Ok(Invocation::Run(args)) = args::parse(line.split_whitespace().map(OsString::from)) else {
        panic!("{line:?} should run")
    };
    let config = check(&RawConfig::default(), &args).unwrap_or_else(|problems| panic!("{line}: {problems:?}")).config;
    Flow::new(&config.serving, Arc::default())
}

/// `METHOD target` with headers; a Host is among them unless one is given, or `-` for none.
fn head(line: &str, headers: &[(&str, &str)]) -> Head {
    let (method, target) = line.split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(target);
    if !headers.iter().any(|(name, _)| *name == "host") {
        request = request.header("host", "gateway");
    }
    for (name, value) in headers.iter().filter(|(_, value)| *value != "-") {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn turn(flow: &Flow, head: &Head) -> Option<Turn> {
    match flow.check(head) {
        Gate::Open(_) => None,
        Gate::Shut(turn) => Some(turn),
    }
}

#[test]
fn heads_that_two_readers_could_read_differently_are_refused() {
    type Lines = &'static [(&'static str, &'static str)];
    let cases: [(Lines, Option<&str>); 8] = [
        (&[], None),
        (&[("host", "-")], Some("400 Bad Request: missing required Host header")),
        (&[("host", "a"), ("host", "b")], Some("400 Bad Request: too many Host headers")),
        (&[("host", "a"), ("host", "a")], Some("400 Bad Request: too many Host headers")),
        (&[("transfer-encoding", "chunked")], Some("400 Bad Request: a body in chunks is not accepted")),
        (
            &[("content-length", "3"), ("transfer-encoding", "chunked")],
            Some("400 Bad Request: a body in chunks is not accepted"),
        ),
        (&[("content-length", "3")], None),
        (&[("content-length", "3"), ("content-length", "3")], Some("400 Bad Request: too many Content-Length headers")),
    ];
    let flow = flow("");
    for (headers, fault) in cases {
        assert_eq!(turn(&flow, &head("GET /", headers)), fault.map(Turn::Malformed), "{headers:?}");
    }
    let mut http2 = head("GET /", &[("host", "-")]);
    http2.version = Version::HTTP_2;
    assert_eq!(turn(&flow, &http2), None, "HTTP/2 has an authority instead");
    let mut http10 = head("GET /", &[("host", "-")]);
    http10.version = Version::HTTP_10;
    assert_eq!(turn(&flow, &http10), None, "HTTP/1.0 knows no Host");
}

#[test]
fn thousands_of_headers_are_refused_and_a_thousand_groups_are_not() {
    let flow = flow("");
    let with = |count: usize| {
        let lines: Vec<String> = (0..count).map(|index| format!("group-{index}")).collect();
        let headers: Vec<(&str, &str)> = lines.iter().map(|line| ("x-remote-group", line.as_str())).collect();
        head("GET /", &headers)
    };
    assert_eq!(turn(&flow, &with(1000)), None);
    assert_eq!(turn(&flow, &with(HEADER_LINES)), Some(Turn::TooManyHeaders), "with the Host it is one too many");
}

#[test]
fn options_of_everything_is_a_sign_of_life() {
    assert_eq!(turn(&flow(""), &head("OPTIONS *", &[])), Some(Turn::Ping));
    assert_eq!(turn(&flow(""), &head("OPTIONS /apis", &[])), None);
}

const ORIGINS: &str = "--cors-allowed-origins=//(.*\\.)?example\\.com(:|$),^https://other\\.org$";

#[test]
fn browsers_are_let_in_from_origins_that_match_and_from_no_others() {
    let cases = [
        ("https://example.com", true),
        ("http://example.com:8080", true),
        ("https://a.b.example.com", true),
        ("https://other.org", true),
        ("https://other.org:444", false),
        ("https://notexample.com", false),
        ("https://example.com.evil.net", false),
        ("null", false),
        ("", false),
    ];
    let flow = flow(ORIGINS);
    for (origin, allowed) in cases {
        let preflight = head("OPTIONS /apis", &[("origin", origin)]);
        assert_eq!(turn(&flow, &preflight), allowed.then_some(Turn::Preflight), "{origin}");
        let headers = flow.headers(&head("GET /apis", &[("origin", origin)]).headers);
        assert_eq!(headers.len(), if allowed { 5 } else { 0 }, "{origin}: {headers:?}");
    }
    assert_eq!(turn(&flow, &head("GET /apis", &[("origin", "https://example.com")])), None, "only OPTIONS ends here");
}

#[test]
fn the_cors_headers_are_upstreams() {
    let headers = flow(ORIGINS).headers(&head("GET /", &[("origin", "https://example.com")]).headers);
    let lines: Vec<String> =
        headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    assert_eq!(
        lines,
        [
            "access-control-allow-origin: https://example.com",
            "access-control-allow-methods: POST, GET, OPTIONS, PUT, DELETE, PATCH",
            "access-control-allow-headers: Content-Type, Content-Length, Accept-Encoding, X-CSRF-Token, Authorization, \
             X-Requested-With, If-Modified-Since",
            "access-control-expose-headers: Date",
            "access-control-allow-credentials: true",
        ]
    );
}

#[test]
fn without_the_flags_no_answer_bears_more_headers() {
    let request = head(
        "GET /",
        &[("origin", "https://example.com"), (CONTENT_TYPE.as_str(), "x"), (AUTHORIZATION.as_str(), "y")],
    );
    assert_eq!(flow("").headers(&request.headers), []);
    assert_eq!(turn(&flow(""), &head("OPTIONS /", &[("origin", "https://example.com")])), None);
}

#[test]
fn strict_transport_security_is_sent_as_it_was_written() {
    let flow = flow("--strict-transport-security-directives=max-age=31536000,includeSubDomains,preload");
    let headers = flow.headers(&HeaderMap::new());
    let value = HeaderValue::from_static("max-age=31536000; includeSubDomains; preload");
    assert_eq!(headers, [(STRICT_TRANSPORT_SECURITY, value)]);
}

#[test]
fn only_http2_is_told_to_go_away_and_only_below_the_chance() {
    let chance = flow("--goaway-chance=0.02");
    assert!(chance.says_goaway(Version::HTTP_2, || 0.0199));
    assert!(!chance.says_goaway(Version::HTTP_2, || 0.02));
    assert!(!chance.says_goaway(Version::HTTP_11, || 0.0));
    assert!(!flow("").says_goaway(Version::HTTP_2, || 0.0), "by default never");
}

fn user(groups: &[&str]) -> User {
    User {
        name: "alice".to_owned(),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        ..User::default()
    }
}

fn routed(line: &str) -> Routed {
    let head = head(line, &[]);
    route(&head.method, &head.uri, &head.headers)
}

#[test]
fn readers_and_writers_have_places_of_their_own() {
    let flow = flow("--max-requests-inflight=1 --max-mutating-requests-inflight=1");
    let (nodes, post) =
        (routed("GET /apis/metrics.k8s.io/v1beta1/nodes"), routed("POST /apis/metrics.k8s.io/v1beta1/nodes"));
    let reading = flow.place_for(&user(&[]), &nodes).unwrap();
    assert!(reading.is_some() && flow.place_for(&user(&[]), &nodes).is_err());
    let writing = flow.place_for(&user(&[]), &post).unwrap();
    assert!(writing.is_some() && flow.place_for(&user(&[]), &post).is_err());
    drop(reading);
    assert!(flow.place_for(&user(&[]), &nodes).is_ok());
}

#[test]
fn administrators_and_probes_need_no_place() {
    let one = flow("--max-requests-inflight=1");
    let nodes = routed("GET /apis/metrics.k8s.io/v1beta1/nodes");
    let _taken = one.place_for(&user(&[]), &nodes).unwrap();
    assert!(matches!(one.place_for(&user(&["system:masters"]), &nodes), Ok(None)));
    assert!(matches!(one.place_for(&user(&[]), &routed("GET /livez")), Ok(None)));
    assert!(matches!(one.place_for(&user(&[]), &routed("GET /readyz/shutdown")), Ok(None)));
    assert!(one.place_for(&user(&[]), &routed("GET /metrics")).is_err());
    assert!(matches!(flow("--max-requests-inflight=0").place_for(&user(&[]), &nodes), Ok(None)));
}

#[tokio::test]
async fn while_requests_are_drained_new_ones_are_turned_away_but_for_probes() {
    let flow = flow("");
    let Gate::Open(Some(token)) = flow.check(&head("GET /apis", &[])) else { panic!("it is counted") };
    let drained = flow.shutdown.turn_away();
    tokio::pin!(drained);
    assert!(futures_util::poll!(&mut drained).is_pending(), "one request is not answered yet");
    assert_eq!(turn(&flow, &head("GET /apis", &[])), Some(Turn::ShuttingDown));
    for path in ["/readyz", "/livez", "/healthz?verbose", "/metrics"] {
        assert!(matches!(flow.check(&head(&format!("GET {path}"), &[])), Gate::Open(None)), "{path}");
    }
    drop(token);
    drained.await;
    assert_eq!(turn(&flow, &head("GET /apis", &[])), Some(Turn::ShuttingDown));
}
