//! The log lines of a call.

use std::time::Duration;

use tracing::{Level, event};

use super::entry::{End, Entry};
use crate::{grpc::Method, metrics::code_name};

/// Writes the line of a call that has ended.
///
/// Load balancers and orchestrators ask for health all the time: the lines of these calls have the level
/// `debug`. That of an error of this server's own is `error`, that of every other call `info`.
pub(super) fn ended(entry: &Entry<'_>, end: &End) {
    macro_rules! line {
        ($level:expr) => {{
            let Entry { method, path, trace_id, described, queued, computed, received, sent, elapsed } = entry;
            event!(
                $level,
                method = method.name(),
                path = path.map(tracing::field::debug),
                kind = described.map(|it| it.kind),
                dtype = described.map(|it| it.dtype),
                shape = described.map(|it| tracing::field::display(&it.shape)),
                queue_us = queued.map(micros),
                compute_us = computed.map(micros),
                received_bytes = received,
                sent_bytes = sent,
                status = code_name(end.code),
                elapsed_us = micros(*elapsed),
                trace_id,
                error = end.words.as_deref(),
                "call ended"
            );
        }};
    }
    // tracing needs the level of an event at compile time.
    if end.is_ours {
        line!(Level::ERROR);
    } else if matches!(entry.method, Method::HealthCheck | Method::HealthWatch) {
        line!(Level::DEBUG);
    } else {
        line!(Level::INFO);
    }
}

/// Writes that code that serves the call has panicked. The line before, of the panic hook, has the place.
pub(super) fn panicked(entry: &Entry<'_>, message: &str) {
    let Entry { method, path, trace_id, described, .. } = entry;
    tracing::error!(
        panic = message,
        method = method.name(),
        path = path.map(tracing::field::debug),
        kind = described.map(|it| it.kind),
        dtype = described.map(|it| it.dtype),
        shape = described.map(|it| tracing::field::display(&it.shape)),
        trace_id,
        "operation panicked"
    );
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
