//! What plugins cost in a tick: the gateway is told of one set of policies after another while it runs, and the CPU time
//! of its ticks is measured under each. One process and one fleet for all, so that the ratios hold whatever the machine is
//! like.

use std::fs;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use tokio::time::{Instant, sleep};

use super::process::Server;
use super::{Options, PATIENCE, Report, idle, say};
use crate::directory::Directory;
use crate::plugins;

/// A set of policies: what it is called, and gateway.toml but for the declarations of plugins.
struct Step {
    name: &'static str,
    plugins: &'static [&'static str],
    policies: &'static str,
}

/// Every node and every pod is somebody's with policies: the most that they can cost.
const STEPS: [Step; 5] = [
    Step {
        name: "address",
        plugins: &["name-over-ip"],
        policies: "[[node_pool]]\nname = \"all\"\naddress = \"name-over-ip\"\n",
    },
    Step { name: "filter", plugins: &["skip-sidecars"], policies: "[default]\nfilter = [\"skip-sidecars\"]\n" },
    Step {
        name: "window",
        plugins: &["sliding-mean"],
        policies: "[default]\nwindow = { plugin = \"sliding-mean\", history = \"1m\" }\n",
    },
    Step {
        name: "filter and window",
        plugins: &["skip-sidecars", "sliding-mean"],
        policies: "[default]\nfilter = [\"skip-sidecars\"]\nwindow = { plugin = \"sliding-mean\", history = \"1m\" }\n",
    },
    Step { name: "none again", plugins: &[], policies: "" },
];

/// The file that `--config` names.
pub(super) fn config(directory: &Directory) -> PathBuf {
    directory.file("gateway.toml")
}

/// Measures the ticks under each set. `without` is the CPU time of a tick without policies, in seconds.
pub(super) async fn measure(
    report: &mut Report,
    options: &Options,
    server: &Server,
    directory: &Directory,
    without: f64,
) -> Result<()> {
    for (step, generation) in STEPS.iter().zip(2..) {
        say(&format!("policies: {}", step.name));
        write(step, directory)?;
        in_force(server, generation).await?;
        // Histories grow to what the policies want before they are measured.
        sleep(options.resolution * 4).await;
        let per_tick = idle(options, server).await?.as_secs_f64() / f64::from(options.ticks);
        report.add(&format!("CPU per tick, {}", step.name), "s", per_tick, None);
        report.add(&format!("… beside none, {}", step.name), "x", per_tick / without, None);
        report.add(&format!("memory, {}", step.name), "MiB", super::mebibytes(server.rss()?), None);
    }
    Ok(())
}

fn write(step: &Step, directory: &Directory) -> Result<()> {
    let declared = step.plugins.iter().map(|name| {
        let artifact = plugins::built(name)?;
        Ok(format!("[plugins.{name}]\nsource = {artifact:?}\n"))
    });
    let text = declared.collect::<Result<String>>()? + step.policies;
    let aside = directory.file("gateway.new");
    fs::write(&aside, text)?;
    Ok(fs::rename(aside, config(directory))?)
}

async fn in_force(server: &Server, generation: u32) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let line = format!("generation {generation} in force");
    while !server.log()?.contains(&line) {
        ensure!(Instant::now() < deadline && server.runs(), "the server never says {line:?}");
        sleep(std::time::Duration::from_millis(100)).await;
    }
    Ok(())
}
