//! Acting as somebody else: what somebody must be allowed for it, and who they are then. Pure.
//!
//! Rule: `k8s.io/apiserver` v0.36, `pkg/endpoints/filters/impersonation`, the four classic checks: of users or
//! service accounts, of groups, of UIDs and of each further attribute.

use crate::auth::identify::Impersonation;
use crate::auth::{AUTHENTICATED, ResourceAttributes, UNAUTHENTICATED, User};

/// Everything that somebody asks to be, each a resource on which they need the verb `impersonate`.
pub(super) fn resources(wish: &Impersonation) -> Vec<ResourceAttributes> {
    let mut resources = vec![match service_account(&wish.user) {
        Some((namespace, name)) => {
            ResourceAttributes { namespace: namespace.to_owned(), ..core("serviceaccounts", name) }
        }
        None => core("users", &wish.user),
    }];
    resources.extend(wish.groups.iter().map(|group| core("groups", group)));
    for (key, values) in &wish.extra {
        let attribute =
            |value: &String| ResourceAttributes { subresource: key.clone(), ..authentication("userextras", value) };
        resources.extend(values.iter().map(attribute));
    }
    resources.extend(wish.uid.iter().map(|uid| authentication("uids", uid)));
    resources
}

fn core(resource: &str, name: &str) -> ResourceAttributes {
    ResourceAttributes { resource: resource.to_owned(), name: name.to_owned(), ..ResourceAttributes::default() }
}

fn authentication(resource: &str, name: &str) -> ResourceAttributes {
    let (group, version) = ("authentication.k8s.io".to_owned(), "v1".to_owned());
    ResourceAttributes { group, version, ..core(resource, name) }
}

/// Namespace and name, where the user is a service account. A name of that form that no service account can have is
/// an ordinary user's.
fn service_account(user: &str) -> Option<(&str, &str)> {
    let (namespace, name) = user.strip_prefix("system:serviceaccount:")?.split_once(':')?;
    let is_label = |text: &str| {
        let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !text.is_empty() && text.bytes().all(is_inner) && !text.starts_with('-') && !text.ends_with('-')
    };
    let is_name = name.len() <= 253 && name.split('.').all(is_label);
    (namespace.len() <= 63 && is_label(namespace) && is_name).then_some((namespace, name))
}

/// The user whom somebody acts as; in the groups that such a user is in anyway where none were named.
pub(super) fn user(wish: Impersonation) -> User {
    let mut groups = wish.groups;
    if let Some((namespace, _)) = service_account(&wish.user).filter(|_| groups.is_empty()) {
        groups = vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")];
    }
    let mut user = User { name: wish.user, uid: wish.uid.unwrap_or_default(), groups, extra: wish.extra };
    if !user.is_in(AUTHENTICATED) && !user.is_in(UNAUTHENTICATED) {
        let group = if user.is_anonymous() { UNAUTHENTICATED } else { AUTHENTICATED };
        user.groups.push(group.to_owned());
    }
    user
}
