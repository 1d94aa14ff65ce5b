//! Which objects a list or a watch is about: namespace, field selector, label selector.
//!
//! Field selectors know what the API server indexes of our resources; label selectors know `k=v`, `k==v`, `k!=v`, `k`
//! and `!k`. Anything else is refused rather than ignored.

use std::collections::BTreeMap;

use super::objects::Object;

/// Requirements on objects; all must hold. The default picks everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selection {
    pub(super) namespace: Option<String>,
    fields: Vec<Requirement>,
    labels: Vec<Requirement>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    Is(String),
    IsNot(String),
    Exists,
    IsAbsent,
}

impl Selection {
    pub(super) fn parse(namespace: Option<&str>, query: &BTreeMap<String, String>) -> Result<Self, String> {
        let text = |key| query.get(key).map_or("", String::as_str);
        let fields = requirements(text("fieldSelector"))?;
        const KNOWN: [&str; 4] = ["metadata.name", "metadata.namespace", "status.phase", "spec.nodeName"];
        if let Some(unknown) = fields.iter().find(|field| !KNOWN.contains(&&*field.key)) {
            return Err(format!("field label not supported: {}", unknown.key));
        }
        Ok(Self { namespace: namespace.map(str::to_owned), fields, labels: requirements(text("labelSelector"))? })
    }

    pub(super) fn picks(&self, object: &Object) -> bool {
        let field = |key: &str| match key {
            "metadata.name" => &object.name,
            "metadata.namespace" => &object.namespace,
            "status.phase" => &object.phase,
            _ => &object.node,
        };
        if self.namespace.as_ref().is_some_and(|namespace| **namespace != *object.namespace) {
            return false;
        }
        if !self.fields.iter().all(|requirement| requirement.test.holds(Some(field(&requirement.key)))) {
            return false;
        }
        if self.labels.is_empty() {
            return true;
        }
        let labels = object.labels();
        self.labels.iter().all(|requirement| requirement.test.holds(labels.get(&requirement.key).map(String::as_str)))
    }
}

impl Test {
    fn holds(&self, value: Option<&str>) -> bool {
        match self {
            Self::Is(wanted) => value == Some(wanted),
            Self::IsNot(unwanted) => value != Some(unwanted),
            Self::Exists => value.is_some(),
            Self::IsAbsent => value.is_none(),
        }
    }
}

fn requirements(selector: &str) -> Result<Vec<Requirement>, String> {
    selector.split(',').map(str::trim).filter(|term| !term.is_empty()).map(requirement).collect()
}

fn requirement(term: &str) -> Result<Requirement, String> {
    if term.contains([' ', '(', '<', '>']) {
        return Err(format!("this double cannot read the selector {term:?}"));
    }
    let (key, test) = if let Some((key, value)) = term.split_once("!=") {
        (key, Test::IsNot(value.to_owned()))
    } else if let Some((key, value)) = term.split_once('=') {
        (key, Test::Is(value.strip_prefix('=').unwrap_or(value).to_owned()))
    } else if let Some(key) = term.strip_prefix('!') {
        (key, Test::IsAbsent)
    } else {
        (term, Test::Exists)
    };
    Ok(Requirement { key: key.to_owned(), test })
}
