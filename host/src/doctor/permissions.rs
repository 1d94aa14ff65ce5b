//! What the gateway's account may do: every request that the gateway makes, asked of the API server beforehand.
//!
//! In: the account, and the roles and bindings that usually give it its rights. Out: a finding for each group of rights,
//! with the commands that would give them: only what is missing, under upstream's names.
//!
//! Asked as a SubjectAccessReview for the account, which takes a right of its own: without it this is skipped.

use serde_json::{Value, json};

use super::cause::Cause;
use super::kubectl::Kubectl;
use super::report::{Finding, Remedy};
use super::server::{Read, Server, access_review, items, text};

/// Whose rights they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) user: String,
    pub(super) groups: Vec<String>,
}

impl Account {
    pub(super) fn service_account(namespace: &str, name: &str) -> Self {
        let groups = ["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")];
        Self {
            user: format!("system:serviceaccount:{namespace}:{name}"),
            groups: groups.into_iter().chain(["system:authenticated".to_owned()]).collect(),
        }
    }

    /// Namespace and name, if it is a service account.
    fn parts(&self) -> Option<(&str, &str)> {
        self.user.strip_prefix("system:serviceaccount:")?.split_once(':')
    }

    /// As kubectl's `create …binding` takes it.
    fn option(&self) -> String {
        match self.parts() {
            Some((namespace, name)) => format!("--serviceaccount={namespace}:{name}"),
            None => format!("--user={}", self.user),
        }
    }

    /// As a binding names it.
    fn subject(&self) -> Value {
        match self.parts() {
            Some((namespace, name)) => json!({"kind": "ServiceAccount", "namespace": namespace, "name": name}),
            None => json!({"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": self.user}),
        }
    }

    fn is_in(&self, subject: &Value) -> bool {
        match self.parts() {
            Some(parts) => {
                text(subject, "/kind") == "ServiceAccount"
                    && (text(subject, "/namespace"), text(subject, "/name")) == parts
            }
            None => text(subject, "/kind") == "User" && text(subject, "/name") == self.user,
        }
    }
}

/// What of the gateway's configuration decides which rights it needs.
#[derive(Clone, Debug, Default)]
pub(super) struct Needs {
    pub(super) namespaces: bool,
    /// Namespace and name of the Deployment to which it writes Events.
    pub(super) events: Option<(String, String)>,
}

/// Rights that are given together.
struct Group {
    cause: Cause,
    subject: &'static str,
    rights: Vec<Right>,
}

struct Right {
    verb: &'static str,
    group: &'static str,
    resource: &'static str,
    subresource: &'static str,
    namespace: String,
    name: String,
}

impl Right {
    fn new(verb: &'static str, group: &'static str, resource: &'static str) -> Self {
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        Self { verb, group, resource, subresource, namespace: String::new(), name: String::new() }
    }

    fn of(self, namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.to_owned(), name: name.to_owned(), ..self }
    }

    fn attributes(&self) -> Value {
        json!({
            "verb": self.verb, "group": self.group, "resource": self.resource, "subresource": self.subresource,
            "namespace": self.namespace, "name": self.name,
        })
    }

    fn full_resource(&self) -> String {
        if self.subresource.is_empty() {
            self.resource.to_owned()
        } else {
            format!("{}/{}", self.resource, self.subresource)
        }
    }
}

fn groups(needs: &Needs) -> Vec<Group> {
    let watched = |resource| ["list", "watch"].map(|verb| Right::new(verb, "", resource));
    let mut watches: Vec<Right> = ["nodes", "pods"].into_iter().flat_map(watched).collect();
    if needs.namespaces {
        watches.extend(watched("namespaces"));
    }
    let reader = |verb| Right::new(verb, "", "configmaps").of("kube-system", "extension-apiserver-authentication");
    let mut groups = vec![
        Group {
            cause: Cause::RbacKubelets,
            subject: "get nodes/metrics and nodes/stats",
            rights: vec![Right::new("get", "", "nodes/metrics"), Right::new("get", "", "nodes/stats")],
        },
        Group { cause: Cause::RbacWatches, subject: "list and watch what is served", rights: watches },
        Group {
            cause: Cause::RbacAuthDelegator,
            subject: "create TokenReviews and SubjectAccessReviews",
            rights: vec![
                Right::new("create", "authentication.k8s.io", "tokenreviews"),
                Right::new("create", "authorization.k8s.io", "subjectaccessreviews"),
            ],
        },
        Group {
            cause: Cause::RbacAuthReader,
            subject: "read the ConfigMap extension-apiserver-authentication",
            rights: ["get", "list", "watch"].map(reader).into(),
        },
    ];
    if let Some((namespace, name)) = &needs.events {
        let rights = vec![
            Right::new("get", "apps", "deployments").of(namespace, name),
            Right::new("create", "events.k8s.io", "events").of(namespace, ""),
            Right::new("patch", "events.k8s.io", "events").of(namespace, ""),
        ];
        groups.push(Group { cause: Cause::RbacEvents, subject: "write Events about its Deployment", rights });
    }
    groups
}

