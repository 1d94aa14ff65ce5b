//! Which form a client gets its answer in: encoding, view of the object, layout. Pure and total.
//!
//! In: the headers `Accept` and `User-Agent` and the parameters `pretty` and `includeObject`. Out: a [`Form`], or
//! the Status that says why there is none.
//!
//! Two stages, as upstream has them. The router takes a request if some accepted type, without its parameters, is
//! literally one that the path can produce, or `*/*`. The serializer then takes the best clause whose parameters it
//! can fulfil; a clause that asks for an unknown form is skipped, not refused.
//!
//! Rule: `k8s.io/apiserver` v0.36 `pkg/endpoints/handlers/negotiation` and `handlers/response.go`. Differences: clauses are
//! sorted by their weight alone and then by how specific they are (upstream's comparison is not an order); CBOR is
//! answered where it is asked for, though the texts, which are upstream's, do not name it; a clause that asks for a table
//! in protobuf, which does not exist, is skipped like any other that cannot be fulfilled, where upstream gives up.

use http::HeaderMap;
use http::header::{ACCEPT, HeaderName, USER_AGENT};

use super::discovery::DiscoveryVersion;
use super::encode::Document;
use super::status::{Status, quote};
use super::{Resource, cbor, json, protobuf, yaml};

/// How bytes stand for an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// `application/json`.
    Json,
    /// `application/yaml`.
    Yaml,
    /// `application/vnd.kubernetes.protobuf`.
    Protobuf,
    /// `application/cbor`.
    Cbor,
}

impl Encoding {
    /// Every encoding, the one for clients that do not care first.
    pub const ALL: [Self; 4] = [Self::Json, Self::Yaml, Self::Protobuf, Self::Cbor];

    /// The media type, as it stands in `Content-Type`.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Yaml => "application/yaml",
            Self::Protobuf => "application/vnd.kubernetes.protobuf",
            Self::Cbor => "application/cbor",
        }
    }

    fn can_be_watched(self) -> bool {
        self != Self::Yaml
    }
}

/// What is shown of an object or list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// All of it.
    Object,
    /// Rows for people: `as=Table`.
    Table(MetaVersion, IncludeObject),
    /// Only the metadata: `as=PartialObjectMetadata`, `as=PartialObjectMetadataList`.
    Metadata(MetaVersion),
}

/// A version of the group `meta.k8s.io`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetaVersion {
    /// `v1`.
    V1,
    /// `v1beta1`.
    V1Beta1,
}

impl MetaVersion {
    /// Group and version, as `apiVersion` has them.
    pub fn group_version(self) -> &'static str {
        match self {
            Self::V1 => "meta.k8s.io/v1",
            Self::V1Beta1 => "meta.k8s.io/v1beta1",
        }
    }
}

/// What a row of a table says of its object, besides the cells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IncludeObject {
    /// Nothing.
    None,
    /// Its metadata.
    #[default]
    Metadata,
    /// All.
    Object,
}

/// For whom a text is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Programs.
    Compact,
    /// People.
    Pretty,
}

/// The form of one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// How it is encoded.
    pub encoding: Encoding,
    /// What is shown.
    pub view: View,
    /// For whom; only JSON makes a difference.
    pub layout: Layout,
}

/// What a path can answer with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// A list of a resource.
    List(Resource),
    /// One object of a resource.
    Object(Resource),
    /// The groups of the API.
    Groups,
    /// A document about the API.
    Document,
    /// A document about the server, in JSON only.
    JsonOnly,
}

/// What a request says about the form of its answer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wishes<'a> {
    accept: &'a [u8],
    user_agent: &'a [u8],
    /// The first parameter `pretty`; none where there is none.
    pretty: Option<&'a str>,
    /// The first parameter `includeObject`.
    include_object: Option<&'a str>,
}

