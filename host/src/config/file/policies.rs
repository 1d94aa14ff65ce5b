//! Plugins, node pools, tenants and the default, as they are written.
//!
//! A binding is written in one of two ways, and read into one form: a name alone (`window = "ewma"`), or a table
//! (`window = { plugin = "ewma", settings = { half_life = "60s" } }`). Which keys such a table has, and which values
//! `on_error` takes, depends on the hook that it stands at.
//!
//! Settings are any TOML that JSON has a form for. They become JSON text here, because plugins are handed that.

use std::time::Duration;

use serde_json::{Map, Number, Value};
use toml::de::{DeTable, DeValue};

use super::super::policies::OnError;
use super::super::problem::Place;
use super::{Item, Located, Section, duration, entry, one_of, shown, size, switch, text, whole_number};

/// Everything that may change while the gateway runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RawPolicies {
    /// `[plugins.NAME]`, by name.
    pub plugins: Vec<RawPlugin>,
    /// `[[node_pool]]`
    pub node_pools: Vec<RawNodePool>,
    /// `[[tenant]]`
    pub tenants: Vec<RawTenant>,
    /// `[default]`
    pub default: Option<RawTenant>,
}

/// `[plugins.NAME]`
#[derive(Clone, Debug, PartialEq)]
pub struct RawPlugin {
    /// NAME, and where the section begins.
    pub name: Located<String>,
    /// A path, or `oci://…`.
    pub source: Option<Located<String>>,
    /// Of the artifact, in hexadecimal digits.
    pub sha256: Option<Located<String>>,
    /// What it may use up.
    pub limits: RawLimits,
    /// Whether and for how long an instance is kept.
    pub reuse: Option<Located<RawReuse>>,
    /// Credentials for the registry.
    pub pull_secret: Option<Located<String>>,
    /// Who vouches for the registry.
    pub certificate_authority: Option<Located<String>>,
    /// Whether the registry is asked without TLS.
    pub plain_http: Option<Located<bool>>,
    /// Who must have signed the artifact.
    pub cosign_key: Option<Located<String>>,
}

/// `limits`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RawLimits {
    /// Bytes of the artifact.
    pub size: Option<Located<u64>>,
    /// Bytes of linear memory.
    pub memory: Option<Located<u64>>,
    /// Elements of tables.
    pub table_elements: Option<Located<u64>>,
    /// Core instances.
    pub instances: Option<Located<u64>>,
    /// Bytes of an answer.
    pub output: Option<Located<u64>>,
    /// CPU time of a call.
    pub cpu: Option<Located<Duration>>,
}

/// `reuse`
#[derive(Clone, Debug, PartialEq)]
pub enum RawReuse {
    /// `true` or `false`.
    Switch(bool),
    /// A table.
    Bounds {
        /// How many calls an instance answers.
        calls: Option<Located<u64>>,
        /// How old it becomes.
        age: Option<Located<Duration>>,
    },
}

/// `[[tenant]]`, or `[default]`, which has neither name nor namespaces.
#[derive(Clone, Debug, PartialEq)]
pub struct RawTenant {
    /// None: there is none, which has been said.
    pub name: Option<Located<String>>,
    /// Names and patterns.
    pub namespaces: Vec<Located<String>>,
    /// A selector on the labels of namespaces.
    pub namespace_selector: Option<Located<String>>,
    /// The chain, the first first.
    pub filter: Vec<RawBinding>,
    /// Over which window.
    pub window: Option<RawBinding>,
    /// CPU time of all calls in one tick.
    pub cpu_per_tick: Option<Located<Duration>>,
    /// Where it begins.
    pub place: Place,
}

/// `[[node_pool]]`
#[derive(Clone, Debug, PartialEq)]
pub struct RawNodePool {
    /// None: there is none, which has been said.
    pub name: Option<Located<String>>,
    /// A selector on the labels of nodes.
    pub selector: Option<Located<String>>,
    /// Where kubelets are asked.
    pub address: Option<RawBinding>,
    /// Over which window the nodes' own usage is computed.
    pub window: Option<RawBinding>,
    /// CPU time of all calls in one tick.
    pub cpu_per_tick: Option<Located<Duration>>,
    /// Where it begins.
    pub place: Place,
}

/// What stands at a hook.
#[derive(Clone, Debug, PartialEq)]
pub struct RawBinding {
    /// The name of a plugin, or of what is built in.
    pub plugin: Located<String>,
    /// A JSON object, in text.
    pub settings: Option<Located<String>>,
    /// What serves where the plugin fails.
    pub on_error: Option<Located<OnError>>,
    /// How far back samples are kept.
    pub history: Option<Located<Duration>>,
    /// Whether labels of namespaces are shown.
    pub namespace_labels: Option<Located<bool>>,
    /// Where it begins.
    pub place: Place,
}

/// Where a binding stands, which decides on its keys.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hook {
    Address,
    Filter,
    Window,
}

