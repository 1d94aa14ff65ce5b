use std::fs;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use super::*;
use crate::args::{self, Invocation};
use crate::model::units::UnixNanos;
use crate::plugins::load::{Loaded, PluginFacts};

/// Far more than any step takes, for machines that are busy with other things.
const PATIENCE: Duration = Duration::from_secs(20);

/// A directory with a gateway.toml, removed at the end of the test.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("gateway-generations-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).unwrap();
    }

    fn args(&self) -> Args {
        let flag = format!("--config={}", self.0.join("gateway.toml").display());
        match args::parse([flag.into()]) {
            Ok(Invocation::Run(args)) => *args,
            other => panic!("{other:?}"),
        }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A loader whose plugins are what their files say: `bad…` is refused.
#[derive(Clone)]
struct Fake(Arc<FakeState>);

struct FakeState {
    /// The generations that were asked for.
    asked: Mutex<Vec<u64>>,
    /// How many loads are under way, and how many were at most.
    busy: AtomicUsize,
    most_busy: AtomicUsize,
    /// A load takes one; `usize::MAX >> 3` of them are no hindrance.
    gate: Semaphore,
    /// How many loads are still refused, whatever the files say.
    refusals: AtomicUsize,
    /// What stands in registries.
    registry: Mutex<Vec<u8>>,
}

impl Fake {
    fn new() -> Self {
        Self::with_gate(Semaphore::MAX_PERMITS)
    }

    fn with_gate(permits: usize) -> Self {
        Self(Arc::new(FakeState {
            asked: Mutex::default(),
            busy: AtomicUsize::new(0),
            most_busy: AtomicUsize::new(0),
            gate: Semaphore::new(permits),
            refusals: AtomicUsize::new(0),
            registry: Mutex::new(b"registry".to_vec()),
        }))
    }

    fn asked(&self) -> Vec<u64> {
        self.0.asked.lock().clone()
    }

    fn bytes(&self, source: &Source) -> Vec<u8> {
        match source {
            Source::File(path) => fs::read(path).unwrap_or_else(|_| b"bad: missing".to_vec()),
            Source::Oci(_) => self.0.registry.lock().clone(),
        }
    }
}

impl Loader for Fake {
    async fn load(
        &self,
        policies: &PoliciesConfig,
        generation: u64,
        addresses: &PreferredAddresses,
    ) -> Result<Loaded, Problems> {
        let state = &self.0;
        state.asked.lock().push(generation);
        let busy = state.busy.fetch_add(1, Ordering::SeqCst) + 1;
        state.most_busy.fetch_max(busy, Ordering::SeqCst);
        state.gate.acquire().await.expect("never closed").forget();
        let (mut problems, mut plugins) = (Vec::new(), Facts::new());
        for plugin in &policies.plugins {
            let bytes = self.bytes(&plugin.source);
            if bytes.starts_with(b"bad") {
                problems.push(Problem::at(plugin.place.clone(), String::from_utf8_lossy(&bytes)));
            }
            let sha256 = Sha256::digest(&bytes).into();
            let facts = PluginFacts { name: plugin.name.to_string(), version: "1.0.0".into(), sha256 };
            plugins.insert(Arc::clone(&plugin.name), facts);
        }
        if state.refusals.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
            problems.push(Problem::new("the registry is away"));
        }
        state.busy.fetch_sub(1, Ordering::SeqCst);
        if !problems.is_empty() {
            return Err(Problems(problems));
        }
        Ok(Loaded { tenants: without_plugins(policies, generation, addresses.clone()), plugins })
    }
}

fn metrics() -> Arc<Metrics> {
    Arc::new(Metrics::new(Duration::from_secs(60)))
}

async fn start_with(directory: &Directory, loader: Fake, metrics: Arc<Metrics>) -> Result<Generations<Fake>> {
    let args = directory.args();
    let (config, _) = config::load(&args)?;
    let tenants = watch::Sender::new(Arc::new(Tenants::upstream(config.scrape.addresses.clone())));
    Generations::start(args, config, loader, tenants, metrics, Clock::new(|| UnixNanos(7_500_000_000))).await
}

