use super::flag::Section;
use super::*;

fn words(line: &str) -> Vec<OsString> {
    line.split_whitespace().map(OsString::from).collect()
}

fn run(line: &str) -> Args {
    match parse(words(line)) {
        Ok(Invocation::Run(args)) => *args,
        other => panic!("{line:?} should run, got {other:?}"),
    }
}

fn refused(line: &str) -> String {
    parse(words(line)).expect_err(line).to_string()
}

/// A value that is neither refused nor the default.
fn other_value(flag: &Flag) -> &'static str {
    use super::flag::Kind;
    match flag.slot.kind() {
        Kind::Bool if flag.default == "true" => "false",
        Kind::Bool => "true",
        Kind::Int | Kind::Level => "7",
        Kind::Float(_) => "0.01",
        Kind::Text(_) | Kind::List(_) => "x",
        Kind::Duration => "7s",
        Kind::Ip => "192.0.2.7",
    }
}

#[test]
fn all_flags_of_metrics_server_are_in_the_table() {
    let upstream = FLAGS.iter().filter(|flag| !matches!(flag.section, Section::Gateway | Section::Dropped));
    assert_eq!(upstream.count(), 103, "v0.9.0 has 103 flags");
}

#[test]
fn no_name_and_no_letter_means_two_flags() {
    let names: BTreeSet<_> = FLAGS.iter().map(|flag| flag.name).collect();
    assert_eq!(names.len(), FLAGS.len());
    let letters: Vec<_> = FLAGS.iter().filter_map(|flag| flag.short).collect();
    assert_eq!(letters, ['h', 'l', 'v'], "in the order of the table");
}

#[test]
fn every_flag_has_help_and_a_default_of_its_type() {
    for flag in FLAGS {
        let explained = matches!(flag.fate, Fate::Dropped { .. }) || flag.help.ends_with('.');
        assert!(explained, "--{} has no help", flag.name);
        if flag.fate == Fate::Effective || !flag.default.is_empty() {
            let stored = flag.slot.store(&mut Args::default(), flag.default, true);
            assert_eq!(stored, Ok(()), "the default of --{}", flag.name);
        }
    }
}

#[test]
fn every_flag_takes_its_default_in_silence_and_says_when_another_value_is_in_vain() {
    for flag in FLAGS.iter().filter(|flag| !matches!(flag.name, "help" | "version")) {
        let dropped = matches!(flag.fate, Fate::Dropped { .. });
        let silent = run(&format!("--{}={}", flag.name, flag.default)).warnings;
        assert_eq!(silent.len(), usize::from(dropped), "--{}={}: {silent:?}", flag.name, flag.default);
        let told = run(&format!("--{}={}", flag.name, other_value(flag))).warnings;
        let wanted = usize::from(flag.fate != Fate::Effective);
        assert_eq!(told.len(), wanted, "--{}: {told:?}", flag.name);
        assert!(told.iter().all(|line| line.starts_with(&format!("--{} is accepted without effect: ", flag.name))));
    }
}

#[test]
fn the_defaults_are_those_of_metrics_server() {
    let args = run("");
    assert_eq!(args.metric_resolution, GoDuration::from_secs(60));
    assert_eq!(args.kubelet_request_timeout, GoDuration::from_secs(10));
    assert_eq!(args.kubelet_port, 10250);
    let kinds = ["Hostname", "InternalDNS", "InternalIP", "ExternalDNS", "ExternalIP"];
    assert_eq!(args.kubelet_preferred_address_types, kinds);
    assert_eq!((args.secure_port, args.bind_address), (443, Some("0.0.0.0".parse().unwrap())));
    assert_eq!(args.cert_dir, "apiserver.local.config/certificates");
    assert_eq!(args.authorization_always_allow_paths, ["/healthz", "/readyz", "/livez"]);
    assert_eq!(args.requestheader_extra_headers_prefix, ["x-remote-extra-"]);
    assert_eq!((args.max_requests_inflight, args.request_timeout), (400, GoDuration::from_secs(60)));
    assert_eq!((args.logging_format.as_str(), args.verbosity), ("text", 0));
    assert!(args.warnings.is_empty(), "{:?}", args.warnings);
}

