//! The policies that a configuration puts in force, every default filled in.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::Answer;
use crate::args::values::GoDuration;
use crate::config::Config;
use crate::config::policies::{
    BindingConfig, NodePoolConfig, OnError, PluginConfig, PluginLimits, PoliciesConfig, Source, TenantConfig,
};
use crate::plugins::load::{Facts, PluginFacts};

/// `plugins`: what is known of them once they are loaded; None: they were not looked at.
pub(super) fn answer(config: &Config, plugins: Option<&Facts>, warnings: &[String]) -> Answer {
    let policies = &config.policies;
    let default = default_tenant(config);
    let mut text = summary(policies, plugins.is_some());
    section(&mut text, "plugins", policies.plugins.iter().map(|plugin| plugin_text(plugin, facts(plugins, plugin))));
    section(&mut text, "node pools, the first that selects a node counts", policies.node_pools.iter().map(pool_text));
    let tenants = policies.tenants.iter().map(tenant_text);
    section(&mut text, "tenants, the first that owns a namespace counts", tenants.chain([tenant_text(&default)]));
    let json = json!({
        "problems": [],
        "warnings": warnings,
        "plugins": policies.plugins.iter().map(|it| plugin_json(it, facts(plugins, it))).collect::<Vec<_>>(),
        "nodePools": policies.node_pools.iter().map(pool_json).collect::<Vec<_>>(),
        "tenants": policies.tenants.iter().map(tenant_json).collect::<Vec<_>>(),
        "default": tenant_json(&default),
    });
    Answer { text, json }
}

fn facts<'p>(plugins: Option<&'p Facts>, plugin: &PluginConfig) -> Option<&'p PluginFacts> {
    plugins?.get(&plugin.name)
}

/// Everyone else's, whether the file says anything of it or not.
fn default_tenant(config: &Config) -> TenantConfig {
    config.policies.default.clone().unwrap_or_else(|| TenantConfig {
        name: "default".into(),
        namespaces: Vec::new(),
        globs: globset::GlobSet::empty(),
        namespace_selector: None,
        filter: Vec::new(),
        window: None,
        cpu_per_tick: config.scrape.resolution / 10,
        place: crate::config::problem::Place { file: "".into(), line: 0, key: "default".into() },
    })
}

fn summary(policies: &PoliciesConfig, are_tried: bool) -> String {
    let count = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    let tried = match (policies.plugins.len(), are_tried) {
        (0, _) => "",
        (_, true) => ", each loaded and tried",
        (_, false) => ", not looked at",
    };
    format!(
        "no problems: {}{tried}; {}; {}\n",
        count(policies.plugins.len(), "plugin"),
        count(policies.node_pools.len(), "node pool"),
        count(policies.tenants.len(), "tenant"),
    )
}

/// A heading, and what is under it: the first line of each a name, the others indented.
fn section(text: &mut String, heading: &str, entries: impl Iterator<Item = Vec<String>>) {
    let mut entries = entries.peekable();
    if entries.peek().is_none() {
        return;
    }
    let _ = writeln!(text, "\n{heading}:");
    for lines in entries {
        for (at, line) in lines.iter().enumerate() {
            let _ = writeln!(text, "{}{line}", if at == 0 { "  " } else { "      " });
        }
    }
}

fn plugin_text(plugin: &PluginConfig, facts: Option<&PluginFacts>) -> Vec<String> {
    let source = match &plugin.source {
        Source::File(path) => path.display().to_string(),
        Source::Oci(oci) => format!("oci://{}", oci.reference),
    };
    let mut lines = vec![plugin.name.to_string(), format!("source    {source}")];
    if let Some(facts) = facts {
        lines.push(format!("says it is {} {}", facts.name, facts.version));
        lines.push(format!(
            "sha256    {}{}",
            hex(&facts.sha256),
            if plugin.sha256.is_some() { " (pinned)" } else { "" }
        ));
    } else if let Some(pin) = &plugin.sha256 {
        lines.push(format!("sha256    {} (pinned)", hex(pin)));
    }
    lines.push(format!("limits    {}", limits_text(&plugin.limits)));
    if let Some(reuse) = plugin.reuse {
        lines.push(format!("reuse     for {} calls or {}", reuse.calls, duration(reuse.age)));
    }
    lines
}

fn limits_text(limits: &PluginLimits) -> String {
    let PluginLimits { size, memory, table_elements, instances, output, cpu } = limits;
    let cpu = cpu.map_or_else(|| "the hook's".to_owned(), duration);
    let (size, memory, output) = (bytes(*size), bytes(*memory), bytes(*output));
    format!(
        "size {size}, memory {memory}, table_elements {table_elements}, instances {instances}, output {output}, cpu {cpu}"
    )
}

fn pool_text(pool: &NodePoolConfig) -> Vec<String> {
    let all = if pool.selector.is_everything() { "all nodes".to_owned() } else { pool.selector.to_string() };
    vec![
        pool.name.to_string(),
        format!("selects   {all}"),
        format!("address   {}", binding_text(pool.address.as_ref(), "preferred")),
        format!("window    {}", binding_text(pool.window.as_ref(), "last-two")),
        format!("cpu       {} of each tick", duration(pool.cpu_per_tick)),
    ]
}

