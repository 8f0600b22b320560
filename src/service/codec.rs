//! The service behind tonic's own codec, which knows every way a message can come.

use std::sync::Arc;

use evenkeel_proto::v1 as pb;
use tonic::{Request, Response, Status, Streaming};

use super::Service;
use crate::{error::Error, metrics::Route, observe::CallRecord};

/// Takes a call's record, and its message or the stream of them, out of what tonic gives.
fn taken<T>(request: Request<T>) -> (CallRecord, T) {
    let record = CallRecord::of(request.extensions());
    record.took(Route::Codec);
    (record, request.into_inner())
}

fn answered<T>(answer: Result<T, Error>) -> Result<Response<T>, Status> {
    Ok(Response::new(answer?))
}

/// What tonic calls.
#[derive(Clone, Debug)]
pub(crate) struct Codec(pub(crate) Arc<Service>);

#[tonic::async_trait]
impl pb::tensor_ops_service_server::TensorOpsService for Codec {
    async fn normalize(
        &self,
        request: Request<pb::NormalizeRequest>,
    ) -> Result<Response<pb::NormalizeResponse>, Status> {
        let (record, message) = taken(request);
        answered(self.0.normalize(record, message, None).await)
    }

    async fn normalize_backward(
        &self,
        request: Request<pb::NormalizeBackwardRequest>,
    ) -> Result<Response<pb::NormalizeBackwardResponse>, Status> {
        let (record, message) = taken(request);
        answered(self.0.normalize_backward(record, message, None).await)
    }

    async fn dropout(&self, request: Request<pb::DropoutRequest>) -> Result<Response<pb::DropoutResponse>, Status> {
        let (record, message) = taken(request);
        answered(self.0.dropout(record, message, None).await)
    }

    async fn dropout_backward(
        &self,
        request: Request<pb::DropoutBackwardRequest>,
    ) -> Result<Response<pb::DropoutBackwardResponse>, Status> {
        let (record, message) = taken(request);
        answered(self.0.dropout_backward(record, message, None).await)
    }

    async fn clip_gradients(
        &self,
        request: Request<pb::ClipGradientsRequest>,
    ) -> Result<Response<pb::ClipGradientsResponse>, Status> {
        let (record, message) = taken(request);
        answered(self.0.clip_gradients(record, message, None).await)
    }

    async fn measure_gradients(
        &self,
        request: Request<Streaming<pb::MeasureGradientsRequest>>,
    ) -> Result<Response<pb::MeasureGradientsResponse>, Status> {
        let (record, messages) = taken(request);
        answered(self.0.measure_gradients(record, messages).await)
    }

    async fn get_server_info(
        &self,
        request: Request<pb::GetServerInfoRequest>,
    ) -> Result<Response<pb::GetServerInfoResponse>, Status> {
        let (_record, pb::GetServerInfoRequest {}) = taken(request);
        answered(Ok(self.0.server_info()))
    }
}
