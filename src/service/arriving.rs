//! A normalization that is computed while its tensor arrives.

use std::sync::Arc;

use bytes::Bytes;
use evenkeel_frames::Bulk as _;
use evenkeel_kernels::{NormalizationByParts, Normalized, PartStatistics, Uninterrupted};
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

/// So many bytes of the output are handed on at once. A core's cache still has them when they are sent, and they are worth a
/// system call and a buffer of the pool.
const SHEET: usize = 1 << 19;

/// A call whose input's elements are still on their way.
pub(crate) struct Arriving {
    service: Arc<Service>,
    context: CallContext,
    /// The reservation for the statistics, until they are an answer.
    scratch: Scratch,
    call: wire::Normalize<Description>,
    flow: Flow<NormalizePart>,
    pieces: Pieces,
    /// The statistics of the parts; none if the answer gives none.
    statistics: PartStatistics,
    gives_statistics: bool,
}

impl Service {
    /// Begins a call whose input's `data_len` bytes are still on their way. The answer is `None` if the call cannot be computed in
    /// parts, or is not valid: the other route finds the fault again when all of the message is there.
    pub(crate) fn normalize_arriving(
        self: &Arc<Self>,
        context: &CallContext,
        request: pb::NormalizeRequest,
        data_len: usize,
    ) -> Option<Arriving> {
        // Merged statistics take longer to check and to compute with than this thread may be taken.
        if request.statistics.is_some() {
            return None;
        }
        let call = wire::Normalize::arriving(request, data_len, self.max_message_bytes).ok()?;
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
        let scratch = reserve(context, &demand, size, self.max_message_bytes).ok()?;
        context.record.describe_one(call.spec.kind, dtype, shape);
        let gives_statistics = parts.gives_statistics(call.return_statistics);
        // Its bytes are in the reservation already.
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

    /// The answer without its elements, if nothing of it depends on them and it is not too large: they may follow it as they
    /// are computed.
    pub(crate) fn foreseen(&self) -> Option<pb::NormalizeResponse> {
        if self.gives_statistics {
            return None;
        }
        let axes = self.flow.operation().operation.axes().to_vec();
        let output = Bytes::new();
        let result = Normalized { axes, mean: None, rstd: None, running_mean: None, running_var: None, output };
        let answer = self.call.encode(result);
        check_size(len_with_data(&answer, self.data_len()), self.service.max_message_bytes).ok().map(|()| answer)
    }

    /// Normalizes a part from the beginning of `bytes`, which lie in one frame and are no more than are missing; if they make no
    /// part, the call keeps them for the next one. Returns the next stretch of the output, if the part completes it.
    pub(crate) async fn take(&mut self, bytes: &mut Bytes) -> Result<Option<Bytes>, Error> {
        let Self { service, flow, pieces, statistics, gives_statistics, .. } = self;
        let buffers = service.executor.buffers();
        let Some(Computed { found, sheet }) = flow.take(bytes, pieces, buffers, SHEET).await? else { return Ok(None) };
        if let Some(found) = found.filter(|_| *gives_statistics) {
            flow.operation().operation.gather(statistics, found);
        }
        Ok(sheet.map(|sheet| sheet.into_bytes(buffers)))
    }

    /// The answer without its elements, once all of the input was taken.
    pub(crate) async fn finish(self) -> Result<pb::NormalizeResponse, Error> {
        let Self { service, context, scratch, call, flow, pieces, statistics, gives_statistics } = self;
        // The job is counted before the answer is there, so that a client that has the answer finds it counted.
        drop(pieces);
        let NormalizePart { operation, sets, .. } = flow.into_operation();
        let limit = service.max_message_bytes;
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
        // Rows may have one element each, and then there are as many statistics as elements.
        let estimate = Work::Normalize.estimate(&[], sets);
        service.executor.run(&context.record, estimate, move |_| finish()).await
    }
}

/// The length of an answer with its elements, `data_len` bytes, which `answer` lacks.
fn len_with_data(answer: &pb::NormalizeResponse, data_len: usize) -> usize {
    let tensor = answer.output.as_ref().map_or(0, Message::encoded_len);
    let data = key_len(pb::Tensor::DATA) + encoded_len_varint(data_len as u64) + data_len;
    let prefix = |len: usize| encoded_len_varint(len as u64);
    answer.encoded_len() - prefix(tensor) + prefix(tensor + data) + data
}
