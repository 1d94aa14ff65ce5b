//! Plugins, node pools, tenants and the default: whether they make sense, as far as that can be known without reading an
//! artifact.
//!
//! Ranges keep one plugin from taking the process down with it; each says why it is where it is. What is wrong with an
//! artifact itself, or with settings, is for [`plugins`](crate::plugins) to find out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use globset::{Glob, GlobSet, GlobSetBuilder};

use super::super::file::policies::{RawBinding, RawLimits, RawNodePool, RawPlugin, RawPolicies, RawReuse, RawTenant};
use super::super::file::{Located, RawConfig};
use super::super::policies::{
    BindingConfig, NodePoolConfig, OciSource, OnError, PluginConfig, PluginLimits, PoliciesConfig, Reuse, Source,
    TenantConfig,
};
use super::{Findings, beside_file, value};
use crate::args::Args;
use crate::args::values::GoDuration;
use crate::model::selector::LabelSelector;

/// A verdict keeps one bit for each filter that decides by value, and has eight.
const MOST_FILTERS: usize = 8;

/// What the name of a window binding says where no plugin is wanted; likewise of an address binding.
const LAST_TWO: &str = "last-two";
const PREFERRED: &str = "preferred";

/// The name of everyone who is no tenant's.
const DEFAULT: &str = "default";

/// Largest artifact: compiling takes about ten times the memory of what is compiled.
const LARGEST_ARTIFACT: u64 = 128 << 20;

/// Largest memory of an instance: it is held once a worker, and the gateway of a large cluster has half a gigabyte.
const LARGEST_MEMORY: u64 = 256 << 20;

/// Longest call: a third of the shortest metric resolution, in which a node's answer waits for its window policy.
const LONGEST_CALL: Duration = Duration::from_secs(5);

/// What `history` may be, at most: 240 samples of every container at a resolution of 15 s.
const LONGEST_HISTORY: Duration = Duration::from_secs(3600);

/// Shortest time that means anything: the clock by which calls are ended ticks about as often.
const SHORTEST_CPU: Duration = Duration::from_millis(1);

pub(super) fn policies(raw: &RawConfig, args: &Args, found: &mut Findings) -> PoliciesConfig {
    let raw = &raw.policies;
    let declared = Declared::of(raw);
    let resolution = args.metric_resolution.unsigned().unwrap_or_default();
    let mut judge = Judge { declared: &declared, used: BTreeSet::new(), resolution, found };
    judge.refuse_duplicates("tenant", raw.tenants.iter().filter_map(|tenant| tenant.name.as_ref()));
    judge.refuse_duplicates("node pool", raw.node_pools.iter().filter_map(|pool| pool.name.as_ref()));
    let policies = PoliciesConfig {
        plugins: raw.plugins.iter().filter_map(|plugin| self::plugin(plugin, args, judge.found)).collect(),
        node_pools: raw.node_pools.iter().filter_map(|pool| judge.node_pool(pool)).collect(),
        tenants: raw.tenants.iter().filter_map(|tenant| judge.tenant(tenant)).collect(),
        default: raw.default.as_ref().map(|tenant| judge.policies_of(tenant, DEFAULT)),
    };
    judge.warn_of_idle_plugins(raw);
    warn_of_namespaces_of_others(raw, &policies.tenants, found);
    warn_of_idle_pools(&policies.node_pools, found);
    policies
}

/// The names of plugins.
struct Declared<'r>(Vec<&'r str>);

impl<'r> Declared<'r> {
    fn of(raw: &'r RawPolicies) -> Self {
        Self(raw.plugins.iter().map(|plugin| plugin.name.value.as_str()).collect())
    }
}

/// What bindings are judged by.
struct Judge<'j, 'r> {
    declared: &'j Declared<'r>,
    /// The plugins that a binding names.
    used: BTreeSet<String>,
    resolution: Duration,
    found: &'j mut Findings,
}

