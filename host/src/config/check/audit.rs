//! The audit flags to an [`AuditConfig`]. Without a log or without a policy there is none, as upstream.
//!
//! Rules and texts: `k8s.io/apiserver` v0.36, `pkg/server/options/audit.go`. What the policy says is judged where the
//! file is read.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use super::{Findings, path};
use crate::args::Args;
use crate::config::{AuditConfig, AuditFormat, AuditLog, AuditMode, Rotation};

/// What a megabyte is to whoever counts the size of log files.
const MEGABYTE: u64 = 1 << 20;
/// What zero megabytes mean upstream.
const USUAL_MEGABYTES: u64 = 100;
const DAY: u64 = 24 * 60 * 60;

pub(super) fn audit(args: &Args, found: &mut Findings) -> Option<AuditConfig> {
    let policy_file = path(&args.audit_policy_file);
    let Some(log_path) = path(&args.audit_log_path) else {
        if policy_file.is_some() {
            found.warn("--audit-policy-file without --audit-log-path: no audit events are written");
        }
        return None;
    };
    let format = format(args, found);
    let mode = mode(args, found);
    let buffer = buffer(args, mode, found);
    check_version(args, found);
    let log = log(log_path, args, found);
    let Some(policy_file) = policy_file else {
        found.warn("--audit-log-path without --audit-policy-file: no audit events are written");
        return None;
    };
    Some(AuditConfig { policy_file, log, format, mode, buffer })
}

fn format(args: &Args, found: &mut Findings) -> AuditFormat {
    match args.audit_log_format.as_str() {
        "json" => AuditFormat::Json,
        "legacy" => AuditFormat::Legacy,
        unknown => {
            found.refuse(format!(r#"invalid audit log format {unknown}, allowed formats are "legacy,json""#));
            AuditFormat::Json
        }
    }
}

fn mode(args: &Args, found: &mut Findings) -> AuditMode {
    match args.audit_log_mode.as_str() {
        "batch" => AuditMode::Batch,
        "blocking" => AuditMode::Blocking,
        "blocking-strict" => AuditMode::BlockingStrict,
        unknown => {
            let modes = r#""batch,blocking,blocking-strict""#;
            found.refuse(format!("invalid audit log mode {unknown}, allowed modes are {modes}"));
            AuditMode::Blocking
        }
    }
}

/// Upstream looks at the size only where events are batched.
fn buffer(args: &Args, mode: AuditMode, found: &mut Findings) -> NonZeroUsize {
    const USUAL: NonZeroUsize = NonZeroUsize::new(10_000).expect("it is not zero");
    /// An event has about a kilobyte, and may have 20: more of them are no buffer but a leak.
    const MOST: usize = 1_000_000;
    let size = args.audit_log_batch_buffer_size;
    let buffer = usize::try_from(size).ok().and_then(NonZeroUsize::new).filter(|buffer| buffer.get() <= MOST);
    if mode == AuditMode::Batch && size <= 0 {
        found.refuse(format!("invalid audit batch log buffer size {size}, must be a positive number"));
    } else if mode == AuditMode::Batch && buffer.is_none() {
        found.refuse(format!("invalid audit batch log buffer size {size}, must be at most {MOST}"));
    }
    buffer.unwrap_or(USUAL)
}

fn check_version(args: &Args, found: &mut Findings) {
    let version = args.audit_log_version.as_str();
    if version != "audit.k8s.io/v1" {
        found.refuse(format!(r#"invalid group version {version:?}, allowed versions are ["audit.k8s.io/v1"]"#));
    }
}

fn log(path: PathBuf, args: &Args, found: &mut Findings) -> AuditLog {
    let mut number = |flag: &str, number: i64| {
        found.refuse_if(number < 0, &format!("--audit-log-{flag} {number} can't be a negative number"));
        u64::try_from(number).unwrap_or(0)
    };
    let days = number("maxage", args.audit_log_maxage);
    let backups = number("maxbackup", args.audit_log_maxbackup);
    let megabytes = number("maxsize", args.audit_log_maxsize);
    if path.as_os_str() == "-" {
        return AuditLog::Stdout;
    }
    let megabytes = if megabytes == 0 { USUAL_MEGABYTES } else { megabytes };
    let rotation = Rotation {
        max_bytes: megabytes.saturating_mul(MEGABYTE),
        max_age: (days > 0).then(|| Duration::from_secs(days.saturating_mul(DAY))),
        max_backups: NonZeroUsize::new(usize::try_from(backups).unwrap_or(usize::MAX)),
        compress: args.audit_log_compress,
    };
    AuditLog::File(path, rotation)
}
