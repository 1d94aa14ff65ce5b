//! A plugin can be bad in any way and costs no more than its own answer: each way of being bad is a guest under
//! `fixtures/guests`, and each is refused or ended, with words that say what it did.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use harness::directory::Directory;
use harness::guest;
use metrics_gateway::config::policies::{CpuBudgets, PluginLimits, Reuse};
use metrics_gateway::plugins::artifact::{Artifact, ArtifactError, Hook, inspect};
use metrics_gateway::plugins::call::{Called, Caller, Failed, Level, Log, PluginError};
use metrics_gateway::plugins::engine::{Engine, EngineOptions};
use metrics_gateway::plugins::wit::exports::metrics_gateway::policy::address::Choice;
use metrics_gateway::plugins::wit::exports::metrics_gateway::policy::filter::Pod;
use metrics_gateway::plugins::wit::metrics_gateway::policy::types::{
    Batch, Containers, Label, Node, NodeAddress, Strings, Subjects,
};
use parking_lot::Mutex;

/// One for all tests, as in the gateway.
static ENGINE: LazyLock<Arc<Engine>> =
    LazyLock::new(|| Engine::try_new(EngineOptions { workers: 40, cache: None }).expect("there is room for a pool"));

/// What a guest logged.
#[derive(Default)]
struct Lines(Mutex<Vec<(Level, String)>>);

impl Log for Lines {
    fn log(&self, level: Level, message: &str) {
        self.0.lock().push((level, message.to_owned()));
    }
}

/// How a guest is called.
struct Setting {
    settings: &'static str,
    limits: PluginLimits,
    reuse: Option<Reuse>,
    log: Arc<Lines>,
}

impl Default for Setting {
    fn default() -> Self {
        Self { settings: "{}", limits: PluginLimits::default(), reuse: None, log: Arc::default() }
    }
}

impl Setting {
    fn call(self, guest: &str) -> Caller {
        self.call_bytes(&guest::load(guest))
    }

    fn call_bytes(self, bytes: &[u8]) -> Caller {
        let artifact = compile(bytes).unwrap_or_else(|error| panic!("the guest compiles: {error}"));
        Caller::new(&ENGINE, artifact, self.settings, self.limits, self.reuse, self.log)
    }
}

fn caller(guest: &str) -> Caller {
    Setting::default().call(guest)
}

fn compile(bytes: &[u8]) -> Result<Arc<Artifact>, ArtifactError> {
    ENGINE.compile(&inspect(bytes, &PluginLimits::default())?)
}

fn refusal(bytes: &[u8]) -> String {
    compile(bytes).err().expect("the artifact is refused").to_string()
}

fn pod(name: &str, containers: &[&str]) -> Pod {
    Pod {
        namespace: "shop".into(),
        name: name.into(),
        node: "node-7".into(),
        labels: vec![Label { key: "app".into(), value: name.into() }],
        namespace_labels: Vec::new(),
        containers: containers.iter().map(|name| (*name).to_owned()).collect(),
    }
}

/// Two pods with three containers.
fn pods() -> Vec<Pod> {
    vec![pod("cart", &["app", "istio-proxy"]), pod("till", &["app"])]
}

fn node() -> Node {
    Node {
        name: "node-7".into(),
        labels: vec![Label { key: "pool".into(), value: "edge".into() }],
        annotations: Vec::new(),
        addresses: vec![NodeAddress { kind: "InternalIP".into(), address: "10.0.0.7".into() }],
        kubelet_port: Some(10250),
        provider_id: None,
        ready: true,
    }
}

const SECOND: u64 = 1_000_000_000;

/// Three series: of three samples, of none, and of one.
fn batch() -> Batch {
    Batch {
        node: "node-7".into(),
        subjects: Subjects::Containers(Containers {
            names: Strings { text: "shopcartapp".into(), ends: vec![4, 8, 11] },
            namespace: vec![0; 3],
            pod: vec![1; 3],
            container: vec![2; 3],
        }),
        ends: vec![3, 3, 4],
        taken_at: vec![100 * SECOND, 115 * SECOND, 130 * SECOND, 131 * SECOND],
        started_at: vec![10 * SECOND; 4],
        cpu_ns: vec![1, 2, 3, 4],
        memory_bytes: vec![1 << 10, 2 << 20, 3 << 20, 4 << 10],
    }
}

fn error<T: std::fmt::Debug>(outcome: Result<Called<T>, Failed>) -> PluginError {
    outcome.expect_err("the call fails").error
}

// What goes well.

