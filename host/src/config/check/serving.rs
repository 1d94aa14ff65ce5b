//! The flags of the listener, and of what every request passes, to a [`ServingConfig`].
//!
//! Rules and texts: `k8s.io/apiserver` v0.36, `pkg/server/options/{serving,server_run_options}.go`, and
//! `k8s.io/component-base` v0.36, `cli/flag`. Names and numbers of cipher suites and key exchanges: IANA, as far as Go
//! knows them.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use regex::Regex;

use super::{Findings, path};
use crate::args::Args;
use crate::args::values::read_int;
use crate::config::file::RawConfig;
use crate::config::{NamedPair, PairFiles, ServingConfig, TlsVersion};

/// Two API servers need a handful; 10,000 leaves room for direct clients and stays below common descriptor limits.
const MAX_CONNECTIONS: usize = 10_000;

/// What the API server library serves when it is told 0.
const MAX_STREAMS: u32 = 100;

pub(super) fn serving(raw: &RawConfig, args: &Args, found: &mut Findings) -> ServingConfig {
    ServingConfig {
        bind_address: args.bind_address.filter(|address: &IpAddr| !address.is_unspecified()),
        port: secure_port(args, found),
        pair: serving_pair(args, found),
        named_pairs: args.tls_sni_cert_key.iter().filter_map(|text| named_pair(text, found)).collect(),
        cert_dir: path(&args.cert_dir),
        external_hostname: Some(args.external_hostname.clone()).filter(|name| !name.is_empty()),
        cipher_suites: cipher_suites(args, found),
        key_exchanges: key_exchanges(args, found),
        min_version: min_version(args, found),
        http2: !args.disable_http2_serving,
        max_streams: max_streams(args, found),
        max_in_flight: in_flight("max-requests-inflight", args.max_requests_inflight, found),
        max_mutating_in_flight: in_flight("max-mutating-requests-inflight", args.max_mutating_requests_inflight, found),
        goaway_chance: goaway_chance(args, found),
        strict_transport_security: strict_transport_security(args, found),
        cors_origins: args.cors_allowed_origins.iter().filter_map(|origin| cors_origin(origin, found)).collect(),
        request_timeout: request_timeout(args, found),
        shutdown_delay: found
            .not_negative(args.shutdown_delay_duration, "--shutdown-delay-duration can not be negative value"),
        shutdown_send_retry_after: args.shutdown_send_retry_after,
        share_port: args.permit_port_sharing,
        share_address: args.permit_address_sharing,
        max_connections: found.count(&raw.serving.max_connections, MAX_CONNECTIONS, 1_000_000),
    }
}

fn secure_port(args: &Args, found: &mut Findings) -> u16 {
    u16::try_from(args.secure_port).unwrap_or_else(|_| {
        let range = "must be between 0 and 65535, inclusive. 0 for turning off secure port";
        found.refuse(format!("--secure-port {} {range}", args.secure_port));
        0
    })
}

fn serving_pair(args: &Args, found: &mut Findings) -> Option<PairFiles> {
    let (certificate, key) = (path(&args.tls_cert_file), path(&args.tls_private_key_file));
    found.refuse_if(certificate.is_some() != key.is_some(), "need both --tls-cert-file and --tls-private-key-file");
    certificate.zip(key).map(|(certificate, key)| PairFiles { certificate, key })
}

/// `certificate,key`, and perhaps `:name,name`.
fn named_pair(text: &str, found: &mut Findings) -> Option<NamedPair> {
    let mut refuse = |why: &str| {
        found.refuse(format!("invalid argument {text:?} for \"--tls-sni-cert-key\" flag: {why}"));
        None
    };
    let (files, names) = match text.split_once(':') {
        Some((_, names)) if names.trim().is_empty() => return refuse("empty names list is not allowed"),
        Some((files, names)) => (files, names.split(',').map(|name| name.trim().to_owned()).collect()),
        None => (text, Vec::new()),
    };
    match files.split(',').map(str::trim).collect::<Vec<_>>()[..] {
        [certificate, key] => {
            let files = PairFiles { certificate: PathBuf::from(certificate), key: PathBuf::from(key) };
            Some(NamedPair { files, names })
        }
        _ => refuse("expected comma separated certificate and key file paths"),
    }
}

