//! The windows that the client of an HTTP/2 connection grants to the server, as far as they are certain.
//!
//! HTTP/2's library does not report its windows. So [`ReceivedFrames`](crate::io::ReceivedFrames) reads the windows that the
//! client grants from its frames as they pass, and the chunks that the library is given count the bytes that are sent.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The windows of a client that has not set others (RFC 9113, section 6.9.2).
const DEFAULT_WINDOW: u32 = 65_535;

/// The windows that a connection's client has granted, and the bytes that were given to HTTP for them. Over HTTP/1.1 nothing is
/// ever granted.
#[derive(Debug, Default)]
pub(crate) struct SendWindow {
    /// The bytes that each stream may be sent before the client grants that stream more.
    initial: AtomicU32,
    /// The bytes that all streams together may be sent, since the connection began.
    granted: AtomicU64,
    /// The bytes that HTTP was given for them, without those that it dropped unsent.
    given: AtomicU64,
}

impl SendWindow {
    /// Called when HTTP/2 begins.
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

    /// Whether the windows have room for all of a response of so many bytes, which HTTP has: no byte waits for the client then,
    /// unless the client makes its windows smaller before HTTP sends the byte.
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
