//! Questions that no author thinks of: of no rows and of thousands, of empty and overlong names, of counters at both ends of
//! their range and back.
//!
//! Each is one that a gateway may really ask, because what kubelets and objects say is hostile: nothing here is outside
//! the types and the sentences of the contract but texts that the API server would not have let through, and those are
//! marked ([`Hostile::is_lawful`]). No row of a batch lies more than an hour from another.

use super::question::{ContainerName, EPOCH, Histories, History, Hook, Pod, Question};
use super::typical;
use crate::model::units::{Bytes, CpuNanoseconds, UnixNanos};
use crate::model::{Labels, NodeAddress, NodeName, Sample};

/// As many rows as one call of the gateway has.
const MOST_ROWS: usize = 4_096;
/// The longest name that Kubernetes allows.
const LONGEST_NAME: usize = 253;
/// Nanoseconds.
const SECOND: u64 = 1_000_000_000;

/// A question with a name.
#[derive(Clone, Debug, PartialEq)]
pub struct Hostile {
    /// What is special about it.
    pub name: &'static str,
    /// The question.
    pub question: Question,
    /// Whether the API server lets it come about. Where it does not, an answer that cannot be believed is no fault.
    pub is_lawful: bool,
}

/// All of them for one hook.
pub fn questions(hook: Hook) -> Vec<Hostile> {
    let (lawful, unlawful) = match hook {
        Hook::Address => nodes(),
        Hook::Filter => (pods(), vec![("texts that are all empty", Question::Filter(unnamed_pods()))]),
        Hook::FilterByValue => batches(2, Question::FilterByValue),
        Hook::Window => batches(240, Question::Window),
    };
    let named = |is_lawful: bool| move |(name, question)| Hostile { name, question, is_lawful };
    lawful.into_iter().map(named(true)).chain(unlawful.into_iter().map(named(false))).collect()
}

