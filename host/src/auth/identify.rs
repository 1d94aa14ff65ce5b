//! Who a request comes from: the first proof that holds, of front proxy, client certificate and bearer token.
//!
//! A proof that was offered and does not hold is a doubt. A later proof may settle it; if none does, the request is
//! refused, never taken for anonymous. So a certificate that nobody vouches for is 401 even where no certificate
//! would have been enough.
//!
//! On success the headers that prove, name or claim a user are gone, and a wish to act as somebody else has been read
//! from them, for `permit` to judge.
//!
//! Rules: `k8s.io/apiserver` v0.36, `pkg/authentication/authenticatorfactory/delegating.go` (the order),
//! `pkg/authentication/request/x509/x509.go`, `pkg/endpoints/filters/authentication.go`.

mod bearer;
mod front_proxy;
mod impersonation;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, header};
use tracing::debug;

use self::bearer::Tokens;
pub(super) use self::impersonation::Impersonation;
use super::peer::{Leaf, Peer, Verdict};
use super::review::TokenReviewer;
use super::trust::{FrontProxy, Trust, TrustStore};
use super::{ANONYMOUS, Identity, Proof, Refusal, UNAUTHENTICATED, User, WallClock};

pub(super) struct Identifier {
    trust: Arc<TrustStore>,
    tokens: Tokens,
    clock: Arc<dyn WallClock>,
}

impl Identifier {
    pub(super) fn new(
        trust: Arc<TrustStore>,
        reviewer: Arc<dyn TokenReviewer>,
        clock: Arc<dyn WallClock>,
        token_ttl: Duration,
    ) -> Self {
        Self { trust, tokens: Tokens::new(reviewer, token_ttl), clock }
    }

    pub(super) async fn identify(&self, peer: &Peer, headers: &mut HeaderMap) -> Result<Identity, Refusal> {
        // One snapshot for the whole request.
        let trust = self.trust.current();
        let (credential, warning) = bearer::credential(headers);
        let (user, proof) = self.prove(&trust, peer, headers, credential).await?;
        strip(headers, &trust);
        let impersonation = Impersonation::take(headers)?;
        Ok(Identity { user: user.with_authenticated_group(), proof, warning, impersonation })
    }

    pub(super) fn is_front_proxy(&self, peer: &Peer) -> bool {
        let trust = self.trust.current();
        let Some(leaf) = peer.leaf() else { return false };
        is_front_proxy(&trust, &peer.judge(&trust, self.clock.now()), leaf).is_ok_and(|proxy| proxy.is_some())
    }

    async fn prove(
        &self,
        trust: &Trust,
        peer: &Peer,
        headers: &HeaderMap,
        token: Option<String>,
    ) -> Result<(User, Proof), Refusal> {
        let mut doubts = Vec::new();
        for (proof, opinion) in by_certificate(trust, peer, headers, &*self.clock) {
            match opinion {
                Ok(Some(user)) => return Ok((user, proof)),
                Ok(None) => {}
                Err(doubt) => doubts.push(doubt),
            }
        }
        if let Some(token) = token {
            match self.tokens.user(&token, peer.remote()).await {
                Ok(user) => return Ok((user, Proof::Token)),
                Err(bearer::Failure::Invalid(doubt)) => doubts.push(doubt),
                // Had the review been possible, it might have settled every doubt.
                Err(bearer::Failure::Unreviewed(refusal)) => return Err(refusal),
            }
        }
        if doubts.is_empty() {
            return Ok((anonymous(), Proof::Nothing));
        }
        debug!(remote = %peer.remote(), "refused a request whose proofs of identity do not hold: {}", doubts.join("; "));
        Err(Refusal::Unauthorized)
    }
}

/// No opinion (`None`), a user, or a doubt.
type Opinion = Result<Option<User>, String>;

fn by_certificate(
    trust: &Trust,
    peer: &Peer,
    headers: &HeaderMap,
    clock: &dyn WallClock,
) -> impl Iterator<Item = (Proof, Opinion)> {
    let opinions = peer.leaf().map(|leaf| {
        let verdict = peer.judge(trust, clock.now());
        let front_proxy = front_proxy(trust, &verdict, leaf, headers);
        [(Proof::FrontProxy, front_proxy), (Proof::Certificate, client(&verdict, leaf))]
    });
    opinions.into_iter().flatten()
}

fn front_proxy(trust: &Trust, verdict: &Verdict, leaf: &Result<Leaf, String>, headers: &HeaderMap) -> Opinion {
    let proxy = is_front_proxy(trust, verdict, leaf)?;
    Ok(proxy.and_then(|proxy| front_proxy::user(&proxy.headers, headers)))
}

/// What is believed of the front proxy that the certificate belongs to; None where there are no front proxies.
fn is_front_proxy<'t>(
    trust: &'t Trust,
    verdict: &Verdict,
    leaf: &Result<Leaf, String>,
) -> Result<Option<&'t FrontProxy>, String> {
    let (Some(proxy), Some(vouched)) = (trust.front_proxy(), &verdict.front_proxy) else { return Ok(None) };
    vouched.as_ref().map_err(|why| format!("no CA of front proxies vouches for the certificate: {why}"))?;
    let name = &leaf.as_ref()?.common_name;
    if !proxy.allowed_names.is_empty() && !proxy.allowed_names.contains(name) {
        return Err(format!("no front proxy is named {name:?}"));
    }
    Ok(Some(proxy))
}

fn client(verdict: &Verdict, leaf: &Result<Leaf, String>) -> Opinion {
    let Some(vouched) = &verdict.client else { return Ok(None) };
    vouched.as_ref().map_err(|why| format!("no CA of clients vouches for the certificate: {why}"))?;
    let leaf = leaf.as_ref()?;
    if leaf.common_name.is_empty() {
        return Ok(None);
    }
    let uid = leaf.uid.clone()?.unwrap_or_default();
    let extra = [("authentication.kubernetes.io/credential-id".to_owned(), vec![leaf.credential_id.clone()])];
    let (name, groups) = (leaf.common_name.clone(), leaf.organizations.clone());
    Ok(Some(User { name, uid, groups, extra: extra.into() }))
}

fn anonymous() -> User {
    User { name: ANONYMOUS.to_owned(), groups: vec![UNAUTHENTICATED.to_owned()], ..User::default() }
}

/// The standard headers go even where the front proxy uses others.
const STANDARD: [HeaderName; 4] = [
    header::AUTHORIZATION,
    HeaderName::from_static("x-remote-user"),
    HeaderName::from_static("x-remote-uid"),
    HeaderName::from_static("x-remote-group"),
];
const STANDARD_EXTRA_PREFIX: &str = "x-remote-extra-";

/// Nothing behind the door may see a credential, or take a claim for a proof.
fn strip(headers: &mut HeaderMap, trust: &Trust) {
    let named = trust.front_proxy().map(|proxy| &proxy.headers);
    let is_user_header = |header: &HeaderName| {
        STANDARD.contains(header)
            || header.as_str().starts_with(STANDARD_EXTRA_PREFIX)
            || named.is_some_and(|named| named.contain(header))
    };
    let found: Vec<HeaderName> = headers.keys().filter(|header| is_user_header(header)).cloned().collect();
    for header in found {
        headers.remove(header);
    }
}
