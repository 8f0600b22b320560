//! The operations behind the unary calls: the memory and time that each needs, and its computation. `incremental` has
//! those of streams, whose tensors come in parts. A new operation has one file here and one in `wire`; its methods
//! stand in the table of `Method` (`evenkeel-proto`) and in `direct.rs`.

mod clip;
mod dropout;
mod incremental;
mod normalize;

use std::time::Duration;

use evenkeel_kernels::{Checkpoint, Demand};
use prost::Message;

pub(crate) use self::{
    clip::clip_work,
    incremental::{ClipPart, DropoutPart, Incremental, NormalizePart},
    normalize::{normalize_demand_of, normalize_in_order_demand_of},
};
use crate::{
    buffers::{Buffers, Loan},
    error::Error,
    observe::CallRecord,
    wire::AnswerSize,
};

/// An operation of a unary call: its request and its response are one message each.
pub(crate) trait Operation: Sized + Send + 'static {
    /// The message of the request.
    type Request: Message + Default + 'static;
    /// The message of the response.
    type Response: Message + Send + 'static;

    /// Decodes a request. `limit`: the largest message, in bytes.
    ///
    /// # Errors
    /// [`Error::Invalid`] for tensors whose bytes do not fit their dtype and shape, and for missing or unknown options.
    fn decode(request: Self::Request, limit: usize) -> Result<Self, Error>;

    /// Writes the kind of the operation and a description of its tensors to the record of the call.
    fn describe(&self, record: &CallRecord);

    /// The memory and work of the operation, beside its request and an output of the same size.
    ///
    /// # Errors
    /// [`Error::Invalid`] for arguments that do not fit.
    fn demand(&self) -> Result<Demand, Error>;

    /// The size of the answer. `results`: the bytes of all results but the output.
    fn answer_size(&self, results: usize) -> AnswerSize;

    /// An estimate of the time that the operation takes on one thread.
    fn cost(&self, demand: &Demand) -> Duration;

    /// Computes the operation and encodes its answer. `loan`: the right to take back the buffer of the message, if the
    /// message lies in one of the pool. `buffers`: the pool that outputs return to.
    ///
    /// # Errors
    /// The errors of the kernels, and [`Error::Invalid`] for statistics that no elements have.
    fn compute(
        self: Box<Self>,
        loan: Option<Loan>,
        buffers: &Buffers,
        checkpoint: &dyn Checkpoint,
    ) -> Result<Self::Response, Error>;
}
