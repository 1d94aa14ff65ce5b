use std::ffi::OsString;

use super::*;
use crate::args::{self, Invocation};
use crate::config::{AuditFormat, AuditLog, AuditMode, NamedPair, Rotation, TlsVersion, load};

fn args(line: &str) -> Args {
    match args::parse(line.split_whitespace().map(OsString::from)) {
        Ok(Invocation::Run(args)) => *args,
        other => panic!("{line:?} should run, got {other:?}"),
    }
}

fn outcome(toml: &str, line: &str) -> Result<Checked, Vec<String>> {
    let (raw, problems) = RawConfig::read("gateway.toml", toml);
    assert_eq!(problems, [], "{toml}");
    check(&raw, &args(line)).map_err(|problems| problems.iter().map(Problem::to_string).collect())
}

fn accepted(toml: &str, line: &str) -> Config {
    outcome(toml, line).unwrap_or_else(|problems| panic!("{line}: {problems:?}")).config
}

fn refused(toml: &str, line: &str) -> Vec<String> {
    outcome(toml, line).map(|checked| checked.config).expect_err(line)
}

fn warnings(toml: &str, line: &str) -> Vec<String> {
    outcome(toml, line).expect("no problem").warnings
}

#[test]
fn without_flags_and_file_the_gateway_is_metrics_server() {
    let config = accepted("", "");
    assert_eq!(config.kubeconfig, None);
    assert_eq!(config.scrape.resolution, Duration::from_secs(60));
    assert_eq!(config.scrape.timeout, Duration::from_secs(10));
    assert_eq!(config.scrape.tls, KubeletTls::Tls { verify: KubeletVerify::ClusterCa, client_pair: None });
    assert_eq!((config.scrape.addresses.port, config.scrape.addresses.use_node_status_port), (10250, false));
    assert_eq!((config.serving.bind_address, config.serving.port, config.serving.pair), (None, 443, None));
    assert_eq!((config.serving.http2, config.serving.max_streams), (true, 100));
    assert_eq!(config.serving.max_in_flight.map(NonZeroUsize::get), Some(400));
    assert_eq!(
        (config.serving.request_timeout, config.serving.shutdown_delay),
        (Duration::from_secs(60), Duration::ZERO)
    );
    assert_eq!(config.serving.min_version, TlsVersion::Tls12);
    assert_eq!(config.authentication.request_header, None);
    assert_eq!(config.authorization.always_allow_paths, ["/healthz", "/readyz", "/livez"]);
    assert_eq!(config.logging, LoggingConfig { format: LogFormat::Text, verbosity: 0 });
}

#[test]
fn our_own_defaults_are_as_documented() {
    let config = accepted("", "--metric-resolution=15s");
    assert_eq!((config.scrape.concurrency.get(), config.scrape.max_body), (512, 32 << 20));
    assert!(config.scrape.gzip && config.scrape.addresses.try_all);
    assert_eq!(config.history.hold, Duration::from_secs(45), "three resolutions");
    assert_eq!(config.history.falling_counter, FallingCounter::OmitPod);
    assert_eq!(config.history.pod_on_two_nodes, PodOnTwoNodes::NewestStart);
    assert_eq!(config.history.timestamp, TimestampOf::Cpu);
    assert_eq!(config.api.container_order, ContainerOrder::ByName);
    assert!(!config.api.resource_metrics);
    assert_eq!(config.serving.max_connections.get(), 10_000);
}

#[test]
fn the_file_restores_upstream_where_we_differ() {
    let config = accepted(
        r#"
        scrape = { concurrency = 7, max_body = "64KiB", gzip = false, try_all_addresses = false }
        history = { hold = "0s", falling_counter = "omit-container", pod_on_two_nodes = "first-answer", timestamp = "last-line" }
        api.container_order = "as-reported"
        api.resource_metrics = true
        serving.max_connections = 3
        "#,
        "",
    );
    assert_eq!((config.scrape.concurrency.get(), config.scrape.max_body), (7, 64 << 10));
    assert!(!config.scrape.gzip && !config.scrape.addresses.try_all);
    let history = HistoryConfig {
        hold: Duration::ZERO,
        falling_counter: FallingCounter::OmitContainer,
        pod_on_two_nodes: PodOnTwoNodes::FirstAnswer,
        timestamp: TimestampOf::LastLine,
    };
    assert_eq!(config.history, history);
    assert_eq!(config.api.container_order, ContainerOrder::AsReported);
    assert!(config.api.resource_metrics);
    assert_eq!(config.serving.max_connections.get(), 3);
}

