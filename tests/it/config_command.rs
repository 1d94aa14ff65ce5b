//! `metrics-gateway config …` says what the gateway would do with a gateway.toml, without a cluster.

use std::process::Command;

use anyhow::Result;
use harness::directory::Directory;
use harness::gateway::binary;
use harness::guest;
use serde_json::Value;

/// A directory with plugins and a gateway.toml.
struct Files(Directory);

impl Files {
    fn new(toml: &str) -> Result<Self> {
        let directory = Directory::new("metrics-gateway-config-command")?;
        for name in ["drop-named", "echo-window", "trap-in-measure"] {
            std::fs::write(directory.file(&format!("{name}.wasm")), guest::load(name))?;
        }
        std::fs::write(directory.file("gateway.toml"), toml)?;
        Ok(Self(directory))
    }

    /// Exit code, standard output and standard error of a command that is run where the file lies.
    fn run(&self, line: &str) -> Result<(Option<i32>, String, String)> {
        let output = Command::new(binary()?).current_dir(self.0.path()).args(line.split_whitespace()).output()?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok((output.status.code(), text(&output.stdout), text(&output.stderr)))
    }
}

const GOOD: &str = r#"
[plugins.drop-named]
source = "drop-named.wasm"
[plugins.echo-window]
source = "echo-window.wasm"
[[tenant]]
name = "payments"
namespaces = ["payments-*"]
filter = [{ plugin = "drop-named", settings = { name = "istio-proxy" } }]
window = "echo-window"
"#;

#[test]
fn a_good_file_is_answered_with_the_policies_in_force_and_0() -> Result<()> {
    let files = Files::new(GOOD)?;
    let (code, stdout, stderr) = files.run("config check gateway.toml --cert-dir=/tmp --metric-resolution=15s")?;
    assert_eq!((code, &*stderr), (Some(0), ""), "{stdout}");
    let expected = [
        "no problems: 2 plugins, each loaded and tried; 0 node pools; 1 tenant",
        "      says it is a-guest 1.0.0",
        "      filter    drop-named {\"name\":\"istio-proxy\"}, on error keep",
        "      window    echo-window {}, on error last-two",
        "      cpu       1.5s of each tick",
    ];
    expected.iter().for_each(|line| assert!(stdout.lines().any(|own| own == *line), "{line:?} in {stdout}"));
    let (code, stdout, _) = files.run("config check -o json gateway.toml")?;
    let json: Value = serde_json::from_str(&stdout)?;
    assert_eq!((code, &json["plugins"][1]["loaded"]["name"]), (Some(0), &Value::from("a-guest")));
    Ok(())
}

#[test]
fn every_problem_of_file_and_plugins_is_a_line_and_the_end_is_1() -> Result<()> {
    let files = Files::new("[plugins.x]\nsource = \"x.wasm\"\nsize = 3\n[default]\nwindow = \"y\"\n")?;
    let (code, stdout, stderr) = files.run("config check gateway.toml")?;
    assert_eq!((code, &*stderr), (Some(1), ""));
    let lines: Vec<&str> = stdout.lines().collect();
    assert!(lines[0].starts_with("gateway.toml:3: plugins.x.size: unknown key"), "{stdout}");
    assert_eq!(lines[1..], ["gateway.toml:5: default.window: no plugin named \"y\"; declared is \"x\""]);

    let files = Files::new(
        "[plugins.x]\nsource = \"x.wasm\"\n[plugins.trap]\nsource = \"trap-in-measure.wasm\"\n[default]\nwindow = \"trap\"\n",
    )?;
    let (code, stdout, _) = files.run("config check gateway.toml")?;
    let lines: Vec<&str> = stdout.lines().collect();
    assert_eq!((code, lines.len()), (Some(1), 2), "{stdout}");
    assert!(lines[0].starts_with("gateway.toml:1: plugins.x: cannot read "), "{stdout}");
    assert!(lines[1].starts_with("gateway.toml:6: default.window: plugin \"trap\" "), "{stdout}");
    let (code, stdout, _) = files.run("config check --no-plugins gateway.toml")?;
    assert_eq!(code, Some(0), "{stdout}");
    let (code, stdout, _) = files.run("config check --output=json gateway.toml")?;
    let json: Value = serde_json::from_str(&stdout)?;
    let problem = &json["problems"][1];
    assert_eq!((code, &problem["key"], &problem["line"]), (Some(1), &"default.window".into(), &6.into()), "{json}");
    Ok(())
}

#[test]
fn policies_that_a_start_would_do_without_are_problems_nevertheless() -> Result<()> {
    let files = Files::new("plugin_engine.on_bad_start = \"built-in\"\ndefault.window = \"x\"\n")?;
    let (code, stdout, _) = files.run("config check gateway.toml")?;
    assert_eq!((code, stdout.lines().count()), (Some(1), 1), "{stdout}");
    Ok(())
}

#[test]
fn who_decides_for_a_pod_is_explained_by_asking_its_filters() -> Result<()> {
    let files = Files::new(GOOD)?;
    for line in [
        "config explain payments-eu/cart --config gateway.toml --containers app,istio-proxy",
        "config explain --config=gateway.toml --containers istio-proxy,app payments-eu/cart --metric-resolution=15s",
    ] {
        let (code, stdout, stderr) = files.run(line)?;
        let expected = "namespace \"payments-eu\" belongs to \"payments\": its namespaces have the pattern \"payments-*\"\n  \
                        filter    drop-named {\"name\":\"istio-proxy\"}, on error keep\n  window    echo-window {}, on \
                        error last-two\n  container \"app\": served\n  container \"istio-proxy\": not served\n";
        assert_eq!((code, &*stdout, &*stderr), (Some(0), expected, ""), "{line}");
    }
    let (code, stdout, _) = files.run("config explain shop --config gateway.toml -o json")?;
    let json: Value = serde_json::from_str(&stdout)?;
    assert_eq!((code, &json["tenant"]), (Some(0), &Value::from("default")), "{json}");
    Ok(())
}

#[test]
fn words_that_make_no_sense_end_it_with_2_and_help_with_0() -> Result<()> {
    let files = Files::new("")?;
    for line in ["config", "config chek", "config check", "config explain shop", "config explain a/b/c --config x"] {
        let (code, stdout, stderr) = files.run(line)?;
        assert_eq!((code, &*stdout), (Some(2), ""), "{line}: {stderr}");
        // A value that will not do is told by itself.
        let is_helpful = ["Usage: metrics-gateway config", "try '--help'"].iter().any(|help| stderr.contains(help));
        assert!(is_helpful, "{line}: {stderr}");
    }
    let (code, _, stderr) = files.run("config check gateway.toml --no-such-flag")?;
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("unknown flag: --no-such-flag"), "{stderr}");
    for line in ["config --help", "config check --help", "config explain -h"] {
        let (code, stdout, stderr) = files.run(line)?;
        assert_eq!((code, &*stderr), (Some(0), ""), "{line}");
        assert!(stdout.contains("Usage: metrics-gateway config"), "{line}: {stdout}");
    }
    Ok(())
}
