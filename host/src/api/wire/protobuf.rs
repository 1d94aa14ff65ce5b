//! Protobuf as upstream's generated code writes it. Pure.
//!
//! An answer is four magic bytes and an envelope (`runtime.Unknown`) that says what kind of object it holds and how
//! long that is. Upstream's messages are of proto2 with fields that Go holds by value: these are written even when they
//! are empty, in the order of their numbers.
//!
//! A message stands behind its length. Each is written first, after a byte kept free, and moved where its length needs
//! more than one; the messages of a list are a few hundred bytes, so that this is cheaper than to measure them before.
//!
//! Rules: `k8s.io/apimachinery` v0.36 `pkg/runtime/serializer/protobuf`, `pkg/runtime/generated.proto`,
//! `pkg/apis/meta/v1/{generated,time_proto}.go`; `k8s.io/metrics` v0.36 `pkg/apis/metrics/v1beta1/generated.proto`.

use super::encode::{Document, Encoder, Field, Text, field, insert};
use super::timestamp::Timestamp;
use crate::model::Labels;
use crate::model::units::WindowNanos;

/// How the kinds of values are marked.
const VARINT: u32 = 0;
const DELIMITED: u32 = 2;

const MAGIC: &[u8] = b"k8s\0";
const TYPE_META: Field = field!("typeMeta", 1);
const API_VERSION: Field = field!("apiVersion", 1);
const KIND: Field = field!("kind", 2);
const RAW: Field = field!("raw", 2);
/// `contentEncoding` and `contentType`, both empty.
const END_OF_ENVELOPE: &[u8] = &[3 << 3 | DELIMITED as u8, 0, 4 << 3 | DELIMITED as u8, 0];

/// The only member of a wrapper: a quantity's text, a list's items.
const WRAPPED: Field = field!("", 1);
const KEY: Field = field!("", 1);
const VALUE: Field = field!("", 2);
const SECONDS: Field = field!("seconds", 1);
const NANOS: Field = field!("nanos", 2);

/// The envelope, as far as it stands before the object.
pub(super) fn open(out: &mut Vec<u8>, document: &impl Document, length: usize) {
    out.extend_from_slice(MAGIC);
    let mut envelope = Protobuf(out);
    envelope.object(TYPE_META, |meta| {
        meta.text(API_VERSION, document.api_version());
        meta.text(KIND, document.kind());
    });
    envelope.tag(RAW, DELIMITED);
    envelope.varint(length as u64);
}

/// What of the envelope stands behind the object.
pub(super) fn close(out: &mut Vec<u8>) {
    out.extend_from_slice(END_OF_ENVELOPE);
}

/// Appends a whole answer.
pub(super) fn write(out: &mut Vec<u8>, document: &impl Document) {
    let mut object = Vec::with_capacity(1024);
    document.describe(&mut Protobuf(&mut object));
    open(out, document, object.len());
    out.append(&mut object);
    close(out);
}

/// Writes the fields of one message to the end of a buffer.
pub(super) struct Protobuf<'a>(pub(super) &'a mut Vec<u8>);

impl Protobuf<'_> {
    fn tag(&mut self, field: Field, kind: u32) {
        self.varint(u64::from(field.number << 3 | kind));
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn integer(&mut self, field: Field, value: u64) {
        self.tag(field, VARINT);
        self.varint(value);
    }

    /// Something behind its length.
    fn delimited(&mut self, field: Field, content: impl FnOnce(&mut Self)) {
        self.tag(field, DELIMITED);
        let begin = self.0.len();
        self.0.push(0);
        content(self);
        let length = self.0.len() - begin - 1;
        match u8::try_from(length) {
            Ok(length @ 0..0x80) => self.0[begin] = length,
            _ => self.insert_length(begin, length),
        }
    }

    /// Puts a length of more than one byte where one was kept free.
    fn insert_length(&mut self, at: usize, mut length: usize) {
        let (mut bytes, mut last) = ([0; 10], 0);
        while length >= 0x80 {
            bytes[last] = length as u8 | 0x80;
            length >>= 7;
            last += 1;
        }
        bytes[last] = length as u8;
        self.0[at] = bytes[0];
        insert(self.0, at + 1, &bytes[1..=last]);
    }
}

impl Encoder for Protobuf<'_> {
    const IS_NUMBERED: bool = true;

    fn type_meta(&mut self, _: &str, _: &str) {}

    fn text(&mut self, field: Field, text: &str) {
        self.tag(field, DELIMITED);
        self.varint(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    fn text_unless_empty(&mut self, field: Field, text: &str) {
        self.text(field, text);
    }

    fn texts(&mut self, field: Field, texts: &[Text<'_>]) {
        for text in texts {
            self.delimited(field, |out| text.write(out.0));
        }
    }

    fn wrapped_texts(&mut self, field: Field, texts: &[Text<'_>]) {
        self.object(field, |list| list.texts(WRAPPED, texts));
    }

    fn number(&mut self, field: Field, number: u32) {
        self.integer(field, number.into());
    }

    fn zero(&mut self, field: Field) {
        self.integer(field, 0);
    }

    fn flag(&mut self, field: Field, flag: bool) {
        self.integer(field, flag.into());
    }

    fn time(&mut self, field: Field, time: Option<&Timestamp>) {
        self.object(field, |message| {
            if let Some(time) = time {
                message.integer(SECONDS, time.seconds());
                message.integer(NANOS, 0);
            }
        });
    }

    fn no_time(&mut self, field: Field) {
        self.time(field, None);
    }

    fn duration(&mut self, field: Field, window: WindowNanos) {
        // Go's durations end here, as in the other encodings.
        self.object(field, |message| message.integer(WRAPPED, window.0.min(i64::MAX.unsigned_abs())));
    }

    fn amounts(&mut self, field: Field, amounts: &[(Field, Text<'_>)]) {
        for (name, amount) in amounts {
            self.object(field, |entry| {
                entry.text(KEY, name.name);
                entry.object(VALUE, |quantity| quantity.delimited(WRAPPED, |out| amount.write(out.0)));
            });
        }
    }

    fn labels(&mut self, field: Field, labels: &Labels) {
        for (name, value) in labels.iter() {
            self.object(field, |entry| {
                entry.text(KEY, name);
                entry.text(VALUE, value);
            });
        }
    }

    fn object(&mut self, field: Field, content: impl FnOnce(&mut Self)) {
        self.delimited(field, content);
    }

    fn objects<T>(&mut self, field: Field, items: impl IntoIterator<Item = T>, mut content: impl FnMut(&mut Self, T)) {
        for item in items {
            self.object(field, |message| content(message, item));
        }
    }

    fn null(&mut self, _: Field) {}
}
