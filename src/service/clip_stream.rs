//! ClipGradientsStream.
//!
//! A gradient that is clipped by value, or by a norm that is known, is sent back while it comes. A gradient that is clipped by its
//! own norm is computed when it is complete. If the norm of all gradients decides, they all stay in memory, which is reserved for
//! them, until the last one is complete.

mod gathered;

use std::sync::Arc;

use bytes::Bytes;
use evenkeel_kernels::{ClipInOrder, ClipNeeds, ClipTotals, Clipped, Clipping};
use evenkeel_proto::v1::{
    self as pb, clip_gradients_stream_request::Part, clip_gradients_stream_response::Part as Answer,
};

use self::gathered::Gathered;
use super::{
    CallContext, Service,
    sink::Sink,
    tensor_stream::{Tensor, TensorStream, expect_at_most, incomplete, no_header, no_part, second_header},
};
use crate::{
    error::Error,
    metrics::Elements,
    ops::ClipPart,
    wire::{ClipGradients, Description},
};

/// The two calls that clip gradients which do not fit in memory, for the text of an error.
const WAY: &str =
    "MeasureGradients of the same gradients, and then the stream in mode NORM with its answer as `total_norm`";

/// The bytes that are kept for a gradient after it was sent back: its norm, a float64 in a list that doubles when it is full.
const PER_NORM: usize = 16;
/// The bytes that a name takes beside its text: a `String` in a list that doubles when it is full, and the allocator's share.
const NAME: usize = 64;
/// The most characters of a name that are kept. An error shows fewer.
const MOST_OF_NAME: usize = 256;

/// A call of ClipGradientsStream.
pub(crate) struct ClipGradientsStream {
    service: Arc<Service>,
    context: CallContext,
    /// `None` until the header has come.
    begun: Option<Begun>,
}

struct Begun {
    spec: Clipping,
    progress: Progress,
    dtypes: Elements,
    elements: u64,
}

/// A message of the request.
pub(crate) enum ClipStreamPart {
    Header(Clipping),
    Tensor(Description),
    Data(Bytes),
}

/// The gradients that have come.
enum Progress {
    /// The gradients are clipped and sent back one after the other.
    Each(Box<Each>),
    /// The gradients are kept until all of them have come.
    All(Gathered),
}

struct Each {
    operation: Arc<ClipInOrder>,
    totals: ClipTotals,
    tensor: Option<Tensor<ClipPart>>,
    /// The names of all gradients, for an error that names those with NaN or infinite elements; empty if there is no such error.
    names: Vec<String>,
}

impl ClipGradientsStream {
    pub(crate) fn new(service: Arc<Service>, context: CallContext) -> Self {
        Self { service, context, begun: None }
    }

    async fn begin(&mut self, spec: Clipping, sink: &mut Sink) -> Result<(), Error> {
        self.context.record.describe_begun(spec.mode, Elements::None, 0);
        let operation = ClipInOrder::new(&spec)?;
        let progress = match spec.needs() {
            ClipNeeds::Element | ClipNeeds::Gradient => {
                let totals = ClipTotals::new(&operation);
                let operation = Arc::new(operation);
                Progress::Each(Box::new(Each { operation, totals, tensor: None, names: Vec::new() }))
            }
            ClipNeeds::Everything => Progress::All(Gathered::default()),
        };
        sink.message(&answered(Answer::Header(pb::ClipGradientsResponse::default()))).await?;
        self.begun = Some(Begun { spec, progress, dtypes: Elements::None, elements: 0 });
        Ok(())
    }
}

impl Begun {
    /// Begins the next gradient.
    async fn tensor(
        &mut self,
        tensor: Description,
        service: &Service,
        context: &CallContext,
        sink: &mut Sink,
    ) -> Result<(), Error> {
        self.dtypes = self.dtypes.join(tensor.dtype().into());
        self.elements = self.elements.saturating_add(tensor.shape().iter().map(|&len| len as u64).product());
        context.record.describe_begun(self.spec.mode, self.dtypes, self.elements);
        match &mut self.progress {
            Progress::All(gathered) => gathered.begin(tensor, service, context, WAY),
            Progress::Each(each) => {
                let Each { operation, totals, tensor: before, names } = &mut **each;
                // Ending the gradient before gives its reservation back, so that this one can have it.
                if let Some(before) = before.take() {
                    before.end(sink).await;
                }
                totals.begin();
                let part = ClipPart {
                    operation: Arc::clone(operation),
                    dtype: tensor.dtype(),
                    shape: tensor.shape().to_vec(),
                    is_whole: self.spec.needs() == ClipNeeds::Gradient,
                };
                context.reservation.reserve(PER_NORM)?;
                if self.spec.error_if_nonfinite {
                    let name: String = tensor.name().chars().take(MOST_OF_NAME).collect();
                    context.reservation.reserve(NAME + name.len())?;
                    names.push(name);
                }
                let next = Tensor::begin(service, context, part, sink).map_err(|error| error.in_two_passes(WAY))?;
                sink.message(&answered(Answer::Tensor(tensor.answer()))).await?;
                if next.flow.missing() == 0 && self.spec.needs() == ClipNeeds::Gradient {
                    totals.add(next.flow.operation().of_nothing()?);
                }
                *before = Some(next);
                Ok(())
            }
        }
    }

