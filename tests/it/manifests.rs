//! What lies in `deploy/` is what an API server takes, what metrics-server's users have, and all of it comes from the chart.
//!
//! Rendered by the real helm and held against Kubernetes' own schemas; a real API server judges the same objects in the
//! end-to-end suite.

mod documents;
mod helm;
mod rules;
mod schema;
mod tls;
mod upstream;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

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
