//! What an operator sets in `gateway.toml`, as a type of the plugin's own.
//!
//! The type derives `Deserialize` and `JsonSchema`. With `#[serde(deny_unknown_fields, default)]` a mistyped name is
//! refused and every setting may be left out; its documentation comments become the descriptions of the schema.

use std::fmt;

pub use metrics_gateway_sdk_derive::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use crate::{Bytes, Duration, Labels, Nanocores};

/// What may serve as the settings of a plugin: every type that derives `Deserialize` and `JsonSchema`.
pub trait Settings: DeserializeOwned + JsonSchema {}

impl<T: DeserializeOwned + JsonSchema> Settings for T {}

/// The settings of a plugin that has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}

/// Reads settings from the JSON text that the gateway hands over.
///
/// # Errors
/// A sentence that names the setting that is wrong, and says what would do.
pub fn read<S: Settings>(settings: &str) -> Result<S, String> {
    // A derived reader would take a list as the settings in their order.
    if !settings.trim_start().starts_with('{') {
        return Err("settings are a JSON object".to_owned());
    }
    let mut deserializer = serde_json::Deserializer::from_str(settings);
    let read = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let complaint = error.into_inner();
        if path == "." { format!("{complaint}") } else { format!("\"{path}\": {complaint}") }
    })?;
    deserializer.end().map_err(|error| error.to_string())?;
    Ok(read)
}

/// The JSON Schema of settings, as JSON text.
pub fn schema_of<S: Settings>() -> String {
    let mut schema = String::from("{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",");
    if !S::DESCRIPTION.is_empty() {
        schema.push_str("\"description\":");
        schema.push_str(&serde_json::to_string(S::DESCRIPTION).unwrap_or_default());
        schema.push(',');
    }
    S::write_members(&mut schema);
    schema.push('}');
    schema
}

/// What a setting of this type may be, in the words of JSON Schema. Structs with named fields and enums of words derive it.
pub trait JsonSchema {
    /// What the type is, in a sentence or more; may be empty.
    const DESCRIPTION: &'static str = "";

    /// Appends the members of the schema, without the braces around them: `"type":"string","minLength":1`.
    fn write_members(out: &mut String);
}

/// The schemas of types that every plugin may use.
macro_rules! schema {
    ($($kind:ty: $members:literal,)*) => {
        $(impl JsonSchema for $kind {
            fn write_members(out: &mut String) {
                out.push_str($members);
            }
        })*
    };
}

schema! {
    bool: r#""type":"boolean""#,
    String: r#""type":"string""#,
    f64: r#""type":"number""#,
    u8: r#""type":"integer","minimum":0,"maximum":255"#,
    u16: r#""type":"integer","minimum":0,"maximum":65535"#,
    u32: r#""type":"integer","minimum":0,"maximum":4294967295"#,
    u64: r#""type":"integer","minimum":0"#,
    usize: r#""type":"integer","minimum":0"#,
    i32: r#""type":"integer","minimum":-2147483648,"maximum":2147483647"#,
    i64: r#""type":"integer""#,
    Pattern: r#""type":"string","minLength":1,"maxLength":253"#,
    LabelMatch: r#""type":"string","minLength":1,"maxLength":381"#,
    Duration: r#""type":"string","pattern":"^([0-9]+(h|m|s|ms|us|ns))+$""#,
    Nanocores: r#""type":["string","number"],"pattern":"^[0-9]+(\\.[0-9]+)?m?$","minimum":0"#,
    Bytes: r#""type":["string","integer"],"pattern":"^[0-9]+(\\.[0-9]+)?([KMGT]iB?|[kMGT]?B)?$","minimum":0"#,
}

impl<T: JsonSchema> JsonSchema for Option<T> {
    fn write_members(out: &mut String) {
        T::write_members(out);
    }
}

impl<T: JsonSchema> JsonSchema for Vec<T> {
    fn write_members(out: &mut String) {
        out.push_str("\"type\":\"array\",\"items\":{");
        T::write_members(out);
        out.push('}');
    }
}

impl<T: JsonSchema> JsonSchema for std::collections::BTreeMap<String, T> {
    fn write_members(out: &mut String) {
        out.push_str("\"type\":\"object\",\"additionalProperties\":{");
        T::write_members(out);
        out.push('}');
    }
}

/// `value`, if it is within `range`.
///
/// # Errors
/// Says by the name of the setting which values would do.
pub fn in_range<T: PartialOrd + fmt::Display>(
    name: &str,
    value: T,
    range: std::ops::RangeInclusive<T>,
) -> Result<T, String> {
    if range.contains(&value) {
        return Ok(value);
    }
    Err(format!("\"{name}\" must be {} to {}, not {value}", range.start(), range.end()))
}

/// A name, or a pattern of names: `*` stands for any characters, `?` for one. As a setting: a text of 1 to 253 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// The pattern that a text writes.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether all of `name` is what the pattern says. Takes time by the product of both lengths at most.
    pub fn matches(&self, name: &str) -> bool {
        let (pattern, name) = (self.0.as_bytes(), name.as_bytes());
        let (mut at, mut reached) = (0, 0);
        // Where to go on if what follows the latest star turns out not to fit: the star takes one character more.
        let mut retry: Option<(usize, usize)> = None;
        while reached < name.len() {
            match pattern.get(at) {
                Some(b'*') => {
                    retry = Some((at + 1, reached));
                    at += 1;
                }
                Some(letter) if *letter == b'?' || *letter == name[reached] => {
                    at += 1;
                    reached += 1;
                }
                _ => {
                    let Some((after_star, taken)) = retry else { return false };
                    retry = Some((after_star, taken + 1));
                    (at, reached) = (after_star, taken + 1);
                }
            }
        }
        pattern[at..].iter().all(|letter| *letter == b'*')
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if (1..=253).contains(&text.len()) {
            return Ok(Self(text));
        }
        Err(serde::de::Error::custom("want a name or a pattern such as \"istio-*\", of 1 to 253 bytes"))
    }
}

/// A label by its key, `example.com/tier`, or by key and value, `example.com/tier=web`. As a setting: that text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelMatch {
    key: String,
    value: Option<String>,
}

impl LabelMatch {
    /// Reads `key` or `key=value`; None where the key is empty or longer than Kubernetes allows.
    pub fn parse(text: &str) -> Option<Self> {
        let (key, value) = text.split_once('=').map_or((text, None), |(key, value)| (key, Some(value.to_owned())));
        (1..=317).contains(&key.len()).then(|| Self { key: key.to_owned(), value })
    }

    /// Whether labels bear it; None where they do not bear the key, so that others may have the say.
    pub fn judge(&self, labels: &Labels) -> Option<bool> {
        let found = labels.get(&self.key)?;
        Some(self.value.as_deref().is_none_or(|value| value == found))
    }

    /// Whether labels bear it.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.judge(labels).unwrap_or(false)
    }
}

impl fmt::Display for LabelMatch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.key)?;
        self.value.as_deref().map_or(Ok(()), |value| write!(out, "={value}"))
    }
}

impl<'de> Deserialize<'de> for LabelMatch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let error =
            || serde::de::Error::custom("want a label such as \"example.com/tier\" or \"example.com/tier=web\"");
        Self::parse(&text).ok_or_else(error)
    }
}

#[cfg(test)]
mod tests;
