use http::HeaderValue;
use http::header::ACCEPT;
use proptest::prelude::*;

use super::*;
use crate::model::Labels;

const BETA: &str = "/apis/metrics.k8s.io/v1beta1";

fn ask(method: &str, target: &str) -> Routed {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let uri: Uri = target.parse().unwrap_or_else(|error| panic!("{target}: {error}"));
    route(&method, &uri, &HeaderMap::new())
}

fn get(below: &str) -> Routed {
    ask("GET", &format!("{BETA}{below}"))
}

fn wanted(below: &str) -> (&'static str, ResourceAttributes) {
    let attributes = get(below).attributes;
    (attributes.verb, attributes.resource.unwrap_or_else(|| panic!("{below} names no resource")))
}

#[track_caller]
fn check_refused(method: &str, target: &str, code: u16, message: &str) {
    let refused = ask(method, target).outcome.expect_err(target);
    assert_eq!((refused.code().as_u16(), refused.message()), (code, message), "of {method} {target}");
}

const NOT_FOUND: &str = "the server could not find the requested resource";
const NOT_ALLOWED: &str = "the server does not allow this method on the requested resource";

#[test]
fn every_path_of_the_api_leads_to_its_endpoint() {
    let form = ask("GET", "/").error_form;
    let all = ListOptions::default();
    let pods = |namespace: Option<&str>| Endpoint::Pods {
        version: ApiVersion::V1Beta1,
        namespace: namespace.map(str::to_owned),
        options: all.clone(),
        form,
    };
    let nodes = |version| Endpoint::Nodes(version, all.clone(), form);
    let probe = |probe, verbosity, exclude: &[&str]| {
        Endpoint::Probe(probe, Question { verbosity, exclude: exclude.iter().map(|name| (*name).to_owned()).collect() })
    };
    let cases = [
        ("/", Endpoint::Index),
        ("/index.html", Endpoint::Index),
        ("/apis", Endpoint::ApiGroupList(form)),
        ("/apis/", Endpoint::ApiGroupList(form)),
        ("/apis/metrics.k8s.io", Endpoint::ApiGroup(form)),
        ("/apis/metrics.k8s.io/", Endpoint::ApiGroup(form)),
        ("/apis/metrics.k8s.io/v1beta1", Endpoint::ApiResources(ApiVersion::V1Beta1, form)),
        ("/apis/metrics.k8s.io/v1/?timeout=32s", Endpoint::ApiResources(ApiVersion::V1, form)),
        ("/apis/metrics.k8s.io/v1beta1/nodes", nodes(ApiVersion::V1Beta1)),
        ("/apis/metrics.k8s.io/v1beta1/nodes/", nodes(ApiVersion::V1Beta1)),
        ("/apis/metrics.k8s.io/v1/nodes?limit=500", nodes(ApiVersion::V1)),
        (
            "/apis/metrics.k8s.io/v1beta1/nodes/node%30?labelSelector=%zz&limit=abc&watch=1",
            Endpoint::Node { version: ApiVersion::V1Beta1, name: "node0".to_owned(), form },
        ),
        ("/apis/metrics.k8s.io/v1beta1/pods", pods(None)),
        ("/apis/metrics.k8s.io/v1beta1/namespaces/default/pods", pods(Some("default"))),
        (
            "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods/web-0/",
            Endpoint::Pod {
                version: ApiVersion::V1Beta1,
                namespace: "default".to_owned(),
                name: "web-0".to_owned(),
                form,
            },
        ),
        (
            "/apis/metrics.k8s.io/v1/namespaces/default/pods/web%2D0/explain",
            Endpoint::ExplainPod { namespace: "default".to_owned(), name: "web-0".to_owned() },
        ),
        ("/apis/metrics.k8s.io/v1beta1/nodes/node0/explain/", Endpoint::ExplainNode("node0".to_owned())),
        ("/apis/metrics.k8s.io/v1beta1/gateways", Endpoint::Gateways),
        ("/version", Endpoint::Version),
        ("/version/", Endpoint::Version),
        ("/metrics", Endpoint::Metrics),
        ("/healthz", probe(Probe::Healthz, Verbosity::Terse, &[])),
        ("/readyz?verbose&exclude=ping&exclude=x", probe(Probe::Readyz, Verbosity::Verbose, &["ping", "x"])),
        ("/livez/ping", Endpoint::ProbeCheck(Probe::Livez, "ping")),
        (
            "/readyz/poststarthook/max-in-flight-filter",
            Endpoint::ProbeCheck(Probe::Readyz, "poststarthook/max-in-flight-filter"),
        ),
        ("/openapi/v2", Endpoint::OpenApiV2(Kept::default())),
        ("/openapi/v3", Endpoint::OpenApiV3Index(Kept::default())),
        (
            "/openapi/v3/apis/metrics.k8s.io/v1?hash=AB",
            Endpoint::OpenApiV3 {
                path: "apis/metrics.k8s.io/v1".to_owned(),
                hash: Some("AB".to_owned()),
                kept: Kept::default(),
            },
        ),
    ];
    for (target, expected) in cases {
        assert_eq!(ask("GET", target).outcome, Ok(expected), "of {target}");
    }
}

