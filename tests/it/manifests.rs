//! What lies in `deploy/` is what an API server takes, what metrics-server's users have, and all of it comes from the chart.
//!
//! Rendered by the real helm and held against Kubernetes' own schemas; a real API server judges the same objects in the
//! end-to-end suite.

mod documents;
mod helm;
mod rules;
mod schema;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harness::directory::Directory;
use serde_json::{Value, json};

use helm::{cases, render, root, template};

/// The oldest cluster and a current one.
const VERSIONS: [&str; 2] = ["1.20.2", "1.34.0"];

/// `Role kube-system/metrics-server:events`, `ClusterRole system:metrics-server`.
fn id(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (kind, name) = (text(&object["kind"]), text(&object["metadata"]["name"]));
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    }
}

fn object<'a>(objects: &'a [Value], wanted: &str) -> &'a Value {
    objects.iter().find(|object| id(object) == wanted).unwrap_or_else(|| {
        panic!("there is no {wanted} among {:?}", objects.iter().map(id).collect::<Vec<_>>());
    })
}

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// The plain manifests, by name.
fn manifests() -> BTreeMap<String, String> {
    let entries = fs::read_dir(root().join("deploy")).expect("it is there");
    let paths = entries.map(|entry| entry.expect("a directory can be read to its end").path());
    paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .map(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (name, fs::read_to_string(&path).expect("manifests are text"))
        })
        .filter(|(name, _)| name != "kustomization.yaml")
        .collect()
}

