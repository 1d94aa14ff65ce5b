//! The configuration: checked, complete and immutable. All that later modules see of flags and of gateway.toml.
//!
//! [`args`](crate::args) holds what the command line said, [`file::RawConfig`] what gateway.toml said;
//! [`check::check`] turns both into one [`Config`] or into every [`Problem`] it found. [`load`] does all of it.
//! [`policies`] is the part that may change while the gateway runs; [`watch`](mod@watch) tells when.

pub mod check;
pub mod file;
pub mod policies;
pub mod problem;
pub mod watch;

use std::fs::File;
use std::io::{self, Read};
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use check::{Checked, check};
use file::RawConfig;
use policies::PoliciesConfig;
pub use problem::{Problem, Problems};
use regex::Regex;

use crate::args::Args;
use crate::model::policy::PreferredAddresses;
use crate::model::selector::LabelSelector;

/// Everything the gateway was told, with defaults filled in.
#[derive(Clone, Debug)]
pub struct Config {
    /// The API server: where it is and who we are. None: in-cluster (upstream's default).
    pub kubeconfig: Option<PathBuf>,
    /// How often, and how, kubelets are asked.
    pub scrape: ScrapeConfig,
    /// What is remembered, and what is made of it.
    pub history: HistoryConfig,
    /// What is answered and how, where that is a choice.
    pub api: ApiConfig,
    /// The HTTPS listener.
    pub serving: ServingConfig,
    /// Who a request comes from.
    pub authentication: AuthenticationConfig,
    /// What they may do.
    pub authorization: AuthorizationConfig,
    /// Who asked for what, for the record; None: no record is kept.
    pub audit: Option<AuditConfig>,
    /// What is logged, and how.
    pub logging: LoggingConfig,
    /// How plugins are run.
    pub plugin_engine: PluginEngineConfig,
    /// Plugins, and whom they decide for.
    pub policies: PoliciesConfig,
    /// What is wrong with the policies of the file, where [`OnBadStart::BuiltIn`] says that this is no reason not to
    /// start; `policies` is empty then.
    pub policies_set_aside: Option<Problems>,
}

impl Config {
    /// The sections of gateway.toml in which `other` differs and which are read at the start only.
    pub fn sections_that_differ(&self, other: &Self) -> Vec<&'static str> {
        let sections = |config: &Self| {
            // By how they print: the expressions among them cannot be compared, and nothing here is hot.
            [
                ("scrape", format!("{:?}", config.scrape)),
                ("history", format!("{:?}", config.history)),
                ("api", format!("{:?}", config.api)),
                ("serving", format!("{:?}", config.serving)),
                ("plugin_engine", format!("{:?}", config.plugin_engine)),
            ]
        };
        let pairs = sections(self).into_iter().zip(sections(other));
        pairs.filter(|(own, others)| own != others).map(|((name, _), _)| name).collect()
    }
}

/// Reads the file of `--config`, if there is one, and checks it together with the command line. The second value
/// holds what the operator should know, one line each: the warnings of `args` first.
///
/// # Errors
/// Every problem of the file and of the flags.
pub fn load(args: &Args) -> Result<(Config, Vec<String>), Problems> {
    let text = read(args);
    let (text, problems) = match text {
        Ok(text) => (text, Vec::new()),
        Err(problem) => (None, vec![problem]),
    };
    judge(args, text.as_deref().unwrap_or_default(), problems)
}

/// As [`load`], of a file that says `text`.
///
/// # Errors
/// Every problem of the text and of the flags.
pub fn load_text(args: &Args, text: &str) -> Result<(Config, Vec<String>), Problems> {
    judge(args, text, Vec::new())
}

/// The text of the file of `--config`; None if there is none.
///
/// # Errors
/// If it cannot be read.
pub fn read(args: &Args) -> Result<Option<String>, Problem> {
    let file = &args.config;
    if file.is_empty() {
        return Ok(None);
    }
    let problem = |error| Problem::new(format!("--config: cannot read {file:?}: {error}"));
    read_bounded(file).map(Some).map_err(problem)
}

fn judge(args: &Args, text: &str, mut problems: Vec<Problem>) -> Result<(Config, Vec<String>), Problems> {
    let (raw, found) = RawConfig::read(&args.config, text);
    problems.extend(found);
    match check(&raw, args) {
        Ok(Checked { config, warnings }) if problems.is_empty() => {
            Ok((config, args.warnings.iter().cloned().chain(warnings).collect()))
        }
        Ok(_) => set_aside(&raw, args, problems),
        Err(more) => {
            problems.extend(more);
            set_aside(&raw, args, problems)
        }
    }
}

