//! The request's half of a stream.

use bytes::Bytes;
use tokio::{
    io::AsyncRead,
    sync::mpsc::{self, Sender},
};
use tokio_stream::wrappers::ReceiverStream;

use super::Source;
use crate::{fault::Fault, reset::IsComplete};

/// The messages that wait between the reader and the connection: one is sent while the next is read.
const QUEUED: usize = 1;

/// The two ends of the request's messages.
pub(super) fn channel<Q>() -> (Sender<Q>, ReceiverStream<Q>) {
    let (sender, receiver) = mpsc::channel(QUEUED);
    (sender, ReceiverStream::new(receiver))
}

/// The request. If this is dropped before it is [complete](Self::complete), its stream is reset.
pub(crate) struct Requests<Q> {
    sender: Sender<Q>,
    chunk: usize,
    is_complete: IsComplete,
}

impl<Q> Requests<Q> {
    pub(super) fn new(sender: Sender<Q>, chunk: usize, is_complete: IsComplete) -> Self {
        Self { sender, chunk, is_complete }
    }

    /// Chunks of at most so many bytes, a multiple of `size` that is not 0.
    pub(crate) fn with_chunks_of(self, size: usize, overhead: usize) -> Self {
        let chunk = self.chunk.saturating_sub(overhead) / size * size;
        Self { chunk: chunk.max(size), ..self }
    }

    /// Sends a message. If the call has ended, the response says why.
    pub(crate) async fn message(&self, message: Q) {
        let _ = self.sender.send(message).await;
    }

    /// Whether the call has ended: nothing is sent any more.
    pub(crate) fn is_over(&self) -> bool {
        self.sender.is_closed()
    }

    /// Sends so many bytes of a tensor in chunks. They are read when there is room for them.
    ///
    /// # Errors
    /// [`Error::Read`](crate::Error::Read).
    pub(crate) async fn data<R: AsyncRead + Unpin>(
        &self,
        source: &mut Source<R>,
        mut len: u64,
        message: impl Fn(Bytes) -> Q,
    ) -> Result<(), Fault> {
        while len > 0 {
            let Ok(permit) = self.sender.reserve().await else { break };
            let bytes = source.next(usize::try_from(len).unwrap_or(usize::MAX).min(self.chunk)).await?;
            len -= bytes.len() as u64;
            permit.send(message(bytes));
        }
        Ok(())
    }

    /// Ends the request: all was sent.
    pub(crate) fn complete(self) {
        self.is_complete.set();
    }
}
