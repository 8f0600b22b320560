//! A sink takes the messages of a stream's answer while they are computed, and hands them to the connection.

use std::sync::Arc;

use bytes::Bytes;
use evenkeel_frames as frames;
use prost::Message;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc::Sender};

use super::{
    Service,
    sheet::{Sheet, messages},
};
use crate::{
    budget::{Portion, Reservation},
    buffers::Buffers,
    error::Error,
    owning::owning,
};

/// An item of the channel from the task that computes an answer to the connection.
pub(crate) enum Next {
    /// Bytes of messages.
    Part(Bytes),
    /// The end of the answer: all messages were sent, or an error ends it.
    End(Result<(), Error>),
}

/// The most bytes of a chunk if the setting allows so many, and if the client has not sent a longer chunk.
const ALWAYS: usize = 64 << 10;

/// The most chunks of `chunk` bytes that are in memory at a time: one that is computed, one of a mask, those in the channel, and
/// three that the connection has taken and not sent.
fn chunks(chunk: usize) -> usize {
    queued(chunk) + 5
}

/// The most units longer than a chunk that are in memory at a time: one that is computed, and one that is sent.
pub(super) const UNITS: usize = 2;

/// The capacity of the channel to the connection, in pieces of messages.
pub(crate) const CAPACITY: usize = 8;

/// The most pieces of messages with chunks of `chunk` bytes that wait in the channel, while the task that computes the answer waits
/// for room. The connection writes what is there in one system call, so many short chunks may wait, and no more than two long ones.
fn queued(chunk: usize) -> usize {
    const BYTES: usize = 1 << 20;
    (BYTES / chunk).clamp(2, CAPACITY)
}

/// The most bytes of a message without a chunk, such as a header or a summary, that needs no reservation of its own. The
/// reservation for [`chunks`] and the charge for each HTTP/2 stream cover such messages.
const SHORT: usize = 4 << 10;

/// The messages of one answer. Adding a message waits until the channel has room, so nothing more is computed for a client that
/// does not read.
pub(crate) struct Sink {
    sender: Sender<Next>,
    buffers: Buffers,
    /// The most bytes that a chunk may ever have.
    limit: usize,
    /// The bytes that stay free for a frame when chunks become longer. The frames of a client are short until it knows the server's
    /// settings; the first long one is reserved when it comes, and the call must not be refused then.
    frame: usize,
    /// The most bytes of a chunk at present, which longer chunks of the client raise.
    chunk: usize,
    /// The reservation for chunks of this size.
    held: Portion,
    reservation: Arc<Reservation>,
    /// The places of units that are longer than a chunk; see [`unit`](Self::unit).
    units: Arc<Semaphore>,
}

impl Sink {
    /// A sink that hands messages to `sender`. The service has the limits on chunks and frames, and the buffers.
    pub(crate) fn new(sender: Sender<Next>, service: &Service, reservation: &Arc<Reservation>) -> Self {
        let (limit, frame, buffers) = (service.max_chunk(), service.max_frame(), service.buffers().clone());
        let chunk = limit.min(ALWAYS);
        let held = Portion::new(reservation);
        let (reservation, units) = (Arc::clone(reservation), Arc::new(Semaphore::new(UNITS)));
        Self { sender, buffers, limit, frame, chunk, held, reservation, units }
    }

    /// Waits for a place for a unit that is longer than a chunk. There are [`UNITS`] places, so that such units do not pile up in
    /// memory. A place is free again when its unit was sent.
    pub(super) async fn unit(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.units).acquire_owned().await.expect("it is never closed")
    }

    /// Waits until all units that are longer than a chunk were sent.
    pub(super) async fn units_sent(&self) {
        let _all = self.units.acquire_many(UNITS as u32).await.expect("it is never closed");
    }

    /// The most bytes of a chunk at present.
    pub(super) fn chunk(&self) -> usize {
        self.chunk
    }

    /// Reserves the memory of the chunks of a tensor of `total` bytes, if the sink has not reserved as much before.
    ///
    /// # Errors
    /// Those of [`Portion::require`].
    pub(super) fn reserve(&mut self, total: usize) -> Result<(), Error> {
        let bytes = chunks(self.chunk) * self.chunk.min(total);
        if bytes > self.held.bytes() { self.held.require(bytes) } else { Ok(()) }
    }

    /// Makes chunks as long as those of the client, which has sent one of `len` bytes, if their memory can be reserved. A client
    /// that sends such chunks can also receive them.
    pub(crate) fn client_sends(&mut self, len: usize) {
        let chunk = len.min(self.limit);
        let bytes = chunks(chunk) * chunk;
        if chunk > self.chunk && self.held.resize(bytes + self.frame).is_ok() {
            self.held.resize(bytes).expect("less can always be held");
            self.chunk = chunk;
        }
    }

    /// Adds a message.
    ///
    /// # Errors
    /// [`Error::Cancelled`] if the connection has dropped the answer. For a long message also those of a reservation.
    pub(super) async fn message(&self, message: &impl Message) -> Result<(), Error> {
        let len = message.encoded_len();
        if len <= SHORT {
            return self.send(frames::encoded(message)).await;
        }
        let scratch = self.reservation.reserve_with_scratch(0, len)?;
        self.send(owning(frames::encoded(message), scratch)).await
    }

    /// Adds the bytes that were written to a sheet, as messages that have them in field `number`.
    ///
    /// # Errors
    /// [`Error::Cancelled`], as for a [`message`](Self::message).
    pub(super) async fn sheet(&self, number: u32, sheet: Sheet) -> Result<(), Error> {
        for bytes in sheet.into_messages(number, self.chunk, &self.buffers) {
            self.send(bytes).await?;
        }
        Ok(())
    }

    /// Adds bytes, as messages that have them in field `number`.
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
        let free = CAPACITY - queued(self.chunk);
        let mut places = self.sender.reserve_many(free + 1).await.map_err(|_| Error::Cancelled)?;
        places.next().expect("at least one was asked for").send(Next::Part(bytes));
        Ok(())
    }
}
