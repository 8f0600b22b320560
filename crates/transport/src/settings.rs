//! How connections are bounded, and how HTTP is spoken on them.

use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper_util::rt::TokioTimer;

use crate::send_timeout::SendTimeout;

/// The most streams of a connection that the server resets because of errors of the client, in all its life; one more ends the
/// connection, and with it the other requests.
///
/// Clients without fault have such resets, too. When a response comes before the end of its request, the server resets the
/// stream, and the client may have sent a frame more. HTTP/2's library remembers 50 streams that it has reset, each for a second. It
/// counts a frame for any older one as an error.
const MAX_RESETS_FOR_ERRORS: usize = 1024;
/// After so many of these resets the client is told to open another connection, so that no request is lost to the limit. The rest
/// up to the limit is for the frames that are on their way then.
pub(crate) const RESETS_BEFORE_GOAWAY: usize = 128;

/// The settings of a [`Transport`](crate::Transport).
#[derive(Clone, Debug)]
pub struct Settings {
    /// The most connections at the same time; more are closed as soon as they come. 0: any number. Default: 1024.
    pub max_connections: usize,
    /// The most connections from one IP address (of IPv6, one network of 64 bits). 0: any number. Default: 256.
    pub max_connections_per_peer: usize,
    /// How long a connection may take from its beginning to the preface of HTTP/2, TLS included. It also limits the headers of each
    /// request of HTTP/1.1. Default: 10 s.
    pub handshake_timeout: Duration,
    /// How long a connection without requests is kept. Zero: for ever. Default: 5 min.
    pub idle_timeout: Duration,
    /// How long a client may take nothing of a response; time comes back with the bytes that it takes
    /// ([`MinRateTimeout`](crate::MinRateTimeout)). Zero: for ever. Default: 30 s.
    pub send_timeout: Duration,
    /// How long a connection may be silent before it is pinged, by HTTP/2 or, with HTTP/1.1, by TCP. Zero: for ever. Default: 1 min.
    pub keep_alive_interval: Duration,
    /// How long a client that was pinged may give no sign of life before its connection is closed: it neither sends bytes nor takes
    /// any. Where the socket is full, the connection ends when `send_timeout` is over. Default: 20 s.
    pub keep_alive_timeout: Duration,
    /// How old a connection may become, give or take a tenth, before its client is told to open another. Zero: any age. Default:
    /// zero.
    pub max_connection_age: Duration,
    /// How long the requests of a connection that is too old have to end. Zero: as long as they take. Default: 1 min.
    pub max_connection_age_grace: Duration,
    /// How HTTP/2 is spoken.
    pub http2: Http2Settings,
    /// How HTTP/1.1 is spoken; `None`, the default: it is not.
    pub http1: Option<Http1Settings>,
}

/// The settings of HTTP/2.
#[derive(Clone, Copy, Debug)]
pub struct Http2Settings {
    /// The bytes that a client may send on one stream before the service has read them, at most a quarter of the connection's, but
    /// 32 KiB in any case. Default: 4 MiB.
    pub stream_window_bytes: u32,
    /// The bytes that a client may send on one connection before the service has read them. Default: 16 MiB.
    pub connection_window_bytes: u32,
    /// The bytes that the windows of all connections share: a connection that is the n-th of those open has the n-th part of them,
    /// at most `connection_window_bytes`, and at least the protocol's 65,535. So the sum grows only with the logarithm of the
    /// number of connections.
    pub shared_window_bytes: usize,
    /// The largest frame that is taken, in bytes. Default: 1 MiB.
    pub max_frame_bytes: u32,
    /// The most requests at the same time on one connection; more wait in the client. Default: 256.
    pub max_streams_per_connection: u32,
    /// The most bytes of the names and values of a request's headers, as HTTP/2 counts them: requests with more are answered with
    /// status 431, and from four times as many on the connection is closed. Default: 16 KiB.
    pub max_header_bytes: u32,
}

