//! The boundary of the sandbox: the contract's functions, and how a policy's answers become theirs.
//!
//! No part of the interface for authors: only the export macros use it. Each hook has bindings of its own, so that a plugin
//! exports those hooks alone that it hands to a macro. The answers of an honest policy always have the contract's form:
//! lists are cut to its lengths, and a usage out of range is left out instead of spoiling the batch.

use std::cell::OnceCell;
use std::marker::PhantomData;

use crate::address::{Address, Candidate, Choice, Node, NodeAddress};
use crate::filter::{Filter, Pod, ValueFilter, Verdict};
#[cfg(target_arch = "wasm32")]
use crate::log::Level;
use crate::settings::Settings;
use crate::window::Window;
use crate::{Batch, Duration, Time, Usage};

/// What wit-bindgen makes of `wit/policy.wit`.
#[allow(
    unsafe_code,
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    reason = "generated: it crosses the boundary of a module"
)]
#[allow(
    clippy::all,
    clippy::allow_attributes_without_reason,
    clippy::semicolon_if_nothing_returned,
    clippy::cast_lossless,
    reason = "generated"
)]
pub mod bindings {
    /// What all plugins share: the types, `log` and `plugin`.
    pub mod base {
        wit_bindgen::generate!({
            path: "wit",
            inline: "
                package metrics-gateway:sdk-base;
                world base {
                    import metrics-gateway:policy/types@1.0.0;
                    import metrics-gateway:policy/log@1.0.0;
                    export metrics-gateway:policy/plugin@1.0.0;
                }
            ",
            world: "metrics-gateway:sdk-base/base",
            generate_all,
            generate_unused_types: true,
            pub_export_macro: true,
            export_macro_name: "export_base",
        });
    }

    /// The hook `address`.
    pub mod address {
        wit_bindgen::generate!({
            path: "wit",
            inline: "
                package metrics-gateway:sdk-address;
                world address-hook { export metrics-gateway:policy/address@1.0.0; }
            ",
            world: "metrics-gateway:sdk-address/address-hook",
            with: { "metrics-gateway:policy/types@1.0.0": super::base::metrics_gateway::policy::types },
            generate_all,
            pub_export_macro: true,
            export_macro_name: "export_address",
        });
    }

    /// The hook `filter`.
    pub mod filter {
        wit_bindgen::generate!({
            path: "wit",
            inline: "
                package metrics-gateway:sdk-filter;
                world filter-hook { export metrics-gateway:policy/filter@1.0.0; }
            ",
            world: "metrics-gateway:sdk-filter/filter-hook",
            with: { "metrics-gateway:policy/types@1.0.0": super::base::metrics_gateway::policy::types },
            generate_all,
            pub_export_macro: true,
            export_macro_name: "export_filter",
        });
    }

    /// The hook `filter-by-value`.
    pub mod filter_by_value {
        wit_bindgen::generate!({
            path: "wit",
            inline: "
                package metrics-gateway:sdk-filter-by-value;
                world filter-by-value-hook { export metrics-gateway:policy/filter-by-value@1.0.0; }
            ",
            world: "metrics-gateway:sdk-filter-by-value/filter-by-value-hook",
            with: { "metrics-gateway:policy/types@1.0.0": super::base::metrics_gateway::policy::types },
            generate_all,
            pub_export_macro: true,
            export_macro_name: "export_filter_by_value",
        });
    }

    /// The hook `window`.
    pub mod window {
        wit_bindgen::generate!({
            path: "wit",
            inline: "
                package metrics-gateway:sdk-window;
                world window-hook { export metrics-gateway:policy/window@1.0.0; }
            ",
            world: "metrics-gateway:sdk-window/window-hook",
            with: { "metrics-gateway:policy/types@1.0.0": super::base::metrics_gateway::policy::types },
            generate_all,
            pub_export_macro: true,
            export_macro_name: "export_window",
        });
    }
}

pub use bindings::base::metrics_gateway::policy::types;

pub use bindings::base::exports::metrics_gateway::policy::plugin;

/// Where a plugin's policy of one hook stands between `configure` and the question: one place in each instance. The
/// macros make one for each hook, as a static cannot be generic.
pub trait Place {
    /// The policy.
    type Policy: 'static;

    /// Hands the place to `use_it`.
    fn with<R>(use_it: impl FnOnce(&OnceCell<Self::Policy>) -> R) -> R;
}

