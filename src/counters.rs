//! What the server has done and is doing, in numbers that anybody may read at any time.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

/// The numbers. Each is exact by itself; together they are no snapshot.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Connections that are open now.
    pub(crate) connections_open: Gauge,
    /// Connections that were taken.
    pub(crate) connections_accepted: Counter,
    /// Connections that were closed at once: there were as many as there may be.
    pub(crate) connections_refused_total: Counter,
    /// Connections that were closed at once: their address had as many as it may have.
    pub(crate) connections_refused_peer: Counter,
    /// Connections that did not begin to speak HTTP/2 in time.
    pub(crate) handshakes_timed_out: Counter,
    /// Connections whose handshake of TLS failed.
    pub(crate) handshakes_failed: Counter,
    /// Connections that were told to go because nothing was asked on them.
    pub(crate) connections_idle: Counter,
    /// Connections that were told to go because of their age.
    pub(crate) connections_aged: Counter,
    /// Connections that were cut off although they were told to go.
    pub(crate) connections_cut: Counter,
    /// Times that a connection could not be accepted, for want of file descriptors or memory.
    pub(crate) accept_errors: Counter,
    /// Calls that have no answer yet.
    pub(crate) calls_unanswered: Gauge,
    /// Calls whose client did not send in time.
    pub(crate) receives_timed_out: Counter,
    /// Answers that the client did not take in time.
    pub(crate) sends_timed_out: Counter,
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
    /// Writes them to the log.
    pub(crate) fn log(&self) {
        let Self {
            connections_open,
            connections_accepted,
            connections_refused_total,
            connections_refused_peer,
            handshakes_timed_out,
            handshakes_failed,
            connections_idle,
            connections_aged,
            connections_cut,
            accept_errors,
            calls_unanswered,
            receives_timed_out,
            sends_timed_out,
            bytes_in_flight,
            stream_bytes,
            question_bytes,
            refused_for_bytes,
            refused_for_queue,
        } = self;
        tracing::info!(
            open = connections_open.get(),
            accepted = connections_accepted.get(),
            refused_total = connections_refused_total.get(),
            refused_peer = connections_refused_peer.get(),
            handshakes_timed_out = handshakes_timed_out.get(),
            handshakes_failed = handshakes_failed.get(),
            idle = connections_idle.get(),
            aged = connections_aged.get(),
            cut = connections_cut.get(),
            accept_errors = accept_errors.get(),
            "connections"
        );
        tracing::info!(
            unanswered = calls_unanswered.get(),
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

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How many there are of something now.
#[derive(Debug, Default)]
pub(crate) struct Gauge(AtomicUsize);

impl Gauge {
    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Adds so many, unless there were more than `limit` then.
    pub(crate) fn try_add(&self, more: usize, limit: usize) -> bool {
        let add = |now: usize| now.checked_add(more).filter(|&sum| sum <= limit);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_ok()
    }

    pub(crate) fn subtract(&self, fewer: usize) {
        self.0.fetch_sub(fewer, Ordering::Relaxed);
    }
}

/// One of what a gauge counts, for as long as this lives.
#[derive(Debug)]
pub(crate) struct Counted {
    counters: Arc<Counters>,
    gauge: fn(&Counters) -> &Gauge,
}

impl Counted {
    pub(crate) fn new(counters: &Arc<Counters>, gauge: fn(&Counters) -> &Gauge) -> Self {
        gauge(counters).0.fetch_add(1, Ordering::Relaxed);
        Self { counters: Arc::clone(counters), gauge }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        (self.gauge)(&self.counters).0.fetch_sub(1, Ordering::Relaxed);
    }
}
