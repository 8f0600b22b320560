//! A pool of buffers that are used again, for messages and for results.
//!
//! Touching a page for the first time costs more than computing the results that are written to it: at 64 MiB a server
//! that allocates each answer spends most of its time in page faults. So large buffers come from this pool, and come
//! back when the last of their bytes is dropped.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;

/// Smaller buffers are left to the allocator, which keeps them warm by itself.
pub(crate) const SMALLEST: usize = 1 << 18;

/// A pool of buffers, bounded by the bytes it keeps. Cheap to clone; clones are the same pool.
#[derive(Clone, Debug)]
pub(crate) struct Buffers(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// The most bytes that are kept unused.
    limit: usize,
    kept: Mutex<Kept>,
    reused: AtomicU64,
    made: AtomicU64,
    dropped: AtomicU64,
}

/// Unused buffers, by capacity.
#[derive(Debug, Default)]
struct Kept {
    bytes: usize,
    buffers: BTreeMap<usize, Vec<Vec<u8>>>,
}

/// The counts of a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BufferMetrics {
    /// Buffers that were handed out again.
    pub(crate) reused: u64,
    /// Buffers that had to be made.
    pub(crate) made: u64,
    /// Buffers that came back and were given up: the pool was full, or it makes none of their capacity.
    pub(crate) dropped: u64,
    /// The bytes that are kept unused now.
    pub(crate) kept_bytes: usize,
}

impl Buffers {
    /// A pool that keeps at most `limit` bytes unused; 0 keeps none.
    pub(crate) fn new(limit: usize) -> Self {
        let [reused, made, dropped] = [(); 3].map(|()| AtomicU64::new(0));
        Self(Arc::new(Shared { limit, kept: Mutex::default(), reused, made, dropped }))
    }

    /// A buffer of exactly `len` bytes, of any content.
    pub(crate) fn take(&self, len: usize) -> Vec<u8> {
        if len < SMALLEST {
            return vec![0; len];
        }
        match self.0.kept().take(class(len)) {
            Some(mut buffer) => {
                self.0.reused.fetch_add(1, Ordering::Relaxed);
                // The buffer had about this length: `resize` clears no more than the difference.
                buffer.resize(len, 0);
                buffer
            }
            None => {
                self.0.made.fetch_add(1, Ordering::Relaxed);
                let mut buffer = vec![0; class(len)];
                buffer.truncate(len);
                buffer
            }
        }
    }

    /// The buffer as bytes that return it to the pool when the last of them is dropped.
    pub(crate) fn lend(&self, buffer: Vec<u8>) -> Bytes {
        if buffer.capacity() < SMALLEST {
            return Bytes::from(buffer);
        }
        Bytes::from_owner(Lent { buffer, pool: self.clone() })
    }

    /// As [`lend`](Self::lend), with the right to take the buffer back earlier; `None` for a small buffer.
    pub(crate) fn lend_until(&self, buffer: Vec<u8>) -> (Bytes, Option<Loan>) {
        if buffer.capacity() < SMALLEST {
            return (Bytes::from(buffer), None);
        }
        let lent = Arc::new(Lent { buffer, pool: self.clone() });
        (Bytes::from_owner(SharedLent(Arc::clone(&lent))), Some(Loan(lent)))
    }

    /// The counts so far.
    pub(crate) fn metrics(&self) -> BufferMetrics {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Shared { limit: _, kept: _, reused, made, dropped } = &*self.0;
        let kept_bytes = self.0.kept().bytes;
        BufferMetrics { reused: count(reused), made: count(made), dropped: count(dropped), kept_bytes }
    }