impl<'a> Wishes<'a> {
    /// The wishes of a request with these headers and parameters. Of a repeated header the first line counts.
    pub fn new(headers: &'a HeaderMap, pretty: Option<&'a str>, include_object: Option<&'a str>) -> Self {
        let bytes = |name: HeaderName| headers.get(name).map_or(&b""[..], |value| value.as_bytes());
        Self { accept: bytes(ACCEPT), user_agent: bytes(USER_AGENT), pretty, include_object }
    }

    /// The router's stage.
    ///
    /// # Errors
    /// 406 where nothing that the path can produce is accepted.
    pub fn check_routable(&self, offer: Offer) -> Result<(), Status> {
        let accept = String::from_utf8_lossy(self.accept);
        let is_produced = |item: &str| {
            let media_type = item.split(';').next().unwrap_or_default().trim();
            media_type == "*/*" || offer.encodings().iter().any(|encoding| encoding.media_type() == media_type)
        };
        if accept.trim().is_empty() || accept.split(',').any(is_produced) {
            return Ok(());
        }
        Err(Status::not_acceptable(offer.representations()))
    }

    /// The serializer's stage.
    ///
    /// # Errors
    /// 406 where every clause asks for a form that the path has not got.
    pub fn choose(&self, offer: Offer) -> Result<Chosen, Status> {
        let accept = String::from_utf8_lossy(self.accept);
        if accept.is_empty() || offer == Offer::JsonOnly {
            return Ok(Chosen { encoding: Encoding::Json, transform: None, layout: self.layout(false) });
        }
        let clauses = clauses(&accept);
        let mut fulfilled = clauses.iter().filter_map(|clause| Some((clause, self.fulfil(clause, offer)?)));
        let Some((best, mut chosen)) = fulfilled.next() else {
            let why = format!("only the following media types are accepted: {PRODUCED}");
            return Err(Status::form_not_acceptable(why));
        };
        if offer == Offer::Groups && chosen.transform.is_none() {
            // Whoever can read all of discovery in one document is better off with that.
            let mut as_good = fulfilled.take_while(|(clause, _)| clause.weight == best.weight);
            chosen = as_good.find(|(_, other)| other.transform.is_some()).map_or(chosen, |(_, other)| other);
        }
        Ok(chosen)
    }

    /// None: the clause asks for what the path has not got.
    fn fulfil(&self, clause: &Clause<'_>, offer: Offer) -> Option<Chosen> {
        let encoding = offer.encodings().iter().copied().find(|encoding| clause.matches(encoding.media_type()))?;
        if clause.value("stream").is_some_and(|kind| !encoding.can_be_watched() || !["", "watch"].contains(&kind)) {
            return None;
        }
        if clause.value("sv").is_some_and(|version| !version.is_empty()) {
            return None;
        }
        let transform = match ["as", "g", "v"].map(|name| clause.value(name)) {
            [None, None, None] => None,
            [kind, group, version] => Some(offer.transform(encoding, kind?, group?, version?)?),
        };
        Some(Chosen { encoding, transform, layout: self.layout(clause.value("pretty") == Some("1")) })
    }

    /// Whether JSON would do. Asked for OpenAPI, which has no router's stage.
    pub fn takes_json(&self) -> bool {
        let accept = String::from_utf8_lossy(self.accept);
        accept.is_empty() || clauses(&accept).iter().any(|clause| clause.matches(Encoding::Json.media_type()))
    }

    /// The form in which to say that something went wrong: the one that was asked for if it can be had, otherwise
    /// JSON for people, because then a person will have to read it.
    pub fn choose_for_error(&self) -> Form {
        let fallback = Form { encoding: Encoding::Json, view: View::Object, layout: Layout::Pretty };
        self.choose(Offer::Document).map_or(fallback, Chosen::whole)
    }

