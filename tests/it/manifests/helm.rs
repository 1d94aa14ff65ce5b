//! The real helm, which renders the chart as it does for everybody.
//!
//! In: a values file of `deploy/chart/ci`, or arguments. Out: the objects, or what helm says against them. It looks into no
//! cluster: `lookup` finds nothing here, which the end-to-end suite makes up for. `tests/helm-assets` fetches the program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

/// The root of the repository.
pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in the repository").to_owned()
}

/// The values files that the chart is tried with, by name, without `-values.yaml`.
pub(super) fn cases() -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(root().join("deploy/chart/ci")).expect("it is there");
    let mut cases: Vec<(String, PathBuf)> = entries
        .map(|entry| entry.expect("a directory can be read to its end").path())
        .map(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (name.strip_suffix("-values.yaml").unwrap_or_else(|| panic!("what is {name}?")).to_owned(), path)
        })
        .collect();
    cases.sort();
    cases
}

/// The objects of a release `metrics-server` in kube-system on a cluster of this version.
pub(super) fn render(case: &str, kubernetes: &str) -> Vec<Value> {
    let values = root().join(format!("deploy/chart/ci/{case}-values.yaml"));
    let values = values.display().to_string();
    template(&["--kube-version", kubernetes, "--values", &values]).unwrap_or_else(|error| panic!("{case}: {error}"))
}

/// `helm template` with these arguments.
pub(super) fn template(arguments: &[&str]) -> Result<Vec<Value>, String> {
    let chart = root().join("deploy/chart").display().to_string();
    let release = ["template", "metrics-server", &chart, "--namespace", "kube-system"];
    run(&[&release[..], arguments].concat()).map(|text| documents(&text))
}

/// What helm prints, or what it says when it fails.
pub(super) fn run(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program())
        .args(arguments)
        // Neither plugins nor repositories of whoever runs the tests.
        .env("HELM_CONFIG_HOME", "/nonexistent")
        .env("HELM_DATA_HOME", "/nonexistent")
        .env_remove("KUBECONFIG")
        .output()
        .map_err(|error| format!("helm cannot be run: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

pub(super) fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let output = Command::new(root().join("tests/helm-assets")).output().expect("it can be run");
        assert!(output.status.success(), "no helm: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Path::new(text.lines().last().expect("it prints a directory")).join("helm")
    })
}

/// The documents of a YAML stream; those that hold nothing are left out.
pub(super) fn documents(text: &str) -> Vec<Value> {
    let documents = text.split("\n---\n").map(|document| document.trim_start_matches("---\n"));
    documents.map(document).filter(|value| !value.is_null()).collect()
}

/// One document. A key that stands there twice is an error, as it is for newer API servers.
pub(super) fn document(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error} in\n{text}"))
}
