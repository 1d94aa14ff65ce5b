//! `plugin inspect`: what a file is, and all that a gateway.toml can say of it.
//!
//! In: a .wasm file. Out: which hooks it answers, for which version of the contract, who it says it is, the schema of its
//! settings, its imports, size and digest, the least that its limits must allow, and which tools made it.
//!
//! Who it is can only be found out by asking, so it runs: in the sandbox, as everything here.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::{Value, json};
use wasmparser::{Encoding, Instance, KnownCustom, Parser, Payload};

use super::guest::{Counting, Guest, GuestArgs, look_at};
use super::output::Output;
use super::properties::{Ask as _, Life};
use super::question::{HOOKS, Hook, show_memory};
use crate::model::units::Bytes;
use crate::plugins::wit::exports::metrics_gateway::policy::plugin::Info;

/// Shows what a plugin is: hooks, version, settings, imports, size, digest
#[derive(Clone, Debug, Args)]
pub struct InspectArgs {
    #[command(flatten)]
    guest: GuestArgs,
    /// How it is written
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
}

/// Does it.
///
/// # Errors
/// Where the file is no plugin that could be run.
pub(super) fn run(args: &InspectArgs) -> Result<ExitCode> {
    let file = &args.guest.file;
    let limits = args.guest.limits.limits();
    let (bytes, inspection) = look_at(file, &limits)?;
    let contents = contents(&bytes).with_context(|| format!("cannot read {}", file.display()))?;
    let guest = Guest::load(file, limits, Counting::Fuel)?;
    let bound = guest.bind("{}", Life::OneCall);
    let described = guest.describe()?;
    let facts = Facts {
        file: file.display().to_string(),
        size: bytes.len(),
        sha256: hex(&inspection.sha256),
        contract: inspection.version.to_string(),
        was_core_module: inspection.was_core_module,
        hooks: HOOKS.into_iter().filter(|(_, hook)| guest.answers(*hook)).map(|(name, _)| name).collect(),
        worlds: worlds(&guest),
        takes_no_settings: bound.configure().err().map(|failed| failed.to_string()),
        memory: guest.smallest_memory()?,
        info: described,
        contents,
    };
    match args.output {
        Output::Table => print!("{}", facts.text()),
        Output::Json => println!("{:#}", facts.json()),
    }
    Ok(ExitCode::SUCCESS)
}

/// All that is known of a file.
struct Facts {
    file: String,
    size: usize,
    sha256: String,
    contract: String,
    was_core_module: bool,
    hooks: Vec<&'static str>,
    worlds: Vec<&'static str>,
    /// Why it refuses `{}`, if it does.
    takes_no_settings: Option<String>,
    /// Of an instance that has described itself.
    memory: usize,
    info: Info,
    contents: Contents,
}

impl Facts {
    fn text(&self) -> String {
        let Info { name, version, description, settings_schema } = &self.info;
        let mut lines = vec![
            ("plugin", format!("{name} {version}")),
            ("", description.clone()),
            ("file", self.file.clone()),
            ("size", format!("{} bytes{}", self.size, if self.was_core_module { ", a core module" } else { "" })),
            ("pin", format!("sha256 = \"{}\"", self.sha256)),
            ("contract", format!("metrics-gateway:policy {}", self.contract)),
            ("worlds", self.worlds.join(", ")),
            ("hooks", self.hooks.join(", ")),
            (
                "imports",
                if self.contents.imports.is_empty() { "none".to_owned() } else { self.contents.imports.join(", ") },
            ),
            (
                "needs",
                format!("memory {}, instances {}", show_memory(Bytes(self.memory as u64)), self.contents.instances),
            ),
        ];
        for (field, value) in &self.contents.producers {
            lines.push((field.as_str(), value.clone()));
        }
        let without = match &self.takes_no_settings {
            None => "takes {}".to_owned(),
            Some(why) => format!("{{}} will not do: it {why}"),
        };
        lines.push(("settings", without));
        let mut text = String::new();
        for (key, value) in lines {
            // What a plugin says of itself must not steer the terminal.
            let value: String = value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            text.push_str(format!("{key:12} {value}").trim_end());
            text.push('\n');
        }
        text.push_str(&indented(&pretty(settings_schema)));
        text
    }

    fn json(&self) -> Value {
        let schema: Value = serde_json::from_str(&self.info.settings_schema)
            .unwrap_or_else(|_| Value::from(self.info.settings_schema.as_str()));
        let producers: Vec<Value> =
            self.contents.producers.iter().map(|(field, value)| json!({ "field": field, "value": value })).collect();
        json!({
            "file": self.file, "size": self.size, "sha256": self.sha256, "contract": self.contract,
            "core_module": self.was_core_module, "worlds": self.worlds, "hooks": self.hooks,
            "name": self.info.name, "version": self.info.version, "description": self.info.description,
            "settings_schema": schema, "takes_empty_settings": self.takes_no_settings.is_none(),
            "imports": self.contents.imports, "memory": self.memory, "instances": self.contents.instances,
            "producers": producers,
        })
    }
}

/// The worlds of the contract that its exports make up.
fn worlds(guest: &Guest) -> Vec<&'static str> {
    let by_value = guest.answers(Hook::FilterByValue);
    let worlds = [
        ("address-policy", guest.answers(Hook::Address)),
        ("filter-policy", guest.answers(Hook::Filter) && !by_value),
        ("value-filter-policy", guest.answers(Hook::Filter) && by_value),
        ("window-policy", guest.answers(Hook::Window)),
    ];
    worlds.into_iter().filter(|(_, is_there)| *is_there).map(|(world, _)| world).collect()
}

/// What stands in the file beside code.
#[derive(Debug, Default, PartialEq, Eq)]
struct Contents {
    imports: Vec<String>,
    /// Core modules that are instantiated.
    instances: usize,
    /// Language and tools, as they wrote themselves down.
    producers: Vec<(String, String)>,
}

/// Reads it off the sections. The file has been found to be well-formed.
fn contents(bytes: &[u8]) -> Result<Contents> {
    let mut contents = Contents::default();
    let mut depth = 0usize;
    let mut is_module = false;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload? {
            Payload::Version { encoding, .. } => {
                is_module |= depth == 0 && encoding == Encoding::Module;
                depth += 1;
            }
            Payload::End(_) => depth -= 1,
            Payload::ImportSection(imports) if is_module => {
                for import in imports.into_imports() {
                    contents.imports.push(import?.module.to_owned());
                }
            }
            Payload::ComponentImportSection(imports) if depth == 1 => {
                for import in imports {
                    contents.imports.push(import?.name.name.to_owned());
                }
            }
            Payload::InstanceSection(instances) => {
                for instance in instances {
                    contents.instances += usize::from(matches!(instance?, Instance::Instantiate { .. }));
                }
            }
            Payload::CustomSection(section) => {
                if let KnownCustom::Producers(producers) = section.as_known() {
                    for field in producers {
                        let field = field?;
                        for value in field.values {
                            let value = value?;
                            let pair =
                                (field.name.to_owned(), format!("{} {}", value.name, value.version).trim().to_owned());
                            contents.producers.push(pair);
                        }
                    }
                }
            }
            _ => {}
        }
    }
    contents.instances += usize::from(is_module);
    contents.imports.sort();
    contents.imports.dedup();
    contents.producers.sort();
    contents.producers.dedup();
    Ok(contents)
}

/// JSON over several lines, or the text as it is where it is none.
fn pretty(json: &str) -> String {
    serde_json::from_str::<Value>(json).map_or_else(|_| json.to_owned(), |value| format!("{value:#}"))
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("{:13}{line}\n", "")).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
