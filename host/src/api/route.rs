//! What a request asks for: the terms in which permission is given, and the endpoint with its checked options.
//! Pure, and total for any bytes.
//!
//! In: method, URI, headers. Out: a [`Routed`]. Its parts are wanted at different times, and the order in which their
//! faults are told is upstream's: [`timeout`](Routed::timeout) before it is known who asks, then (by `auth`) who and
//! whether they may, by [`attributes`](Routed::attributes), and then [`outcome`](Routed::outcome), in which the router's
//! 404, 405 and 406 go before the serializer's 406, and that before the options' 400 and 422 and the 405 of a watch.
//!
//! The path is percent-decoded once, and permission and routing see that same text: nothing is cleaned, `..` and
//! empty segments are names that do not exist.
//!
//! Absent on purpose: lookups. An endpoint names a node or a pod; whether there is one is not known here.
//!
//! Rules: `k8s.io/apiserver` v0.36 `pkg/endpoints/request/requestinfo.go` (attributes), `pkg/server/handler.go` and
//! go-restful's router (paths), `pkg/endpoints/handlers/get.go` (options). Differences: an empty segment inside a
//! resource's path is 404, where upstream takes an empty namespace for all of them; a path with a broken escape is
//! a Status, where upstream's HTTP library answers in plain text.

mod query;

use std::time::Duration;

use http::header::IF_NONE_MATCH;
use http::{HeaderMap, HeaderValue, Method, Uri};
use percent_encoding::percent_decode_str;

pub use query::ListOptions;
use query::Query;

use super::exposition::Format;
use super::probes::{Probe, Question, Verbosity};
use super::wire::discovery::DiscoveryVersion;
use super::wire::negotiate::{Offer, Wishes};
use super::wire::status::quote;
use super::wire::{ApiVersion, Form, GROUP, Resource, Status, duration};
use crate::auth::{Attributes, ResourceAttributes};

/// Where the usage is for Prometheus, if the configuration says so.
pub const RESOURCE_METRICS: &str = "/metrics/resource";

/// A request, understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Routed {
    /// What permission is to be asked for.
    pub attributes: Attributes,
    /// How long the client would wait, where it says so and its wish can be granted; the server's own limit still
    /// holds. Its fault is told even to those who have not said who they are.
    pub timeout: Result<Option<Duration>, Status>,
    /// The form in which to tell what went wrong, here or later.
    pub error_form: Form,
    /// What to answer, once it is permitted.
    pub outcome: Result<Endpoint, Status>,
}

/// Something that can be answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Endpoint {
    /// `/`: the paths that there are.
    Index,
    /// A path that does not exist outside the API group: 404 with the body of [`Endpoint::Index`].
    UnknownPath,
    /// `/apis`, as it was of old.
    ApiGroupList(Form),
    /// `/apis` with all that is below it.
    Discovery(DiscoveryVersion, Form, Kept),
    /// `/apis/metrics.k8s.io`.
    ApiGroup(Form),
    /// `/apis/metrics.k8s.io/{version}`.
    ApiResources(ApiVersion, Form),
    /// Nodes that match.
    Nodes(ApiVersion, ListOptions, Form),
    /// One node.
    Node {
        /// In which version.
        version: ApiVersion,
        /// Its name, unchecked.
        name: String,
        /// In which form.
        form: Form,
    },
    /// Pods that match.
    Pods {
        /// In which version.
        version: ApiVersion,
        /// None: of every namespace.
        namespace: Option<String>,
        /// Which of them.
        options: ListOptions,
        /// In which form.
        form: Form,
    },
    /// One pod.
    Pod {
        /// In which version.
        version: ApiVersion,
        /// Its namespace, unchecked.
        namespace: String,
        /// Its name, unchecked.
        name: String,
        /// In which form.
        form: Form,
    },
    /// Why a node is served as it is.
    ExplainNode(String),
    /// Why a pod is.
    ExplainPod {
        /// Its namespace, unchecked.
        namespace: String,
        /// Its name, unchecked.
        name: String,
    },
    /// How the gateway itself fares.
    Gateways,
    /// `/version`.
    Version,
    /// `/livez`, `/readyz`, `/healthz`: all checks.
    Probe(Probe, Question),
    /// One check of a probe. It exists.
    ProbeCheck(Probe, &'static str),
    /// `/metrics`.
    Metrics,
    /// `/metrics/resource`, where it is switched on.
    ResourceMetrics(Format),
    /// `/openapi/v2`.
    OpenApiV2(Kept),
    /// `/openapi/v3`: which documents there are.
    OpenApiV3Index(Kept),
    /// `/openapi/v3/{path}`.
    OpenApiV3 {
        /// For example `apis/metrics.k8s.io/v1`; need not exist.
        path: String,
        /// The parameter `hash`.
        hash: Option<String>,
        /// Which one the client has.
        kept: Kept,
    },
    /// An OpenAPI document in a form that it has not got.
    OpenApiNotAcceptable,
}

