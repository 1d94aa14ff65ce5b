use http::HeaderValue;
use proptest::prelude::*;

use super::*;

const NODES: Offer = Offer::List(Resource::Nodes);

fn headers(accept: &str, user_agent: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in [(ACCEPT, accept), (USER_AGENT, user_agent)] {
        if !value.is_empty() {
            headers.insert(name, HeaderValue::from_str(value).unwrap());
        }
    }
    headers
}

fn negotiate(accept: &str, offer: Offer, include: Option<&str>) -> Result<Form, Status> {
    let headers = headers(accept, "");
    let wishes = Wishes::new(&headers, None, include);
    wishes.check_routable(offer)?;
    wishes.choose(offer)?.view(offer, &wishes)
}

#[test]
fn the_best_clause_that_can_be_fulfilled_wins() {
    let table = View::Table(MetaVersion::V1, IncludeObject::Metadata);
    let table_beta = View::Table(MetaVersion::V1Beta1, IncludeObject::Metadata);
    let cases = [
        ("", Encoding::Json, View::Object),
        ("application/json", Encoding::Json, View::Object),
        ("application/yaml", Encoding::Yaml, View::Object),
        ("*/*", Encoding::Json, View::Object),
        ("application/json;q=0.1,application/yaml", Encoding::Yaml, View::Object),
        ("application/xml, */*;q=0.1", Encoding::Json, View::Object),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Encoding::Json, View::Object),
        // Go clients.
        ("application/vnd.kubernetes.protobuf, */*", Encoding::Protobuf, View::Object),
        ("application/vnd.kubernetes.protobuf,application/json", Encoding::Protobuf, View::Object),
        ("application/vnd.kubernetes.protobuf;stream=watch", Encoding::Protobuf, View::Object),
        ("application/cbor", Encoding::Cbor, View::Object),
        ("application/cbor;q=0.9,application/json", Encoding::Json, View::Object),
        ("application/json;q=0.8,application/cbor;q=0.9", Encoding::Cbor, View::Object),
        ("application/json, application/*;q=0.5", Encoding::Json, View::Object),
        // kubectl get.
        (
            "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
            Encoding::Json,
            table,
        ),
        ("application/json; g=meta.k8s.io; v=v1beta1; as=Table", Encoding::Json, table_beta),
        ("application/yaml;as=Table;v=v1;g=meta.k8s.io", Encoding::Yaml, table),
        ("application/cbor;as=Table;v=v1;g=meta.k8s.io", Encoding::Cbor, table),
        // There is no table in protobuf.
        (
            "application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1;g=meta.k8s.io",
            Encoding::Json,
            table,
        ),
        (
            "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
            Encoding::Protobuf,
            View::Metadata(MetaVersion::V1),
        ),
        (
            "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
            Encoding::Json,
            View::Metadata(MetaVersion::V1),
        ),
        ("application/json;as=Bogus;v=v1;g=meta.k8s.io,application/yaml;q=0.2", Encoding::Yaml, View::Object),
        ("application/json;charset=utf-8;foo=bar", Encoding::Json, View::Object),
        ("application/json;stream=watch", Encoding::Json, View::Object),
        ("application/json;q=0", Encoding::Json, View::Object),
    ];
    for (accept, encoding, view) in cases {
        let form = negotiate(accept, NODES, None).unwrap_or_else(|status| panic!("{accept}: {status:?}"));
        assert_eq!((form.encoding, form.view), (encoding, view), "of {accept:?}");
    }
}

#[test]
fn what_the_router_cannot_match_is_refused_with_all_types() {
    for accept in ["application/*", "APPLICATION/JSON", "application/xml", "text/plain", "application/vnd.kubernetes"] {
        let refused = negotiate(accept, NODES, None).unwrap_err();
        assert_eq!(refused.code(), 406, "of {accept}");
        assert!(refused.message().starts_with("406: Not Acceptable\n\nAvailable representations: application/json, "));
        assert!(refused.message().ends_with("application/vnd.kubernetes.protobuf;stream=watch"));
    }
    let refused = negotiate("text/plain", Offer::Object(Resource::Pods), None).unwrap_err();
    assert!(refused.message().ends_with("application/yaml, application/vnd.kubernetes.protobuf"));
    let refused = negotiate("application/yaml", Offer::JsonOnly, None).unwrap_err();
    assert!(refused.message().ends_with("representations: application/json"));
}

