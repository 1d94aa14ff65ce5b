//! (RawConfig, Args) to a [`Config`], or to every [`Problem`] there is.
//!
//! Defaults that metrics-server does not have stand here, each with its reason; so do ranges, and rules between
//! settings. What is allowed but worth knowing comes out as a warning.
//!
//! Absent on purpose: files, clock, network. Whether a certificate can be read is for whoever reads it.
//!
//! Rules and texts: metrics-server v0.9.0, `cmd/metrics-server/app/options`, and `k8s.io/apiserver` v0.36,
//! `pkg/server/options`. Upstream prints its first problem only; we print all. Its texts are kept, inconsistent as
//! they are, because people search for them.

mod audit;
mod policies;
mod serving;

use std::fmt;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::file::{Located, RawConfig};
use super::problem::{Place, Problem};
use super::{
    ApiConfig, AuthenticationConfig, AuthorizationConfig, Config, ContainerOrder, FallingCounter, HistoryConfig,
    KubeletTls, KubeletVerify, LogFormat, LoggingConfig, OnBadStart, PairFiles, PluginEngineConfig, PodOnTwoNodes,
    RequestHeaderFiles, ScrapeConfig, TimestampOf,
};
use crate::args::Args;
use crate::args::values::GoDuration;
use crate::model::policy::PreferredAddresses;
use crate::model::selector::LabelSelector;

/// 5,000 nodes that answer in 50 ms keep 17 requests busy in 15 s. If one node in ten hangs until its timeout of 10 s,
/// 500 x 10 s / 15 s = 333 more are taken. 512 carries both with room to spare, and bounds descriptors and memory.
const CONCURRENCY: usize = 512;

/// A kubelet with 500 pods of five containers answers with about 3 MiB; ten times that is no honest answer.
const MAX_BODY: u64 = 32 << 20;

/// One miss and the reading after it, with a margin for a late tick.
const HOLD_RESOLUTIONS: u32 = 3;

/// Older than this, usage describes a workload that may be gone; an autoscaler had better see nothing.
const LONGEST_HOLD: Duration = Duration::from_secs(3600);

/// metrics-server's own floor: kubelets refresh their figures about that often.
const SHORTEST_RESOLUTION: GoDuration = GoDuration::from_secs(10);

/// A configuration without problems.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The configuration.
    pub config: Config,
    /// What the operator should know about it; one line each.
    pub warnings: Vec<String>,
}

/// Puts both together and judges them.
///
/// # Errors
/// All problems, those of the command line first.
pub fn check(raw: &RawConfig, args: &Args) -> Result<Checked, Vec<Problem>> {
    let mut found = Findings::default();
    check_without_effect(args, &mut found);
    let config = Config {
        kubeconfig: path(&args.kubeconfig),
        scrape: scrape(raw, args, &mut found),
        history: history(raw, args, &mut found),
        api: api(raw),
        serving: serving::serving(raw, args, &mut found),
        authentication: authentication(args, &mut found),
        authorization: authorization(args, &mut found),
        audit: audit::audit(args, &mut found),
        logging: logging(args, &mut found),
        plugin_engine: plugin_engine(raw, args, &mut found),
        policies: policies::policies(raw, args, &mut found),
        policies_set_aside: None,
    };
    if found.problems.is_empty() { Ok(Checked { config, warnings: found.warnings }) } else { Err(found.problems) }
}

/// What was found so far. Checking goes on after a problem, with a stand-in that is never used.
#[derive(Default)]
struct Findings {
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

impl Findings {
    fn refuse_if(&mut self, wrong: bool, text: &str) {
        if wrong {
            self.refuse(text);
        }
    }

    fn refuse(&mut self, text: impl Into<String>) {
        self.problems.push(Problem::new(text));
    }

    fn warn(&mut self, text: impl Into<String>) {
        self.warnings.push(text.into());
    }

    /// The duration, which may not be negative; `text` says so in upstream's words.
    fn not_negative(&mut self, duration: GoDuration, text: &str) -> Duration {
        self.refuse_if(duration.nanos() < 0, text);
        duration.unsigned().unwrap_or_default()
    }

    /// The duration, which must be more than zero.
    fn positive(&mut self, duration: GoDuration, text: &str) -> Duration {
        self.refuse_if(duration.nanos() <= 0, text);
        duration.unsigned().unwrap_or_default()
    }

