//! Which version of HTTP a client speaks, told by its first bytes.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncReadExt as _, ReadBuf};

use super::{forward::forward_writes, socket::forward_socket};

/// The preface of HTTP/2 (RFC 9113, section 3.4), which is no request of HTTP/1.1.
const HTTP_2: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A version of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// Reads until the version is certain. The stream that this returns begins with the bytes that were read.
///
/// # Errors
/// The client ends before that, or the connection fails.
pub(crate) async fn detect<T: AsyncRead + Unpin>(mut stream: T) -> io::Result<(Version, Rewind<T>)> {
    let mut bytes = [0; HTTP_2.len()];
    let mut read = 0;
    let version = loop {
        match stream.read(&mut bytes[read..]).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            more => read += more,
        }
        if bytes[..read] != HTTP_2[..read] {
            break Version::Http1;
        }
        if read == bytes.len() {
            break Version::Http2;
        }
    };
    Ok((version, Rewind { bytes, next: 0, read, stream }))
}

/// A stream that first gives again the bytes that were read from it.
#[derive(Debug)]
pub(crate) struct Rewind<T> {
    bytes: [u8; HTTP_2.len()],
    next: usize,
    read: usize,
    stream: T,
}

forward_socket!(Rewind, this => this.stream);

impl<T: AsyncRead + Unpin> AsyncRead for Rewind<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.next == self.read {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let end = self.read.min(self.next + buf.remaining());
        buf.put_slice(&self.bytes[self.next..end]);
        self.next = end;
        Poll::Ready(Ok(()))
    }
}

forward_writes!(Rewind, this => this.stream);

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    /// The version that is detected from these bytes, which come in pieces of `piece`, and the bytes that can be read after that.
    async fn detected(bytes: &[u8], piece: usize) -> io::Result<(Version, Vec<u8>)> {
        let (mut client, server) = tokio::io::duplex(piece);
        let bytes = bytes.to_vec();
        // The client writes more only when the server has read.
        let writing = tokio::spawn(async move { client.write_all(&bytes).await });
        let (version, mut stream) = detect(server).await?;
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await?;
        writing.await.expect("no panic")?;
        Ok((version, all))
    }

    #[tokio::test]
    async fn versions_are_told_apart_and_no_byte_is_lost() {
        let http_2 = [&HTTP_2[..], b"\0\0\0\x04\0\0\0\0\0"].concat();
        for piece in [1, 2, 3, 23, 24, 25, 100] {
            for (bytes, version) in [
                (&http_2[..], Version::Http2),
                (b"POST / HTTP/1.1\r\n\r\n", Version::Http1),
                (b"PRI * HTTP/1.1\r\n\r\n and more of it", Version::Http1),
                (b"x", Version::Http1),
            ] {
                let (detected, all) = detected(bytes, piece).await.expect("it is one");
                assert_eq!((detected, &all[..]), (version, bytes), "{piece}");
            }
        }
    }

    #[tokio::test]
    async fn a_client_that_ends_too_early_speaks_neither() {
        for bytes in [&b""[..], &HTTP_2[..1], &HTTP_2[..23]] {
            let error = detected(bytes, 100).await.expect_err("it could be either");
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
    }
}
