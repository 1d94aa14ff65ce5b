//! The conversation with one registry about one repository (OCI distribution specification 1.1, as far as plugins go).
//!
//! A connection per request: a plugin takes three or four, once. Bodies are read up to a limit that the caller knows
//! beforehand, and digested as they come. Every step has [`IDLE`] to get on.
//!
//! Our credentials go to the registry itself, and to the token service that the registry names, which is how the protocol
//! is; both over TLS unless the operator wrote `plain_http`. A redirect gets none of them if it leads to another host, and
//! is not followed if it leads from TLS to plain HTTP.
//!
//! Absent on purpose: connection pools, HTTP/2, uploads in chunks and the resuming of downloads, for which plugins are too
//! small; mirrors; other digests than SHA-256.

use std::fmt::Display;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, LOCATION, USER_AGENT, WWW_AUTHENTICATE};
use http::uri::Scheme;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioIo;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::ExposeSecret;
use serde::Deserialize;

use super::OciError;
use super::challenge::{self, Challenge};
use super::dial::{Chosen, Dialer};
use super::digest::{Digest, Digester};
use super::manifest;
use super::pull_secret::{self, Credentials};
use super::reference::Repository;
use crate::config::policies::OciSource;

/// How long any one step may take: a look-up, a handshake, the head of an answer, the next piece of it.
const IDLE: Duration = Duration::from_secs(15);
/// Of a manifest: ours take half a kilobyte, and those of signatures grow by one for each signature.
pub(super) const LONGEST_MANIFEST: u64 = 1 << 20;
/// Of a token service's answer.
const LONGEST_TOKEN: u64 = 64 << 10;
/// From the registry to its storage is one, perhaps two.
const MOST_REDIRECTS: usize = 5;
const AGENT: &str = concat!("metrics-gateway/", env!("CARGO_PKG_VERSION"));

/// What we want to do with the repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Intent {
    Pull,
    Push,
}

/// One repository of one registry, and who we are there.
pub(super) struct Registry {
    repository: Repository,
    /// Of the registry; whatever it sends us to is at least as safe.
    scheme: &'static str,
    dialer: Dialer,
    credentials: Option<Credentials>,
    /// Who asks, for errors.
    who: String,
    intent: Intent,
    /// What the registry wants to see, once it has said so.
    authorization: Option<HeaderValue>,
}

/// The bytes of an answer.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) bytes: Bytes,
    pub(super) digest: Digest,
}

impl Registry {
    /// Reads what `source` names of files; asks nobody yet.
    ///
    /// # Errors
    /// [`OciError::PullSecret`], [`OciError::CertificateAuthority`].
    pub(super) fn open(
        source: &OciSource,
        repository: &Repository,
        intent: Intent,
        proxies: Matcher,
    ) -> Result<Self, OciError> {
        let dialer = Dialer::try_new(source.certificate_authority.as_deref(), proxies)?;
        let credentials = match &source.pull_secret {
            Some(path) => pull_secret::read(path, repository)?,
            None => None,
        };
        let who = match (&credentials, &source.pull_secret) {
            (Some(known), _) => format!("user {:?} of the pull_secret", known.username),
            (None, Some(_)) => "an anonymous client (the pull_secret has no entry for it)".to_owned(),
            (None, None) => "an anonymous client".to_owned(),
        };
        let scheme = if source.plain_http { "http" } else { "https" };
        Ok(Self { repository: repository.clone(), scheme, dialer, credentials, who, intent, authorization: None })
    }

    /// The manifest that `reference` stands for: a tag, or a digest, which is for the caller to compare.
    pub(super) async fn manifest(&mut self, reference: &str) -> Result<Received, OciError> {
        let request = Ask::get(self.address(&format!("manifests/{reference}"))?).accept(manifest::ACCEPTED);
        let what = format!("manifest {reference:?}");
        let answer = self.ask(&request, &what, LONGEST_MANIFEST).await?;
        self.expect(StatusCode::OK, &what, &answer)?;
        Ok(answer.received)
    }

    /// The blob `digest`, which is at most `limit` bytes long.
    pub(super) async fn blob(&mut self, digest: Digest, limit: u64) -> Result<Bytes, OciError> {
        let request = Ask::get(self.address(&format!("blobs/{digest}"))?);
        let what = format!("blob {digest}");
        let answer = self.ask(&request, &what, limit).await?;
        self.expect(StatusCode::OK, &what, &answer)?;
        self.check_digest(&what, digest, answer.received.digest)?;
        Ok(answer.received.bytes)
    }

