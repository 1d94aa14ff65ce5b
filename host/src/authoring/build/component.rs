//! From what a compiler made to a component.
//!
//! In: a component, which stays as it is, or a core module that bears the contract in a custom section. Go's runtime
//! imports WASI whether the plugin needs it or not; those imports are met inside the component by an adapter that does
//! nothing (`sdk/adapters/null-wasi.wat`), because a plugin has nothing to import but `log`.

use anyhow::{Context as _, Result};
use wit_component::ComponentEncoder;

/// Preview 1 of WASI without a world behind it.
const NULL_WASI: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/null-wasi.wasm"));

/// The component that a compiler's output is, or becomes.
///
/// # Errors
/// Where it bears no contract, or imports what is not in it.
pub(super) fn make(bytes: &[u8]) -> Result<Vec<u8>> {
    if wasmparser::Parser::is_component(bytes) {
        return Ok(bytes.to_vec());
    }
    let mut encoder = ComponentEncoder::default();
    encoder.validate(true).module(bytes)?;
    encoder.adapter("wasi_snapshot_preview1", NULL_WASI).context("the adapter for WASI cannot be used")?;
    encoder.encode()
}
