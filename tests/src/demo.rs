//! The demo: a whole cluster in this process, the real gateway beside it, and its figures in the terminal.
//!
//! In: how large. Out: tables on stdout, progress on stderr, until Ctrl-C or, with `--once`, until one reload has been
//! shown. Two tenants' pods do the same; their policies differ, and so do the answers, which stand side by side. The
//! figures come through the aggregated API, as a client of a cluster would get them. When it ends, for whatever reason,
//! the gateway ends with it, and nothing is left on disk but a `--directory` that was asked for.

mod picture;
mod policies;
mod screen;

use std::fs;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use http::StatusCode;
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep};

use crate::api_server::{ApiServer, MASTERS};
use crate::certs::Certs;
use crate::client::Client;
use crate::directory::Directory;
use crate::fleet::Load;
use crate::fleet::{Fleet, FleetSpec};
use crate::gateway::{self, Gateway};
use picture::Picture;
use policies::{FIRST, OURS, PLUGINS, THEIRS};

/// How to call it.
pub const USAGE: &str = "usage: demo [--once] [--nodes N] [--pods N] [--directory DIR] [--picture FILE.svg]";

/// How long the first figures may take: a rate needs two samples, and those are 10 s apart.
const PATIENCE: Duration = Duration::from_secs(90);
/// What the gateway is told to use; the least that metrics-server accepts.
const RESOLUTION: Duration = Duration::from_secs(10);
/// How often the tables are drawn anew.
const REFRESH: Duration = Duration::from_secs(3);
/// How many rows of each table fit on an ordinary screen together.
const SHOWN: usize = 12;

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Print the tables, reload once, print them again, and end.
    pub once: bool,
    /// How many kubelets.
    pub nodes: usize,
    /// How many pods, both tenants' together; rounded up to pairs.
    pub pods: usize,
    /// Where gateway.toml, the plugins and a kubeconfig are put; None: in a directory that goes with the demo.
    pub directory: Option<PathBuf>,
    /// With `once`: where what `metrics-gateway status` shows is drawn.
    pub picture: Option<PathBuf>,
}

impl Options {
    /// From the command line, without the program's name.
    ///
    /// # Errors
    /// Where an argument is unknown, or no number, or zero.
    pub fn parse(args: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut options = Self { once: false, nodes: 5, pods: 40, directory: None, picture: None };
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            let (name, value) = match arg.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (arg, None),
            };
            let mut value = || value.clone().or_else(|| args.next());
            let number = |value: Option<String>| match value.map(|text| text.parse()) {
                Some(Ok(number)) if number > 0 => Ok(number),
                _ => Err(format!("{name} needs a number above zero")),
            };
            match name.as_str() {
                "--once" => options.once = true,
                "--nodes" => options.nodes = number(value())?,
                "--pods" => options.pods = number(value())?,
                "--directory" => {
                    options.directory = Some(value().ok_or("--directory needs a path")?.into());
                }
                "--picture" => options.picture = Some(value().ok_or("--picture needs a path")?.into()),
                _ => return Err(format!("unknown argument {name:?}")),
            }
        }
        Ok(options)
    }
}

/// Runs the demo until it is interrupted, or has printed its tables once.
///
/// # Errors
/// Where the gateway cannot be started, ends, or serves no usage in time; with the reason.
pub async fn run(options: Options) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        result = show(options) => result,
        interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
        _ = terminate.recv() => Ok(()),
    }
}

async fn show(options: Options) -> Result<()> {
    let once = options.once;
    let cluster = Cluster::start(options).await?;
    let began = Instant::now();
    let first = cluster.first_usage(began).await?;
    if once { cluster.show_one_reload(&first).await } else { cluster.show_for_ever().await }
}

/// Everything that runs.
struct Cluster {
    options: Options,
    gateway: Gateway,
    client: Client,
    place: Place,
    _fleet: Fleet,
    _api: ApiServer,
}

/// Where the demo's files are.
enum Place {
    Asked(PathBuf),
    Own(Directory),
}

impl Place {
    fn make(asked: Option<&PathBuf>) -> Result<Self> {
        let place = match asked {
            Some(path) => Self::Asked(path.clone()),
            None => Self::Own(Directory::new("metrics-gateway-demo")?),
        };
        let plugins = place.file("plugins");
        fs::create_dir_all(&plugins).with_context(|| format!("cannot make {}", plugins.display()))?;
        for name in PLUGINS {
            fs::copy(crate::plugins::built(name)?, plugins.join(format!("{name}.wasm")))?;
        }
        fs::write(place.config(), FIRST)?;
        Ok(place)
    }

