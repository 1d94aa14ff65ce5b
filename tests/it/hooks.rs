//! Plugins are loaded whole or not at all, with every problem at its place; and what is loaded decides, for its tenant or
//! node pool alone.
//!
//! Guests are text (`fixtures/guests`) in a directory with a gateway.toml; there is no cluster.

use std::fs;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use harness::directory::Directory;
use harness::guest;
use harness::metrics::Metrics as Told;
use metrics_gateway::args::{self, Args, Invocation};
use metrics_gateway::config;
use metrics_gateway::config::policies::PluginLimits;
use metrics_gateway::model::policy::{NoAddress, PodIdentity, Series, SeriesBatch, Subject, Verdict, Verdicts};
use metrics_gateway::model::units::{Bytes, CpuNanoseconds, UnixNanos};
use metrics_gateway::model::{Labels, Node, NodeAddress, NodeName, PodRef, Sample};
use metrics_gateway::plugins::artifact::inspect;
use metrics_gateway::plugins::engine::{Engine, EngineOptions};
use metrics_gateway::plugins::load::{Loaded, Plugins};
use metrics_gateway::telemetry::Metrics;

/// One for all tests, as in the gateway.
static ENGINE: LazyLock<Arc<Engine>> =
    LazyLock::new(|| Engine::try_new(EngineOptions { workers: 4, cache: None }).expect("there is room for a pool"));

const SECOND: u64 = 1_000_000_000;
const NOW: u64 = 1_795_212_000 * SECOND;

/// Keeps what it is shown, and traps where that is a single pod: never in its rehearsal, always on a node with one.
const LATE_TRAP: &str = r#"
(func (export "metrics-gateway:policy/filter@1.0.0#classify") (param $pods i32) (param $count i32) (result i32)
    (if (i32.eq (local.get $count) (i32.const 1)) (then (unreachable)))
    ;; As many zeros as the two pods have containers.
    (i32.store (i32.const 1024) (i32.const 2048))
    (i32.store (i32.const 1028) (i32.add
        (i32.load offset=44 (local.get $pods)) (i32.load offset=44 (i32.add (local.get $pods) (i32.const 48)))))
    (i32.const 1024))
"#;

/// A gateway's plugins, and the directory that they are in.
struct Bench {
    directory: Directory,
    metrics: Arc<Metrics>,
    plugins: Plugins,
}

impl Bench {
    /// With these guests of the fixtures.
    fn new(guests: &[&str]) -> Self {
        let metrics = Arc::new(Metrics::new(Duration::from_secs(15)));
        let plugins = Plugins::new(Arc::clone(&ENGINE), Arc::clone(&metrics), Duration::from_secs(15), None);
        let bench = Self { directory: Directory::new("hooks").expect("a directory can be made"), metrics, plugins };
        for name in guests {
            bench.write(name, &guest::load(name));
        }
        bench
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.directory.file(&format!("{name}.wasm")), bytes).expect("the directory is ours");
    }

    fn args(&self) -> Args {
        let config = format!("--config={}", self.directory.file("gateway.toml").display());
        match args::parse(["--metric-resolution=15s".into(), config.into()]) {
            Ok(Invocation::Run(args)) => *args,
            other => panic!("these are flags: {other:?}"),
        }
    }

    /// All problems, from the line on.
    async fn load(&self, toml: &str) -> Result<Loaded, Vec<String>> {
        let (config, _) = config::load_text(&self.args(), toml).unwrap_or_else(|problems| panic!("{problems}"));
        let loading = self.plugins.load(&config.policies, 7, &config.scrape.addresses).await;
        let file = format!("{}:", self.directory.file("gateway.toml").display());
        loading.map_err(|problems| problems.to_string().lines().map(|line| line.replace(&file, "")).collect())
    }

    async fn loaded(&self, toml: &str) -> Loaded {
        self.load(toml).await.unwrap_or_else(|problems| panic!("{problems:#?}"))
    }

    async fn problems(&self, toml: &str) -> Vec<String> {
        self.load(toml).await.map(|_| ()).expect_err("there are problems")
    }

    fn told(&self) -> String {
        String::from_utf8(self.metrics.render()).expect("metrics are text")
    }

    /// How many questions to `plugin` had this outcome.
    fn count(&self, plugin: &str, outcome: &str) -> f64 {
        let labels = [("plugin", plugin), ("outcome", outcome)];
        Told::read(&self.told()).sum("metrics_gateway_plugin_calls_total", &labels)
    }
}

