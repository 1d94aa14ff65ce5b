//! The test harness: a cluster that fits in a process, on loopback only.
//!
//! Tests, the demo and the benchmark run the real gateway binary against it; nothing of the gateway is replaced.

pub mod api_server;
pub mod author;
pub mod bench;
pub mod body;
pub mod certs;
pub mod client;
pub mod cluster;
pub mod demo;
pub mod directory;
pub mod eventually;
pub mod fleet;
pub mod frames;
pub mod gateway;
pub mod guest;
pub mod kubectl;
pub mod metrics;
pub mod plugins;
pub mod port;
pub mod registry;
pub mod serve;
pub mod table;
