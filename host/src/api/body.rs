//! Bodies of answers: whole, or written while they are sent.
//!
//! A list of every pod of a large cluster is tens of megabytes. It is rendered in pieces, each when the socket has
//! room for it, so that it costs the memory of one piece, and no lock is held while the client reads.

use std::convert::Infallible;
use std::io::Write as _;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body::{Frame, SizeHint};

/// About as much as goes to the socket at once: large enough that the bookkeeping disappears, small enough that
/// thousands of lists at a time stay cheap.
const PIECE: usize = 64 * 1024;

/// Something that can be written piece by piece.
pub trait Pieces: Send {
    /// Appends a bit more than nothing and about as much as `enough`; false once there is no more to come.
    fn write(&mut self, out: &mut Vec<u8>, enough: usize) -> bool;
}

/// A body, and what is to be kept until it is sent.
pub struct Body {
    content: Content,
    held: Vec<Box<dyn Send>>,
}

enum Content {
    Whole(Bytes),
    InPieces(Box<dyn Pieces>),
    Compressed(Box<dyn Pieces>, Box<GzEncoder<Vec<u8>>>),
    Sent,
}

impl Body {
    /// A body that is there already.
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        Self { content: Content::Whole(bytes.into()), held: Vec::new() }
    }

    /// A body that is written while it is sent.
    pub fn in_pieces(pieces: impl Pieces + 'static) -> Self {
        Self { content: Content::InPieces(Box::new(pieces)), held: Vec::new() }
    }

    /// The same body, compressed on the way. As upstream at the fastest level: the link is a data centre's.
    pub fn compressed(self) -> Self {
        let encoder = Box::new(GzEncoder::new(Vec::with_capacity(PIECE), Compression::fast()));
        let content = match self.content {
            Content::Whole(bytes) => Content::Compressed(Box::new(Once(bytes)), encoder),
            Content::InPieces(pieces) => Content::Compressed(pieces, encoder),
            other => other,
        };
        Self { content, ..self }
    }

    /// Keeps `what` until the body is sent, or the client has gone.
    pub fn holding(mut self, what: impl Send + 'static) -> Self {
        self.held.push(Box::new(what));
        self
    }

    /// No body in place of this one, for an answer to HEAD: hyper would send one over HTTP/2.
    pub fn withheld(self) -> Self {
        Self { content: Content::Sent, ..self }
    }

    /// How long the body is, if that is known.
    pub fn length(&self) -> Option<usize> {
        match &self.content {
            Content::Whole(bytes) => Some(bytes.len()),
            Content::Sent => Some(0),
            Content::InPieces(_) | Content::Compressed(..) => None,
        }
    }

    fn next(&mut self) -> Option<Bytes> {
        match std::mem::replace(&mut self.content, Content::Sent) {
            Content::Whole(bytes) => Some(bytes).filter(|bytes| !bytes.is_empty()),
            Content::InPieces(mut pieces) => {
                let mut out = Vec::with_capacity(PIECE + PIECE / 8);
                if pieces.write(&mut out, PIECE) {
                    self.content = Content::InPieces(pieces);
                }
                Some(out.into())
            }
            Content::Compressed(pieces, encoder) => Some(self.next_compressed(pieces, encoder)),
            Content::Sent => None,
        }
    }

    /// Compresses until there is something worth sending.
    fn next_compressed(&mut self, mut pieces: Box<dyn Pieces>, mut encoder: Box<GzEncoder<Vec<u8>>>) -> Bytes {
        let mut plain = Vec::with_capacity(PIECE + PIECE / 8);
        loop {
            plain.clear();
            let has_more = pieces.write(&mut plain, PIECE);
            encoder.write_all(&plain).expect("memory takes every byte");
            if !has_more {
                return encoder.finish().expect("memory takes every byte").into();
            }
            if encoder.get_ref().len() >= PIECE / 4 {
                let ready = std::mem::replace(encoder.get_mut(), Vec::with_capacity(PIECE));
                self.content = Content::Compressed(pieces, encoder);
                return ready.into();
            }
        }
    }
}

struct Once(Bytes);

impl Pieces for Once {
    fn write(&mut self, out: &mut Vec<u8>, enough: usize) -> bool {
        let piece = self.0.split_to(enough.min(self.0.len()));
        out.extend_from_slice(&piece);
        !self.0.is_empty()
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = self.next();
        if next.is_none() || self.is_end_stream() {
            self.held.clear();
        }
        Poll::Ready(next.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.content, Content::Sent) || matches!(&self.content, Content::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        self.length().map_or_else(SizeHint::default, |length| SizeHint::with_exact(length as u64))
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    /// The numbers up to a limit, one a line.
    struct Numbers(std::ops::Range<u32>);

    impl Pieces for Numbers {
        fn write(&mut self, out: &mut Vec<u8>, enough: usize) -> bool {
            for number in self.0.by_ref() {
                writeln!(out, "{number}").expect("memory takes every byte");
                if out.len() >= enough {
                    return true;
                }
            }
            false
        }
    }

    fn numbers(limit: u32) -> Vec<u8> {
        (0..limit).map(|number| format!("{number}\n")).collect::<String>().into_bytes()
    }

    async fn sent(body: Body) -> Vec<u8> {
        body.collect().await.expect("bodies do not fail").to_bytes().to_vec()
    }

    fn inflate(bytes: &[u8]) -> Vec<u8> {
        let mut inflated = Vec::new();
        std::io::copy(&mut flate2::read::GzDecoder::new(bytes), &mut inflated).expect("it is gzip");
        inflated
    }

    #[tokio::test]
    async fn a_body_in_pieces_is_the_whole_body() {
        assert_eq!(sent(Body::in_pieces(Numbers(0..200_000))).await, numbers(200_000));
    }

    #[tokio::test]
    async fn a_compressed_body_inflates_to_the_same() {
        let compressed = sent(Body::in_pieces(Numbers(0..200_000)).compressed()).await;
        assert!(compressed.len() < numbers(200_000).len() * 2 / 3, "{}", compressed.len());
        assert_eq!(inflate(&compressed), numbers(200_000));
        assert_eq!(inflate(&sent(Body::whole(numbers(50_000)).compressed()).await), numbers(50_000));
    }

    #[tokio::test]
    async fn what_a_body_holds_is_let_go_when_it_is_sent() {
        let (held, witness) = (std::sync::Arc::new(()), ());
        let body = Body::in_pieces(Numbers(0..100_000)).holding(std::sync::Arc::clone(&held));
        assert_eq!((std::sync::Arc::strong_count(&held), witness), (2, ()));
        assert_eq!(sent(body).await.len(), numbers(100_000).len());
        assert_eq!(std::sync::Arc::strong_count(&held), 1);
    }
}