/// Which document a client has already: `If-None-Match`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kept(Option<HeaderValue>);

impl Kept {
    /// Whether it is the one with this `ETag`. Compared as a whole, as upstream does.
    pub fn is(&self, etag: &HeaderValue) -> bool {
        self.0.as_ref() == Some(etag)
    }
}

/// Understands a request.
pub fn route(method: &Method, uri: &Uri, headers: &HeaderMap) -> Routed {
    let query = Query::parse(uri.query().unwrap_or_default());
    let wishes = Wishes::new(headers, query.first("pretty"), query.first("includeObject"));
    let path = percent_decode_str(uri.path()).decode_utf8_lossy().into_owned();
    let attributes = attributes(method, path, &query);
    let kept = Kept(headers.get(IF_NONE_MATCH).cloned());
    let request = Request { method, path: &attributes.path, query: &query, wishes, kept };
    let outcome = match query::bad_escape(uri.path()) {
        Some(escape) => Err(Status::bad_request(format!("invalid URL escape {}", quote(escape)))),
        None => request.endpoint(),
    };
    let timeout = timeout(&query, attributes.verb);
    let error_form = wishes.choose_for_error();
    Routed { timeout, error_form, outcome, attributes }
}

/// The paths that exist whatever is in the cluster, for the index.
pub fn paths() -> impl Iterator<Item = String> {
    let fixed = ["/apis", "/metrics", "/openapi/v2", "/openapi/v3", "/openapi/v3/", "/version"].map(str::to_owned);
    let group = std::iter::once(format!("/apis/{GROUP}"));
    let versions = ApiVersion::ALL.iter().map(|version| format!("/apis/{}", version.group_version()));
    let probes = Probe::ALL.iter().flat_map(|probe| {
        let root = format!("/{}", probe.as_str());
        let checks: Vec<String> = probe.checks().iter().map(|check| format!("{root}/{check}")).collect();
        std::iter::once(root).chain(checks)
    });
    fixed.into_iter().chain(group).chain(versions).chain(probes)
}

/// `timeout` bounds everything but a watch. What is not above zero asks for no bound of its own.
fn timeout(query: &Query<'_>, verb: &str) -> Result<Option<Duration>, Status> {
    let Some(text) = query.first("timeout").filter(|text| !text.is_empty() && verb != "watch") else {
        return Ok(None);
    };
    let nanos = duration::parse(text)
        .map_err(|why| Status::bad_request(format!("invalid timeout specified in the request URL - {why}")))?;
    Ok(u64::try_from(nanos).ok().filter(|nanos| *nanos > 0).map(Duration::from_nanos))
}

fn attributes(method: &Method, path: String, query: &Query<'_>) -> Attributes {
    let segments = segments(&path);
    let Some(named) = Named::in_path(&segments) else {
        return Attributes { verb: method_in_lower_case(method), path, resource: None };
    };
    let mut resource = ResourceAttributes {
        group: named.group.to_owned(),
        version: named.version.to_owned(),
        namespace: named.namespace.to_owned(),
        resource: named.resource.to_owned(),
        subresource: named.subresource.to_owned(),
        name: named.name.to_owned(),
        ..ResourceAttributes::default()
    };
    let mut verb = named.prefix.unwrap_or_else(|| verb_of(method));
    if resource.name.is_empty() && verb == "get" {
        verb = if query.is_on("watch") { "watch" } else { "list" };
        if let Ok(options) = query::list_options(query) {
            let exact = options.fields.exact_name().filter(|name| is_path_segment(name));
            resource.name = exact.unwrap_or_default().to_owned();
        }
    }
    if resource.name.is_empty() && verb == "delete" {
        verb = "deletecollection";
    }
    if ["list", "watch", "deletecollection"].contains(&verb) {
        let ListOptions { labels, fields } = query::selectors(query);
        (resource.labels, resource.fields) = (labels, fields);
    }
    let resource = Some(resource);
    Attributes { verb, path, resource }
}

/// The segments between slashes, without the slashes around all of it; none for the root.
fn segments(path: &str) -> Vec<&str> {
    match path.trim_matches('/') {
        "" => Vec::new(),
        inner => inner.split('/').collect(),
    }
}

/// What the segments of a resource's path name.
struct Named<'a> {
    group: &'a str,
    version: &'a str,
    /// The verb, where the path itself holds it.
    prefix: Option<&'static str>,
    namespace: &'a str,
    resource: &'a str,
    name: &'a str,
    subresource: &'a str,
}

