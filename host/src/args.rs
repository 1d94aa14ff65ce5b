//! The command line: metrics-server's flags, name for name, to [`Args`].
//!
//! In: the words after the program's name. Out: an [`Invocation`], or a [`UsageError`] with the text that
//! metrics-server prints; the caller prints it with [`USAGE`] on standard error and exits with 2. What a flag does not
//! do here is said in [`Args::warnings`], one line a flag, never by refusing a flag that metrics-server takes.
//!
//! All flags stand in one table (`args/table.rs`), from which parsing, defaults, warnings and `--help` follow.
//!
//! Absent on purpose: files, the environment, and whether values make sense together, which is
//! [`config::check`](mod@crate::config::check)'s question.
//!
//! Rules: metrics-server v0.9.0, `cmd/metrics-server/app`, and `spf13/pflag` with its texts. Like there, a word that
//! is neither a flag nor a flag's value is ignored; unlike there we say so, because `--some-switch false` means `true`.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::net::IpAddr;

mod flag;
mod help;
mod table;
pub mod values;

use flag::{Fate, Flag};
use table::FLAGS;
use values::{GoDuration, InvalidValue};

/// What is printed below a [`UsageError`].
pub const USAGE: &str = "Usage:\n  metrics-gateway [flags]\n  metrics-gateway COMMAND …";

/// The words that, in the first place, select a command instead of flags, and what each is for.
pub const COMMANDS: [(&str, &str); 6] = [
    ("config", "Check gateway.toml, and explain what it means for whom."),
    ("doctor", "Walk the whole chain from API server to kubelets; say what is wrong, and what mends it."),
    ("explain", "Say why a pod or a node is served as it is, or is not."),
    ("pki", "Make the certificates of the aggregation layer."),
    ("plugin", "Make, test and measure plugins."),
    ("status", "Show how a running gateway fares."),
];

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Invocation {
    /// `--help`: print this and exit with 0.
    Help(String),
    /// `--version`: print the version and exit with 0.
    Version,
    /// Run.
    Run(Box<Args>),
    /// Do what these words say, the first of which is one of [`COMMANDS`].
    Command(Vec<OsString>),
}

/// The flags that have an effect or are checked, as they were written; empty texts stand for "not given". Each field
/// is named for its flag, which the table describes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Args {
    /// What was accepted without effect, and why; one line a flag, in the order of the table.
    pub warnings: Vec<String>,

    pub config: String,
    pub kubeconfig: String,
    pub metric_resolution: GoDuration,

    pub kubelet_use_node_status_port: bool,
    pub kubelet_port: i64,
    pub kubelet_preferred_address_types: Vec<String>,
    pub kubelet_insecure_tls: bool,
    pub kubelet_certificate_authority: String,
    pub kubelet_client_certificate: String,
    pub kubelet_client_key: String,
    pub kubelet_request_timeout: GoDuration,
    pub node_selector: String,
    pub deprecated_kubelet_completely_insecure: bool,

    pub cors_allowed_origins: Vec<String>,
    pub external_hostname: String,
    pub feature_gates: String,
    pub goaway_chance: f64,
    pub livez_grace_period: GoDuration,
    pub max_mutating_requests_inflight: i64,
    pub max_requests_inflight: i64,
    pub min_request_timeout: i64,
    pub request_timeout: GoDuration,
    pub shutdown_delay_duration: GoDuration,
    pub shutdown_send_retry_after: bool,
    pub shutdown_watch_termination_grace_period: GoDuration,
    pub storage_initialization_timeout: GoDuration,
    pub strict_transport_security_directives: Vec<String>,

    pub bind_address: Option<IpAddr>,
    pub secure_port: i64,
    pub cert_dir: String,
    pub tls_cert_file: String,
    pub tls_private_key_file: String,
    pub tls_cipher_suites: Vec<String>,
    pub tls_curve_preferences: Vec<String>,
    pub tls_min_version: String,
    pub tls_sni_cert_key: Vec<String>,
    pub disable_http2_serving: bool,
    pub http2_max_streams_per_connection: i64,
    pub permit_address_sharing: bool,
    pub permit_port_sharing: bool,

    pub authentication_kubeconfig: String,
    pub authentication_skip_lookup: bool,
    pub authentication_tolerate_lookup_failure: bool,
    pub authentication_token_webhook_cache_ttl: GoDuration,
    pub client_ca_file: String,
    pub requestheader_client_ca_file: String,
    pub requestheader_allowed_names: Vec<String>,
    pub requestheader_username_headers: Vec<String>,
    pub requestheader_uid_headers: Vec<String>,
    pub requestheader_group_headers: Vec<String>,
    pub requestheader_extra_headers_prefix: Vec<String>,

    pub authorization_kubeconfig: String,
    pub authorization_always_allow_paths: Vec<String>,
    pub authorization_webhook_cache_authorized_ttl: GoDuration,
    pub authorization_webhook_cache_unauthorized_ttl: GoDuration,

    pub audit_log_batch_buffer_size: i64,
    pub audit_log_compress: bool,
    pub audit_log_format: String,
    pub audit_log_maxage: i64,
    pub audit_log_maxbackup: i64,
    pub audit_log_maxsize: i64,
    pub audit_log_mode: String,
    pub audit_log_path: String,
    pub audit_log_version: String,
    pub audit_policy_file: String,

    pub logging_format: String,
    pub verbosity: u32,
    pub log_json_split_stream: bool,
    pub log_text_split_stream: bool,
    pub log_json_info_buffer_size: String,
    pub log_text_info_buffer_size: String,

    help: bool,
    version: bool,
}

