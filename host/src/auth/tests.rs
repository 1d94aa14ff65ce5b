//! What the door's tests share: CAs that live as long as a test, an API server that answers by rule and counts, and a
//! door with both. The tests beside the parts use it; here stand those that need the whole door.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::authentication::v1::{TokenReviewStatus, UserInfo};
use k8s_openapi::api::authorization::v1::{SubjectAccessReviewSpec, SubjectAccessReviewStatus};
use parking_lot::Mutex;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};
use rustls_pki_types::CertificateDer;

use super::review::{AccessReviewer, Again, Attempt, ReviewError, TokenReviewer};
use super::trust::TrustStore;
use super::{Attributes, Door, Identity, Peer, Refusal, ResourceAttributes, Reviewers, User};
use crate::config::{AuthenticationConfig, AuthorizationConfig};
use crate::model::units::UnixNanos;

/// 2026-11-21, as good as any.
pub(super) const NOW: u64 = 1_795_000_000;

pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(super) pem: String,
}

impl Authority {
    pub(super) fn new(name: &str) -> Self {
        Self::with(authority(name))
    }

    pub(super) fn with(params: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    pub(super) fn sign(&self, params: &CertificateParams) -> CertificateDer<'static> {
        self.sign_with_key(params).0
    }

    pub(super) fn sign_with_key(&self, params: &CertificateParams) -> (CertificateDer<'static>, KeyPair) {
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().der().clone(), key)
    }

    /// A peer with a certificate for TLS clients.
    pub(super) fn peer(&self, name: &str, organizations: &[&str]) -> Peer {
        peer(self.sign(&used_for(subject(name, organizations), &[ExtendedKeyUsagePurpose::ClientAuth])))
    }
}

/// With at most two organizations, which is all that the library can be brought to write.
pub(super) fn subject(name: &str, organizations: &[&str]) -> CertificateParams {
    let mut names = DistinguishedName::new();
    if !name.is_empty() {
        names.push(DnType::CommonName, name);
    }
    let types = [DnType::OrganizationName, DnType::CustomDnType(vec![2, 5, 4, 10])];
    for (kind, organization) in types.into_iter().zip(organizations) {
        names.push(kind, *organization);
    }
    let mut params = CertificateParams::default();
    params.distinguished_name = names;
    params
}