#[test]
fn a_guest_of_each_hook_is_asked_and_answers() {
    let kept = caller("keep-all").classify(&pods()).expect("keep-all answers");
    assert_eq!(kept.answer, [0, 0, 0]);
    assert!(kept.memory == 1 << 16 && kept.cpu > Duration::ZERO && kept.fuel.is_none(), "{kept:?}");
    let screened = caller("drop-idle").screen(&batch()).expect("drop-idle answers");
    assert_eq!(screened.answer, [0, 1, 1]);
    let chosen = caller("dial-name").candidates(&node()).expect("dial-name answers").answer;
    let Choice::Dial(candidates) = chosen else { panic!("{chosen:?}") };
    assert_eq!(candidates.iter().map(|candidate| &*candidate.host).collect::<Vec<_>>(), ["node-7"]);
    assert!(candidates[0].port.is_none() && candidates[0].path.is_none() && candidates[0].server_name.is_none());
    let skipped = caller("skip-node").candidates(&node()).expect("skip-node answers").answer;
    assert!(matches!(&skipped, Choice::Skip(reason) if reason == "a virtual kubelet serves no metrics"), "{skipped:?}");
    assert!(matches!(caller("pass-node").candidates(&node()).expect("pass-node answers").answer, Choice::Pass));
}

#[test]
fn a_window_guest_sees_whole_histories_and_answers_in_columns() {
    let echo = caller("echo-window");
    assert_eq!(echo.history().expect("it says how much").answer, 60 * SECOND);
    let usages = echo.measure(&batch()).expect("it answers").answer;
    assert_eq!(usages.taken_at, [130 * SECOND, 0, 131 * SECOND]);
    assert_eq!(usages.window_ns, [30 * SECOND, 0, 0]);
    assert_eq!(usages.nanocores, [3, 0, 1]);
    assert_eq!(usages.memory_bytes, [3 << 20, 0, 4 << 10]);
    let constant = caller("constant-window").measure(&batch()).expect("it answers").answer;
    assert_eq!(constant.nanocores, [250_000_000, 0, 250_000_000]);
}