#[test]
fn paths_outside_the_group_that_do_not_exist_get_the_index() {
    for target in [
        "/nope",
        "/apis/other.k8s.io/v1",
        "/apis/metrics.k8s.iox",
        "/readyz/",
        "/readyz/nosuch",
        "/livez/metric-storage-ready",
        "/openapi/v2/",
        "/openapi",
        "/metrics/",
        "/flagz",
        "//apis/metrics.k8s.io",
        "/healthz/../metrics",
        "/debug/pprof/",
    ] {
        assert_eq!(ask("GET", target).outcome, Ok(Endpoint::UnknownPath), "of {target}");
    }
}

#[test]
fn paths_inside_the_group_that_do_not_exist_get_a_status() {
    for below in [
        "/bogus",
        "/nodes/node0/log",
        "/nodes/n%2Fx",
        "//nodes",
        "/x/../nodes",
        "/watch/nodes",
        "/proxy/nodes/node0",
        "/namespaces/default",
        "/namespaces/default/nodes",
        "/pods/web-0",
        "/namespaces//pods",
        "/namespaces/default/pods/a/log",
    ] {
        check_refused("GET", &format!("{BETA}{below}"), 404, NOT_FOUND);
    }
    check_refused("GET", "/apis/metrics.k8s.io/v2/nodes", 404, NOT_FOUND);
    check_refused("GET", "/apis/metrics.k8s.io//v1/nodes", 404, NOT_FOUND);
    check_refused("GET", "/version/x", 404, NOT_FOUND);
    check_refused("GET", "/apis/metrics.k8s.io/v1/nodes/%zz", 400, "invalid URL escape \"%zz\"");
}

#[test]
fn resources_can_only_be_read() {
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE", "FOO"] {
        check_refused(method, &format!("{BETA}/nodes"), 405, NOT_ALLOWED);
        check_refused(method, "/apis", 405, NOT_ALLOWED);
        check_refused(method, "/version", 405, NOT_ALLOWED);
        // A path that does not exist is that before it is anything else.
        check_refused(method, &format!("{BETA}/bogus"), 404, NOT_FOUND);
    }
    assert_eq!(ask("POST", "/metrics").outcome, Ok(Endpoint::Metrics));
    assert!(matches!(ask("HEAD", "/readyz").outcome, Ok(Endpoint::Probe(Probe::Readyz, _))));
}

#[test]
fn a_watch_is_refused_after_its_options() {
    let not_supported = "watch is not supported on resources of kind \"nodes.metrics.k8s.io\"";
    for query in ["watch=true", "watch", "watch=1", "watch=no"] {
        check_refused("GET", &format!("{BETA}/nodes?{query}"), 405, not_supported);
        assert_eq!(wanted(&format!("/nodes?{query}")).0, "watch");
    }
    for query in ["watch=0", "watch=FALSE", "watch=false&watch=true"] {
        assert!(matches!(get(&format!("/nodes?{query}")).outcome, Ok(Endpoint::Nodes(..))), "{query}");
        assert_eq!(wanted(&format!("/nodes?{query}")).0, "list");
    }
    check_refused(
        "GET",
        &format!("{BETA}/nodes?watch=true&labelSelector=,"),
        400,
        "found ',', expected: !, identifier, or 'end of string'",
    );
    check_refused(
        "GET",
        &format!("{BETA}/pods?watch=true"),
        405,
        "watch is not supported on resources of kind \"pods.metrics.k8s.io\"",
    );
}

#[test]
fn selectors_select_and_are_what_permission_is_asked_for() {
    let target = "/nodes?labelSelector=zone+notin+(z0),kubernetes.io/hostname&labelSelector=ignored";
    let Ok(Endpoint::Nodes(_, options, _)) = get(target).outcome else { panic!("{target} is a list") };
    let node = |zone: &str| [("zone", zone), ("kubernetes.io/hostname", "x")].into_iter().collect::<Labels>();
    assert!(options.labels.matches(&node("z1")) && !options.labels.matches(&node("z0")));
    assert_eq!(wanted(target).1.labels, options.labels);

    let (verb, resource) = wanted("/nodes?fieldSelector=metadata.name%3Dnode1");
    assert_eq!((verb, &*resource.name), ("list", "node1"));
    assert!(resource.fields.matches("", "node1") && !resource.fields.matches("", "node2"));
    // A name that no object can have is not one that permission is asked for.
    assert_eq!(wanted("/nodes?fieldSelector=metadata.name%3Da/b").1.name, "");
    // Options that will be refused name nothing.
    assert_eq!(wanted("/nodes?fieldSelector=metadata.name%3Dnode1&limit=x").1.name, "");
}

