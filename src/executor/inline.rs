//! Running work on the thread that asks for it.
//!
//! The kernels use Rayon's parallel iterators, which run on the pool of the thread that calls them. Each thread that
//! computes inline becomes the only member of a pool of its own.

use std::{cell::OnceCell, mem::ManuallyDrop};

use rayon::{ThreadPool, ThreadPoolBuilder};

thread_local! {
    /// The thread's own pool, or `None` if the thread is a member of another pool. It is never dropped: a pool that ends waits for
    /// its members, so the thread would wait for itself.
    static POOL: OnceCell<Option<ManuallyDrop<ThreadPool>>> = const { OnceCell::new() };
}

/// Makes this thread's own pool, if it has none, so that the time of the first job is the job's alone.
pub(super) fn prepare() {
    POOL.with(|pool| _ = own(pool));
}

/// Runs `work` on this thread, its parallel parts one after the other.
///
/// # Errors
/// `work` itself, which did not run, if this thread is a member of another pool.
pub(super) fn run<T: Send, F: FnOnce() -> T + Send>(work: F) -> Result<T, F> {
    POOL.with(|pool| match own(pool) {
        Some(pool) => Ok(pool.install(work)),
        None => Err(work),
    })
}

fn own(pool: &OnceCell<Option<ManuallyDrop<ThreadPool>>>) -> Option<&ThreadPool> {
    let pool = pool.get_or_init(|| {
        ThreadPoolBuilder::new().num_threads(1).use_current_thread().build().ok().map(ManuallyDrop::new)
    });
    pool.as_deref()
}