#[test]
fn settings_reach_the_guest_in_every_instance() {
    let proxies = Setting { settings: r#"{"name":"istio-proxy"}"#, ..Setting::default() }.call("drop-named");
    let apps = Setting { settings: r#"{"name":"app"}"#, ..Setting::default() }.call("drop-named");
    for _ in 0..3 {
        assert_eq!(proxies.classify(&pods()).expect("it answers").answer, [0, 1, 0]);
        assert_eq!(apps.classify(&pods()).expect("it answers").answer, [1, 0, 1]);
    }
    proxies.configure().expect("it takes its settings");
}

#[test]
fn a_plugin_says_who_it_is_without_its_settings() {
    // This one would refuse them.
    let info = caller("drop-named").describe().expect("it says").answer;
    assert_eq!((&*info.name, &*info.version, &*info.settings_schema), ("a-guest", "1.0.0", "{}"));
    assert_eq!(info.description, "A guest of the test suite.");
}

#[test]
fn a_core_module_with_metadata_is_made_a_component_and_runs() {
    let bytes = guest::core_module("keep-all");
    let inspection = inspect(&bytes, &PluginLimits::default()).expect("it is accepted");
    assert!(inspection.was_core_module);
    assert_eq!(
        (inspection.hooks.as_slice(), inspection.version.to_string()),
        ([Hook::Filter].as_slice(), "1.0.0".into())
    );
    let answer = Setting::default().call_bytes(&bytes).classify(&pods()).expect("it answers").answer;
    assert_eq!(answer, [0, 0, 0]);
}

#[test]
fn a_patch_of_the_same_version_is_understood() {
    let bytes = guest::of_version("keep-all", "1.0.7");
    assert_eq!(inspect(&bytes, &PluginLimits::default()).expect("it is accepted").version.to_string(), "1.0.7");
    assert_eq!(Setting::default().call_bytes(&bytes).classify(&pods()).expect("it answers").answer, [0, 0, 0]);
}

#[test]
fn an_artifact_in_use_is_compiled_once_whatever_it_is_called() {
    let bytes = guest::load("keep-all");
    let (first, second) = (compile(&bytes).expect("it compiles"), compile(&bytes).expect("it compiles"));
    assert!(Arc::ptr_eq(&first, &second));
    let other = compile(&guest::load("drop-all")).expect("it compiles");
    assert_ne!(first.sha256(), other.sha256());
}

// State.

#[test]
fn nothing_is_remembered_from_call_to_call() {
    let counter = caller("counter");
    let answers: Vec<u8> = (0..5).flat_map(|_| counter.classify(&pods()).expect("it answers").answer).collect();
    assert_eq!(answers, [0, 0, 0, 0, 0]);
}

#[test]
fn with_reuse_an_instance_answers_as_often_as_it_may_and_no_two_callers_share_one() {
    let reuse = Some(Reuse { calls: 3, age: Duration::from_secs(600) });
    let reused = || Setting { reuse, ..Setting::default() }.call("counter");
    let (first, second) = (reused(), reused());
    let asked = |caller: &Caller| caller.classify(&pods()).expect("it answers").answer[0];
    assert_eq!([asked(&first), asked(&first), asked(&second)], [0, 1, 0]);
    assert_eq!([asked(&first), asked(&first), asked(&second)], [2, 0, 1]);
    first.forget_instances();
    assert_eq!([asked(&first), asked(&second)], [0, 2]);
}

#[test]
fn with_reuse_an_instance_that_is_old_or_large_or_failed_is_not_asked_again() {
    let old = Some(Reuse { calls: 100, age: Duration::ZERO });
    let old = Setting { reuse: old, ..Setting::default() }.call("counter");
    for _ in 0..3 {
        assert_eq!(old.classify(&pods()).expect("it answers").answer, [0]);
    }
    let reuse = Some(Reuse { calls: 100, age: Duration::from_secs(600) });
    // Takes all memory there is in the first call: in the second, it would not have any to begin with.
    let large = Setting { reuse, ..Setting::default() }.call("memory-hoard");
    let memory: Vec<usize> = (0..2).map(|_| large.classify(&pods()).expect("it answers").memory).collect();
    assert_eq!(memory, [(31 << 20) + (1 << 16); 2]);
    // A store that trapped cannot be entered again: the second call would tell of that instead.
    let failed = Setting { reuse, ..Setting::default() }.call("trap");
    let texts: Vec<String> = (0..2).map(|_| error(failed.classify(&pods())).to_string()).collect();
    assert_eq!(texts[0], texts[1]);
}

// The cache of compiled artifacts.

#[test]
fn the_next_start_finds_what_was_compiled_and_believes_nothing_that_was_changed() {
    let place = Directory::new("compiled").expect("there is a temporary directory");
    let cache = place.path().to_path_buf();
    let start_and_ask = || {
        let engine = Engine::try_new(EngineOptions { workers: 1, cache: Some(cache.clone()) }).expect("there is room");
        let inspection = inspect(&guest::load("keep-all"), &PluginLimits::default()).expect("it is accepted");
        let artifact = engine.compile(&inspection).expect("it compiles");
        let log = Arc::<Lines>::default();
        Caller::new(&engine, artifact, "{}", PluginLimits::default(), None, log)
            .classify(&pods())
            .expect("it answers")
            .answer
    };
    assert_eq!(start_and_ask(), [0, 0, 0]);
    let mut files = std::fs::read_dir(cache.join("compiled"))
        .expect("it was made")
        .map(|file| file.expect("it can be read").path());
    let compiled = files.find(|path| path.extension().is_some_and(|end| end == "cwasm")).expect("it was kept");
    let (whole, written) =
        (std::fs::read(&compiled).expect("it is there"), || compiled.metadata().expect("it is there"));
    let before = written().modified().expect("the system knows");
    assert_eq!(start_and_ask(), [0, 0, 0]);
    assert_eq!(written().modified().expect("the system knows"), before, "it was compiled again");

    let mut changed = whole.clone();
    *changed.last_mut().expect("it is not empty") ^= 1;
    std::fs::write(&compiled, &changed).expect("it can be written");
    assert_eq!(start_and_ask(), [0, 0, 0]);
    assert_ne!(std::fs::read(&compiled).expect("it is there"), changed, "what was changed was believed");
}

// Time.

#[test]
fn an_endless_loop_is_ended_wherever_it_is() {
    let over = |budget: Duration| format!("took more than its {budget:?} of CPU time");
    let (configure, filter) = (over(CpuBudgets::CONFIGURE), over(CpuBudgets::FILTER));
    let texts = [
        ("start", &configure, error(caller("loop-in-start").describe())),
        ("start", &configure, error(caller("loop-in-start").check_exports())),
        ("start", &filter, error(caller("loop-in-start").classify(&pods()))),
        ("describe", &configure, error(caller("loop-in-describe").describe())),
        ("configure", &configure, error(caller("loop-in-configure").configure())),
        ("configure", &filter, error(caller("loop-in-configure").classify(&pods()))),
        ("classify", &filter, error(caller("loop-in-classify").classify(&pods()))),
        ("realloc", &filter, error(caller("loop-in-realloc").classify(&pods()))),
        ("measure", &over(CpuBudgets::WINDOW), error(caller("loop-in-measure").measure(&batch()))),
        ("candidates", &over(CpuBudgets::ADDRESS), error(caller("loop-in-candidates").candidates(&node()))),
    ];
    for (place, expected, error) in texts {
        assert_eq!((&error.to_string(), error.kind()), (expected, "cpu"), "in {place}");
    }
}

#[test]
fn a_plugin_may_be_given_more_or_less_time_than_its_hook_has() {
    let limits = PluginLimits { cpu: Some(Duration::from_millis(3)), ..PluginLimits::default() };
    let strict = Setting { limits, ..Setting::default() }.call("loop-in-classify");
    let failed = strict.classify(&pods()).expect_err("it never ends");
    assert_eq!(failed.to_string(), "took more than its 3ms of CPU time");
    assert!(failed.cpu >= Duration::from_millis(3), "{failed:?}");
    assert_eq!(strict.spent(), failed.cpu);
}

#[test]
fn a_call_that_gets_no_cpu_is_ended_by_the_clock() {
    // A guest cannot wait, so the budget is made so small that the time on the wall runs out with it.
    let limits = PluginLimits { cpu: Some(Duration::from_nanos(1)), ..PluginLimits::default() };
    let failed = Setting { limits, ..Setting::default() }.call("loop-in-classify").classify(&pods());
    assert!(["cpu", "wall"].contains(&error(failed).kind()));
}

#[test]
fn settings_that_take_longer_than_the_question_may_are_found_out_by_a_question() {
    let slow = || Setting { settings: "{}", ..Setting::default() };
    let configured = slow().call("slow-configure").configure().expect("configure may take longer");
    assert!(configured.cpu > CpuBudgets::FILTER, "too quick to show anything: {configured:?}");
    assert_eq!(error(slow().call("slow-configure").classify(&pods())).kind(), "cpu");
    // Kept instances are told their settings once, for which there is the time that `configure` has.
    let reuse = Some(Reuse { calls: 100, age: Duration::from_secs(600) });
    let reused = Setting { reuse, ..slow() }.call("slow-configure");
    assert_eq!(reused.classify(&pods()).expect("it answers").answer, [0, 0, 0]);
    let again = reused.classify(&pods()).expect("it answers");
    assert!(again.cpu < configured.cpu / 2, "{again:?} after {configured:?}");
}

/// Threads that keep the machine busy until they are dropped.
struct Burners(Arc<AtomicBool>, Vec<std::thread::JoinHandle<()>>);

impl Burners {
    fn light(count: usize) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let burn = |is_over: Arc<AtomicBool>| move || while !is_over.load(Ordering::Relaxed) {};
        let threads = (0..count).map(|_| std::thread::spawn(burn(Arc::clone(&is_over)))).collect();
        Self(is_over, threads)
    }
}

impl Drop for Burners {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        for thread in self.1.drain(..) {
            thread.join().expect("a burner burns");
        }
    }
}

