//! The service behind tonic's own codec, which knows every way a message can come.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use evenkeel_proto::v1 as pb;
use tonic::{Request, Response, Status, Streaming};

use super::Service;
use crate::metrics::Route;

/// Whether a call has come to the service, among the extensions of its request: if so, the service counts and logs how it
/// ends.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen(Arc<AtomicBool>);

impl Seen {
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What tonic calls.
#[derive(Clone, Debug)]
pub(crate) struct Codec(pub(crate) Arc<Service>);

impl Codec {
    /// Takes the message, or the stream of them, out of a call that has come.
    fn seen<T>(&self, request: Request<T>) -> T {
        self.0.took(Route::Codec);
        if let Some(Seen(seen)) = request.extensions().get() {
            seen.store(true, Ordering::Relaxed);
        }
        request.into_inner()
    }
}

#[tonic::async_trait]
impl pb::tensor_ops_service_server::TensorOpsService for Codec {
    async fn normalize(
        &self,
        request: Request<pb::NormalizeRequest>,
    ) -> Result<Response<pb::NormalizeResponse>, Status> {
        self.0.normalize(self.seen(request), None).await.map(Response::new)
    }

    async fn normalize_backward(
        &self,
        request: Request<pb::NormalizeBackwardRequest>,
    ) -> Result<Response<pb::NormalizeBackwardResponse>, Status> {
        self.0.normalize_backward(self.seen(request), None).await.map(Response::new)
    }

    async fn dropout(&self, request: Request<pb::DropoutRequest>) -> Result<Response<pb::DropoutResponse>, Status> {
        self.0.dropout(self.seen(request), None).await.map(Response::new)
    }

    async fn dropout_backward(
        &self,
        request: Request<pb::DropoutBackwardRequest>,
    ) -> Result<Response<pb::DropoutBackwardResponse>, Status> {
        self.0.dropout_backward(self.seen(request), None).await.map(Response::new)
    }

    async fn clip_gradients(
        &self,
        request: Request<pb::ClipGradientsRequest>,
    ) -> Result<Response<pb::ClipGradientsResponse>, Status> {
        self.0.clip_gradients(self.seen(request), None).await.map(Response::new)
    }

    async fn measure_gradients(
        &self,
        request: Request<Streaming<pb::MeasureGradientsRequest>>,
    ) -> Result<Response<pb::MeasureGradientsResponse>, Status> {
        self.0.measure_gradients(self.seen(request)).await.map(Response::new)
    }
}
