//! Health v1: for the whole server (`""`) and for the tensor service.

use std::{
    pin::Pin,
    sync::{Arc, Weak},
};

use evenkeel_proto::v1::tensor_ops_service_server::SERVICE_NAME;
use tokio::sync::watch;
use tokio_stream::{Stream, StreamExt as _, wrappers::WatchStream};
use tonic::{Request, Response, Status};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse,
    health_check_response::ServingStatus,
    health_server::{self, HealthServer},
};

/// The life of the server, as its health has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The self-check has not passed, and perhaps never will.
    Unchecked,
    Serving,
    Ended,
}

impl Stage {
    fn status(self) -> ServingStatus {
        match self {
            Self::Unchecked | Self::Ended => ServingStatus::NotServing,
            Self::Serving => ServingStatus::Serving,
        }
    }
}

/// The health of the server. tonic's own service answers NOT_FOUND to a watch of an unknown name, where gRPC wants
/// SERVICE_UNKNOWN on a stream that stays open.
#[derive(Debug)]
pub(super) struct Health(Arc<watch::Sender<Stage>>);

/// The health of a server whose self-check has not passed. It does not keep the streams of watchers open.
#[derive(Debug)]
pub(super) struct Unchecked(Weak<watch::Sender<Stage>>);

impl Health {
    /// The status of every known name, and the service that answers with it. `is_checked`: whether the status is SERVING
    /// at once, and not after the self-check has passed.
    pub(super) fn new(is_checked: bool) -> (Self, HealthServer<impl health_server::Health>) {
        let (stage, told) = watch::channel(if is_checked { Stage::Serving } else { Stage::Unchecked });
        (Self(Arc::new(stage)), HealthServer::new(Told(told)))
    }

    /// The health, for the self-check.
    pub(super) fn unchecked(&self) -> Unchecked {
        Unchecked(Arc::downgrade(&self.0))
    }

    /// Tells watchers NOT_SERVING and ends their streams, which would otherwise keep the server from draining.
    pub(super) fn end(self) {
        self.0.send_replace(Stage::Ended);
    }
}

impl Unchecked {
    /// The self-check has passed: the status is SERVING, unless the server has been asked to stop.
    pub(super) fn passed(self) {
        let Some(stage) = self.0.upgrade() else { return };
        stage.send_if_modified(|stage| {
            let is_unchecked = *stage == Stage::Unchecked;
            if is_unchecked {
                *stage = Stage::Serving;
            }
            is_unchecked
        });
    }
}

/// Answers with the current status. A stream ends when [`Health`] has ended.
#[derive(Debug)]
struct Told(watch::Receiver<Stage>);

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
        Ok(Response::new(answer(self.0.borrow().status())))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let told = self.0.clone();
        Ok(Response::new(if is_known(&request.get_ref().service) {
            Box::pin(WatchStream::new(told).map(|stage| Ok(answer(stage.status()))))
        } else {
            let unknown = tokio_stream::once(Ok(answer(ServingStatus::ServiceUnknown)));
            let end = WatchStream::from_changes(told).filter(|_| false).map(|stage| Ok(answer(stage.status())));
            Box::pin(unknown.chain(end))
        }))
    }
}
