//! A stream that HTTP writes to and that the driver of its connection sends.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, ReadBuf};

use super::{fair::FairIo, forward::forward_writes};

/// A stream that may keep what was written to it for a while, and that reads in turn with others.
pub(crate) trait Keeps {
    /// HTTP has nothing more to write for now. If the stream has nothing to be asked for either, the connection's task waits.
    fn http_waits(&mut self, cx: &mut Context<'_>) -> Next;

    /// HTTP has ended: what is read from now on is thrown away.
    fn http_ended(&mut self);
}

/// What is to be done when HTTP waits, and its stream was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// HTTP waits for its client, or for responses.
    Wait,
    /// HTTP is asked again: the stream has put off what HTTP wanted to read, or has an error to tell.
    AskAgain,
}

/// It keeps nothing, and reads as it likes.
impl<T> Keeps for FairIo<T> {
    fn http_waits(&mut self, _: &mut Context<'_>) -> Next {
        Next::Wait
    }

    fn http_ended(&mut self) {}
}

/// One of several handles of a stream. All are used by one task: nobody waits for the lock.
#[derive(Debug)]
pub(crate) struct SharedIo<T>(Arc<Mutex<T>>);

impl<T> SharedIo<T> {
    pub(crate) fn new(io: T) -> Self {
        Self(Arc::new(Mutex::new(io)))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        // A panic has ended the task, and nobody is left to write.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

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