    /// # Errors
    /// [`OciError::WrongDigest`] where they differ.
    pub(super) fn check_digest(&self, what: &str, expected: Digest, found: Digest) -> Result<(), OciError> {
        if expected == found {
            return Ok(());
        }
        Err(OciError::WrongDigest { of: self.repository.clone(), what: what.to_owned(), expected, found })
    }

    /// Uploads a blob, unless it is there.
    pub(super) async fn put_blob(&mut self, bytes: Bytes) -> Result<(), OciError> {
        let digest = Digest::of(&bytes);
        let what = format!("blob {digest}");
        let there = Ask { method: Method::HEAD, ..Ask::get(self.address(&format!("blobs/{digest}"))?) };
        if self.ask(&there, &what, 0).await?.status == StatusCode::OK {
            return Ok(());
        }
        let begin = Ask { method: Method::POST, ..Ask::get(self.address("blobs/uploads/")?) };
        let begun = self.ask(&begin, &what, LONGEST_TOKEN).await?;
        self.expect(StatusCode::ACCEPTED, &what, &begun)?;
        let place = begun.location(&begin.uri).ok_or_else(|| self.refused(&what, "names no place for the upload"))?;
        let separator = if place.query().is_some() { '&' } else { '?' };
        let place = format!("{place}{separator}digest={digest}");
        let place =
            place.parse().map_err(|_| self.refused(&what, "names a place for the upload that is no address"))?;
        let upload = Ask::put(place, "application/octet-stream", bytes);
        let uploaded = self.ask(&upload, &what, LONGEST_TOKEN).await?;
        self.expect(StatusCode::CREATED, &what, &uploaded)
    }

    /// Uploads a manifest and has `tag` stand for it.
    pub(super) async fn put_manifest(&mut self, tag: &str, manifest: Bytes) -> Result<(), OciError> {
        let what = format!("manifest {tag:?}");
        let upload = Ask::put(self.address(&format!("manifests/{tag}"))?, manifest::MANIFEST, manifest);
        let uploaded = self.ask(&upload, &what, LONGEST_TOKEN).await?;
        self.expect(StatusCode::CREATED, &what, &uploaded)
    }

    fn address(&self, rest: &str) -> Result<Uri, OciError> {
        let (authority, name) = (self.repository.authority(), &self.repository.name);
        let text = format!("{}://{authority}/v2/{name}/{rest}", self.scheme);
        text.parse().map_err(|_| self.refused(rest, "cannot be asked: its address is malformed"))
    }

