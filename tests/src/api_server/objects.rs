//! The objects of the double: nodes, pods, namespaces and ConfigMaps, with resource versions and a history of changes.
//!
//! In: whole objects as JSON. Out: snapshots for lists, changes for watches, each object rendered as text when it is
//! sent. An object is kept as two texts (metadata, and all the rest), so that 150,000 pods take some hundred megabytes
//! less than as trees, and both projections (whole, metadata only) are a concatenation.
//!
//! The history is bounded; who asks for a change that has left it is told "410 Gone", as by etcd after a compaction.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use super::selection::Selection;

/// How many changes are remembered; the real watch cache holds some thousands as well.
const HISTORY: usize = 20_000;
/// When every object was made: no test depends on it, and kubectl prints an age.
const CREATED: &str = "2026-01-01T00:00:00Z";

/// The kinds of objects that the double holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Node objects.
    Nodes,
    /// Pod objects.
    Pods,
    /// Namespace objects.
    Namespaces,
    /// ConfigMap objects.
    ConfigMaps,
}

impl Resource {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Nodes, Self::Pods, Self::Namespaces, Self::ConfigMaps];

    /// The plural, as in paths.
    pub fn plural(self) -> &'static str {
        ["nodes", "pods", "namespaces", "configmaps"][self as usize]
    }

    /// The kind of one object.
    pub fn kind(self) -> &'static str {
        ["Node", "Pod", "Namespace", "ConfigMap"][self as usize]
    }

    /// The short name that kubectl knows.
    pub fn short_name(self) -> &'static str {
        ["no", "po", "ns", "cm"][self as usize]
    }

    /// Whether its objects lie in namespaces.
    pub fn is_namespaced(self) -> bool {
        matches!(self, Self::Pods | Self::ConfigMaps)
    }

    /// The resource with this plural.
    pub fn parse(plural: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|resource| resource.plural() == plural)
    }
}

/// How much of an object a client wants to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Projection {
    /// All of it.
    Whole,
    /// Its metadata (`as=PartialObjectMetadata`).
    Metadata,
}

/// One version of one object.
#[derive(Clone, Debug)]
pub struct Object {
    pub(super) resource: Resource,
    pub(super) namespace: Arc<str>,
    pub(super) name: Arc<str>,
    pub(super) version: u64,
    /// `status.phase`, or "".
    pub(super) phase: Arc<str>,
    /// `spec.nodeName`, or "".
    pub(super) node: Arc<str>,
    /// The fields of the metadata but the version, without the opening brace.
    metadata: Arc<str>,
    /// All other fields, without braces.
    rest: Arc<str>,
}

impl Object {
    fn parse(resource: Resource, mut value: Value) -> Self {
        let text = |value: &Value, pointer| value.pointer(pointer).and_then(Value::as_str).unwrap_or("").into();
        let (namespace, name): (Arc<str>, Arc<str>) =
            (text(&value, "/metadata/namespace"), text(&value, "/metadata/name"));
        assert!(!name.is_empty(), "an object needs a name: {value}");
        assert_eq!(resource.is_namespaced(), !namespace.is_empty(), "namespace of {} {name:?}", resource.kind());
        let (phase, node) = (text(&value, "/status/phase"), text(&value, "/spec/nodeName"));
        let fields = value.as_object_mut().expect("an object is a JSON object");
        let mut metadata = match fields.remove("metadata") {
            Some(Value::Object(metadata)) => metadata,
            _ => Map::new(),
        };
        fields.remove("kind");
        fields.remove("apiVersion");
        metadata.remove("resourceVersion");
        metadata.entry("creationTimestamp").or_insert_with(|| CREATED.into());
        metadata.entry("uid").or_insert_with(|| uid(resource, &namespace, &name).into());
        let rest = value.to_string();
        Self {
            resource,
            namespace,
            name,
            version: 0,
            phase,
            node,
            metadata: Value::Object(metadata).to_string()[1..].into(),
            rest: rest[1..rest.len() - 1].into(),
        }
    }

