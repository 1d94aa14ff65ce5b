//! The bodies that the harness sends: whole, made while they are sent, or passed on.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::sync::mpsc;

/// A request's or response's body.
pub enum Body {
    /// All of it at once; None once it has been sent.
    Whole(Option<Bytes>),
    /// As somebody makes it; ends when the sender is dropped.
    Chunks(mpsc::Receiver<Bytes>),
    /// As it arrives from elsewhere.
    PassedOn(Incoming),
}

impl Body {
    /// No body.
    pub fn empty() -> Self {
        Self::Whole(None)
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(text: T) -> Self {
        let bytes = text.into();
        Self::Whole((!bytes.is_empty()).then_some(bytes))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut *self {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Chunks(chunks) => chunks.poll_recv(context).map(|chunk| chunk.map(|bytes| Ok(Frame::data(bytes)))),
            Self::PassedOn(incoming) => Pin::new(incoming).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Chunks(_) => false,
            Self::PassedOn(incoming) => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Self::Chunks(_) => SizeHint::default(),
            Self::PassedOn(incoming) => incoming.size_hint(),
        }
    }
}

/// Everything that `incoming` brings.
///
/// # Errors
/// Where the connection ends before the body does.
pub async fn read(incoming: Incoming) -> Result<Bytes, hyper::Error> {
    Ok(incoming.collect().await?.to_bytes())
}
