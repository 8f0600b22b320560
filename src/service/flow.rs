//! Computing a tensor's result while its bytes come, however they are cut.

use std::{mem, sync::Arc};

use bytes::Bytes;
use evenkeel_kernels::Checkpoint;

use super::{
    sheet::Sheet,
    sink::{Sink, UNITS},
};
use crate::{budget::Scratch, buffers::Buffers, error::Error, executor::Pieces, ops::Incremental};

/// Where the pieces of bytes are small, so many of them are put together before anything is computed.
const WORTH_A_CALL: usize = 1 << 15;

/// A tensor of which everything is known but its elements.
pub(super) struct Flow<I> {
    operation: Arc<I>,
    /// The bytes that were computed.
    taken: usize,
    /// Bytes that do not make a part yet, at its beginning, and how many.
    carry: Vec<u8>,
    carried: usize,
    /// Where the next parts are written.
    sheet: Sheet,
    /// What is reserved for all of these. A part that is computed elsewhere shares it: it may outlive its call.
    scratch: Arc<Scratch>,
}

/// What a part has brought.
pub(super) struct Computed<F> {
    pub(super) found: F,
    /// A sheet that is full.
    pub(super) sheet: Option<Sheet>,
}

impl<I: Incremental> Flow<I> {
    /// `scratch`: for what is [held](Self::held).
    pub(super) fn new(operation: I, scratch: Scratch) -> Self {
        let (operation, scratch) = (Arc::new(operation), Arc::new(scratch));
        Self { operation, taken: 0, carry: Vec::new(), carried: 0, sheet: Sheet::default(), scratch }
    }

    pub(super) fn operation(&self) -> &I {
        &self.operation
    }

    /// The operation, once all was computed.
    pub(super) fn into_operation(self) -> I {
        Arc::into_inner(self.operation).expect("a part that was computed is not held any more")
    }

    /// The bytes that have not come.
    pub(super) fn missing(&self) -> usize {
        self.operation.total_len() - self.taken - self.carried
    }

    /// What it holds at a time beside sheets of `chunk` bytes: the bytes that wait for others, and units that are longer.
    pub(super) fn held(operation: &I, chunk: usize) -> usize {
        let (unit, total) = (operation.unit_len().max(1), operation.total_len());
        let units = if unit > chunk { UNITS.saturating_mul(unit.min(total)) } else { 0 };
        WORTH_A_CALL.next_multiple_of(unit).min(total).saturating_add(units)
    }

    /// Takes from the beginning of `bytes`, which are no more than are missing, and not none. `None`: they do not make a part.
    ///
    /// # Errors
    /// Those of the operation, and of the pool.
    pub(super) async fn take(
        &mut self,
        bytes: &mut Bytes,
        pieces: &mut Pieces,
        buffers: &Buffers,
        sink: &Sink,
    ) -> Result<Option<Computed<I::Found>>, Error> {
        let unit = self.operation.unit_len();
        if self.sheet.is_none() {
            let chunk = sink.chunk();
            let len = (chunk / unit * unit).max(unit).min(self.operation.total_len() - self.taken);
            let place = if unit > chunk { Some(sink.unit().await) } else { None };
            self.sheet = Sheet::take(buffers, len, place);
        }
        let most = self.operation.part_len().max(unit).min(self.sheet.room());
        let gathered = WORTH_A_CALL.next_multiple_of(unit).min(most);
        if self.carried == 0 {
            let whole = if bytes.len() >= most { most } else { bytes.len() / unit * unit };
            if whole >= gathered {
                let part = bytes.split_to(whole);
                return self.compute(Input::There(part), pieces).await.map(Some);
            }
        }
        if self.carry.len() < gathered {
            // Nothing is carried in it: a gathered part is never longer than the first was.
            self.carry = buffers.take(gathered);
        }
        let here = bytes.split_to(bytes.len().min(gathered - self.carried));
        self.carry[self.carried..][..here.len()].copy_from_slice(&here);
        self.carried += here.len();
        if self.carried < gathered {
            return Ok(None);
        }
        self.carried = 0;
        let carry = mem::take(&mut self.carry);
        self.compute(Input::Carried(carry, gathered), pieces).await.map(Some)
    }

    async fn compute(&mut self, input: Input, pieces: &mut Pieces) -> Result<Computed<I::Found>, Error> {
        let len = input.bytes().len();
        let (from, cost) = (self.taken, self.operation.cost(len));
        let (found, input) = if pieces.is_here(cost) {
            let Self { operation, sheet, .. } = self;
            let piece =
                |checkpoint: &dyn Checkpoint| operation.compute(from, input.bytes(), sheet.next(len), checkpoint);
            (pieces.run(piece).await?, input)
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
    /// As they came.
    There(Bytes),
    /// Put together: a buffer, and how many bytes of it.
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