/// The declarations of plugins in files of their names.
fn declared(names: &[&str]) -> String {
    names.iter().map(|name| format!("[plugins.{name}]\nsource = \"{name}.wasm\"\n")).collect()
}

fn node() -> Node {
    Node {
        name: NodeName::new("node-7"),
        labels: Arc::new([("pool", "edge")].into_iter().collect()),
        annotations: Labels::default(),
        provider_id: None,
        resource_metrics_path: None,
        addresses: [NodeAddress { kind: "InternalIP".into(), address: "10.0.0.7".into() }].into(),
        kubelet_port: None,
        ready: true,
    }
}

fn sample(age: u64, memory: u64) -> Sample {
    Sample {
        taken_at: UnixNanos(NOW - age * SECOND),
        started_at: UnixNanos(NOW - 3600 * SECOND),
        cpu: CpuNanoseconds((3600 - age) * SECOND),
        memory: Bytes(memory),
    }
}

/// What a tenant's filter says of pods of one namespace.
fn classified(loaded: &Loaded, namespace: &str, pods: Pods) -> Verdicts {
    let labels = Labels::default();
    let pod = |(name, containers): &(&'static str, &'static [&'static str])| PodIdentity {
        pod: PodRef { namespace: "shop", name },
        node: "node-7",
        labels: &labels,
        namespace_labels: None,
        containers,
    };
    let pods: Vec<PodIdentity<'_>> = pods.iter().map(pod).collect();
    let tenant = loaded.tenants.of_namespace(namespace, None);
    tenant.filter.as_deref().expect("the tenant has a filter").classify(&pods)
}

fn sha256(name: &str) -> [u8; 32] {
    inspect(&guest::load(name), &PluginLimits::default()).expect("the guest is a plugin").sha256
}

fn hex(digest: &[u8; 32]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Names of pods with those of their containers.
type Pods = &'static [(&'static str, &'static [&'static str])];

const ONE_POD: Pods = &[("cart", &["app", "istio-proxy"])];
const TWO_PODS: Pods = &[("cart", &["app"]), ("till", &["app"])];

#[tokio::test]
async fn what_is_loaded_decides_for_its_own_tenant_or_node_pool() {
    let bench = Bench::new(&["drop-named", "echo-window", "dial-name", "constant-window"]);
    let toml = declared(&["drop-named", "echo-window", "dial-name", "constant-window"])
        + r#"
[[node_pool]]
name = "edge"
selector = "pool=edge"
address = "dial-name"
window = "constant-window"
[[tenant]]
name = "payments"
namespaces = ["payments"]
filter = [{ plugin = "drop-named", settings = { name = "istio-proxy" } }]
window = { plugin = "echo-window", history = "5m" }
"#;
    let loaded = bench.loaded(&toml).await;
    assert_eq!(loaded.tenants.generation, 7);

    let verdicts = classified(&loaded, "payments", ONE_POD);
    assert_eq!(verdicts, Verdicts { verdicts: vec![Verdict::KEEP, Verdict::DROP], are_lasting: true });
    assert!(loaded.tenants.of_namespace("shop", None).filter.is_none(), "others have none");

    let window = loaded.tenants.of_namespace("payments", None).window.clone().expect("the tenant has a window");
    assert_eq!(window.history(), Duration::from_secs(300));
    let samples = [sample(30, 1), sample(15, 2), sample(0, 3)];
    let subject = Subject::Container { pod: PodRef { namespace: "payments", name: "cart" }, name: "app" };
    let series = vec![Series { subject, samples: &samples }, Series { subject, samples: &samples[..1] }];
    let usages = window.measure(&SeriesBatch { node: "node-7", series });
    let echoed = usages[0].expect("it has three samples");
    assert_eq!((echoed.window.0, echoed.cpu.0, echoed.memory.0), (30 * SECOND, 3, 3));
    assert!(usages[1].is_err());

    let (edge, other) = (node(), Node { labels: Arc::default(), ..node() });
    let host =
        |node: &Node| loaded.tenants.of_node(node).address.candidates(node).map(|found| found[0].host.to_string());
    assert_eq!((host(&edge), host(&other)), (Ok("node-7".to_owned()), Ok("10.0.0.7".to_owned())));
    let of_node = loaded.tenants.of_node(&edge).window.expect("the pool has a window");
    let series = vec![Series { subject: Subject::Node, samples: &samples }];
    let usage = of_node.measure(&SeriesBatch { node: "node-7", series })[0].expect("it has samples");
    assert_eq!((usage.cpu.0, usage.memory.0), (250_000_000, 128 << 20));
}

