use serde_json::json;

use super::{Account, Needs, Roles, groups, refused};
use crate::doctor::cause::Cause;
use crate::doctor::kubectl::Kubectl;
use crate::doctor::report::{Finding, Verdict};
use crate::doctor::server::{Read, Unread};

fn absent() -> Read {
    Err(Unread { status: Some(404), text: "not found".to_owned() })
}

fn nobody() -> Roles {
    Roles { role: absent(), binding: absent(), delegator: absent(), reader: absent() }
}

fn check(cause: Cause, roles: &Roles, account: &Account, expected: &[&str]) -> Finding {
    let needs = Needs { namespaces: true, events: Some(("kube-system".to_owned(), "metrics-server".to_owned())) };
    let groups = groups(&needs);
    let group = groups.iter().find(|group| group.cause == cause).unwrap();
    let all: Vec<_> = group.rights.iter().collect();
    let kubectl = Kubectl::new(None, Some("east"));
    let finding = refused(group, &all, account, roles, &needs, &kubectl);
    let json = crate::doctor::report::Report { findings: vec![finding.clone()], is_blind: false }.to_json();
    assert_eq!(json["checks"][0]["commands"], json!(expected), "{cause}");
    finding
}

#[test]
fn commands_give_what_is_missing_and_nothing_else() {
    let account = Account::service_account("kube-system", "metrics-server");
    let subject = json!({"kind": "ServiceAccount", "namespace": "kube-system", "name": "metrics-server"});
    let option = "--serviceaccount=kube-system:metrics-server";
    check(
        Cause::RbacAuthDelegator,
        &nobody(),
        &account,
        &[&format!(
            "kubectl --context=east create clusterrolebinding metrics-server:system:auth-delegator \
         --clusterrole=system:auth-delegator {option}"
        )],
    );
    check(
        Cause::RbacAuthReader,
        &nobody(),
        &account,
        &[&format!(
            "kubectl --context=east create rolebinding metrics-server-auth-reader \
         --role=extension-apiserver-authentication-reader {option} -n kube-system"
        )],
    );
    // A role that lacks a rule is patched, and a binding that is there is left alone.
    let role = json!({"rules": [{"apiGroups": [""], "resources": ["nodes", "pods", "namespaces"], "verbs": ["get", "list", "watch"]}]});
    let binding = json!({"roleRef": {"name": "system:metrics-server"}, "subjects": [subject]});
    let roles = Roles { role: Ok(role), binding: Ok(binding), ..nobody() };
    check(
        Cause::RbacKubelets,
        &roles,
        &account,
        &["kubectl --context=east patch clusterrole system:metrics-server --type=json -p \
         '[{\"op\":\"add\",\"path\":\"/rules/-\",\"value\":{\"apiGroups\":[\"\"],\"resources\":[\"nodes/metrics\",\"nodes/stats\"],\"verbs\":[\"get\"]}}]'"],
    );
    // A binding of others gets one more subject; nothing is taken from them.
    let other = json!({"roleRef": {"name": "system:auth-delegator"}, "subjects": [{"kind": "User", "name": "x"}]});
    let roles = Roles { delegator: Ok(other), ..nobody() };
    check(
        Cause::RbacAuthDelegator,
        &roles,
        &account,
        &["kubectl --context=east patch clusterrolebinding metrics-server:system:auth-delegator --type=json -p \
         '[{\"op\":\"add\",\"path\":\"/subjects/-\",\"value\":{\"kind\":\"ServiceAccount\",\"name\":\"metrics-server\",\"namespace\":\"kube-system\"}}]'"],
    );
    let user = Account { user: "gateway".to_owned(), groups: Vec::new() };
    check(
        Cause::RbacAuthDelegator,
        &nobody(),
        &user,
        &["kubectl --context=east create clusterrolebinding metrics-server:system:auth-delegator \
         --clusterrole=system:auth-delegator --user=gateway"],
    );
}

#[test]
fn what_is_there_already_needs_no_command_and_another_authorizer_is_blamed() {
    let account = Account::service_account("kube-system", "metrics-server");
    let subject = json!({"kind": "ServiceAccount", "namespace": "kube-system", "name": "metrics-server"});
    let binding = |role: &str| Ok(json!({"roleRef": {"name": role}, "subjects": [subject]}));
    let roles = Roles { delegator: binding("system:auth-delegator"), ..nobody() };
    let finding = check(Cause::RbacAuthDelegator, &roles, &account, &[]);
    assert!(format!("{:?}", finding.remedy).contains("another authorizer"), "{finding:?}");
    assert_eq!(finding.verdict, Verdict::Failed);
}

#[test]
fn rights_that_only_comfort_needs_are_warnings() {
    let account = Account::service_account("kube-system", "metrics-server");
    let needs = Needs { namespaces: false, events: Some(("kube-system".to_owned(), "metrics-server".to_owned())) };
    let groups = groups(&needs);
    for (cause, at) in [(Cause::RbacKubelets, 1), (Cause::RbacEvents, 0)] {
        let group = groups.iter().find(|group| group.cause == cause).unwrap();
        let finding = refused(group, &[&group.rights[at]], &account, &nobody(), &needs, &Kubectl::default());
        assert_eq!(finding.verdict, Verdict::Warning, "{finding:?}");
    }
    let watches = groups.iter().find(|group| group.cause == Cause::RbacWatches).unwrap();
    assert!(watches.rights.iter().all(|right| right.resource != "namespaces"), "nobody needs them here");
}