/// The settings of HTTP/1.1.
#[derive(Clone, Copy, Debug)]
pub struct Http1Settings {
    /// The most bytes that are read ahead of a request's body, and that are kept of a response until its client takes them.
    pub max_buffer_bytes: usize,
    /// The largest head of a request, in bytes.
    pub max_header_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_connections: 1024,
            max_connections_per_peer: 256,
            handshake_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(300),
            send_timeout: Duration::from_secs(30),
            keep_alive_interval: Duration::from_secs(60),
            keep_alive_timeout: Duration::from_secs(20),
            max_connection_age: Duration::ZERO,
            max_connection_age_grace: Duration::from_secs(60),
            http2: Http2Settings::default(),
            http1: None,
        }
    }
}

impl Default for Http2Settings {
    fn default() -> Self {
        Self {
            stream_window_bytes: 4 << 20,
            connection_window_bytes: 16 << 20,
            shared_window_bytes: usize::MAX,
            max_frame_bytes: 1 << 20,
            max_streams_per_connection: 256,
            max_header_bytes: 16 << 10,
        }
    }
}

/// The bytes that a client may send before the service has read them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Windows {
    pub(crate) connection: u32,
    pub(crate) stream: u32,
}

impl Settings {
    pub(crate) fn http2(&self, send_timeout: SendTimeout) -> http2::Builder<SendTimeout> {
        let Http2Settings {
            // Each connection has its own.
            stream_window_bytes: _,
            connection_window_bytes: _,
            shared_window_bytes: _,
            max_frame_bytes,
            max_streams_per_connection,
            max_header_bytes,
        } = self.http2;
        let streams = usize::try_from(max_streams_per_connection).unwrap_or(usize::MAX);
        // Frames may be on their way for as many requests as may be open, and for as many that were answered, before GOAWAY and
        // after it.
        let may_come_late = streams.saturating_mul(3);
        let mut http2 = http2::Builder::new(send_timeout);
        http2
            .max_frame_size(max_frame_bytes)
            .max_concurrent_streams(max_streams_per_connection)
            .max_header_list_size(max_header_bytes)
            // A client that resets all the requests it may have open at once stays within this; one more ends the connection.
            .max_pending_accept_reset_streams(streams)
            .max_local_error_reset_streams(
                MAX_RESETS_FOR_ERRORS.max(RESETS_BEFORE_GOAWAY.saturating_add(may_come_late)),
            )
            .keep_alive_interval((!self.keep_alive_interval.is_zero()).then_some(self.keep_alive_interval))
            .keep_alive_timeout(self.keep_alive_timeout);
        http2
    }

    /// The windows of a connection that is the last of so many that are open.
    pub(crate) fn windows(&self, open: usize) -> Windows {
        /// The window that every connection of HTTP/2 begins with.
        const LEAST: u32 = (1 << 16) - 1;
        /// A request that the server does not read, since its client does not read the response, keeps its window's bytes of
        /// the connection's. So many such requests leave room for others.
        const STREAMS: u32 = 4;
        /// Shorter windows would make every request slow.
        const LEAST_OF_STREAM: u32 = 32 << 10;
        let Http2Settings { connection_window_bytes, stream_window_bytes, shared_window_bytes, .. } = self.http2;
        let part = u32::try_from(shared_window_bytes / open.max(1)).unwrap_or(u32::MAX);
        let connection = part.min(connection_window_bytes).max(LEAST);
        Windows { connection, stream: stream_window_bytes.min((connection / STREAMS).max(LEAST_OF_STREAM)) }
    }

    /// How many bytes are read from a client after its connection was ended: as many as may be on their way then.
    pub(crate) fn linger_bytes(&self) -> usize {
        usize::try_from(self.http2.connection_window_bytes).unwrap_or(usize::MAX)
    }

    pub(crate) fn http1(&self) -> Option<http1::Builder> {
        let Http1Settings { max_buffer_bytes, max_header_bytes } = self.http1?;
        let mut http1 = http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            .header_read_timeout(self.handshake_timeout)
            .max_buf_size(max_buffer_bytes)
            .max_header_size(max_header_bytes);
        Some(http1)
    }
}
