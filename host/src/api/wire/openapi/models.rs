//! The types of the API as OpenAPI describes them: ours, and those of Kubernetes that they are made of. Tables, and how a
//! row becomes a definition.

use serde_json::{Map, Value, json};

use super::Dialect;
use crate::api::wire::{ApiVersion, GROUP};

/// A type.
pub(super) struct Model {
    /// Without the package.
    pub(super) name: &'static str,
    /// Whether the document of a version of the group needs it.
    pub(super) is_of_a_version: bool,
    description: &'static str,
    content: Content,
    identity: Identity,
}

enum Content {
    /// Members, and which of them are never missing.
    Members { required: &'static [&'static str], members: &'static [Member] },
    /// An object of whose members nothing is said.
    Any,
    /// A text, of a format if there is a name for it.
    Text(Option<&'static str>),
    /// A text that may as well be written as a number.
    Quantity,
}

/// Whether objects of a type say what they are.
#[derive(PartialEq, Eq)]
enum Identity {
    /// They are parts of others.
    None,
    /// They have a kind, in the core group's v1.
    Core,
    /// They have a kind, in our group.
    Ours,
    /// They are parts that can only be changed as a whole.
    Atomic,
}

struct Member {
    name: &'static str,
    shape: Shape,
    description: &'static str,
    marks: &'static [(&'static str, Mark)],
}

enum Mark {
    Word(&'static str),
    Words(&'static [&'static str]),
}

enum Shape {
    Text,
    Truth,
    Number,
    /// An object, and what it is by default.
    One(Type),
    /// An object that may be missing.
    Maybe(Type),
    Texts,
    Many(Type),
    TextsByName,
    ManyByName(Type),
}

