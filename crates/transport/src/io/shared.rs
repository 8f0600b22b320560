//! A stream to which HTTP writes, and which the driver of the connection has sent.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, ReadBuf};

use super::{fair::FairIo, forward::forward_writes, socket::forward_socket};

/// A stream that may keep bytes that are written to it for a while, and may read in turn with the streams of other connections.
pub(crate) trait Keeps {
    /// Called when HTTP has nothing more to write for now. The connection's task then waits, unless this returns
    /// [`Next::AskAgain`].
    fn http_waits(&mut self, cx: &mut Context<'_>) -> Next;

    /// Called when HTTP has ended: the bytes that are read from now on are thrown away.
    fn http_ended(&mut self);
}

/// The step of the driver after it has told the stream that HTTP waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// The driver waits: HTTP waits for its client, or for responses.
    Wait,
    /// The driver polls HTTP again: the stream has put off a read of HTTP's, or has an error for it.
    AskAgain,
}

/// The stream keeps no bytes, and reads without turns.
impl<T> Keeps for FairIo<T> {
    fn http_waits(&mut self, _: &mut Context<'_>) -> Next {
        Next::Wait
    }

    fn http_ended(&mut self) {}
}

/// One of several handles of a stream. One task uses all of them, so that the lock is always free.
#[derive(Debug)]
pub(crate) struct SharedIo<T>(Arc<Mutex<T>>);

impl<T> SharedIo<T> {
    pub(crate) fn new(io: T) -> Self {
        Self(Arc::new(Mutex::new(io)))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        // A panic while the lock is held ends the only task that uses it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

forward_socket!(SharedIo, this => this.lock());

impl<T> Clone for SharedIo<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for SharedIo<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.lock()).poll_read(cx, buf)
    }
}

forward_writes!(SharedIo, this => *this.lock());
