//! Messages are told apart however their frames are cut.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use evenkeel_frames::Announced;
use evenkeel_proto::v1::{self as pb, dropout_stream_request};
use evenkeel_testing::frames::framed;
use prost::Message as _;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Code, Status};

use super::*;
use crate::budget::Budget;

const LIMIT: usize = 4 * COUNTED;

fn begin(frames: Vec<Bytes>) -> Parts {
    begin_with(tokio_stream::iter(frames.into_iter().map(|frame| Ok(http_body::Frame::data(frame)))))
}

fn begin_with(frames: impl Stream<Item = Result<http_body::Frame<Bytes>, Status>> + Send + 'static) -> Parts {
    let budget = Budget::new(1 << 22, LIMIT);
    let reservation = Reservation::new(&Arc::default(), budget);
    let body = Body::new(http_body_util::StreamBody::new(frames));
    Parts::new(body, Method::DropoutStream, LIMIT, &reservation)
}

/// The parts of these frames, with neighbouring data joined.
async fn parts_of(frames: Vec<Bytes>) -> Result<Vec<Part>, Error> {
    let mut parts = begin(frames);
    let mut found = Vec::new();
    while let Some(part) = parts.next().await? {
        match (found.last_mut(), part) {
            (Some(Part::Data(before)), Part::Data(more)) => *before = [&before[..], &more].concat().into(),
            (_, part) => found.push(part),
        }
    }
    Ok(found)
}

fn message(part: dropout_stream_request::Part) -> Bytes {
    pb::DropoutStreamRequest { part: Some(part) }.encode_to_vec().into()
}

fn data(len: usize) -> Bytes {
    (0..len).map(|i| i as u8).collect()
}

#[tokio::test]
async fn parts_are_found_however_the_frames_are_cut() {
    use dropout_stream_request::Part as Sent;
    let header = message(Sent::Header(pb::DropoutRequest { p: Some(0.5), seed: 7, ..Default::default() }));
    let [short, long] = [data(3), data(300)];
    let of_short = message(Sent::Data(short.clone()));
    // A field before the data, and data twice: neither message is all data.
    let odd = [&b"\x08\x07"[..], &of_short].concat();
    let twice = of_short.repeat(2);
    let stream = [
        framed(&header),
        framed(&of_short),
        framed(&message(Sent::Data(Bytes::new()))),
        framed(&message(Sent::Data(long.clone()))),
        framed(b""),
        framed(&odd),
        framed(&twice),
    ]
    .concat();
    let expected = [
        Part::Message(header),
        Part::Begins(3),
        Part::Data(short),
        Part::Begins(0),
        Part::Begins(300),
        Part::Data(long),
        Part::Message(Bytes::new()),
        Part::Message(odd.into()),
        Part::Message(twice.into()),
    ];
    for cut in 1..=stream.len() {
        let frames = stream.chunks(cut).map(Bytes::copy_from_slice).collect();
        assert_eq!(parts_of(frames).await.expect("it is right"), expected, "{cut}");
    }
}

#[tokio::test]
async fn a_stream_that_ends_within_a_message_is_refused() {
    let stream = [framed(&message(dropout_stream_request::Part::Data(data(9)))), framed(b"\x0A\x02\x18\x07")].concat();
    let ends = [0, 5 + 11, stream.len()];
    for end in 0..=stream.len() {
        let parts = parts_of(vec![Bytes::copy_from_slice(&stream[..end])]).await;
        assert_eq!(parts.is_ok(), ends.contains(&end), "{end}");
        if let Err(error) = parts {
            assert_eq!(error.code(), Code::Internal);
        }
    }
}

#[tokio::test]
async fn messages_that_are_too_long_or_compressed_are_refused() {
    let prefix = |flag, length| Announced { flag, length }.to_bytes();
    let too_long = parts_of(vec![prefix(0, LIMIT as u32 + 1)]).await;
    assert_eq!(too_long, Err(Error::RequestTooLarge { limit: LIMIT }));
    assert_eq!(parts_of(vec![prefix(1, 5)]).await.expect_err("it is compressed").code(), Code::Internal);
}

/// Counting a long message takes milliseconds, so other calls are served meanwhile, also if all of it has come.
#[tokio::test]
async fn other_calls_are_served_while_a_message_is_counted() {
    let groups = b"\x0B\x0C".repeat(LIMIT / 2);
    let mut parts = begin(vec![framed(&groups)]);
    let mut next = pin!(parts.next());
    let mut cx = Context::from_waker(Waker::noop());
    let mut waits = 0;
    let part = loop {
        match next.as_mut().poll(&mut cx) {
            Poll::Ready(part) => break part,
            Poll::Pending => waits += 1,
        }
    };
    assert_eq!(part, Ok(Some(Part::Message(groups.into()))));
    assert_eq!(waits, LIMIT / COUNTED - 1);
}

/// A stream that waits in the middle of a message keeps no frame, which may be long: frames of tensors are in no budget.
#[tokio::test]
async fn a_stream_that_waits_keeps_no_frame() {
    use dropout_stream_request::Part as Sent;
    let whole = framed(&message(Sent::Data(data(300))));
    // The frame ends within a prefix, behind it, and within the head of data.
    for end in [3, 5, 6] {
        let frame = Bytes::from([&whole[..], &whole[..end]].concat());
        let frames = tokio_stream::iter([Ok::<_, Status>(http_body::Frame::data(frame.clone()))]);
        let mut parts = begin_with(frames.chain(tokio_stream::pending()));
        assert_eq!(parts.next().await, Ok(Some(Part::Begins(300))));
        assert!(matches!(parts.next().await, Ok(Some(Part::Data(_)))));
        let mut next = pin!(parts.next());
        assert!(next.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert!(frame.is_unique(), "{end} bytes of the next message");
    }
}