enum Type {
    Meta(&'static str),
    Ours(&'static str),
}

/// The full name of a type of Kubernetes'.
pub(super) fn meta_name(name: &str) -> String {
    match name {
        QUANTITY => format!("io.k8s.apimachinery.pkg.api.resource.{name}"),
        VERSION_INFO => format!("io.k8s.apimachinery.pkg.version.{name}"),
        _ => format!("io.k8s.apimachinery.pkg.apis.meta.v1.{name}"),
    }
}

/// The full name of a type of ours.
pub(super) fn our_name(name: &str, version: ApiVersion) -> String {
    format!("io.k8s.metrics.pkg.apis.metrics.{}.{name}", version.as_str())
}

pub(super) fn group_version_kind(group: &str, version: &str, kind: &str) -> Value {
    json!({"group": group, "version": version, "kind": kind})
}

const QUANTITY: &str = "Quantity";
pub(super) const VERSION_INFO: &str = "Info";

/// The types of `metrics.k8s.io`, the same in every version.
pub(super) const OURS: &[Model] = &[
    part(
        "ContainerMetrics",
        "What a container uses.",
        &["name", "usage"],
        &[
            member("name", Shape::Text, "The container's name, as in the pod's spec."),
            member("usage", Shape::ManyByName(Type::Meta(QUANTITY)), USAGE),
        ],
    ),
    ours(
        "NodeMetrics",
        "What a node uses.",
        &["timestamp", "window", "usage"],
        &[
            member("metadata", Shape::One(OBJECT_META), METADATA),
            member("timestamp", Shape::One(TIME), TIMESTAMP),
            member("usage", Shape::ManyByName(Type::Meta(QUANTITY)), USAGE),
            member("window", Shape::One(Type::Meta("Duration")), WINDOW),
        ],
    ),
    ours(
        "NodeMetricsList",
        "A list of NodeMetrics.",
        &["items"],
        &[
            member("items", Shape::Many(Type::Ours("NodeMetrics")), "The nodes that have usage, by name."),
            member("metadata", Shape::One(LIST_META), LIST_METADATA),
        ],
    ),
    ours(
        "PodMetrics",
        "What the containers of a pod use.",
        &["timestamp", "window", "containers"],
        &[
            Member {
                marks: ATOMIC,
                ..member(
                    "containers",
                    Shape::Many(Type::Ours("ContainerMetrics")),
                    "What each container uses, all over the same window.",
                )
            },
            member("metadata", Shape::One(OBJECT_META), METADATA),
            member("timestamp", Shape::One(TIME), TIMESTAMP),
            member("window", Shape::One(Type::Meta("Duration")), WINDOW),
        ],
    ),
    ours(
        "PodMetricsList",
        "A list of PodMetrics.",
        &["items"],
        &[
            member("items", Shape::Many(Type::Ours("PodMetrics")), "The pods that have usage, by namespace and name."),
            member("metadata", Shape::One(LIST_META), LIST_METADATA),
        ],
    ),
];

const USAGE: &str = "Amounts by resource: cpu, in cores, is the mean rate over the window; memory, in bytes, is the \
                     working set at its end.";
const TIMESTAMP: &str = "When the window ended: the usage is that of the time from timestamp - window to timestamp.";
const WINDOW: &str = "How long the time is over which the usage was measured.";
const METADATA: &str = "Name, namespace and labels of the object that is measured; creationTimestamp is when the \
                        answer was made.";
const LIST_METADATA: &str = "Metadata of the list; empty, for lists are neither versioned nor cut into pages.";

const OBJECT_META: Type = Type::Meta("ObjectMeta");
const LIST_META: Type = Type::Meta("ListMeta");
const TIME: Type = Type::Meta("Time");

const ATOMIC: &[(&str, Mark)] = &[("x-kubernetes-list-type", Mark::Word("atomic"))];

/// The types of Kubernetes that answers hold.
pub(super) const META: &[Model] = &[
    scalar(
        QUANTITY,
        Content::Quantity,
        "A number with a suffix: m, u and n for thousandths, k, M, G, T, P and E for \
        thousands, Ki, Mi, Gi, Ti, Pi and Ei for powers of 1024.",
    ),
    scalar("Duration", Content::Text(None), "A length of time, for example 15s or 1m30.5s."),
    scalar("Time", Content::Text(Some("date-time")), "A point in time, in RFC 3339."),
    scalar("FieldsV1", Content::Any, "A set of fields, as a tree in JSON."),
    part(
        "ListMeta",
        "Metadata of a list.",
        &[],
        &[
            member("continue", Shape::Text, "Where the next page begins; empty if there is none."),
            member("remainingItemCount", Shape::Number, "About how many objects follow on later pages."),
            member("resourceVersion", Shape::Text, "The version of the list."),
            member("selfLink", Shape::Text, "No longer used."),
        ],
    ),
    part(
        "ObjectMeta",
        "Metadata of an object.",
        &[],
        &[
            member("annotations", Shape::TextsByName, "Notes of tools, which nothing is selected by."),
            member("creationTimestamp", Shape::One(TIME), "When the object was made; of metrics, when the answer was."),
            member("deletionGracePeriodSeconds", Shape::Number, "How long the object may take to end."),
            member("deletionTimestamp", Shape::Maybe(TIME), "When the object is to be gone."),
            Member {
                marks: &[
                    ("x-kubernetes-list-type", Mark::Word("set")),
                    ("x-kubernetes-patch-strategy", Mark::Word("merge")),
                ],
                ..member("finalizers", Shape::Texts, "Who has yet to act before the object is gone.")
            },
            member("generateName", Shape::Text, "The beginning of a name that the server completes."),
            member("generation", Shape::Number, "Counts the changes of what is wanted."),
            member("labels", Shape::TextsByName, "What objects are selected by."),
            Member {
                marks: ATOMIC,
                ..member("managedFields", Shape::Many(Type::Meta("ManagedFieldsEntry")), "Who has set which fields.")
            },
            member("name", Shape::Text, "The name, unique within the namespace."),
            member("namespace", Shape::Text, "The namespace; empty for objects of the cluster."),
            Member {
                marks: &[
                    ("x-kubernetes-list-map-keys", Mark::Words(&["uid"])),
                    ("x-kubernetes-list-type", Mark::Word("map")),
                    ("x-kubernetes-patch-merge-key", Mark::Word("uid")),
                    ("x-kubernetes-patch-strategy", Mark::Word("merge")),
                ],
                ..member(
                    "ownerReferences",
                    Shape::Many(Type::Meta("OwnerReference")),
                    "Objects without which this one is not needed.",
                )
            },
            member("resourceVersion", Shape::Text, "The version of the object; metrics have none."),
            member("selfLink", Shape::Text, "No longer used."),
            member("uid", Shape::Text, "Unlike the name, never given twice."),
        ],
    ),
    part(
        "ManagedFieldsEntry",
        "Which fields somebody has set.",
        &[],
        &[
            member("apiVersion", Shape::Text, "The version in which the fields are named."),
            member("fieldsType", Shape::Text, "How the fields are written; FieldsV1."),
            member("fieldsV1", Shape::Maybe(Type::Meta("FieldsV1")), "The fields."),
            member("manager", Shape::Text, "Who has set them."),
            member("operation", Shape::Text, "How they were set: Apply or Update."),
            member("subresource", Shape::Text, "Through which subresource they were set; mostly none."),
            member("time", Shape::Maybe(TIME), "When they were last changed."),
        ],
    ),
    Model {
        identity: Identity::Atomic,
        ..part(
            "OwnerReference",
            "Names an object that owns another, in the same namespace or of the cluster.",
            &["apiVersion", "kind", "name", "uid"],
            &[
                member("apiVersion", Shape::Text, "The owner's group and version."),
                member("blockOwnerDeletion", Shape::Truth, "Whether the owner has to wait for this object to be gone."),
                member("controller", Shape::Truth, "Whether the owner is the one that manages this object."),
                member("kind", Shape::Text, "The owner's kind."),
                member("name", Shape::Text, "The owner's name."),
                member("uid", Shape::Text, "The owner's uid."),
            ],
        )
    },
    part(
        "APIResource",
        "A resource of a version of a group.",
        &["name", "singularName", "namespaced", "kind", "verbs"],
        &[
            Member { marks: ATOMIC, ..member("categories", Shape::Texts, "Groups of resources it belongs to.") },
            member("group", Shape::Text, "Its group; empty for that of the list."),
            member("kind", Shape::Text, "The kind of its objects."),
            member("name", Shape::Text, "Its name in paths."),
            member("namespaced", Shape::Truth, "Whether its objects live in namespaces."),
            Member { marks: ATOMIC, ..member("shortNames", Shape::Texts, "Names that are faster to type.") },
            member("singularName", Shape::Text, "Its name where there is one object."),
            member("storageVersionHash", Shape::Text, "Stands for the version in which its objects are stored."),
            member("verbs", Shape::Texts, "What can be done with its objects."),
            member("version", Shape::Text, "Its version; empty for that of the list."),
        ],
    ),
    core(
        true,
        "APIResourceList",
        "The resources of a version of a group.",
        &["groupVersion", "resources"],
        &[
            member("groupVersion", Shape::Text, "The group and version."),
            Member { marks: ATOMIC, ..member("resources", Shape::Many(Type::Meta("APIResource")), "The resources.") },
        ],
    ),
    core(
        false,
        "APIGroup",
        "A group, its versions, and the one that is preferred.",
        &["name", "versions"],
        &[
            member("name", Shape::Text, "The group's name."),
            member("preferredVersion", Shape::One(GROUP_VERSION), "The version to use without a reason for another."),
            Member {
                marks: ATOMIC,
                ..member(
                    "serverAddressByClientCIDRs",
                    Shape::Many(Type::Meta("ServerAddressByClientCIDR")),
                    "Where clients find the server, by their own addresses.",
                )
            },
            Member { marks: ATOMIC, ..member("versions", Shape::Many(GROUP_VERSION), "The group's versions.") },
        ],
    ),
    core(
        false,
        "APIGroupList",
        "The groups of a server.",
        &["groups"],
        &[Member { marks: ATOMIC, ..member("groups", Shape::Many(Type::Meta("APIGroup")), "The groups.") }],
    ),
    elsewhere(
        "GroupVersionForDiscovery",
        "A version of a group.",
        &["groupVersion", "version"],
        &[
            member("groupVersion", Shape::Text, "Group and version, with a slash between them."),
            member("version", Shape::Text, "The version alone."),
        ],
    ),
    elsewhere(
        "ServerAddressByClientCIDR",
        "Where clients of a range of addresses find the server.",
        &["clientCIDR", "serverAddress"],
        &[
            member("clientCIDR", Shape::Text, "The clients' range."),
            member("serverAddress", Shape::Text, "The server's host, with a port if need be."),
        ],
    ),
    elsewhere(
        VERSION_INFO,
        "The version of a server.",
        &[
            "major",
            "minor",
            "gitVersion",
            "gitCommit",
            "gitTreeState",
            "buildDate",
            "goVersion",
            "compiler",
            "platform",
        ],
        &[
            member("buildDate", Shape::Text, "When it was built."),
            member("compiler", Shape::Text, "What built it."),
            member("emulationMajor", Shape::Text, "The first number of the version it behaves like."),
            member("emulationMinor", Shape::Text, "The second number of the version it behaves like."),
            member("gitCommit", Shape::Text, "The commit it was built from."),
            member("gitTreeState", Shape::Text, "Whether that was all it was built from."),
            member("gitVersion", Shape::Text, "The version."),
            member("goVersion", Shape::Text, "The version of what built it."),
            member("major", Shape::Text, "The first number of the version."),
            member("minCompatibilityMajor", Shape::Text, "The first number of the oldest version it works with."),
            member("minCompatibilityMinor", Shape::Text, "The second number of the oldest version it works with."),
            member("minor", Shape::Text, "The second number of the version."),
            member("platform", Shape::Text, "The system and processor it runs on."),
        ],
    ),
];

const GROUP_VERSION: Type = Type::Meta("GroupVersionForDiscovery");

const fn member(name: &'static str, shape: Shape, description: &'static str) -> Member {
    Member { name, shape, description, marks: &[] }
}

const fn scalar(name: &'static str, content: Content, description: &'static str) -> Model {
    Model { name, is_of_a_version: true, description, content, identity: Identity::None }
}

const fn part(
    name: &'static str,
    description: &'static str,
    required: &'static [&'static str],
    members: &'static [Member],
) -> Model {
    scalar(name, Content::Members { required, members }, description)
}

const fn ours(
    name: &'static str,
    description: &'static str,
    required: &'static [&'static str],
    members: &'static [Member],
) -> Model {
    Model {
        name,
        is_of_a_version: true,
        description,
        content: Content::Members { required, members },
        identity: Identity::Ours,
    }
}

