//! Messages as they are on the wire, and cut anywhere.

use bytes::Bytes;
use evenkeel_frames::Announced;

/// A message with its prefix.
pub fn framed(message: &[u8]) -> Bytes {
    [Announced::plain(message.len()).to_bytes().as_ref(), message].concat().into()
}

/// The prefix of a message of so many bytes.
pub fn prefix(length: u32) -> Bytes {
    Announced { flag: 0, length }.to_bytes()
}

/// `bytes`, cut at these places, which are within them.
pub fn cut(bytes: &[u8], places: impl IntoIterator<Item = usize>) -> Vec<Bytes> {
    let mut places: Vec<usize> = places.into_iter().chain([0, bytes.len()]).collect();
    places.sort_unstable();
    places.windows(2).map(|ends| Bytes::copy_from_slice(&bytes[ends[0]..ends[1]])).collect()
}