#[test]
fn flags_of_common_manifests_are_free_of_problems_and_warnings() {
    let lines = [
        "--cert-dir=/tmp --secure-port=10250 --kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname \
         --kubelet-use-node-status-port --metric-resolution=15s",
        "--secure-port=10250 --cert-dir=/tmp --kubelet-use-node-status-port --metric-resolution=15s \
         --authorization-always-allow-paths=/metrics --tls-cert-file=/tls/tls.crt --tls-private-key-file=/tls/tls.key",
        "--cert-dir=/tmp --secure-port=4443 --kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname \
         --kubelet-use-node-status-port --metric-resolution=15s --kubelet-insecure-tls --kubeconfig=/etc/kubernetes/admin.conf",
    ];
    for line in lines {
        assert_eq!(warnings("", line), [""; 0], "{line}");
    }
}

#[test]
fn every_validation_of_metrics_server_has_its_text() {
    let cases = [
        (
            "--kubelet-certificate-authority=ca --kubelet-insecure-tls",
            "cannot use both --kubelet-certificate-authority and --kubelet-insecure-tls",
        ),
        ("--kubelet-client-key=key", "need both --kubelet-client-key and --kubelet-client-certificate"),
        ("--kubelet-client-certificate=crt", "need both --kubelet-client-key and --kubelet-client-certificate"),
        (
            "--kubelet-insecure-tls --deprecated-kubelet-completely-insecure",
            "cannot use both --kubelet-insecure-tls and --deprecated-kubelet-completely-insecure",
        ),
        (
            "--kubelet-certificate-authority=ca --deprecated-kubelet-completely-insecure",
            "cannot use both --kubelet-certificate-authority and --deprecated-kubelet-completely-insecure",
        ),
        ("--kubelet-request-timeout=0s", "kubelet-request-timeout should be positive"),
        ("--kubelet-request-timeout=-1s", "kubelet-request-timeout should be positive"),
        (
            "--metric-resolution=9s --kubelet-request-timeout=1s",
            "metric-resolution should be a time duration at least 10s, but value 9s provided",
        ),
        (
            "--metric-resolution=10s",
            "metric-resolution should be larger than kubelet-request-timeout, but metric-resolution value 10s \
             kubelet-request-timeout value 10s provided",
        ),
        (
            "--kubelet-request-timeout=55s",
            "metric-resolution should be larger than kubelet-request-timeout, but metric-resolution value 1m0s \
             kubelet-request-timeout value 55s provided",
        ),
        ("--node-selector==x", "--node-selector: "),
        ("--kubelet-port=0", "--kubelet-port 0 must be between 1 and 65535, inclusive"),
    ];
    for (line, text) in cases {
        let found = refused("", line);
        assert!(found.len() == 1 && found[0].starts_with(text), "{line}: {found:?}");
    }
    accepted("", "--metric-resolution=10s --kubelet-request-timeout=9s");
}

#[test]
fn plain_http_excludes_the_client_pair_too() {
    let line = "--kubelet-client-key=key --kubelet-client-certificate=crt --deprecated-kubelet-completely-insecure";
    let found = refused("", line);
    let texts = [
        "cannot use both --kubelet-client-key and --deprecated-kubelet-completely-insecure",
        "cannot use both --kubelet-client-certificate and --deprecated-kubelet-completely-insecure",
    ];
    assert_eq!(found, texts);
}