    fn expect(&self, expected: StatusCode, what: &str, answer: &Answer) -> Result<(), OciError> {
        let (of, what) = (self.repository.clone(), what.to_owned());
        match answer.status {
            status if status == expected => Ok(()),
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => Err(self.unauthorised(status)),
            StatusCode::NOT_FOUND => Err(OciError::NotFound { of, what }),
            // The registry has no opinion at the moment, or none for us.
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                Err(OciError::Unreachable { of, problem: format!("it answers {status} to our asking for {what}") })
            }
            status => Err(self.refused(&what, &format!("answers {status}, where {expected} is expected"))),
        }
    }

    fn unauthorised(&self, status: StatusCode) -> OciError {
        OciError::Unauthorised { of: self.repository.clone(), who: self.who.clone(), status: status.as_u16() }
    }

    fn refused(&self, what: &str, problem: &str) -> OciError {
        OciError::Refused { of: self.repository.clone(), what: what.to_owned(), problem: problem.to_owned() }
    }

    fn unreachable(&self, problem: impl Display) -> OciError {
        OciError::Unreachable { of: self.repository.clone(), problem: problem.to_string() }
    }

    /// Asks; where the registry wants to know who we are, says so and asks again.
    async fn ask(&mut self, ask: &Ask, what: &str, limit: u64) -> Result<Answer, OciError> {
        let answer = self.follow(ask, what, limit).await?;
        if answer.status != StatusCode::UNAUTHORIZED || self.authorization.is_some() {
            return Ok(answer);
        }
        match self.authorise(&answer.headers).await? {
            None => Ok(answer),
            Some(authorization) => {
                self.authorization = Some(authorization);
                self.follow(ask, what, limit).await
            }
        }
    }

    /// Asks, and goes where the answer points. Only what is read is followed: an upload goes where it was sent.
    async fn follow(&self, ask: &Ask, what: &str, limit: u64) -> Result<Answer, OciError> {
        let mut ask = ask.clone();
        for _ in 0..=MOST_REDIRECTS {
            let authorization = self.authorization.as_ref().filter(|_| self.is_registry(&ask.uri));
            let answer = self.send(&ask, authorization, what, limit).await?;
            if !answer.status.is_redirection() || ask.method != Method::GET {
                return Ok(answer);
            }
            ask.uri = answer.location(&ask.uri).ok_or_else(|| self.refused(what, "is a redirect to nowhere"))?;
        }
        Err(self.refused(what, "is a redirect to a redirect, too often"))
    }

    fn is_registry(&self, uri: &Uri) -> bool {
        self.address("").is_ok_and(|own| origin(&own) == origin(uri))
    }

    /// One request, one answer.
    async fn send(
        &self,
        ask: &Ask,
        authorization: Option<&HeaderValue>,
        what: &str,
        limit: u64,
    ) -> Result<Answer, OciError> {
        let chosen = if self.is_registry(&ask.uri) { Chosen::ByOperator } else { Chosen::ByRegistry };
        self.check_safe(&ask.uri, what)?;
        let request = ask.to_request(authorization).map_err(|error| self.refused(what, &error.to_string()))?;
        let stream = in_time(self.dialer.dial(&ask.uri, chosen)).await.and_then(|dialled| dialled);
        let stream = TokioIo::new(stream.map_err(|problem| self.unreachable(problem))?);
        let (mut sender, connection) = http1::handshake(stream).await.map_err(|error| self.unreachable(error))?;
        let exchange = async {
            let head = in_time(sender.send_request(request)).await.map_err(|late| self.unreachable(late))?;
            let (head, body) = head.map_err(|error| self.unreachable(whole_story(&error)))?.into_parts();
            // What a registry says beside an error is for people who ask it themselves.
            let limit = if head.status.is_success() { limit } else { 0 };
            let received = if limit == 0 { empty() } else { self.receive(body, what, limit).await? };
            Ok(Answer { status: head.status, headers: head.headers, received })
        };
        let mut exchange = std::pin::pin!(exchange);
        tokio::select! {
            biased;
            outcome = &mut exchange => outcome,
            // The other side has closed: what it said before may still be there to read.
            _ = connection => exchange.await,
        }
    }

    /// Not from TLS to plain HTTP, and not with a name and password that somebody else put into the address.
    pub(super) fn check_safe(&self, uri: &Uri, what: &str) -> Result<(), OciError> {
        let is_safe = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) => *scheme == Scheme::HTTP && self.scheme == "http",
            None => false,
        };
        if !is_safe {
            let to = manifest::quote(&uri.to_string());
            return Err(self.refused(what, &format!("leads to {to}, which is not https")));
        }
        match uri.authority() {
            Some(authority) if !authority.as_str().contains('@') => Ok(()),
            _ => Err(self.refused(what, "leads to an address with a user, or without a host")),
        }
    }

    async fn receive(&self, mut body: Incoming, what: &str, limit: u64) -> Result<Received, OciError> {
        let too_large = || OciError::TooLarge { of: self.repository.clone(), what: what.to_owned(), limit };
        let announced = body.size_hint().exact().unwrap_or(0);
        if announced > limit {
            return Err(too_large());
        }
        let mut bytes = BytesMut::with_capacity(usize::try_from(announced).unwrap_or(0));
        let mut digester = Digester::default();
        while let Some(frame) = in_time(body.frame()).await.map_err(|late| self.unreachable(late))? {
            let frame = frame.map_err(|error| self.unreachable(whole_story(&error)))?;
            let Some(piece) = frame.data_ref() else { continue };
            if (bytes.len() + piece.len()) as u64 > limit {
                return Err(too_large());
            }
            digester.update(piece);
            bytes.extend_from_slice(piece);
        }
        Ok(Received { bytes: bytes.freeze(), digest: digester.finish() })
    }

    /// What the registry wants to see, by the challenges that stand in `headers`; None where we have nothing to show.
    async fn authorise(&self, headers: &HeaderMap) -> Result<Option<HeaderValue>, OciError> {
        let values = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let challenges: Vec<Challenge> = values.flat_map(challenge::parse).collect();
        // A token is worth more: it is for this repository alone, and for some minutes.
        let bearer = challenges.iter().find_map(|challenge| match challenge {
            Challenge::Bearer { realm, service } => Some((realm, service.as_deref())),
            Challenge::Basic => None,
        });
        if let Some((realm, service)) = bearer {
            return self.token(realm, service).await.map(Some);
        }
        match &self.credentials {
            Some(credentials) if challenges.contains(&Challenge::Basic) => self.basic(credentials).map(Some),
            _ => Ok(None),
        }
    }

    fn basic(&self, credentials: &Credentials) -> Result<HeaderValue, OciError> {
        let pair = format!("{}:{}", credentials.username, credentials.password.expose_secret());
        self.header(&format!("Basic {}", STANDARD.encode(pair)))
    }

    fn header(&self, text: &str) -> Result<HeaderValue, OciError> {
        let unfit = |_| self.refused("its token", "holds characters that no header may");
        let mut value = HeaderValue::from_str(text).map_err(unfit)?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// A token for what we intend, from the service that the registry names.
    async fn token(&self, realm: &str, service: Option<&str>) -> Result<HeaderValue, OciError> {
        #[derive(Deserialize)]
        struct Token {
            token: Option<String>,
            access_token: Option<String>,
        }

        let what = "its token service";
        let unfit = || self.refused(what, &format!("has the address {}, which is none", manifest::quote(realm)));
        let uri = self.token_address(realm, service).parse().map_err(|_| unfit())?;
        let authorization = self.credentials.as_ref().map(|credentials| self.basic(credentials)).transpose()?;
        let answer = self.send(&Ask::get(uri), authorization.as_ref(), what, LONGEST_TOKEN).await?;
        self.expect(StatusCode::OK, what, &answer)?;
        let token: Option<Token> = serde_json::from_slice(&answer.received.bytes).ok();
        match token.and_then(|token| token.token.or(token.access_token)) {
            Some(token) => self.header(&format!("Bearer {token}")),
            None => Err(self.refused(what, "answers without a token")),
        }
    }

    fn token_address(&self, realm: &str, service: Option<&str>) -> String {
        let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
        let actions = match self.intent {
            Intent::Pull => "pull",
            Intent::Push => "pull,push",
        };
        let scope = format!("repository:{}:{actions}", self.repository.name);
        let separator = if realm.contains('?') { '&' } else { '?' };
        let service = service.map(|service| format!("&service={}", encoded(service))).unwrap_or_default();
        format!("{realm}{separator}scope={}{service}", encoded(&scope))
    }
}

