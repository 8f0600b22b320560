//! A sheet holds the bytes of a result that are sent together, and may have room for the head of their message.

use bytes::Bytes;
use evenkeel_frames::Announced;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};
use tokio::sync::OwnedSemaphorePermit;

use crate::{buffers::Buffers, owning::owning};

/// The room for a message's head, in bytes: gRPC's prefix, the key and the length fit. It is a cache line, so that results are
/// written to aligned memory.
pub(super) const HEADROOM: usize = 64;

/// A buffer of the pool that is filled from its beginning.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    /// The buffer: the room for a head, and then that for the result. It is empty if there is no sheet.
    buffer: Vec<u8>,
    /// The number of bytes before the result: [`HEADROOM`] or 0.
    headroom: usize,
    /// The number of bytes of the result that were written.
    written: usize,
    /// The place of a unit that is longer than a chunk; see [`Sink::unit`](super::Sink::unit).
    unit: Option<OwnedSemaphorePermit>,
}

impl Sheet {
    /// A sheet for `len` bytes. `headroom` is [`HEADROOM`] if a message's head is to precede them, or else 0. `unit` is the
    /// place of a unit that is longer than a chunk.
    pub(super) fn take(buffers: &Buffers, headroom: usize, len: usize, unit: Option<OwnedSemaphorePermit>) -> Self {
        Self { buffer: buffers.take(headroom + len), headroom, written: 0, unit }
    }

    pub(super) fn is_none(&self) -> bool {
        self.buffer.is_empty()
    }

    /// The number of bytes that are still to be written.
    pub(super) fn room(&self) -> usize {
        self.buffer.len() - self.headroom - self.written
    }

    /// The slice for the next `len` bytes of the result.
    pub(super) fn next(&mut self, len: usize) -> &mut [u8] {
        &mut self.buffer[self.headroom + self.written..][..len]
    }

    /// Counts `len` bytes as written.
    pub(super) fn wrote(&mut self, len: usize) {
        self.written += len;
    }

    /// The bytes of a sheet that is full and has no room before them.
    pub(super) fn into_bytes(self, buffers: &Buffers) -> Bytes {
        buffers.lend(self.buffer)
    }

    /// The bytes that were written, as messages whose field `number` has at most `chunk` of them. The first head lies in the
    /// room for it; each further head is a piece by itself.
    pub(super) fn into_messages(self, number: u32, chunk: usize, buffers: &Buffers) -> impl Iterator<Item = Bytes> {
        let Self { mut buffer, headroom, written, unit } = self;
        let first = written.min(chunk);
        let head = head(number, first);
        let begin = headroom - head.len();
        buffer[begin..headroom].copy_from_slice(&head);
        let bytes = buffers.lend(buffer);
        let bytes = match unit {
            // The place is free again when the last of the bytes was sent.
            Some(place) => owning(bytes, place),
            None => bytes,
        };
        let bytes = bytes.slice(begin..headroom + written);
        let (first, rest) = (bytes.slice(..head.len() + first), bytes.slice(head.len() + first..));
        std::iter::once(first).chain(messages(number, rest, chunk))
    }
}

/// The bytes, as messages whose field `number` has at most `chunk` of them.
pub(super) fn messages(number: u32, bytes: Bytes, chunk: usize) -> impl Iterator<Item = Bytes> {
    let chunks = bytes.len().div_ceil(chunk);
    (0..chunks).flat_map(move |index| {
        let part = bytes.slice(index * chunk..bytes.len().min((index + 1) * chunk));
        [head(number, part.len()).into(), part]
    })
}

/// The head of a message with one field, which has `len` bytes: gRPC's prefix, the key and the length.
fn head(number: u32, len: usize) -> Vec<u8> {
    let field = key_len(number) + encoded_len_varint(len as u64);
    let mut head = bytes::BytesMut::with_capacity(HEADROOM);
    Announced::plain(field + len).put(&mut head);
    encode_key(number, WireType::LengthDelimited, &mut head);
    encode_varint(len as u64, &mut head);
    head.to_vec()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use evenkeel_proto::v1::{self as pb, dropout_stream_response::Part};
    use tokio::sync::Semaphore;

    use super::*;

    fn message(part: Part) -> Vec<u8> {
        evenkeel_frames::encoded(&pb::DropoutStreamResponse { part: Some(part) }).to_vec()
    }

    /// The messages are prost's, whatever the number of bytes. A sheet that fits a chunk is one piece.
    #[test]
    fn messages_are_what_prost_makes_of_them() {
        let buffers = Buffers::new(0);
        for (len, chunk) in [(1, 200), (127, 200), (128, 200), (200, 200), (201, 200), (1000, 200), (70_000, 70_000)] {
            let data: Vec<u8> = (0..len).map(|i: usize| i as u8).collect();
            let mut sheet = Sheet::take(&buffers, HEADROOM, len + 5, None);
            sheet.next(len).copy_from_slice(&data);
            sheet.wrote(len);
            assert_eq!(sheet.room(), 5);
            let expected: Vec<u8> =
                data.chunks(chunk).flat_map(|data| message(Part::Data(data.to_vec().into()))).collect();
            let messages: Vec<Bytes> = sheet.into_messages(15, chunk, &buffers).collect();
            assert_eq!(messages.concat(), expected, "{len} {chunk}");
            assert_eq!(messages.len(), 2 * len.div_ceil(chunk) - 1);
        }
        let mask = Bytes::from_static(&[1, 2, 3]);
        assert_eq!(messages(14, mask.clone(), 9).collect::<Vec<_>>().concat(), message(Part::Mask(mask)));
        assert_eq!(messages(14, Bytes::new(), 9).count(), 0);
    }

    /// A unit that is longer than a chunk has its place until the last of its messages was sent.
    #[test]
    fn a_unit_gives_its_place_back_when_it_was_sent() {
        let places = Arc::new(Semaphore::new(1));
        let place = Arc::clone(&places).try_acquire_owned().expect("it is free");
        let mut sheet = Sheet::take(&Buffers::new(0), HEADROOM, 300, Some(place));
        sheet.wrote(300);
        let mut messages: Vec<Bytes> = sheet.into_messages(15, 100, &Buffers::new(0)).collect();
        while let Some(sent) = messages.pop() {
            assert_eq!(places.available_permits(), 0, "{} bytes wait", sent.len());
            drop(sent);
        }
        assert_eq!(places.available_permits(), 1);
    }
}