#[test]
fn every_validation_of_the_api_server_library_has_its_text() {
    let hsts = "--strict-transport-security-directives invalid, allowed values: max-age=expireTime, includeSubDomains, \
                preload. see https://tools.ietf.org/html/rfc6797#section-6.1 for more information";
    let cases = [
        ("--livez-grace-period=-1s", "--livez-grace-period can not be a negative value"),
        ("--max-requests-inflight=-1", "--max-requests-inflight can not be negative value"),
        ("--max-mutating-requests-inflight=-1", "--max-mutating-requests-inflight can not be negative value"),
        ("--request-timeout=-1s", "--request-timeout can not be negative value"),
        ("--request-timeout=0", "--request-timeout should be positive"),
        ("--goaway-chance=0.03", "--goaway-chance can not be less than 0 or greater than 0.02"),
        ("--goaway-chance=NaN", "--goaway-chance can not be less than 0 or greater than 0.02"),
        ("--min-request-timeout=-1", "--min-request-timeout can not be negative value"),
        ("--storage-initialization-timeout=-1s", "--storage-initialization-timeout can not be negative value"),
        ("--shutdown-delay-duration=-1s", "--shutdown-delay-duration can not be negative value"),
        (
            "--shutdown-watch-termination-grace-period=-1s",
            "shutdown-watch-termination-grace-period, if provided, can not be a negative value",
        ),
        ("--strict-transport-security-directives=max-age=x", hsts),
        (
            "--secure-port=65536",
            "--secure-port 65536 must be between 0 and 65535, inclusive. 0 for turning off secure port",
        ),
        (
            "--tls-sni-cert-key=only.crt",
            "invalid argument \"only.crt\" for \"--tls-sni-cert-key\" flag: expected comma separated certificate and \
             key file paths",
        ),
        (
            "--tls-sni-cert-key=a.crt,a.key:",
            "invalid argument \"a.crt,a.key:\" for \"--tls-sni-cert-key\" flag: empty names list is not allowed",
        ),
        ("--tls-curve-preferences=29,29", "duplicate curve preference 29"),
        ("--tls-curve-preferences=0", "curve preference 0 is out of range (must be 1-65535)"),
        ("--tls-curve-preferences=65536", "curve preference 65536 is out of range (must be 1-65535)"),
        ("--tls-curve-preferences=30", "curve preference 30 is not supported"),
        ("--tls-curve-preferences=4588,25", "--tls-curve-preferences: none of 4588, 25 is offered here"),
        (
            "--audit-log-path=a --audit-log-format=xml",
            "invalid audit log format xml, allowed formats are \"legacy,json\"",
        ),
        (
            "--audit-log-path=a --audit-log-mode=never",
            "invalid audit log mode never, allowed modes are \"batch,blocking,blocking-strict\"",
        ),
        ("--audit-log-path=a --audit-log-maxage=-1", "--audit-log-maxage -1 can't be a negative number"),
        ("--audit-log-path=a --audit-log-maxbackup=-1", "--audit-log-maxbackup -1 can't be a negative number"),
        ("--audit-log-path=- --audit-log-maxsize=-1", "--audit-log-maxsize -1 can't be a negative number"),
        (
            "--audit-log-path=a --audit-log-mode=batch --audit-log-batch-buffer-size=0",
            "invalid audit batch log buffer size 0, must be a positive number",
        ),
        (
            "--audit-log-path=a --audit-log-version=audit.k8s.io/v1beta1",
            "invalid group version \"audit.k8s.io/v1beta1\", allowed versions are [\"audit.k8s.io/v1\"]",
        ),
        ("--tls-cert-file=crt", "need both --tls-cert-file and --tls-private-key-file"),
        ("--tls-min-version=TLS12", "unknown tls version \"TLS12\""),
        ("--tls-cipher-suites=TLS_NULL", "Cipher suite TLS_NULL not supported or doesn't exist"),
        (
            "--tls-cipher-suites=TLS_RSA_WITH_RC4_128_SHA",
            "--tls-cipher-suites: none of TLS_RSA_WITH_RC4_128_SHA is offered here",
        ),
        (
            "--http2-max-streams-per-connection=-1",
            "--http2-max-streams-per-connection -1 must be between 0 and 4294967295",
        ),
        (
            "--authentication-token-webhook-cache-ttl=-1s",
            "--authentication-token-webhook-cache-ttl can not be negative value",
        ),
        (
            "--authorization-webhook-cache-authorized-ttl=-1s",
            "--authorization-webhook-cache-authorized-ttl can not be negative value",
        ),
        (
            "--authorization-webhook-cache-unauthorized-ttl=-1s",
            "--authorization-webhook-cache-unauthorized-ttl can not be negative value",
        ),
        ("--authorization-always-allow-paths=/a*b", "only trailing * allowed in \"a*b\""),
        ("--authorization-always-allow-paths=/a**", "only trailing * allowed in \"a**\""),
        ("--requestheader-username-headers=a,,b", "empty value in \"requestheader-username-headers\""),
        ("--logging-format=xml", "format: Invalid value: \"xml\": Unsupported log format"),
        ("--log-json-split-stream", "options.json.splitStream: Forbidden: Feature LoggingAlphaOptions is disabled"),
        (
            "--log-text-info-buffer-size=1Ki",
            "options.text.infoBufferSize: Forbidden: Feature LoggingAlphaOptions is disabled",
        ),
    ];
    for (line, text) in cases {
        assert_eq!(refused("", line), [text], "{line}");
    }
}