/// Without its policies, if those alone have problems and the file says that this is no reason not to start.
fn set_aside(raw: &RawConfig, args: &Args, problems: Vec<Problem>) -> Result<(Config, Vec<String>), Problems> {
    let is_optional = raw.plugin_engine.on_bad_start.as_ref().is_some_and(|it| it.value == OnBadStart::BuiltIn);
    if !is_optional || !problems.iter().all(is_of_policies) {
        return Err(Problems(problems));
    }
    let rest = RawConfig { policies: file::policies::RawPolicies::default(), ..raw.clone() };
    let Checked { config, warnings } = check(&rest, args).map_err(Problems)?;
    let config = Config { policies_set_aside: Some(Problems(problems)), ..config };
    Ok((config, args.warnings.iter().cloned().chain(warnings).collect()))
}

fn is_of_policies(problem: &Problem) -> bool {
    let section = problem.place().and_then(|place| place.key.split(['.', '[']).next());
    matches!(section, Some("plugins" | "node_pool" | "tenant" | "default"))
}

/// The text of a file of at most 1 MiB, thousands of tenants; whatever is larger is not a gateway.toml.
fn read_bounded(file: &str) -> io::Result<String> {
    const MOST: u64 = 1 << 20;
    let mut text = String::new();
    let length = File::open(file)?.take(MOST + 1).read_to_string(&mut text)?;
    if length as u64 > MOST { Err(io::Error::other("it is longer than 1 MiB")) } else { Ok(text) }
}

/// How often, and how, kubelets are asked.
#[derive(Clone, Debug)]
pub struct ScrapeConfig {
    /// `--metric-resolution`: every node is asked once in this time.
    pub resolution: Duration,
    /// `--kubelet-request-timeout`: for one node, all its addresses together.
    pub timeout: Duration,
    /// `--node-selector`: nodes that do not match are not asked.
    pub nodes: LabelSelector,
    /// `--kubelet-preferred-address-types`, `--kubelet-use-node-status-port`, `--kubelet-port`.
    pub addresses: PreferredAddresses,
    /// How the kubelet proves who it is, and we who we are.
    pub tls: KubeletTls,
    /// `scrape.concurrency`: how many kubelets are asked at the same time.
    pub concurrency: NonZeroUsize,
    /// `scrape.max_body`: a longer answer, counted after decompression, is refused.
    pub max_body: usize,
    /// `scrape.gzip`: whether kubelets are asked to compress.
    pub gzip: bool,
}

/// Transport security towards kubelets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KubeletTls {
    /// `--deprecated-kubelet-completely-insecure`: plain HTTP, no credentials at all.
    Plain,
    /// TLS with credentials.
    Tls {
        /// Which servers are trusted.
        verify: KubeletVerify,
        /// `--kubelet-client-certificate` and `--kubelet-client-key`; without them, those of the kubeconfig.
        client_pair: Option<PairFiles>,
    },
}

/// Which kubelet certificates are trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KubeletVerify {
    /// Those that the CA of the kubeconfig, or of the cluster we run in, vouches for.
    ClusterCa,
    /// `--kubelet-certificate-authority`: those that the CAs of this file vouch for. Re-read when it changes.
    File(PathBuf),
    /// `--kubelet-insecure-tls`: any.
    Insecure,
}

/// A certificate chain and its key, in PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairFiles {
    /// The chain, leaf first.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// What is remembered, and what is made of it. Each field names the value that restores upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryConfig {
    /// `history.hold`: how long the last usage is served when readings fail to come. Upstream: zero.
    pub hold: Duration,
    /// `history.falling_counter`. Upstream: [`FallingCounter::OmitContainer`].
    pub falling_counter: FallingCounter,
    /// `history.pod_on_two_nodes`. Upstream: [`PodOnTwoNodes::FirstAnswer`].
    pub pod_on_two_nodes: PodOnTwoNodes,
    /// `history.timestamp`. Upstream: [`TimestampOf::LastLine`].
    pub timestamp: TimestampOf,
}

/// What becomes of a pod when the CPU counter of one container falls although it did not restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FallingCounter {
    /// The pod is left out until the next reading: an autoscaler sees "unknown", not "less".
    OmitPod,
    /// The pod is served without the container.
    OmitContainer,
}