#[test]
fn a_known_type_in_an_unknown_form_is_refused_with_the_types() {
    let expected = "only the following media types are accepted: application/json, application/yaml, \
                    application/vnd.kubernetes.protobuf";
    for accept in [
        "application/json;as=Bogus;v=v1;g=meta.k8s.io",
        "application/json;as=Table;v=v2;g=meta.k8s.io",
        "application/json;as=Table",
        "application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io",
        "application/json;as=APIGroupDiscoveryList;v=v2;g=apidiscovery.k8s.io",
        "application/json;v=v1",
        "application/yaml;stream=watch",
        "application/json;stream=other",
        "application/json;sv=1",
    ] {
        let refused = negotiate(accept, NODES, None).unwrap_err();
        assert_eq!((refused.code().as_u16(), refused.message()), (406, expected), "of {accept}");
    }
    let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
    assert_eq!(negotiate(table, Offer::Document, None).unwrap_err().message(), expected);
}

#[test]
fn discovery_comes_in_one_document_to_those_who_can_read_it() {
    let ask = |accept: &str| {
        let headers = headers(accept, "");
        let wishes = Wishes::new(&headers, None, None);
        wishes.check_routable(Offer::Groups)?;
        wishes.choose(Offer::Groups).map(|chosen| (chosen.encoding, chosen.discovery()))
    };
    let (v2, beta) = (Some(DiscoveryVersion::V2), Some(DiscoveryVersion::V2Beta1));
    let clause = |media_type: &str, version: &str| {
        format!("{media_type};g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList")
    };
    let json = |version: &str| clause("application/json", version);
    let cases = [
        (String::new(), (Encoding::Json, None)),
        ("application/json".to_owned(), (Encoding::Json, None)),
        (json("v2"), (Encoding::Json, v2)),
        (format!("{};profile=nopeer", json("v2")), (Encoding::Json, v2)),
        (json("v2beta1"), (Encoding::Json, beta)),
        // The API server's discovery, and client-go's.
        (format!("{},{}", json("v2"), json("v2beta1")), (Encoding::Json, v2)),
        (format!("{},{},application/json", json("v2"), json("v2beta1")), (Encoding::Json, v2)),
        (format!("application/json,{}", json("v2")), (Encoding::Json, v2)),
        (format!("application/yaml,{};q=0.9", json("v2")), (Encoding::Yaml, None)),
        (format!("{},application/yaml;q=0.1", json("v3")), (Encoding::Yaml, None)),
        (clause("application/vnd.kubernetes.protobuf", "v2"), (Encoding::Protobuf, v2)),
        (clause("application/cbor", "v2"), (Encoding::Cbor, v2)),
    ];
    for (accept, expected) in cases {
        assert_eq!(ask(&accept), Ok(expected), "of {accept:?}");
    }
    assert_eq!(ask(&json("v3")).unwrap_err().code(), 406);
    assert_eq!(ask("application/json;as=Table;v=v1;g=meta.k8s.io").unwrap_err().code(), 406);
}

#[test]
fn openapi_is_had_by_whoever_takes_json_in_any_words() {
    let takes_json = |accept: &str| Wishes::new(&headers(accept, ""), None, None).takes_json();
    for accept in ["", "*/*", "application/*", "application/json", "text/html, */*;q=0.1", "application/json;q=0"] {
        assert!(takes_json(accept), "{accept:?}");
    }
    for accept in ["text/html", "application/com.github.proto-openapi.spec.v2@v1.0+protobuf", "application/cbor"] {
        assert!(!takes_json(accept), "{accept:?}");
    }
}

