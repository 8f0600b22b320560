//! Where the bytes of a tensor come from.

use std::io;

use bytes::{BufMut as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::{Open, fault::Fault};

/// What a source is made of, once for each pass.
pub(crate) enum Origin<O> {
    Open(O),
    /// All bytes are there.
    Bytes(Bytes),
}

impl<O: Open> Origin<O> {
    /// The bytes from the first.
    ///
    /// # Errors
    /// They cannot be opened.
    pub(crate) async fn open(&mut self) -> Result<Source<O::Reader>, Fault> {
        match self {
            Self::Open(open) => Ok(Source::Reader(open.open().await.map_err(Fault::read)?)),
            Self::Bytes(bytes) => Ok(Source::Bytes(bytes.clone())),
        }
    }
}

pub(crate) enum Source<R> {
    Reader(R),
    /// All of them are there.
    Bytes(Bytes),
}

impl<R: AsyncRead + Unpin> Source<R> {
    /// The next `len` bytes.
    ///
    /// # Errors
    /// The reader's; or it ends before them.
    pub(crate) async fn next(&mut self, len: usize) -> Result<Bytes, Fault> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.split_to(len)),
            Self::Reader(reader) => {
                let mut bytes = BytesMut::with_capacity(len);
                while bytes.len() < len {
                    let missing = len - bytes.len();
                    if reader.read_buf(&mut (&mut bytes).limit(missing)).await.map_err(Fault::read)? == 0 {
                        let reason = "the reader ended before the last element";
                        return Err(Fault::read(io::Error::new(io::ErrorKind::UnexpectedEof, reason)));
                    }
                }
                Ok(bytes.freeze())
            }
        }
    }
}
