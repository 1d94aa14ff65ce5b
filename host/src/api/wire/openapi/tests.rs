use super::*;

macro_rules! upstreams {
    ($name:literal) => {
        serde_json::from_str::<Value>(include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../tests/fixtures/openapi/",
            $name
        )))
        .unwrap()
    };
}

fn parsed(document: &[u8]) -> Value {
    serde_json::from_slice(document).unwrap()
}

/// The document without its texts for people, of which upstream's fixtures are free as well.
fn without_descriptions(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let kept = members.into_iter().filter(|(name, value)| name != "description" || !value.is_string());
            kept.map(|(name, value)| (name, without_descriptions(value))).collect()
        }
        Value::Array(items) => items.into_iter().map(without_descriptions).collect(),
        other => other,
    }
}

/// Only what is said of one version of the group, and of what all have in common.
fn without_version(mut document: Value, version: ApiVersion) -> Value {
    let (path, name) = (format!("/{}/", version.group_version()), our_prefix(version));
    document["paths"].as_object_mut().unwrap().retain(|key, _| !key.contains(&path));
    document["definitions"].as_object_mut().unwrap().retain(|key, _| !key.starts_with(&name));
    document
}

fn our_prefix(version: ApiVersion) -> String {
    models::our_name("", version)
}

#[test]
fn version_2_says_of_v1beta1_what_upstream_says() {
    let mut ours = without_descriptions(without_version(parsed(v2()), ApiVersion::V1));
    let mut theirs = upstreams!("v2.json");
    for part in ["paths", "definitions"] {
        compare(&mut ours[part], &mut theirs[part]);
    }
    assert_eq!(ours["swagger"], theirs["swagger"]);
}

#[test]
fn version_3_says_of_v1beta1_what_upstream_says() {
    let (mut ours, mut theirs) = (without_descriptions(parsed(v3(ApiVersion::V1Beta1))), upstreams!("v3-v1beta1.json"));
    compare(&mut ours["paths"], &mut theirs["paths"]);
    compare(&mut ours["components"]["schemas"], &mut theirs["components"]["schemas"]);
    assert_eq!(ours["openapi"], theirs["openapi"]);
}

/// Name by name, so that a failure shows one definition and not all of them.
fn compare(ours: &mut Value, theirs: &mut Value) {
    let (ours, theirs) = (ours.as_object_mut().unwrap(), theirs.as_object_mut().unwrap());
    for (name, expected) in &mut *theirs {
        assert_eq!(ours.get(name), Some(&*expected), "of {name}");
    }
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
}

#[test]
fn the_versions_of_the_group_differ_in_their_names_only() {
    let named = |document: Value| {
        let text = document.to_string();
        [
            "metrics.v1.",
            "metrics.v1beta1.",
            "k8s.io/v1/",
            "k8s.io/v1beta1/",
            "V1beta1",
            "V1",
            "metrics_v1beta1",
            "metrics_v1",
        ]
        .iter()
        .fold(text, |text, name| text.replace(name, "VERSION"))
        .replace(r#""version":"v1beta1""#, r#""version":"v1""#)
    };
    assert_eq!(named(parsed(v3(ApiVersion::V1))), named(parsed(v3(ApiVersion::V1Beta1))));
    assert!(parsed(v2())["definitions"].get("io.k8s.metrics.pkg.apis.metrics.v1.NodeMetrics").is_some());
}

#[test]
fn everything_that_is_referred_to_is_defined_and_everything_is_described() {
    fn walk(document: &Value, value: &Value) {
        match value {
            Value::Object(members) => {
                if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
                    let pointer = reference.strip_prefix('#').unwrap();
                    assert!(document.pointer(pointer).is_some(), "nothing at {reference}");
                }
                if members.get("description").is_some_and(|text| text == "") {
                    panic!("no description in {value}");
                }
                members.values().for_each(|member| walk(document, member));
            }
            Value::Array(items) => items.iter().for_each(|item| walk(document, item)),
            _ => {}
        }
    }
    for document in [v2(), v3(ApiVersion::V1), v3(ApiVersion::V1Beta1)] {
        let document = parsed(document);
        walk(&document, &document);
    }
}

#[test]
fn the_index_leads_to_both_documents_and_to_no_others() {
    let index = parsed(&v3_index(|document| document.len().to_string()));
    let url = |version: ApiVersion| {
        let path = format!("apis/{}", version.group_version());
        assert_eq!(version_at(&path), Some(version));
        index["paths"][&path]["serverRelativeURL"].as_str().unwrap().to_owned()
    };
    let length = v3(ApiVersion::V1Beta1).len();
    assert_eq!(url(ApiVersion::V1Beta1), format!("/openapi/v3/apis/metrics.k8s.io/v1beta1?hash={length}"));
    assert_ne!(url(ApiVersion::V1), url(ApiVersion::V1Beta1));
    assert_eq!(index["paths"].as_object().unwrap().len(), 2);
    for path in ["", "apis", "apis/metrics.k8s.io", "apis/metrics.k8s.io/v2", "apis/metrics.k8s.io/v1/", "version"] {
        assert_eq!(version_at(path), None, "of {path:?}");
    }
}
