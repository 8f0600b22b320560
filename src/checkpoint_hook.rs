//! What tests hold operations with.

use std::{fmt, sync::Arc};

use evenkeel_kernels::Checkpoint;

/// Called at every checkpoint, before the checkpoint asks whether to go on; gets the checkpoint behind it. A test can
/// panic in it, or wait in it, and so hold an operation at a known place.
#[doc(hidden)]
#[derive(Clone)]
pub struct CheckpointHook {
    pub(crate) hook: Arc<Hook>,
    /// Whether it may wait. The thread that serves must not: all work is done on the pool then.
    pub(crate) waits: bool,
}

pub(crate) type Hook = dyn Fn(&dyn Checkpoint) + Send + Sync;

impl CheckpointHook {
    /// A hook that calls `f`, which may wait: everything is computed on the pool.
    pub fn new(f: impl Fn(&dyn Checkpoint) + Send + Sync + 'static) -> Self {
        Self { hook: Arc::new(f), waits: true }
    }

    /// A hook that calls `f`, which never waits: everything is computed where it is without a hook.
    pub fn that_never_waits(f: impl Fn(&dyn Checkpoint) + Send + Sync + 'static) -> Self {
        Self { hook: Arc::new(f), waits: false }
    }
}

impl fmt::Debug for CheckpointHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CheckpointHook")
    }
}
