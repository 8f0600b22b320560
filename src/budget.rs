//! The budget of the bytes that all calls hold together, and the reservations of single calls.

mod portion;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

pub(crate) use self::portion::Portion;
use crate::{
    config::HELD_PER_REQUEST_BYTE,
    counters::{Counters, Gauge},
    error::{Error, Scarce},
};

/// The largest message to health and reflection, in bytes: their requests hold names alone.
pub(crate) const MAX_QUESTION_BYTES: usize = 16 << 10;
/// The most bytes that a small call holds: a message of 128 KiB and its answer. A call with a message of 64 KiB stays
/// small while the message is decompressed, which takes the memory of the codec and of a piece that is not full yet.
const SMALL: usize = 256 << 10;
/// The reserve for small calls is at most the budget divided by this.
const PARTS: usize = 16;

/// The bytes that all calls hold together.
///
/// Calls that are not small leave some of it free: a client that announces large messages and falls silent can hold the
/// rest, and small calls are served all the same.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    limit: usize,
    /// The bytes that large calls leave free.
    reserve: usize,
    max_message: usize,
    purpose: Purpose,
    /// The first bytes of each call that do not count, since the charge of its stream has room for them.
    allowance: usize,
}

/// The purpose of a budget. Each purpose has a gauge of its own.
#[derive(Clone, Copy, Debug)]
enum Purpose {
    Calls,
    Streams,
    Questions,
}

impl Budget {
    /// The budget of the streams of all calls, for the memory that they hold beside messages.
    pub(crate) const STREAMS: Self = Self::fixed(32 << 20, Purpose::Streams);
    /// The budget of health and reflection, with their streams. Short questions are answered even if nothing is left of it.
    pub(crate) const QUESTIONS: Self = Self { allowance: 4 << 10, ..Self::fixed(8 << 20, Purpose::Questions) };
    /// The same budget, for the streams themselves, all of whose bytes count.
    pub(crate) const STREAMS_OF_QUESTIONS: Self = Self { allowance: 0, ..Self::QUESTIONS };

    const fn fixed(limit: usize, purpose: Purpose) -> Self {
        Self { limit, reserve: 0, max_message: MAX_QUESTION_BYTES, purpose, allowance: 0 }
    }

    /// A budget of `limit` bytes. Its reserve for small calls is so small that a call with the largest message, of
    /// `max_message` bytes, always fits beside it.
    pub(crate) const fn new(limit: usize, max_message: usize) -> Self {
        let (part, beside) = (limit / PARTS, limit.saturating_sub(max_message.saturating_mul(HELD_PER_REQUEST_BYTE)));
        Self {
            limit,
            reserve: if part < beside { part } else { beside },
            max_message,
            purpose: Purpose::Calls,
            allowance: 0,
        }
    }

    /// `bytes`, or an eighth of the budget if that is less: as much as one purpose of a call may take before it is known
    /// how much the call needs.
    pub(crate) const fn part(self, bytes: usize) -> usize {
        if bytes < self.limit / 8 { bytes } else { self.limit / 8 }
    }

    /// The largest message, in bytes. The readers of messages refuse longer ones; the budget does not.
    pub(crate) const fn max_message(self) -> usize {
        self.max_message
    }

    /// Of the bytes that a call holds, those that count.
    const fn counted(self, bytes: usize) -> usize {
        bytes.saturating_sub(self.allowance)
    }

    /// The gauge of the bytes that are reserved.
    const fn gauge(self, counters: &Counters) -> &Gauge {
        match self.purpose {
            Purpose::Calls => &counters.bytes_in_flight,
            Purpose::Streams => &counters.stream_bytes,
            Purpose::Questions => &counters.question_bytes,
        }
    }

    /// What is used up when no more can be reserved.
    const fn scarce(self) -> Scarce {
        match self.purpose {
            Purpose::Calls => Scarce::Bytes,
            Purpose::Streams => Scarce::Streams,
            Purpose::Questions => Scarce::Questions,
        }
    }

