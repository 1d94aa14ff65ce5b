//! The user that a front proxy names in headers. Pure and total; the bytes of the headers are hostile.
//!
//! Rules: `k8s.io/apiserver` v0.36, `pkg/authentication/request/headerrequest/requestheader.go`. Values are neither
//! trimmed nor split at commas; bytes that are no UTF-8 become U+FFFD, as they do in the reference's JSON.

use std::borrow::Cow;
use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;

use crate::auth::User;
use crate::auth::trust::UserHeaders;

/// None where no user is named.
pub(super) fn user(named: &UserHeaders, headers: &HeaderMap) -> Option<User> {
    let name = first(&named.name, headers)?;
    let uid = first(&named.uid, headers).unwrap_or_default();
    Some(User { name, uid, groups: groups(&named.group, headers), extra: extra(&named.extra_prefix, headers) })
}

impl UserHeaders {
    /// Whether the front proxy may say something of the user in this header.
    pub(super) fn contain(&self, header: &HeaderName) -> bool {
        let mut lists = [&self.name, &self.uid, &self.group].into_iter();
        lists.any(|list| list.contains(header))
            || self.extra_prefix.iter().any(|prefix| header.as_str().starts_with(prefix))
    }
}

/// Of each header only the first line counts: a second one was added by somebody else.
fn first(names: &[HeaderName], headers: &HeaderMap) -> Option<String> {
    let mut values = names.iter().filter_map(|name| headers.get(name));
    values.find(|value| !value.is_empty()).map(text)
}

fn groups(names: &[HeaderName], headers: &HeaderMap) -> Vec<String> {
    let values = names.iter().flat_map(|name| headers.get_all(name));
    values.filter(|value| !value.is_empty()).map(text).collect()
}

fn extra(prefixes: &[String], headers: &HeaderMap) -> BTreeMap<String, Vec<String>> {
    let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for prefix in prefixes {
        for (name, value) in headers {
            // Header names are in lower case here, whatever the wire said.
            if let Some(key) = name.as_str().strip_prefix(prefix.as_str()) {
                extra.entry(extra_key(key)).or_default().push(text(value));
            }
        }
    }
    extra
}

/// Percent-decoded, unless the encoding is malformed: then as it stands.
pub(super) fn extra_key(encoded: &str) -> String {
    let is_well_formed = encoded.split('%').skip(1).all(|rest| {
        let digits = rest.as_bytes();
        digits.len() >= 2 && digits[..2].iter().all(u8::is_ascii_hexdigit)
    });
    if is_well_formed { percent_decode_str(encoded).decode_utf8_lossy().into_owned() } else { encoded.to_owned() }
}

pub(super) fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

/// As [`text`], without a copy where none is needed.
pub(super) fn borrowed_text(value: &HeaderValue) -> Cow<'_, str> {
    String::from_utf8_lossy(value.as_bytes())
}
