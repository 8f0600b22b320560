//! The numbers of threads.

use super::Error;

/// The default number of compute threads: one for every core.
pub const DEFAULT_THREADS: usize = 0;
/// The default number of serving threads: one for every core.
pub const DEFAULT_SERVING_THREADS: usize = 0;
/// The most threads: a larger number is taken for a typing error, since no machine has as many cores.
pub const MAX_THREADS: usize = 4096;

/// Checks the number of threads that a setting has.
///
/// # Errors
/// More than [`MAX_THREADS`].
pub(super) fn check(key: &'static str, threads: usize) -> Result<(), Error> {
    if threads > MAX_THREADS {
        return Err(Error { key, reason: format!("{threads} is more than {MAX_THREADS}") });
    }
    Ok(())
}
