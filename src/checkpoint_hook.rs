//! The hook with which tests hold operations at their checkpoints.

use std::{fmt, sync::Arc};

use evenkeel_kernels::Checkpoint;

/// A function that every checkpoint calls, with itself as the argument, before it asks whether to go on. A test's
/// function can panic, or wait and so hold an operation at a known place.
#[doc(hidden)]
#[derive(Clone)]
pub struct CheckpointHook {
    pub(crate) hook: Arc<Hook>,
    /// Whether the function may wait. A thread that serves must not wait, so all work is then done on the pool.
    pub(crate) waits: bool,
}

pub(crate) type Hook = dyn Fn(&dyn Checkpoint) + Send + Sync;

impl CheckpointHook {
    /// A hook that calls `f`, which may wait: everything is computed on the pool.
    pub fn new(f: impl Fn(&dyn Checkpoint) + Send + Sync + 'static) -> Self {
        Self { hook: Arc::new(f), waits: true }
    }

    /// A hook that calls `f`, which never waits but within tokio's `block_in_place`: everything is computed where it is without a
    /// hook.
    pub fn that_never_waits(f: impl Fn(&dyn Checkpoint) + Send + Sync + 'static) -> Self {
        Self { hook: Arc::new(f), waits: false }
    }
}

impl fmt::Debug for CheckpointHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CheckpointHook")
    }
}