const fn core(
    is_of_a_version: bool,
    name: &'static str,
    description: &'static str,
    required: &'static [&'static str],
    members: &'static [Member],
) -> Model {
    Model {
        name,
        is_of_a_version,
        description,
        content: Content::Members { required, members },
        identity: Identity::Core,
    }
}

/// A part of a type that no version of the group has.
const fn elsewhere(
    name: &'static str,
    description: &'static str,
    required: &'static [&'static str],
    members: &'static [Member],
) -> Model {
    Model {
        name,
        is_of_a_version: false,
        description,
        content: Content::Members { required, members },
        identity: Identity::None,
    }
}

impl Model {
    /// The definition, where it belongs to `version` of the group if it belongs to one.
    pub(super) fn define(&self, dialect: Dialect, version: ApiVersion) -> Value {
        let mut definition = match &self.content {
            Content::Members { required, members } => self.define_members(dialect, version, required, members),
            Content::Any => json!({"type": "object"}),
            Content::Text(None) => json!({"type": "string"}),
            Content::Text(Some(format)) => json!({"type": "string", "format": format}),
            Content::Quantity if dialect == Dialect::V3 => json!({"oneOf": [{"type": "string"}, {"type": "number"}]}),
            Content::Quantity => json!({"type": "string"}),
        };
        definition["description"] = self.description.into();
        let kind = match self.identity {
            Identity::Core => group_version_kind("", "v1", self.name),
            Identity::Ours => group_version_kind(GROUP, version.as_str(), self.name),
            Identity::Atomic => {
                definition["x-kubernetes-map-type"] = "atomic".into();
                return definition;
            }
            Identity::None => return definition,
        };
        definition["x-kubernetes-group-version-kind"] = json!([kind]);
        definition
    }

