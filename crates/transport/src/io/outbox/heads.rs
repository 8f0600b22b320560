//! Copied bytes that wait to be written, in blocks.

use std::collections::{VecDeque, vec_deque};

/// The size of the smallest block, which is all that is left to a connection that has nothing to send.
pub(super) const SMALL: usize = 1 << 10;
/// The size of the largest block. Blocks take hardly more memory than they have bytes, however many these are; one buffer for all
/// bytes would double when it grows, and keep the room of those that were sent.
const LARGE: usize = 1 << 14;
/// The blocks that usually wait for one write.
const USUAL: usize = 8;

/// The bytes of frames' heads, and of frames that are small, one after another.
#[derive(Debug, Default)]
pub(super) struct Heads {
    /// No block is empty, unless it is the only one.
    blocks: VecDeque<Vec<u8>>,
    /// The bytes of the first block that were sent.
    sent: usize,
    len: usize,
}

impl Heads {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, mut bytes: &[u8]) {
        self.len += bytes.len();
        while !bytes.is_empty() {
            let last = match self.blocks.back_mut() {
                Some(last) if last.len() < last.capacity() => last,
                last => {
                    let double = 2 * last.map_or(0, |last| last.capacity());
                    let size = bytes.len().next_multiple_of(SMALL).max(double).min(LARGE);
                    self.blocks.push_back(Vec::with_capacity(size));
                    continue;
                }
            };
            let (now, later) = bytes.split_at(bytes.len().min(last.capacity() - last.len()));
            last.extend_from_slice(now);
            bytes = later;
        }
    }

    /// The bytes, from the first on.
    pub(super) fn pieces(&self) -> Pieces<'_> {
        let mut blocks = self.blocks.iter();
        let rest = blocks.next().map_or(&[][..], |first| &first[self.sent..]);
        Pieces { blocks, rest }
    }

    /// Called when the first `len` bytes were sent.
    pub(super) fn advance(&mut self, len: usize) {
        self.len -= len;
        self.sent += len;
        while let Some(first) = self.blocks.front_mut().filter(|first| self.sent >= first.len()) {
            self.sent -= first.len();
            if self.blocks.len() == 1 {
                self.blocks[0].clear();
                return;
            }
            self.blocks.pop_front();
        }
    }

    /// Called when all was sent. Frees all memory but one small block.
    pub(super) fn release(&mut self) {
        if self.blocks.front().is_some_and(|block| block.capacity() > SMALL) {
            self.blocks.clear();
            self.blocks.shrink_to(USUAL);
        }
    }

    #[cfg(test)]
    pub(super) fn allocated(&self) -> usize {
        let blocks: usize = self.blocks.iter().map(Vec::capacity).sum();
        blocks + self.blocks.capacity() * size_of::<Vec<u8>>()
    }
}

/// The bytes of blocks, taken in pieces.
pub(super) struct Pieces<'a> {
    blocks: vec_deque::Iter<'a, Vec<u8>>,
    rest: &'a [u8],
}

impl<'a> Pieces<'a> {
    /// The next bytes that lie together, `most` at most; empty when there are no more.
    pub(super) fn next(&mut self, most: usize) -> &'a [u8] {
        if self.rest.is_empty() {
            self.rest = self.blocks.next().map_or(&[], |block| block);
        }
        let (now, later) = self.rest.split_at(most.min(self.rest.len()));
        self.rest = later;
        now
    }
}
