//! The reservation for frames of a request of which something is still in use.
//!
//! A reader may stop within a frame: it waits for a thread that computes, or for a client that reads its answer. HTTP/2 has then
//! opened its window for all bytes of the frame, so nothing else bounds how many such frames there are. And the last bytes of a
//! frame keep all of its memory. So a frame owns its part of the reservation until the last reference to its bytes is dropped.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::{
    budget::{Portion, Reservation},
    error::Error,
    server::web::KeptFrame,
};

/// The most bytes of a frame that is not reserved, since each call has room for one: the frames of HTTP/2's default size.
const SHORT: usize = 16 << 10;

/// The reservation is a multiple of so many bytes, or of an eighth of a small budget.
const STEP: usize = 64 << 10;

/// The frames of a call that are in use.
#[derive(Debug)]
pub(super) struct Frames {
    in_use: Arc<Mutex<InUse>>,
    /// The frame from which a layer in front makes shorter ones.
    longer: KeptFrame,
    /// The bytes that are reserved for the first frame, at least.
    first: usize,
    /// The reservation is a multiple of so many bytes.
    step: usize,
}

/// The reservation grows to what the largest frames take, and stays with the call's until the call and all of its frames are gone.
#[derive(Debug)]
struct InUse {
    bytes: usize,
    reserved: Portion,
}

/// A frame that gives its bytes back when it is dropped.
struct Reserved {
    frame: Bytes,
    frames: Arc<Mutex<InUse>>,
}

impl Frames {
    /// The frames of a call with this reservation, of which none has come. `longer`: the frame from which a layer in front makes shorter
    /// ones, if there is such a layer. `first`: the bytes that are reserved for the first frame, at least.
    pub(super) fn new(reservation: &Arc<Reservation>, longer: Option<KeptFrame>, first: usize) -> Self {
        let in_use = InUse { bytes: 0, reserved: Portion::new(reservation) };
        let step = reservation.budget().part(STEP).max(1);
        Self { in_use: Arc::new(Mutex::new(in_use)), longer: longer.unwrap_or_default(), first, step }
    }

    /// Reserves the bytes of a frame. All of its slices share the reservation.
    ///
    /// # Errors
    /// Those of [`Portion::require`].
    pub(super) fn reserve(&self, frame: Bytes) -> Result<Bytes, Error> {
        let Self { in_use: frames, longer, first, step } = self;
        let longer = longer.bytes();
        if frame.len().max(longer) <= SHORT {
            return Ok(frame);
        }
        {
            let mut in_use = frames.lock().unwrap_or_else(PoisonError::into_inner);
            in_use.bytes += frame.len();
            let needed = in_use.bytes + longer;
            if needed > in_use.reserved.bytes() {
                // Frames of similar lengths then fit in the same reservation.
                let reserved = in_use.reserved.require(needed.next_multiple_of(*step).max(*first));
                reserved.inspect_err(|_| in_use.bytes -= frame.len())?;
            }
        }
        Ok(Bytes::from_owner(Reserved { frame, frames: Arc::clone(frames) }))
    }
}

impl AsRef<[u8]> for Reserved {
    fn as_ref(&self) -> &[u8] {
        &self.frame
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.frames.lock().unwrap_or_else(PoisonError::into_inner).bytes -= self.frame.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{budget::Budget, error::Scarce};

    const KIB: usize = 1 << 10;

    fn frame(len: usize) -> Bytes {
        vec![7; len].into()
    }

    #[test]
    fn a_frame_is_reserved_until_nothing_of_it_is_in_use() {
        let (counters, budget) = (Arc::default(), Budget::new(2 << 20, 0));
        let reservation = Reservation::new(&counters, budget);
        let frames = Frames::new(&reservation, None, 0);
        assert!(frames.reserve(frame(SHORT)).is_ok() && reservation.bytes() == 0);
        let first = frames.reserve(frame(100 * KIB)).expect("it fits");
        assert_eq!((&first[..], reservation.bytes()), (&frame(100 * KIB)[..], 128 * KIB));
        let end = first.slice(100 * KIB - 1..);
        drop(first);
        // The last byte keeps the frame, so the next one needs more.
        let second = frames.reserve(frame(100 * KIB)).expect("it fits");
        assert_eq!(reservation.bytes(), 256 * KIB);
        drop((end, second));
        for _ in 0..10 {
            let frames = [frames.reserve(frame(120 * KIB)), frames.reserve(frame(120 * KIB))];
            assert!(frames.iter().all(Result::is_ok) && reservation.bytes() == 256 * KIB);
        }
        let large = frames.reserve(frame(900 * KIB)).expect("it fits");
        let mut other = Portion::new(&Reservation::new(&counters, budget));
        other.resize(512 * KIB).expect("it fits");
        assert_eq!(frames.reserve(frame(900 * KIB)), Err(Error::Overloaded { scarce: Scarce::Bytes }));
        let refused = Err(Error::TooMuchMemory { needed: 2112 * KIB, limit: 1920 * KIB });
        assert_eq!(frames.reserve(frame(1200 * KIB)), refused, "even alone it could not have them");
        drop(frames);
        assert_eq!((reservation.bytes(), Arc::strong_count(&reservation)), (960 * KIB, 2), "the frame is in use");
        drop(large);
        assert_eq!(Arc::strong_count(&reservation), 1, "nothing keeps the reservation of the call");
    }

    /// In a small budget, a frame with the largest message leaves room for the message and its answer.
    #[test]
    fn small_budgets_have_small_steps() {
        for budget in [64, 128, 256, 512, 1024] {
            let message = budget * KIB / 4;
            let reservation = Reservation::new(&Arc::default(), Budget::new(budget * KIB, message));
            let frame = Frames::new(&reservation, None, 0).reserve(frame(message + 5)).expect("it fits");
            reservation.reserve(2 * message).expect("message and answer fit beside it");
            drop(frame);
        }
    }
}