#[test]
fn the_plain_manifests_are_what_the_chart_renders() {
    let fresh = Directory::new("metrics-gateway-manifests").expect("a directory can be made");
    let output = Command::new(root().join("deploy/render"))
        .arg(fresh.path())
        .env("HELM", helm::program())
        .output()
        .expect("it can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let committed = manifests();
    let rendered: BTreeSet<String> = fs::read_dir(fresh.path())
        .expect("it is there")
        .map(|entry| entry.expect("a directory can be read to its end").file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(rendered, committed.keys().cloned().collect(), "files");
    for (name, text) in committed {
        let fresh = fs::read_to_string(fresh.file(&name)).expect("it was rendered");
        assert!(fresh == text, "deploy/{name} is not what the chart renders: `make manifests`");
    }
}

#[test]
fn every_object_of_every_values_file_and_manifest_fits_kubernetes_schema() {
    let mut checked = 0;
    let mut check = |what: &str, objects: &[Value]| {
        assert!(!objects.is_empty(), "{what}");
        for object in objects {
            let faults = schema::faults(object);
            assert!(faults.is_empty(), "{what}: {}: {faults:#?}", id(object));
            checked += 1;
        }
    };
    for (case, _) in cases() {
        for version in VERSIONS {
            check(&format!("{case} on {version}"), &render(&case, version));
        }
    }
    for (name, text) in manifests() {
        check(&name, &helm::documents(&text));
    }
    assert!(checked > 300, "{checked}");
}

#[test]
fn objects_of_one_installation_fit_each_other() {
    for (case, _) in cases() {
        let objects = render(&case, "1.34.0");
        let ids: BTreeSet<String> = objects.iter().map(id).collect();
        assert_eq!(ids.len(), objects.len(), "{case}: an object twice among {ids:?}");
        let deployment = objects.iter().find(|object| object["kind"] == "Deployment").expect("there is one");
        let pod = &deployment["spec"]["template"];
        let selects = |selector: &Value, what: &str| {
            let labels = selector.as_object().unwrap_or_else(|| panic!("{case}: {what} selects nothing"));
            assert!(!labels.is_empty(), "{case}: {what} selects everything");
            for (key, value) in labels {
                assert_eq!(&pod["metadata"]["labels"][key], value, "{case}: {what}");
            }
        };
        selects(&deployment["spec"]["selector"]["matchLabels"], "the Deployment");
        for object in &objects {
            match object["kind"].as_str().unwrap_or_default() {
                "Service" => selects(&object["spec"]["selector"], "the Service"),
                "PodDisruptionBudget" => selects(&object["spec"]["selector"]["matchLabels"], "the budget"),
                "NetworkPolicy" => selects(&object["spec"]["podSelector"]["matchLabels"], "the NetworkPolicy"),
                _ => {}
            }
        }
        every_mount_has_its_volume(&case, &pod["spec"]);
        let port = &pod["spec"]["containers"][0]["ports"][0]["containerPort"];
        let flag = format!("--secure-port={port}");
        assert!(strings(&pod["spec"]["containers"][0]["args"]).contains(&&*flag), "{case}: {flag}");
    }
}

fn every_mount_has_its_volume(case: &str, spec: &Value) {
    let volumes: Vec<&Value> = spec["volumes"].as_array().into_iter().flatten().map(|volume| &volume["name"]).collect();
    assert_eq!(
        volumes.iter().map(ToString::to_string).collect::<BTreeSet<_>>().len(),
        volumes.len(),
        "{case}: {volumes:?}"
    );
    for container in spec["containers"].as_array().into_iter().flatten() {
        for mount in container["volumeMounts"].as_array().into_iter().flatten() {
            assert!(volumes.contains(&&mount["name"]), "{case}: {mount} is of no volume");
        }
    }
}

#[test]
fn helm_finds_nothing_to_complain_about() {
    let chart = root().join("deploy/chart").display().to_string();
    for (case, path) in cases() {
        let said = helm::run(&["lint", "--strict", &chart, "--values", &path.display().to_string()]);
        let said = said.unwrap_or_else(|error| panic!("{case}: {error}"));
        assert!(!said.contains("[WARNING]"), "{case}: {said}");
    }
}

#[test]
fn a_key_that_the_chart_does_not_have_is_refused_by_name() {
    let check = |argument: &str, expected: &str| {
        let said = template(&["--set-json", argument]).expect_err(argument);
        assert!(said.contains(expected), "{argument}: {said}");
    };
    check("replica=2", "Additional property replica is not allowed");
    check("image={\"tagg\":\"1\"}", "image: Additional property tagg is not allowed");
    check("tls={\"type\":\"selfsigned\"}", "tls.type must be one of the following: \"metrics-server\", \"helm\"");
    check("containerPort=0", "containerPort: Must be greater than or equal to 1");
    check("args=[\"v=2\"]", "args.0: Does not match pattern '^-'");
    check("plugins={\"skip\":\"not base64!\"}", "plugins.skip: Does not match pattern");
    check("podDisruptionBudget={\"enabled\":true,\"minAvailable\":1,\"maxUnavailable\":1}", "exclude each other");
    check("tls={\"type\":\"existingSecret\"}", "tls.existingSecret.name must name it");
    check("gateway={\"config\":\"x\",\"existingConfigMap\":\"y\"}", "only one can be the gateway.toml");
}

#[test]
fn components_yaml_is_metrics_server_s_but_for_the_image_its_environment_and_what_is_new() {
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
fn the_parts_are_the_whole() {
    let manifests = manifests();
    let parts = ["rbac.yaml", "service.yaml", "deployment.yaml", "apiservice.yaml"];
    let of_parts: Vec<Value> = parts.iter().flat_map(|part| helm::documents(&manifests[*part])).collect();
    let by_id = |objects: &[Value]| -> BTreeMap<String, Value> {
        objects.iter().map(|object| (id(object), object.clone())).collect()
    };
    assert_eq!(by_id(&of_parts), by_id(&helm::documents(&manifests["components.yaml"])));
    let kustomization =
        helm::document(&fs::read_to_string(root().join("deploy/kustomization.yaml")).expect("it is there"));
    assert_eq!(strings(&kustomization["resources"]), parts);
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

#[test]
fn two_replicas_never_share_a_node_and_one_is_always_left() {
    for (name, version) in [("high-availability.yaml", "policy/v1beta1"), ("high-availability-1.21+.yaml", "policy/v1")]
    {
        let objects = helm::documents(&manifests()[name]);
        let spec = &object(&objects, "Deployment kube-system/metrics-server")["spec"];
        assert_eq!(
            (&spec["replicas"], &spec["strategy"]["rollingUpdate"]["maxUnavailable"]),
            (&json!(2), &json!(1)),
            "{name}"
        );
        let term = &spec["template"]["spec"]["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
            [0];
        assert_eq!(term["topologyKey"], "kubernetes.io/hostname", "{name}");
        assert_eq!(term["labelSelector"], spec["selector"], "{name}");
        assert_eq!(term["namespaces"], json!(["kube-system"]), "{name}");
        let budget = object(&objects, "PodDisruptionBudget kube-system/metrics-server");
        assert_eq!((&budget["apiVersion"], &budget["spec"]["minAvailable"]), (&json!(version), &json!(1)), "{name}");
        assert_eq!(budget["spec"]["selector"], spec["selector"], "{name}");
    }
    let objects = template(&["--set", "highAvailability.enabled=true,replicas=5"]).expect("it can be rendered");
    assert_eq!(object(&objects, "Deployment kube-system/metrics-server")["spec"]["replicas"], 5);
}

/// (insecureSkipTLSVerify, caBundle, inject-ca-from, --tls-cert-file) of both APIServices and the Deployment.
fn tls(objects: &[Value]) -> (Value, Value, Value, bool) {
    let of = |version: &str| {
        let service = object(objects, &format!("APIService {version}.metrics.k8s.io"));
        let (spec, annotations) = (&service["spec"], &service["metadata"]["annotations"]);
        let injected = annotations["cert-manager.io/inject-ca-from"].clone();
        (spec["insecureSkipTLSVerify"].clone(), spec["caBundle"].clone(), injected)
    };
    assert_eq!(of("v1"), of("v1beta1"));
    let deployment = object(objects, "Deployment kube-system/metrics-server");
    let args = &deployment["spec"]["template"]["spec"]["containers"][0]["args"];
    let (insecure, bundle, injected) = of("v1");
    (insecure, bundle, injected, strings(args).contains(&"--tls-cert-file=/tmp/tls-certs/tls.crt"))
}

#[test]
fn each_way_to_tls_tells_the_api_server_what_to_verify() {
    let bundle = STANDARD.encode("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n");
    let null = Value::Null;
    assert_eq!(tls(&render("default", "1.34.0")), (json!(true), null.clone(), null.clone(), false));
    assert_eq!(tls(&render("tls-existing-secret", "1.34.0")), (null.clone(), json!(bundle), null.clone(), true));
    let injected = json!("kube-system/metrics-server");
    assert_eq!(tls(&render("tls-cert-manager", "1.34.0")), (null.clone(), null.clone(), injected, true));
    let by_issuer = render("tls-cert-manager-existing-issuer", "1.34.0");
    assert_eq!(tls(&by_issuer), (json!(true), null, Value::Null, true));
    let reference = &object(&by_issuer, "Certificate kube-system/metrics-server")["spec"]["issuerRef"];
    assert_eq!(reference, &json!({ "group": "cert-manager.io", "kind": "ClusterIssuer", "name": "cluster-ca" }));
    assert!(!by_issuer.iter().any(|object| object["kind"] == "Issuer"), "it has one already");
}

#[test]
fn helm_makes_a_serving_pair_that_its_ca_vouches_for() {
    let objects = render("tls-helm", "1.34.0");
    let (insecure, bundle, _, is_mounted) = tls(&objects);
    let secret = object(&objects, "Secret kube-system/metrics-server");
    assert_eq!((insecure, is_mounted), (Value::Null, true));
    assert_eq!(secret["data"]["ca.crt"], bundle);
    let pem = |key: &str| {
        let text = STANDARD.decode(secret["data"][key].as_str().expect("it is there")).expect("it is base64");
        x509_parser::pem::parse_x509_pem(&text).expect("it is PEM").1.contents
    };
    let (ca, leaf) = (pem("ca.crt"), pem("tls.crt"));
    let (_, ca) = x509_parser::parse_x509_certificate(&ca).expect("it is a certificate");
    let (_, leaf) = x509_parser::parse_x509_certificate(&leaf).expect("it is a certificate");
    assert!(ca.is_ca() && !leaf.is_ca());
    assert_eq!(leaf.issuer(), ca.subject());
    let names = leaf.subject_alternative_name().expect("it can be read").expect("it has names");
    let names: Vec<String> = names.value.general_names.iter().map(ToString::to_string).collect();
    for name in ["metrics-server.kube-system.svc", "metrics-server.kube-system.svc.example.local"] {
        assert!(names.iter().any(|of| of.contains(&format!("({name})"))), "{names:?}");
    }
    let days = (leaf.validity().not_after.timestamp() - leaf.validity().not_before.timestamp()) / 86400;
    assert_eq!(days, 90);
}

#[test]
fn metrics_for_anybody_leave_the_health_paths_open() {
    let objects = template(&["--set", "metrics.enabled=true"]).expect("it can be rendered");
    let deployment = object(&objects, "Deployment kube-system/metrics-server");
    let args = strings(&deployment["spec"]["template"]["spec"]["containers"][0]["args"]);
    let expected = "--authorization-always-allow-paths=/healthz,/readyz,/livez,/metrics";
    assert!(args.contains(&expected), "{args:?}");
}

#[test]
fn on_the_host_s_network_the_kubelet_keeps_its_port() {
    let port = |arguments: &[&str]| {
        let objects = template(arguments).expect("it can be rendered");
        let deployment = object(&objects, "Deployment kube-system/metrics-server");
        let spec = &deployment["spec"]["template"]["spec"];
        (spec["hostNetwork"].clone(), spec["containers"][0]["ports"][0]["containerPort"].clone())
    };
    assert_eq!(port(&[]), (Value::Null, json!(10250)));
    assert_eq!(port(&["--set", "hostNetwork.enabled=true"]), (json!(true), json!(4443)));
    assert_eq!(port(&["--set", "hostNetwork.enabled=true,containerPort=9443"]), (json!(true), json!(9443)));
}

#[test]
fn gateway_toml_and_plugins_arrive_as_they_were_given_and_restart_nothing() {
    let objects = render("everything", "1.34.0");
    let values = fs::read_to_string(root().join("deploy/chart/ci/everything-values.yaml")).expect("it is there");
    let values = helm::document(&values);
    let config = object(&objects, "ConfigMap kube-system/metrics-gateway");
    assert_eq!(config["data"]["gateway.toml"], values["gateway"]["config"]);
    let plugins = object(&objects, "ConfigMap kube-system/metrics-gateway-plugins");
    assert_eq!(plugins["binaryData"]["skip-sidecars.wasm"], values["plugins"]["skip-sidecars"]);
    let pod = &object(&objects, "Deployment kube-system/metrics-server")["spec"]["template"];
    assert_eq!(pod["metadata"]["annotations"], Value::Null, "a checksum would restart the pod");
    let container = &pod["spec"]["containers"][0];
    assert!(strings(&container["args"]).contains(&"--config=/etc/metrics-gateway/gateway.toml"), "{container}");
    let dashboard = object(&objects, "ConfigMap kube-system/metrics-server-dashboard");
    let file = fs::read_to_string(root().join("deploy/chart/files/dashboard.json")).expect("it is there");
    assert_eq!(dashboard["data"]["metrics-gateway.json"], file);
    let rules = fs::read_to_string(root().join("deploy/chart/files/rules.yaml")).expect("it is there");
    let rendered = object(&objects, "PrometheusRule kube-system/metrics-server");
    assert_eq!(rendered["spec"], helm::document(&rules));
}