#[test]
fn what_is_asked_for_is_named_as_the_api_server_names_it() {
    let cases = [
        ("/nodes", ("list", "", "nodes", "", "")),
        ("/nodes/node0", ("get", "", "nodes", "node0", "")),
        ("/nodes/n%2Fx", ("get", "", "nodes", "n", "x")),
        ("//nodes", ("get", "", "", "nodes", "")),
        ("/x/../nodes", ("get", "", "x", "..", "nodes")),
        ("/namespaces/default/pods", ("list", "default", "pods", "", "")),
        ("/namespaces/default/pods/web-0/log", ("get", "default", "pods", "web-0", "log")),
        ("/namespaces/default", ("get", "default", "namespaces", "default", "")),
        ("/namespaces/default/status", ("get", "default", "namespaces", "default", "status")),
        ("/watch/nodes", ("watch", "", "nodes", "", "")),
        ("/proxy/nodes/node0/x", ("proxy", "", "nodes", "node0", "")),
    ];
    for (below, expected) in cases {
        let (verb, resource) = wanted(below);
        assert_eq!((&*resource.group, &*resource.version), ("metrics.k8s.io", "v1beta1"));
        let got = (verb, &*resource.namespace, &*resource.resource, &*resource.name, &*resource.subresource);
        assert_eq!(got, expected, "of {below}");
    }
    let verbs = [
        ("HEAD", "list"),
        ("POST", "create"),
        ("PUT", "update"),
        ("PATCH", "patch"),
        ("DELETE", "deletecollection"),
        ("OPTIONS", ""),
    ];
    for (method, verb) in verbs {
        assert_eq!(ask(method, &format!("{BETA}/nodes")).attributes.verb, verb, "of {method}");
    }
}

#[test]
fn paths_that_name_no_resource_are_asked_for_as_they_came() {
    for (method, target, verb, path) in [
        ("GET", "/healthz", "get", "/healthz"),
        ("POST", "/healthz/%2E%2E/metrics", "post", "/healthz/../metrics"),
        ("GET", "/apis/metrics.k8s.io/v1beta1/", "get", "/apis/metrics.k8s.io/v1beta1/"),
        ("BREW", "/metrics", "", "/metrics"),
    ] {
        let attributes = ask(method, target).attributes;
        assert_eq!(
            (attributes.verb, &*attributes.path, attributes.resource),
            (verb, path, None),
            "of {method} {target}"
        );
    }
}

#[test]
fn the_media_type_is_refused_after_the_path_and_before_the_options() {
    let with = |accept: &'static str, target: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        let refused = route(&Method::GET, &target.parse().unwrap(), &headers).outcome.unwrap_err();
        (refused.code().as_u16(), refused.message().split_inclusive(':').next().unwrap_or_default().to_owned())
    };
    let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
    assert_eq!(with("text/plain", "/apis/metrics.k8s.io/v1/bogus").0, 404);
    assert_eq!(with("text/plain", "/apis/metrics.k8s.io/v1/nodes?limit=abc"), (406, "406:".to_owned()));
    assert_eq!(with("application/json;as=X", "/apis/metrics.k8s.io/v1/nodes?limit=abc").0, 406);
    assert_eq!(with(table, "/apis/metrics.k8s.io/v1/nodes?limit=abc&includeObject=Bogus").1, "strconv.ParseInt:");
    assert_eq!(with(table, "/apis/metrics.k8s.io/v1/nodes?watch=1&includeObject=Bogus").0, 405);
    assert_eq!(
        with(table, "/apis/metrics.k8s.io/v1/nodes?includeObject=Bogus").1,
        "Unable to convert to Table as requested:"
    );
    assert_eq!(with(table, "/apis/metrics.k8s.io/v1").0, 406);
}

#[test]
fn export_is_refused_for_objects() {
    let message = "the export parameter, deprecated since v1.14, is no longer supported";
    check_refused("GET", &format!("{BETA}/nodes/node0?export=true"), 400, message);
    assert!(get("/nodes/node0?export=false").outcome.is_ok());
    assert!(get("/nodes?export=true").outcome.is_ok());
}