async fn start(directory: &Directory, loader: &Fake) -> Generations<Fake> {
    start_with(directory, loader.clone(), metrics()).await.expect("it starts")
}

impl<L> Generations<L> {
    /// Generation, tenants, results so far (applied, refused, unchanged), and whether the latest was no refusal.
    fn told(&self) -> (u64, Vec<String>, [u64; 3], i64) {
        let tenants = self.tenants.borrow();
        let names = tenants.tenants.iter().map(|tenant| tenant.name.to_string()).collect();
        let metrics = &self.metrics.generations;
        assert_eq!(metrics.current.get(), i64::try_from(tenants.generation).unwrap());
        let results =
            ["applied", "refused", "unchanged"].map(|result| metrics.reloads.with_label_values(&[result]).get());
        (tenants.generation, names, results, metrics.is_last_successful.get())
    }
}

fn tenant(name: &str) -> String {
    format!("[[tenant]]\nname = '{name}'\nnamespaces = ['{name}']\nwindow = 'ewma'\n")
}

const EWMA: &str = "plugins.ewma.source = 'ewma.wasm'\n";

/// A directory whose gateway.toml has one plugin and tenant `a`.
fn with_one_tenant() -> Directory {
    let directory = Directory::new();
    directory.write("ewma.wasm", "good 1");
    directory.write("gateway.toml", &format!("{EWMA}{}", tenant("a")));
    directory
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn without_plugins_no_loader_is_asked() {
    let directory = Directory::new();
    directory.write("gateway.toml", "[[tenant]]\nname = 'a'\nnamespaces = ['a']\n[[node_pool]]\nname = 'p'\n");
    let loader = Fake::new();
    let mut generations = start(&directory, &loader).await;
    assert_eq!(generations.told(), (1, names(&["a"]), [0, 0, 0], 1));
    assert_eq!(generations.tenants.borrow().node_pools.len(), 1);
    directory.write("gateway.toml", "[[tenant]]\nname = 'b'\nnamespaces = ['b']\n");
    generations.reload(Cause::Files).await;
    assert_eq!(generations.told(), (2, names(&["b"]), [1, 0, 0], 1));
    assert_eq!(loader.asked(), [0; 0]);
}

#[tokio::test]
async fn a_changed_file_and_a_changed_artifact_each_make_a_generation() {
    let directory = with_one_tenant();
    let loader = Fake::new();
    let mut generations = start(&directory, &loader).await;
    let mut receiver = generations.tenants.subscribe();
    assert_eq!(receiver.borrow_and_update().generation, 1);
    directory.write("gateway.toml", &format!("{EWMA}{}{}", tenant("b"), tenant("a")));
    generations.reload(Cause::Files).await;
    assert_eq!(generations.told(), (2, names(&["b", "a"]), [1, 0, 0], 1));
    assert!(receiver.has_changed().expect("the sender lives"));
    directory.write("ewma.wasm", "good 2");
    generations.reload(Cause::Files).await;
    assert_eq!(generations.told(), (3, names(&["b", "a"]), [2, 0, 0], 1));
    assert_eq!(loader.asked(), [1, 2, 3]);
    assert_eq!(generations.metrics.generations.last_success.get().to_string(), "7.5");
}

#[tokio::test]
async fn what_says_the_same_makes_no_generation_and_is_not_loaded() {
    let directory = with_one_tenant();
    let loader = Fake::new();
    let mut generations = start(&directory, &loader).await;
    let receiver = generations.tenants.subscribe();
    directory.write("ewma.wasm", "good 1");
    generations.reload(Cause::Files).await;
    directory.write("gateway.toml", &format!("# moved down\n\n{EWMA}\n{}", tenant("a")));
    generations.reload(Cause::Files).await;
    generations.reload(Cause::Asked).await;
    assert_eq!(generations.told(), (1, names(&["a"]), [0, 0, 3], 1));
    assert_eq!(loader.asked(), [1]);
    assert!(!receiver.has_changed().expect("the sender lives"));
}

#[tokio::test]
async fn a_refused_file_keeps_the_whole_previous_generation() {
    let directory = with_one_tenant();
    let loader = Fake::new();
    let mut generations = start(&directory, &loader).await;
    let before = generations.tenants.subscribe().borrow().clone();
    let breakages = [
        "nonsense".to_owned(),
        "history.hold = 7".to_owned(),
        format!("{EWMA}{}[default]\nwindow = 'ewm'\n", tenant("b")),
        // Set aside at a start, perhaps, but not while something better is in force.
        format!("plugin_engine.on_bad_start = 'built-in'\n{}", tenant("b")),
        format!("{EWMA}plugins.other.source = 'missing.wasm'\n{}", tenant("b")),
    ];
    for (at, text) in breakages.iter().enumerate() {
        directory.write("gateway.toml", text);
        generations.reload(Cause::Files).await;
        assert_eq!(generations.told(), (1, names(&["a"]), [0, at as u64 + 1, 0], 0), "{text}");
    }
    fs::remove_file(directory.0.join("gateway.toml")).unwrap();
    generations.reload(Cause::Files).await;
    assert_eq!(generations.told().2, [0, 6, 0]);
    assert!(Arc::ptr_eq(&before, &generations.tenants.subscribe().borrow()), "not even made anew");
}

#[tokio::test]
async fn a_file_that_is_mended_as_it_was_is_no_failure_any_more() {
    let directory = with_one_tenant();
    let loader = Fake::new();
    let mut generations = start(&directory, &loader).await;
    let text = fs::read_to_string(directory.0.join("gateway.toml")).unwrap();
    directory.write("gateway.toml", "nonsense");
    generations.reload(Cause::Files).await;
    directory.write("gateway.toml", &text);
    generations.reload(Cause::Files).await;
    assert_eq!(generations.told(), (1, names(&["a"]), [0, 1, 1], 1));
    assert_eq!(loader.asked(), [1], "what is in force is not loaded again");
    assert!(generations.refusal.is_none());
}

#[tokio::test]
async fn what_was_refused_is_loaded_again_only_when_it_changes_or_somebody_asks() {
    let directory = with_one_tenant();
    let loader = Fake::new();
    let mut generations = start(&directory, &loader).await;
    directory.write("ewma.wasm", "bad 1");
    generations.reload(Cause::Files).await;
    assert_eq!((loader.asked().len(), generations.told().2), (2, [0, 1, 0]));
    generations.reload(Cause::Files).await;
    assert_eq!((loader.asked().len(), generations.told()), (2, (1, names(&["a"]), [0, 1, 1], 0)), "still refused");
    generations.reload(Cause::Asked).await;
    assert_eq!((loader.asked().len(), generations.told().2), (3, [0, 2, 1]));
    directory.write("ewma.wasm", "good 2");
    generations.reload(Cause::Files).await;
    assert_eq!(generations.told(), (2, names(&["a"]), [1, 2, 1], 1));
}

#[tokio::test]
async fn a_tag_is_asked_for_again_by_sighup_alone_and_a_digest_never() {
    let directory = Directory::new();
    directory.write("gateway.toml", &format!("plugins.ewma.source = 'oci://r/ewma:1'\n{}", tenant("a")));
    let loader = Fake::new();
    let mut generations = start(&directory, &loader).await;
    generations.reload(Cause::Files).await;
    assert_eq!(loader.asked(), [1]);
    generations.reload(Cause::Asked).await;
    assert_eq!((loader.asked(), generations.told().0), (vec![1, 2], 1), "the tag has not moved");
    *loader.0.registry.lock() = b"moved".to_vec();
    generations.reload(Cause::Asked).await;
    assert_eq!((loader.asked(), generations.told().0), (vec![1, 2, 2], 2));

    let pinned = format!("plugins.ewma.source = 'oci://r/ewma@sha256:{}'\n{}", "ab".repeat(32), tenant("a"));
    directory.write("gateway.toml", &pinned);
    generations.reload(Cause::Files).await;
    generations.reload(Cause::Asked).await;
    assert_eq!((loader.asked(), generations.told().0), (vec![1, 2, 2, 3], 3));
}

#[tokio::test]
async fn a_start_with_bad_policies_is_refused_with_all_problems() {
    let directory = with_one_tenant();
    directory.write("gateway.toml", &format!("{EWMA}plugins.b.source = 'b.wasm'\n{}", tenant("a")));
    directory.write("ewma.wasm", "bad: truncated");
    let refused = start_with(&directory, Fake::new(), metrics()).await.map(|_| ()).expect_err("it is refused");
    let problems = refused.downcast_ref::<Problems>().expect("whoever starts us can tell");
    let lines: Vec<String> = problems.0.iter().map(ToString::to_string).collect();
    assert!(lines[0].ends_with("gateway.toml:1: plugins.ewma: bad: truncated"), "{lines:?}");
    assert!(lines[1].ends_with("gateway.toml:2: plugins.b: bad: missing"), "{lines:?}");
}

#[tokio::test]
async fn where_the_file_says_so_a_bad_start_has_the_built_in_policies_until_it_is_mended() {
    let on_bad_start = "plugin_engine.on_bad_start = 'built-in'\n";
    let directory = with_one_tenant();
    for bad in [format!("{on_bad_start}{EWMA}{}", tenant("a")), format!("{on_bad_start}{}", tenant("a"))] {
        directory.write("ewma.wasm", "bad");
        directory.write("gateway.toml", &bad);
        let mut generations = start(&directory, &Fake::new()).await;
        assert_eq!(generations.told(), (1, names(&[]), [0, 1, 0], 0));
        directory.write("ewma.wasm", "good");
        directory.write("gateway.toml", &format!("{on_bad_start}{EWMA}{}", tenant("a")));
        generations.reload(Cause::Files).await;
        assert_eq!(generations.told(), (2, names(&["a"]), [1, 1, 0], 1));
    }
}

#[tokio::test]
async fn other_sections_wait_for_a_restart_while_policies_are_put_in_force() {
    let directory = with_one_tenant();
    let mut generations = start(&directory, &Fake::new()).await;
    let text = format!("history.hold = '1m'\nserving.max_connections = 5\n{EWMA}{}", tenant("b"));
    directory.write("gateway.toml", &text);
    generations.reload(Cause::Files).await;
    assert_eq!(generations.told(), (2, names(&["b"]), [1, 0, 0], 1));
    assert_eq!(generations.waiting, ["history", "serving"]);
    directory.write("gateway.toml", &format!("{EWMA}{}", tenant("b")));
    generations.reload(Cause::Files).await;
    assert_eq!((generations.told().0, generations.waiting.len()), (2, 0), "as at the start");
}

/// Runs it aside, and stops it at the end.
struct Running {
    tenants: watch::Receiver<Arc<Tenants>>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    #[expect(clippy::disallowed_methods, reason = "a test has no tracker; it awaits the task itself")]
    fn of(generations: Generations<Fake>) -> Self {
        let (tenants, stop) = (generations.tenants.subscribe(), CancellationToken::new());
        let task = tokio::spawn(generations.run(stop.clone()));
        Self { tenants, stop, task }
    }

    /// Waits for a generation that has this tenant.
    async fn until_tenant(&mut self, name: &str) -> u64 {
        let has = |tenants: &Arc<Tenants>| tenants.tenants.iter().any(|tenant| &*tenant.name == name);
        let found = tokio::time::timeout(PATIENCE, self.tenants.wait_for(has)).await;
        found.expect("it comes").expect("it runs").generation
    }

    async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.task).await.expect("it stops").expect("it does not panic");
    }
}

