//! Stopping work that nobody waits for any more.

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
}

/// Never stops.
#[derive(Clone, Copy, Debug, Default)]
pub struct Uninterrupted;

impl Checkpoint for Uninterrupted {
    fn check(&self) -> Result<(), Cancelled> {
        Ok(())
    }
}
