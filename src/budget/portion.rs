//! The parts of a call's reservation that serve single purposes.

use std::sync::Arc;

use super::Reservation;
use crate::error::Error;

/// The bytes of a call's reservation that serve one purpose, as many as that purpose needs at the moment.
///
/// Dropping a portion gives nothing back, since the bytes that were read stay in memory after their reader is gone. The
/// reservation gives them back when the call ends.
#[derive(Debug)]
pub(crate) struct Portion {
    reservation: Arc<Reservation>,
    bytes: usize,
}

impl Portion {
    /// A portion of nothing.
    pub(crate) fn new(reservation: &Arc<Reservation>) -> Self {
        Self { reservation: Arc::clone(reservation), bytes: 0 }
    }

    /// The bytes that this portion has.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Makes the portion `bytes` bytes.
    ///
    /// # Errors
    /// [`Error::Overloaded`] if other calls hold what is missing; the portion stays as it is.
    pub(crate) fn resize(&mut self, bytes: usize) -> Result<(), Error> {
        if bytes > self.bytes {
            self.reservation.try_grow(bytes - self.bytes)?;
        } else {
            self.reservation.shrink(self.bytes - bytes);
        }
        self.bytes = bytes;
        Ok(())
    }

    /// As [`resize`](Self::resize), for bytes that the call cannot do without.
    ///
    /// # Errors
    /// Also [`Error::TooMuchMemory`] if the call could not have them even if it was alone: a retry would not help.
    pub(crate) fn require(&mut self, bytes: usize) -> Result<(), Error> {
        let beside = self.reservation.bytes() - self.bytes;
        self.reservation.require_possible(beside.saturating_add(bytes))?;
        self.resize(bytes)
    }

    /// Makes the portion `encoded` bytes, and `decoded` bytes more for the memory that decoding them takes.
    ///
    /// # Errors
    /// As [`require`](Self::require), with [`Error::TooManyParts`] if it is decoding that takes too much.
    pub(crate) fn resize_decoded(&mut self, encoded: usize, decoded: usize) -> Result<(), Error> {
        let refused = self.require(encoded.saturating_add(decoded));
        if let Err(Error::TooMuchMemory { limit, .. }) = refused
            && decoded > 0
        {
            return Err(Error::TooManyParts { limit });
        }
        refused
    }
}