    fn file(&self, name: &str) -> PathBuf {
        match self {
            Self::Asked(path) => path.join(name),
            Self::Own(directory) => directory.file(name),
        }
    }

    fn config(&self) -> PathBuf {
        self.file("gateway.toml")
    }
}

impl Cluster {
    async fn start(options: Options) -> Result<Self> {
        let place = Place::make(options.directory.as_ref())?;
        let certs = Arc::new(Certs::generate());
        let api = ApiServer::start(certs.clone()).await.context("starting the API server")?;
        let named = policies::pods(options.nodes, options.pods);
        let spec = FleetSpec { nodes: named.len(), named, load: Load::Twins, ..FleetSpec::default() };
        let fleet = Fleet::start(spec, &certs).await;
        api.add_fleet(&fleet);
        let admin = certs.user("kubernetes-admin", &[MASTERS]);
        api.write_kubeconfig(&place.file("kubeconfig"), &admin)?;
        let resolution = format!("--metric-resolution={}s", RESOLUTION.as_secs());
        let config = format!("--config={}", place.config().display());
        let gateway = Gateway::start(&api, &[&resolution, &config])?;
        let client = api.client(Some(&admin));
        Ok(Self { options, gateway, client, place, _fleet: fleet, _api: api })
    }

    /// Waits until every node and pod has usage; of an incomplete picture, the last one counts.
    async fn first_usage(&self, began: Instant) -> Result<Picture> {
        let mut progress = Progress::default();
        loop {
            let seen = self.picture().await;
            if let Some(status) = self.gateway.ended()? {
                bail!("the gateway ended with {status}; its log is:\n{}", self.gateway.log());
            }
            let is_late = began.elapsed() > PATIENCE;
            let (waiting_for, reason) = match seen {
                Ok(picture) if self.is_complete(&picture) || (is_late && !picture.is_empty()) => return Ok(picture),
                Ok(picture) => (self.missing(&picture), String::new()),
                Err(reason) => ("the gateway to be available".to_owned(), format!(" ({reason:#})")),
            };
            if is_late {
                let log = self.gateway.log();
                bail!("no usage in {PATIENCE:?}; still waiting for {waiting_for}{reason}; the log is:\n{log}");
            }
            progress.show(&waiting_for, (RESOLUTION * 2).saturating_sub(began.elapsed()));
            sleep(Duration::from_millis(500)).await;
        }
    }

    fn missing(&self, picture: &Picture) -> String {
        let (nodes, pods) = (picture.nodes.len(), picture.pods.len());
        format!("the first window: {nodes} of {} nodes, {pods} of {} pods", self.options.nodes, self.pods())
    }

    fn is_complete(&self, picture: &Picture) -> bool {
        picture.nodes.len() == self.options.nodes && picture.pods.len() == self.pods()
    }

    /// How many there really are.
    fn pods(&self) -> usize {
        self.options.pods.div_ceil(2) * 2
    }

    /// Tables, the reasons, a change of gateway.toml, and the tables after it.
    async fn show_one_reload(&self, first: &Picture) -> Result<()> {
        println!("{}", first.tables(usize::MAX));
        let status = self.status().await?;
        println!("$ metrics-gateway status --once\n{}", plain(&status));
        if let Some(file) = &self.options.picture {
            fs::write(file, screen::svg("metrics-gateway status", &status))?;
        }
        for namespace in [OURS, THEIRS] {
            println!("{}", self.explain(namespace)?);
        }
        println!("Now without payments' filter: its sidecars are served again.\n");
        let written = Instant::now();
        replace(&self.place.config(), &policies::second())?;
        let (after, second) = self.changed(first, written).await?;
        println!("{}", second.tables(usize::MAX));
        println!("From the change of gateway.toml to the first differing answer: {} ms", after.as_millis());
        Ok(())
    }

    /// Waits until payments is served otherwise, container for container.
    async fn changed(&self, before: &Picture, written: Instant) -> Result<(Duration, Picture)> {
        let shape = |picture: &Picture| picture.containers_of(THEIRS);
        while written.elapsed() < PATIENCE {
            let picture = self.picture().await?;
            if shape(&picture).iter().zip(shape(before)).all(|(after, before)| *after > before) {
                return Ok((written.elapsed(), picture));
            }
            sleep(Duration::from_millis(10)).await;
        }
        bail!("the change had no effect in {PATIENCE:?}; the log is:\n{}", self.gateway.log());
    }

