//! What differs between two generations, in words for operators.
//!
//! Only what means something differs: where a key stands in the file does not. A plugin differs when its bytes do, wherever
//! they came from.

use std::fmt;
use std::sync::Arc;

use crate::config::policies::{BindingConfig, NodePoolConfig, PluginConfig, PoliciesConfig, TenantConfig};
use crate::plugins::load::{Facts, PluginFacts};

/// As many as one line of the log has room for.
const MOST_TOLD: usize = 20;

/// Differences; none: both generations do the same.
pub(super) struct Changes(Vec<String>);

impl Changes {
    pub(super) fn between(
        (old, old_plugins): (&PoliciesConfig, &Facts),
        (new, new_plugins): (&PoliciesConfig, &Facts),
    ) -> Self {
        let mut changes = Vec::new();
        let same = |a: &PluginConfig, b: &PluginConfig| is_same_plugin((a, old_plugins), (b, new_plugins));
        compare("plugin", (&old.plugins, &new.plugins), |it| &it.name, same, &mut changes);
        for change in &mut changes {
            add_digest(change, old_plugins, new_plugins);
        }
        compare("node pool", (&old.node_pools, &new.node_pools), |it| &it.name, is_same_pool, &mut changes);
        compare("tenant", (&old.tenants, &new.tenants), |it| &it.name, is_same_tenant, &mut changes);
        match (&old.default, &new.default) {
            (None, None) => {}
            (Some(old), Some(new)) if is_same_tenant(old, new) => {}
            _ => changes.push(Change::of("the default", "", "changed")),
        }
        Self(changes.iter().map(ToString::to_string).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("built-in policies for everyone");
        }
        f.write_str(&self.0[..self.0.len().min(MOST_TOLD)].join(", "))?;
        match self.0.len().saturating_sub(MOST_TOLD) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

struct Change {
    kind: &'static str,
    /// Empty where there is one of its kind.
    name: String,
    what: String,
}

impl Change {
    fn of(kind: &'static str, name: &str, what: &str) -> Self {
        Self { kind, name: name.to_owned(), what: what.to_owned() }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, name, what } = self;
        if name.is_empty() { write!(f, "{kind} {what}") } else { write!(f, "{kind} {name:?} {what}") }
    }
}

fn compare<T>(
    kind: &'static str,
    (old, new): (&[T], &[T]),
    name: impl Fn(&T) -> &Arc<str>,
    is_same: impl Fn(&T, &T) -> bool,
    changes: &mut Vec<Change>,
) {
    for item in new {
        match old.iter().find(|old| name(old) == name(item)) {
            None => changes.push(Change::of(kind, name(item), "added")),
            Some(old) if !is_same(old, item) => changes.push(Change::of(kind, name(item), "changed")),
            Some(_) => {}
        }
    }
    let is_kept = |item: &&T| new.iter().any(|new| name(new) == name(item));
    for item in old.iter().filter(|item| !is_kept(item)) {
        changes.push(Change::of(kind, name(item), "removed"));
    }
    // The first match wins, so that the order of those that both have means something.
    let before: Vec<_> = old.iter().filter(is_kept).map(&name).collect();
    let after: Vec<_> = new.iter().map(&name).filter(|name| before.contains(name)).collect();
    if before != after {
        changes.push(Change::of(kind, "", "order changed"));
    }
}

/// `plugin "ewma" changed` alone says little: which bytes?
fn add_digest(change: &mut Change, old: &Facts, new: &Facts) {
    let digest = |facts: &PluginFacts| facts.sha256[..6].iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let name = change.name.as_str();
    let facts = (old.get(name), new.get(name));
    match facts {
        (Some(old), Some(new)) if old.sha256 != new.sha256 => {
            change.what = format!("changed from {} {} to {} {}", old.version, digest(old), new.version, digest(new));
        }
        (None, Some(new)) => change.what = format!("added ({} {})", new.version, digest(new)),
        _ => {}
    }
}

fn is_same_plugin((old, old_facts): (&PluginConfig, &Facts), (new, new_facts): (&PluginConfig, &Facts)) -> bool {
    old_facts.get(&old.name) == new_facts.get(&new.name)
        && (&old.source, &old.sha256, &old.limits, &old.reuse) == (&new.source, &new.sha256, &new.limits, &new.reuse)
}

fn is_same_tenant(old: &TenantConfig, new: &TenantConfig) -> bool {
    let same_filters = old.filter.len() == new.filter.len()
        && old.filter.iter().zip(&new.filter).all(|(old, new)| is_same_binding(old, new));
    same_filters
        && is_same_optional(&old.window, &new.window)
        && (&old.namespaces, &old.namespace_selector, old.cpu_per_tick)
            == (&new.namespaces, &new.namespace_selector, new.cpu_per_tick)
}

fn is_same_pool(old: &NodePoolConfig, new: &NodePoolConfig) -> bool {
    is_same_optional(&old.address, &new.address)
        && is_same_optional(&old.window, &new.window)
        && (&old.selector, old.cpu_per_tick) == (&new.selector, new.cpu_per_tick)
}

fn is_same_optional(old: &Option<BindingConfig>, new: &Option<BindingConfig>) -> bool {
    match (old, new) {
        (None, None) => true,
        (Some(old), Some(new)) => is_same_binding(old, new),
        _ => false,
    }
}

fn is_same_binding(old: &BindingConfig, new: &BindingConfig) -> bool {
    (&old.plugin, &old.settings, old.on_error, old.history, old.namespace_labels)
        == (&new.plugin, &new.settings, new.on_error, new.history, new.namespace_labels)
}

#[cfg(test)]
mod tests;
