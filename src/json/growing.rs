//! Bytes whose memory is reserved before it is allocated.

use std::sync::Arc;

use bytes::Bytes;

use crate::{budget::Reservation, error::Error};

/// The first capacity, in bytes.
const LEAST: usize = 256;

/// Bytes that grow, and own their part of a call's reservation until the last reference to them is dropped.
#[derive(Debug)]
pub(crate) struct Growing {
    bytes: Vec<u8>,
    /// `None`: the bytes are few, and are not counted.
    reservation: Option<Arc<Reservation>>,
    reserved: usize,
}

impl Growing {
    /// No bytes. What is added is counted in this reservation.
    pub(crate) fn new(reservation: &Arc<Reservation>) -> Self {
        Self { bytes: Vec::new(), reservation: Some(Arc::clone(reservation)), reserved: 0 }
    }

    /// No bytes, for few that are not counted.
    pub(crate) fn uncounted() -> Self {
        Self { bytes: Vec::new(), reservation: None, reserved: 0 }
    }

    /// Makes room for `more` bytes, and returns the bytes, to which no more than these may be added.
    ///
    /// # Errors
    /// [`Error::Overloaded`], [`Error::TooMuchMemory`].
    pub(crate) fn room(&mut self, more: usize) -> Result<&mut Vec<u8>, Error> {
        let needed = self.bytes.len().saturating_add(more);
        if needed > self.bytes.capacity() {
            let capacity = needed.max(self.bytes.capacity().saturating_mul(2)).max(LEAST);
            // While the bytes move, the memory from which they move is there, too.
            if let Some(reservation) = &self.reservation {
                reservation.reserve(capacity)?;
                self.reserved += capacity;
            }
            self.bytes.reserve_exact(capacity - self.bytes.len());
            self.keep(self.bytes.capacity());
        }
        Ok(&mut self.bytes)
    }

    /// The bytes that were added.
    pub(crate) fn added(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// The number of bytes that were added.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Keeps the first `len` bytes.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.bytes.truncate(len);
    }

    /// The bytes, without the memory that was not needed.
    pub(crate) fn into_bytes(mut self) -> Bytes {
        if self.bytes.capacity() > self.bytes.len() + self.bytes.len() / 8 + LEAST {
            self.bytes.shrink_to_fit();
            self.keep(self.bytes.capacity());
        }
        Bytes::from_owner(self)
    }

    /// Gives back what is reserved beyond `bytes` bytes.
    fn keep(&mut self, bytes: usize) {
        if let Some(reservation) = &self.reservation {
            reservation.shrink(self.reserved.saturating_sub(bytes));
            self.reserved = self.reserved.min(bytes);
        }
    }
}

impl AsRef<[u8]> for Growing {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Growing {
    fn drop(&mut self) {
        self.keep(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{budget::Budget, counters::Counters};

    #[test]
    fn memory_is_reserved_before_it_is_taken_and_until_it_is_given_back() {
        let counters = Arc::<Counters>::default();
        let reservation = Reservation::new(&counters, Budget::new(100_000, 0));
        let mut growing = Growing::new(&reservation);
        for byte in 0..10_000 {
            growing.room(1).expect("there is room").push(byte as u8);
            let reserved = counters.bytes_in_flight.get();
            assert!(growing.len() <= reserved && reserved <= 2 * growing.len() + LEAST, "{byte}: {reserved}");
        }
        let refused = growing.room(90_000).map(drop).expect_err("it is more than there is");
        assert!(matches!(refused, Error::TooMuchMemory { .. }), "{refused:?}");
        let bytes = growing.into_bytes();
        assert_eq!((bytes.len(), counters.bytes_in_flight.get()), (10_000, 10_000));
        let end = bytes.slice(9_999..);
        drop(bytes);
        assert_eq!(counters.bytes_in_flight.get(), 10_000, "its last byte is in use");
        drop(end);
        assert_eq!(counters.bytes_in_flight.get(), 0);
    }
}