#[tokio::test]
async fn a_filter_by_value_is_asked_again_about_what_it_put_off() {
    let bench = Bench::new(&["drop-idle", "drop-named"]);
    let toml = declared(&["drop-idle", "drop-named"])
        + "[default]\nfilter = [{ plugin = \"drop-named\", settings = { name = \"istio-proxy\" } }, \"drop-idle\"]\n";
    let loaded = bench.loaded(&toml).await;
    let verdicts = classified(&loaded, "shop", ONE_POD).verdicts;
    assert_eq!(verdicts, [Verdict { by_value: 0b10, ..Verdict::KEEP }, Verdict::DROP]);
    let (busy, idle) = ([sample(0, 2 << 20)], [sample(0, 1000)]);
    let subject = |name| Subject::Container { pod: PodRef { namespace: "shop", name: "cart" }, name };
    let series = vec![
        Series { subject: subject("app"), samples: &busy },
        Series { subject: subject("cron"), samples: &idle },
        Series { subject: subject("other"), samples: &idle },
    ];
    let filter = loaded.tenants.default.filter.clone().expect("the default has filters");
    let before = [verdicts[0], verdicts[0], Verdict::KEEP];
    let after = filter.screen(&SeriesBatch { node: "node-7", series }, &before);
    assert_eq!(after, [Verdict::KEEP, Verdict::DROP, Verdict::KEEP]);
}

#[tokio::test]
async fn a_skipped_node_is_skipped_in_the_name_of_its_policy() {
    let bench = Bench::new(&["skip-node", "pass-node"]);
    let toml = declared(&["skip-node", "pass-node"])
        + "[[node_pool]]\nname = \"edge\"\nselector = \"pool=edge\"\naddress = \"skip-node\"\n\
           [[node_pool]]\nname = \"rest\"\naddress = \"pass-node\"\n";
    let loaded = bench.loaded(&toml).await;
    let skipped = loaded.tenants.of_node(&node()).address.candidates(&node());
    assert!(matches!(&skipped, Err(NoAddress::Skipped { policy, .. }) if &**policy == "skip-node"), "{skipped:?}");
    let other = Node { labels: Arc::default(), ..node() };
    let passed = loaded.tenants.of_node(&other).address.candidates(&other).expect("the built-in order decides");
    assert_eq!(&*passed[0].host, "10.0.0.7");
}

#[tokio::test]
async fn all_problems_come_at_once_each_with_its_line_and_key() {
    let bench = Bench::new(&["keep-all", "drop-named", "echo-window", "trap-in-measure", "unknown-choice", "drop-all"]);
    let whole = guest::load("keep-all");
    bench.write("truncated", &whole[..whole.len() / 2]);
    bench.write("text", b"metrics-gateway\n");
    let toml = format!(
        r#"
[plugins.keep-all]
source = "keep-all.wasm"
sha256 = "{wrong}"
[plugins.truncated]
source = "truncated.wasm"
[plugins.text]
source = "text.wasm"
[plugins.missing]
source = "missing.wasm"
[plugins.drop-all]
source = "drop-all.wasm"
limits = {{ size = "1KiB" }}
{rest}
[[node_pool]]
name = "edge"
selector = "pool=edge"
address = "unknown-choice"
[[tenant]]
name = "payments"
namespaces = ["payments"]
filter = ["keep-all", "drop-named", "echo-window"]
window = "trap-in-measure"
[default]
window = "drop-named"
"#,
        wrong = "ab".repeat(32),
        rest = declared(&["drop-named", "echo-window", "trap-in-measure", "unknown-choice"]),
    );
    let problems = bench.problems(&toml).await;
    let digest = hex(&sha256("keep-all"));
    let directory = bench.directory.path().display();
    let expected = [
        // Plugins come by their names, bindings in the order of the file.
        format!(
            "11: plugins.drop-all: {directory}/drop-all.wasm is larger than the 1024 bytes that `limits.size` allows"
        ),
        format!(
            "2: plugins.keep-all: the artifact is not the pinned one: its sha256 is {digest}, and {} was pinned",
            "ab".repeat(32)
        ),
        format!("9: plugins.missing: cannot read {directory}/missing.wasm: No such file or directory (os error 2)"),
        "7: plugins.text: ".to_owned(),
        "5: plugins.truncated: ".to_owned(),
        "26: node_pool.edge.address: plugin \"unknown-choice\" failed its rehearsal: it ".to_owned(),
        "30: tenant.payments.filter[1]: plugin \"drop-named\" refuses its settings: `name` is missing".to_owned(),
        "30: tenant.payments.filter[2]: plugin \"echo-window\" cannot be bound here: it does not export the interface \
         `filter`"
            .to_owned(),
        "31: tenant.payments.window: plugin \"trap-in-measure\" failed its rehearsal: it trapped: ".to_owned(),
        "33: default.window: plugin \"drop-named\" cannot be bound here: it does not export the interface `window`"
            .to_owned(),
    ];
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
    for (problem, expected) in problems.iter().zip(expected) {
        assert!(problem.starts_with(&expected), "{expected}\nis not how this begins:\n{problem}");
    }
}