/// The exports of one hook, answered by the policy that stands in a place.
pub struct Exports<P>(PhantomData<P>);

/// What a plugin says of itself.
pub fn describe<S: Settings>(name: &str, version: &str, description: &str) -> plugin::Info {
    plugin::Info {
        name: name.to_owned(),
        version: version.to_owned(),
        description: description.to_owned(),
        settings_schema: crate::settings::schema_of::<S>(),
    }
}

/// Puts the policy that `new` makes of the settings into its place.
///
/// # Errors
/// The settings have another form, or the policy refuses them.
pub fn configure<P: Place, S: Settings>(settings: &str, new: fn(S) -> Result<P::Policy, String>) -> Result<(), String> {
    let policy = new(crate::settings::read(settings)?)?;
    // A gateway configures an instance once; of two policies the first stays.
    P::with(|place| place.set(policy).ok());
    Ok(())
}

/// Makes panics tell the gateway's log what went wrong, before they end the instance.
pub fn report_panics() {
    #[cfg(target_arch = "wasm32")]
    std::panic::set_hook(Box::new(|panic| crate::log::write(Level::Error, format_args!("{panic}"))));
}

/// Stops a plugin from being built that no gateway would load.
pub const fn check_package(name: &str, description: &str) {
    let name = name.as_bytes();
    assert!(name.len() <= 63, "a plugin's package name has at most 63 letters");
    let mut index = 0;
    while index < name.len() {
        let is_fine = matches!(name[index], b'a'..=b'z' | b'0'..=b'9' | b'-');
        assert!(is_fine, "a plugin's package name is made of lower-case letters, digits and hyphens");
        index += 1;
    }
    let length = description.len();
    assert!(1 <= length && length <= 1024, "Cargo.toml: give the package a description of one sentence");
}

/// Writes one line through the contract's import.
#[cfg(target_arch = "wasm32")]
pub(crate) fn log(level: Level, message: &str) {
    use bindings::base::metrics_gateway::policy::log;
    let level = match level {
        Level::Error => log::Level::Error,
        Level::Warn => log::Level::Warn,
        Level::Info => log::Level::Info,
        Level::Debug => log::Level::Debug,
        Level::Trace => log::Level::Trace,
    };
    log::log(level, message);
}

fn ask<P: Place, R>(question: impl FnOnce(&P::Policy) -> R) -> R {
    P::with(|place| question(place.get().expect("a gateway configures every instance before it asks")))
}

impl<P: Place<Policy: Address>> bindings::address::exports::metrics_gateway::policy::address::Guest for Exports<P> {
    fn candidates(node: types::Node) -> bindings::address::exports::metrics_gateway::policy::address::Choice {
        choice(ask::<P, _>(|policy| policy.candidates(&node.into())))
    }
}

/// Most candidates that a gateway takes.
const MOST_CANDIDATES: usize = 16;
/// Most bytes of a reason that a gateway takes.
const MOST_REASON: usize = 256;

fn choice(choice: Choice) -> bindings::address::exports::metrics_gateway::policy::address::Choice {
    use bindings::address::exports::metrics_gateway::policy::address::Choice as Answer;
    match choice {
        Choice::Dial(candidates) if candidates.is_empty() => Answer::Pass,
        Choice::Dial(candidates) => {
            Answer::Dial(candidates.into_iter().take(MOST_CANDIDATES).map(Into::into).collect())
        }
        Choice::Skip(mut reason) => {
            reason.truncate(reason.floor_char_boundary(MOST_REASON));
            Answer::Skip(reason)
        }
        Choice::Pass => Answer::Pass,
    }
}

impl From<Candidate> for types::Candidate {
    fn from(Candidate { host, port, path, server_name }: Candidate) -> Self {
        Self { host, port, path, server_name }
    }
}

impl From<types::Node> for Node {
    fn from(node: types::Node) -> Self {
        let address = |types::NodeAddress { kind, address }| NodeAddress { kind, address };
        Self {
            name: node.name,
            labels: node.labels.into(),
            annotations: node.annotations.into(),
            addresses: node.addresses.into_iter().map(address).collect(),
            kubelet_port: node.kubelet_port,
            provider_id: node.provider_id,
            ready: node.ready,
        }
    }
}

