use std::time::Duration;

use futures_util::future::join_all;

use crate::auth::tests::{World, list_nodes, path};
use crate::auth::{Attributes, Caller, Details, Identity, Proof, Refusal, ResourceAttributes, User};
use crate::model::selector::{FieldSelector, LabelSelector};

/// Somebody of whom all but the name is of no interest.
fn named(name: &str) -> Identity {
    let user = User { name: name.to_owned(), ..User::default() };
    Identity { user, proof: Proof::FrontProxy, warning: None, impersonation: None }
}

async fn permit(world: &World, name: &str, attributes: &Attributes) -> Result<Caller, Refusal> {
    world.door.permit(named(name), attributes).await
}

fn get_pod(name: &str, subresource: &str) -> Attributes {
    let resource = ResourceAttributes {
        group: "metrics.k8s.io".to_owned(),
        version: "v1beta1".to_owned(),
        namespace: "default".to_owned(),
        resource: "pods".to_owned(),
        subresource: subresource.to_owned(),
        name: name.to_owned(),
        ..ResourceAttributes::default()
    };
    Attributes { verb: "get", path: String::new(), resource: Some(resource) }
}

#[tokio::test(start_paused = true)]
async fn administrators_and_always_allowed_paths_cost_no_review() {
    let world = World::new().await;
    let mut root = named("root");
    root.user.groups.push("system:masters".to_owned());
    world.door.permit(root, &list_nodes()).await.unwrap();
    for allowed in ["/healthz", "/livez", "/livez/ping"] {
        permit(&world, "nobody", &path(allowed)).await.unwrap();
    }
    assert!(world.api.questions.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn only_the_very_path_is_always_allowed_and_never_a_resource() {
    let world = World::new().await;
    for asked in ["/healthz/", "/healthz/ping", "//healthz", "/healthz/../metrics", "/readyz", "/live", ""] {
        assert!(permit(&world, "nobody", &path(asked)).await.is_err(), "{asked:?}");
    }
    let resource = Attributes { path: "/healthz".to_owned(), ..get_pod("web-0", "") };
    assert!(permit(&world, "nobody", &resource).await.is_err());
}

/// The message of the refusal of `nobody`.
async fn message(attributes: &Attributes) -> (String, Details) {
    let world = World::new().await;
    match permit(&world, "nobody", attributes).await {
        Err(Refusal::Forbidden { message, details, .. }) => (message, details),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_reads_as_the_reference_writes_it() {
    let details = |kind: &str, name: &str| {
        let group = if kind.is_empty() { "" } else { "metrics.k8s.io" };
        Details { group: group.to_owned(), kind: kind.to_owned(), name: name.to_owned() }
    };
    let odd = get_pod("a<b>&\"c\"\n\u{e9}\u{200b}", "");
    let rows = [
        (
            list_nodes(),
            r#"nodes.metrics.k8s.io is forbidden: User "nobody" cannot list resource "nodes" in API group "metrics.k8s.io" at the cluster scope"#,
            details("nodes", ""),
        ),
        (
            get_pod("web-0", ""),
            r#"pods.metrics.k8s.io "web-0" is forbidden: User "nobody" cannot get resource "pods" in API group "metrics.k8s.io" in the namespace "default""#,
            details("pods", "web-0"),
        ),
        (
            get_pod("web-0", "log"),
            r#"pods.metrics.k8s.io "web-0" is forbidden: User "nobody" cannot get resource "pods/log" in API group "metrics.k8s.io" in the namespace "default""#,
            details("pods", "web-0"),
        ),
        (path("/metrics"), r#"forbidden: User "nobody" cannot get path "/metrics""#, details("", "")),
        (path("/a?<b>&c"), r#"forbidden: User "nobody" cannot get path "/a?&lt;b&gt;&amp;c""#, details("", "")),
        (
            odd,
            "pods.metrics.k8s.io \"a<b>&\\\"c\\\"\\n\u{e9}\\u200b\" is forbidden: User \"nobody\" cannot get resource \"pods\" in API group \"metrics.k8s.io\" in the namespace \"default\"",
            details("pods", "a<b>&\"c\"\n\u{e9}\u{200b}"),
        ),
    ];
    for (attributes, expected, details) in rows {
        assert_eq!(message(&attributes).await, (expected.to_owned(), details));
    }
}

#[tokio::test(start_paused = true)]
async fn the_api_servers_reason_ends_the_message() {
    let world = World::new().await;
    let refusal = permit(&world, "reasoned", &path("/metrics")).await.unwrap_err();
    assert_eq!(refusal.message(), r#"forbidden: User "reasoned" cannot get path "/metrics": custom reason"#);
}

#[tokio::test(start_paused = true)]
async fn verdicts_are_asked_for_once_and_kept_for_their_two_times() {
    for (user, seconds) in [("carol", 10), ("nobody", 5)] {
        let world = World::new().await;
        for (pause_ms, expected) in [(0, 1), (0, 1), (seconds * 1000 - 100, 1), (200, 2)] {
            tokio::time::advance(Duration::from_millis(pause_ms)).await;
            let _ = permit(&world, user, &list_nodes()).await;
            assert_eq!(world.api.questions.lock().len(), expected, "{user}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn requests_that_ask_the_same_at_once_share_one_review() {
    let world = World::new().await;
    let attributes = list_nodes();
    let outcomes = join_all((0..50).map(|_| permit(&world, "carol", &attributes))).await;
    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!(world.api.questions.lock().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn another_user_or_another_question_is_another_review() {
    let world = World::new().await;
    permit(&world, "carol", &get_pod("a", "")).await.unwrap();
    permit(&world, "carol", &get_pod("b", "")).await.unwrap();
    assert!(permit(&world, "nobody", &get_pod("a", "")).await.is_err(), "carol's verdict is not nobody's");
    let mut grouped = named("carol");
    grouped.user.groups.push("dev".to_owned());
    world.door.permit(grouped, &get_pod("a", "")).await.unwrap();
    assert_eq!(world.api.questions.lock().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn errors_keep_the_door_shut_and_are_not_remembered() {
    for (user, attempts) in [("outage", 5), ("unbound", 1), ("both", 1)] {
        let world = World::new().await;
        for round in 1..=2 {
            let refused = permit(&world, user, &list_nodes()).await;
            assert!(matches!(refused, Err(Refusal::Unavailable { .. })), "{user}: {refused:?}");
            assert_eq!(world.api.questions.lock().len(), round * attempts, "{user}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn questions_of_absurd_length_are_asked_each_time() {
    let world = World::new().await;
    for (length, reviews) in [(9_900, 1), (10_000, 2)] {
        world.api.questions.lock().clear();
        for _ in 0..2 {
            permit(&world, "carol", &path(&"x".repeat(length))).await.unwrap();
        }
        assert_eq!(world.api.questions.lock().len(), reviews, "{length}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_user_has_at_most_sixteen_questions_under_way_and_holds_up_nobody_else() {
    let world = World::new().await;
    let paths: Vec<Attributes> = (0..40).map(|number| path(&format!("/{number}"))).collect();
    let busy = join_all(paths.iter().map(|path| permit(&world, "busy", path)));
    let nodes = list_nodes();
    tokio::select! {
        _ = busy => panic!("forty reviews at sixteen a second took one"),
        outcome = permit(&world, "carol", &nodes) => assert!(outcome.is_ok()),
    }
    let asked =
        |name: &str| world.api.questions.lock().iter().filter(|spec| spec.user.as_deref() == Some(name)).count();
    assert_eq!((asked("carol"), asked("busy") <= 32), (1, true), "busy asked {}", asked("busy"));
}

#[tokio::test(start_paused = true)]
async fn selectors_of_a_list_are_part_of_the_question() {
    let world = World::new().await;
    let mut attributes = list_nodes();
    let resource = attributes.resource.as_mut().unwrap();
    resource.labels = LabelSelector::parse("zone in (z1,z0),!q,a=b,c>3,d").unwrap();
    resource.fields = FieldSelector::parse("metadata.name=node1").unwrap();
    permit(&world, "carol", &attributes).await.unwrap();
    let question = serde_json::to_value(&world.api.questions.lock()[0]).unwrap();
    let expected = serde_json::json!({
        "user": "carol",
        "resourceAttributes": {
            "group": "metrics.k8s.io", "version": "v1beta1", "resource": "nodes", "verb": "list",
            "fieldSelector": {"requirements": [{"key": "metadata.name", "operator": "In", "values": ["node1"]}]},
            "labelSelector": {"requirements": [
                {"key": "a", "operator": "In", "values": ["b"]},
                {"key": "d", "operator": "Exists"},
                {"key": "q", "operator": "DoesNotExist"},
                {"key": "zone", "operator": "In", "values": ["z0", "z1"]},
            ]},
        },
    });
    assert_eq!(question, expected);
    attributes.verb = "get";
    permit(&world, "carol", &attributes).await.unwrap();
    let question = world.api.questions.lock()[1].resource_attributes.clone().unwrap();
    assert_eq!((question.field_selector, question.label_selector), (None, None));
}
