//! To which tenant a namespace belongs, why, and what that means for it.
//!
//! The same question as [`Tenants::of_namespace`] answers, answered with reasons: the first tenant that matches, by what it
//! does, and why those before it do not. Labels are asked of nobody: they are what the command line says.

use std::fmt;
use std::fmt::Write as _;
use std::str::FromStr;

use clap::Args as ClapArgs;
use serde_json::{Value, json};

use super::Answer;
use super::effective::{owned, policies_text, tenant_json};
use crate::config::policies::{NodePoolConfig, Ownership, PoliciesConfig, TenantConfig};
use crate::model::policy::{FilterPolicy, PodIdentity, Verdict};
use crate::model::{Labels, PodRef};
use crate::tenants::Tenants;

/// What is asked.
#[derive(Debug, ClapArgs)]
pub(in crate::command) struct Question {
    /// A namespace, or a namespace and a pod.
    #[arg(value_name = "NAMESPACE[/POD]")]
    subject: Subject,
    /// The labels of the namespace, for tenants that go by them.
    #[arg(long, value_name = "KEY=VALUE,…")]
    namespace_labels: Option<LabelList>,
    /// The labels of the pod.
    #[arg(long, value_name = "KEY=VALUE,…")]
    pod_labels: Option<LabelList>,
    /// The pod's containers; the filters are asked what becomes of them.
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    containers: Vec<String>,
    /// The name of the pod's node.
    #[arg(long, value_name = "NAME", default_value = "node")]
    node: String,
    /// The labels of the node, to say to which node pool it belongs.
    #[arg(long, value_name = "KEY=VALUE,…")]
    node_labels: Option<LabelList>,
}

#[derive(Clone, Debug)]
struct Subject {
    namespace: String,
    pod: Option<String>,
}

impl FromStr for Subject {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (namespace, pod) = match text.split_once('/') {
            Some((namespace, pod)) => (namespace, Some(pod)),
            None => (text, None),
        };
        if namespace.is_empty() || pod.is_some_and(|pod| pod.is_empty() || pod.contains('/')) {
            return Err("write NAMESPACE or NAMESPACE/POD");
        }
        Ok(Self { namespace: namespace.to_owned(), pod: pod.map(str::to_owned) })
    }
}

#[derive(Clone, Debug)]
struct LabelList(Labels);

impl FromStr for LabelList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let pairs = text.split(',').filter(|pair| !pair.is_empty());
        let label = |pair: &str| {
            let (key, value) = pair.split_once('=').ok_or_else(|| format!("{pair:?} is not KEY=VALUE"))?;
            Ok::<_, String>((key.to_owned(), value.to_owned()))
        };
        Ok(Self(pairs.map(label).collect::<Result<_, _>>()?))
    }
}

impl Question {
    /// Whether it takes plugins to answer it.
    pub(super) fn asks_filters(&self) -> bool {
        !self.containers.is_empty()
    }
}

/// Why a tenant does not.
fn reason_not(tenant: &TenantConfig, labels: Option<&Labels>) -> String {
    match (&tenant.namespace_selector, labels) {
        (Some(selector), None) => {
            format!("no name or pattern matches, and whether {:?} does takes --namespace-labels", selector.to_string())
        }
        (Some(selector), Some(_)) if tenant.namespaces.is_empty() => {
            format!("{:?} does not match", selector.to_string())
        }
        _ => format!("{} do not match", owned(tenant)),
    }
}

/// The owner, if it is a tenant, why, and those that come before it in vain.
fn owner<'p>(
    policies: &'p PoliciesConfig,
    namespace: &str,
    labels: Option<&Labels>,
) -> (Option<&'p TenantConfig>, Ownership, &'p [TenantConfig]) {
    let reasons = policies.tenants.iter().map(|tenant| tenant.ownership(namespace, labels));
    match reasons.enumerate().find_map(|(at, reason)| Some((at, reason?))) {
        Some((at, reason)) => (Some(&policies.tenants[at]), reason, &policies.tenants[..at]),
        None => (policies.default.as_ref(), Ownership::Nobody, &policies.tenants),
    }
}

