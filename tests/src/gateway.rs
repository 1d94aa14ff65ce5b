//! The real gateway binary as a child process: started against an [`ApiServer`], watched through its log, asked through
//! its port, measured through /proc, and killed when it is dropped.
//!
//! The binary is `$METRICS_GATEWAY_BIN`, or the `metrics-gateway` beside the running test's own target directory; it has
//! to be built before.

use std::fs;
use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use http::StatusCode;
use parking_lot::Mutex;
use rustix::process::{Pid, kill_process};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

pub use rustix::process::Signal;

use crate::api_server::{ApiServer, MASTERS, User};
use crate::certs::{Certs, GATEWAY_HOST, Pair};
use crate::client::{Answer, Client};
use crate::directory::Directory;
use crate::port::ReservedPort;

/// The token by which the gateway proves to the API server (and to kubelets) who it is.
pub const GATEWAY_TOKEN: &str = "token-of-the-gateway";
/// How often a condition that nothing announces is looked at.
const POLL: Duration = Duration::from_millis(25);
/// How long the log of an ended process is waited for.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// The kernel's unit of CPU times in /proc, the same on every architecture that Rust and Kubernetes share.
const TICKS_PER_SECOND: u64 = 100;

/// A running gateway.
pub struct Gateway {
    child: Mutex<Child>,
    process: u32,
    log: Log,
    /// Of its log; they end when all of it is read.
    readers: [JoinHandle<()>; 2],
    port: ReservedPort,
    certs: Arc<Certs>,
    front_proxy: Client,
    directory: Directory,
}

