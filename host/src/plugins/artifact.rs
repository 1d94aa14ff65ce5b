//! From the bytes of a .wasm file to a compiled component that fits the contract.
//!
//! In: bytes that anybody may have written, and the limits of the plugin. Out, first: an [`Inspection`], which says without
//! compiling what they are, which hooks they answer and for which version of the contract they were made; and then a
//! compiled [`Artifact`], of which a fresh instance can be made in microseconds. A core module that carries
//! component-type metadata, as toolchains put it out, is made a component on the way. What does not fit is refused by an
//! [`ArtifactError`]; its text is for the author of the plugin and says the remedy, where there is one.
//!
//! Compiling is done by one thread at a time, which has a low priority and whose panics refuse the artifact. It cannot be
//! interrupted: what bounds it is `limits.size` (0.9 µs for each byte; 9 s for the largest guest seen, of 12 MB)
//! and the number of instances that a component may consist of. What was compiled is found again by digest, in this
//! process and in the cache on disk.
//!
//! Not found out here: whether exported functions have the types of the contract. wasmtime compares types only when it
//! makes an instance, so [`Caller::check_exports`] does.
//!
//! Absent on purpose: where the bytes come from, pins and signatures, settings.
//!
//! [`Caller::check_exports`]: super::call::Caller::check_exports

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use wasmtime::component::{Component, HasSelf, Instance, InstancePre, Linker};
use wasmtime::{Precompiled, Store};

use super::call::State;
use super::componentize::componentize;
use super::contained::contained;
use super::engine::Engine;
use super::line::line;
use super::wit::exports::metrics_gateway::policy as exported;
use super::wit::metrics_gateway::policy::log;
use crate::config::policies::PluginLimits;

mod survey;

use survey::{Survey, survey};

/// The version of `metrics-gateway:policy` that is spoken here. Of the same major version, older ones are understood.
pub const VERSION: Version = Version { major: 1, minor: 0, patch: 0 };

/// A question that a plugin may answer; each is one interface of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hook {
    /// Where a node's kubelet is asked.
    Address,
    /// Which containers are served, by name and labels.
    Filter,
    /// Which containers are served, by what they use.
    FilterByValue,
    /// Over which window usage is computed.
    Window,
}

impl Hook {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Address, Self::Filter, Self::FilterByValue, Self::Window];

    /// The name of its interface.
    pub fn interface(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Filter => "filter",
            Self::FilterByValue => "filter-by-value",
            Self::Window => "window",
        }
    }
}

/// A version of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// Another one is another contract.
    pub major: u64,
    /// A higher one has more functions.
    pub minor: u64,
    /// A higher one has better words.
    pub patch: u64,
}

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split('.').map(|number| number.parse().ok());
        let version = Self { major: numbers.next()??, minor: numbers.next()??, patch: numbers.next()?? };
        numbers.next().is_none().then_some(version)
    }

    #[expect(clippy::absurd_extreme_comparisons, reason = "our minor version does not stay 0")]
    fn is_understood(self) -> bool {
        self.major == VERSION.major && self.minor <= VERSION.minor
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// What the bytes of a plugin are, found out without compiling them.
#[derive(Clone)]
pub struct Inspection {
    /// SHA-256 of the bytes as they came.
    pub sha256: [u8; 32],
    /// What it answers; at least one.
    pub hooks: Vec<Hook>,
    /// The version of the contract that it was made for: the highest that it names.
    pub version: Version,
    /// Whether it came as a core module, and was made a component.
    pub was_core_module: bool,
    /// The component.
    component: Vec<u8>,
}

// Without the component, which is megabytes.
impl std::fmt::Debug for Inspection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { hooks, version, was_core_module, component, .. } = self;
        write!(f, "Inspection of {} bytes: {hooks:?} of {version}, core module: {was_core_module}", component.len())
    }
}

