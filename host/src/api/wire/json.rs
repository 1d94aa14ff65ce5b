//! JSON as Go's `encoding/json` writes it: strings with its escapes, and its indentation. Pure.
//!
//! A list of all pods is most of what the gateway does for its clients, so that nothing here allocates per object, and
//! names of members are written with their commas, quotes and colons in one piece. What lists are made of is inlined
//! whatever the compiler thinks: a copy of known length is a few instructions, one of unknown length is a call, and the
//! difference is a fifth of the time of a list.
//!
//! Go escapes more than JSON demands (`<`, `>`, `&`, U+2028, U+2029), so that a body may stand in HTML and
//! JavaScript. Clients do not care; comparisons byte for byte do.

use std::io;

use serde::Serialize;

use super::duration;
use super::encode::{self, Document, Encoder, Field, Text};
use super::timestamp::Timestamp;
use crate::model::Labels;
use crate::model::units::WindowNanos;

/// Appends a whole answer, without blanks and without a line break at the end.
pub(super) fn write(out: &mut Vec<u8>, document: &impl Document) {
    write_object(out, |encoder| {
        encoder.type_meta(document.kind(), document.api_version());
        document.describe(encoder);
    });
}

/// Appends an object.
pub(super) fn write_object(out: &mut Vec<u8>, content: impl FnOnce(&mut Json<'_>)) {
    out.push(b'{');
    content(&mut Json(out));
    out.push(b'}');
}

/// Writes the members of one object to the end of a buffer.
pub(super) struct Json<'a>(&'a mut Vec<u8>);

impl Json<'_> {
    /// The name of a member. What stands before it says whether it is the first one.
    #[inline(always)]
    fn name(&mut self, field: Field) {
        let named = field.json.as_bytes();
        if self.0.last() == Some(&b'{') {
            self.0.extend_from_slice(&named[1..]);
        } else {
            self.0.extend_from_slice(named);
        }
    }
}

