use parking_lot::Mutex;
use proptest::prelude::*;

use super::*;
use crate::model::units::{Bytes, CpuNanoseconds, UnixNanos};
use crate::model::{Labels, PodRef, Sample};
use crate::plugins::artifact::Hook;
use crate::plugins::binding::bench::{Bench, says, traps};

/// A filter that judges containers by name, and writes down what it was asked about.
struct Double {
    judge: fn(&str) -> u8,
    fails: bool,
    asked: Mutex<Vec<Vec<String>>>,
}

impl Guest for Double {}

impl Double {
    fn answer(&self, names: Vec<String>) -> Result<Called<Vec<u8>>, Failed> {
        let codes = names.iter().map(|name| (self.judge)(name.rsplit('/').next().unwrap_or(name))).collect();
        self.asked.lock().push(names);
        if self.fails { traps() } else { says(codes) }
    }
}

impl Ask for Double {
    fn classify(&self, pods: &[Pod]) -> Result<Called<Vec<u8>>, Failed> {
        let of_pod = |pod: &Pod| {
            let labels: Vec<&str> = pod.namespace_labels.iter().map(|label| &*label.value).collect();
            let prefix = format!("{}{}", labels.concat(), pod.name);
            pod.containers.iter().map(|name| format!("{prefix}/{name}")).collect::<Vec<_>>()
        };
        assert!(pods.iter().all(|pod| !pod.containers.is_empty()), "a pod has a container");
        self.answer(pods.iter().flat_map(of_pod).collect())
    }

    fn screen(&self, batch: &types::Batch) -> Result<Called<Vec<u8>>, Failed> {
        let types::Subjects::Containers(of) = &batch.subjects else { panic!("containers are screened") };
        let name = |index: u32| {
            let begin = index.checked_sub(1).map_or(0, |before| of.names.ends[before as usize]);
            of.names.text[begin as usize..of.names.ends[index as usize] as usize].to_owned()
        };
        let mut begin = 0;
        let series = of.container.iter().zip(&batch.ends).map(|(index, end)| {
            let samples = &batch.taken_at[begin as usize..*end as usize];
            begin = *end;
            format!("{samples:?}/{}", name(*index))
        });
        self.answer(series.collect())
    }
}

fn double(judge: fn(&str) -> u8) -> Double {
    Double { judge, fails: false, asked: Mutex::default() }
}

fn link(bench: &Bench, double: Double) -> Link<Double> {
    let binding = bench.bind(Hook::Filter, double);
    Link { binding, on_error: OnError::Keep, codes: Codes::ByValueToo, sees_namespace_labels: false }
}

fn chain<const N: usize>(doubles: [Double; N]) -> FilterChain<Double> {
    let bench = Bench::new();
    FilterChain::new(doubles.into_iter().map(|double| link(&bench, double)).collect())
}

/// What the filters of a chain were asked about, call by call.
fn asked(chain: &FilterChain<Double>) -> Vec<Vec<Vec<String>>> {
    chain.links.iter().map(|link| link.binding.guest().asked.lock().clone()).collect()
}

const CART: &[&str] = &["app", "istio-proxy"];
const WORKER: &[&str] = &["log-shipper", "main"];

fn pods<'a>(labels: &'a Labels, of: &'a [(&'a str, &'a [&'a str])]) -> Vec<PodIdentity<'a>> {
    let pod = |(name, containers): &(&'a str, &'a [&'a str])| PodIdentity {
        pod: PodRef { namespace: "shop", name },
        node: "node-7",
        labels,
        namespace_labels: Some(labels),
        containers,
    };
    of.iter().map(pod).collect()
}

fn classified(chain: &FilterChain<Double>) -> Verdicts {
    let labels = [("team", "shop-team-")].into_iter().collect();
    chain.classify(&pods(&labels, &[("cart", CART), ("worker", WORKER)]))
}

fn by_value(bits: u8) -> Verdict {
    Verdict { by_value: bits, ..Verdict::KEEP }
}

fn sidecars(name: &str) -> u8 {
    u8::from(["istio-proxy", "log-shipper"].contains(&name))
}

#[test]
fn codes_say_what_is_served() {
    let judge = |name: &str| match name {
        "app" => 0,
        "istio-proxy" => 1,
        "log-shipper" => 2,
        _ => 3,
    };
    let verdicts = classified(&chain([double(judge)]));
    let expected = vec![Verdict::KEEP, Verdict::DROP, Verdict::CPU_ONLY, Verdict::MEMORY_ONLY];
    assert_eq!(verdicts, Verdicts { verdicts: expected, are_lasting: true });
}

#[test]
fn a_later_filter_is_asked_only_about_what_the_earlier_ones_kept() {
    let chain = chain([double(sidecars), double(|name| if name == "app" { 2 } else { 1 }), double(|_| 4)]);
    let verdicts = classified(&chain).verdicts;
    let app = Verdict { by_value: 0b100, ..Verdict::CPU_ONLY };
    assert_eq!(verdicts, [app, Verdict::DROP, Verdict::DROP, Verdict::DROP]);
    let all = vec!["cart/app", "cart/istio-proxy", "worker/log-shipper", "worker/main"];
    assert_eq!(asked(&chain), [vec![all], vec![vec!["cart/app", "worker/main"]], vec![vec!["cart/app"]]]);
}