/// What the bytes are, and whether they may be compiled here.
///
/// Takes time in proportion to the bytes: a core module of megabytes is rewritten.
///
/// # Errors
/// [`ArtifactError`] says what is wrong with them.
pub fn inspect(bytes: &[u8], limits: &PluginLimits) -> Result<Inspection, ArtifactError> {
    if bytes.len() > limits.size {
        return refused(format!("has {} bytes, and its limit `size` is {}", bytes.len(), limits.size));
    }
    let was_core_module = is_core_module(bytes)?;
    let component = if was_core_module { contained("plugin-encode", || componentize(bytes))? } else { bytes.to_vec() };
    let survey = survey(&component)?;
    check_imports(&survey)?;
    let (hooks, version) = check_exports(&survey)?;
    check_room(&survey, limits)?;
    Ok(Inspection { sha256: Sha256::digest(bytes).into(), hooks, version, was_core_module, component })
}

/// A compiled plugin. It has no settings and no limits: one serves all bindings, of all tenants.
pub struct Artifact {
    sha256: [u8; 32],
    hooks: Vec<Hook>,
    pub(super) pre: InstancePre<State>,
    pub(super) exports: Exports,
}

impl Artifact {
    /// SHA-256 of the bytes of the .wasm file.
    pub fn sha256(&self) -> [u8; 32] {
        self.sha256
    }

    /// Whether it answers a hook.
    pub fn answers(&self, hook: Hook) -> bool {
        self.hooks.contains(&hook)
    }
}

/// Artifacts that are in use, by digest: the same bytes under two names, or in the next generation, are compiled once.
pub(super) type Shelf = Mutex<HashMap<[u8; 32], Weak<Artifact>>>;

impl Engine {
    /// Compiles, or finds what was compiled before. Blocks, for seconds where the artifact is large, and cannot be
    /// interrupted: not for the reactor.
    ///
    /// # Errors
    /// [`ArtifactError`] says why the artifact cannot be run.
    pub fn compile(&self, inspection: &Inspection) -> Result<Arc<Artifact>, ArtifactError> {
        // Held while compiling: one at a time, and whoever waits for the same artifact finds it.
        let mut shelf = self.shelf.lock();
        if let Some(artifact) = shelf.get(&inspection.sha256).and_then(Weak::upgrade) {
            return Ok(artifact);
        }
        let component = self.component(inspection)?;
        let artifact = Arc::new(link(component, inspection)?);
        shelf.retain(|_, artifact| artifact.strong_count() > 0);
        shelf.insert(inspection.sha256, Arc::downgrade(&artifact));
        Ok(artifact)
    }

    fn component(&self, inspection: &Inspection) -> Result<Component, ArtifactError> {
        let bytes = &inspection.component;
        if let Some(component) = self.cache.as_ref().and_then(|cache| cache.load(&self.wasmtime, bytes)) {
            return Ok(component);
        }
        let component = contained("plugin-compile", || {
            // Serving goes first. Where priorities cannot be changed, it goes beside.
            let _ = rustix::process::nice(10);
            let compiled = Component::from_binary(&self.wasmtime, bytes);
            compiled
                .map_err(|error| ArtifactError(format!("cannot be compiled: {}", line(&format!("{error:#}"), 1024))))
        })?;
        if let Some(cache) = &self.cache {
            cache.save(&self.wasmtime, bytes, &component);
        }
        Ok(component)
    }
}

/// Why an artifact is refused: a sentence that begins with the verb, its subject being the artifact.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ArtifactError(pub(super) String);

fn refused<T>(why: impl Into<String>) -> Result<T, ArtifactError> {
    Err(ArtifactError(why.into()))
}

/// Whether the bytes are a core module; an error where they are not a component either.
fn is_core_module(bytes: &[u8]) -> Result<bool, ArtifactError> {
    if wasmparser::Parser::is_component(bytes) {
        return Ok(false);
    }
    if wasmparser::Parser::is_core_wasm(bytes) {
        return Ok(true);
    }
    refused(format!("is not WebAssembly but {}", what_else(bytes)))
}

