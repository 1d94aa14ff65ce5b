//! The audit log says who asked for what and what became of it, as a reviewer expects it, and nothing that is secret.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::api_server::{AUTHENTICATED, ApiServer, Decision, MASTERS, User};
use harness::certs::Certs;
use harness::directory::Directory;
use harness::eventually::eventually;
use harness::gateway::{Caller, Gateway, Signal};
use http::StatusCode;
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(30);
const B: &str = "/apis/metrics.k8s.io/v1beta1";

/// What is of interest to most: everything but the probes.
const POLICY: &str = "apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  nonResourceURLs: [/healthz*, /livez*, /readyz*, /version]
- level: Metadata
";

/// A gateway with an audit log, in a cluster without nodes.
struct Audited {
    gateway: Gateway,
    api: ApiServer,
    directory: Directory,
}

impl Audited {
    async fn start(policy: &str, args: &[&str]) -> Result<Self> {
        let directory = Directory::new("audit")?;
        let (policy_file, log) = (directory.file("policy.yaml"), directory.file("log/audit.log"));
        std::fs::write(&policy_file, policy)?;
        let api = ApiServer::start(Arc::new(Certs::generate())).await?;
        let flags =
            [format!("--audit-policy-file={}", policy_file.display()), format!("--audit-log-path={}", log.display())];
        let args: Vec<&str> = flags.iter().map(String::as_str).chain(args.iter().copied()).collect();
        let gateway = Gateway::start(&api, &args)?;
        gateway.wait_for_log("serving address=", PATIENCE).await?;
        Ok(Self { gateway, api, directory })
    }

    fn lines(&self) -> Result<Vec<String>> {
        let text = std::fs::read_to_string(self.directory.file("log/audit.log"))?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// The events of the request with this id.
    fn events(&self, id: &str) -> Result<Vec<Value>> {
        let events = self.lines()?.into_iter().map(|line| Ok(serde_json::from_str(&line)?));
        let events: Vec<Value> = events.collect::<Result<_>>()?;
        Ok(events.into_iter().filter(|event| event["auditID"] == id).collect())
    }

    /// The one event of a request.
    fn event(&self, id: &str) -> Result<Value> {
        let mut events = self.events(id)?;
        ensure!(events.len() == 1, "{id}: {events:?}; all is\n{}", self.lines()?.join("\n"));
        Ok(events.remove(0))
    }
}

fn rotated(directory: &Path) -> Result<Vec<PathBuf>> {
    let files = std::fs::read_dir(directory)?.filter_map(|file| Some(file.ok()?.path()));
    Ok(files.filter(|path| path.file_name().is_some_and(|name| name != "audit.log")).collect())
}

#[tokio::test]
async fn who_asked_for_what_and_what_became_of_it_is_on_record_when_the_answer_is_there() -> Result<()> {
    let audited = Audited::start(POLICY, &[]).await?;
    audited.api.access().set_rule(|request| match &*request.user.name {
        "nobody" => Decision::NoOpinion("no RBAC policy matched".to_owned()),
        _ if request.user.groups.iter().any(|group| group == AUTHENTICATED) => Decision::Allow,
        _ => Decision::NoOpinion(String::new()),
    });
    let proxy = audited.gateway.client(Some(&audited.api.certs().front_proxy_client()));
    let path = format!("{B}/namespaces/shop/pods/web-0?pretty=1");
    let headers = [
        ("audit-id", "by-carol"),
        ("x-remote-user", "carol"),
        ("x-remote-group", "dev"),
        ("x-remote-extra-scopes", "s1"),
        ("x-forwarded-for", "203.0.113.5"),
        ("user-agent", "kubectl/v1.36.0"),
    ];
    assert_eq!(proxy.get(&path, &headers).await?.status, StatusCode::NOT_FOUND);
    let mut event = audited.event("by-carol")?;
    for time in ["requestReceivedTimestamp", "stageTimestamp"] {
        let text = event[time].take();
        let text = text.as_str().context("a time")?;
        assert!(text.len() == "2026-11-21T10:19:33.123456Z".len() && text.ends_with('Z'), "{text}");
    }
    let expected = json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata",
        "auditID": "by-carol", "stage": "ResponseComplete", "requestURI": path, "verb": "get",
        "user": {"username": "carol", "groups": ["dev", "system:authenticated"], "extra": {"scopes": ["s1"]}},
        "sourceIPs": ["203.0.113.5", "127.0.0.1"], "userAgent": "kubectl/v1.36.0",
        "objectRef": {
            "resource": "pods", "namespace": "shop", "name": "web-0", "apiGroup": "metrics.k8s.io", "apiVersion": "v1beta1",
        },
        "responseStatus": {
            "metadata": {}, "status": "Failure", "message": "pods \"web-0\" not found", "reason": "NotFound", "code": 404,
        },
        "requestReceivedTimestamp": null, "stageTimestamp": null,
        "annotations": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": ""},
    });
    assert_eq!(event, expected);

    let refused = proxy.get(&format!("{B}/nodes"), &[("audit-id", "by-nobody"), ("x-remote-user", "nobody")]).await?;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let event = audited.event("by-nobody")?;
    assert_eq!((&event["verb"], &event["responseStatus"]["code"]), (&json!("list"), &json!(403)));
    let annotations = json!({
        "authorization.k8s.io/decision": "forbid", "authorization.k8s.io/reason": "no RBAC policy matched",
    });
    assert_eq!(event["annotations"], annotations);
    Ok(())
}

