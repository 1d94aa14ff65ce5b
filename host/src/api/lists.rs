//! Lists of nodes and of pods: the cluster's names joined with the store's usage, written as they are walked.
//!
//! Both sides are sorted by namespace and name, so the join is one walk through both. It goes in steps: each writes a
//! piece of the answer under the two read locks of one namespace, lets them go, and remembers the last name. What
//! changes between two steps is seen as it then is; no object is written twice or out of order.
//!
//! A list leaves while it is walked, and costs the memory of one piece. Protobuf cannot do that: it begins with its own
//! length, and what it was made of may have changed by the time it would be made again. Such a list is kept whole, once,
//! in pieces that are let go as they are sent; all of them together get [`Room`], and beyond it a list is told to wait.

use std::collections::VecDeque;
use std::collections::btree_map::Range;
use std::ops::Bound;
use std::sync::Arc;

use prometheus::local::LocalHistogram;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::body::{Body, Pieces};
use super::route::ListOptions;
use super::wire::{ApiVersion, Form, Item, Listing, NodeItem, PodItem, Resource, Status};
use super::{Answer, Parts};
use crate::discovery::Namespace;
use crate::model::units::UnixNanos;
use crate::model::{Labels, PodRef};
use crate::store::{NamespaceUsage, Served, Store};

/// Up to here a list is sent whole, with its length; beyond, in pieces. The same bound as for compression.
const SMALL: usize = 128 * 1024;

/// Memory for lists that are kept whole until they are sent.
pub(super) struct Room(Arc<Semaphore>);

impl Room {
    /// 128 MiB: two lists of 150,000 pods at a time, or ten of 30,000.
    const BYTES: usize = 128 << 20;

    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(Self::BYTES / SMALL)))
    }

    /// Memory for one piece.
    fn take(&self) -> Result<OwnedSemaphorePermit, Status> {
        Arc::clone(&self.0).try_acquire_owned().map_err(|_| {
            Status::unavailable(
                "too many long lists in protobuf are being sent, which take memory until they are; JSON takes none",
            )
        })
    }
}

/// The nodes that match and have usage.
pub(super) fn nodes(parts: &Parts, version: ApiVersion, options: ListOptions, form: Form) -> Answer {
    let now = parts.clock.now();
    let freshness = parts.metrics.freshness.local();
    let mut items = Vec::with_capacity(SMALL / 8);
    let mut listing = Listing::new(Resource::Nodes, version, form, now);
    for node in parts.cluster.nodes() {
        let name = node.name.as_str();
        if !options.labels.matches(&node.labels) || !options.fields.matches("", name) {
            continue;
        }
        let Some(usage) = parts.store.node(name) else { continue };
        freshness.observe(now.since(usage.taken_at).as_secs_f64());
        listing.push(&mut items, &Item::Node(NodeItem { name, labels: &node.labels, usage: &usage }));
    }
    Answer::document(between(&listing, items), form)
}

/// The pods that match and have usage: of one namespace, or of all.
///
/// # Errors
/// 503 where the answer would have to be kept whole and there is no room for it.
pub(super) async fn pods(
    parts: &Parts,
    room: &Room,
    version: ApiVersion,
    namespace: Option<String>,
    options: ListOptions,
    form: Form,
) -> Result<Answer, Status> {
    let mut namespaces = match namespace {
        Some(name) => parts.cluster.namespace(&name).into_iter().collect(),
        None => parts.cluster.namespaces(),
    };
    namespaces.reverse();
    let now = parts.clock.now();
    let mut walk = Walk {
        store: Arc::clone(&parts.store),
        namespaces,
        current: None,
        options,
        listing: Listing::new(Resource::Pods, version, form, now),
        freshness: parts.metrics.freshness.local(),
        now,
    };
    let mut first = Vec::with_capacity(SMALL / 8);
    if !walk.write(&mut first, SMALL) {
        return Ok(Answer::document(between(&walk.listing, first), form));
    }
    let body = if form.needs_length() {
        Body::in_pieces(keep_whole(walk, first, room).await?)
    } else {
        let mut head = Vec::with_capacity(first.len() + 1024);
        walk.listing.head(&mut head, 0);
        head.append(&mut first);
        Body::in_pieces(Streamed { first: head, walk })
    };
    Ok(Answer::ok(form.content_type(), body))
}

/// A list whose items are all there.
fn between(listing: &Listing, mut items: Vec<u8>) -> Vec<u8> {
    let mut list = Vec::with_capacity(items.len() + 1024);
    listing.head(&mut list, items.len());
    list.append(&mut items);
    listing.tail(&mut list);
    list
}

/// Walks to the end before anything is sent.
async fn keep_whole(mut walk: Walk, first: Vec<u8>, room: &Room) -> Result<Kept, Status> {
    let mut pieces = VecDeque::from([(first, room.take()?)]);
    let mut has_more = true;
    while has_more {
        // Others want to be answered too.
        tokio::task::yield_now().await;
        let mut piece = Vec::with_capacity(SMALL + SMALL / 32);
        let place = room.take()?;
        has_more = walk.write(&mut piece, SMALL);
        pieces.push_back((piece, place));
    }
    let length = pieces.iter().map(|(piece, _)| piece.len()).sum();
    let (mut head, mut tail) = (Vec::new(), Vec::new());
    walk.listing.head(&mut head, length);
    walk.listing.tail(&mut tail);
    Ok(Kept { head, pieces, tail })
}

/// A list that is there already, in pieces.
struct Kept {
    head: Vec<u8>,
    pieces: VecDeque<(Vec<u8>, OwnedSemaphorePermit)>,
    tail: Vec<u8>,
}

impl Pieces for Kept {
    fn write(&mut self, out: &mut Vec<u8>, _: usize) -> bool {
        out.append(&mut self.head);
        match self.pieces.pop_front() {
            Some((piece, _)) if out.is_empty() => *out = piece,
            Some((mut piece, _)) => out.append(&mut piece),
            None => {}
        }
        if self.pieces.is_empty() {
            out.append(&mut self.tail);
        }
        !self.pieces.is_empty()
    }
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
            self.walk.listing.tail(out);
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
    listing: Listing,
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
    /// Writes items until there is enough; false once there are no more.
    fn write(&mut self, out: &mut Vec<u8>, enough: usize) -> bool {
        while let Some(mut place) = self.current.take().or_else(|| self.next_namespace()) {
            if self.write_namespace(&mut place, out, enough) {
                self.current = Some(place);
                return true;
            }
        }
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
    fn write_namespace(&mut self, place: &mut Place, out: &mut Vec<u8>, enough: usize) -> bool {
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
            self.listing.push(out, &Item::Pod(PodItem { pod, labels, usage: &served.usage }));
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

#[cfg(test)]
mod tests;
