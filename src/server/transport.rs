//! The settings of connections, as the transport takes them.

use evenkeel_transport::{Http2Settings, Settings};

use super::{MAX_HEADER_BYTES, web};
use crate::config::{ConnectionConfig, transport::Transport};

/// The part of the budget that the windows of all connections share.
const SHARED_WINDOWS: usize = 8;

/// The transport's settings. `bytes_in_flight`: the budget of calls. `web`: HTTP/1.1 is spoken, too.
pub(super) fn settings(
    config: &ConnectionConfig,
    transport: &Transport,
    bytes_in_flight: usize,
    web: bool,
) -> Settings {
    let ConnectionConfig {
        max_connections,
        max_connections_per_peer,
        handshake_timeout,
        idle_timeout,
        body_timeout,
        keep_alive_interval,
        keep_alive_timeout,
        max_connection_age,
        max_connection_age_grace,
    } = *config;
    let Transport { max_frame_bytes, stream_window_bytes, connection_window_bytes, max_streams_per_connection } =
        *transport;
    Settings {
        max_connections,
        max_connections_per_peer,
        handshake_timeout,
        idle_timeout,
        send_timeout: body_timeout,
        keep_alive_interval,
        keep_alive_timeout,
        max_connection_age,
        max_connection_age_grace,
        http2: Http2Settings {
            stream_window_bytes,
            connection_window_bytes,
            shared_window_bytes: bytes_in_flight / SHARED_WINDOWS,
            max_frame_bytes,
            max_streams_per_connection,
            max_header_bytes: MAX_HEADER_BYTES,
        },
        http1: web.then_some(web::HTTP1),
    }
}
