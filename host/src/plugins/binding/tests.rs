use std::io;
use std::sync::atomic::AtomicU32;

use super::bench::{Bench, says, traps};
use super::*;

/// A plugin that answers with its number of calls, or fails.
#[derive(Default)]
struct Double {
    fails: std::sync::atomic::AtomicBool,
    calls: AtomicU32,
    distrusted: AtomicU32,
}

impl Guest for Double {
    fn distrust(&self) {
        self.distrusted.fetch_add(1, Ordering::Relaxed);
    }

    fn dropped_lines(&self) -> u64 {
        u64::from(self.calls.load(Ordering::Relaxed)) * 3
    }
}

impl Double {
    fn answer(&self) -> Result<Called<u32>, Failed> {
        let calls = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        if self.fails.load(Ordering::Relaxed) { traps() } else { says(calls) }
    }
}

fn ask(binding: &Binding<Double>) -> Option<u32> {
    binding.ask("node-7", Double::answer, Ok)
}

fn double(bench: &Bench, fails: bool) -> Binding<Double> {
    let double = Double { fails: fails.into(), ..Double::default() };
    bench.bind(Hook::Window, double)
}

/// What is logged meanwhile, one line an event.
fn logged(doing: impl FnOnce()) -> Vec<String> {
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);
    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::INFO)
        .without_time()
        .with_target(false)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, doing);
    let bytes = lines.0.lock().clone();
    String::from_utf8(bytes).unwrap().lines().map(|line| line.trim().to_owned()).collect()
}

#[test]
fn five_failures_and_the_plugin_is_not_asked_any_more() {
    let bench = Bench::new();
    let binding = double(&bench, true);
    let answers: Vec<_> = (0..20).map(|_| ask(&binding)).collect();
    assert_eq!(answers, [None; 20]);
    assert_eq!(binding.guest.calls.load(Ordering::Relaxed), 5);
    assert_eq!((bench.count("trap"), bench.count("breaker"), bench.count("ok")), (5, 15, 0));
}

#[test]
fn a_plugin_that_recovers_is_asked_again_after_its_pause() {
    let bench = Bench::new();
    let binding = double(&bench, true);
    (0..5).for_each(|_| assert_eq!(ask(&binding), None));
    binding.guest.fails.store(false, Ordering::Relaxed);
    assert_eq!(ask(&binding), None, "the breaker is open");
    bench.wait(30);
    assert_eq!((ask(&binding), ask(&binding)), (Some(6), Some(7)));
}

#[test]
fn a_reload_that_keeps_the_state_does_not_reset_an_open_breaker() {
    let bench = Bench::new();
    let state = Arc::<State>::default();
    let old = bench.bind_with(Hook::Window, Double { fails: true.into(), ..Double::default() }, Arc::clone(&state));
    (0..5).for_each(|_| assert_eq!(ask(&old), None));
    let new = bench.bind_with(Hook::Window, Double::default(), state);
    drop(old);
    assert_eq!(ask(&new), None);
    assert_eq!(new.guest.calls.load(Ordering::Relaxed), 0);
}

#[test]
fn an_answer_that_cannot_be_believed_is_a_failure_and_the_instance_is_not_trusted_again() {
    let bench = Bench::new();
    let binding = double(&bench, false);
    let answer = binding.ask("node-7", Double::answer, |_| Err::<u32, _>(BadAnswer("row 3".to_owned())));
    assert_eq!(answer, None);
    assert_eq!(binding.guest.distrusted.load(Ordering::Relaxed), 1);
    assert_eq!(bench.count("bad-output"), 1);
}

#[test]
fn beyond_the_allowance_nothing_is_asked_until_the_next_tick() {
    let bench = Bench::with_allowance(bench::CPU * 3);
    let binding = double(&bench, false);
    let answers: Vec<_> = (0..5).map(|_| ask(&binding)).collect();
    assert_eq!(answers, [Some(1), Some(2), Some(3), None, None]);
    assert_eq!(bench.count("allowance"), 2);
    bench.wait(15);
    assert_eq!(ask(&binding), Some(4));
}

#[test]
fn failed_calls_use_up_the_allowance_too() {
    let bench = Bench::with_allowance(bench::CPU * 2);
    let binding = double(&bench, true);
    (0..4).for_each(|_| assert_eq!(ask(&binding), None));
    assert_eq!((bench.count("trap"), bench.count("allowance")), (2, 2));
}

