use http::header::IF_NONE_MATCH;
use http::{HeaderMap, Method, Uri};
use http_body_util::BodyExt as _;

use super::super::route::{Endpoint, route};
use super::*;
use crate::api::wire::ApiVersion;

/// 2026-11-20T22:09:27Z.
const NOW: UnixNanos = UnixNanos(1_795_212_567_000_000_000);

fn kept(etag: &HeaderValue) -> Kept {
    let headers = HeaderMap::from_iter([(IF_NONE_MATCH, etag.clone())]);
    let uri = Uri::from_static("/openapi/v2");
    match route(&Method::GET, &uri, &headers).outcome {
        Ok(Endpoint::OpenApiV2(kept)) => kept,
        other => panic!("{other:?}"),
    }
}

fn header(answer: &Answer, name: &HeaderName) -> HeaderValue {
    let found = answer.headers.iter().find(|(own, _)| own == name);
    found.unwrap_or_else(|| panic!("no {name} in {:?}", answer.headers)).1.clone()
}

async fn body(answer: Answer) -> Vec<u8> {
    answer.body.collect().await.expect("bodies do not fail").to_bytes().to_vec()
}

fn form(encoding: Encoding) -> Form {
    Form { encoding, view: View::Object, layout: Layout::Compact }
}

#[tokio::test]
async fn a_document_is_not_sent_again_to_who_has_it() {
    let documents: [&dyn Fn(&Kept) -> Answer; 5] = [
        &openapi_v2,
        &openapi_v3_index,
        &|kept| openapi_v3("apis/metrics.k8s.io/v1", None, kept, NOW).unwrap(),
        &|kept| discovery(DiscoveryVersion::V2, form(Encoding::Json), kept),
        &|kept| discovery(DiscoveryVersion::V2Beta1, form(Encoding::Protobuf), kept),
    ];
    for document in documents {
        let first = document(&Kept::default());
        let etag = header(&first, &ETAG);
        assert_eq!(etag.len(), 130, "the hash of 64 bytes, in quotes");
        assert_eq!(header(&first, &VARY), "Accept");
        assert!(!body(first).await.is_empty());
        let second = document(&kept(&etag));
        assert_eq!((second.code, header(&second, &ETAG)), (StatusCode::NOT_MODIFIED, etag));
        assert!(body(second).await.is_empty());
        assert_eq!(document(&kept(&HeaderValue::from_static("\"0123\""))).code, StatusCode::OK);
    }
}

#[test]
fn aggregated_discovery_says_what_it_is_in_the_order_that_clients_compare() {
    let of = |encoding, version| discovery(version, form(encoding), &Kept::default());
    let json = of(Encoding::Json, DiscoveryVersion::V2);
    assert_eq!(json.content_type, "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList");
    assert_eq!(header(&json, &CACHE_CONTROL), "public");
    let protobuf = of(Encoding::Protobuf, DiscoveryVersion::V2Beta1);
    assert_eq!(
        protobuf.content_type,
        "application/vnd.kubernetes.protobuf;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"
    );
    for encoding in Encoding::ALL {
        assert!(of(encoding, DiscoveryVersion::V2).content_type.starts_with(&format!("{};g=", encoding.media_type())));
    }
    assert_eq!(header(&json, &ETAG), header(&of(Encoding::Yaml, DiscoveryVersion::V2), &ETAG));
}

#[tokio::test]
async fn a_document_under_its_own_hash_may_be_kept_and_under_an_old_one_not() {
    let index = body(openapi_v3_index(&Kept::default())).await;
    let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
    for version in ApiVersion::ALL {
        let path = format!("apis/{}", version.group_version());
        let url = index["paths"][&path]["serverRelativeURL"].as_str().unwrap();
        let (own_path, hash) = url.strip_prefix("/openapi/v3/").unwrap().split_once("?hash=").unwrap();
        assert_eq!(own_path, path);
        let right = openapi_v3(&path, Some(hash), &Kept::default(), NOW).unwrap();
        assert_eq!(header(&right, &CACHE_CONTROL), "public, immutable");
        assert_eq!(header(&right, &EXPIRES), "Sat, 20 Nov 2027 22:09:27 GMT");
        assert_eq!(header(&right, &ETAG), format!("\"{hash}\""));
        let old = openapi_v3(&path, Some("0123"), &Kept::default(), NOW).unwrap();
        assert_eq!((old.code, header(&old, &CACHE_CONTROL)), (StatusCode::OK, HeaderValue::from_static("no-cache")));
        assert_eq!(body(old).await, body(right).await);
    }
    assert!(openapi_v3("apis/metrics.k8s.io/v2", None, &Kept::default(), NOW).is_none());
}
