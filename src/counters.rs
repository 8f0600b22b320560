//! Counters and gauges of connections and of the bytes that calls hold, which can be read at any time.

use std::sync::Arc;

use evenkeel_transport::Metrics as Transport;
pub(crate) use evenkeel_transport::{Counter, Gauge};

/// Each number is exact by itself; numbers that are read together are not a snapshot.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// The numbers of connections.
    pub(crate) transport: Arc<Transport>,
    /// Calls whose client did not send in time.
    pub(crate) receives_timed_out: Counter,
    /// Bytes that calls hold.
    pub(crate) bytes_in_flight: Gauge,
    /// Bytes that the streams of calls hold beside their messages, beyond the share of each connection.
    pub(crate) stream_bytes: Gauge,
    /// Bytes that health and reflection hold, beyond the share of each connection.
    pub(crate) question_bytes: Gauge,
    /// Calls that were refused because too many bytes were held.
    pub(crate) refused_for_bytes: Counter,
    /// Calls that were refused because too many waited for a thread.
    pub(crate) refused_for_queue: Counter,
}

impl Counters {
    /// Writes the numbers to the log.
    pub(crate) fn log(&self) {
        let Self {
            transport,
            receives_timed_out,
            bytes_in_flight,
            stream_bytes,
            question_bytes,
            refused_for_bytes,
            refused_for_queue,
        } = self;
        let Transport {
            connections_open,
            connections_accepted,
            connections_refused_total,
            connections_refused_peer,
            handshakes_timed_out,
            handshakes_failed,
            connections_idle,
            connections_aged,
            connections_worn_out,
            connections_cut,
            accept_errors,
            requests_open,
            sends_timed_out,
        } = &**transport;
        tracing::info!(
            open = connections_open.get(),
            accepted = connections_accepted.get(),
            refused_total = connections_refused_total.get(),
            refused_peer = connections_refused_peer.get(),
            handshakes_timed_out = handshakes_timed_out.get(),
            handshakes_failed = handshakes_failed.get(),
            idle = connections_idle.get(),
            aged = connections_aged.get(),
            worn_out = connections_worn_out.get(),
            cut = connections_cut.get(),
            accept_errors = accept_errors.get(),
            "connections"
        );
        tracing::info!(
            unanswered = requests_open.get(),
            receives_timed_out = receives_timed_out.get(),
            sends_timed_out = sends_timed_out.get(),
            bytes_in_flight = bytes_in_flight.get(),
            stream_bytes = stream_bytes.get(),
            question_bytes = question_bytes.get(),
            refused_for_bytes = refused_for_bytes.get(),
            refused_for_queue = refused_for_queue.get(),
            "calls"
        );
    }
}
