//! Notes when a client has sent its preface, and gives a stream back when HTTP is done with it.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::oneshot,
};

use crate::preface::ClientPreface;

/// What a client of HTTP/2 begins with: the magic line of 24 bytes, and a frame of settings. HTTP/2 itself compares the
/// line and closes the connection over any other.
const PREFACE_BYTES: usize = 24 + 9;

/// A stream that notes whether its client has begun to speak, and is given back when HTTP/2 is done with it.
#[derive(Debug)]
pub(crate) struct PrefaceWatch<S> {
    /// There until this is dropped.
    stream: Option<S>,
    back: Option<oneshot::Sender<S>>,
    read: usize,
    preface: Arc<ClientPreface>,
}

impl<S> PrefaceWatch<S> {
    /// `preface` is seen once the client has sent what every connection begins with.
    pub(crate) fn new(stream: S, preface: Arc<ClientPreface>) -> (Self, oneshot::Receiver<S>) {
        let (back, given_back) = oneshot::channel();
        (Self { stream: Some(stream), back: Some(back), read: 0, preface }, given_back)
    }
}

impl<S: Unpin> PrefaceWatch<S> {
    fn stream(&mut self) -> Pin<&mut S> {
        Pin::new(self.stream.as_mut().expect("it is there until this is dropped"))
    }
}

impl<S> Drop for PrefaceWatch<S> {
    fn drop(&mut self) {
        if let (Some(stream), Some(back)) = (self.stream.take(), self.back.take()) {
            // Nobody waits for one that is cut off.
            let _ = back.send(stream);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for PrefaceWatch<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = self.stream().poll_read(cx, buf);
        if self.read < PREFACE_BYTES {
            self.read += buf.filled().len() - before;
            if self.read >= PREFACE_BYTES {
                self.preface.came();
            }
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for PrefaceWatch<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.stream().poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }
}