#[test]
fn where_everything_is_dropped_nobody_else_is_asked() {
    let chain = chain([double(|_| 1), double(|_| 0)]);
    assert_eq!(classified(&chain).verdicts, [Verdict::DROP; 4]);
    assert_eq!(asked(&chain)[1], Vec::<Vec<String>>::new());
}

#[test]
fn without_containers_nobody_is_asked() {
    let chain = chain([double(|_| 0)]);
    assert_eq!(chain.classify(&[]), Verdicts { verdicts: Vec::new(), are_lasting: true });
    assert_eq!(asked(&chain), [Vec::<Vec<String>>::new()]);
}

#[test]
fn labels_of_namespaces_are_shown_to_who_may_see_them() {
    let bench = Bench::new();
    let mut links = [link(&bench, double(|_| 0)), link(&bench, double(|_| 0))];
    links[1].sees_namespace_labels = true;
    let chain = FilterChain::new(links.into());
    classified(&chain);
    let first: Vec<String> = asked(&chain).iter().map(|calls| calls[0][0].clone()).collect();
    assert_eq!(first, ["cart/app", "shop-team-cart/app"]);
}

#[test]
fn where_a_filter_fails_its_containers_are_kept_or_dropped_and_asked_about_again() {
    for (on_error, expected) in [(OnError::Keep, Verdict::KEEP), (OnError::Drop, Verdict::DROP)] {
        let bench = Bench::new();
        let failing = Link { on_error, ..link(&bench, Double { fails: true, ..double(|_| 0) }) };
        let chain = FilterChain::new(vec![link(&bench, double(sidecars)), failing]);
        let expected = vec![expected, Verdict::DROP, Verdict::DROP, expected];
        assert_eq!(classified(&chain), Verdicts { verdicts: expected, are_lasting: false });
    }
}

#[test]
fn a_filter_that_cannot_screen_may_not_promise_to() {
    let bench = Bench::new();
    let chain = FilterChain::new(vec![Link { codes: Codes::Final, ..link(&bench, double(|_| 4)) }]);
    assert_eq!(classified(&chain), Verdicts { verdicts: vec![Verdict::KEEP; 4], are_lasting: false });
    assert_eq!(bench.count("bad-output"), 1);
}

#[test]
fn faults_name_the_container() {
    let fault =
        |codes: &[u8], may| check(codes.to_vec(), 2, may, |row| format!("container {row}")).unwrap_err().to_string();
    assert_eq!(fault(&[0], Codes::Final), "1 verdicts on 2 containers");
    assert_eq!(fault(&[0, 0, 0], Codes::Final), "3 verdicts on 2 containers");
    assert_eq!(fault(&[0, 5], Codes::ByValueToo), "row 1, container 1: there is no verdict 5");
    assert!(fault(&[4, 0], Codes::Final).starts_with("row 0, container 0: verdict 4 (by value)"));
    let labels = Labels::default();
    let pods = pods(&labels, &[("cart", CART), ("worker", WORKER)]);
    let part = parts(&pods, &[Verdict::DROP, Verdict::KEEP, Verdict::KEEP, Verdict::KEEP]).remove(0);
    assert_eq!(part.name(1), "container \"shop/worker/log-shipper\"");
}

