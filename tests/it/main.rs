//! The promises of the gateway, tested on the real binary and a cluster that fits in a process. A module per promise.

mod architecture;
mod audit;
mod auth;
mod config;
mod conformance;
mod documents;
mod drop_in;
mod exposition;
mod failure;
mod fleet;
mod harness;
mod hooks;
mod hostile;
mod limits;
mod long_lists;
mod oci;
mod reload_under_load;
mod restart;
mod robustness;
mod rotation;
mod rotation_under_load;
mod sandbox;
mod serving;
mod shutdown;
mod tenants;
mod world;
