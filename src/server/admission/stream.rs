//! The charge of a stream for the memory that it holds before any of its messages: its own state, and its headers.
//!
//! A header that repeats one before takes one byte on the wire and more than a hundred in memory, and a stream that
//! sends nothing more is kept until the time limit for its client. So each stream is charged for both before it is
//! kept. The first streams of a connection are charged to a share that the connection has for itself: whatever other
//! connections hold, a new one is served.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tonic::codegen::http::HeaderMap;

use super::kind::Kind;
use crate::{
    budget::{Budget, Reservation},
    counters::Counters,
    error::Error,
};

/// The bytes that the streams of one connection may hold together before they take from the budget of all streams.
const CONNECTION_SHARE: usize = 64 << 10;
/// The bytes of a stream: HTTP/2's state, the task that answers it, and buffers for an answer of a few KiB.
const STREAM: usize = 12 << 10;
/// The bytes of a stream of reflection: an answer that is sent, and two that wait for it, are descriptors of up to 40
/// KiB each.
const REFLECTION_STREAM: usize = 128 << 10;
/// The bytes of an entry in a header map: its name and value without their characters, its place in the index, and the
/// room for the map to double.
const HEADER: usize = 256;

/// The most bytes of a call's metadata, as HTTP/2 counts them: names, values, and [`ENTRY`] for each entry.
const MAX_METADATA_BYTES: usize = 16 << 10;
/// The bytes that HTTP/2 counts for an entry beside its name and value (RFC 9113, 6.5.2).
const ENTRY: usize = 32;

/// The bytes that the streams of a connection hold of its share.
#[derive(Debug, Default)]
pub(in crate::server) struct ConnectionShare(AtomicUsize);

impl ConnectionShare {
    /// Takes so many bytes of the share, if they are free; returns whether they were.
    fn try_take(&self, bytes: usize) -> bool {
        let take = |taken: usize| taken.checked_add(bytes).filter(|&taken| taken <= CONNECTION_SHARE);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }
}

/// The charge of one stream, given back when this is dropped.
#[derive(Debug)]
pub(in crate::server) enum StreamCharge {
    /// The share of the connection has the charge.
    Connection { share: Arc<ConnectionShare>, bytes: usize },
    /// The budget of all streams of this kind has the charge.
    Shared { _reservation: Arc<Reservation> },
    /// The stream is refused, and nothing is charged, since nothing of it is kept.
    Refused,
}

impl StreamCharge {
    /// Charges a stream of this kind, path and headers.
    ///
    /// # Errors
    /// [`Error::MetadataTooLarge`] if the headers exceed [`MAX_METADATA_BYTES`]; [`Error::Overloaded`] if neither the
    /// share of the connection nor the budget has so many bytes.
    pub(in crate::server) fn new(
        kind: Kind,
        path: &str,
        headers: &HeaderMap,
        share: &Arc<ConnectionShare>,
        counters: &Arc<Counters>,
    ) -> Result<Self, Error> {
        let (stream, budget) = match kind {
            Kind::Whole | Kind::OneByOne | Kind::Streamed => (STREAM, Budget::STREAMS),
            Kind::Health => (STREAM, Budget::STREAMS_OF_QUESTIONS),
            Kind::Reflection => (REFLECTION_STREAM, Budget::STREAMS_OF_QUESTIONS),
        };
        let strings = strings_of(headers);
        let size = strings + headers.len() * ENTRY;
        if size > MAX_METADATA_BYTES {
            return Err(Error::MetadataTooLarge { size, limit: MAX_METADATA_BYTES });
        }
        // The map may have allocated more than it holds. Half of its capacity counts, since `HEADER` has room to
        // double.
        let bytes = stream + path.len() + strings + headers.len().max(headers.capacity() / 2) * HEADER;
        if share.try_take(bytes) {
            return Ok(Self::Connection { share: Arc::clone(share), bytes });
        }
        let reservation = Reservation::new(counters, budget);
        reservation.try_grow(bytes)?;
        Ok(Self::Shared { _reservation: reservation })
    }
}

