//! MeasureStatistics.

mod due;
mod options;
mod partial;
mod pieces;
mod stream;

use evenkeel_proto::v1 as pb;
use ndarray::{CowArray, Dimension};
use pb::measure_statistics_request::Part;

pub use self::partial::{InvalidStatisticsPartial, StatisticsMergeError, StatisticsPartial};
pub use self::stream::{MeasureStatisticsStream, MeasureStatisticsStreamInput};
pub(crate) use self::{due::Due, stream::of_origin};
use self::{options::setters, pieces::Pieces};
use crate::{Client, Element, Error, NormKind, codec};

/// An array of which statistics are measured; made by [`Client::measure_statistics`].
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before `kind(…).send()`"]
pub struct MeasureStatisticsInput {
    client: Client,
    input: pb::Tensor,
}

/// Statistics that are ready to be measured by [`send`](Self::send).
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before `send()`"]
pub struct MeasureStatistics {
    client: Client,
    /// Without input and gradients.
    header: pb::NormalizeRequest,
    input: pb::Tensor,
    grad_output: Option<pb::Tensor>,
}

impl MeasureStatisticsInput {
    pub(crate) fn new<A: Element, D: Dimension>(client: Client, input: CowArray<'_, A, D>) -> Self {
        Self { client, input: codec::encode(input) }
    }

    /// The normalization that the statistics are for.
    pub fn kind(self, kind: NormKind) -> MeasureStatistics {
        let Self { client, input } = self;
        let header = pb::NormalizeRequest { kind: kind.to_wire().into(), ..pb::NormalizeRequest::default() };
        MeasureStatistics { client, header, input, grad_output: None }
    }
}

setters!([] MeasureStatistics);

impl MeasureStatistics {
    /// [`NormKind::Batch`], [`NormKind::Instance`]: the gradient of the output, of the input's type and shape. With it the
    /// statistics are those that [`NormalizeBackward::statistics`](crate::NormalizeBackward::statistics) takes.
    pub fn grad_output<'a, A: Element, D: Dimension>(mut self, grad_output: impl Into<CowArray<'a, A, D>>) -> Self {
        self.grad_output = Some(codec::encode(grad_output.into()));
        self
    }

    /// Makes the call. It sends arrays of any size, in pieces that fit a message.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for options that do not fit; any [`Error`] that has to do with the connection.
    pub async fn send(self) -> Result<StatisticsPartial, Error> {
        let Self { client, header, mut input, grad_output } = self;
        let data = std::mem::take(&mut input.data);
        let due = Due::of(&header, &input.shape, grad_output.is_some());
        let (part, grad_data) = match grad_output {
            None => (Part::Header(pb::NormalizeRequest { input: Some(input), ..header }), None),
            Some(mut grad_output) => {
                let grad_data = std::mem::take(&mut grad_output.data);
                let pb::NormalizeRequest { kind, axes, groups, channel_axis, .. } = header;
                let (input, grad_output) = (Some(input), Some(grad_output));
                let header = pb::NormalizeBackwardRequest {
                    kind,
                    axes,
                    groups,
                    channel_axis,
                    input,
                    grad_output,
                    ..Default::default()
                };
                (Part::BackwardHeader(header), Some(grad_data))
            }
        };
        let bytes = data.len().saturating_mul(1 + usize::from(grad_data.is_some()));
        let answer = client.retrying(|client| {
            let (part, data, grad_data) = (part.clone(), data.clone(), grad_data.clone());
            async move {
                let (client, limit) = client.with_message_limit(bytes).await?;
                let messages = Pieces::new(part, data, grad_data, limit);
                let (stub, call, request) = client.collect(tokio_stream::iter(messages));
                call.end(stub.measure_statistics(request)).await
            }
        });
        StatisticsPartial::from_answer(answer.await?, Some(&due))
    }
}