/// Which node's word counts when two report the same pod (a pod that moved, a node that came back).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodOnTwoNodes {
    /// That of the node where a container of the pod started last.
    NewestStart,
    /// That of the node which answered first in the tick, at random.
    FirstAnswer,
}

/// Which line's timestamp is the sample's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampOf {
    /// The CPU line's: it is the CPU rate that is computed with it.
    Cpu,
    /// That of whichever line comes last, in practice memory's.
    LastLine,
}

/// What is answered and how, where that is a choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiConfig {
    /// `api.container_order`. Upstream: random; [`ContainerOrder::AsReported`] is the nearest to it.
    pub container_order: ContainerOrder,
    /// `api.resource_metrics`: whether `/metrics/resource` serves the usage to Prometheus. Upstream has no such path.
    pub resource_metrics: bool,
}

/// In which order a pod's containers are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContainerOrder {
    /// By name.
    ByName,
    /// As the kubelet printed them.
    AsReported,
}

/// The HTTPS listener.
#[derive(Clone, Debug)]
pub struct ServingConfig {
    /// `--bind-address`; None stands for all addresses of all families.
    pub bind_address: Option<IpAddr>,
    /// `--secure-port`; zero (for tests) lets the system choose.
    pub port: u16,
    /// `--tls-cert-file`, `--tls-private-key-file`; None: a self-signed pair in `cert_dir`.
    pub pair: Option<PairFiles>,
    /// `--tls-sni-cert-key`: further pairs, for clients that ask by certain names. The first that fits is shown.
    pub named_pairs: Vec<NamedPair>,
    /// `--cert-dir`, where the self-signed pair is kept as apiserver.crt and apiserver.key; None: in memory only.
    pub cert_dir: Option<PathBuf>,
    /// `--external-hostname`, one more name of the self-signed pair.
    pub external_hostname: Option<String>,
    /// `--tls-cipher-suites` of TLS 1.2, by their IANA numbers; None: all that there are.
    pub cipher_suites: Option<Vec<u16>>,
    /// `--tls-curve-preferences`, by their IANA numbers; empty: all that there are.
    pub key_exchanges: Vec<u16>,
    /// `--tls-min-version`: whether TLS 1.2 is spoken as well as 1.3.
    pub min_version: TlsVersion,
    /// `--disable-http2-serving`.
    pub http2: bool,
    /// `--http2-max-streams-per-connection`; upstream's 0 means its library's default, 100.
    pub max_streams: u32,
    /// `--max-requests-inflight`; None: no limit.
    pub max_in_flight: Option<NonZeroUsize>,
    /// `--max-mutating-requests-inflight`; None: no limit.
    pub max_mutating_in_flight: Option<NonZeroUsize>,
    /// `--goaway-chance`: the share of HTTP/2 requests after which the client is told to reconnect.
    pub goaway_chance: f64,
    /// `--strict-transport-security-directives`, as the header has them; None: no header.
    pub strict_transport_security: Option<String>,
    /// `--cors-allowed-origins`; empty: browsers may call from nowhere else.
    pub cors_origins: Vec<Regex>,
    /// `--request-timeout`.
    pub request_timeout: Duration,
    /// `--shutdown-delay-duration`: how long requests are still accepted after a signal, while /readyz fails.
    pub shutdown_delay: Duration,
    /// `--shutdown-send-retry-after`.
    pub shutdown_send_retry_after: bool,
    /// `--permit-port-sharing`: SO_REUSEPORT.
    pub share_port: bool,
    /// `--permit-address-sharing`: SO_REUSEADDR.
    pub share_address: bool,
    /// `serving.max_connections`: more are accepted only when others have ended.
    pub max_connections: NonZeroUsize,
}

/// A pair for certain names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedPair {
    /// The pair.
    pub files: PairFiles,
    /// Host names, those with `*.` at the beginning for all that differ in their first label, and IP addresses. Empty:
    /// those that the certificate names.
    pub names: Vec<String>,
}

/// The lowest TLS version that is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2 and 1.3.
    Tls12,
    /// TLS 1.3 only.
    Tls13,
}

/// How plugins are run, apart from any one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginEngineConfig {
    /// `plugin_engine.cache_directory`: where compiled plugins, and those that came from registries, outlast a restart;
    /// None: nowhere.
    pub cache_directory: Option<PathBuf>,
    /// `plugin_engine.workers`: how many plugins run at the same time; None: as many as there are cores.
    pub workers: Option<NonZeroUsize>,
    /// `plugin_engine.on_bad_start`.
    pub on_bad_start: OnBadStart,
}