/// Waits until `holds`.
async fn until(what: &str, holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{what} in time"));
}

#[tokio::test]
async fn a_change_during_a_load_is_put_in_force_after_it_never_beside_it() {
    let directory = with_one_tenant();
    let loader = Fake::with_gate(1);
    let mut running = Running::of(start(&directory, &loader).await);
    directory.write("gateway.toml", &format!("{EWMA}{}", tenant("b")));
    until("the second load begins", || loader.asked() == [1, 2]).await;
    directory.write("gateway.toml", &format!("{EWMA}{}", tenant("c")));
    directory.write("ewma.wasm", "good 2");
    loader.0.gate.add_permits(Semaphore::MAX_PERMITS - 1);
    assert_eq!(running.until_tenant("c").await, 3);
    assert_eq!(loader.asked(), [1, 2, 3]);
    assert_eq!(loader.0.most_busy.load(Ordering::SeqCst), 1);
    running.stop().await;
}

#[tokio::test]
async fn artifacts_are_followed_as_the_file_names_them() {
    let directory = with_one_tenant();
    let loader = Fake::new();
    let mut running = Running::of(start(&directory, &loader).await);
    directory.write("gateway.toml", &format!("plugins.ewma.source = 'later.wasm'\n{}", tenant("b")));
    until("the missing artifact is refused", || loader.asked() == [1, 2]).await;
    directory.write("later.wasm", "good");
    assert_eq!(running.until_tenant("b").await, 2, "its coming is noticed although it was refused");
    running.stop().await;
}