#[test]
fn a_busy_machine_saves_no_loop_and_kills_no_innocent() {
    // Rounds that take 8 ms of CPU time where the budget is 20.
    let rounds = |count: u64| -> &'static str { Box::leak(format!("{{\"rounds\":{count}}}").into_boxed_str()) };
    let busy = |count| Setting { settings: rounds(count), ..Setting::default() }.call("busy");
    let probe = busy(1_000_000).classify(&pods()).expect("it answers").cpu;
    let innocent = busy((1e6 * 0.008 / probe.as_secs_f64()) as u64);
    let guilty = caller("loop-in-classify");

    let _burners = Burners::light(4);
    let mut answers = 0;
    for round in 0..15 {
        // The clock on the wall, which allows 25 times as much, may strike where much more than the burners is going on.
        match innocent.classify(&pods()) {
            Ok(_) => answers += 1,
            Err(failed) => assert_eq!(failed.error.kind(), "wall", "killed in round {round}: {failed:?}"),
        }
        let failed = guilty.classify(&pods()).expect_err("it never ends");
        assert!(["cpu", "wall"].contains(&failed.error.kind()), "{failed:?}");
        // Its budget and one tick, and as much again for what else a machine may be doing.
        assert!(failed.cpu < 2 * (CpuBudgets::FILTER + Duration::from_millis(5)), "{failed:?}");
    }
    assert!(answers > 0, "no innocent guest came through");
}