#[test]
fn what_upstream_allows_at_the_edges_is_allowed() {
    let config = accepted(
        "",
        "--max-requests-inflight=0 --goaway-chance=0.02 --secure-port=0 --http2-max-streams-per-connection=250 \
         --disable-http2-serving --tls-min-version=VersionTLS13 --bind-address=:: --shutdown-delay-duration=5s \
         --strict-transport-security-directives=max-age=31536000,includeSubDomains,preload -v=1000 \
         --tls-cipher-suites=TLS_RSA_WITH_RC4_128_SHA,TLS_AES_128_GCM_SHA256 --authorization-always-allow-paths=metrics,/x* \
         --feature-gates=LoggingAlphaOptions=true --log-json-split-stream --logging-format=json",
    );
    assert_eq!((config.serving.max_in_flight, config.serving.port, config.serving.max_streams), (None, 0, 250));
    assert_eq!((config.serving.http2, config.serving.min_version), (false, TlsVersion::Tls13));
    assert_eq!((config.serving.bind_address, config.serving.shutdown_delay), (None, Duration::from_secs(5)));
    assert_eq!(config.authorization.always_allow_paths, ["/metrics", "/x*"]);
    assert_eq!(config.logging, LoggingConfig { format: LogFormat::Json, verbosity: u8::MAX });
}

#[test]
fn origins_that_leave_the_host_open_are_refused() {
    let unpinned = "--cors-allowed-origins has an invalid regular expression: regular expression does not pin to start/end \
                    of host in the origin header, help: ";
    for origin in ["example.com", "//example.com", "example.com$", "^https"] {
        let found = refused("", &format!("--cors-allowed-origins={origin}"));
        assert!(found.len() == 1 && found[0].starts_with(unpinned), "{origin}: {found:?}");
    }
    let broken = refused("", "--cors-allowed-origins=^https://(example.com$");
    assert!(broken[0].contains("regex parse error") && !broken[0].contains('\n'), "{broken:?}");
    let empty = refused("", "--cors-allowed-origins=^a$,,^b$");
    assert!(empty[0].starts_with("empty value in --cors-allowed-origins, help: "), "{empty:?}");
    let config = accepted("", "--cors-allowed-origins=//example.com(:|$),^https://a.test$");
    assert_eq!(config.serving.cors_origins.len(), 2);
}

