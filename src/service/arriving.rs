//! A normalization that is computed while its tensor arrives.

use std::sync::Arc;

use bytes::Bytes;
use evenkeel_frames::Bulk as _;
use evenkeel_kernels::{NormalizationByParts, PartStatistics, Uninterrupted};
use evenkeel_proto::v1 as pb;
use prost::{
    Message,
    encoding::{encoded_len_varint, key_len},
};

use super::{
    CallContext, Service, check_size,
    flow::{Computed, Flow, Form},
    reserve,
};
use crate::{
    budget::Scratch,
    error::Error,
    estimate::{self, Work},
    executor::Pieces,
    ops::{Incremental as _, NormalizePart, normalize_demand_of},
    wire::{self, AnswerSize, Description},
};

/// The bytes of the output that are handed on at once: few enough to be in a core's cache until they are sent, and enough to be
/// worth a system call and a buffer of the pool.
const SHEET: usize = 1 << 19;

/// A normalization whose input has elements that have not come.
pub(crate) struct Arriving {
    service: Arc<Service>,
    context: CallContext,
    /// The reservation for the statistics. It ends when they are encoded as an answer.
    scratch: Scratch,
    call: wire::Normalize<Description>,
    flow: Flow<NormalizePart>,
    pieces: Pieces,
    /// The statistics of the parts so far; empty if the answer has no statistics.
    statistics: PartStatistics,
    gives_statistics: bool,
}

impl Service {
    /// Begins a call whose input has `data_len` bytes, which have not come. The answer is `None` if the call cannot be computed in
    /// parts, must not hold up this thread, is not valid, or does not fit the budget. The route for whole messages then computes
    /// it, or finds the fault again, when all of the message is there.
    pub(crate) fn normalize_arriving(
        self: &Arc<Self>,
        context: &CallContext,
        request: pb::NormalizeRequest,
        data_len: usize,
    ) -> Option<Arriving> {
        // Checking merged statistics and computing with them would hold up this thread for too long.
        if request.statistics.is_some() {
            return None;
        }
        let call = wire::Normalize::arriving(request, data_len, self.limits.message).ok()?;
        let pieces = self.executor.pieces(&context.record)?;
        if !pieces.is_here(estimate::parameters(call.parameters.elements())) {
            return None;
        }
        let (dtype, shape) = (call.input.dtype(), call.input.shape());
        let parts =
            NormalizationByParts::new(&call.spec, &call.parameters.view(), dtype, shape, &Uninterrupted).ok()?;
        if parts.part_len() >= parts.total_len() {
            return None;
        }
        let demand = normalize_demand_of(&call).ok()?;
        let size = AnswerSize::of([&call.input], demand.results);
        let scratch = reserve(context, &demand, size, self.limits.message).ok()?;
        context.record.describe_one(call.spec.kind, dtype, shape);
        let gives_statistics = parts.gives_statistics(call.return_statistics);
        // The message and its answer have reserved the bytes that the flow holds.
        let reserved = context.reservation.reserve_with_scratch(0, 0).ok()?;
        let operation = NormalizePart { operation: parts.into(), dtype, sets: demand.units };
        Some(Arriving {
            service: Arc::clone(self),
            context: context.clone(),
            scratch,
            call,
            flow: Flow::new(operation, Form::Message, reserved),
            pieces,
            statistics: PartStatistics::default(),
            gives_statistics,
        })
    }
}

impl Arriving {
    /// The number of bytes of the output, which is that of the input.
    pub(crate) fn data_len(&self) -> usize {
        self.flow.operation().total_len()
    }

    /// The number of bytes of the input that have not come.
    pub(crate) fn missing(&self) -> usize {
        self.flow.missing()
    }

    /// The answer without its elements, if no other field depends on them and the answer is not too large. The elements may
    /// follow it as they are computed.
    pub(crate) fn foreseen(&self) -> Option<pb::NormalizeResponse> {
        if self.gives_statistics {
            return None;
        }
        let answer = self.call.encode_beginning(self.flow.operation().operation.axes());
        check_size(len_with_data(&answer, self.data_len()), self.service.limits.message).ok().map(|()| answer)
    }

    /// Normalizes a part from the beginning of `bytes`, which lie in one frame and are no more than are missing. If they make no
    /// part, the call keeps them for the next one. Returns the next bytes of the output if the part has filled a sheet.
    ///
    /// # Errors
    /// Those of the executor.
    pub(crate) async fn take(&mut self, bytes: &mut Bytes) -> Result<Option<Bytes>, Error> {
        let Self { service, flow, pieces, statistics, gives_statistics, .. } = self;
        let buffers = service.executor.buffers();
        let Some(Computed { found, sheet }) = flow.take(bytes, pieces, buffers, SHEET).await? else { return Ok(None) };
        if let Some(found) = found.filter(|_| *gives_statistics) {
            flow.operation().operation.gather(statistics, found);
        }
        Ok(sheet.map(|sheet| sheet.into_bytes(buffers)))
    }

    /// Returns the answer without its elements. All of the input must have been taken.
    ///
    /// # Errors
    /// [`Error::ResponseTooLarge`], and those of the executor.
    pub(crate) async fn finish(self) -> Result<pb::NormalizeResponse, Error> {
        let Self { service, context, scratch, call, flow, pieces, statistics, gives_statistics } = self;
        // Dropping the pieces counts their job in the metrics. That comes before the answer, so that a client that has the answer
        // finds the job counted.
        drop(pieces);
        let NormalizePart { operation, sets, .. } = flow.into_operation();
        let limit = service.limits.message;
        let finish = move || {
            let _scratch = scratch;
            let data_len = operation.total_len();
            let result = operation.finish(&call.parameters.view(), call.return_statistics, statistics);
            let answer = call.encode(result.map_output(|()| Bytes::new()));
            check_size(len_with_data(&answer, data_len), limit).map(|()| answer)
        };
        if !gives_statistics {
            return finish();
        }
        // This may take long: rows may have one element each, and then there are as many statistics as elements.
        let estimate = Work::Normalize.estimate(&[], sets);
        context.run(&service.executor, estimate, move |_| finish()).await
    }
}

/// The length of the encoded answer with `data_len` bytes of elements, which `answer` does not have.
fn len_with_data(answer: &pb::NormalizeResponse, data_len: usize) -> usize {
    let tensor = answer.output.as_ref().map_or(0, Message::encoded_len);
    let data = key_len(pb::Tensor::DATA) + encoded_len_varint(data_len as u64) + data_len;
    let prefix = |len: usize| encoded_len_varint(len as u64);
    answer.encoded_len() - prefix(tensor) + prefix(tensor + data) + data
}
