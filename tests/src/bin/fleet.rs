//! A fleet of simulated kubelets as a process of its own, so that its cost is not counted with what it feeds.
//!
//! In: flags, see [`USAGE`]. Out, on stdout: one JSON line for each node (`name`, `address`), then the line `ready`.
//! The CA of its certificates is written to `DIR/kubelet-ca.crt` first. It ends when its standard input does, so that
//! it never outlives whoever started it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use harness::certs::Certs;
use harness::fleet::{Credentials, Fleet, FleetSpec};

const USAGE: &str = "usage: fleet --certs DIR [--nodes N] [--pods N] [--containers N] [--namespaces N] \
                     [--interval SECONDS] [--token TOKEN] [--gzip]";

#[tokio::main]
async fn main() -> Result<()> {
    let (spec, directory) = parse(std::env::args().skip(1))?;
    let certs = Certs::generate();
    fs::write(directory.join("kubelet-ca.crt"), certs.cluster.pem()).context("writing the CA of the kubelets")?;
    let fleet = Fleet::start(spec, &certs).await;

    let mut out = std::io::stdout().lock();
    for node in fleet.nodes() {
        writeln!(out, "{}", serde_json::json!({ "name": node.name, "address": node.address }))?;
    }
    writeln!(out, "ready")?;
    out.flush()?;
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    Ok(())
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<(FleetSpec, PathBuf)> {
    let mut spec = FleetSpec { sample_interval: Duration::from_secs(10), ..FleetSpec::default() };
    let mut directory = None;
    while let Some(flag) = args.next() {
        let mut value = || args.next().with_context(|| format!("{flag} needs a value; {USAGE}"));
        match flag.as_str() {
            "--nodes" => spec.nodes = value()?.parse()?,
            "--pods" => spec.pods_per_node = value()?.parse()?,
            "--containers" => spec.containers_per_pod = value()?.parse()?,
            "--namespaces" => spec.namespaces = FleetSpec::numbered_namespaces(value()?.parse()?),
            "--interval" => spec.sample_interval = Duration::from_secs(value()?.parse()?),
            "--token" => spec.credentials = Credentials::Token(value()?),
            "--gzip" => spec.gzip = true,
            "--certs" => directory = Some(PathBuf::from(value()?)),
            _ => bail!("unknown flag {flag:?}; {USAGE}"),
        }
    }
    Ok((spec, directory.with_context(|| format!("--certs is missing; {USAGE}"))?))
}
