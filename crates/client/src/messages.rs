//! The calls on the contract's own messages, for a program that has its tensors as bytes: evenkeel's command line, which reads
//! them from files and writes them to files, and has no use for arrays.

use evenkeel_proto::v1 as pb;

use crate::{
    Client, Error, NormPartial, StatisticsPartial, Tensor, direct::Answer, measure::elements_of, statistics::Due,
};

#[doc(hidden)]
impl Client {
    /// Normalize, with the elements of all tensors in `data`.
    ///
    /// # Errors
    /// As [`Normalize::send`](crate::Normalize::send).
    pub async fn normalize_message(&self, request: pb::NormalizeRequest) -> Result<pb::NormalizeResponse, Error> {
        let Answer { mut message, landed } = self.unary(request).await?;
        put(landed, message.output.as_mut());
        Ok(message)
    }

    /// Dropout, with the elements in `data`.
    ///
    /// # Errors
    /// As [`Dropout::send`](crate::Dropout::send).
    pub async fn dropout_message(&self, request: pb::DropoutRequest) -> Result<pb::DropoutResponse, Error> {
        let Answer { mut message, landed } = self.unary(request).await?;
        put(landed, message.output.as_mut());
        Ok(message)
    }

    /// ClipGradients, with the elements in `data`.
    ///
    /// # Errors
    /// As [`ClipGradients::send`](crate::ClipGradients::send).
    pub async fn clip_gradients_message(
        &self,
        request: pb::ClipGradientsRequest,
    ) -> Result<pb::ClipGradientsResponse, Error> {
        let Answer { mut message, landed } = self.unary(request).await?;
        put(landed, message.gradients.last_mut());
        Ok(message)
    }

    /// MeasureGradients of gradients that fit in one message.
    ///
    /// # Errors
    /// As [`MeasureGradients::send`](crate::MeasureGradients::send).
    pub async fn measure_gradients_message(&self, request: pb::MeasureGradientsRequest) -> Result<NormPartial, Error> {
        let norm_type = request.norm_type;
        let merged = request.partials.iter().fold(0, |sum: u64, partial| sum.saturating_add(partial.elements));
        let elements = elements_of(&request.gradients).saturating_add(merged);
        let (stub, call, request) = self.collect(tokio_stream::once(request));
        NormPartial::from_answer(call.end(stub.measure_gradients(request)).await?, norm_type, elements)
    }

    /// MeasureStatistics of a part that fits in one message.
    ///
    /// # Errors
    /// As [`MeasureStatistics::send`](crate::MeasureStatistics::send).
    pub async fn measure_statistics_message(
        &self,
        request: pb::MeasureStatisticsRequest,
    ) -> Result<StatisticsPartial, Error> {
        let due = Due::of_message(&request);
        let (stub, call, request) = self.collect(tokio_stream::once(request));
        StatisticsPartial::from_answer(call.end(stub.measure_statistics(request)).await?, due.as_ref())
    }
}

#[doc(hidden)]
impl StatisticsPartial {
    /// As a message.
    pub fn to_message(&self) -> pb::StatisticsPartial {
        self.to_wire()
    }
}

/// Puts elements that have landed beside their message into it, without a copy.
fn put(landed: Option<Tensor>, tensor: Option<&mut pb::Tensor>) {
    if let (Some(landed), Some(tensor)) = (landed, tensor) {
        tensor.data = landed.into_le_bytes();
    }
}