#[tokio::test]
async fn a_load_under_way_does_not_hold_up_the_end() {
    let directory = with_one_tenant();
    let loader = Fake::with_gate(1);
    let running = Running::of(start(&directory, &loader).await);
    directory.write("ewma.wasm", "good 2");
    until("the second load begins", || loader.asked() == [1, 2]).await;
    running.stop().await;
}

#[tokio::test]
async fn a_load_that_failed_is_tried_again_at_growing_intervals() {
    let directory = with_one_tenant();
    let loader = Fake::new();
    let mut generations = start(&directory, &loader).await;
    directory.write("gateway.toml", &format!("{EWMA}{}", tenant("b")));
    loader.0.refusals.store(3, Ordering::SeqCst);
    // From here on time passes when nothing else is to be done.
    tokio::time::pause();
    let start = Instant::now();
    generations.reload(Cause::Files).await;
    assert_eq!(loader.asked(), [1, 2]);
    let mut tenants = generations.tenants.subscribe();
    let stop = CancellationToken::new();
    let retried = tokio::select! {
        () = generations.run(stop) => panic!("it runs until it is stopped"),
        retried = tenants.wait_for(|tenants| tenants.generation == 2) => retried.is_ok(),
    };
    assert!(retried && loader.asked() == [1, 2, 2, 2, 2], "{:?}", loader.asked());
    let waited = start.elapsed().as_secs();
    assert_eq!(waited, 30 + 60 + 120);
}