#[test]
fn operators_are_told_of_changes_and_not_of_every_call() {
    let bench = Bench::new();
    let binding = double(&bench, true);
    let lines = logged(|| {
        for _ in 0..20 {
            ask(&binding);
        }
        binding.guest.fails.store(false, Ordering::Relaxed);
        for _ in 0..20 {
            bench.wait(15);
            ask(&binding);
        }
    });
    let expected = [
        "WARN window policy \"double\" of tenant \"shop\", asked about node \"node-7\", trapped: unreachable; fell back to \
         the fallback kind=\"trap\"",
        "WARN window policy \"double\" of tenant \"shop\" keeps failing: it is not asked for 30 s, falling back to the \
         fallback kind=\"trap\"",
        "INFO window policy \"double\" of tenant \"shop\" answers again: it is asked as before",
        "INFO window policy \"double\" of tenant \"shop\" is well again: it had failed, or not been asked, 5 times within \
         0 s",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_tenant_that_always_wants_more_than_its_allowance_is_told_of_once() {
    let bench = Bench::with_allowance(bench::CPU);
    let binding = double(&bench, false);
    let lines = logged(|| {
        for _ in 0..20 {
            ask(&binding);
            ask(&binding);
            bench.wait(15);
        }
    });
    let expected = "WARN window policy \"double\" of tenant \"shop\" was not asked about node \"node-7\": the plugins of \
                    tenant \"shop\" have used up their 1ms of CPU time for this tick; fell back to the fallback \
                    kind=\"allowance\"";
    assert_eq!(lines, [expected]);
}

#[test]
fn many_threads_ask_at_once_and_every_question_is_counted_once() {
    let bench = Bench::with_allowance(Duration::from_secs(100));
    let binding = double(&bench, false);
    let answered = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (binding, answered) = (&binding, &answered);
            scope.spawn(move || {
                for question in 0..500 {
                    binding.guest.fails.store((thread + question) % 97 == 0, Ordering::Relaxed);
                    if ask(binding).is_some() {
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let (ok, trap, breaker) = (bench.count("ok"), bench.count("trap"), bench.count("breaker"));
    assert_eq!(ok + trap + breaker, 8 * 500);
    assert_eq!(ok, u64::from(answered.into_inner()));
    assert_eq!(ok + trap, u64::from(binding.guest.calls.load(Ordering::Relaxed)));
}

#[test]
fn lines_that_a_plugin_lost_are_counted_once() {
    let bench = Bench::new();
    let binding = double(&bench, false);
    for _ in 0..4 {
        ask(&binding);
    }
    assert_eq!(bench.metrics.plugins.log_lines_dropped.with_label_values(&["double"]).get(), 12);
}

#[test]
fn how_a_binding_fares_is_told_with_its_last_failure_until_it_is_well_again() {
    let bench = Bench::new();
    let binding = double(&bench, true);
    assert_eq!((binding.standing().breaker, binding.standing().failing), ("closed", None));
    for _ in 0..5 {
        bench.wait(1);
        assert_eq!(ask(&binding), None);
    }
    bench.wait(10);
    let standing = binding.standing();
    assert_eq!((standing.breaker, standing.open_for), ("open", Some(Duration::from_secs(20))));
    assert_eq!((&*standing.plugin, &*standing.owner, standing.fallback), ("double", "shop", "the fallback"));
    let failing = standing.failing.expect("it fails");
    assert_eq!((failing.began, failing.last), (Duration::from_secs(14), Duration::from_secs(10)));
    assert_eq!((failing.times, failing.kind, &*failing.text), (5, "trap", "trapped: unreachable"));
    binding.guest.fails.store(false, Ordering::Relaxed);
    bench.wait(60);
    assert!(ask(&binding).is_some() && binding.standing().failing.is_none());
}

#[test]
fn a_breaker_that_opens_and_closes_is_news_each_time_and_once() {
    let bench = Bench::new();
    let mut news = bench.metrics.plugins.herald.listen().expect("nobody else listens");
    let binding = double(&bench, true);
    (0..20).for_each(|_| assert_eq!(ask(&binding), None));
    binding.guest.fails.store(false, Ordering::Relaxed);
    bench.wait(30);
    assert!(ask(&binding).is_some() && ask(&binding).is_some());
    let policy = || "window policy \"double\" of tenant \"shop\"".to_owned();
    let (failure, fallback) = ("trapped: unreachable".to_owned(), "the fallback".to_owned());
    let opened = News::BreakerOpened { policy: policy(), pause: Duration::from_secs(30), failure, fallback };
    assert_eq!((news.try_recv(), news.try_recv()), (Ok(opened), Ok(News::BreakerClosed { policy: policy() })));
    assert!(news.try_recv().is_err(), "there is no more");
}
