//! The interface through which an operation asks its caller whether to go on, and for memory for results.

/// The checkpoint has stopped the operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancelled;

impl From<Cancelled> for crate::Error {
    fn from(_: Cancelled) -> Self {
        Self::Cancelled
    }
}

/// Tells an operation whether to go on. Every thread that takes part in the operation asks between chunks of work.
///
/// A chunk is at most 16,384 elements, so an operation stops within a fraction of a millisecond. Sets that are read
/// once more, to be scaled or added exactly, are an exception: each is read without asking.
pub trait Checkpoint: Sync {
    /// Returns `Err` to stop.
    ///
    /// # Errors
    /// [`Cancelled`] when the result is no longer wanted.
    fn check(&self) -> Result<(), Cancelled>;

    /// Memory for a result: exactly `len` bytes of any content, all of which the operation writes. Touching fresh pages
    /// costs more than most operations, so a caller of many operations should keep used buffers and return them here.
    fn buffer(&self, len: usize) -> Vec<u8> {
        vec![0; len]
    }
}

/// Never stops.
#[derive(Clone, Copy, Debug, Default)]
pub struct Uninterrupted;

impl Checkpoint for Uninterrupted {
    fn check(&self) -> Result<(), Cancelled> {
        Ok(())
    }
}
