//! The prefix of a message in gRPC: whether the message is compressed, and its length.

use bytes::{Buf, BufMut as _, Bytes, BytesMut};

/// The bytes of a prefix: one says whether the message is compressed, and four are its length, big-endian.
pub const PREFIX: usize = 5;

/// A prefix as far as it has come, which may be not at all.
#[derive(Clone, Debug)]
pub struct Prefix {
    bytes: [u8; PREFIX],
    filled: usize,
}

/// The content of a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announced {
    /// 0: the message is plain; 1: it is compressed.
    pub flag: u8,
    /// The length of the message, in bytes.
    pub length: u32,
}

impl Default for Prefix {
    fn default() -> Self {
        Self::new()
    }
}

impl Prefix {
    /// A prefix of which nothing has come.
    pub const fn new() -> Self {
        Self { bytes: [0; PREFIX], filled: 0 }
    }

    /// Takes the next bytes of the prefix from the beginning of `input`. Returns the content when the prefix is complete; the next
    /// call then begins another prefix.
    pub fn take(&mut self, input: &mut impl Buf) -> Option<Announced> {
        let here = input.remaining().min(PREFIX - self.filled);
        input.copy_to_slice(&mut self.bytes[self.filled..self.filled + here]);
        self.filled += here;
        if self.filled < PREFIX {
            return None;
        }
        self.filled = 0;
        let [flag, length @ ..] = self.bytes;
        Some(Announced { flag, length: u32::from_be_bytes(length) })
    }

    /// Whether nothing of the prefix has come.
    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }
}

impl Announced {
    /// The prefix of a message of `len` bytes that is not compressed.
    ///
    /// # Panics
    /// If the message has 4 GiB or more, which a prefix cannot express.
    pub fn plain(len: usize) -> Self {
        let length = u32::try_from(len).expect("both sides hold messages to a limit, which fits");
        Self { flag: 0, length }
    }

    /// The prefix with which these bytes begin; `None`: they are too few.
    pub fn of(mut bytes: &[u8]) -> Option<Self> {
        Prefix::new().take(&mut bytes)
    }

    /// Whether the message is compressed.
    pub fn is_compressed(self) -> bool {
        self.flag != 0
    }

    /// The length of the message, in bytes, as a `usize`.
    #[expect(clippy::len_without_is_empty, reason = "it is the length of a message, which may well be empty")]
    pub fn len(self) -> usize {
        usize::try_from(self.length).unwrap_or(usize::MAX)
    }

    /// The bytes of the prefix.
    pub fn to_bytes(self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(PREFIX);
        self.put(&mut bytes);
        bytes.freeze()
    }

    /// Writes the bytes of the prefix.
    pub fn put(self, bytes: &mut BytesMut) {
        bytes.put_u8(self.flag);
        bytes.put_u32(self.length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_read_however_they_are_cut() {
        let all = [Announced { flag: 0, length: 7 }, Announced { flag: 1, length: u32::MAX }];
        let bytes = all.map(Announced::to_bytes).concat();
        assert_eq!(bytes, [0, 0, 0, 0, 7, 1, 255, 255, 255, 255]);
        for cut in 1..=bytes.len() {
            let (mut prefix, mut read) = (Prefix::new(), Vec::new());
            for mut part in bytes.chunks(cut) {
                while !part.is_empty() {
                    read.extend(prefix.take(&mut part));
                }
            }
            assert_eq!(read, all, "{cut}");
            assert!(prefix.is_empty());
        }
    }
}