impl Encoder for Json<'_> {
    const IS_NUMBERED: bool = false;

    fn type_meta(&mut self, kind: &str, api_version: &str) {
        self.text(encode::KIND, kind);
        self.text_unless_empty(encode::API_VERSION, api_version);
    }

    #[inline(always)]
    fn text(&mut self, field: Field, text: &str) {
        self.name(field);
        write_string(self.0, text);
    }

    #[inline(always)]
    fn text_unless_empty(&mut self, field: Field, text: &str) {
        if !text.is_empty() {
            self.text(field, text);
        }
    }

    fn texts(&mut self, field: Field, texts: &[Text<'_>]) {
        self.name(field);
        self.0.push(b'[');
        for (index, text) in texts.iter().enumerate() {
            if index > 0 {
                self.0.push(b',');
            }
            text.write_json(self.0);
        }
        self.0.push(b']');
    }

    fn wrapped_texts(&mut self, field: Field, texts: &[Text<'_>]) {
        self.texts(field, texts);
    }

    fn number(&mut self, field: Field, number: u32) {
        self.name(field);
        self.0.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }

    #[inline(always)]
    fn zero(&mut self, _: Field) {}

    fn flag(&mut self, field: Field, flag: bool) {
        self.name(field);
        self.0.extend_from_slice(if flag { b"true" } else { b"false" });
    }

    #[inline(always)]
    fn time(&mut self, field: Field, time: Option<&Timestamp>) {
        match time {
            Some(time) => {
                self.name(field);
                self.0.extend_from_slice(time.as_json());
            }
            None => self.null(field),
        }
    }

    fn no_time(&mut self, _: Field) {}

    #[inline(always)]
    fn duration(&mut self, field: Field, window: WindowNanos) {
        self.name(field);
        self.0.push(b'"');
        duration::write(self.0, window.0);
        self.0.push(b'"');
    }

    #[inline(always)]
    fn amounts(&mut self, field: Field, amounts: &[(Field, Text<'_>)]) {
        self.object(field, |map| {
            for (name, amount) in amounts {
                map.name(name);
                amount.write_json(map.0);
            }
        });
    }

    #[inline(always)]
    fn labels(&mut self, field: Field, labels: &Labels) {
        if labels.is_empty() {
            return;
        }
        self.object(field, |map| {
            for (index, (name, value)) in labels.iter().enumerate() {
                if index > 0 {
                    map.0.push(b',');
                }
                write_string(map.0, name);
                map.0.push(b':');
                write_string(map.0, value);
            }
        });
    }

    #[inline(always)]
    fn object(&mut self, field: Field, content: impl FnOnce(&mut Self)) {
        self.name(field);
        self.0.push(b'{');
        content(self);
        self.0.push(b'}');
    }

    #[inline(always)]
    fn objects<T>(&mut self, field: Field, items: impl IntoIterator<Item = T>, mut content: impl FnMut(&mut Self, T)) {
        self.name(field);
        self.0.push(b'[');
        for (index, item) in items.into_iter().enumerate() {
            self.0.extend_from_slice(if index == 0 { b"{".as_slice() } else { b",{" });
            content(self, item);
            self.0.push(b'}');
        }
        self.0.push(b']');
    }

    fn null(&mut self, field: Field) {
        self.name(field);
        self.0.extend_from_slice(b"null");
    }
}

/// Appends `text` in quotes.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    if is_plain(text.as_bytes()) {
        out.extend_from_slice(text.as_bytes());
    } else {
        write_escaped(out, text);
    }
    out.push(b'"');
}

/// Whether no byte needs a closer look. Written without a way out early, so that the compiler takes many bytes at
/// once: names and labels are short, and nearly all of them are plain.
fn is_plain(bytes: &[u8]) -> bool {
    let special = |byte: u8| {
        (byte < 0x20)
            | (byte == b'"')
            | (byte == b'\\')
            | (byte == b'<')
            | (byte == b'>')
            | (byte == b'&')
            // The first byte of U+2028 and U+2029, and of four thousand innocent characters.
            | (byte == 0xe2)
    };
    !bytes.iter().fold(false, |found, byte| found | special(*byte))
}

fn write_escaped(out: &mut Vec<u8>, text: &str) {
    let mut utf8 = [0; 4];
    for character in text.chars() {
        match character {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\u{8}' => out.extend_from_slice(b"\\b"),
            '\u{c}' => out.extend_from_slice(b"\\f"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            '\0'..' ' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => write_code_point(out, character),
            _ => out.extend_from_slice(character.encode_utf8(&mut utf8).as_bytes()),
        }
    }
}

fn write_code_point(out: &mut Vec<u8>, character: char) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let code = character as usize;
    out.extend_from_slice(b"\\u");
    out.extend([12, 8, 4, 0].map(|shift| DIGITS[code >> shift & 0xf]));
}

/// Compact JSON of anything that serde knows, with Go's escapes.
pub fn to_vec(value: &impl Serialize) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, GoEscapes);
    value.serialize(&mut serializer).expect("our own documents have text keys, and memory takes every byte");
    out
}

struct GoEscapes;

impl serde_json::ser::Formatter for GoEscapes {
    /// serde_json hands over what it need not escape itself: everything but controls, quotes and backslashes.
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        if is_plain(fragment.as_bytes()) {
            return writer.write_all(fragment.as_bytes());
        }
        let mut escaped = Vec::with_capacity(fragment.len() + 16);
        write_escaped(&mut escaped, fragment);
        writer.write_all(&escaped)
    }
}

/// The same document with line breaks and two spaces for each level, as Go's `MarshalIndent` sets it; no line break
/// at the end. `compact` must be JSON without blanks between its tokens.
pub fn indent(compact: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(compact.len() * 2);
    indent_at(&mut out, compact, 0);
    out
}

/// Appends `compact` as it is indented where it stands so many levels deep.
pub(super) fn indent_at(out: &mut Vec<u8>, compact: &[u8], mut depth: usize) {
    let (mut in_string, mut escaped) = (false, false);
    let mut bytes = compact.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if in_string {
            out.push(byte);
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            continue;
        }
        match byte {
            b'{' | b'[' => {
                out.push(byte);
                if let Some(end @ (b'}' | b']')) = bytes.peek().copied() {
                    out.push(end);
                    bytes.next();
                } else {
                    depth += 1;
                    break_line(out, depth);
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                break_line(out, depth);
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                break_line(out, depth);
            }
            b':' => out.extend_from_slice(b": "),
            _ => {
                in_string = byte == b'"';
                out.push(byte);
            }
        }
    }
}

pub(super) fn break_line(out: &mut Vec<u8>, depth: usize) {
    out.push(b'\n');
    out.extend(std::iter::repeat_n(b' ', depth * 2));
}

#[cfg(test)]
mod tests;
