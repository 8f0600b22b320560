//! gRPC's health service on a port of this machine, until Ctrl-C: `cargo run -p evenkeel-transport --example health`.

use std::{error::Error, sync::Arc, time::Duration};

use evenkeel_transport::{ConnectionHandle, Listener, MakeService, Settings, Transport, Version};
use http::Request;
use hyper::body::Incoming;
use hyper_util::service::TowerToHyperService;
use tonic::{body::Body, service::Routes};
use tower::util::MapRequest;

struct MakeRoutes(Routes);

impl MakeService for MakeRoutes {
    type Service = TowerToHyperService<MapRequest<Routes, fn(Request<Incoming>) -> Request<Body>>>;

    fn make_service(&self, _: &Arc<ConnectionHandle>, _: Version) -> Self::Service {
        TowerToHyperService::new(MapRequest::new(self.0.clone(), |request| request.map(Body::new)))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (_reporter, health) = tonic_health::server::health_reporter();
    let listener = Listener::tcp("127.0.0.1:50052".parse()?)?;
    let mut transport = Transport::new(MakeRoutes(Routes::new(health)), Settings::default(), None, Arc::default());
    transport.accept(listener, async { drop(tokio::signal::ctrl_c().await) }).await;
    if transport.drain(Duration::from_secs(5)).await.is_err() {
        transport.cut().await;
    }
    Ok(())
}