impl Judge<'_, '_> {
    fn refuse_duplicates<'n>(&mut self, kind: &str, names: impl Iterator<Item = &'n Located<String>>) {
        let mut lines: BTreeMap<&str, usize> = BTreeMap::new();
        for Located { value, place } in names {
            match lines.get(value.as_str()) {
                Some(line) => self.found.refuse_at(place, format!("another {kind} is called so, in line {line}")),
                None => {
                    lines.insert(value, place.line);
                }
            }
        }
    }

    fn tenant(&mut self, raw: &RawTenant) -> Option<TenantConfig> {
        let name = raw.name.as_ref();
        if let Some(name) = name.filter(|name| name.value == DEFAULT) {
            self.found.refuse_at(&name.place, "that is what everyone else is called (write [default] for them)");
        }
        if raw.namespaces.is_empty() && raw.namespace_selector.is_none() {
            let text = "owns nothing (write namespaces or namespace_selector, or [default] for everyone else)";
            self.found.refuse_at(&raw.place, text);
        }
        let policies = self.policies_of(raw, name.map_or("", |name| &name.value));
        Some(TenantConfig {
            name: name?.value.as_str().into(),
            namespaces: raw.namespaces.iter().map(|written| written.value.clone()).collect(),
            globs: globs(&raw.namespaces, self.found),
            namespace_selector: namespace_selector(raw, self.found),
            ..policies
        })
    }

    /// What tenants and the default have in common.
    fn policies_of(&mut self, raw: &RawTenant, name: &str) -> TenantConfig {
        let filters = raw.filter.len();
        if let Some(first_too_many) = raw.filter.get(MOST_FILTERS) {
            self.found.refuse_at(&first_too_many.place, format!("{filters} filters are more than {MOST_FILTERS}"));
        }
        TenantConfig {
            name: name.into(),
            namespaces: Vec::new(),
            globs: GlobSet::empty(),
            namespace_selector: None,
            filter: raw.filter.iter().filter_map(|binding| self.binding(binding, OnError::Keep, None)).collect(),
            window: self.optional(&raw.window, OnError::LastTwo, LAST_TWO),
            cpu_per_tick: self.cpu_per_tick(&raw.cpu_per_tick),
            place: raw.place.clone(),
        }
    }

    fn node_pool(&mut self, raw: &RawNodePool) -> Option<NodePoolConfig> {
        let selector = raw.selector.as_ref().map(|written| selector(written, self.found));
        let address = self.optional(&raw.address, OnError::Preferred, PREFERRED);
        let window = self.optional(&raw.window, OnError::LastTwo, LAST_TWO);
        Some(NodePoolConfig {
            cpu_per_tick: self.cpu_per_tick(&raw.cpu_per_tick),
            name: raw.name.as_ref()?.value.as_str().into(),
            selector: selector.unwrap_or_default(),
            address,
            window,
            place: raw.place.clone(),
        })
    }

    fn optional(&mut self, raw: &Option<RawBinding>, on_error: OnError, built_in: &str) -> Option<BindingConfig> {
        self.binding(raw.as_ref()?, on_error, Some(built_in))
    }

    /// None: the built-in, or a problem.
    fn binding(&mut self, raw: &RawBinding, on_error: OnError, built_in: Option<&str>) -> Option<BindingConfig> {
        let name = raw.plugin.value.as_str();
        if Some(name) == built_in {
            let takes_something = raw.settings.is_some() || raw.on_error.is_some() || raw.history.is_some();
            if takes_something {
                let text = format!("{name:?} is built in, it takes no settings, on_error or history");
                self.found.refuse_at(&raw.place, text);
            }
            return None;
        }
        if !self.declared.0.contains(&name) {
            self.found.refuse_at(&raw.plugin.place, self.no_such_plugin(name));
        }
        self.used.insert(name.to_owned());
        let history = raw
            .history
            .as_ref()
            .map(|_| self.found.within(&raw.history, Duration::ZERO, Duration::ZERO..=LONGEST_HISTORY, show_duration));
        Some(BindingConfig {
            plugin: name.into(),
            settings: raw.settings.as_ref().map_or_else(|| "{}".to_owned(), |settings| settings.value.clone()),
            on_error: value(&raw.on_error, on_error),
            history,
            namespace_labels: value(&raw.namespace_labels, false),
            place: raw.place.clone(),
        })
    }

    fn no_such_plugin(&self, name: &str) -> String {
        let declared: Vec<String> = self.declared.0.iter().map(|name| format!("{name:?}")).collect();
        match declared.as_slice() {
            [] => format!("no plugin named {name:?}; none is declared (write [plugins.{name}])"),
            [_] => format!("no plugin named {name:?}; declared is {}", declared[0]),
            _ => format!("no plugin named {name:?}; declared are {}", declared.join(", ")),
        }
    }

    fn cpu_per_tick(&mut self, written: &Option<Located<Duration>>) -> Duration {
        // A tenth, so that ten tenants that all go wrong take one core; more than one core's whole time is no limit.
        let most = self.resolution.max(SHORTEST_CPU);
        self.found.within(written, self.resolution / 10, SHORTEST_CPU..=most, show_duration)
    }

    fn warn_of_idle_plugins(&mut self, raw: &RawPolicies) {
        for plugin in raw.plugins.iter().filter(|plugin| !self.used.contains(&plugin.name.value)) {
            self.found.warn_at(&plugin.name.place, "no tenant and no node pool uses it");
        }
    }
}

