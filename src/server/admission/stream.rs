//! What a stream holds before any of its messages: its own state, and its headers.
//!
//! A header that has come before costs one byte on the wire and a hundred in memory, and a stream that sends nothing more is
//! kept until its client has been waited for. So each stream is charged for both, before it is kept. The first streams of a
//! connection take that from a share of the connection's own: whatever others do, a new connection is served.

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

/// What the streams of one connection hold together before they take from what all share, in bytes.
const CONNECTION_SHARE: usize = 64 << 10;
/// A stream: HTTP/2's state, the task that answers it, and buffers for an answer of a few KiB.
const STREAM: usize = 12 << 10;
/// A stream of reflection: an answer that is sent, and those that wait for it, are descriptors of up to 40 KiB.
const REFLECTION_STREAM: usize = 128 << 10;
/// An entry of a header map: its name and value beside their bytes, its place in the index, and the room for it to double.
const HEADER: usize = 256;

/// The names and values of a call's metadata together, as HTTP/2 counts them.
const MAX_METADATA_BYTES: usize = 16 << 10;
/// What HTTP/2 counts for an entry beside its bytes (RFC 9113, 6.5.2).
const ENTRY: usize = 32;

/// What streams are charged to.
#[derive(Debug, Default)]
pub(in crate::server) struct ConnectionShare(AtomicUsize);

impl ConnectionShare {
    /// Takes so many bytes, if they are there.
    fn try_take(&self, bytes: usize) -> bool {
        let take = |taken: usize| taken.checked_add(bytes).filter(|&taken| taken <= CONNECTION_SHARE);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }
}

/// The charge of one stream, given back when this is dropped.
#[derive(Debug)]
pub(in crate::server) enum StreamCharge {
    /// To its connection.
    Connection { share: Arc<ConnectionShare>, bytes: usize },
    /// To all of its kind.
    Shared { _reservation: Arc<Reservation> },
    /// It is refused, and keeps nothing.
    Refused,
}

impl StreamCharge {
    /// Charges a stream of this kind with such headers.
    ///
    /// # Errors
    /// [`Error::MetadataTooLarge`]; [`Error::Overloaded`]: neither the connection nor what all share has so many bytes.
    pub(in crate::server) fn new(
        kind: Kind,
        path: &str,
        headers: &HeaderMap,
        share: &Arc<ConnectionShare>,
        counters: &Arc<Counters>,
    ) -> Result<Self, Error> {
        let (stream, budget) = match kind {
            Kind::Whole | Kind::OneByOne | Kind::Streamed => (STREAM, Budget::STREAMS),
            Kind::Health => (STREAM, Budget::QUESTIONS),
            Kind::Reflection => (REFLECTION_STREAM, Budget::QUESTIONS),
        };
        let strings = strings_of(headers);
        let size = strings + headers.len() * ENTRY;
        if size > MAX_METADATA_BYTES {
            return Err(Error::MetadataTooLarge { size, limit: MAX_METADATA_BYTES });
        }
        // The map has room for more than it holds.
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
        // Sixteen KiB as HTTP/2 counts them, all of one entry.
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
        // For answers of up to 40 KiB each: one that is sent, and two that wait for it.
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
        for kind in [Kind::Whole, Kind::Health] {
            let counters = Arc::<Counters>::default();
            let share = Arc::default();
            let mut kept = Vec::new();
            let refused = loop {
                match charge(kind, 8, &share, &counters) {
                    Ok(charged) => kept.push(charged),
                    Err(error) => break error,
                }
            };
            assert_eq!(refused, Error::Overloaded { scarce: Scarce::Bytes });
            assert!(kept.len() > 500, "{}", kept.len());
            let other = Arc::default();
            let of_other: Vec<_> =
                (0..4).map(|_| charge(kind, 8, &other, &counters).expect("it has its share")).collect();
            // Nor are the others' streams in the way of those of the other kind.
            let question = if kind == Kind::Whole { Kind::Health } else { Kind::OneByOne };
            charge(question, 8, &share, &counters).expect("there is room");
            drop((kept, of_other));
            assert_eq!((counters.stream_bytes.get(), counters.question_bytes.get()), (0, 0));
            assert_eq!(share.0.load(Ordering::Relaxed) + other.0.load(Ordering::Relaxed), 0);
        }
    }
}