/// Who asks, and how they prove it.
#[derive(Clone, Copy)]
pub enum Caller<'a> {
    /// The front proxy, for this user.
    FrontProxy(&'a User),
    /// The owner of a client certificate.
    Certificate(&'a Pair),
    /// The owner of a bearer token.
    Token(&'a str),
    /// Nobody in particular.
    Anonymous,
}

impl Gateway {
    /// Starts a gateway that the API server knows as `system:serviceaccount:kube-system:metrics-server` and passes
    /// requests on to. `args` follow the standard ones, and win over them.
    ///
    /// # Errors
    /// Where there is no binary, or it cannot be started. One that starts and fails is seen by [`Gateway::wait_ready`].
    pub fn start(api: &ApiServer, args: &[&str]) -> Result<Self> {
        Self::start_with(api, &STANDARD_ARGS, args, &[])
    }

    /// As [`Gateway::start`], with more variables in its environment.
    ///
    /// # Errors
    /// As [`Gateway::start`].
    pub fn start_in(api: &ApiServer, args: &[&str], environment: &[(&str, &str)]) -> Result<Self> {
        Self::start_with(api, &STANDARD_ARGS, args, environment)
    }

    /// As [`Gateway::start`], but of the standard arguments only those that say where things are: kubeconfig and port.
    ///
    /// # Errors
    /// As [`Gateway::start`].
    pub fn start_bare(api: &ApiServer, args: &[&str]) -> Result<Self> {
        Self::start_with(api, &[], args, &[])
    }

    fn start_with(api: &ApiServer, standard: &[&str], args: &[&str], environment: &[(&str, &str)]) -> Result<Self> {
        let directory = Directory::new("metrics-gateway-test")?;
        let port = ReservedPort::take()?;
        let address = port.address();
        let certs = api.certs().clone();
        write_files(api, &directory)?;
        let binary = binary()?;
        let mut command = Command::new(&binary);
        command
            .arg(format!("--kubeconfig={}", directory.file("kubeconfig").display()))
            .args(["--bind-address=127.0.0.1", &format!("--secure-port={}", address.port())])
            .args(standard)
            .args(args)
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for variable in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "KUBERNETES_SERVICE_HOST"] {
            // Nothing of the machine's surroundings reaches into a test.
            command.env_remove(variable).env_remove(variable.to_lowercase());
        }
        command.env_remove("METRICS_GATEWAY_DEPLOYMENT").envs(environment.iter().copied());
        let mut child = command.spawn().with_context(|| format!("starting {}", binary.display()))?;
        let log = Log::default();
        let errors = log.read(child.stderr.take().context("the child has no stderr")?);
        let output = log.read(child.stdout.take().context("the child has no stdout")?);
        let front_proxy = Client::new(address, GATEWAY_HOST, certs.cluster.roots(), Some(&certs.front_proxy_client()));
        api.register(address, &["v1beta1", "v1"]);
        let process = child.id();
        let readers = [errors, output];
        Ok(Self { child: Mutex::new(child), process, log, readers, port, certs, front_proxy, directory })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Its working directory: `kubeconfig`, `token`, `cluster-ca.crt`, `serving.{crt,key}` and what it writes itself.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Its number.
    pub fn process(&self) -> u32 {
        self.process
    }

    /// Everything it logged so far.
    pub fn log(&self) -> String {
        self.log.lines.lock().join("\n")
    }

    /// Waits for a line of the log that contains `text`, past or future, and returns it.
    ///
    /// # Errors
    /// Where none comes in time; the error shows the log.
    pub async fn wait_for_log(&self, text: &str, within: Duration) -> Result<String> {
        let mut grown = self.log.grown.subscribe();
        let search = async {
            loop {
                grown.borrow_and_update();
                let line = self.log.lines.lock().iter().find(|line| line.contains(text)).cloned();
                if let Some(line) = line {
                    return line;
                }
                if grown.changed().await.is_err() {
                    // Nobody writes any more, so there is nothing to wait for but the end of our patience.
                    std::future::pending::<()>().await;
                }
            }
        };
        let found = tokio::time::timeout(within, search).await;
        found.with_context(|| format!("no line with {text:?} in {within:?}; the log is:\n{}", self.log()))
    }

    /// Waits until /readyz says so.
    ///
    /// # Errors
    /// Where it does not in time, or the process ends; the error shows the last answer and the log.
    pub async fn wait_ready(&self, within: Duration) -> Result<()> {
        let deadline = Instant::now() + within;
        let mut last = "it was not asked".to_owned();
        while Instant::now() < deadline {
            match self.get("/readyz?verbose", Caller::FrontProxy(&User::new("prober", &[MASTERS]))).await {
                Ok(answer) if answer.status == StatusCode::OK => return Ok(()),
                Ok(answer) => last = format!("{}: {}", answer.status, String::from_utf8_lossy(&answer.body)),
                Err(error) => last = format!("{error:#}"),
            }
            if let Some(status) = self.ended()? {
                self.read_to_the_end().await;
                bail!("the gateway ended with {status} before it was ready; its log is:\n{}", self.log());
            }
            sleep(POLL).await;
        }
        bail!("not ready in {within:?}: {last}; the log is:\n{}", self.log())
    }

    /// GETs `path` directly from the gateway.
    ///
    /// # Errors
    /// Where no whole answer comes; any status is an answer.
    pub async fn get(&self, path: &str, caller: Caller<'_>) -> Result<Answer> {
        match caller {
            Caller::FrontProxy(user) => self.get_as_front_proxy(path, user).await,
            Caller::Certificate(pair) => self.client(Some(pair)).get(path, &[]).await,
            Caller::Token(token) => self.client(None).get(path, &[("authorization", &format!("Bearer {token}"))]).await,
            Caller::Anonymous => self.client(None).get(path, &[]).await,
        }
    }

    async fn get_as_front_proxy(&self, path: &str, user: &User) -> Result<Answer> {
        let mut headers = vec![("x-remote-user", user.name.as_str())];
        headers.extend(user.groups.iter().map(|group| ("x-remote-group", group.as_str())));
        self.front_proxy.get(path, &headers).await
    }

    /// A client of the gateway, for requests that [`Gateway::get`] does not make.
    pub fn client(&self, identity: Option<&Pair>) -> Client {
        Client::new(self.address(), GATEWAY_HOST, self.certs.cluster.roots(), identity)
    }

    /// What it says of itself at /metrics.
    ///
    /// # Errors
    /// Where it does not answer 200.
    pub async fn metrics(&self) -> Result<String> {
        let answer = self.get("/metrics", Caller::FrontProxy(&User::new("scraper", &[MASTERS]))).await?;
        if answer.status != StatusCode::OK {
            bail!("/metrics answers {}: {}", answer.status, String::from_utf8_lossy(&answer.body));
        }
        Ok(answer.text().to_owned())
    }

    /// Has somebody end it, and remove its directory, when this process ends: for one that is shared by all tests, and
    /// so is never dropped.
    ///
    /// # Errors
    /// Where nobody can be started for it.
    pub fn end_with_this_process(&self) -> Result<()> {
        // The shell waits for the end of its input, of which the other end is ours, and the kernel closes that in any case.
        let mut heir = Command::new("/bin/sh")
            .args(["-c", "read _; kill -KILL \"$1\"; rm -rf \"$2\"", "sh", &self.process.to_string()])
            .arg(self.directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("starting a shell")?;
        std::mem::forget(heir.stdin.take());
        Ok(())
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// Where there is no such process any more.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let process = i32::try_from(self.process).ok().and_then(Pid::from_raw).context("not a process number")?;
        kill_process(process, signal).with_context(|| format!("sending {signal:?} to the gateway"))
    }

    /// How the process has ended, if it has.
    ///
    /// # Errors
    /// Where the system cannot tell.
    pub fn ended(&self) -> Result<Option<ExitStatus>> {
        Ok(self.child.lock().try_wait()?)
    }

    /// Waits until the process has ended, and its log is complete.
    ///
    /// # Errors
    /// Where it has not in time; the error shows the log.
    pub async fn wait(&self, within: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = self.ended()? {
                self.read_to_the_end().await;
                return Ok(status);
            }
            if Instant::now() > deadline {
                bail!("the gateway still runs after {within:?}; its log is:\n{}", self.log());
            }
            sleep(POLL).await;
        }
    }

    /// Waits until what an ended process has written is read. Not for ever: a process that another test is just
    /// starting may hold the other end of the pipe for a moment.
    async fn read_to_the_end(&self) {
        let deadline = Instant::now() + LAST_WORDS;
        while !self.readers.iter().all(JoinHandle::is_finished) && Instant::now() < deadline {
            sleep(POLL).await;
        }
    }

    /// Resident memory in bytes.
    ///
    /// # Errors
    /// Where the process has ended.
    pub fn rss(&self) -> Result<u64> {
        self.memory_field("VmRSS:")
    }

    /// The most resident memory that it ever had, in bytes.
    ///
    /// # Errors
    /// Where the process has ended.
    pub fn peak_rss(&self) -> Result<u64> {
        self.memory_field("VmHWM:")
    }

    fn memory_field(&self, name: &str) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process))?;
        let field = status.lines().find_map(|line| line.strip_prefix(name));
        let kibibytes: u64 =
            field.and_then(|field| field.split_whitespace().next()).context("no such field")?.parse()?;
        Ok(kibibytes * 1024)
    }

    /// The CPU time of all its threads so far, in steps of 10 ms.
    ///
    /// # Errors
    /// Where the process has ended.
    pub fn cpu_time(&self) -> Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process))?;
        // The second field is the name in parentheses, which may contain anything; utime and stime are the 14th and 15th.
        let (_, fields) = stat.rsplit_once(')').context("no name in stat")?;
        let times: Vec<u64> = fields.split_whitespace().skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
        Ok(Duration::from_millis(times.iter().sum::<u64>() * 1000 / TICKS_PER_SECOND))
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let child = self.child.get_mut();
        // It may have ended by itself, which is as good.
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// Paths are relative to the gateway's working directory.
const STANDARD_ARGS: [&str; 8] = [
    "--kubelet-certificate-authority=cluster-ca.crt",
    "--kubelet-use-node-status-port",
    "--kubelet-preferred-address-types=InternalIP",
    // Both are the least that metrics-server accepts, and the most that a test wants to wait.
    "--metric-resolution=10s",
    "--kubelet-request-timeout=5s",
    "--tls-cert-file=serving.crt",
    "--tls-private-key-file=serving.key",
    "--v=2",
];

