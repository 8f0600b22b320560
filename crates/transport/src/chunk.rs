//! The bytes of responses, on their way from HTTP to the socket.
//!
//! HTTP/2's library takes bytes of a response and keeps them until the client grants a window and the socket takes them. It
//! reports neither, but it advances and drops the buffers that it was given. So it is given [`Chunk`]s, which report both to
//! [`SendProgress`]. The library writes slices of them, and must have written one frame before it makes the next. So that the
//! frames of a response can be written together all the same, a chunk offers its bytes to the stream beneath the library, which
//! keeps them as [`Unwritten`] without a copy.

use std::{
    io::IoSlice,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::{Buf, Bytes};

use crate::send_progress::SendProgress;

/// A chunk of so many bytes is written before the connection reads more: reads would move its bytes out of the core's cache.
const WORTH_NO_COPY: usize = 1 << 15;

/// Bytes of a response that HTTP is to write.
#[derive(Debug)]
pub(crate) struct Chunk {
    bytes: Bytes,
    progress: Arc<SendProgress>,
    /// `None`: the stream beneath HTTP writes at once what HTTP writes to it.
    offer: Option<Arc<Offer>>,
}

impl Chunk {
    pub(crate) fn new(bytes: Bytes, progress: &Arc<SendProgress>, offer: Option<&Arc<Offer>>) -> Self {
        progress.gave(bytes.len());
        if let Some(connection) = progress.connection() {
            connection.window().give(bytes.len());
            if bytes.len() >= WORTH_NO_COPY {
                connection.gave_much();
            }
        }
        Self { bytes, progress: Arc::clone(progress), offer: offer.map(Arc::clone) }
    }

    fn offer(&self) {
        if let Some(offer) = &self.offer {
            offer.make(&self.bytes, &self.progress);
        }
    }
}

impl Buf for Chunk {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        self.offer();
        &self.bytes
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        self.offer();
        self.bytes.chunks_vectored(slices)
    }

    fn advance(&mut self, len: usize) {
        self.bytes.advance(len);
        let taken = self.offer.as_ref().map_or(0, |offer| offer.settle());
        // HTTP has copied the rest into a buffer of its own, or written it.
        self.progress.wrote(len - taken.min(len));
        self.progress.sent(len);
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        let len = self.bytes.len();
        if len == 0 {
            return;
        }
        // The client has reset the stream, or the connection has ended.
        if let Some(offer) = &self.offer {
            offer.withdraw(&self.progress);
        }
        if let Some(connection) = self.progress.connection() {
            connection.window().take_back(len);
        }
        self.progress.lost(len);
        self.progress.sent(len);
    }
}

/// The bytes of a chunk, a slice of which HTTP is about to write to the stream of its connection.
#[derive(Debug, Default)]
pub(crate) struct Offer(Mutex<State>);

#[derive(Debug, Default)]
enum State {
    #[default]
    Nothing,
    Made(Bytes, Arc<SendProgress>),
    /// The stream has taken so many of them.
    Taken(usize),
}

impl Offer {
    fn state(&self) -> MutexGuard<'_, State> {
        // No state is left half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn make(&self, bytes: &Bytes, progress: &Arc<SendProgress>) {
        *self.state() = State::Made(bytes.clone(), Arc::clone(progress));
    }

    /// The bytes of this slice, if it lies within those that are offered.
    pub(crate) fn take(&self, slice: &[u8]) -> Option<Unwritten> {
        let mut state = self.state();
        let State::Made(bytes, progress) = &*state else { return None };
        let at = (slice.as_ptr() as usize).checked_sub(bytes.as_ptr() as usize)?;
        if at + slice.len() > bytes.len() {
            return None;
        }
        let taken = Unwritten { bytes: bytes.slice(at..at + slice.len()), progress: Arc::clone(progress) };
        *state = State::Taken(slice.len());
        Some(taken)
    }

    /// Ends the offer. Returns how many of its bytes were taken.
    fn settle(&self) -> usize {
        match std::mem::take(&mut *self.state()) {
            State::Taken(bytes) => bytes,
            State::Nothing | State::Made(..) => 0,
        }
    }

    /// Ends the offer, if its bytes are of this response.
    fn withdraw(&self, of: &Arc<SendProgress>) {
        let mut state = self.state();
        if matches!(&*state, State::Made(_, progress) if Arc::ptr_eq(progress, of)) {
            *state = State::Nothing;
        }
    }
}