#[tokio::test]
async fn what_the_file_says_wrong_is_not_tried_again_by_itself() {
    let directory = with_one_tenant();
    let mut generations = start(&directory, &Fake::new()).await;
    directory.write("gateway.toml", "nonsense");
    generations.reload(Cause::Files).await;
    assert!(generations.refusal.is_some_and(|refusal| refusal.retry.is_none()));
}

#[tokio::test]
async fn what_is_refused_is_on_record_and_news_once_and_so_is_its_mending() {
    let directory = with_one_tenant();
    let metrics = metrics();
    let mut news = metrics.generations.herald.listen().expect("nobody else listens");
    let mut generations = start_with(&directory, Fake::new(), metrics).await.expect("it starts");
    let record = generations.record();
    let told = |record: &Record| {
        let snapshot = record.snapshot();
        let refused = snapshot.refusal.as_ref().map(|refusal| (refusal.problems.len(), refusal.times));
        (snapshot.number, snapshot.policies.tenants.len(), refused)
    };
    assert_eq!((told(&record), record.snapshot().since), ((1, 1, None), UnixNanos(7_500_000_000)));
    assert!(news.try_recv().is_err(), "a start is no news");

    directory.write("ewma.wasm", "bad: broken");
    generations.reload(Cause::Files).await;
    generations.reload(Cause::Asked).await;
    assert_eq!(told(&record), (1, 1, Some((1, 2))));
    let Ok(News::GenerationRefused { number: 1, problems }) = news.try_recv() else { panic!("it is news") };
    assert!(problems.contains("bad: broken"), "{problems}");
    assert!(news.try_recv().is_err(), "the same once more is none");

    directory.write("ewma.wasm", "good 1");
    generations.reload(Cause::Files).await;
    assert_eq!(told(&record), (1, 1, None));
    let mended = News::GenerationApplied { number: 1, changes: String::new() };
    assert_eq!(news.try_recv(), Ok(mended));
    directory.write("gateway.toml", &format!("{EWMA}{}", tenant("b")));
    generations.reload(Cause::Files).await;
    assert_eq!((told(&record), news.try_recv().is_err()), ((2, 1, None), true));
}