/// What bytes that are not WebAssembly seem to be.
fn what_else(bytes: &[u8]) -> &'static str {
    const PRECOMPILED: &str = "a precompiled artifact, which is never accepted; give the .wasm file it was made from";
    match wasmtime::Engine::detect_precompiled(bytes) {
        Some(Precompiled::Module | Precompiled::Component) => return PRECOMPILED,
        None => {}
    }
    match bytes {
        [] => "an empty file",
        [0x7f, b'E', b'L', b'F', ..] => "a program for this kind of machine (ELF)",
        [0x1f, 0x8b, ..] => "compressed (gzip)",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "compressed (zstd)",
        [b'P', b'K', 3, 4, ..] => "a zip archive",
        [0, b'a', b's', b'm', ..] => "of a version of its encoding that is not known here, or cut short",
        _ if bytes.trim_ascii_start().starts_with(b"(") => "its text form; make it binary with `wasm-tools parse`",
        _ if std::str::from_utf8(bytes).is_ok() => "text",
        _ => "something else",
    }
}

const PACKAGE: &str = "metrics-gateway:policy/";

/// Of imports, only those of our contract: there is nothing else that a plugin could be given.
fn check_imports(survey: &Survey) -> Result<(), ArtifactError> {
    let is_ours = |name: &&String| {
        let interface = name.strip_prefix(PACKAGE).map(|rest| rest.split_once('@').map_or(rest, |(name, _)| name));
        matches!(interface, Some("log" | "types"))
    };
    let (ours, foreign): (Vec<&String>, Vec<&String>) = survey.imports.iter().partition(is_ours);
    for name in ours {
        understood(name)?;
    }
    if foreign.is_empty() {
        return Ok(());
    }
    Err(foreign_imports(&foreign))
}

/// A refusal that names what a plugin wants and cannot be given.
pub(super) fn foreign_imports(imports: &[&String]) -> ArtifactError {
    let named = names(imports);
    if imports.iter().any(|name| name.starts_with("wasi")) {
        return ArtifactError(format!(
            "imports {named}: it is built for WASI, and plugins are given nothing but `metrics-gateway:policy/log`; build it \
             without WASI (Rust: for wasm32-unknown-unknown), or with its imports stubbed out"
        ));
    }
    ArtifactError(format!("imports {named}, and plugins are given nothing but `metrics-gateway:policy/log`"))
}

/// A refusal of bytes that begin like WebAssembly and do not go on like it.
pub(super) fn damaged(error: &wasmparser::Error, length: usize) -> ArtifactError {
    let (at, what) = (error.offset(), line(error.message(), 256));
    ArtifactError(format!("is damaged or cut short, at byte {at} of {length}: {what}"))
}

/// The hooks that are exported, and the highest version that is named.
fn check_exports(survey: &Survey) -> Result<(Vec<Hook>, Version), ArtifactError> {
    let mut interfaces = Vec::new();
    for name in survey.exports.iter().filter(|name| name.starts_with(PACKAGE)) {
        interfaces.push(understood(name)?);
    }
    let is_exported = |interface: &str| interfaces.iter().any(|(name, _)| *name == interface);
    let hooks: Vec<Hook> = Hook::ALL.into_iter().filter(|hook| is_exported(hook.interface())).collect();
    if hooks.is_empty() {
        let others: Vec<&String> = survey.exports.iter().collect();
        let found = if others.is_empty() { "nothing".to_owned() } else { names(&others) };
        return refused(format!(
            "answers no hook: it exports {found}, and none of the interfaces `address`, `filter`, `filter-by-value` and \
             `window` of metrics-gateway:policy"
        ));
    }
    if !is_exported("plugin") {
        return refused("does not export `metrics-gateway:policy/plugin`, which every plugin has");
    }
    if hooks.contains(&Hook::FilterByValue) && !hooks.contains(&Hook::Filter) {
        return refused("exports `filter-by-value` without `filter`, whose verdict 4 is what leads to it");
    }
    let version = interfaces.iter().map(|(_, version)| *version).max().unwrap_or(VERSION);
    Ok((hooks, version))
}

/// The name of one of our interfaces, and its version, if we speak it.
fn understood(full_name: &str) -> Result<(&str, Version), ArtifactError> {
    let spoken = format!("this gateway speaks {}.{}", VERSION.major, VERSION.minor);
    let name = full_name.strip_prefix(PACKAGE).unwrap_or(full_name);
    let Some((interface, version)) = name.split_once('@') else {
        return refused(format!("asks for `{}` without a version, {spoken}", line(full_name, 120)));
    };
    match Version::parse(version) {
        Some(version) if version.is_understood() => Ok((interface, version)),
        _ => refused(format!("asks for metrics-gateway:policy {}, {spoken}", line(version, 40))),
    }
}

