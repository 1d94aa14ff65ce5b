//! The words in which objects are described, whatever they are encoded in.
//!
//! A type of the API is described once, as a function from its value to calls of an [`Encoder`]. The encodings beside
//! this file turn these calls into bytes: [`json`](super::json) (of which YAML and indented JSON are made),
//! [`protobuf`](super::protobuf) and [`cbor`](super::cbor). What one encoding says and another leaves out is settled
//! here, by which word is used: Go's protobuf writes texts that are empty, its JSON does not.
//!
//! The order of the calls is the order in JSON. Protobuf's, by number, is the same with one exception, for which there
//! is [`Encoder::IS_NUMBERED`].

use super::timestamp::Timestamp;
use super::{duration, json, quantity};
use crate::model::Labels;
use crate::model::units::{Bytes, Nanocores, WindowNanos};

/// A member of an object.
pub(in crate::api) type Field = &'static Names;

/// What a member is called.
pub(in crate::api) struct Names {
    /// What JSON, YAML and CBOR call it.
    pub(super) name: &'static str,
    /// As it stands in JSON: a comma, the name in quotes, and a colon.
    pub(super) json: &'static str,
    /// What protobuf calls it; 0 in objects that protobuf has not got.
    pub(super) number: u32,
}

macro_rules! field {
    ($name:literal, $number:literal) => {
        &$crate::api::wire::encode::Names { name: $name, json: concat!(",\"", $name, "\":"), number: $number }
    };
}
pub(super) use field;

/// In every encoding but protobuf, what an object is stands first among its members.
pub(super) const KIND: Field = field!("kind", 0);
pub(super) const API_VERSION: Field = field!("apiVersion", 0);

/// Puts `bytes` into the middle of what is written already.
pub(super) fn insert(out: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    let end = out.len();
    out.resize(end + bytes.len(), 0);
    out.copy_within(at..end, at + bytes.len());
    out[at..at + bytes.len()].copy_from_slice(bytes);
}

/// A text that may still have to be made. Only a plain one can hold anything that JSON would escape.
#[derive(Clone, Copy)]
pub(in crate::api) enum Text<'a> {
    Plain(&'a str),
    Cpu(Nanocores),
    Memory(Bytes),
    Window(WindowNanos),
}

impl Text<'_> {
    pub(super) fn write(self, out: &mut Vec<u8>) {
        match self {
            Self::Plain(text) => out.extend_from_slice(text.as_bytes()),
            Self::Cpu(rate) => quantity::write_cpu(out, rate),
            Self::Memory(amount) => quantity::write_memory(out, amount),
            Self::Window(window) => duration::write(out, window.0),
        }
    }

    #[inline]
    pub(super) fn write_json(self, out: &mut Vec<u8>) {
        if let Self::Plain(text) = self {
            return json::write_string(out, text);
        }
        out.push(b'"');
        self.write(out);
        out.push(b'"');
    }
}

/// Writes the members of one object.
pub(in crate::api) trait Encoder: Sized {
    /// Whether members are sorted by their numbers.
    const IS_NUMBERED: bool;

    /// `kind` and `apiVersion`, which protobuf has in its envelope, or nowhere.
    fn type_meta(&mut self, kind: &str, api_version: &str);

    fn text(&mut self, field: Field, text: &str);

    /// A text that goes without saying if it is empty; protobuf says it.
    fn text_unless_empty(&mut self, field: Field, text: &str);

    fn texts(&mut self, field: Field, texts: &[Text<'_>]);

    /// A list that may be null in Go, for which protobuf wraps it in an object.
    fn wrapped_texts(&mut self, field: Field, texts: &[Text<'_>]);

    fn number(&mut self, field: Field, number: u32);

    /// A number that is 0 and therefore goes without saying; protobuf says it.
    fn zero(&mut self, field: Field);

    fn flag(&mut self, field: Field, flag: bool);

    /// None is Go's zero time: null, and in protobuf an empty object.
    fn time(&mut self, field: Field, time: Option<&Timestamp>);

    /// Go's zero time where it goes without saying; protobuf says it.
    fn no_time(&mut self, field: Field);

    fn duration(&mut self, field: Field, window: WindowNanos);

    /// Amounts by their names, the names sorted.
    fn amounts(&mut self, field: Field, amounts: &[(Field, Text<'_>)]);

    /// Left out if there are none.
    fn labels(&mut self, field: Field, labels: &Labels);

    fn object(&mut self, field: Field, content: impl FnOnce(&mut Self));

    fn objects<T>(&mut self, field: Field, items: impl IntoIterator<Item = T>, content: impl FnMut(&mut Self, T));

    /// Protobuf leaves it out.
    fn null(&mut self, field: Field);
}

/// A whole answer, described.
pub(in crate::api) trait Document {
    fn kind(&self) -> &str;

    /// Empty where upstream leaves it out.
    fn api_version(&self) -> &str;

    /// Its members after those two.
    fn describe<E: Encoder>(&self, encoder: &mut E);
}