#[tokio::test]
async fn failed_proofs_of_identity_are_on_record_and_secrets_are_not() -> Result<()> {
    let audited = Audited::start(POLICY, &[]).await?;
    audited.api.access().add_token("sesame-open", User::new("ali", &[]));
    let nobody = audited.gateway.client(None);
    let bad = [("audit-id", "bad-token"), ("authorization", "Bearer sesame-closed")];
    assert_eq!(nobody.get(B, &bad).await?.status, StatusCode::UNAUTHORIZED);
    let event = audited.event("bad-token")?;
    let seen = ["stage", "user", "verb"].map(|field| event[field].clone());
    assert_eq!(seen, [json!("ResponseStarted"), json!({}), json!("get")]);
    let status = json!({
        "metadata": {}, "status": "Failure", "message": "Authentication failed, attempted: bearer",
        "reason": "Unauthorized", "code": 401,
    });
    assert_eq!(event["responseStatus"], status);

    let good = [("audit-id", "good-token"), ("authorization", "Bearer sesame-open"), ("x-remote-extra-key", "sesame")];
    assert_eq!(nobody.get(B, &good).await?.status, StatusCode::OK);
    assert_eq!(audited.event("good-token")?["user"], json!({"username": "ali", "groups": ["system:authenticated"]}));

    let timeout = nobody.get(&format!("{B}/nodes?timeout=x"), &[("audit-id", "bad-timeout")]).await?;
    assert_eq!(timeout.status, StatusCode::BAD_REQUEST);
    assert_eq!(audited.event("bad-timeout")?["stage"], "ResponseStarted", "before anybody asked who it is");
    let text = audited.lines()?.join("\n");
    assert!(!text.contains("sesame"), "{text}");
    Ok(())
}

#[tokio::test]
async fn whoever_acts_as_somebody_else_is_on_record_with_both_names() -> Result<()> {
    let audited = Audited::start(POLICY, &[]).await?;
    let admin = audited.gateway.client(Some(&audited.api.certs().user("root", &[MASTERS])));
    let headers = [("audit-id", "acting"), ("impersonate-user", "zed"), ("impersonate-group", "dev")];
    admin.get(&format!("{B}/nodes"), &headers).await?;
    let event = audited.event("acting")?;
    assert_eq!(
        (&event["user"]["username"], &event["user"]["groups"]),
        (&json!("root"), &json!([MASTERS, AUTHENTICATED]))
    );
    assert_eq!(event["impersonatedUser"], json!({"username": "zed", "groups": ["dev", AUTHENTICATED]}));
    Ok(())
}