    /// Appends the object as JSON. Items of a list bear no kind, except those that are metadata only, as in Kubernetes.
    pub(super) fn render(&self, projection: Projection, place: Place, out: &mut String) {
        match (projection, place) {
            (Projection::Whole, Place::Item) => out.push('{'),
            (Projection::Whole, Place::Alone) => {
                let _ = write!(out, r#"{{"kind":"{}","apiVersion":"v1","#, self.resource.kind());
            }
            (Projection::Metadata, _) => {
                out.push_str(r#"{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","#);
            }
        }
        let _ = write!(out, r#""metadata":{{"resourceVersion":"{}",{}"#, self.version, self.metadata);
        if projection == Projection::Whole && !self.rest.is_empty() {
            out.push(',');
            out.push_str(&self.rest);
        }
        out.push('}');
    }

    /// Its labels; parsed anew, as few lists ask for them.
    pub(super) fn labels(&self) -> BTreeMap<String, String> {
        let metadata: Value = serde_json::from_str(&format!("{{{}", self.metadata)).expect("rendered from a value");
        let labels = metadata["labels"].as_object().into_iter().flatten();
        labels.map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
    }

    fn key(&self) -> Key {
        (self.namespace.clone(), self.name.clone())
    }
}

/// Where an object stands in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Alone,
    Item,
}

/// Stable and distinct; nobody needs it to be random.
fn uid(resource: Resource, namespace: &str, name: &str) -> String {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    (resource.plural(), namespace, name).hash(&mut hasher);
    let hash = hasher.finish();
    format!("{:08x}-{:04x}-4000-8000-{:012x}", hash >> 32, hash >> 16 & 0xffff, hash & 0xffff_ffff_ffff)
}

type Key = (Arc<str>, Arc<str>);

/// One change: what was, what is.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) version: u64,
    pub(super) before: Option<Arc<Object>>,
    /// None: deleted.
    pub(super) after: Option<Arc<Object>>,
}

/// What watches are told besides changes; each counts up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Signals {
    /// Bookmarks that were ordered.
    pub(super) bookmarks: u64,
    /// How often all open watches were ended with 410.
    pub(super) expiries: u64,
}

/// The objects, shared by all requests.
pub struct Objects {
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

struct State {
    version: u64,
    objects: [BTreeMap<Key, Arc<Object>>; 4],
    history: VecDeque<Change>,
    /// Changes up to this version have left the history.
    forgotten: u64,
    signals: Signals,
}

impl Default for Objects {
    fn default() -> Self {
        let state = State {
            // Clients take version 0 for "any", so there never is one.
            version: 1,
            objects: Default::default(),
            history: VecDeque::new(),
            forgotten: 1,
            signals: Signals::default(),
        };
        Self { state: Mutex::new(state), changed: watch::Sender::new(()) }
    }
}

/// A page of a list.
pub(super) struct Page {
    pub(super) objects: Vec<Arc<Object>>,
    /// Of the list, as of its first page.
    pub(super) version: u64,
    /// Where the next page begins, and how many objects remain.
    pub(super) next: Option<(Key, usize)>,
}

/// What happened since a watcher looked last.
pub(super) struct News {
    pub(super) changes: Vec<Change>,
    pub(super) version: u64,
    pub(super) signals: Signals,
}

/// The asked version has left the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gone;

impl Objects {
    /// Adds the objects, or changes those that exist.
    pub fn apply(&self, resource: Resource, values: impl IntoIterator<Item = Value>) {
        // Parsed before the lock is taken: lists and watches go on meanwhile.
        let objects: Vec<Object> = values.into_iter().map(|value| Object::parse(resource, value)).collect();
        let mut state = self.state.lock();
        for mut object in objects {
            state.version += 1;
            object.version = state.version;
            let object = Arc::new(object);
            let before = state.objects[resource as usize].insert(object.key(), object.clone());
            state.remember(before, Some(object));
        }
        drop(state);
        self.changed.send_replace(());
    }

    /// Deletes an object and says whether there was one. `namespace` is "" where the resource has none.
    pub fn delete(&self, resource: Resource, namespace: &str, name: &str) -> bool {
        let mut state = self.state.lock();
        let Some(before) = state.objects[resource as usize].remove(&(namespace.into(), name.into())) else {
            return false;
        };
        state.version += 1;
        state.remember(Some(before), None);
        drop(state);
        self.changed.send_replace(());
        true
    }

    /// How many objects there are.
    pub fn count(&self, resource: Resource) -> usize {
        self.state.lock().objects[resource as usize].len()
    }

    /// Forgets the history, as etcd does every five minutes: continue tokens and watches that start before the newest
    /// change are too old.
    pub fn compact(&self) {
        self.state.lock().forget();
    }

    /// Ends every open watch with "410 Gone", and lets none start from any version that a client knows.
    pub fn expire_watches(&self) {
        let mut state = self.state.lock();
        state.version += 1;
        state.forget();
        state.signals.expiries += 1;
        drop(state);
        self.changed.send_replace(());
    }

    /// Sends a bookmark to every watch that allows them.
    pub fn bookmark(&self) {
        self.state.lock().signals.bookmarks += 1;
        self.changed.send_replace(());
    }

