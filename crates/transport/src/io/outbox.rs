//! Sends together what HTTP/2 writes to a connection one after another.
//!
//! HTTP/2's library must have written each frame with a payload before it makes the next: a response's headers and data go
//! in one write, its trailers in another. Each write is a system call and a packet, and wakes the client; up to some
//! 100 KiB the writes are most of what a call costs. So writes are kept until HTTP has nothing more for now, and then sent in
//! one. Payloads are not copied: their chunks offer them ([`Offer`]).

mod heads;
mod kept;
mod resets;

use std::{
    io::{self, IoSlice},
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use self::{
    kept::{Kept, SLICES},
    resets::Resets,
};
use super::{
    shared::{Keeps, Next},
    socket::forward_socket,
};
use crate::{chunk::Offer, handle::ConnectionHandle, settings::RESETS_BEFORE_GOAWAY};

/// From so many kept bytes on, some are sent before more are kept: a response of 1 MiB with its headers and trailers fits.
const HIGH_WATERMARK: usize = (1 << 20) + (1 << 16);
/// From so many bytes on, kept bytes do not wait for the responses to other requests.
const WORTH_A_WRITE: usize = 1 << 16;
/// How often kept bytes may wait for more. Each time, all other tasks that are ready are polled once.
const MAX_TURNS: u8 = 4;

/// A connection whose writes are sent together.
///
/// A flush does not send, since HTTP/2's library flushes after each frame. The connection's driver calls
/// [`http_waits`](Keeps::http_waits) when HTTP has nothing more. If other requests wait for their responses then, the kept bytes
/// wait for a turn of the other tasks, so that the responses which these give go out in the same write.
#[derive(Debug)]
pub(crate) struct Outbox<T> {
    io: T,
    kept: Kept,
    resets: Resets,
    offer: Arc<Offer>,
    connection: Arc<ConnectionHandle>,
    /// HTTP has written something since it waited last.
    grew: bool,
    /// How often the kept bytes may still wait.
    turns: u8,
    /// HTTP wanted to read, and must write first.
    put_off: bool,
    /// HTTP has closed its side and writes no more.
    is_shut_down: bool,
    /// The error of a send, until HTTP's next read or write returns it.
    failed: Option<io::Error>,
}

impl<T: AsyncWrite + Unpin> Outbox<T> {
    /// `offer`: the one that the chunks of the connection's responses use.
    pub(crate) fn new(io: T, offer: Arc<Offer>, connection: Arc<ConnectionHandle>) -> Self {
        Self {
            io,
            kept: Kept::default(),
            resets: Resets::default(),
            offer,
            connection,
            grew: false,
            turns: MAX_TURNS,
            put_off: false,
            is_shut_down: false,
            failed: None,
        }
    }

    fn keep(&mut self, slices: &[IoSlice<'_>]) -> usize {
        let before = self.kept.len();
        for slice in slices.iter().filter(|slice| !slice.is_empty()) {
            self.resets.scan(slice);
            match self.offer.take(slice) {
                Some(bytes) => self.kept.push(bytes),
                None => self.kept.copy(slice),
            }
        }
        if self.resets.for_errors() >= RESETS_BEFORE_GOAWAY {
            self.connection.wear_out();
        }
        self.grew = true;
        self.kept.len() - before
    }

    /// Sends the kept bytes.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.kept.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let len = self.kept.slices(&mut slices);
            let sent = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, &slices[..len]));
            let sent = sent.and_then(|sent| if sent == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(sent) });
            match sent {
                Ok(sent) => self.kept.advance(sent),
                Err(error) => {
                    // Dropping the bytes reports them as lost, so that no response waits for them any longer.
                    self.kept = Kept::default();
                    self.connection.unblocked();
                    return Poll::Ready(Err(error));
                }
            }
        }
        self.turns = MAX_TURNS;
        self.kept.release();
        Pin::new(&mut self.io).poll_flush(cx)
    }
}

impl<T: AsyncWrite + Keeps + Unpin> Keeps for Outbox<T> {
    fn http_waits(&mut self, cx: &mut Context<'_>) -> Next {
        let mut next = if mem::take(&mut self.put_off) { Next::AskAgain } else { Next::Wait };
        if !self.kept.is_empty() {
            let grew = mem::take(&mut self.grew);
            if grew && self.turns > 0 && self.kept.len() < WORTH_A_WRITE && self.connection.is_responding() {
                self.turns -= 1;
                cx.waker().wake_by_ref();
            } else if let Poll::Ready(Err(error)) = self.poll_send(cx) {
                self.failed = Some(error);
                next = Next::AskAgain;
            }
        }
        match next {
            Next::Wait => self.io.http_waits(cx),
            Next::AskAgain => next,
        }
    }

    fn http_ended(&mut self) {
        self.io.http_ended();
    }
}

forward_socket!(Outbox, this => this.io);

impl<T: AsyncRead + Unpin> AsyncRead for Outbox<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Err(error));
        }
        // HTTP/2's library reads all there is before it writes. Pending makes it write; the driver then polls it again.
        if !self.is_shut_down && self.connection.take_gave_much() {
            self.put_off = true;
            return Poll::Pending;
        }
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Outbox<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Err(error));
        }
        if self.kept.len() >= HIGH_WATERMARK {
            let sent = self.poll_send(cx)?;
            if sent.is_pending() && self.kept.len() >= HIGH_WATERMARK {
                return Poll::Pending;
            }
        }
        Poll::Ready(Ok(self.keep(slices)))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.kept.is_empty() { Pin::new(&mut self.io).poll_flush(cx) } else { Poll::Ready(Ok(())) }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.is_shut_down = true;
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