/// Bytes of a response that HTTP takes for written, and that wait for the socket.
#[derive(Debug)]
pub(crate) struct Unwritten {
    bytes: Bytes,
    progress: Arc<SendProgress>,
}

impl Unwritten {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Called when the first `len` bytes are written.
    pub(crate) fn advance(&mut self, len: usize) {
        self.bytes.advance(len);
        self.progress.wrote(len);
    }
}

impl Drop for Unwritten {
    fn drop(&mut self) {
        // The connection has ended.
        self.progress.lost(self.bytes.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes as HTTP/2's library does: makes slices, has them written, and advances.
    fn write(chunk: &mut Chunk, len: usize, take: impl FnOnce(&[u8]) -> Option<Unwritten>) -> Option<Unwritten> {
        let mut slices = [IoSlice::new(&[])];
        assert_eq!(chunk.chunks_vectored(&mut slices), 1);
        let taken = take(&slices[0][..len]);
        chunk.advance(len);
        taken
    }

    #[test]
    fn what_is_taken_is_written_later_and_is_not_copied() {
        let (progress, offer) = (Arc::<SendProgress>::default(), Arc::<Offer>::default());
        let bytes = Bytes::from(vec![7; 10]);
        let at = bytes.as_ptr();
        let mut chunk = Chunk::new(bytes, &progress, Some(&offer));
        let mut first = write(&mut chunk, 4, |slice| offer.take(slice)).expect("it is offered");
        assert_eq!((first.bytes().as_ptr(), first.bytes().len()), (at, 4));
        assert_eq!((progress.unwritten(), progress.take_written()), (10, 0));
        let second = write(&mut chunk, 6, |slice| offer.take(slice)).expect("it is offered");
        drop(chunk);
        assert_eq!(progress.unwritten(), 10, "HTTP is done with them, the socket is not");
        first.advance(3);
        first.advance(1);
        assert_eq!((progress.unwritten(), progress.take_written()), (6, 4));
        drop(second);
        assert!(progress.unwritten() == 0 && !progress.is_written(), "the rest was lost");
    }

    #[test]
    fn what_is_not_taken_is_written_at_once() {
        let (progress, offer) = (Arc::<SendProgress>::default(), Arc::<Offer>::default());
        for offer in [None, Some(&offer)] {
            let mut chunk = Chunk::new(Bytes::from(vec![7; 10]), &progress, offer);
            assert!(write(&mut chunk, 10, |_| None).is_none());
            assert_eq!((progress.unwritten(), progress.take_written()), (0, 10));
        }
        assert!(progress.is_written());
    }

    #[test]
    fn other_bytes_than_those_offered_are_not_taken() {
        let (progress, offer) = (Arc::<SendProgress>::default(), Arc::<Offer>::default());
        let bytes = Bytes::from(vec![7; 10]);
        let mut chunk = Chunk::new(bytes.slice(2..8), &progress, Some(&offer));
        for other in [&bytes[..4], &bytes[6..], &bytes[1..8], &[7; 3][..]] {
            chunk.offer();
            assert!(offer.take(other).is_none());
        }
        let taken = offer.take(&bytes[2..8]);
        assert!(taken.is_some());
        assert!(offer.take(&bytes[2..8]).is_none(), "once");
        chunk.advance(6);
        drop(taken);
        assert_eq!(progress.unwritten(), 0);
    }

    /// The bytes own what the response holds: an offer that nobody takes must not keep them.
    #[test]
    fn an_offer_ends_with_its_chunk() {
        let (progress, offer) = (Arc::<SendProgress>::default(), Arc::<Offer>::default());
        let bytes = Bytes::from(vec![7; 10]);
        let chunk = Chunk::new(bytes.clone(), &progress, Some(&offer));
        assert_eq!(chunk.chunk().len(), 10);
        let other = Chunk::new(Bytes::from_static(b"of another stream"), &Arc::default(), Some(&offer));
        drop(other);
        assert!(matches!(&*offer.state(), State::Made(..)), "it is not the other's");
        drop(chunk);
        assert!(bytes.is_unique());
    }
}