/// Reads the sections, and leaves the others alone.
pub(super) fn read(top: &mut Section<'_, '_>) -> RawPolicies {
    RawPolicies {
        plugins: top.section("plugins").map(read_plugins).unwrap_or_default(),
        node_pools: read_each(top, "node_pool", read_node_pool),
        tenants: read_each(top, "tenant", read_tenant),
        default: top.section("default").map(read_default),
    }
}

fn read_plugins(section: Section<'_, '_>) -> Vec<RawPlugin> {
    let table = section.table;
    let mut plugins = Vec::new();
    for (key, value) in table {
        let path = section.full(key.get_ref());
        let item = Item { walk: &mut *section.walk, path, span: key.span(), value: value.get_ref() };
        if let Err(text) = check_name(key.get_ref()) {
            item.refuse(text);
            continue;
        }
        let name = Located { value: key.get_ref().to_string(), place: item.place() };
        let example = format!("[plugins.{}]", key.get_ref());
        // A plugin that cannot be read is declared nevertheless: its bindings are not at fault.
        plugins.push(match item.table("section", &example) {
            Some(section) => read_plugin(name, section),
            None => RawPlugin::named(name),
        });
    }
    plugins
}

impl RawPlugin {
    fn named(name: Located<String>) -> Self {
        Self {
            name,
            source: None,
            sha256: None,
            limits: RawLimits::default(),
            reuse: None,
            pull_secret: None,
            certificate_authority: None,
            plain_http: None,
            cosign_key: None,
        }
    }
}

fn read_plugin(name: Located<String>, mut section: Section<'_, '_>) -> RawPlugin {
    let raw = RawPlugin {
        source: section.required("source").and_then(|item| item.read(text)),
        sha256: section.key("sha256", text),
        limits: read_limits(section.item("limits")),
        reuse: section.item("reuse").and_then(read_reuse),
        pull_secret: section.key("pull_secret", text),
        certificate_authority: section.key("certificate_authority", text),
        plain_http: section.key("plain_http", switch),
        cosign_key: section.key("cosign_key", text),
        ..RawPlugin::named(name)
    };
    section.refuse_the_rest();
    raw
}

fn read_limits(item: Option<Item<'_, '_>>) -> RawLimits {
    let Some(mut section) = item.and_then(|item| item.table("table", "{ memory = \"16MiB\" }")) else {
        return RawLimits::default();
    };
    let raw = RawLimits {
        size: section.key("size", size),
        memory: section.key("memory", size),
        table_elements: section.key("table_elements", whole_number),
        instances: section.key("instances", whole_number),
        output: section.key("output", size),
        cpu: section.key("cpu", duration),
    };
    section.refuse_the_rest();
    raw
}

fn read_reuse(item: Item<'_, '_>) -> Option<Located<RawReuse>> {
    let place = item.place();
    if !item.value.is_table() {
        return item.read(|value| {
            let refused = || format!("{} is neither true nor a table like {{ calls = 1000 }}", shown(value));
            value.as_bool().map(RawReuse::Switch).ok_or_else(refused)
        });
    }
    let mut section = item.table("table", "{ calls = 1000 }")?;
    let value = RawReuse::Bounds { calls: section.key("calls", whole_number), age: section.key("age", duration) };
    section.refuse_the_rest();
    Some(Located { value, place })
}

/// The tables of `[[name]]`, each called after its own name from here on.
fn read_each<T>(top: &mut Section<'_, '_>, name: &'static str, read: impl Fn(Section<'_, '_>) -> T) -> Vec<T> {
    let Some(item) = top.item(name) else { return Vec::new() };
    item.each(&format!("[[{name}]]"), |mut element| {
        let own = element.value.as_table().and_then(own_name).map(|own| format!("{name}.{own}"));
        element.path = own.unwrap_or(element.path);
        Some(read(element.table("section", &format!("[[{name}]]"))?))
    })
}

fn own_name<'t>(table: &'t DeTable<'_>) -> Option<&'t str> {
    entry(table, "name")?.1.get_ref().as_str().filter(|name| check_name(name).is_ok())
}

fn read_tenant(mut section: Section<'_, '_>) -> RawTenant {
    let raw = RawTenant {
        name: section.required("name").and_then(|item| item.read(name)),
        namespaces: read_texts(section.item("namespaces"), "[\"shop\", \"shop-*\"]"),
        namespace_selector: section.key("namespace_selector", text),
        ..read_policies_of_tenant(&mut section)
    };
    section.refuse_the_rest();
    raw
}

fn read_default(mut section: Section<'_, '_>) -> RawTenant {
    let raw = read_policies_of_tenant(&mut section);
    section.refuse_the_rest();
    raw
}

/// What tenants and the default have in common.
fn read_policies_of_tenant(section: &mut Section<'_, '_>) -> RawTenant {
    let filters = section
        .item("filter")
        .map(|item| item.each("[\"skip-sidecars\"]", |element| read_binding(element, Hook::Filter)));
    RawTenant {
        name: None,
        namespaces: Vec::new(),
        namespace_selector: None,
        filter: filters.unwrap_or_default(),
        window: section.item("window").and_then(|item| read_binding(item, Hook::Window)),
        cpu_per_tick: section.key("cpu_per_tick", duration),
        place: section.walk.place(section.span.clone(), section.path.clone()),
    }
}