/// A request that may have to be made again.
#[derive(Clone)]
struct Ask {
    method: Method,
    uri: Uri,
    accept: Option<&'static str>,
    content: Option<(&'static str, Bytes)>,
}

impl Ask {
    fn get(uri: Uri) -> Self {
        Self { method: Method::GET, uri, accept: None, content: None }
    }

    fn put(uri: Uri, kind: &'static str, bytes: Bytes) -> Self {
        Self { method: Method::PUT, uri, accept: None, content: Some((kind, bytes)) }
    }

    fn accept(self, accept: &'static str) -> Self {
        Self { accept: Some(accept), ..self }
    }

    fn to_request(&self, authorization: Option<&HeaderValue>) -> Result<Request<Full<Bytes>>, http::Error> {
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        let authority = self.uri.authority().map_or("", |authority| authority.as_str());
        let mut request = Request::builder().method(&self.method).uri(path).header(HOST, authority);
        request = request.header(USER_AGENT, AGENT);
        if let Some(accept) = self.accept {
            request = request.header(ACCEPT, accept);
        }
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let body = match &self.content {
            Some((kind, bytes)) => {
                request = request.header(CONTENT_TYPE, *kind);
                bytes.clone()
            }
            None => Bytes::new(),
        };
        request.body(Full::new(body))
    }
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    received: Received,
}

impl Answer {
    /// Where its `Location` points, which may be relative to `from`.
    fn location(&self, from: &Uri) -> Option<Uri> {
        resolve(from, self.headers.get(LOCATION)?.to_str().ok()?)
    }
}

/// Where `location` is, seen from `from`.
pub(super) fn resolve(from: &Uri, location: &str) -> Option<Uri> {
    let (scheme, authority) = (from.scheme_str()?, from.authority()?);
    let is_word = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let absolute = if location.split_once("://").is_some_and(|(scheme, _)| is_word(scheme)) {
        location.to_owned()
    } else if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else {
        let (directory, _) = from.path().rsplit_once('/')?;
        format!("{scheme}://{authority}{directory}/{location}")
    };
    absolute.parse().ok()
}

fn empty() -> Received {
    Received { bytes: Bytes::new(), digest: Digest::of(&[]) }
}

/// Scheme, host and port.
fn origin(uri: &Uri) -> (Option<&str>, Option<String>, u16) {
    let default = if uri.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 };
    (uri.scheme_str(), uri.host().map(str::to_ascii_lowercase), uri.port_u16().unwrap_or(default))
}

async fn in_time<F: Future>(step: F) -> Result<F::Output, String> {
    tokio::time::timeout(IDLE, step).await.map_err(|_| format!("nothing came for {} s", IDLE.as_secs()))
}

/// hyper keeps the reason one level down.
fn whole_story(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