    /// The bytes that all calls may hold together once one of them holds `bytes`.
    const fn limit_with(self, bytes: usize) -> usize {
        if bytes > SMALL { self.limit - self.reserve } else { self.limit }
    }
}

/// The bytes of the budget that one call has, given back when the last owner drops it.
///
/// Everything that a call keeps in memory shares one of these: the request while it is read, the answer before it is
/// computed, and the bytes of the answer until they are sent.
#[derive(Debug)]
pub(crate) struct Reservation {
    counters: Arc<Counters>,
    budget: Budget,
    bytes: AtomicUsize,
}

impl Reservation {
    /// A reservation of nothing.
    pub(crate) fn new(counters: &Arc<Counters>, budget: Budget) -> Arc<Self> {
        Arc::new(Self { counters: Arc::clone(counters), budget, bytes: AtomicUsize::new(0) })
    }

    /// The budget that the bytes are from.
    pub(crate) fn budget(&self) -> Budget {
        self.budget
    }

    /// The bytes that are reserved now.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Reserves `more` bytes.
    ///
    /// # Errors
    /// [`Error::Overloaded`] if other calls hold them; nothing is reserved then.
    pub(crate) fn try_grow(&self, more: usize) -> Result<(), Error> {
        if more == 0 {
            return Ok(());
        }
        let mut before = self.bytes();
        loop {
            let sum = before.saturating_add(more);
            let counted = self.budget.counted(sum) - self.budget.counted(before);
            // A call is large as soon as it holds so much, whatever it held before.
            if !self.gauge().try_add(counted, self.budget.limit_with(sum)) {
                self.counters.refused_for_bytes.add_one();
                return Err(Error::Overloaded { scarce: self.budget.scarce() });
            }
            match self.bytes.compare_exchange(before, sum, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(meanwhile) => {
                    self.gauge().subtract(counted);
                    before = meanwhile;
                }
            }
        }
    }

    /// As [`try_grow`](Self::try_grow), for bytes that the call needs at once.
    ///
    /// # Errors
    /// Also [`Error::TooMuchMemory`] if the call could not have them even if it was alone: a retry would not help.
    pub(crate) fn reserve(&self, more: usize) -> Result<(), Error> {
        self.require_possible(self.bytes().saturating_add(more))?;
        self.try_grow(more)
    }

    /// Reserves `kept` bytes, and `scratch` bytes until what is returned is dropped.
    ///
    /// # Errors
    /// As [`reserve`](Self::reserve).
    pub(crate) fn reserve_with_scratch(self: &Arc<Self>, kept: usize, scratch: usize) -> Result<Scratch, Error> {
        self.reserve(kept.saturating_add(scratch))?;
        Ok(Scratch { reservation: Arc::clone(self), bytes: scratch })
    }

    /// Gives back `fewer` of the bytes that were reserved.
    pub(crate) fn shrink(&self, fewer: usize) {
        let before = self.bytes.fetch_sub(fewer, Ordering::Relaxed);
        self.gauge().subtract(self.budget.counted(before) - self.budget.counted(before - fewer));
    }

    fn gauge(&self) -> &Gauge {
        self.budget.gauge(&self.counters)
    }

    /// Refuses `needed` bytes if the call could not hold them even if no other call held any: a large call must leave the reserve
    /// free.
    fn require_possible(&self, needed: usize) -> Result<(), Error> {
        let limit = self.budget.limit_with(needed);
        if needed > limit { Err(Error::TooMuchMemory { needed, limit }) } else { Ok(()) }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.gauge().subtract(self.budget.counted(self.bytes()));
    }
}

