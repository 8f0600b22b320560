//! The service as tonic's router calls it, with messages that tonic's codec decodes.

use std::sync::Arc;

use evenkeel_proto::v1 as pb;
use tonic::{Request, Response, Status, Streaming};

use super::{CallContext, Messages, Service};
use crate::{error::Error, metrics::Route, ops::Operation, wire};

/// Takes a request of tonic apart, into the call's context and its message or stream of messages.
fn taken<T>(request: Request<T>) -> (CallContext, T) {
    let context = CallContext::of(request.extensions());
    context.record.took(Route::Codec);
    (context, request.into_inner())
}

fn answered<T>(answer: Result<T, Error>) -> Result<Response<T>, Status> {
    Ok(Response::new(answer?))
}

/// The type that tonic requires for the answer of a stream of tensors. The codec never makes such an answer.
type NoCodec<T> = tokio_stream::Pending<Result<T, Status>>;

/// The status of a stream of tensors that comes to the codec, which would be a bug: the codec would gather each message, so
/// `direct` answers these calls.
fn no_codec() -> Status {
    Status::internal("a stream of tensors has come to the codec")
}

/// The implementation of tonic's trait for the service.
#[derive(Clone, Debug)]
pub(crate) struct Codec(pub(crate) Arc<Service>);

impl Codec {
    async fn unary<O: Operation>(&self, request: Request<O::Request>) -> Result<Response<O::Response>, Status> {
        let (context, message) = taken(request);
        answered(self.0.unary::<O>(context, message, None).await)
    }
}

#[tonic::async_trait]
impl pb::tensor_ops_service_server::TensorOpsService for Codec {
    async fn normalize(
        &self,
        request: Request<pb::NormalizeRequest>,
    ) -> Result<Response<pb::NormalizeResponse>, Status> {
        self.unary::<wire::Normalize>(request).await
    }

    async fn normalize_backward(
        &self,
        request: Request<pb::NormalizeBackwardRequest>,
    ) -> Result<Response<pb::NormalizeBackwardResponse>, Status> {
        self.unary::<wire::NormalizeBackward>(request).await
    }

    async fn dropout(&self, request: Request<pb::DropoutRequest>) -> Result<Response<pb::DropoutResponse>, Status> {
        self.unary::<wire::Dropout>(request).await
    }

    async fn dropout_backward(
        &self,
        request: Request<pb::DropoutBackwardRequest>,
    ) -> Result<Response<pb::DropoutBackwardResponse>, Status> {
        self.unary::<wire::DropoutBackward>(request).await
    }

    async fn clip_gradients(
        &self,
        request: Request<pb::ClipGradientsRequest>,
    ) -> Result<Response<pb::ClipGradientsResponse>, Status> {
        self.unary::<wire::ClipGradients>(request).await
    }

    async fn measure_gradients(
        &self,
        request: Request<Streaming<pb::MeasureGradientsRequest>>,
    ) -> Result<Response<pb::MeasureGradientsResponse>, Status> {
        let (context, messages) = taken(request);
        answered(self.0.measure_gradients(context, Messages::Decoded(messages)).await)
    }

    async fn measure_statistics(
        &self,
        request: Request<Streaming<pb::MeasureStatisticsRequest>>,
    ) -> Result<Response<pb::StatisticsPartial>, Status> {
        let (context, messages) = taken(request);
        answered(self.0.measure_statistics(context, Messages::Decoded(messages), |answer| answer).await)
    }

    async fn measure_gradients_unary(
        &self,
        request: Request<pb::MeasureGradientsRequest>,
    ) -> Result<Response<pb::MeasureGradientsResponse>, Status> {
        let (context, message) = taken(request);
        answered(self.0.measure_gradients(context, Messages::one_decoded(message)).await)
    }

    async fn measure_statistics_unary(
        &self,
        request: Request<pb::MeasureStatisticsRequest>,
    ) -> Result<Response<pb::StatisticsPartial>, Status> {
        let (context, message) = taken(request);
        answered(self.0.measure_statistics(context, Messages::one_decoded(message), |answer| answer).await)
    }

    type DropoutStreamStream = NoCodec<pb::DropoutStreamResponse>;

    async fn dropout_stream(
        &self,
        _: Request<Streaming<pb::DropoutStreamRequest>>,
    ) -> Result<Response<Self::DropoutStreamStream>, Status> {
        Err(no_codec())
    }

    type NormalizeStreamStream = NoCodec<pb::NormalizeStreamResponse>;

    async fn normalize_stream(
        &self,
        _: Request<Streaming<pb::NormalizeStreamRequest>>,
    ) -> Result<Response<Self::NormalizeStreamStream>, Status> {
        Err(no_codec())
    }

    type ClipGradientsStreamStream = NoCodec<pb::ClipGradientsStreamResponse>;

    async fn clip_gradients_stream(
        &self,
        _: Request<Streaming<pb::ClipGradientsStreamRequest>>,
    ) -> Result<Response<Self::ClipGradientsStreamStream>, Status> {
        Err(no_codec())
    }

    async fn get_server_info(
        &self,
        request: Request<pb::GetServerInfoRequest>,
    ) -> Result<Response<pb::GetServerInfoResponse>, Status> {
        let (_record, pb::GetServerInfoRequest {}) = taken(request);
        answered(Ok(self.0.server_info()))
    }
}