fn tenant_text(tenant: &TenantConfig) -> Vec<String> {
    let mut lines = vec![tenant.name.to_string(), format!("owns      {}", owned(tenant))];
    lines.extend(policies_text(tenant));
    lines.push(format!("cpu       {} of each tick", duration(tenant.cpu_per_tick)));
    lines
}

/// What a tenant owns, in words.
pub(super) fn owned(tenant: &TenantConfig) -> String {
    let selector = tenant.namespace_selector.as_ref().map(|selector| format!("those with labels {selector}"));
    let parts: Vec<String> = tenant.namespaces.iter().cloned().chain(selector).collect();
    if parts.is_empty() { "everything that no tenant owns".to_owned() } else { parts.join(", ") }
}

/// The filters and the window, a line each.
pub(super) fn policies_text(tenant: &TenantConfig) -> Vec<String> {
    let filters = tenant.filter.iter().map(|filter| format!("filter    {}", binding_text(Some(filter), "")));
    let none = tenant.filter.is_empty().then(|| "filter    none".to_owned());
    let window = format!("window    {}", binding_text(tenant.window.as_ref(), "last-two"));
    filters.chain(none).chain([window]).collect()
}

fn binding_text(binding: Option<&BindingConfig>, built_in: &str) -> String {
    let Some(binding) = binding else { return format!("{built_in} (built in)") };
    let mut text = format!("{} {}, on error {}", binding.plugin, binding.settings, on_error(binding.on_error));
    if let Some(history) = binding.history {
        let _ = write!(text, ", history {}", duration(history));
    }
    if binding.namespace_labels {
        text.push_str(", sees labels of namespaces");
    }
    text
}

fn plugin_json(plugin: &PluginConfig, facts: Option<&PluginFacts>) -> Value {
    let (kind, source) = match &plugin.source {
        Source::File(path) => ("file", path.display().to_string()),
        Source::Oci(oci) => ("oci", format!("oci://{}", oci.reference)),
    };
    let limits = &plugin.limits;
    json!({
        "name": &*plugin.name,
        "kind": kind,
        "source": source,
        "pinnedSha256": plugin.sha256.map(|pin| hex(&pin)),
        "loaded": facts.map(|facts| {
            json!({ "name": facts.name, "version": facts.version, "sha256": hex(&facts.sha256) })
        }),
        "limits": {
            "size": limits.size,
            "memory": limits.memory,
            "tableElements": limits.table_elements,
            "instances": limits.instances,
            "output": limits.output,
            "cpuSeconds": limits.cpu.map(|cpu| cpu.as_secs_f64()),
        },
        "reuse": plugin.reuse.map(|reuse| json!({ "calls": reuse.calls, "ageSeconds": reuse.age.as_secs_f64() })),
    })
}

fn pool_json(pool: &NodePoolConfig) -> Value {
    json!({
        "name": &*pool.name,
        "selector": pool.selector.to_string(),
        "address": binding_json(pool.address.as_ref(), "preferred"),
        "window": binding_json(pool.window.as_ref(), "last-two"),
        "cpuSecondsPerTick": pool.cpu_per_tick.as_secs_f64(),
    })
}

pub(super) fn tenant_json(tenant: &TenantConfig) -> Value {
    json!({
        "name": &*tenant.name,
        "namespaces": tenant.namespaces,
        "namespaceSelector": tenant.namespace_selector.as_ref().map(ToString::to_string),
        "filter": tenant.filter.iter().map(|filter| binding_json(Some(filter), "")).collect::<Vec<_>>(),
        "window": binding_json(tenant.window.as_ref(), "last-two"),
        "cpuSecondsPerTick": tenant.cpu_per_tick.as_secs_f64(),
    })
}

fn binding_json(binding: Option<&BindingConfig>, built_in: &str) -> Value {
    let Some(binding) = binding else { return json!({ "builtIn": built_in }) };
    json!({
        "plugin": &*binding.plugin,
        "settings": serde_json::from_str::<Value>(&binding.settings).unwrap_or_default(),
        "onError": on_error(binding.on_error),
        "historySeconds": binding.history.map(|history| history.as_secs_f64()),
        "namespaceLabels": binding.namespace_labels,
    })
}

fn on_error(on_error: OnError) -> &'static str {
    match on_error {
        OnError::Keep => "keep",
        OnError::Drop => "drop",
        OnError::LastTwo => "last-two",
        OnError::Nothing => "nothing",
        OnError::Preferred => "preferred",
    }
}

fn duration(duration: Duration) -> String {
    GoDuration::from(duration).to_string()
}

fn bytes(bytes: usize) -> String {
    let units = [(20, "MiB"), (10, "KiB")];
    let fits = units.iter().find(|(shift, _)| bytes > 0 && bytes.trailing_zeros() >= *shift);
    fits.map_or_else(|| format!("{bytes}B"), |(shift, unit)| format!("{}{unit}", bytes >> shift))
}

fn hex(digest: &[u8; 32]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
