//! From the bytes of a .wasm file to a compiled component that fits the contract.
use std::sync::Arc;

use super::engine::Engine;
use crate::config::policies::PluginLimits;

/// A question of the contract that a plugin may answer; each is one interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hook {
    /// `address`.
    Address,
    /// `filter`.
    Filter,
    /// `filter-by-value`.
    FilterByValue,
    /// `window`.
    Window,
}

/// What the bytes of a plugin are, found out without compiling them.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// SHA-256 of the bytes as they came.
    pub sha256: [u8; 32],
    /// What it answers.
    pub hooks: Vec<Hook>,
    /// The version of `metrics-gateway:policy` that it was made for.
    pub version: (u64, u64, u64),
    /// The component.
    pub component: Vec<u8>,
}

/// What the bytes are, and whether they may be run here.
///
/// # Errors
/// [`ArtifactError`] says what is wrong with them, and where there is one, the remedy.
pub fn inspect(_bytes: &[u8], _limits: &PluginLimits) -> Result<Inspection, ArtifactError> {
    Err(ArtifactError(String::new()))
}

/// A compiled plugin.
pub struct Artifact {}

impl Artifact {
    /// SHA-256 of the bytes of the .wasm file.
    pub fn sha256(&self) -> [u8; 32] {
        [0; 32]
    }

    /// Whether it answers a hook.
    pub fn answers(&self, _hook: Hook) -> bool {
        false
    }
}

impl Engine {
    /// Compiles. Blocks, for seconds where the artifact is large: not for the reactor.
    ///
    /// # Errors
    /// [`ArtifactError`] says why the artifact cannot be run.
    pub fn compile(&self, _inspection: &Inspection) -> Result<Arc<Artifact>, ArtifactError> {
        Err(ArtifactError(String::new()))
    }
}

/// Why an artifact is refused; the text says it all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ArtifactError(pub String);
