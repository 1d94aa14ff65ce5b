//! Which requests are recorded: the rules of `--audit-policy-file`, of which the first that fits decides. Pure.
//!
//! In: the text of the file, an `audit.k8s.io/v1` Policy in YAML or JSON; then, request by request, who asks and for
//! what. Out: a [`Verdict`]. What is wrong with the file is told all at once, rule by rule. A key that does not exist is
//! only warned of, as upstream, because policies are shared between servers of different versions.
//!
//! A request that no rule fits is not recorded. The levels `Request` and `RequestResponse` are taken for `Metadata`:
//! nothing that is served takes a body, and what was answered can be asked for again.
//!
//! Rules: `k8s.io/apiserver` v0.36, `pkg/audit/policy/{reader,checker}.go`, `pkg/apis/audit/validation`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::auth::{Attributes, ResourceAttributes, User};

/// The rules.
#[derive(Debug)]
pub(super) struct Policy {
    rules: Vec<Rule>,
    /// Of a request that no rule fits.
    omitted: Stages,
}

/// What becomes of a request's events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing is recorded.
    None,
    /// Who asked for what, but for these stages.
    Metadata(Stages),
}

/// A moment in the life of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It has come, and it is known from whom.
    RequestReceived,
    /// It was refused before that was known.
    ResponseStarted,
    /// It is answered.
    ResponseComplete,
    /// It made the gateway panic.
    Panic,
}

impl Stage {
    pub(super) const ALL: [Self; 4] =
        [Self::RequestReceived, Self::ResponseStarted, Self::ResponseComplete, Self::Panic];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::RequestReceived => "RequestReceived",
            Self::ResponseStarted => "ResponseStarted",
            Self::ResponseComplete => "ResponseComplete",
            Self::Panic => "Panic",
        }
    }
}

/// Some of the stages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stages(u8);

impl Stages {
    pub(super) fn contain(self, stage: Stage) -> bool {
        self.0 & 1 << stage as u8 != 0
    }

    fn with(self, stage: Stage) -> Self {
        Self(self.0 | 1 << stage as u8)
    }

    fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }
}

/// A policy, and what whoever wrote it should know.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) policy: Policy,
    pub(super) warnings: Vec<String>,
}

impl Policy {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(super) fn read(text: &str) -> Result<Read, Vec<String>> {
        if text.trim().is_empty() {
            return Err(vec!["the file is empty".to_owned()]);
        }
        let document: Value = serde_saphyr::from_str(text).map_err(|error| vec![one_line(&error.to_string())])?;
        let mut reading = Reading::default();
        let policy = reading.policy(document);
        match reading.problems.is_empty() {
            true => Ok(Read { policy, warnings: reading.warnings }),
            false => Err(reading.problems),
        }
    }

    /// What becomes of a request. `user` is None where nobody could tell.
    pub(super) fn judge(&self, user: Option<&User>, attributes: &Attributes) -> Verdict {
        let rule = self.rules.iter().find(|rule| rule.fits(user, attributes));
        rule.map_or(Verdict::None, |rule| rule.verdict.omitting(self.omitted))
    }
}

impl Verdict {
    fn omitting(self, more: Stages) -> Self {
        match self {
            Self::None => Self::None,
            Self::Metadata(stages) => Self::Metadata(stages.and(more)),
        }
    }
}

/// Empty lists fit everything.
#[derive(Debug)]
struct Rule {
    verdict: Verdict,
    users: Vec<String>,
    user_groups: Vec<String>,
    verbs: Vec<String>,
    resources: Vec<GroupResources>,
    namespaces: Vec<String>,
    non_resource_urls: Vec<String>,
}

impl Rule {
    fn fits(&self, user: Option<&User>, attributes: &Attributes) -> bool {
        let fits_user = self.users.is_empty() || user.is_some_and(|user| self.users.contains(&user.name));
        let is_member = |user: &User| user.groups.iter().any(|group| self.user_groups.contains(group));
        let fits_groups = self.user_groups.is_empty() || user.is_some_and(is_member);
        let fits_verb = self.verbs.is_empty() || self.verbs.iter().any(|verb| verb == attributes.verb);
        fits_user && fits_groups && fits_verb && self.fits_object(attributes)
    }

    fn fits_object(&self, attributes: &Attributes) -> bool {
        let is_for_resources = !self.namespaces.is_empty() || !self.resources.is_empty();
        match &attributes.resource {
            Some(resource) if is_for_resources => self.fits_resource(resource),
            None if is_for_resources => false,
            Some(_) => self.non_resource_urls.is_empty(),
            None => self.non_resource_urls.is_empty() || self.fits_path(&attributes.path),
        }
    }

