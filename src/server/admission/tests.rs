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
    budget.messages(Kind::of(method), method, false)
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

/// A frame of short fields, or of short messages, is counted in several pieces; one of elements at once.
#[test]
fn frames_that_take_long_are_counted_in_pieces() {
    let budget = Budget::new(1 << 22, 1 << 18);
    let pieces = |method: &str, frame: &[u8]| {
        let (mut messages, mut held) = (of(budget, method), portion(&Arc::default(), budget));
        let (mut rest, mut pieces) = (frame, Vec::new());
        while !rest.is_empty() {
            let counted = messages.frame(rest, &mut held).expect("there is room");
            pieces.push(counted);
            rest = &rest[counted..];
        }
        pieces
    };
    let groups = frames::framed(&b"\x23\x24".repeat(STEPS));
    assert_eq!(pieces("Dropout", &groups).len(), 3);
    let tensor = [&b"\x7A\x84\x80\x08\x7A\x80\x80\x08"[..], &vec![0; 2 * STEPS * 2]].concat();
    let tensor = frames::framed(&tensor);
    assert_eq!(pieces("ClipGradients", &tensor), [tensor.len()]);
    let short = frames::framed(b"").repeat(2 * STEPS / STEPS_PER_MESSAGE);
    assert_eq!(pieces("MeasureGradients", &short).len(), 2);
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
    assert_eq!(refused.map(drop), Ok(()), "it is too long, which others say");
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
        budget
            .messages(Kind::Whole, Method::Dropout, are_decompressed)
            .frame(&message, &mut held)
            .expect("there is room");
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
        let mut messages = Budget::QUESTIONS.messages(Kind::of(of_path(path)), of_path(path), false);
        messages.frame(&framed(&[1000]), &mut held).expect("there is room");
        assert_eq!(counters.question_bytes.get(), 0, "{path}");
        messages.frame(&framed(&[10_000])[..5], &mut held).expect("there is room");
        assert_eq!(counters.question_bytes.get(), 10_000 - (4 << 10), "{path}");
    }
    for path in ["/", "/evenkeel.v1.TensorOpsService/Unknown", "/grpc.health.v1.Health", "/grpc.health.v2.Health/Check"]
    {
        let refused = Budget::new(0, 400)
            .messages(Kind::of(of_path(path)), of_path(path), false)
            .frame(&framed(&[1]), &mut portion(&counters, Budget::new(0, 400)));
        assert_eq!(refused, Err(Error::TooMuchMemory { needed: 2, limit: 0 }), "{path}");
    }
    assert_eq!((counters.bytes_in_flight.get(), counters.question_bytes.get()), (0, 0));
}
