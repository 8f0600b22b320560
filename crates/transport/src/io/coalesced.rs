//! Small writes of a connection, sent together.
//!
//! HTTP/2 hands its frames over one answer at a time: the header and the payload in one write, the trailers in the next.
//! For answers of a few KiB these system calls, each of which sends a packet, are most of what a call costs. Here small
//! writes are kept until the other tasks of the thread have had a turn, so that what they answer goes out in the same
//! write. Large ones pass, with what was kept before them.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A write of more is not copied.
const SMALL: usize = 1 << 14;
/// When so much is kept it is sent.
const ENOUGH: usize = 1 << 16;
/// How often what is kept may wait for more: each time all other tasks that are ready have their turn.
const TURNS: u8 = 4;
/// HTTP/2 writes its own buffer and one payload; with what is kept these are three.
const SLICES: usize = 4;

/// A connection whose small writes are sent together.
///
/// Flushing does not send: it would do so after each answer. The task that drives the connection is woken instead, and
/// what is kept goes out when the task reads without having written anything more since. A driver that stops reading
/// must shut the connection down, as HTTP/2's does.
#[derive(Debug)]
pub(crate) struct CoalescedWrites<T> {
    io: T,
    kept: BytesMut,
    /// Something was kept since the last read.
    grew: bool,
    /// How often the kept bytes may still wait.
    turns: u8,
}

impl<T: AsyncWrite + Unpin> CoalescedWrites<T> {
    pub(crate) fn new(io: T) -> Self {
        Self { io, kept: BytesMut::new(), grew: false, turns: TURNS }
    }

    fn keep(&mut self, slices: &[IoSlice<'_>], cx: &mut Context<'_>) -> usize {
        let before = self.kept.len();
        if self.kept.capacity() == 0 {
            self.kept.reserve(SMALL);
        }
        slices.iter().for_each(|slice| self.kept.extend_from_slice(slice));
        self.grew = true;
        cx.waker().wake_by_ref();
        self.kept.len() - before
    }

    /// Sends what is kept, and of `slices` what goes with it; returns how many bytes of these.
    fn poll_send(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        loop {
            let mut all = [IoSlice::new(&[]); SLICES];
            all[0] = IoSlice::new(&self.kept);
            let with = slices.len().min(SLICES - 1);
            all[1..=with].copy_from_slice(&slices[..with]);
            let sent = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, &all[..=with]))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let kept = self.kept.len();
            self.kept.advance(sent.min(kept));
            if self.kept.is_empty() {
                self.turns = TURNS;
                // Nothing of `slices` is not an answer while there is something in them.
                if sent > kept || slices.is_empty() {
                    return Poll::Ready(Ok(sent - kept));
                }
                return Pin::new(&mut self.io).poll_write_vectored(cx, slices);
            }
        }
    }

    fn poll_send_kept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.kept.is_empty() { Poll::Ready(Ok(())) } else { self.poll_send(cx, &[]).map_ok(|_| ()) }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for CoalescedWrites<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.kept.is_empty() {
            if std::mem::take(&mut self.grew) && self.turns > 0 && self.kept.len() < ENOUGH {
                self.turns -= 1;
                cx.waker().wake_by_ref();
            } else if let Poll::Ready(Err(error)) = self.poll_send_kept(cx) {
                return Poll::Ready(Err(error));
            }
        }
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        if read.is_pending() && self.kept.is_empty() {
            // The next call may come in an hour, and there may be thousands of such connections.
            self.kept = BytesMut::new();
        }
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for CoalescedWrites<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let len: usize = slices.iter().map(|slice| slice.len()).sum();
        if len <= SMALL && self.kept.len() < ENOUGH {
            Poll::Ready(Ok(self.keep(slices, cx)))
        } else if self.kept.is_empty() {
            Pin::new(&mut self.io).poll_write_vectored(cx, slices)
        } else {
            self.poll_send(cx, slices)
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.kept.is_empty() { Pin::new(&mut self.io).poll_flush(cx) } else { Poll::Ready(Ok(())) }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send_kept(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