    fn define_members(&self, dialect: Dialect, version: ApiVersion, required: &[&str], members: &[Member]) -> Value {
        let defined = members.iter().map(|member| {
            let is_required = required.contains(&member.name);
            (member.name.to_owned(), member.define(dialect, version, is_required))
        });
        let mut properties: Map<String, Value> = defined.collect();
        if [Identity::Core, Identity::Ours].contains(&self.identity) {
            properties.extend(
                TYPE_META.iter().map(|member| (member.name.to_owned(), member.define(dialect, version, false))),
            );
        }
        let mut definition = json!({"type": "object", "properties": properties});
        if !required.is_empty() {
            definition["required"] = json!(required);
        }
        definition
    }
}

/// What objects have that say what they are.
const TYPE_META: &[Member] = &[
    member("apiVersion", Shape::Text, "Group and version of the object's kind."),
    member("kind", Shape::Text, "The object's kind."),
];

impl Member {
    fn define(&self, dialect: Dialect, version: ApiVersion, is_required: bool) -> Value {
        let mut definition = self.shape.define(dialect, version, is_required);
        definition["description"] = self.description.into();
        for (name, mark) in self.marks {
            definition[*name] = match mark {
                Mark::Word(word) => (*word).into(),
                Mark::Words(words) => json!(words),
            };
        }
        definition
    }
}