impl<P: Place<Policy: Filter>> bindings::filter::exports::metrics_gateway::policy::filter::Guest for Exports<P> {
    fn classify(pods: Vec<bindings::filter::exports::metrics_gateway::policy::filter::Pod>) -> Vec<u8> {
        let pods: Vec<Pod> = pods.into_iter().map(Pod::from).collect();
        ask::<P, _>(|policy| policy.classify(&pods)).into_iter().map(code).collect()
    }
}

impl From<bindings::filter::exports::metrics_gateway::policy::filter::Pod> for Pod {
    fn from(pod: bindings::filter::exports::metrics_gateway::policy::filter::Pod) -> Self {
        Self {
            namespace: pod.namespace,
            name: pod.name,
            node: pod.node,
            labels: pod.labels.into(),
            namespace_labels: pod.namespace_labels.into(),
            containers: pod.containers,
        }
    }
}

/// A verdict in the contract's numbers.
fn code(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Keep => 0,
        Verdict::Drop => 1,
        Verdict::CpuOnly => 2,
        Verdict::MemoryOnly => 3,
        Verdict::ByValue => 4,
    }
}

impl<P> bindings::filter_by_value::exports::metrics_gateway::policy::filter_by_value::Guest for Exports<P>
where
    P: Place<Policy: ValueFilter>,
{
    fn screen(batch: types::Batch) -> Vec<u8> {
        let batch = Batch::from(batch);
        let verdict = |verdict| if verdict == Verdict::ByValue { Verdict::Keep } else { verdict };
        ask::<P, _>(|policy| batch.series().map(|series| code(verdict(policy.screen(&series)))).collect())
    }
}

impl<P: Place<Policy: Window>> bindings::window::exports::metrics_gateway::policy::window::Guest for Exports<P> {
    fn history() -> u64 {
        ask::<P, _>(Window::history).min(Duration::HOUR).as_nanos()
    }

    fn measure(batch: types::Batch) -> types::Usages {
        let batch = Batch::from(batch);
        let answers = ask::<P, _>(|policy| policy.measure(&batch));
        columns(&answers, batch.newest())
    }
}

/// Answers in the contract's columns; of what is not in range nothing is served.
fn columns(answers: &[Option<Usage>], newest: Time) -> types::Usages {
    let mut columns = types::Usages {
        taken_at: Vec::with_capacity(answers.len()),
        window_ns: Vec::with_capacity(answers.len()),
        nanocores: Vec::with_capacity(answers.len()),
        memory_bytes: Vec::with_capacity(answers.len()),
    };
    for answer in answers {
        let usage = answer.filter(|usage| usage.is_in_range(newest));
        columns.taken_at.push(usage.map_or(0, |usage| usage.taken_at.as_nanos()));
        columns.window_ns.push(usage.map_or(0, |usage| usage.window.as_nanos()));
        columns.nanocores.push(usage.map_or(0, |usage| usage.cpu.get()));
        columns.memory_bytes.push(usage.map_or(0, |usage| usage.memory.get()));
    }
    columns
}

/// Exports an [`Address`](crate::address::Address) as the plugin that this crate is.
#[macro_export]
macro_rules! export_address {
    ($policy:ty) => {
        $crate::export! { address: $policy }
    };
}

/// Exports a [`Filter`](crate::filter::Filter) as the plugin that this crate is.
#[macro_export]
macro_rules! export_filter {
    ($policy:ty) => {
        $crate::export! { filter: $policy }
    };
}

/// Exports a [`ValueFilter`](crate::filter::ValueFilter) as the plugin that this crate is.
#[macro_export]
macro_rules! export_value_filter {
    ($policy:ty) => {
        $crate::export! { value_filter: $policy }
    };
}

/// Exports a [`Window`](crate::window::Window) as the plugin that this crate is.
#[macro_export]
macro_rules! export_window {
    ($policy:ty) => {
        $crate::export! { window: $policy }
    };
}

