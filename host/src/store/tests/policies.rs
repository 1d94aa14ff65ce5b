//! What is promised where tenants have policies, told with policies that are plain functions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicUsize;
use std::sync::{Barrier, Weak};

use globset::{Glob, GlobSet};
use proptest::prelude::*;

use super::*;
use crate::model::policy::{
    FilterPolicy, Opinion, PodIdentity, PreferredAddresses, SeriesBatch, Subject, Verdict, Verdicts, Voice, last_two,
};
use crate::model::selector::LabelSelector;
use crate::model::{Identities, Labels, Node};
use crate::tenants::{NodePool, Tenants};

/// What the API server would tell.
#[derive(Default)]
struct World {
    /// Those that do not run, or not yet.
    hidden: Mutex<BTreeSet<String>>,
    pods: Mutex<BTreeMap<String, Arc<Labels>>>,
    namespaces: Mutex<BTreeMap<String, Arc<Labels>>>,
}

fn labels(labels: &[(&str, &str)]) -> Arc<Labels> {
    Arc::new(labels.iter().copied().collect())
}

impl Identities for World {
    fn pod_labels(&self, pod: PodRef<'_>) -> Option<Arc<Labels>> {
        let pod = pod.to_string();
        let is_known = !self.hidden.lock().contains(&pod);
        is_known.then(|| self.pods.lock().get(&pod).cloned().unwrap_or_default())
    }

    fn namespace_labels(&self, namespace: &str) -> Option<Arc<Labels>> {
        self.namespaces.lock().get(namespace).cloned()
    }
}

type Classify = dyn Fn(&PodIdentity<'_>, &str) -> Verdict + Send + Sync;

/// A filter that decides about each container alone, and notes what it was asked.
struct Filter {
    classify: Box<Classify>,
    are_lasting: AtomicBool,
    calls: AtomicUsize,
    shown: Mutex<Vec<String>>,
    screened: Mutex<Vec<(String, usize)>>,
}

impl Filter {
    fn new(classify: impl Fn(&PodIdentity<'_>, &str) -> Verdict + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            classify: Box::new(classify),
            are_lasting: true.into(),
            calls: AtomicUsize::new(0),
            shown: Mutex::default(),
            screened: Mutex::default(),
        })
    }

    /// By the names of containers.
    fn of(verdicts: &'static [(&'static str, Verdict)]) -> Arc<Self> {
        Self::new(move |_, name| {
            verdicts.iter().find(|(known, _)| *known == name).map_or(Verdict::KEEP, |(_, verdict)| *verdict)
        })
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// What it was shown last, `namespace/pod/container`.
    fn shown(&self) -> Vec<String> {
        self.shown.lock().clone()
    }
}

/// Decided by value, by the first filter of the chain.
const BY_VALUE: Verdict = Verdict { cpu: true, memory: true, by_value: 1 };

impl FilterPolicy for Filter {
    fn classify(&self, pods: &[PodIdentity<'_>]) -> Verdicts {
        self.calls.fetch_add(1, Ordering::SeqCst);
        assert!(pods.is_sorted_by_key(|pod| pod.pod), "{pods:?}");
        assert!(pods.iter().all(|pod| !pod.containers.is_empty() && pod.containers.is_sorted()), "{pods:?}");
        let containers = || pods.iter().flat_map(|pod| pod.containers.iter().map(move |container| (pod, *container)));
        *self.shown.lock() = containers().map(|(pod, container)| format!("{}/{container}", pod.pod)).collect();
        let verdicts = containers().map(|(pod, container)| (self.classify)(pod, container)).collect();
        Verdicts { verdicts, are_lasting: self.are_lasting.load(Ordering::SeqCst) }
    }

    /// Keeps what used more than a core since the sample before.
    fn screen(&self, batch: &SeriesBatch<'_>, before: &[Verdict]) -> Vec<Verdict> {
        assert_eq!(before, vec![BY_VALUE; batch.series.len()]);
        let names = batch.series.iter().map(|series| (subject(&series.subject), series.samples.len()));
        *self.screened.lock() = names.collect();
        let is_busy = |samples: &[Sample]| last_two(samples).is_ok_and(|usage| usage.cpu.0 > 1_000_000_000);
        let verdict = |is_busy| if is_busy { Verdict::KEEP } else { Verdict::DROP };
        batch.series.iter().map(|series| verdict(is_busy(series.samples))).collect()
    }
}

fn subject(subject: &Subject<'_>) -> String {
    match subject {
        Subject::Node => "the node".to_owned(),
        Subject::Container { pod, name } => format!("{pod}/{name}"),
    }
}

type Measure = dyn Fn(&str, &[Sample]) -> Result<Usage, NoUsage> + Send + Sync;

/// A window that decides about each series alone, and notes what it was asked.
struct Window {
    history: Duration,
    measure: Box<Measure>,
    /// By subject: the seconds of the samples it was shown last, since [`START`].
    shown: Mutex<BTreeMap<String, Vec<u64>>>,
    batches: AtomicUsize,
}

impl Window {
    fn new(
        history: u64,
        measure: impl Fn(&str, &[Sample]) -> Result<Usage, NoUsage> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            history: Duration::from_secs(history),
            measure: Box::new(measure),
            shown: Mutex::default(),
            batches: AtomicUsize::new(0),
        })
    }

    /// As without a policy.
    fn last_two(history: u64) -> Arc<Self> {
        Self::new(history, |_, samples| last_two(samples))
    }

    /// Says that everything uses this much.
    fn flat(millicores: u64) -> Arc<Self> {
        Self::new(0, move |_, samples| {
            let (taken_at, window) = (samples.last().unwrap().taken_at, WindowNanos(SECOND));
            Ok(Usage { taken_at, window, cpu: Nanocores(millicores * 1_000_000), memory: Bytes(1) })
        })
    }

    fn shown(&self, subject: &str) -> Vec<u64> {
        self.shown.lock().get(subject).cloned().unwrap_or_default()
    }
}