impl<'a> Named<'a> {
    /// None for a path that names no resource.
    fn in_path(segments: &[&'a str]) -> Option<Self> {
        let (group, rest) = match segments {
            ["api", rest @ ..] if rest.len() >= 2 => ("", rest),
            ["apis", group, rest @ ..] if rest.len() >= 2 => (*group, rest),
            _ => return None,
        };
        let (version, rest) = rest.split_first()?;
        let (prefix, rest) = match rest {
            ["watch", rest @ ..] => (Some("watch"), rest),
            ["proxy", rest @ ..] => (Some("proxy"), rest),
            rest => (None, rest),
        };
        let (namespace, parts) = match rest {
            ["namespaces", namespace, parts @ ..]
                if !["status", "finalize"].contains(parts.first().unwrap_or(&"status")) =>
            {
                (*namespace, parts)
            }
            ["namespaces", namespace, ..] => (*namespace, rest),
            rest => ("", rest),
        };
        let part = |index: usize| parts.get(index).copied().unwrap_or_default();
        let subresource = if prefix == Some("proxy") { "" } else { part(2) };
        Some(Self { group, version, prefix, namespace, resource: part(0), name: part(1), subresource })
    }
}

fn verb_of(method: &Method) -> &'static str {
    match *method {
        Method::GET | Method::HEAD => "get",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "",
    }
}

/// Methods that HTTP does not know have no verb here, and so nobody is permitted them who is not permitted all.
fn method_in_lower_case(method: &Method) -> &'static str {
    match *method {
        Method::GET => "get",
        Method::HEAD => "head",
        Method::POST => "post",
        Method::PUT => "put",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        Method::OPTIONS => "options",
        Method::TRACE => "trace",
        Method::CONNECT => "connect",
        _ => "",
    }
}

/// Whether an object can have this name at all.
fn is_path_segment(name: &str) -> bool {
    ![".", ".."].contains(&name) && !name.contains(['/', '%'])
}

struct Request<'a> {
    method: &'a Method,
    path: &'a str,
    query: &'a Query<'a>,
    wishes: Wishes<'a>,
    kept: Kept,
}

