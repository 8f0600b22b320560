//! DropoutStream.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use evenkeel_kernels::{Checkpoint, DropoutInOrder, MaskWriter};
use evenkeel_proto::v1::{self as pb, dropout_stream_request::Part, dropout_stream_response::Part as Answer};

use super::{
    CallContext, Service,
    sink::Sink,
    tensor_stream::{Tensor, TensorStream, no_header, no_part, second_header},
};
use crate::{
    error::Error,
    ops::DropoutPart,
    owning::owning,
    wire::{Description, Dropout, DropoutBackward},
};

/// The number of the field `mask` in a message of the answer.
const MASK: u32 = 14;

/// A dropout, or the gradient of one.
pub(crate) struct DropoutStream {
    service: Arc<Service>,
    context: CallContext,
    /// `None` until the header has come.
    begun: Option<Begun>,
}

struct Begun {
    tensor: Tensor<DropoutPart>,
    mask: MaskWriter,
    returns_mask: bool,
    is_backward: bool,
}

impl DropoutStream {
    pub(crate) fn new(service: Arc<Service>, context: CallContext) -> Self {
        Self { service, context, begun: None }
    }

    async fn begin(&mut self, begins: Begins, sink: &mut Sink) -> Result<(), Error> {
        let Begins { operation, input, returns_mask, is_backward } = begins;
        if self.begun.is_some() {
            return Err(second_header(field(is_backward)));
        }
        let record = &self.context.record;
        record.describe_one(operation.kind(), input.dtype(), input.shape());
        let operation = DropoutPart { operation, dtype: input.dtype() };
        let tensor = Tensor::begin(&self.service, &self.context, operation, sink)?;
        let answer = if is_backward {
            Answer::BackwardHeader(pb::DropoutBackwardResponse { grad_input: Some(input.answer()) })
        } else {
            Answer::Header(pb::DropoutResponse { output: Some(input.answer()), ..Default::default() })
        };
        sink.message(&answered(answer)).await?;
        self.begun = Some(Begun { tensor, mask: MaskWriter::default(), returns_mask, is_backward });
        Ok(())
    }
}

/// A message of the request.
pub(crate) enum DropoutStreamPart {
    Begins(Begins),
    Data(Bytes),
}

/// A header that was decoded.
pub(crate) struct Begins {
    operation: DropoutInOrder,
    input: Description,
    returns_mask: bool,
    is_backward: bool,
}

impl Begins {
    fn forward(header: pb::DropoutRequest, limit: usize) -> Result<Self, Error> {
        let Dropout { spec, return_mask, input } = Dropout::streamed(header, limit)?;
        let operation = DropoutInOrder::forward(&spec, input.dtype(), input.shape())?;
        Ok(Self { operation, input, returns_mask: return_mask, is_backward: false })
    }

    fn backward(header: pb::DropoutBackwardRequest, limit: usize) -> Result<Self, Error> {
        let DropoutBackward { spec, grad_output: input } = DropoutBackward::streamed(header, limit)?;
        let operation = DropoutInOrder::backward(&spec, input.dtype(), input.shape())?;
        Ok(Self { operation, input, returns_mask: false, is_backward: true })
    }
}

fn field(is_backward: bool) -> &'static str {
    if is_backward { "backward_header" } else { "header" }
}

fn answered(part: Answer) -> pb::DropoutStreamResponse {
    pb::DropoutStreamResponse { part: Some(part) }
}

impl TensorStream for DropoutStream {
    type Request = pb::DropoutStreamRequest;
    type Part = DropoutStreamPart;

    fn decode(message: pb::DropoutStreamRequest, limit: usize) -> Result<DropoutStreamPart, Error> {
        let begins = match message.part.ok_or_else(no_part)? {
            Part::Header(header) => Begins::forward(header, limit).map_err(|error| error.within(field(false)))?,
            Part::BackwardHeader(header) => {
                Begins::backward(header, limit).map_err(|error| error.within(field(true)))?
            }
            Part::Data(bytes) => return Ok(DropoutStreamPart::Data(bytes)),
        };
        Ok(DropoutStreamPart::Begins(begins))
    }

    async fn part(&mut self, part: DropoutStreamPart, sink: &mut Sink) -> Result<(), Error> {
        match part {
            DropoutStreamPart::Begins(begins) => self.begin(begins, sink).await,
            DropoutStreamPart::Data(bytes) => self.data(bytes, sink).await,
        }
    }

    async fn data(&mut self, bytes: Bytes, sink: &mut Sink) -> Result<(), Error> {
        let Begun { tensor, mask, returns_mask, .. } = self.begun.as_mut().ok_or_else(no_header)?;
        let returns_mask = *returns_mask;
        tensor
            .take(&self.service, bytes, sink, |_, part| if returns_mask { mask.add(part) } else { mask.count(&part) })
            .await?;
        if mask.len() >= sink.chunk() {
            sink.bytes(MASK, mask.take().into()).await?;
        }
        Ok(())
    }

    async fn finish(mut self, sink: &mut Sink) -> Result<(), Error> {
        let Begun { tensor, mut mask, returns_mask, is_backward } = self.begun.take().ok_or_else(no_header)?;
        tensor.expect_complete()?;
        let operation = tensor.end(sink).await.operation;
        let draws = if returns_mask { operation.draws_without_elements_count() } else { 0 };
        // The mask of a tensor without elements is made at once, and then put into the writer's list, which may have twice the
        // bytes.
        let scratch = self.context.reservation.reserve_with_scratch(0, 3 * draws.div_ceil(8))?;
        // A draw takes about a nanosecond.
        let estimate = Duration::from_nanos(draws as u64);
        let draw = move |checkpoint: &dyn Checkpoint| {
            if draws > 0 {
                mask.add(operation.draws_without_elements(checkpoint)?);
            }
            Ok((operation, mask, scratch))
        };
        let (operation, mask, scratch) = self.context.run(&self.service.executor, estimate, draw).await?;
        let kept = if is_backward { 0 } else { operation.kept(&mask) };
        if returns_mask {
            // The rest of the mask owns its reservation.
            sink.bytes(MASK, owning(mask.finish().into(), scratch)).await?;
        }
        sink.message(&answered(Answer::Summary(pb::DropoutResponse { kept, ..Default::default() }))).await
    }
}
