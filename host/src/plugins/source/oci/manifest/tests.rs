use proptest::prelude::*;

use super::*;

const ZEROS: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

fn manifest(config: &str, layers: &[&str]) -> String {
    let layer = |kind: &&str| format!(r#"{{"mediaType":"{kind}","digest":"{ZEROS}","size":7}}"#);
    let layers: Vec<String> = layers.iter().map(layer).collect();
    let config = format!(r#"{{"mediaType":"{config}","digest":"{ZEROS}","size":2}}"#);
    format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{}]}}"#, layers.join(","))
}

#[track_caller]
fn refuse(manifest: &str, found: &str) {
    let problem = wasm_layer(manifest.as_bytes()).expect_err(manifest);
    assert!(problem.contains(found), "{problem}");
}

#[test]
fn an_artifact_is_one_layer_of_wasm_in_the_layout_of_today_or_an_older_one() {
    let blob = Blob { digest: Digest::parse(ZEROS).unwrap(), size: 7 };
    for (config, layer) in [
        ("application/vnd.wasm.config.v0+json", "application/wasm"),
        ("application/vnd.wasm.config.v1+json", "application/vnd.wasm.content.layer.v1+wasm"),
        ("application/vnd.module.wasm.config.v1+json", "application/vnd.module.wasm.content.layer.v1+wasm"),
    ] {
        assert_eq!(wasm_layer(manifest(config, &[layer]).as_bytes()), Ok(blob), "{layer}");
    }
}

#[test]
fn what_is_no_artifact_is_refused_by_what_it_is() {
    let (image, tar) = ("application/vnd.oci.image.config.v1+json", "application/vnd.oci.image.layer.v1.tar+gzip");
    refuse(&manifest(image, &[tar, tar, tar, tar]), &format!("config {image:?} and 4 layers ({tar:?}"));
    refuse(&manifest(image, &["application/wasm"]), image);
    refuse(&manifest(CONFIG, &[LAYER, LAYER]), "2 layers");
    refuse(&manifest(CONFIG, &[]), "0 layers");
    refuse(r#"{"schemaVersion":2,"manifests":[{},{}]}"#, "an index of 2 manifests");
    refuse(r#"{"schemaVersion":1}"#, "schema version 1");
    refuse("[]", "cannot be read (line 1");
    refuse(&manifest(CONFIG, &[LAYER]).replace("sha256:", "sha512:"), "no SHA-256");
    refuse(&manifest(CONFIG, &[LAYER]).replace(":7", ":-7"), "cannot be read");
}

#[test]
fn an_artifact_that_we_build_is_one_that_we_read() {
    let layer = Blob { digest: Digest::of(b"wasm"), size: 4 };
    let component = Component { exports: vec!["a:b/c@1.0.0".into()], imports: vec![], target: None };
    let config = config(layer.digest, "2026-11-21T00:00:00Z", Some(&component));
    assert_eq!(wasm_layer(&build(layer, &config)), Ok(layer));
    let written: serde_json::Value = serde_json::from_slice(&config).unwrap();
    assert_eq!(written["os"], "wasip2");
    assert_eq!(written["layerDigests"][0], layer.digest.to_string());
    assert_eq!(written["component"]["exports"][0], "a:b/c@1.0.0");
}

#[test]
fn signatures_are_layers_with_an_annotation_and_not_without_limit() {
    let layer = |annotations: &str| {
        format!(r#"{{"mediaType":"{SIGNATURE_LAYER}","digest":"{ZEROS}","size":7,"annotations":{annotations}}}"#)
    };
    let layers =
        [layer("{}"), layer(&format!(r#"{{"{SIGNATURE}":"c2ln"}}"#)), layer(&format!(r#"{{"{SIGNATURE}":"b"}}"#))];
    let text = format!(r#"{{"schemaVersion":2,"layers":[{}]}}"#, layers.join(","));
    let found = signatures(text.as_bytes(), 9).unwrap();
    assert_eq!(found.iter().map(|found| &*found.base64).collect::<Vec<_>>(), ["c2ln", "b"]);
    assert_eq!(signatures(text.as_bytes(), 1).unwrap().len(), 1);
}

proptest! {
    #[test]
    fn a_stranger_s_text_stays_short_and_on_one_line(text in "\\PC{0,300}|[\\n\\r\\x1b]{0,9}") {
        let quoted = quote(&text);
        prop_assert!(quoted.chars().count() <= 1100 && !quoted.contains(['\n', '\r', '\x1b']), "{}", quoted);
    }
}
