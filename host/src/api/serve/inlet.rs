//! What comes in on a connection, counted: heads of requests must not take more memory than there is for them, and
//! must not trickle in for ever.
//!
//! A user in a thousand groups comes with a head of 100 KiB, and upstream takes one of 1 MiB; ten thousand connections
//! with half such a head each would be gigabytes. So every connection may have [`FREE`] bytes of heads that are not
//! answered yet, and whatever goes beyond comes out of one [`Heads`] for all. A connection that finds it empty is
//! closed; those with heads of the usual size never ask. Clients that have proved who they are share another one, so
//! that nobody else can empty it, and a front proxy, whose connection is everybody's, is not counted at all.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::activity::Activity;

/// Four times what requests usually have, tokens and all.
pub(super) const FREE: usize = 16 * 1024;
/// For 64 of the largest heads at a time, or hundreds with a thousand groups.
const ALL_HEADS: usize = 64 << 20;

/// The memory for heads that are larger than usual.
#[derive(Clone)]
pub(super) struct Heads {
    strangers: Arc<Semaphore>,
    known: Arc<Semaphore>,
}

impl Heads {
    pub(super) fn new() -> Self {
        Self::of(ALL_HEADS)
    }

    fn of(bytes: usize) -> Self {
        Self { strangers: Arc::new(Semaphore::new(bytes)), known: Arc::new(Semaphore::new(bytes)) }
    }
}

/// Who is at the other end, as far as that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Anybody.
    Stranger,
    /// Somebody who has proved who they are.
    Known,
    /// A front proxy, which speaks for many.
    FrontProxy,
}

/// How many bytes of heads one connection has in memory.
pub(super) struct Held {
    heads: Heads,
    standing: Standing,
    bytes: usize,
    /// For what goes beyond [`FREE`].
    reserved: Option<OwnedSemaphorePermit>,
}

impl Held {
    pub(super) fn new(heads: Heads) -> Self {
        Self { heads, standing: Standing::Stranger, bytes: 0, reserved: None }
    }

    /// From now on the bytes are those of such a client, what there is included.
    pub(super) fn set_standing(&mut self, standing: Standing) {
        if self.standing != standing {
            self.standing = standing;
            self.reserved = None;
            // Where there is no room, the next byte says so.
            let _ = self.add(0);
        }
    }

    /// Counts bytes that have come.
    pub(super) fn add(&mut self, bytes: usize) -> io::Result<()> {
        self.bytes += bytes;
        let wanted = self.bytes.saturating_sub(FREE).saturating_sub(self.reserved());
        if wanted == 0 {
            return Ok(());
        }
        let heads = match self.standing {
            Standing::Stranger => &self.heads.strangers,
            Standing::Known => &self.heads.known,
            Standing::FrontProxy => return Ok(()),
        };
        let count = u32::try_from(wanted).map_err(io::Error::other)?;
        let more = Arc::clone(heads).try_acquire_many_owned(count);
        let more = more.map_err(|_| io::Error::other("too many large request heads at the same time"))?;
        match &mut self.reserved {
            Some(reserved) => reserved.merge(more),
            None => self.reserved = Some(more),
        }
        Ok(())
    }

    /// Forgets bytes that are answered.
    pub(super) fn remove(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
        let surplus = self.reserved() - self.bytes.saturating_sub(FREE).min(self.reserved());
        if let Some(reserved) = &mut self.reserved {
            drop(reserved.split(surplus));
        }
    }

    fn reserved(&self) -> usize {
        self.reserved.as_ref().map_or(0, OwnedSemaphorePermit::num_permits)
    }
}

/// A stream that tells an [`Activity`] what it reads.
pub(super) struct Inlet<S> {
    stream: S,
    activity: Arc<Activity>,
}

impl<S> Inlet<S> {
    pub(super) fn new(stream: S, activity: Arc<Activity>) -> Self {
        Self { stream, activity }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Inlet<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if matches!(read, Poll::Ready(Ok(()))) && buffer.filled().len() > before {
            self.activity.note_read(buffer.filled().len() - before)?;
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Inlet<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }
}

#[cfg(test)]
mod tests;