/// Exports several policies as one plugin: `export! { filter: SkipSidecars, window: Smooth }`. The hooks are `address`,
/// `filter` or `value_filter`, and `window`, each at most once; all policies have the same type of settings.
#[macro_export]
macro_rules! export {
    ($first:ident: $policy:ty $(, $hook:ident: $further:ty)* $(,)?) => {
        const _: () = {
            $crate::guest::check_package(
                ::std::env!("CARGO_PKG_NAME"),
                ::std::env!("CARGO_PKG_DESCRIPTION"),
            );
        };
        #[allow(dead_code, reason = "called by the gateway alone")]
        const _: () = {
            type Settings = $crate::__hook!(settings $first: $policy);
            struct Plugin;
            impl $crate::guest::plugin::Guest for Plugin {
                fn describe() -> $crate::guest::plugin::Info {
                    $crate::guest::describe::<Settings>(
                        ::std::env!("CARGO_PKG_NAME"),
                        ::std::env!("CARGO_PKG_VERSION"),
                        ::std::env!("CARGO_PKG_DESCRIPTION"),
                    )
                }

                fn configure(settings: ::std::string::String) -> ::std::result::Result<(), ::std::string::String> {
                    $crate::guest::report_panics();
                    $crate::__hook!(configure $first: $policy, &settings)?;
                    $($crate::__hook!(configure $hook: $further, &settings)?;)*
                    ::std::result::Result::Ok(())
                }
            }
            #[cfg(target_arch = "wasm32")]
            $crate::guest::bindings::base::export_base!(Plugin with_types_in $crate::guest::bindings::base);
            $crate::__hook!(export $first: $policy);
            $($crate::__hook!(export $hook: $further);)*
        };
    };
}

/// What [`export!`] needs of each hook: the type of its settings, its part of `configure`, its exports. The exported
/// functions exist in the sandbox alone: natively their names are none that a linker takes.
#[doc(hidden)]
#[macro_export]
macro_rules! __hook {
    (settings address: $policy:ty) => { <$policy as $crate::address::Address>::Settings };
    (settings filter: $policy:ty) => { <$policy as $crate::filter::Filter>::Settings };
    (settings value_filter: $policy:ty) => { <$policy as $crate::filter::Filter>::Settings };
    (settings window: $policy:ty) => { <$policy as $crate::window::Window>::Settings };

    (configure address: $policy:ty, $settings:expr) => {
        $crate::guest::configure::<AddressPlace, Settings>($settings, <$policy as $crate::address::Address>::new)
    };
    (configure filter: $policy:ty, $settings:expr) => {
        $crate::guest::configure::<FilterPlace, Settings>($settings, <$policy as $crate::filter::Filter>::new)
    };
    (configure value_filter: $policy:ty, $settings:expr) => {
        $crate::__hook!(configure filter: $policy, $settings)
    };
    (configure window: $policy:ty, $settings:expr) => {
        $crate::guest::configure::<WindowPlace, Settings>($settings, <$policy as $crate::window::Window>::new)
    };

    (export address: $policy:ty) => {
        $crate::__hook!(place AddressPlace: $policy);
        type Addresses = $crate::guest::Exports<AddressPlace>;
        #[cfg(target_arch = "wasm32")]
        $crate::guest::bindings::address::export_address!(Addresses with_types_in $crate::guest::bindings::address);
    };
    (export filter: $policy:ty) => {
        $crate::__hook!(place FilterPlace: $policy);
        type Filters = $crate::guest::Exports<FilterPlace>;
        #[cfg(target_arch = "wasm32")]
        $crate::guest::bindings::filter::export_filter!(Filters with_types_in $crate::guest::bindings::filter);
    };
    (export value_filter: $policy:ty) => {
        $crate::__hook!(export filter: $policy);
        const fn decides_by_value<T: $crate::filter::ValueFilter>() {}
        const _: () = decides_by_value::<$policy>();
        #[cfg(target_arch = "wasm32")]
        $crate::guest::bindings::filter_by_value::export_filter_by_value!(
            Filters with_types_in $crate::guest::bindings::filter_by_value
        );
    };
    (export window: $policy:ty) => {
        $crate::__hook!(place WindowPlace: $policy);
        type Windows = $crate::guest::Exports<WindowPlace>;
        #[cfg(target_arch = "wasm32")]
        $crate::guest::bindings::window::export_window!(Windows with_types_in $crate::guest::bindings::window);
    };

    (place $place:ident: $policy:ty) => {
        struct $place;
        impl $crate::guest::Place for $place {
            type Policy = $policy;

            fn with<R>(use_it: impl FnOnce(&::std::cell::OnceCell<$policy>) -> R) -> R {
                ::std::thread_local! {
                    static POLICY: ::std::cell::OnceCell<$policy> = const { ::std::cell::OnceCell::new() };
                }
                POLICY.with(use_it)
            }
        }
    };
}

#[cfg(test)]
mod tests;
