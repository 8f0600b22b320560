//! The remote calls: each decodes its request, computes on the pool, and encodes the answer.

mod arriving;
mod clip_stream;
mod codec;
mod context;
mod dropout_stream;
mod flow;
mod measure;
mod messages;
mod normalize_stream;
mod sheet;
mod sink;
mod statistics;
mod tensor_stream;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use evenkeel_kernels::{Checkpoint, Demand};
use evenkeel_proto::v1 as pb;
use prost::Message;
use tonic::Status;

pub(crate) use arriving::Arriving;
pub(crate) use clip_stream::ClipGradientsStream;
pub(crate) use codec::Codec;
pub(crate) use context::CallContext;
pub(crate) use dropout_stream::DropoutStream;
pub(crate) use messages::{Messages, RawDecoder};
pub(crate) use normalize_stream::NormalizeStream;
pub(crate) use sink::{Next, QUEUED, Sink};
pub(crate) use tensor_stream::{DATA, TensorStream};

use crate::{
    budget::Scratch,
    buffers::{Buffers, Loan},
    config::Encoding,
    decoded_size,
    error::Error,
    executor::Executor,
    grpc::Method,
    ops::Operation,
    wire::{self, AnswerSize},
};

/// A message that becomes so many bytes when it is decoded, or has very many fields, is decoded on the pool: some hundred
/// microseconds, during which the thread that serves would serve nobody else.
const HEAVY: usize = 192 << 10;

/// What a call may allocate uncounted: this part of what it holds, and no more than that. So the largest message is served
/// where the budget is no larger than two of it.
const UNCOUNTED_PART: usize = 32;
const UNCOUNTED: usize = 64 << 10;

/// What `evenkeel.v1.TensorOpsService` does.
#[derive(Debug)]
pub(crate) struct Service {
    executor: Arc<Executor>,
    max_message_bytes: usize,
    max_stream_chunk_bytes: usize,
    compression: Vec<Encoding>,
}

/// An operation that was admitted: what it needs is reserved.
struct Admitted<O> {
    operation: Box<O>,
    cost: Duration,
    scratch: Scratch,
}

impl Service {
    /// Computes on `executor`; neither takes nor gives messages of more than `max_message_bytes`, which may be compressed
    /// as `compression` says, and gives no chunks of more than `max_stream_chunk_bytes`.
    pub(crate) fn new(
        executor: Arc<Executor>,
        max_message_bytes: usize,
        max_stream_chunk_bytes: usize,
        compression: Vec<Encoding>,
    ) -> Self {
        Self { executor, max_message_bytes, max_stream_chunk_bytes, compression }
    }

    /// Where results are written.
    pub(crate) fn buffers(&self) -> &Buffers {
        self.executor.buffers()
    }

    /// Answers GetServerInfo.
    pub(crate) fn server_info(&self) -> pb::GetServerInfoResponse {
        wire::encode_server_info(self.max_message_bytes, self.max_chunk(), &self.compression)
    }

    /// Answers a request, whichever way its message came. `loan`: the buffer of the message, if it was put together in one.
    ///
    /// A request is decoded before the future is made, and into a box: a future that holds it by value would be some KiB
    /// that are copied whenever it is put into another one, more than a small call's arithmetic.
    pub(crate) fn unary<O: Operation>(
        &self,
        context: CallContext,
        request: O::Request,
        loan: Option<Loan>,
    ) -> impl Future<Output = Result<O::Response, Error>> {
        let limit = self.max_message_bytes;
        let operation = O::decode(request, limit).map(Box::new);
        async move {
            let admitted = admit(&context, operation?, limit)?;
            let buffers = self.executor.buffers().clone();
            let cost = admitted.cost;
            self.executor
                .run(&context.record, cost, move |checkpoint| admitted.compute(loan, &buffers, limit, checkpoint))
                .await
        }
    }

    /// Whether a message is to be answered by [`decoded_apart`](Self::decoded_apart).
    pub(crate) fn is_heavy(method: Method, message: &[u8]) -> bool {
        decoded_size::is_above(method, message, HEAVY)
    }

    /// As [`unary`](Self::unary), of a message that is decoded on the pool, where `respond` then makes something of the
    /// answer.
    pub(crate) async fn decoded_apart<O: Operation, T: Send + 'static>(
        &self,
        context: CallContext,
        message: Bytes,
        loan: Option<Loan>,
        respond: fn(O::Response) -> T,
    ) -> Result<T, Error> {
        let limit = self.max_message_bytes;
        let buffers = self.executor.buffers().clone();
        let record = context.record.clone();
        let job = move |checkpoint: &dyn Checkpoint| {
            let request = O::Request::decode(message)
                .map_err(|error| Error::receiving(&Status::internal(error.to_string()), limit))?;
            checkpoint.check()?;
            let operation = Box::new(O::decode(request, limit)?);
            checkpoint.check()?;
            admit(&context, operation, limit)?.compute(loan, &buffers, limit, checkpoint).map(respond)
        };
        self.executor.run(&record, Duration::MAX, job).await
    }
}

/// Takes from the budget what the operation will hold and allocate beside its request and an output of the same size.
///
/// # Errors
/// The arguments do not fit; the answer is larger than `limit`; or the memory is not there, or never will be.
fn admit<O: Operation>(context: &CallContext, operation: Box<O>, limit: usize) -> Result<Admitted<O>, Error> {
    operation.describe(&context.record);
    let demand = operation.demand()?;
    let scratch = reserve(context, &demand, operation.answer_size(demand.results), limit)?;
    Ok(Admitted { cost: operation.cost(&demand), operation, scratch })
}

fn reserve(context: &CallContext, demand: &Demand, size: AnswerSize, limit: usize) -> Result<Scratch, Error> {
    check_size(size.message, limit)?;
    let reservation = &context.reservation;
    let uncounted = (reservation.bytes() / UNCOUNTED_PART).min(UNCOUNTED);
    let scratch = demand.scratch.saturating_sub(uncounted);
    let beside = size.beside.saturating_sub(uncounted - uncounted.min(demand.scratch));
    reservation.reserve_with_scratch(beside, scratch)
}

impl<O: Operation> Admitted<O> {
    fn compute(
        self,
        loan: Option<Loan>,
        buffers: &Buffers,
        limit: usize,
        checkpoint: &dyn Checkpoint,
    ) -> Result<O::Response, Error> {
        let Self { operation, cost: _, scratch: _scratch } = self;
        let answer = operation.compute(loan, buffers, checkpoint)?;
        check_size(answer.encoded_len(), limit).map(|()| answer)
    }
}

/// Refuses an answer that the client, with the same limit, would not take.
fn check_size(size: usize, limit: usize) -> Result<(), Error> {
    if size > limit { Err(Error::ResponseTooLarge { size, limit }) } else { Ok(()) }
}
