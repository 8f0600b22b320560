//! Counters and gauges of the transport, which can be read at any time.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

/// The numbers of a transport. Each is exact by itself; together they are no snapshot.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Connections that are open now.
    pub connections_open: Gauge,
    /// Connections that were accepted.
    pub connections_accepted: Counter,
    /// Connections that were closed at once, for the limit on all of them.
    pub connections_refused_total: Counter,
    /// Connections that were closed at once, for the limit on those of one address.
    pub connections_refused_peer: Counter,
    /// Connections that did not begin to speak HTTP in time.
    pub handshakes_timed_out: Counter,
    /// Connections whose TLS handshake failed.
    pub handshakes_failed: Counter,
    /// Connections that were told to go because no request was made on them.
    pub connections_idle: Counter,
    /// Connections that were told to go because of their age.
    pub connections_aged: Counter,
    /// Connections that were told to go because many of their requests were reset for errors of the client.
    pub connections_worn_out: Counter,
    /// Connections that were told to go, and were cut off because they did not.
    pub connections_cut: Counter,
    /// Times that a connection could not be accepted, for want of file descriptors or memory.
    pub accept_errors: Counter,
    /// Requests whose response is not written to its end.
    pub requests_open: Gauge,
    /// Responses that were given up because the client did not take them in time.
    pub sends_timed_out: Counter,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn add_one(&self) {
        self.add(1);
    }

    /// Adds `more`.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// The number now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How many there are of something now.
#[derive(Debug, Default)]
pub struct Gauge(AtomicUsize);

impl Gauge {
    /// The number now.
    pub fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Adds one.
    pub fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Adds `more`, unless the sum would be above `limit`. Returns whether it has added.
    pub fn try_add(&self, more: usize, limit: usize) -> bool {
        let add = |now: usize| now.checked_add(more).filter(|&sum| sum <= limit);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_ok()
    }

    /// Subtracts `fewer`.
    pub fn subtract(&self, fewer: usize) {
        self.0.fetch_sub(fewer, Ordering::Relaxed);
    }
}

/// One of what a gauge counts, for as long as this lives.
#[derive(Debug)]
pub(crate) struct Counted {
    metrics: Arc<Metrics>,
    gauge: fn(&Metrics) -> &Gauge,
}

impl Counted {
    pub(crate) fn new(metrics: &Arc<Metrics>, gauge: fn(&Metrics) -> &Gauge) -> Self {
        gauge(metrics).add_one();
        Self { metrics: Arc::clone(metrics), gauge }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        (self.gauge)(&self.metrics).subtract(1);
    }
}