impl WindowPolicy for Window {
    fn history(&self) -> Duration {
        self.history
    }

    fn measure(&self, batch: &SeriesBatch<'_>) -> Vec<Result<Usage, NoUsage>> {
        self.batches.fetch_add(1, Ordering::SeqCst);
        let seconds =
            |samples: &[Sample]| samples.iter().map(|s| s.taken_at.seconds().wrapping_sub(START / SECOND)).collect();
        let shown = batch.series.iter().map(|series| (subject(&series.subject), seconds(series.samples)));
        *self.shown.lock() = shown.collect();
        batch.series.iter().map(|series| (self.measure)(&subject(&series.subject), series.samples)).collect()
    }
}

fn tenant(namespaces: &[&str], filter: Option<Arc<dyn FilterPolicy>>, window: Option<Arc<dyn WindowPolicy>>) -> Tenant {
    let mut globs = GlobSet::builder();
    for name in namespaces {
        globs.add(Glob::new(name).unwrap());
    }
    Tenant {
        name: namespaces.first().copied().unwrap_or("default").into(),
        namespaces: globs.build().unwrap(),
        namespace_selector: None,
        filter,
        window,
    }
}

/// The first generation, with these tenants; everyone else has no policies.
fn tenants(tenants: impl IntoIterator<Item = Tenant>) -> Tenants {
    let kinds = vec!["InternalIP".to_owned()];
    let addresses = PreferredAddresses { kinds, use_node_status_port: true, port: 10250, try_all: true };
    Tenants { tenants: tenants.into_iter().collect(), ..Tenants::upstream(addresses) }
}

fn node(name: &str) -> Node {
    Node {
        name: NodeName::new(name),
        labels: Arc::default(),
        annotations: Labels::default(),
        provider_id: None,
        resource_metrics_path: None,
        addresses: Box::default(),
        kubelet_port: None,
        ready: true,
    }
}

/// A container `namespace/pod/container`: when its sample was taken, and its CPU in tenths of core-seconds.
type Reading<'a> = (&'a str, u64, u64);

/// A store, the policies in force, and one node's batches put into it.
struct Court {
    store: Arc<Store>,
    tenants: Tenants,
    world: World,
    now: u64,
}