#[tokio::test]
async fn answers_that_cannot_be_believed_are_found_in_the_rehearsal() {
    let bad = [
        ("too-few-usages", "window", "column `taken-at` has 0 rows, where the question has 4"),
        ("window-from-the-future", "window", "is later than the newest sample"),
        ("window-of-forever", "window", "is more than a day"),
        ("window-of-all-cores", "window", "is more than 10^15"),
        ("too-few-verdicts", "filter", "verdicts on 4 containers"),
        ("too-many-verdicts", "filter", "verdicts on 4 containers"),
        ("unknown-verdict", "filter", "there is no verdict"),
        ("dial-nobody", "address", "0 candidates, where 1 to 16 are allowed"),
    ];
    let names: Vec<&str> = bad.iter().map(|(name, ..)| *name).collect();
    let bench = Bench::new(&names);
    for (name, hook, fault) in bad {
        let binding = match hook {
            "filter" => format!("[default]\nfilter = [\"{name}\"]\n"),
            "window" => format!("[default]\nwindow = \"{name}\"\n"),
            _ => format!("[[node_pool]]\nname = \"all\"\naddress = \"{name}\"\n"),
        };
        let problems = bench.problems(&(declared(&[name]) + &binding)).await;
        let begins = format!("plugin \"{name}\" failed its rehearsal: it gave an answer that cannot be believed: ");
        assert!(problems.len() == 1 && problems[0].contains(&begins) && problems[0].contains(fault), "{problems:?}");
    }
}

#[tokio::test]
async fn a_plugin_that_nobody_uses_is_loaded_and_its_faults_are_problems() {
    let bench = Bench::new(&["keep-all", "loop-in-describe", "trap"]);
    let loaded = bench.loaded(&declared(&["keep-all", "trap"])).await;
    let facts: Vec<_> =
        loaded.plugins.iter().map(|(plugin, facts)| (&**plugin, &*facts.name, &*facts.version)).collect();
    assert_eq!(facts, [("keep-all", "a-guest", "1.0.0"), ("trap", "a-guest", "1.0.0")]);
    assert_eq!(loaded.plugins["keep-all"].sha256, sha256("keep-all"));
    let problems = bench.problems(&declared(&["keep-all", "loop-in-describe"])).await;
    let expected = "3: plugins.loop-in-describe: plugin \"loop-in-describe\" took more than its 500ms of CPU time";
    assert_eq!(problems, [expected]);
}

#[tokio::test]
async fn a_plugin_that_wants_all_of_history_gets_an_hour_of_it() {
    let bench = Bench::new(&["endless-history"]);
    let loaded = bench.loaded(&(declared(&["endless-history"]) + "[default]\nwindow = \"endless-history\"\n")).await;
    let window = loaded.tenants.default.window.clone().expect("the default has a window");
    assert_eq!(window.history(), Duration::from_secs(3600));
}

#[tokio::test]
async fn a_reload_that_changes_nothing_about_a_binding_keeps_its_breaker_open() {
    let bench = Bench::new(&["keep-all"]);
    bench.write("late-trap", &guest::component(LATE_TRAP, "filter-policy"));
    let with = |settings: &str| {
        let binding = format!("[default]\nfilter = [{{ plugin = \"late-trap\", settings = {settings} }}]\n");
        declared(&["late-trap", "keep-all"]) + &binding
    };
    let first = bench.loaded(&with("{}")).await;
    for _ in 0..7 {
        let verdicts = vec![Verdict::KEEP; 2];
        assert_eq!(classified(&first, "shop", ONE_POD), Verdicts { verdicts, are_lasting: false });
    }
    assert_eq!((bench.count("late-trap", "trap"), bench.count("late-trap", "breaker")), (5.0, 2.0));

    let same = bench
        .loaded(&(with("{}") + "[[tenant]]\nname = \"new\"\nnamespaces = [\"new\"]\nfilter = [\"keep-all\"]\n"))
        .await;
    drop(first);
    assert!(!classified(&same, "shop", TWO_PODS).are_lasting, "the breaker is still open");
    assert_eq!((bench.count("late-trap", "trap"), bench.count("late-trap", "breaker")), (5.0, 3.0));
    assert!(classified(&same, "new", TWO_PODS).are_lasting, "and is nobody else's");

    let other = bench.loaded(&with("{ changed = true }")).await;
    drop(same);
    assert!(classified(&other, "shop", TWO_PODS).are_lasting, "with other settings it begins anew");
    assert_eq!(bench.count("late-trap", "ok"), 1.0);
}

