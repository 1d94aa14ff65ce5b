//! One flag: its type, where its value goes, and what becomes of it.
//!
//! In: the text of a value. Out: the value in its field of [`Args`], and a warning where that does nothing. A value
//! that its type refuses is an [`InvalidValue`].
//!
//! Absent on purpose: which flags there are; that is the table's.

use std::net::IpAddr;

use super::Args;
use super::values::{GoDuration, InvalidValue, read_bool, read_float, read_int, read_ip, read_level, read_list};

/// One flag.
pub(super) struct Flag {
    pub(super) section: Section,
    pub(super) name: &'static str,
    pub(super) short: Option<char>,
    pub(super) slot: Slot,
    /// As it would be written on the command line.
    pub(super) default: &'static str,
    pub(super) help: &'static str,
    pub(super) fate: Fate,
}

/// The sections of `--help`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Gateway,
    Server,
    Kubelet,
    Generic,
    Serving,
    Authentication,
    Authorization,
    Audit,
    Features,
    Logging,
    Dropped,
}

impl Section {
    pub(super) const ALL: [Self; 11] = [
        Self::Gateway,
        Self::Server,
        Self::Kubelet,
        Self::Generic,
        Self::Serving,
        Self::Authentication,
        Self::Authorization,
        Self::Audit,
        Self::Features,
        Self::Logging,
        Self::Dropped,
    ];

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Gateway => "Metrics gateway",
            Self::Server => "Metrics server",
            Self::Kubelet => "Kubelet client",
            Self::Generic => "Generic",
            Self::Serving => "Apiserver secure serving",
            Self::Authentication => "Apiserver authentication",
            Self::Authorization => "Apiserver authorization",
            Self::Audit => "Apiserver audit log",
            Self::Features => "Features",
            Self::Logging => "Logging",
            Self::Dropped => "Outdated",
        }
    }
}

/// What becomes of a flag's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It does here what it does upstream.
    Effective,
    /// It is accepted and checked, and does nothing, because...
    NoEffect(&'static str),
    /// metrics-server itself no longer takes it.
    Dropped { since: &'static str, instead: &'static str },
}

