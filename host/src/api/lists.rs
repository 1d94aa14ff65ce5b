//! Lists of nodes and of pods: the cluster's names joined with the store's usage, written as they are walked.
//!
//! Both sides are sorted by namespace and name, so the join is one walk through both. It goes in steps: each writes a
//! piece of the answer under the two read locks of one namespace, lets them go, and remembers the last name. What
//! changes between two steps is seen as it then is; no object is written twice or out of order.

use std::collections::btree_map::Range;
use std::ops::Bound;
use std::sync::Arc;

use prometheus::local::LocalHistogram;

use super::body::{Body, Pieces};
use super::route::ListOptions;
use super::wire::{ApiVersion, Form, Listing, NodeItem, PodItem, Resource};
use super::{Answer, Parts};
use crate::discovery::Namespace;
use crate::model::units::UnixNanos;
use crate::model::{Labels, PodRef};
use crate::store::{NamespaceUsage, Served, Store};

/// Up to here a list is sent whole, with its length; beyond, in pieces. The same bound as for compression.
const SMALL: usize = 128 * 1024;

/// The nodes that match and have usage.
pub(super) fn nodes(parts: &Parts, version: ApiVersion, options: ListOptions, form: Form) -> Answer {
    let now = parts.clock.now();
    let freshness = parts.metrics.freshness.local();
    let mut out = Vec::with_capacity(SMALL / 8);
    let mut listing = Listing::begin(&mut out, Resource::Nodes, version, form.view, now);
    for node in parts.cluster.nodes() {
        let name = node.name.as_str();
        if !options.labels.matches(&node.labels) || !options.fields.matches("", name) {
            continue;
        }
        let Some(usage) = parts.store.node(name) else { continue };
        freshness.observe(now.since(usage.taken_at).as_secs_f64());
        listing.push_node(&mut out, &NodeItem { name, labels: &node.labels, usage: &usage });
    }
    listing.end(&mut out);
    Answer::document(out, form)
}

/// The pods that match and have usage: of one namespace, or of all.
pub(super) fn pods(
    parts: &Parts,
    version: ApiVersion,
    namespace: Option<String>,
    options: ListOptions,
    form: Form,
) -> Answer {
    let mut namespaces = match namespace {
        Some(name) => parts.cluster.namespace(&name).into_iter().collect(),
        None => parts.cluster.namespaces(),
    };
    namespaces.reverse();
    let now = parts.clock.now();
    let mut first = Vec::with_capacity(SMALL / 8);
    let listing = Listing::begin(&mut first, Resource::Pods, version, form.view, now);
    let mut walk = Walk {
        store: Arc::clone(&parts.store),
        namespaces,
        current: None,
        options,
        listing: Some(listing),
        freshness: parts.metrics.freshness.local(),
        now,
    };
    let enough = if form.is_streamable() { SMALL } else { usize::MAX };
    if walk.write(&mut first, enough) {
        let rest = Streamed { first, walk };
        return Answer::ok(form.content_type(), Body::in_pieces(rest));
    }
    Answer::document(first, form)
}

/// A list that is sent while it is written: what is written already, and the rest.
struct Streamed {
    first: Vec<u8>,
    walk: Walk,
}

impl Pieces for Streamed {
    fn write(&mut self, out: &mut Vec<u8>, enough: usize) -> bool {
        if !self.first.is_empty() {
            out.append(&mut self.first);
            return true;
        }
        let has_more = self.walk.write(out, enough);
        if !has_more {
            // As every whole document in compact JSON ends.
            out.push(b'\n');
        }
        has_more
    }
}

/// A walk through the pods of some namespaces.
struct Walk {
    store: Arc<Store>,
    /// Those that are still to come, the next one last.
    namespaces: Vec<Arc<Namespace>>,
    current: Option<Place>,
    options: ListOptions,
    /// None once the list is ended.
    listing: Option<Listing>,
    freshness: LocalHistogram,
    now: UnixNanos,
}

/// Where a walk is: in a namespace, after a pod.
pub(super) struct Place {
    pub(super) namespace: Arc<Namespace>,
    pub(super) usage: Arc<NamespaceUsage>,
    pub(super) after: Option<Arc<str>>,
}

impl Walk {
    /// Writes until there is enough; false once the list is complete.
    fn write(&mut self, out: &mut Vec<u8>, enough: usize) -> bool {
        let Some(mut listing) = self.listing.take() else { return false };
        while let Some(mut place) = self.current.take().or_else(|| self.next_namespace()) {
            if self.write_namespace(&mut place, &mut listing, out, enough) {
                self.current = Some(place);
                self.listing = Some(listing);
                return true;
            }
        }
        listing.end(out);
        false
    }

    /// The next namespace of which there is any usage.
    fn next_namespace(&mut self) -> Option<Place> {
        loop {
            let namespace = self.namespaces.pop()?;
            if let Some(usage) = self.store.namespace(&namespace.name) {
                return Some(Place { namespace, usage, after: None });
            }
        }
    }

    /// Writes pods of one namespace; true if it stopped because there is enough.
    fn write_namespace(&mut self, place: &mut Place, listing: &mut Listing, out: &mut Vec<u8>, enough: usize) -> bool {
        let namespace = &*place.namespace.name;
        let (pods, usage) = (place.namespace.read(), place.usage.read());
        let from = place.after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let range = (from, Bound::Unbounded);
        for (name, labels, served) in joined(pods.range::<str, _>(range), usage.range::<str, _>(range)) {
            if !self.options.labels.matches(labels) || !self.options.fields.matches(namespace, name) {
                continue;
            }
            self.freshness.observe(self.now.since(served.usage.taken_at).as_secs_f64());
            let pod = PodRef { namespace, name };
            listing.push_pod(out, &PodItem { pod, labels, usage: &served.usage });
            if out.len() >= enough {
                place.after = Some(Arc::clone(name));
                return true;
            }
        }
        false
    }
}

/// The pods that are on both sides.
pub(super) fn joined<'a>(
    pods: Range<'a, Arc<str>, Arc<Labels>>,
    usage: Range<'a, Arc<str>, Served>,
) -> impl Iterator<Item = (&'a Arc<str>, &'a Labels, &'a Served)> {
    let mut usage = usage.peekable();
    pods.filter_map(move |(name, labels)| {
        while usage.next_if(|(other, _)| *other < name).is_some() {}
        let (_, served) = usage.next_if(|(other, _)| *other == name)?;
        Some((name, &**labels, served))
    })
}
