//! Inputs for property tests: all that the contract's types can hold, and much of what kubelets do.
//!
//! Times that repeat or fall, counters that fall, restarts, starts unknown or in the future, values up to the largest: a
//! policy must have an answer to each. With the feature `proptest`.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::{EPOCH, History, columns};
use crate::address::{Node, NodeAddress};
use crate::filter::Pod;
use crate::{Batch, Bytes, Duration, Labels, Sample, Series, Time};

/// A number of any size; small and largest ones are likely.
pub fn number() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 0_u64..4, 4 => any::<u64>(), 2 => u64::MAX - 4..=u64::MAX, 2 => 0..200_000_000_000_u64]
}

/// A time: any, or one near [`EPOCH`].
pub fn time() -> impl Strategy<Value = Time> {
    let near = (0_u64..600).prop_map(|seconds| EPOCH.plus(Duration::from_secs(seconds)));
    prop_oneof![1 => number().prop_map(Time::from_nanos), 2 => near]
}

/// A sample without any order to the others.
pub fn sample() -> impl Strategy<Value = Sample> {
    (time(), time(), number(), number()).prop_map(|(taken_at, started_at, cpu, memory)| Sample {
        taken_at,
        started_at,
        cpu: Duration::from_nanos(cpu),
        memory: Bytes::new(memory),
    })
}

/// Up to 12 samples without any order.
pub fn history() -> impl Strategy<Value = History> {
    prop_oneof![vec(sample(), 0..12).prop_map(History::of), plausible()]
}

/// Up to 20 samples as a kubelet might report them: times rise, counters mostly do, now and then the container restarts.
pub fn plausible() -> impl Strategy<Value = History> {
    let step = (1_u64..120_000, 0_u64..200_000, select(vec![0_u8, 0, 0, 0, 0, 0, 1, 2]), 0_u64..1 << 34);
    vec(step, 0..20).prop_map(|steps| {
        let mut last = Sample { taken_at: EPOCH, started_at: EPOCH, ..Sample::default() };
        let next = |(span, used, event, memory): (u64, u64, u8, u64)| {
            last.taken_at = last.taken_at.plus(Duration::from_millis(span));
            last.cpu = last.cpu.plus(Duration::from_millis(used));
            last.memory = Bytes::new(memory);
            if event > 0 {
                last.cpu = Duration::from_nanos(last.cpu.as_nanos() / 3);
            }
            if event == 2 {
                last.started_at = last.taken_at;
            }
            last
        };
        History::of(steps.into_iter().map(next).collect::<Vec<_>>())
    })
}

/// Up to 5 series, of containers or of the node.
pub fn batch() -> impl Strategy<Value = Batch> {
    prop_oneof![
        vec((name(), name(), name(), history()), 0..5).prop_map(|series| {
            let subject = |(namespace, pod, container, _): &(String, String, String, History)| {
                format!("{}/{}/{}", namespace.replace('/', ""), pod.replace('/', ""), container.replace('/', ""))
            };
            let subjects: Vec<String> = series.iter().map(subject).collect();
            let subjects = subjects.iter().map(String::as_str).collect();
            columns("node-1", Some(subjects), series.iter().map(|(_, _, _, history)| history.samples()))
        }),
        history().prop_map(|history| columns("node-1", None, [history.samples()])),
    ]
}

/// A name: usual, empty, long, or of any characters.
pub fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-z]([-a-z0-9]{0,8}[a-z0-9])?",
        1 => Just(String::new()),
        1 => "[a-z]{253}",
        2 => any::<String>(),
    ]
}

/// Labels with few or odd keys.
pub fn labels() -> impl Strategy<Value = Labels> {
    vec((prop_oneof!["[a-c]", name()], name()), 0..5).prop_map(|pairs| {
        let mut labels = Labels::default();
        for (key, value) in pairs {
            labels.set(&key, &value);
        }
        labels
    })
}

/// Up to 8 pods without any order, some twice, some without a container.
pub fn pods() -> impl Strategy<Value = Vec<Pod>> {
    let pod = (prop_oneof!["[a-b]", name()], name(), name(), labels(), labels(), vec(name(), 0..5)).prop_map(
        |(namespace, name, node, labels, namespace_labels, containers)| Pod {
            namespace,
            name,
            node,
            labels,
            namespace_labels,
            containers,
        },
    );
    vec(pod, 0..8)
}

/// A node whose addresses are IP addresses, names or neither.
pub fn node() -> impl Strategy<Value = Node> {
    let kind = prop_oneof![
        select(vec!["InternalIP", "ExternalIP", "Hostname", "InternalDNS"]).prop_map(str::to_owned),
        name()
    ];
    let address = prop_oneof![
        any::<std::net::Ipv4Addr>().prop_map(|ip| ip.to_string()),
        any::<std::net::Ipv6Addr>().prop_map(|ip| ip.to_string()),
        name(),
    ];
    let addresses = vec((kind, address).prop_map(|(kind, address)| NodeAddress { kind, address }), 0..24);
    let rest = (proptest::option::of(any::<u16>()), proptest::option::of(name()), any::<bool>());
    (name(), labels(), labels(), addresses, rest).prop_map(
        |(name, labels, annotations, addresses, (kubelet_port, provider_id, ready))| Node {
            name,
            labels,
            annotations,
            addresses,
            kubelet_port,
            provider_id,
            ready,
        },
    )
}

/// The lowest and the highest rate between neighbouring samples.
pub fn rates_of(series: &Series<'_>) -> Option<(u64, u64)> {
    let rates = || series.rates().map(crate::Nanocores::get);
    Some((rates().min()?, rates().max()?))
}