type Named = Vec<(&'static str, Question)>;

fn nodes() -> (Named, Named) {
    let typical = typical::node;
    let address = |kind: &str, address: &str| NodeAddress { kind: kind.into(), address: address.into() };
    let mut bare = typical();
    (bare.labels, bare.annotations, bare.provider_id) = (Labels::default().into(), Labels::default(), None);
    (bare.addresses, bare.kubelet_port, bare.ready) = (Box::new([]), None, false);
    let mut long = typical();
    long.name = NodeName::new(long_name());
    long.addresses = Box::new([address("Hostname", &long_name()), address("InternalDNS", &long_name())]);
    let mut foreign = typical();
    foreign.annotations = Labels::from_iter([("example.org/note", "Größe ist „egal“ – 大丈夫 🦀")]);
    foreign.provider_id = Some("wolke://größe/節点".into());
    let mut twice = typical();
    twice.addresses = twice.addresses.iter().chain(&*twice.addresses).cloned().collect();
    let mut many = typical();
    many.addresses = (0..64).map(|number| address("InternalIP", &format!("fd00::{number:x}"))).collect();
    many.annotations = (0..64).map(|number| (format!("example.org/note-{number}"), "x".repeat(4_096))).collect();
    let mut unnamed = typical();
    (unnamed.name, unnamed.provider_id) = (NodeName::new(""), Some("".into()));
    (unnamed.labels, unnamed.addresses) = (Labels::from_iter([("", "")]).into(), Box::new([address("", "")]));
    let mut absurd = typical();
    let hosts =
        ["no address", "10.0.0.7:10250", "[fd00::7]", "https://example.org/", "10.0.0.999", "fe80::1%eth0", "größe"];
    absurd.addresses = hosts.iter().map(|host| address("InternalIP", host)).collect();
    let asked = |(name, node)| (name, Question::Address(Box::new(node)));
    let lawful = [
        ("a node like most", typical()),
        ("a node without addresses, labels or a port", bare),
        ("names of 253 bytes", long),
        ("texts beyond ASCII", foreign),
        ("every address twice", twice),
        ("64 addresses and 256 KiB of annotations", many),
    ];
    let unlawful = [("texts that are all empty", unnamed), ("addresses that are none", absurd)];
    (lawful.into_iter().map(asked).collect(), unlawful.into_iter().map(asked).collect())
}

fn pods() -> Named {
    let typical = || typical::pods(3);
    let long = Pod {
        namespace: "n".repeat(63),
        name: long_name(),
        node: long_name(),
        labels: Labels::from_iter([(format!("{}/{}", long_name(), "k".repeat(63)), "v".repeat(63))]),
        namespace_labels: Labels::default(),
        containers: vec!["c".repeat(63)],
    };
    let foreign = Pod {
        labels: Labels::from_iter([("größe", "„egal“"), ("大きさ", "🦀")]),
        containers: vec!["behälter".to_owned()],
        ..typical().remove(0)
    };
    let bare = Pod { labels: Labels::default(), namespace_labels: Labels::default(), ..typical().remove(0) };
    let labelled = Pod {
        labels: (0..1_000).map(|number| (format!("example.org/label-{number}"), "v".repeat(63))).collect(),
        ..typical().remove(0)
    };
    let crowded =
        Pod { containers: (0..100).map(|number| format!("container-{number:03}")).collect(), ..typical().remove(0) };
    let asked = |(name, pods)| (name, Question::Filter(pods));
    let questions = [
        ("no pods", Vec::new()),
        ("one container", typical::pods(1)),
        ("4,096 containers", typical::pods(MOST_ROWS)),
        ("names of 253 bytes", vec![long]),
        ("texts beyond ASCII", vec![foreign]),
        ("a pod without labels", vec![bare]),
        ("a pod of 1,000 labels", vec![labelled]),
        ("a pod of 100 containers", vec![crowded]),
        ("the same pods twice", [typical(), typical()].concat()),
    ];
    questions.into_iter().map(asked).collect()
}

fn unnamed_pods() -> Vec<Pod> {
    let pod =
        Pod { labels: Labels::from_iter([("", "")]), containers: vec![String::new(), String::new()], ..Pod::default() };
    vec![pod.clone(), pod]
}

fn batches(most_samples: usize, ask: impl Fn(Histories) -> Question) -> (Named, Named) {
    let named = |name: &str| vec![History { container: Some(container(name)), samples: typical::readings(0, 2) }];
    let batch = |series: Vec<History>| Histories { node: "node-1".to_owned(), series };
    let one = || typical::histories(1, 2).series;
    let lawful = [
        ("no series", batch(Vec::new())),
        ("one series", batch(one())),
        ("4,096 series", typical::histories(MOST_ROWS, 2)),
        ("a full history", typical::histories(3, most_samples)),
        ("names of 253 bytes", Histories { node: long_name(), series: named(&long_name()) }),
        ("texts beyond ASCII", Histories { node: "größe".to_owned(), series: named("大きさ 🦀") }),
        ("the node itself", batch(vec![History { container: None, samples: typical::readings(0, 2) }])),
        ("series without samples", batch(vec![history(0, &[]), history(1, &[])])),
        ("one sample each", typical::histories(3, 1)),
        ("the same series twice", batch([one(), one()].concat())),
        ("counters of zero", batch(vec![history(0, &[(15, 0, 0), (0, 0, 0)])])),
        ("a counter that stands still at its highest", batch(vec![history(0, &[(15, u64::MAX, 1), (0, u64::MAX, 1)])])),
        ("a counter that leaps from 0 to its highest", batch(vec![history(0, &[(15, 0, 1), (0, u64::MAX, 1)])])),
        ("a counter that falls", batch(vec![history(0, &[(15, u64::MAX, 1), (0, 7, 1)])])),
        ("memory of 0 and of 2^64 - 1", batch(vec![history(0, &[(15, 1, 0), (0, 2, u64::MAX)])])),
        ("a restart", batch(vec![restarted()])),
        ("a start after the reading", batch(vec![started_later()])),
        ("readings a nanosecond apart", batch(vec![a_nanosecond_apart()])),
        ("readings at the beginning of time", batch(vec![at(0, 15 * SECOND)])),
        ("readings at the end of time", batch(vec![at(u64::MAX - 15 * SECOND, u64::MAX)])),
        ("one bad row among good ones", batch(among_good_ones(history(9, &[(15, 0, 1), (0, u64::MAX, u64::MAX)])))),
    ];
    let unnamed = History { container: Some(ContainerName::default()), samples: typical::readings(0, 2) };
    let unlawful = [("texts that are all empty", Histories { node: String::new(), series: vec![unnamed] })];
    let asked = |(name, histories)| (name, ask(histories));
    (lawful.into_iter().map(&asked).collect(), unlawful.into_iter().map(&asked).collect())
}

fn container(name: &str) -> ContainerName {
    ContainerName { namespace: name.to_owned(), pod: name.to_owned(), name: name.to_owned() }
}

/// Readings by their age in seconds, oldest first, with CPU counter and memory.
fn history(row: usize, readings: &[(u64, u64, u64)]) -> History {
    let sample = |&(age, cpu, memory): &(u64, u64, u64)| Sample {
        taken_at: UnixNanos(EPOCH.0 - age * SECOND),
        started_at: UnixNanos(EPOCH.0 - 3_000 * SECOND),
        cpu: CpuNanoseconds(cpu),
        memory: Bytes(memory),
    };
    History { container: Some(container(&format!("row-{row}"))), samples: readings.iter().map(sample).collect() }
}

fn restarted() -> History {
    let mut history = history(0, &[(15, 90 * SECOND, 1), (0, SECOND, 1)]);
    history.samples[1].started_at = UnixNanos(EPOCH.0 - 5 * SECOND);
    history
}

fn started_later() -> History {
    let mut history = history(0, &[(15, SECOND, 1), (0, 2 * SECOND, 1)]);
    history.samples[1].started_at = UnixNanos(EPOCH.0 + 5 * SECOND);
    history
}

fn a_nanosecond_apart() -> History {
    let mut history = history(0, &[(1, SECOND, 1), (0, 2 * SECOND, 1)]);
    history.samples[0].taken_at = UnixNanos(EPOCH.0 - 1);
    history
}

fn at(first: u64, second: u64) -> History {
    let mut history = history(0, &[(15, SECOND, 1), (0, 2 * SECOND, 1)]);
    (history.samples[0].taken_at, history.samples[1].taken_at) = (UnixNanos(first), UnixNanos(second));
    for sample in &mut history.samples {
        sample.started_at = UnixNanos::ZERO;
    }
    history
}

fn among_good_ones(bad: History) -> Vec<History> {
    let mut series = typical::histories(4, 2).series;
    series.insert(2, bad);
    series
}

fn long_name() -> String {
    // Labels of DNS names have 63 bytes at most.
    let name = [63, 63, 63, 61].map(|length| "n".repeat(length)).join(".");
    debug_assert_eq!(name.len(), LONGEST_NAME);
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authoring::question::HOOKS;

    fn all() -> impl Iterator<Item = (Hook, Hostile)> {
        HOOKS.into_iter().flat_map(|(_, hook)| questions(hook).into_iter().map(move |hostile| (hook, hostile)))
    }

    #[test]
    fn every_question_is_one_for_its_hook_and_named_once() {
        for (_, hook) in HOOKS {
            let names: Vec<&str> = questions(hook).iter().map(|hostile| hostile.name).collect();
            let mut once = names.clone();
            once.sort_unstable();
            once.dedup();
            assert_eq!(once.len(), names.len(), "{names:?}");
        }
        assert!(all().all(|(hook, hostile)| hostile.question.hook() == hook));
    }

    #[test]
    fn every_question_is_well_formed_by_the_contract() {
        for (hook, Hostile { name, question, .. }) in all() {
            assert!(question.rows() <= MOST_ROWS, "{hook:?}, {name}: {} rows", question.rows());
            match question {
                Question::Address(node) => {
                    let longest = node.annotations.iter().map(|(_, value)| value.len()).max().unwrap_or_default();
                    assert!(longest <= 4_096, "{name}");
                }
                Question::Filter(pods) => assert!(pods.iter().all(|pod| !pod.containers.is_empty()), "{name}"),
                Question::FilterByValue(histories) => {
                    check_histories(name, &histories);
                    assert!(histories.series.iter().all(|history| history.samples.len() <= 2), "{name}");
                }
                Question::Window(histories) => check_histories(name, &histories),
            }
        }
    }

    fn check_histories(name: &str, histories: &Histories) {
        let rises = |history: &History| history.samples.is_sorted_by(|a, b| a.taken_at < b.taken_at);
        assert!(histories.series.iter().all(rises), "{name}");
        let nodes = histories.series.iter().filter(|history| history.container.is_none()).count();
        assert!(nodes == 0 || histories.series.len() == 1, "{name}");
        let times = || histories.series.iter().flat_map(|history| &history.samples).map(|sample| sample.taken_at);
        let (first, last) = (times().min().unwrap_or_default(), times().max().unwrap_or_default());
        assert!(last.since(first).as_secs() <= 3_600, "{name}: {first:?} to {last:?}");
    }

    #[test]
    fn sizes_and_ends_of_ranges_are_all_there() {
        for hook in [Hook::Filter, Hook::FilterByValue, Hook::Window] {
            let rows: Vec<usize> = questions(hook).iter().map(|hostile| hostile.question.rows()).collect();
            assert!([0, 1, 4_096].iter().all(|size| rows.contains(size)), "{hook:?}: {rows:?}");
        }
        assert_eq!(long_name().len(), 253);
    }
}
