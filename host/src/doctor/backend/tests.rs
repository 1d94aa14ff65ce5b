use serde_json::{Value, json};

use super::{Backend, why_not_ready};
use crate::doctor::cause::Cause;
use crate::doctor::kubectl::Kubectl;
use crate::doctor::report::Verdict;

fn pod(phase: &str, status: &Value) -> Value {
    json!({
        "metadata": {"name": "metrics-server-0"},
        "status": {
            "phase": phase, "containerStatuses": [status], "conditions": [{"type": "Ready", "status": "False"}],
        },
    })
}

#[test]
fn what_keeps_a_pod_from_being_ready_is_told_by_its_status() {
    let waiting = |reason: &str| json!({"state": {"waiting": {"reason": reason, "message": "words"}}});
    let looping = |code: i64| {
        json!({
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"exitCode": code, "reason": "Error", "message": "unknown flag: --x"}},
        })
    };
    let running = json!({"ready": false, "state": {"running": {}}});
    for (pod, expected) in [
        (pod("Pending", &waiting("ImagePullBackOff")), Cause::ImagePull),
        (pod("Pending", &waiting("ErrImageNeverPull")), Cause::ImagePull),
        (pod("Running", &looping(2)), Cause::BadFlags),
        (pod("Running", &looping(1)), Cause::CrashLoop),
        (pod("Pending", &waiting("CreateContainerConfigError")), Cause::ContainerWaiting),
        (pod("Pending", &waiting("ContainerCreating")), Cause::ContainerWaiting),
        (pod("Running", &running), Cause::ProbeFailing),
        (
            json!({"status": {"phase": "Pending", "conditions": [
                {"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"},
            ]}}),
            Cause::PodPending,
        ),
    ] {
        let (cause, message) = why_not_ready(&pod);
        assert_eq!(cause, expected, "{message}");
    }
    assert!(why_not_ready(&pod("Running", &looping(2))).1.contains("unknown flag: --x"));
}

fn backend(endpoints: &Value) -> Backend {
    Backend {
        namespace: "kube-system".to_owned(),
        service_name: "metrics-server".to_owned(),
        service: Ok(json!({"spec": {"selector": {"k8s-app": "metrics-server"}}})),
        endpoints: Ok(endpoints.clone()),
        deployment: Ok(Some(
            json!({"metadata": {"name": "metrics-server"}, "spec": {"replicas": 2}, "status": {"readyReplicas": 1}}),
        )),
        pods: Ok(Vec::new()),
    }
}

#[test]
fn a_service_without_endpoints_fails_and_one_ready_replica_of_two_warns() {
    let empty = backend(&json!({"subsets": []})).judge(&Kubectl::default());
    assert_eq!((empty[0].cause, empty[0].verdict), (Some(Cause::NoEndpoints), Verdict::Failed), "{empty:?}");
    assert!(empty[0].message.contains("k8s-app=metrics-server"), "{empty:?}");
    let ready = json!({"subsets": [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 10250}]}]});
    let found = backend(&ready);
    assert_eq!(found.addresses(), [("10.0.0.1".to_owned(), 10250)]);
    let found = found.judge(&Kubectl::default());
    assert_eq!((found[0].verdict, found[1].verdict), (Verdict::Ok, Verdict::Warning), "{found:?}");
}