#[tokio::test]
async fn plugins_and_tenants_that_are_gone_are_told_of_no_more() {
    let bench = Bench::new(&["keep-all", "drop-all", "trap-in-measure"]);
    let tenant = |name: &str, plugin: &str| {
        format!("[[tenant]]\nname = \"{name}\"\nnamespaces = [\"{name}\"]\nfilter = [\"{plugin}\"]\n")
    };
    let both = declared(&["keep-all", "drop-all"]) + &tenant("shop", "keep-all") + &tenant("payments", "drop-all");
    let old = bench.loaded(&both).await;
    classified(&old, "shop", ONE_POD);
    classified(&old, "payments", ONE_POD);
    let digest = hex(&sha256("drop-all"));
    let info = format!("metrics_gateway_plugin_info{{digest=\"{digest}\",plugin=\"drop-all\",version=\"1.0.0\"}} 1");
    assert!(bench.told().contains(&info), "{}", bench.told());

    // What is refused leaves no trace, and takes nothing away.
    let refused = both.clone() + &declared(&["trap-in-measure"]) + "[default]\nwindow = \"trap-in-measure\"\n";
    bench.problems(&refused).await;
    assert!(!bench.told().contains("trap-in-measure"), "{}", bench.told());
    assert_eq!((bench.count("keep-all", "ok"), bench.count("drop-all", "ok")), (1.0, 1.0));

    let new = bench.loaded(&(declared(&["keep-all"]) + &tenant("shop", "keep-all"))).await;
    drop(old);
    classified(&new, "shop", ONE_POD);
    let told = bench.told();
    assert!(!told.contains("drop-all") && !told.contains("payments"), "{told}");
    assert_eq!(bench.count("keep-all", "ok"), 2.0, "what stays goes on");
    drop(new);
    assert!(!bench.told().contains("metrics_gateway_plugin_"), "{}", bench.told());
}

#[tokio::test]
async fn one_plugin_twice_in_a_chain_is_told_of_by_its_turn() {
    let bench = Bench::new(&["drop-named"]);
    let toml = declared(&["drop-named"])
        + "[default]\nfilter = [{ plugin = \"drop-named\", settings = { name = \"app\" } }, { plugin = \"drop-named\", \
           settings = { name = \"istio-proxy\" } }]\n";
    let loaded = bench.loaded(&toml).await;
    assert_eq!(classified(&loaded, "shop", ONE_POD).verdicts, [Verdict::DROP, Verdict::DROP]);
    let told = Told::read(&bench.told());
    let asked = |hook| told.sum("metrics_gateway_plugin_calls_total", &[("hook", hook), ("tenant", "default")]);
    assert_eq!((asked("filter"), asked("filter-2")), (1.0, 1.0));
}

#[tokio::test]
async fn lines_that_a_plugin_writes_too_many_of_are_counted() {
    let bench = Bench::new(&["log-flood"]);
    let loaded = bench.loaded(&(declared(&["log-flood"]) + "[default]\nfilter = [\"log-flood\"]\n")).await;
    classified(&loaded, "shop", TWO_PODS);
    let dropped = Told::read(&bench.told()).sum("metrics_gateway_plugin_log_lines_dropped_total", &[]);
    // Those of the rehearsal are among them.
    assert!((9_980.0..=20_000.0).contains(&dropped), "{dropped}");
}

#[tokio::test]
async fn loading_leaves_the_reactor_to_others() {
    let bench = Bench::new(&["loop-in-configure", "keep-all"]);
    let toml = declared(&["loop-in-configure", "keep-all"]) + "[default]\nfilter = [\"loop-in-configure\"]\n";
    // The runtime has one thread, and the plugin takes half a second of CPU time before it is stopped.
    let mut turns = 0_u64;
    let others = async {
        loop {
            turns += 1;
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        problems = bench.problems(&toml) => assert_eq!(problems.len(), 1, "{problems:?}"),
        () = others => unreachable!("it never ends"),
    }
    assert!(turns > 1000, "{turns} turns");
}