fn min_version(args: &Args, found: &mut Findings) -> TlsVersion {
    match args.tls_min_version.as_str() {
        "" | "VersionTLS12" => TlsVersion::Tls12,
        "VersionTLS13" => TlsVersion::Tls13,
        "VersionTLS10" | "VersionTLS11" => {
            found
                .warn(format!("--tls-min-version={}: TLS 1.2 is the lowest version spoken here", args.tls_min_version));
            TlsVersion::Tls12
        }
        unknown => {
            found.refuse(format!("unknown tls version {unknown:?}"));
            TlsVersion::Tls12
        }
    }
}

fn max_streams(args: &Args, found: &mut Findings) -> u32 {
    match u32::try_from(args.http2_max_streams_per_connection) {
        Ok(0) => MAX_STREAMS,
        Ok(streams) => streams,
        Err(_) => {
            let streams = args.http2_max_streams_per_connection;
            found.refuse(format!("--http2-max-streams-per-connection {streams} must be between 0 and {}", u32::MAX));
            MAX_STREAMS
        }
    }
}

fn in_flight(flag: &str, most: i64, found: &mut Findings) -> Option<NonZeroUsize> {
    found.refuse_if(most < 0, &format!("--{flag} can not be negative value"));
    usize::try_from(most).ok().and_then(NonZeroUsize::new)
}

fn goaway_chance(args: &Args, found: &mut Findings) -> f64 {
    let text = "--goaway-chance can not be less than 0 or greater than 0.02";
    found.refuse_if(!(0.0..=0.02).contains(&args.goaway_chance), text);
    args.goaway_chance
}

fn request_timeout(args: &Args, found: &mut Findings) -> Duration {
    // Upstream accepts zero, and then answers every request with a timeout.
    found.refuse_if(args.request_timeout.nanos() == 0, "--request-timeout should be positive");
    found.not_negative(args.request_timeout, "--request-timeout can not be negative value")
}

fn strict_transport_security(args: &Args, found: &mut Findings) -> Option<String> {
    let directives = &args.strict_transport_security_directives;
    let text = "--strict-transport-security-directives invalid, allowed values: max-age=expireTime, \
                includeSubDomains, preload. see https://tools.ietf.org/html/rfc6797#section-6.1 for more information";
    found.refuse_if(!directives.iter().all(|directive| is_hsts_directive(directive)), text);
    (!directives.is_empty()).then(|| directives.join("; "))
}

fn is_hsts_directive(directive: &str) -> bool {
    let directive = directive.trim();
    directive == "includeSubDomains"
        || directive == "preload"
        || directive.strip_prefix("max-age=").is_some_and(|age| age.parse::<u64>().is_ok())
}

/// An expression that leaves the beginning or the end of the host open would allow hosts that nobody thought of.
fn cors_origin(text: &str, found: &mut Findings) -> Option<Regex> {
    let help = "help: List of allowed origins for CORS, comma separated. An allowed origin can be a regular expression \
                to support subdomain matching. Please ensure each expression matches the entire hostname by anchoring \
                to the start with '^' or including the '//' prefix, and by anchoring to the end with '$' or including \
                the ':' port separator suffix. Examples of valid expressions are '//example.com(:|$)' and \
                '^https://example.com(:|$)'";
    if text.is_empty() {
        found.refuse(format!("empty value in --cors-allowed-origins, {help}"));
        return None;
    }
    let invalid = |why: String| format!("--cors-allowed-origins has an invalid regular expression: {why}, {help}");
    let is_pinned = ["^", "//"].iter().any(|pin| text.contains(pin)) && ["$", ":"].iter().any(|pin| text.contains(pin));
    match Regex::new(text) {
        Ok(_) if !is_pinned => {
            let why = "regular expression does not pin to start/end of host in the origin header";
            found.refuse(invalid(why.to_owned()));
            None
        }
        Ok(origin) => Some(origin),
        Err(error) => {
            // The library draws its messages over several lines.
            let why = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
            found.refuse(invalid(why));
            None
        }
    }
}

/// What can be offered of what Go knows by name.
enum Suite {
    /// Of TLS 1.3, where Go leaves no choice either.
    Always,
    /// Of TLS 1.2, by its number.
    Offered(u16),
    /// The TLS library here rightly does not have it: no forward secrecy, CBC, RC4 or 3DES.
    Refused,
}

