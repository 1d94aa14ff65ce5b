//! metrics-gateway: a drop-in for Kubernetes metrics-server whose policies are plugins.
//!
//! Read in this order; data flows down it. `ARCHITECTURE.md` has the bird's view.

pub mod args;
pub mod clock;
pub mod config;
pub mod model;
pub mod report;

pub mod decode;
pub mod tenants;

pub mod discovery;
pub mod plugins;
pub mod scrape;
pub mod store;

pub mod auth;
pub mod events;

pub mod credentials;
pub mod generations;

pub mod api;
pub mod tick;

pub mod app;

pub mod authoring;
pub mod pki;

pub mod command;
pub mod doctor;

pub mod shutdown;
pub mod telemetry;
