//! In which order the component-type metadata of a core module names its WIT packages: a guard in front of the encoder,
//! which follows packages that depend on each other in a circle until its stack is used up, and with it the process.
//!
//! In: the contents of the module's sections of metadata, one after the other. An interface uses only interfaces that are
//! named before it. So if no package is named again after another has been, in whatever section, there is no circle. That
//! refuses more than circles, but nothing that a toolchain writes of our worlds, which name one package and the author's own.
//!
//! Absent on purpose: any understanding of what the metadata says, which is the encoder's.

use wasmparser::{ComponentExternName, ComponentType, ComponentTypeDeclaration, Parser, Payload};

use crate::plugins::artifact::ArtifactError;
use crate::plugins::line::line;

/// The packages that were named so far, each after those that it may depend on.
#[derive(Default)]
pub(super) struct Packages {
    order: Vec<String>,
}

impl Packages {
    /// Takes in one section.
    ///
    /// # Errors
    /// If it cannot be read, is in a format of old, or names packages in another order than before.
    pub(super) fn note(&mut self, metadata: &[u8]) -> Result<(), ArtifactError> {
        /// The format before components carried the metadata; it begins with its version.
        const FORMAT_OF_OLD: u8 = 3;
        if metadata.first() == Some(&FORMAT_OF_OLD) {
            return Err(ArtifactError("has component-type metadata in a format of old; build it anew".to_owned()));
        }
        let unreadable = |error: wasmparser::BinaryReaderError| {
            let why = line(&error.to_string(), 256);
            ArtifactError(format!(
                "is a core module that cannot be made a component: its metadata cannot be read: {why}"
            ))
        };
        let mut named = named(metadata).map_err(unreadable)?;
        named.dedup();
        let mut last = None;
        for package in named {
            let known = self.order.iter().position(|known| *known == package);
            let place = known.unwrap_or(self.order.len());
            if last.is_some_and(|last| place < last) {
                return Err(ArtifactError(format!(
                    "has component-type metadata that comes back to the package {package:?} after another"
                )));
            }
            if known.is_none() {
                self.order.push(package);
            }
            last = Some(place);
        }
        Ok(())
    }
}

/// The packages of all imports and exports, in their order.
fn named(metadata: &[u8]) -> wasmparser::Result<Vec<String>> {
    let mut packages = Vec::new();
    for payload in Parser::new(0).parse_all(metadata) {
        match payload? {
            Payload::ComponentTypeSection(types) => {
                for component_type in types {
                    collect(&component_type?, &mut packages);
                }
            }
            Payload::ComponentImportSection(imports) => {
                for import in imports {
                    packages.extend(packages_of(&import?.name));
                }
            }
            Payload::ComponentExportSection(exports) => {
                for export in exports {
                    packages.extend(packages_of(&export?.name));
                }
            }
            _ => {}
        }
    }
    Ok(packages)
}

/// The reader has bounded how deep types are nested.
fn collect(component_type: &ComponentType<'_>, packages: &mut Vec<String>) {
    let ComponentType::Component(declarations) = component_type else { return };
    for declaration in declarations {
        match declaration {
            ComponentTypeDeclaration::Type(inner) => collect(inner, packages),
            ComponentTypeDeclaration::Import(import) => packages.extend(packages_of(&import.name)),
            ComponentTypeDeclaration::Export { name, .. } => packages.extend(packages_of(name)),
            ComponentTypeDeclaration::CoreType(_) | ComponentTypeDeclaration::Alias(_) => {}
        }
    }
}

/// `a:b/c@1.0.0` is of the package `a:b@1.0.0`; a plain name is of none.
fn packages_of(name: &ComponentExternName<'_>) -> impl Iterator<Item = String> {
    let suffix = name.version_suffix.unwrap_or_default().to_owned();
    let package = move |name: &str| {
        let (package, rest) = name.split_once('/')?;
        let version = rest.split_once('@').map_or("", |(_, version)| version);
        Some(format!("{package}@{version}{suffix}"))
    };
    [Some(name.name), name.implements].into_iter().flatten().filter_map(package).collect::<Vec<_>>().into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Metadata of a world that imports these interfaces, in this order.
    fn metadata(interfaces: &[&str]) -> Vec<u8> {
        let imports: String =
            interfaces.iter().map(|name| format!("(import \"{name}\" (instance (type 0)))")).collect();
        let text = format!(
            "(component (type (component (type (component (type (instance)) {imports})) (export \"own:er/world\" (component (type 0))))))"
        );
        wat::parse_str(text).unwrap()
    }

    fn outcome(sections: &[&[&str]]) -> Result<(), String> {
        let mut packages = Packages::default();
        sections.iter().try_for_each(|section| packages.note(&metadata(section))).map_err(|error| error.to_string())
    }

    #[test]
    fn a_package_that_is_come_back_to_is_refused_in_one_section_and_over_several() {
        assert_eq!(outcome(&[&["a:a/x@1.0.0", "a:a/y@1.0.0", "b:b/x"]]), Ok(()));
        assert_eq!(outcome(&[&["a:a/x", "b:b/x"], &["a:a/y", "b:b/y"], &["b:b/z"]]), Ok(()));
        let back = outcome(&[&["a:a/x", "b:b/x", "a:a/y"]]).unwrap_err();
        assert_eq!(back, "has component-type metadata that comes back to the package \"a:a@\" after another");
        let over_two = outcome(&[&["a:a/x", "b:b/x"], &["b:b/y", "a:a/y"]]).unwrap_err();
        assert!(over_two.contains("\"a:a@\""), "{over_two}");
        let of_two_versions = outcome(&[&["a:a/x@1.0.0", "a:a/y@1.1.0", "a:a/z@1.0.0"]]).unwrap_err();
        assert!(of_two_versions.contains("\"a:a@1.0.0\""), "{of_two_versions}");
    }

    #[test]
    fn metadata_of_old_is_refused() {
        let text = Packages::default().note(&[3, 0, 0]).unwrap_err().to_string();
        assert_eq!(text, "has component-type metadata in a format of old; build it anew");
    }
}