    /// The number of the file, or the default; at least 1 and at most `most`.
    fn count(&mut self, written: &Option<Located<u64>>, default: usize, most: usize) -> NonZeroUsize {
        let number = self.within(written, default as u64, 1..=most as u64, u64::to_string);
        usize::try_from(number).ok().and_then(NonZeroUsize::new).unwrap_or(NonZeroUsize::MIN)
    }

    fn within<T: Copy + PartialOrd>(
        &mut self,
        written: &Option<Located<T>>,
        default: T,
        range: RangeInclusive<T>,
        show: fn(&T) -> String,
    ) -> T {
        let Some(Located { value, place }) = written else { return default };
        if !range.contains(value) {
            let text = format!("{} is not between {} and {}", show(value), show(range.start()), show(range.end()));
            self.refuse_at(place, text);
        }
        *value
    }

    fn refuse_at(&mut self, place: &Place, text: impl Into<String>) {
        self.problems.push(Problem::at(place.clone(), text));
    }

    fn warn_at(&mut self, place: &Place, text: impl fmt::Display) {
        self.warn(format!("{place}: {text}"));
    }
}

fn value<T: Copy>(written: &Option<Located<T>>, default: T) -> T {
    written.as_ref().map_or(default, |located| located.value)
}

fn path(text: &str) -> Option<PathBuf> {
    (!text.is_empty()).then(|| PathBuf::from(text))
}

fn scrape(raw: &RawConfig, args: &Args, found: &mut Findings) -> ScrapeConfig {
    let resolution = resolution(args, found);
    let tls = kubelet_tls(args, found);
    let timeout = found.positive(args.kubelet_request_timeout, "kubelet-request-timeout should be positive");
    let largest = 1 << 30; // Beyond, one node could take the memory of the whole process.
    let max_body = found.within(&raw.scrape.max_body, MAX_BODY, (64 << 10)..=largest, |bytes| format!("{bytes}B"));
    ScrapeConfig {
        resolution,
        timeout,
        nodes: node_selector(args, found),
        addresses: PreferredAddresses {
            kinds: args.kubelet_preferred_address_types.clone(),
            use_node_status_port: args.kubelet_use_node_status_port,
            port: kubelet_port(args, found),
            // Upstream does not, and loses the node; an address that cannot be connected to has seen no credentials.
            try_all: value(&raw.scrape.try_all_addresses, true),
        },
        tls,
        // The ceiling is far above what a machine's descriptors allow to be useful.
        concurrency: found.count(&raw.scrape.concurrency, CONCURRENCY, 10_000),
        max_body: usize::try_from(max_body).unwrap_or(usize::MAX),
        gzip: value(&raw.scrape.gzip, true),
    }
}

fn resolution(args: &Args, found: &mut Findings) -> Duration {
    let (resolution, timeout) = (args.metric_resolution, args.kubelet_request_timeout);
    if resolution < SHORTEST_RESOLUTION {
        let text = "metric-resolution should be a time duration at least 10s, but value";
        found.refuse(format!("{text} {resolution} provided"));
    }
    // A tick must be able to end before the next one starts, with a tenth of it to spare.
    if i128::from(resolution.nanos()) * 9 / 10 < i128::from(timeout.nanos()) {
        found.refuse(format!(
            "metric-resolution should be larger than kubelet-request-timeout, but metric-resolution value {resolution} \
             kubelet-request-timeout value {timeout} provided"
        ));
    }
    resolution.unsigned().unwrap_or_default()
}

fn kubelet_tls(args: &Args, found: &mut Findings) -> KubeletTls {
    let authority = path(&args.kubelet_certificate_authority);
    let (certificate, key) = (path(&args.kubelet_client_certificate), path(&args.kubelet_client_key));
    let (insecure, plain) = (args.kubelet_insecure_tls, args.deprecated_kubelet_completely_insecure);
    let both = |one: &str, other: &str| format!("cannot use both --{one} and --{other}");
    let completely = "deprecated-kubelet-completely-insecure";

    let clash = both("kubelet-certificate-authority", "kubelet-insecure-tls");
    found.refuse_if(authority.is_some() && insecure, &clash);
    let text = "need both --kubelet-client-key and --kubelet-client-certificate";
    found.refuse_if(key.is_some() != certificate.is_some(), text);
    found.refuse_if(key.is_some() && plain, &both("kubelet-client-key", completely));
    found.refuse_if(certificate.is_some() && plain, &both("kubelet-client-certificate", completely));
    found.refuse_if(insecure && plain, &both("kubelet-insecure-tls", completely));
    found.refuse_if(authority.is_some() && plain, &both("kubelet-certificate-authority", completely));

    if plain {
        found.warn(format!(
            "--{completely}: kubelets are asked over plain HTTP; anyone on the way can read and change the figures"
        ));
        return KubeletTls::Plain;
    }
    let verify = match authority {
        _ if insecure => KubeletVerify::Insecure,
        Some(file) => KubeletVerify::File(file),
        None => KubeletVerify::ClusterCa,
    };
    let client_pair = certificate.zip(key).map(|(certificate, key)| PairFiles { certificate, key });
    KubeletTls::Tls { verify, client_pair }
}

fn node_selector(args: &Args, found: &mut Findings) -> LabelSelector {
    LabelSelector::parse(args.node_selector.trim()).unwrap_or_else(|error| {
        found.refuse(format!("--node-selector: {error}"));
        LabelSelector::default()
    })
}

fn kubelet_port(args: &Args, found: &mut Findings) -> u16 {
    let port = u16::try_from(args.kubelet_port).ok().filter(|port| *port > 0);
    port.unwrap_or_else(|| {
        found.refuse(format!("--kubelet-port {} must be between 1 and 65535, inclusive", args.kubelet_port));
        0
    })
}

fn history(raw: &RawConfig, args: &Args, found: &mut Findings) -> HistoryConfig {
    let history = &raw.history;
    HistoryConfig {
        hold: hold(raw, args, found),
        falling_counter: value(&history.falling_counter, FallingCounter::OmitPod),
        pod_on_two_nodes: value(&history.pod_on_two_nodes, PodOnTwoNodes::NewestStart),
        timestamp: value(&history.timestamp, TimestampOf::Cpu),
    }
}

fn api(raw: &RawConfig) -> ApiConfig {
    ApiConfig {
        container_order: value(&raw.api.container_order, ContainerOrder::ByName),
        // A path that a drop-in has and upstream has not is there only for those who ask for it.
        resource_metrics: value(&raw.api.resource_metrics, false),
    }
}

fn hold(raw: &RawConfig, args: &Args, found: &mut Findings) -> Duration {
    let resolution = args.metric_resolution.unsigned().unwrap_or_default();
    let Some(Located { value: hold, place }) = &raw.history.hold else {
        return resolution.saturating_mul(HOLD_RESOLUTIONS);
    };
    let shown = GoDuration::from(*hold);
    if *hold > LONGEST_HOLD {
        let text = format!("{shown} is longer than {}", GoDuration::from(LONGEST_HOLD));
        found.problems.push(Problem::at(place.clone(), text));
    } else if !hold.is_zero() && *hold < resolution {
        let resolution = args.metric_resolution;
        found.warn(format!(
            "{place}: {shown} is shorter than one --metric-resolution ({resolution}), so that no miss is held"
        ));
    }
    *hold
}

fn authentication(args: &Args, found: &mut Findings) -> AuthenticationConfig {
    let ttl = "--authentication-token-webhook-cache-ttl can not be negative value";
    AuthenticationConfig {
        kubeconfig: path(&args.authentication_kubeconfig),
        skip_lookup: args.authentication_skip_lookup,
        tolerate_lookup_failure: args.authentication_tolerate_lookup_failure,
        token_cache_ttl: found.not_negative(args.authentication_token_webhook_cache_ttl, ttl),
        client_ca_file: path(&args.client_ca_file),
        request_header: request_header(args, found),
    }
}

fn request_header(args: &Args, found: &mut Findings) -> Option<RequestHeaderFiles> {
    let lists = [
        ("requestheader-username-headers", &args.requestheader_username_headers),
        ("requestheader-uid-headers", &args.requestheader_uid_headers),
        ("requestheader-group-headers", &args.requestheader_group_headers),
        ("requestheader-extra-headers-prefix", &args.requestheader_extra_headers_prefix),
        ("requestheader-allowed-names", &args.requestheader_allowed_names),
    ];
    for (flag, list) in lists {
        found.refuse_if(list.iter().any(|value| value.trim().is_empty()), &format!("empty value in {flag:?}"));
    }
    let files = RequestHeaderFiles {
        client_ca_file: path(&args.requestheader_client_ca_file)?,
        allowed_names: args.requestheader_allowed_names.clone(),
        username_headers: args.requestheader_username_headers.clone(),
        uid_headers: args.requestheader_uid_headers.clone(),
        group_headers: args.requestheader_group_headers.clone(),
        extra_headers_prefix: args.requestheader_extra_headers_prefix.clone(),
    };
    if files.allowed_names.is_empty() {
        found.warn(
            "--requestheader-client-ca-file without --requestheader-allowed-names: whoever holds a certificate under \
             that CA may claim to be anyone",
        );
    }
    Some(files)
}

fn authorization(args: &Args, found: &mut Findings) -> AuthorizationConfig {
    let allowed = "--authorization-webhook-cache-authorized-ttl can not be negative value";
    let denied = "--authorization-webhook-cache-unauthorized-ttl can not be negative value";
    AuthorizationConfig {
        kubeconfig: path(&args.authorization_kubeconfig),
        always_allow_paths: args
            .authorization_always_allow_paths
            .iter()
            .map(|path| allowed_path(path, found))
            .collect(),
        allowed_cache_ttl: found.not_negative(args.authorization_webhook_cache_authorized_ttl, allowed),
        denied_cache_ttl: found.not_negative(args.authorization_webhook_cache_unauthorized_ttl, denied),
    }
}

/// The path with its leading slash, which may be left out on the command line.
fn allowed_path(path: &str, found: &mut Findings) -> String {
    let path = path.strip_prefix('/').unwrap_or(path);
    if path.find('*').is_some_and(|star| star + 1 < path.len()) {
        found.refuse(format!("only trailing * allowed in {path:?}"));
    }
    format!("/{path}")
}

fn plugin_engine(raw: &RawConfig, args: &Args, found: &mut Findings) -> PluginEngineConfig {
    let raw = &raw.plugin_engine;
    let directory = raw.cache_directory.as_ref().filter(|written| !written.value.is_empty());
    let workers = found.within(&raw.workers, 0, 0..=64, u64::to_string);
    PluginEngineConfig {
        // Nothing is written where nobody asked for it: metrics-server needs no disk but --cert-dir.
        cache_directory: directory.map(|written| beside_file(args, &written.value)),
        // Guests compute and never wait, so that more of them than cores would only take each other's memory.
        workers: usize::try_from(workers).ok().and_then(NonZeroUsize::new),
        // As metrics-server refuses flags that make no sense: what nobody asked for is not served.
        on_bad_start: value(&raw.on_bad_start, OnBadStart::Refuse),
    }
}

/// A path of gateway.toml: where it is relative, to the directory of the file.
fn beside_file(args: &Args, path: &str) -> PathBuf {
    Path::new(&args.config).parent().map_or_else(|| path.into(), |directory| directory.join(path))
}

fn logging(args: &Args, found: &mut Findings) -> LoggingConfig {
    let format = match args.logging_format.as_str() {
        "text" => LogFormat::Text,
        "json" => LogFormat::Json,
        unknown => {
            found.refuse(format!("format: Invalid value: {unknown:?}: Unsupported log format"));
            LogFormat::Text
        }
    };
    LoggingConfig { format, verbosity: u8::try_from(args.verbosity).unwrap_or(u8::MAX) }
}

/// Flags that do nothing here, but that upstream checks: a command line is as good or as bad as it is there.
fn check_without_effect(args: &Args, found: &mut Findings) {
    let negative = |duration: GoDuration| duration.nanos() < 0;
    found.refuse_if(negative(args.livez_grace_period), "--livez-grace-period can not be a negative value");
    found.refuse_if(args.min_request_timeout < 0, "--min-request-timeout can not be negative value");
    let text = "--storage-initialization-timeout can not be negative value";
    found.refuse_if(negative(args.storage_initialization_timeout), text);
    let text = "shutdown-watch-termination-grace-period, if provided, can not be a negative value";
    found.refuse_if(negative(args.shutdown_watch_termination_grace_period), text);
    check_alpha_logging(args, found);
}

fn check_alpha_logging(args: &Args, found: &mut Findings) {
    // A quantity is zero, whatever its unit, if no digit says otherwise.
    let not_zero = |quantity: &str| quantity.contains(|digit| matches!(digit, '1'..='9'));
    let gates: Vec<&str> = args.feature_gates.split(',').map(str::trim).collect();
    let open = gates.iter().any(|gate| matches!(*gate, "LoggingAlphaOptions=true" | "AllAlpha=true"));
    let options = [
        (args.log_json_split_stream, "options.json.splitStream"),
        (not_zero(&args.log_json_info_buffer_size), "options.json.infoBufferSize"),
        (args.log_text_split_stream, "options.text.splitStream"),
        (not_zero(&args.log_text_info_buffer_size), "options.text.infoBufferSize"),
    ];
    for (set, option) in options {
        found.refuse_if(set && !open, &format!("{option}: Forbidden: Feature LoggingAlphaOptions is disabled"));
    }
}

#[cfg(test)]
mod tests;
