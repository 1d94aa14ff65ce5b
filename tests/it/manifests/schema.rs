//! Kubernetes' own schemas, applied strictly.
//!
//! In: an object. Out: every fault, with its path. Stricter than an API server: a field that the schema does not have is a
//! fault, and so is a null. The schemas are those of a real API server 1.20, cut down by `tests/openapi-cut`; of what is
//! newer, and of custom resources, the few that the chart renders are written here by hand, in the same form, with the
//! fields that it uses and no others. They prove less: that no key is misspelt, not that an operator takes the object.
//!
//! Absent on purpose: what API servers check beyond their schemas. The end-to-end suite asks a real one.

use std::sync::OnceLock;

use base64::Engine as _;
use serde_json::{Map, Value, json};

/// The faults of an object.
pub(super) fn faults(object: &Value) -> Vec<String> {
    let kind = format!("{} {}", text(&object["apiVersion"]), text(&object["kind"]));
    let kind = if kind == "policy/v1 PodDisruptionBudget" { kind.replace("v1", "v1beta1") } else { kind };
    let mut faults = Vec::new();
    match schemas()["kinds"].get(&kind).and_then(Value::as_str) {
        Some(name) => check(&json!({ "$ref": name }), object, "", &mut faults),
        None => faults.push(format!("there is no schema of {kind}")),
    }
    faults
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn schemas() -> &'static Value {
    static SCHEMAS: OnceLock<Value> = OnceLock::new();
    SCHEMAS.get_or_init(|| {
        let fixture = include_str!("../../fixtures/kubernetes-openapi-1.20.json");
        let mut schemas: Value = serde_json::from_str(fixture).expect("it is JSON");
        add_what_is_newer(&mut schemas["definitions"]);
        add_custom_resources(&mut schemas);
        schemas
    })
}

/// Fields that Kubernetes has learnt since, and that the chart or the values of a test use.
fn add_what_is_newer(definitions: &mut Value) {
    let mut add = |definition: &str, field: &str, schema: Value| {
        definitions[definition]["properties"][field] = schema;
    };
    add("io.k8s.api.core.v1.PodSpec", "hostUsers", json!({ "type": "boolean" }));
    let string = || json!({ "type": "string" });
    let image = json!({ "type": "object", "properties": { "reference": string(), "pullPolicy": string() } });
    add("io.k8s.api.core.v1.Volume", "image", image);
    add("io.k8s.api.policy.v1beta1.PodDisruptionBudgetSpec", "unhealthyPodEvictionPolicy", string());
}

fn add_custom_resources(schemas: &mut Value) {
    let string = || json!({ "type": "string" });
    let strings = || json!({ "type": "array", "items": { "type": "string" } });
    let by_name = || json!({ "type": "object", "additionalProperties": { "type": "string" } });
    let object = |required: &[&str], properties: Value| json!({ "type": "object", "required": required, "properties": properties });
    let list = |item: Value| json!({ "type": "array", "items": item });
    let relabeling = || {
        object(
            &[],
            json!({ "action": string(), "regex": string(), "replacement": string(), "sourceLabels": strings(), "targetLabel": string() }),
        )
    };
    let secret_key = object(&["name", "key"], json!({ "name": string(), "key": string() }));
    let tls = object(
        &[],
        json!({ "ca": object(&["secret"], json!({ "secret": secret_key })), "serverName": string(), "insecureSkipVerify": { "type": "boolean" } }),
    );
    let endpoint = object(
        &["port"],
        json!({
            "port": string(), "path": string(), "scheme": string(), "interval": string(), "scrapeTimeout": string(),
            "bearerTokenFile": string(), "honorLabels": { "type": "boolean" }, "tlsConfig": tls,
            "metricRelabelings": list(relabeling()), "relabelings": list(relabeling()),
        }),
    );
    let monitor = object(
        &["selector", "endpoints"],
        json!({
            "jobLabel": string(), "endpoints": list(endpoint),
            "namespaceSelector": object(&[], json!({ "matchNames": strings() })),
            "selector": object(&[], json!({ "matchLabels": by_name() })),
        }),
    );
    let rule = object(
        &["alert", "expr", "labels", "annotations"],
        json!({ "alert": string(), "expr": string(), "for": string(), "labels": by_name(), "annotations": by_name() }),
    );
    let rules = object(
        &["groups"],
        json!({ "groups": list(object(&["name", "rules"], json!({ "name": string(), "rules": list(rule) }))) }),
    );
    let issuer = object(&["selfSigned"], json!({ "selfSigned": object(&[], json!({})) }));
    let issuer_ref = object(&["name"], json!({ "group": string(), "kind": string(), "name": string() }));
    let key = object(&[], json!({ "algorithm": string(), "size": { "type": "integer" } }));
    let certificate = object(
        &["secretName", "issuerRef", "dnsNames"],
        json!({
            "commonName": string(), "dnsNames": strings(), "secretName": string(), "usages": strings(), "duration": string(),
            "renewBefore": string(), "issuerRef": issuer_ref, "privateKey": key,
        }),
    );
    for (kind, spec) in [
        ("monitoring.coreos.com/v1 ServiceMonitor", monitor),
        ("monitoring.coreos.com/v1 PrometheusRule", rules),
        ("cert-manager.io/v1 Issuer", issuer),
        ("cert-manager.io/v1 Certificate", certificate),
    ] {
        let metadata = json!({ "$ref": "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta" });
        schemas["kinds"][kind] = json!(kind);
        schemas["definitions"][kind] = object(
            &["apiVersion", "kind", "metadata", "spec"],
            json!({ "apiVersion": string(), "kind": string(), "metadata": metadata, "spec": spec }),
        );
    }
}

