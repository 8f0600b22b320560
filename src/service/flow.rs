//! A flow computes a tensor's result while the bytes of the tensor come, however these are cut.
//!
//! One call of the kernel computes a part. A part is a number of units, which are the smallest pieces into which the operation can
//! be cut: elements, rows, or all of the tensor. The results are written to sheets, and each sheet is handed on when it is full.

use std::{mem, sync::Arc};

use bytes::Bytes;
use evenkeel_kernels::Checkpoint;
use tokio::sync::OwnedSemaphorePermit;

use super::{
    sheet::{HEADROOM, Sheet},
    sink::UNITS,
};
use crate::{budget::Scratch, buffers::Buffers, error::Error, executor::Pieces, ops::Incremental};

/// A flow puts the bytes of small frames together until it has so many bytes, and then computes them: fewer are not worth a call
/// of the kernel.
const WORTH_A_CALL: usize = 1 << 15;

/// The form in which a tensor comes and its result goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// One message comes and one goes. The flow computes the whole units of a frame without a copy, however few they are, until
    /// a unit lies in two frames. A sheet has no head.
    Message,
    /// Messages with chunks come and go. A unit may be a single element, so the flow computes [`WORTH_A_CALL`] bytes or more at a
    /// time, except at the end of a sheet. A sheet has room for the head of its message.
    Chunks,
}

/// A tensor of which everything is known but its elements.
pub(super) struct Flow<I> {
    operation: Arc<I>,
    form: Form,
    /// Whether the last part lay within a frame. If so, the next frames are expected to hold whole units, too.
    in_place: bool,
    /// The number of bytes that were computed.
    taken: usize,
    /// The first `carried` bytes of this buffer are the beginning of a part whose other bytes have not come.
    carry: Vec<u8>,
    carried: usize,
    /// The sheet to which the next parts are written.
    sheet: Sheet,
    /// The place of the next sheet, if that is a unit which is longer than a chunk; see [`Sink::unit`](super::Sink::unit).
    unit: Option<OwnedSemaphorePermit>,
    /// The reservation for the bytes that are [held](Self::held). A part that is computed on the pool shares it, since such a part
    /// may outlive its call.
    scratch: Arc<Scratch>,
}

/// The results of a part.
pub(super) struct Computed<F> {
    pub(super) found: F,
    /// The sheet, if the part has filled it.
    pub(super) sheet: Option<Sheet>,
}

impl<I: Incremental> Flow<I> {
    /// A flow of which nothing has come. `scratch` is the reservation for the bytes that it [holds](Self::held).
    pub(super) fn new(operation: I, form: Form, scratch: Scratch) -> Self {
        let (operation, carry, sheet) = (Arc::new(operation), Vec::new(), Sheet::default());
        let scratch = Arc::new(scratch);
        Self { operation, form, in_place: true, taken: 0, carry, carried: 0, sheet, unit: None, scratch }
    }

    pub(super) fn operation(&self) -> &I {
        &self.operation
    }

    /// Returns the operation.
    ///
    /// # Panics
    /// If a part is still being computed.
    pub(super) fn into_operation(self) -> I {
        Arc::into_inner(self.operation).expect("a part that was computed is not held any more")
    }

    /// The number of bytes that have not come.
    pub(super) fn missing(&self) -> usize {
        self.operation.total_len() - self.taken - self.carried
    }

    /// Whether the next bytes begin a unit that is longer than a chunk of `chunk` bytes.
    pub(super) fn begins_unit(&self, chunk: usize) -> bool {
        self.sheet.is_none() && self.operation.unit_len() > chunk
    }

    /// Gives the next sheet its place among the units that are longer than a chunk. The sheet keeps the place until it was sent.
    pub(super) fn give_place(&mut self, place: OwnedSemaphorePermit) {
        self.unit = Some(place);
    }

    /// The most bytes that a flow holds at a time beside sheets of `chunk` bytes: the beginning of a part, and sheets for units
    /// that are longer than a chunk.
    pub(super) fn held(operation: &I, chunk: usize) -> usize {
        let (unit, total) = (operation.unit_len().max(1), operation.total_len());
        let units = if unit > chunk { UNITS.saturating_mul(unit.min(total)) } else { 0 };
        WORTH_A_CALL.next_multiple_of(unit).min(total).saturating_add(units)
    }

