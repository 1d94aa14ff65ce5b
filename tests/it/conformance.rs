//! The gateway as its clients know aggregated API servers: the conformance table, a test for each row, whose number
//! stands in the test's comment.
//!
//! The table was drawn up on the wire, against metrics-server v0.8.1 on the API server library, kube-apiserver 1.20.2,
//! its controllers, and kubectl 1.20 to 1.33; ARCHITECTURE.md lists where we differ from it on purpose, and such rows
//! have what is ours. Gaps in the numbers are rows that followed from others. The last row, a real API server with its
//! kubectl and autoscaler, is the end-to-end suite.
//!
//! Rows that only ask share one cluster; rows that change something have one of their own.

mod content;
mod discovery;
mod identity;
mod listing;
pub(crate) mod protobuf;
mod serving;