impl Shape {
    fn define(&self, dialect: Dialect, version: ApiVersion, is_required: bool) -> Value {
        let scalar = |kind: &str, default: Value| {
            let mut scalar = json!({"type": kind});
            if is_required && dialect == Dialect::V3 {
                scalar["default"] = default;
            }
            scalar
        };
        let text = || match dialect {
            Dialect::V2 => json!({"type": "string"}),
            Dialect::V3 => json!({"type": "string", "default": ""}),
        };
        match self {
            Self::Text => scalar("string", "".into()),
            Self::Truth => scalar("boolean", false.into()),
            Self::Number => json!({"type": "integer", "format": "int64"}),
            Self::One(of) => of.refer(dialect, version, true),
            Self::Maybe(of) => of.refer(dialect, version, false),
            Self::Texts => json!({"type": "array", "items": text()}),
            Self::Many(of) => json!({"type": "array", "items": of.refer(dialect, version, true)}),
            Self::TextsByName => json!({"type": "object", "additionalProperties": text()}),
            Self::ManyByName(of) => json!({"type": "object", "additionalProperties": of.refer(dialect, version, true)}),
        }
    }
}

impl Type {
    /// Version 3 allows nothing beside a reference, so that it stands in a list of its own.
    fn refer(&self, dialect: Dialect, version: ApiVersion, has_default: bool) -> Value {
        let name = match self {
            Self::Meta(name) => meta_name(name),
            Self::Ours(name) => our_name(name, version),
        };
        let reference = dialect.reference(&name);
        if dialect == Dialect::V2 {
            return reference;
        }
        let mut all = json!({"allOf": [reference]});
        if has_default {
            let is_duration = matches!(self, Self::Meta("Duration"));
            all["default"] = if is_duration { 0.into() } else { json!({}) };
        }
        all
    }
}