#[test]
fn calls_beyond_the_workers_wait_for_their_turn() {
    let engine = Engine::try_new(EngineOptions { workers: 1, cache: None }).expect("there is room");
    let inspection = inspect(&guest::load("loop-in-classify"), &PluginLimits::default()).expect("it is accepted");
    let artifact = engine.compile(&inspection).expect("it compiles");
    let limits = PluginLimits { cpu: Some(Duration::from_millis(50)), ..PluginLimits::default() };
    let caller = Caller::new(&engine, artifact, "{}", limits, None, Arc::<Lines>::default());
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(error(caller.classify(&pods())).kind(), "cpu"));
        }
    });
    assert!(began.elapsed() >= Duration::from_millis(200), "they ran side by side: {:?}", began.elapsed());
}

#[test]
fn fuel_is_the_same_at_every_call() {
    let engine = Engine::with_fuel(EngineOptions { workers: 2, cache: None }).expect("there is room");
    let inspection = inspect(&guest::load("drop-named"), &PluginLimits::default()).expect("it is accepted");
    let artifact = engine.compile(&inspection).expect("it compiles");
    let settings = r#"{"name":"app"}"#;
    let caller = |reuse| {
        let log = Arc::<Lines>::default();
        Caller::new(&engine, Arc::clone(&artifact), settings, PluginLimits::default(), reuse, log)
    };
    let fuel = |caller: &Caller, pods: &[Pod]| caller.classify(pods).expect("it answers").fuel.expect("it is counted");
    let fresh = caller(None);
    let (once, again) = (fuel(&fresh, &pods()), fuel(&fresh, &pods()));
    assert!(once > 100 && once == again, "{once}, {again}");
    assert!(fuel(&fresh, &[pods(), pods()].concat()) > once);
    // A kept instance is not told its settings again.
    let reused = caller(Some(Reuse { calls: 9, age: Duration::from_secs(600) }));
    let fuels: Vec<u64> = (0..3).map(|_| fuel(&reused, &pods())).collect();
    assert!(fuels[0] == once && fuels[1] < once && fuels[1] == fuels[2], "{once}, {fuels:?}");
    assert_eq!(
        error(
            Caller::new(
                &engine,
                engine
                    .compile(&inspect(&guest::load("loop-in-classify"), &PluginLimits::default()).expect("ok"))
                    .expect("ok"),
                "{}",
                PluginLimits::default(),
                None,
                Arc::<Lines>::default(),
            )
            .classify(&pods())
        )
        .kind(),
        "cpu"
    );
}

// Memory.

#[test]
fn memory_is_bounded_and_the_failure_says_so() {
    let bomb = caller("memory-bomb").classify(&pods()).expect_err("it traps without more memory");
    assert_eq!(bomb.to_string(), "wanted 32832 KiB of memory and may have 32768 KiB");
    assert_eq!((bomb.error.kind(), bomb.memory), ("memory", (31 << 20) + (1 << 16)));
    let limits = PluginLimits { memory: 1 << 20, ..PluginLimits::default() };
    let small = Setting { limits, ..Setting::default() }.call("memory-bomb");
    assert_eq!(error(small.classify(&pods())).to_string(), "wanted 1088 KiB of memory and may have 1024 KiB");
}

#[test]
fn a_guest_that_copes_with_being_refused_memory_answers() {
    let hoard = caller("memory-hoard").classify(&pods()).expect("it answers");
    assert_eq!(hoard.answer, [0, 0, 0]);
    assert!(hoard.memory <= 32 << 20, "{hoard:?}");
}

#[test]
fn refused_growth_does_not_pay_for_more_memory() {
    let trick = caller("memory-trick").classify(&pods()).expect("it answers");
    assert_eq!(trick.memory, 32 << 20);
}

#[test]
fn all_memories_of_an_instance_count_together() {
    let two = caller("two-memories").classify(&pods()).expect("it answers");
    assert!(two.memory <= 32 << 20 && two.memory > 31 << 20, "{two:?}");
}

#[test]
fn tables_are_bounded_and_the_failure_says_so() {
    let bomb = error(caller("table-bomb").classify(&pods()));
    assert_eq!((bomb.kind(), &*bomb.to_string()), ("memory", "wanted 21000 elements in tables and may have 20000"));
}

#[test]
fn what_begins_too_large_is_refused_before_it_is_compiled() {
    assert_eq!(
        refusal(&guest::load("memory-at-start")),
        "begins with 65536 KiB of memory, and its limit `memory` is 32768 KiB"
    );
    let table = refusal(&guest::load("table-at-start"));
    assert_eq!(table, "begins with 1000000 elements in tables, and its limit `table_elements` is 20000");
}

#[test]
fn a_guest_with_smaller_limits_than_it_was_inspected_with_is_refused_its_memory() {
    let limits = PluginLimits { memory: 1 << 10, ..PluginLimits::default() };
    let error = error(Setting { limits, ..Setting::default() }.call("keep-all").classify(&pods()));
    assert_eq!((error.kind(), &*error.to_string()), ("memory", "wanted 64 KiB of memory and may have 1 KiB"));
}