    pub(super) fn get(&self, resource: Resource, namespace: &str, name: &str) -> Option<Arc<Object>> {
        self.state.lock().objects[resource as usize].get(&(namespace.into(), name.into())).cloned()
    }

    /// The objects that `selection` picks, from `start` on. Later pages show newer objects where they changed in
    /// between, but bear the version of the first: a watch from there repeats a change, and misses none.
    pub(super) fn page(
        &self,
        resource: Resource,
        selection: &Selection,
        limit: usize,
        start: Option<(u64, Key)>,
    ) -> Result<Page, Gone> {
        let state = self.state.lock();
        let version = start.as_ref().map_or(state.version, |(version, _)| *version);
        if version < state.forgotten {
            return Err(Gone);
        }
        let all = &state.objects[resource as usize];
        let mut rest = match start {
            Some((_, key)) => all.range(key..),
            None => all.range::<Key, _>(..),
        };
        let mut objects = Vec::new();
        while let Some((key, object)) = rest.next() {
            if objects.len() == limit {
                let remaining = 1 + rest.count();
                return Ok(Page { objects, version, next: Some((key.clone(), remaining)) });
            }
            if selection.picks(object) {
                objects.push(object.clone());
            }
        }
        Ok(Page { objects, version, next: None })
    }

    /// All changes of `resource` after `version`.
    pub(super) fn since(&self, resource: Resource, version: u64) -> Result<News, Gone> {
        let state = self.state.lock();
        if version < state.forgotten {
            return Err(Gone);
        }
        let first = state.history.partition_point(|change| change.version <= version);
        let of_resource = |change: &&Change| change.resource() == resource;
        let changes = state.history.range(first..).filter(of_resource).cloned().collect();
        Ok(News { changes, version: state.version, signals: state.signals })
    }

    pub(super) fn signals(&self) -> Signals {
        self.state.lock().signals
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }
}

impl State {
    fn forget(&mut self) {
        self.history.clear();
        self.forgotten = self.version;
    }

    fn remember(&mut self, before: Option<Arc<Object>>, after: Option<Arc<Object>>) {
        self.history.push_back(Change { version: self.version, before, after });
        if self.history.len() > HISTORY {
            self.forgotten = self.history.pop_front().map_or(self.forgotten, |change| change.version);
        }
    }
}

impl Change {
    fn resource(&self) -> Resource {
        let object = self.after.as_ref().or(self.before.as_ref());
        object.expect("a change without any object is never made").resource
    }

    /// The type of event that a watcher with `selection` sees, and the object as it is now (of a deleted one: as it
    /// was, with the version of its deletion).
    pub(super) fn event(&self, selection: &Selection) -> Option<(&'static str, Object)> {
        let picked = |object: &Option<Arc<Object>>| object.as_ref().is_some_and(|object| selection.picks(object));
        let kind = match (picked(&self.before), picked(&self.after)) {
            (false, false) => return None,
            (false, true) => "ADDED",
            (true, true) => "MODIFIED",
            (true, false) => "DELETED",
        };
        let object = self.after.as_ref().or(self.before.as_ref())?;
        Some((kind, Object { version: self.version, ..(**object).clone() }))
    }
}

/// A ready node whose kubelet listens at `port` of `address`.
pub fn node(name: &str, address: &str, port: u16) -> Value {
    json!({
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}},
        "spec": {},
        "status": {
            "capacity": {"cpu": "8", "memory": "32Gi", "pods": "110"},
            "allocatable": {"cpu": "8", "memory": "32Gi", "pods": "110"},
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
            "addresses": [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": name}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
            "nodeInfo": {"kubeletVersion": "v1.34.0", "operatingSystem": "linux", "architecture": "amd64"},
        },
    })
}

/// A running pod.
pub fn pod(namespace: &str, name: &str, labels: &BTreeMap<String, String>, node: &str, containers: &[String]) -> Value {
    let running = |name: &String| json!({"name": name, "ready": true, "restartCount": 0, "state": {"running": {}}});
    json!({
        "metadata": {"namespace": namespace, "name": name, "labels": labels},
        "spec": {"nodeName": node, "containers": containers.iter().map(|name| json!({"name": name})).collect::<Vec<_>>()},
        "status": {"phase": "Running", "containerStatuses": containers.iter().map(running).collect::<Vec<_>>()},
    })
}

/// A namespace.
pub fn namespace(name: &str) -> Value {
    json!({"metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}}, "status": {"phase": "Active"}})
}
