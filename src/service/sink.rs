//! Where the messages of an answer go while they are computed.

use std::sync::Arc;

use bytes::Bytes;
use evenkeel_frames as frames;
use prost::Message;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc::Sender};

use super::sheet::{Sheet, messages};
use crate::{
    budget::{Portion, Reservation, Scratch},
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

/// Units that are longer than a chunk: see [`Sink::unit`].
pub(super) const UNITS: usize = 2;

/// The messages that wait for the connection to take them. More are not computed.
pub(crate) const QUEUED: usize = 2;

/// Longer messages than this, which repeat what a client has sent or sum up what was found, are reserved one by one. All others
/// are within what [`CHUNKS`] reserves, or what each stream is charged.
const SHORT: usize = 4 << 10;

/// Bytes of an answer, and what is reserved for them until they are sent.
struct Held {
    bytes: Bytes,
    _scratch: Scratch,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Bytes that keep what is reserved for them for as long as they are there.
pub(super) fn held(bytes: Bytes, scratch: Scratch) -> Bytes {
    Bytes::from_owner(Held { bytes, _scratch: scratch })
}

/// The messages of one answer. Whoever adds one waits until there is room: a client that does not read is not computed for.
pub(crate) struct Sink {
    sender: Sender<Next>,
    buffers: Buffers,
    /// The most bytes of a chunk: those of the setting, and those there are now.
    limit: usize,
    chunk: usize,
    /// What chunks of this size hold.
    held: Portion,
    reservation: Arc<Reservation>,
    /// Of the units that are longer than a chunk, those that may be there at a time: one that is computed, and one that is sent.
    units: Arc<Semaphore>,
}

impl Sink {
    /// `limit`: the most bytes of a chunk, whatever the client sends.
    pub(crate) fn new(sender: Sender<Next>, buffers: &Buffers, limit: usize, reservation: &Arc<Reservation>) -> Self {
        let chunk = limit.min(ALWAYS);
        let held = Portion::new(reservation);
        let (reservation, units) = (Arc::clone(reservation), Arc::new(Semaphore::new(UNITS)));
        Self { sender, buffers: buffers.clone(), limit, chunk, held, reservation, units }
    }

    /// Waits until there may be another unit of an answer that is longer than a chunk.
    pub(super) async fn unit(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.units).acquire_owned().await.expect("it is never closed")
    }

    /// Waits until all units that are longer than a chunk were sent.
    pub(super) async fn units_sent(&self) {
        let _all = self.units.acquire_many(UNITS as u32).await.expect("it is never closed");
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
    /// [`Error::Cancelled`]: nobody waits for the answer. For a long message also those of a reservation.
    pub(super) async fn message(&self, message: &impl Message) -> Result<(), Error> {
        let len = message.encoded_len();
        if len <= SHORT {
            return self.send(frames::encoded(message)).await;
        }
        let scratch = self.reservation.reserve_with_scratch(0, len)?;
        self.send(held(frames::encoded(message), scratch)).await
    }

    /// Adds what was written to a sheet, as messages whose field `number` has the bytes.
    ///
    /// # Errors
    /// [`Error::Cancelled`], as for a [`message`](Self::message).
    pub(super) async fn sheet(&self, number: u32, sheet: Sheet) -> Result<(), Error> {
        for bytes in sheet.into_messages(number, self.chunk, &self.buffers) {
            self.send(bytes).await?;
        }
        Ok(())
    }

    /// Adds bytes, as [`sheet`](Self::sheet).
    ///
    /// # Errors
    /// As [`sheet`](Self::sheet).
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
