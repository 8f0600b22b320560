//! NormalizeStream.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use evenkeel_kernels::{Checkpoint, NormalizationInOrder, PartStatistics};
use evenkeel_proto::v1::{self as pb, normalize_stream_request::Part, normalize_stream_response::Part as Answer};

use super::{
    CallContext, Service, check_size,
    sink::Sink,
    tensor_stream::{Tensor, TensorStream, no_header, no_part, second_header},
};
use crate::{
    budget::Scratch,
    error::Error,
    estimate::{self, Work},
    ops::{NormalizePart, normalize_in_order_demand_of},
    wire::{AnswerSize, Description, Normalize},
};

/// The two calls that normalize a tensor with a set which does not fit in memory, for the text of an error.
const WAY: &str = "MeasureStatistics of the same tensor, and then the stream with its answer as `statistics`";

/// A call of NormalizeStream.
pub(crate) struct NormalizeStream {
    service: Arc<Service>,
    context: CallContext,
    /// `None` until the header has come.
    begun: Option<Box<Begun>>,
}

struct Begun {
    call: Normalize<Description>,
    tensor: Tensor<NormalizePart>,
    /// The statistics of the parts so far; empty if the summary has no statistics.
    statistics: PartStatistics,
    gives_statistics: bool,
    /// The reservation for the statistics. It ends when the summary was handed on.
    _scratch: Scratch,
}

/// A message of the request.
pub(crate) enum NormalizeStreamPart {
    Header(Box<Normalize<Description>>),
    Data(Bytes),
}

impl NormalizeStream {
    pub(crate) fn new(service: Arc<Service>, context: CallContext) -> Self {
        Self { service, context, begun: None }
    }

    async fn begin(&mut self, call: Normalize<Description>, sink: &mut Sink) -> Result<(), Error> {
        let Self { service, context, .. } = self;
        let dtype = call.input.dtype();
        let (merged, elements) = (call.parameters.merged_sets(), call.parameters.elements());
        context.record.describe_one(call.spec.kind, dtype, call.input.shape());
        let demand = normalize_in_order_demand_of(&call)?;
        let size = AnswerSize::of(std::iter::empty::<&Description>(), demand.results);
        check_size(size.message, service.limits.message)?;
        let scratch = context.reservation.reserve_with_scratch(size.beside, demand.scratch);
        let scratch = scratch.map_err(|error| error.in_two_passes(WAY))?;
        let prepare = move |checkpoint: &dyn Checkpoint| {
            call.parameters.check_statistics(checkpoint)?;
            let shape = call.input.shape();
            let operation = NormalizationInOrder::new(&call.spec, &call.parameters.view(), dtype, shape, checkpoint)
                .map_err(|error| call.parameters.beside(error))?;
            Ok((call, operation))
        };
        // Checking merged statistics and computing with them takes microseconds for each set.
        let estimate = estimate::statistics(0, merged) + estimate::parameters(elements);
        let (call, operation) = context.run(&service.executor, estimate, prepare).await?;
        let gives_statistics = operation.gives_statistics(call.return_statistics);
        let answer = call.encode_beginning(operation.axes());
        let operation = NormalizePart { operation, dtype, sets: demand.units };
        let tensor = Tensor::begin(service, context, operation, sink).map_err(|error| error.in_two_passes(WAY))?;
        sink.message(&answered(Answer::Header(answer))).await?;
        let statistics = PartStatistics::default();
        self.begun = Some(Box::new(Begun { call, tensor, statistics, gives_statistics, _scratch: scratch }));
        Ok(())
    }
}

fn answered(part: Answer) -> pb::NormalizeStreamResponse {
    pb::NormalizeStreamResponse { part: Some(part) }
}

impl TensorStream for NormalizeStream {
    type Request = pb::NormalizeStreamRequest;
    type Part = NormalizeStreamPart;

    fn decode(message: pb::NormalizeStreamRequest, limit: usize) -> Result<NormalizeStreamPart, Error> {
        Ok(match message.part.ok_or_else(no_part)? {
            Part::Header(header) => {
                let call = Normalize::streamed(header, limit).map_err(|error| error.within("header"))?;
                NormalizeStreamPart::Header(Box::new(call))
            }
            Part::Data(bytes) => NormalizeStreamPart::Data(bytes),
        })
    }

    async fn part(&mut self, part: NormalizeStreamPart, sink: &mut Sink) -> Result<(), Error> {
        match part {
            NormalizeStreamPart::Header(_) if self.begun.is_some() => Err(second_header("header")),
            NormalizeStreamPart::Header(call) => self.begin(*call, sink).await.map_err(|error| error.within("header")),
            NormalizeStreamPart::Data(bytes) => self.data(bytes, sink).await,
        }
    }

    async fn data(&mut self, bytes: Bytes, sink: &mut Sink) -> Result<(), Error> {
        let Begun { tensor, statistics, gives_statistics, .. } = &mut **self.begun.as_mut().ok_or_else(no_header)?;
        let keeps = *gives_statistics;
        tensor
            .take(&self.service, bytes, sink, |part, found| {
                if let Some(found) = found.filter(|_| keeps) {
                    part.operation.gather(statistics, found);
                }
            })
            .await
    }

    async fn finish(mut self, sink: &mut Sink) -> Result<(), Error> {
        let begun = self.begun.take().ok_or_else(no_header)?;
        let Begun { call, tensor, statistics, gives_statistics, _scratch } = *begun;
        tensor.expect_complete()?;
        let NormalizePart { operation, sets, .. } = tensor.end(sink).await;
        let limit = self.service.limits.message;
        let finish = move |_: &dyn Checkpoint| {
            let result = operation.finish(&call.parameters.view(), call.return_statistics, statistics);
            let answer = call.encode(result.map_output(|()| Bytes::new()));
            let summary = pb::NormalizeResponse { axes: Vec::new(), output: None, ..answer };
            check_size(prost::Message::encoded_len(&summary), limit)?;
            Ok((summary, _scratch))
        };
        // Rows may have one element each, and then there are as many statistics as elements.
        let estimate = if gives_statistics { Work::Normalize.estimate(&[], sets) } else { Duration::ZERO };
        let (summary, _scratch) = self.context.run(&self.service.executor, estimate, finish).await?;
        sink.message(&answered(Answer::Summary(summary))).await
    }
}