    /// The header `Accept` as it came, for what is no object of the API.
    pub fn accept(&self) -> &'a [u8] {
        self.accept
    }

    fn include_object(&self) -> Result<IncludeObject, Status> {
        match self.include_object.unwrap_or_default() {
            "None" => Ok(IncludeObject::None),
            "" | "Metadata" => Ok(IncludeObject::Metadata),
            "Object" => Ok(IncludeObject::Object),
            other => Err(Status::bad_request(format!(
                "Unable to convert to Table as requested: includeObject: Invalid value: {}: must be 'Metadata', \
                 'Object', 'None', or empty",
                quote(other)
            ))),
        }
    }

    /// A parameter `pretty` with a value overrules the rest, in either direction, save a clause that says so itself.
    fn layout(&self, clause_says_pretty: bool) -> Layout {
        let is_person =
            || ["curl", "Wget", "Mozilla/5.0"].iter().any(|who| self.user_agent.starts_with(who.as_bytes()));
        let pretty = match self.pretty {
            None | Some("") => is_person(),
            Some(text) => ["1", "t", "T", "true", "TRUE", "True"].contains(&text),
        };
        if clause_says_pretty || pretty { Layout::Pretty } else { Layout::Compact }
    }
}

/// The clause that won, before its view is checked against what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen {
    encoding: Encoding,
    transform: Option<Transform>,
    layout: Layout,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transform {
    Table(MetaVersion),
    Metadata(MetaVersion),
    MetadataList(MetaVersion),
    Discovery(DiscoveryVersion),
}

impl Chosen {
    /// The form of an answer that can only be shown whole.
    pub fn whole(self) -> Form {
        Form { encoding: self.encoding, view: View::Object, layout: self.layout }
    }

    /// The version of aggregated discovery that was asked for, if it was.
    pub fn discovery(self) -> Option<DiscoveryVersion> {
        match self.transform {
            Some(Transform::Discovery(version)) => Some(version),
            _ => None,
        }
    }

    /// The form of a resource's answer. Upstream checks this last, after the options of a list.
    ///
    /// # Errors
    /// 400 for an `includeObject` that does not exist, 406 for metadata of an object where there is a list and the
    /// other way round.
    pub fn view(self, offer: Offer, wishes: &Wishes<'_>) -> Result<Form, Status> {
        let view = match (self.transform, offer) {
            (None | Some(Transform::Discovery(_)), _) => View::Object,
            (Some(Transform::Table(version)), _) => View::Table(version, wishes.include_object()?),
            (Some(Transform::Metadata(_)), Offer::List(resource)) => {
                return Err(Status::form_not_acceptable(format!(
                    "you requested PartialObjectMetadata, but the requested object is a list (*metrics.{})",
                    resource.list_kind()
                )));
            }
            (Some(Transform::MetadataList(_)), Offer::Object(resource)) => {
                return Err(Status::form_not_acceptable(format!(
                    "you requested PartialObjectMetadataList, but the requested object is not a list (*metrics.{})",
                    resource.kind()
                )));
            }
            (Some(Transform::Metadata(version) | Transform::MetadataList(version)), _) => View::Metadata(version),
        };
        Ok(Form { view, ..self.whole() })
    }
}

impl Form {
    /// The value of `Content-Type`.
    pub fn content_type(&self) -> &'static str {
        self.encoding.media_type()
    }

    /// Whether what stands before the items of a list says how long they are, so that nothing of it can leave before
    /// all of it is written.
    pub fn needs_length(&self) -> bool {
        self.encoding == Encoding::Protobuf
    }

    /// The body of an answer.
    pub(in crate::api) fn write(&self, document: &impl Document) -> Vec<u8> {
        let mut out = Vec::with_capacity(1024);
        match (self.encoding, self.layout) {
            (Encoding::Json, Layout::Compact) => {
                json::write(&mut out, document);
                out.push(b'\n');
            }
            (Encoding::Json, Layout::Pretty) => {
                json::write(&mut out, document);
                return json::indent(&out);
            }
            (Encoding::Yaml, _) => {
                json::write(&mut out, document);
                return yaml::from_json(&out);
            }
            (Encoding::Protobuf, _) => protobuf::write(&mut out, document),
            (Encoding::Cbor, _) => cbor::write(&mut out, document),
        }
        out
    }
}

