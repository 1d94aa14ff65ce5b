//! The API: an endpoint that was asked for becomes the body that answers it.

pub mod probes;
pub mod route;
pub mod wire;