#[test]
fn what_cannot_be_offered_is_left_out_with_a_warning() {
    let line = "--tls-cipher-suites=TLS_RSA_WITH_AES_128_CBC_SHA,TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 \
                --tls-curve-preferences=4588,29";
    let config = accepted("", line).serving;
    assert_eq!((config.cipher_suites, config.key_exchanges), (Some(vec![0xc02f]), vec![29]));
    let expected = [
        "--tls-cipher-suites: not offered here, and left out: TLS_RSA_WITH_AES_128_CBC_SHA",
        "--tls-curve-preferences: not offered here, and left out: 4588",
    ];
    assert_eq!(warnings("", line), expected);
    let plain = accepted("", "").serving;
    assert_eq!((plain.cipher_suites, plain.key_exchanges), (None, Vec::new()));
}

#[test]
fn pairs_for_names_are_taken_apart() {
    let pairs = accepted("", "--tls-sni-cert-key=a.crt,a.key --tls-sni-cert-key=b.crt,b.key:b.test,*.b.test").serving;
    let pair = |name: &str, names: &[&str]| NamedPair {
        files: PairFiles { certificate: format!("{name}.crt").into(), key: format!("{name}.key").into() },
        names: names.iter().map(|name| (*name).to_owned()).collect(),
    };
    assert_eq!(pairs.named_pairs, [pair("a", &[]), pair("b", &["b.test", "*.b.test"])]);
}

#[test]
fn a_record_is_kept_only_with_a_policy_and_a_log() {
    assert_eq!(accepted("", "").audit, None);
    let alone = [
        ("--audit-policy-file=p", "--audit-policy-file without --audit-log-path: no audit events are written"),
        ("--audit-log-path=a", "--audit-log-path without --audit-policy-file: no audit events are written"),
    ];
    for (line, warning) in alone {
        assert_eq!((accepted("", line).audit, warnings("", line)), (None, vec![warning.to_owned()]));
    }
    let audit = accepted("", "--audit-policy-file=p --audit-log-path=/log/a").audit.expect("both are given");
    let day = Duration::from_secs(24 * 60 * 60);
    let rotation = Rotation {
        max_bytes: 100 << 20,
        max_age: Some(day * 366),
        max_backups: NonZeroUsize::new(100),
        compress: false,
    };
    assert_eq!(audit.log, AuditLog::File("/log/a".into(), rotation));
    assert_eq!((audit.format, audit.mode, audit.buffer.get()), (AuditFormat::Json, AuditMode::Blocking, 10_000));
    let line = "--audit-policy-file=p --audit-log-path=- --audit-log-format=legacy --audit-log-mode=batch \
                --audit-log-batch-buffer-size=7";
    let audit = accepted("", line).audit.expect("both are given");
    assert_eq!((audit.log, audit.format, audit.mode), (AuditLog::Stdout, AuditFormat::Legacy, AuditMode::Batch));
    let line = "--audit-policy-file=p --audit-log-path=a --audit-log-maxsize=0 --audit-log-maxage=0 \
                --audit-log-maxbackup=0 --audit-log-compress";
    let rotation = Rotation { max_bytes: 100 << 20, max_age: None, max_backups: None, compress: true };
    assert_eq!(accepted("", line).audit.expect("both are given").log, AuditLog::File("a".into(), rotation));
}

#[test]
fn kubelet_tls_follows_the_flags() {
    let tls = |line: &str| accepted("", line).scrape.tls;
    let verify = |verify| KubeletTls::Tls { verify, client_pair: None };
    assert_eq!(tls("--kubelet-insecure-tls"), verify(KubeletVerify::Insecure));
    assert_eq!(tls("--kubelet-certificate-authority=/ca"), verify(KubeletVerify::File("/ca".into())));
    assert_eq!(tls("--deprecated-kubelet-completely-insecure"), KubeletTls::Plain);
    let pair = PairFiles { certificate: "/crt".into(), key: "/key".into() };
    let with_pair = KubeletTls::Tls { verify: KubeletVerify::ClusterCa, client_pair: Some(pair) };
    assert_eq!(tls("--kubelet-client-certificate=/crt --kubelet-client-key=/key"), with_pair);
}