fn read_node_pool(mut section: Section<'_, '_>) -> RawNodePool {
    let raw = RawNodePool {
        name: section.required("name").and_then(|item| item.read(name)),
        selector: section.key("selector", text),
        address: section.item("address").and_then(|item| read_binding(item, Hook::Address)),
        window: section.item("window").and_then(|item| read_binding(item, Hook::Window)),
        cpu_per_tick: section.key("cpu_per_tick", duration),
        place: section.walk.place(section.span.clone(), section.path.clone()),
    };
    section.refuse_the_rest();
    raw
}

fn read_texts(item: Option<Item<'_, '_>>, example: &str) -> Vec<Located<String>> {
    item.map(|item| item.each(example, |element| element.read(text))).unwrap_or_default()
}

fn read_binding(item: Item<'_, '_>, hook: Hook) -> Option<RawBinding> {
    let place = item.place();
    if let Some(name) = item.value.as_str() {
        let plugin = Located { value: name.to_owned(), place: place.clone() };
        return Some(RawBinding {
            plugin,
            settings: None,
            on_error: None,
            history: None,
            namespace_labels: None,
            place,
        });
    }
    if !item.value.is_table() {
        let example = "{ plugin = \"ewma\" }";
        let text = format!("{} is neither a plugin's name nor a table like {example}", shown(item.value));
        item.refuse(text);
        return None;
    }
    let mut section = item.table("table", "{ plugin = \"ewma\" }")?;
    let plugin = section.required("plugin").and_then(|item| item.read(text));
    let settings = section.key("settings", json_object);
    let on_error = section.key("on_error", |value| one_of(on_error_of(hook), value));
    let history = if hook == Hook::Window { section.key("history", duration) } else { None };
    let namespace_labels = if hook == Hook::Filter { section.key("namespace_labels", switch) } else { None };
    section.refuse_the_rest();
    Some(RawBinding { plugin: plugin?, settings, on_error, history, namespace_labels, place })
}

/// What `on_error` may be, the default first.
fn on_error_of(hook: Hook) -> &'static [(&'static str, OnError)] {
    match hook {
        Hook::Address => &[("preferred", OnError::Preferred)],
        Hook::Filter => &[("keep", OnError::Keep), ("drop", OnError::Drop)],
        Hook::Window => &[("last-two", OnError::LastTwo), ("nothing", OnError::Nothing)],
    }
}

fn name(value: &DeValue<'_>) -> Result<String, String> {
    let name = text(value)?;
    check_name(&name)?;
    Ok(name)
}

/// Names stand in logs, in labels of metrics and in keys of problems: nothing that would have to be quoted there.
fn check_name(name: &str) -> Result<(), String> {
    let is_plain = |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == b'-';
    if (1..=63).contains(&name.len()) && name.bytes().all(is_plain) {
        return Ok(());
    }
    Err(format!("{name:?} is no name (write 1 to 63 lower-case letters, digits and hyphens)"))
}

/// A table as the text of a JSON object.
fn json_object(value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::Table(_) => json(value, "").map(|json| json.to_string()),
        _ => Err(format!("{} is no table (write for example {{ half_life = \"60s\" }})", shown(value))),
    }
}

/// As JSON; `path` is where the value stands in the settings, for the message if there is none.
fn json(value: &DeValue<'_>, path: &str) -> Result<Value, String> {
    let refused = |why: &str| {
        let path = if path.is_empty() { "a value" } else { path };
        format!("{path} = {} {why}", shown(value))
    };
    Ok(match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Boolean(switch) => Value::Bool(*switch),
        DeValue::Integer(number) => {
            let number = i64::from_str_radix(number.as_str(), number.radix());
            Value::Number(number.map_err(|_| refused("does not fit into 64 bits"))?.into())
        }
        DeValue::Float(number) => {
            let number = number.as_str().parse().ok().and_then(Number::from_f64);
            Value::Number(number.ok_or_else(|| refused("is no number that JSON has"))?)
        }
        DeValue::Datetime(_) => return Err(refused("is a time, which JSON has not (write it in quotes)")),
        DeValue::Array(list) => {
            let elements = list.iter().enumerate();
            elements.map(|(at, value)| json(value.get_ref(), &format!("{path}[{at}]"))).collect::<Result<_, _>>()?
        }
        DeValue::Table(table) => Value::Object(json_members(table, path)?),
    })
}

fn json_members(table: &DeTable<'_>, path: &str) -> Result<Map<String, Value>, String> {
    let member = |(key, value): (&toml::Spanned<std::borrow::Cow<'_, str>>, &toml::Spanned<DeValue<'_>>)| {
        let name = key.get_ref();
        let path = if path.is_empty() { name.to_string() } else { format!("{path}.{name}") };
        Ok((name.to_string(), json(value.get_ref(), &path)?))
    };
    table.iter().map(member).collect()
}

#[cfg(test)]
mod tests;