// Traps, and answers that are none.

#[test]
fn a_trap_tells_what_happened_and_where() {
    let trap = error(caller("trap").classify(&pods()));
    let expected = "trapped: wasm `unreachable` instruction executed, in `give_up` < `classify`";
    assert_eq!((trap.kind(), &*trap.to_string()), ("trap", expected));
    assert_eq!(error(caller("trap-in-measure").measure(&batch())).kind(), "trap");
    assert_eq!(error(caller("trap-in-candidates").candidates(&node())).kind(), "trap");
}

#[test]
fn recursion_ends_with_the_stack_and_shows_eight_frames_of_it() {
    let text = error(caller("deep-recursion").classify(&pods())).to_string();
    assert!(text.starts_with("trapped: call stack exhausted, in `classify`"), "{text}");
    assert_eq!(text.matches("`classify`").count(), 8, "{text}");
}

#[test]
fn an_answer_against_the_contract_is_not_lifted() {
    let check = |error: PluginError, expected: &str| {
        let text = error.to_string();
        let claim = text.strip_prefix("gave an answer that cannot be believed: ");
        assert!(claim.is_some_and(|claim| claim.contains(expected)), "{text}");
        assert_eq!(error.kind(), "bad-output");
    };
    check(error(caller("huge-output").classify(&pods())), "it takes up more than 4096 KiB");
    check(error(caller("amplified-output").candidates(&node())), "it takes up more than 4096 KiB");
    check(error(caller("output-beyond-memory").classify(&pods())), "list pointer/length out of bounds of memory");
    check(error(caller("misplaced-output").classify(&pods())), "pointer out of bounds of memory");
    check(error(caller("unknown-choice").candidates(&node())), "unexpected discriminant: 7");
    check(error(caller("not-utf8").candidates(&node())), "invalid utf-8 sequence");
    check(error(caller("lying-realloc").classify(&pods())), "realloc return: beyond end of memory");
}

#[test]
fn what_only_hooks_can_judge_is_handed_on() {
    let cases = ["too-few-verdicts", "too-many-verdicts", "unknown-verdict"];
    let answers = cases.map(|guest| caller(guest).classify(&pods()).expect("it answers").answer);
    assert_eq!(answers, [vec![], vec![0; 4], vec![9; 3]]);
    let usages = |guest: &str| caller(guest).measure(&batch()).expect("it answers").answer;
    assert_eq!(usages("window-of-forever").window_ns, [u64::MAX, 0, u64::MAX]);
    assert_eq!(usages("window-from-the-future").taken_at, [u64::MAX, 0, u64::MAX]);
    assert_eq!(usages("window-of-all-cores").nanocores, [u64::MAX, 0, u64::MAX]);
    assert_eq!(usages("window-of-nothing").window_ns, [0, 0, 0]);
    assert!(usages("too-few-usages").window_ns.is_empty());
    let uneven = usages("uneven-usages");
    assert_eq!((uneven.window_ns.len(), uneven.nanocores.len()), (0, 3));
    assert_eq!(caller("endless-history").history().expect("it answers").answer, u64::MAX);
    let nobody = caller("dial-nobody").candidates(&node()).expect("it answers").answer;
    assert!(matches!(&nobody, Choice::Dial(candidates) if candidates.is_empty()), "{nobody:?}");
}

#[test]
fn a_plugin_is_not_asked_what_it_does_not_answer() {
    let failed = caller("keep-all").measure(&batch()).expect_err("it is a filter");
    assert_eq!((failed.error.kind(), &*failed.to_string()), ("not-exported", "does not export the interface `window`"));
    assert_eq!(failed.cpu, Duration::ZERO);
}

#[test]
fn settings_are_refused_in_the_words_of_the_plugin() {
    let refused = caller("refuses-settings");
    let expected = "refuses its settings: `half_life` is \"soon\"; 60s would be a time";
    for error in [error(refused.configure()), error(refused.classify(&pods()))] {
        assert_eq!((error.kind(), &*error.to_string()), ("settings", expected));
    }
    let named = error(caller("drop-named").configure()).to_string();
    assert!(named.ends_with("such as {\"name\":\"istio-proxy\"}"), "{named}");
}

// The log.

