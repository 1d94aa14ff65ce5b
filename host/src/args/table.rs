//! The table of flags: all of metrics-server v0.9.0, those that older versions had, and our own.
//!
//! A row says where the value goes, its default as it would be written, what it is for, and what becomes of it here.
//! The order within a section is that of `--help`. Section names, flag names, types and defaults are upstream's; the
//! help texts are ours.
//!
//! Rule: `metrics-server --help` of v0.9.0 (103 flags), and the release notes for what earlier versions took.

use super::flag::{Flag, Kind, Section, Slot};

/// The flag of this name.
pub(super) fn named(name: &str) -> Option<&'static Flag> {
    FLAGS.iter().find(|flag| flag.name == name)
}

/// The flag of this letter.
pub(super) fn lettered(letter: char) -> Option<&'static Flag> {
    FLAGS.iter().find(|flag| flag.short == Some(letter))
}

const TEXT: Kind = Kind::Text("string");
const STRINGS: Kind = Kind::List("strings");

const NO_WEBHOOK: &str = "audit events are written to --audit-log-path only";
const NO_BATCHES: &str = "audit events are written as they come, several at once if they have to wait";
const NO_TRUNCATION: &str = "audit events hold no bodies, and their texts are bounded in any case";
const NO_PROFILING: &str = "there are no profiling endpoints";
const NO_GATES: &str = "nothing here hangs on feature gates or emulated versions";
const NO_WATCH: &str = "nothing that is served can be watched";
const ONE_STREAM: &str = "all log lines go to standard error at once";
const KLOG: &str = "the log goes to standard error, see --logging-format and -v";
const HEAPSTER: &str = "it belonged to Heapster";