/// What is done where the policies of gateway.toml cannot be put in force at the start. Afterwards the generation in
/// force stays in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnBadStart {
    /// The gateway does not start, and says why.
    Refuse,
    /// It starts with the built-in policies, for everyone, and says why.
    BuiltIn,
}

/// Who a request comes from.
#[derive(Clone, Debug)]
pub struct AuthenticationConfig {
    /// `--authentication-kubeconfig`, for TokenReviews and the ConfigMap; None: as `Config::kubeconfig`.
    pub kubeconfig: Option<PathBuf>,
    /// `--authentication-skip-lookup`: do not read the ConfigMap extension-apiserver-authentication.
    pub skip_lookup: bool,
    /// `--authentication-tolerate-lookup-failure`: start although the ConfigMap cannot be read.
    pub tolerate_lookup_failure: bool,
    /// `--authentication-token-webhook-cache-ttl`.
    pub token_cache_ttl: Duration,
    /// `--client-ca-file`; goes before the ConfigMap's.
    pub client_ca_file: Option<PathBuf>,
    /// `--requestheader-*`, where `--requestheader-client-ca-file` is given; goes before the ConfigMap's.
    pub request_header: Option<RequestHeaderFiles>,
}

/// A front proxy that the flags describe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHeaderFiles {
    /// `--requestheader-client-ca-file`.
    pub client_ca_file: PathBuf,
    /// `--requestheader-allowed-names`; empty: any name under the CA.
    pub allowed_names: Vec<String>,
    /// `--requestheader-username-headers`.
    pub username_headers: Vec<String>,
    /// `--requestheader-uid-headers`.
    pub uid_headers: Vec<String>,
    /// `--requestheader-group-headers`.
    pub group_headers: Vec<String>,
    /// `--requestheader-extra-headers-prefix`.
    pub extra_headers_prefix: Vec<String>,
}

/// What callers may do.
#[derive(Clone, Debug)]
pub struct AuthorizationConfig {
    /// `--authorization-kubeconfig`, for SubjectAccessReviews; None: as `Config::kubeconfig`.
    pub kubeconfig: Option<PathBuf>,
    /// `--authorization-always-allow-paths`, each with its leading slash; a trailing `*` makes a prefix.
    pub always_allow_paths: Vec<String>,
    /// `--authorization-webhook-cache-authorized-ttl`.
    pub allowed_cache_ttl: Duration,
    /// `--authorization-webhook-cache-unauthorized-ttl`.
    pub denied_cache_ttl: Duration,
}

/// Who asked for what, for the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditConfig {
    /// `--audit-policy-file`: which events are recorded.
    pub policy_file: PathBuf,
    /// `--audit-log-path`.
    pub log: AuditLog,
    /// `--audit-log-format`.
    pub format: AuditFormat,
    /// `--audit-log-mode`.
    pub mode: AuditMode,
    /// `--audit-log-batch-buffer-size`: how many events may wait to be written.
    pub buffer: NonZeroUsize,
}

/// Where events are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditLog {
    /// To standard output, for whoever collects it.
    Stdout,
    /// To a file.
    File(PathBuf, Rotation),
}

/// When a log file is put aside, and what becomes of it then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// `--audit-log-maxsize`: a file is put aside before it grows beyond this many bytes.
    pub max_bytes: u64,
    /// `--audit-log-maxage`: how long files are kept; None: for ever.
    pub max_age: Option<Duration>,
    /// `--audit-log-maxbackup`: how many files are kept; None: all.
    pub max_backups: Option<NonZeroUsize>,
    /// `--audit-log-compress`: whether they are compressed.
    pub compress: bool,
}

/// The form of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditFormat {
    /// One JSON object a line, as `audit.k8s.io/v1` has it.
    Json,
    /// One line of text.
    Legacy,
}

/// Whether an answer waits for its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditMode {
    /// No; what finds the buffer full is lost, and counted.
    Batch,
    /// Yes; but it is given even if the events could not be written.
    Blocking,
    /// Yes, and it is not given if they could not.
    BlockingStrict,
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggingConfig {
    /// `--logging-format`.
    pub format: LogFormat,
    /// `-v`: 0 to 3 log changes of state, 4 and 5 every tick and request, 6 and more every object.
    pub verbosity: u8,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}
