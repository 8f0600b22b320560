//! What precedes a message: whether it is compressed, and its length.

use bytes::{Buf, BufMut as _, Bytes, BytesMut};

/// The bytes of a prefix: whether the message is compressed, in one, and its length in four.
pub const PREFIX: usize = 5;

/// A prefix that comes in parts, or has not begun to.
#[derive(Clone, Debug)]
pub struct Prefix {
    bytes: [u8; PREFIX],
    filled: usize,
}

/// What a prefix says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announced {
    /// 1: the message is compressed.
    pub flag: u8,
    /// The message's, in bytes.
    pub length: u32,
}

impl Default for Prefix {
    fn default() -> Self {
        Self::new()
    }
}

impl Prefix {
    /// Nothing of it has come.
    pub const fn new() -> Self {
        Self { bytes: [0; PREFIX], filled: 0 }
    }

    /// Takes from the beginning of `input` what belongs to it. When all of it is there that is returned, and another may come.
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

    /// Whether nothing of it has come.
    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }
}

impl Announced {
    /// A message of `len` bytes that is not compressed.
    ///
    /// # Panics
    /// If it has 4 GiB, which the prefix cannot say.
    pub fn plain(len: usize) -> Self {
        let length = u32::try_from(len).expect("both sides hold messages to a limit, which fits");
        Self { flag: 0, length }
    }

    /// That of the message which begins with these bytes; `None`: they are too few.
    pub fn of(mut bytes: &[u8]) -> Option<Self> {
        Prefix::new().take(&mut bytes)
    }

    /// Whether the message is compressed.
    pub fn is_compressed(self) -> bool {
        self.flag != 0
    }

    /// The length of the message as one of memory.
    #[expect(clippy::len_without_is_empty, reason = "it is the length of a message, which may well be empty")]
    pub fn len(self) -> usize {
        usize::try_from(self.length).unwrap_or(usize::MAX)
    }

    /// As it is sent.
    pub fn to_bytes(self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(PREFIX);
        self.put(&mut bytes);
        bytes.freeze()
    }

    /// Writes it as it is sent.
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
