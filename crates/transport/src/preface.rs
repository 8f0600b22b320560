//! Whether a client has sent what every connection begins with.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Whether a client has sent its preface.
#[derive(Debug, Default)]
pub(crate) struct ClientPreface {
    has_come: AtomicBool,
    notify: Notify,
}

impl ClientPreface {
    pub(crate) fn has_come(&self) -> bool {
        self.has_come.load(Ordering::Relaxed)
    }

    /// It has.
    pub(crate) fn came(&self) {
        self.has_come.store(true, Ordering::Relaxed);
        self.notify.notify_one();
    }

    /// Waits for it.
    pub(crate) async fn wait(&self) {
        self.notify.notified().await;
    }
}