/// None where the source says nothing that could be used; that has been said then.
fn plugin(raw: &RawPlugin, args: &Args, found: &mut Findings) -> Option<PluginConfig> {
    if [LAST_TWO, PREFERRED].contains(&raw.name.value.as_str()) {
        found.refuse_at(&raw.name.place, "that is the name of a built-in policy");
    }
    let sha256 = raw.sha256.as_ref().and_then(|written| sha256(written, found));
    let limits = limits(&raw.limits, found);
    let reuse = raw.reuse.as_ref().and_then(|written| reuse(&written.value, found));
    let source = source(raw, args, found)?;
    if is_unpinned(&source, sha256.is_some()) {
        found.warn_at(
            &raw.name.place,
            "whoever may write to the registry decides what runs here (write sha256, cosign_key, or a digest in source)",
        );
    }
    let name = raw.name.value.as_str().into();
    Some(PluginConfig { name, source, sha256, limits, reuse, place: raw.name.place.clone() })
}

fn is_unpinned(source: &Source, has_digest: bool) -> bool {
    match source {
        Source::File(_) => false,
        Source::Oci(oci) => !has_digest && oci.cosign_key.is_none() && !oci.reference.contains('@'),
    }
}

fn source(raw: &RawPlugin, args: &Args, found: &mut Findings) -> Option<Source> {
    let Located { value: source, place } = raw.source.as_ref()?;
    if let Some(reference) = source.strip_prefix("oci://") {
        if let Err(why) = check_reference(reference) {
            let example = "oci://registry.example/policies/ewma:1.0.0";
            found.refuse_at(place, format!("{source:?} {why} (write for example {example:?})"));
        }
        let file = |written: &Option<Located<String>>| written.as_ref().map(|it| beside_file(args, &it.value));
        return Some(Source::Oci(OciSource {
            reference: reference.into(),
            pull_secret: file(&raw.pull_secret),
            certificate_authority: file(&raw.certificate_authority),
            plain_http: value(&raw.plain_http, false),
            cosign_key: file(&raw.cosign_key),
        }));
    }
    refuse_keys_of_registries(raw, found);
    match source.split_once("://") {
        Some((scheme, _)) => {
            found.refuse_at(place, format!("{scheme:?} is no kind of source (write a path, or oci://…)"));
            None
        }
        None if source.is_empty() => {
            found.refuse_at(place, "is empty (write for example \"plugins/ewma.wasm\")");
            None
        }
        None => Some(Source::File(beside_file(args, source))),
    }
}