    /// What has no namespace has the empty one.
    fn fits_resource(&self, resource: &ResourceAttributes) -> bool {
        let fits_namespace = self.namespaces.is_empty() || self.namespaces.contains(&resource.namespace);
        fits_namespace && (self.resources.is_empty() || self.resources.iter().any(|some| some.contain(resource)))
    }

    fn fits_path(&self, path: &str) -> bool {
        self.non_resource_urls.iter().any(|pattern| {
            pattern == "*" || pattern == path || pattern.strip_suffix('*').is_some_and(|start| path.starts_with(start))
        })
    }
}

/// Resources of one group.
#[derive(Debug)]
struct GroupResources {
    group: String,
    /// `pods`, `pods/log`, `pods/*`, `*/log`, `*`.
    resources: Vec<String>,
    names: Vec<String>,
}

impl GroupResources {
    fn contain(&self, asked: &ResourceAttributes) -> bool {
        if self.group != asked.group {
            return false;
        }
        let fits_name = self.names.is_empty() || self.names.contains(&asked.name);
        self.resources.is_empty() || (fits_name && self.resources.iter().any(|pattern| covers(pattern, asked)))
    }
}

fn covers(pattern: &str, asked: &ResourceAttributes) -> bool {
    let (resource, subresource) = (asked.resource.as_str(), asked.subresource.as_str());
    match pattern.split_once('/') {
        None => pattern == "*" || (pattern == resource && subresource.is_empty()),
        Some((any, sub)) if any == "*" && !subresource.is_empty() && sub == subresource => true,
        Some((own, "*")) => own == resource,
        Some((own, sub)) => own == resource && !subresource.is_empty() && sub == subresource,
    }
}

