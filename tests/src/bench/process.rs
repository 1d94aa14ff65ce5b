//! The two processes of a run: the fleet that feeds, and the server that is measured through /proc.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::directory::Directory;
use crate::fleet::FleetSpec;

/// The kernel's unit of CPU times in /proc, the same on all architectures of today.
const CLOCK_TICK: Duration = Duration::from_millis(10);
/// A server that is told to end has this long before it is killed.
const GRACE: Duration = Duration::from_secs(10);
/// Of a log, what is shown with an error.
const LOG_END: usize = 4000;

/// The program `fleet`, which ends with us because it holds the other end of our pipe.
pub(super) struct FleetProcess(Child);

impl FleetProcess {
    /// Starts it and waits until all kubelets listen. It writes `kubelet-ca.crt` into `directory`.
    pub(super) fn start(spec: &FleetSpec, directory: &Directory, token: &str) -> Result<(Self, Vec<SocketAddr>)> {
        let program = std::env::current_exe()?.with_file_name("fleet");
        let mut child = Command::new(&program)
            .args(["--nodes", &spec.nodes.to_string(), "--pods", &spec.pods_per_node.to_string()])
            .args(["--containers", &spec.containers_per_pod.to_string()])
            .args(["--namespaces", &spec.namespaces.len().to_string(), "--token", token])
            .arg("--certs")
            .arg(directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        let stdout = child.stdout.take().context("the fleet has no stdout")?;
        let process = Self(child);
        let mut addresses = Vec::with_capacity(spec.nodes);
        for line in BufReader::new(stdout).lines() {
            let line = line?;
            if line == "ready" {
                break;
            }
            let node: Value = serde_json::from_str(&line).context("the fleet speaks JSON lines")?;
            addresses.push(node["address"].as_str().context("a node has an address")?.parse()?);
        }
        ensure!(addresses.len() == spec.nodes, "the fleet has {} of {} nodes", addresses.len(), spec.nodes);
        Ok((process, addresses))
    }
}

impl Drop for FleetProcess {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The measured server; killed when it is dropped.
pub(super) struct Server {
    child: Mutex<Child>,
    process: u32,
    log: PathBuf,
}

impl Server {
    /// Starts `command` with its output in a file.
    pub(super) fn start(command: &[String], directory: &Directory) -> Result<Self> {
        let (program, args) = command.split_first().context("the server's command is empty")?;
        let log = directory.file("server.log");
        let file = File::create(&log)?;
        let mut command = Command::new(program);
        command.args(args).current_dir(directory.path()).stdin(Stdio::null());
        command.stdout(file.try_clone()?).stderr(file);
        for variable in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "KUBERNETES_SERVICE_HOST"] {
            // Nothing of the machine's surroundings reaches into a measurement.
            command.env_remove(variable).env_remove(variable.to_lowercase());
        }
        let child = command.spawn().with_context(|| format!("starting {program:?}"))?;
        Ok(Self { process: child.id(), child: Mutex::new(child), log })
    }

    /// Whether it has not ended.
    pub(super) fn runs(&self) -> bool {
        matches!(self.child.lock().try_wait(), Ok(None))
    }

    /// Asks it to end, and waits for that as long as is polite.
    pub(super) async fn stop(self) {
        let pid = i32::try_from(self.process).ok().and_then(Pid::from_raw);
        let Some(pid) = pid.filter(|_| self.runs()) else { return };
        // Where the signal does not arrive, the drop kills.
        let _ = kill_process(pid, Signal::Term);
        let deadline = Instant::now() + GRACE;
        while self.runs() && Instant::now() < deadline {
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// CPU time of all its threads so far.
    pub(super) fn cpu_time(&self) -> Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process))?;
        // The name in parentheses may contain anything; behind it, utime and stime are the 12th and 13th fields.
        let (_, fields) = stat.rsplit_once(')').context("no name in stat")?;
        let times: Vec<u32> = fields.split_whitespace().skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
        Ok(CLOCK_TICK * times.iter().sum::<u32>())
    }

    /// Resident memory in bytes.
    pub(super) fn rss(&self) -> Result<u64> {
        self.memory_field("VmRSS:")
    }

    /// The most resident memory that it ever had, in bytes.
    pub(super) fn peak_rss(&self) -> Result<u64> {
        self.memory_field("VmHWM:")
    }

    fn memory_field(&self, name: &str) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process))?;
        let field = status.lines().find_map(|line| line.strip_prefix(name)).context("the server has ended")?;
        let kibibytes: u64 = field.split_whitespace().next().context("an empty field")?.parse()?;
        Ok(kibibytes * 1024)
    }

    /// What it has logged so far.
    pub(super) fn log(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(&self.log)?).into_owned())
    }

    /// What it logged last.
    pub(super) fn log_end(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&log[log.len().saturating_sub(LOG_END)..]).into_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let child = self.child.get_mut();
        // It may have ended by itself, which is as good.
        let _ = child.kill();
        let _ = child.wait();
    }
}