fn answer(readings: &[Reading<'_>]) -> Answer {
    let mut answer = Answer { node: None, pods: BTreeMap::new() };
    for (path, taken_at, cpu) in readings {
        let [namespace, pod, container] = path.split('/').collect::<Vec<_>>()[..] else { panic!("{path:?}") };
        let containers = answer.pods.entry((namespace.to_owned(), pod.to_owned())).or_default();
        containers.push((container.to_owned(), sample(("", Some(1), *taken_at, *cpu))));
    }
    answer
}

impl Court {
    fn new(of: impl IntoIterator<Item = Tenant>) -> Self {
        let store = Arc::new(Store::new(ours()));
        Self { store, tenants: tenants(of), world: World::default(), now: 0 }
    }

    fn put_answer(&mut self, answer: &Answer) -> Put {
        self.now += 15;
        let node = node("n");
        let judges = Judges::of(&self.tenants, &self.world, &node);
        self.store.put(&node.name, &batch_of(answer), at(self.now), judges.as_ref())
    }

    fn put(&mut self, readings: &[Reading<'_>]) -> Put {
        self.put_answer(&answer(readings))
    }

    /// Two readings of each container, at 100 s and 110 s: those with a rate of 1 use a tenth of a core.
    fn put_twice(&mut self, rates: &[(&str, u64)]) -> Put {
        self.put(&rates.iter().map(|(path, _)| (*path, 100, 10)).collect::<Vec<_>>());
        self.put(&rates.iter().map(|(path, rate)| (*path, 110, 10 + rate * 10)).collect::<Vec<_>>())
    }

    /// The next generation.
    fn adopt(&mut self, of: impl IntoIterator<Item = Tenant>) {
        self.tenants = Tenants { generation: self.tenants.generation + 1, ..tenants(of) };
        let node = node("n");
        self.store.recompute(&node.name, Judges::of(&self.tenants, &self.world, &node).as_ref());
    }

    /// Container by container: millicores and bytes. None where the pod is not served.
    fn pod(&self, pod: &str) -> Option<Vec<String>> {
        let (namespace, name) = pod.split_once('/').unwrap();
        let usage = self.store.pod(PodRef { namespace, name })?;
        let figure = |figure: Option<u64>| figure.map_or("-".to_owned(), |figure| figure.to_string());
        let text = |container: &crate::model::ContainerUsage| {
            let (cpu, memory) = (container.cpu().map(|cpu| cpu.0 / 1_000_000), container.memory().map(|bytes| bytes.0));
            format!("{} {} {}", container.name, figure(cpu), figure(memory))
        };
        Some(usage.containers.iter().map(text).collect())
    }
}

fn some(containers: &[&str]) -> Option<Vec<String>> {
    Some(containers.iter().map(|text| (*text).to_owned()).collect())
}

#[test]
fn a_container_without_policies_costs_one_pointer_more() {
    assert_eq!(size_of::<history::Series>(), size_of::<smallvec::SmallVec<[Sample; 2]>>() + size_of::<usize>());
}

// Filters.

#[test]
fn a_pod_is_served_without_what_is_dropped_and_with_what_is_left_of_the_rest() {
    let filter = Filter::of(&[("proxy", Verdict::DROP), ("busy", Verdict::CPU_ONLY), ("large", Verdict::MEMORY_ONLY)]);
    let mut court = Court::new([tenant(&["shop"], Some(filter), None)]);
    let put = court.put_twice(&[("shop/p/app", 1), ("shop/p/busy", 2), ("shop/p/large", 3), ("shop/p/proxy", 4)]);
    assert_eq!(court.pod("shop/p"), some(&["app 100 111", "busy 200 -", "large - 111"]));
    assert_eq!((put, court.store.container_points()), (Put::default(), 3));
}

#[test]
fn a_pod_of_which_everything_is_dropped_is_absent_and_no_failure() {
    let mut court = Court::new([tenant(&["shop"], Some(Filter::of(&[("app", Verdict::DROP)])), None)]);
    let put = court.put_twice(&[("shop/p/app", 1), ("shop/q/other", 1)]);
    assert_eq!((court.pod("shop/p"), court.pod("shop/q")), (None, some(&["other 100 111"])));
    assert_eq!((put, court.store.container_points()), (Put::default(), 1));
    court.store.forget(&NodeName::new("n"));
    assert_eq!((court.store.container_points(), court.store.namespaces_held()), (0, 0));
}

#[test]
fn what_is_dropped_has_no_say_on_the_time_and_the_presence_of_its_pod() {
    let mut court = Court::new([tenant(&["shop"], Some(Filter::of(&[("new", Verdict::DROP)])), None)]);
    court.put(&[("shop/p/app", 100, 10), ("shop/p/new", 90, 10)]);
    // The container that is dropped has begun anew, and would be waited for.
    let mut second = answer(&[("shop/p/app", 110, 20), ("shop/p/new", 105, 20)]);
    let restarted = second.pods.values_mut().next().unwrap();
    restarted[1].1.started_at = at(104);
    assert_eq!(court.put_answer(&second), Put::default());
    let usage = court.store.pod(PodRef { namespace: "shop", name: "p" }).unwrap();
    assert_eq!((usage.taken_at, usage.containers.len()), (at(110), 1));
}

#[test]
fn a_filter_is_asked_when_what_it_sees_changes_and_not_otherwise() {
    let filter = Filter::of(&[]);
    let mut court = Court::new([tenant(&["shop"], Some(Arc::clone(&filter) as _), None)]);
    court.tenants.needs_namespace_labels = true;
    let (p, q, r) = ("shop/p/app", "shop/q/app", "shop/q/proxy");
    let expect = |court: &mut Court, readings: &[&str], calls: usize, why: &str| {
        let second = 100 + court.now;
        court.put(&readings.iter().map(|path| (*path, second, second)).collect::<Vec<_>>());
        assert_eq!(filter.calls(), calls, "{why}");
    };
    expect(&mut court, &[p], 1, "the first time");
    expect(&mut court, &[p], 1, "nothing changed but samples");
    expect(&mut court, &[p, q], 2, "a pod has come");
    assert_eq!(filter.shown(), [p, q]);
    expect(&mut court, &[q, p], 2, "the kubelet's order does not matter");
    expect(&mut court, &[p, q, r], 3, "a container has come");
    expect(&mut court, &[p, r, q], 3, "nor does that of the containers");
    expect(&mut court, &[p, q], 4, "a container has gone");
    court.world.pods.lock().insert("shop/p".to_owned(), labels(&[("team", "blue")]));
    expect(&mut court, &[p, q], 5, "the labels of a pod have changed");
    court.world.pods.lock().insert("shop/p".to_owned(), labels(&[("team", "blue")]));
    expect(&mut court, &[p, q], 5, "equal labels are the same");
    court.world.namespaces.lock().insert("shop".to_owned(), labels(&[("tier", "gold")]));
    expect(&mut court, &[p, q], 6, "the labels of the namespace have changed");
    court.world.hidden.lock().insert("shop/q".to_owned());
    expect(&mut court, &[p, q], 7, "a pod does not run any more");
    assert_eq!(filter.shown(), [p]);
    court.tenants.generation += 1;
    expect(&mut court, &[p, q], 8, "a new generation");
    expect(&mut court, &[p, q], 8, "and nothing since");
}

#[test]
fn a_verdict_that_does_not_last_is_asked_for_again() {
    let filter = Filter::of(&[]);
    filter.are_lasting.store(false, Ordering::SeqCst);
    let mut court = Court::new([tenant(&["shop"], Some(Arc::clone(&filter) as _), None)]);
    court.put_twice(&[("shop/p/app", 1)]);
    assert_eq!(filter.calls(), 2);
    filter.are_lasting.store(true, Ordering::SeqCst);
    court.put(&[("shop/p/app", 120, 30)]);
    court.put(&[("shop/p/app", 130, 40)]);
    assert_eq!(filter.calls(), 3);
}

#[test]
fn a_pod_is_not_shown_and_not_served_before_the_api_server_has_told_of_it() {
    let filter = Filter::of(&[]);
    let mut court = Court::new([tenant(&["shop"], Some(Arc::clone(&filter) as _), None)]);
    court.world.hidden.lock().insert("shop/new".to_owned());
    let put = court.put_twice(&[("shop/new/app", 1), ("shop/p/app", 1)]);
    assert_eq!((put, filter.shown()), (Put { unknown: 1, ..Put::default() }, vec!["shop/p/app".to_owned()]));
    assert_eq!((court.pod("shop/new"), court.pod("shop/p")), (None, some(&["app 100 111"])));
    court.world.hidden.lock().clear();
    court.put(&[("shop/new/app", 120, 30), ("shop/p/app", 120, 30)]);
    assert_eq!(court.pod("shop/new"), some(&["app 100 121"]), "its samples were kept");
}

#[test]
fn a_window_policy_alone_needs_to_know_nothing_of_a_pod() {
    let mut court = Court::new([tenant(&["shop"], None, Some(Window::last_two(0)))]);
    court.world.hidden.lock().insert("shop/p".to_owned());
    court.put_twice(&[("shop/p/app", 1)]);
    assert_eq!(court.pod("shop/p"), some(&["app 100 111"]));
}

#[test]
fn a_verdict_by_value_is_asked_for_at_every_scrape_with_two_samples_of_those_alone() {
    let filter = Filter::of(&[("app", BY_VALUE), ("proxy", Verdict::DROP)]);
    let mut court = Court::new([tenant(&["shop"], Some(Arc::clone(&filter) as _), Some(Window::last_two(60)))]);
    court.put_twice(&[("shop/p/app", 11), ("shop/p/other", 1), ("shop/p/proxy", 1)]);
    assert_eq!(court.pod("shop/p"), some(&["app 1100 111", "other 100 111"]));
    let rest = |at| [("shop/p/other", at, at), ("shop/p/proxy", at, at)];
    court.put(&[&[("shop/p/app", 120, 130)], &rest(120)[..]].concat());
    assert_eq!(court.pod("shop/p"), some(&["other 1000 121"]), "it used less than a core");
    court.put(&[&[("shop/p/app", 130, 250)], &rest(130)[..]].concat());
    assert_eq!(court.pod("shop/p"), some(&["app 1200 131", "other 100 131"]));
    assert_eq!(filter.calls(), 1);
    assert_eq!(*filter.screened.lock(), [("shop/p/app".to_owned(), 2)]);
}

// Windows.

#[test]
fn a_window_policy_sees_the_history_it_asked_for_across_a_restart() {
    let window = Window::last_two(60);
    let mut court = Court::new([tenant(&["shop"], None, Some(Arc::clone(&window) as _))]);
    for second in [100, 115, 130, 145] {
        court.put(&[("shop/p/app", second, second)]);
    }
    let mut restarted = answer(&[("shop/p/app", 160, 1)]);
    restarted.pods.values_mut().next().unwrap()[0].1.started_at = at(148);
    court.put_answer(&restarted);
    assert_eq!(window.shown("shop/p/app"), [100, 115, 130, 145, 160], "12 s after its start, and none is invented");
    restarted.pods.values_mut().next().unwrap()[0].1.taken_at = at(175);
    court.put_answer(&restarted);
    assert_eq!(window.shown("shop/p/app"), [115, 130, 145, 160, 175]);
}

#[test]
fn all_containers_of_a_tenant_on_a_node_are_one_batch_but_those_that_are_dropped() {
    let window = Window::last_two(0);
    let filter = Filter::of(&[("proxy", Verdict::DROP)]);
    let mut court = Court::new([tenant(&["shop", "till"], Some(filter), Some(Arc::clone(&window) as _))]);
    court.put(&[("till/a/app", 100, 1), ("shop/p/app", 100, 1), ("shop/p/proxy", 100, 1), ("shop/q/app", 100, 1)]);
    assert_eq!(window.batches.load(Ordering::SeqCst), 1);
    let shown: Vec<String> = window.shown.lock().keys().cloned().collect();
    assert_eq!(shown, ["shop/p/app", "shop/q/app", "till/a/app"]);
}

#[test]
fn a_container_whose_usage_is_withheld_keeps_its_pod_out_until_there_is_one() {
    let withheld = |subject: &str, samples: &[Sample]| {
        let is_withheld = subject.ends_with("/slow") && samples.len() < 3;
        if is_withheld { Err(NoUsage::Withheld) } else { last_two(samples) }
    };
    let mut court = Court::new([tenant(&["shop"], None, Some(Window::new(60, withheld)))]);
    let put = court.put_twice(&[("shop/p/app", 1), ("shop/p/slow", 1), ("shop/q/app", 1)]);
    assert_eq!((court.pod("shop/p"), court.pod("shop/q")), (None, some(&["app 100 111"])));
    assert_eq!(put, Put { withheld: 1, ..Put::default() });
    court.put(&[("shop/p/app", 120, 30), ("shop/p/slow", 120, 30), ("shop/q/app", 120, 30)]);
    assert_eq!(court.pod("shop/p"), some(&["app 100 121", "slow 100 121"]));
}

#[test]
fn a_nodes_own_usage_is_measured_by_the_window_policy_of_its_pool() {
    let window = Window::last_two(60);
    let mut court = Court::new([]);
    let pool = NodePool {
        name: "all".into(),
        selector: LabelSelector::parse("").unwrap(),
        address: None,
        window: Some(Arc::clone(&window) as _),
    };
    court.tenants.node_pools.push(pool);
    for second in [100, 115, 130] {
        let mut answer = answer(&[("shop/p/app", second, second)]);
        answer.node = Some(sample(("", None, second, second)));
        court.put_answer(&answer);
    }
    assert_eq!(window.shown("the node"), [100, 115, 130]);
    assert_eq!(court.store.node("n").unwrap().window, WindowNanos(15 * SECOND));
    court.tenants.node_pools[0].window = Some(Window::flat(7));
    court.adopt([]);
    assert_eq!(court.store.node("n").unwrap().cpu, Nanocores(100_000_000), "the pool is gone");
}

#[test]
fn what_is_missing_from_an_answer_is_shown_and_served_as_long_as_it_is_held() {
    let window = Window::last_two(0);
    let filter = Filter::of(&[]);
    let mut court = Court::new([tenant(&["shop"], Some(Arc::clone(&filter) as _), Some(Arc::clone(&window) as _))]);
    court.put_twice(&[("shop/p/app", 1), ("shop/q/app", 1)]);
    for second in [120, 130, 140] {
        assert_eq!(court.put(&[("shop/p/app", second, second)]), Put::default());
        assert_eq!(court.pod("shop/q"), some(&["app 100 111"]), "held");
    }
    assert_eq!((filter.calls(), window.shown("shop/q/app")), (1, vec![100, 110]));
    court.put(&[("shop/p/app", 150, 150)]);
    assert_eq!((court.pod("shop/q"), filter.calls()), (None, 2));
}

// Tenants beside each other.

#[test]
fn no_policy_sees_what_another_tenant_has() {
    let (blue, green, rest) = (Filter::of(&[]), Filter::of(&[]), Filter::of(&[]));
    let (blue_window, rest_window) = (Window::last_two(0), Window::last_two(0));
    let mut court = Court::new([
        tenant(&["blue", "blue-*"], Some(Arc::clone(&blue) as _), Some(Arc::clone(&blue_window) as _)),
        tenant(&["green"], Some(Arc::clone(&green) as _), None),
    ]);
    court.tenants.default = tenant(&[], Some(Arc::clone(&rest) as _), Some(Arc::clone(&rest_window) as _));
    court.put_twice(&[("blue-2/p/x", 1), ("blue/p/x", 1), ("green/p/x", 1), ("kube-system/p/x", 1)]);
    assert_eq!(blue.shown(), ["blue/p/x", "blue-2/p/x"]);
    assert_eq!(green.shown(), ["green/p/x"]);
    assert_eq!(rest.shown(), ["kube-system/p/x"]);
    assert_eq!(blue_window.shown.lock().len(), 2);
    assert_eq!(rest_window.shown.lock().keys().collect::<Vec<_>>(), ["kube-system/p/x"]);
}

#[test]
fn a_namespace_whose_labels_change_is_its_new_owners_from_the_next_scrape_on() {
    let filter = Filter::of(&[("app", Verdict::CPU_ONLY)]);
    let mut owner = tenant(&["none"], Some(Arc::clone(&filter) as _), None);
    owner.namespace_selector = Some(LabelSelector::parse("team=blue").unwrap());
    let mut court = Court::new([owner]);
    court.tenants.needs_namespace_labels = true;
    court.put_twice(&[("shop/p/app", 1)]);
    assert_eq!((court.pod("shop/p"), filter.calls()), (some(&["app 100 111"]), 0));
    court.world.namespaces.lock().insert("shop".to_owned(), labels(&[("team", "blue")]));
    court.put(&[("shop/p/app", 120, 30)]);
    assert_eq!((court.pod("shop/p"), filter.calls()), (some(&["app 100 -"]), 1));
    court.world.namespaces.lock().insert("shop".to_owned(), labels(&[]));
    court.put(&[("shop/p/app", 130, 40)]);
    assert_eq!(court.pod("shop/p"), some(&["app 100 131"]));
}

/// Looks at the store from within a question.
fn peeking(store: &Weak<Store>, pod: &'static str, cpu: &Arc<Mutex<Vec<Option<u64>>>>) -> Arc<Window> {
    let (store, seen) = (Weak::clone(store), Arc::clone(cpu));
    Window::new(0, move |_, samples| {
        let (namespace, name) = pod.split_once('/').unwrap();
        let usage = store.upgrade().unwrap().pod(PodRef { namespace, name });
        seen.lock().push(usage.map(|usage| usage.containers[0].cpu().unwrap().0 / 1_000_000));
        last_two(samples)
    })
}

#[test]
fn a_tenant_without_policies_is_served_before_anybody_elses_policy_is_asked() {
    let mut court = Court::new([]);
    let seen = Arc::default();
    let window = peeking(&Arc::downgrade(&court.store), "zoo/p", &seen);
    court.tenants = tenants([tenant(&["aaa"], None, Some(window))]);
    court.put_twice(&[("aaa/p/app", 1), ("zoo/p/app", 2)]);
    assert_eq!(*seen.lock(), [None, Some(200)], "though it comes last in the answer");
}

#[test]
fn while_a_policy_is_asked_its_pods_are_served_as_before() {
    let mut court = Court::new([]);
    court.put_twice(&[("shop/p/app", 1)]);
    let seen = Arc::default();
    let window = peeking(&Arc::downgrade(&court.store), "shop/p", &seen);
    court.adopt([tenant(&["shop"], None, Some(window))]);
    court.put(&[("shop/p/app", 120, 40)]);
    assert_eq!(*seen.lock(), [Some(100), Some(100)], "at the reload, and at the scrape after it");
    assert_eq!(court.pod("shop/p"), some(&["app 200 121"]));
}

// New generations.

#[test]
fn a_new_generation_is_served_at_once_and_the_old_one_again_as_soon_as_it_is_back() {
    let mut court = Court::new([]);
    court.put_twice(&[("shop/p/app", 1), ("shop/p/proxy", 2), ("zoo/p/app", 3)]);
    let before = court.pod("shop/p");
    let filter = Filter::of(&[("proxy", Verdict::DROP)]);
    court.adopt([tenant(&["shop"], Some(Arc::clone(&filter) as _), Some(Window::flat(7)))]);
    assert_eq!(court.pod("shop/p"), some(&["app 7 1"]));
    assert_eq!(court.pod("zoo/p"), some(&["app 300 111"]), "who has no policies notices nothing");
    assert_eq!(court.store.container_points(), 2);
    court.adopt([tenant(&["zoo"], Some(filter), None)]);
    assert_eq!(court.pod("shop/p"), before, "its tenant is gone");
    court.adopt([]);
    assert_eq!((court.pod("zoo/p"), court.store.container_points()), (some(&["app 300 111"]), 3));
    let put = court.put(&[("shop/p/app", 120, 30), ("shop/p/proxy", 120, 50), ("zoo/p/app", 120, 70)]);
    assert_eq!((put, court.pod("shop/p")), (Put::default(), some(&["app 100 121", "proxy 200 121"])));
}

#[test]
fn a_new_window_policy_answers_at_once_from_what_is_known() {
    let mut court = Court::new([]);
    court.put_twice(&[("shop/p/app", 1)]);
    let window = Window::last_two(300);
    court.adopt([tenant(&["shop"], None, Some(Arc::clone(&window) as _))]);
    assert_eq!((window.shown("shop/p/app"), court.pod("shop/p")), (vec![100, 110], some(&["app 100 111"])));
    court.put(&[("shop/p/app", 120, 30)]);
    assert_eq!(window.shown("shop/p/app"), [100, 110, 120]);
}

#[test]
fn history_outlives_its_policy_so_that_a_change_can_be_taken_back() {
    let window = Window::last_two(300);
    let with_policy = || [tenant(&["shop"], None, Some(Arc::clone(&window) as _))];
    let mut court = Court::new(with_policy());
    for second in [100, 115, 130] {
        court.put(&[("shop/p/app", second, second)]);
    }
    court.adopt([]);
    court.put(&[("shop/p/app", 145, 145)]);
    court.adopt(with_policy());
    assert_eq!(window.shown("shop/p/app"), [100, 115, 130, 145]);
    // For ten minutes; then nobody is expected to want it any more.
    court.adopt([]);
    court.now += 600;
    court.put(&[("shop/p/app", 160, 160)]);
    court.adopt(with_policy());
    assert_eq!(window.shown("shop/p/app"), [145, 160], "the latest two alone");
}

#[test]
fn a_reload_of_a_node_that_was_never_heard_of_leaves_nothing_behind() {
    let mut court = Court::new([]);
    court.adopt([tenant(&["shop"], Some(Filter::of(&[])), None)]);
    assert!(court.store.histories.read().is_empty());
    court.put_twice(&[("shop/p/app", 1)]);
    court.store.forget(&NodeName::new("n"));
    court.adopt([]);
    assert_eq!((court.pod("shop/p"), court.store.namespaces_held()), (None, 0));
}

// Agreement.

/// Policies that decide as upstream does, for namespace `a`; for the rest, a filter whose verdicts do not last.
fn as_upstream() -> Tenants {
    let fleeting = Filter::of(&[]);
    fleeting.are_lasting.store(false, Ordering::SeqCst);
    let mut tenants = tenants([tenant(&["a"], Some(Filter::of(&[])), Some(Window::last_two(0)))]);
    tenants.default = tenant(&[], Some(fleeting), None);
    let selector = LabelSelector::parse("").unwrap();
    let window: Arc<dyn WindowPolicy> = Window::last_two(0);
    tenants.node_pools.push(NodePool { name: "all".into(), selector, address: None, window: Some(window) });
    tenants
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn policies_that_decide_as_upstream_does_serve_what_is_served_without(
        rounds in generate::rounds(2), with_ours: bool, reloads in prop::collection::vec(any::<bool>(), 14),
    ) {
        let rules = || if with_ours { ours() } else { upstreams() };
        let (native, judged) = (Store::new(rules()), Store::new(rules()));
        let (tenants, world) = (as_upstream(), World::default());
        let nodes = [node("node-0"), node("node-1")];
        for (round, answers) in rounds.iter().enumerate() {
            let now = UnixNanos(START + round as u64 * 15 * SECOND);
            for (node, answer) in nodes.iter().zip(answers) {
                let judges = Judges::of(&tenants, &world, node);
                prop_assert!(judges.is_some());
                let Some(answer) = answer else {
                    [&native, &judged].into_iter().for_each(|store| store.miss(&node.name, now));
                    continue;
                };
                let batch = batch_of(answer);
                let expected = native.put(&node.name, &batch, now, None);
                prop_assert_eq!(judged.put(&node.name, &batch, now, judges.as_ref()), expected, "round {}", round);
                if reloads[round] {
                    judged.recompute(&node.name, judges.as_ref());
                    native.recompute(&node.name, None);
                }
            }
            for node in &nodes {
                prop_assert_eq!(judged.node(node.name.as_str()), native.node(node.name.as_str()), "round {}", round);
            }
            for pod in ["p", "q"].into_iter().flat_map(|name| ["a", "b"].map(|namespace| PodRef { namespace, name })) {
                prop_assert_eq!(judged.pod(pod), native.pod(pod), "{} in round {}", pod, round);
            }
            prop_assert_eq!(judged.container_points(), native.container_points());
        }
    }

    #[test]
    fn a_window_policy_sees_rising_times_that_end_with_the_newest_reading(
        rounds in generate::rounds(1), span in 1u64..120,
    ) {
        let is_right = move |_: &str, samples: &[Sample]| {
            let newest = samples.last().expect("every container has a sample").taken_at;
            assert!(samples.is_sorted_by(|a, b| a.taken_at < b.taken_at), "{samples:?}");
            let is_within = |sample: &Sample| newest.since(sample.taken_at) <= Duration::from_secs(span);
            assert!(samples.iter().rev().skip(2).all(is_within), "{span} s: {samples:?}");
            last_two(samples)
        };
        let window = Window::new(span, is_right);
        let mut court = Court::new([]);
        court.tenants.default = tenant(&[], None, Some(Arc::clone(&window) as _));
        for answer in rounds.into_iter().flatten().flatten() {
            court.put_answer(&answer);
            for ((namespace, pod), containers) in &answer.pods {
                for (name, sample) in containers {
                    let newest = sample.taken_at.seconds().wrapping_sub(START / SECOND);
                    let shown = window.shown(&format!("{namespace}/{pod}/{name}"));
                    prop_assert_eq!(shown.last(), Some(&newest));
                }
            }
        }
    }
}

/// What the store knows of a pod on the court's node.
fn look(court: &Court, pod: &'static str) -> PodLook {
    let (namespace, name) = pod.split_once('/').unwrap();
    let (look, _) = court.store.look_at_pod("n", PodRef { namespace, name }).expect("nobody writes");
    look.unwrap_or_else(|| panic!("{pod} is known"))
}

#[test]
fn what_policies_say_is_noted_beside_the_samples_for_as_long_as_they_have_a_say() {
    let filter = Filter::of(&[("side", Verdict::DROP)]);
    let window = Window::new(
        0,
        |subject, samples| {
            if subject.ends_with("/odd") { Err(NoUsage::Withheld) } else { last_two(samples) }
        },
    );
    let mut court = Court::new([tenant(&["shop"], Some(filter), Some(window))]);
    let containers = [("shop/web/app", 10), ("shop/web/side", 10), ("shop/odd/odd", 10)];
    for round in 0..3 {
        court.put(&containers.map(|(path, cpu)| (path, 15 * (round + 1), cpu + round)));
    }
    let web = look(&court, "shop/web");
    assert_eq!((web.outcome, web.is_judged), (Some(Ok(())), true));
    let said = |look: &PodLook, at: usize| look.containers[at].note.classified.of(0);
    assert_eq!((said(&web, 0), said(&web, 1)), (Opinion::Keep, Opinion::Drop));
    assert_eq!(web.containers[0].note.voice, Some(Voice::Policy));
    assert_eq!(web.containers[0].readings.count, 2);
    let odd = look(&court, "shop/odd");
    assert_eq!(odd.outcome, Some(Err(Absent::NoUsage(NoUsage::Withheld))));
    assert_eq!(odd.containers[0].note.no_usage, Some(NoUsage::Withheld));

    // Without policies there is nothing that they say.
    court.tenants = tenants([]);
    court.put(&containers.map(|(path, cpu)| (path, 60, cpu + 9)));
    let web = look(&court, "shop/web");
    assert_eq!((web.outcome, web.is_judged), (Some(Ok(())), false));
}

#[test]
fn a_history_that_is_being_written_is_busy_and_nobody_waits_for_it() {
    let pod = PodRef { namespace: "shop", name: "web" };
    let (began, go_on) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let window = {
        let (began, go_on) = (Arc::clone(&began), Arc::clone(&go_on));
        Window::new(0, move |_, samples| {
            began.wait();
            go_on.wait();
            last_two(samples)
        })
    };
    let mut court = Court::new([tenant(&["shop"], None, Some(window))]);
    let store = Arc::clone(&court.store);
    let writer = std::thread::spawn(move || court.put(&[("shop/web/app", 15, 10)]));
    began.wait();
    assert!(matches!(store.look_at_pod("n", pod), Err(Busy)));
    assert_eq!(store.say(pod).map(|say| say.usage), None, "what is published is not locked");
    go_on.wait();
    writer.join().unwrap();
    assert!(store.look_at_pod("n", pod).is_ok());
}
