//! What changes in gateway.toml is put in force while the gateway runs, or refused whole; what is in force goes on.

use std::process::Command;

use anyhow::{Result, ensure};
use harness::directory::Directory;
use harness::eventually::eventually;
use harness::gateway::{Signal, binary};
use harness::guest;
use harness::metrics::Metrics;

use crate::world::{B, PATIENCE, World};

struct Reloaded {
    world: World,
    directory: Directory,
}

impl Reloaded {
    /// A gateway without usage to serve, which is asked for it nevertheless.
    async fn start(toml: &str) -> Result<Self> {
        let directory = Directory::new("metrics-gateway-reload")?;
        std::fs::write(directory.file("echo-window.wasm"), guest::load("echo-window"))?;
        std::fs::write(directory.file("gateway.toml"), toml)?;
        let config = format!("--config={}", directory.file("gateway.toml").display());
        let world = World::bare(&[&config]).await;
        Ok(Self { world, directory })
    }

    fn write(&self, toml: &str) -> Result<()> {
        Ok(std::fs::write(self.directory.file("gateway.toml"), toml)?)
    }

    async fn metric(&self, name: &str, labels: &[(&str, &str)]) -> Result<f64> {
        Ok(Metrics::read(&self.world.gateway.metrics().await?).sum(name, labels))
    }

    /// Answers 200, and this generation is in force.
    async fn serves(&self, generation: f64) -> Result<()> {
        let answer = self.world.ask(&format!("{B}/pods"), &[]).await;
        ensure!(answer.status == 200, "{}", answer.status);
        let in_force = self.metric("metrics_gateway_generation", &[]).await?;
        ensure!((in_force - generation).abs() < f64::EPSILON, "generation {in_force}");
        Ok(())
    }
}

const TENANT: &str = "[plugins.echo]\nsource = \"echo-window.wasm\"\n[[tenant]]\nname = \"a\"\nnamespaces = [\"a\"]\nwindow = \"echo\"\n";

#[tokio::test]
async fn a_change_is_put_in_force_and_told_in_one_line() -> Result<()> {
    let gateway = Reloaded::start("").await?;
    gateway.serves(1.0).await?;
    gateway.write(TENANT)?;
    let line = gateway.world.gateway.wait_for_log("generation 2 in force", PATIENCE).await?;
    assert!(line.contains("plugin \"echo\" added (1.0.0 ") && line.contains("tenant \"a\" added"), "{line}");
    gateway.serves(2.0).await?;
    gateway.write(&TENANT.replace("namespaces = [\"a\"]", "namespaces = [\"a\", \"b\"]"))?;
    let line = gateway.world.gateway.wait_for_log("generation 3 in force", PATIENCE).await?;
    assert!(line.ends_with("generation 3 in force: tenant \"a\" changed"), "{line}");
    Ok(())
}

#[tokio::test]
async fn sighup_with_a_broken_file_says_so_and_the_gateway_goes_on() -> Result<()> {
    let gateway = Reloaded::start(TENANT).await?;
    gateway.world.gateway.signal(Signal::Hup)?;
    gateway.world.gateway.wait_for_log("asked by SIGHUP: nothing has changed", PATIENCE).await?;
    gateway.write("[default]\nwindow = \"p95-windw\"\n[tenent]\n")?;
    gateway.world.gateway.signal(Signal::Hup)?;
    let line = gateway.world.gateway.wait_for_log("p95-windw", PATIENCE).await?;
    assert!(line.contains("ERROR"), "{line}");
    assert!(line.contains("default.window: no plugin named \"p95-windw\"; none is declared"), "{line}");
    assert!(line.contains("tenent: unknown key, did you mean \"tenant\"?"), "all problems: {line}");
    assert!(line.ends_with("; generation 1 stays in force"), "{line}");
    gateway.serves(1.0).await?;
    let refused = gateway.metric("metrics_gateway_generation_last_reload_successful", &[]).await?;
    assert!(refused.abs() < f64::EPSILON, "{refused}");
    gateway.write(TENANT)?;
    gateway.world.gateway.wait_for_log("says again what generation 1 does", PATIENCE).await?;
    eventually("a reload that is no failure", PATIENCE, async || {
        let successful = gateway.metric("metrics_gateway_generation_last_reload_successful", &[]).await?;
        ensure!(successful > 0.0, "{successful}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_cannot_change_while_it_runs_is_told_once() -> Result<()> {
    let gateway = Reloaded::start(TENANT).await?;
    gateway.write(&format!("[history]\nhold = \"1m\"\n{TENANT}[default]\ncpu_per_tick = \"1s\"\n"))?;
    gateway.world.gateway.wait_for_log("generation 2 in force: the default changed", PATIENCE).await?;
    let log = gateway.world.gateway.log();
    let told = log.lines().filter(|line| line.contains("takes effect after a restart")).collect::<Vec<_>>();
    assert!(told.len() == 1 && told[0].contains("WARN") && told[0].contains("[history]"), "{log}");
    Ok(())
}

#[tokio::test]
async fn sighup_without_a_file_ends_nothing() -> Result<()> {
    let world = World::bare(&[]).await;
    world.gateway.signal(Signal::Hup)?;
    world.gateway.wait_for_log("SIGHUP: there is no --config", PATIENCE).await?;
    assert_eq!(world.ask(&format!("{B}/pods"), &[]).await.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_start_with_a_bad_plugin_is_refused_unless_the_built_in_policies_will_do() -> Result<()> {
    let directory = Directory::new("metrics-gateway-bad-start")?;
    let bad = "[plugins.echo]\nsource = \"missing.wasm\"\n[default]\nwindow = \"echo\"\n";
    std::fs::write(directory.file("gateway.toml"), bad)?;
    let output = Command::new(binary()?).current_dir(directory.path()).arg("--config=gateway.toml").output()?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.lines().any(|line| line.starts_with("gateway.toml:1: plugins.echo: cannot read ")), "{stderr}");

    let gateway = Reloaded::start(&format!("plugin_engine.on_bad_start = \"built-in\"\n{bad}")).await?;
    let line = gateway.world.gateway.wait_for_log("plugins.echo: cannot read ", PATIENCE).await?;
    assert!(line.contains("ERROR") && line.ends_with("; generation 1 stays in force"), "{line}");
    gateway.serves(1.0).await?;
    std::fs::write(gateway.directory.file("missing.wasm"), guest::load("echo-window"))?;
    gateway.world.gateway.wait_for_log("generation 2 in force", PATIENCE).await?;
    gateway.serves(2.0).await
}
