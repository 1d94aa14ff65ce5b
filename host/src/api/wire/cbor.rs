//! CBOR as upstream's encoder writes it: the members of the JSON document, every text and every name a byte string, and
//! before it all the tag that says "this is CBOR". Pure.
//!
//! One difference: a list's items, which upstream counts before, are of indefinite length here, so that a list can be
//! sent while it is written. Upstream's decoder takes both.
//!
//! Rules: RFC 8949; `k8s.io/apimachinery` v0.36 `pkg/runtime/serializer/cbor`.

use super::encode::{Document, Encoder, Field, Text};
use super::timestamp::Timestamp;
use super::{duration, encode};
use crate::model::Labels;
use crate::model::units::WindowNanos;

/// Tag 55799, which means nothing and cannot be taken for the beginning of anything else.
const SELF_DESCRIBED: &[u8] = &[0xd9, 0xd9, 0xf7];

/// The major types, where they stand in a head.
const UNSIGNED: u8 = 0 << 5;
const BYTES: u8 = 2 << 5;
const ARRAY: u8 = 4 << 5;
const MAP: u8 = 5 << 5;
const FALSE: u8 = 0xf4;
const TRUE: u8 = 0xf5;
const NULL: u8 = 0xf6;

/// An array without members, and how one begins and ends that does not say how many it has.
pub(super) const EMPTY_ARRAY: u8 = ARRAY;
pub(super) const OPEN_ARRAY: u8 = ARRAY | 31;
pub(super) const CLOSE_ARRAY: u8 = 0xff;

/// Appends a whole answer.
pub(super) fn write(out: &mut Vec<u8>, document: &impl Document) {
    out.extend_from_slice(SELF_DESCRIBED);
    write_object(out, |encoder| {
        encoder.type_meta(document.kind(), document.api_version());
        document.describe(encoder);
    });
}

/// Appends an object.
pub(super) fn write_object(out: &mut Vec<u8>, content: impl FnOnce(&mut Cbor<'_>)) {
    Cbor { out, members: 0 }.counted(MAP, content);
}

/// Writes the members of one object, or array, to the end of a buffer.
pub(super) struct Cbor<'a> {
    out: &'a mut Vec<u8>,
    members: usize,
}

impl Cbor<'_> {
    /// The head of a value. None of ours is as large as 2³².
    fn head(&mut self, major: u8, count: usize) {
        let mut bytes = [0; 9];
        let length = head(&mut bytes, major, count as u64);
        self.out.extend_from_slice(&bytes[..length]);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.head(BYTES, bytes.len());
        self.out.extend_from_slice(bytes);
    }

    fn formatted(&mut self, text: Text<'_>) {
        if let Text::Plain(text) = text {
            return self.bytes(text.as_bytes());
        }
        self.measured(|out| text.write(out));
    }

    /// A text that is made in place, behind its length.
    fn measured(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let begin = self.out.len();
        self.out.push(0);
        write(self.out);
        let length = self.out.len() - begin - 1;
        self.set_head(begin, BYTES, length);
    }

    /// A map or an array, behind the number of its members.
    fn counted(&mut self, major: u8, content: impl FnOnce(&mut Self)) {
        let (begin, outside) = (self.out.len(), std::mem::take(&mut self.members));
        self.out.push(0);
        content(self);
        let members = std::mem::replace(&mut self.members, outside);
        self.set_head(begin, major, members);
    }

    /// Puts a head where a byte was kept free.
    fn set_head(&mut self, at: usize, major: u8, count: usize) {
        let mut bytes = [0; 9];
        let length = head(&mut bytes, major, count as u64);
        self.out[at] = bytes[0];
        encode::insert(self.out, at + 1, &bytes[1..length]);
    }

    fn name(&mut self, name: &str) {
        self.bytes(name.as_bytes());
        self.members += 1;
    }
}

/// Writes a head to the front of `bytes`, as short as it can be; says how long it is.
fn head(bytes: &mut [u8; 9], major: u8, count: u64) -> usize {
    let (length, mark) = match count {
        0..24 => {
            bytes[0] = major | count as u8;
            return 1;
        }
        24..0x100 => (1, 24),
        0x100..0x1_0000 => (2, 25),
        0x1_0000..0x1_0000_0000 => (4, 26),
        _ => (8, 27),
    };
    bytes[0] = major | mark;
    bytes[1..=length].copy_from_slice(&count.to_be_bytes()[8 - length..]);
    length + 1
}

impl Encoder for Cbor<'_> {
    const IS_NUMBERED: bool = false;

    fn type_meta(&mut self, kind: &str, api_version: &str) {
        self.text(encode::KIND, kind);
        self.text_unless_empty(encode::API_VERSION, api_version);
    }

    fn text(&mut self, field: Field, text: &str) {
        self.name(field.name);
        self.bytes(text.as_bytes());
    }

    fn text_unless_empty(&mut self, field: Field, text: &str) {
        if !text.is_empty() {
            self.text(field, text);
        }
    }

    fn texts(&mut self, field: Field, texts: &[Text<'_>]) {
        self.name(field.name);
        self.head(ARRAY, texts.len());
        texts.iter().for_each(|text| self.formatted(*text));
    }

    fn wrapped_texts(&mut self, field: Field, texts: &[Text<'_>]) {
        self.texts(field, texts);
    }

    fn number(&mut self, field: Field, number: u32) {
        self.name(field.name);
        self.head(UNSIGNED, number as usize);
    }

    fn zero(&mut self, _: Field) {}

    fn flag(&mut self, field: Field, flag: bool) {
        self.name(field.name);
        self.out.push(if flag { TRUE } else { FALSE });
    }

    fn time(&mut self, field: Field, time: Option<&Timestamp>) {
        self.name(field.name);
        match time {
            Some(time) => self.bytes(time.as_bytes()),
            None => self.out.push(NULL),
        }
    }

    fn no_time(&mut self, _: Field) {}

    fn duration(&mut self, field: Field, window: WindowNanos) {
        self.name(field.name);
        self.measured(|out| duration::write(out, window.0));
    }

    fn amounts(&mut self, field: Field, amounts: &[(Field, Text<'_>)]) {
        self.object(field, |map| {
            for (name, amount) in amounts {
                map.name(name.name);
                map.formatted(*amount);
            }
        });
    }

    fn labels(&mut self, field: Field, labels: &Labels) {
        if labels.is_empty() {
            return;
        }
        self.object(field, |map| {
            for (name, value) in labels.iter() {
                map.name(name);
                map.bytes(value.as_bytes());
            }
        });
    }

    fn object(&mut self, field: Field, content: impl FnOnce(&mut Self)) {
        self.name(field.name);
        self.counted(MAP, content);
    }

    fn objects<T>(&mut self, field: Field, items: impl IntoIterator<Item = T>, mut content: impl FnMut(&mut Self, T)) {
        self.name(field.name);
        self.counted(ARRAY, |array| {
            for item in items {
                array.counted(MAP, |map| content(map, item));
                array.members += 1;
            }
        });
    }

    fn null(&mut self, field: Field) {
        self.name(field.name);
        self.out.push(NULL);
    }
}