/// What an instance takes at the least must fit its limits: better found out here than at every call.
fn check_room(survey: &Survey, limits: &PluginLimits) -> Result<(), ArtifactError> {
    let room = &survey.room;
    if room.memory > limits.memory as u64 {
        let (wants, most) = (room.memory.div_ceil(1 << 10), limits.memory >> 10);
        return refused(format!("begins with {wants} KiB of memory, and its limit `memory` is {most} KiB"));
    }
    if room.elements > limits.table_elements as u64 {
        let most = limits.table_elements;
        return refused(format!(
            "begins with {} elements in tables, and its limit `table_elements` is {most}",
            room.elements
        ));
    }
    if room.instances > limits.instances as u64 {
        let most = limits.instances;
        return refused(format!("consists of {} core instances, and its limit `instances` is {most}", room.instances));
    }
    Ok(())
}

/// Names that the plugin chose, for a sentence.
fn names(names: &[&String]) -> String {
    const SHOWN: usize = 8;
    let mut text = String::new();
    for (index, name) in names.iter().take(SHOWN).enumerate() {
        let comma = if index > 0 { ", " } else { "" };
        write!(text, "{comma}`{}`", line(name, 120)).expect("a string takes what is written");
    }
    if names.len() > SHOWN {
        write!(text, " and {} more", names.len() - SHOWN).expect("a string takes what is written");
    }
    text
}

/// Joins the component with the only import there is.
fn link(component: Component, inspection: &Inspection) -> Result<Artifact, ArtifactError> {
    let unfit = |error: wasmtime::Error| ArtifactError(format!("does not fit: {}", line(&format!("{error:#}"), 1024)));
    let mut linker = Linker::<State>::new(component.engine());
    log::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state).map_err(unfit)?;
    let pre = linker.instantiate_pre(&component).map_err(unfit)?;
    let exports = Exports::new(&pre, &inspection.hooks).map_err(unfit)?;
    Ok(Artifact { sha256: inspection.sha256, hooks: inspection.hooks.clone(), pre, exports })
}

/// Where the exported functions are in a component; their types are not looked at yet.
pub(super) struct Exports {
    pub(super) plugin: exported::plugin::GuestIndices,
    pub(super) address: Option<exported::address::GuestIndices>,
    pub(super) filter: Option<exported::filter::GuestIndices>,
    pub(super) filter_by_value: Option<exported::filter_by_value::GuestIndices>,
    pub(super) window: Option<exported::window::GuestIndices>,
}

impl Exports {
    fn new(pre: &InstancePre<State>, hooks: &[Hook]) -> wasmtime::Result<Self> {
        let has = |hook| hooks.contains(&hook).then_some(pre);
        Ok(Self {
            plugin: exported::plugin::GuestIndices::new(pre)?,
            address: has(Hook::Address).map(exported::address::GuestIndices::new).transpose()?,
            filter: has(Hook::Filter).map(exported::filter::GuestIndices::new).transpose()?,
            filter_by_value: has(Hook::FilterByValue).map(exported::filter_by_value::GuestIndices::new).transpose()?,
            window: has(Hook::Window).map(exported::window::GuestIndices::new).transpose()?,
        })
    }

    /// Whether all functions have the types of the contract.
    pub(super) fn check(&self, store: &mut Store<State>, instance: &Instance) -> wasmtime::Result<()> {
        self.plugin.load(&mut *store, instance)?;
        self.address.as_ref().map(|address| address.load(&mut *store, instance)).transpose()?;
        self.filter.as_ref().map(|filter| filter.load(&mut *store, instance)).transpose()?;
        self.filter_by_value.as_ref().map(|filter| filter.load(&mut *store, instance)).transpose()?;
        self.window.as_ref().map(|window| window.load(&mut *store, instance)).transpose()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