#[test]
fn a_front_proxy_is_described_only_with_its_ca() {
    assert_eq!(accepted("", "--requestheader-allowed-names=a").authentication.request_header, None);
    let line = "--requestheader-client-ca-file=/ca --requestheader-allowed-names=front-proxy-client";
    let files = accepted("", line).authentication.request_header.expect("the CA is given");
    assert_eq!(files.client_ca_file, PathBuf::from("/ca"));
    assert_eq!(
        (files.allowed_names, files.username_headers),
        (vec!["front-proxy-client".into()], vec!["x-remote-user".into()])
    );
    assert_eq!(warnings("", "--requestheader-client-ca-file=/ca").len(), 1);
}

#[test]
fn what_is_allowed_but_weaker_than_it_looks_is_warned_of() {
    let told = |line: &str, start: &str| {
        let found = warnings("", line);
        assert!(found.len() == 1 && found[0].starts_with(start), "{line}: {found:?}");
        accepted("", line)
    };
    let config = told("--tls-min-version=VersionTLS10", "--tls-min-version=VersionTLS10: TLS 1.2 is the lowest");
    assert_eq!(config.serving.min_version, TlsVersion::Tls12);
    told("--tls-min-version=VersionTLS11", "--tls-min-version=VersionTLS11: ");
    told("--deprecated-kubelet-completely-insecure", "--deprecated-kubelet-completely-insecure: ");
    let short = warnings("[history]\nhold = \"30s\"", "");
    let text =
        "gateway.toml:2: history.hold: 30s is shorter than one --metric-resolution (1m0s), so that no miss is held";
    assert_eq!(short, [text]);
}

#[test]
fn ranges_of_the_file_are_kept() {
    let cases = [
        ("scrape.concurrency = 0", "scrape.concurrency: 0 is not between 1 and 10000"),
        ("scrape.max_body = \"1KiB\"", "scrape.max_body: 1024B is not between 65536B and 1073741824B"),
        ("serving.max_connections = 0", "serving.max_connections: 0 is not between 1 and 1000000"),
        ("history.hold = \"2h\"", "history.hold: 2h0m0s is longer than 1h0m0s"),
    ];
    for (toml, text) in cases {
        assert_eq!(refused(toml, ""), [format!("gateway.toml:1: {text}")]);
    }
}

#[test]
fn problems_of_file_and_flags_come_together() {
    let path = std::env::temp_dir().join(format!("gateway-{}-together.toml", std::process::id()));
    std::fs::write(&path, "[history]\nhold = 1\n[scrape]\nconcurrency = 0\n").unwrap();
    let line = format!("--config={} --metric-resolution=1s --secure-port=-1", path.display());
    let problems = load(&args(&line)).map(|_| ()).expect_err("four problems").to_string();
    std::fs::remove_file(&path).unwrap();
    let lines: Vec<&str> = problems.lines().collect();
    assert_eq!(lines.len(), 5, "{problems}");
    assert!(lines[0].contains("toml:2: history.hold: 1 is no duration"), "{problems}");
    assert!(problems.contains("toml:4: scrape.concurrency: 0 is not between"), "{problems}");
    assert!(problems.contains("but value 1s provided") && problems.contains("--secure-port -1 must"), "{problems}");
}

#[test]
fn a_good_file_is_loaded_with_the_warnings_of_both_sources() {
    let path = std::env::temp_dir().join(format!("gateway-{}-good.toml", std::process::id()));
    std::fs::write(&path, "[history]\nhold = \"10s\"\n").unwrap();
    let loaded = load(&args(&format!("--config={} --profiling=false", path.display())));
    std::fs::remove_file(&path).unwrap();
    let (config, warnings) = loaded.unwrap();
    assert_eq!(config.history.hold, Duration::from_secs(10));
    assert!(warnings.len() == 2 && warnings[0].starts_with("--profiling is accepted without effect"), "{warnings:?}");
}

#[test]
fn a_missing_file_is_named() {
    let path = std::env::temp_dir().join("gateway-that-is-not-there.toml");
    let problems = load(&args(&format!("--config={}", path.display()))).map(|_| ()).expect_err("no such file");
    let text = problems.to_string();
    assert!(text.starts_with(&format!("--config: cannot read {path:?}: No such file")), "{text}");
}
