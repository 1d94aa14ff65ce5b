//! JSON as Go's `encoding/json` writes it: strings with its escapes, and its indentation. Pure.
//!
//! Go escapes more than JSON demands (`<`, `>`, `&`, U+2028, U+2029), so that a body may stand in HTML and
//! JavaScript. Clients do not care; comparisons byte for byte do.

use std::io;

use serde::Serialize;

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
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
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
                    break_line(&mut out, depth);
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                break_line(&mut out, depth);
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                break_line(&mut out, depth);
            }
            b':' => out.extend_from_slice(b": "),
            _ => {
                in_string = byte == b'"';
                out.push(byte);
            }
        }
    }
    out
}

fn break_line(out: &mut Vec<u8>, depth: usize) {
    out.push(b'\n');
    out.extend(std::iter::repeat_n(b' ', depth * 2));
}

#[cfg(test)]
mod tests;