#[tokio::test]
async fn the_first_rule_that_fits_decides_and_stages_can_be_left_out() -> Result<()> {
    let policy = format!(
        "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n\
         - {{level: None, users: [quiet]}}\n\
         - {{level: Metadata, resources: [{{group: metrics.k8s.io, resources: [nodes]}}]}}\n\
         - {{level: RequestResponse, userGroups: [{AUTHENTICATED}], omitStages: [RequestReceived]}}\n"
    );
    let audited = Audited::start(&policy, &[]).await?;
    let warning = "rules[2].level: \"RequestResponse\" is taken for \"Metadata\"";
    audited.gateway.wait_for_log(warning, PATIENCE).await?;
    let proxy = audited.gateway.client(Some(&audited.api.certs().front_proxy_client()));
    let requests = [
        ("quiet", format!("{B}/nodes"), vec![]),
        ("loud", format!("{B}/nodes"), vec!["RequestReceived", "ResponseComplete"]),
        ("loud", format!("{B}/pods"), vec!["ResponseComplete"]),
        ("system:anonymous", "/version".to_owned(), vec![]),
    ];
    for (index, (user, path, expected)) in requests.into_iter().enumerate() {
        let id = format!("request-{index}");
        proxy.get(&path, &[("audit-id", &id), ("x-remote-user", user)]).await?;
        let events = audited.events(&id)?;
        let stages: Vec<_> = events.iter().filter_map(|event| event["stage"].as_str()).collect();
        assert_eq!(stages, expected, "{user} {path}");
        assert!(events.iter().all(|event| event["level"] == "Metadata"), "{events:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_log_that_grows_is_put_aside_compressed_and_bounded() -> Result<()> {
    let flags = ["--audit-log-maxsize=1", "--audit-log-maxbackup=2", "--audit-log-compress"];
    let audited = Audited::start(POLICY, &flags).await?;
    let admin = audited.gateway.client(Some(&audited.api.certs().user("root", &[MASTERS])));
    // Seven kilobytes a line: four megabytes and a bit.
    let path = format!("{B}/pods?labelSelector=a%3D{}", "b".repeat(7000));
    for _ in 0..620 {
        admin.get(&path, &[]).await?;
    }
    let directory = audited.directory.file("log");
    let backups = eventually("two compressed files", PATIENCE, async || {
        let backups = rotated(&directory)?;
        let are_compressed = backups.iter().all(|path| path.extension().is_some_and(|extension| extension == "gz"));
        ensure!(backups.len() == 2 && are_compressed, "{backups:?}");
        Ok(backups)
    })
    .await?;
    let mut lines = audited.lines()?.len();
    for backup in backups {
        let mut text = String::new();
        flate2::read::GzDecoder::new(std::fs::File::open(&backup)?).read_to_string(&mut text)?;
        assert!(text.len() <= 1 << 20 && text.len() > 1 << 19, "{} bytes in {backup:?}", text.len());
        for line in text.lines() {
            let event: Value = serde_json::from_str(line).with_context(|| format!("{backup:?}: {line}"))?;
            assert_eq!(event["kind"], "Event");
        }
        lines += text.lines().count();
    }
    println!("{lines} of 620 events are kept");
    Ok(())
}

#[tokio::test]
async fn standard_output_takes_events_as_well_and_in_the_legacy_form() -> Result<()> {
    let directory = Directory::new("audit-stdout")?;
    let file = directory.file("policy.yaml");
    std::fs::write(&file, POLICY)?;
    let api = ApiServer::start(Arc::new(Certs::generate())).await?;
    let policy = format!("--audit-policy-file={}", file.display());
    let flags = [policy.as_str(), "--audit-log-path=-", "--audit-log-format=legacy", "--audit-log-mode=batch"];
    let gateway = Gateway::start(&api, &flags)?;
    gateway.wait_for_log("serving address=", PATIENCE).await?;
    gateway.get(B, Caller::FrontProxy(&User::new("carol", &["dev"]))).await?;
    let line = gateway.wait_for_log(r#"user="carol""#, PATIENCE).await?;
    let part = r#"stage="ResponseComplete" ip="127.0.0.1" method="get" user="carol" groups="\"dev\",\"system:authenticated\"" as="<self>""#;
    assert!(line.contains(part) && line.ends_with(r#"response="200""#), "{line}");
    Ok(())
}

#[tokio::test]
async fn what_is_in_the_queue_at_the_end_is_written() -> Result<()> {
    let audited = Audited::start(POLICY, &["--audit-log-mode=batch"]).await?;
    let admin = audited.gateway.client(Some(&audited.api.certs().user("root", &[MASTERS])));
    for index in 0..200 {
        admin.get(B, &[("audit-id", &format!("request-{index}"))]).await?;
    }
    audited.gateway.signal(Signal::Term)?;
    assert_eq!(audited.gateway.wait(PATIENCE).await?.code(), Some(0), "{}", audited.gateway.log());
    for index in 0..200 {
        audited.event(&format!("request-{index}"))?;
    }
    Ok(())
}

#[tokio::test]
async fn strictly_nothing_is_answered_that_cannot_be_put_on_record() -> Result<()> {
    let directory = Directory::new("audit-full")?;
    let file = directory.file("policy.yaml");
    std::fs::write(&file, POLICY)?;
    let policy = format!("--audit-policy-file={}", file.display());
    for (mode, expected) in [("blocking-strict", 500), ("blocking", 200)] {
        let api = ApiServer::start(Arc::new(Certs::generate())).await?;
        let mode = format!("--audit-log-mode={mode}");
        // The one file of every Linux that is always full.
        let gateway = Gateway::start(&api, &[&policy, "--audit-log-path=/dev/full", &mode])?;
        gateway.wait_for_log("serving address=", PATIENCE).await?;
        let answer = gateway.get(B, Caller::FrontProxy(&User::new("admin", &[MASTERS]))).await?;
        assert_eq!(answer.status.as_u16(), expected, "{mode}: {}", answer.text());
        if expected == 500 {
            assert_eq!(answer.json()["message"], "Internal error occurred: failed to store audit event");
        }
        gateway.wait_for_log("audit events cannot be written and are lost", PATIENCE).await?;
        let lost = gateway.metrics().await;
        // Even the question after the losses is lost, and in strict mode not answered.
        assert_eq!(lost.is_ok(), expected == 200, "{mode}");
    }
    Ok(())
}

#[tokio::test]
async fn a_policy_with_faults_ends_the_start_with_its_name_and_its_rule() -> Result<()> {
    let directory = Directory::new("audit-policy")?;
    let file = directory.file("policy.yaml");
    std::fs::write(&file, POLICY.replace("level: None", "level: Nothing"))?;
    let api = ApiServer::start(Arc::new(Certs::generate())).await?;
    let policy = format!("--audit-policy-file={}", file.display());
    let gateway = Gateway::start(&api, &[&policy, "--audit-log-path=audit.log"])?;
    assert_eq!(gateway.wait(PATIENCE).await?.code(), Some(1));
    let told = format!("{}: rules[0].level: Unsupported value: \"Nothing\"", file.display());
    assert!(gateway.log().contains(&told), "{}", gateway.log());
    Ok(())
}