    /// Computes a part from the beginning of `bytes`, which lie in one frame and are at least one and no more than are missing. The
    /// answer is `None` if they do not complete a part; the flow then keeps them. A sheet has at most `chunk` bytes, but at least
    /// a unit.
    ///
    /// # Errors
    /// Those of the operation and of the executor.
    pub(super) async fn take(
        &mut self,
        bytes: &mut Bytes,
        pieces: &mut Pieces,
        buffers: &Buffers,
        chunk: usize,
    ) -> Result<Option<Computed<I::Found>>, Error> {
        let unit = self.operation.unit_len();
        if self.sheet.is_none() {
            let len = (chunk / unit * unit).max(unit);
            let headroom = match self.form {
                Form::Message => 0,
                Form::Chunks => HEADROOM,
            };
            let len = len.min(self.operation.total_len() - self.taken);
            self.sheet = Sheet::take(buffers, headroom, len, self.unit.take());
        }
        // Each sheet but the last has room for whole units, so `most` is a multiple of a unit, or all that is missing.
        let most = self.operation.part_len().max(unit).min(self.sheet.room());
        let gathered = match self.form {
            Form::Message if self.in_place => unit,
            Form::Message | Form::Chunks => WORTH_A_CALL.next_multiple_of(unit),
        };
        let gathered = gathered.min(most);
        if self.carried == 0 {
            let whole = if bytes.len() >= most { most } else { bytes.len() / unit * unit };
            if whole >= gathered {
                let part = bytes.split_to(whole);
                self.in_place = true;
                return self.compute(Input::There(part), pieces).await.map(Some);
            }
        }
        if self.carry.len() < gathered {
            // The buffer that is replaced is empty: `gathered` does not change while a part is put together.
            self.carry = buffers.take(gathered);
        }
        let here = bytes.split_to(bytes.len().min(gathered - self.carried));
        self.carry[self.carried..][..here.len()].copy_from_slice(&here);
        self.carried += here.len();
        if self.carried < gathered {
            return Ok(None);
        }
        self.carried = 0;
        self.in_place = false;
        let carry = mem::take(&mut self.carry);
        let computed = self.compute(Input::Carried(carry, gathered), pieces).await?;
        if self.missing() == 0 {
            // The buffer goes back to the pool.
            drop(buffers.lend(mem::take(&mut self.carry)));
        }
        Ok(Some(computed))
    }

    async fn compute(&mut self, input: Input, pieces: &mut Pieces) -> Result<Computed<I::Found>, Error> {
        let len = input.bytes().len();
        let (from, cost) = (self.taken, self.operation.cost(len));
        let (found, input) = if pieces.is_here(cost) {
            let Self { operation, sheet, .. } = self;
            let piece =
                |checkpoint: &dyn Checkpoint| operation.compute(from, input.bytes(), sheet.next(len), checkpoint);
            (pieces.run(cost, piece).await?, input)
        } else {
            let (operation, mut sheet) = (Arc::clone(&self.operation), mem::take(&mut self.sheet));
            let scratch = Arc::clone(&self.scratch);
            let piece = move |checkpoint: &dyn Checkpoint| {
                let _reserved = scratch;
                let found = operation.compute(from, input.bytes(), sheet.next(len), checkpoint)?;
                drop(operation);
                Ok((found, input, sheet))
            };
            let (found, input, sheet) = pieces.run_apart(cost, piece).await?;
            self.sheet = sheet;
            (found, input)
        };
        if let Input::Carried(carry, _) = input {
            self.carry = carry;
        }
        self.taken += len;
        self.sheet.wrote(len);
        let sheet = (self.sheet.room() == 0).then(|| mem::take(&mut self.sheet));
        Ok(Computed { found, sheet })
    }
}

/// The bytes of a part.
enum Input {
    /// The part lies in the frame in which it came.
    There(Bytes),
    /// The part was put together at the beginning of a buffer. The number is its length in bytes.
    Carried(Vec<u8>, usize),
}

impl Input {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::There(bytes) => bytes,
            Self::Carried(buffer, len) => &buffer[..*len],
        }
    }
}