#[test]
fn metadata_is_asked_for_by_the_name_that_fits() {
    let accept = |kind: &str| format!("application/json;as={kind};v=v1;g=meta.k8s.io");
    let node = Offer::Object(Resource::Nodes);
    assert!(negotiate(&accept("PartialObjectMetadataList"), NODES, None).is_ok());
    assert!(negotiate(&accept("PartialObjectMetadata"), node, None).is_ok());
    assert_eq!(
        negotiate(&accept("PartialObjectMetadata"), NODES, None).unwrap_err().message(),
        "you requested PartialObjectMetadata, but the requested object is a list (*metrics.NodeMetricsList)"
    );
    assert_eq!(
        negotiate(&accept("PartialObjectMetadataList"), node, None).unwrap_err().message(),
        "you requested PartialObjectMetadataList, but the requested object is not a list (*metrics.NodeMetrics)"
    );
}

#[test]
fn include_object_counts_for_tables_only() {
    let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
    let view = |include| negotiate(table, NODES, Some(include)).map(|form| form.view);
    assert_eq!(view("None"), Ok(View::Table(MetaVersion::V1, IncludeObject::None)));
    assert_eq!(view("Object"), Ok(View::Table(MetaVersion::V1, IncludeObject::Object)));
    assert_eq!(view(""), Ok(View::Table(MetaVersion::V1, IncludeObject::Metadata)));
    let refused = view("Bogus").unwrap_err();
    assert_eq!(refused.code(), 400);
    assert_eq!(
        refused.message(),
        "Unable to convert to Table as requested: includeObject: Invalid value: \"Bogus\": must be 'Metadata', 'Object', \
         'None', or empty"
    );
    assert!(negotiate("", NODES, Some("Bogus")).is_ok());
}

#[test]
fn people_get_indented_json_unless_they_decline() {
    let cases = [
        ("", "kubectl/1.33", None, Layout::Compact),
        ("", "curl/8", None, Layout::Pretty),
        ("", "Wget/1.21", None, Layout::Pretty),
        ("*/*", "Mozilla/5.0 (X11)", None, Layout::Pretty),
        ("", "kubectl/1.33", Some("true"), Layout::Pretty),
        ("", "kubectl/1.33", Some("1"), Layout::Pretty),
        ("", "curl/8", Some("false"), Layout::Compact),
        ("", "curl/8", Some("yes"), Layout::Compact),
        ("", "curl/8", Some(""), Layout::Pretty),
        ("application/json;pretty=1", "", None, Layout::Pretty),
        ("application/json;pretty=1", "", Some("0"), Layout::Pretty),
        ("application/json;pretty=0", "", None, Layout::Compact),
    ];
    for (accept, user_agent, pretty, expected) in cases {
        let headers = headers(accept, user_agent);
        let form = Wishes::new(&headers, pretty, None).choose(NODES).unwrap().whole();
        assert_eq!(form.layout, expected, "of {accept:?} {user_agent:?} {pretty:?}");
    }
}

#[test]
fn an_error_that_cannot_be_told_as_wished_is_told_in_indented_json() {
    let form = |accept| Wishes::new(&headers(accept, ""), None, None).choose_for_error();
    assert_eq!(form("text/plain"), Form { encoding: Encoding::Json, view: View::Object, layout: Layout::Pretty });
    assert_eq!(form("application/json;as=Table;v=v1;g=meta.k8s.io").layout, Layout::Pretty);
    assert_eq!(form("application/json;as=Table;v=v1;g=meta.k8s.io,application/json").layout, Layout::Compact);
    assert_eq!(form("application/yaml").encoding, Encoding::Yaml);
    assert_eq!(form("application/vnd.kubernetes.protobuf, */*").encoding, Encoding::Protobuf);
    assert_eq!(form("application/cbor").encoding, Encoding::Cbor);
}

proptest! {
    #[test]
    fn any_accept_header_is_answered(bytes in prop::collection::vec(any::<u8>(), 0..60), words in "[ajson/yml*;,=q0.1 TableasgvmetK8io]{0,60}") {
        for value in [HeaderValue::from_bytes(&bytes), HeaderValue::from_bytes(words.as_bytes())].into_iter().flatten() {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, value);
            let wishes = Wishes::new(&headers, None, None);
            let chosen = wishes.check_routable(NODES).and_then(|()| wishes.choose(NODES)).and_then(|c| c.view(NODES, &wishes));
            prop_assert!(chosen.map_or_else(|status| [400, 406].contains(&status.code().as_u16()), |form| Encoding::ALL.contains(&form.encoding)));
        }
    }
}