#[test]
fn the_stock_manifest_starts_without_a_warning() {
    let args =
        run("--cert-dir=/tmp --secure-port=10250 --kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname \
                    --kubelet-use-node-status-port --metric-resolution=15s");
    assert_eq!((args.cert_dir.as_str(), args.secure_port), ("/tmp", 10250));
    assert_eq!(args.kubelet_preferred_address_types, ["InternalIP", "ExternalIP", "Hostname"]);
    assert!(args.kubelet_use_node_status_port);
    assert_eq!(args.metric_resolution, GoDuration::from_secs(15));
    assert!(args.warnings.is_empty(), "{:?}", args.warnings);
}

#[test]
fn the_helm_chart_starts_without_a_warning() {
    let args =
        run("--secure-port=10250 --cert-dir=/tmp --kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname \
                    --kubelet-use-node-status-port --metric-resolution=15s --authorization-always-allow-paths=/metrics \
                    --tls-cert-file=/tmp/tls-certs/tls.crt --tls-private-key-file=/tmp/tls-certs/tls.key");
    assert_eq!(args.authorization_always_allow_paths, ["/metrics"], "the default is replaced, as upstream");
    assert_eq!(args.tls_cert_file, "/tmp/tls-certs/tls.crt");
    assert_eq!(args.tls_private_key_file, "/tmp/tls-certs/tls.key");
    assert!(args.warnings.is_empty(), "{:?}", args.warnings);
}

#[test]
fn older_guides_start_without_a_warning() {
    let args =
        run("--cert-dir=/tmp --secure-port=4443 --kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname \
                    --kubelet-use-node-status-port --metric-resolution=15s --kubelet-insecure-tls \
                    --kubeconfig=/etc/kubernetes/admin.conf");
    assert!(args.kubelet_insecure_tls);
    assert_eq!((args.secure_port, args.kubeconfig.as_str()), (4443, "/etc/kubernetes/admin.conf"));
    assert!(args.warnings.is_empty(), "{:?}", args.warnings);
}

#[test]
fn values_follow_an_equals_sign_or_come_next() {
    assert_eq!(run("--kubelet-port=1").kubelet_port, 1);
    assert_eq!(run("--kubelet-port 1").kubelet_port, 1);
    assert_eq!(run("--kubeconfig a=b").kubeconfig, "a=b");
    assert_eq!(run("--kubeconfig=a=b").kubeconfig, "a=b");
    assert_eq!(run("--kubeconfig --kubelet-insecure-tls").kubeconfig, "--kubelet-insecure-tls");
    assert_eq!(run("--metric-resolution=-5s").metric_resolution, GoDuration::from_secs(-5));
    assert_eq!(run("--bind-address=").bind_address, None);
}

#[test]
fn letters_take_values_in_three_ways() {
    for line in ["-v 2", "-v=2", "-v2", "--v=2", "--v 2"] {
        assert_eq!(run(line).verbosity, 2, "{line}");
    }
    for line in ["-l a=b", "-la=b", "-l=a=b", "--node-selector=a=b"] {
        assert_eq!(run(line).node_selector, "a=b", "{line}");
    }
}