impl Drop for StreamCharge {
    fn drop(&mut self) {
        match self {
            Self::Connection { share, bytes } => _ = share.0.fetch_sub(*bytes, Ordering::Relaxed),
            Self::Shared { .. } | Self::Refused => (),
        }
    }
}

/// The bytes of all names and values.
fn strings_of(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Scarce;

    fn references(count: usize) -> HeaderMap {
        (0..count).map(|_| ("x".parse().expect("a name"), "y".parse().expect("a value"))).collect()
    }

    fn charge(
        kind: Kind,
        headers: usize,
        share: &Arc<ConnectionShare>,
        counters: &Arc<Counters>,
    ) -> Result<StreamCharge, Error> {
        StreamCharge::new(kind, "/path", &references(headers), share, counters)
    }

    #[test]
    fn headers_are_charged_by_what_they_take() {
        let counters = Arc::default();
        let share = Arc::default();
        // The same entry 470 times is nearly 16 KiB, as HTTP/2 counts.
        let charged = charge(Kind::Health, 470, &share, &counters).expect("there is room");
        assert!(matches!(charged, StreamCharge::Shared { .. }), "it is more than a connection has");
        let bytes = counters.question_bytes.get();
        assert!((100_000..200_000).contains(&bytes), "{bytes}");
        drop(charged);
        assert_eq!(counters.question_bytes.get(), 0);
    }

    #[test]
    fn a_stream_is_charged_for_more_than_its_headers() {
        let counters = Arc::<Counters>::default();
        let share = Arc::default();
        let charged = charge(Kind::Whole, 0, &share, &counters).expect("there is room");
        assert_eq!(share.0.load(Ordering::Relaxed), (12 << 10) + "/path".len());
        drop(charged);
        // One answer is sent and two wait for it, of up to 40 KiB each.
        let _charged = charge(Kind::Reflection, 8, &share, &counters).expect("there is room");
        assert_eq!(share.0.load(Ordering::Relaxed), 0, "it is more than a connection has");
        assert!(counters.question_bytes.get() > 3 * (40 << 10), "{}", counters.question_bytes.get());
    }

    #[test]
    fn metadata_has_a_limit() {
        let counters = Arc::<Counters>::default();
        let share = Arc::default();
        let entry = "x".len() + "y".len() + ENTRY;
        let most = MAX_METADATA_BYTES / entry;
        drop(charge(Kind::Whole, most, &share, &counters).expect("it is not above the limit"));
        let refused = charge(Kind::Whole, most + 1, &share, &counters).expect_err("it is above the limit");
        assert_eq!(refused, Error::MetadataTooLarge { size: (most + 1) * entry, limit: MAX_METADATA_BYTES });
        assert_eq!((counters.stream_bytes.get(), share.0.load(Ordering::Relaxed)), (0, 0));
    }

    #[test]
    fn a_new_connection_has_streams_when_there_are_none_for_others() {
        for (kind, scarce) in [(Kind::Whole, Scarce::Streams), (Kind::Health, Scarce::Questions)] {
            let counters = Arc::<Counters>::default();
            let share = Arc::default();
            let mut kept = Vec::new();
            let refused = loop {
                match charge(kind, 8, &share, &counters) {
                    Ok(charged) => kept.push(charged),
                    Err(error) => break error,
                }
            };
            assert_eq!(refused, Error::Overloaded { scarce });
            assert!(kept.len() > 500, "{}", kept.len());
            let other = Arc::default();
            let of_other: Vec<_> =
                (0..4).map(|_| charge(kind, 8, &other, &counters).expect("it has its share")).collect();
            // Streams of the other kind take from another budget.
            let question = if kind == Kind::Whole { Kind::Health } else { Kind::OneByOne };
            charge(question, 8, &share, &counters).expect("there is room");
            drop((kept, of_other));
            assert_eq!((counters.stream_bytes.get(), counters.question_bytes.get()), (0, 0));
            assert_eq!(share.0.load(Ordering::Relaxed) + other.0.load(Ordering::Relaxed), 0);
        }
    }
}
