//! The calls of the tensor service. The memory of an operation is reserved before the executor computes it.
//!
//! # Words
//!
//! A tensor may come in bytes that are cut anywhere, and its result goes out while it is computed:
//!
//! | word | meaning |
//! |---|---|
//! | unit | the smallest number of elements that an operation can compute by itself: one, eight of a dropout, a row, or all of the tensor |
//! | part | whole units that one call of the kernel computes; the last part of a tensor may end within a unit |
//! | flow | the computation of one tensor: it cuts the bytes that come into parts, and writes the results to sheets |
//! | sheet | a buffer for the results that are sent together. A flow hands a sheet on when it is full |
//! | sink | takes the messages of a stream's answer, and waits while the channel to the connection has no room |
//! | chunk | the bytes of a tensor in one message of a stream |
//! | piece | an item of that channel: a whole message, or its head or its chunk alone. The executor's pieces are parts |
//!
//! `direct/parts.rs` has parts of a request: a message, or bytes of one.

mod arriving;
mod clip_stream;
mod codec;
mod context;
mod dropout_stream;
mod flow;
mod measure;
mod messages;
mod normalize_stream;
mod request_bytes;
mod separated;
mod sheet;
mod sink;
mod statistics;
mod tensor_stream;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use evenkeel_kernels::{Checkpoint, Demand};
use evenkeel_proto::v1 as pb;
use prost::Message;

pub(crate) use arriving::Arriving;
pub(crate) use clip_stream::ClipGradientsStream;
pub(crate) use codec::Codec;
pub(crate) use context::CallContext;
pub(crate) use dropout_stream::DropoutStream;
pub(crate) use messages::Messages;
pub(crate) use normalize_stream::NormalizeStream;
pub(crate) use request_bytes::{RequestBytes, cut};
pub(crate) use separated::Separated;
pub(crate) use sink::{CAPACITY, Next, Sink};
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

/// The most bytes that a message may become when it is decoded on the thread that serves, beside those that `decoded_size` lets
/// every call take. Messages that become more, or that have very many fields, are decoded on the pool: decoding them takes some
/// hundred microseconds or more, in which the thread would serve no other call.
const HEAVY: usize = 192 << 10;

/// A call may allocate its reservation divided by this without counting it. So the largest message is served even if the budget
/// is as small as it may be: twice that message, which the message and its answer reserve.
const UNCOUNTED_PART: usize = 32;
/// The most bytes that a call may allocate without counting them.
const UNCOUNTED: usize = 64 << 10;

/// The implementation of `evenkeel.v1.TensorOpsService`.
#[derive(Debug)]
pub(crate) struct Service {
    executor: Arc<Executor>,
    limits: Limits,
    compression: Vec<Encoding>,
}

/// The most bytes of what comes and goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Of a message in either direction.
    pub(crate) message: usize,
    /// Of a chunk of a stream of tensors that the server sends.
    pub(crate) chunk: usize,
    /// Of a frame that a client sends.
    pub(crate) frame: usize,
}

/// An operation whose memory is reserved.
struct Admitted<O> {
    operation: Box<O>,
    cost: Duration,
    scratch: Scratch,
}

impl Service {
    /// A service that computes on `executor`. `compression` lists the encodings that it reports to clients.
    pub(crate) fn new(executor: Arc<Executor>, limits: Limits, compression: Vec<Encoding>) -> Self {
        Self { executor, limits, compression }
    }

    /// The most bytes of a frame that a client sends.
    pub(crate) fn max_frame(&self) -> usize {
        self.limits.frame
    }

    /// The pool of the buffers to which results are written.
    pub(crate) fn buffers(&self) -> &Buffers {
        self.executor.buffers()
    }

    /// Answers GetServerInfo.
    pub(crate) fn server_info(&self) -> pb::GetServerInfoResponse {
        wire::encode_server_info(self.limits.message, self.max_chunk(), &self.compression)
    }

    /// Answers a request. `loan` is the right to take back the buffer of the message, if the message was put together in one.
    ///
    /// The operation is decoded before the future is made, and into a box. A future that held it by value would have some KiB,
    /// and copying these whenever the future moves into another one takes longer than the arithmetic of a small call.
    ///
    /// # Errors
    /// Those of the operation, of its reservation and of the executor; [`Error::ResponseTooLarge`].
    pub(crate) fn unary<O: Operation>(
        &self,
        context: CallContext,
        request: O::Request,
        loan: Option<Loan>,
    ) -> impl Future<Output = Result<O::Response, Error>> {
        let limit = self.limits.message;
        let operation = O::decode(request, limit).map(Box::new);
        async move {
            let admitted = admit(&context, operation?, limit)?;
            let buffers = self.executor.buffers().clone();
            let cost = admitted.cost;
            context
                .run(&self.executor, cost, move |checkpoint| admitted.compute(loan, &buffers, limit, checkpoint))
                .await
        }
    }

    /// Whether decoding a message takes so long that it is done on the pool, as in [`decoded_apart`](Self::decoded_apart).
    pub(crate) fn is_heavy(method: Method, message: &[u8]) -> bool {
        decoded_size::takes_long(method, message, HEAVY)
    }

    /// As [`unary`](Self::unary), for a message that is decoded on the pool. `respond` runs there, too: it makes the response
    /// from an answer that may take as long to encode.
    ///
    /// # Errors
    /// As [`unary`](Self::unary), and those of a message that cannot be decoded.
    pub(crate) async fn decoded_apart<O: Operation, T: Send + 'static>(
        &self,
        context: CallContext,
        message: Bytes,
        loan: Option<Loan>,
        respond: fn(O::Response) -> T,
    ) -> Result<T, Error> {
        let limit = self.limits.message;
        let buffers = self.executor.buffers().clone();
        let of_call = context.clone();
        let job = move |checkpoint: &dyn Checkpoint| {
            let request = O::Request::decode(message).map_err(|error| Error::undecodable(&error))?;
            checkpoint.check()?;
            let operation = Box::new(O::decode(request, limit)?);
            checkpoint.check()?;
            admit(&context, operation, limit)?.compute(loan, &buffers, limit, checkpoint).map(respond)
        };
        of_call.run(&self.executor, Duration::MAX, job).await
    }
}

/// Reserves the memory that the operation needs beside its request and an output of the same size.
///
/// # Errors
/// [`Error::Invalid`] for arguments that do not fit; [`Error::ResponseTooLarge`] if the answer has more than `limit` bytes;
/// [`Error::Overloaded`] or [`Error::TooMuchMemory`] if the budget has no room.
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

/// Refuses an answer of more than `limit` bytes: a client that has the same limit for messages could not receive it.
///
/// # Errors
/// [`Error::ResponseTooLarge`].
fn check_size(size: usize, limit: usize) -> Result<(), Error> {
    if size > limit { Err(Error::ResponseTooLarge { size, limit }) } else { Ok(()) }
}
