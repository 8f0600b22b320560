//! The bytes that all calls hold together, and what one call has of them.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use crate::{
    config::HELD_PER_REQUEST_BYTE,
    counters::Counters,
    error::{Error, Scarce},
};

/// What a small call holds at most, in bytes: a message of 128 KiB and its answer. One of 64 KiB is small also while it is
/// decompressed, with the codec and a piece more than there will be.
const SMALL: usize = 256 << 10;
/// Of so many parts of the budget, large calls leave one to small ones.
const PARTS: usize = 16;

/// The bytes that all calls hold together.
///
/// Calls that are not small leave some of it free: a client that announces large messages and falls silent can hold the
/// rest, and small calls are served all the same.
#[derive(Clone, Copy, Debug)]
pub(in crate::server) struct Budget {
    limit: usize,
    /// What large calls leave free.
    reserve: usize,
    max_message: usize,
}

impl Budget {
    /// `limit` bytes, of which the largest message, `max_message` bytes, can always have as many as it needs.
    pub(in crate::server) const fn new(limit: usize, max_message: usize) -> Self {
        let (part, beside) = (limit / PARTS, limit.saturating_sub(max_message.saturating_mul(HELD_PER_REQUEST_BYTE)));
        Self { limit, reserve: if part < beside { part } else { beside }, max_message }
    }

    /// The largest message, in bytes: a longer one is refused for that, by others.
    pub(in crate::server) const fn max_message(self) -> usize {
        self.max_message
    }

    /// What all calls may hold together once one of them holds so many bytes.
    const fn limit_with(self, bytes: usize) -> usize {
        if bytes > SMALL { self.limit - self.reserve } else { self.limit }
    }
}

/// The bytes of the budget that one call has, given back when this is dropped.
#[derive(Debug)]
pub(in crate::server) struct Held {
    counters: Arc<Counters>,
    budget: Budget,
    bytes: AtomicUsize,
}

impl Held {
    /// None yet.
    pub(in crate::server) fn new(counters: &Arc<Counters>, budget: Budget) -> Self {
        Self { counters: Arc::clone(counters), budget, bytes: AtomicUsize::new(0) }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Takes what is missing to so many bytes, or gives back what is too many. Only one thread does so at a time: the
    /// one that reads the request.
    fn set(&self, bytes: usize) -> Result<(), Error> {
        let (gauge, now) = (&self.counters.bytes_in_flight, self.bytes());
        if bytes > now {
            // What it has been is no matter: it is large as soon as it holds so much.
            if !gauge.try_add(bytes - now, self.budget.limit_with(bytes)) {
                self.counters.refused_for_bytes.add_one();
                return Err(Error::Overloaded { scarce: Scarce::Bytes });
            }
        } else {
            gauge.subtract(now - bytes);
        }
        self.bytes.store(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Holds `bytes` and `apart`, what they become when they are taken apart, and no more.
    ///
    /// # Errors
    /// They are not there. Or they are more than a call can have when it is alone: to come again would not help.
    pub(in crate::server) fn set_apart(&self, bytes: usize, apart: usize) -> Result<(), Error> {
        let all = bytes.saturating_add(apart);
        let limit = self.budget.limit_with(all);
        if apart > 0 && all > limit { Err(Error::TooManyParts { limit }) } else { self.set(all) }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.counters.bytes_in_flight.subtract(*self.bytes.get_mut());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: usize = 4 << 20;
    const LIMIT: usize = 16 << 20;
    const RESERVE: usize = LIMIT / PARTS;
    const OVERLOADED: Result<(), Error> = Err(Error::Overloaded { scarce: Scarce::Bytes });

    #[test]
    fn large_calls_leave_the_reserve_to_small_ones_and_all_comes_back() {
        let (counters, budget) = (Arc::default(), Budget::new(LIMIT, MESSAGE));
        let held = || Held::new(&counters, budget);
        let (large, larger) = (held(), held());
        large.set_apart(2 * MESSAGE, 0).expect("it is all there");
        assert_eq!(larger.set_apart(2 * MESSAGE, 0), OVERLOADED);
        larger.set_apart(LIMIT - RESERVE - 2 * MESSAGE, 0).expect("that much is there");
        assert_eq!(larger.set_apart(LIMIT - RESERVE - 2 * MESSAGE + 1, 0), OVERLOADED);
        assert_eq!(held().set_apart(SMALL + 1, 0), OVERLOADED);
        let small: Vec<_> = (0..RESERVE / SMALL).map(|_| held()).collect();
        for held in &small {
            held.set_apart(SMALL, 0).expect("the reserve is for such calls");
        }
        assert_eq!(held().set_apart(1, 0), OVERLOADED);
        assert_eq!((counters.bytes_in_flight.get(), counters.refused_for_bytes.get()), (LIMIT, 4));
        drop((large, larger, small));
        assert_eq!(counters.bytes_in_flight.get(), 0);
        held().set_apart(LIMIT - RESERVE, 0).expect("it has come back");
    }

    #[test]
    fn a_call_that_grows_is_large_as_soon_as_it_holds_too_much() {
        let (counters, budget) = (Arc::default(), Budget::new(LIMIT, MESSAGE));
        let [large, growing] = [(); 2].map(|()| Held::new(&counters, budget));
        large.set_apart(LIMIT - RESERVE, 0).expect("it is all there");
        growing.set_apart(SMALL, 0).expect("it is small");
        assert_eq!(growing.set_apart(SMALL + 1, 0), OVERLOADED, "as bytes come");
        assert_eq!(growing.set_apart(SMALL, 1), OVERLOADED, "and as they are taken apart");
        assert_eq!(growing.bytes(), SMALL, "what it has it keeps");
        large.set_apart(LIMIT - RESERVE - SMALL, 0).expect("less is always right");
        assert_eq!(growing.set_apart(SMALL + 1, 0), OVERLOADED);
        large.set_apart(LIMIT - RESERVE - SMALL - 1, 0).expect("less is always right");
        growing.set_apart(SMALL + 1, 0).expect("there is room beside the reserve");
    }

    #[test]
    fn what_a_call_can_never_have_it_is_told() {
        let counters = Arc::default();
        let held = Held::new(&counters, Budget::new(LIMIT, MESSAGE));
        held.set_apart(MESSAGE, LIMIT - RESERVE - MESSAGE).expect("alone it can have that");
        let refused = held.set_apart(MESSAGE, LIMIT - RESERVE - MESSAGE + 1);
        assert_eq!(refused, Err(Error::TooManyParts { limit: LIMIT - RESERVE }));
    }

    #[test]
    fn the_largest_message_always_fits() {
        for (limit, reserve) in
            [(2 * MESSAGE, 0), (2 * MESSAGE + 1000, 1000), (4 * MESSAGE, MESSAGE / 4), (usize::MAX, usize::MAX / PARTS)]
        {
            let budget = Budget::new(limit, MESSAGE);
            assert_eq!(budget.reserve, reserve, "{limit}");
            Held::new(&Arc::default(), budget).set_apart(2 * MESSAGE, 0).expect("it fits");
        }
        // Two of them beside the reserve: the least default.
        assert!(Budget::new(5 * MESSAGE, MESSAGE).limit_with(2 * MESSAGE) >= 4 * MESSAGE);
    }
}
