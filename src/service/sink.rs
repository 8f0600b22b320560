//! Where the messages of an answer go while they are computed.

use std::sync::Arc;

use bytes::Bytes;
use evenkeel_frames as frames;
use prost::Message;
use tokio::sync::mpsc::Sender;

use super::sheet::{Sheet, messages};
use crate::{
    budget::{Portion, Reservation},
    buffers::Buffers,
    error::Error,
};

/// What comes next of an answer.
pub(crate) enum Next {
    /// Bytes of messages.
    Part(Bytes),
    /// All messages were there, or why there are no more.
    End(Result<(), Error>),
}

/// Chunks of a response may always have so many bytes, if the setting allows that.
const ALWAYS: usize = 64 << 10;

/// The chunks that are in memory at a time: one that is computed, one of a mask, [`QUEUED`], and those that the connection has
/// taken and not sent.
const CHUNKS: usize = QUEUED + 5;

/// The messages that wait for the connection to take them. More are not computed.
pub(crate) const QUEUED: usize = 2;

/// The messages of one answer. Whoever adds one waits until there is room: a client that does not read is not computed for.
pub(crate) struct Sink {
    sender: Sender<Next>,
    buffers: Buffers,
    /// The most bytes of a chunk: those of the setting, and those there are now.
    limit: usize,
    chunk: usize,
    /// What chunks of this size hold.
    held: Portion,
}

impl Sink {
    /// `limit`: the most bytes of a chunk, whatever the client sends.
    pub(crate) fn new(sender: Sender<Next>, buffers: &Buffers, limit: usize, reservation: &Arc<Reservation>) -> Self {
        let chunk = limit.min(ALWAYS);
        Self { sender, buffers: buffers.clone(), limit, chunk, held: Portion::new(reservation) }
    }

    /// The most bytes of a chunk now.
    pub(super) fn chunk(&self) -> usize {
        self.chunk
    }

    /// What a stream of `total` bytes holds in chunks, at the least.
    pub(super) fn reserve(&mut self, total: usize) -> Result<(), Error> {
        let bytes = CHUNKS * self.chunk.min(total);
        if bytes > self.held.bytes() { self.held.resize(bytes) } else { Ok(()) }
    }

    /// The client sends chunks of so many bytes, and takes as many; it gets them if there is memory for them.
    pub(crate) fn client_sends(&mut self, len: usize) {
        let chunk = len.min(self.limit);
        if chunk > self.chunk && self.held.resize(CHUNKS * chunk).is_ok() {
            self.chunk = chunk;
        }
    }

    /// Adds a message.
    ///
    /// # Errors
    /// [`Error::Cancelled`]: nobody waits for the answer.
    pub(super) async fn message(&self, message: &impl Message) -> Result<(), Error> {
        self.send(frames::encoded(message)).await
    }

    /// Adds what was written to a sheet, as messages whose field `number` has the bytes.
    ///
    /// # Errors
    /// As [`message`](Self::message).
    pub(super) async fn sheet(&self, number: u32, sheet: Sheet) -> Result<(), Error> {
        for bytes in sheet.into_messages(number, self.chunk, &self.buffers) {
            self.send(bytes).await?;
        }
        Ok(())
    }

    /// Adds bytes, as [`sheet`](Self::sheet).
    ///
    /// # Errors
    /// As [`message`](Self::message).
    pub(super) async fn bytes(&self, number: u32, bytes: Bytes) -> Result<(), Error> {
        for bytes in messages(number, bytes, self.chunk) {
            self.send(bytes).await?;
        }
        Ok(())
    }

    async fn send(&self, bytes: Bytes) -> Result<(), Error> {
        self.sender.send(Next::Part(bytes)).await.map_err(|_| Error::Cancelled)
    }
}
