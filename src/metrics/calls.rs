//! The calls of each method, from the tensor service or another one: the metrics `grpc_server_*`.

use std::array;

use super::histogram::Histogram;
use crate::counters::Counter;

/// gRPC's status codes, 0 to 16.
pub(crate) const CODES: usize = 17;

/// The calls of one method.
#[derive(Debug)]
pub(crate) struct Calls {
    pub(crate) started: Counter,
    pub(crate) handled: [Counter; CODES],
    pub(crate) handling: Histogram,
    pub(crate) received_bytes: Counter,
    pub(crate) sent_bytes: Counter,
}

impl Default for Calls {
    fn default() -> Self {
        Self {
            started: Counter::default(),
            handled: array::from_fn(|_| Counter::default()),
            handling: Histogram::default(),
            received_bytes: Counter::default(),
            sent_bytes: Counter::default(),
        }
    }
}

impl Calls {
    /// How many have come and not ended.
    pub(crate) fn in_flight(&self) -> u64 {
        let ended: u64 = self.handled.iter().map(Counter::get).sum();
        self.started.get().saturating_sub(ended)
    }
}
