//! The command line of the benchmark.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use crate::directory::Directory;

/// What `--help` prints.
pub const HELP: &str = "\
usage: bench [flags]

  --nodes N          simulated kubelets (1000)
  --pods N           pods on each (30)
  --containers N     containers in each pod (2)
  --resolution SECS  how often kubelets are asked (15)
  --ticks N          how many ticks are measured (4)
  --gzip             ask for compressed answers
  --policies         measure what plugins cost in a tick, hook by hook, instead of what requests cost
  --json FILE        write the figures there, too
  --server 'CMD …'   measure another server: its command, split at spaces, with {kubeconfig}, {port},
                     {resolution} (with unit), {kubelet_ca}, {tls_cert} and {tls_key} filled in

The gateway is $METRICS_GATEWAY_BIN, or the metrics-gateway beside this program.";

/// The gateway's own flags; metrics-server takes the same.
const FLAGS: &str = "--kubeconfig={kubeconfig} --authentication-kubeconfig={kubeconfig} \
                     --authorization-kubeconfig={kubeconfig} --bind-address=127.0.0.1 --secure-port={port} \
                     --metric-resolution={resolution} --kubelet-certificate-authority={kubelet_ca} \
                     --kubelet-use-node-status-port --kubelet-preferred-address-types=InternalIP \
                     --tls-cert-file={tls_cert} --tls-private-key-file={tls_key}";

/// What is measured, and how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// How many kubelets.
    pub nodes: usize,
    /// On each node.
    pub pods: usize,
    /// In each pod.
    pub containers: usize,
    /// The server's tick.
    pub resolution: Duration,
    /// How many of them are measured.
    pub ticks: u32,
    /// The command of a server other than the gateway.
    pub server: Option<String>,
    /// Where the figures go beside the table.
    pub json: Option<PathBuf>,
    /// Whether compressed answers are asked for.
    pub gzip: bool,
    /// Whether the cost of policies is measured, and not that of requests.
    pub policies: bool,
}

impl Default for Options {
    fn default() -> Self {
        let (nodes, pods, containers) = (1000, 30, 2);
        let resolution = Duration::from_secs(15);
        Self { nodes, pods, containers, resolution, ticks: 4, server: None, json: None, gzip: false, policies: false }
    }
}

impl Options {
    /// Reads the flags; none where help is asked for.
    ///
    /// # Errors
    /// Where a flag is unknown, lacks its value, or has one that makes no sense.
    pub fn parse(mut args: impl Iterator<Item = String>) -> Result<Option<Self>> {
        let mut options = Self::default();
        while let Some(flag) = args.next() {
            let mut value = || args.next().with_context(|| format!("{flag} needs a value"));
            match flag.as_str() {
                "--nodes" => options.nodes = value()?.parse()?,
                "--pods" => options.pods = value()?.parse()?,
                "--containers" => options.containers = value()?.parse()?,
                "--resolution" => options.resolution = Duration::from_secs(value()?.trim_end_matches('s').parse()?),
                "--ticks" => options.ticks = value()?.parse()?,
                "--server" => options.server = Some(value()?),
                "--json" => options.json = Some(value()?.into()),
                "--gzip" => options.gzip = true,
                "--policies" => options.policies = true,
                "--help" | "-h" => return Ok(None),
                _ => bail!("unknown flag {flag:?}; --help lists them"),
            }
        }
        let is_empty = [options.nodes, options.pods, options.containers].contains(&0);
        ensure!(!is_empty && options.ticks > 0, "nodes, pods, containers and ticks are all at least 1");
        ensure!(!options.policies || options.server.is_none(), "only the gateway has policies: not with --server");
        ensure!(options.resolution >= Duration::from_secs(10), "no server takes a resolution below 10 seconds");
        Ok(Some(options))
    }

    /// The words of the server's command, with all placeholders filled in.
    pub(super) fn command(&self, directory: &Directory, port: u16) -> Result<Vec<String>> {
        let template = match &self.server {
            Some(server) => server.clone(),
            None => format!("{} {FLAGS}{}", gateway()?, self.request_timeout()),
        };
        let file = |name: &str| directory.file(name).display().to_string();
        let places = [
            ("{kubeconfig}", file("kubeconfig")),
            ("{port}", port.to_string()),
            ("{resolution}", format!("{}s", self.resolution.as_secs())),
            ("{kubelet_ca}", file("kubelet-ca.crt")),
            ("{tls_cert}", file("serving.crt")),
            ("{tls_key}", file("serving.key")),
        ];
        let fill = |word: &str| places.iter().fold(word.to_owned(), |word, (place, value)| word.replace(place, value));
        Ok(template.split_whitespace().map(fill).collect())
    }

    /// The default of ten seconds is refused for resolutions that leave no time beside it.
    fn request_timeout(&self) -> &'static str {
        if self.resolution < Duration::from_secs(12) { " --kubelet-request-timeout=9s" } else { "" }
    }
}

fn gateway() -> Result<String> {
    if let Some(path) = std::env::var_os("METRICS_GATEWAY_BIN") {
        return Ok(path.to_string_lossy().into_owned());
    }
    let beside = std::env::current_exe()?.with_file_name("metrics-gateway");
    ensure!(beside.exists(), "no gateway at {beside:?}; build it in the same profile, or set METRICS_GATEWAY_BIN");
    Ok(beside.display().to_string())
}

#[cfg(test)]
mod tests;