fn refuse_keys_of_registries(raw: &RawPlugin, found: &mut Findings) {
    let places = [
        raw.pull_secret.as_ref().map(|it| &it.place),
        raw.certificate_authority.as_ref().map(|it| &it.place),
        raw.plain_http.as_ref().map(|it| &it.place),
        raw.cosign_key.as_ref().map(|it| &it.place),
    ];
    for place in places.into_iter().flatten() {
        found.refuse_at(place, "has a meaning for sources that begin with oci:// only");
    }
}

/// `REGISTRY/REPOSITORY[:TAG][@sha256:DIGEST]`. Whoever pulls reads it again; this finds what was mistyped.
fn check_reference(reference: &str) -> Result<(), &'static str> {
    let (name, digest) = match reference.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (reference, None),
    };
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "./:_-[]".contains(letter);
    match name.split_once('/') {
        _ if name.len() > 512 || !name.chars().all(is_plain) => Err("is no name of an image"),
        Some((registry, repository)) if !registry.is_empty() && !repository.is_empty() => Ok(()),
        _ => Err("names no repository in a registry"),
    }?;
    let is_digest = |digest: &str| digest.strip_prefix("sha256:").and_then(parse_sha256).is_some();
    if digest.is_none_or(is_digest) {
        Ok(())
    } else {
        Err("has a digest that is not sha256: and 64 hexadecimal digits")
    }
}

fn sha256(written: &Located<String>, found: &mut Findings) -> Option<[u8; 32]> {
    let text = written.value.strip_prefix("sha256:").unwrap_or(&written.value);
    let digest = parse_sha256(text);
    if digest.is_none() {
        found.refuse_at(&written.place, format!("{:?} is not 64 hexadecimal digits", written.value));
    }
    digest
}

fn parse_sha256(text: &str) -> Option<[u8; 32]> {
    let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    let bytes: Vec<u8> =
        digits?.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | *digit as u8)).collect();
    if text.len() == 64 { bytes.try_into().ok() } else { None }
}

fn limits(raw: &RawLimits, found: &mut Findings) -> PluginLimits {
    let default = PluginLimits::default();
    let mut number = |written: &Option<Located<u64>>, default: usize, range, show| {
        usize::try_from(found.within(written, default as u64, range, show)).unwrap_or(usize::MAX)
    };
    let (count, bytes): (fn(&u64) -> String, _) = (u64::to_string, show_bytes);
    PluginLimits {
        size: number(&raw.size, default.size, (1 << 10)..=LARGEST_ARTIFACT, bytes),
        // A page is the least that a memory has.
        memory: number(&raw.memory, default.memory, (64 << 10)..=LARGEST_MEMORY, bytes),
        // An element takes 8 bytes of ours, in every worker.
        table_elements: number(&raw.table_elements, default.table_elements, 1..=1_000_000, count),
        // Components of the languages we know have a handful.
        instances: number(&raw.instances, default.instances, 1..=100, count),
        // An answer is copied out of the guest before it is checked; a tick may have one from every worker.
        output: number(&raw.output, default.output, (1 << 10)..=(64 << 20), bytes),
        cpu: raw
            .cpu
            .as_ref()
            .map(|_| found.within(&raw.cpu, Duration::ZERO, SHORTEST_CPU..=LONGEST_CALL, show_duration)),
    }
}

fn reuse(raw: &RawReuse, found: &mut Findings) -> Option<Reuse> {
    // A guest with a collector of garbage grows; ten thousand calls or ten minutes keep that below its memory limit.
    let default = Reuse { calls: 10_000, age: Duration::from_secs(600) };
    match raw {
        RawReuse::Switch(is_reused) => is_reused.then_some(default),
        RawReuse::Bounds { calls, age } => {
            let calls = found.within(calls, u64::from(default.calls), 1..=1_000_000, u64::to_string);
            let ages = Duration::from_secs(1)..=Duration::from_secs(3600);
            let age = found.within(age, default.age, ages, show_duration);
            Some(Reuse { calls: u32::try_from(calls).unwrap_or(u32::MAX), age })
        }
    }
}