#[test]
fn of_a_flood_of_lines_twenty_a_second_are_kept_and_the_rest_counted() {
    let log = Arc::<Lines>::default();
    let flood = Setting { log: Arc::clone(&log), ..Setting::default() }.call("log-flood");
    flood.classify(&pods()).expect("it answers");
    let kept = log.0.lock().len() as u64;
    // The call takes milliseconds; on a machine that holds it up for seconds, each second has its twenty.
    assert!((20..=200).contains(&kept), "{kept}");
    assert_eq!(flood.dropped_lines() + kept, 10_000);
    assert!(
        log.0.lock().iter().all(|(level, line)| *level == Level::Warn && line == "one more line") || {
            let lines = log.0.lock();
            lines.iter().all(|(level, line)| *level == Level::Info && line == "one more line")
        }
    );
}

#[test]
fn a_line_is_cut_and_cannot_look_like_two() {
    let log = Arc::<Lines>::default();
    Setting { log: Arc::clone(&log), ..Setting::default() }.call("log-forger").classify(&pods()).expect("it answers");
    let lines = log.0.lock();
    let expected = [(Level::Error, "a".repeat(1024)), (Level::Warn, "fine ERROR not fine [2J".to_owned())];
    assert_eq!(lines.as_slice(), expected);
}

// Artifacts.

#[test]
fn what_is_not_webassembly_is_refused_by_what_it_is() {
    let keep_all = guest::load("keep-all");
    let precompiled = {
        let own = std::fs::read(std::env::current_exe().expect("this is a program")).expect("it can be read");
        own[..64].to_vec()
    };
    let cases: [(&[u8], &str); 8] = [
        (b"", "is not WebAssembly but an empty file"),
        (b"(component)", "is not WebAssembly but its text form; make it binary with `wasm-tools parse`"),
        (b"not a plugin", "is not WebAssembly but text"),
        (&precompiled, "is not WebAssembly but a program for this kind of machine (ELF)"),
        (&[0x1f, 0x8b, 8, 0], "is not WebAssembly but compressed (gzip)"),
        (b"PK\x03\x04", "is not WebAssembly but a zip archive"),
        (&[0xff; 9], "is not WebAssembly but something else"),
        (&keep_all[..6], "is not WebAssembly but of a version of its encoding that is not known here, or cut short"),
    ];
    for (bytes, expected) in cases {
        assert_eq!(refusal(bytes), expected);
    }
    let half = refusal(&keep_all[..keep_all.len() / 2]);
    assert!(half.starts_with("is damaged or cut short, at byte "), "{half}");
    let small = PluginLimits { size: 100, ..PluginLimits::default() };
    let large = inspect(&keep_all, &small).expect_err("it is too large").to_string();
    assert_eq!(large, format!("has {} bytes, and its limit `size` is 100", keep_all.len()));
}

#[test]
fn what_is_built_for_wasi_is_refused_with_the_remedy() {
    let module = r#"
        (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1)"#;
    let module = wat::parse_str(format!("(module {module})")).expect("it is WebAssembly text");
    let expected = "imports `wasi_snapshot_preview1`: it is built for WASI, and plugins are given nothing but \
        `metrics-gateway:policy/log`; build it without WASI (Rust: for wasm32-unknown-unknown), or with its imports stubbed out";
    assert_eq!(refusal(&module), expected);

    let wit = "package a:b; package wasi:cli@0.2.0 { interface environment { get: func(); } }
        world w { import wasi:cli/environment@0.2.0; }";
    let fields = r#"(import "wasi:cli/environment@0.2.0" "get" (func))"#;
    let component = guest::component_of(fields, "w", wit);
    let text = refusal(&component);
    assert!(text.starts_with("imports `wasi:cli/environment@0.2.0`: it is built for WASI"), "{text}");
}

#[test]
fn foreign_imports_are_named() {
    let wit = "package a:b; interface i { f: func(); } world w { import i; import g: func(); }";
    let fields = r#"(import "a:b/i" "f" (func)) (import "$root" "g" (func))"#;
    let text = refusal(&guest::component_of(fields, "w", wit));
    assert!(text.starts_with("imports "), "{text}");
    assert!(text.contains("`a:b/i`") && text.contains("`g`"), "{text}");
    assert!(text.ends_with("and plugins are given nothing but `metrics-gateway:policy/log`"), "{text}");
}

#[test]
fn another_version_of_the_contract_is_refused_by_both_versions() {
    let expected = |version: &str| format!("asks for metrics-gateway:policy {version}, this gateway speaks 1.0");
    for version in ["1.1.0", "1.2.0", "2.0.0", "0.9.0", "1.0.0-rc.1"] {
        assert_eq!(refusal(&guest::of_version("keep-all", version)), expected(version));
    }
}

