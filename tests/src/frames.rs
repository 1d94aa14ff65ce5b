//! HTTP/2 frame by frame, over any stream: what a well-behaved client library would not send, and what it would not show.
//!
//! In: frames, which are gathered until [`Frames::flush`]. Out: frames as the server sent them. Headers are written without
//! compression and are never read; a test that wants an answer's head uses [`crate::client::Client`].
//!
//! Rules: RFC 9113 (frames), RFC 7541 section 6.2.2 (literal header fields without indexing).

use std::io;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Types of frames.
pub mod kind {
    /// A piece of a body.
    pub const DATA: u8 = 0;
    /// The head of a request or response.
    pub const HEADERS: u8 = 1;
    /// The end of a stream before its time.
    pub const RST_STREAM: u8 = 3;
    /// What an end can bear.
    pub const SETTINGS: u8 = 4;
    /// A sign of life, or the request for one.
    pub const PING: u8 = 6;
    /// No further streams.
    pub const GOAWAY: u8 = 7;
    /// More of a head.
    pub const CONTINUATION: u8 = 9;
}

/// Of SETTINGS and PING: the answer.
pub const ACK: u8 = 1;
/// Of DATA and HEADERS: the last frame of its end of the stream.
pub const END_STREAM: u8 = 1;
/// Of HEADERS and CONTINUATION: the last frame of a head.
pub const END_HEADERS: u8 = 4;

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// One of [`kind`], or another.
    pub kind: u8,
    /// Depends on the kind.
    pub flags: u8,
    /// 0 for the connection.
    pub stream: u32,
    /// What it carries.
    pub payload: Bytes,
}

impl Frame {
    /// Of GOAWAY and RST_STREAM: why.
    ///
    /// # Panics
    /// Where it is another frame, or too short.
    pub fn error_code(&self) -> u32 {
        let at = if self.kind == kind::GOAWAY { 4 } else { 0 };
        assert!([kind::GOAWAY, kind::RST_STREAM].contains(&self.kind), "{self:?} bears no error code");
        u32::from_be_bytes(self.payload[at..at + 4].try_into().expect("four bytes"))
    }
}

/// A connection on which the client has said that it speaks HTTP/2.
pub struct Frames<S> {
    stream: S,
    written: Vec<u8>,
    read: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Frames<S> {
    /// Begins a connection over a stream on which the protocol has been agreed.
    ///
    /// # Errors
    /// Where the other end is gone.
    pub async fn begin(stream: S) -> io::Result<Self> {
        let mut frames = Self { stream, written: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), read: Vec::new() };
        frames.put(kind::SETTINGS, 0, 0, &[]);
        frames.flush().await?;
        Ok(frames)
    }

    /// Gathers one frame. Its payload is not checked against anybody's limits.
    pub fn put(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).expect("a frame is shorter than 4 GiB");
        self.written.extend_from_slice(&length.to_be_bytes()[1..]);
        self.written.extend_from_slice(&[kind, flags]);
        self.written.extend_from_slice(&stream.to_be_bytes());
        self.written.extend_from_slice(payload);
    }

    /// Gathers the head of a GET without a body; `stream` is odd and above those before it.
    pub fn put_get(&mut self, stream: u32, authority: &str, path: &str, headers: &[(&str, &str)]) {
        let fields = [(":method", "GET"), (":scheme", "https"), (":authority", authority), (":path", path)];
        let head: Vec<u8> = fields.iter().chain(headers).flat_map(|(name, value)| literal(name, value)).collect();
        self.put(kind::HEADERS, END_STREAM | END_HEADERS, stream, &head);
    }

    /// Sends what was gathered.
    ///
    /// # Errors
    /// Where the other end is gone.
    pub async fn flush(&mut self) -> io::Result<()> {
        let written = std::mem::take(&mut self.written);
        self.stream.write_all(&written).await?;
        self.stream.flush().await
    }

    /// The next frame; None at the end of the connection, orderly or not. SETTINGS and PING are acknowledged on
    /// the way.
    pub async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.take_frame() {
                if frame.flags & ACK == 0 && [kind::SETTINGS, kind::PING].contains(&frame.kind) {
                    let echo = if frame.kind == kind::PING { frame.payload.clone() } else { Bytes::new() };
                    self.put(frame.kind, ACK, 0, &echo);
                    // An end that is gone shows at the next read.
                    let _ = self.flush().await;
                }
                return Some(frame);
            }
            let mut piece = [0; 16 * 1024];
            match self.stream.read(&mut piece).await {
                Ok(0) | Err(_) => return None,
                Ok(length) => self.read.extend_from_slice(&piece[..length]),
            }
        }
    }

    /// All frames until the connection ends.
    pub async fn rest(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = self.next().await {
            frames.push(frame);
        }
        frames
    }

    fn take_frame(&mut self) -> Option<Frame> {
        let (head, rest) = self.read.split_at_checked(9)?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let payload = Bytes::copy_from_slice(rest.get(..length)?);
        let stream = u32::from_be_bytes(head[5..9].try_into().expect("four bytes")) & (u32::MAX >> 1);
        let frame = Frame { kind: head[3], flags: head[4], stream, payload };
        self.read.drain(..9 + length);
        Some(frame)
    }
}

/// A header field that is not to be remembered, written as it is.
pub fn literal(name: &str, value: &str) -> Vec<u8> {
    let mut field = vec![0];
    for text in [name, value] {
        length(&mut field, text.len());
        field.extend_from_slice(text.as_bytes());
    }
    field
}

/// An integer with a prefix of seven bits (RFC 7541, section 5.1).
fn length(out: &mut Vec<u8>, number: usize) {
    if number < 127 {
        return out.push(number as u8);
    }
    out.push(127);
    let mut rest = number - 127;
    while rest >= 128 {
        out.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    out.push(rest as u8);
}