fn suite(name: &str) -> Option<Suite> {
    Some(match name {
        "TLS_AES_128_GCM_SHA256" | "TLS_AES_256_GCM_SHA384" | "TLS_CHACHA20_POLY1305_SHA256" => Suite::Always,
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256" => Suite::Offered(0xc02b),
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384" => Suite::Offered(0xc02c),
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256" => Suite::Offered(0xc02f),
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384" => Suite::Offered(0xc030),
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305" | "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256" => {
            Suite::Offered(0xcca8)
        }
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305" | "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256" => {
            Suite::Offered(0xcca9)
        }
        "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA"
        | "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256"
        | "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA"
        | "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA"
        | "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA"
        | "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"
        | "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256"
        | "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA"
        | "TLS_ECDHE_RSA_WITH_RC4_128_SHA"
        | "TLS_RSA_WITH_3DES_EDE_CBC_SHA"
        | "TLS_RSA_WITH_AES_128_CBC_SHA"
        | "TLS_RSA_WITH_AES_128_CBC_SHA256"
        | "TLS_RSA_WITH_AES_128_GCM_SHA256"
        | "TLS_RSA_WITH_AES_256_CBC_SHA"
        | "TLS_RSA_WITH_AES_256_GCM_SHA384"
        | "TLS_RSA_WITH_RC4_128_SHA" => Suite::Refused,
        _ => return None,
    })
}

/// The numbers of those that are named; None where none are. A name that does not exist is a slip; a list of which
/// nothing can be offered would leave no client a way in.
fn cipher_suites(args: &Args, found: &mut Findings) -> Option<Vec<u16>> {
    let names = &args.tls_cipher_suites;
    if names.is_empty() {
        return None;
    }
    let (mut numbers, mut refused) = (Vec::new(), Vec::new());
    for name in names {
        match suite(name) {
            Some(Suite::Always) => {}
            Some(Suite::Offered(number)) => numbers.push(number),
            Some(Suite::Refused) => refused.push(name.as_str()),
            None => {
                found.refuse(format!("Cipher suite {name} not supported or doesn't exist"));
                return None;
            }
        }
    }
    if refused.len() == names.len() {
        found.refuse(format!("--tls-cipher-suites: none of {} is offered here", refused.join(", ")));
    } else if !refused.is_empty() {
        found.warn(format!("--tls-cipher-suites: not offered here, and left out: {}", refused.join(", ")));
    }
    Some(numbers)
}

/// P-256, P-384 and X25519.
const OFFERED_EXCHANGES: [u16; 3] = [23, 24, 29];
/// P-521 and the hybrids with ML-KEM, which Go knows and the TLS library here does not.
const REFUSED_EXCHANGES: [u16; 4] = [25, 4587, 4588, 4589];

fn key_exchanges(args: &Args, found: &mut Findings) -> Vec<u16> {
    let (mut seen, mut offered, mut refused) = (BTreeSet::new(), Vec::new(), Vec::new());
    for text in &args.tls_curve_preferences {
        match key_exchange(text) {
            Err(why) => found.refuse(why),
            Ok(number) if !seen.insert(number) => found.refuse(format!("duplicate curve preference {number}")),
            Ok(number) if OFFERED_EXCHANGES.contains(&number) => offered.push(number),
            Ok(number) => refused.push(number.to_string()),
        }
    }
    if offered.is_empty() && !refused.is_empty() {
        found.refuse(format!("--tls-curve-preferences: none of {} is offered here", refused.join(", ")));
    } else if !refused.is_empty() {
        found.warn(format!("--tls-curve-preferences: not offered here, and left out: {}", refused.join(", ")));
    }
    offered
}

fn key_exchange(text: &str) -> Result<u16, String> {
    let number = read_int(text)
        .map_err(|why| format!("invalid argument {text:?} for \"--tls-curve-preferences\" flag: {why}"))?;
    let in_range = u16::try_from(number).ok().filter(|number| *number > 0);
    let in_range = in_range.ok_or_else(|| format!("curve preference {number} is out of range (must be 1-65535)"))?;
    if OFFERED_EXCHANGES.contains(&in_range) || REFUSED_EXCHANGES.contains(&in_range) {
        return Ok(in_range);
    }
    Err(format!("curve preference {number} is not supported"))
}
