//! What a component names and what it takes, read off its sections without compiling or validating it.
//!
//! A component instantiates modules and other components, and those instantiate others: a few hundred bytes can ask for
//! billions of instances. So each module and component is weighed once, when its end is reached, and an instance adds
//! the weight of what it is of. Where it takes the compiler to know which one that is, the heaviest so far is taken.

use wasmparser::{
    ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind, Encoding, Instance, MemoryType,
    Parser, Payload,
};

use super::{ArtifactError, damaged, refused};

/// What a component names and takes.
#[derive(Debug)]
pub(super) struct Survey {
    /// Names of what it imports.
    pub(super) imports: Vec<String>,
    /// Names of what it exports.
    pub(super) exports: Vec<String>,
    /// What one instance of it takes at least.
    pub(super) room: Room,
}

/// What an instance takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Room {
    /// Bytes of memory it begins with.
    pub(super) memory: u64,
    /// Elements of tables it begins with.
    pub(super) elements: u64,
    /// Core instances.
    pub(super) instances: u64,
    /// Instances of components, which cost compiling.
    parts: u64,
}

impl Room {
    fn and(self, other: Self) -> Self {
        Self {
            memory: self.memory.saturating_add(other.memory),
            elements: self.elements.saturating_add(other.elements),
            instances: self.instances.saturating_add(other.instances),
            parts: self.parts.saturating_add(other.parts),
        }
    }

    fn or(self, other: Self) -> Self {
        Self {
            memory: self.memory.max(other.memory),
            elements: self.elements.max(other.elements),
            instances: self.instances.max(other.instances),
            parts: self.parts.max(other.parts),
        }
    }
}

/// Reads a component.
///
/// # Errors
/// [`ArtifactError`] where it is damaged, or built in a way that cannot be weighed.
pub(super) fn survey(component: &[u8]) -> Result<Survey, ArtifactError> {
    let mut surveyor = Surveyor::default();
    for payload in Parser::new(0).parse_all(component) {
        let surveyed = payload.map_err(Fault::Damage).and_then(|payload| surveyor.read(payload));
        surveyed.map_err(|fault| match fault {
            Fault::Damage(error) => damaged(&error, component.len()),
            Fault::Refusal(refusal) => refusal,
        })?;
    }
    Ok(Survey { imports: surveyor.imports, exports: surveyor.exports, room: surveyor.whole })
}

enum Fault {
    Damage(wasmparser::Error),
    Refusal(ArtifactError),
}

impl From<wasmparser::Error> for Fault {
    fn from(error: wasmparser::Error) -> Self {
        Self::Damage(error)
    }
}

/// How deep components may lie in each other: those of toolchains lie two deep, composed ones a few more.
const DEPTH: usize = 16;
/// How many instances of components there may be: toolchains make one for each interface.
const PARTS: u64 = 256;
/// How many modules and components may have a number, aliases included.
const NUMBERED: usize = 4096;

#[derive(Default)]
struct Surveyor {
    imports: Vec<String>,
    exports: Vec<String>,
    /// What is being read: the whole, and in it whatever is nested.
    open: Vec<Open>,
    heaviest_module: Room,
    heaviest_component: Room,
    numbered: usize,
    whole: Room,
}

/// A module or component that is being read.
struct Open {
    encoding: Encoding,
    room: Room,
    /// By their numbers.
    modules: Vec<Room>,
    components: Vec<Room>,
}