/// Roles and bindings, as they are, by the names of upstream's manifests.
struct Roles {
    role: Read,
    binding: Read,
    delegator: Read,
    reader: Read,
}

async fn gather(server: &Server) -> Roles {
    let cluster = "/apis/rbac.authorization.k8s.io/v1";
    Roles {
        role: server.get(&format!("{cluster}/clusterroles/{ROLE}")).await,
        binding: server.get(&format!("{cluster}/clusterrolebindings/{ROLE}")).await,
        delegator: server.get(&format!("{cluster}/clusterrolebindings/{DELEGATOR}")).await,
        reader: server.get(&format!("{cluster}/namespaces/kube-system/rolebindings/{READER}")).await,
    }
}

const ROLE: &str = "system:metrics-server";
const DELEGATOR: &str = "metrics-server:system:auth-delegator";
const READER: &str = "metrics-server-auth-reader";

/// Asks for each right, and says how the missing ones are given.
pub(super) async fn examine(server: &Server, account: &Account, needs: &Needs, kubectl: &Kubectl) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut roles = None;
    for group in groups(needs) {
        let mut missing = Vec::new();
        for right in &group.rights {
            let review = access_review(&account.user, &account.groups, &right.attributes());
            match server.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", &review).await {
                Ok(answer) if answer["status"]["allowed"] == true => {}
                Ok(_) => missing.push(right),
                Err(unread) => {
                    let why =
                        format!("cannot ask what {:?} may do (create subjectaccessreviews): {unread}", account.user);
                    findings.push(Finding::skipped("permissions", "", why));
                    return findings;
                }
            }
        }
        if missing.is_empty() {
            findings.push(Finding::ok("permissions", group.subject, format!("{:?} may", account.user)));
            continue;
        }
        if roles.is_none() {
            roles = Some(gather(server).await);
        }
        let Some(roles) = &roles else { continue };
        findings.push(refused(&group, &missing, account, roles, needs, kubectl));
    }
    findings
}

fn refused(
    group: &Group,
    missing: &[&Right],
    account: &Account,
    roles: &Roles,
    needs: &Needs,
    kubectl: &Kubectl,
) -> Finding {
    let told: Vec<String> = missing.iter().map(|right| format!("{} {}", right.verb, right.full_resource())).collect();
    let message = format!("{:?} may not {}", account.user, told.join(", "));
    let commands = commands(group, missing, account, roles, needs, kubectl);
    let remedy = if commands.is_empty() {
        Remedy::text("its role and its binding are as they should be: another authorizer refuses it")
    } else {
        Remedy::commands("give it the right", commands)
    };
    // The summary is for kubelets that have nothing else, and Events are for people.
    let is_minor = group.cause == Cause::RbacEvents || missing.iter().all(|right| right.subresource == "stats");
    if is_minor {
        Finding::warning("permissions", group.subject, group.cause, message, remedy)
    } else {
        Finding::failed("permissions", group.subject, group.cause, message, remedy)
    }
}

fn commands(
    group: &Group,
    missing: &[&Right],
    account: &Account,
    roles: &Roles,
    needs: &Needs,
    kubectl: &Kubectl,
) -> Vec<String> {
    match group.cause {
        Cause::RbacAuthDelegator => {
            let binding = Binding { name: DELEGATOR, role: "system:auth-delegator", namespace: None };
            binding.command(&roles.delegator, account, kubectl).into_iter().collect()
        }
        Cause::RbacAuthReader => {
            let role = "extension-apiserver-authentication-reader";
            let binding = Binding { name: READER, role, namespace: Some("kube-system") };
            binding.command(&roles.reader, account, kubectl).into_iter().collect()
        }
        Cause::RbacEvents => needs.events.iter().flat_map(|events| events_commands(events, account, kubectl)).collect(),
        _ => {
            let binding = Binding { name: ROLE, role: ROLE, namespace: None };
            let rules = role_commands(missing, &roles.role, kubectl);
            rules.into_iter().chain(binding.command(&roles.binding, account, kubectl)).collect()
        }
    }
}

