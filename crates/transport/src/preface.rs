//! Whether a client has begun to speak HTTP.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Whether a client has sent its preface. Over HTTP/1.1, which has none, the preface counts as sent from the beginning.
#[derive(Debug, Default)]
pub(crate) struct ClientPreface {
    has_come: AtomicBool,
    notify: Notify,
}

impl ClientPreface {
    pub(crate) fn has_come(&self) -> bool {
        self.has_come.load(Ordering::Relaxed)
    }

    /// Called when the client has sent its preface.
    pub(crate) fn came(&self) {
        self.has_come.store(true, Ordering::Relaxed);
        self.notify.notify_one();
    }

    /// Waits for the preface.
    pub(crate) async fn wait(&self) {
        self.notify.notified().await;
    }
}