/// `tenants` is there where filters are to be asked.
pub(super) fn answer(policies: &PoliciesConfig, question: &Question, tenants: Option<&Tenants>) -> Answer {
    let namespace = question.subject.namespace.as_str();
    let labels = question.namespace_labels.as_ref().map(|list| &list.0);
    let (owner, reason, before) = owner(policies, namespace, labels);
    let name = owner.map_or("default", |tenant| &*tenant.name);
    let mut text = format!("namespace {namespace:?} belongs to {name:?}: {reason}\n");
    for tenant in before {
        let _ = writeln!(text, "  not to {:?}: {}", tenant.name, reason_not(tenant, labels));
    }
    match owner {
        Some(tenant) => policies_text(tenant).iter().for_each(|line| {
            let _ = writeln!(text, "  {line}");
        }),
        None => text.push_str("  filter    none\n  window    last-two (built in)\n"),
    }
    let verdicts = tenants.map(|tenants| verdicts(tenants, question));
    for (container, verdict, is_lasting) in verdicts.iter().flatten() {
        let fallback = if *is_lasting { "" } else { " (a filter failed, and this is its on_error)" };
        let _ = writeln!(text, "  container {container:?}: {}{fallback}", Shown(*verdict));
    }
    let pool = question.node_labels.as_ref().map(|list| pool(policies, &list.0));
    if let Some(pool) = pool {
        let name = pool.map_or("no node pool".to_owned(), |pool| format!("node pool {:?}", pool.name));
        let _ = writeln!(text, "node {:?} belongs to {name}", question.node);
    }
    let json = json!({
        "namespace": namespace,
        "pod": question.subject.pod,
        "tenant": name,
        "because": reason.to_string(),
        "notTo": before.iter().map(|it| json!({ "tenant": &*it.name, "because": reason_not(it, labels) })).collect::<Vec<_>>(),
        "policies": owner.map(tenant_json),
        "containers": verdicts.map(|verdicts| verdicts.iter().map(verdict_json).collect::<Vec<_>>()),
        "nodePool": pool.flatten().map(|pool| &*pool.name),
    });
    Answer { text, json }
}

fn pool<'p>(policies: &'p PoliciesConfig, labels: &Labels) -> Option<&'p NodePoolConfig> {
    policies.node_pools.iter().find(|pool| pool.selector.matches(labels))
}

/// What becomes of each container, and whether a filter said so itself.
fn verdicts(tenants: &Tenants, question: &Question) -> Vec<(String, Verdict, bool)> {
    let Question { subject, namespace_labels, pod_labels, containers, node, .. } = question;
    let namespace_labels = namespace_labels.as_ref().map(|list| &list.0);
    let tenant = tenants.of_namespace(&subject.namespace, namespace_labels);
    let mut names: Vec<&str> = containers.iter().map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    let no_labels = Labels::default();
    let pod = PodIdentity {
        pod: PodRef { namespace: &subject.namespace, name: subject.pod.as_deref().unwrap_or("pod") },
        node,
        labels: pod_labels.as_ref().map_or(&no_labels, |list| &list.0),
        namespace_labels,
        containers: &names,
    };
    let answer = tenant.filter.as_deref().map(|filter: &dyn FilterPolicy| filter.classify(&[pod]));
    let verdict = |at: usize| {
        let said = answer.as_ref().and_then(|answer| Some((*answer.verdicts.get(at)?, answer.are_lasting)));
        said.unwrap_or((Verdict::KEEP, true))
    };
    names.iter().enumerate().map(|(at, name)| ((*name).to_owned(), verdict(at).0, verdict(at).1)).collect()
}

/// A verdict in words.
struct Shown(Verdict);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Verdict { cpu, memory, by_value } = self.0;
        f.write_str(match (cpu, memory) {
            (true, true) => "served",
            (true, false) => "served with CPU alone",
            (false, true) => "served with memory alone",
            (false, false) => "not served",
        })?;
        let filters: Vec<String> =
            (0..8).filter(|bit| by_value & (1 << bit) != 0).map(|bit| (bit + 1).to_string()).collect();
        if filters.is_empty() {
            Ok(())
        } else {
            write!(f, ", if its values please filter {} at each scrape", filters.join(" and "))
        }
    }
}

fn verdict_json((container, verdict, is_lasting): &(String, Verdict, bool)) -> Value {
    json!({
        "name": container,
        "cpu": verdict.cpu,
        "memory": verdict.memory,
        "byValue": verdict.by_value != 0,
        "filterFailed": !is_lasting,
    })
}

#[cfg(test)]
mod tests;