fn check(schema: &Value, value: &Value, path: &str, faults: &mut Vec<String>) {
    if let Some(name) = schema["$ref"].as_str() {
        if name.ends_with(".resource.Quantity") {
            if !is_quantity(value) {
                faults.push(format!("{path}: {value} is no quantity"));
            }
            return;
        }
        return check(&schemas()["definitions"][name], value, path, faults);
    }
    let is_right = match (text(&schema["type"]), text(&schema["format"])) {
        ("object", _) => return check_object(schema, value, path, faults),
        ("array", _) => return check_array(schema, value, path, faults),
        ("string", "int-or-string") => value.is_string() || value.is_i64(),
        ("string", "byte") => {
            value.as_str().is_some_and(|text| base64::engine::general_purpose::STANDARD.decode(text).is_ok())
        }
        ("string", _) => value.is_string(),
        ("integer", "int32") => value.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
        ("integer", _) => value.is_i64(),
        ("boolean", _) => value.is_boolean(),
        other => panic!("{path}: the schema says {other:?}"),
    };
    if !is_right {
        faults.push(format!("{path}: {value} is no {}", schema["type"]));
    }
}

fn check_array(schema: &Value, value: &Value, path: &str, faults: &mut Vec<String>) {
    match value.as_array() {
        Some(items) => {
            for (index, item) in items.iter().enumerate() {
                check(&schema["items"], item, &format!("{path}[{index}]"), faults);
            }
        }
        None => faults.push(format!("{path}: {value} is no array")),
    }
}

fn check_object(schema: &Value, value: &Value, path: &str, faults: &mut Vec<String>) {
    let Some(fields) = value.as_object() else { return faults.push(format!("{path}: {value} is no object")) };
    let empty = Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&empty);
    for (name, field) in fields {
        let path = format!("{path}.{name}");
        match properties.get(name).or_else(|| schema.get("additionalProperties")) {
            Some(schema) => check(schema, field, &path, faults),
            None => faults.push(format!("{path}: there is no such field")),
        }
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        if !fields.contains_key(text(name)) {
            faults.push(format!("{path}.{}: it is required", text(name)));
        }
    }
}

fn is_quantity(value: &Value) -> bool {
    value.is_number() || value.as_str().is_some_and(|text| harness::table::nanos(text).is_some())
}

#[test]
fn the_validator_finds_each_kind_of_fault() {
    let service =
        |spec: Value| json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "x" }, "spec": spec });
    let check = |object: Value, expected: &str| {
        let faults = faults(&object);
        assert!(faults.iter().any(|fault| fault.contains(expected)), "{expected:?} is not among {faults:?}");
    };
    check(service(json!({ "port": [] })), ".spec.port: there is no such field");
    check(service(json!({ "ports": {} })), ".spec.ports: {} is no array");
    check(service(json!({ "ports": [{ "port": "443" }] })), ".spec.ports[0].port: \"443\" is no");
    check(service(json!({ "ports": [{}] })), ".spec.ports[0].port: it is required");
    check(service(json!({ "ports": [{ "port": 1, "targetPort": true }] })), "targetPort: true is no");
    check(service(json!({ "selector": { "a": 1 } })), ".spec.selector.a: 1 is no");
    check(service(json!({ "type": null })), ".spec.type: null is no");
    check(service(json!({ "ports": [{ "port": 5_000_000_000_u64 }] })), "5000000000 is no");
    check(json!({ "apiVersion": "v2", "kind": "Service" }), "there is no schema of v2 Service");
    check(json!({ "apiVersion": "v1", "kind": "Secret", "data": { "a": "=" } }), ".data.a: \"=\" is no");
    let rule = json!({ "alert": "A", "expr": "1", "labels": {}, "annotations": {}, "four": "5m" });
    let spec = json!({ "groups": [{ "name": "g", "rules": [rule] }] });
    let rules =
        json!({ "apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "metadata": {}, "spec": spec });
    check(rules, ".spec.groups[0].rules[0].four: there is no such field");
    let right = service(json!({ "ports": [{ "port": 443, "targetPort": "https" }] }));
    assert_eq!(faults(&right), Vec::<String>::new());
}