pub(super) fn authority(name: &str) -> CertificateParams {
    let mut params = subject(name, &[]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

pub(super) fn used_for(mut params: CertificateParams, usages: &[ExtendedKeyUsagePurpose]) -> CertificateParams {
    params.extended_key_usages = usages.to_vec();
    params
}

pub(super) fn peer(certificate: CertificateDer<'static>) -> Peer {
    Peer::new(REMOTE, vec![certificate])
}

pub(super) fn nobody() -> Peer {
    Peer::new(REMOTE, Vec::new())
}

pub(super) const REMOTE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

pub(super) fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    let line = |(name, value): &(&str, &str)| {
        (name.parse::<HeaderName>().unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap())
    };
    lines.iter().map(line).fold(HeaderMap::new(), |mut headers, (name, value)| {
        headers.append(name, value);
        headers
    })
}

/// Knows the token `good`; allows everything but to user `nobody`. Takes a second for each answer.
#[derive(Default)]
pub(super) struct FakeApi {
    pub(super) tokens: Mutex<Vec<String>>,
    pub(super) questions: Mutex<Vec<SubjectAccessReviewSpec>>,
}

impl TokenReviewer for FakeApi {
    fn review_token<'a>(&'a self, token: &'a str) -> Attempt<'a, TokenReviewStatus> {
        Box::pin(async move {
            self.tokens.lock().push(token.to_owned());
            tokio::time::sleep(Duration::from_secs(1)).await;
            let groups = Some(vec!["testers".to_owned()]);
            let user = UserInfo { username: Some("tina".to_owned()), groups, ..UserInfo::default() };
            match token {
                "good" => Ok(TokenReviewStatus {
                    authenticated: Some(true),
                    user: Some(user),
                    ..TokenReviewStatus::default()
                }),
                "odd" => Ok(TokenReviewStatus { error: Some("webhook".to_owned()), ..TokenReviewStatus::default() }),
                "outage" => Err(ReviewError { text: "connection reset".to_owned(), again: Again::Soon }),
                _ => Ok(TokenReviewStatus::default()),
            }
        })
    }
}

impl AccessReviewer for FakeApi {
    fn review_access<'a>(&'a self, question: &'a SubjectAccessReviewSpec) -> Attempt<'a, SubjectAccessReviewStatus> {
        Box::pin(async move {
            self.questions.lock().push(question.clone());
            tokio::time::sleep(Duration::from_secs(1)).await;
            let status = SubjectAccessReviewStatus::default();
            match question.user.as_deref() {
                Some("nobody") => Ok(status),
                Some("reasoned") => {
                    Ok(SubjectAccessReviewStatus { reason: Some("custom reason".to_owned()), ..status })
                }
                Some("both") => Ok(SubjectAccessReviewStatus { allowed: true, denied: Some(true), ..status }),
                Some("outage") => Err(ReviewError { text: "connection reset".to_owned(), again: Again::Soon }),
                Some("unbound") => Err(ReviewError { text: "403".to_owned(), again: Again::Never }),
                _ => Ok(SubjectAccessReviewStatus { allowed: true, ..status }),
            }
        })
    }
}

/// A door, with everything it depends on in the test's hand.
pub(super) struct World {
    pub(super) clients: Authority,
    pub(super) proxies: Authority,
    pub(super) api: Arc<FakeApi>,
    pub(super) trust: Arc<TrustStore>,
    pub(super) now: Arc<AtomicU64>,
    pub(super) door: Door,
}

impl World {
    /// With the ConfigMap that a usual control plane writes.
    pub(super) async fn new() -> Self {
        let world = Self::without_trust().await;
        world.trust.take_config_map(Some(&world.config_map()));
        world
    }

    pub(super) async fn without_trust() -> Self {
        let authentication = no_flags();
        let trust = TrustStore::load(&authentication).await.unwrap();
        let (api, now) = (Arc::new(FakeApi::default()), Arc::new(AtomicU64::new(NOW)));
        let reviewers = Reviewers { tokens: Arc::clone(&api) as _, access: Arc::clone(&api) as _ };
        let seconds = Arc::clone(&now);
        let clock = Arc::new(move || UnixNanos(seconds.load(Ordering::Relaxed) * 1_000_000_000));
        let door = Door::new(Arc::clone(&trust), reviewers, clock, &authentication, &authorization());
        Self { clients: Authority::new("clients"), proxies: Authority::new("proxies"), api, trust, now, door }
    }

    pub(super) fn config_map(&self) -> BTreeMap<String, String> {
        [
            ("client-ca-file", &*self.clients.pem),
            ("requestheader-client-ca-file", &self.proxies.pem),
            ("requestheader-allowed-names", r#"["front-proxy-client"]"#),
            ("requestheader-username-headers", r#"["X-Remote-User"]"#),
            ("requestheader-group-headers", r#"["X-Remote-Group"]"#),
            ("requestheader-extra-headers-prefix", r#"["X-Remote-Extra-"]"#),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
    }

    /// Takes over the ConfigMap with some keys changed.
    pub(super) fn reconfigure(&self, changes: &[(&str, &str)]) {
        let mut data = self.config_map();
        data.extend(changes.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        self.trust.take_config_map(Some(&data));
    }

    pub(super) fn front_proxy(&self) -> Peer {
        self.proxies.peer("front-proxy-client", &[])
    }

    pub(super) async fn identify(&self, peer: &Peer, lines: &[(&str, &str)]) -> Result<Identity, Refusal> {
        self.door.identify(peer, &mut headers(lines)).await
    }

    /// The name of the user, or the refusal.
    pub(super) async fn name(&self, peer: &Peer, lines: &[(&str, &str)]) -> Result<String, Refusal> {
        self.identify(peer, lines).await.map(|identity| identity.user().name.clone())
    }

    /// The user that a front proxy names by these headers.
    pub(super) async fn proxied(&self, lines: &[(&str, &str)]) -> User {
        self.identify(&self.front_proxy(), lines).await.unwrap().user().clone()
    }
}

pub(super) fn no_flags() -> AuthenticationConfig {
    AuthenticationConfig {
        kubeconfig: None,
        skip_lookup: false,
        tolerate_lookup_failure: false,
        token_cache_ttl: Duration::from_secs(10),
        client_ca_file: None,
        request_header: None,
    }
}

pub(super) fn authorization() -> AuthorizationConfig {
    AuthorizationConfig {
        kubeconfig: None,
        always_allow_paths: vec!["/healthz".to_owned(), "/livez*".to_owned()],
        allowed_cache_ttl: Duration::from_secs(10),
        denied_cache_ttl: Duration::from_secs(5),
    }
}

/// What arrived: the request line and the body, null where there is none.
pub(super) type Received = Arc<Mutex<Vec<(String, serde_json::Value)>>>;

/// A server on loopback that gives one answer on one connection; a client of it.
pub(super) async fn served(answer: Response<Full<Bytes>>) -> (kube::Client, Received, impl Future<Output = ()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap());
    let mut config = kube::Config::new(uri.parse().unwrap());
    config.default_retry = false;
    let client = kube::Client::try_from(config).unwrap();
    let received = Received::default();
    let seen = Arc::clone(&received);
    let serve = async move {
        let (stream, _) = listener.accept().await.unwrap();
        let answer = service_fn(move |request: Request<Incoming>| {
            let (seen, answer) = (Arc::clone(&seen), answer.clone());
            async move {
                let line = format!("{} {}", request.method(), request.uri());
                let body = request.into_body().collect().await.unwrap().to_bytes();
                seen.lock().push((line, serde_json::from_slice(&body).unwrap_or_default()));
                Ok::<_, Infallible>(answer)
            }
        });
        let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
    };
    (client, received, serve)
}

/// Drives the server for as long as the question is under way.
pub(super) async fn while_served<T>(serve: impl Future<Output = ()>, question: impl Future<Output = T>) -> T {
    tokio::select! {
        answer = question => answer,
        () = serve => panic!("the server ended the connection before the question was answered"),
    }
}

pub(super) fn answer(status: u16, body: &str) -> Response<Full<Bytes>> {
    Response::builder().status(status).body(Full::from(body.to_owned())).unwrap()
}

pub(super) fn path(path: &str) -> Attributes {
    Attributes { verb: "get", path: path.to_owned(), resource: None }
}

pub(super) fn list_nodes() -> Attributes {
    let resource = ResourceAttributes {
        group: "metrics.k8s.io".to_owned(),
        version: "v1beta1".to_owned(),
        resource: "nodes".to_owned(),
        ..ResourceAttributes::default()
    };
    let path = "/apis/metrics.k8s.io/v1beta1/nodes".to_owned();
    Attributes { verb: "list", path, resource: Some(resource) }
}

const MASTER: [(&str, &str); 2] = [("x-remote-user", "system:kube-aggregator"), ("x-remote-group", "system:masters")];

#[tokio::test(start_paused = true)]
async fn a_front_proxy_header_without_its_certificate_is_ignored() {
    let world = World::new().await;
    for peer in [nobody(), world.clients.peer("alice", &[])] {
        let mut headers = headers(&MASTER);
        let identity = world.door.identify(&peer, &mut headers).await.unwrap();
        assert_ne!(identity.user().name, "system:kube-aggregator");
        assert!(!identity.user().is_master(), "{identity:?}");
        assert!(!identity.via_front_proxy(), "{identity:?}");
        assert!(headers.is_empty(), "{headers:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_availability_probe_costs_no_review() {
    let world = World::new().await;
    let identity = world.identify(&world.front_proxy(), &MASTER).await.unwrap();
    let caller = world.door.permit(identity, &path("/apis/metrics.k8s.io/v1beta1")).await.unwrap();
    assert!(caller.via_front_proxy() && caller.user().is_master());
    assert!(world.api.questions.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_proxied_user_without_groups_is_asked_about_as_authenticated() {
    let world = World::new().await;
    let identity = world.identify(&world.front_proxy(), &[("x-remote-user", "system:aggregator")]).await.unwrap();
    world.door.permit(identity, &path("/openapi/v2")).await.unwrap();
    let questions = world.api.questions.lock();
    assert_eq!(questions[0].groups.as_deref(), Some(&["system:authenticated".to_owned()][..]));
    assert_eq!(questions[0].non_resource_attributes.as_ref().unwrap().path.as_deref(), Some("/openapi/v2"));
}

#[tokio::test(start_paused = true)]
async fn somebody_who_may_not_impersonate_is_served_neither_as_themselves_nor_as_the_other() {
    let world = World::new().await;
    let lines = [("x-remote-user", "nobody"), ("impersonate-user", "zed")];
    let identity = world.identify(&world.front_proxy(), &lines).await.unwrap();
    let refusal = world.door.permit(identity, &path("/healthz")).await.unwrap_err();
    assert_eq!(
        refusal.message(),
        r#"users "zed" is forbidden: User "nobody" cannot impersonate resource "users" in API group "" at the cluster scope"#
    );
    assert_eq!(world.api.questions.lock().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_impersonated_user_is_judged_in_place_of_the_impersonator() {
    let world = World::new().await;
    let lines = [
        ("x-remote-user", "root"),
        ("x-remote-group", "system:masters"),
        ("impersonate-user", "nobody"),
        ("impersonate-group", "guests"),
        ("impersonate-uid", "7"),
        ("impersonate-extra-acme.com%2fteam", "a"),
    ];
    let identity = world.identify(&world.front_proxy(), &lines).await.unwrap();
    let refusal = world.door.permit(identity, &list_nodes()).await.unwrap_err();
    assert!(refusal.message().contains(r#"User "nobody" cannot list"#), "{refusal}");
    let question = world.api.questions.lock()[0].clone();
    assert_eq!(question.groups.unwrap(), ["guests", "system:authenticated"]);
    assert_eq!(question.uid.as_deref(), Some("7"));
    assert_eq!(question.extra.unwrap(), BTreeMap::from([("acme.com/team".to_owned(), vec!["a".to_owned()])]));
}

#[tokio::test(start_paused = true)]
async fn each_thing_that_somebody_asks_to_be_is_asked_about() {
    let world = World::new().await;
    let lines = [
        ("x-remote-user", "carol"),
        ("impersonate-user", "system:serviceaccount:shop:cart"),
        ("impersonate-group", "guests"),
        ("impersonate-uid", "7"),
        ("impersonate-extra-scopes", "s1"),
        ("impersonate-extra-scopes", "s2"),
    ];
    let identity = world.identify(&world.front_proxy(), &lines).await.unwrap();
    let caller = world.door.permit(identity, &path("/healthz")).await.unwrap();
    assert_eq!(caller.user().name, "system:serviceaccount:shop:cart");
    let asked = |spec: &SubjectAccessReviewSpec| {
        let resource = spec.resource_attributes.clone().unwrap();
        let parts = [resource.group, resource.namespace, resource.resource, resource.subresource, resource.name];
        assert_eq!((spec.user.as_deref(), resource.verb.as_deref()), (Some("carol"), Some("impersonate")));
        parts.map(Option::unwrap_or_default).join("|")
    };
    let asked: Vec<String> = world.api.questions.lock().iter().map(asked).collect();
    assert_eq!(
        asked,
        [
            "|shop|serviceaccounts||cart",
            "||groups||guests",
            "authentication.k8s.io||userextras|scopes|s1",
            "authentication.k8s.io||userextras|scopes|s2",
            "authentication.k8s.io||uids||7",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_service_account_that_is_impersonated_has_its_own_groups() {
    let world = World::new().await;
    let lines = [("x-remote-user", "carol"), ("impersonate-user", "system:serviceaccount:shop:cart")];
    let identity = world.identify(&world.front_proxy(), &lines).await.unwrap();
    let caller = world.door.permit(identity, &path("/healthz")).await.unwrap();
    assert_eq!(caller.user().groups, ["system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated"]);
}

#[tokio::test(start_paused = true)]
async fn impersonation_that_cannot_be_understood_is_refused() {
    let world = World::new().await;
    let wishes: [&[(&str, &str)]; 5] = [
        &[("impersonate-group", "system:masters")],
        &[("impersonate-uid", "7")],
        &[("impersonate-extra-a", "b")],
        &[("impersonate-user", "")],
        &[("impersonate-user", "zed"), ("impersonate-mode", "odd")],
    ];
    for wish in wishes {
        let lines = [&[("x-remote-user", "carol")], wish].concat();
        let refused = world.identify(&world.front_proxy(), &lines).await;
        assert!(matches!(refused, Err(Refusal::BadRequest { .. })), "{wish:?}: {refused:?}");
    }
}