#[test]
fn a_call_holds_4096_containers_and_pods_are_cut_only_if_they_must_be() {
    let names: Vec<String> = (0..5000).map(|number| format!("c{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (labels, many) = (Labels::default(), chain([double(|_| 0)]));
    let of = [("a", &names[..4000]), ("b", &names[..97]), ("c", &names[..]), ("d", &names[..96])];
    let verdicts = many.classify(&pods(&labels, &of));
    assert_eq!(verdicts.verdicts.len(), 4000 + 97 + 5000 + 96);
    let calls: Vec<usize> = asked(&many)[0].iter().map(Vec::len).collect();
    assert_eq!(calls, [4000, 97, 4096, 904 + 96]);
}

#[test]
fn a_failed_call_of_several_costs_its_own_containers_only() {
    let names: Vec<String> = (0..4097).map(|number| format!("c{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (labels, bench) = (Labels::default(), Bench::new());
    // The last of them has no verdict that exists, and is in the second call.
    let judge = |name: &str| if name == "c4096" { 9 } else { 1 };
    let chain = FilterChain::new(vec![link(&bench, double(judge))]);
    let verdicts = chain.classify(&pods(&labels, &[("a", &names[..])]));
    assert_eq!(verdicts.verdicts[..4096], [Verdict::DROP; 4096]);
    assert_eq!((verdicts.verdicts[4096], verdicts.are_lasting), (Verdict::KEEP, false));
}

fn samples() -> [Sample; 3] {
    [1, 2, 3].map(|number| Sample {
        taken_at: UnixNanos(number),
        started_at: UnixNanos::ZERO,
        cpu: CpuNanoseconds(number),
        memory: Bytes(number),
    })
}

fn screened(chain: &FilterChain<Double>, before: &[Verdict]) -> Vec<Verdict> {
    let samples = samples();
    let pod = PodRef { namespace: "shop", name: "cart" };
    let series = |name| Series { subject: Subject::Container { pod, name }, samples: &samples };
    chain.screen(&SeriesBatch { node: "node-7", series: ["a", "b", "c"].map(series).into() }, before)
}

#[test]
fn a_screen_asks_those_who_promised_about_what_they_promised_and_two_samples() {
    let chain = chain([double(|name| u8::from(name == "a")), double(|_| 0), double(|_| 2)]);
    let verdicts = screened(&chain, &[by_value(0b101), by_value(0b001), by_value(0b100)]);
    assert_eq!(verdicts, [Verdict::DROP, Verdict::KEEP, Verdict::CPU_ONLY]);
    let expected = [vec![vec!["[2, 3]/a", "[2, 3]/b"]], vec![], vec![vec!["[2, 3]/c"]]];
    assert_eq!(asked(&chain), expected);
}

#[test]
fn what_was_withheld_before_a_screen_stays_withheld() {
    let memory = Verdict { by_value: 1, ..Verdict::MEMORY_ONLY };
    let verdicts = screened(&chain([double(|name| if name == "a" { 2 } else { 0 })]), &[memory, memory, by_value(1)]);
    assert_eq!(verdicts, [Verdict::DROP, Verdict::MEMORY_ONLY, Verdict::KEEP]);
}

#[test]
fn a_screen_that_fails_keeps_or_drops() {
    for (on_error, expected) in [(OnError::Keep, Verdict::KEEP), (OnError::Drop, Verdict::DROP)] {
        let bench = Bench::new();
        // "By value" is no answer to the question by value.
        let chain = FilterChain::new(vec![Link { on_error, ..link(&bench, double(|_| 4)) }]);
        assert_eq!(screened(&chain, &[by_value(1), Verdict::KEEP, by_value(1)]), [expected, Verdict::KEEP, expected]);
    }
}

proptest! {
    #[test]
    fn whatever_bytes_a_plugin_answers_only_known_verdicts_are_believed(
        codes in prop::collection::vec(0..7_u8, 0..20), rows in 0..20_usize, is_by_value: bool,
    ) {
        let (may, most) = if is_by_value { (Codes::ByValueToo, 4) } else { (Codes::Final, 3) };
        let is_right = codes.len() == rows && codes.iter().all(|code| *code <= most);
        prop_assert_eq!(check(codes.clone(), rows, may, |_| String::new()).is_ok(), is_right);
    }

    #[test]
    fn parts_hold_every_container_that_is_not_dropped_once_and_in_order(
        pods_of in prop::collection::vec(0..3000_usize, 0..8), dropped in 2..9_usize,
    ) {
        let labels = Labels::default();
        let names = vec!["c"; 3000];
        let of: Vec<(&str, &[&str])> = pods_of.iter().map(|count| ("p", &names[..*count])).collect();
        let pods = pods(&labels, &of);
        let total: usize = pods_of.iter().sum();
        let verdict = |row: usize| if row.is_multiple_of(dropped) { Verdict::DROP } else { Verdict::KEEP };
        let verdicts: Vec<Verdict> = (0..total).map(verdict).collect();
        let parts = parts(&pods, &verdicts);
        let rows: Vec<usize> = parts.iter().flat_map(|part| part.rows.clone()).collect();
        let expected: Vec<usize> = (0..total).filter(|row| !verdicts[*row].is_drop()).collect();
        prop_assert_eq!(rows, expected);
        for part in parts {
            prop_assert!((1..=MOST_CONTAINERS).contains(&part.rows.len()));
            let containers: usize = part.pods.iter().map(|(_, containers)| containers.len()).sum();
            prop_assert_eq!(containers, part.rows.len());
            prop_assert!(part.pods.iter().all(|(_, containers)| !containers.is_empty()));
        }
    }
}

#[test]
fn who_of_a_chain_said_what_is_noted_and_changes_no_verdict() {
    use Opinion::{ByValue, CpuOnly, Drop, FellBackToKeep, Keep, NotAsked};
    let failing = Double { fails: true, ..double(|_| 1) };
    let chain = chain([double(sidecars), double(|name| if name == "app" { 2 } else { 4 }), failing]);
    let labels = Labels::default();
    let pods = pods(&labels, &[("cart", CART), ("worker", WORKER)]);
    let mut opinions = vec![Opinions::default(); 4];
    let verdicts = chain.classify_and_note(&pods, &mut opinions);
    assert_eq!(verdicts, chain.classify(&pods));
    let said = |row: usize| [0, 1, 2].map(|filter| opinions[row].of(filter));
    assert_eq!(said(0), [Keep, CpuOnly, FellBackToKeep]);
    assert_eq!(said(1), [Drop, NotAsked, NotAsked]);
    assert_eq!(said(3), [Keep, ByValue, FellBackToKeep]);
}
