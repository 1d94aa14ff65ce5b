//! The wish to act as somebody else, as `Impersonate-*` headers state it. Whether it is granted is `permit`'s.
//!
//! Behind the aggregator these headers never arrive: the API server has granted the wish already. They come from those
//! who ask us directly. Whatever cannot be understood is refused: to ignore it would be to serve the request with more
//! rights than it asks for.
//!
//! Rules: `k8s.io/apiserver` v0.36, `pkg/endpoints/filters/impersonation` (the classic checks).

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName};

use super::front_proxy::{extra_key, text};
use crate::auth::Refusal;

/// Whom somebody wants to act as.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::auth) struct Impersonation {
    /// Never empty.
    pub(in crate::auth) user: String,
    pub(in crate::auth) groups: Vec<String>,
    pub(in crate::auth) uid: Option<String>,
    pub(in crate::auth) extra: BTreeMap<String, Vec<String>>,
}

const PREFIX: &str = "impersonate-";
const EXTRA_PREFIX: &str = "impersonate-extra-";
/// Each line is one question to the API server.
const MOST_LINES: usize = 64;

impl Impersonation {
    /// Reads the wish, if there is one, and removes its headers.
    pub(super) fn take(headers: &mut HeaderMap) -> Result<Option<Self>, Refusal> {
        let names: Vec<HeaderName> = headers.keys().filter(|name| name.as_str().starts_with(PREFIX)).cloned().collect();
        if names.is_empty() {
            return Ok(None);
        }
        let mut wish = Self::default();
        let mut lines = 0;
        for name in names {
            let values: Vec<String> = headers.get_all(&name).iter().map(text).collect();
            headers.remove(&name);
            lines += values.len();
            wish.add(name.as_str(), values)?;
        }
        if lines > MOST_LINES {
            return Err(refuse(format!("more than {MOST_LINES} impersonation headers")));
        }
        if wish.user.is_empty() { Err(wish.without_user()) } else { Ok(Some(wish)) }
    }

    fn add(&mut self, name: &str, values: Vec<String>) -> Result<(), Refusal> {
        match name {
            // Of these two the first line counts.
            "impersonate-user" => self.user = values.into_iter().next().unwrap_or_default(),
            "impersonate-uid" => self.uid = values.into_iter().next().filter(|uid| !uid.is_empty()),
            "impersonate-group" => self.groups.extend(values),
            _ => match name.strip_prefix(EXTRA_PREFIX) {
                Some(key) => self.extra.entry(extra_key(key)).or_default().extend(values),
                None => return Err(refuse(format!("header {name:?} is not known"))),
            },
        }
        Ok(())
    }

    fn without_user(&self) -> Refusal {
        refuse(format!(
            "requested groups {:?}, uid {:?} and {} extra keys without impersonating a user",
            self.groups,
            self.uid.as_deref().unwrap_or_default(),
            self.extra.len()
        ))
    }
}

fn refuse(problem: String) -> Refusal {
    Refusal::BadRequest { message: format!("invalid impersonation: {problem}") }
}