#[test]
fn a_timeout_bounds_everything_but_a_watch() {
    let timeout = |below: &str| get(below).timeout.map_err(|status| status.message().to_owned());
    assert_eq!(timeout("?timeout=32s"), Ok(Some(Duration::from_secs(32))));
    assert_eq!(timeout("/nodes"), Ok(None));
    assert_eq!(timeout("/nodes?timeout="), Ok(None));
    assert_eq!(timeout("/nodes?timeout=0"), Ok(None));
    assert_eq!(timeout("/nodes?timeout=-5s"), Ok(None));
    assert_eq!(timeout("/nodes?watch=1&timeout=abc"), Ok(None));
    let message = "invalid timeout specified in the request URL - time: invalid duration \"abc\"";
    assert_eq!(timeout("/nodes?timeout=abc"), Err(message.to_owned()));
    assert_eq!(ask("GET", "/healthz?timeout=abc").timeout.unwrap_err().code(), 400);
}

#[test]
fn the_index_lists_paths_that_exist() {
    for path in paths().filter(|path| path != "/openapi/v3/") {
        let outcome = ask("GET", &path).outcome;
        assert!(!matches!(outcome, Err(_) | Ok(Endpoint::UnknownPath)), "{path}: {outcome:?}");
    }
}

/// Paths that are nearly right.
fn paths_of_pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "",
        "apis",
        "api",
        "metrics.k8s.io",
        "v1",
        "v1beta1",
        "nodes",
        "pods",
        "namespaces",
        "default",
        "watch",
        "proxy",
        "..",
        "%2F",
        "%2f%2F",
        "a%2Fb",
        "status",
        "%ff",
        "%zz",
        "?",
        "readyz",
        "%20",
    ]);
    (any::<bool>(), prop::collection::vec(piece, 0..7)).prop_map(|(in_group, pieces)| {
        let prefix = if in_group { "/apis/metrics.k8s.io/v1/" } else { "/" };
        format!("{prefix}{}", pieces.join("/"))
    })
}

fn targets() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        paths_of_pieces().prop_map(String::into_bytes),
        (paths_of_pieces(), "[a-zA-Z=&%;+0-9,!()]{0,60}")
            .prop_map(|(path, query)| format!("{path}?{query}").into_bytes()),
        prop::collection::vec(any::<u8>(), 0..80).prop_map(|bytes| [b"/", &*bytes].concat()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_request_is_routed_to_what_permission_was_asked_for(target in targets(), method in "GET|HEAD|POST|[A-Z]{1,8}") {
        let Ok(uri) = Uri::try_from(&*target) else { return Ok(()) };
        let routed = route(&Method::from_bytes(method.as_bytes()).unwrap(), &uri, &HeaderMap::new());
        let resource = routed.attributes.resource.unwrap_or_default();
        let served = match routed.outcome {
            Ok(Endpoint::Nodes(version, ..)) => Some((version, "nodes", String::new(), None)),
            Ok(Endpoint::Node { version, name, .. }) => Some((version, "nodes", String::new(), Some(name))),
            Ok(Endpoint::Pods { version, namespace, .. }) => Some((version, "pods", namespace.unwrap_or_default(), None)),
            Ok(Endpoint::Pod { version, namespace, name, .. }) => Some((version, "pods", namespace, Some(name))),
            _ => None,
        };
        if let Some((version, served, namespace, name)) = served {
            prop_assert_eq!(&resource.group, GROUP);
            prop_assert_eq!(&resource.version, version.as_str());
            prop_assert_eq!(&resource.resource, served);
            prop_assert_eq!(&resource.subresource, "");
            prop_assert_eq!(&resource.namespace, &namespace);
            prop_assert_eq!(routed.attributes.verb, if name.is_some() { "get" } else { "list" });
            prop_assert!(name.is_none_or(|name| name == resource.name));
        }
    }
}

#[test]
fn explanations_are_asked_for_as_subresources_and_gateways_as_a_resource() {
    let asked = |target: &str| {
        let attributes = ask("GET", target).attributes;
        let resource = attributes.resource.expect("it names a resource");
        let about = [resource.namespace, resource.resource, resource.subresource, resource.name];
        (attributes.verb, about.join("|"))
    };
    let pod = "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods/web-0/explain";
    assert_eq!(asked(pod), ("get", "default|pods|explain|web-0".to_owned()));
    assert_eq!(asked("/apis/metrics.k8s.io/v1/nodes/node0/explain"), ("get", "|nodes|explain|node0".to_owned()));
    assert_eq!(asked("/apis/metrics.k8s.io/v1/gateways"), ("list", "|gateways||".to_owned()));
    for (method, target) in [("POST", pod), ("HEAD", pod), ("GET", "/apis/metrics.k8s.io/v1/gateways?watch=1")] {
        assert_eq!(ask(method, target).outcome, Err(Status::method_not_allowed()), "of {method} {target}");
    }
    for target in ["/apis/metrics.k8s.io/v1/pods/web-0/explain", "/apis/metrics.k8s.io/v1/gateways/a"] {
        assert_eq!(ask("GET", target).outcome, Err(Status::path_not_found()), "of {target}");
    }
}
