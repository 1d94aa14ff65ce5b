//! What metrics-server's users have: the objects of its components.yaml and of its chart, name for name.
//!
//! Rule: metrics-server v0.9.0, `components.yaml`; its chart 3.13, names and labels of its objects.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::helm::{self, render};
use super::{id, manifests, object};

#[test]
fn components_yaml_is_metrics_server_s_but_for_image_environment_delayed_end_and_what_is_new() {
    let objects = helm::documents(&manifests()["components.yaml"]);
    let new = [
        "ClusterRole metrics-gateway:explain",
        "ClusterRole metrics-gateway:operate",
        "Role kube-system/metrics-server:events",
        "RoleBinding kube-system/metrics-server:events",
        "APIService v1.metrics.k8s.io",
    ];
    let upstream: BTreeSet<String> = objects.iter().map(id).filter(|id| !new.contains(&&**id)).collect();
    let expected = [
        "ServiceAccount kube-system/metrics-server",
        "ClusterRole system:aggregated-metrics-reader",
        "ClusterRole system:metrics-server",
        "RoleBinding kube-system/metrics-server-auth-reader",
        "ClusterRoleBinding metrics-server:system:auth-delegator",
        "ClusterRoleBinding system:metrics-server",
        "Service kube-system/metrics-server",
        "Deployment kube-system/metrics-server",
        "APIService v1beta1.metrics.k8s.io",
    ];
    assert_eq!(upstream, expected.map(str::to_owned).into());
    assert_eq!(objects.len(), expected.len() + new.len());
    for object in &objects {
        assert_eq!(object["metadata"]["labels"]["k8s-app"], "metrics-server", "{}", id(object));
    }
    let mut deployment = object(&objects, "Deployment kube-system/metrics-server").clone();
    let container = deployment.pointer_mut("/spec/template/spec/containers/0").expect("there is one");
    let container = container.as_object_mut().expect("it is an object");
    assert_eq!(container.remove("image"), Some(json!("metrics-gateway:unreleased")));
    let env = json!([{ "name": "METRICS_GATEWAY_DEPLOYMENT", "value": "kube-system/metrics-server" }]);
    assert_eq!(container.remove("env"), Some(env));
    let args = container["args"].as_array_mut().expect("they are a list");
    assert_eq!(args.pop(), Some(json!("--shutdown-delay-duration=5s")));
    assert_eq!(deployment["spec"], upstream_deployment());
    let service = &object(&objects, "Service kube-system/metrics-server")["spec"];
    let port =
        json!({ "name": "https", "port": 443, "protocol": "TCP", "targetPort": "https", "appProtocol": "https" });
    assert_eq!(service["ports"], json!([port]));
    assert_eq!(service["selector"], json!({ "k8s-app": "metrics-server" }));
    for (version, priority) in [("v1beta1", 100), ("v1", 90)] {
        let spec = json!({
            "group": "metrics.k8s.io", "version": version, "service": { "name": "metrics-server", "namespace": "kube-system" },
            "insecureSkipTLSVerify": true, "groupPriorityMinimum": 100, "versionPriority": priority,
        });
        assert_eq!(object(&objects, &format!("APIService {version}.metrics.k8s.io"))["spec"], spec);
    }
}

/// The Deployment of metrics-server v0.9.0's components.yaml, without its image.
fn upstream_deployment() -> Value {
    let probe = |path: &str| json!({ "httpGet": { "path": path, "port": "https", "scheme": "HTTPS" }, "periodSeconds": 10, "failureThreshold": 3 });
    let mut readiness = probe("/readyz");
    readiness["initialDelaySeconds"] = json!(20);
    json!({
        "selector": { "matchLabels": { "k8s-app": "metrics-server" } },
        "strategy": { "rollingUpdate": { "maxUnavailable": 0 } },
        "template": {
            "metadata": { "labels": { "k8s-app": "metrics-server" } },
            "spec": {
                "serviceAccountName": "metrics-server",
                "priorityClassName": "system-cluster-critical",
                "nodeSelector": { "kubernetes.io/os": "linux" },
                "containers": [{
                    "name": "metrics-server",
                    "imagePullPolicy": "IfNotPresent",
                    "args": [
                        "--cert-dir=/tmp", "--secure-port=10250",
                        "--kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname",
                        "--kubelet-use-node-status-port", "--metric-resolution=15s",
                    ],
                    "ports": [{ "name": "https", "containerPort": 10250, "protocol": "TCP" }],
                    "readinessProbe": readiness,
                    "livenessProbe": probe("/livez"),
                    "resources": { "requests": { "cpu": "100m", "memory": "200Mi" } },
                    "securityContext": {
                        "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] }, "readOnlyRootFilesystem": true,
                        "runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": { "type": "RuntimeDefault" },
                    },
                    "volumeMounts": [{ "name": "tmp-dir", "mountPath": "/tmp" }],
                }],
                "volumes": [{ "name": "tmp-dir", "emptyDir": {} }],
            },
        },
    })
}

#[test]
fn a_release_of_metrics_server_s_chart_is_upgraded_in_place() {
    let objects = render("default", "1.34.0");
    let selector =
        json!({ "app.kubernetes.io/name": "metrics-server", "app.kubernetes.io/instance": "metrics-server" });
    let deployment = object(&objects, "Deployment kube-system/metrics-server");
    assert_eq!(deployment["spec"]["selector"]["matchLabels"], selector);
    assert_eq!(deployment["spec"]["template"]["metadata"]["labels"]["k8s-app"], "metrics-server");
    let theirs = [
        "ServiceAccount kube-system/metrics-server",
        "ClusterRole system:metrics-server-aggregated-reader",
        "ClusterRole system:metrics-server",
        "ClusterRoleBinding metrics-server:system:auth-delegator",
        "ClusterRoleBinding system:metrics-server",
        "RoleBinding kube-system/metrics-server-auth-reader",
        "Service kube-system/metrics-server",
        "APIService v1beta1.metrics.k8s.io",
    ];
    for wanted in theirs {
        assert_eq!(object(&objects, wanted)["metadata"]["labels"]["app.kubernetes.io/managed-by"], "Helm", "{wanted}");
    }
}