/// A policy as it is written. What is not there is empty.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawPolicy {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    omit_stages: Option<Vec<String>>,
    #[serde(default)]
    rules: Option<Vec<Value>>,
    /// About bodies, which are not recorded.
    #[serde(default, rename = "omitManagedFields")]
    _omit_managed_fields: Option<bool>,
    /// A Kubernetes object has some; nothing in it matters here.
    #[serde(default, rename = "metadata")]
    _metadata: Option<Value>,
    #[serde(flatten)]
    unknown: BTreeMap<String, Value>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawRule {
    #[serde(default)]
    level: String,
    #[serde(default)]
    users: Option<Vec<String>>,
    #[serde(default)]
    user_groups: Option<Vec<String>>,
    #[serde(default)]
    verbs: Option<Vec<String>>,
    #[serde(default)]
    resources: Option<Vec<RawGroupResources>>,
    #[serde(default)]
    namespaces: Option<Vec<String>>,
    #[serde(default, rename = "nonResourceURLs")]
    non_resource_urls: Option<Vec<String>>,
    #[serde(default)]
    omit_stages: Option<Vec<String>>,
    #[serde(default, rename = "omitManagedFields")]
    _omit_managed_fields: Option<bool>,
    #[serde(flatten)]
    unknown: BTreeMap<String, Value>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawGroupResources {
    #[serde(default)]
    group: String,
    #[serde(default)]
    resources: Option<Vec<String>>,
    #[serde(default)]
    resource_names: Option<Vec<String>>,
    #[serde(flatten)]
    unknown: BTreeMap<String, Value>,
}

/// A file on the way to becoming a policy. Reading goes on after a problem, with a stand-in that is never used.
#[derive(Default)]
struct Reading {
    problems: Vec<String>,
    warnings: Vec<String>,
}

impl Reading {
    fn policy(&mut self, document: Value) -> Policy {
        let raw: RawPolicy = self.typed("the policy", document);
        if (raw.api_version.as_str(), raw.kind.as_str()) != ("audit.k8s.io/v1", "Policy") {
            let (version, kind) = (&raw.api_version, &raw.kind);
            self.problems.push(format!("unknown group version field {version:?}, kind {kind:?} in policy"));
        }
        self.note_unknown("the policy", &raw.unknown);
        let omitted = self.stages("omitStages", raw.omit_stages.as_deref().unwrap_or_default());
        let rules = raw.rules.unwrap_or_default();
        if rules.is_empty() {
            self.problems.push("loaded illegal policy with 0 rules".to_owned());
        }
        let rules = rules.into_iter().enumerate().map(|(index, rule)| self.rule(&format!("rules[{index}]"), rule));
        Policy { rules: rules.collect(), omitted }
    }

    fn rule(&mut self, place: &str, rule: Value) -> Rule {
        let raw: RawRule = self.typed(place, rule);
        self.note_unknown(place, &raw.unknown);
        let omitted = self.stages(&format!("{place}.omitStages"), raw.omit_stages.as_deref().unwrap_or_default());
        let verdict = self.level(place, &raw.level, omitted);
        let non_resource_urls = raw.non_resource_urls.unwrap_or_default();
        self.check_urls(place, &non_resource_urls);
        let resources = raw.resources.unwrap_or_default().into_iter().enumerate();
        let resources: Vec<_> = resources
            .map(|(index, resources)| self.group_resources(&format!("{place}.resources[{index}]"), resources))
            .collect();
        let namespaces = raw.namespaces.unwrap_or_default();
        let is_for_resources = !resources.is_empty() || !namespaces.is_empty();
        if !non_resource_urls.is_empty() && is_for_resources {
            let why = "rules cannot apply to both regular resources and non-resource URLs";
            self.problems.push(format!("{place}.nonResourceURLs: Invalid value: {non_resource_urls:?}: {why}"));
        }
        Rule {
            verdict,
            users: raw.users.unwrap_or_default(),
            user_groups: raw.user_groups.unwrap_or_default(),
            verbs: raw.verbs.unwrap_or_default(),
            resources,
            namespaces,
            non_resource_urls,
        }
    }

    fn level(&mut self, place: &str, level: &str, omitted: Stages) -> Verdict {
        match level {
            "None" => return Verdict::None,
            "Metadata" => {}
            "Request" | "RequestResponse" => self
                .warnings
                .push(format!("{place}.level: {level:?} is taken for \"Metadata\": bodies are not recorded here")),
            "" => self.problems.push(format!("{place}.level: Required value")),
            unknown => self.problems.push(format!(
                "{place}.level: Unsupported value: {unknown:?}: supported values: \"None\", \"Metadata\", \"Request\", \
                 \"RequestResponse\""
            )),
        }
        Verdict::Metadata(omitted)
    }

    fn stages(&mut self, place: &str, names: &[String]) -> Stages {
        let mut stages = Stages::default();
        for (index, name) in names.iter().enumerate() {
            match Stage::ALL.into_iter().find(|stage| stage.as_str() == name) {
                Some(stage) => stages = stages.with(stage),
                None => self.problems.push(format!(
                    "{place}[{index}]: Invalid value: {name:?}: allowed stages are \
                     RequestReceived,ResponseStarted,ResponseComplete,Panic"
                )),
            }
        }
        stages
    }

    fn check_urls(&mut self, place: &str, urls: &[String]) {
        for (index, url) in urls.iter().enumerate().filter(|(_, url)| *url != "*") {
            let mut refuse = |why: &str| {
                self.problems.push(format!("{place}.nonResourceURLs[{index}]: Invalid value: {url:?}: {why}"));
            };
            if !url.starts_with('/') {
                refuse("non-resource URL rules must begin with a '/' character");
            }
            if url.find('*').is_some_and(|star| star + 1 < url.len()) {
                refuse("non-resource URL wildcards '*' must be the final character of the rule");
            }
        }
    }

    fn group_resources(&mut self, place: &str, raw: RawGroupResources) -> GroupResources {
        self.note_unknown(place, &raw.unknown);
        let names = raw.resource_names.unwrap_or_default();
        let resources = raw.resources.unwrap_or_default();
        if raw.group.contains('/') {
            let why = "a group's name has no version in it";
            self.problems.push(format!("{place}.group: Invalid value: {:?}: {why}", raw.group));
        }
        if resources.is_empty() && !names.is_empty() {
            let why = "using resourceNames requires at least one resource";
            self.problems.push(format!("{place}.resourceNames: Invalid value: {names:?}: {why}"));
        }
        GroupResources { group: raw.group, resources, names }
    }

    fn typed<T: serde::de::DeserializeOwned + Default>(&mut self, place: &str, value: Value) -> T {
        serde_json::from_value(value).unwrap_or_else(|error| {
            self.problems.push(format!("{place}: {error}"));
            T::default()
        })
    }

    fn note_unknown(&mut self, place: &str, unknown: &BTreeMap<String, Value>) {
        if !unknown.is_empty() {
            let keys: Vec<String> = unknown.keys().map(|key| format!("{key:?}")).collect();
            self.warnings.push(format!("{place}: unknown, and ignored: {}", keys.join(", ")));
        }
    }
}

/// The YAML library draws its messages over several lines.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