#[test]
fn a_switch_does_not_take_the_next_word() {
    let args = run("--kubelet-insecure-tls false");
    assert!(args.kubelet_insecure_tls);
    assert_eq!(args.warnings, [r#""false" is no flag and no flag's value; ignored it"#]);
    assert!(!run("--kubelet-insecure-tls=false").kubelet_insecure_tls);
    assert!(run("--kubelet-insecure-tls=T").kubelet_insecure_tls);
}

#[test]
fn two_hyphens_end_the_flags() {
    let args = run("-v2 -- --kubelet-insecure-tls -");
    assert_eq!((args.verbosity, args.kubelet_insecure_tls, args.warnings.len()), (2, false, 2));
}

#[test]
fn a_list_is_replaced_once_and_then_grows() {
    let args = run("--kubelet-preferred-address-types=A,B --kubelet-preferred-address-types=C");
    assert_eq!(args.kubelet_preferred_address_types, ["A", "B", "C"]);
    assert!(run("--authorization-always-allow-paths=").authorization_always_allow_paths.is_empty());
}

#[test]
fn the_last_of_several_values_counts() {
    assert_eq!(run("--kubelet-port=1 --kubelet-port=2").kubelet_port, 2);
    assert!(run("--profiling=false --profiling=true").warnings.is_empty());
    assert_eq!(run("--audit-webhook-mode=a --audit-webhook-mode=b").warnings.len(), 1, "one warning a flag");
}

#[test]
fn pairs_for_names_are_gathered_with_their_commas() {
    let args = run("--tls-sni-cert-key=a.crt,a.key --tls-sni-cert-key b.crt,b.key:b.test,*.b.test");
    assert_eq!(args.tls_sni_cert_key, ["a.crt,a.key", "b.crt,b.key:b.test,*.b.test"]);
    assert!(args.warnings.is_empty(), "{:?}", args.warnings);
}

#[test]
fn what_is_no_flag_is_refused_in_pflags_words() {
    assert_eq!(refused("--foo"), "unknown flag: --foo");
    assert_eq!(refused("--foo=bar"), "unknown flag: --foo");
    assert_eq!(refused("-x"), "unknown shorthand flag: 'x' in -x");
    assert_eq!(refused("-hxv"), "unknown shorthand flag: 'x' in -xv");
    assert_eq!(refused("--kubeconfig"), "flag needs an argument: --kubeconfig");
    assert_eq!(refused("-v"), "flag needs an argument: 'v' in -v");
    assert_eq!(refused("---v"), "bad flag syntax: ---v");
    assert_eq!(refused("--=v"), "bad flag syntax: --=v");
}

#[test]
fn values_of_another_type_are_refused_in_pflags_words() {
    let cases = [
        (
            "--metric-resolution=abc",
            r#"invalid argument "abc" for "--metric-resolution" flag: time: invalid duration "abc""#,
        ),
        (
            "--kubelet-port=http",
            r#"invalid argument "http" for "--kubelet-port" flag: strconv.ParseInt: parsing "http": invalid syntax"#,
        ),
        ("-v=x", r#"invalid argument "x" for "-v, --v" flag: strconv.ParseUint: parsing "x": invalid syntax"#),
        (
            "--profiling=maybe",
            r#"invalid argument "maybe" for "--profiling" flag: strconv.ParseBool: parsing "maybe": invalid syntax"#,
        ),
        (
            "--bind-address=localhost",
            r#"invalid argument "localhost" for "--bind-address" flag: failed to parse IP: "localhost""#,
        ),
    ];
    for (line, message) in cases {
        assert_eq!(refused(line), message);
    }
}

#[cfg(unix)]
#[test]
fn a_word_that_is_no_text_is_refused() {
    use std::os::unix::ffi::OsStringExt;
    let word = OsString::from_vec(vec![b'-', b'v', 0xff]);
    assert!(matches!(parse([word]), Err(UsageError::NotText(_))));
}

#[test]
fn help_names_every_flag_under_its_section() {
    for line in ["--help", "-h", "-hv2", "--version --help"] {
        assert!(matches!(parse(words(line)), Ok(Invocation::Help(_))), "{line}");
    }
    let Ok(Invocation::Help(text)) = parse(words("-h")) else { panic!("no help") };
    for flag in FLAGS {
        assert!(text.contains(&format!("--{}", flag.name)), "--{} is missing in\n{text}", flag.name);
    }
    let lines = [
        "Kubelet client flags:",
        "  -l, --node-selector string  ",
        "      --metric-resolution duration   How often each kubelet is asked; 10s at least. (default 1m0s)",
        "(default [Hostname,InternalDNS,InternalIP,ExternalDNS,ExternalIP])",
        "(default \"apiserver.local.config/certificates\")",
    ];
    for line in lines {
        assert!(text.contains(line), "{line:?} is missing in\n{text}");
    }
}

#[test]
fn version_is_asked_for_unless_the_line_is_wrong() {
    assert_eq!(parse(words("--version --metric-resolution=1s")), Ok(Invocation::Version));
    assert_eq!(refused("--version --foo"), "unknown flag: --foo");
}

#[test]
fn a_command_is_one_in_the_first_place_alone() {
    let command = vec![OsString::from("config"), "check".into(), "--metric-resolution=1s".into()];
    assert_eq!(parse(command.clone()), Ok(Invocation::Command(command)));
    let Ok(Invocation::Run(args)) = parse(words("--kubeconfig config plugin")) else { panic!("these are flags") };
    assert_eq!(args.kubeconfig, "config");
    assert_eq!(args.warnings, ["\"plugin\" is no flag and no flag's value; ignored it"]);
    let Ok(Invocation::Help(text)) = parse(words("-h")) else { panic!("no help") };
    for (command, what) in COMMANDS {
        assert!(text.contains(&format!("  {command}  ")) && text.contains(what), "{command} is missing in\n{text}");
    }
}