/// Where a value goes; its type follows.
pub(super) enum Slot {
    Bool(fn(&mut Args) -> &mut bool),
    Int(fn(&mut Args) -> &mut i64),
    Float(fn(&mut Args) -> &mut f64),
    Level(fn(&mut Args) -> &mut u32),
    Text(fn(&mut Args) -> &mut String),
    /// Text that `--help` calls something else.
    Named(&'static str, fn(&mut Args) -> &mut String),
    List(fn(&mut Args) -> &mut Vec<String>),
    /// A list that `--help` calls something else.
    NamedList(&'static str, fn(&mut Args) -> &mut Vec<String>),
    /// Texts, one each time the flag is used, commas and all.
    Each(&'static str, fn(&mut Args) -> &mut Vec<String>),
    Duration(fn(&mut Args) -> &mut GoDuration),
    Ip(fn(&mut Args) -> &mut Option<IpAddr>),
    /// Nowhere: the value is only checked for its type.
    Unused(Kind),
}

/// The type of a value. The name in some of them is what `--help` calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Int,
    Float(&'static str),
    Level,
    Text(&'static str),
    List(&'static str),
    Duration,
    Ip,
}

/// A value, for comparison with a default.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Bool(bool),
    Int(i64),
    Float(f64),
    Level(u32),
    Text(String),
    List(Vec<String>),
    Duration(GoDuration),
    Ip(Option<IpAddr>),
}

impl Flag {
    pub(super) const fn new(
        section: Section,
        name: &'static str,
        slot: Slot,
        default: &'static str,
        help: &'static str,
    ) -> Self {
        Self { section, name, short: None, slot, default, help, fate: Fate::Effective }
    }

    pub(super) const fn letter(self, letter: char) -> Self {
        Self { short: Some(letter), ..self }
    }

    pub(super) const fn without_effect(self, why: &'static str) -> Self {
        Self { fate: Fate::NoEffect(why), ..self }
    }

    pub(super) const fn dropped(name: &'static str, kind: Kind, since: &'static str, instead: &'static str) -> Self {
        let default = if matches!(kind, Kind::Bool) { "false" } else { "" };
        let fate = Fate::Dropped { since, instead };
        Self { section: Section::Dropped, name, short: None, slot: Slot::Unused(kind), default, help: "", fate }
    }

    /// As messages name it: with the letter first, if there is one.
    pub(super) fn title(&self) -> String {
        match self.short {
            Some(short) => format!("-{short}, --{}", self.name),
            None => format!("--{}", self.name),
        }
    }

    /// Whether a value, valid for the type, asks for something other than silence asks for.
    pub(super) fn differs_from_default(&self, text: &str) -> bool {
        let kind = self.slot.kind();
        matches!(self.fate, Fate::Dropped { .. }) || kind.read(text) != kind.read(self.default)
    }

    /// What to tell someone who uses it in vain.
    pub(super) fn warning(&self) -> Option<String> {
        match self.fate {
            Fate::Effective => None,
            Fate::NoEffect(why) => Some(format!("--{} is accepted without effect: {why}", self.name)),
            Fate::Dropped { since, instead } => Some(format!(
                "--{} is accepted without effect: metrics-server dropped it in {since}; {instead}",
                self.name
            )),
        }
    }
}

impl Slot {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Bool(_) => Kind::Bool,
            Self::Int(_) => Kind::Int,
            Self::Float(_) => Kind::Float("float"),
            Self::Level(_) => Kind::Level,
            Self::Text(_) => Kind::Text("string"),
            Self::Named(name, _) => Kind::Text(name),
            Self::List(_) => Kind::List("strings"),
            Self::NamedList(name, _) => Kind::List(name),
            Self::Each(name, _) => Kind::Text(name),
            Self::Duration(_) => Kind::Duration,
            Self::Ip(_) => Kind::Ip,
            Self::Unused(kind) => *kind,
        }
    }

    /// Reads the value and puts it where it belongs. A list is replaced by its `first` use and grows by later ones.
    pub(super) fn store(&self, args: &mut Args, text: &str, first: bool) -> Result<(), InvalidValue> {
        match self {
            Self::Bool(at) => *at(args) = read_bool(text)?,
            Self::Int(at) => *at(args) = read_int(text)?,
            Self::Float(at) => *at(args) = read_float(text)?,
            Self::Level(at) => *at(args) = read_level(text)?,
            Self::Text(at) | Self::Named(_, at) => *at(args) = text.to_owned(),
            Self::Duration(at) => *at(args) = text.parse()?,
            Self::Ip(at) => *at(args) = read_ip(text)?,
            Self::List(at) | Self::NamedList(_, at) => {
                let values = read_list(text)?;
                let list = at(args);
                if first {
                    list.clear();
                }
                list.extend(values);
            }
            Self::Each(_, at) => {
                let list = at(args);
                if first {
                    list.clear();
                }
                list.extend((!text.is_empty()).then(|| text.to_owned()));
            }
            Self::Unused(kind) => {
                kind.read(text)?;
            }
        }
        Ok(())
    }
}

impl Kind {
    /// As `--help` calls it; a switch is called nothing.
    pub(super) fn type_name(self) -> &'static str {
        match self {
            Self::Bool => "",
            Self::Int => "int",
            Self::Level => "Level",
            Self::Duration => "duration",
            Self::Ip => "ip",
            Self::Float(name) | Self::Text(name) | Self::List(name) => name,
        }
    }

    /// The value of the flag without a value, where that is allowed.
    pub(super) fn bare_value(self) -> Option<&'static str> {
        (self == Self::Bool).then_some("true")
    }

    pub(super) fn read(self, text: &str) -> Result<Value, InvalidValue> {
        Ok(match self {
            Self::Bool => Value::Bool(read_bool(text)?),
            Self::Int => Value::Int(read_int(text)?),
            Self::Float(_) => Value::Float(read_float(text)?),
            Self::Level => Value::Level(read_level(text)?),
            Self::Text(_) => Value::Text(text.to_owned()),
            Self::List(_) => Value::List(read_list(text)?),
            Self::Duration => Value::Duration(text.parse()?),
            Self::Ip => Value::Ip(read_ip(text)?),
        })
    }
}
