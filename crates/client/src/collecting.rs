//! Calls whose request is a stream and whose response is one message.
//!
//! The generated client takes the first message, and drops what comes after it.

use evenkeel_proto::{self as proto, v1 as pb};
use prost::Message;
use tokio_stream::Stream;
use tonic::{Request, Status, client::Grpc, codegen::http::uri::PathAndQuery};

use crate::direct::{Transport, several};

/// The channel of such calls.
pub(crate) struct Collecting<C> {
    channel: C,
    limit: usize,
}

impl<C: Transport> Collecting<C> {
    /// Messages of both directions have at most `limit` bytes.
    pub(crate) fn new(channel: C, limit: usize) -> Self {
        Self { channel, limit }
    }

    pub(crate) async fn measure_gradients(
        self,
        request: Request<impl Stream<Item = pb::MeasureGradientsRequest> + Send + 'static>,
    ) -> Result<pb::MeasureGradientsResponse, Status> {
        self.only(proto::Method::MeasureGradients.path(), request).await
    }

    pub(crate) async fn measure_statistics(
        self,
        request: Request<impl Stream<Item = pb::MeasureStatisticsRequest> + Send + 'static>,
    ) -> Result<pb::StatisticsPartial, Status> {
        self.only(proto::Method::MeasureStatistics.path(), request).await
    }

    async fn only<Q: Message + 'static, A: Message + Default + 'static>(
        self,
        path: &'static str,
        request: Request<impl Stream<Item = Q> + Send + 'static>,
    ) -> Result<A, Status> {
        let Self { channel, limit } = self;
        let mut grpc = Grpc::new(channel).max_decoding_message_size(limit).max_encoding_message_size(limit);
        // The generated client reports this error with the same text.
        grpc.ready().await.map_err(|error| Status::unknown(format!("Service was not ready: {error}")))?;
        let codec = tonic_prost::ProstCodec::<Q, A>::default();
        let mut messages = grpc.streaming(request, PathAndQuery::from_static(path), codec).await?.into_inner();
        let answer = messages.message().await?.ok_or_else(|| Status::internal("the answer has no message"))?;
        match messages.message().await? {
            None => Ok(answer),
            Some(_) => Err(several()),
        }
    }
}
