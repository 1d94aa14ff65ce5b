//! The text of a 403, to the letter: kubectl prints it, and people search for it.
//!
//! Rule: `k8s.io/apiserver` v0.36, `pkg/endpoints/handlers/responsewriters/errors.go`, and `NewForbidden` of
//! `k8s.io/apimachinery`. What comes from the request stands in quotes, and is escaped for those who show it as HTML.

use crate::auth::{Attributes, Details, Refusal, ResourceAttributes, User};

/// The refusal, with the reason that the API server gave, if any.
pub(super) fn forbidden(user: &User, attributes: &Attributes, reason: &str) -> Refusal {
    let separator = if reason.is_empty() { "" } else { ": " };
    let what = format!("{}{separator}{reason}", escaped(&what(user, attributes)));
    let details = attributes.resource.as_ref().map(details).unwrap_or_default();
    let group = if details.group.is_empty() { String::new() } else { format!(".{}", details.group) };
    let message = match (&*details.kind, &*details.name) {
        ("", _) => format!("forbidden: {what}"),
        (kind, "") => format!("{kind}{group} is forbidden: {what}"),
        (kind, name) => format!("{kind}{group} {} is forbidden: {what}", quoted(name)),
    };
    Refusal::Forbidden { message, details, reason: reason.to_owned() }
}

fn what(user: &User, attributes: &Attributes) -> String {
    let (user, verb) = (quoted(&user.name), attributes.verb);
    let Some(resource) = &attributes.resource else {
        return format!("User {user} cannot {verb} path {}", quoted(&attributes.path));
    };
    let scope = match &*resource.namespace {
        "" => "at the cluster scope".to_owned(),
        namespace => format!("in the namespace {}", quoted(namespace)),
    };
    let name = match &*resource.subresource {
        "" => resource.resource.clone(),
        subresource => format!("{}/{subresource}", resource.resource),
    };
    format!("User {user} cannot {verb} resource {} in API group {} {scope}", quoted(&name), quoted(&resource.group))
}

fn details(resource: &ResourceAttributes) -> Details {
    Details { group: resource.group.clone(), kind: resource.resource.clone(), name: resource.name.clone() }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// As Go's `%q` writes it.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{b}' => quoted.push_str("\\v"),
            ' '..='~' => quoted.push(character),
            '\0'..='\u{7f}' => quoted.push_str(&format!("\\x{:02x}", u32::from(character))),
            // The standard library knows which characters cannot be printed.
            _ if character.escape_debug().len() == 1 => quoted.push(character),
            '\u{80}'..='\u{ffff}' => quoted.push_str(&format!("\\u{:04x}", u32::from(character))),
            _ => quoted.push_str(&format!("\\U{:08x}", u32::from(character))),
        }
    }
    quoted.push('"');
    quoted
}