/// The media types of resources, as upstream's messages list them.
const PRODUCED: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf";

impl Offer {
    fn encodings(self) -> &'static [Encoding] {
        if self == Self::JsonOnly { &[Encoding::Json] } else { &Encoding::ALL }
    }

    fn representations(self) -> &'static str {
        match self {
            Self::List(_) => {
                "application/json, application/yaml, application/vnd.kubernetes.protobuf, \
                 application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch"
            }
            Self::Object(_) | Self::Groups | Self::Document => PRODUCED,
            Self::JsonOnly => "application/json",
        }
    }

    /// What the parameters `as`, `g` and `v` of a clause ask for.
    fn transform(self, encoding: Encoding, kind: &str, group: &str, version: &str) -> Option<Transform> {
        match (self, group, version) {
            (Self::List(_) | Self::Object(_), "meta.k8s.io", "v1") => meta_transform(encoding, kind, MetaVersion::V1),
            (Self::List(_) | Self::Object(_), "meta.k8s.io", "v1beta1") => {
                meta_transform(encoding, kind, MetaVersion::V1Beta1)
            }
            (Self::Groups, "apidiscovery.k8s.io", version) if kind == "APIGroupDiscoveryList" => {
                let known = [DiscoveryVersion::V2, DiscoveryVersion::V2Beta1];
                known.into_iter().find(|known| known.as_str() == version).map(Transform::Discovery)
            }
            _ => None,
        }
    }
}

fn meta_transform(encoding: Encoding, kind: &str, version: MetaVersion) -> Option<Transform> {
    match kind {
        // There is no message for it.
        "Table" if encoding == Encoding::Protobuf => None,
        "Table" => Some(Transform::Table(version)),
        "PartialObjectMetadata" => Some(Transform::Metadata(version)),
        "PartialObjectMetadataList" => Some(Transform::MetadataList(version)),
        _ => None,
    }
}

/// One alternative of `Accept`.
struct Clause<'a> {
    media_type: (&'a str, &'a str),
    weight: f32,
    parameters: Vec<(&'a str, &'a str)>,
}

/// The alternatives, best first.
fn clauses(accept: &str) -> Vec<Clause<'_>> {
    let mut clauses: Vec<Clause<'_>> = accept.split(',').filter_map(Clause::parse).collect();
    let wildcards = |clause: &Clause<'_>| (clause.media_type.0 == "*", clause.media_type.1 == "*");
    clauses.sort_by(|a, b| b.weight.total_cmp(&a.weight).then_with(|| wildcards(a).cmp(&wildcards(b))));
    clauses
}

impl<'a> Clause<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';');
        let media_type = parts.next()?.trim().split_once('/')?;
        let mut clause = Self { media_type, weight: 1.0, parameters: Vec::new() };
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            match (name.trim(), value.trim()) {
                ("q", weight) => clause.weight = weight.parse().ok().filter(|w: &f32| !w.is_nan()).unwrap_or(0.0),
                parameter => clause.parameters.push(parameter),
            }
        }
        Some(clause)
    }

    /// Of a repeated parameter the last one counts.
    fn value(&self, wanted: &str) -> Option<&'a str> {
        self.parameters.iter().rev().find(|(name, _)| *name == wanted).map(|(_, value)| *value)
    }

    fn matches(&self, media_type: &str) -> bool {
        match self.media_type {
            ("*", "*") => true,
            (kind, "*") => media_type.split_once('/').is_some_and(|(own, _)| own == kind),
            (kind, sub) => media_type.split_once('/') == Some((kind, sub)),
        }
    }
}

#[cfg(test)]
mod tests;