impl Surveyor {
    fn read(&mut self, payload: Payload<'_>) -> Result<(), Fault> {
        match payload {
            Payload::Version { encoding, .. } => self.begin(encoding)?,
            Payload::End(_) => self.end(),
            Payload::MemorySection(memories) => {
                for memory in memories {
                    let memory = bytes(&memory?);
                    self.add(Room { memory, ..Room::default() });
                }
            }
            Payload::TableSection(tables) => {
                for table in tables {
                    let elements = table?.ty.initial;
                    self.add(Room { elements, ..Room::default() });
                }
            }
            Payload::InstanceSection(instances) => {
                for instance in instances {
                    self.add_core_instance(&instance?);
                }
            }
            Payload::ComponentInstanceSection(instances) => {
                for instance in instances {
                    self.add_component_instance(&instance?)?;
                }
            }
            Payload::ComponentAliasSection(aliases) => {
                for alias in aliases {
                    self.number_alias(&alias?)?;
                }
            }
            Payload::ComponentImportSection(imports) => {
                for import in imports {
                    let import = import?;
                    refuse_code(import.ty.kind())?;
                    if self.open.len() == 1 {
                        self.imports.push(import.name.full_name().into_owned());
                    }
                }
            }
            Payload::ComponentExportSection(exports) => {
                for export in exports {
                    let export = export?;
                    self.number_export(export.kind, export.index)?;
                    if self.open.len() == 1 {
                        self.exports.push(export.name.full_name().into_owned());
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, encoding: Encoding) -> Result<(), Fault> {
        if self.open.len() == DEPTH {
            return refused(format!("has components nested more than {DEPTH} deep")).map_err(Fault::Refusal);
        }
        self.open.push(Open { encoding, room: Room::default(), modules: Vec::new(), components: Vec::new() });
        Ok(())
    }

    fn end(&mut self) {
        let Some(ended) = self.open.pop() else { return };
        let Some(around) = self.open.last_mut() else {
            self.whole = ended.room;
            return;
        };
        self.numbered += 1;
        let (numbers, heaviest) = match ended.encoding {
            Encoding::Module => (&mut around.modules, &mut self.heaviest_module),
            Encoding::Component => (&mut around.components, &mut self.heaviest_component),
        };
        numbers.push(ended.room);
        *heaviest = heaviest.or(ended.room);
    }

    fn add(&mut self, room: Room) {
        if let Some(open) = self.open.last_mut() {
            open.room = open.room.and(room);
        }
    }

    fn add_core_instance(&mut self, instance: &Instance<'_>) {
        let Instance::Instantiate { module_index, .. } = instance else { return };
        let Some(open) = self.open.last() else { return };
        let room = open.modules.get(*module_index as usize).copied().unwrap_or(self.heaviest_module);
        self.add(room.and(Room { instances: 1, ..Room::default() }));
    }

    fn add_component_instance(&mut self, instance: &ComponentInstance<'_>) -> Result<(), Fault> {
        let ComponentInstance::Instantiate { component_index, .. } = instance else { return Ok(()) };
        let Some(open) = self.open.last() else { return Ok(()) };
        let room = open.components.get(*component_index as usize).copied().unwrap_or(self.heaviest_component);
        self.add(room.and(Room { parts: 1, ..Room::default() }));
        if self.open.last().is_some_and(|open| open.room.parts > PARTS) {
            return refused(format!("consists of more than {PARTS} instances of components")).map_err(Fault::Refusal);
        }
        Ok(())
    }

    /// An alias gives a number to something else: to what, only the compiler knows.
    fn number_alias(&mut self, alias: &ComponentAlias<'_>) -> Result<(), Fault> {
        let is_module = match alias {
            ComponentAlias::InstanceExport { kind: ComponentExternalKind::Module, .. }
            | ComponentAlias::Outer { kind: ComponentOuterAliasKind::CoreModule, .. } => true,
            ComponentAlias::InstanceExport { kind: ComponentExternalKind::Component, .. }
            | ComponentAlias::Outer { kind: ComponentOuterAliasKind::Component, .. } => false,
            _ => return Ok(()),
        };
        self.number(is_module, None)
    }

    /// So does an export.
    fn number_export(&mut self, kind: ComponentExternalKind, index: u32) -> Result<(), Fault> {
        match kind {
            ComponentExternalKind::Module => self.number(true, Some(index)),
            ComponentExternalKind::Component => self.number(false, Some(index)),
            _ => Ok(()),
        }
    }

    fn number(&mut self, is_module: bool, index: Option<u32>) -> Result<(), Fault> {
        self.numbered += 1;
        if self.numbered > NUMBERED {
            return refused(format!("numbers more than {NUMBERED} modules and components")).map_err(Fault::Refusal);
        }
        let Some(open) = self.open.last_mut() else { return Ok(()) };
        let (numbers, heaviest) = if is_module {
            (&mut open.modules, self.heaviest_module)
        } else {
            (&mut open.components, self.heaviest_component)
        };
        let known = index.and_then(|index| numbers.get(index as usize)).copied();
        numbers.push(known.unwrap_or(heaviest));
        Ok(())
    }
}

/// Modules and components that are imported come later than what instantiates them, and could not be weighed.
fn refuse_code(kind: ComponentExternalKind) -> Result<(), Fault> {
    if matches!(kind, ComponentExternalKind::Module | ComponentExternalKind::Component) {
        return refused("imports code, in itself or in a part of it: a module or a component").map_err(Fault::Refusal);
    }
    Ok(())
}

/// What a memory begins with.
fn bytes(memory: &MemoryType) -> u64 {
    /// log2 of the page of WebAssembly.
    const PAGE: u32 = 16;
    memory.initial.saturating_mul(1u64.checked_shl(memory.page_size_log2.unwrap_or(PAGE)).unwrap_or(u64::MAX))
}
