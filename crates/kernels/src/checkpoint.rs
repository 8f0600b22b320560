//! What an operation asks of its caller: whether to go on, and where to write.

/// The operation was asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancelled;

impl From<Cancelled> for crate::Error {
    fn from(_: Cancelled) -> Self {
        Self::Cancelled
    }
}

/// Asked between chunks of work, from every thread that takes part, whether to go on.
///
/// A chunk is at most some ten thousand elements, so an operation stops within a fraction of a millisecond.
pub trait Checkpoint: Sync {
    /// Returns `Err` to stop.
    ///
    /// # Errors
    /// [`Cancelled`] when the result is no longer wanted.
    fn check(&self) -> Result<(), Cancelled>;

    /// Memory for a result: exactly `len` bytes, all of which the operation writes. Touching fresh pages costs more than
    /// most operations, so that a caller of many operations should keep used buffers and give them again; their content does
    /// not matter.
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