fn globs(written: &[Located<String>], found: &mut Findings) -> GlobSet {
    let mut set = GlobSetBuilder::new();
    for Located { value, place } in written {
        match glob(value) {
            Ok(glob) => {
                set.add(glob);
            }
            Err(why) => found.refuse_at(place, format!("{value:?} {why}")),
        }
    }
    set.build().unwrap_or_else(|error| {
        if let Some(first) = written.first() {
            found.refuse_at(&first.place, format!("these patterns together are too much: {error}"));
        }
        GlobSet::empty()
    })
}

fn glob(pattern: &str) -> Result<Glob, String> {
    let is_special = |letter: char| "*?[]{},!".contains(letter);
    let is_plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    let is_literal = is_literal(pattern);
    // 63 bytes are what a namespace may have; a pattern may say more to mean less.
    if pattern.is_empty() || pattern.len() > if is_literal { 63 } else { 253 } {
        return Err("is not of a length that names of namespaces have".to_owned());
    }
    if !pattern.chars().all(|letter| is_plain(letter) || is_special(letter)) {
        return Err("can be no namespace: those have lower-case letters, digits and hyphens".to_owned());
    }
    Glob::new(pattern).map_err(|error| format!("is no pattern: {}", error.kind()))
}

fn is_literal(pattern: &str) -> bool {
    !pattern.contains(['*', '?', '[', ']', '{', '}', ',', '!'])
}

fn namespace_selector(raw: &RawTenant, found: &mut Findings) -> Option<LabelSelector> {
    let written = raw.namespace_selector.as_ref()?;
    let problems = found.problems.len();
    let selector = selector(written, found);
    if selector.is_everything() && found.problems.len() == problems {
        found.refuse_at(&written.place, "selects every namespace (write [default] for everyone else)");
    }
    Some(selector)
}

fn selector(written: &Located<String>, found: &mut Findings) -> LabelSelector {
    LabelSelector::parse(written.value.trim()).unwrap_or_else(|error| {
        found.refuse_at(&written.place, format!("{:?} is no selector: {error}", written.value));
        LabelSelector::default()
    })
}

/// Namespaces that a tenant names and does not get, because an earlier one takes them.
fn warn_of_namespaces_of_others(raw: &RawPolicies, tenants: &[TenantConfig], found: &mut Findings) {
    for (at, tenant) in tenants.iter().enumerate() {
        let Some(raw) = raw.tenants.iter().find(|raw| raw.place == tenant.place) else { continue };
        for Located { value, place } in raw.namespaces.iter().filter(|written| is_literal(&written.value)) {
            if let Some(owner) = tenants[..at].iter().find(|earlier| earlier.globs.is_match(value)) {
                let (owner, line) = (&owner.name, owner.place.line);
                found.warn_at(
                    place,
                    format!("{value:?} belongs to tenant {owner:?}, which comes first, in line {line}"),
                );
            }
        }
    }
}

fn warn_of_idle_pools(pools: &[NodePoolConfig], found: &mut Findings) {
    let Some(all) = pools.iter().position(|pool| pool.selector.is_everything()) else { return };
    let name = &pools[all].name;
    for pool in &pools[all + 1..] {
        found.warn_at(&pool.place, format!("no node comes so far: node pool {name:?} before it selects all nodes"));
    }
}

fn show_duration(duration: &Duration) -> String {
    GoDuration::from(*duration).to_string()
}

/// In the largest unit that leaves no rest, as the file has it.
fn show_bytes(bytes: &u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let fits = units.iter().find(|(shift, _)| *bytes > 0 && bytes.trailing_zeros() >= *shift);
    fits.map_or_else(|| format!("{bytes}B"), |(shift, unit)| format!("{}{unit}", bytes >> shift))
}

#[cfg(test)]
mod tests;
