//! Messages that are decompressed: the memory that their pieces take, and what an empty one costs.

use std::{future::poll_fn, sync::Arc};

use http_body_util::StreamBody;
use tokio_stream::StreamExt as _;

use super::*;
use crate::budget::{Budget, Reservation};

fn account(reservation: &Arc<Reservation>) -> Account {
    Account {
        held: Portion::new(reservation),
        times: 1,
        limit: 1 << 28,
        method: Method::MeasureGradients,
        record: CallRecord::detached(Method::MeasureGradients),
    }
}

/// An empty message takes a short piece, and zstd's decoder from the one before: making a decoder or a whole piece takes far
/// longer than reading the few bytes of the message.
#[tokio::test]
async fn an_empty_message_costs_little() {
    let zstd = &[0x28, 0xB5, 0x2F, 0xFD, 0x20, 0, 1, 0, 0][..];
    let gzip = &[0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0][..];
    for (encoding, message) in [(Encoding::Zstd, zstd), (Encoding::Gzip, gzip)] {
        // A whole piece has no room.
        let room = 2 * Decoder::new(encoding).memory() + PIECE / 2;
        let reservation = Reservation::new(&Arc::default(), Budget::new(room, room));
        let message = [&Announced { flag: 1, length: message.len() as u32 }.to_bytes()[..], message].concat();
        let (first, second) = (message.clone(), message[..message.len() - 1].to_vec());
        let frames = [first, second].map(|frame| Ok::<_, BoxError>(Frame::data(Bytes::from(frame))));
        let body = StreamBody::new(tokio_stream::iter(frames).chain(tokio_stream::pending()));
        let mut body = Decompressed::new(body, encoding, account(&reservation));
        let read = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
        let read = read.expect("the body goes on").expect("it has room").into_data().expect("no trailers");
        assert_eq!(read[..], Announced { flag: 0, length: 0 }.to_bytes()[..], "{encoding:?}");
        assert!(body.decoder.is_some(), "{encoding:?}: it is kept");
        poll_fn(|cx| {
            assert!(Pin::new(&mut body).poll_frame(cx).is_pending(), "the second has not ended");
            Poll::Ready(())
        })
        .await;
        assert!(body.decoder.is_none(), "{encoding:?}: the second has it");
    }
}

/// A frame with a byte, or with so many bytes, makes a piece of its own. The account has the memory of the pieces, which is more
/// than their bytes.
#[tokio::test]
async fn the_memory_of_pieces_is_counted() {
    const FRAMES: usize = 300;
    for len in [1_u16, 20_000, 40_000] {
        let reservation = Reservation::new(&Arc::default(), Budget::new(1 << 30, 1 << 28));
        // gzip with blocks that are stored as they are.
        let prefix = Announced { flag: 1, length: 1 << 28 }.to_bytes();
        let begin = [&prefix[..], &[0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255]].concat();
        let block = [&[0][..], &len.to_le_bytes(), &(!len).to_le_bytes(), &vec![7; usize::from(len)]].concat();
        let frames = std::iter::once(begin).chain(std::iter::repeat_n(block, FRAMES));
        let frames = tokio_stream::iter(frames.map(|frame| Ok::<_, BoxError>(Frame::data(Bytes::from(frame)))));
        let body = StreamBody::new(frames.chain(tokio_stream::pending()));
        let mut body = Decompressed::new(body, Encoding::Gzip, account(&reservation));
        let all = FRAMES * usize::from(len);
        poll_fn(|cx| {
            // Nothing is handed on before the message has ended.
            assert!(Pin::new(&mut body).poll_frame(cx).is_pending());
            let Place::Compressed { message, .. } = &body.place else { return Poll::Pending };
            if message.len < all || message.filled > 0 { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
        assert!(reservation.bytes() >= FRAMES * (usize::from(len) + 64), "{}", reservation.bytes());
    }
}
