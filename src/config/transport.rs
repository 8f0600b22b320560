//! How connections carry calls: HTTP/2's frames, windows and streams.

use clap::Args;

use super::Error;

/// The default for the largest HTTP/2 frame that is taken, in bytes: 1 MiB. With the protocol's 16 KiB a tensor of
/// 4 MiB is 256 frames, each with its own bookkeeping and copy.
pub const DEFAULT_MAX_FRAME_BYTES: u32 = 1 << 20;
/// The protocol's smallest limit on a frame.
pub const MIN_MAX_FRAME_BYTES: u32 = 1 << 14;
/// The protocol's largest limit on a frame.
pub const MAX_MAX_FRAME_BYTES: u32 = (1 << 24) - 1;
/// The default for the bytes that a client may send on one stream before the server has read them: 4 MiB, a few frames.
/// On loopback the window makes no difference. Over a network a client waits if the window is below bandwidth times
/// delay: 4 MiB suffice for 1.6 Gbit/s at 20 ms.
pub const DEFAULT_STREAM_WINDOW_BYTES: u32 = 4 << 20;
/// The same default for all streams of a connection together: 16 MiB. It bounds what one connection can
/// make the server hold unread.
pub const DEFAULT_CONNECTION_WINDOW_BYTES: u32 = 16 << 20;
/// The window that every HTTP/2 connection begins with; it cannot be made smaller.
pub const MIN_WINDOW_BYTES: u32 = (1 << 16) - 1;
/// The protocol's largest window.
pub const MAX_WINDOW_BYTES: u32 = (1 << 31) - 1;
/// The default for the calls at the same time on one connection; more wait in the client. RFC 9113 recommends no less
/// than 100.
pub const DEFAULT_MAX_STREAMS_PER_CONNECTION: u32 = 256;

/// The settings of every connection.
#[derive(Args, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transport {
    /// The largest HTTP/2 frame, in bytes, that is taken: 16384 to 16777215.
    #[arg(long, value_name = "BYTES", env = "EVENKEEL_MAX_FRAME_BYTES", default_value_t = DEFAULT_MAX_FRAME_BYTES)]
    pub max_frame_bytes: u32,

    /// The bytes that a client may send on one stream before the server has read them; at most a quarter of its connection's.
    #[arg(
        long,
        value_name = "BYTES",
        env = "EVENKEEL_STREAM_WINDOW_BYTES",
        default_value_t = DEFAULT_STREAM_WINDOW_BYTES
    )]
    pub stream_window_bytes: u32,

    /// The bytes that a client may send on one connection before the server has read them; less if there are many connections, which
    /// share an eighth of `--max-bytes-in-flight`.
    #[arg(
        long,
        value_name = "BYTES",
        env = "EVENKEEL_CONNECTION_WINDOW_BYTES",
        default_value_t = DEFAULT_CONNECTION_WINDOW_BYTES
    )]
    pub connection_window_bytes: u32,

    /// Calls at the same time on one connection; more wait in the client.
    #[arg(
        long,
        value_name = "N",
        env = "EVENKEEL_MAX_STREAMS_PER_CONNECTION",
        default_value_t = DEFAULT_MAX_STREAMS_PER_CONNECTION
    )]
    pub max_streams_per_connection: u32,
}

impl Default for Transport {
    fn default() -> Self {
        Self {
            max_frame_bytes: DEFAULT_MAX_FRAME_BYTES,
            stream_window_bytes: DEFAULT_STREAM_WINDOW_BYTES,
            connection_window_bytes: DEFAULT_CONNECTION_WINDOW_BYTES,
            max_streams_per_connection: DEFAULT_MAX_STREAMS_PER_CONNECTION,
        }
    }
}

impl Transport {
    /// Checks that HTTP/2 allows these settings.
    ///
    /// # Errors
    /// The first setting that is out of range, by name.
    pub fn validate(&self) -> Result<(), Error> {
        let Self { max_frame_bytes, stream_window_bytes, connection_window_bytes, max_streams_per_connection } = *self;
        let windows = MIN_WINDOW_BYTES..=MAX_WINDOW_BYTES;
        for (key, value, range) in [
            ("max-frame-bytes", max_frame_bytes, MIN_MAX_FRAME_BYTES..=MAX_MAX_FRAME_BYTES),
            ("stream-window-bytes", stream_window_bytes, windows.clone()),
            ("connection-window-bytes", connection_window_bytes, windows),
            ("max-streams-per-connection", max_streams_per_connection, 1..=u32::MAX),
        ] {
            if !range.contains(&value) {
                let reason = format!("{value} is not between {} and {}", range.start(), range.end());
                return Err(Error { key, reason });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_protocols_limits_hold() {
        let default = Transport::default;
        assert_eq!(default().validate(), Ok(()));
        for (transport, key) in [
            (Transport { max_frame_bytes: MIN_MAX_FRAME_BYTES - 1, ..default() }, "max-frame-bytes"),
            (Transport { max_frame_bytes: MAX_MAX_FRAME_BYTES + 1, ..default() }, "max-frame-bytes"),
            (Transport { stream_window_bytes: MIN_WINDOW_BYTES - 1, ..default() }, "stream-window-bytes"),
            (Transport { stream_window_bytes: MAX_WINDOW_BYTES + 1, ..default() }, "stream-window-bytes"),
            (Transport { connection_window_bytes: 0, ..default() }, "connection-window-bytes"),
            (Transport { max_streams_per_connection: 0, ..default() }, "max-streams-per-connection"),
        ] {
            assert_eq!(transport.validate().expect_err(key).key, key);
        }
    }
}
