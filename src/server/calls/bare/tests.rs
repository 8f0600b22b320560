use std::sync::Arc;

use http_body_util::{BodyExt as _, StreamBody};
use tonic::Code;

use super::*;
use crate::{
    budget::{Budget, Reservation},
    counters::Counters,
    grpc::Method,
    server::admission::Kind,
};

const LIMIT: usize = 1 << 20;

/// What becomes of a body of these frames, and the most bytes that were reserved.
async fn gathered(counters: &Arc<Counters>, frames: Vec<Bytes>) -> (Result<Bytes, Error>, usize) {
    gathered_within(counters, 16 << 20, LIMIT, frames).await
}

/// The same with a budget of `bytes` bytes for messages of at most `limit`.
async fn gathered_within(
    counters: &Arc<Counters>,
    bytes: usize,
    limit: usize,
    frames: Vec<Bytes>,
) -> (Result<Bytes, Error>, usize) {
    let budget = Budget::new(bytes, limit);
    let reservation = Reservation::new(counters, budget);
    let frames = frames.into_iter().map(|frame| Ok::<_, BoxError>(Frame::data(frame)));
    let body = StreamBody::new(tokio_stream::iter(frames));
    let messages = budget.messages(Kind::Whole, Method::Dropout, false);
    let mut body = Gathered::new(body, false, limit, messages, [(); 2].map(|()| Portion::new(&reservation)));
    let (mut all, mut most) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        most = most.max(counters.bytes_in_flight.get());
        match frame {
            Ok(frame) => all.extend_from_slice(&frame.into_data().expect("it is data")),
            Err(error) => {
                let status = error.downcast::<Status>().expect("it is a status");
                return (Err(Error::of(&status).cloned().expect("it has its error")), most);
            }
        }
    }
    (Ok(all.into()), most)
}

#[tokio::test]
async fn a_message_gets_its_prefix_however_it_is_cut() {
    for len in [0, 1, 1000, PIECE, 2 * PIECE + 17] {
        let message: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
        for cut in [1, 777, PIECE, LIMIT] {
            let counters = Arc::default();
            let frames = message.chunks(cut).map(Bytes::copy_from_slice).collect();
            let (all, most) = gathered(&counters, frames).await;
            let expected = [&Announced::plain(len).to_bytes()[..], &message].concat();
            assert!(all.as_ref() == Ok(&expected.into()), "{len} in frames of {cut}");
            assert_eq!(most, 2 * len, "{len} in frames of {cut}: the message, and its answer");
            assert_eq!(counters.bytes_in_flight.get(), 0);
        }
    }
}

#[tokio::test]
async fn a_message_above_the_limit_is_refused_when_it_is() {
    let counters = Arc::default();
    let frame = Bytes::from(vec![7; 1000]);
    let (refused, most) = gathered(&counters, vec![frame; LIMIT / 1000 + 1]).await;
    assert_eq!(refused, Err(Error::RequestTooLarge { limit: LIMIT }));
    assert!((LIMIT..LIMIT + 2 * PIECE).contains(&most), "{most}");
    assert_eq!(refused.expect_err("it is refused").code(), Code::ResourceExhausted);
}

/// The pieces of a message that is as long as it may be are no longer than the message.
#[tokio::test]
async fn a_small_budget_has_room_for_the_largest_message() {
    for limit in [1 << 10, 8 << 10, 32 << 10] {
        for cut in [1, 777, limit] {
            let frames = vec![7; limit].chunks(cut).map(Bytes::copy_from_slice).collect();
            let (all, most) = gathered_within(&Arc::default(), 2 * limit, limit, frames).await;
            assert_eq!(all.map(|all| all.len()), Ok(limit + 5), "{limit} in frames of {cut}");
            assert_eq!(most, 2 * limit, "{limit} in frames of {cut}");
        }
    }
}
