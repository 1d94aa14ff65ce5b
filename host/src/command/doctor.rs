//! `metrics-gateway doctor`: the words of its command line, and how its report is printed.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Args as ClapArgs, ValueEnum};

use super::cluster::ClusterOptions;
use crate::app;
use crate::args::values::GoDuration;
use crate::doctor::{self, Kubectl, Options};

/// Walks the whole chain, from the API server to each kubelet, and says what is wrong and how it is mended.
///
/// Ends with 0 if nothing failed (warnings are no failures), with 1 if something did, and with 2 if nothing could be
/// looked at.
#[derive(Debug, ClapArgs)]
pub(super) struct DoctorCommand {
    #[command(flatten)]
    cluster: ClusterOptions,
    /// For people, or for programs.
    #[arg(short, long, value_enum, default_value = "text")]
    output: Output,
    /// Looks at this node only; may be repeated.
    #[arg(long = "node", value_name = "NAME")]
    nodes: Vec<String>,
    /// How long each question may take.
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    timeout: Duration,
    /// The namespace of the gateway's Service.
    #[arg(long, value_name = "NAME", default_value = "kube-system")]
    namespace: String,
    /// The gateway's Service.
    #[arg(long, value_name = "NAME", default_value = "metrics-server")]
    service: String,
    /// The gateway's flags; without any, those of its Deployment.
    #[arg(last = true, value_name = "GATEWAY FLAGS")]
    flags: Vec<OsString>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
}

/// As the gateway's own flags are written: `5s`, `1m30s`.
fn duration(text: &str) -> Result<Duration, String> {
    let read: GoDuration = text.parse().map_err(|error| format!("{error}"))?;
    let read = read.unsigned().filter(|read| !read.is_zero());
    read.ok_or_else(|| format!("{text:?} is no time to wait"))
}

/// Does it.
///
/// # Errors
/// Never with what was found, which is printed; with flags that make no sense, or a kubeconfig that cannot be used.
pub(super) fn run(command: DoctorCommand) -> Result<ExitCode> {
    match examine(command) {
        Ok(code) => Ok(code),
        Err(error) => {
            eprintln!("{error:#}");
            Ok(ExitCode::from(2))
        }
    }
}

fn examine(command: DoctorCommand) -> Result<ExitCode> {
    let runtime = tokio::runtime::Runtime::new().context("cannot start threads")?;
    let cluster = runtime.block_on(command.cluster.config())?;
    let ClusterOptions { kubeconfig, context } = &command.cluster;
    let has_kubeconfig = kubeconfig.is_some() || context.is_some() || cluster.auth_info.token_file.is_none();
    let is_in_pod = !has_kubeconfig && std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    let flags = match command.flags {
        given if !given.is_empty() => Some(given),
        _ if is_in_pod => flags_of_this_pod(),
        _ => None,
    };
    let flags = flags.map(|words| doctor::flags(&words)).transpose();
    let options = Options {
        is_in_pod,
        cluster,
        kubectl: Kubectl::new(kubeconfig.as_deref().and_then(Path::to_str), context.as_deref()),
        namespace: command.namespace,
        service: command.service,
        nodes: command.nodes,
        timeout: command.timeout,
        flags: flags.map_err(|why| anyhow::anyhow!("the gateway's flags: {why}"))?,
        clock: app::system_clock(),
    };
    let report = runtime.block_on(doctor::examine(options))?;
    match command.output {
        Output::Text => print!("{}", report.to_text()),
        Output::Json => println!("{:#}", report.to_json()),
    }
    Ok(ExitCode::from(report.exit_code()))
}

/// In the gateway's own pod, where it is the first process: what it was started with.
fn flags_of_this_pod() -> Option<Vec<OsString>> {
    let line = std::fs::read("/proc/1/cmdline").ok()?;
    let mut words =
        line.split(|byte| *byte == 0).filter(|word| !word.is_empty()).map(|it| OsString::from_vec(it.to_vec()));
    let program = words.next()?;
    let is_gateway = Path::new(&program).file_name().is_some_and(|name| name == "metrics-gateway");
    is_gateway.then(|| words.collect())
}