    /// The bytes of the last gradient that have not come; 0 before the first gradient.
    fn missing(&self) -> usize {
        match &self.progress {
            Progress::All(gathered) => gathered.missing(),
            Progress::Each(each) => each.tensor.as_ref().map_or(0, |tensor| tensor.flow.missing()),
        }
    }

    fn expect_complete(&self, field: &'static str) -> Result<(), Error> {
        match self.missing() {
            0 => Ok(()),
            missing if field == "data" => Err(incomplete(missing)),
            missing => {
                Err(Error::invalid(field, format!("comes before the last {missing} bytes of the tensor before it")))
            }
        }
    }
}

impl Each {
    async fn data(&mut self, bytes: Bytes, service: &Service, sink: &mut Sink) -> Result<(), Error> {
        let Self { totals, tensor, .. } = self;
        let Some(tensor) = tensor else { return Err(no_tensor()) };
        tensor.take(service, bytes, sink, |_, part| totals.add(part)).await
    }

    async fn finish(self, sink: &Sink) -> Result<Clipped, Error> {
        let Self { operation, totals, tensor, names } = self;
        if let Some(last) = tensor {
            last.end(sink).await;
        }
        operation.finish(totals).map_err(|error| Error::of_gradients(error, |index| &names[index]))
    }
}

fn no_tensor() -> Error {
    Error::invalid("tensor", "is required before data: each gradient begins with one")
}

fn answered(part: Answer) -> pb::ClipGradientsStreamResponse {
    pb::ClipGradientsStreamResponse { part: Some(part) }
}

impl TensorStream for ClipGradientsStream {
    type Request = pb::ClipGradientsStreamRequest;
    type Part = ClipStreamPart;

    fn decode(message: pb::ClipGradientsStreamRequest, limit: usize) -> Result<ClipStreamPart, Error> {
        Ok(match message.part.ok_or_else(no_part)? {
            Part::Header(header) => {
                ClipStreamPart::Header(ClipGradients::header(header).map_err(|error| error.within("header"))?)
            }
            Part::Tensor(tensor) => ClipStreamPart::Tensor(ClipGradients::streamed(tensor, limit)?),
            Part::Data(bytes) => ClipStreamPart::Data(bytes),
        })
    }

    async fn part(&mut self, part: ClipStreamPart, sink: &mut Sink) -> Result<(), Error> {
        match part {
            ClipStreamPart::Header(_) if self.begun.is_some() => Err(second_header("header")),
            ClipStreamPart::Header(spec) => self.begin(spec, sink).await.map_err(|error| error.within("header")),
            ClipStreamPart::Tensor(tensor) => {
                let begun = self.begun.as_mut().ok_or_else(no_header)?;
                begun.expect_complete("tensor")?;
                begun.tensor(tensor, &self.service, &self.context, sink).await
            }
            ClipStreamPart::Data(bytes) => self.data(bytes, sink).await,
        }
    }

    async fn data(&mut self, bytes: Bytes, sink: &mut Sink) -> Result<(), Error> {
        match &mut self.begun.as_mut().ok_or_else(no_header)?.progress {
            Progress::All(gathered) => gathered.data(&bytes),
            Progress::Each(each) => each.data(bytes, &self.service, sink).await,
        }
    }

    async fn finish(mut self, sink: &mut Sink) -> Result<(), Error> {
        let begun = self.begun.take().ok_or_else(no_header)?;
        begun.expect_complete("data")?;
        let Begun { spec, progress, dtypes, elements } = begun;
        self.context.record.describe_streamed(spec.mode, dtypes, elements);
        let clipped = match progress {
            Progress::Each(each) => each.finish(sink).await?,
            Progress::All(gathered) => {
                let (clipped, gradients) = gathered.clip(spec, &self.service, &self.context).await?;
                for (tensor, bytes) in gradients {
                    sink.message(&answered(Answer::Tensor(tensor.answer()))).await?;
                    sink.bytes(super::DATA, bytes).await?;
                }
                clipped
            }
        };
        let Clipped { total_norm, scale, clipped_elements, tensor_norms, data: _ } = clipped;
        let gradients = Vec::new();
        let summary = pb::ClipGradientsResponse { total_norm, scale, clipped_elements, tensor_norms, gradients };
        super::check_size(prost::Message::encoded_len(&summary), self.service.limits.message)?;
        sink.message(&answered(Answer::Summary(summary))).await
    }
}
