//! What the client of an HTTP/2 connection lets the server send, as far as that is certain.
//!
//! HTTP/2's library knows its windows, and tells nobody. What the client grants is read from its frames as they pass
//! ([`ReceivedFrames`](crate::io::ReceivedFrames)), and what is sent is counted by the chunks that the library is given.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The windows of a connection that has not said anything else, as HTTP/2 has them.
const DEFAULT_WINDOW: u32 = 65_535;

/// What a connection's client has granted, and what was made of it. Without HTTP/2 nothing ever is granted.
#[derive(Debug, Default)]
pub(crate) struct SendWindow {
    /// What each stream may be sent, before the client says that it may be sent more.
    initial: AtomicU32,
    /// What all streams together may be sent, since the connection began.
    granted: AtomicU64,
    /// What HTTP was given for them, less what it dropped without sending it.
    given: AtomicU64,
}

impl SendWindow {
    /// HTTP/2 begins.
    pub(crate) fn begin(&self) {
        self.set_initial(DEFAULT_WINDOW);
        self.grant(DEFAULT_WINDOW);
    }

    pub(crate) fn set_initial(&self, bytes: u32) {
        self.initial.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn grant(&self, bytes: u32) {
        self.granted.fetch_add(bytes.into(), Ordering::Relaxed);
    }

    pub(crate) fn give(&self, bytes: usize) {
        self.given.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn take_back(&self, bytes: usize) {
        self.given.fetch_sub(bytes as u64, Ordering::Relaxed);
    }

    /// Whether a response of so many bytes, all of which HTTP has, needs no more than was granted: none of it waits for its
    /// client, unless that makes its windows smaller before HTTP comes to it.
    pub(crate) fn covers(&self, response: usize) -> bool {
        response <= self.initial.load(Ordering::Relaxed) as usize
            && self.given.load(Ordering::Relaxed) <= self.granted.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_covered_by_the_window_of_its_stream_and_by_that_of_the_connection() {
        let window = SendWindow::default();
        window.give(1);
        assert!(!window.covers(1), "HTTP/1.1 has no windows");
        window.begin();
        assert!(window.covers(65_535) && !window.covers(65_536));
        window.set_initial(1 << 20);
        window.give(65_534);
        assert!(window.covers(65_536), "as much as the connection has room for is given");
        window.give(1);
        assert!(!window.covers(1), "there is no more room for anybody");
        window.take_back(1);
        assert!(window.covers(1));
        window.give(1 << 20);
        window.grant(1 << 20);
        assert!(window.covers(1 << 20));
        window.set_initial(100);
        assert!(!window.covers(101));
    }
}
