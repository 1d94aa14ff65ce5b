//! One question to each hook about things that do not exist, before a plugin may answer for those that do.
//!
//! In: a plugin, configured. Out: whether its answer can be believed; what it says does not matter. This finds what only
//! asking can find: traps, limits that are too tight, answers of the wrong length.

use crate::model::policy::{PodIdentity, Series, SeriesBatch, Subject};
use crate::model::units::{Bytes, CpuNanoseconds, UnixNanos};
use crate::model::{Labels, Node, NodeAddress, NodeName, PodRef, Sample};

use super::binding::BadAnswer;
use super::call::{Called, Failed, PluginError};
use super::columns::columns;
use super::filter::Codes;
use super::{address, filter, window};

const NODE: &str = "rehearsal-node";
const NAMESPACE: &str = "rehearsal";
/// Sidecars and all: what filters look for.
const PODS: [(&str, &[&str]); 2] = [("cart-7d9f", &["app", "istio-proxy"]), ("worker-0", &["log-shipper", "main"])];
const SECOND: u64 = 1_000_000_000;
/// Some time in 2026.
const NOW: UnixNanos = UnixNanos(1_795_212_000 * SECOND);

/// Asks for the addresses of a node.
///
/// # Errors
/// Why the plugin must not be asked about real nodes.
pub fn address(guest: &impl address::Ask) -> Result<(), PluginError> {
    const PORT: u16 = 10250;
    let choice = answer(guest.candidates(&address::to_wit(&node())))?;
    believed(address::check(choice, PORT))
}

/// Asks about the containers of two pods, and about what they use where the plugin may want to see that.
///
/// # Errors
/// Why the plugin must not be asked about real pods.
pub fn filter(guest: &impl filter::Ask, codes: Codes) -> Result<(), PluginError> {
    let labels: Labels = [("app.kubernetes.io/name", "cart"), ("team", "rehearsal")].into_iter().collect();
    let pods: Vec<_> = pods()
        .map(|(pod, containers)| PodIdentity { pod, node: NODE, labels: &labels, namespace_labels: None, containers })
        .map(|pod| filter::to_wit(&pod))
        .collect();
    let rows = subjects().len();
    let name = |row: usize| subjects()[row].to_string();
    let verdicts = answer(guest.classify(&pods))?;
    believed(filter::check(verdicts, rows, codes, name))?;
    if codes == Codes::Final {
        return Ok(());
    }
    let samples = samples();
    let batch = batch(&subjects(), &samples[1..]);
    let verdicts = answer(guest.screen(&columns(&batch)))?;
    believed(filter::check(verdicts, rows, Codes::Final, name))
}

/// Asks for the usage of containers, or of a node.
///
/// # Errors
/// Why the plugin must not be asked about real ones.
pub fn window(guest: &impl window::Ask, of: Measured) -> Result<(), PluginError> {
    let samples = samples();
    let batch = match of {
        Measured::Containers => batch(&subjects(), &samples),
        Measured::Node => batch(&[Subject::Node], &samples),
    };
    let usages = answer(guest.measure(&columns(&batch)))?;
    believed(window::check(&usages, &batch))
}

/// What a window policy is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measured {
    /// A tenant's containers.
    Containers,
    /// The nodes of a pool.
    Node,
}

fn answer<T>(called: Result<Called<T>, Failed>) -> Result<T, PluginError> {
    called.map(|called| called.answer).map_err(|failed| failed.error)
}

fn believed<T>(checked: Result<T, BadAnswer>) -> Result<(), PluginError> {
    checked.map(drop).map_err(|BadAnswer(text)| PluginError::BadOutput(text))
}

fn node() -> Node {
    let address = |kind: &str, address: &str| NodeAddress { kind: kind.into(), address: address.into() };
    Node {
        name: NodeName::new(NODE),
        labels: std::sync::Arc::new([("kubernetes.io/hostname", NODE)].into_iter().collect()),
        annotations: Labels::default(),
        provider_id: Some("rehearsal:///zone-a/node".into()),
        resource_metrics_path: None,
        // Addresses for documentation, RFC 5737 and RFC 3849.
        addresses: [
            address("InternalIP", "192.0.2.7"),
            address("InternalIP", "2001:db8::7"),
            address("Hostname", NODE),
        ]
        .into(),
        kubelet_port: Some(10250),
        ready: true,
    }
}

fn pods() -> impl Iterator<Item = (PodRef<'static>, &'static [&'static str])> {
    PODS.into_iter().map(|(name, containers)| (PodRef { namespace: NAMESPACE, name }, containers))
}

fn subjects() -> Vec<Subject<'static>> {
    let of_pod =
        |(pod, names): (_, &'static [&'static str])| names.iter().map(move |name| Subject::Container { pod, name });
    pods().flat_map(of_pod).collect()
}

/// Three readings of a container that uses a tenth of a core.
fn samples() -> [Sample; 3] {
    [30, 15, 0].map(|age| Sample {
        taken_at: UnixNanos(NOW.0 - age * SECOND),
        started_at: UnixNanos(NOW.0 - 3600 * SECOND),
        cpu: CpuNanoseconds((3600 - age) * SECOND / 10),
        memory: Bytes(64 << 20),
    })
}

fn batch<'a>(subjects: &[Subject<'a>], samples: &'a [Sample]) -> SeriesBatch<'a> {
    let series = subjects.iter().map(|subject| Series { subject: *subject, samples }).collect();
    SeriesBatch { node: NODE, series }
}