/// Every flag there is.
pub(super) static FLAGS: &[Flag] = {
    use Section::{
        Audit, Authentication, Authorization, Features, Gateway, Generic, Kubelet, Logging, Server, Serving,
    };
    use Slot::{Bool, Duration, Each, Float, Int, Ip, Level, List, Named, NamedList, Text, Unused};
    &[
        Flag::new(
            Gateway,
            "config",
            Text(|a| &mut a.config),
            "",
            "File with the settings that metrics-server does not have (gateway.toml).",
        ),
        Flag::new(Gateway, "help", Bool(|a| &mut a.help), "false", "Print this and exit.").letter('h'),
        Flag::new(
            Server,
            "kubeconfig",
            Text(|a| &mut a.kubeconfig),
            "",
            "File that says how to reach the API server, and whose credentials kubelets are asked with. Without it, those of the pod are used.",
        ),
        Flag::new(
            Server,
            "metric-resolution",
            Duration(|a| &mut a.metric_resolution),
            "1m0s",
            "How often each kubelet is asked; 10s at least.",
        ),
        Flag::new(Server, "version", Bool(|a| &mut a.version), "false", "Print the version and exit."),
        Flag::new(
            Kubelet,
            "deprecated-kubelet-completely-insecure",
            Bool(|a| &mut a.deprecated_kubelet_completely_insecure),
            "false",
            "DEPRECATED: Ask kubelets over plain HTTP, without credentials. If only their certificates are the trouble, --kubelet-insecure-tls is the lesser evil.",
        ),
        Flag::new(
            Kubelet,
            "kubelet-certificate-authority",
            Text(|a| &mut a.kubelet_certificate_authority),
            "",
            "File with the CAs that sign the kubelets' certificates, instead of the cluster's CA.",
        ),
        Flag::new(
            Kubelet,
            "kubelet-client-certificate",
            Text(|a| &mut a.kubelet_client_certificate),
            "",
            "File with the certificate shown to kubelets.",
        ),
        Flag::new(
            Kubelet,
            "kubelet-client-key",
            Text(|a| &mut a.kubelet_client_key),
            "",
            "File with the key of --kubelet-client-certificate.",
        ),
        Flag::new(
            Kubelet,
            "kubelet-insecure-tls",
            Bool(|a| &mut a.kubelet_insecure_tls),
            "false",
            "Trust any certificate that a kubelet shows. For tests: credentials are sent to whoever answers.",
        ),
        Flag::new(
            Kubelet,
            "kubelet-port",
            Int(|a| &mut a.kubelet_port),
            "10250",
            "Port of kubelets whose node reports none, or is not asked.",
        ),
        Flag::new(
            Kubelet,
            "kubelet-preferred-address-types",
            List(|a| &mut a.kubelet_preferred_address_types),
            "Hostname,InternalDNS,InternalIP,ExternalDNS,ExternalIP",
            "Kinds of node address to use, best first.",
        ),
        Flag::new(
            Kubelet,
            "kubelet-request-timeout",
            Duration(|a| &mut a.kubelet_request_timeout),
            "10s",
            "How long one node may take to answer.",
        ),
        Flag::new(
            Kubelet,
            "kubelet-use-node-status-port",
            Bool(|a| &mut a.kubelet_use_node_status_port),
            "false",
            "Use the port that the node reports; goes before --kubelet-port.",
        ),
        Flag::new(
            Kubelet,
            "node-selector",
            Text(|a| &mut a.node_selector),
            "",
            "Label selector of the nodes to ask, in the full grammar (for example -l pool=a,tier!=edge).",
        )
        .letter('l'),
        Flag::new(Generic, "advertise-address", Unused(Kind::Ip), "", "Address under which others reach the server.")
            .without_effect("nothing is advertised"),
        Flag::new(
            Generic,
            "cors-allowed-origins",
            List(|a| &mut a.cors_allowed_origins),
            "",
            "Origins that browsers may call from, as regular expressions that pin the host: ^https://example.com(:|$).",
        ),
        Flag::new(Generic, "emulated-version", Unused(STRINGS), "", "Versions to emulate.").without_effect(NO_GATES),
        Flag::new(
            Generic,
            "emulation-forward-compatible",
            Unused(Kind::Bool),
            "false",
            "Also serve what came after the emulated version.",
        )
        .without_effect(NO_GATES),
        Flag::new(
            Generic,
            "external-hostname",
            Text(|a| &mut a.external_hostname),
            "",
            "Host name under which others reach the server; the self-signed certificate is made for it too.",
        ),
        Flag::new(
            Generic,
            "feature-gates",
            Named("mapStringBool", |a| &mut a.feature_gates),
            "",
            "Features to switch, as Name=true|false pairs.",
        )
        .without_effect(NO_GATES),
        Flag::new(
            Generic,
            "goaway-chance",
            Float(|a| &mut a.goaway_chance),
            "0",
            "Share of HTTP/2 requests after which the client is told to reconnect; 0.02 at most.",
        ),
        Flag::new(
            Generic,
            "livez-grace-period",
            Duration(|a| &mut a.livez_grace_period),
            "0s",
            "How long /livez forgives what is still starting.",
        )
        .without_effect("no check of /livez needs the time"),
        Flag::new(
            Generic,
            "max-mutating-requests-inflight",
            Int(|a| &mut a.max_mutating_requests_inflight),
            "200",
            "How many writing requests are answered at the same time, all of them with a refusal; more get 429. Zero: no limit.",
        ),
        Flag::new(
            Generic,
            "max-requests-inflight",
            Int(|a| &mut a.max_requests_inflight),
            "400",
            "How many requests are served at the same time; more get 429. Zero: no limit.",
        ),
        Flag::new(
            Generic,
            "min-compatibility-version",
            Unused(STRINGS),
            "",
            "Oldest versions to stay compatible with.",
        )
        .without_effect(NO_GATES),
        Flag::new(
            Generic,
            "min-request-timeout",
            Int(|a| &mut a.min_request_timeout),
            "1800",
            "Seconds that a watch stays open at least.",
        )
        .without_effect(NO_WATCH),
        Flag::new(
            Generic,
            "request-timeout",
            Duration(|a| &mut a.request_timeout),
            "1m0s",
            "How long a request may take; then it gets 504, or is cut off if its answer is on the way.",
        ),
        Flag::new(
            Generic,
            "runtime-config-emulation-forward-compatible",
            Unused(Kind::Bool),
            "false",
            "Allow enabling what came after the emulated version.",
        )
        .without_effect(NO_GATES),
        Flag::new(
            Generic,
            "shutdown-delay-duration",
            Duration(|a| &mut a.shutdown_delay_duration),
            "0s",
            "How long requests are still accepted after the signal to stop, while /readyz already fails.",
        ),
        Flag::new(
            Generic,
            "shutdown-send-retry-after",
            Bool(|a| &mut a.shutdown_send_retry_after),
            "false",
            "While the last requests are served, answer new ones with 429 and Retry-After instead of refusing connections.",
        ),
        Flag::new(
            Generic,
            "shutdown-watch-termination-grace-period",
            Duration(|a| &mut a.shutdown_watch_termination_grace_period),
            "0s",
            "How long watches may go on during shutdown.",
        )
        .without_effect(NO_WATCH),
        Flag::new(
            Generic,
            "storage-initialization-timeout",
            Duration(|a| &mut a.storage_initialization_timeout),
            "1m0s",
            "How long storage may take to start.",
        )
        .without_effect("there is no storage to wait for"),
        Flag::new(
            Generic,
            "strict-transport-security-directives",
            List(|a| &mut a.strict_transport_security_directives),
            "",
            "Directives of the Strict-Transport-Security header, which is sent if there are any.",
        ),
        Flag::new(
            Serving,
            "bind-address",
            Ip(|a| &mut a.bind_address),
            "0.0.0.0",
            "Address to listen on; blank, 0.0.0.0 and :: stand for all.",
        ),
        Flag::new(
            Serving,
            "cert-dir",
            Text(|a| &mut a.cert_dir),
            "apiserver.local.config/certificates",
            "Directory for the self-signed pair (apiserver.crt, apiserver.key) that is made when no pair is given. Blank: it is kept in memory.",
        ),
        Flag::new(
            Serving,
            "disable-http2-serving",
            Bool(|a| &mut a.disable_http2_serving),
            "false",
            "Speak HTTP/1.1 only.",
        ),
        Flag::new(
            Serving,
            "http2-max-streams-per-connection",
            Int(|a| &mut a.http2_max_streams_per_connection),
            "0",
            "How many requests a client may have open on one HTTP/2 connection. Zero: 100.",
        ),
        Flag::new(
            Serving,
            "permit-address-sharing",
            Bool(|a| &mut a.permit_address_sharing),
            "false",
            "Listen with SO_REUSEADDR.",
        ),
        Flag::new(
            Serving,
            "permit-port-sharing",
            Bool(|a| &mut a.permit_port_sharing),
            "false",
            "Listen with SO_REUSEPORT, so that several processes can share the port.",
        ),
        Flag::new(Serving, "secure-port", Int(|a| &mut a.secure_port), "443", "Port for HTTPS. Zero: any free one."),
        Flag::new(
            Serving,
            "tls-cert-file",
            Text(|a| &mut a.tls_cert_file),
            "",
            "File with the certificate to serve, followed by its chain. Read again when it changes.",
        ),
        Flag::new(
            Serving,
            "tls-cipher-suites",
            List(|a| &mut a.tls_cipher_suites),
            "",
            "Cipher suites to offer over TLS 1.2, by their IANA names. Those of TLS 1.3 are always offered.",
        ),
        Flag::new(
            Serving,
            "tls-curve-preferences",
            NamedList("int32Slice", |a| &mut a.tls_curve_preferences),
            "",
            "Key exchanges to offer, by their numbers: 23 is P-256, 24 P-384, 29 X25519.",
        ),
        Flag::new(
            Serving,
            "tls-min-version",
            Text(|a| &mut a.tls_min_version),
            "",
            "Lowest TLS version to speak: VersionTLS12 (also for VersionTLS10 and VersionTLS11) or VersionTLS13.",
        ),
        Flag::new(
            Serving,
            "tls-private-key-file",
            Text(|a| &mut a.tls_private_key_file),
            "",
            "File with the key of --tls-cert-file.",
        ),
        Flag::new(
            Serving,
            "tls-sni-cert-key",
            Each("namedCertKey", |a| &mut a.tls_sni_cert_key),
            "",
            "Further pairs by host name, as certificate,key[:names]; without names, those of the certificate. May be repeated.",
        ),
        Flag::new(
            Authentication,
            "authentication-kubeconfig",
            Text(|a| &mut a.authentication_kubeconfig),
            "",
            "File that says which API server reviews tokens, if not that of --kubeconfig.",
        ),
        Flag::new(
            Authentication,
            "authentication-skip-lookup",
            Bool(|a| &mut a.authentication_skip_lookup),
            "false",
            "Do not read what the cluster says about client CAs and front proxies.",
        ),
        Flag::new(
            Authentication,
            "authentication-token-webhook-cache-ttl",
            Duration(|a| &mut a.authentication_token_webhook_cache_ttl),
            "10s",
            "How long a token's review is remembered.",
        ),
        Flag::new(
            Authentication,
            "authentication-tolerate-lookup-failure",
            Bool(|a| &mut a.authentication_tolerate_lookup_failure),
            "false",
            "Start although what the cluster says about client CAs and front proxies cannot be read.",
        ),
        Flag::new(
            Authentication,
            "client-ca-file",
            Text(|a| &mut a.client_ca_file),
            "",
            "File with the CAs whose client certificates name their bearers.",
        ),
        Flag::new(
            Authentication,
            "requestheader-allowed-names",
            List(|a| &mut a.requestheader_allowed_names),
            "",
            "Common names that a front proxy's certificate may have. Empty: any under --requestheader-client-ca-file.",
        ),
        Flag::new(
            Authentication,
            "requestheader-client-ca-file",
            Text(|a| &mut a.requestheader_client_ca_file),
            "",
            "File with the CAs of front proxies, whose headers say who a request comes from.",
        ),
        Flag::new(
            Authentication,
            "requestheader-extra-headers-prefix",
            List(|a| &mut a.requestheader_extra_headers_prefix),
            "x-remote-extra-",
            "Prefixes of headers with further facts about the user.",
        ),
        Flag::new(
            Authentication,
            "requestheader-group-headers",
            List(|a| &mut a.requestheader_group_headers),
            "x-remote-group",
            "Headers that name the user's groups.",
        ),
        Flag::new(
            Authentication,
            "requestheader-uid-headers",
            List(|a| &mut a.requestheader_uid_headers),
            "",
            "Headers that carry the user's unique identifier.",
        ),
        Flag::new(
            Authentication,
            "requestheader-username-headers",
            List(|a| &mut a.requestheader_username_headers),
            "x-remote-user",
            "Headers that name the user.",
        ),
        Flag::new(
            Authorization,
            "authorization-always-allow-paths",
            List(|a| &mut a.authorization_always_allow_paths),
            "/healthz,/readyz,/livez",
            "Paths that anyone may read; a * at the end makes a prefix.",
        ),
        Flag::new(
            Authorization,
            "authorization-kubeconfig",
            Text(|a| &mut a.authorization_kubeconfig),
            "",
            "File that says which API server reviews permissions, if not that of --kubeconfig.",
        ),
        Flag::new(
            Authorization,
            "authorization-webhook-cache-authorized-ttl",
            Duration(|a| &mut a.authorization_webhook_cache_authorized_ttl),
            "10s",
            "How long a permission is remembered.",
        ),
        Flag::new(
            Authorization,
            "authorization-webhook-cache-unauthorized-ttl",
            Duration(|a| &mut a.authorization_webhook_cache_unauthorized_ttl),
            "10s",
            "How long a refusal is remembered.",
        ),
        Flag::new(
            Audit,
            "audit-log-batch-buffer-size",
            Int(|a| &mut a.audit_log_batch_buffer_size),
            "10000",
            "Events that may wait to be written; with --audit-log-mode=batch, more are lost.",
        ),
        Flag::new(Audit, "audit-log-batch-max-size", Unused(Kind::Int), "1", "Events written at once.")
            .without_effect(NO_BATCHES),
        Flag::new(
            Audit,
            "audit-log-batch-max-wait",
            Unused(Kind::Duration),
            "0s",
            "How long a batch may wait to fill.",
        )
        .without_effect(NO_BATCHES),
        Flag::new(
            Audit,
            "audit-log-batch-throttle-burst",
            Unused(Kind::Int),
            "0",
            "Batches written at once after a quiet time.",
        )
        .without_effect(NO_BATCHES),
        Flag::new(Audit, "audit-log-batch-throttle-enable", Unused(Kind::Bool), "false", "Limit the rate of batches.")
            .without_effect(NO_BATCHES),
        Flag::new(Audit, "audit-log-batch-throttle-qps", Unused(Kind::Float("float32")), "0", "Batches a second.")
            .without_effect(NO_BATCHES),
        Flag::new(Audit, "audit-log-compress", Bool(|a| &mut a.audit_log_compress), "false", "Compress rotated files."),
        Flag::new(
            Audit,
            "audit-log-format",
            Text(|a| &mut a.audit_log_format),
            "json",
            "Form of the events: json or legacy.",
        ),
        Flag::new(
            Audit,
            "audit-log-maxage",
            Int(|a| &mut a.audit_log_maxage),
            "366",
            "Days that rotated files are kept. Zero: for ever.",
        ),
        Flag::new(
            Audit,
            "audit-log-maxbackup",
            Int(|a| &mut a.audit_log_maxbackup),
            "100",
            "Rotated files that are kept. Zero: all.",
        ),
        Flag::new(
            Audit,
            "audit-log-maxsize",
            Int(|a| &mut a.audit_log_maxsize),
            "100",
            "Megabytes after which the file is rotated. Zero: 100.",
        ),
        Flag::new(
            Audit,
            "audit-log-mode",
            Text(|a| &mut a.audit_log_mode),
            "blocking",
            "Whether answers wait until their events are written: batch (no), blocking, or blocking-strict, which gives no answer whose event cannot be written.",
        ),
        Flag::new(
            Audit,
            "audit-log-path",
            Text(|a| &mut a.audit_log_path),
            "",
            "File for audit events; - is standard output.",
        ),
        Flag::new(Audit, "audit-log-truncate-enabled", Unused(Kind::Bool), "false", "Cut long events and batches.")
            .without_effect(NO_TRUNCATION),
        Flag::new(
            Audit,
            "audit-log-truncate-max-batch-size",
            Unused(Kind::Int),
            "10485760",
            "Bytes of a batch above which it is split.",
        )
        .without_effect(NO_TRUNCATION),
        Flag::new(
            Audit,
            "audit-log-truncate-max-event-size",
            Unused(Kind::Int),
            "102400",
            "Bytes of an event above which it is cut.",
        )
        .without_effect(NO_TRUNCATION),
        Flag::new(
            Audit,
            "audit-log-version",
            Text(|a| &mut a.audit_log_version),
            "audit.k8s.io/v1",
            "API version of written events; there is no other.",
        ),
        Flag::new(
            Audit,
            "audit-policy-file",
            Text(|a| &mut a.audit_policy_file),
            "",
            "File that says which events are written; without it, none are.",
        ),
        Flag::new(
            Audit,
            "audit-webhook-batch-buffer-size",
            Unused(Kind::Int),
            "10000",
            "Events that may wait to be sent.",
        )
        .without_effect(NO_WEBHOOK),
        Flag::new(Audit, "audit-webhook-batch-max-size", Unused(Kind::Int), "400", "Events sent at once.")
            .without_effect(NO_WEBHOOK),
        Flag::new(
            Audit,
            "audit-webhook-batch-max-wait",
            Unused(Kind::Duration),
            "30s",
            "How long a batch may wait to fill.",
        )
        .without_effect(NO_WEBHOOK),
        Flag::new(
            Audit,
            "audit-webhook-batch-throttle-burst",
            Unused(Kind::Int),
            "15",
            "Batches sent at once after a quiet time.",
        )
        .without_effect(NO_WEBHOOK),
        Flag::new(
            Audit,
            "audit-webhook-batch-throttle-enable",
            Unused(Kind::Bool),
            "true",
            "Limit the rate of batches.",
        )
        .without_effect(NO_WEBHOOK),
        Flag::new(Audit, "audit-webhook-batch-throttle-qps", Unused(Kind::Float("float32")), "10", "Batches a second.")
            .without_effect(NO_WEBHOOK),
        Flag::new(Audit, "audit-webhook-config-file", Unused(TEXT), "", "File that says where events are sent.")
            .without_effect(NO_WEBHOOK),
        Flag::new(
            Audit,
            "audit-webhook-initial-backoff",
            Unused(Kind::Duration),
            "10s",
            "Pause before the first retry.",
        )
        .without_effect(NO_WEBHOOK),
        Flag::new(
            Audit,
            "audit-webhook-mode",
            Unused(TEXT),
            "batch",
            "Whether requests wait for their events: batch, blocking or blocking-strict.",
        )
        .without_effect(NO_WEBHOOK),
        Flag::new(Audit, "audit-webhook-truncate-enabled", Unused(Kind::Bool), "false", "Cut long events and batches.")
            .without_effect(NO_WEBHOOK),
        Flag::new(
            Audit,
            "audit-webhook-truncate-max-batch-size",
            Unused(Kind::Int),
            "10485760",
            "Bytes of a batch above which it is split.",
        )
        .without_effect(NO_WEBHOOK),
        Flag::new(
            Audit,
            "audit-webhook-truncate-max-event-size",
            Unused(Kind::Int),
            "102400",
            "Bytes of an event above which it is cut.",
        )
        .without_effect(NO_WEBHOOK),
        Flag::new(Audit, "audit-webhook-version", Unused(TEXT), "audit.k8s.io/v1", "API version of sent events.")
            .without_effect(NO_WEBHOOK),
        Flag::new(Features, "contention-profiling", Unused(Kind::Bool), "false", "Profile what waits for locks.")
            .without_effect(NO_PROFILING),
        Flag::new(Features, "debug-socket-path", Unused(TEXT), "", "Unix socket for profiling.")
            .without_effect(NO_PROFILING),
        Flag::new(Features, "enable-priority-and-fairness", Unused(Kind::Bool), "true", "Queue requests by priority.")
            .without_effect("requests are limited by --max-requests-inflight alone, as in metrics-server"),
        Flag::new(Features, "profiling", Unused(Kind::Bool), "true", "Serve /debug/pprof.")
            .without_effect(NO_PROFILING),
        Flag::new(Logging, "log-flush-frequency", Unused(Kind::Duration), "5s", "How long log lines may be held back.")
            .without_effect(ONE_STREAM),
        Flag::new(
            Logging,
            "log-json-info-buffer-size",
            Named("quantity", |a| &mut a.log_json_info_buffer_size),
            "0",
            "[Alpha] Bytes of informational lines to hold back, with --logging-format=json.",
        )
        .without_effect(ONE_STREAM),
        Flag::new(
            Logging,
            "log-json-split-stream",
            Bool(|a| &mut a.log_json_split_stream),
            "false",
            "[Alpha] Write errors and information to different streams, with --logging-format=json.",
        )
        .without_effect(ONE_STREAM),
        Flag::new(
            Logging,
            "log-text-info-buffer-size",
            Named("quantity", |a| &mut a.log_text_info_buffer_size),
            "0",
            "[Alpha] Bytes of informational lines to hold back, with --logging-format=text.",
        )
        .without_effect(ONE_STREAM),
        Flag::new(
            Logging,
            "log-text-split-stream",
            Bool(|a| &mut a.log_text_split_stream),
            "false",
            "[Alpha] Write errors and information to different streams, with --logging-format=text.",
        )
        .without_effect(ONE_STREAM),
        Flag::new(
            Logging,
            "logging-format",
            Text(|a| &mut a.logging_format),
            "text",
            "Form of log lines: text or json.",
        ),
        Flag::new(
            Logging,
            "v",
            Level(|a| &mut a.verbosity),
            "0",
            "How much is logged: 0 to 3 changes of state, 4 and 5 every tick and request, 6 and more every object.",
        )
        .letter('v'),
        Flag::new(Logging, "vmodule", Unused(Kind::Text("pattern=N,...")), "", "Log levels by source file.")
            .without_effect("its source files are not ours"),
        Flag::dropped("add_dir_header", Kind::Bool, "v0.7.0", KLOG),
        Flag::dropped("alsologtostderr", Kind::Bool, "v0.7.0", KLOG),
        Flag::dropped("log_backtrace_at", TEXT, "v0.7.0", KLOG),
        Flag::dropped("log_dir", TEXT, "v0.7.0", KLOG),
        Flag::dropped("log_file", TEXT, "v0.7.0", KLOG),
        Flag::dropped("log_file_max_size", TEXT, "v0.7.0", KLOG),
        Flag::dropped("logtostderr", Kind::Bool, "v0.7.0", KLOG),
        Flag::dropped("one_output", Kind::Bool, "v0.7.0", KLOG),
        Flag::dropped("skip_headers", Kind::Bool, "v0.7.0", KLOG),
        Flag::dropped("skip_log_headers", Kind::Bool, "v0.7.0", KLOG),
        Flag::dropped("stderrthreshold", TEXT, "v0.7.0", KLOG),
        Flag::dropped("source", TEXT, "v0.3.0", "nodes are found through the API server, see --kubeconfig"),
        Flag::dropped("sink", TEXT, "v0.3.0", HEAPSTER),
        Flag::dropped("metric_resolution", TEXT, "v0.3.0", "write --metric-resolution"),
        Flag::dropped("heapster-port", TEXT, "v0.3.0", "write --secure-port"),
        Flag::dropped("listen_ip", TEXT, "v0.3.0", "write --bind-address"),
        Flag::dropped("max_procs", TEXT, "v0.3.0", HEAPSTER),
        Flag::dropped("label_seperator", TEXT, "v0.3.0", HEAPSTER),
        Flag::dropped("disable_export", Kind::Bool, "v0.3.0", HEAPSTER),
    ]
};