fn write_files(api: &ApiServer, directory: &Directory) -> Result<()> {
    let certs = api.certs();
    api.access().add_token(GATEWAY_TOKEN, User::service_account("kube-system", "metrics-server"));
    fs::write(directory.file("token"), GATEWAY_TOKEN)?;
    api.write_kubeconfig_with_token_file(&directory.file("kubeconfig"), &directory.file("token"))?;
    fs::write(directory.file("cluster-ca.crt"), certs.cluster.pem())?;
    certs.gateway().write(directory.path(), "serving")?;
    Ok(())
}

/// Where the gateway's binary is, for tests that run it without a cluster.
///
/// # Errors
/// Where it has not been built.
pub fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("METRICS_GATEWAY_BIN") {
        return Ok(path.into());
    }
    let this = std::env::current_exe()?;
    // A test lies in target/<profile>/deps, a binary one directory above.
    let beside = this.ancestors().skip(1).take(2).map(|directory| directory.join("metrics-gateway"));
    beside.into_iter().find(|path| path.is_file()).with_context(|| {
        format!(
            "no metrics-gateway beside {}: run `cargo build -p metrics-gateway`, or set METRICS_GATEWAY_BIN",
            this.display()
        )
    })
}

/// The lines that a child has written, and news of more.
#[derive(Clone)]
struct Log {
    lines: Arc<Mutex<Vec<String>>>,
    grown: watch::Sender<usize>,
}

impl Default for Log {
    fn default() -> Self {
        Self { lines: Arc::default(), grown: watch::Sender::new(0) }
    }
}

impl Log {
    /// Reads to the end, on a thread of its own, because the standard library's pipes block.
    fn read(&self, from: impl Read + Send + 'static) -> JoinHandle<()> {
        let log = self.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
                log.lines.lock().push(String::from_utf8_lossy(&line).into_owned());
                log.grown.send_modify(|count| *count += 1);
            }
        })
    }
}
