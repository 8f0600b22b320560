//! Health v1: for the whole server (`""`) and for the tensor service.

use std::pin::Pin;

use evenkeel_proto::v1::tensor_ops_service_server::SERVICE_NAME;
use tokio::sync::watch;
use tokio_stream::{Stream, StreamExt as _, wrappers::WatchStream};
use tonic::{Request, Response, Status};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse,
    health_check_response::ServingStatus,
    health_server::{self, HealthServer},
};

/// The health of the server. tonic's own service answers NOT_FOUND to a watch of an unknown name, where gRPC wants
/// SERVICE_UNKNOWN on a stream that stays open.
#[derive(Debug)]
pub(super) struct Health(watch::Sender<ServingStatus>);

impl Health {
    /// The status SERVING for every known name, and the service that answers with it.
    pub(super) fn serving() -> (Self, HealthServer<impl health_server::Health>) {
        let (status, told) = watch::channel(ServingStatus::Serving);
        (Self(status), HealthServer::new(Told(told)))
    }

    /// Tells watchers NOT_SERVING and ends their streams, which would otherwise keep the server from draining.
    pub(super) fn end(self) {
        self.0.send_replace(ServingStatus::NotServing);
    }
}

/// Answers with the current status. A stream ends when [`Health`] has ended.
#[derive(Debug)]
struct Told(watch::Receiver<ServingStatus>);

fn is_known(name: &str) -> bool {
    ["", SERVICE_NAME].contains(&name)
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

#[tonic::async_trait]
impl health_server::Health for Told {
    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        if !is_known(&request.get_ref().service) {
            return Err(Status::not_found("there is no service of this name"));
        }
        Ok(Response::new(answer(*self.0.borrow())))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let told = self.0.clone();
        Ok(Response::new(if is_known(&request.get_ref().service) {
            Box::pin(WatchStream::new(told).map(|status| Ok(answer(status))))
        } else {
            let unknown = tokio_stream::once(Ok(answer(ServingStatus::ServiceUnknown)));
            let end = WatchStream::from_changes(told).filter(|_| false).map(|status| Ok(answer(status)));
            Box::pin(unknown.chain(end))
        }))
    }
}
