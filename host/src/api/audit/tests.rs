use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use http::HeaderMap;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::*;
use crate::config::{AuditLog, Rotation};
use crate::model::units::UnixNanos;

/// A directory with a policy that records everything; removed at the end of the test.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("audit-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        let policy = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata}]\n";
        std::fs::write(path.join("policy.yaml"), policy).unwrap();
        Self(path)
    }

    fn config(&self, mode: AuditMode, buffer: usize) -> AuditConfig {
        let rotation = Rotation { max_bytes: 1 << 20, max_age: None, max_backups: None, compress: false };
        AuditConfig {
            policy_file: self.0.join("policy.yaml"),
            log: AuditLog::File(self.0.join("audit.log"), rotation),
            format: AuditFormat::Json,
            mode,
            buffer: NonZeroUsize::new(buffer).unwrap(),
        }
    }

    fn stages(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.0.join("audit.log")).unwrap();
        let stage =
            |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["stage"].as_str().unwrap().to_owned();
        text.lines().map(stage).collect()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn load(config: &AuditConfig) -> (Audit, Writer, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::new(Duration::from_secs(60)));
    let clock = Clock::new(|| UnixNanos(1_795_256_373_000_000_000));
    let (audit, writer) = Audit::load(config, clock, Arc::clone(&metrics)).unwrap();
    (audit, writer, metrics)
}

fn record(audit: &Audit) -> Record {
    let headers = HeaderMap::new();
    let remote = IpAddr::from([127, 0, 0, 1]);
    let request = Request { uri: "/apis", headers: &headers, remote, received_at: UnixNanos(0) };
    let attributes = Attributes { verb: "get", path: "/apis".to_owned(), resource: None };
    audit.open(&HeaderValue::from_static("id"), &request, None, &attributes).expect("everything is recorded")
}

fn outcome<'a>() -> Outcome<'a> {
    Outcome { code: 200, failure: None, end: End::Complete }
}

fn counted(metrics: &Metrics, outcome: &str) -> u64 {
    metrics.audit_events.with_label_values(&[outcome]).get()
}

#[tokio::test]
async fn in_blocking_mode_a_line_is_written_before_the_answer_goes_on() {
    let directory = Directory::new();
    let (audit, writer, metrics) = load(&directory.config(AuditMode::Blocking, 10));
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let running = tasks.spawn(writer.run(tasks.clone(), stop.clone()));
    let mut record = record(&audit);
    audit.received(&mut record).await.unwrap();
    assert_eq!(directory.stages(), ["RequestReceived"]);
    audit.answered(&mut record, outcome()).await.unwrap();
    assert_eq!(directory.stages(), ["RequestReceived", "ResponseComplete"]);
    assert_eq!((counted(&metrics, "written"), counted(&metrics, "lost")), (2, 0));
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn in_batch_mode_nobody_waits_and_what_does_not_fit_is_lost_and_counted() {
    let directory = Directory::new();
    let (audit, writer, metrics) = load(&directory.config(AuditMode::Batch, 2));
    for _ in 0..3 {
        let mut record = record(&audit);
        audit.answered(&mut record, outcome()).await.unwrap();
    }
    assert_eq!(counted(&metrics, "lost"), 1);
    let stop = CancellationToken::new();
    stop.cancel();
    writer.run(TaskTracker::new(), stop).await;
    assert_eq!(directory.stages().len(), 2, "what waits is written in the end");
    let mut late = record(&audit);
    audit.answered(&mut late, outcome()).await.unwrap();
    assert_eq!(counted(&metrics, "lost"), 2);
}

#[tokio::test]
async fn without_a_writer_strict_mode_answers_nothing_and_blocking_mode_does() {
    let directory = Directory::new();
    for (mode, refuses) in [(AuditMode::BlockingStrict, true), (AuditMode::Blocking, false)] {
        let (audit, writer, _) = load(&directory.config(mode, 10));
        drop(writer);
        let mut record = record(&audit);
        assert_eq!(audit.received(&mut record).await.is_err(), refuses, "{mode:?}");
        assert_eq!(audit.answered(&mut record, outcome()).await.is_err(), refuses, "{mode:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_hangs_holds_an_answer_back_for_ten_seconds() {
    let directory = Directory::new();
    let (audit, _writer, _) = load(&directory.config(AuditMode::Blocking, 10));
    let started = tokio::time::Instant::now();
    audit.answered(&mut record(&audit), outcome()).await.unwrap();
    assert_eq!(started.elapsed(), PATIENCE);
}

#[tokio::test]
async fn a_full_disk_is_counted_and_refuses_in_strict_mode() {
    // The one file of every Linux that is always full.
    let directory = Directory::new();
    let mut config = directory.config(AuditMode::BlockingStrict, 10);
    let rotation = Rotation { max_bytes: 1 << 20, max_age: None, max_backups: None, compress: false };
    config.log = AuditLog::File("/dev/full".into(), rotation);
    let (audit, writer, metrics) = load(&config);
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let running = tasks.spawn(writer.run(tasks.clone(), stop.clone()));
    assert!(audit.received(&mut record(&audit)).await.is_err());
    assert_eq!((counted(&metrics, "written"), counted(&metrics, "lost")), (0, 1));
    stop.cancel();
    running.await.unwrap();
}

#[test]
fn a_policy_with_faults_is_refused_with_its_name_and_its_rule() {
    let directory = Directory::new();
    let config = directory.config(AuditMode::Blocking, 10);
    let text = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata}, {level: Metadate}]\n";
    std::fs::write(&config.policy_file, text).unwrap();
    let metrics = Arc::new(Metrics::new(Duration::from_secs(60)));
    let refused = |config: &AuditConfig| {
        let loaded = Audit::load(config, Clock::new(|| UnixNanos::ZERO), Arc::clone(&metrics));
        format!("{:#}", loaded.map(|_| ()).unwrap_err())
    };
    let start = format!(
        "--audit-policy-file: {}: rules[1].level: Unsupported value: \"Metadate\"",
        config.policy_file.display()
    );
    assert!(refused(&config).starts_with(&start), "{}", refused(&config));
    std::fs::remove_file(&config.policy_file).unwrap();
    assert!(refused(&config).contains("cannot read"), "{}", refused(&config));
}

#[test]
fn a_failed_proof_is_named_and_not_shown() {
    let peer = Peer::new(IpAddr::from([127, 0, 0, 1]), Vec::new());
    let with = |value: &'static str| {
        attempted(&HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(value))]), &peer)
    };
    assert_eq!(with("Bearer secret"), "Authentication failed, attempted: bearer");
    assert_eq!(with("BASIC c2VjcmV0"), "Authentication failed, attempted: basic");
    assert_eq!(with("secret"), "Authentication failed, no credentials provided");
    let with_certificate = Peer::new(IpAddr::from([127, 0, 0, 1]), vec![vec![0].into()]);
    let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static("bearer x"))]);
    assert_eq!(attempted(&headers, &with_certificate), "Authentication failed, attempted: bearer, x509");
}
