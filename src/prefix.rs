//! What precedes a message: whether it is compressed, and its length.

use bytes::{Buf, BufMut as _, Bytes, BytesMut};
use evenkeel_proto::bulk::PREFIX;

/// A prefix that comes in parts, or has not begun to.
#[derive(Debug)]
pub(crate) struct Prefix {
    bytes: [u8; PREFIX],
    filled: usize,
}

/// What a prefix says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Announced {
    /// 1: the message is compressed.
    pub(crate) flag: u8,
    /// The message's, in bytes.
    pub(crate) length: u32,
}

impl Prefix {
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; PREFIX], filled: 0 }
    }

    /// Takes from the beginning of `input` what belongs to it. When all of it is there that is returned, and another may come.
    pub(crate) fn take(&mut self, input: &mut impl Buf) -> Option<Announced> {
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
    pub(crate) fn is_empty(&self) -> bool {
        self.filled == 0
    }
}

impl Announced {
    pub(crate) fn is_compressed(self) -> bool {
        self.flag != 0
    }

    /// The length as one of memory.
    pub(crate) fn len(self) -> usize {
        usize::try_from(self.length).unwrap_or(usize::MAX)
    }

    /// As it is sent.
    pub(crate) fn to_bytes(self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(PREFIX);
        bytes.put_u8(self.flag);
        bytes.put_u32(self.length);
        bytes.freeze()
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