    fn put(&self, buffer: Vec<u8>) {
        let capacity = buffer.capacity();
        let mut kept = self.0.kept();
        // `take` looks for the capacities of classes alone, so it would never find a buffer of another capacity.
        if capacity == class(capacity) && kept.make_room(capacity, self.0.limit) {
            kept.bytes += capacity;
            kept.buffers.entry(capacity).or_default().push(buffer);
        } else {
            drop(kept);
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Shared {
    /// A panic while the lock is held leaves nothing half done.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// The buffer of this capacity that came back last: the one most likely to be in a cache.
    fn take(&mut self, capacity: usize) -> Option<Vec<u8>> {
        let buffer = self.buffers.get_mut(&capacity)?.pop()?;
        self.bytes -= capacity;
        Some(buffer)
    }

    /// Gives up buffers of other sizes, which calls may not ask for any more, until one of this capacity fits.
    fn make_room(&mut self, capacity: usize, limit: usize) -> bool {
        while self.bytes + capacity > limit {
            let other = self.buffers.iter().find(|(size, buffers)| **size != capacity && !buffers.is_empty());
            let Some(size) = other.map(|(&size, _)| size) else { return false };
            self.take(size);
        }
        true
    }
}

/// The capacity of a buffer for `len` bytes: at most an eighth more, so that tensors of about the same size share
/// buffers.
fn class(len: usize) -> usize {
    len.next_multiple_of((len.next_power_of_two() / 16).max(1))
}

/// A buffer of the pool while it is lent as bytes.
struct Lent {
    buffer: Vec<u8>,
    pool: Buffers,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // A buffer that was taken back is not here any more.
        if self.buffer.capacity() > 0 {
            self.pool.put(std::mem::take(&mut self.buffer));
        }
    }
}

/// Bytes that a [`Loan`] may take back.
struct SharedLent(Arc<Lent>);

impl AsRef<[u8]> for SharedLent {
    fn as_ref(&self) -> &[u8] {
        &self.0.buffer
    }
}

/// The right to take back a buffer that was lent.
pub(crate) struct Loan(Arc<Lent>);

impl Loan {
    /// The range of the buffer that these bytes are; `None` if they are elsewhere.
    pub(crate) fn place_of(&self, bytes: &Bytes) -> Option<Range<usize>> {
        let Lent { buffer, .. } = &*self.0;
        let start = bytes.as_ptr().addr().checked_sub(buffer.as_ptr().addr())?;
        let place = start..start + bytes.len();
        (place.end <= buffer.len()).then_some(place)
    }

    /// The buffer and its pool, if no other owner holds bytes of it; else all of its bytes.
    pub(crate) fn end(self) -> Result<(Buffers, Vec<u8>), Bytes> {
        match Arc::try_unwrap(self.0) {
            Ok(mut lent) => Ok((lent.pool.clone(), std::mem::take(&mut lent.buffer))),
            Err(held) => Err(Bytes::from_owner(SharedLent(held))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEN: usize = 3 * SMALLEST + 500;

    #[test]
    fn a_buffer_comes_back_when_its_last_byte_is_sent() {
        let pool = Buffers::new(8 * LEN);
        let mut buffer = pool.take(LEN);
        buffer.fill(7);
        let bytes = pool.lend(buffer);
        let tail = bytes.slice(LEN - 1..);
        drop(bytes);
        assert_eq!((pool.metrics().kept_bytes, tail[0]), (0, 7));
        drop(tail);
        assert_eq!(pool.metrics().kept_bytes, class(LEN));
        // Another of about that size, longer and shorter, is the same memory.
        for len in [LEN + 100, LEN - 100] {
            let buffer = pool.take(len);
            assert_eq!((buffer.len(), buffer[0]), (len, 7));
            drop(pool.lend(buffer));
        }
        assert_eq!(pool.metrics(), BufferMetrics { reused: 2, made: 1, dropped: 0, kept_bytes: class(LEN) });
    }

    #[test]
    fn a_buffer_can_be_taken_back_once_nobody_holds_it() {
        let pool = Buffers::new(8 * LEN);
        let (bytes, loan) = pool.lend_until(pool.take(LEN));
        let loan = loan.expect("it is large");
        let (address, part) = (bytes.as_ptr(), bytes.slice(7..20));
        assert_eq!(loan.place_of(&part), Some(7..20));
        let elsewhere = [Bytes::from(vec![0; 9]), pool.lend(pool.take(2 * LEN))];
        assert_eq!(elsewhere.each_ref().map(|bytes| loan.place_of(bytes)), [None, None]);
        drop(bytes);
        let bytes = loan.end().map(drop).expect_err("a part is held");
        assert_eq!((bytes.as_ptr(), bytes.len()), (address, LEN));
        drop((bytes, part));
        assert_eq!(pool.metrics().kept_bytes, class(LEN), "it comes back as any other");

        let (bytes, loan) = pool.lend_until(pool.take(LEN));
        drop(bytes);
        let (_, buffer) = loan.expect("it is large").end().expect("nobody holds it");
        assert_eq!((buffer.as_ptr(), buffer.len(), pool.metrics().kept_bytes), (address, LEN, 0));
        assert!(pool.lend_until(vec![0; 9]).1.is_none(), "a small one is the allocator's");
    }

    #[test]
    fn no_more_is_kept_than_the_limit() {
        let pool = Buffers::new(2 * class(LEN));
        let many: Vec<Bytes> = (0..5).map(|_| pool.lend(pool.take(LEN))).collect();
        drop(many);
        assert_eq!(pool.metrics(), BufferMetrics { reused: 0, made: 5, dropped: 3, kept_bytes: 2 * class(LEN) });
        // A buffer of another size replaces one that is not asked for any more.
        drop(pool.lend(pool.take(LEN / 2)));
        assert_eq!(pool.metrics().kept_bytes, class(LEN) + class(LEN / 2));
        // A buffer above the limit is not kept.
        drop(pool.lend(pool.take(3 * LEN)));
        assert!(pool.metrics().kept_bytes <= 2 * class(LEN));
    }

    #[test]
    fn small_buffers_are_the_allocators() {
        let pool = Buffers::new(usize::MAX);
        drop(pool.lend(pool.take(SMALLEST - 1)));
        assert_eq!(pool.metrics(), BufferMetrics::default());
    }

    #[test]
    fn classes_are_close_and_stable() {
        for len in (SMALLEST..SMALLEST * 9).step_by(1009) {
            let class_of = class(len);
            assert!(class_of >= len && class_of - len <= len / 7 && class(class_of) == class_of, "{len}");
        }
    }
}
