//! The memory of a call's messages is reserved here before it is allocated.
//!
//! The prefix of a message has its length. When the prefix has come, the bytes of the message are reserved, and the
//! call is refused if the budget does not have them. So the budget bounds the memory, whatever clients announce. The
//! memory that decoding takes beyond that is reserved while the message comes.

mod kind;
mod stream;

pub(super) use self::{
    kind::Kind,
    stream::{ConnectionShare, StreamCharge},
};
use crate::{
    budget::{Budget, Portion},
    config::HELD_PER_REQUEST_BYTE,
    decoded_size::DecodedSize,
    error::Error,
    grpc::Method,
};
use evenkeel_frames::Prefix;

/// The bytes of messages to health and reflection that are not counted, since the charge of the stream has room for
/// them.
const SHORT_QUESTION: usize = 1 << 10;

/// The least bytes of a long message. The reservation for it is given back before the bytes behind it are read; shorter
/// messages of a frame are counted together.
const LONG: usize = 16 << 10;

impl Budget {
    /// The messages of a call of this method, of which none has come. `are_decompressed`: a layer behind this one
    /// decompresses messages and counts the plain bytes, so compressed messages are not counted here.
    pub(super) fn messages(self, method: Method, are_decompressed: bool) -> Messages {
        Messages {
            kind: Kind::of(method),
            method,
            max_message: self.max_message(),
            are_decompressed,
            begun: 0,
            current: 0,
            missing: 0,
            parts: DecodedSize::of(method),
            prefix: Prefix::new(),
        }
    }
}

/// Follows the frames of a request, finds the messages in them, and counts their memory.
#[derive(Debug)]
pub(super) struct Messages {
    kind: Kind,
    method: Method,
    max_message: usize,
    are_decompressed: bool,
    /// The number of messages that have begun.
    begun: usize,
    /// The bytes that are counted for the message that has begun, and the bytes of it that have not come.
    current: usize,
    missing: usize,
    /// The memory that decoding that message takes. It stays 0 for a compressed message that is counted elsewhere.
    parts: DecodedSize,
    prefix: Prefix,
}

impl Messages {
    /// Counts the next frame, and makes `held`, the portion of the call's messages, as large as they need.
    ///
    /// # Errors
    /// [`Error::Overloaded`] if other calls hold the bytes; [`Error::TooManyParts`] if the decoded messages take more
    /// than a call may ever hold; [`Error::NotOneMessage`] if a unary call has a second message.
    pub(super) fn frame(&mut self, frame: &[u8], held: &mut Portion) -> Result<(), Error> {
        if self.kind == Kind::Streamed {
            // Most bytes of these messages are elements, which do not stay in memory. Other messages are counted where
            // they are gathered.
            return Ok(());
        }
        let (before, before_apart) = (self.current, self.parts.bytes());
        let (touched, apart) = self.touch(frame);
        match self.kind {
            Kind::Whole if self.begun > 1 => Err(Error::NotOneMessage { found: "several" }),
            Kind::Whole => {
                held.resize_decoded(held.bytes() + HELD_PER_REQUEST_BYTE * (touched - before), apart - before_apart)
            }
            // The reader asks for a frame when it is done with all messages before the one that has begun.
            Kind::OneByOne => held.resize_decoded(touched, apart),
            Kind::Streamed => Ok(()),
            Kind::Health | Kind::Reflection => held.resize(touched.saturating_sub(SHORT_QUESTION)),
        }
    }

    /// Whether the call must have a message, and nothing of one has come.
    pub(super) fn lack_one(&self) -> bool {
        self.kind == Kind::Whole && self.begun == 0 && self.prefix.is_empty()
    }

    /// Called when the reader asks for more. If no message is incomplete, the reader of a stream of messages has taken
    /// all of them, and their bytes are given back.
    pub(super) fn asked_for_more(&mut self, held: &mut Portion) {
        if self.kind == Kind::OneByOne && self.missing == 0 && held.bytes() > 0 {
            self.parts = DecodedSize::of(self.method);
            // A portion can always shrink.
            _ = held.resize(0);
        }
    }

