//! Health v1: for the whole server (`""`) and for the tensor service.

use evenkeel_proto::v1::tensor_ops_service_server::SERVICE_NAME;
use tonic_health::{
    ServingStatus,
    pb::health_server::{self, HealthServer},
    server::{HealthReporter, health_reporter},
};

/// What health says, for whom.
#[derive(Debug)]
pub(super) struct Health(HealthReporter);

impl Health {
    const NAMES: [&str; 2] = ["", SERVICE_NAME];

    /// SERVING for every name, and the service that says so.
    pub(super) async fn serving() -> (Self, HealthServer<impl health_server::Health>) {
        let (reporter, service) = health_reporter();
        for name in Self::NAMES {
            reporter.set_service_status(name, ServingStatus::Serving).await;
        }
        (Self(reporter), service)
    }

    /// Tells watchers NOT_SERVING and ends their streams, which would otherwise keep the server from draining.
    pub(super) async fn end(mut self) {
        for name in Self::NAMES {
            self.0.set_service_status(name, ServingStatus::NotServing).await;
            self.0.clear_service_status(name).await;
        }
    }
}
