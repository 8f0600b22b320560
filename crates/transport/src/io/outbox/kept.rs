//! Bytes that wait to be written: the heads of frames and small frames are copied into blocks, payloads stay where they are.

use std::{collections::VecDeque, io::IoSlice, mem};

use super::heads::{Heads, SMALL};
use crate::chunk::Unwritten;

/// The most slices in one write: those of 1 MiB in frames of 16 KiB, and some more.
pub(super) const SLICES: usize = 144;

/// The kept bytes, in the order in which they are written.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// The bytes before each payload, one after another, and those after the last.
    heads: Heads,
    payloads: VecDeque<Payload>,
    /// The bytes of all payloads.
    payload_bytes: usize,
    /// The bytes of `heads` after the last payload.
    tail: usize,
}

#[derive(Debug)]
struct Payload {
    /// The bytes of `heads` before it.
    head: usize,
    bytes: Unwritten,
}

impl Kept {
    pub(super) fn len(&self) -> usize {
        self.heads.len() + self.payload_bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn push(&mut self, bytes: Unwritten) {
        self.payload_bytes += bytes.bytes().len();
        self.payloads.push_back(Payload { head: mem::take(&mut self.tail), bytes });
    }

    pub(super) fn copy(&mut self, bytes: &[u8]) {
        self.heads.push(bytes);
        self.tail += bytes.len();
    }

    /// The first of the bytes, as slices; returns how many these are.
    pub(super) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>; SLICES]) -> usize {
        let (mut heads, mut len) = (self.heads.pieces(), 0);
        let payloads = self.payloads.iter().map(|Payload { head, bytes }| (*head, bytes.bytes()));
        for (mut head, payload) in payloads.chain([(self.tail, &[][..])]) {
            while head > 0 && len < SLICES {
                let piece = heads.next(head);
                head -= piece.len();
                slices[len] = IoSlice::new(piece);
                len += 1;
            }
            if len == SLICES {
                break;
            }
            if !payload.is_empty() {
                slices[len] = IoSlice::new(payload);
                len += 1;
            }
        }
        len
    }

    /// Called when the first `len` bytes are written.
    pub(super) fn advance(&mut self, mut len: usize) {
        while let Some(Payload { head, bytes }) = self.payloads.front_mut() {
            let of_head = len.min(*head);
            *head -= of_head;
            self.heads.advance(of_head);
            len -= of_head;
            let of_bytes = len.min(bytes.bytes().len());
            bytes.advance(of_bytes);
            self.payload_bytes -= of_bytes;
            len -= of_bytes;
            if *head > 0 || !bytes.bytes().is_empty() {
                return;
            }
            self.payloads.pop_front();
        }
        self.heads.advance(len);
        self.tail -= len;
    }

    /// Called when nothing is kept. Frees memory, since thousands of connections may have nothing to send for hours.
    pub(super) fn release(&mut self) {
        self.heads.release();
        if self.payloads.capacity() > SMALL / size_of::<Payload>() {
            self.payloads = VecDeque::new();
        }
    }

    /// The memory that it takes, without payloads.
    #[cfg(test)]
    pub(super) fn allocated(&self) -> usize {
        self.heads.allocated() + self.payloads.capacity() * size_of::<Payload>()
    }
}
