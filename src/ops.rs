//! The operations behind the unary calls: what each needs, what it costs, and how it is computed. A new operation is one
//! file here, one in `wire`, and a line where the paths of calls are told apart.

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

/// An operation that takes one message and gives one.
pub(crate) trait Operation: Sized + Send + 'static {
    /// The message that asks for it.
    type Request: Message + Default + 'static;
    /// The message that answers it.
    type Response: Message + Send + 'static;

    /// Takes a request apart. `limit`: the largest message, in bytes.
    ///
    /// # Errors
    /// [`Error::Invalid`] for tensors that are none.
    fn decode(request: Self::Request, limit: usize) -> Result<Self, Error>;

    /// Tells the record of the call what is computed, on what.
    fn describe(&self, record: &CallRecord);

    /// What it needs beside its request and an output of the same size.
    ///
    /// # Errors
    /// [`Error::Invalid`] for arguments that do not fit.
    fn demand(&self) -> Result<Demand, Error>;

    /// How large its answer is, with other results of so many bytes than the output.
    fn answer_size(&self, results: usize) -> AnswerSize;

    /// How long it takes on one thread, roughly.
    fn cost(&self, demand: &Demand) -> Duration;

    /// Computes, and encodes the answer. `loan`: the buffer of the message, if it was put together in one.
    ///
    /// # Errors
    /// Those of the kernels.
    fn compute(
        self: Box<Self>,
        loan: Option<Loan>,
        buffers: &Buffers,
        checkpoint: &dyn Checkpoint,
    ) -> Result<Self::Response, Error>;
}