/// Bytes of a call's reservation that are given back when this is dropped: memory that is needed while something is
/// computed. As long as it lives, so does the reservation.
#[derive(Debug)]
pub(crate) struct Scratch {
    reservation: Arc<Reservation>,
    bytes: usize,
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.reservation.shrink(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: usize = 4 << 20;
    const LIMIT: usize = 16 << 20;
    const RESERVE: usize = LIMIT / PARTS;
    const OVERLOADED: Result<(), Error> = Err(Error::Overloaded { scarce: Scarce::Bytes });

    /// The first bytes of a question do not count, however many pieces they come in, and all comes back.
    #[test]
    fn short_questions_have_room_when_nothing_is_left() {
        let counters = Arc::default();
        let question = || Reservation::new(&counters, Budget::QUESTIONS);
        let (all, free) = (8 << 20, Budget::QUESTIONS.allowance);
        let stream = Reservation::new(&counters, Budget::STREAMS_OF_QUESTIONS);
        stream.try_grow(1000).expect("there is room");
        assert_eq!(counters.question_bytes.get(), 1000, "all bytes of a stream count");
        drop(stream);
        let large = question();
        large.try_grow(all + free).expect("it is all there");
        assert_eq!(counters.question_bytes.get(), all);
        let small = question();
        for _ in 0..4 {
            small.reserve(free / 4).expect("so much does not count");
        }
        assert_eq!(small.try_grow(1), Err(Error::Overloaded { scarce: Scarce::Questions }));
        small.shrink(free);
        large.shrink(free + 1);
        assert_eq!(counters.question_bytes.get(), all - free - 1);
        small.try_grow(free + 1).expect("there is room for one");
        drop((small, large));
        assert_eq!(counters.question_bytes.get(), 0);
    }

    /// A call is told to retry if others hold what it requires, and not if it could never have that.
    #[test]
    fn what_can_never_be_had_is_no_overload() {
        let (counters, budget) = (Arc::default(), Budget::new(LIMIT, MESSAGE));
        let portions = [(); 2].map(|()| Portion::new(&Reservation::new(&counters, budget)));
        let [mut other, mut portion] = portions;
        portion.require(LIMIT - RESERVE).expect("it is all there");
        let refused = portion.require(LIMIT - RESERVE + 1);
        assert_eq!(refused, Err(Error::TooMuchMemory { needed: LIMIT - RESERVE + 1, limit: LIMIT - RESERVE }));
        assert_eq!((portion.bytes(), other.require(2 * MESSAGE)), (LIMIT - RESERVE, OVERLOADED));
    }

    #[test]
    fn large_calls_leave_the_reserve_to_small_ones_and_all_comes_back() {
        let (counters, budget) = (Arc::default(), Budget::new(LIMIT, MESSAGE));
        let portion = || Portion::new(&Reservation::new(&counters, budget));
        let (mut large, mut larger) = (portion(), portion());
        large.resize(2 * MESSAGE).expect("it is all there");
        assert_eq!(larger.resize(2 * MESSAGE), OVERLOADED);
        larger.resize(LIMIT - RESERVE - 2 * MESSAGE).expect("that much is there");
        assert_eq!(larger.resize(LIMIT - RESERVE - 2 * MESSAGE + 1), OVERLOADED);
        assert_eq!(portion().resize(SMALL + 1), OVERLOADED);
        let mut small: Vec<_> = (0..RESERVE / SMALL).map(|_| portion()).collect();
        for portion in &mut small {
            portion.resize(SMALL).expect("the reserve is for such calls");
        }
        assert_eq!(portion().resize(1), OVERLOADED);
        assert_eq!((counters.bytes_in_flight.get(), counters.refused_for_bytes.get()), (LIMIT, 4));
        drop((large, larger, small));
        assert_eq!(counters.bytes_in_flight.get(), 0);
        portion().resize(LIMIT - RESERVE).expect("it has come back");
    }

    #[test]
    fn a_call_that_grows_is_large_as_soon_as_it_holds_too_much() {
        let (counters, budget) = (Arc::default(), Budget::new(LIMIT, MESSAGE));
        let [mut large, mut growing] = [(); 2].map(|()| Portion::new(&Reservation::new(&counters, budget)));
        large.resize(LIMIT - RESERVE).expect("it is all there");
        growing.resize(SMALL).expect("it is small");
        assert_eq!(growing.resize(SMALL + 1), OVERLOADED, "as bytes come");
        assert_eq!(growing.resize_decoded(SMALL, 1), OVERLOADED, "and as they are taken apart");
        assert_eq!(growing.bytes(), SMALL, "what it has it keeps");
        large.resize(LIMIT - RESERVE - SMALL).expect("less is always right");
        assert_eq!(growing.resize(SMALL + 1), OVERLOADED);
        large.resize(LIMIT - RESERVE - SMALL - 1).expect("less is always right");
        growing.resize(SMALL + 1).expect("there is room beside the reserve");
    }

    #[test]
    fn what_a_call_can_never_have_it_is_told() {
        let counters = Arc::default();
        let mut portion = Portion::new(&Reservation::new(&counters, Budget::new(LIMIT, MESSAGE)));
        portion.resize_decoded(MESSAGE, LIMIT - RESERVE - MESSAGE).expect("alone it can have that");
        portion.resize_decoded(MESSAGE, LIMIT - RESERVE - MESSAGE).expect("what it has it may have");
        let refused = portion.resize_decoded(MESSAGE, LIMIT - RESERVE - MESSAGE + 1);
        assert_eq!(refused, Err(Error::TooManyParts { limit: LIMIT - RESERVE }));
    }

    #[test]
    fn an_operation_that_can_never_have_its_memory_is_told() {
        let (counters, budget) = (Arc::default(), Budget::new(LIMIT, MESSAGE));
        let (call, other) = (Reservation::new(&counters, budget), Reservation::new(&counters, budget));
        call.reserve(MESSAGE).expect("it is all there");
        call.reserve(LIMIT - RESERVE - MESSAGE).expect("alone it can have that");
        assert_eq!(
            call.reserve(1),
            Err(Error::TooMuchMemory { needed: LIMIT - RESERVE + 1, limit: LIMIT - RESERVE }),
            "even alone it could not have one byte more"
        );
        assert_eq!(other.reserve(SMALL + 1), OVERLOADED, "it could have that if it was alone");
        assert_eq!(
            (call.bytes(), other.bytes(), counters.bytes_in_flight.get()),
            (LIMIT - RESERVE, 0, LIMIT - RESERVE)
        );
    }

    #[test]
    fn scratch_comes_back_while_the_call_goes_on() {
        let counters = Arc::default();
        let call = Reservation::new(&counters, Budget::new(LIMIT, MESSAGE));
        let scratch = call.reserve_with_scratch(1000, 2000).expect("it is all there");
        assert_eq!((call.bytes(), counters.bytes_in_flight.get()), (3000, 3000));
        drop(scratch);
        assert_eq!((call.bytes(), counters.bytes_in_flight.get()), (1000, 1000));
        drop(call);
        assert_eq!(counters.bytes_in_flight.get(), 0);
    }

    #[test]
    fn the_largest_message_always_fits() {
        for (limit, reserve) in
            [(2 * MESSAGE, 0), (2 * MESSAGE + 1000, 1000), (4 * MESSAGE, MESSAGE / 4), (usize::MAX, usize::MAX / PARTS)]
        {
            let budget = Budget::new(limit, MESSAGE);
            assert_eq!(budget.reserve, reserve, "{limit}");
            Portion::new(&Reservation::new(&Arc::default(), budget)).resize(2 * MESSAGE).expect("it fits");
        }
        // The least default budget has room for two of them beside the reserve.
        assert!(Budget::new(5 * MESSAGE, MESSAGE).limit_with(2 * MESSAGE) >= 4 * MESSAGE);
    }
}
