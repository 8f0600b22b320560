//! The settings and the window of a server.

use crate::frame::{self, DEFAULT_MAX_FRAME, DEFAULT_WINDOW};

#[derive(Debug)]
pub(super) struct Peer {
    /// Whether its settings have come.
    pub(super) is_known: bool,
    /// Whether it takes no new calls.
    pub(super) is_leaving: bool,
    pub(super) max_frame: usize,
    pub(super) max_streams: usize,
    pub(super) initial_window: i64,
    pub(super) window: i64,
}

impl Default for Peer {
    fn default() -> Self {
        Self {
            is_known: false,
            is_leaving: false,
            max_frame: DEFAULT_MAX_FRAME,
            max_streams: usize::MAX,
            initial_window: DEFAULT_WINDOW,
            window: DEFAULT_WINDOW,
        }
    }
}

impl Peer {
    /// Takes settings; returns how much larger the windows of streams are now.
    pub(super) fn settings(&mut self, payload: &[u8]) -> i64 {
        let mut change = 0;
        for (key, value) in frame::settings(payload) {
            match key {
                frame::MAX_FRAME_SIZE => self.max_frame = value as usize,
                frame::MAX_CONCURRENT_STREAMS => self.max_streams = value as usize,
                frame::INITIAL_WINDOW_SIZE => {
                    change += i64::from(value) - self.initial_window;
                    self.initial_window = value.into();
                }
                _ => (), // the load stays within the other limits
            }
        }
        self.is_known = true;
        change
    }
}