#[test]
fn what_answers_no_hook_is_refused_by_what_it_exports() {
    let wit = "package a:b; interface greet { hello: func(); } world w { export greet; }";
    let text = refusal(&guest::component_of(r#"(func (export "a:b/greet#hello"))"#, "w", wit));
    assert!(
        text.starts_with("answers no hook: it exports `a:b/greet`, and none of the interfaces `address`"),
        "{text}"
    );
    let nothing = refusal(&wat::parse_str("(component)").expect("it is WebAssembly text"));
    assert!(nothing.starts_with("answers no hook: it exports nothing, and none of"), "{nothing}");
    let no_plugin = guest::CONTRACT.replace("export plugin;", "");
    let text = refusal(&guest::component_of(&guest::text("keep-all"), "filter-policy", &no_plugin));
    assert_eq!(text, "does not export `metrics-gateway:policy/plugin`, which every plugin has");
    let bare = refusal(&wat::parse_str("(module)").expect("it is WebAssembly text"));
    assert!(bare.starts_with("is a core module that does not say which interfaces it exports"), "{bare}");
}

#[test]
fn other_types_than_the_contracts_are_found_out_by_a_trial_instance() {
    // One more field in a pod: the same functions by name, and in core WebAssembly the same as well.
    let other = guest::CONTRACT.replace("containers: list<string>,", "containers: list<string>, more: list<string>,");
    assert_ne!(other, guest::CONTRACT);
    let bytes = guest::component_of(&guest::text("keep-all"), "filter-policy", &other);
    let caller = Setting::default().call_bytes(&bytes);
    let checked = error(caller.check_exports());
    assert_eq!(checked.kind(), "instantiate");
    assert!(checked.to_string().contains("expected record of 6 fields, found 7"), "{checked}");
    assert_eq!(error(caller.classify(&pods())).kind(), "instantiate");
    caller.describe().expect("its other interface is as it should be");
    Setting::default().call("keep-all").check_exports().expect("this one is as it should be");
}

#[test]
fn a_small_file_cannot_ask_for_billions_of_instances() {
    // Each component instantiates the one in it twice.
    let mut text = "(component (core module $m) (core instance (instantiate $m)))".to_owned();
    for depth in 0..14 {
        text = text.replacen("(component", &format!("(component $c{depth}"), 1);
        text = format!("(component {text} (instance (instantiate $c{depth})) (instance (instantiate $c{depth})))");
    }
    let bytes = wat::parse_str(&text).expect("it is WebAssembly text");
    assert!(bytes.len() < 2048, "{}", bytes.len());
    assert_eq!(refusal(&bytes), "consists of more than 256 instances of components");
    let many = "(core instance (instantiate $m))".repeat(17);
    let bytes = wat::parse_str(format!("(component (core module $m) {many})")).expect("it is WebAssembly text");
    let limits = PluginLimits::default();
    let text = inspect(&bytes, &limits).expect_err("it is refused").to_string();
    assert!(text.starts_with("answers no hook"), "{text}");
}

#[test]
fn proposals_that_are_switched_off_are_not_compiled() {
    let keep_all = guest::text("keep-all");
    let refusal_with = |field: &str| refusal(&guest::component(&format!("{keep_all}\n{field}"), "filter-policy"));
    let cases = [
        ("(memory (export \"memory\") 1) (memory $large i64 1)", "memory64"),
        ("(func $tail (return_call $tail))", "tail calls"),
        ("(memory (export \"memory\") 1) (memory $shared 1 1 shared)", "threads"),
        ("(tag $exception)", "exceptions"),
        ("(type $structure (struct))", "gc"),
        ("(func (param v128) (result v128) (i32x4.relaxed_trunc_f32x4_s (local.get 0)))", "relaxed SIMD"),
    ];
    for (field, proposal) in cases {
        let text = refusal_with(field);
        assert!(text.starts_with("cannot be compiled: ") && text.contains(proposal), "{proposal}: {text}");
    }
}

#[test]
fn every_fixture_is_used_and_says_what_it_does() {
    let tests = [include_str!("sandbox.rs")];
    for entry in std::fs::read_dir(guest::directory()).expect("there are fixtures") {
        let path = entry.expect("it can be read").path();
        if path.extension().is_none_or(|extension| extension != "wat") {
            continue;
        }
        let name = path.file_stem().and_then(|name| name.to_str()).expect("it has a name").to_owned();
        let text = guest::text(&name);
        let mut lines = text.lines();
        assert!(lines.next().is_some_and(|line| line.starts_with(";; world: ")), "{name}");
        assert!(lines.next().is_some_and(|line| line.starts_with(";; ")), "{name}");
        assert!(tests.iter().any(|test| test.contains(&format!("\"{name}\""))), "no test uses {name}");
    }
}
