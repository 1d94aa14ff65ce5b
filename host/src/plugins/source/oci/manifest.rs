//! Manifests: which blob of an artifact is the plugin, and the manifest that makes a plugin an artifact.
//!
//! The layout is that of the CNCF's runtime group for WebAssembly: a configuration of type
//! `application/vnd.wasm.config.v0+json`, and one layer, `application/wasm`. Two older layouts, of wasm-to-oci and of
//! Istio's first years, differ in the types alone and are read as well. Anything else is refused with what it is, since
//! the most frequent mistake is the tag of a container image.
//!
//! What the configuration claims of a component's imports and exports is not believed: the component itself is looked at.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::digest::Digest;

pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Everything that a tag may stand for: who asks for less is told "not found" instead of what is there.
pub(super) const ACCEPTED: &str = "application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json";
const CONFIG: &str = "application/vnd.wasm.config.v0+json";
const LAYER: &str = "application/wasm";
const OLDER_LAYERS: [&str; 2] =
    ["application/vnd.wasm.content.layer.v1+wasm", "application/vnd.module.wasm.content.layer.v1+wasm"];
const SIGNATURE_LAYER: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";

/// A blob, as a manifest speaks of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Blob {
    pub(super) digest: Digest,
    pub(super) size: u64,
}

/// The layer that is the plugin, or what was found in its place.
pub(super) fn wasm_layer(manifest: &[u8]) -> Result<Blob, String> {
    let manifest = read(manifest)?;
    let (Some(config), [layer]) = (&manifest.config, &*manifest.layers) else {
        return Err(describe(&manifest));
    };
    let is_cncf = layer.media_type == LAYER && config.media_type == CONFIG;
    if !is_cncf && !OLDER_LAYERS.contains(&&*layer.media_type) {
        return Err(describe(&manifest));
    }
    layer.blob()
}

/// A signature, and the blob that it is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Signature {
    pub(super) payload: Blob,
    pub(super) base64: String,
}

/// The signatures of cosign that a manifest lists, at most `most`.
pub(super) fn signatures(manifest: &[u8], most: usize) -> Result<Vec<Signature>, String> {
    let manifest = read(manifest)?;
    let layers = manifest.layers.into_iter().filter(|layer| layer.media_type == SIGNATURE_LAYER);
    let signed = layers.filter_map(|mut layer| {
        let base64 = layer.annotations.as_mut()?.remove(SIGNATURE)?;
        Some(Signature { payload: layer.blob().ok()?, base64 })
    });
    Ok(signed.take(most).collect())
}

/// The configuration and the manifest of an artifact of one layer.
pub(super) fn build(layer: Blob, config: &[u8]) -> Vec<u8> {
    let descriptor = |media_type: &str, blob: Blob| Descriptor {
        media_type: media_type.to_owned(),
        digest: blob.digest.to_string(),
        size: blob.size,
        annotations: None,
    };
    let config = Blob { digest: Digest::of(config), size: config.len() as u64 };
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(MANIFEST.to_owned()),
        config: Some(descriptor(CONFIG, config)),
        layers: vec![descriptor(LAYER, layer)],
        manifests: None,
    };
    serde_json::to_vec(&manifest).expect("texts and numbers can be written as JSON")
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    schema_version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    media_type: Option<String>,
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
    /// Of an index.
    #[serde(skip_serializing_if = "Option::is_none")]
    manifests: Option<Vec<serde_json::Value>>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: String,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<BTreeMap<String, String>>,
}

impl Descriptor {
    fn blob(&self) -> Result<Blob, String> {
        let digest = Digest::parse(&self.digest)
            .ok_or_else(|| format!("a layer whose digest {} is no SHA-256", quote(&self.digest)))?;
        Ok(Blob { digest, size: self.size })
    }
}

fn read(manifest: &[u8]) -> Result<Manifest, String> {
    let manifest: Manifest = serde_json::from_slice(manifest).map_err(|error| {
        format!("a manifest that cannot be read (line {}, column {})", error.line(), error.column())
    })?;
    match manifest.schema_version {
        2 => Ok(manifest),
        other => Err(format!("a manifest of schema version {other}")),
    }
}

fn describe(manifest: &Manifest) -> String {
    if let Some(manifests) = &manifest.manifests {
        return format!("an index of {} manifests (of a container image, most likely)", manifests.len());
    }
    let config = manifest.config.as_ref().map_or("none".to_owned(), |config| quote(&config.media_type));
    let layers = manifest.layers.iter().take(3).map(|layer| quote(&layer.media_type)).collect::<Vec<_>>().join(", ");
    let more = if manifest.layers.len() > 3 { ", …" } else { "" };
    format!("config {config} and {} layers ({layers}{more})", manifest.layers.len())
}

/// A text of a stranger's, fit for a log.
pub(super) fn quote(text: &str) -> String {
    format!("{:?}", text.chars().take(100).collect::<String>())
}

/// What the configuration of an artifact says.
pub(super) fn config(layer: Digest, created: &str, component: Option<&Component>) -> Vec<u8> {
    let config = Config {
        created,
        architecture: "wasm",
        // The specification has no other names for "a component" and "a core module".
        os: if component.is_some() { "wasip2" } else { "wasip1" },
        layer_digests: [layer.to_string()],
        component,
    };
    serde_json::to_vec(&config).expect("texts can be written as JSON")
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Config<'a> {
    created: &'a str,
    architecture: &'static str,
    os: &'static str,
    layer_digests: [String; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    component: Option<&'a Component>,
}

/// What a component has to do with the world around it.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Component {
    pub(super) exports: Vec<String>,
    pub(super) imports: Vec<String>,
    /// The world that it was made for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) target: Option<String>,
}
