//! Cuts tensors into pieces, one for each call, so that the results join to the bytes that one call for all would have
//! given: between elements, between channels, or between sets of elements that are pooled together.

mod boxes;
mod draws;
mod parcels;
mod parts;

use std::io;

use bytes::Bytes;

pub(super) use self::{
    boxes::{Boxes, Piece, Pooling},
    draws::{DrawPiece, Draws},
    parcels::{MAX_RANK, Part, parcels},
    parts::{PartPiece, Parts},
};
use super::{
    error::Error,
    files::{Stored, Writer},
};

/// The bytes of a piece where they can be chosen: the server computes such a piece in a core's cache while the next one
/// arrives.
pub(super) const TARGET: usize = 4 << 20;

/// The bytes that a message needs beside elements, with room to spare: options, shapes of 64 dimensions.
pub(super) const OVERHEAD: usize = 2048;

/// Bytes of a tensor: `count` runs of `run` bytes, the first from `start` on, each `stride` behind the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Region {
    pub(super) start: usize,
    pub(super) run: usize,
    pub(super) stride: usize,
    pub(super) count: usize,
}

impl Region {
    /// Bytes that lie together.
    pub(super) fn run(start: usize, len: usize) -> Self {
        Self { start, run: len, stride: 0, count: 1 }
    }

    /// How many bytes they are.
    pub(super) fn len(&self) -> usize {
        self.run * self.count
    }

    /// Reads them out of a tensor, one run after another.
    pub(super) fn read(&self, tensor: &Stored) -> io::Result<Bytes> {
        if self.count == 1 {
            return tensor.read(self.start, self.run);
        }
        let mut bytes = Vec::with_capacity(self.len());
        for index in 0..self.count {
            tensor.append(self.start + index * self.stride, self.run, &mut bytes)?;
        }
        Ok(bytes.into())
    }

    /// Writes them to their places in a tensor that begins at byte `offset` of a file.
    pub(super) fn write(&self, writer: &Writer, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        let runs = bytes.chunks(self.run.max(1)).take(self.count);
        runs.enumerate()
            .try_for_each(|(index, run)| writer.write(offset + (self.start + index * self.stride) as u64, run))
    }
}

/// A tensor needs a message of so many bytes, which is more than the server takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLarge(pub(super) usize);
