//! A flow computes a tensor's result while the bytes of the tensor come, however these are cut.

use std::{mem, sync::Arc};

use bytes::Bytes;
use evenkeel_kernels::Checkpoint;
use tokio::sync::OwnedSemaphorePermit;

use super::{
    sheet::{HEADROOM, Sheet},
    sink::UNITS,
};
use crate::{budget::Scratch, buffers::Buffers, error::Error, executor::Pieces, ops::Incremental};

/// A flow puts the bytes of small frames together until it has so many, and computes them then: a call of a kernel is worth that.
const WORTH_A_CALL: usize = 1 << 15;

/// The form in which a tensor comes and its result goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// One message comes and one goes. The flow computes the units that a frame holds where they are, until a unit lies in two
    /// frames. Nothing lies between two sheets.
    Message,
    /// Messages with chunks come and go. A unit may be a single element, so the flow computes no fewer than [`WORTH_A_CALL`]
    /// bytes. A sheet has room for the head of its message.
    Chunks,
}

/// A tensor of which everything is known but its elements.
pub(super) struct Flow<I> {
    operation: Arc<I>,
    form: Form,
    /// The last part lay within a frame, so the frames are taken to be large.
    in_place: bool,
    /// The bytes that were computed.
    taken: usize,
    /// The beginning of this buffer, `carried` bytes, waits for more bytes to make a part.
    carry: Vec<u8>,
    carried: usize,
    /// The next parts are written here.
    sheet: Sheet,
    /// The place of the next sheet, if it is a unit that is longer than a chunk and such units have places.
    unit: Option<OwnedSemaphorePermit>,
    /// What is reserved for all of these. A part that is computed elsewhere shares it: it may outlive its call.
    scratch: Arc<Scratch>,
}

/// The results of a part.
pub(super) struct Computed<F> {
    pub(super) found: F,
    /// The sheet, if the part has filled it.
    pub(super) sheet: Option<Sheet>,
}

impl<I: Incremental> Flow<I> {
    /// `scratch`: for what is [held](Self::held).
    pub(super) fn new(operation: I, form: Form, scratch: Scratch) -> Self {
        let (operation, carry, sheet) = (Arc::new(operation), Vec::new(), Sheet::default());
        let scratch = Arc::new(scratch);
        Self { operation, form, in_place: true, taken: 0, carry, carried: 0, sheet, unit: None, scratch }
    }

    pub(super) fn operation(&self) -> &I {
        &self.operation
    }

    /// The operation. All parts must have been computed.
    pub(super) fn into_operation(self) -> I {
        Arc::into_inner(self.operation).expect("a part that was computed is not held any more")
    }

    /// The bytes that have not come.
    pub(super) fn missing(&self) -> usize {
        self.operation.total_len() - self.taken - self.carried
    }

    /// Whether the next bytes begin a unit that is longer than a chunk of `chunk` bytes.
    pub(super) fn begins_unit(&self, chunk: usize) -> bool {
        self.sheet.is_none() && self.operation.unit_len() > chunk
    }

    /// Gives the next sheet its place among the units that are longer than a chunk. The sheet keeps it until it was sent.
    pub(super) fn give_place(&mut self, place: OwnedSemaphorePermit) {
        self.unit = Some(place);
    }

    /// The bytes that a flow holds at a time beside sheets of `chunk` bytes: those that wait for others, and units that are longer
    /// than a chunk.
    pub(super) fn held(operation: &I, chunk: usize) -> usize {
        let (unit, total) = (operation.unit_len().max(1), operation.total_len());
        let units = if unit > chunk { UNITS.saturating_mul(unit.min(total)) } else { 0 };
        WORTH_A_CALL.next_multiple_of(unit).min(total).saturating_add(units)
    }

    /// Takes a part from the beginning of `bytes`, which lie in one frame, are no more than are missing, and at least one. The
    /// answer is `None` if they do not make a part; the flow keeps them then. A sheet has at most `chunk` bytes, but at least
    /// a unit.
    ///
    /// # Errors
    /// The operation's errors, and the pool's.
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
        // A sheet has room for whole units alone, so `most` is a number of them.
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
            // The old buffer carries nothing: `gathered` does not change while a part is put together.
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
    /// The part lies in the frame in which it came.
    There(Bytes),
    /// The part was put together at the beginning of a buffer, and has so many bytes.
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