fn role_commands(missing: &[&Right], role: &Read, kubectl: &Kubectl) -> Vec<String> {
    let mut resources: Vec<String> = missing.iter().map(|right| right.full_resource()).collect();
    resources.dedup();
    let verbs: &[&str] =
        if missing.iter().all(|right| right.verb == "get") { &["get"] } else { &["get", "list", "watch"] };
    match role {
        Ok(role) => {
            resources.retain(|resource| !has_rule(role, resource, verbs));
            if resources.is_empty() {
                return Vec::new();
            }
            let rule = json!({"apiGroups": [""], "resources": resources, "verbs": verbs});
            let patch = match role["rules"].as_array() {
                Some(_) => json!([{"op": "add", "path": "/rules/-", "value": rule}]),
                None => json!([{"op": "add", "path": "/rules", "value": [rule]}]),
            };
            vec![kubectl.patch(&["clusterrole", ROLE], "json", &patch)]
        }
        Err(_) => {
            let rules = ["--verb=get,list,watch", "--resource=nodes,pods,namespaces"];
            let create = kubectl.line(&["create", "clusterrole", ROLE, rules[0], rules[1]]);
            let rule = json!({"apiGroups": [""], "resources": ["nodes/metrics", "nodes/stats"], "verbs": ["get"]});
            let patch = json!([{"op": "add", "path": "/rules/-", "value": rule}]);
            vec![create, kubectl.patch(&["clusterrole", ROLE], "json", &patch)]
        }
    }
}

fn has_rule(role: &Value, resource: &str, verbs: &[&str]) -> bool {
    let holds = |rule: &Value, field: &str, wanted: &str| {
        items(rule, field).iter().any(|value| value == wanted || value == "*")
    };
    items(role, "/rules").iter().any(|rule| {
        holds(rule, "/apiGroups", "")
            && holds(rule, "/resources", resource)
            && verbs.iter().all(|verb| holds(rule, "/verbs", verb))
    })
}

struct Binding {
    name: &'static str,
    role: &'static str,
    namespace: Option<&'static str>,
}

impl Binding {
    /// None: it binds the account already.
    fn command(&self, there: &Read, account: &Account, kubectl: &Kubectl) -> Option<String> {
        let kind = if self.namespace.is_some() { "rolebinding" } else { "clusterrolebinding" };
        let scope: Vec<&str> = self.namespace.iter().flat_map(|namespace| ["-n", *namespace]).collect();
        if let Ok(binding) = there
            && text(binding, "/roleRef/name") == self.role
        {
            if items(binding, "/subjects").iter().any(|subject| account.is_in(subject)) {
                return None;
            }
            let patch = match binding["subjects"].as_array() {
                Some(_) => json!([{"op": "add", "path": "/subjects/-", "value": account.subject()}]),
                None => json!([{"op": "add", "path": "/subjects", "value": [account.subject()]}]),
            };
            let object: Vec<&str> = [kind, self.name].into_iter().chain(scope).collect();
            return Some(kubectl.patch(&object, "json", &patch));
        }
        // One of this name for another role cannot be changed, and may be somebody's.
        let name = if there.is_ok() { format!("{}-gateway", self.name) } else { self.name.to_owned() };
        let role = if self.namespace.is_some() {
            format!("--role={}", self.role)
        } else {
            format!("--clusterrole={}", self.role)
        };
        let option = account.option();
        let words: Vec<&str> = ["create", kind, &name, &role, &option].into_iter().chain(scope).collect();
        Some(kubectl.line(&words))
    }
}

fn events_commands(events: &(String, String), account: &Account, kubectl: &Kubectl) -> Vec<String> {
    const NAME: &str = "metrics-server:events";
    let (namespace, deployment) = (&*events.0, &*events.1);
    let rules = json!([
        {"apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": [deployment], "verbs": ["get"]},
        {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"]},
    ]);
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": {"name": NAME, "namespace": namespace}, "rules": rules,
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": NAME, "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": NAME},
        "subjects": [account.subject()],
    });
    let apply = kubectl.line(&["apply", "-f", "-"]);
    [role, binding].map(|object| format!("echo {} | {apply}", super::printable::word(&object.to_string()))).into()
}

#[cfg(test)]
mod tests;
