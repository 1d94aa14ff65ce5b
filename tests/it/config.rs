//! What is wrong with flags and files is told before anything starts: all of it, with its place, and with exit code 2.

use std::process::{Command, Output};

use anyhow::Result;
use harness::directory::Directory;
use harness::gateway::binary;

fn run(args: &[&str]) -> Result<Output> {
    Ok(Command::new(binary()?).args(args).output()?)
}

/// Exit code, standard output and standard error.
fn told(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn run_with_file(text: &str) -> Result<(Option<i32>, String, String)> {
    let files = Directory::new("metrics-gateway-config")?;
    std::fs::write(files.file("gateway.toml"), text)?;
    // Started where the file lies, so that messages call it what the command line does.
    let output = Command::new(binary()?).current_dir(files.path()).arg("--config=gateway.toml").output()?;
    Ok(told(&output))
}

#[test]
fn every_problem_of_a_file_is_told_with_key_and_line() -> Result<()> {
    let text = "[history]\nhold = \"3 days\"\nhodl = \"1m\"\n\n[scrape]\nconcurrency = 0\nmax_body = 7\n\n[serving]\n\
                max_connections = \"many\"\n\n[plugin]\n";
    let (code, stdout, stderr) = run_with_file(text)?;
    let lines: Vec<&str> = stderr.lines().collect();
    let expected = [
        "gateway.toml:2: history.hold: ",
        "gateway.toml:3: history.hodl: unknown key, did you mean \"hold\"?",
        "gateway.toml:6: scrape.concurrency: ",
        "gateway.toml:7: scrape.max_body: ",
        "gateway.toml:10: serving.max_connections: ",
        "gateway.toml:12: plugin: unknown key",
    ];
    assert_eq!((code, &*stdout), (Some(2), ""), "{stderr}");
    for expected in expected {
        let count = lines.iter().filter(|line| line.starts_with(expected)).count();
        assert_eq!(count, 1, "{expected:?} in {stderr}");
    }
    assert_eq!(lines.len(), expected.len() + 1, "and where there is help: {stderr}");
    Ok(())
}

#[test]
fn a_file_that_is_no_toml_is_told_with_its_line() -> Result<()> {
    let (code, _, stderr) = run_with_file("[history]\nhold = \n")?;
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.starts_with("gateway.toml:2: "), "{stderr}");
    Ok(())
}

#[test]
fn a_file_that_is_not_there_is_told_by_name() -> Result<()> {
    let (code, _, stderr) = told(&run(&["--config=no-such-file.toml"])?);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.starts_with("--config: cannot read \"no-such-file.toml\": "), "{stderr}");
    Ok(())
}

#[test]
fn problems_of_flags_and_file_are_told_together() -> Result<()> {
    let files = Directory::new("metrics-gateway-config")?;
    std::fs::write(files.file("gateway.toml"), "[api]\ncontainer_order = \"random\"\n")?;
    let config = format!("--config={}", files.file("gateway.toml").display());
    let (code, _, stderr) = told(&run(&[&config, "--metric-resolution=5s"])?);
    assert_eq!(code, Some(2), "{stderr}");
    let upstreams = "metric-resolution should be a time duration at least 10s, but value 5s provided";
    assert!(stderr.contains("api.container_order: ") && stderr.contains(upstreams), "{stderr}");
    Ok(())
}

#[test]
fn an_unknown_flag_ends_it_with_2_and_its_name() -> Result<()> {
    let (code, stdout, stderr) = told(&run(&["--metric-resolution=15s", "--no-such-flag"])?);
    assert_eq!((code, &*stdout), (Some(2), ""), "{stderr}");
    assert!(stderr.contains("unknown flag: --no-such-flag"), "{stderr}");
    Ok(())
}

#[test]
fn a_combination_that_metrics_server_refuses_is_refused_in_its_words() -> Result<()> {
    let insecure = ["--kubelet-insecure-tls", "--kubelet-certificate-authority=ca.crt"];
    let (code, _, stderr) = told(&run(&insecure)?);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("cannot use both --kubelet-certificate-authority and --kubelet-insecure-tls"), "{stderr}");
    let (code, _, stderr) = told(&run(&["--metric-resolution=10s"])?);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("metric-resolution should be larger than kubelet-request-timeout"), "{stderr}");
    Ok(())
}

#[test]
fn help_names_the_flags_that_manifests_use_and_ends_it_with_0() -> Result<()> {
    let (code, stdout, stderr) = told(&run(&["--help"])?);
    assert_eq!((code, &*stderr), (Some(0), ""));
    let flags = [
        "--kubelet-preferred-address-types",
        "--kubelet-use-node-status-port",
        "--metric-resolution",
        "--kubelet-insecure-tls",
        "--authorization-always-allow-paths",
        "--requestheader-client-ca-file",
        "--max-requests-inflight",
        "--shutdown-delay-duration",
        "--cert-dir",
        "--config",
    ];
    flags.iter().for_each(|flag| assert!(stdout.contains(flag), "{flag} is missing in {stdout}"));
    Ok(())
}

#[test]
fn version_is_one_word_as_metrics_server_prints_it() -> Result<()> {
    let (code, stdout, stderr) = told(&run(&["--version"])?);
    assert_eq!((code, &*stdout, &*stderr), (Some(0), concat!("v", env!("CARGO_PKG_VERSION"), "\n"), ""));
    Ok(())
}

#[test]
fn without_a_cluster_it_says_what_is_missing_and_ends_with_1() -> Result<()> {
    let output = Command::new(binary()?)
        .args(["--cert-dir=certs", "--secure-port=0"])
        .env_remove("KUBERNETES_SERVICE_HOST")
        .output()?;
    let (code, _, stderr) = told(&output);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("no --kubeconfig given, and this is not a pod of a cluster"), "{stderr}");
    Ok(())
}
