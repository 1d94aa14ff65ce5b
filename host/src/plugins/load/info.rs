//! What a plugin says of itself, held against the contract.
//!
//! Rule: `plugin.info` in `sdk/wit/policy.wit`.

use crate::plugins::wit::exports::metrics_gateway::policy::plugin::Info;

const LONGEST_NAME: usize = 63;
/// Longer than any version in use; it becomes a label of a metric.
const LONGEST_VERSION: usize = 128;
const LONGEST_DESCRIPTION: usize = 1024;
const LONGEST_SCHEMA: usize = 64 << 10;

/// All faults.
pub(super) fn check(info: &Info) -> Result<(), Vec<String>> {
    let faults =
        [name(&info.name), version(&info.version), description(&info.description), schema(&info.settings_schema)];
    let faults: Vec<String> = faults.into_iter().filter_map(Result::err).collect();
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

fn name(name: &str) -> Result<(), String> {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(is_allowed) {
        return Ok(());
    }
    let start = &name[..name.floor_char_boundary(LONGEST_NAME)];
    Err(format!("name {start:?} is not 1 to {LONGEST_NAME} lower-case letters, digits and hyphens"))
}

fn version(version: &str) -> Result<(), String> {
    at_most("version", version, LONGEST_VERSION)?;
    match semver::Version::parse(version) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("version {version:?} is none by semver: {error}")),
    }
}

fn description(description: &str) -> Result<(), String> {
    at_most("description", description, LONGEST_DESCRIPTION)
}

fn schema(schema: &str) -> Result<(), String> {
    at_most("settings-schema", schema, LONGEST_SCHEMA)?;
    match serde_json::from_str(schema) {
        Ok(serde_json::Value::Object(_) | serde_json::Value::Bool(_)) => Ok(()),
        Ok(_) => Err("settings-schema is JSON, but no schema: those are objects".to_owned()),
        Err(error) => Err(format!("settings-schema is no JSON: {error}")),
    }
}

fn at_most(what: &str, text: &str, longest: usize) -> Result<(), String> {
    if text.len() <= longest {
        Ok(())
    } else {
        Err(format!("{what} has {} bytes, where {longest} are allowed", text.len()))
    }
}

#[cfg(test)]
mod tests;