/// A command line that metrics-server would refuse too, in its words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    /// No flag has this name.
    #[error("unknown flag: --{0}")]
    UnknownFlag(String),
    /// No flag has this letter.
    #[error("unknown shorthand flag: {letter:?} in -{letters}")]
    UnknownShorthand {
        /// The letter.
        letter: char,
        /// The rest of the word from it on.
        letters: String,
    },
    /// The command line ends where a value should follow.
    #[error("flag needs an argument: {0}")]
    NeedsArgument(String),
    /// Two hyphens with something that is no name.
    #[error("bad flag syntax: {0}")]
    BadSyntax(String),
    /// The flag's type refuses the value.
    #[error("invalid argument {text:?} for {flag:?} flag: {why}")]
    Invalid {
        /// The value.
        text: String,
        /// The flag, with its letter if it has one.
        flag: String,
        /// The reason.
        why: InvalidValue,
    },
    /// A word that is no text.
    #[error("argument {0:?} is not UTF-8")]
    NotText(OsString),
}

/// Reads the words after the program's name.
///
/// # Errors
/// The first thing that is wrong, as pflag stops there as well.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Invocation, UsageError> {
    let words: Vec<OsString> = words.into_iter().collect();
    // In the first place alone: everywhere else the word may be the value of a flag.
    if words.first().is_some_and(|first| COMMANDS.iter().any(|(command, _)| first == command)) {
        return Ok(Invocation::Command(words));
    }
    let words = words.into_iter().map(|word| word.into_string().map_err(UsageError::NotText));
    let words: Vec<String> = words.collect::<Result<_, _>>()?;
    let mut reading = Reading::new(words);
    reading.read_all()?;
    Ok(reading.finish())
}

/// A command line on the way to becoming [`Args`].
struct Reading {
    words: std::vec::IntoIter<String>,
    args: Args,
    /// Flags that occurred: a list's first use replaces its default, later ones append.
    seen: BTreeSet<&'static str>,
    /// Flags without effect that occurred, and whether their last value differs from the default.
    idle: BTreeMap<&'static str, bool>,
    /// Words that are no flags.
    ignored: Vec<String>,
}

impl Reading {
    fn new(words: Vec<String>) -> Self {
        let mut args = Args::default();
        for flag in FLAGS {
            flag.slot
                .store(&mut args, flag.default, true)
                .expect("every default is a value of its type, see the tests");
        }
        Self { words: words.into_iter(), args, seen: BTreeSet::new(), idle: BTreeMap::new(), ignored: Vec::new() }
    }

    fn read_all(&mut self) -> Result<(), UsageError> {
        while let Some(word) = self.words.next() {
            match word.strip_prefix('-') {
                None | Some("") => self.ignored.push(word),
                Some("-") => self.ignored.extend(self.words.by_ref()),
                Some(rest) => match rest.strip_prefix('-') {
                    Some(long) => self.read_long(long)?,
                    None => self.read_letters(rest)?,
                },
            }
        }
        Ok(())
    }

    /// `name`, `name=value`, or `name` with the value in the next word.
    fn read_long(&mut self, long: &str) -> Result<(), UsageError> {
        if long.starts_with(['-', '=']) {
            return Err(UsageError::BadSyntax(format!("--{long}")));
        }
        let (name, value) = match long.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (long, None),
        };
        let flag = table::named(name).ok_or_else(|| UsageError::UnknownFlag(name.to_owned()))?;
        let value = match (value, flag.slot.kind().bare_value()) {
            (Some(value), _) => value,
            (None, Some(bare)) => bare.to_owned(),
            (None, None) => self.words.next().ok_or_else(|| UsageError::NeedsArgument(format!("--{name}")))?,
        };
        self.set(flag, &value)
    }

    /// One or more letters: switches may share a hyphen (`-hv2`); a value may follow as `-v2`, `-v=2` or `-v 2`.
    fn read_letters(&mut self, word: &str) -> Result<(), UsageError> {
        let mut letters = word;
        while let Some(letter) = letters.chars().next() {
            let rest = &letters[letter.len_utf8()..];
            let unknown = || UsageError::UnknownShorthand { letter, letters: letters.to_owned() };
            let flag = table::lettered(letter).ok_or_else(unknown)?;
            let assigned = rest.strip_prefix('=').filter(|value| !value.is_empty());
            let value = match (assigned, flag.slot.kind().bare_value()) {
                (Some(value), _) => value.to_owned(),
                (None, Some(bare)) => {
                    self.set(flag, bare)?;
                    letters = rest;
                    continue;
                }
                (None, None) if !rest.is_empty() => rest.to_owned(),
                (None, None) => {
                    let missing = || UsageError::NeedsArgument(format!("{letter:?} in -{letters}"));
                    self.words.next().ok_or_else(missing)?
                }
            };
            return self.set(flag, &value);
        }
        Ok(())
    }

    fn set(&mut self, flag: &'static Flag, text: &str) -> Result<(), UsageError> {
        let first = self.seen.insert(flag.name);
        let invalid = |why| UsageError::Invalid { text: text.to_owned(), flag: flag.title(), why };
        flag.slot.store(&mut self.args, text, first).map_err(invalid)?;
        if flag.fate != Fate::Effective {
            self.idle.insert(flag.name, flag.differs_from_default(text));
        }
        Ok(())
    }

    fn finish(mut self) -> Invocation {
        if self.args.help {
            return Invocation::Help(help::help());
        }
        if self.args.version {
            return Invocation::Version;
        }
        let idle = |flag: &&Flag| self.idle.get(flag.name) == Some(&true);
        self.args.warnings = FLAGS.iter().filter(idle).filter_map(Flag::warning).collect();
        let ignored = self.ignored.iter().map(|word| format!("{word:?} is no flag and no flag's value; ignored it"));
        self.args.warnings.extend(ignored);
        Invocation::Run(Box::new(self.args))
    }
}

#[cfg(test)]
mod tests;