    /// What the gateway itself says on who decides for a namespace.
    fn explain(&self, namespace: &str) -> Result<String> {
        let mut command = Command::new(gateway::binary()?);
        command.args(["config", "explain", namespace]).arg("--config").arg(self.place.config());
        let output = command.output().context("running `metrics-gateway config explain`")?;
        if !output.status.success() {
            bail!("`metrics-gateway config explain` failed: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(format!("$ metrics-gateway config explain {namespace}\n{}", String::from_utf8_lossy(&output.stdout)))
    }

    /// What the gateway says of itself, through the aggregated API; with its colours where they are to be drawn.
    async fn status(&self) -> Result<String> {
        let (binary, kubeconfig) = (gateway::binary()?, self.place.file("kubeconfig"));
        let mut command = match self.options.picture {
            // It colours what goes to a terminal, and `script` is one.
            Some(_) => {
                let line = format!("'{}' status --once --kubeconfig '{}'", binary.display(), kubeconfig.display());
                let mut script = Command::new("script");
                script.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
                script
            }
            None => {
                let mut status = Command::new(binary);
                status.args(["status", "--once", "--kubeconfig"]).arg(kubeconfig);
                status
            }
        };
        command.env("COLUMNS", "110");
        // Not here: the API server that it asks runs on these threads.
        let output = tokio::task::spawn_blocking(move || command.output()).await??;
        if !output.status.success() {
            bail!("`metrics-gateway status` failed: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).replace("\r\n", "\n"))
    }

    async fn show_for_ever(&self) -> Result<()> {
        let is_terminal = std::io::stdout().is_terminal();
        let commands = self.commands();
        if !is_terminal {
            println!("{commands}");
        }
        loop {
            let text = match self.picture().await {
                Ok(picture) => picture.tables(SHOWN),
                Err(error) => format!("no figures at the moment: {error:#}\n"),
            };
            if is_terminal {
                // Home, and clear to the end: what scrolled away stays readable above.
                print!("\x1b[H\x1b[J{commands}\n{text}\nCtrl-C ends everything.\n");
            } else {
                println!("{text}");
            }
            std::io::stdout().flush()?;
            if let Some(status) = self.gateway.ended()? {
                bail!("the gateway ended with {status}; its log is:\n{}", self.gateway.log());
            }
            sleep(REFRESH).await;
        }
    }

    fn commands(&self) -> String {
        let kubectl = format!("kubectl --kubeconfig {}", self.place.file("kubeconfig").display());
        let tries = ["top nodes", "top pods -A --containers", "get --raw /apis/metrics.k8s.io/v1beta1/nodes"];
        let lines: String = tries.map(|arguments| format!("  {kubectl} {arguments}\n")).concat();
        let config = self.place.config();
        format!("Try, in another terminal:\n{lines}and change the policies in\n  {}\n", config.display())
    }

    async fn picture(&self) -> Result<Picture> {
        let metrics = "/apis/metrics.k8s.io/v1beta1";
        let capacities = items(&self.client, "/api/v1/nodes").await?;
        let nodes = items(&self.client, &format!("{metrics}/nodes")).await?;
        let pods = items(&self.client, &format!("{metrics}/pods")).await?;
        Ok(Picture::new(&capacities, &nodes, &pods))
    }
}

async fn items(client: &Client, path: &str) -> Result<Vec<Value>> {
    let answer = client.get(path, &[("accept", "application/json")]).await?;
    let text = String::from_utf8_lossy(&answer.body);
    if answer.status != StatusCode::OK {
        bail!("{path} answers {}: {}", answer.status, text.trim());
    }
    let mut list: Value = serde_json::from_str(&text).with_context(|| format!("{path} answers no JSON"))?;
    match list["items"].take() {
        Value::Array(items) => Ok(items),
        other => bail!("{path} answers {other} as items"),
    }
}

/// Without colours.
fn plain(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |plain, part| {
        plain + part.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').get(1..).unwrap_or_default()
    })
}

/// Replaces a file as editors do: whoever reads it sees the old text or the new one.
fn replace(file: &Path, text: &str) -> Result<()> {
    let aside = file.with_extension("new");
    fs::write(&aside, text)?;
    fs::rename(&aside, file)?;
    Ok(())
}

/// A line that says what is waited for: drawn over itself in a terminal, otherwise printed when it changes.
#[derive(Default)]
struct Progress {
    last: String,
}

impl Progress {
    fn show(&mut self, waiting_for: &str, left: Duration) {
        if std::io::stderr().is_terminal() {
            let left = match left.as_secs() {
                0 => "any moment now".to_owned(),
                seconds => format!("about {seconds} s left"),
            };
            eprint!("\r\x1b[Kwaiting for {waiting_for} ({left})");
        } else if self.last != waiting_for {
            eprintln!("waiting for {waiting_for} (up to {} s)", left.as_secs().max(1));
        }
        waiting_for.clone_into(&mut self.last);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if std::io::stderr().is_terminal() && !self.last.is_empty() {
            eprint!("\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests;
