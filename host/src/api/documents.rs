//! Documents that clients keep and ask for again: aggregated discovery and OpenAPI. Each bears the hash of its JSON; who
//! shows that hash is told that nothing has changed.
//!
//! In: what the request asks for, as [`route`](mod@super::route) has understood it. Out: an answer. The documents are the same
//! for everyone and for as long as the process lives.
//!
//! Absent on purpose: parts of documents (`Range`), and `Last-Modified`, which says less than the hash.
//!
//! Rules: `k8s.io/apiserver` v0.36 `pkg/endpoints/discovery/aggregated`, `k8s.io/kube-openapi` `pkg/handler` and
//! `pkg/handler3`. Differences: an old hash in the address of a document gets the new one and is not to be kept, where
//! upstream redirects, which the API server makes a 502 of; an unknown version is 404, where upstream's answer is empty.

use std::fmt::Write as _;

use http::header::{CACHE_CONTROL, ETAG, EXPIRES, HeaderName, VARY};
use http::{HeaderValue, StatusCode};
use sha2::{Digest as _, Sha512};

use super::Answer;
use super::body::Body;
use super::route::Kept;
use super::wire::discovery::{ApiGroupDiscoveryList, DiscoveryVersion};
use super::wire::negotiate::Layout;
use super::wire::timestamp::http_date;
use super::wire::{Encoding, Form, View, openapi};
use crate::model::units::UnixNanos;

/// From here compressing a document pays: it is asked for over and over.
const WORTH_COMPRESSING: usize = 1400;

/// `/apis` in one document.
pub(super) fn discovery(version: DiscoveryVersion, form: Form, kept: &Kept) -> Answer {
    let document = ApiGroupDiscoveryList(version);
    // One hash for every form, as upstream: the form is part of what a cache goes by.
    let plain = Form { encoding: Encoding::Json, view: View::Object, layout: Layout::Compact };
    let etag = etag(&plain.write(&document));
    let headers = vec![
        (VARY, HeaderValue::from_static("Accept")),
        (CACHE_CONTROL, HeaderValue::from_static("public")),
        (ETAG, etag.clone()),
    ];
    if kept.is(&etag) {
        return not_modified(headers);
    }
    Answer { headers, ..Answer::ok(discovery_type(form.encoding, version), Body::whole(form.write(&document))) }
}

/// The media type, its parameters in the order in which the API server compares them.
fn discovery_type(encoding: Encoding, version: DiscoveryVersion) -> &'static str {
    macro_rules! of {
        ($version:literal) => {{
            const PARAMETERS: [&str; 4] = [
                concat!("application/json;g=apidiscovery.k8s.io;v=", $version, ";as=APIGroupDiscoveryList"),
                concat!("application/yaml;g=apidiscovery.k8s.io;v=", $version, ";as=APIGroupDiscoveryList"),
                concat!(
                    "application/vnd.kubernetes.protobuf;g=apidiscovery.k8s.io;v=",
                    $version,
                    ";as=APIGroupDiscoveryList"
                ),
                concat!("application/cbor;g=apidiscovery.k8s.io;v=", $version, ";as=APIGroupDiscoveryList"),
            ];
            PARAMETERS
        }};
    }
    let types = match version {
        DiscoveryVersion::V2 => of!("v2"),
        DiscoveryVersion::V2Beta1 => of!("v2beta1"),
    };
    let [json, yaml, protobuf, cbor] = types;
    match encoding {
        Encoding::Json => json,
        Encoding::Yaml => yaml,
        Encoding::Protobuf => protobuf,
        Encoding::Cbor => cbor,
    }
}

/// `/openapi/v2`.
pub(super) fn openapi_v2(kept: &Kept) -> Answer {
    static_json(openapi::v2(), kept, Vec::new())
}

/// `/openapi/v3`.
pub(super) fn openapi_v3_index(kept: &Kept) -> Answer {
    let index = openapi::v3_index(hash);
    document(Body::whole(index.clone()), etag(&index), kept, Vec::new())
}

/// `/openapi/v3/{path}`; None where there is no such document. Under its own hash it never changes.
pub(super) fn openapi_v3(path: &str, wanted_hash: Option<&str>, kept: &Kept, now: UnixNanos) -> Option<Answer> {
    const YEAR_NANOS: u64 = 365 * 86_400 * 1_000_000_000;
    let bytes = openapi::v3(openapi::version_at(path)?);
    let headers = match wanted_hash {
        None => Vec::new(),
        Some(wanted) if wanted == hash(bytes) => {
            let until = http_date(UnixNanos(now.0.saturating_add(YEAR_NANOS)));
            let until = HeaderValue::try_from(until).expect("a date makes a header");
            vec![(CACHE_CONTROL, HeaderValue::from_static("public, immutable")), (EXPIRES, until)]
        }
        Some(_) => vec![(CACHE_CONTROL, HeaderValue::from_static("no-cache"))],
    };
    Some(static_json(bytes, kept, headers))
}

/// None of the accepted types can be had; upstream says no more either.
pub(super) fn not_acceptable() -> Answer {
    Answer { code: StatusCode::NOT_ACCEPTABLE, ..Answer::ok("", Body::whole("")) }
}

fn static_json(bytes: &'static [u8], kept: &Kept, headers: Vec<(HeaderName, HeaderValue)>) -> Answer {
    document(Body::whole(bytes), etag(bytes), kept, headers)
}

fn document(body: Body, etag: HeaderValue, kept: &Kept, mut headers: Vec<(HeaderName, HeaderValue)>) -> Answer {
    let is_kept = kept.is(&etag);
    headers.extend([(VARY, HeaderValue::from_static("Accept")), (ETAG, etag)]);
    if is_kept {
        return not_modified(headers);
    }
    Answer { headers, worth_compressing: WORTH_COMPRESSING, ..Answer::ok("application/json", body) }
}

fn not_modified(headers: Vec<(HeaderName, HeaderValue)>) -> Answer {
    Answer { code: StatusCode::NOT_MODIFIED, headers, ..Answer::ok("", Body::whole("")) }
}

fn etag(bytes: &[u8]) -> HeaderValue {
    HeaderValue::try_from(format!("\"{}\"", hash(bytes))).expect("digits and quotes make a header")
}

/// In capitals, as upstream.
fn hash(bytes: &[u8]) -> String {
    Sha512::digest(bytes).iter().fold(String::with_capacity(128), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02X}");
        text
    })
}

#[cfg(test)]
mod tests;