impl Request<'_> {
    /// Outside the API group paths are compared as a whole; within, a slash at the end does not count.
    fn endpoint(&self) -> Result<Endpoint, Status> {
        match self.path {
            "/" | "/index.html" => Ok(Endpoint::Index),
            "/apis" | "/apis/" => self.groups(),
            "/metrics" => Ok(Endpoint::Metrics),
            RESOURCE_METRICS => Ok(Endpoint::ResourceMetrics(Format::of(self.wishes.accept()))),
            "/openapi/v2" => Ok(self.openapi(Endpoint::OpenApiV2)),
            "/openapi/v3" => Ok(self.openapi(Endpoint::OpenApiV3Index)),
            path => match path.split_at_checked(path.match_indices('/').nth(1).map_or(path.len(), |(at, _)| at)) {
                Some(("/version", rest)) => self.version(rest),
                Some(("/apis", rest)) => self.in_group(rest),
                Some(("/openapi", rest)) => Ok(self.openapi_v3(rest)),
                Some((first, rest)) => Ok(self.probe(first, rest)),
                None => Ok(Endpoint::UnknownPath),
            },
        }
    }

    fn version(&self, rest: &str) -> Result<Endpoint, Status> {
        if !segments(rest).is_empty() {
            return Err(Status::path_not_found());
        }
        self.check_method_and_accept(Offer::JsonOnly)?;
        Ok(Endpoint::Version)
    }

    fn openapi_v3(&self, rest: &str) -> Endpoint {
        let Some(path) = rest.strip_prefix("/v3/") else { return Endpoint::UnknownPath };
        let (path, hash) = (path.to_owned(), self.query.first("hash").map(str::to_owned));
        self.openapi(|kept| Endpoint::OpenApiV3 { path, hash, kept })
    }

    /// Documents that are there in JSON only, whatever the method.
    fn openapi(&self, endpoint: impl FnOnce(Kept) -> Endpoint) -> Endpoint {
        if self.wishes.takes_json() { endpoint(self.kept.clone()) } else { Endpoint::OpenApiNotAcceptable }
    }

    fn groups(&self) -> Result<Endpoint, Status> {
        self.check_method_and_accept(Offer::Groups)?;
        let chosen = self.wishes.choose(Offer::Groups)?;
        Ok(match chosen.discovery() {
            Some(version) => Endpoint::Discovery(version, chosen.whole(), self.kept.clone()),
            None => Endpoint::ApiGroupList(chosen.whole()),
        })
    }

    fn probe(&self, first: &str, rest: &str) -> Endpoint {
        let Some(probe) = Probe::ALL.into_iter().find(|probe| first.strip_prefix('/') == Some(probe.as_str())) else {
            return Endpoint::UnknownPath;
        };
        if rest.is_empty() {
            let is_verbose = self.query.first("verbose").is_some();
            let verbosity = if is_verbose { Verbosity::Verbose } else { Verbosity::Terse };
            let exclude = self.query.all("exclude").map(str::to_owned).collect();
            return Endpoint::Probe(probe, Question { verbosity, exclude });
        }
        let check = probe.checks().iter().find(|check| rest.strip_prefix('/') == Some(check));
        check.map_or(Endpoint::UnknownPath, |check| Endpoint::ProbeCheck(probe, check))
    }

    /// `rest` follows `/apis`.
    fn in_group(&self, rest: &str) -> Result<Endpoint, Status> {
        let below = rest.strip_prefix('/').and_then(|rest| rest.strip_prefix(GROUP));
        let Some(below) = below.filter(|below| below.is_empty() || below.starts_with('/')) else {
            return Ok(Endpoint::UnknownPath);
        };
        // Only at the end do slashes not count: elsewhere permission was asked for something else than what would
        // be found without them.
        let segments: Vec<&str> = below.trim_end_matches('/').split('/').skip(1).collect();
        if segments.contains(&"") {
            return Err(Status::path_not_found());
        }
        let Some((version, resource)) = segments.split_first() else {
            return self.document(Endpoint::ApiGroup);
        };
        let version = ApiVersion::from_path(version).ok_or_else(Status::path_not_found)?;
        match *resource {
            [] => self.document(|form| Endpoint::ApiResources(version, form)),
            ["nodes"] => {
                let (options, form) = self.list(Resource::Nodes)?;
                Ok(Endpoint::Nodes(version, options, form))
            }
            ["nodes", name] => {
                let form = self.object(Resource::Nodes)?;
                Ok(Endpoint::Node { version, name: name.to_owned(), form })
            }
            ["pods"] => {
                let (options, form) = self.list(Resource::Pods)?;
                Ok(Endpoint::Pods { version, namespace: None, options, form })
            }
            ["namespaces", namespace, "pods"] => {
                let (options, form) = self.list(Resource::Pods)?;
                Ok(Endpoint::Pods { version, namespace: Some(namespace.to_owned()), options, form })
            }
            ["namespaces", namespace, "pods", name] => {
                let form = self.object(Resource::Pods)?;
                Ok(Endpoint::Pod { version, namespace: namespace.to_owned(), name: name.to_owned(), form })
            }
            // Ours, and in no document of discovery, which says what upstream's says; the same in each version.
            ["nodes", name, "explain"] => {
                self.check_method_and_accept(Offer::JsonOnly)?;
                Ok(Endpoint::ExplainNode(name.to_owned()))
            }
            ["namespaces", namespace, "pods", name, "explain"] => {
                self.check_method_and_accept(Offer::JsonOnly)?;
                Ok(Endpoint::ExplainPod { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            ["gateways"] if self.query.is_on("watch") => Err(Status::method_not_allowed()),
            ["gateways"] => {
                self.check_method_and_accept(Offer::JsonOnly)?;
                Ok(Endpoint::Gateways)
            }
            _ => Err(Status::path_not_found()),
        }
    }

    fn document(&self, endpoint: impl FnOnce(Form) -> Endpoint) -> Result<Endpoint, Status> {
        self.check_method_and_accept(Offer::Document)?;
        Ok(endpoint(self.wishes.choose(Offer::Document)?.whole()))
    }

    fn list(&self, resource: Resource) -> Result<(ListOptions, Form), Status> {
        let offer = Offer::List(resource);
        self.check_method_and_accept(offer)?;
        let chosen = self.wishes.choose(offer)?;
        let options = query::list_options(self.query)?;
        if self.query.is_on("watch") {
            return Err(Status::watch_not_supported(resource));
        }
        Ok((options, chosen.view(offer, &self.wishes)?))
    }

    /// The options of a list mean nothing here and are not looked at.
    fn object(&self, resource: Resource) -> Result<Form, Status> {
        let offer = Offer::Object(resource);
        self.check_method_and_accept(offer)?;
        let chosen = self.wishes.choose(offer)?;
        if self.query.is_on("export") {
            return Err(Status::bad_request("the export parameter, deprecated since v1.14, is no longer supported"));
        }
        chosen.view(offer, &self.wishes)
    }

    /// Even HEAD is refused, as upstream refuses it.
    fn check_method_and_accept(&self, offer: Offer) -> Result<(), Status> {
        if self.method != Method::GET {
            return Err(Status::method_not_allowed());
        }
        self.wishes.check_routable(offer)
    }
}

#[cfg(test)]
mod tests;