    /// The number of bytes of a frame that are given to the reader at first: up to the end of the first long message in
    /// it. When the reader asks for the rest, the reservation for the long message is given back.
    pub(super) fn until_long_one_ends(&self, frame: &[u8]) -> usize {
        if self.kind != Kind::OneByOne {
            return frame.len();
        }
        let mut rest = frame;
        let (mut prefix, mut missing, mut len) = (self.prefix.clone(), self.missing, self.current);
        loop {
            if missing >= rest.len() {
                return frame.len();
            }
            rest = &rest[missing..];
            if len >= LONG {
                return frame.len() - rest.len();
            }
            let Some(announced) = prefix.take(&mut rest) else { return frame.len() };
            (missing, len) = (announced.len(), announced.len());
        }
    }

    /// Follows a frame. Returns the counted bytes of all messages that the frame has a part of, and the memory that
    /// decoding them takes.
    fn touch(&mut self, mut frame: &[u8]) -> (usize, usize) {
        let (mut touched, mut apart_before) = (self.current, 0);
        while !frame.is_empty() {
            if self.missing > 0 {
                let here = self.missing.min(frame.len());
                self.missing -= here;
                if self.current > 0 {
                    self.parts.read(&frame[..here]);
                }
                frame = &frame[here..];
            } else {
                let Some(announced) = self.prefix.take(&mut frame) else { break };
                self.begun += 1;
                apart_before += self.parts.bytes();
                self.parts = DecodedSize::of(self.method);
                let length = announced.len();
                if length > self.max_message {
                    // The reader refuses this message, and reads nothing of it or after it.
                    (self.current, self.missing) = (0, usize::MAX);
                    return (touched, apart_before);
                }
                let counted = if self.are_decompressed && announced.flag == 1 { 0 } else { length };
                (self.current, self.missing) = (counted, length);
                touched += counted;
            }
            if self.missing == 0 {
                self.current = 0;
            }
        }
        (touched, apart_before + self.parts.bytes())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use evenkeel_testing::frames;

    use super::*;
    use crate::{budget::Reservation, counters::Counters, error::Scarce};

    const LIMIT: usize = 1000;

    fn budget() -> Budget {
        Budget::new(LIMIT, 400)
    }

    fn portion(counters: &Arc<Counters>, budget: Budget) -> Portion {
        Portion::new(&Reservation::new(counters, budget))
    }

    fn of(budget: Budget, method: &str) -> Messages {
        let method = Method::of_path(&format!("/evenkeel.v1.TensorOpsService/{method}"));
        budget.messages(method, false)
    }

    fn messages(method: &str) -> Messages {
        of(budget(), method)
    }

    fn framed(lengths: &[usize]) -> Vec<u8> {
        lengths.iter().flat_map(|&len| frames::framed(&vec![7; len])).collect()
    }

    #[test]
    fn a_message_counts_from_its_prefix_however_it_is_cut() {
        let bytes = framed(&[300]);
        for cut in 1..bytes.len() {
            let counters = Arc::default();
            let (mut messages, mut held) = (messages("Dropout"), portion(&counters, budget()));
            for (index, frame) in bytes.chunks(cut).enumerate() {
                messages.frame(frame, &mut held).expect("there is room");
                let read = bytes.len().min((index + 1) * cut);
                assert_eq!(counters.bytes_in_flight.get(), if read < 5 { 0 } else { 600 }, "{read} of {cut}");
            }
            drop(held);
            assert_eq!(counters.bytes_in_flight.get(), 0);
        }
    }

    #[test]
    fn of_a_stream_only_what_is_being_read_counts() {
        let counters = Arc::default();
        let (mut messages, mut held) = (messages("MeasureGradients"), portion(&counters, budget()));
        let bytes = framed(&[100, 200, 300, 50]);
        // Frames that end within the third message, after the prefix of the fourth, and at the end.
        for (end, expected) in [(400, 600), (620, 350), (bytes.len(), 50)] {
            let begin = if end == 400 {
                0
            } else if end == 620 {
                400
            } else {
                620
            };
            messages.frame(&bytes[begin..end], &mut held).expect("there is room");
            assert_eq!(counters.bytes_in_flight.get(), expected, "{begin}..{end}");
        }
    }

    #[test]
    fn what_is_not_there_is_refused_and_nothing_is_held_for_it() {
        let counters = Arc::default();
        let [mut first, mut second] = [(); 2].map(|()| portion(&counters, budget()));
        messages("Dropout").frame(&framed(&[400])[..5], &mut first).expect("there is room");
        let refused = messages("Dropout").frame(&framed(&[101])[..5], &mut second);
        assert_eq!(refused, Err(Error::Overloaded { scarce: Scarce::Bytes }));
        assert_eq!((counters.bytes_in_flight.get(), counters.refused_for_bytes.get()), (800, 1));
        messages("Dropout").frame(&framed(&[100])[..5], &mut second).expect("there is room for that");
        drop([first, second]);
        assert_eq!(counters.bytes_in_flight.get(), 0);
    }

    #[test]
    fn a_message_that_is_too_long_is_left_to_others() {
        let counters = Arc::default();
        let (mut messages, mut held) = (messages("Dropout"), portion(&counters, budget()));
        messages.frame(&framed(&[401]), &mut held).expect("it is not read");
        messages.frame(&framed(&[400]), &mut held).expect("nor is this");
        assert_eq!(counters.bytes_in_flight.get(), 0);
    }

    #[test]
    fn what_messages_become_counts_as_long_as_they_are_there() {
        const ROOM: usize = 10 << 20;
        let many = b"\x7A\x00".repeat(1000);
        let message = [&[0, 0, 0][..], &[7, 0xD0], &many].concat();
        let becomes = 1000 * 512 - (64 << 10);
        for (method, held_bytes) in [("Dropout", 4000), ("MeasureGradients", 2000)] {
            let budget = Budget::new(ROOM, 4000);
            let mut messages = of(budget, method);
            let (counters, small) = (Arc::default(), framed(&[1]));
            let mut held = portion(&counters, budget);
            for frame in message.chunks(300) {
                messages.frame(frame, &mut held).expect("there is room");
            }
            assert_eq!(counters.bytes_in_flight.get(), held_bytes + becomes, "{method}");
            if method == "MeasureGradients" {
                messages.frame(&small, &mut held).expect("there is room");
                messages.frame(&small, &mut held).expect("there is room");
                assert_eq!(counters.bytes_in_flight.get(), 1, "it is done with");
            }
        }
        let (counters, limit) = (Arc::default(), 100_000);
        let budget = Budget::new(limit, 4000);
        let refused = messages("Dropout").frame(&message[..1000], &mut portion(&counters, budget));
        assert_eq!(refused, Ok(()), "it is too long, which others say");
        let mut messages = of(budget, "Dropout");
        let refused = messages.frame(&message, &mut portion(&counters, budget));
        assert_eq!(refused, Err(Error::TooManyParts { limit: limit - limit / 16 }));
        assert_eq!(counters.bytes_in_flight.get(), 0);
    }

    /// There is room for one of these messages at a time: each is given up when the next is asked for.
    #[test]
    fn what_was_taken_holds_nothing_any_more() {
        let budget = Budget::new(10 << 20, 60_000);
        let (counters, message) = (Arc::default(), b"\x7A\x00".repeat(10_000));
        let becomes = message.len() + 10_000 * 512 - (64 << 10);
        let (mut messages, mut held) = (of(budget, "MeasureGradients"), portion(&counters, budget));
        let frame = frames::framed(&message).repeat(3);
        let len = frame.len() / 3;
        for rest in [&frame[..], &frame[len..], &frame[2 * len..]] {
            messages.asked_for_more(&mut held);
            assert_eq!(counters.bytes_in_flight.get(), 0);
            assert_eq!(messages.until_long_one_ends(rest), len);
            messages.frame(&rest[..len], &mut held).expect("there is room for one");
            assert_eq!(counters.bytes_in_flight.get(), becomes);
        }
        // Within a message nothing is given up, and a unary call keeps its message.
        let mut within = of(budget, "MeasureGradients");
        within.frame(&frame[..len / 2], &mut held).expect("there is room");
        within.asked_for_more(&mut held);
        assert_eq!(within.until_long_one_ends(&frame[len / 2..]), len - len / 2);
        assert!(held.bytes() >= message.len());
        assert_eq!(of(budget, "Dropout").until_long_one_ends(&frame), frame.len());
        let short = frames::framed(&[7; 100]).repeat(5);
        assert_eq!(of(budget, "MeasureGradients").until_long_one_ends(&short), short.len());
    }

    #[test]
    fn messages_in_one_frame_are_there_together() {
        let budget = Budget::new(10 << 20, 4000);
        let (counters, message) = (Arc::default(), b"\x7A\x00".repeat(1000));
        let mut held = portion(&counters, budget);
        of(budget, "MeasureGradients").frame(&frames::framed(&message).repeat(2), &mut held).expect("there is room");
        assert_eq!(counters.bytes_in_flight.get(), 2 * (2000 + 1000 * 512 - (64 << 10)));
    }

    #[test]
    fn compressed_messages_that_are_decompressed_are_counted_elsewhere() {
        let budget = Budget::new(10 << 20, 4000);
        let mut message = frames::framed(&b"\x7A\x00".repeat(1000)).to_vec();
        for (flag, are_decompressed) in [(0, false), (0, true), (1, false), (1, true)] {
            let counters = Arc::default();
            let mut held = portion(&counters, budget);
            message[0] = flag;
            budget.messages(Method::Dropout, are_decompressed).frame(&message, &mut held).expect("there is room");
            let is_elsewhere = flag == 1 && are_decompressed;
            let expected = if is_elsewhere { 0 } else { 2 * 2000 + 1000 * 512 - (64 << 10) };
            assert_eq!(counters.bytes_in_flight.get(), expected, "{flag} {are_decompressed}");
        }
    }

    #[test]
    fn a_call_lacks_its_message_until_one_begins_and_takes_no_other() {
        let counters = Arc::default();
        let (mut call, mut held, message) = (messages("Dropout"), portion(&counters, budget()), framed(&[10]));
        assert!(call.lack_one());
        call.frame(&message[..3], &mut held).expect("there is room");
        assert!(!call.lack_one(), "some of its prefix is there");
        call.frame(&message[3..], &mut held).expect("there is room");
        assert!(!call.lack_one(), "it is there");
        assert_eq!(call.frame(&message, &mut held), Err(Error::NotOneMessage { found: "several" }));
        assert!(!messages("MeasureGradients").lack_one(), "a stream may have none");
    }

    #[test]
    fn health_and_reflection_have_a_budget_of_their_own_and_all_else_has_the_large_one() {
        let counters = Arc::<Counters>::default();
        let of_path = Method::of_path;
        for path in ["/grpc.health.v1.Health/Check", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"] {
            let mut held = portion(&counters, Budget::QUESTIONS);
            let mut messages = Budget::QUESTIONS.messages(of_path(path), false);
            messages.frame(&framed(&[1000]), &mut held).expect("there is room");
            assert_eq!(counters.question_bytes.get(), 0, "{path}");
            messages.frame(&framed(&[10_000])[..5], &mut held).expect("there is room");
            assert_eq!(counters.question_bytes.get(), 10_000 - SHORT_QUESTION, "{path}");
        }
        for path in
            ["/", "/evenkeel.v1.TensorOpsService/Unknown", "/grpc.health.v1.Health", "/grpc.health.v2.Health/Check"]
        {
            let refused = Budget::new(0, 400)
                .messages(of_path(path), false)
                .frame(&framed(&[1]), &mut portion(&counters, Budget::new(0, 400)));
            assert_eq!(refused, Err(Error::Overloaded { scarce: Scarce::Bytes }), "{path}");
        }
        assert_eq!((counters.bytes_in_flight.get(), counters.question_bytes.get()), (0, 0));
    }
}
