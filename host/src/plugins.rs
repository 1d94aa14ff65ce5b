//! Plugins: WebAssembly components that decide for tenants and node pools, sandboxed.
//!
//! In: a checked [`PoliciesConfig`]. Out: [`Tenants`] whose policies ask the plugins, or every [`Problem`] there is.
//! Loading a plugin goes from bytes to trust: [`source`] reads them, [`artifact`] checks what they are and compiles them, a
//! trial call shows that they answer. From then on [`call`] asks one question in one fresh instance under limits, and
//! [`address`], [`filter`] and [`window`] put it into the words of `sdk/wit/policy.wit` and check the answer before it is
//! believed. A failure is an answer too: the fallback serves, and after several a breaker stops asking for a while.
//!
//! Absent on purpose: who belongs to which tenant, reading configuration files, Kubernetes.
//!
//! [`Problem`]: crate::config::Problem
//! [`PoliciesConfig`]: crate::config::policies::PoliciesConfig
//! [`Tenants`]: crate::tenants::Tenants

pub mod account;
pub mod address;
pub mod allowance;
pub mod artifact;
pub mod binding;
pub mod breaker;
pub mod cache;
pub mod call;
pub mod columns;
pub mod componentize;
pub mod condition;
mod contained;
pub mod engine;
pub mod filter;
pub mod kept;
pub mod line;
pub mod load;
pub mod rehearsal;
pub mod source;
pub mod window;
pub mod wit;
