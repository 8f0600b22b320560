//! MeasureGradients: a stream of messages, of which one is in memory at a time.

use bytes::{Buf as _, Bytes};
use evenkeel_exact::{NormOrder, NormPartial};
use evenkeel_kernels::measure_gradients;
use evenkeel_proto::v1 as pb;
use prost::Message as _;
use tokio::task::coop;
use tonic::{
    Status, Streaming,
    codec::{DecodeBuf, Decoder},
};

use super::{CallContext, HEAVY, Service};
use crate::{decoded_size, error::Error, estimate::Work, grpc::Method, metrics::Elements, wire};

/// The messages of a call.
pub(crate) enum Messages {
    /// As bytes: those that become much when they are decoded are decoded where they are computed.
    Raw(Streaming<Bytes>),
    /// As tonic's codec has decoded them.
    Decoded(Streaming<pb::MeasureGradientsRequest>),
}

/// Hands on messages as they are.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RawDecoder;

impl Decoder for RawDecoder {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(message.copy_to_bytes(message.remaining())))
    }
}

/// A message, before or after it is decoded.
enum Message {
    Raw(Bytes),
    Decoded(pb::MeasureGradientsRequest),
}

impl Messages {
    /// `limit`: the largest message, in bytes.
    async fn next(&mut self, limit: usize) -> Result<Option<Message>, Error> {
        let message = match self {
            Self::Raw(messages) => messages.message().await.map(|message| message.map(Message::Raw)),
            Self::Decoded(messages) => messages.message().await.map(|message| message.map(Message::Decoded)),
        };
        message.map_err(|status| Error::receiving(&status, limit))
    }
}

impl Message {
    fn is_heavy(&self) -> bool {
        match self {
            Self::Raw(bytes) => decoded_size::is_above(Method::MeasureGradients, bytes, HEAVY),
            // It is done.
            Self::Decoded(_) => false,
        }
    }

    fn decode(self, order: Option<NormOrder>, limit: usize) -> Result<wire::MeasureGradients, Error> {
        let request = match self {
            Self::Raw(bytes) => pb::MeasureGradientsRequest::decode(bytes)
                .map_err(|error| Error::receiving(&Status::internal(error.to_string()), limit))?,
            Self::Decoded(request) => request,
        };
        wire::MeasureGradients::decode(request, order, limit)
    }
}

/// What was measured so far. The sum is in a box, for it is over a kilobyte, which would be moved with every message.
struct Measured {
    total: Option<Box<NormPartial>>,
    elements: Elements,
}

impl Measured {
    fn order(&self) -> Option<NormOrder> {
        self.total.as_ref().map(|total| total.order())
    }
}

impl Service {
    /// Measures message after message.
    pub(crate) async fn measure_gradients(
        &self,
        context: CallContext,
        mut messages: Messages,
    ) -> Result<pb::MeasureGradientsResponse, Error> {
        let limit = self.max_message_bytes;
        let mut measured = Measured { total: None, elements: Elements::None };
        while let Some(message) = messages.next(limit).await? {
            // Messages that are here already would hold up other calls for as long as there are more.
            coop::consume_budget().await;
            measured = self.measure(&context, measured, message).await?;
        }
        let Measured { total, elements } = measured;
        let total = total.unwrap_or_else(|| Box::new(NormPartial::new(NormOrder::Two)));
        context.record.describe_streamed(total.order(), elements, total.elements());
        Ok(wire::encode_norm(&total))
    }

    async fn measure(&self, context: &CallContext, measured: Measured, message: Message) -> Result<Measured, Error> {
        let (limit, record) = (self.max_message_bytes, &context.record);
        if message.is_heavy() {
            let job = move |checkpoint: &dyn evenkeel_kernels::Checkpoint| {
                let call = message.decode(measured.order(), limit)?;
                add(measured, &call, checkpoint)
            };
            return self.executor.run(record, std::time::Duration::MAX, job).await;
        }
        let call = message.decode(measured.order(), limit)?;
        if call.is_empty() {
            let Measured { total, elements } = measured;
            let total = total.or_else(|| call.says_order.then(|| Box::new(NormPartial::new(call.order))));
            return Ok(Measured { total, elements });
        }
        let call = Box::new(call);
        let estimate = Work::Measure.estimate(&call.views(), call.parts());
        self.executor.run(record, estimate, move |checkpoint| add(measured, &call, checkpoint)).await
    }
}

/// Adds a message to what was measured before it.
fn add(
    measured: Measured,
    call: &wire::MeasureGradients,
    checkpoint: &dyn evenkeel_kernels::Checkpoint,
) -> Result<Measured, Error> {
    let Measured { total, elements } = measured;
    let mut total = total.unwrap_or_else(|| Box::new(NormPartial::new(call.order)));
    call.merge_partials(&mut total, checkpoint)?;
    let views = call.views();
    if !views.is_empty() {
        let of_message = measure_gradients(call.order, &views, checkpoint)?;
        total.merge(&of_message).map_err(|error| Error::invalid("gradients", error.to_string()))?;
    }
    Ok(Measured { total: Some(total), elements: elements.join(Elements::of(&views)) })
}
